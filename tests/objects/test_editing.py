"""Changing a collection between reading and loading."""

from __future__ import annotations

import pytest

from anybpf import load_spec
from anybpf.errors import InputError, NotFound
from anybpf.isa import Instruction
from anybpf.objects import CollectionSpec, MapSpec, ProgramSpec, VariableSpec
from anybpf.objects.specs import Function
from tests.objects.conftest import Build
from tests.objects.sources import PRELUDE

SETTINGS = (
    PRELUDE
    + """
struct xdp_md { __u32 data; __u32 data_end; };
enum mode { QUIET, LOUD = 5 };
struct range { __u16 low; __u16 high; };
const volatile __u32 limit = 42;
const volatile enum mode mode = QUIET;
volatile struct range ports = { 1, 2 };
volatile char name[8] = "eth0";
volatile short shift = -3;
volatile __u16 table[3];
SEC("xdp") int counts(struct xdp_md *ctx)
{ return limit + mode + ports.low + name[0] + shift + table[0]; }
"""
)


@pytest.mark.parametrize(
    ("name", "before", "after", "data"),
    [
        ("limit", 42, 7, b"\7\0\0\0"),
        ("mode", 0, 5, b"\5\0\0\0"),
        ("ports", {"low": 1, "high": 2}, {"low": 53, "high": 80}, b"\x35\0\x50\0"),
        ("name", "eth0", "lo", b"lo\0\0\0\0\0\0"),
        ("shift", -3, -4, b"\xfc\xff"),
        ("table", [0, 0, 0], [1, 2, 3], b"\1\0\2\0\3\0"),
    ],
)
def test_variables_are_set_by_their_types(
    build: Build, name: str, before: object, after: object, data: bytes
) -> None:
    spec = load_spec(build(SETTINGS))
    assert spec.get(name) == before
    spec.set(name, after)
    assert spec.get(name) == after
    assert spec.variable(name).value == data
    spec.set(name, bytes(len(data)))
    assert spec.variable(name).value == bytes(len(data))


def test_an_enumeration_is_set_by_name(build: Build) -> None:
    spec = load_spec(build(SETTINGS))
    spec.set("mode", "LOUD")
    assert spec.get("mode") == 5


def test_a_big_endian_object_gets_big_endian_values(build: Build) -> None:
    spec = load_spec(build(SETTINGS, big_endian=True))
    spec.set("limit", 7)
    assert spec.variable("limit").value == b"\0\0\0\7"


def test_a_copy_is_set_apart(build: Build) -> None:
    spec = load_spec(build(SETTINGS))
    other = spec.copy()
    other.set("limit", 1)
    assert (spec.get("limit"), other.get("limit")) == (42, 1)


def test_what_a_variable_cannot_be(build: Build) -> None:
    spec = load_spec(build(SETTINGS))
    with pytest.raises(InputError, match="variable limit cannot be 'many'"):
        spec.set("limit", "many")
    with pytest.raises(InputError, match="variable limit cannot be 4294967296"):
        spec.set("limit", 1 << 32)
    with pytest.raises(InputError, match="limit has 4 bytes, not 2"):
        spec.set("limit", b"ab")
    with pytest.raises(InputError, match="no field"):
        spec.set("ports", {"middle": 1})
    with pytest.raises(NotFound, match=r"no variable is named 'limt' \(did you mean limit"):
        spec.set("limt", 1)
    assert spec.get("limit") == 42


def test_a_variable_without_a_type_takes_numbers_and_bytes() -> None:
    spec = CollectionSpec("x", "x.o", "linux")
    home = MapSpec("x.data", "array")
    home.kind, home.value_size = "data", 4
    spec.maps[".data"] = home
    spec.variables["two"] = VariableSpec("two", ".data", 2, 2, home)
    spec.set("two", -2)
    assert spec.get("two") == b"\xfe\xff"
    with pytest.raises(InputError, match="has no type in the object"):
        spec.set("two", "text")
    with pytest.raises(InputError, match="2 bytes, 65536 does not fit"):
        spec.set("two", 65536)


def parts() -> CollectionSpec:
    """Programs a and b, each with a map and a function of its own, and a table of both."""
    spec = CollectionSpec("x", "x.o", "linux")
    for name in ("a_map", "b_map", "inner", "table"):
        spec.maps[name] = MapSpec(name, "hash")
    spec.maps["a_map"].contents = [(b"\0\0\0\0", "inner")]
    spec.maps["table"].type = "prog_array"
    spec.maps["table"].contents = [(b"\0\0\0\0", "a"), (b"\1\0\0\0", "b")]
    for name in ("a", "b"):
        load = Instruction(0x18, dst=1, src=1)
        load.map_name = f"{name}_map"
        call = Instruction(0x85, src=1, imm=-1)
        call.reference = f"{name}_help"
        entry = Function(name, "xdp", 0, [load, call, Instruction(0x95)])
        entry.calls = (f"{name}_help",)
        spec.functions[name] = entry
        spec.functions[f"{name}_help"] = Function(f"{name}_help", ".text", 0, [Instruction(0x95)])
        spec.programs[name] = ProgramSpec(entry, "xdp", spec.functions)
        spec.variables[f"{name}_value"] = VariableSpec(
            f"{name}_value", ".data", 0, 4, spec.maps[f"{name}_map"]
        )
    return spec


def test_a_subset_has_what_its_programs_need_and_nothing_else() -> None:
    whole = parts()
    part = whole.subset(["a"])
    assert list(part.programs) == ["a"]
    assert sorted(part.maps) == ["a_map", "inner"]
    assert sorted(part.functions) == ["a", "a_help"]
    assert list(part.variables) == ["a_value"]
    assert part.variables["a_value"].map is part.maps["a_map"]
    assert [insn.symbol for insn in part.programs["a"].instructions] == ["a", "", "", "a_help"]
    assert len(whole.programs) == 2  # which is as it was
    assert sorted(whole.maps) == ["a_map", "b_map", "inner", "table"]


def test_a_table_of_programs_forgets_those_that_are_left_out() -> None:
    part = parts().subset("a", maps=["table"])
    assert part.maps["table"].contents == [(b"\0\0\0\0", "a")]


def test_a_subset_of_what_is_not_there() -> None:
    with pytest.raises(NotFound, match=r"no program is named 'c'; there are: a, b"):
        parts().subset(["c"])
    with pytest.raises(NotFound, match=r"no map is named 'tabel' \(did you mean table"):
        parts().subset(["a"], maps=["tabel"])


def test_a_copied_program_is_changed_apart() -> None:
    program = parts().programs["a"]
    program.type, program.attach_type, program.flags = "xdp", "xdp", ("frags",)
    twin = program.copy()
    twin.function.instructions[0].imm = 9
    twin.type = "tc"
    assert program.function.instructions[0].imm == 0
    assert (program.type, twin.attach_type, twin.flags) == ("xdp", "xdp", ("frags",))
    assert [one.name for one in twin.functions] == ["a", "a_help"]
