"""The ELF reader: what it gives, and how it says no."""

from __future__ import annotations

import struct

import pytest

from anybpf.errors import ObjectError
from anybpf.objects import elf
from anybpf.objects.elf import ElfFile
from anybpf.objects.elf_writer import ElfWriter


def small(big_endian: bool = False) -> bytes:
    """A file with one code section, two symbols and a relocation."""
    writer = ElfWriter(big_endian)
    code = writer.add_section("xdp", bytes(24), flags=elf.SHF_ALLOC | elf.SHF_EXECINSTR, align=8)
    writer.add_section(".bss", type_number=elf.SHT_NOBITS, flags=elf.SHF_ALLOC, size=100)
    writer.add_symbol("main", code, value=8, size=16, kind=elf.STT_FUNC)
    other = writer.add_symbol("elsewhere", 0, binding=elf.STB_WEAK)
    writer.add_relocation(code, 8, other, 10)
    return writer.encode()


@pytest.mark.parametrize("big_endian", [False, True])
def test_reads_both_byte_orders(big_endian: bool) -> None:
    file = ElfFile(small(big_endian), "small.o")
    assert file.big_endian is big_endian
    code = file.section("xdp")
    assert code is not None
    assert (code.size, code.align, code.is_code, bytes(code.data)) == (24, 8, True, bytes(24))
    main = next(symbol for symbol in file.symbols if symbol.name == "main")
    assert (main.value, main.size, main.section_index, main.kind) == (8, 16, code.index, 2)
    (relocation,) = file.relocations(code.index)
    assert (relocation.offset, relocation.type) == (8, 10)
    assert not file.symbols[relocation.symbol_index].is_defined
    assert file.symbols[relocation.symbol_index].binding == elf.STB_WEAK


def test_a_section_without_bytes_takes_no_memory() -> None:
    bss = ElfFile(small()).section(".bss")
    assert bss is not None
    assert (bss.size, len(bss.data)) == (100, 0)


def test_names_that_are_no_text_come_out_escaped() -> None:
    data = small().replace(b"elsewhere", b"else\xffhere")
    assert "else\\xffhere" in [symbol.name for symbol in ElfFile(data).symbols]


def patched(offset: int, value: bytes) -> bytes:
    data = bytearray(small())
    data[offset : offset + len(value)] = value
    return bytes(data)


# What is overwritten in the header, and what the message says of it: byte and words.
DAMAGE = [
    (0, b"\x7fELG", 0, "no ELF file"),
    (4, b"\x01", 4, "64-bit"),
    (5, b"\x03", 5, "byte order"),
    (16, b"\x02\0", 16, "relocatable"),
    (18, b"\x3e\0", 18, "machine 62"),
    (40, bytes(8), 40, "no section table"),
    (40, b"\xff" * 8, 40, "the file ends"),
    (58, b"\x20\0", 58, "have 64 bytes"),
    (60, b"\xff\xfe", 60, "entries"),
    (62, b"\x77\0", 62, "section names"),
]


@pytest.mark.parametrize(("at", "value", "offset", "words"), DAMAGE)
def test_a_damaged_header_is_refused_by_byte(
    at: int, value: bytes, offset: int, words: str
) -> None:
    with pytest.raises(ObjectError, match=words) as caught:
        ElfFile(patched(at, value), "bad.o")
    assert (caught.value.file, caught.value.offset) == ("bad.o", offset)


def test_every_truncation_is_refused() -> None:
    data = small()
    for size in range(len(data)):
        with pytest.raises(ObjectError):
            ElfFile(data[:size])


def header_of(data: bytes, name: str) -> int:
    """Where a section's entry in the section table is."""
    (table,) = struct.unpack_from("<Q", data, 40)
    section = ElfFile(data).section(name)
    assert section is not None
    place: int = table + 64 * section.index
    return place


# (section, field of its entry, new value, words): what only shows when symbols or relocations
# are asked for.
LATE_DAMAGE = [
    (".symtab", 56, 8, "entries of 8"),
    (".symtab", 40, 99, "symbol names"),
    (".symtab", 32, 25, "25 bytes"),
    (".relxdp", 56, 99, "entries of 99"),
    ("xdp", 32, 8, "relocates byte 0x8"),
]


@pytest.mark.parametrize(("section", "field", "value", "words"), LATE_DAMAGE)
def test_a_damaged_table_is_refused(section: str, field: int, value: int, words: str) -> None:
    data = bytearray(small())
    size = 8 if field in (32, 56) else 4
    at = header_of(bytes(data), section) + field
    data[at : at + size] = value.to_bytes(size, "little")
    file = ElfFile(data)
    code = file.section("xdp")
    assert code is not None
    with pytest.raises(ObjectError, match=words):
        file.relocations(code.index)


def test_sections_that_overlap_are_refused() -> None:
    data = bytearray(small())
    for name in ("xdp", ".symtab"):
        at = header_of(small(), name)
        data[at + 24 : at + 40] = struct.pack("<QQ", 0, len(data))
    with pytest.raises(ObjectError, match="overlap"):
        ElfFile(data)


def test_names_cannot_multiply_a_string_table() -> None:
    """Every symbol names another tail of one long string: quadratic if nobody counts."""
    count = 2000
    writer = ElfWriter()
    writer.add_section(".text", bytes(8), flags=6)
    for number in range(count):
        writer.add_symbol(f"s{number:05}", 0)
    data = bytearray(writer.encode())
    file = ElfFile(data)
    names, symbols = file.section(".strtab"), file.section(".symtab")
    assert names is not None
    assert symbols is not None
    data[names.offset + 1 : names.offset + names.size - 1] = b"x" * (names.size - 2)
    for number in range(count):
        struct.pack_into("<I", data, symbols.offset + 24 * number, 1 + number)
    with pytest.raises(ObjectError, match="many times longer"):
        assert ElfFile(data).symbols


def test_a_lenient_reader_passes_over_what_llvm_only_warns_of() -> None:
    """Names outside their table are empty; a symbol table of a wrong entry size has no symbols."""
    writer = ElfWriter()
    code = writer.add_section("xdp", bytes(8), flags=6)
    writer.add_symbol("main", code, kind=elf.STT_FUNC)
    data = bytearray(writer.encode())
    symbols = ElfFile(bytes(data)).symbol_section()
    assert symbols is not None
    data[symbols.offset + 24 : symbols.offset + 28] = b"\xff\xff\xff\x00"
    with pytest.raises(ObjectError, match="a name would begin"):
        _ = ElfFile(bytes(data)).symbols
    assert [each.name for each in ElfFile(bytes(data), lenient=True).symbols] == ["", ""]
