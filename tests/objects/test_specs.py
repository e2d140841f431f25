"""What specs do by themselves: lay programs out, find programs, hold values."""

from __future__ import annotations

import pytest

from anybpf.errors import LinkError, NotFound
from anybpf.isa import Instruction, decode, encode
from anybpf.objects import CollectionSpec, MapSpec, ProgramSpec
from anybpf.objects.specs import MAP_FIELDS, Function

EXIT = Instruction(0x95)


def calling(name: str, *called: str, load: bool = False) -> Function:
    """A function that calls others, or loads their addresses, and exits."""
    code = []
    for other in called:
        insn = Instruction(0x18, dst=2, src=4) if load else Instruction(0x85, src=1, imm=-1)
        insn.reference = other
        code.append(insn)
    function = Function(name, ".text", 0, [*code, EXIT.copy()])
    function.calls = called
    return function


def program(*functions: Function) -> ProgramSpec:
    """A program whose entry is the first of the functions."""
    return ProgramSpec(functions[0], "xdp", {each.name: each for each in functions})


def test_calls_lead_to_where_functions_are_laid_out() -> None:
    code = program(
        calling("main", "helper"), calling("leaf"), calling("helper", "leaf")
    ).instructions
    assert [insn.symbol for insn in code] == ["main", "", "helper", "", "leaf"]
    assert (code[0].imm, code[2].imm) == (1, 1)


def test_the_address_of_a_function_that_lies_before_is_legal_code() -> None:
    """Its distance is negative, and the load's upper half must be zero all the same."""
    code = program(calling("main", "user"), calling("user", "main", load=True)).instructions
    again = decode(encode(code))
    assert again == code
    assert again[2].low == (0 - 3) & 0xFFFFFFFF


def test_laying_out_changes_nothing_in_the_spec() -> None:
    spec = program(calling("main", "helper"), calling("helper"))
    spec.instructions[0].imm = 99
    assert spec.function.instructions[0].imm == -1
    assert spec.instructions[0].imm == 1


def test_a_call_of_a_function_that_is_not_there() -> None:
    spec = program(calling("main", "nowhere"))
    with pytest.raises(LinkError, match="nowhere"):
        _ = spec.instructions


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


def test_the_fields_of_a_map_are_all_there_and_all_copied() -> None:
    spec = MapSpec("m", "hash")
    for name in MAP_FIELDS:
        getattr(spec, name)
    # Compiled classes tell their attributes elsewhere.
    told = getattr(MapSpec, "__slots__", None) or vars(MapSpec)["__mypyc_attrs__"]
    assert set(MAP_FIELDS) == set(told) - {"__dict__"}
    spec.pin_path, spec.numa_node, spec.extra = "/a", 1, 2
    twin = spec.copy()
    assert all(getattr(twin, name) == getattr(spec, name) for name in MAP_FIELDS)
