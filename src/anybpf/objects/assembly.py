"""An object file of programs that exist as instructions, such as assembled text.

Functions are laid out in sections, references become relocations, maps become definitions with
their type information. Use it by `anybpf.objects.elf_writer.object_from_instructions`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from anybpf.btf import BTFBuilder
from anybpf.btf import types as t
from anybpf.errors import ObjectError
from anybpf.isa import encode
from anybpf.isa.instruction import Instruction
from anybpf.isa.opcodes import PSEUDO_MAP_INDEX_VALUE, PSEUDO_MAP_VALUE
from anybpf.objects import elf
from anybpf.objects.elf_writer import R_BPF_64_32, R_BPF_64_64, ElfWriter
from anybpf.objects.specs import MapSpec
from anybpf.platforms import Platform
from anybpf.platforms import get as get_platform

_TEXT: Final = ".text"
_CODE_FLAGS: Final = elf.SHF_ALLOC | elf.SHF_EXECINSTR
_DATA_FLAGS: Final = elf.SHF_ALLOC | elf.SHF_WRITE
_PIN_BY_NAME: Final = 1  # LIBBPF_PIN_BY_NAME
_UINT_LIMIT: Final = 1 << 32


class _Piece:
    """A function on its way into a section."""

    __slots__ = ("instructions", "labels", "name", "offset", "section", "size", "start", "symbol")

    def __init__(self, name: str, section: str, start: int) -> None:
        self.name: str = name
        self.section: str = section
        self.start: int = start  # its first slot in the instructions that it was part of
        self.size: int = 0  # in slots
        self.instructions: list[Instruction] = []
        self.labels: set[str] = set()  # of an entry: all names in its text
        self.offset: int = 0  # in bytes, in its section
        self.symbol: int = 0


class Assembly:
    """Makes one object; see :func:`anybpf.objects.elf_writer.object_from_instructions`."""

    __slots__ = ("_big_endian", "_maps", "_named", "_placed", "_platform", "_sections", "_writer")

    def __init__(self, big_endian: bool, platform: str) -> None:
        self._big_endian: bool = big_endian
        self._platform: Platform = get_platform(platform)
        self._writer: ElfWriter = ElfWriter(big_endian)
        self._named: dict[str, _Piece] = {}
        self._placed: dict[str, list[_Piece]] = {}  # by section, in order
        self._sections: dict[str, int] = {}
        self._maps: dict[str, int] = {}  # the symbol of each map, and of what is defined elsewhere

    def build(
        self,
        programs: Sequence[tuple[str, str, list[Instruction]]],
        license_text: str,
        maps: Sequence[MapSpec],
    ) -> bytes:
        """The bytes of the object."""
        for name, section, _ in programs:
            if name in self._named:
                raise ObjectError(f"two programs are called {name}", section=section)
            self._named[name] = _Piece(name, section, 0)
        parts: list[list[_Piece]] = []
        for name, _, instructions in programs:
            parts.append(self._split(self._named[name], instructions))
        self._place(parts)
        self._add_maps(maps)
        for pieces in parts:
            self._relocate(pieces)
        for section, placed in self._placed.items():
            code = [encode(piece.instructions, self._big_endian) for piece in placed]
            self._writer.set_data(self._sections[section], b"".join(code))
        if license_text:
            text = license_text.encode() + b"\0"
            index = self._writer.add_section("license", text, flags=_DATA_FLAGS)
            self._writer.add_symbol("_license", index, size=len(text), kind=elf.STT_OBJECT)
        return self._writer.encode()

    def _split(self, entry: _Piece, instructions: list[Instruction]) -> list[_Piece]:
        """The functions of a program: itself, and those that it calls inside its own text."""
        if not instructions:
            raise ObjectError(f"program {entry.name} has no instructions", section=entry.section)
        for insn in instructions:
            if insn.symbol:
                entry.labels.add(insn.symbol)
        starts = {0}
        slot = 0
        for insn in instructions:
            if self._stays_inside(entry, insn):
                starts.add(slot + 1 + int(insn.imm))
            slot += insn.slots
        pieces: list[_Piece] = []
        slot = 0
        for insn in instructions:
            if slot in starts:
                starts.discard(slot)
                pieces.append(entry if slot == 0 else self._subprogram(entry, insn, slot))
            pieces[-1].instructions.append(insn.copy())
            pieces[-1].size += insn.slots
            slot += insn.slots
        for wrong in starts:
            raise ObjectError(
                f"program {entry.name} calls slot {wrong}, where no instruction begins; it has "
                f"{slot} slots",
                section=entry.section,
            )
        for piece in pieces:
            _check_jumps(piece)
        return pieces

    def _stays_inside(self, entry: _Piece, insn: Instruction) -> bool:
        """Whether this calls, or loads, a function by its distance in the program's own text."""
        if not (insn.is_local_call or insn.is_function_load):
            return False
        other = self._named.get(insn.reference)
        if other is None:
            return not _is_open(insn, entry.labels)
        return other is entry

    def _subprogram(self, entry: _Piece, first: Instruction, slot: int) -> _Piece:
        name = first.symbol or f"{entry.name}_{slot}"
        if name in self._named:
            name = f"{entry.name}_{name}"
        if name in self._named:
            name = f"{name}_{slot}"
        piece = _Piece(name, _TEXT, slot)
        self._named[name] = piece
        return piece

    def _place(self, parts: list[list[_Piece]]) -> None:
        for pieces in parts:
            for piece in pieces:
                self._placed.setdefault(piece.section, []).append(piece)
        # Compilers put .text first; readers need no order.
        for section in sorted(self._placed, key=_text_first):
            flags = _CODE_FLAGS
            index = self._writer.add_section(section, flags=flags, align=8)
            self._sections[section] = index
            at = 0
            for piece in self._placed[section]:
                piece.offset = at
                at += piece.size * 8
                piece.symbol = self._writer.add_symbol(
                    piece.name,
                    index,
                    piece.offset,
                    piece.size * 8,
                    elf.STB_LOCAL if section == _TEXT else elf.STB_GLOBAL,
                    elf.STT_FUNC,
                )

    def _relocate(self, pieces: list[_Piece]) -> None:
        """Make references of these functions of one program relocations."""
        by_start = {piece.start: piece for piece in pieces}
        for piece in pieces:
            slot = 0
            for insn in piece.instructions:
                place = piece.offset + slot * 8
                section = self._sections[piece.section]
                if insn.is_local_call or insn.is_function_load:
                    if self._stays_inside(pieces[0], insn):
                        symbol = by_start[piece.start + slot + 1 + int(insn.imm)].symbol
                    elif insn.reference in self._named:
                        symbol = self._named[insn.reference].symbol
                    else:
                        symbol = self._open_symbol(insn.reference)
                    # A call counts from the instruction behind it, so -1 is the symbol itself.
                    if insn.is_local_call:
                        insn.imm = -1
                        self._writer.add_relocation(section, place, symbol, R_BPF_64_32)
                    else:
                        insn.src = 0
                        insn.imm = 0
                        self._writer.add_relocation(section, place, symbol, R_BPF_64_64)
                elif insn.is_map_load and insn.map_name:
                    if insn.src in (PSEUDO_MAP_VALUE, PSEUDO_MAP_INDEX_VALUE):
                        raise ObjectError(
                            f"{piece.name} loads the address of a value of map {insn.map_name} at "
                            f"slot {slot}, which an object cannot express",
                            section=piece.section,
                        )
                    insn.src = 0
                    insn.imm = 0
                    symbol = self._open_symbol(insn.map_name)
                    self._writer.add_relocation(section, place, symbol, R_BPF_64_64)
                slot += insn.slots

    def _open_symbol(self, name: str) -> int:
        """The symbol of a map; a map or function that is not defined here is left open."""
        known = self._maps.get(name)
        if known is None:
            known = self._writer.add_symbol(name, elf.SHN_UNDEF)
            self._maps[name] = known
        return known

    def _add_maps(self, maps: Sequence[MapSpec]) -> None:
        if not maps:
            return
        types = _MapTypes(self._big_endian, self._platform)
        variables: list[t.SectionVar] = []
        index = self._writer.add_section(".maps", flags=_DATA_FLAGS, align=8)
        at = 0
        for spec in maps:
            if spec.name in self._maps:
                raise ObjectError(f"two maps are called {spec.name}", section=".maps")
            struct_id, size = types.definition(spec)
            var_id = types.builder.add(t.Var(spec.name, struct_id))
            variables.append(t.SectionVar(var_id, at, size))
            self._maps[spec.name] = self._writer.add_symbol(
                spec.name, index, at, size, kind=elf.STT_OBJECT
            )
            at += size
        self._writer.set_data(index, bytes(at))
        types.builder.add(t.DataSection(".maps", at, variables))
        self._writer.add_section(".BTF", types.builder.encode(), align=4)


