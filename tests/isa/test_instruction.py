"""An instruction: its fields, its annotations, its copies, what kind it is."""

from __future__ import annotations

import pytest

from anybpf.isa import BTFFunction, CoreRelocation, Instruction, SourceLine
from anybpf.isa import opcodes as op


def annotated() -> Instruction:
    insn = Instruction(op.CALL_IMM, src=op.CALL_LOCAL, imm=3)
    insn.symbol = "entry"
    insn.reference = "helper"
    insn.map_name = "hits"
    insn.line = SourceLine("a.c", 3, 7, "return f();")
    insn.function = BTFFunction("entry", 12)
    insn.core = CoreRelocation(4, "0:1", 0)
    return insn


def test_without_annotations_there_are_empty_ones() -> None:
    insn = Instruction(op.EXIT_INSN)
    assert (insn.symbol, insn.reference, insn.map_name) == ("", "", "")
    assert (insn.line, insn.function, insn.core, insn.meta) == (None, None, None, None)


def test_a_copy_is_equal_and_its_own() -> None:
    insn = annotated()
    copy = insn.copy()
    assert copy == insn
    assert copy is not insn
    assert copy.line == insn.line
    assert copy.core == CoreRelocation(4, "0:1", 0)
    assert copy.function == BTFFunction("entry", 12)
    copy.symbol = "other"
    copy.dst = 5
    assert (insn.symbol, insn.dst) == ("entry", 0)


def test_equality_is_of_the_encoding_alone() -> None:
    assert annotated() == Instruction(op.CALL_IMM, src=op.CALL_LOCAL, imm=3)
    assert hash(annotated()) == hash(Instruction(op.CALL_IMM, src=op.CALL_LOCAL, imm=3))
    different = [
        Instruction(op.MOV64_IMM),
        Instruction(op.MOV64_IMM, dst=1),
        Instruction(op.MOV64_IMM, src=1),
        Instruction(op.MOV64_IMM, offset=1),
        Instruction(op.MOV64_IMM, imm=1),
    ]
    assert len(set(different)) == len(different)
    assert different[0] != "an instruction"


def test_annotations_compare_by_value() -> None:
    assert SourceLine("a.c", 1, 2, "x") == SourceLine("a.c", 1, 2, "x")
    assert SourceLine("a.c", 1, 2, "x") != SourceLine("b.c", 1, 2, "x")
    assert CoreRelocation(1, "0", 0) != CoreRelocation(1, "0", 1)
    assert BTFFunction("f", 1) != BTFFunction("g", 1)
    assert len({SourceLine("a.c", 1, 2, "x"), SourceLine("a.c", 1, 2, "x")}) == 1


def test_repr_shows_the_fields() -> None:
    assert repr(Instruction(0x61, 1, 10, -8)) == (
        "Instruction(0x61, dst=1, src=10, offset=-8, imm=0)"
    )


@pytest.mark.parametrize(
    ("insn", "kinds"),
    [
        (Instruction(op.GOTO, offset=4), {"is_jump"}),
        (Instruction(op.GOTO_LONG, imm=4), {"is_jump"}),
        (Instruction(op.MAY_GOTO, offset=4), {"is_jump"}),
        (Instruction(op.JMP32 | op.JEQ, offset=4), {"is_jump"}),
        (Instruction(op.EXIT_INSN), set()),
        (Instruction(op.CALL_REG, dst=2), set()),
        (Instruction(op.CALL_IMM, imm=1), {"is_helper_call"}),
        (Instruction(op.CALL_IMM, src=1, imm=1), {"is_local_call"}),
        (Instruction(op.CALL_IMM, src=2, imm=1), {"is_btf_call"}),
        (Instruction(op.LD_IMM64), set()),
        (Instruction(op.LD_IMM64, src=op.PSEUDO_MAP_FD), {"is_map_load"}),
        (Instruction(op.LD_IMM64, src=op.PSEUDO_MAP_VALUE), {"is_map_load"}),
        (Instruction(op.LD_IMM64, src=op.PSEUDO_VARIABLE), set()),
        (Instruction(op.LD_IMM64, src=op.PSEUDO_FUNCTION), {"is_function_load"}),
        (Instruction(op.LD_IMM64, src=op.PSEUDO_MAP_INDEX_VALUE), {"is_map_load"}),
    ],
)
def test_kinds(insn: Instruction, kinds: set[str]) -> None:
    found = {
        "is_jump": insn.is_jump,
        "is_helper_call": insn.is_helper_call,
        "is_local_call": insn.is_local_call,
        "is_btf_call": insn.is_btf_call,
        "is_map_load": insn.is_map_load,
        "is_function_load": insn.is_function_load,
    }
    assert {name for name, holds in found.items() if holds} == kinds
    if insn.is_jump:
        assert insn.jump_distance == 4
