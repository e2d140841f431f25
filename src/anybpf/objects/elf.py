"""The container: header, sections, symbols and relocations of an ELF file that holds BPF code.

Every bound is checked before it is used, and nothing is copied but names. What sections mean to
BPF (programs, maps, variables) is the business of the modules beside this one; writing files is
that of `elf_writer`.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from anybpf.errors import ObjectError

# Numbers of the System V ABI, chapters 4 and 5; the machine number from its registry.
MAGIC: Final = b"\x7fELF"
CLASS_64: Final = 2
LITTLE_ENDIAN: Final = 1
BIG_ENDIAN: Final = 2
TYPE_RELOCATABLE: Final = 1
MACHINE_NONE: Final = 0  # what compilers wrote before BPF had a number
MACHINE_BPF: Final = 247
HEADER_SIZE: Final = 64
SECTION_HEADER_SIZE: Final = 64
SYMBOL_SIZE: Final = 24

SHT_NULL: Final = 0
SHT_PROGBITS: Final = 1
SHT_SYMTAB: Final = 2
SHT_STRTAB: Final = 3
SHT_RELA: Final = 4
SHT_NOTE: Final = 7
SHT_NOBITS: Final = 8
SHT_REL: Final = 9
SHT_SYMTAB_SHNDX: Final = 18

SHF_WRITE: Final = 1
SHF_ALLOC: Final = 2
SHF_EXECINSTR: Final = 4
SHF_MERGE: Final = 0x10
SHF_STRINGS: Final = 0x20
SHF_COMPRESSED: Final = 0x800

SHN_UNDEF: Final = 0
SHN_LORESERVE: Final = 0xFF00
SHN_ABS: Final = 0xFFF1
SHN_COMMON: Final = 0xFFF2
SHN_XINDEX: Final = 0xFFFF

STB_LOCAL: Final = 0
STB_GLOBAL: Final = 1
STB_WEAK: Final = 2

STT_NOTYPE: Final = 0
STT_OBJECT: Final = 1
STT_FUNC: Final = 2
STT_SECTION: Final = 3
STT_FILE: Final = 4

STV_DEFAULT: Final = 0
STV_INTERNAL: Final = 1
STV_HIDDEN: Final = 2

# Names may share tails, so a small table can spell many long ones. Honest files stay far below.
_NAMES_FACTOR: Final = 4
_NAMES_ALLOWANCE: Final = 0x10000


class Section:
    """One section; where it lies in the file was checked as it was read."""

    __slots__ = (
        "_file", "address", "align", "entsize", "flags", "index", "info", "link", "name", "offset",
        "size", "type",
    )  # fmt: skip

    def __init__(
        self,
        index: int,
        type_number: int,
        flags: int,
        address: int,
        offset: int,
        size: int,
        link: int,
        info: int,
        align: int,
        entsize: int,
        file: memoryview,
    ) -> None:
        self.index: int = index
        self.name: str = ""
        self.type: int = type_number
        self.flags: int = flags
        self.address: int = address
        self.offset: int = offset
        self.size: int = size
        self.link: int = link
        self.info: int = info
        self.align: int = align
        self.entsize: int = entsize
        self._file: memoryview = file

    @property
    def data(self) -> memoryview:
        """A view of the section's bytes in the file, empty for one without any."""
        if self.type == SHT_NULL or self.type == SHT_NOBITS:
            return self._file[:0]
        return self._file[self.offset : self.offset + self.size]

    @property
    def is_code(self) -> bool:
        """Whether the file says that this holds instructions."""
        return self.type == SHT_PROGBITS and self.flags & SHF_EXECINSTR != 0

    def __repr__(self) -> str:
        return f"<Section {self.index} {self.name}, type {self.type}, {self.size} bytes>"


class Symbol:
    """One symbol. ``section_index`` is an index into the sections or a reserved ``SHN_*``."""

    __slots__ = (
        "binding", "index", "kind", "name", "section_index", "size", "value", "visibility",
    )  # fmt: skip

    def __init__(
        self,
        index: int,
        name: str,
        value: int,
        size: int,
        section_index: int,
        binding: int,
        kind: int,
        visibility: int,
    ) -> None:
        self.index: int = index
        self.name: str = name
        self.value: int = value
        self.size: int = size
        self.section_index: int = section_index
        self.binding: int = binding
        self.kind: int = kind
        self.visibility: int = visibility

    @property
    def is_local(self) -> bool:
        return self.binding == STB_LOCAL

    @property
    def is_defined(self) -> bool:
        return self.section_index != SHN_UNDEF

    def __repr__(self) -> str:
        return f"<Symbol {self.index} {self.name} at {self.section_index}+{self.value:#x}>"