def _is_open(insn: Instruction, labels: set[str]) -> bool:
    """Whether this leads to a name that its text does not define, as the assembler leaves it."""
    name = insn.reference
    if not name or name in labels or name[0].isdigit():
        return False
    return int(insn.imm) == -1 or (insn.is_function_load and insn.low == 0xFFFFFFFF)


class _MapTypes:
    """The types that describe maps, as the macros `__uint` and `__array` make them."""

    __slots__ = ("_int", "_platform", "builder")

    def __init__(self, big_endian: bool, platform: Platform) -> None:
        self.builder: BTFBuilder = BTFBuilder(big_endian)
        self._platform: Platform = platform
        self._int: int = self.builder.add(t.Int("int", 4, t.INT_SIGNED))

    def definition(self, spec: MapSpec) -> tuple[int, int]:
        """The id and the size of the struct that says what a map is."""
        rows = [("type", self._platform.map_type(spec.type).number)]
        rows.append(("key_size", spec.key_size))
        # Of a map of maps the inner map says what a value is.
        if spec.inner is None:
            rows.append(("value_size", spec.value_size))
        rows.append(("max_entries", spec.max_entries))
        rows.append(("map_flags", spec.flags))
        rows.append(("pinning", _PIN_BY_NAME if spec.pinning else 0))
        rows.append(("numa_node", max(spec.numa_node, 0)))
        rows.append(("map_extra", spec.extra))
        members: list[t.Member] = []
        for name, number in rows:
            if number or name in ("type", "max_entries"):
                members.append(t.Member(name, self._number(spec, name, number), len(members) * 64))
        size = len(members) * 8
        if spec.inner is not None:
            inner = self.builder.add(t.Pointer(self.definition(spec.inner)[0]))
            values = self.builder.add(t.Array(inner, self._int, 0))
            members.append(t.Member("values", values, size * 8))
        return self.builder.add(t.Struct("", size, members)), size

    def _number(self, spec: MapSpec, name: str, number: int) -> int:
        """A type that holds a number: a pointer to an array of that length, or an enumeration."""
        if not 0 <= number < _UINT_LIMIT:
            if name != "map_extra" or number < 0:
                raise ObjectError(f"map {spec.name}: {name} {number} does not fit into 32 bits")
            entry = t.Enumerator(f"__{spec.name}_{name}", number)
            return self.builder.add(t.Enum64("", 8, False, [entry]))
        array = self.builder.add(t.Array(self._int, self._int, number))
        return self.builder.add(t.Pointer(array))


def _text_first(section: str) -> int:
    return 0 if section == _TEXT else 1


def _check_jumps(piece: _Piece) -> None:
    slot = 0
    for insn in piece.instructions:
        if insn.is_jump and not 0 <= slot + 1 + insn.jump_distance < piece.size:
            raise ObjectError(
                f"function {piece.name}: the jump at slot {slot} leads out of the function",
                section=piece.section,
            )
        slot += insn.slots
