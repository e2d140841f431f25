"""Every instruction comes to the same in every engine: arithmetic, jumps, memory, atomics.

One program does all operations of a kind with the same operands and puts each result into the
packet, so that few programs are compiled and a failure names the place. Arithmetic and comparisons
are also held against definitions that were written from RFC 9669 alone (``fuzz.soundness.words``).
"""

from __future__ import annotations

import random
import struct

from fuzz.soundness import words as rfc
from tests.engines.equivalence import CORNERS, Case, check, every_engine, on_packet, pairs, words
from tests.runtime.making import map_spec

# Symbol, operation in the opcode, variant in the offset: RFC 9669, tables of sections 4.1 and 4.3.
OPERATIONS = [
    ("+=", 0x00, 0), ("-=", 0x10, 0), ("*=", 0x20, 0), ("/=", 0x30, 0), ("s/=", 0x30, 1),
    ("|=", 0x40, 0), ("&=", 0x50, 0), ("<<=", 0x60, 0), (">>=", 0x70, 0), ("%=", 0x90, 0),
    ("s%=", 0x90, 1), ("^=", 0xA0, 0), ("=", 0xB0, 0), ("s>>=", 0xC0, 0),
]  # fmt: skip
COMPARISONS = [
    ("==", 0x10), (">", 0x20), (">=", 0x30), ("&", 0x40), ("!=", 0x50), ("s>", 0x60),
    ("s>=", 0x70), ("<", 0xA0), ("<=", 0xB0), ("s<", 0xC0), ("s<=", 0xD0),
]  # fmt: skip
IMMEDIATES = [0, 1, -1, 2, 7, 31, 63, 127, -128, 255, 0x7FFF, -0x8000, 0x12345678, 0x7FFFFFFF,
              -0x80000000, -2]  # fmt: skip
WORD = rfc.WORD


def alu(wide: bool, operation: int, a: int, b: int, variant: int) -> int:
    return (rfc.alu64 if wide else rfc.alu32)(operation, a, b, variant)


def results_case(name: str, texts: list[str], rows: list[tuple[int, int, list[int]]]) -> Case:
    """A case whose program puts what it computes of r6 and r7 into r8, statement by statement."""
    size = 16 + 8 * len(texts)
    body = "r6 = *(u64 *)(r2 + 0)\nr7 = *(u64 *)(r2 + 8)\n"
    for at, text in enumerate(texts):
        body += f"r8 = r6\n{text}\n*(u64 *)(r2 + {16 + 8 * at}) = r8\n"
    return Case(
        name,
        (on_packet(size, body),),
        tuple(words(a, b, size=size) for a, b, _ in rows),
        expected=tuple((2, words(a, b, *results, size=size)) for a, b, results in rows),
    )


def with_registers(wide: bool) -> Case:
    letter = "r" if wide else "w"
    texts = [f"{letter}8 {symbol} {letter}7" for symbol, _, _ in OPERATIONS]
    rows = [
        (a, b, [alu(wide, operation, a, b, variant) for _, operation, variant in OPERATIONS])
        for a, b in pairs(1)
    ]
    return results_case(f"{letter}-registers", texts, rows)


def is_legal(symbol: str, immediate: int, wide: bool) -> bool:
    """Verifiers refuse division by a constant 0 and shifts by more than the width."""
    if symbol.lstrip("s") in ("/=", "%="):
        return immediate != 0
    if symbol.lstrip("s") in ("<<=", ">>="):
        return 0 <= immediate < (64 if wide else 32)
    return True


def with_immediates(wide: bool, part: int) -> Case:
    letter = "r" if wide else "w"
    forms = [
        (symbol, operation, variant, immediate)
        for symbol, operation, variant in OPERATIONS
        for immediate in IMMEDIATES
        if is_legal(symbol, immediate, wide)
    ][part::2]
    texts = [f"{letter}8 {symbol} {immediate}" for symbol, _, _, immediate in forms]
    rows = [
        (a, 0, [alu(wide, op, a, value & WORD, variant) for _, op, variant, value in forms])
        for a, _ in pairs(2, 10)
    ]
    return results_case(f"{letter}-immediates-{part}", texts, rows)


def extensions() -> Case:
    forms = [
        ("r8 = (s8)r7", True, 8), ("r8 = (s16)r7", True, 16), ("r8 = (s32)r7", True, 32),
        ("w8 = (s8)w7", False, 8), ("w8 = (s16)w7", False, 16),
    ]  # fmt: skip
    rows = [
        (a, b, [alu(wide, 0xB0, a, b, bits) for _, wide, bits in forms]) for a, b in pairs(3, 10)
    ]
    return results_case("extensions", [text for text, _, _ in forms], rows)


