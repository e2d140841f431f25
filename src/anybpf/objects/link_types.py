"""The type information of several objects as one: `.BTF` and `.BTF.ext` for the linker.

What is called by one name becomes one type, equal types become one, data sections say where
variables lie in the joined sections, and records move with the instructions that they describe.
Which symbol is the definition is decided in `linker`.
"""

from __future__ import annotations

from typing import Final

from anybpf.btf import BTF, BTFBuilder, BTFExt
from anybpf.btf import types as t
from anybpf.btf.builder import remap
from anybpf.btf.dedup import deduplicate
from anybpf.btf.ext import InfoSection
from anybpf.btf.references import references, with_references
from anybpf.errors import LinkError
from anybpf.objects import elf
from anybpf.objects.elf import ElfFile, Section, Symbol

# Sections that an object has once, however many it was linked from.
DEFINED_ONCE: Final = ("license", "version")


class Joined:
    """A section of the result, and the pieces that it is made of."""

    __slots__ = (
        "_image", "align", "entsize", "file", "flags", "index", "is_code", "name", "parts",
        "relocations", "size", "type",
    )  # fmt: skip

    def __init__(self, first: Section, index: int, file: str) -> None:
        self.name: str = first.name
        self.index: int = index
        self.type: int = first.type
        self.flags: int = first.flags
        self.entsize: int = first.entsize
        self.is_code: bool = first.is_code
        self.file: str = file  # of the first piece
        self.align: int = 1
        self.size: int = 0
        self.parts: list[bytes | memoryview] = []
        self.relocations: list[tuple[int, int, int]] = []
        self._image: bytearray | None = None

    def image(self) -> bytearray:
        """All pieces together; to be asked for when no more come."""
        found = self._image
        if found is None or len(found) != self.size:
            found = bytearray(b"".join(self.parts))
            self._image = found
        return found


class Input:
    """An object to be linked, and where its parts have gone."""

    __slots__ = (
        "_named_sections", "_named_types", "_symbols_in", "btf", "elf", "ext", "file", "ids",
        "number", "repeats", "shifts", "targets",
    )  # fmt: skip

    def __init__(self, found: ElfFile, number: int) -> None:
        self.elf: ElfFile = found
        self.file: str = found.file
        self.number: int = number
        self.btf: BTF | None = None
        self.ext: BTFExt | None = None
        # Per section: the index of the joined one, -1 if it is left out, and the place in it.
        self.targets: list[int] = []
        self.shifts: list[int] = []
        # Sections that repeat what another object has said, see DEFINED_ONCE.
        self.repeats: set[int] = set()
        self.ids: list[int] = []  # per type its number among the merged ones
        self._named_types: dict[str, int] | None = None
        self._named_sections: dict[str, int] | None = None
        self._symbols_in: dict[int, dict[str, Symbol]] | None = None

    def type_of(self, name: str) -> int:
        """The id of the function or variable that others see by that name, 0 for none."""
        known = self._named_types
        if known is None:
            known = {}
            if self.btf is not None:
                for found in self.btf.types():
                    linkage = linkage_of(found)
                    if linkage == t.LINKAGE_GLOBAL or (
                        linkage == t.LINKAGE_EXTERN and found.name not in known
                    ):
                        known[found.name] = found.id
            self._named_types = known
        return known.get(name, 0)

    def section_named(self, name: str) -> int:
        """The index of the first section of that name that takes part in the link, 0 for none."""
        known = self._named_sections
        if known is None:
            known = {}
            for section in self.elf.sections:
                if self.targets[section.index] >= 0:
                    known.setdefault(section.name, section.index)
            self._named_sections = known
        return known.get(name, 0)

    def symbols_in(self, section_index: int) -> dict[str, Symbol]:
        """What lies in a section, by name; symbols of the section itself are none."""
        known = self._symbols_in
        if known is None:
            known = {}
            for symbol in self.elf.symbols:
                if symbol.kind != elf.STT_SECTION:
                    known.setdefault(symbol.section_index, {})[symbol.name] = symbol
            self._symbols_in = known
        found = known.get(section_index)
        return {} if found is None else found


class Global:
    """A name that objects share: who defines it, or, if nobody does, who asked for it first."""

    __slots__ = ("entry", "is_defined", "is_weak")

    def __init__(self, entry: Input, symbol: Symbol) -> None:
        self.entry: Input = entry
        self.is_defined: bool = symbol.is_defined
        self.is_weak: bool = symbol.binding == elf.STB_WEAK

    @property
    def file(self) -> str:
        return self.entry.file

    def define(self, entry: Input, symbol: Symbol) -> None:
        """A definition that counts from now on."""
        self.entry = entry
        self.is_defined = True
        self.is_weak = symbol.binding == elf.STB_WEAK

    def add(self, entry: Input, symbol: Symbol) -> None:
        """One more object that uses the name; it may be the first that tells its type."""
        if not self.is_defined and not self.entry.type_of(symbol.name):
            self.entry = entry


