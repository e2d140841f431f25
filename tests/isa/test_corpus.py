"""Text and bytes are each other's image on all programs of the corpus."""

from __future__ import annotations

from pathlib import Path

import pytest

from anybpf.errors import DecodeError
from anybpf.isa import Instruction, decode, encode
from anybpf.isa import opcodes as op
from anybpf.isa.assembler import assemble
from anybpf.isa.listing import anybpf, bpftool, llvm
from tests.isa import corpus

# Larger sections are all alike (unrolled code of one project); these suffice and take seconds.
LARGEST = 16_000
BROKEN = {"invalid-lddw.o .text"}

Code = tuple[str, bytes, bool, list[Instruction]]


@pytest.fixture(scope="module")
def code(shared: Path) -> list[Code]:
    found: list[Code] = []
    for name, data, big_endian in corpus.sections(shared):
        if len(data) > LARGEST:
            continue
        try:
            found.append((name, data, big_endian, decode(data, big_endian)))
        except DecodeError:
            assert name in BROKEN
    assert len(found) > 200
    return found


def test_bytes(code: list[Code]) -> None:
    for name, data, big_endian, insns in code:
        assert encode(insns, big_endian) == data, name


def test_our_own_listing(code: list[Code]) -> None:
    for name, data, big_endian, insns in code:
        listed = "\n".join(anybpf.lines(insns))
        again = assemble(listed)
        assert encode(again, big_endian) == data, name
        assert encode(assemble("\n".join(anybpf.lines(again))), big_endian) == data, name


def test_llvm_listing(code: list[Code]) -> None:
    for name, data, big_endian, insns in code:
        listed = llvm.section_lines(name, data, big_endian=big_endian)
        again = assemble("\n".join(listed))
        assert again == [_as_llvm_says(insn) for insn in insns], name


def _as_llvm_says(insn: Instruction) -> Instruction:
    """LLVM does not show whether a call is of a helper or of a function."""
    if insn.opcode != op.CALL_IMM:
        return insn
    return Instruction(op.CALL_IMM, imm=insn.imm)


def test_bpftool_listing(code: list[Code]) -> None:
    for name, data, big_endian, insns in code:
        again = assemble("\n".join(bpftool.lines(insns)))
        assert encode(again, big_endian) == data, name