def unary() -> Case:
    texts = ["r8 = -r8", "w8 = -w8"]
    widths = (16, 32, 64)
    texts += [f"r8 = {name}{bits} r8" for name in ("be", "le", "bswap") for bits in widths]
    texts += ["r8 = r8", "w8 = w8", "r8 ^= r8", "r8 += r8", "w8 *= w8"]
    rows = []
    for a, b in pairs(4, 20):
        results = [rfc.alu64(0x80, a, 0, 0), rfc.alu32(0x80, a, 0, 0)]
        results += [rfc.swap(a, bits) for bits in widths]  # this machine is little-endian
        results += [a & ((1 << bits) - 1) for bits in widths]
        results += [rfc.swap(a, bits) for bits in widths]
        results += [a, a & rfc.HALF, 0, 2 * a & WORD, a * a & rfc.HALF]
        rows.append((a, b, results))
    return results_case("unary", texts, rows)


def jumps(wide: bool, immediates: bool) -> Case:
    letter = "r" if wide else "w"
    texts, kinds = [], []
    for symbol, operation in COMPARISONS:
        for immediate in IMMEDIATES[::3] if immediates else [0]:
            other = str(immediate) if immediates else f"{letter}7"
            texts.append(f"r9 = 1\nif {letter}6 {symbol} {other} goto +1\nr9 = 0\nr8 = r9")
            kinds.append((operation, immediate))
    rows = [
        (
            a,
            b,
            [
                int(rfc.compare(operation, a, immediate & WORD if immediates else b, wide))
                for operation, immediate in kinds
            ],
        )
        for a, b in pairs(5)
    ]
    return results_case(f"{letter}-jumps-{'immediate' if immediates else 'register'}", texts, rows)


def loads() -> Case:
    """Of all sizes, signed and not, aligned and not; stores of all sizes."""
    signs = [(letter, size) for letter in "us" for size in (1, 2, 4, 8)][:-1]
    texts = [
        f"r8 = *({letter}{8 * size} *)(r2 + {at})"
        for letter, size in signs
        for at in range(0, 17 - size, 3)
    ]
    rows = []
    for a, b in pairs(6, 20):
        data = struct.pack("=QQ", a, b)
        results = [
            int.from_bytes(data[at : at + size], "little", signed=letter == "s") & WORD
            for letter, size in signs
            for at in range(0, 17 - size, 3)
        ]
        rows.append((a, b, results))
    return results_case("loads", texts, rows)


def stores() -> Case:
    body = "r6 = *(u64 *)(r2 + 0)\n"
    for at, size in enumerate((8, 4, 2, 1)):
        register = "r6" if size == 8 else "w6"
        body += f"*(u{8 * size} *)(r2 + {16 + 8 * at}) = {register}\n"
        body += f"*(u{8 * size} *)(r2 + {49 + 9 * at}) = {-2 - at}\n"
        body += f"*(u{8 * size} *)(r10 - {8 + 8 * at}) = {register}\n"
        body += f"r7 = *(u{8 * size} *)(r10 - {8 + 8 * at})\n*(u64 *)(r2 + {88 + 8 * at}) = r7\n"
    packets = tuple(words(a, size=120) for a in CORNERS)
    return Case("stores", (on_packet(120, body),), packets)


ATOMICS = ["+=", "|=", "&=", "^="]
FETCHING = ["add", "or", "and", "xor"]


