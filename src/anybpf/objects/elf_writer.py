"""Writing BPF object files: sections, symbols and relocations to the bytes of an ELF file.

What the parts mean to BPF is the business of those who use this: `assembly`, which makes an object
of instructions, and `linker`. Reading files is that of `elf`.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import Final

from anybpf.errors import ObjectError
from anybpf.isa.instruction import Instruction
from anybpf.objects import elf
from anybpf.objects.specs import MapSpec

# Relocation types: the kernel's llvm_reloc.rst.
R_BPF_64_64: Final = 1  # the address of a symbol, in a 16-byte load
R_BPF_64_ABS64: Final = 2  # the same in data
R_BPF_64_32: Final = 10  # the distance to a function, in a call

_MAX_SECTIONS: Final = elf.SHN_LORESERVE - 8
_MAX_ALIGN: Final = 1 << 16


class _Output:
    """A section to be written, and its relocations as (offset, symbol, type)."""

    __slots__ = (
        "align", "data", "entsize", "flags", "info", "link", "name", "relocations", "size", "type",
    )  # fmt: skip

    def __init__(
        self, name: str, type_number: int, flags: int, data: bytes, size: int, align: int
    ) -> None:
        self.name: str = name
        self.type: int = type_number
        self.flags: int = flags
        self.data: bytes = data
        self.size: int = size
        self.align: int = align
        self.entsize: int = 0
        self.link: int = 0
        self.info: int = 0
        self.relocations: list[tuple[int, int, int]] = []


class _OutputSymbol:
    __slots__ = ("binding", "kind", "name", "section", "size", "value", "visibility")

    def __init__(
        self,
        name: str,
        section: int,
        value: int,
        size: int,
        binding: int,
        kind: int,
        visibility: int,
    ) -> None:
        self.name: str = name
        self.section: int = section
        self.value: int = value
        self.size: int = size
        self.binding: int = binding
        self.kind: int = kind
        self.visibility: int = visibility


class _Strings:
    """A string table: each text once, in order of first use."""

    __slots__ = ("_offsets", "_parts", "_size")

    def __init__(self) -> None:
        self._offsets: dict[str, int] = {"": 0}
        self._parts: list[bytes] = [b"\0"]
        self._size: int = 1

    def add(self, text: str) -> int:
        known = self._offsets.get(text)
        if known is not None:
            return known
        # A lone surrogate stands for nothing that a file could hold; backslashes as the reader has.
        raw = text.encode("utf-8", "backslashreplace")
        if b"\0" in raw:
            raise ObjectError(f"a name in an object cannot hold a NUL byte: {text!r}")
        offset = self._size
        self._offsets[text] = offset
        self._parts.append(raw + b"\0")
        self._size += len(raw) + 1
        return offset

    def encode(self) -> bytes:
        return b"".join(self._parts)


class ElfWriter:
    """Collects the parts of a relocatable BPF object; :meth:`encode` gives its bytes.

    The same calls in the same order give the same bytes. Symbols may be added in any order: in
    the file the local ones come first, as the format demands.

    >>> writer = ElfWriter()
    >>> code = writer.add_section("xdp", bytes(8), flags=6, align=8)
    >>> writer.add_symbol("main", code, size=8, kind=2)
    1
    >>> from anybpf.objects.elf import ElfFile
    >>> [symbol.name for symbol in ElfFile(writer.encode()).symbols]
    ['', 'main']
    """

    __slots__ = ("_sections", "_symbols", "big_endian")

    def __init__(self, big_endian: bool = False) -> None:
        self.big_endian: bool = big_endian
        self._sections: list[_Output] = []
        self._symbols: list[_OutputSymbol] = []

    def add_section(
        self,
        name: str,
        data: bytes | memoryview = b"",
        type_number: int = elf.SHT_PROGBITS,
        flags: int = 0,
        align: int = 1,
        entsize: int = 0,
        size: int = -1,
    ) -> int:
        """Append a section and return its index; ``size`` is for one without bytes (NOBITS)."""
        if align < 1 or align & (align - 1) or align > _MAX_ALIGN:
            raise ObjectError(f"alignment {align} is no power of two up to {_MAX_ALIGN}")
        raw = bytes(data)
        length = len(raw) if size < 0 else size
        section = _Output(name, type_number, flags, raw, length, align)
        section.entsize = entsize
        self._sections.append(section)
        return len(self._sections)

    def set_data(self, section: int, data: bytes) -> None:
        """Replace the bytes of a section."""
        self._sections[section - 1].data = data
        self._sections[section - 1].size = len(data)

    def add_symbol(
        self,
        name: str,
        section: int,
        value: int = 0,
        size: int = 0,
        binding: int = elf.STB_GLOBAL,
        kind: int = elf.STT_NOTYPE,
        visibility: int = elf.STV_DEFAULT,
    ) -> int:
        """Append a symbol and return the number by which relocations name it."""
        self._symbols.append(_OutputSymbol(name, section, value, size, binding, kind, visibility))
        return len(self._symbols)

    def add_relocation(self, section: int, offset: int, symbol: int, type_number: int) -> None:
        """Say that the place at ``offset`` of a section depends on a symbol."""
        if not 0 < symbol <= len(self._symbols):
            raise ObjectError(
                f"a relocation names symbol {symbol}, {len(self._symbols)} were added"
            )
        self._sections[section - 1].relocations.append((offset, symbol, type_number))

    def encode(self) -> bytes:
        """The whole file: header, contents, then the section table."""
        order = ">" if self.big_endian else "<"
        sections = list(self._sections)
        relocated = [section for section in sections if section.relocations]
        if len(sections) + len(relocated) > _MAX_SECTIONS:
            raise ObjectError(
                f"an object can have {_MAX_SECTIONS} sections here, those of relocations "
                f"included; this has {len(sections) + len(relocated)}"
            )
        strings = _Strings()
        for section in self._sections:
            strings.add(section.name)
        numbers, symbol_bytes, first_global = self._encode_symbols(order, strings)
        symbol_index = len(sections) + len(relocated) + 1
        for index, section in enumerate(self._sections):
            if section.relocations:
                sections.append(_relocation_section(section, index + 1, numbers, order))
                sections[-1].link = symbol_index
        symtab = _Output(".symtab", elf.SHT_SYMTAB, 0, symbol_bytes, len(symbol_bytes), 8)
        symtab.entsize = elf.SYMBOL_SIZE
        symtab.info = first_global
        symtab.link = symbol_index + 1
        sections.append(symtab)
        for section in sections:
            strings.add(section.name)
        strings.add(".strtab")
        table = strings.encode()
        sections.append(_Output(".strtab", elf.SHT_STRTAB, 0, table, len(table), 1))
        return _encode_file(sections, strings, order, self.big_endian)

    def _encode_symbols(self, order: str, strings: _Strings) -> tuple[list[int], bytes, int]:
        """The number that each symbol has in the file, the table, and the first that is global."""
        row = Struct(order + "IBBHQQ")
        rows = [bytes(elf.SYMBOL_SIZE)]
        numbers = [0] * (len(self._symbols) + 1)
        first_global = 0
        for local in (True, False):
            for index, symbol in enumerate(self._symbols):
                if (symbol.binding == elf.STB_LOCAL) != local:
                    continue
                numbers[index + 1] = len(rows)
                rows.append(
                    row.pack(
                        strings.add(symbol.name),
                        symbol.binding << 4 | symbol.kind,
                        symbol.visibility,
                        symbol.section,
                        symbol.value,
                        symbol.size,
                    )
                )
            if local:
                first_global = len(rows)
        return numbers, b"".join(rows), first_global


def _relocation_section(target: _Output, index: int, numbers: list[int], order: str) -> _Output:
    row = Struct(order + "QQ")
    found = sorted([(offset, numbers[symbol], kind) for offset, symbol, kind in target.relocations])
    data = b"".join([row.pack(offset, symbol << 32 | kind) for offset, symbol, kind in found])
    section = _Output(".rel" + target.name, elf.SHT_REL, 0x40, data, len(data), 8)
    section.entsize = 16
    section.info = index
    return section


def _encode_file(sections: list[_Output], strings: _Strings, order: str, big_endian: bool) -> bytes:
    parts = [b""]
    at = elf.HEADER_SIZE
    row = Struct(order + "IIQQQQIIQQ")
    rows = [bytes(elf.SECTION_HEADER_SIZE)]
    for section in sections:
        gap = -at % section.align
        parts.append(bytes(gap) + section.data)
        offset = at + gap
        rows.append(
            row.pack(
                strings.add(section.name),
                section.type,
                section.flags,
                0,
                offset,
                section.size,
                section.link,
                section.info,
                section.align,
                section.entsize,
            )
        )
        at = offset + len(section.data)
    gap = -at % 8
    parts.append(bytes(gap))
    ident = elf.MAGIC + bytes(
        [elf.CLASS_64, elf.BIG_ENDIAN if big_endian else elf.LITTLE_ENDIAN, 1]
    )
    parts[0] = ident.ljust(16, b"\0") + Struct(order + "HHIQQQIHHHHHH").pack(
        elf.TYPE_RELOCATABLE,
        elf.MACHINE_BPF,
        1,
        0,
        0,
        at + gap,
        0,
        elf.HEADER_SIZE,
        0,
        0,
        elf.SECTION_HEADER_SIZE,
        len(rows),
        len(sections),  # the last one has the names
    )
    return b"".join(parts) + b"".join(rows)


def object_from_instructions(
    programs: Sequence[tuple[str, str, list[Instruction]]],
    license: str = "",  # noqa: A002 - the word of the format
    maps: Sequence[MapSpec] = (),
    big_endian: bool = False,
    platform: str = "linux",
) -> bytes:
    """An object with these programs, each a (name, section, instructions), and these maps.

    Functions that a program calls inside its own instructions become subprograms in `.text`.
    A call or function load that names another program, and a map load that names a map, become
    relocations; a map that is not in ``maps`` is left open for whoever links or loads.
    """
    from anybpf.objects.assembly import Assembly

    return Assembly(big_endian, platform).build(programs, license, maps)
