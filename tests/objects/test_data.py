"""Global variables and the maps that hold them; externs and what a system puts in their place."""

from __future__ import annotations

import struct

import pytest

from anybpf.btf import BTF, BTFBuilder, Const, FunctionProto, Int, Param, Var
from anybpf.btf import Function as BTFFunction
from anybpf.errors import LinkError, ObjectError
from anybpf.isa import Instruction
from anybpf.isa import opcodes as op
from anybpf.objects import CollectionSpec, elf, load_spec
from anybpf.objects.data import map_name
from anybpf.objects.elf_writer import ElfWriter
from anybpf.objects.externs import MISSING_FUNCTION, parse_kconfig, resolve_externs
from tests.objects import sources
from tests.objects.conftest import Build
from tests.runtime.arenas import PRELUDE as ARENA
from tests.runtime.arenas import build_arena


def test_each_data_section_is_a_map(build: Build) -> None:
    maps = load_spec(build(sources.DATA, name="longobjectname")).maps
    found = {key: (m.name, m.type, m.kind, m.value_size, m.flags) for key, m in maps.items()}
    assert found == {
        ".rodata": ("longobje.rodata", "array", "rodata", 4, 0x480),
        ".data": ("longobje.data", "array", "data", 8, 0x400),
        ".data.custom": (".data.custom", "array", "data", 4, 0x400),
        ".rodata.words": (".rodata.words", "array", "rodata", 8, 0x480),
        ".bss": ("longobje.bss", "array", "bss", 8, 0x400),
        ".kconfig": ("longobj.kconfig", "array", "kconfig", 23, 0x80),
    }


@pytest.mark.parametrize(
    ("name", "section", "expected"),
    [
        ("test", ".rodata", "test.rodata"),
        ("longobjectname", ".rodata", "longobje.rodata"),
        ("longobjectname", ".bss", "longobje.bss"),
        ("longobjectname", ".kconfig", "longobj.kconfig"),
        ("any", ".data.my_very_long_name", ".data.my_very_l"),
        ("my-prog", ".data", "my_prog.data"),
    ],
)
def test_map_names_are_those_of_libbpf(name: str, section: str, expected: str) -> None:
    assert map_name(name, section) == expected


def test_variables_have_types_values_and_tags(build: Build) -> None:
    spec = load_spec(build(sources.DATA))
    variables = spec.variables
    assert {name: (v.section, v.value) for name, v in variables.items()} == {
        "limit": (".rodata", struct.pack("<i", 42)),
        "counter": (".data", struct.pack("<i", 5)),
        "hidden": (".data", struct.pack("<i", 9)),
        "custom": (".data.custom", struct.pack("<i", 3)),
        "word": (".rodata.words", b"hello\0\0\0"),
        "origin": (".bss", bytes(8)),
    }
    assert spec.btf is not None
    assert spec.btf.type(variables["origin"].type_id).name == "point"
    assert variables["origin"].tags == ("here",)
    assert variables["limit"].is_constant
    assert not variables["hidden"].is_global


def test_a_new_value_lands_in_the_map(build: Build) -> None:
    spec = load_spec(build(sources.DATA))
    spec.variables["hidden"].value = struct.pack("<i", -1)
    assert spec.maps[".data"].contents[0][1] == struct.pack("<ii", 5, -1)
    spec.variables["origin"].value = struct.pack("<ii", 1, 2)
    assert spec.variables["origin"].head(4) == struct.pack("<i", 1)
    with pytest.raises(ValueError, match="holds 4 bytes"):
        spec.variables["counter"].value = b"\0"


def test_loads_of_variables_bear_map_place_and_name(build: Build) -> None:
    spec = load_spec(build(sources.DATA))
    found = {
        insn.reference: (insn.map_name, insn.high)
        for insn in spec.functions["reads"].instructions
        if insn.opcode == op.LD_IMM64 and insn.src == op.PSEUDO_MAP_VALUE
    }
    assert found["counter"] == (".data", 0)
    assert found["limit"] == (".rodata", 0)
    assert found["origin"] == (".bss", 0)
    assert found["CONFIG_HZ"] == (".kconfig", spec.externs["CONFIG_HZ"].offset)


