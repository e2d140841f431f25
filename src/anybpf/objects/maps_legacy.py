"""Map definitions of the time before BTF: structs of numbers in `maps` and `maps/<name>` sections.

Loaders agreed on the first four fields and on little after them. Which struct a file has follows
from the platform, its size, and where two structs are of one size, from the values. Definitions
in `.maps` are the business of `maps_btf`.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from anybpf.objects import sections as s
from anybpf.objects.elf import STB_LOCAL, Section, Symbol
from anybpf.objects.sections import ObjectFile, free_name
from anybpf.objects.specs import MapSpec

MIN_SIZE: Final = 16

# What stands behind type, key size, value size and entries, in words of four bytes.
# Linux, samples/bpf/bpf_load.h (v4.9 to v5.5); libbpf's bpf_map_def is its first five words.
SAMPLES: Final = ("flags", "inner_index", "numa_node")
# iproute2, include/bpf_elf.h: struct bpf_elf_map; its first form ends with pinning.
IPROUTE2: Final = ("flags", "id", "pinning", "inner_id", "inner_slot")
# iovisor/gobpf, struct bpf_map_def: pinning and a namespace of 256 bytes.
GOBPF: Final = ("flags", "pinning")
_GOBPF_SIZE: Final = 280

_OF_MAPS: Final = ("array_of_maps", "hash_of_maps")
_NUMA_NODE: Final = 4  # BPF_F_NUMA_NODE, include/uapi/linux/bpf.h
# iproute2, include/bpf_elf.h: PIN_OBJECT_NS, PIN_GLOBAL_NS. libbpf's by-name pinning is 1.
_IPROUTE2_PINNING: Final = {0: "", 1: "by_object", 2: "by_name"}
_OTHER_PINNING: Final = {0: "", 1: "by_name", 2: "by_name"}
_TAIL_CALLS: Final = "prog_array"


class Definition:
    """One definition: the spec made of it, and what it says of other definitions."""

    __slots__ = ("inner_id", "inner_index", "inner_slot", "key", "section", "spec", "words")

    def __init__(self, section: Section, words: tuple[int, ...], spec: MapSpec, key: str) -> None:
        self.section: Section = section
        self.words: tuple[int, ...] = words
        self.spec: MapSpec = spec
        self.key: str = key
        self.inner_index: int = -1
        self.inner_id: int = 0
        self.inner_slot: int = -1


def read_legacy_maps(obj: ObjectFile) -> list[Definition]:
    """Put the maps of all `maps` sections into the spec."""
    found: list[Definition] = []
    for section in obj.sections_with(s.LEGACY_MAPS):
        found += _read_section(obj, section)
    _connect(obj, found)
    return found


def _read_section(obj: ObjectFile, section: Section) -> list[Definition]:
    places = _places(obj, section)
    # Some compilers pad the section's end; the definitions themselves are of one size.
    size = section.size // len(places)
    if len(places) > 1:
        size = places[1].value - places[0].value
    if len(section.data) < section.size:
        raise obj.error(section, "map definitions must have contents, this section has none")
    if size < MIN_SIZE or size % 4:
        raise obj.error(
            section,
            f"a map definition has at least {MIN_SIZE} bytes in words of four; here {len(places)} "
            f"definitions take {section.size} bytes",
        )
    count = min(size // 4, 9)
    row = Struct(f"{'>' if obj.elf.big_endian else '<'}{count}I")
    found: list[Definition] = []
    offsets: dict[int, str] = {}
    for place in places:
        if place.value + size > section.size:
            raise obj.error(
                section,
                f"map {place.name} would end behind the section's {section.size} bytes",
                place.value,
            )
        if place.value in offsets:
            continue
        words: tuple[int, ...] = row.unpack_from(section.data, place.value)
        if (
            size > 4 * count
            and size != _GOBPF_SIZE
            and any(section.data[place.value + 4 * count : place.value + size])
        ):
            raise obj.error(
                section,
                f"map {place.name} has a definition of {size} bytes, whose part behind byte "
                f"{4 * count} is unknown and not zero",
                place.value + 4 * count,
            )
        key = free_name(obj.spec.maps, place.name, section.name, place.value)
        spec = MapSpec(place.name, _type_name(obj, words[0]))
        spec.section = section.name
        spec.section_offset = place.value
        spec.key_size = words[1]
        spec.value_size = words[2]
        spec.max_entries = words[3]
        obj.spec.maps[key] = spec
        offsets[place.value] = key
        found.append(Definition(section, words, spec, key))
    obj.map_at[section.index] = offsets
    fields = _layout(obj, found, size)
    for definition in found:
        _apply(definition, fields)
    return found


def _places(obj: ObjectFile, section: Section) -> list[Symbol]:
    """The symbols that name definitions, by offset."""
    places = sorted(
        obj.symbols_in.get(section.index, []) or obj.labels.get(section.index, []), key=_by_offset
    )
    if places:
        return places
    if section.name.startswith("maps/"):
        name = section.name.removeprefix("maps/")
        return [Symbol(0, name, 0, section.size, section.index, STB_LOCAL, 0, 0)]
    raise obj.error(section, "map definitions without symbols: the maps have no names")


def _by_offset(symbol: Symbol) -> int:
    return symbol.value


def _type_name(obj: ObjectFile, number: int) -> str:
    found = obj.platform.map_types.get(number)
    return f"type_{number}" if found is None else str(found.name)


def _layout(obj: ObjectFile, found: list[Definition], size: int) -> tuple[str, ...]:
    """The names of the fields from the fifth on."""
    if obj.platform.legacy_map_fields:
        return tuple(obj.platform.legacy_map_fields)
    if size == _GOBPF_SIZE:
        return GOBPF
    if size > 28:
        return IPROUTE2
    for definition in found:
        words = definition.words
        # In the struct of the samples, these two say something only of maps of maps and with a
        # flag; if they say something of others, this is iproute2's struct.
        if len(words) > 5 and words[5] and definition.spec.type not in _OF_MAPS:
            return IPROUTE2
        if len(words) > 6 and words[6] and not words[4] & _NUMA_NODE:
            return IPROUTE2
    return SAMPLES


def _apply(definition: Definition, fields: tuple[str, ...]) -> None:
    spec = definition.spec
    position = 4
    for field in fields:
        if position >= len(definition.words):
            break
        value = definition.words[position]
        position += 1
        if field == "flags":
            spec.flags = value
        elif field == "id":
            spec.id = value
        elif field == "numa_node":
            if spec.flags & _NUMA_NODE:
                spec.numa_node = value
        elif field == "pinning":
            pins = _IPROUTE2_PINNING if fields == IPROUTE2 else _OTHER_PINNING
            spec.pinning = pins.get(value, f"kind_{value}")
        elif field == "inner_index":
            definition.inner_index = value
        elif field == "inner_id":
            definition.inner_id = value
        elif field == "inner_slot" and value != 0xFFFFFFFF:
            definition.inner_slot = value
    if spec.type in _OF_MAPS and spec.value_size == 0:
        spec.value_size = 4  # what a map of maps holds: the number of a map


def _connect(obj: ObjectFile, found: list[Definition]) -> None:
    """Give maps of maps their inner maps, which are named by position or by number."""
    by_id: dict[int, Definition] = {}
    for definition in found:
        if definition.spec.id:
            by_id.setdefault(definition.spec.id, definition)
    for definition in found:
        spec = definition.spec
        if spec.type not in _OF_MAPS:
            continue
        inner: Definition | None = None
        if definition.inner_id:
            inner = by_id.get(definition.inner_id)
            if inner is None:
                raise obj.error(
                    definition.section,
                    f"map {spec.name} wants the map with id {definition.inner_id} inside, there "
                    "is none",
                    spec.section_offset,
                )
        elif 0 <= definition.inner_index < len(found):
            inner = found[definition.inner_index]
        elif definition.inner_index > 0:
            raise obj.error(
                definition.section,
                f"map {spec.name} wants map number {definition.inner_index} inside, there are "
                f"{len(found)}",
                spec.section_offset,
            )
        if inner is None or inner.spec.type in _OF_MAPS:
            continue  # maps nest one deep
        spec.inner = inner.spec
        if definition.inner_id and inner.inner_slot >= 0:
            spec.contents.append((slot_key(obj, inner.inner_slot), inner.key))


def fill_tail_calls(obj: ObjectFile) -> None:
    """Put programs of sections named `<map id>/<slot>`, iproute2's way, into their maps."""
    arrays: dict[int, MapSpec] = {}
    for spec in obj.spec.maps.values():
        if spec.id and spec.type == _TAIL_CALLS:
            arrays.setdefault(spec.id, spec)
    if not arrays:
        return
    for key, program in obj.spec.programs.items():
        left, _, right = program.section.partition("/")
        number = _number(left)
        slot = _number(right)
        array = arrays.get(number)
        if array is None or slot < 0:
            continue
        array.contents.append((slot_key(obj, slot), key))


def slot_key(obj: ObjectFile, slot: int) -> bytes:
    """A key of an array in the object's byte order."""
    return slot.to_bytes(4, "big") if obj.elf.big_endian else slot.to_bytes(4, "little")


def _number(text: str) -> int:
    """A C number of at most 32 bits, or -1."""
    digits = text[2:] if text[:2] in ("0x", "0X") else text
    base = 16 if digits is not text else 10
    if not digits or len(digits) > 10 or not digits.isascii() or not digits.isalnum():
        return -1
    for digit in digits:
        if digit not in "0123456789abcdefABCDEF"[: 10 if base == 10 else 22]:
            return -1
    value = int(digits, base)
    return value if value <= 0xFFFFFFFF else -1
