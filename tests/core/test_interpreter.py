"""What every instruction does, held against a second implementation and the RFC's text."""

from __future__ import annotations

import random
import struct
from sys import byteorder as ORDER  # noqa: N812

import pytest

from fuzz.soundness import words
from tests.core.programs import EXIT, code, program

CORNERS = [
    0, 1, 2, 7, 31, 32, 33, 63, 64, 65, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF,
    0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x100000000, 0x7FFFFFFFFFFFFFFF, 0x8000000000000000,
    0xFFFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFE, 0xFFFFFFFF80000000, 0x123456789ABCDEF0,
]  # fmt: skip
_RANDOM = random.Random(9669)
VALUES = CORNERS + [_RANDOM.getrandbits(64) for _ in range(14)]
IMMEDIATES = [0, 1, -1, 5, 31, 32, 63, 64, 255, -128, 2**31 - 1, -(2**31), 0x12345678]
PAIRS = [(x, y) for x in VALUES for y in CORNERS]
WORD = (1 << 64) - 1

# r6 and r7 from memory; afterwards r6 goes back there.
LOADS = ((0xBF, 9, 1, 0, 0), (0x79, 6, 1, 0, 0), (0x79, 7, 1, 8, 0))
STORES = ((0x7B, 9, 6, 16, 0), EXIT)

ARITHMETIC = [
    (cls, operation, variant)
    for cls in (4, 7)
    for operation in (0, 0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0x90, 0xA0, 0xB0, 0xC0)
    for variant in ((0, 1) if operation in (0x30, 0x90) else (0,))
]


def calculated(run: object, x: int, y: int) -> int:
    memory = bytearray(struct.pack("=QQQ", x, y, 0))
    result = run(memory)  # type: ignore[operator]
    assert isinstance(result, int), result
    return int(struct.unpack_from("=Q", memory, 16)[0])


def expected(cls: int, operation: int, x: int, y: int, variant: int) -> int:
    return (words.alu64 if cls == 7 else words.alu32)(operation, x, y, variant)


@pytest.mark.parametrize(("cls", "operation", "variant"), ARITHMETIC)
def test_arithmetic_with_registers(cls: int, operation: int, variant: int) -> None:
    run = program(code(*LOADS, (cls | operation | 8, 6, 7, variant, 0), *STORES))
    for x, y in PAIRS:
        want = expected(cls, operation, x, y, variant)
        assert calculated(run, x, y) == want, f"{x:#x} {operation:#x} {y:#x}"


@pytest.mark.parametrize(("cls", "operation", "variant"), ARITHMETIC)
def test_arithmetic_with_immediates(cls: int, operation: int, variant: int) -> None:
    for imm in IMMEDIATES:
        run = program(code(*LOADS, (cls | operation, 6, 0, variant, imm), *STORES))
        for x in VALUES:
            want = expected(cls, operation, x, imm & WORD, variant)
            assert calculated(run, x, 0) == want, f"{x:#x} {operation:#x} {imm}"


@pytest.mark.parametrize("cls", [4, 7])
def test_negation(cls: int) -> None:
    run = program(code(*LOADS, (cls | 0x80, 6), *STORES))
    for x in VALUES:
        assert calculated(run, x, 0) == expected(cls, 0x80, x, 0, 0)


@pytest.mark.parametrize(("cls", "bits"), [(4, 8), (4, 16), (7, 8), (7, 16), (7, 32)])
def test_moves_with_sign_extension(cls: int, bits: int) -> None:
    run = program(code(*LOADS, (cls | 0xB8, 6, 7, bits, 0), *STORES))
    for y in VALUES:
        assert calculated(run, 1, y) == expected(cls, 0xB0, 1, y, bits)


@pytest.mark.parametrize("opcode", [0xD4, 0xDC, 0xD7], ids=["le", "be", "bswap"])
@pytest.mark.parametrize("bits", [16, 32, 64])
def test_byte_orders(opcode: int, bits: int) -> None:
    run = program(code(*LOADS, (opcode, 6, 0, 0, bits), *STORES))
    little = struct.pack("=H", 1) == b"\1\0"
    swaps = opcode == 0xD7 or (opcode == 0xDC) == little
    for x in VALUES:
        kept = x & ((1 << bits) - 1)
        assert calculated(run, x, 0) == (words.swap(x, bits) if swaps else kept)


COMPARISONS = [0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0xA0, 0xB0, 0xC0, 0xD0]