def huge_bss(size: int) -> bytes:
    writer = ElfWriter()
    bss = writer.add_section(".bss", type_number=elf.SHT_NOBITS, flags=3, size=size)
    writer.add_symbol("all", bss, 0, size, kind=elf.STT_OBJECT)
    return writer.encode()


def test_huge_empty_data_takes_no_memory() -> None:
    variable = load_spec(huge_bss(0x7FFFFFFF)).variables["all"]
    assert (variable.size, variable.head(8)) == (0x7FFFFFFF, bytes(8))


def test_data_that_fits_no_map_is_refused() -> None:
    with pytest.raises(ObjectError, match="more than a map's value can hold"):
        load_spec(huge_bss(1 << 32))


def test_variables_of_an_arena_lie_in_its_last_pages(build: Build) -> None:
    """What loads of them bear is the place among the variables: how large the arena is, is said by
    whoever loads it."""
    spec = load_spec(build_arena(build))
    arena = spec.maps["arena"]
    assert (arena.kind, arena.data_size, arena.data_offset) == ("arena", 4816, 98 * 4096)
    head = spec.variables["head"]
    assert (head.map, head.offset, head.size) == (arena, 8, 8)
    loads = [insn for insn in spec.programs["sum"].instructions if insn.reference == "head"]
    assert [(insn.map_name, insn.src, insn.high) for insn in loads] == [
        ("arena", op.PSEUDO_MAP_VALUE, 8)
    ]
    spec.variables["counter"].value = struct.pack("=i", 77)
    other = spec.copy()
    other.maps["arena"].max_entries = 1
    assert other.maps["arena"].data_offset < 0
    assert other.variables["counter"].value == struct.pack("=i", 77)


def test_variables_in_an_arena_need_one(build: Build) -> None:
    text = ARENA + "int __arena lonely = 1;\n"
    with pytest.raises(ObjectError, match="no map of type arena to hold them"):
        load_spec(build_arena(build, text))
    one = 'struct {{ __uint(type, ARENA); __uint(max_entries, 1); }} {} SEC(".maps");\n'
    assert load_spec(build_arena(build, text + one.format("a"))).variables["lonely"].offset == 0
    with pytest.raises(ObjectError, match="there are a, b"):
        load_spec(build_arena(build, text + one.format("a") + one.format("b")))


def test_a_variable_behind_the_end_is_refused() -> None:
    writer = ElfWriter()
    data = writer.add_section(".data", bytes(8), flags=3)
    writer.add_symbol("far", data, 4, 8, kind=elf.STT_OBJECT)
    with pytest.raises(ObjectError, match="variable far would take bytes 0x4 to 0xc"):
        load_spec(writer.encode())


KCONFIG = """
# Linux/x86 configuration
CONFIG_HZ=250
CONFIG_BPF=y
CONFIG_NF=m
CONFIG_NAME="none, really long"
# CONFIG_ABSENT is not set
"""


def kernel() -> BTF:
    """Type information of a kernel that has one function and one variable."""
    builder = BTFBuilder()
    number = builder.add(Int("int", 4, 1))
    proto = builder.add(FunctionProto(number, [Param("x", number)]))
    builder.add(BTFFunction("bpf_kfunc_there", proto))
    builder.add(Var("bpf_stats_enabled", builder.add(Const(number))))
    return builder.build()


def resolved(spec: CollectionSpec) -> CollectionSpec:
    values = {"LINUX_KERNEL_VERSION": 0x60C00}
    symbols = {"init_task": 0xFFFFFFFF81000000}
    return resolve_externs(spec, KCONFIG, values, symbols, kernel())


def referring(spec: CollectionSpec, name: str) -> list[Instruction]:
    return [insn for insn in spec.functions["reads"].instructions if insn.reference == name]


