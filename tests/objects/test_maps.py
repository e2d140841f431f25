"""Maps: the structs of numbers of former times, and the definitions in BTF."""

from __future__ import annotations

import struct

import pytest

from anybpf.errors import ObjectError
from anybpf.isa import Instruction, encode
from anybpf.isa import opcodes as op
from anybpf.objects import MapSpec, elf, load_spec
from anybpf.objects.elf_writer import ElfWriter
from tests.objects import sources
from tests.objects.conftest import Build

ARRAY, HASH, ARRAY_OF_MAPS, PROG_ARRAY = 2, 1, 12, 3


def legacy(*definitions: tuple[int, ...], section: str = "maps") -> bytes:
    """An object with these definitions in one section, named a, b, c, …"""
    writer = ElfWriter()
    rows = [struct.pack(f"<{len(words)}I", *words) for words in definitions]
    index = writer.add_section(section, b"".join(rows), flags=3, align=4)
    for number, row in enumerate(rows):
        writer.add_symbol("abcdefgh"[number], index, number * len(row), kind=elf.STT_OBJECT)
    return writer.encode()


def sizes(spec: MapSpec) -> tuple[str, int, int, int]:
    return spec.type, spec.key_size, spec.value_size, spec.max_entries


@pytest.mark.parametrize("words", [4, 5, 6, 7, 9])
def test_each_historical_size_is_read(words: int) -> None:
    row = (HASH, 4, 8, 100, *[0] * (words - 4))
    maps = load_spec(legacy(row, row)).maps
    assert [sizes(spec) for spec in maps.values()] == [("hash", 4, 8, 100)] * 2


def test_the_samples_struct_has_inner_map_and_node() -> None:
    maps = load_spec(
        legacy(
            (ARRAY, 4, 4, 10, 0, 0, 0), (ARRAY_OF_MAPS, 4, 0, 5, 0, 0, 0), (HASH, 4, 8, 1, 4, 0, 1)
        )
    ).maps
    inner = maps["b"].inner
    assert inner is not None
    assert (inner.name, sizes(inner)) == ("a", ("array", 4, 4, 10))
    assert maps["b"].value_size == 4
    assert (maps["c"].flags, maps["c"].numa_node) == (4, 1)
    assert maps["a"].numa_node == -1


def test_iproute2s_short_struct_is_told_by_its_values() -> None:
    maps = load_spec(legacy((HASH, 4, 8, 1, 1, 0, 2), (PROG_ARRAY, 4, 4, 9, 0, 7, 1))).maps
    assert (maps["a"].flags, maps["a"].pinning) == (1, "by_name")
    assert (maps["b"].id, maps["b"].pinning) == (7, "by_object")


def test_iproute2s_long_struct_has_inner_maps_by_id() -> None:
    none = 0xFFFFFFFF
    maps = load_spec(
        legacy((ARRAY, 4, 8, 1, 0, 3, 0, 0, 2), (ARRAY_OF_MAPS, 4, 4, 9, 0, 0, 2, 3, none))
    ).maps
    assert maps["b"].inner is not None
    assert maps["b"].inner.name == "a"
    assert maps["b"].contents == [(b"\2\0\0\0", "a")]


def test_tail_calls_by_section_name() -> None:
    """iproute2: section `7/0x3` is slot 3 of the program array with id 7."""
    writer = ElfWriter()
    row = struct.pack("<9I", PROG_ARRAY, 4, 4, 9, 0, 7, 2, 0, 0)
    maps = writer.add_section("maps", row, flags=3)
    writer.add_symbol("calls", maps, kind=elf.STT_OBJECT)
    code = writer.add_section("7/0x3", encode([Instruction(op.EXIT_INSN)]), flags=6)
    writer.add_symbol("tail", code, kind=elf.STT_FUNC)
    assert load_spec(writer.encode()).maps["calls"].contents == [(b"\3\0\0\0", "tail")]


def test_windows_has_a_struct_of_its_own() -> None:
    row = (1, 4, 8, 100, 0, 1, 5, 0)
    spec = load_spec(legacy(row), platform="windows").maps["a"]
    assert (spec.id, spec.pinning, spec.flags) == (5, "by_name", 0)