def jumps(opcode: int, src: int, imm: int, back: bool) -> bytes:
    """r0 = 1 if the jump is taken, else 0; forwards, or back over its own landing place."""
    if back:
        landing: tuple[tuple[int, ...], ...] = ((0x05, 0, 0, 2, 0), (0xB7, 0, 0, 0, 1), EXIT)
        return code(*LOADS, *landing, (0xB7, 0, 0, 0, 0), (opcode, 6, src, -4, imm), EXIT)
    taken = ((0xB7, 0, 0, 0, 1), EXIT)
    return code(*LOADS, (opcode, 6, src, 2, imm), (0xB7, 0, 0, 0, 0), EXIT, *taken)


@pytest.mark.parametrize("operation", COMPARISONS)
@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("back", [False, True], ids=["ahead", "back"])
def test_jumps(operation: int, wide: bool, back: bool) -> None:
    cls = 5 if wide else 6
    run = program(jumps(cls | operation | 8, 7, 0, back))
    for x, y in PAIRS:
        memory = bytearray(struct.pack("=QQQ", x, y, 0))
        assert run(memory) == int(words.compare(operation, x, y, wide)), f"{x:#x} {y:#x}"
    for imm in IMMEDIATES:
        run = program(jumps(cls | operation, 0, imm, back))
        for x in VALUES:
            memory = bytearray(struct.pack("=QQQ", x, 0, 0))
            want = words.compare(operation, x, imm & WORD, wide)
            assert run(memory) == int(want), f"{x:#x} {imm}"


def test_long_jumps_and_jumps_always() -> None:
    assert program("r0 = 1; goto +1; r0 = 2; exit")() == 1
    assert program("r0 = 1; gotol +1; r0 = 2; exit")() == 1
    ahead_and_back = "r0 = 1; gotol out; back: r0 += 5; exit; out: r0 += 1; gotol back"
    assert program(ahead_and_back)() == 7


SIZES = {1: 0x10, 2: 0x08, 4: 0x00, 8: 0x18}


@pytest.mark.parametrize("size", [1, 2, 4, 8])
@pytest.mark.parametrize("offset", [0, 1, 3, 8])
def test_loads_and_stores(size: int, offset: int) -> None:
    field = SIZES[size]
    data = bytes((i * 29 + 131) & 0xFF for i in range(32))
    here = data[offset : offset + size]
    load = program(code((0x61 | field, 0, 1, offset), EXIT))
    assert load(bytearray(data)) == int.from_bytes(here, ORDER)
    if size < 8:
        signed = program(code((0x81 | field, 0, 1, offset), EXIT))
        want = int.from_bytes(here, ORDER, signed=True) & WORD
        assert signed(bytearray(data)) == want
    stored = bytearray(data)
    program(code((0x63 | field, 1, 2, offset), (0xB7, 0), EXIT))(stored)
    want_bytes = (32).to_bytes(8, ORDER)
    piece = want_bytes[:size] if ORDER == "little" else want_bytes[-size:]
    assert stored == data[:offset] + piece + data[offset + size :]
    stored = bytearray(data)
    program(code((0x62 | field, 1, 0, offset, -2), (0xB7, 0), EXIT))(stored)
    low = (-2 & WORD) & ((1 << 8 * size) - 1)
    assert stored[offset : offset + size] == low.to_bytes(size, ORDER)
    assert stored[:offset] + stored[offset + size :] == data[:offset] + data[offset + size :]


@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_the_frame_holds_what_is_put_there(size: int) -> None:
    field = SIZES[size]
    kept = code(
        (0x79, 6, 1, 0), (0x63 | field, 10, 6, -16), (0x61 | field, 0, 10, -16), EXIT
    )  # fmt: skip
    at_edges = code((0x62 | field, 10, 0, -512, 9), (0x62 | field, 10, 0, -size, 5),
                    (0x61 | field, 0, 10, -512), (0x61 | field, 1, 10, -size),
                    (0x0F, 0, 1), EXIT)  # fmt: skip
    for x in VALUES:
        assert program(kept)(bytearray(struct.pack("=Q", x))) == x & ((1 << 8 * size) - 1)
    assert program(at_edges)() == 14


ATOMICS = [0x00, 0x40, 0x50, 0xA0]


