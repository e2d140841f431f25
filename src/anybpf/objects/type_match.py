"""Whether two objects mean the same type when they name the same function, variable or map.

The question comes up when a declaration in one object meets the definition in another. It is
about types that are used alike, not about equal ones: names of parameters, `const` and typedefs
do not matter, and a struct that is only declared matches its definition.
"""

from __future__ import annotations

from typing import Final

from anybpf.btf import BTF
from anybpf.btf import types as t
from anybpf.btf.layout import resolve

# Types and fields looked at before two objects' type information is given up on. Those of a whole
# kernel would take a tenth.
_MAX_STEPS: Final = 1 << 22


class TypeMatch:
    """Compares types of two `BTF`s, remembering what was found to be alike."""

    __slots__ = ("_left", "_right", "_seen", "_steps", "_waiting")

    def __init__(self, left: BTF, right: BTF) -> None:
        self._left: BTF = left
        self._right: BTF = right
        self._seen: set[tuple[int, int]] = set()
        self._waiting: list[tuple[int, int]] = []
        self._steps: int = 0

    def problem(self, left_id: int, right_id: int) -> str:
        """How two types differ, '' if they do not.

        Types that refer to each other in circles are alike if nothing tells them apart; so after
        a difference was found, what has been compared says no more, and this is of no more use.
        """
        self._add(left_id, right_id)
        while self._waiting:
            one, other = self._waiting.pop()
            found = self._compare(resolve(self._left, one), resolve(self._right, other))
            if found:
                return found
            self._steps += 1
            if self._steps > _MAX_STEPS:
                return "the types are too entangled to be compared"
        return ""

    def _add(self, left_id: int, right_id: int) -> None:
        pair = (left_id, right_id)
        if pair not in self._seen:
            self._seen.add(pair)
            self._waiting.append(pair)

    def _compare(self, one: t.Type, other: t.Type) -> str:
        if isinstance(one, t.Forward) or isinstance(other, t.Forward):
            return _compare_forward(one, other)
        if isinstance(one, t.Enum) and isinstance(other, t.Enum):
            self._steps += len(one.values)
            return _compare_enums(one, other)
        if one.kind != other.kind:
            return f"{_say(one)} here, {_say(other)} there"
        if isinstance(one, t.Int) and isinstance(other, t.Int):
            # The encoding BOOL is a matter of name, the sign is not.
            same = one.size == other.size and one.bits == other.bits
            if same and one.signed == other.signed:
                return ""
            return f"{_say(one)} here, {_say(other)} there"
        if isinstance(one, t.Float) and isinstance(other, t.Float):
            return "" if one.size == other.size else f"{_say(one)} here, {_say(other)} there"
        if isinstance(one, t.Array) and isinstance(other, t.Array):
            self._add(one.element_id, other.element_id)
            # `extern int a[];` leaves the length to the definition.
            if one.count and other.count and one.count != other.count:
                return f"an array of {one.count} here, of {other.count} there"
            return ""
        if isinstance(one, t.Composite) and isinstance(other, t.Composite):
            return self._compare_composites(one, other)
        if isinstance(one, t.FunctionProto) and isinstance(other, t.FunctionProto):
            return self._compare_functions(one, other)
        if isinstance(one, t.Reference) and isinstance(other, t.Reference):
            self._add(one.type_id, other.type_id)
        return ""

    def _compare_composites(self, one: t.Composite, other: t.Composite) -> str:
        what = _say(one)
        if one.name != other.name:
            return f"{what} here, {_say(other)} there"
        if one.size != other.size or len(one.members) != len(other.members):
            return (
                f"{what} has {one.size} bytes in {len(one.members)} fields here, "
                f"{other.size} in {len(other.members)} there"
            )
        self._steps += len(one.members)
        for mine, theirs in zip(one.members, other.members, strict=True):
            if mine.name != theirs.name or mine.bit_offset != theirs.bit_offset:
                return f"field {mine.name} of {what} is {theirs.name} or elsewhere there"
            if mine.bitfield_size != theirs.bitfield_size:
                return f"field {mine.name} of {what} has another width there"
            self._add(mine.type_id, theirs.type_id)
        return ""

    def _compare_functions(self, one: t.FunctionProto, other: t.FunctionProto) -> str:
        if len(one.params) != len(other.params):
            return f"{len(one.params)} parameters here, {len(other.params)} there"
        self._steps += len(one.params)
        self._add(one.return_id, other.return_id)
        for mine, theirs in zip(one.params, other.params, strict=True):
            self._add(mine.type_id, theirs.type_id)
        return ""


def _compare_forward(one: t.Type, other: t.Type) -> str:
    if one.name == other.name and _is_union(one) == _is_union(other):
        return ""
    return f"{_say(one)} here, {_say(other)} there"


def _compare_enums(one: t.Enum, other: t.Enum) -> str:
    if one.name != other.name or one.size != other.size:
        return f"{_say(one)} here, {_say(other)} there"
    if not one.values or not other.values:
        return ""
    mine = [(entry.name, entry.value) for entry in one.values]
    theirs = [(entry.name, entry.value) for entry in other.values]
    return "" if mine == theirs else f"{_say(one)} has other values there"


def _is_union(found: t.Type) -> bool:
    if isinstance(found, t.Forward):
        return found.is_union
    return isinstance(found, t.Union)


def _say(found: t.Type) -> str:
    name = found.name or "without name"
    size = ""
    if isinstance(found, t.Int | t.Float):
        size = f" of {found.size} bytes"
    if isinstance(found, t.Int) and found.signed:
        size += ", signed"
    return f"{found.kind_name} {name}{size}"
