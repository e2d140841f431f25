"""The variables of an object's data sections, as skeletons declare them: in order, gaps filled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anybpf.btf import types as t

if TYPE_CHECKING:
    from anybpf.btf import BTF
    from anybpf.objects.specs import CollectionSpec, VariableSpec


class Field:
    """A variable, or a gap (``type_id`` is 0)."""

    def __init__(self, name: str, type_id: int, offset: int, size: int) -> None:
        self.name = name
        self.type_id = type_id
        self.offset = offset
        self.size = size


def sections(spec: CollectionSpec) -> dict[str, list[Field]]:
    """By the name of the section's map: what lies in it. Static variables are gaps to others."""
    if spec.btf is None:
        return {}
    names = {id(one): name for name, one in spec.maps.items()}
    found: dict[str, list[VariableSpec]] = {}
    for variable in spec.variables.values():
        if variable.is_global and variable.type_id and id(variable.map) in names:
            found.setdefault(names[id(variable.map)], []).append(variable)
    return {
        name: _fields(spec.btf, found[name])
        for name, one in spec.maps.items()
        if one.kind in ("data", "rodata", "bss") and name in found
    }


def _fields(btf: BTF, variables: list[VariableSpec]) -> list[Field]:
    out: list[Field] = []
    at = pads = 0
    for one in sorted(variables, key=lambda each: each.offset):
        if one.offset > at:
            out.append(Field(f"__pad{pads}", 0, at, one.offset - at))
            pads += 1
        declared = btf.type(one.type_id)
        type_id = declared.type_id if isinstance(declared, t.Var) else one.type_id
        out.append(Field(one.name, bare(btf, type_id), one.offset, one.size))
        at = one.offset + one.size
    return out


def bare(btf: BTF, type_id: int) -> int:
    """The type without const and volatile in front: a user may write what programs may not."""
    found = btf.type(type_id)
    while found.kind in (t.KIND_CONST, t.KIND_VOLATILE, t.KIND_RESTRICT) and isinstance(
        found, t.Reference
    ):
        type_id = found.type_id
        found = btf.type(type_id)
    return type_id
