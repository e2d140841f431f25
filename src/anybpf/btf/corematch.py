"""When two types of different BTF are the same for CO-RE, in three degrees of strictness.

`fields_compatible` is for fields on a path, `types_compatible` for the existence of a type,
`types_match` for a type that must have all that the program's own has. The rules are those of
the kernel (tools/lib/bpf/relo_core.c, the comments there); `core` asks the questions.
"""

from __future__ import annotations

from typing import Final

from anybpf.btf import types as t
from anybpf.btf.container import BTF
from anybpf.btf.flavours import essential_name
from anybpf.btf.layout import MAX_DEPTH, resolve
from anybpf.errors import BTFError

# Pairs of types compared before damaged BTF is given up on.
_MAX_STEPS: Final = 20_000


def fields_compatible(local: BTF, local_id: int, target: BTF, target_id: int) -> bool:
    """Whether a field of one type may be read as one of the other; structs always may."""
    for _ in range(MAX_DEPTH):
        here = resolve(local, local_id)
        there = resolve(target, target_id)
        if isinstance(here, t.Composite) and isinstance(there, t.Composite):
            return True
        if isinstance(here, t.Enum) and isinstance(there, t.Enum):
            return _names_agree(here, there)
        if here.kind != there.kind:
            return False
        if isinstance(here, t.Array) and isinstance(there, t.Array):
            local_id = here.element_id
            target_id = there.element_id
            continue
        if isinstance(here, t.Forward):
            return _names_agree(here, there)
        if isinstance(here, t.Int) and isinstance(there, t.Int):
            return here.bit_offset == 0 and there.bit_offset == 0
        return here.kind in (t.KIND_PTR, t.KIND_FLOAT)
    raise BTFError(f"type {local_id}: arrays are nested too deep", file=local.file)


def _names_agree(here: t.Type, there: t.Type) -> bool:
    """The same name but for flavours; a type without one agrees with any."""
    if not here.name or not there.name:
        return True
    return essential_name(here.name) == essential_name(there.name)


def types_compatible(local: BTF, local_id: int, target: BTF, target_id: int) -> bool:
    """Whether two types are of one kind, down through pointers, arrays and prototypes."""
    return _Compare(local, target).compatible(local_id, target_id, 0)


def types_match(local: BTF, local_id: int, target: BTF, target_id: int) -> bool:
    """Whether the target's type has everything that the local one has."""
    return _Compare(local, target).match(local_id, target_id, False, 0)


class _Compare:
    """One comparison, with the work that it may still do."""

    __slots__ = ("_left", "_local", "_target")

    def __init__(self, local: BTF, target: BTF) -> None:
        self._local: BTF = local
        self._target: BTF = target
        self._left: int = _MAX_STEPS

    def _count(self, local_id: int, depth: int) -> None:
        self._left -= 1
        if depth > MAX_DEPTH or self._left < 0:
            raise BTFError(
                f"type {local_id}: too deeply nested to be compared",
                file=self._local.file,
                offset=self._local.offset_of(local_id),
            )

    def compatible(self, local_id: int, target_id: int, depth: int) -> bool:
        self._count(local_id, depth)
        here = resolve(self._local, local_id)
        there = resolve(self._target, target_id)
        if isinstance(here, t.Enum):
            return isinstance(there, t.Enum)
        if here.kind != there.kind:
            return False
        if isinstance(here, t.Int) and isinstance(there, t.Int):
            return here.bit_offset == 0 and there.bit_offset == 0
        if isinstance(here, t.Pointer) and isinstance(there, t.Pointer):
            return self.compatible(here.type_id, there.type_id, depth + 1)
        if isinstance(here, t.Array) and isinstance(there, t.Array):
            return self.compatible(here.element_id, there.element_id, depth + 1)
        if isinstance(here, t.FunctionProto) and isinstance(there, t.FunctionProto):
            if len(here.params) != len(there.params):
                return False
            for one, other in zip(here.params, there.params, strict=True):
                if not self.compatible(one.type_id, other.type_id, depth + 1):
                    return False
            return self.compatible(here.return_id, there.return_id, depth + 1)
        return isinstance(here, (t.Composite, t.Forward, t.Void))

    def match(self, local_id: int, target_id: int, behind_pointer: bool, depth: int) -> bool:
        self._count(local_id, depth)
        here = resolve(self._local, local_id)
        there = resolve(self._target, target_id)
        if not _same_essential(here.name, there.name):
            return False
        if isinstance(here, t.Forward):
            if behind_pointer and isinstance(there, t.Composite):
                return here.is_union == (there.kind == t.KIND_UNION)
            return isinstance(there, t.Forward) and here.is_union == there.is_union
        if isinstance(here, t.Enum):
            return isinstance(there, t.Enum) and self._enums(here, there)
        if isinstance(here, t.Composite):
            if behind_pointer:
                if isinstance(there, t.Forward):
                    return there.is_union == (here.kind == t.KIND_UNION)
                return here.kind == there.kind
            if here.kind != there.kind or not isinstance(there, t.Composite):
                return False
            return self._members(here, there, depth)
        if here.kind != there.kind:
            return False
        if isinstance(here, t.Int) and isinstance(there, t.Int):
            return here.size == there.size and here.signed == there.signed
        if isinstance(here, t.Pointer) and isinstance(there, t.Pointer):
            return self.match(here.type_id, there.type_id, True, depth + 1)
        if isinstance(here, t.Array) and isinstance(there, t.Array):
            return here.count == there.count and self.match(
                here.element_id, there.element_id, behind_pointer, depth + 1
            )
        if isinstance(here, t.FunctionProto) and isinstance(there, t.FunctionProto):
            return self._prototypes(here, there, behind_pointer, depth)
        return here.kind == t.KIND_VOID

    def _prototypes(
        self, here: t.FunctionProto, there: t.FunctionProto, behind_pointer: bool, depth: int
    ) -> bool:
        if len(here.params) != len(there.params):
            return False
        for one, other in zip(here.params, there.params, strict=True):
            if not self.match(one.type_id, other.type_id, behind_pointer, depth + 1):
                return False
        return self.match(here.return_id, there.return_id, behind_pointer, depth + 1)

    def _enums(self, here: t.Enum, there: t.Enum) -> bool:
        if here.size != there.size:
            return False
        known = {essential_name(entry.name) for entry in there.values}
        for entry in here.values:  # noqa: SIM110 - a plain loop compiles to plain code
            if essential_name(entry.name) not in known:
                return False
        return True

    def _members(self, here: t.Composite, there: t.Composite, depth: int) -> bool:
        if len(here.members) > len(there.members):
            return False
        by_name: dict[str, list[int]] = {}
        for member in there.members:
            by_name.setdefault(essential_name(member.name), []).append(member.type_id)
        for member in here.members:
            matched = False
            for type_id in by_name.get(essential_name(member.name), []):
                if self.match(member.type_id, type_id, False, depth + 1):
                    matched = True
                    break
            if not matched:
                return False
        return True


def _same_essential(here: str, there: str) -> bool:
    if not there:
        return not here
    return essential_name(here) == essential_name(there)
