"""Map definitions in BTF: variables of section `.maps` whose type says what the map is.

A number is written as the length of an array behind a pointer (or the one value of an enum), a
type as a pointer to it; section contents matter only through relocations, which give initial
entries to maps of maps and program arrays. Structs of numbers are the business of `maps_legacy`.
"""

from __future__ import annotations

from typing import Final

from anybpf.btf import BTF
from anybpf.btf import types as t
from anybpf.btf.layout import resolve, size_of
from anybpf.errors import ObjectError
from anybpf.objects import sections as s
from anybpf.objects.elf import Section, Symbol
from anybpf.objects.maps_legacy import slot_key
from anybpf.objects.sections import ObjectFile, free_name
from anybpf.objects.specs import MapSpec
from anybpf.platforms import Limit

SECTION: Final = ".maps"
# libbpf's keys of a map definition: docs.kernel.org/bpf/libbpf/libbpf_overview and
# docs.ebpf.io/linux/concepts/maps; the last two are those of eBPF for Windows.
KEYS: Final = (
    "type", "key", "key_size", "value", "value_size", "max_entries", "map_flags", "numa_node",
    "pinning", "map_extra", "values", "id", "inner_id",
)  # fmt: skip
# Pinning: enum libbpf_pin_type.
_PINNING: Final = ("", "by_name")
_MAX_NUMBER: Final = 0xFFFFFFFF
POINTER_SIZE: Final = 8


class Definition:
    """One definition: its spec, its key in the specs, and where its initial entries begin."""

    __slots__ = ("key", "offset", "size", "spec", "values_offset")

    def __init__(self, key: str, offset: int, size: int, spec: MapSpec) -> None:
        self.key: str = key
        self.offset: int = offset
        self.size: int = size
        self.spec: MapSpec = spec
        self.values_offset: int = -1


def read_btf_maps(obj: ObjectFile, data_sections: dict[str, t.DataSection]) -> list[Definition]:
    """Put the maps of section `.maps` into the spec."""
    found: list[Definition] = []
    for section in obj.sections_with(s.BTF_MAPS):
        found += _read_section(obj, section, data_sections)
    return found


def _read_section(
    obj: ObjectFile, section: Section, data_sections: dict[str, t.DataSection]
) -> list[Definition]:
    btf = obj.btf
    if btf is None:
        raise obj.error(
            section, "the maps are defined by types, but the file has no BTF: compile with -g"
        )
    home = data_sections.get(section.name)
    if home is None:
        raise obj.error(section, f"BTF does not describe section {section.name}")
    symbols: dict[str, Symbol] = {}
    for symbol in obj.symbols_in.get(section.index, []):
        symbols[symbol.name] = symbol
    # BTF lists variables in an order of its own; where they lie is for the symbols to say.
    places: list[tuple[int, t.Var, int]] = []
    for place in home.vars:
        var = btf.type(place.type_id)
        if not isinstance(var, t.Var):
            raise obj.error(section, f"type {place.type_id} in {section.name} is no variable")
        known = symbols.get(var.name)
        places.append((place.offset if known is None else known.value, var, place.size))
    places.sort(key=_place)
    found: list[Definition] = []
    offsets: dict[int, str] = {}
    for offset, var, size in places:
        maker = _Maker(obj, section, btf, var.name)
        maker.offset = offset
        if offset >= section.size:
            raise maker.error(f"it would begin at {offset:#x}, behind the section's end")
        definition = maker.make(var, size)
        if offset in offsets:
            raise maker.error(f"it stands where map {offsets[offset]} stands")
        definition.key = free_name(obj.spec.maps, var.name, section.name, offset)
        offsets[offset] = definition.key
        obj.spec.maps[definition.key] = definition.spec
        found.append(definition)
    obj.map_at[section.index] = offsets
    return found


def _place(row: tuple[int, t.Var, int]) -> int:
    return row[0]