def atomics(place: str) -> Case:
    """On the stack or in a map's value; r6 is where, results go into the packet."""
    lines = []
    out = 16

    def put(register: str) -> None:
        nonlocal out
        lines.append(f"*(u64 *)(r9 + {out}) = {register}")
        out += 8

    for bits in (64, 32):
        letter = "r" if bits == 64 else "w"
        value = f"{letter}8"
        for index, symbol in enumerate(ATOMICS):
            lines.append("*(u64 *)(r6 + 0) = r7")
            lines.append(f"lock *(u{bits} *)(r6 + 0) {symbol} {value}")
            lines.append("r3 = *(u64 *)(r6 + 0)")
            put("r3")
            lines.append("*(u64 *)(r6 + 0) = r7\nr3 = r8")
            name = f"atomic_fetch_{FETCHING[index]}"
            lines.append(f"{letter}3 = {name}((u{bits} *)(r6 + 0), {letter}3)")
            put("r3")
            lines.append("r3 = *(u64 *)(r6 + 0)")
            put("r3")
        suffix = "64" if bits == 64 else "32_32"
        function = "xchg_64" if bits == 64 else "xchg32_32"
        lines.append(f"*(u64 *)(r6 + 0) = r7\nr3 = r8\n{letter}3 = {function}(r6 + 0, {letter}3)")
        put("r3")
        lines.append("r3 = *(u64 *)(r6 + 0)")
        put("r3")
        for expected in ("r7", "r8"):  # what is there, and what mostly is not
            lines.append(f"*(u64 *)(r6 + 0) = r7\nr0 = {expected}\nr3 = r8")
            name = "cmpxchg_64" if bits == 64 else f"cmpxchg{suffix}"
            lines.append(f"{letter}0 = {name}(r6 + 0, {letter}0, {letter}3)")
            put("r0")
            lines.append("r3 = *(u64 *)(r6 + 0)")
            put("r3")
    for size in (1, 2, 4, 8):
        register = "r3" if size == 8 else "w3"
        lines.append("*(u64 *)(r6 + 0) = r7\nr3 = r8")
        lines.append(f"store_release((u{8 * size} *)(r6 + 0), {register})")
        lines.append("r3 = *(u64 *)(r6 + 0)")
        put("r3")
        lines.append(f"{register} = load_acquire((u{8 * size} *)(r6 + 0))")
        put("r3")
    start = "r7 = *(u64 *)(r2 + 0)\nr8 = *(u64 *)(r2 + 8)\nr9 = r2\n"
    maps = []
    if place == "stack":
        start += "r6 = r10\nr6 += -8\n"
        text = on_packet(out, start + "\n".join(lines))
    else:
        maps = [map_spec("counts", place, value=16)]
        lookup = """
        r9 = r1
        *(u32 *)(r10 - 4) = 1
        *(u64 *)(r10 - 24) = 0
        *(u64 *)(r10 - 32) = 0
        r2 = r10
        r2 += -4
        r3 = r10
        r3 += -32
        r4 = 0
        r1 = map[counts]
        call bpf_map_update_elem
        r2 = r10
        r2 += -4
        r1 = map[counts]
        call bpf_map_lookup_elem
        if r0 == 0 goto short
        r6 = r0
        r6 += 8
        r1 = r9
        """
        text = lookup + on_packet(out, start + "\n".join(lines))
    packets = tuple(words(a, b, size=out) for a, b in pairs(7, 20))
    return Case(f"atomics-{place}", (text,), packets, tuple(maps))


def wide_immediates() -> Case:
    texts = [f"r8 = {value:#x} ll\nr8 ^= r6" for value in CORNERS]
    rows = [(a, 0, [a ^ value for value in CORNERS]) for a in CORNERS]
    return results_case("wide-immediates", texts, rows)


def long_jumps() -> Case:
    text = (
        "r5 = 1\ngoto far\nback: r5 += 3\ngotol over\nfar: gotol back\nover: *(u64 *)(r2 + 0) = r5"
    )
    return Case("long-jumps", (on_packet(16, text),), expected=((2, words(4, size=64)),))


CASES = [
    with_registers(True), with_registers(False), with_immediates(True, 0), with_immediates(True, 1),
    with_immediates(False, 0), with_immediates(False, 1), extensions(), unary(), jumps(True, True),
    jumps(True, False), jumps(False, True), jumps(False, False), loads(), stores(),
    atomics("stack"), atomics("array"), atomics("hash"), wide_immediates(), long_jumps(),
]  # fmt: skip


def random_sequences(seed: int, count: int) -> list[Case]:
    """Operations in a row on four registers: what optimisers put together must stay what it was."""
    cases = []
    for number in range(count):
        chance = random.Random(f"{seed} {number}")
        lines = ["r6 = *(u64 *)(r2 + 0)\nr7 = *(u64 *)(r2 + 8)\nr8 = r6\nr9 = r7"]
        for label in range(60):
            wide = chance.random() < 0.6
            letter = "r" if wide else "w"
            symbol = chance.choice(OPERATIONS)[0]
            target, source = chance.choices("6789", k=2)
            if chance.random() < 0.4:
                value = chance.choice(IMMEDIATES)
                if is_legal(symbol, value, wide):
                    lines.append(f"{letter}{target} {symbol} {value}")
            elif chance.random() < 0.2:
                compare = chance.choice(COMPARISONS)[0]
                lines.append(f"if {letter}{target} {compare} {letter}{source} goto over{label}")
                lines.append(f"r{source} += {label}\nover{label}:")
            else:
                lines.append(f"{letter}{target} {symbol} {letter}{source}")
        lines += [f"*(u64 *)(r2 + {16 + 8 * at}) = r{register}"
                  for at, register in enumerate((6, 7, 8, 9))]  # fmt: skip
        packets = tuple(words(a, b, size=48) for a, b in pairs(seed + number, 10))
        cases.append(Case(f"sequence-{number}", (on_packet(48, "\n".join(lines)),), packets))
    return cases


@every_engine(CASES)
def test_instructions(case: Case, engine: str) -> None:
    check(case, engine)


@every_engine(random_sequences(1, 12))
def test_instructions_in_a_row(case: Case, engine: str) -> None:
    check(case, engine)
