"""One type record of BTF, from bytes to a `Type`.

Knows the record of each kind (btf.rst, section 2.2) and its length; where records lie and what
their ids are is the business of `container`.
"""

from __future__ import annotations

from struct import Struct as Layout
from typing import Final

from anybpf.btf import types as t
from anybpf.btf.strings import StringTable
from anybpf.errors import BTFError

# Words that follow the three of every record, once and per unit of vlen: btf.rst, section 2.2.
_FIXED_WORDS: Final = {t.KIND_INT: 1, t.KIND_ARRAY: 3, t.KIND_VAR: 1, t.KIND_DECL_TAG: 1}
_UNIT_WORDS: Final = {
    t.KIND_STRUCT: 3, t.KIND_UNION: 3, t.KIND_ENUM: 2, t.KIND_FUNC_PROTO: 2,
    t.KIND_DATASEC: 3, t.KIND_ENUM64: 3,
}  # fmt: skip
HEADER_WORDS: Final = 3


def record_words() -> tuple[list[int], list[int]]:
    """Words of a record, by the upper half of its info word: (in any case, per unit of vlen).

    Zero words in any case marks an upper half that no kind has: an unknown kind, or a reserved
    bit that is set.
    """
    fixed = [0] * 0x10000
    unit = [0] * 0x10000
    for kind in range(1, len(t.KIND_NAMES)):
        for flag in (0, 0x8000):
            fixed[kind << 8 | flag] = HEADER_WORDS + _FIXED_WORDS.get(kind, 0)
            unit[kind << 8 | flag] = _UNIT_WORDS.get(kind, 0)
    return fixed, unit


class TypeDecoder:
    """Reads type records out of the type section; the caller has checked their bounds."""

    __slots__ = ("_data", "_one", "_pairs", "_signed_pairs", "_strings", "_three", "_triples")

    def __init__(self, data: bytes | memoryview, big_endian: bool, strings: StringTable) -> None:
        order = ">" if big_endian else "<"
        self._data: bytes | memoryview = data
        self._strings: StringTable = strings
        self._one: Layout = Layout(order + "I")
        self._three: Layout = Layout(order + "III")
        self._pairs: Layout = Layout(order + "II")
        self._signed_pairs: Layout = Layout(order + "Ii")
        self._triples: Layout = Layout(order + "III")

    def kind(self, at: int) -> int:
        """The kind of the type whose record starts at `at`."""
        word: int = self._one.unpack_from(self._data, at + 4)[0]
        return word >> 24 & 0x1F

    def read(self, at: int) -> t.Type:
        """The type whose record starts `at` so many bytes into the type section."""
        name_offset, info, third = self._three.unpack_from(self._data, at)
        kind: int = info >> 24 & 0x1F
        flag: bool = info >> 31 != 0
        count: int = info & 0xFFFF
        size: int = third
        tail = at + 12
        name: str = self._strings.get(name_offset) if name_offset else ""
        if kind == t.KIND_PTR:
            return t.Pointer(size)
        if kind in (t.KIND_STRUCT, t.KIND_UNION):
            members = self._members(tail, count, flag)
            if kind == t.KIND_STRUCT:
                return t.Struct(name, size, members, flag)
            return t.Union(name, size, members, flag)
        if kind == t.KIND_FUNC:
            return t.Function(name, size, count)
        if kind == t.KIND_FUNC_PROTO:
            return t.FunctionProto(size, self._params(tail, count))
        if kind == t.KIND_TYPEDEF:
            return t.Typedef(name, size)
        if kind == t.KIND_CONST:
            return t.Const(size)
        if kind == t.KIND_INT:
            word: int = self._one.unpack_from(self._data, tail)[0]
            return t.Int(name, size, word >> 24 & 0xF, word & 0xFF, word >> 16 & 0xFF)
        if kind == t.KIND_ARRAY:
            element, index, length = self._three.unpack_from(self._data, tail)
            return t.Array(element, index, length)
        if kind == t.KIND_ENUM:
            return t.Enum(name, size, flag, self._values(tail, count, flag))
        if kind == t.KIND_ENUM64:
            return t.Enum64(name, size, flag, self._wide_values(tail, count, flag))
        if kind == t.KIND_VAR:
            return t.Var(name, size, self._one.unpack_from(self._data, tail)[0])
        if kind == t.KIND_DATASEC:
            return t.DataSection(name, size, self._variables(tail, count))
        return self._rare(kind, flag, name, size, tail)

    def _rare(self, kind: int, flag: bool, name: str, size: int, tail: int) -> t.Type:
        if kind == t.KIND_FWD:
            return t.Forward(name, flag)
        if kind == t.KIND_VOLATILE:
            return t.Volatile(size)
        if kind == t.KIND_RESTRICT:
            return t.Restrict(size)
        if kind == t.KIND_FLOAT:
            return t.Float(name, size)
        if kind == t.KIND_TYPE_TAG:
            return t.TypeTag(name, size, flag)
        if kind == t.KIND_DECL_TAG:
            component: int = self._one.unpack_from(self._data, tail)[0]
            if component >= 0x80000000:
                component -= 0x100000000
            return t.DeclTag(name, size, component, flag)
        raise BTFError(f"unknown kind of type {kind}")

    def _members(self, at: int, count: int, flag: bool) -> list[t.Member]:
        names = self._strings
        members: list[t.Member] = []
        records = self._triples.iter_unpack(self._data[at : at + 12 * count])
        for name, type_id, offset in records:
            text: str = names.get(name) if name else ""
            if flag:
                # With the kind flag, the upper 8 bits are the size of the bit-field.
                bits: int = offset
                members.append(t.Member(text, type_id, bits & 0xFFFFFF, bits >> 24))
            else:
                members.append(t.Member(text, type_id, offset))
        return members

    def _params(self, at: int, count: int) -> list[t.Param]:
        names = self._strings
        params: list[t.Param] = []
        for name, type_id in self._pairs.iter_unpack(self._data[at : at + 8 * count]):
            params.append(t.Param(names.get(name) if name else "", type_id))
        return params

    def _values(self, at: int, count: int, signed: bool) -> list[t.Enumerator]:
        names = self._strings
        layout = self._signed_pairs if signed else self._pairs
        values: list[t.Enumerator] = []
        for name, value in layout.iter_unpack(self._data[at : at + 8 * count]):
            values.append(t.Enumerator(names.get(name), value))
        return values

    def _wide_values(self, at: int, count: int, signed: bool) -> list[t.Enumerator]:
        names = self._strings
        values: list[t.Enumerator] = []
        for name, low, high in self._triples.iter_unpack(self._data[at : at + 12 * count]):
            value: int = high << 32 | low
            if signed and value >= 1 << 63:
                value -= 1 << 64
            values.append(t.Enumerator(names.get(name), value))
        return values

    def _variables(self, at: int, count: int) -> list[t.SectionVar]:
        variables: list[t.SectionVar] = []
        for type_id, offset, size in self._triples.iter_unpack(self._data[at : at + 12 * count]):
            variables.append(t.SectionVar(type_id, offset, size))
        return variables