@pytest.mark.parametrize("size", [4, 8])
@pytest.mark.parametrize("operation", [*ATOMICS, 0xE0])
def test_atomic_operations(size: int, operation: int) -> None:
    opcode = 0xC3 | SIZES[size]
    mask = (1 << 8 * size) - 1
    shape = "=Q" if size == 8 else "=I"
    for fetch in (0, 1):
        if operation == 0xE0 and not fetch:
            continue
        run = program(code(*LOADS, (0xB7, 6, 0, 0, 0), (opcode, 9, 7, 16, operation | fetch),
                           (0xBF, 0, 7), EXIT))  # fmt: skip
        for old, operand in PAIRS:
            memory = bytearray(struct.pack("=QQQ", 0, operand, old))
            result = run(memory)
            want = words.atomic(operation, old & mask, operand & mask) & mask
            assert struct.unpack_from(shape, memory, 16)[0] == want
            assert result == (old & mask if fetch else operand)


@pytest.mark.parametrize("size", [4, 8])
def test_compare_and_exchange(size: int) -> None:
    mask = (1 << 8 * size) - 1
    shape = "=Q" if size == 8 else "=I"
    run = program(code(*LOADS, (0xBF, 0, 6), (0xC3 | SIZES[size], 9, 7, 16, 0xF1), EXIT))
    for old in VALUES:
        for guess in (old, old ^ 1, old ^ 1 << 40):
            memory = bytearray(struct.pack("=QQQ", guess, 0x1122334455667788, old))
            assert run(memory) == old & mask
            same = old & mask == guess & mask
            want = 0x1122334455667788 & mask if same else old & mask
            assert struct.unpack_from(shape, memory, 16)[0] == want


@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_load_acquire_and_store_release(size: int) -> None:
    opcode = 0xC3 | SIZES[size]
    mask = (1 << 8 * size) - 1
    run = program(code(*LOADS, (opcode, 9, 7, 16, 0x110), (opcode, 0, 9, 16, 0x100), EXIT))
    for x in VALUES:
        assert run(bytearray(struct.pack("=QQQ", 0, x, 0))) == x & mask


def test_sixteen_byte_loads() -> None:
    for x in VALUES:
        signed = x - (1 << 64) if x >> 63 else x
        assert program(f"r0 = {signed} ll; exit")() == x


def test_may_goto_goes_on_and_gives_up_at_last() -> None:
    endless = "r0 = 0; again: may_goto out; r0 += 1; goto again; out: exit"
    assert program(endless)() == 8 * 1024 * 1024


def test_functions_keep_what_is_theirs() -> None:
    text = """
        r6 = 1; r7 = 2; r8 = 3; r9 = 4
        *(u64 *)(r10 - 8) = r6
        r1 = 5
        call inner
        r0 += r6; r0 += r7; r0 += r8; r0 += r9
        r1 = *(u64 *)(r10 - 8)
        r0 += r1
        exit
    inner:
        r6 = 100; r7 = 100; r8 = 100; r9 = 100
        *(u64 *)(r10 - 8) = r6
        r0 = r1
        exit
    """
    assert program(text)() == 5 + 1 + 2 + 3 + 4 + 1


def test_calls_through_registers() -> None:
    function = code(
        (0x18, 3, 4, 0, 4), (0,), (0xB7, 1, 0, 0, 20), (0x8D, 3), (0x05, 0, 0, 2),
        (0xBF, 0, 1), (0x95,), (0x07, 0, 0, 0, 1), EXIT,
    )  # fmt: skip
    # r3 = the function in slot 5; call r3; goto the end: r0 += 1
    assert program(function)() == 21


def test_random_programs_agree_with_the_second_implementation() -> None:
    rng = random.Random(4711)
    for _ in range(300):
        body = []
        for _ in range(60):
            cls, operation, variant = rng.choice(ARITHMETIC)
            dst, src, imm = rng.randrange(8), rng.randrange(8), rng.choice(IMMEDIATES)
            if rng.random() < 0.5:
                body.append((cls | operation | 8, dst, src, variant, 0))
            else:
                body.append((cls | operation, dst, 0, variant, imm))
        start = [rng.choice(VALUES) for _ in range(8)]
        registers = list(start)
        for opcode, dst, src, variant, imm in body:
            other = registers[src] if opcode & 8 else imm & WORD
            registers[dst] = expected(opcode & 7, opcode & 0xF0, registers[dst], other, variant)
        loads = [(0x79, i, 9, 8 * i) for i in range(8)]
        stores = [(0x7B, 9, i, 8 * i) for i in range(8)]
        run = program(code((0xBF, 9, 1), *loads, *body, *stores, EXIT))
        memory = bytearray(struct.pack("=8Q", *start))
        assert isinstance(run(memory), int)
        assert list(struct.unpack("=8Q", memory)) == registers
