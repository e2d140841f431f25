"""The static linker: one object of several, as `anybpf link` makes it.

Sections of one name are joined, names that one object uses and another defines are resolved, and
type information is merged (`link_types`). Names that no object defines stay open, for the next
link or for the loader. Running programs and resolving against a kernel are other rooms' work.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from struct import Struct
from typing import Final

from anybpf.btf import BTF, BTFExt
from anybpf.errors import LinkError
from anybpf.objects import elf
from anybpf.objects.elf import ElfFile, Section, Symbol
from anybpf.objects.elf_writer import R_BPF_64_32, R_BPF_64_64, R_BPF_64_ABS64, ElfWriter
from anybpf.objects.link_maps import check_legacy_maps
from anybpf.objects.link_types import DEFINED_ONCE, Global, Input, Joined, TypeMerger
from anybpf.objects.type_match import TypeMatch

# Relocation types: the kernel's llvm_reloc.rst. The last is for what only loaders of code look at.
_R_BPF_NONE: Final = 0
_R_BPF_64_ABS32: Final = 3
_R_BPF_64_NODYLD32: Final = 4

_MAX_ALIGN: Final = 4096
_MAX_SECTION: Final = 1 << 32  # a map's value has at most that many bytes
# Bytes that alignment may add between joined sections; honest objects add a few.
_MAX_GAPS: Final = 1 << 20

# Sections that describe the machine code of other architectures, or other sections.
_LEFT_OUT: Final = (".debug_", ".zdebug_", ".eh_frame", ".note", ".comment", ".llvm", ".BTF")
# Types that hold no contents of their own; and those that compilers use for their own notes.
_TABLES: Final = (
    elf.SHT_NULL,
    elf.SHT_SYMTAB,
    elf.SHT_STRTAB,
    elf.SHT_REL,
    elf.SHT_RELA,
    elf.SHT_NOTE,
    elf.SHT_SYMTAB_SHNDX,
)
_FIRST_PRIVATE_TYPE: Final = 0x60000000


def link(objects: Sequence[str | os.PathLike[str] | bytes | ElfFile]) -> bytes:
    """One object made of all of ``objects``, each a path, the bytes of a file, or a read one.

    Debug information for other tools (DWARF) is left out, as it describes single objects.
    :class:`LinkError` names the files that do not go together.
    """
    if not objects:
        raise LinkError("there is nothing to link: give at least one object")
    inputs: list[Input] = []
    for number, given in enumerate(objects, 1):
        inputs.append(_read(given, number))
    return _Linker(inputs).run()


def _read(given: str | os.PathLike[str] | bytes | ElfFile, number: int) -> Input:
    if isinstance(given, ElfFile):
        found = given
    elif isinstance(given, bytes):
        found = ElfFile(given, f"object {number}")
    else:
        path = os.fspath(given)
        with open(path, "rb") as file:
            found = ElfFile(file.read(), path)
    entry = Input(found, number - 1)
    types = found.section(".BTF")
    if types is not None:
        entry.btf = BTF.parse(types.data, file=found.file)
        if entry.btf.big_endian != found.big_endian:
            raise LinkError(
                "the type information has another byte order than the object",
                file=found.file,
                section=".BTF",
            )
        ext = found.section(".BTF.ext")
        if ext is not None:
            entry.ext = BTFExt.parse(ext.data, found.big_endian, found.file)
    return entry


class _OutSymbol:
    """A symbol of the result; for a global one, where its definition was found."""

    __slots__ = ("binding", "kind", "name", "section", "size", "value", "visibility")

    def __init__(self, name: str) -> None:
        self.name: str = name
        self.section: int = elf.SHN_UNDEF  # of the result
        self.value: int = 0
        self.size: int = 0
        self.binding: int = elf.STB_LOCAL
        self.kind: int = elf.STT_NOTYPE
        self.visibility: int = elf.STV_DEFAULT


class _Linker:
    """The work on one set of objects; each step below is one pass over all of them."""

    __slots__ = (
        "_big_endian", "_gaps", "_globals", "_inputs", "_matches", "_numbers", "_out_globals",
        "_section_symbols", "_sections", "_symbols",
    )  # fmt: skip

    def __init__(self, inputs: list[Input]) -> None:
        self._inputs: list[Input] = inputs
        self._big_endian: bool = inputs[0].elf.big_endian
        self._sections: dict[str, Joined] = {}
        self._symbols: list[_OutSymbol] = []
        self._globals: dict[str, Global] = {}
        self._out_globals: dict[str, int] = {}  # index into the symbols
        self._section_symbols: dict[int, int] = {}
        # Per input, the symbol of the result that each of its symbols became, -1 for none.
        self._numbers: list[list[int]] = []
        self._gaps: int = 0
        self._matches: dict[tuple[int, int], TypeMatch] = {}  # by the objects compared

    def run(self) -> bytes:
        for entry in self._inputs:
            if entry.elf.big_endian != self._big_endian:
                raise LinkError(
                    f"the byte order is not that of {self._inputs[0].file}", file=entry.file
                )
        for entry in self._inputs:
            self._join_sections(entry)
        check_legacy_maps(self._inputs)
        for entry in self._inputs:
            self._add_symbols(entry)
        types = TypeMerger(self._inputs, self._globals, self._sections, self._big_endian)
        types.merge()
        for entry in self._inputs:
            self._add_relocations(entry)
        return self._write(types)

    # ---- sections ----

    def _join_sections(self, entry: Input) -> None:
        used = {
            symbol.section_index
            for symbol in entry.elf.symbols
            if symbol.kind not in (elf.STT_SECTION, elf.STT_FILE)
        }
        for section in entry.elf.sections:
            entry.targets.append(-1)
            entry.shifts.append(0)
            if not _is_kept(entry, section) or (section.size == 0 and section.index not in used):
                continue
            joined = self._sections.get(section.name)
            if joined is None:
                joined = Joined(section, len(self._sections) + 1, entry.file)
                self._sections[section.name] = joined
            elif section.name in DEFINED_ONCE:
                if joined.index in entry.targets:
                    raise entry.elf.error_in(section, f"this is a second section {section.name}")
                _check_same(entry, section, joined)
                entry.targets[section.index] = joined.index
                entry.repeats.add(section.index)
                continue
            else:
                _check_joins(entry, section, joined)
            entry.targets[section.index] = joined.index
            entry.shifts[section.index] = self._append(entry, section, joined)

    def _append(self, entry: Input, section: Section, joined: Joined) -> int:
        align = section.align or 1
        if align & (align - 1) or align > _MAX_ALIGN:
            raise entry.elf.error_in_header(
                section, f"alignment {align} is no power of two up to {_MAX_ALIGN}", 48
            )
        # Instructions stand at multiples of eight whatever a hand-made file says.
        if joined.is_code and align < 8:
            align = 8
        if joined.is_code and section.size % 8:
            raise entry.elf.error_in(
                section, f"{section.size} bytes are no whole number of instructions"
            )
        gap = -joined.size % align
        self._gaps += gap
        start = joined.size + gap
        if start + section.size > _MAX_SECTION:
            raise entry.elf.error_in_header(
                section, f"the section would grow to {start + section.size} bytes", 32
            )
        if section.type != elf.SHT_NOBITS:
            if self._gaps > _MAX_GAPS:
                raise entry.elf.error_in_header(
                    section, f"alignment would add more than {_MAX_GAPS} bytes of nothing", 48
                )
            joined.parts.append(bytes(gap))
            joined.parts.append(section.data)
        joined.size = start + section.size
        joined.align = max(joined.align, align)
        return start

    # ---- symbols ----

    def _add_symbols(self, entry: Input) -> None:
        numbers: list[int] = []
        self._numbers.append(numbers)
        for symbol in entry.elf.symbols:
            numbers.append(-1 if symbol.index == 0 else self._add_symbol(entry, symbol))

    def _add_symbol(self, entry: Input, symbol: Symbol) -> int:
        place = symbol.section_index
        target = elf.SHN_UNDEF
        value = symbol.value
        if symbol.is_defined and place < elf.SHN_LORESERVE:
            target = entry.targets[place]
            if target < 0:
                return -1  # it belongs to something that is left out
            if symbol.value + symbol.size > entry.elf.sections[place].size:
                raise LinkError(
                    f"symbol {symbol.name} ends at {symbol.value + symbol.size:#x}, behind the "
                    f"{entry.elf.sections[place].size} bytes of its section",
                    file=entry.file,
                    section=entry.elf.sections[place].name,
                )
            value += entry.shifts[place]
        elif symbol.is_defined:
            if symbol.kind == elf.STT_SECTION:
                return -1  # of no section that there is
            if place != elf.SHN_ABS:
                raise LinkError(
                    f"symbol {symbol.name} is in no section ({place:#x}): compile with -fno-common",
                    file=entry.file,
                )
            target = place
        if symbol.kind == elf.STT_SECTION:
            known = self._section_symbols.get(target)
            if known is not None:
                return known
            value = 0
        if symbol.binding == elf.STB_LOCAL:
            if place in entry.repeats and symbol.kind != elf.STT_SECTION:
                return -1
            number = self._new(symbol, target, value)
            if symbol.kind == elf.STT_SECTION:
                self._section_symbols[target] = number
            return number
        if symbol.binding not in (elf.STB_GLOBAL, elf.STB_WEAK) or not symbol.name:
            raise LinkError(
                f"symbol {symbol.index} ({symbol.name or 'without name'}) has binding "
                f"{symbol.binding}, which means nothing here",
                file=entry.file,
            )
        return self._add_global(entry, symbol, target, value)

    def _new(self, symbol: Symbol, target: int, value: int) -> int:
        made = _OutSymbol(symbol.name)
        made.binding = symbol.binding
        made.visibility = symbol.visibility
        self._symbols.append(made)
        _define(made, symbol, target, value)
        return len(self._symbols) - 1

    def _add_global(self, entry: Input, symbol: Symbol, target: int, value: int) -> int:
        known = self._globals.get(symbol.name)
        if known is None:
            if symbol.section_index in entry.repeats:
                return -1  # another name for the licence that the first object has
            self._globals[symbol.name] = Global(entry, symbol)
            number = self._new(symbol, target, value)
            self._out_globals[symbol.name] = number
            return number
        number = self._out_globals[symbol.name]
        made = self._symbols[number]
        self._check_types(entry, symbol, known)
        if symbol.visibility != elf.STV_DEFAULT:
            made.visibility = symbol.visibility  # who hides a name hides it for all
        if not symbol.is_defined:
            known.add(entry, symbol)
            if not known.is_defined and symbol.binding == elf.STB_GLOBAL:
                made.binding = elf.STB_GLOBAL  # one that must be there is enough
            return number
        if symbol.section_index in entry.repeats:
            return number
        if known.is_defined:
            if symbol.binding == elf.STB_WEAK:
                return number
            if not known.is_weak:
                raise LinkError(
                    f"{symbol.name} is defined here and in {known.file}; make one of them static "
                    "or __weak",
                    file=entry.file,
                    section=entry.elf.sections[symbol.section_index].name
                    if symbol.section_index < len(entry.elf.sections)
                    else "",
                )
        known.define(entry, symbol)
        made.binding = symbol.binding
        _define(made, symbol, target, value)
        return number

    def _check_types(self, entry: Input, symbol: Symbol, known: Global) -> None:
        """What two objects call by one name must be of one type, as far as types are known."""
        mine = entry.type_of(symbol.name)
        theirs = known.entry.type_of(symbol.name)
        if entry.btf is None or known.entry.btf is None or not mine or not theirs:
            return
        pair = (entry.number, known.entry.number)
        match = self._matches.get(pair)
        if match is None:
            match = TypeMatch(entry.btf, known.entry.btf)
            self._matches[pair] = match
        problem = match.problem(mine, theirs)
        if problem:
            raise LinkError(
                f"{symbol.name} has another type than in {known.file}: {problem}",
                file=entry.file,
            )

    # ---- relocations ----

    def _add_relocations(self, entry: Input) -> None:
        for section in entry.elf.sections:
            target = entry.targets[section.index]
            if target < 0 or section.index in entry.repeats:
                continue
            for table in entry.elf.relocation_sections(section.index):
                if table.type == elf.SHT_RELA:
                    raise entry.elf.error_in_header(
                        table, "relocations with addends are not used by BPF compilers", 4
                    )
            joined = self._sections[section.name]
            shift = entry.shifts[section.index]
            for relocation in entry.elf.relocations(section.index):
                kind = relocation.type
                if kind in (_R_BPF_NONE, _R_BPF_64_NODYLD32):
                    continue
                number = self._numbers[entry.number][relocation.symbol_index]
                symbol = entry.elf.symbols[relocation.symbol_index]
                if number < 0:
                    raise entry.elf.error_in(
                        section,
                        f"this refers to {symbol.name or 'a symbol without name'}, which is no "
                        "part of what is linked",
                        relocation.offset,
                    )
                place = relocation.offset + shift
                width = _width(kind, joined.is_code)
                if width == 0 or relocation.offset + width > section.size or not joined.parts:
                    raise entry.elf.error_in(
                        section, f"a relocation of type {kind} cannot stand here", relocation.offset
                    )
                if symbol.kind == elf.STT_SECTION:
                    self._move(joined, place, kind, entry.shifts[symbol.section_index])
                joined.relocations.append((place, number, kind))

    def _move(self, joined: Joined, place: int, kind: int, distance: int) -> None:
        """A reference to a place in a section: the place has moved, and the number with it."""
        if distance == 0:
            return
        data = joined.image()
        order = ">" if self._big_endian else "<"
        # A 16-byte load has the distance in bytes in its first immediate, a call in instructions.
        if joined.is_code and kind in (R_BPF_64_64, R_BPF_64_32):
            field = Struct(order + "I")
            place += 4
            if kind == R_BPF_64_32:
                distance //= 8
        else:
            field = Struct(order + ("I" if kind == _R_BPF_64_ABS32 else "Q"))
        mask = (1 << field.size * 8) - 1
        field.pack_into(data, place, field.unpack_from(data, place)[0] + distance & mask)

    # ---- the file ----

    def _write(self, types: TypeMerger) -> bytes:
        writer = ElfWriter(self._big_endian)
        for joined in self._sections.values():
            writer.add_section(
                joined.name,
                bytes(joined.image()) if joined.parts else b"",
                joined.type,
                joined.flags,
                joined.align,
                joined.entsize,
                joined.size,
            )
        if types.btf:
            writer.add_section(".BTF", types.btf, align=8)
        if types.ext:
            writer.add_section(".BTF.ext", types.ext, align=8)
        for made in self._symbols:
            writer.add_symbol(
                made.name,
                made.section,
                made.value,
                made.size,
                made.binding,
                made.kind,
                made.visibility,
            )
        for joined in self._sections.values():
            for place, number, kind in joined.relocations:
                writer.add_relocation(joined.index, place, number + 1, kind)
        return writer.encode()


def _is_kept(entry: Input, section: Section) -> bool:
    if section.type in _TABLES or section.type >= _FIRST_PRIVATE_TYPE:
        return False
    if section.name.startswith(_LEFT_OUT):
        return False
    if section.type not in (elf.SHT_PROGBITS, elf.SHT_NOBITS):
        raise entry.elf.error_in_header(
            section, f"a section of type {section.type} cannot be linked", 4
        )
    return True


def _check_same(entry: Input, section: Section, joined: Joined) -> None:
    """The licence and the version are said once; who says them again must say the same."""
    mine = bytes(section.data).rstrip(b"\0")
    theirs = bytes(joined.image()).rstrip(b"\0")
    if mine != theirs:
        raise LinkError(
            f"{section.name} is {_quote(mine)} here and {_quote(theirs)} in {joined.file}; linked "
            "objects share one",
            file=entry.file,
            section=section.name,
        )


def _quote(text: bytes) -> str:
    return repr(text[:60].decode("utf-8", "backslashreplace"))


def _check_joins(entry: Input, section: Section, joined: Joined) -> None:
    if section.type != joined.type or section.is_code != joined.is_code:
        words = ("code" if joined.is_code else "data", "code" if section.is_code else "data")
        if words[0] == words[1]:
            words = ("with contents", "zeros only")
            if joined.type == elf.SHT_NOBITS:
                words = (words[1], words[0])
        raise LinkError(
            f"the section is {words[1]} here and {words[0]} in {joined.file}",
            file=entry.file,
            section=section.name,
        )
    joined.flags |= section.flags
    if section.entsize != joined.entsize:
        # Pieces of different size: no tool may merge them any more.
        joined.entsize = 0
        joined.flags &= ~(elf.SHF_MERGE | elf.SHF_STRINGS)


def _define(made: _OutSymbol, symbol: Symbol, target: int, value: int) -> None:
    made.section = target
    made.value = value
    made.size = symbol.size
    made.kind = symbol.kind


def _width(kind: int, in_code: bool) -> int:
    """The bytes that a relocation of this type needs at its place, 0 if the type is unknown."""
    if kind == R_BPF_64_64:
        return 16 if in_code else 8  # compilers before LLVM 13 used it for data too
    if kind in (R_BPF_64_32, R_BPF_64_ABS64):
        return 8
    return 4 if kind == _R_BPF_64_ABS32 else 0
