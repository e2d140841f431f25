"""Global data: each data section becomes a map, each symbol in it a variable.

Sizes and places come from the symbols, types from the BTF of the section, if there is any.
Variables that the system supplies (`.kconfig`, `.ksyms`) are the business of `externs`.
"""

from __future__ import annotations

from typing import Final

from anybpf.btf import types as t
from anybpf.objects import sections as s
from anybpf.objects.elf import SHF_STRINGS, SHT_NOBITS, STB_LOCAL, Section, Symbol
from anybpf.objects.sections import ObjectFile, free_name
from anybpf.objects.specs import MapSpec, VariableSpec

# Flags of map creation: include/uapi/linux/bpf.h.
RDONLY_PROG: Final = 1 << 7
MMAPABLE: Final = 1 << 10
# The kernel's limit for the value of an array (INT_MAX, kernel/bpf/arraymap.c).
MAX_SIZE: Final = 0x7FFFFFFF
# Bytes of a map's name that Linux keeps: BPF_OBJ_NAME_LEN less its NUL, include/uapi/linux/bpf.h.
NAME_LENGTH: Final = 15
_ZERO_KEY: Final = b"\0\0\0\0"


def read_data(obj: ObjectFile, data_sections: dict[str, t.DataSection]) -> None:
    """Put a map for each data section, and the variables in them, into the spec."""
    for section in obj.elf.sections:
        role = obj.roles[section.index]
        kind = s.DATA_KINDS.get(role)
        if kind is not None:
            _read_section(obj, section, kind, data_sections.get(section.name))
        elif role == s.ARENA:
            _read_arena(obj, section, data_sections.get(section.name))


def _read_section(
    obj: ObjectFile, section: Section, kind: str, described: t.DataSection | None
) -> None:
    _check_size(obj, section)
    spec = MapSpec(map_name(obj.spec.name, section.name), "array")
    spec.kind = kind
    spec.key_size = 4
    spec.value_size = section.size
    spec.max_entries = 1
    spec.section = section.name
    if kind == "rodata":
        spec.flags |= RDONLY_PROG
    if section.type != SHT_NOBITS:
        spec.contents = [(_ZERO_KEY, bytes(section.data))]
    key = free_name(obj.spec.maps, section.name, spec.name, 0)
    obj.spec.maps[key] = spec
    obj.data_map[section.index] = key
    if described is not None:
        spec.value_type_id = described.id
        spec.tags = obj.tags_of(described.id)
    # libbpf lets user space map the section only if something in it is visible from outside.
    if _read_variables(obj, section, spec, described):
        spec.flags |= MMAPABLE


def _check_size(obj: ObjectFile, section: Section) -> None:
    if section.size > MAX_SIZE:
        raise obj.error(
            section,
            f"{section.size} bytes of data are more than a map's value can hold ({MAX_SIZE})",
        )


def _read_arena(obj: ObjectFile, section: Section, described: t.DataSection | None) -> None:
    """Variables in an arena: they lie in the one map of that type."""
    _check_size(obj, section)
    arenas = [key for key, spec in obj.spec.maps.items() if spec.type == "arena"]
    if not arenas:
        raise obj.error(section, "variables in an arena, but no map of type arena to hold them")
    if len(arenas) > 1:
        raise obj.error(
            section, f"variables in an arena, but which is not said: there are {', '.join(arenas)}"
        )
    spec = obj.spec.maps[arenas[0]]
    if spec.data_size:
        raise obj.error(section, "a second section of variables in an arena; there can be one")
    spec.kind = "arena"
    spec.data_size = section.size
    if section.type != SHT_NOBITS:
        spec.contents = [(_ZERO_KEY, bytes(section.data))]
    obj.data_map[section.index] = arenas[0]
    _read_variables(obj, section, spec, described)


def map_name(object_name: str, section_name: str) -> str:
    """The name that libbpf gives a section's map: as long as Linux keeps names.

    >>> map_name("datapath_kern", ".rodata"), map_name("prog", ".data.custom")
    ('datapath.rodata', '.data.custom')
    """
    if "." in section_name[1:]:
        name = section_name[:NAME_LENGTH]
    else:
        suffix = section_name[:NAME_LENGTH]
        name = object_name[: NAME_LENGTH - max(7, len(suffix))] + suffix
    return "".join([c if c.isascii() and (c.isalnum() or c in "_.") else "_" for c in name])


def _read_variables(
    obj: ObjectFile, section: Section, spec: MapSpec, described: t.DataSection | None
) -> bool:
    """Add the section's variables; whether one of them is visible from outside."""
    types: dict[str, t.SectionVar] = {}
    btf = obj.btf
    if described is not None and btf is not None:
        for place in described.vars:
            var = btf.type(place.type_id)
            types[var.name] = place
    places = sorted(obj.symbols_in.get(section.index, []), key=_by_offset)
    variables = obj.spec.variables
    seen: set[tuple[str, int]] = set()
    visible = False
    strings = section.flags & SHF_STRINGS != 0
    for position, symbol in enumerate(places):
        if strings and symbol.binding == STB_LOCAL:
            continue  # the compiler's own names of string constants
        if (symbol.name, symbol.value) in seen:
            continue
        seen.add((symbol.name, symbol.value))
        known = types.get(symbol.name)
        end = symbol.value + symbol.size
        if symbol.size == 0:
            # Old compilers leave sizes out: up to the next variable, or as BTF says.
            end = section.size
            if known is not None and known.size:
                end = min(end, symbol.value + known.size)
            elif position + 1 < len(places):
                end = places[position + 1].value
        if symbol.value > section.size or end > section.size:
            raise obj.error(
                section,
                f"variable {symbol.name} would take bytes {symbol.value:#x} to {end:#x}, the "
                f"section has {section.size:#x}",
            )
        key = free_name(variables, symbol.name, section.name, symbol.value)
        variable = VariableSpec(key, section.name, symbol.value, end - symbol.value, spec)
        variable.is_global = symbol.binding != STB_LOCAL
        visible = visible or variable.is_global
        if known is not None and btf is not None:
            var = btf.type(known.type_id)
            if isinstance(var, t.Var):
                variable.type_id = var.type_id
            variable.tags = obj.tags_of(var.id)
        variables[key] = variable
    return visible


def _by_offset(symbol: Symbol) -> int:
    return symbol.value
