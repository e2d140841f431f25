"""The conformance suite's dialect, on its own files and on small cases."""

from __future__ import annotations

from pathlib import Path

import pytest

from anybpf.errors import AssemblerError
from anybpf.isa import decode, encode
from anybpf.isa.assembler import assemble
from anybpf.isa.listing import anybpf as listing
from tests.isa.conformance import cases, negative_cases

# Negative cases that are wrong only when they run, or hold nothing to assemble.
RUN_TIME = {"error", "incorrect_return_value_high_bits", "invalid_unknown_directive"}
EMPTY = {"empty", "empty_instructions"}


def code(text: str) -> str:
    return encode(assemble(text, "mnemonic")).hex(" ", 8)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ldxw %r0, [%r1+4]", "6110040000000000"),
        ("ldxsb %r0, [%r1-0x8]", "9110f8ff00000000"),
        ("stb [%r10-1], 0xff", "720affffff000000"),
        ("stxdw [%r1], %r2", "7b21000000000000"),
        ("mov32 %r0, 0xffffffff", "b4000000ffffffff"),
        ("sdiv %r1, %r2", "3f21010000000000"),
        ("smod32 %r1, -3", "94010100fdffffff"),
        ("movsx1632 %r4, %r3", "bc34100000000000"),
        ("movsx3264 %r4, %r3", "bf34200000000000"),
        ("neg32 %r1", "8401000000000000"),
        ("swap16 %r1", "d701000010000000"),
        ("bswap64 %r1", "d701000040000000"),
        ("le32 %r1", "d401000020000000"),
        ("lddw %r1, 0x8000000000000000", "1801000000000000 0000000000000080"),
        ("jsgt32 %r1, -1, +2", "66010200ffffffff"),
        ("ja -1", "0500ffff00000000"),
        ("ja32 +70000", "0600000070110100"),
        ("call 5", "8500000005000000"),
        ("call helper 5", "8500000005000000"),
        ("call runtime 5", "8520000005000000"),
        ("call %r2", "8d02000000000000"),
        ("lock fetch add32 [%r10-8], %r1", "c31af8ff01000000"),
        ("lock xchg [%r10-8], %r1", "db1af8ffe1000000"),
        ("lock cmpxchg [%r10-8], %r1", "db1af8fff1000000"),
        ("# nothing but words", ""),
    ],
)
def test_statements(text: str, expected: str) -> None:
    assert code(text) == expected


def test_the_first_exit_is_a_label() -> None:
    insns = assemble("jeq %r1, 0, exit\nmov %r0, 1\nexit\nexit", "mnemonic")
    assert insns[0].offset == 1


def test_a_label_called_exit_goes_first() -> None:
    insns = assemble("jeq %r1, 0, exit\nexit\nexit:\nmov %r0, 1\nexit", "mnemonic")
    assert insns[0].offset == 1


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("exit\nldxq %r0, %r1", 2, 1, "did you mean ldx"),
        ("or %r0, %r50", 1, 9, "%r0 to %r15"),
        ("lddw %r0", 1, 6, "lddw %rD, NUMBER"),
        ("ldxb %r0, [%r1+0x10000]", 1, 11, "16 bits"),
        ("ldxb %r0, [%r1+x]", 1, 11, "expected an offset"),
        ("mov32 %r0, 2147483648", 1, 12, "32-bit immediate"),
        ("add64 %r0, 1", 1, 1, "no mnemonic add64"),
        ("ja NOT_A_LABEL", 1, 4, "no label NOT_A_LABEL"),
        ("call local f", 1, 12, "no label f"),
        ("a:\na:", 2, 1, "second time"),
        ("lock nand [%r1], %r2", 1, 6, "did you mean and"),
        ("ja +40000", 1, 4, "a distance"),
    ],
)
def test_mistakes(text: str, line: int, column: int, words: str) -> None:
    with pytest.raises(AssemblerError) as caught:
        assemble(text, "mnemonic")
    assert (caught.value.line, caught.value.column) == (line, column), str(caught.value)
    assert words in str(caught.value)


def test_every_conformance_case_assembles_to_legal_code(shared: Path) -> None:
    count = 0
    for case in cases(shared):
        data = encode(assemble(case.asm, "mnemonic", case.name)) if case.asm else case.raw
        assert data, case.name
        listed = "\n".join(listing.lines(decode(data)))
        assert encode(assemble(listed)) == data, case.name
        count += 1
    assert count == 313


def test_negative_cases_are_refused(shared: Path) -> None:
    count = 0
    for case in negative_cases(shared):
        if case.raw or case.name in RUN_TIME:
            continue
        if case.name in EMPTY:
            assert assemble(case.asm, "mnemonic") == []
            continue
        with pytest.raises(AssemblerError):
            assemble(case.asm, "mnemonic", case.name)
        count += 1
    assert count == 10
