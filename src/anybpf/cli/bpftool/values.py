"""Typed values as bpftool lists them: structures as JSON objects, enumerators by name.

Two forms of one thing: in JSON, bit fields are strings and pointers numbers; in text (``plain``),
both stand without quotes. Types that bpftool does not know are an error there, and bytes here.
"""

from __future__ import annotations

import sys
from typing import Any

from anybpf.btf import BTF
from anybpf.btf import types as t
from anybpf.btf.layout import align_of, resolve, size_of
from anybpf.cli.bpftool.json_text import Raw


def formatted(btf: BTF, type_id: int, data: bytes, plain: bool) -> Any:
    """A value of that type as what :mod:`json_text` prints."""
    return _value(btf, type_id, data, plain)


def _value(btf: BTF, type_id: int, data: bytes, plain: bool) -> Any:
    found = btf.type(type_id)
    while isinstance(found, t.Reference) and found.kind not in (t.KIND_PTR, t.KIND_VAR):
        found = btf.type(found.type_id)
    if isinstance(found, t.Int):
        return _int(found, data, plain)
    if isinstance(found, t.Enum):
        number = int.from_bytes(data[: found.size], _order(btf), signed=found.signed)
        return next((one.name for one in found.values if one.value == number), number)
    if found.kind == t.KIND_PTR:
        number = int.from_bytes(data[:8], _order(btf))
        if not plain:
            return number
        return Raw(f"{number:#x}" if number else "(nil)")
    if isinstance(found, t.Array):
        return _array(btf, found, data, plain)
    if isinstance(found, t.Composite):
        return {
            member.name: _member(btf, member, data, plain) for member in _distinct(found.members)
        }
    if isinstance(found, t.Var):
        return {found.name: _value(btf, found.type_id, data, plain)}
    if isinstance(found, t.DataSection):
        return {
            found.name: [
                _value(btf, one.type_id, data[at : at + one.size], plain)
                for one, at in zip(found.vars, _offsets(btf, found), strict=True)
            ]
        }
    return Raw(data.hex()) if plain else data.hex()


def _offsets(btf: BTF, section: t.DataSection) -> list[int]:
    """Where the variables lie. Compilers leave that to loaders, which put it in for the kernel;
    where nobody did, the variables follow each other as their alignment lets them."""
    if any(one.offset for one in section.vars):
        return [one.offset for one in section.vars]
    out = []
    at = 0
    for one in section.vars:
        variable = btf.type(one.type_id)
        align = align_of(btf, variable.type_id) if isinstance(variable, t.Var) else 1
        at = -(-at // align) * align
        out.append(at)
        at += one.size
    return out


class _Name(str):
    """A member's name that is another than its twins': several may be without a name."""

    __slots__ = ()
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other


def _distinct(members: list[t.Member]) -> list[t.Member]:
    out = []
    for member in members:
        name = member.name or _Name("")
        out.append(t.Member(name, member.type_id, member.bit_offset, member.bitfield_size))
    return out


def _member(btf: BTF, member: t.Member, data: bytes, plain: bool) -> Any:
    start, skip = divmod(member.bit_offset, 8)
    if member.bitfield_size:
        return _hex(_bits(btf, data[start:], skip, member.bitfield_size), plain)
    base = resolve(btf, member.type_id)
    if isinstance(base, t.Int) and (skip or base.bit_offset or base.bits % 8):
        return _hex(_bits(btf, data[start:], skip + base.bit_offset, base.bits), plain)
    return _value(btf, member.type_id, data[start : start + size_of(btf, member.type_id)], plain)


def _bits(btf: BTF, data: bytes, skip: int, count: int) -> int:
    size = (skip + count + 7) // 8
    number = int.from_bytes(data[:size], _order(btf))
    if btf.big_endian:
        number >>= size * 8 - skip - count
    else:
        number >>= skip
    return number & ((1 << count) - 1)


def _hex(number: int, plain: bool) -> str:
    return Raw(f"{number:#x}") if plain else f"{number:#x}"


def _int(found: t.Int, data: bytes, plain: bool) -> Any:
    raw = data[: found.size]
    if found.bits % 8 or found.bit_offset:
        skip = found.bit_offset
        number = int.from_bytes(raw, sys.byteorder) >> skip & ((1 << found.bits) - 1)
        return _hex(number, plain)
    if found.bits > 64:
        return _hex(int.from_bytes(raw, sys.byteorder), plain)
    if found.encoding & t.INT_BOOL:
        return raw[:1] != b"\0"
    if found.encoding & t.INT_CHAR and found.size == 1:
        byte = raw[0]
        if 32 <= byte < 127:
            return Raw(f"'{chr(byte)}'") if plain else chr(byte)
        return Raw(f"'\\x{byte:02x}'") if plain else f"\\x{byte:02x}"
    return int.from_bytes(raw, sys.byteorder, signed=bool(found.encoding & t.INT_SIGNED))


def _array(btf: BTF, found: t.Array, data: bytes, plain: bool) -> Any:
    element = resolve(btf, found.element_id)
    if isinstance(element, t.Int) and element.name == "char" and element.size == 1:
        text, end, _ = data[: found.count].partition(b"\0")
        if end and all(32 <= byte < 127 or 9 <= byte <= 13 for byte in text):
            return text.decode()
    size = size_of(btf, found.element_id)
    return [
        _value(btf, found.element_id, data[i * size : (i + 1) * size], plain)
        for i in range(found.count)
    ]


def _order(btf: BTF) -> Any:
    return "big" if btf.big_endian else "little"
