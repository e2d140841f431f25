"""The listing of llvm-objdump, compared with its own."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
from pathlib import Path
from struct import Struct, pack

import pytest

from anybpf.errors import NotFound, ObjectError
from anybpf.isa.listing import llvm
from anybpf.objects.elf import ElfFile
from tests.isa import corpus


@pytest.fixture(scope="module")
def objdump() -> str:
    """A llvm-objdump of version 19; each version of LLVM has a few spellings of its own."""
    for name in ("llvm-objdump-19", "llvm-objdump"):
        path = shutil.which(name)
        if path is None:
            continue
        version = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
        if re.search(r"version 19\.", version.stdout):
            return path
    pytest.skip("no llvm-objdump of LLVM 19 here to compare with")


def test_every_corpus_file_is_listed_as_llvm_does(shared: Path, objdump: str) -> None:
    compared = 0
    for path in corpus.files(shared):
        try:
            elf = ElfFile(path.read_bytes(), str(path), lenient=True)
            lines = llvm.file_lines(elf, str(path))
        except ObjectError:
            refused = subprocess.run([objdump, "-d", str(path)], capture_output=True, check=False)
            assert refused.returncode != 0, f"{path}: LLVM lists it"
            continue
        command = [objdump, "-d", str(path)]
        if elf.machine == 0:  # from before BPF had a number: LLVM must be told
            command.insert(2, "--triple=bpf")
        result = subprocess.run(command, capture_output=True, check=True)
        expected = result.stdout.decode("utf-8", "surrogateescape")
        assert "".join(f"{line}\n" for line in lines) == expected, path
        compared += 1
    assert compared > 135


def object_with(code: bytes, symbols: list[tuple[str, int, int]], big_endian: bool) -> bytes:
    """A minimal object with one code section, ``x``, for LLVM to read."""
    order = ">" if big_endian else "<"
    names = b"\0.shstrtab\0.strtab\0.symtab\0x\0"
    strings = b"\0"
    table = bytes(24)
    for name, value, kind in symbols:
        table += pack(order + "IBBHQQ", len(strings), 0x10 | kind, 0, 4, value, 0)
        strings += name.encode() + b"\0"
    body = b""
    places = []
    for part in (names, strings, table, code):
        places.append((64 + len(body), len(part)))
        body += part + bytes(-len(part) % 8)
    header = b"\x7fELF" + bytes([2, 2 if big_endian else 1, 1]) + bytes(9)
    header += pack(order + "HHIQQQIHHHHHH", 1, 247, 1, 0, 0, 64 + len(body), 0, 64, 0, 0, 64, 5, 1)
    section = Struct(order + "IIQQQQIIQQ")
    headers = bytes(64)
    for (place, size), (name_at, kind, flags, link, info, entry) in zip(
        places,
        [(1, 3, 0, 0, 0, 0), (11, 3, 0, 0, 0, 0), (19, 2, 0, 2, 1, 24), (27, 1, 6, 0, 0, 0)],
        strict=True,
    ):
        headers += section.pack(name_at, kind, flags, 0, place, size, link, info, 1, entry)
    return header + body + headers


def random_code(rand: random.Random, big_endian: bool) -> bytes:
    word = Struct(">BBhi" if big_endian else "<BBhi")
    parts = []
    for _ in range(rand.randrange(1, 800)):
        kind = rand.random()
        if kind < 0.02:
            parts.append(bytes(rand.randrange(20)))
        elif kind < 0.03:
            parts.append(rand.randbytes(rand.randrange(1, 9)))
        else:
            registers = rand.randrange(256) if kind < 0.3 else rand.randrange(11) * 17
            offset = rand.choice((0, 0, 0, 1, 8, 16, 32, -1, 1000, -32768, rand.randrange(-30, 30)))
            imm = rand.choice((0, 1, 16, 32, 0x41, 0xE1, 0xF1, -1, -(1 << 31), 0x10000, 0x100))
            parts.append(word.pack(rand.randrange(256), registers, offset, imm))
    return b"".join(parts)


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_any_code_is_listed_as_llvm_does(
    seed: int, big_endian: bool, objdump: str, tmp_path: Path
) -> None:
    """Undefined opcodes, odd symbols, data among code, runs of zeros, a torn end."""
    rand = random.Random(seed)
    code = random_code(rand, big_endian)
    symbols = [
        (
            rand.choice(["a", "b", "LBB0_1", "_x"]) + str(index),
            rand.choice((0, 8, 16, rand.randrange(len(code) + 64))),
            rand.choice((0, 1, 2, 3, 4, 6)),
        )
        for index in range(rand.randrange(12))
    ]
    path = tmp_path / "x.o"
    path.write_bytes(object_with(code, symbols, big_endian))
    result = subprocess.run([objdump, "-d", str(path)], capture_output=True, text=True, check=True)
    elf = ElfFile(path.read_bytes(), str(path))
    assert llvm.file_lines(elf, str(path)) == result.stdout.splitlines()


def test_data_among_code_is_dumped() -> None:
    data = bytes.fromhex("9500000000000000") + b"hello, world"
    symbols = [(0, "f", 2), (8, "text", 1)]
    assert llvm.section_lines("x", data, symbols)[-3:] == [
        "0000000000000008 <text>:",
        "       8: 68 65 6c 6c 6f 2c 20 77         hello, w",
        "      10: 6f 72 6c 64                     orld",
    ]


def test_of_several_symbols_the_last_of_code_is_shown() -> None:
    data = bytes.fromhex("9500000000000000")
    lines = llvm.section_lines("x", data, [(0, "c", 1), (0, "b", 2), (0, "a", 0)])
    assert lines[3] == "0000000000000000 <b>:"


def test_an_empty_section_is_passed_over() -> None:
    assert llvm.section_lines("x", b"", [(0, "f", 2)]) == []


def test_code_without_a_section_has_no_target_names() -> None:
    data = bytes.fromhex("0500ffff00000000")
    assert llvm.code_lines(data) == ["       0:\t05 00 ff ff 00 00 00 00\tgoto -0x1"]
    assert llvm.code_lines(data, name="x")[0].endswith("goto -0x1 <x>")


def test_one_section_or_symbol_is_listed_as_llvm_does(shared: Path, objdump: str) -> None:
    paths = [shared / "corpus" / "build" / "bpf2bpf.o", shared / "corpus" / "cilium" / "bpf_lxc.o"]
    for path in paths:
        elf = ElfFile(path.read_bytes(), str(path))
        wanted = [("section", each.name) for each in elf.sections if each.is_code and each.size]
        code = {each.index for each in elf.sections if each.is_code}
        wanted += [
            ("symbol", each.name)
            for each in elf.symbols
            if each.section_index in code and each.kind == 2
        ]
        for kind, name in wanted[:20]:
            option = f"--section={name}" if kind == "section" else f"--disassemble-symbols={name}"
            result = subprocess.run(
                [objdump, "-d", option, str(path)], capture_output=True, text=True, check=True
            )
            lines = llvm.file_lines(
                elf,
                str(path),
                section=name if kind == "section" else "",
                symbol=name if kind == "symbol" else "",
            )
            assert lines == result.stdout.splitlines(), (path, kind, name)


def test_what_is_not_there_is_said(shared: Path) -> None:
    path = shared / "corpus" / "build" / "bpf2bpf.o"
    elf = ElfFile(path.read_bytes(), str(path))
    with pytest.raises(NotFound, match=r"no code section maps; there are: \.text, test"):
        llvm.file_lines(elf, str(path), section="maps")
    with pytest.raises(NotFound, match="no symbol nobody"):
        llvm.file_lines(elf, str(path), symbol="nobody")
