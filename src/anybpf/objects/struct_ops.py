"""`struct_ops`: variables of kernel struct types whose function pointers are programs.

Each variable of a `.struct_ops` section becomes a map of that type; relocations say which program
stands behind which member. What the kernel's own struct looks like is asked when it is loaded.
"""

from __future__ import annotations

from typing import Final

from anybpf.btf import types as t
from anybpf.btf.layout import field_path, resolve
from anybpf.objects import sections as s
from anybpf.objects.elf import Relocation, Section
from anybpf.objects.sections import ObjectFile, free_name
from anybpf.objects.specs import MapSpec

LINK: Final = 1 << 13  # BPF_F_LINK, include/uapi/linux/bpf.h
_ZERO_KEY: Final = b"\0\0\0\0"
_POINTER_SIZE: Final = 8


def read_struct_ops(obj: ObjectFile, data_sections: dict[str, t.DataSection]) -> None:
    """Put a map for each variable of the `.struct_ops` sections into the spec."""
    for section in obj.sections_with(s.STRUCT_OPS):
        described = data_sections.get(section.name)
        if obj.btf is None or described is None:
            raise obj.error(section, "struct_ops are defined by types, but BTF does not have them")
        maps = _read_section(obj, section, described)
        _connect(obj, section, maps)


def _read_section(obj: ObjectFile, section: Section, described: t.DataSection) -> list[MapSpec]:
    btf = obj.btf
    assert btf is not None
    offsets = {symbol.name: symbol.value for symbol in obj.symbols_in.get(section.index, [])}
    maps: list[MapSpec] = []
    for place in described.vars:
        var = btf.type(place.type_id)
        if not isinstance(var, t.Var):
            raise obj.error(section, f"type {place.type_id} in {section.name} is no variable")
        shape = resolve(btf, var.type_id)
        if not isinstance(shape, t.Struct):
            raise obj.error(section, f"{var.name} must be a struct, it is {shape.kind_name}")
        offset = offsets.get(var.name, place.offset)
        if offset + shape.size > section.size:
            raise obj.error(
                section,
                f"{var.name} would take {shape.size} bytes from {offset:#x} on, the section has "
                f"{section.size:#x}",
                min(offset, section.size),
            )
        spec = MapSpec(var.name, "struct_ops")
        spec.kind = "struct_ops"
        spec.key_size = 4
        spec.value_size = shape.size
        spec.max_entries = 1
        spec.value_type_id = shape.id
        spec.section = section.name
        spec.section_offset = offset
        spec.tags = obj.tags_of(var.id)
        if section.name.endswith(".link"):
            spec.flags |= LINK
        if len(section.data):
            spec.contents = [(_ZERO_KEY, bytes(section.data[offset : offset + shape.size]))]
        obj.spec.maps[free_name(obj.spec.maps, var.name, section.name, offset)] = spec
        maps.append(spec)
    maps.sort(key=_offset_of)
    return maps


def _offset_of(spec: MapSpec) -> int:
    return spec.section_offset


def _connect(obj: ObjectFile, section: Section, maps: list[MapSpec]) -> None:
    """Name the program behind each member that a relocation points from."""
    btf = obj.btf
    assert btf is not None
    position = 0
    relocations = sorted(obj.elf.relocations(section.index), key=_place_of)
    for relocation in relocations:
        while position + 1 < len(maps) and maps[position + 1].section_offset <= relocation.offset:
            position += 1
        symbol = obj.elf.symbols[relocation.symbol_index]
        home = maps[position] if maps else None
        inside = -1 if home is None else relocation.offset - home.section_offset
        if home is None or not 0 <= inside < home.value_size:
            raise obj.error(section, "a relocation outside of every struct", relocation.offset)
        member = field_path(btf, home.value_type_id, inside, _POINTER_SIZE)
        function = obj.function_at(symbol.section_index, symbol.value)
        if member is None or function is None:
            raise obj.error(
                section,
                f"{home.name}.{member or '?'} refers to {symbol.name or 'a section'}, which is no "
                "program",
                relocation.offset,
            )
        home.members[member] = function.name


def _place_of(relocation: Relocation) -> int:
    return relocation.offset


def name_members(obj: ObjectFile) -> None:
    """Tell programs of `struct_ops` sections which member they are, where the section does not."""
    btf = obj.btf
    if btf is None:
        return
    for spec in obj.spec.maps.values():
        if spec.kind != "struct_ops":
            continue
        for member, name in spec.members.items():
            program = obj.spec.programs.get(name)
            if program is not None and program.type == "struct_ops" and not program.attach_to:
                program.attach_to = f"{btf.type(spec.value_type_id).name}.{member}"