class TypeMerger:
    """Merges; afterwards :attr:`btf` and :attr:`ext` are the sections, empty if there are none."""

    __slots__ = (
        "_big_endian", "_globals", "_inputs", "_sections", "_text", "btf", "ext",
    )  # fmt: skip

    def __init__(
        self,
        inputs: list[Input],
        names: dict[str, Global],
        sections: dict[str, Joined],
        big_endian: bool,
    ) -> None:
        self._inputs: list[Input] = [entry for entry in inputs if entry.btf is not None]
        self._globals: dict[str, Global] = names
        self._sections: dict[str, Joined] = sections
        self._big_endian: bool = big_endian
        self._text: BTFBuilder = BTFBuilder(big_endian)
        self.btf: bytes = b""
        self.ext: bytes = b""

    def merge(self) -> None:
        if not self._inputs:
            return
        builder = BTFBuilder(self._big_endian)
        self._number_types()
        self._add_types(builder)
        self._add_data_sections(builder)
        # Strings of the records come first, as those that no type uses would be lost.
        self._add_strings()
        merged, ids = deduplicate(builder.build(), builder=self._text)
        for entry in self._inputs:
            entry.ids = remap(ids, entry.ids)
        self.btf = merged.encode()
        self._merge_records()

    def _types(self, entry: Input) -> BTF:
        assert entry.btf is not None
        return entry.btf

    def _home(self, entry: Input, found: t.Type) -> Input:
        """The object whose type stands for this one: of a shared name, the definition's."""
        linkage = linkage_of(found)
        if linkage == t.LINKAGE_GLOBAL or linkage == t.LINKAGE_EXTERN:
            known = self._globals.get(found.name)
            if known is not None and known.entry.type_of(found.name):
                return known.entry
        return entry

    def _number_types(self) -> None:
        """Give every type a number; what is declared here and defined there has one together."""
        last = 0
        elsewhere: list[tuple[Input, int, Input, int]] = []
        for entry in self._inputs:
            entry.ids = [0]
            for found in self._types(entry).types():
                number = 0
                if isinstance(found, t.DataSection):
                    pass  # made anew, and nothing refers to one
                else:
                    home = self._home(entry, found)
                    there = home.type_of(found.name) if linkage_of(found) > 0 else found.id
                    if home is entry and (there == found.id or not there):
                        last += 1
                        number = last
                    else:
                        elsewhere.append((entry, found.id, home, there))
                entry.ids.append(number)
        for entry, type_id, home, there in elsewhere:
            entry.ids[type_id] = home.ids[there]

    def _add_types(self, builder: BTFBuilder) -> None:
        for entry in self._inputs:
            for found in self._types(entry).types():
                if entry.ids[found.id] == builder.next_id:
                    builder.add(with_references(found, remap(entry.ids, references(found))))

    # ---- data sections ----

    def _add_data_sections(self, builder: BTFBuilder) -> None:
        variables: dict[str, list[t.SectionVar]] = {}
        listed: set[int] = set()
        for entry in self._inputs:
            for found in self._types(entry).types():
                if isinstance(found, t.DataSection):
                    rows = variables.setdefault(found.name, [])
                    self._add_variables(entry, found, rows, listed)
        # In the order of the sections; those that only the system can fill come last.
        names = [name for name in self._sections if name in variables]
        names += [name for name in variables if name not in self._sections]
        for name in names:
            rows = variables[name]
            joined = self._sections.get(name)
            size = joined.size if joined is not None else 0
            if rows:
                rows.sort(key=_offset)
                builder.add(t.DataSection(name, size, rows))

    def _add_variables(
        self, entry: Input, section: t.DataSection, rows: list[t.SectionVar], listed: set[int]
    ) -> None:
        joined = self._sections.get(section.name)
        index = entry.section_named(section.name)
        if index in entry.repeats:
            return
        symbols = entry.symbols_in(index)
        for variable in section.vars:
            found = self._types(entry).type(variable.type_id)
            number = remap(entry.ids, [variable.type_id])[0]
            if number in listed:
                continue
            known = self._globals.get(found.name) if linkage_of(found) > 0 else None
            if known is not None and known.is_defined and known.entry is not entry:
                continue  # the definition has its own row
            offset = 0
            if index:
                symbol_found = symbols.get(found.name)
                offset = variable.offset if symbol_found is None else symbol_found.value
                offset += entry.shifts[index]
                if symbol_found is None and linkage_of(found) == t.LINKAGE_EXTERN:
                    continue  # declared for this section, defined nowhere yet
            elif joined is not None or (known is not None and known.is_defined):
                continue
            listed.add(number)
            rows.append(t.SectionVar(number, offset, variable.size))

    # ---- records about instructions ----

    def _add_strings(self) -> None:
        for entry in self._inputs:
            if entry.ext is None:
                continue
            btf = self._types(entry)
            for table in (entry.ext.func_info, entry.ext.line_info, entry.ext.core_relo):
                for info in table:
                    self._text.add_string(btf.string(info.name_offset))
            for info in entry.ext.line_info:
                for row in info.rows():
                    self._text.add_string(btf.string(row[1]))
                    self._text.add_string(btf.string(row[2]))
            for info in entry.ext.core_relo:
                for row in info.rows():
                    self._text.add_string(btf.string(row[2]))

    def _merge_records(self) -> None:
        ext = BTFExt(self._big_endian)
        functions: dict[str, list[tuple[int, ...]]] = {}
        lines: dict[str, list[tuple[int, ...]]] = {}
        cores: dict[str, list[tuple[int, ...]]] = {}
        for entry in self._inputs:
            if entry.ext is None:
                continue
            for info in entry.ext.func_info:
                self._move_functions(entry, info, functions)
            for info in entry.ext.line_info:
                self._move_lines(entry, info, lines)
            for info in entry.ext.core_relo:
                self._move_cores(entry, info, cores)
        for name, rows in functions.items():
            ext.add_func_info(self._text.add_string(name), rows)
        for name, rows in lines.items():
            ext.add_line_info(self._text.add_string(name), rows)
        for name, rows in cores.items():
            ext.add_core_relo(self._text.add_string(name), rows)
        if functions or lines or cores:
            self.ext = ext.encode()

    def _place(self, entry: Input, info: InfoSection) -> tuple[str, int, int]:
        """The section that records are about, where it was put, and its size; '' if left out."""
        name = self._types(entry).string(info.name_offset)
        index = entry.section_named(name)
        if not index:
            if info.count and entry.elf.section(name) is None:
                raise LinkError(
                    f"there are records about section {name}, which is not there",
                    file=entry.file,
                    section=".BTF.ext",
                )
            return "", 0, 0
        return name, entry.shifts[index], entry.elf.sections[index].size

    def _move_functions(
        self, entry: Input, info: InfoSection, into: dict[str, list[tuple[int, ...]]]
    ) -> None:
        name, shift, size = self._place(entry, info)
        if name:
            out = into.setdefault(name, [])
            for row in info.rows():
                _check_offset(entry, name, row[0], size)
                out.append((row[0] + shift, self._new_id(entry, row[1])))

    def _move_lines(
        self, entry: Input, info: InfoSection, into: dict[str, list[tuple[int, ...]]]
    ) -> None:
        name, shift, size = self._place(entry, info)
        if name:
            out = into.setdefault(name, [])
            for row in info.rows():
                _check_offset(entry, name, row[0], size)
                out.append(
                    (
                        row[0] + shift,
                        self._string(entry, row[1]),
                        self._string(entry, row[2]),
                        row[3],
                    )
                )

    def _move_cores(
        self, entry: Input, info: InfoSection, into: dict[str, list[tuple[int, ...]]]
    ) -> None:
        name, shift, size = self._place(entry, info)
        if name:
            out = into.setdefault(name, [])
            for row in info.rows():
                _check_offset(entry, name, row[0], size)
                access = self._string(entry, row[2])
                out.append((row[0] + shift, self._new_id(entry, row[1]), access, row[3]))

    def _string(self, entry: Input, offset: int) -> int:
        return self._text.add_string(self._types(entry).string(offset))

    def _new_id(self, entry: Input, type_id: int) -> int:
        if type_id >= len(entry.ids):
            raise LinkError(
                f"a record names type {type_id}, ids go up to {len(entry.ids) - 1}",
                file=entry.file,
                section=".BTF.ext",
            )
        return entry.ids[type_id]


def linkage_of(found: t.Type) -> int:
    """Who sees a function or variable by its name; -1 for other types."""
    if isinstance(found, t.Function):
        return found.linkage
    if isinstance(found, t.Var):
        return found.linkage
    return -1


def _offset(variable: t.SectionVar) -> int:
    return variable.offset


def _check_offset(entry: Input, section: str, offset: int, size: int) -> None:
    if offset >= size:
        raise LinkError(
            f"a record is about byte {offset:#x} of section {section}, which has {size} bytes",
            file=entry.file,
            section=".BTF.ext",
        )
