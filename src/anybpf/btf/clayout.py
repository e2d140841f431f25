"""How to make C lay out a struct as BTF says: which padding to write and when to pack.

BTF has no word for `packed` or `aligned`; both show in the offsets only. This module knows the
placement rules of C compilers for BPF (System V: a bit-field does not cross a unit of its type)
and nothing of text.
"""

from __future__ import annotations

from typing import Final

from anybpf.btf import types as t
from anybpf.btf.container import BTF
from anybpf.btf.layout import MAX_DEPTH, align_of, broken, field_bits, is_bitfield, resolve, size_of

# A gap is filled by unnamed bit-fields, since these have no name that a program could use; a
# gap that would need more of them than this becomes an array.
_MAX_PIECES: Final = 32
_UNITS: Final = ((64, "long long"), (32, "int"), (16, "short"), (8, "char"))


class Plan:
    """What to write in front of each field, last after all of them, and whether to pack."""

    __slots__ = ("align", "packed", "padding")

    def __init__(self, padding: list[list[str]], packed: bool, align: int) -> None:
        self.padding: list[list[str]] = padding
        self.packed: bool = packed
        self.align: int = align


class Planner:
    """Makes a plan for each struct and union of one BTF, once."""

    __slots__ = ("_aligns", "_btf", "_plain", "_plans")

    def __init__(self, btf: BTF) -> None:
        self._btf: BTF = btf
        self._plans: dict[int, Plan] = {}
        # By type: its alignment, and its width unless it is a bit-field of the old style.
        self._aligns: dict[int, int] = {}
        self._plain: dict[int, int] = {}

    def plan(self, found: t.Composite, depth: int = 0) -> Plan:
        known = self._plans.get(found.id)
        if known is None:
            if depth > MAX_DEPTH:
                raise broken(self._btf, found.id, "structs contain each other too deep")
            make = self._union if found.kind == t.KIND_UNION else self._struct
            known = make(found, False, depth) or make(found, True, depth)
            if known is None:
                raise broken(self._btf, found.id, "fields overlap or reach past its size")
            self._plans[found.id] = known
        return known

    def place(self, member: t.Member) -> tuple[int, int, bool]:
        """Offset and width of a field in bits, and whether it is a bit-field."""
        if member.bitfield_size:
            return member.bit_offset, member.bitfield_size, True
        bits = self._plain.get(member.type_id)
        if bits is not None:
            return member.bit_offset, bits, False
        start, bits = field_bits(self._btf, member)
        odd = is_bitfield(self._btf, member)
        if not odd:
            self._plain[member.type_id] = bits
        return start, bits, odd

    def _align(self, type_id: int, depth: int) -> int:
        """Alignment that C gives to a type as it will be written."""
        known = self._aligns.get(type_id)
        if known is None:
            known = self._find_align(type_id, depth)
            self._aligns[type_id] = known
        return known

    def _find_align(self, type_id: int, depth: int) -> int:
        found = resolve(self._btf, type_id)
        for _ in range(MAX_DEPTH):
            if not isinstance(found, t.Array):
                break
            found = resolve(self._btf, found.element_id)
        if isinstance(found, t.Composite):
            return self.plan(found, depth + 1).align
        return align_of(self._btf, found.id)

    def _unit(self, found: t.Composite, member: t.Member) -> int:
        """Bits of the type that a bit-field is declared with."""
        base = resolve(self._btf, member.type_id)
        if not isinstance(base, (t.Int, t.Enum)):
            raise broken(self._btf, found.id, f"bit-field '{member.name}' is no integer")
        return size_of(self._btf, base.id) * 8

    def _struct(self, found: t.Composite, packed: bool, depth: int) -> Plan | None:
        """A plan, or None if these fields cannot lie like that (un)packed."""
        at = 0
        align = 1
        gaps: list[tuple[int, int]] = []
        for member in found.members:
            start, bits, odd = self.place(member)
            own = 1 if packed else self._align(member.type_id, depth)
            align = max(align, own)
            if odd:
                unit = self._unit(found, member)
                if bits > unit or (not packed and start // unit != (start + bits - 1) // unit):
                    return None
                natural = at
            else:
                if start % (own * 8):
                    return None
                natural = -(-at // (own * 8)) * own * 8
            if start < at:
                return None
            gaps.append((at, at if start == natural else start))
            at = start + bits
        end = found.size * 8
        if at > end or end % (align * 8):
            return None
        natural = -(-at // (align * 8)) * align * 8
        gaps.append((at, at if natural == end else end))
        padding = [self._fill(low, high, align) for low, high in gaps]
        return Plan(padding, packed, align)

    def _union(self, found: t.Composite, packed: bool, depth: int) -> Plan | None:
        align = 1
        largest = 0
        for member in found.members:
            start, bits, odd = self.place(member)
            if start:
                return None
            if odd and bits > self._unit(found, member):
                return None
            largest = max(largest, bits)
            align = max(align, 1 if packed else self._align(member.type_id, depth))
        end = found.size * 8
        if largest > end or end % (align * 8):
            return None
        padding: list[list[str]] = [[] for _ in range(len(found.members) + 1)]
        if -(-largest // (align * 8)) * align * 8 != end:
            padding[-1].append(f"unsigned char __pad[{found.size}]")
        return Plan(padding, packed, align)

    def _fill(self, low: int, high: int, align: int) -> list[str]:
        """Declarations that take the bits from `low` to `high`."""
        pieces: list[str] = []
        if low == high:
            return pieces
        part = min(-low % 8, high - low)
        if part:
            pieces.append(f"char: {part}")
            low += part
        if (high - low) // (align * 8) > _MAX_PIECES:
            count = (high - low) // 8
            pieces.append(f"unsigned char __pad_{low // 8}[{count}]")
            low += count * 8
        for unit, word in _UNITS:
            if unit > align * 8 and unit > 8:
                continue
            # Narrower units first, up to the boundary where the widest can begin.
            pieces += _narrow(low, min(high, -(-low // unit) * unit))
            low = max(low, min(high, -(-low // unit) * unit))
            while high - low >= unit:
                pieces.append(f"{word}: {unit}")
                low += unit
        if high > low:
            pieces.append(f"char: {high - low}")
        return pieces


def _narrow(low: int, high: int) -> list[str]:
    """Whole bytes from one bit to another, `low` being at a byte."""
    return ["char: 8"] * ((high - low) // 8)