def test_a_section_for_each_map() -> None:
    data = legacy((HASH, 4, 8, 100), section="maps/whatever")
    assert sizes(load_spec(data).maps["a"]) == ("hash", 4, 8, 100)


def test_an_unknown_type_keeps_its_number() -> None:
    assert load_spec(legacy((250, 4, 8, 100))).maps["a"].type == "type_250"


BAD_LEGACY = [
    (legacy((1, 2, 3)), "at least 16 bytes"),
    (legacy((1, 4, 4, 1, 0, 0, 0, 0, 0, 0, 9)), "unknown and not zero"),
    (legacy((ARRAY_OF_MAPS, 4, 4, 1, 0, 0, 0, 77, 0)), "id 77"),
    (legacy((ARRAY_OF_MAPS, 4, 4, 1, 0, 77, 0)), "map number 77"),
]


@pytest.mark.parametrize(("data", "words"), BAD_LEGACY)
def test_bad_definitions_are_refused(data: bytes, words: str) -> None:
    with pytest.raises(ObjectError, match=words) as caught:
        load_spec(data)
    assert caught.value.section == "maps"
    assert caught.value.offset is not None


@pytest.mark.parametrize("big_endian", [False, True])
def test_definitions_in_btf(build: Build, big_endian: bool) -> None:
    spec = load_spec(build(sources.MAPS, big_endian=big_endian))
    stats, bloom = spec.maps["stats"], spec.maps["bloom"]
    assert sizes(stats) == ("hash", 4, 16, 1024)
    assert (stats.flags, stats.pinning, stats.numa_node, stats.tags) == (
        1, "by_name", 0, ("important",),
    )  # fmt: skip
    assert spec.btf is not None
    assert spec.btf.type(stats.value_type_id).name == "value"
    assert (sizes(bloom), bloom.extra) == (("bloom_filter", 0, 16, 8), 5)


def test_maps_of_maps_and_of_programs_have_contents(build: Build) -> None:
    maps = load_spec(build(sources.MAPS)).maps
    outer, jumps = maps["outer"], maps["jumps"]
    assert outer.inner is not None
    assert (outer.inner.name, sizes(outer.inner)) == ("outer.inner", ("array", 4, 4, 4))
    assert outer.contents == [(b"\1\0\0\0", "in_a"), (b"\3\0\0\0", "in_b")]
    assert jumps.contents == [(b"\4\0\0\0", "target")]


def test_loads_of_maps_bear_their_names(build: Build) -> None:
    code = load_spec(build(sources.MAPS)).programs["entry"].instructions
    loads = [insn for insn in code if insn.is_map_load]
    assert [insn.map_name for insn in loads] == ["stats", "jumps", "bloom", "outer"]
    assert all(insn.src == op.PSEUDO_MAP_FD and insn.imm == 0 for insn in loads)


BAD_BTF = [
    ("__uint(type, 1); __type(key, int); __uint(key_size, 8);", "'key_size' is 8, 'key' has 4"),
    ("__uint(type, 1); __uint(colour, 8);", "'colour' is not known here; known are type"),
    ("__uint(type, 1); int max_entries;", "'max_entries' is not written with __uint"),
    ("__uint(type, 1); int key;", "'key' is not written with __type"),
    ("__uint(type, 1); __uint(pinning, 3);", "'pinning' is 3"),
    ("__uint(type, 12); __array(values, int);", "must be maps or functions"),
]


@pytest.mark.parametrize(("body", "words"), BAD_BTF)
def test_bad_definitions_in_btf_are_refused(build: Build, body: str, words: str) -> None:
    path = build(f'{sources.PRELUDE} struct {{ {body} }} odd SEC(".maps");')
    with pytest.raises(ObjectError, match=words) as caught:
        load_spec(path)
    assert caught.value.section == ".maps"
    assert "map odd" in str(caught.value)


def test_definitions_without_btf_say_what_to_do() -> None:
    writer = ElfWriter()
    writer.add_section(".maps", bytes(32), flags=3)
    with pytest.raises(ObjectError, match="compile with -g"):
        load_spec(writer.encode())