class _Maker:
    """Makes the spec of one definition."""

    __slots__ = ("btf", "name", "obj", "offset", "section", "values_offset")

    def __init__(self, obj: ObjectFile, section: Section, btf: BTF, name: str) -> None:
        self.obj: ObjectFile = obj
        self.section: Section = section
        self.btf: BTF = btf
        self.name: str = name
        self.offset: int = 0
        self.values_offset: int = -1

    def error(self, message: str) -> ObjectError:
        return self.obj.error(
            self.section, f"map {self.name}: {message}", min(self.offset, self.section.size)
        )

    def make(self, var: t.Var, size: int) -> Definition:
        shape = resolve(self.btf, var.type_id)
        if not isinstance(shape, t.Struct):
            raise self.error(f"a map is defined by a struct, not by {shape.kind_name}")
        spec = self.spec(self.name, shape, False)
        spec.tags = self.obj.tags_of(var.id)
        definition = Definition(self.name, self.offset, max(size, shape.size), spec)
        definition.values_offset = self.values_offset
        return definition

    def spec(self, name: str, shape: t.Struct, inner: bool) -> MapSpec:
        """The map that a struct defines; ``inner``: what the maps inside another one are like."""
        spec = MapSpec(name, "unspec")
        spec.section = self.section.name
        spec.section_offset = self.offset
        if len(shape.members) > len(KEYS):
            raise self.error(
                f"the definition has {len(shape.members)} parts, there are only {len(KEYS)} to have"
            )
        key_size = -1
        value_size = -1
        for member in shape.members:
            word = member.name
            if word == "type":
                spec.type = self.type_name(self.number(member))
            elif word == "key":
                spec.key_type_id = self.pointed(member)
                spec.key_size = self.size(spec.key_type_id, word)
            elif word == "value":
                spec.value_type_id = self.pointed(member)
                spec.value_size = self.size(spec.value_type_id, word)
            elif word == "key_size":
                key_size = self.number(member)
            elif word == "value_size":
                value_size = self.number(member)
            elif word == "max_entries":
                spec.max_entries = self.number(member)
            elif word == "map_flags":
                spec.flags = self.number(member)
            elif word == "numa_node":
                spec.numa_node = self.number(member)
            elif word == "map_extra":
                spec.extra = self.wide_number(member)
            elif word == "id":
                spec.id = self.number(member)
            elif word == "pinning":
                self.pin(spec, member, inner)
            elif word == "values":
                if inner:
                    raise self.error("a map inside a map cannot have 'values' itself")
                if member is not shape.members[-1]:
                    raise self.error("'values' must be the last part of the definition")
                self.values(spec, member)
            elif word != "inner_id":
                raise self.error(f"'{word}' is not known here; known are {', '.join(KEYS)}")
        if key_size >= 0:
            if spec.key_type_id and spec.key_size != key_size:
                raise self.error(f"'key_size' is {key_size}, 'key' has {spec.key_size} bytes")
            spec.key_size = key_size
        if value_size >= 0:
            if spec.value_type_id and spec.value_size != value_size:
                raise self.error(
                    f"'value_size' is {value_size}, 'value' has {spec.value_size} bytes"
                )
            spec.value_size = value_size
        self.fit(spec, key_size < 0, value_size < 0)
        return spec

    def fit(self, spec: MapSpec, key_by_type: bool, value_by_type: bool) -> None:
        """Sizes that the map type fixes, where the definition gives none or only a type.

        `__type(value, struct event)` on a ring buffer, whose values have no size, is common: it
        tells tools what the records are.
        """
        kind = self.obj.platform.map_types.get(spec.type)
        if kind is None:
            return
        events = kind.holds == "perf_events"
        if key_by_type:
            spec.key_size = _fitted(kind.key_size, spec.key_size, events)
        if value_by_type:
            spec.value_size = _fitted(kind.value_size, spec.value_size, events)

    def type_name(self, number: int) -> str:
        found = self.obj.platform.map_types.get(number)
        return f"type_{number}" if found is None else str(found.name)

    def number(self, member: t.Member) -> int:
        value = self.wide_number(member)
        if not 0 <= value <= _MAX_NUMBER:
            raise self.error(f"'{member.name}' is {value}, more than 32 bits hold")
        return value

    def wide_number(self, member: t.Member) -> int:
        """What `__uint` or `__ulong` wrote: the length of an array, or the value of an enum."""
        found = resolve(self.btf, member.type_id)
        if isinstance(found, t.Enum):
            if len(found.values) != 1:
                raise self.error(
                    f"'{member.name}' is an enum with {len(found.values)} values, it must have one"
                )
            return found.values[0].value
        if isinstance(found, t.Pointer):
            target = resolve(self.btf, found.type_id)
            if isinstance(target, t.Array):
                return target.count
        raise self.error(f"'{member.name}' is not written with __uint")

    def pointed(self, member: t.Member) -> int:
        found = resolve(self.btf, member.type_id)
        if not isinstance(found, t.Pointer):
            raise self.error(f"'{member.name}' is not written with __type")
        return found.type_id

    def size(self, type_id: int, word: str) -> int:
        size = size_of(self.btf, type_id)
        if size > _MAX_NUMBER:
            raise self.error(f"'{word}' has {size} bytes, more than 32 bits hold")
        return size

    def pin(self, spec: MapSpec, member: t.Member, inner: bool) -> None:
        value = self.number(member)
        if inner:
            raise self.error("a map inside a map cannot be pinned")
        if value >= len(_PINNING):
            raise self.error(f"'pinning' is {value}; known are 0 (none) and 1 (by name)")
        spec.pinning = _PINNING[value]

    def values(self, spec: MapSpec, member: t.Member) -> None:
        """`__array(values, …)`: an array of pointers to a map definition or to functions."""
        found = resolve(self.btf, member.type_id)
        if not isinstance(found, t.Array):
            raise self.error("'values' is not written with __array")
        target = resolve(self.btf, found.element_id)
        if isinstance(target, t.Pointer):
            target = resolve(self.btf, target.type_id)
        if isinstance(target, t.Struct):
            spec.inner = self.spec(f"{self.name}.inner", target, True)
        elif not isinstance(target, t.FunctionProto):
            raise self.error(f"'values' must be maps or functions, not {target.kind_name}")
        self.values_offset = member.bit_offset // 8