class Relocation:
    """One relocation: ``offset`` counts from the start of the section that is relocated.

    ``addend`` is what a RELA section adds; in REL sections, which BPF compilers make, it stands
    in the place itself and is 0 here.
    """

    __slots__ = ("addend", "offset", "symbol_index", "type")

    def __init__(self, offset: int, type_number: int, symbol_index: int, addend: int = 0) -> None:
        self.offset: int = offset
        self.type: int = type_number
        self.symbol_index: int = symbol_index
        self.addend: int = addend

    def __repr__(self) -> str:
        return f"<Relocation type {self.type} at {self.offset:#x} to symbol {self.symbol_index}>"


class ElfFile:
    """A relocatable 64-bit ELF file for BPF, in either byte order.

    Sections are read at once, symbols and relocations when asked for; each raises
    :class:`ObjectError` with the byte offset of what is wrong. A ``lenient`` reader, for listings
    of damaged files, passes over what LLVM's tools only warn of: names that lie outside their
    string table are empty, and a symbol table with entries of a wrong size has no symbols.
    """

    __slots__ = (
        "_headers", "_lenient", "_names_left", "_relocated_by", "_symbols", "big_endian", "data",
        "file", "flags", "machine", "sections", "type",
    )  # fmt: skip

    def __init__(
        self, data: bytes | bytearray | memoryview, file: str = "", lenient: bool = False
    ) -> None:
        self.file: str = file
        self._lenient: bool = lenient
        self.data: memoryview = memoryview(data)
        self.sections: list[Section] = []
        self._headers: int = 0  # where the section table begins
        self._symbols: list[Symbol] | None = None
        # Per string table: the bytes of names that may still be read.
        self._names_left: dict[int, int] = {}
        self._relocated_by: dict[int, list[Section]] = {}

        ident = bytes(self.data[:16])
        if len(ident) < 16 or ident[:4] != MAGIC:
            what = "the file is empty" if not ident else f"it starts with {ident[:4].hex(' ')}"
            raise self.error(f"this is no ELF file: {what}", 0)
        if ident[4] != CLASS_64:
            raise self.error(f"BPF objects are 64-bit ELF files (class 2), found {ident[4]}", 4)
        if ident[5] != LITTLE_ENDIAN and ident[5] != BIG_ENDIAN:
            raise self.error(f"byte order must be 1 (little) or 2 (big), found {ident[5]}", 5)
        self.big_endian: bool = ident[5] == BIG_ENDIAN
        if len(self.data) < HEADER_SIZE:
            raise self.error(
                f"an ELF header has {HEADER_SIZE} bytes, the file only {len(self.data)}", 0
            )
        order = ">" if self.big_endian else "<"
        header = Struct(order + "HHIQQQIHHHHHH").unpack_from(self.data, 16)
        self.type: int = header[0]
        self.machine: int = header[1]
        self.flags: int = header[6]
        if self.type != TYPE_RELOCATABLE:
            raise self.error(
                f"expected a relocatable file (type 1) as `clang -c` writes it, found type "
                f"{self.type}",
                16,
            )
        if self.machine != MACHINE_BPF and self.machine != MACHINE_NONE:
            raise self.error(
                f"this is code for machine {self.machine}, not for BPF ({MACHINE_BPF}); compile "
                "with `anybpf cc` or `clang -target bpf`",
                18,
            )
        self._read_sections(header[5], header[10], header[11], header[12])

    def error(self, message: str, offset: int, section: str = "") -> ObjectError:
        """An error about the byte at ``offset`` of the file."""
        return ObjectError(message, file=self.file, section=section, offset=offset)

    def error_in(self, section: Section, message: str, offset: int = 0) -> ObjectError:
        """An error about the byte at ``offset`` of a section."""
        return ObjectError(
            message, file=self.file, section=section.name, offset=section.offset + offset
        )

    def error_in_header(self, section: Section, message: str, field: int) -> ObjectError:
        """An error about a section's entry in the section table."""
        at = self._headers + section.index * SECTION_HEADER_SIZE + field
        return ObjectError(message, file=self.file, section=section.name, offset=at)

    def section(self, name: str) -> Section | None:
        """The first section of that name."""
        for section in self.sections:
            if section.name == name:
                return section
        return None

    def _read_sections(self, table: int, entry_size: int, count: int, names_index: int) -> None:
        if table == 0:
            raise self.error("the file has no section table", 40)
        if entry_size != SECTION_HEADER_SIZE:
            raise self.error(
                f"entries of the section table have {SECTION_HEADER_SIZE} bytes, here {entry_size}",
                58,
            )
        self._headers = table
        size = len(self.data)
        if table + SECTION_HEADER_SIZE > size:
            raise self.error(
                f"the section table would begin at {table:#x}, the file ends at {size:#x}", 40
            )
        row = Struct((">" if self.big_endian else "<") + "IIQQQQIIQQ")
        first = row.unpack_from(self.data, table)
        # Numbers too large for the header stand in the first entry: System V ABI, chapter 4.
        if count == 0:
            count = first[5]
        if names_index == SHN_XINDEX:
            names_index = first[6]
        if count > (size - table) // SECTION_HEADER_SIZE:
            raise self.error(
                f"the section table at {table:#x} would have {count} entries, the file ends at "
                f"{size:#x}",
                60,
            )
        end = table + count * SECTION_HEADER_SIZE
        name_offsets: list[int] = []
        total = 0
        for index, fields in enumerate(row.iter_unpack(self.data[table:end])):
            name_offset, type_number, flags, address, offset = fields[:5]
            length, link, info, align, entsize = fields[5:]
            if type_number != SHT_NULL and type_number != SHT_NOBITS:
                if offset + length > size:
                    raise self.error(
                        f"section {index} would take {length} bytes from {offset:#x} on, the file "
                        f"ends at {size:#x}",
                        table + index * SECTION_HEADER_SIZE + 24,
                    )
                total += length
            section = Section(
                index, type_number, flags, address, offset, length, link, info, align, entsize,
                self.data,
            )  # fmt: skip
            self.sections.append(section)
            name_offsets.append(name_offset)
        if total > size:
            raise self.error(
                f"the sections overlap: together they claim {total} bytes, the file has {size}",
                table,
            )
        self._name_sections(names_index, name_offsets, table)
        for section in self.sections:
            if section.type == SHT_REL or section.type == SHT_RELA:
                self._relocated_by.setdefault(section.info, []).append(section)

    def _name_sections(self, names_index: int, name_offsets: list[int], table: int) -> None:
        if names_index == SHN_UNDEF:
            return
        if names_index >= len(self.sections):
            raise self.error(
                f"section {names_index} should hold the section names, there are "
                f"{len(self.sections)} sections",
                62,
            )
        names = self.sections[names_index]
        # Compilers put symbol names into the same table; both kinds of user share its budget.
        for section in self.sections:
            at = table + section.index * SECTION_HEADER_SIZE
            section.name = self.string(names, name_offsets[section.index], at)

    def string(self, table: Section, offset: int, user: int, user_section: str = "") -> str:
        """The string at an offset of a string table.

        ``user`` is the byte that refers to it, in ``user_section`` or in the section table.
        Bytes that are no UTF-8 come out as backslash escapes.
        """
        if offset == 0 and not len(table.data):
            return ""
        if offset >= len(table.data):
            if self._lenient:
                return ""
            raise self.error(
                f"a name would begin at byte {offset:#x} of the string table, which has "
                f"{len(table.data):#x}",
                user,
                user_section,
            )
        raw = _until_nul(table.data, offset)
        if offset + len(raw) == len(table.data):
            raise self.error(
                "a name runs over the end of the string table", table.offset + offset, table.name
            )
        known = self._names_left.get(table.index)
        left = _NAMES_ALLOWANCE + _NAMES_FACTOR * len(table.data) if known is None else known
        left -= len(raw)
        if left < 0:
            raise self.error(
                "the names that begin inside this string table are many times longer than the "
                "table itself",
                user,
                user_section,
            )
        self._names_left[table.index] = left
        return raw.decode("utf-8", "backslashreplace")

    @property
    def symbols(self) -> list[Symbol]:
        """All symbols; the first, at index 0, is the null symbol. Empty without a symbol table."""
        found = self._symbols
        if found is None:
            found = self._read_symbols()
            self._symbols = found
        return found

    def forget_symbols(self) -> None:
        """Give their memory back; they are read again if asked for."""
        self._symbols = None

    def symbol_section(self) -> Section | None:
        """The symbol table; more than one is an error."""
        found: Section | None = None
        for section in self.sections:
            if section.type == SHT_SYMTAB:
                if found is not None:
                    raise self.error_in(section, "this is a second symbol table; only one may be")
                found = section
        return found

    def _read_symbols(self) -> list[Symbol]:
        out: list[Symbol] = []
        table = self.symbol_section()
        if table is None:
            return out
        if table.entsize not in (0, SYMBOL_SIZE) or table.size % SYMBOL_SIZE:
            if self._lenient:
                return out
            raise self.error_in_header(
                table,
                f"a symbol table has entries of {SYMBOL_SIZE} bytes, here {table.size} bytes in "
                f"entries of {table.entsize}",
                56,
            )
        if not 0 < table.link < len(self.sections):
            raise self.error_in_header(
                table,
                f"section {table.link} should hold the symbol names, there are "
                f"{len(self.sections)} sections",
                40,
            )
        strings = self.sections[table.link]
        row = Struct((">" if self.big_endian else "<") + "IBBHQQ")
        count = len(self.sections)
        wide = self._wide_indices(table)
        for index, fields in enumerate(row.iter_unpack(table.data)):
            name_offset, info, other, section_index, value, size = fields
            name = ""
            if name_offset != 0:
                at = table.offset + index * SYMBOL_SIZE
                name = self.string(strings, name_offset, at, table.name)
            place: int = section_index
            if place >= count:
                if place == SHN_XINDEX and index < len(wide):
                    place = wide[index]
                if place >= count and not SHN_LORESERVE <= place < SHN_XINDEX:
                    raise self.error_in(
                        table,
                        f"symbol {index} ({name or 'without name'}) is in section {place}, there "
                        f"are {count} sections",
                        index * SYMBOL_SIZE + 6,
                    )
            bits: int = info
            out.append(Symbol(index, name, value, size, place, bits >> 4, bits & 15, other & 3))
        return out

    def _wide_indices(self, table: Section) -> list[int]:
        """Section indices that do not fit into symbols, from the table beside the symbols."""
        out: list[int] = []
        for section in self.sections:
            if section.type == SHT_SYMTAB_SHNDX and section.link == table.index:
                if section.size % 4:
                    raise self.error_in(section, "a table of section indices ends inside an entry")
                word = Struct(">I" if self.big_endian else "<I")
                return [row[0] for row in word.iter_unpack(section.data)]
        return out

    def relocation_sections(self, section_index: int) -> list[Section]:
        """The sections that relocate the one with that index."""
        return self._relocated_by.get(section_index, [])

    def relocations(self, section_index: int) -> list[Relocation]:
        """The relocations of the section with that index, as they stand in the file."""
        out: list[Relocation] = []
        for table in self.relocation_sections(section_index):
            self._read_relocations(table, self.sections[section_index], out)
        return out

    def _read_relocations(self, table: Section, target: Section, out: list[Relocation]) -> None:
        with_addend = table.type == SHT_RELA
        entry = 24 if with_addend else 16
        if table.entsize not in (0, entry) or table.size % entry:
            raise self.error_in_header(
                table,
                f"relocations have {entry} bytes, here are {table.size} bytes in entries of "
                f"{table.entsize}",
                56,
            )
        symbols = len(self.symbols)
        limit = target.size
        order = ">" if self.big_endian else "<"
        at = 0
        row = Struct(order + "QQq") if with_addend else Struct(order + "QQ")
        for fields in row.iter_unpack(table.data):
            offset: int = fields[0]
            info: int = fields[1]
            symbol = info >> 32
            if offset >= limit:
                raise self.error_in(
                    table,
                    f"this relocates byte {offset:#x} of section {target.name}, which has {limit} "
                    "bytes",
                    at,
                )
            if symbol >= symbols:
                raise self.error_in(
                    table, f"this refers to symbol {symbol}, there are {symbols}", at + 8
                )
            addend: int = fields[2] if with_addend else 0
            out.append(Relocation(offset, info & 0xFFFFFFFF, symbol, addend))
            at += entry

    def __repr__(self) -> str:
        order = "big" if self.big_endian else "little"
        return f"<ElfFile {self.file or 'data'}, {order}-endian, {len(self.sections)} sections>"


def _until_nul(data: memoryview, start: int) -> bytes:
    """The bytes from ``start`` to the next NUL or the end, copied in growing steps."""
    step = 64
    while True:
        piece = bytes(data[start : start + step])
        end = piece.find(0)
        if end >= 0:
            return piece[:end]
        if len(piece) < step:
            return piece
        step *= 4