def test_externs_are_noted(build: Build) -> None:
    externs = load_spec(build(sources.DATA)).externs
    found = {name: (e.section, e.is_function, e.is_weak) for name, e in externs.items()}
    assert found == {
        "LINUX_KERNEL_VERSION": (".kconfig", False, False),
        "CONFIG_HZ": (".kconfig", False, False),
        "CONFIG_BPF": (".kconfig", False, True),
        "CONFIG_NF": (".kconfig", False, True),
        "CONFIG_NAME": (".kconfig", False, True),
        "init_task": (".ksyms", False, False),
        "bpf_stats_enabled": (".ksyms", False, True),
        "bpf_kfunc_there": (".ksyms", True, False),
        "bpf_kfunc_missing": (".ksyms", True, True),
    }


def test_configuration_values_fill_their_map(build: Build) -> None:
    before = load_spec(build(sources.DATA))
    spec = resolved(before)
    data = spec.maps[".kconfig"].contents[0][1]
    assert isinstance(data, bytes)
    values = {
        name: data[e.offset : e.offset + e.size]
        for name, e in spec.externs.items()
        if e.section == ".kconfig"
    }
    assert values == {
        "LINUX_KERNEL_VERSION": struct.pack("<i", 0x60C00),
        "CONFIG_HZ": struct.pack("<i", 250),
        "CONFIG_BPF": b"\1",
        "CONFIG_NF": struct.pack("<i", 2),
        "CONFIG_NAME": b"none, rea\0",
    }
    assert before.maps[".kconfig"].contents == []
    # The order that libbpf lays them out in, as `bpftool gen skeleton` shows it.
    assert sorted(values, key=lambda name: spec.externs[name].offset) == [
        "CONFIG_HZ",
        "CONFIG_NF",
        "LINUX_KERNEL_VERSION",
        "CONFIG_BPF",
        "CONFIG_NAME",
    ]


def test_symbols_and_kernel_functions_land_in_instructions(build: Build) -> None:
    spec = resolved(load_spec(build(sources.DATA)))
    types = kernel()
    (task,) = referring(spec, "init_task")
    assert task.imm == 0xFFFFFFFF81000000 - (1 << 64)
    assert {(insn.src, insn.imm) for insn in referring(spec, "bpf_stats_enabled")} == {
        (op.PSEUDO_VARIABLE, types.get("bpf_stats_enabled").id)
    }
    (there,) = referring(spec, "bpf_kfunc_there")
    assert (there.src, there.imm) == (op.CALL_BTF, types.get("bpf_kfunc_there").id)


def test_weak_externs_that_are_missing_become_zero(build: Build) -> None:
    spec = resolved(load_spec(build(sources.DATA)))
    uses = referring(spec, "bpf_kfunc_missing")
    assert {(insn.opcode, insn.src, insn.imm) for insn in uses} == {
        (op.LD_IMM64, 0, 0),
        (op.CALL_IMM, op.CALL_HELPER, MISSING_FUNCTION),
    }


def test_strong_externs_that_are_missing_are_one_error(build: Build) -> None:
    with pytest.raises(LinkError) as caught:
        resolve_externs(load_spec(build(sources.DATA)))
    text = str(caught.value)
    for part in (
        "CONFIG_HZ (it is not set in the configuration)",
        "LINUX_KERNEL_VERSION (no value was given)",
        "init_task (no symbol of that name)",
        "bpf_kfunc_there (no kernel types were given)",
    ):
        assert part in text
    assert "CONFIG_BPF" not in text


def test_a_value_that_does_not_fit_is_an_error(build: Build) -> None:
    with pytest.raises(LinkError, match=r"CONFIG_HZ.*99999999999 does not fit"):
        resolve_externs(load_spec(build(sources.DATA)), "CONFIG_HZ=99999999999")


def test_a_kernel_function_of_another_type_is_an_error(build: Build) -> None:
    builder = BTFBuilder()
    builder.add(BTFFunction("bpf_kfunc_there", builder.add(FunctionProto(0, []))))
    spec = load_spec(build(sources.DATA))
    with pytest.raises(LinkError, match=r"bpf_kfunc_there.*another type"):
        resolve_externs(spec, KCONFIG, kernel=builder.build())


def test_configurations_are_read_line_by_line() -> None:
    assert parse_kconfig(KCONFIG)["CONFIG_NAME"] == '"none, really long"'
    assert "CONFIG_ABSENT" not in parse_kconfig(KCONFIG)