def _fitted(rule: Limit, size: int, events: bool) -> int:
    """The one size that a rule allows, if the given one was left out or could mean nothing."""
    if rule.low != rule.high or not (size == 0 or rule.low == 0 or events):
        return size
    return int(rule.low)


def fill_values(obj: ObjectFile, definitions: list[Definition]) -> None:
    """Initial entries: what the relocations of `.maps` point to, by place."""
    if not definitions:
        return
    # Sorted once; relocations come in order too, but need not.
    by_offset = sorted(definitions, key=_offset_of)
    for section in obj.sections_with(s.BTF_MAPS):
        for relocation in obj.elf.relocations(section.index):
            _fill(obj, section, by_offset, relocation.offset, relocation.symbol_index)


def _offset_of(definition: Definition) -> int:
    return definition.offset


def _fill(
    obj: ObjectFile, section: Section, by_offset: list[Definition], offset: int, symbol_index: int
) -> None:
    low = 0
    high = len(by_offset)
    while low < high:
        middle = (low + high) // 2
        if by_offset[middle].offset <= offset:
            low = middle + 1
        else:
            high = middle
    home = by_offset[low - 1] if low else None
    if home is None or home.values_offset < 0 or offset < home.offset + home.values_offset:
        raise obj.error(section, "a relocation that belongs to no map's values", offset)
    place = offset - home.offset - home.values_offset
    if place % POINTER_SIZE:
        raise obj.error(section, f"map {home.key}: a relocation between two of its values", offset)
    symbol = obj.elf.symbols[symbol_index]
    spec = home.spec
    name = obj.map_at.get(symbol.section_index, {}).get(symbol.value, "")
    if not name:
        name = _program_at(obj, symbol)
    if not name:
        what = symbol.name or "the value"
        raise obj.error(section, f"map {home.key}: {what} is no map and no program", offset)
    spec.contents.append((slot_key(obj, place // POINTER_SIZE), name))


def _program_at(obj: ObjectFile, symbol: Symbol) -> str:
    """The key of the program that a symbol stands for."""
    function = obj.function_at(symbol.section_index, symbol.value)
    return "" if function is None else function.name
