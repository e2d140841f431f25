"""What specs do by themselves: lay programs out, find programs, hold values."""

from __future__ import annotations

import pytest

from anybpf.errors import LinkError, NotFound
from anybpf.isa import Instruction, decode, encode
from anybpf.objects import CollectionSpec, ProgramSpec
from anybpf.objects.specs import Function

EXIT = Instruction(0x95)


def calling(name: str, *called: str, load: bool = False) -> Function:
    """A function that calls others, or loads their addresses, and exits."""
    code = []
    for other in called:
        insn = Instruction(0x18, dst=2, src=4) if load else Instruction(0x85, src=1, imm=-1)
        insn.reference = other
        code.append(insn)
    return Function(name, ".text", 0, [*code, EXIT.copy()])


def test_calls_lead_to_where_functions_are_laid_out() -> None:
    program = ProgramSpec(calling("main", "helper"), "xdp")
    program.subprograms = [calling("helper", "leaf"), calling("leaf")]
    code = program.instructions
    assert [insn.symbol for insn in code] == ["main", "", "helper", "", "leaf"]
    assert (code[0].imm, code[2].imm) == (1, 1)


def test_the_address_of_a_function_that_lies_before_is_legal_code() -> None:
    """Its distance is negative, and the load's upper half must be zero all the same."""
    program = ProgramSpec(calling("main", "user"), "xdp")
    program.subprograms = [calling("user", "main", load=True)]
    again = decode(encode(program.instructions))
    assert again == program.instructions
    assert again[2].low == (0 - 3) & 0xFFFFFFFF


def test_laying_out_changes_nothing_in_the_spec() -> None:
    program = ProgramSpec(calling("main", "helper"), "xdp")
    program.subprograms = [calling("helper")]
    program.instructions[0].imm = 99
    assert program.function.instructions[0].imm == -1
    assert program.instructions[0].imm == 1


def test_a_call_of_a_function_that_is_not_there() -> None:
    program = ProgramSpec(calling("main", "nowhere"), "xdp")
    with pytest.raises(LinkError, match="nowhere"):
        _ = program.instructions


def test_a_program_by_name_or_section_or_a_list_of_what_there_is() -> None:
    spec = CollectionSpec("x", "x.o", "linux")
    for name, section in (("a", "xdp"), ("b", "tc"), ("c", "tc")):
        spec.programs[name] = ProgramSpec(calling(name), section)
    assert spec.program("a").name == "a"
    assert spec.program(section="xdp").name == "a"
    assert spec.program("c", "tc").name == "c"
    with pytest.raises(NotFound, match=r"several programs with section tc.*a \(xdp\)"):
        spec.program(section="tc")
    with pytest.raises(NotFound, match="no program with name d"):
        spec.program("d")
