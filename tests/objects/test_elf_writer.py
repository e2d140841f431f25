"""Written objects: what goes in comes out, by our reader and by other tools."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from anybpf.btf import BTF
from anybpf.errors import ObjectError
from anybpf.isa import Instruction, decode
from anybpf.isa import opcodes as op
from anybpf.objects import MapSpec, elf, load_spec
from anybpf.objects.elf import ElfFile
from anybpf.objects.elf_writer import (
    R_BPF_64_32,
    R_BPF_64_64,
    ElfWriter,
    object_from_instructions,
)

EXIT = 0x95
MOV = 0xB7


def mov(value: int, register: int = 0) -> Instruction:
    return Instruction(MOV, dst=register, imm=value)


def leave() -> Instruction:
    return Instruction(EXIT)


def call(distance: int) -> Instruction:
    return Instruction(op.CALL_IMM, src=op.CALL_LOCAL, imm=distance)


def load_map(name: str) -> Instruction:
    insn = Instruction(op.LD_IMM64, dst=1, src=op.PSEUDO_MAP_FD)
    insn.map_name = name
    return insn


def array(name: str) -> MapSpec:
    spec = MapSpec(name, "array")
    spec.key_size, spec.value_size, spec.max_entries = 4, 8, 16
    return spec


@pytest.mark.parametrize("big_endian", [False, True])
def test_parts_come_back(big_endian: bool) -> None:
    writer = ElfWriter(big_endian)
    code = writer.add_section("xdp", bytes(range(24)), flags=6, align=8)
    data = writer.add_section(".bss", type_number=elf.SHT_NOBITS, flags=3, align=4, size=4096)
    late = writer.add_symbol("late", code, 8, 16, kind=elf.STT_FUNC)
    early = writer.add_symbol("early", data, 4, 4, binding=elf.STB_LOCAL, kind=elf.STT_OBJECT)
    hidden = writer.add_symbol("late", elf.SHN_UNDEF, visibility=elf.STV_HIDDEN)
    writer.add_relocation(code, 16, late, R_BPF_64_32)
    writer.add_relocation(code, 0, early, R_BPF_64_64)
    writer.add_relocation(code, 8, hidden, R_BPF_64_64)

    read = ElfFile(writer.encode())
    assert read.big_endian == big_endian
    assert [s.name for s in read.sections] == ["", "xdp", ".bss", ".relxdp", ".symtab", ".strtab"]
    assert bytes(read.sections[code].data) == bytes(range(24))
    assert (read.sections[data].size, read.sections[data].type) == (4096, elf.SHT_NOBITS)
    assert [(s.name, s.section_index, s.value, s.size) for s in read.symbols[1:]] == [
        ("early", data, 4, 4),  # local symbols come first
        ("late", code, 8, 16),
        ("late", 0, 0, 0),
    ]
    assert read.symbols[3].visibility == elf.STV_HIDDEN
    assert read.sections[4].info == 2  # the first that is not local
    assert [(r.offset, r.type, r.symbol_index) for r in read.relocations(code)] == [
        (0, R_BPF_64_64, 1),
        (8, R_BPF_64_64, 3),
        (16, R_BPF_64_32, 2),
    ]


def test_sections_are_aligned() -> None:
    writer = ElfWriter()
    for align in (1, 2, 64, 4096, 1):
        writer.add_section(f"a{align}", b"x", align=align)
    for section in ElfFile(writer.encode()).sections[1:6]:
        assert section.offset % section.align == 0


def test_what_cannot_be_written_is_an_error() -> None:
    writer = ElfWriter()
    with pytest.raises(ObjectError, match="power of two"):
        writer.add_section("x", align=3)
    code = writer.add_section("x")
    with pytest.raises(ObjectError, match="symbol 1"):
        writer.add_relocation(code, 0, 1, 1)
    writer.add_symbol("a\0b", code)
    with pytest.raises(ObjectError, match="NUL"):
        writer.encode()


def test_too_many_sections_are_an_error() -> None:
    writer = ElfWriter()
    symbol = writer.add_symbol("a", 1)
    for _ in range(40_000):
        writer.add_relocation(writer.add_section("x", bytes(8)), 0, symbol, R_BPF_64_64)
    with pytest.raises(ObjectError, match="this has 80000"):
        writer.encode()


def test_equal_calls_give_equal_bytes() -> None:
    def make() -> bytes:
        programs = [("one", "xdp", [mov(1), leave()])]
        return object_from_instructions(programs, "MIT", [array("counts")])

    assert make() == make()


def test_programs_maps_and_licence() -> None:
    image = object_from_instructions(
        [
            ("one", "xdp", [load_map("counts"), mov(1), leave()]),
            ("two", "xdp", [load_map("elsewhere"), mov(2), leave()]),
            ("three", "tc", [mov(3), leave()]),
        ],
        license="GPL",
        maps=[array("counts")],
    )
    read = ElfFile(image)
    named = {symbol.name: symbol for symbol in read.symbols}
    assert (named["two"].value, named["two"].size) == (32, 32)
    assert read.sections[named["three"].section_index].name == "tc"
    assert named["elsewhere"].section_index == elf.SHN_UNDEF
    xdp = read.section("xdp")
    licence = read.section("license")
    assert xdp is not None
    assert licence is not None
    assert bytes(licence.data) == b"GPL\0"
    assert [r.offset for r in read.relocations(xdp.index)] == [0, 32]
    types = read.section(".BTF")
    assert types is not None
    btf = BTF.parse(types.data)
    section = btf.find(".maps")
    assert section is not None


def test_functions_inside_a_program_become_subprograms() -> None:
    """call +1; exit | r0 = 7; exit"""
    helper = mov(7)
    helper.symbol = "seven"
    image = object_from_instructions([("main", "xdp", [call(1), leave(), helper, leave()])])
    read = ElfFile(image)
    named = {symbol.name: symbol for symbol in read.symbols}
    assert read.sections[named["seven"].section_index].name == ".text"
    assert named["main"].size == named["seven"].size == 16
    xdp = read.section("xdp")
    assert xdp is not None
    (relocation,) = read.relocations(xdp.index)
    assert read.symbols[relocation.symbol_index].name == "seven"
    assert decode(xdp.data)[0].imm == -1


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ([], "has no instructions"),
        ([call(5), leave()], "calls slot 6, where no instruction begins"),
        ([call(-9), leave()], "calls slot -8"),
        ([call(1), leave(), Instruction(0x05, offset=-3), leave()], "leads out of the function"),
    ],
)
def test_code_that_makes_no_object(code: list[Instruction], words: str) -> None:
    with pytest.raises(ObjectError, match=words):
        object_from_instructions([("main", "xdp", code)])


def test_it_loads_as_what_was_put_in() -> None:
    outer = MapSpec("outer", "hash_of_maps")
    outer.key_size, outer.max_entries, outer.inner = 8, 2, array("inner")
    pinned = array("pinned")
    pinned.pinning, pinned.flags = "by_name", 0x400
    helper = mov(7)
    helper.symbol = "seven"
    code = [load_map("counts"), load_map("outer"), call(1), leave(), helper, leave()]
    spec = load_spec(
        object_from_instructions([("main", "tc", code)], "GPL", [array("counts"), outer, pinned])
    )
    assert spec.license == "GPL"
    program = spec.program("main")
    assert program.type == "sched_cls"
    assert [function.name for function in program.functions] == ["main", "seven"]
    assert [i.map_name for i in program.instructions if i.is_map_load] == ["counts", "outer"]
    counts = spec.maps["counts"]
    assert (counts.type, counts.key_size, counts.value_size, counts.max_entries) == (
        "array", 4, 8, 16,
    )  # fmt: skip
    assert (spec.maps["pinned"].pinning, spec.maps["pinned"].flags) == ("by_name", 0x400)
    inner = spec.maps["outer"].inner
    assert inner is not None
    assert (inner.type, inner.value_size) == ("array", 8)


def tool(*names: str) -> str:
    for name in names:
        found = shutil.which(name)
        if found:
            return found
    pytest.skip(f"{names[0]} is not on this machine")


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    inner = array("inner")
    outer = MapSpec("outer", "array_of_maps")
    outer.key_size, outer.max_entries, outer.inner = 4, 2, inner
    path = tmp_path / "sample.o"
    code = [load_map("counts"), load_map("outer"), call(1), leave(), mov(2), leave()]
    path.write_bytes(
        object_from_instructions([("main", "xdp", code)], "GPL", [array("counts"), outer])
    )
    return path


def test_llvm_reads_it(sample: Path) -> None:
    objdump = tool("llvm-objdump", "llvm-objdump-19")
    done = subprocess.run([objdump, "-dr", str(sample)], capture_output=True, text=True, check=True)
    assert "<main>:" in done.stdout
    assert "R_BPF_64_64\tcounts" in done.stdout
    assert "R_BPF_64_32\tmain_6" in done.stdout
    assert done.stderr == ""


def test_libbpf_reads_it(sample: Path) -> None:
    bpftool = tool("bpftool")
    linked = sample.with_suffix(".linked")
    done = subprocess.run(
        [bpftool, "gen", "skeleton", str(sample)], capture_output=True, text=True, check=False
    )
    linked.write_text(done.stdout)
    assert done.returncode == 0, done.stderr
    for line in ("struct bpf_map *counts;", "struct bpf_map *outer;", "struct bpf_program *main;"):
        assert line in done.stdout
