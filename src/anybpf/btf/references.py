"""Which other types a type refers to, and the same type with other references.

This is what merging and deduplication need; it looks at one type at a time and never resolves
an id.
"""

from __future__ import annotations

from anybpf.btf import types as t


def references(found: t.Type) -> list[int]:
    """The ids that a type refers to, in the order of its record, 0 for void included."""
    if isinstance(found, t.Reference):
        return [found.type_id]
    if isinstance(found, t.Composite):
        return [member.type_id for member in found.members]
    if isinstance(found, t.FunctionProto):
        return [found.return_id] + [param.type_id for param in found.params]
    if isinstance(found, t.Array):
        return [found.element_id, found.index_id]
    if isinstance(found, t.DataSection):
        return [variable.type_id for variable in found.vars]
    return []


def with_references(found: t.Type, ids: list[int]) -> t.Type:
    """A copy of a type that refers to `ids` in place of what `references` gave for it."""
    if isinstance(found, t.Reference):
        return _reference(found, ids[0])
    if isinstance(found, t.Composite):
        members = [
            t.Member(member.name, type_id, member.bit_offset, member.bitfield_size)
            for member, type_id in zip(found.members, ids, strict=True)
        ]
        if isinstance(found, t.Struct):
            return t.Struct(found.name, found.size, members, found.kind_flag)
        return t.Union(found.name, found.size, members, found.kind_flag)
    if isinstance(found, t.FunctionProto):
        params = [
            t.Param(param.name, type_id)
            for param, type_id in zip(found.params, ids[1:], strict=True)
        ]
        return t.FunctionProto(ids[0], params)
    if isinstance(found, t.Array):
        return t.Array(ids[0], ids[1], found.count)
    if isinstance(found, t.DataSection):
        variables = [
            t.SectionVar(type_id, variable.offset, variable.size)
            for variable, type_id in zip(found.vars, ids, strict=True)
        ]
        return t.DataSection(found.name, found.size, variables)
    return found


def _reference(found: t.Reference, type_id: int) -> t.Type:
    if isinstance(found, t.Pointer):
        return t.Pointer(type_id)
    if isinstance(found, t.Typedef):
        return t.Typedef(found.name, type_id)
    if isinstance(found, t.Const):
        return t.Const(type_id)
    if isinstance(found, t.Volatile):
        return t.Volatile(type_id)
    if isinstance(found, t.Restrict):
        return t.Restrict(type_id)
    if isinstance(found, t.Function):
        return t.Function(found.name, type_id, found.linkage)
    if isinstance(found, t.Var):
        return t.Var(found.name, type_id, found.linkage)
    if isinstance(found, t.DeclTag):
        return t.DeclTag(found.name, type_id, found.component_index, found.attribute)
    assert isinstance(found, t.TypeTag)
    return t.TypeTag(found.name, type_id, found.attribute)
