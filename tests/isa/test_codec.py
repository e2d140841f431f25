"""Bytes to instructions and back: what is legal, what is refused, and where."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from struct import Struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anybpf.errors import DecodeError, EncodeError
from anybpf.isa import Instruction, decode, encode, problem
from anybpf.isa import opcodes as op
from tests.isa.conformance import negative_cases

WORD = Struct("<BBhi")

BINARY = (op.ADD, op.SUB, op.MUL, op.OR, op.AND, op.LSH, op.RSH, op.XOR, op.ARSH)
COMPARE = (
    op.JEQ, op.JGT, op.JGE, op.JSET, op.JNE, op.JSGT, op.JSGE, op.JLT, op.JLE, op.JSLT, op.JSLE,
)  # fmt: skip
SIZES = (op.B, op.H, op.W, op.DW)

# What each opcode may have in its fields: (opcode, dst, src, offset, imm), None for anything.
# Written from RFC 9669 by hand, apart from the table that the codec uses.
Rule = tuple[int, int | None, int | None, tuple[int, ...] | None, tuple[int, ...] | None]


def rules() -> Iterator[Rule]:
    for cls in (op.ALU, op.ALU64):
        for operation in BINARY:
            yield cls | operation | op.K, None, 0, (0,), None
            yield cls | operation | op.X, None, None, (0,), (0,)
        for operation in (op.DIV, op.MOD):
            yield cls | operation | op.K, None, 0, (0, 1), None
            yield cls | operation | op.X, None, None, (0, 1), (0,)
        yield cls | op.NEG, None, 0, (0,), (0,)
        yield cls | op.MOV | op.K, None, 0, (0,), None
    yield op.ALU | op.MOV | op.X, None, None, (0, 8, 16), (0,)
    yield op.ALU64 | op.MOV | op.X, None, None, (0, 8, 16, 32), (0,)
    yield op.ALU64 | op.MOV | op.X, None, None, (1,), (1, 1 << 16)
    for opcode in (op.LE, op.BE, op.BSWAP):
        yield opcode, None, 0, (0,), (16, 32, 64)
    for cls in (op.JMP, op.JMP32):
        for operation in COMPARE:
            yield cls | operation | op.K, None, 0, None, None
            yield cls | operation | op.X, None, None, None, (0,)
    yield op.GOTO, 0, 0, None, (0,)
    yield op.MAY_GOTO, 0, 0, None, (0,)
    yield op.GOTO_LONG, 0, 0, (0,), None
    yield op.EXIT_INSN, 0, 0, (0,), (0,)
    yield op.CALL_REG, None, 0, (0,), (0,)
    yield op.CALL_IMM, 0, 0, (0,), None
    yield op.CALL_IMM, 0, 1, (0,), None
    yield op.CALL_IMM, 0, 2, None, None
    for size in SIZES[:3]:
        yield op.LD | op.ABS | size, 0, 0, (0,), None
        yield op.LD | op.IND | size, 0, None, (0,), None
        yield op.LDX | op.MEMSX | size, None, None, None, (0,)
    for size in SIZES:
        yield op.LDX | op.MEM | size, None, None, None, (0,)
        yield op.ST | op.MEM | size, None, 0, None, None
        yield op.STX | op.MEM | size, None, None, None, (0,)
        yield op.STX | op.ATOMIC | size, None, None, None, (0x100, 0x110)
    arithmetic = tuple(code | fetch for code in (0, 0x40, 0x50, 0xA0) for fetch in (0, 1))
    for size in (op.W, op.DW):
        yield op.STX | op.ATOMIC | size, None, None, None, (*arithmetic, 0xE1, 0xF1)


RULES = tuple(rules())
REGISTERS = (0, 1, 10, 11, 15)
OFFSETS = (0, 1, 2, 8, 16, 32, 64, -1, 0x7FFF, -0x8000)
IMMEDIATES = (0, 1, 2, 16, 17, 32, 64, 0x40, 0x41, 0x51, 0xA1, 0xE0, 0xE1, 0xF0, 0xF1, 0x100,
              0x110, 0x10000, -1, 0x7FFFFFFF, -0x80000000)  # fmt: skip


def allowed(opcode: int, dst: int, src: int, offset: int, imm: int) -> bool:
    if dst > 10 or src > 10:
        return False
    return any(
        opcode == rule[0]
        and rule[1] in (None, dst)
        and rule[2] in (None, src)
        and (rule[3] is None or offset in rule[3])
        and (rule[4] is None or imm in rule[4])
        for rule in BY_OPCODE.get(opcode, ())
    )


BY_OPCODE: dict[int, list[Rule]] = {}
for each in RULES:
    BY_OPCODE.setdefault(each[0], []).append(each)


@pytest.mark.parametrize("opcode", [code for code in range(256) if code != op.LD_IMM64])
def test_every_combination_of_fields_is_legal_exactly_where_the_standard_says(opcode: int) -> None:
    for dst in REGISTERS:
        for src in (0, 1, 2, 3, 10, 11):
            for offset in OFFSETS:
                for imm in IMMEDIATES:
                    reason = problem(Instruction(opcode, dst, src, offset, imm))
                    assert (not reason) == allowed(opcode, dst, src, offset, imm), (
                        f"{opcode:#x} {dst} {src} {offset} {imm:#x}: {reason}"
                    )


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule[0]:#04x}")
def test_legal_instructions_survive_encoding(rule: Rule, big_endian: bool) -> None:
    opcode, dst, src, offsets, imms = rule
    insn = Instruction(
        opcode,
        3 if dst is None else dst,
        7 if src is None else src,
        -5 if offsets is None else offsets[-1],
        -123456 if imms is None else imms[-1],
    )
    data = encode([insn], big_endian)
    assert len(data) == 8
    assert decode(data, big_endian) == [insn]


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("src", range(7))
def test_wide_loads_carry_64_bits(src: int, big_endian: bool) -> None:
    imm = 5 if src in (1, 4, 5) else -0x1122334455667788
    insn = Instruction(op.LD_IMM64, dst=4, src=src, imm=imm)
    data = encode([insn], big_endian)
    assert len(data) == 16
    assert insn.slots == 2
    assert decode(data, big_endian) == [insn]


def test_halves_of_a_wide_load_are_unsigned() -> None:
    insn = Instruction(op.LD_IMM64, imm=-2)
    assert (insn.low, insn.high) == (0xFFFFFFFE, 0xFFFFFFFF)


@pytest.mark.parametrize(
    ("bytes_", "slot", "words"),
    [
        ("18000000 00000000", 0, "lacks its second half"),
        ("b7000000 00000000 18000000 00000000 01000000 00000000", 2, "second half"),
        ("18000000 00000000 00000100 00000000", 1, "second half"),
        ("18700000 00000000 00000000 00000000", 0, "source must be 0 to 6"),
        ("18000100 00000000 00000000 00000000", 0, "offset 0"),
        ("18100000 00000000 00000000 01000000", 0, "upper immediate 0"),
        ("b70b0000 00000000", 0, "r11 does not exist"),
        ("95000000 00000000 ff000000 00000000", 1, "opcode 0xff is not defined"),
        ("95000000 00", 0, "units of 8"),
        ("85300000 01000000", 0, "0 (helper), 1 (local) or 2 (BTF)"),
        ("d3210000 00010000 d3210000 00000000", 1, "4 and 8 bytes only"),
        ("db210000 e0000000", 0, "atomic operation 0xe0 is not defined"),
        ("dc010000 08000000", 0, "16, 32 or 64"),
        ("bf210100 02000000", 0, "address-space cast"),
    ],
)
def test_refusals_name_the_slot(bytes_: str, slot: int, words: str) -> None:
    with pytest.raises(DecodeError, match=words.replace("(", r"\(").replace(")", r"\)")) as caught:
        decode(bytes.fromhex(bytes_))
    assert caught.value.slot == slot


def test_reserved_fields_of_the_conformance_suite_are_refused(shared: Path) -> None:
    cases = [case for case in negative_cases(shared) if case.name.startswith("unused-")]
    assert len(cases) == 45
    for case in cases:
        with pytest.raises(DecodeError) as caught:
            decode(case.raw)
        assert caught.value.slot == 0, case.name


def test_damaged_code_can_be_looked_at() -> None:
    data = bytes.fromhex("ff2f0500 01000000 18000000 00000000")
    insns = decode(data, check=False)
    assert [(i.opcode, i.dst, i.src) for i in insns] == [(0xFF, 15, 2), (0x18, 0, 0)]


@pytest.mark.parametrize(
    "insn",
    [
        Instruction(op.MOV64_IMM, dst=16),
        Instruction(op.MOV64_IMM, imm=1 << 31),
        Instruction(op.MOV64_IMM, imm=-(1 << 31) - 1),
    ],
)
def test_fields_that_do_not_fit_are_refused(insn: Instruction) -> None:
    with pytest.raises(EncodeError, match="slot 0"):
        encode([insn])


def test_byte_orders_swap_fields_and_registers() -> None:
    insn = Instruction(op.STX | op.MEM | op.W, dst=10, src=6, offset=-4)
    assert encode([insn]).hex(" ") == "63 6a fc ff 00 00 00 00"
    assert encode([insn], big_endian=True).hex(" ") == "63 a6 ff fc 00 00 00 00"


@given(st.binary(max_size=160), st.booleans())
def test_any_bytes_decode_or_are_refused(data: bytes, big_endian: bool) -> None:
    try:
        instructions = decode(data, big_endian)
    except DecodeError as error:
        slot = error.slot
    else:
        slot = 0
        assert encode(instructions, big_endian) == data
    assert 0 <= slot <= len(data) // 8


@given(st.lists(st.tuples(st.sampled_from(RULES), st.integers(0, 10), st.integers(-32768, 32767))))
def test_legal_code_is_the_same_after_a_round_trip(parts: list[tuple[Rule, int, int]]) -> None:
    code = []
    for (opcode, dst, src, offsets, imms), register, number in parts:
        code.append(
            Instruction(
                opcode,
                register if dst is None else dst,
                register if src is None else src,
                number if offsets is None else offsets[number % len(offsets)],
                number if imms is None else imms[number % len(imms)],
            )
        )
    data = encode(code)
    assert decode(data) == code
    assert encode(decode(data)) == data


@given(st.binary(max_size=80).filter(lambda data: len(data) % 8 == 0))
def test_unchecked_decoding_loses_nothing_of_whole_slots(data: bytes) -> None:
    instructions = decode(data, check=False)
    half = bool(instructions) and instructions[-1].opcode == op.LD_IMM64
    assert len(data) // 8 <= sum(insn.slots for insn in instructions)
    assert half or sum(insn.slots for insn in instructions) >= len(data) // 8
