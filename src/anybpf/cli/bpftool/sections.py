"""The variables of an object's data sections, as skeletons declare them: in order, gaps filled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anybpf.btf import types as t
from anybpf.btf.layout import size_of

if TYPE_CHECKING:
    from anybpf.btf import BTF
    from anybpf.objects.specs import CollectionSpec


class Field:
    """A variable, or a gap (``type_id`` is 0)."""

    def __init__(self, name: str, type_id: int, offset: int, size: int) -> None:
        self.name = name
        self.type_id = type_id
        self.offset = offset
        self.size = size


def sections(spec: CollectionSpec) -> dict[str, list[Field]]:
    """By the name of the section's map: what lies in it. Static variables are gaps to others."""
    btf = spec.btf
    if btf is None:
        return {}
    out: dict[str, list[Field]] = {}
    for name, one in spec.maps.items():
        found = btf.find(name, t.KIND_DATASEC)
        if one.kind in ("data", "rodata", "bss") and isinstance(found, t.DataSection):
            fields = _fields(btf, found)
            if fields:
                out[name] = fields
    return out


def _fields(btf: BTF, section: t.DataSection) -> list[Field]:
    out: list[Field] = []
    at = pads = 0
    for place in sorted(section.vars, key=lambda one: one.offset):
        variable = btf.type(place.type_id)
        if not isinstance(variable, t.Var) or variable.linkage == t.LINKAGE_STATIC:
            continue
        if place.offset > at:
            out.append(Field(f"__pad{pads}", 0, at, place.offset - at))
            pads += 1
        size = size_of(btf, variable.type_id)
        out.append(Field(variable.name, bare(btf, variable.type_id), place.offset, size))
        at = place.offset + size
    return out if any(one.type_id for one in out) else []


def bare(btf: BTF, type_id: int) -> int:
    """The type without const and volatile in front: a user may write what programs may not."""
    found = btf.type(type_id)
    while found.kind in (t.KIND_CONST, t.KIND_VOLATILE, t.KIND_RESTRICT) and isinstance(
        found, t.Reference
    ):
        type_id = found.type_id
        found = btf.type(type_id)
    return type_id
