"""Loading as a user does it: paths, bytes and files, names, determinism, what copies share."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from anybpf.errors import NotFound, ObjectError
from anybpf.isa import encode
from anybpf.objects import CollectionSpec, load_spec
from anybpf.objects.elf_writer import ElfWriter
from tests.objects import sources
from tests.objects.conftest import Build


def test_a_path_bytes_and_a_file_give_the_same(build: Build) -> None:
    path = build(sources.FUNCTIONS)
    by_path = load_spec(path)
    by_bytes = load_spec(path.read_bytes(), name="example")
    with open(path, "rb") as stream:
        by_file = load_spec(stream)
    by_memory = load_spec(io.BytesIO(path.read_bytes()), name="example")
    assert by_path.file == by_file.file == str(path)
    for spec in (by_bytes, by_file, by_memory):
        assert spec.name == by_path.name == "example"
        assert described(spec) == described(by_path)


def described(spec: CollectionSpec) -> list[object]:
    """A spec as plain values, to compare two."""
    return [
        [(key, p.type, p.section, encode(p.instructions)) for key, p in spec.programs.items()],
        [(key, m.type, m.key_size, m.value_size, m.contents) for key, m in spec.maps.items()],
        [(key, v.offset, v.size, v.value) for key, v in spec.variables.items()],
        list(spec.externs),
    ]


def test_a_name_ends_at_the_first_dot(build: Build) -> None:
    path = build(sources.DATA, name="drop.bpf")
    assert load_spec(path).name == "drop"
    assert load_spec(path.read_bytes()).name == "object"
    assert load_spec(path, name="mine").maps[".bss"].name == "mine.bss"


@pytest.mark.parametrize("source", [sources.FUNCTIONS, sources.MAPS, sources.DATA, sources.CORE])
def test_loading_twice_gives_equal_specs(build: Build, source: str) -> None:
    path = build(source)
    assert described(load_spec(path)) == described(load_spec(path))


def test_both_byte_orders_give_the_same_specs(build: Build) -> None:
    little = load_spec(build(sources.FUNCTIONS))
    big = load_spec(build(sources.FUNCTIONS, big_endian=True))
    assert big.big_endian
    assert [p.instructions for p in big] == [p.instructions for p in little]
    assert list(big.functions) == list(little.functions)


def test_license_and_version() -> None:
    writer = ElfWriter()
    writer.add_section("license", b"Dual MIT/GPL\0garbage")
    writer.add_section("version", b"\x03\x02\x06\0")
    spec = load_spec(writer.encode())
    assert (spec.license, spec.version) == ("Dual MIT/GPL", 0x60203)


def test_a_version_of_odd_size_is_refused() -> None:
    writer = ElfWriter()
    writer.add_section("version", b"6.1")
    with pytest.raises(ObjectError, match="4 bytes") as caught:
        load_spec(writer.encode())
    assert caught.value.section == "version"


def test_an_unknown_platform_is_named() -> None:
    with pytest.raises(NotFound, match="plan9"):
        load_spec(ElfWriter().encode(), platform="plan9")


def test_a_missing_file_is_the_systems_own_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_spec(tmp_path / "nothing.o")


def test_programs_are_found_by_name_or_section(build: Build) -> None:
    spec = load_spec(build(sources.FUNCTIONS))
    assert spec.program("first").name == "first"
    assert spec.program(section="tc").name == "counts"
    with pytest.raises(NotFound, match=r"several programs with section xdp.*second"):
        spec.program(section="xdp")


def test_a_copy_can_be_changed_apart(build: Build) -> None:
    spec = load_spec(build(sources.DATA))
    twin = spec.copy()
    assert described(twin) == described(spec)
    twin.variables["limit"].value = (7).to_bytes(4, "little")
    twin.functions["reads"].instructions[0].imm = 99
    assert spec.variables["limit"].value == (42).to_bytes(4, "little")
    assert twin.maps[".rodata"].contents[0][1] == (7).to_bytes(4, "little")
    assert spec.functions["reads"].instructions[0].imm != 99
    assert twin.program("reads").function is twin.functions["reads"]
