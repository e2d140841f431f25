"""Whether one state is covered by another: what holds there holds here as well.

Used to see that a loop's invariant is reached and that a path leads nowhere new. Unknowns are
matched on the fly: each unknown of the wider state stands for one value of the narrower.
"""

from __future__ import annotations

from mypy_extensions import i64

from anybpf.verifier import arithmetic as ranges
from anybpf.verifier import numbers
from anybpf.verifier.memory import load_cell, written_bytes
from anybpf.verifier.state import FRAME_CELLS, REGISTERS, Relation, State
from anybpf.verifier.values import (
    CONTEXT,
    FUNCTION,
    LOW_HALF,
    MERGED,
    MIXED,
    NUMBER,
    PACKET,
    PACKET_END,
    PACKET_META,
    PLAIN,
    STACK,
    UNINIT,
    Bytes,
    Cell,
    CellChoice,
    Choice,
    ObjectCell,
    Phi,
    Region,
    Unknown,
    Value,
)


class Inclusion:
    """Is ``narrow`` covered by ``wide``?"""

    __slots__ = ("matched", "narrow", "regions", "same", "wide")

    def __init__(self, narrow: State, wide: State) -> None:
        self.narrow: State = narrow
        self.wide: State = wide
        self.matched: dict[Unknown, Value] = {}
        self.regions: dict[Region, Region | None] = {}
        # Whether everything matched so far was matched with itself.
        self.same: bool = True

    def holds(self, live: i64, live_cells: i64) -> bool:
        narrow = self.narrow
        wide = self.wide
        if narrow.depth != wide.depth or not self._same_held():
            return False
        i: i64 = 0
        while i < len(wide.regs):
            if i >= REGISTERS or (live >> i) & 1:
                if not self.value(narrow.regs[i], wide.regs[i]):
                    return False
            i = i + 1
        own = len(wide.stack) - FRAME_CELLS
        # The same stack on both sides is the same only if what is in it stands for itself.
        if (
            narrow.stack is not wide.stack
            or not self.same
            or len(wide.facts) > 0
            or len(wide.nonnull) > 0
        ):
            i = 0
            while i < len(wide.stack):
                if (
                    i < own
                    or (live_cells >> (i - own)) & 1
                    or isinstance(wide.stack[i], ObjectCell)
                ) or isinstance(narrow.stack[i], (ObjectCell, CellChoice)):
                    if not self._cell(narrow.stack[i], wide.stack[i]):
                        return False
                i = i + 1
        return self._halves() and self._relations() and self._reach() and self._meta_reach()

    def _same_held(self) -> bool:
        a = self.narrow.held
        b = self.wide.held
        if a is b and len(a.references) == 0 and len(a.locks) == 0:
            return True
        if (
            a.rcu != b.rcu
            or a.preempt != b.preempt
            or a.irqs != b.irqs
            or len(a.references) != len(b.references)
            or len(a.locks) != len(b.locks)
        ):
            return False
        i: i64 = 0
        while i < len(a.references):
            if not self._region(a.references[i], b.references[i]):
                return False
            i = i + 1
        i = 0
        while i < len(a.locks):
            if a.locks[i][1] != b.locks[i][1] or not self._region(a.locks[i][0], b.locks[i][0]):
                return False
            i = i + 1
        return True

    def value(self, x: Value, y: Value) -> bool:
        kind = y.kind
        if kind == UNINIT:
            return True
        if kind == MIXED:
            return self._mixed(x, y)
        x = self.narrow.settled(x)
        y = self.wide.settled(y)
        kind = y.kind
        if x.kind != kind:
            return self._null_for(x, y)
        if kind != NUMBER:
            left = x.region
            right = y.region
            if left is None or right is None:
                return False
            if kind == PACKET or kind == PACKET_END or kind == PACKET_META:
                # Stale pointers are good for nothing, so any packet pointer will do for one.
                if right is self.wide.packet and left is not self.narrow.packet:
                    return False
                if right is not self.wide.packet:
                    return left is not self.narrow.packet
            elif not self._region(left, right):
                return False
        return self._offset(x, y)

    def _mixed(self, x: Value, y: Value) -> bool:
        """Nothing can be done with a conflict; a choice may still be decided one day."""
        if isinstance(y, Choice) and y.merge is not None and not y.merge.forgotten:
            return x is y and self.value(y.left, y.left) and self.value(y.right, y.right)
        return x.kind != UNINIT and not isinstance(x, Choice)

    def _null_for(self, x: Value, y: Value) -> bool:
        """Zero for a pointer that may be null."""
        if x.kind != NUMBER or x.unknown is not None or x.offset != 0:
            return False
        if y.offset != 0 or y.unknown is not None:
            return False
        region = y.region
        if region is None or not region.nullable or self.wide.is_nonnull(region):
            return False
        if region in self.regions:
            return self.regions[region] is None
        self.regions[region] = None
        self.same = False
        return True

    def _region(self, left: Region, right: Region) -> bool:
        kind = right.kind
        if kind == STACK or kind == CONTEXT or kind == FUNCTION:
            return left is right
        if right in self.regions:
            return self.regions[right] is left
        if left is right and not right.nullable:
            # One region of the wider state stands for one of the narrower, wherever it occurs.
            self.regions[right] = left
            parent = right.parent
            return self._sides_of(right) and (parent is None or self._region(parent, parent))
        if right.merge is not None and left is not right and not right.merge.forgotten:
            return False
        if (
            left.kind != right.kind
            or left.size < right.size
            or left.low > right.low
            or left.least < right.least
            or left.most > right.most
            or left.flags != right.flags
            or left.type != right.type
        ):
            return False
        if left.index != right.index and right.index >= 0:
            return False
        if left.parent is not right.parent:
            if left.parent is None or right.parent is None:
                return False
            if not self._region(left.parent, right.parent):
                return False
        if left.nullable and not self.narrow.is_nonnull(left):
            if not right.nullable or self.wide.is_nonnull(right):
                return False
        if self.wide.nonnull.get(right) is False and self.narrow.nonnull.get(left) is not False:
            return False
        if self.wide.holds(right) != self.narrow.holds(left):
            return False
        self.regions[right] = left
        if left is not right:
            self.same = False
            return True
        return self._sides_of(right)

    def _sides_of(self, region: Region) -> bool:
        """What a merged region is made of stands for itself where the region does."""
        if region.merge is None or region.merge.forgotten:
            return True
        left = region.left
        right = region.right
        return (left is None or self._stays(left)) and (right is None or self._stays(right))

    def _stays(self, region: Region) -> bool:
        if region in self.regions:
            return self.regions[region] is region
        self.regions[region] = region
        return self._sides_of(region)

    def _stays_unknown(self, unknown: Unknown | None) -> bool:
        """The unknown stands for itself, and so does all that it was made of."""
        if unknown is None:
            return True
        before = self.matched.get(unknown)
        if before is not None:
            return before.unknown is unknown and before.offset == 0
        self.matched[unknown] = Value(NUMBER, 0, unknown, None)
        if unknown.origin == MERGED:
            assert isinstance(unknown, Phi)
            return self._stays_unknown(unknown.left) and self._stays_unknown(unknown.right)
        source = unknown.source
        return source is None or self._stays_unknown(source.unknown)

    def _offset(self, x: Value, y: Value) -> bool:
        """x's number, or distance, is among those of y."""
        right = y.unknown
        if right is None:
            return x.unknown is None and x.offset == y.offset
        distance = ranges.minus(x.offset, y.offset)
        before = self.matched.get(right)
        if before is not None:
            return before.unknown is x.unknown and before.offset == distance
        self.matched[right] = Value(NUMBER, distance, x.unknown, None)
        if x.unknown is not right or distance != 0:
            self.same = False
        if x.unknown is None:
            return right.origin == PLAIN and numbers.contains(self.wide.known(right), distance)
        known = self.narrow.known(x.unknown)
        if distance != 0:
            known = ranges.shift_by(known, distance)
        if not numbers.includes(self.wide.known(right), known):
            return False
        return right.origin == PLAIN or self._origin(x.unknown, distance, right)

    def _origin(self, left: Unknown, distance: i64, right: Unknown) -> bool:
        """The wider unknown is tied to what it was made of: so must the narrower be."""
        if distance != 0:
            return False
        if right.origin == MERGED:
            if left is not right:
                return False
            assert isinstance(right, Phi)
            return self._stays_unknown(right.left) and self._stays_unknown(right.right)
        if left.origin != right.origin or left.amount != right.amount:
            return False
        a = left.source
        b = right.source
        return a is not None and b is not None and self.value(a, b)

    def _halves(self) -> bool:
        """What is known of low halves that no register holds at the moment."""
        for right, value in list(self.matched.items()):
            half = right.low
            while half is not None:
                if half not in self.matched and not self._half(half, value, False):
                    return False
                signed = half.signed
                while signed is not None:
                    if signed not in self.matched and not self._half(signed, value, True):
                        return False
                    signed = signed.sibling
                half = half.sibling
            signed = right.signed
            while signed is not None:
                if signed not in self.matched and not self._half(signed, value, True):
                    return False
                signed = signed.sibling
        return True

    def _half(self, half: Unknown, value: Value, signed: bool) -> bool:
        wide = self.wide.facts.get(half)
        if wide is None:
            return True
        if value.unknown is not None and value.offset == 0:
            # The same word on both sides has the same halves.
            narrow = self.narrow.facts.get(half)
            if narrow is not None and self._is_half_of(half, value.unknown):
                return numbers.includes(wide, narrow)
        source = half.source
        assert source is not None
        known = self.narrow.range_of(value)
        offset = source.offset
        if signed:
            inner = source.unknown
            if inner is not None and inner.origin == LOW_HALF:
                inner_source = inner.source
                assert inner_source is not None
                if offset != 0:
                    return False
                offset = inner_source.offset
        if offset != 0:
            known = ranges.shift_by(known, offset)
        known = ranges.sext(known, 32) if signed else ranges.low32(known)
        return numbers.includes(wide, known)

    def _is_half_of(self, half: Unknown, word: Unknown) -> bool:
        at: Unknown | None = half
        while at is not None:
            if at is word:
                return True
            source = at.source
            at = None if source is None else source.unknown
        return False

    def _reach(self) -> bool:
        wide = self.wide.reach
        narrow = self.narrow.reach
        if wide is narrow and len(self.matched) == 0:
            return True
        for start, need in wide.items():
            if start is None:
                have = narrow.get(None)
                if have is None or have < need:
                    return False
            else:
                value = self.matched.get(start)
                if value is not None:
                    have = narrow.get(value.unknown)
                    if have is None or have - value.offset < need:
                        return False
        return True

    def _cell(self, x: Cell, y: Cell) -> bool:
        if x is y:
            return self._same_cell(y)
        if isinstance(y, ObjectCell):
            return (
                isinstance(x, ObjectCell)
                and x.type == y.type
                and x.index == y.index
                and x.detail == y.detail
                and x.holds == y.holds
                and x.read_only == y.read_only
                and self._region(x.identity, y.identity)
            )
        if isinstance(x, ObjectCell):
            return False
        if isinstance(x, CellChoice):
            return self._cell(x.left, y) and self._cell(x.right, y)
        if isinstance(y, CellChoice):
            return self._cell(x, y.left) or self._cell(x, y.right)
        if isinstance(y, Value):
            if isinstance(x, Value):
                return self.value(x, y)
            if y.kind == UNINIT:
                return True
            found = load_cell(self.narrow, x, 0, 8)
            return found is not None and self.value(found, y)
        assert isinstance(y, Bytes)
        written = written_bytes(x)
        if (written & y.written) != y.written:
            return False
        for part in y.parts:
            found = load_cell(self.narrow, x, part.start, part.size)
            if found is None or not self.value(found, part.value):
                return False
        return True

    def _same_cell(self, cell: Cell) -> bool:
        """What the cell holds stands for itself."""
        if isinstance(cell, Value):
            return self.value(cell, cell)
        if isinstance(cell, Bytes):
            for part in cell.parts:
                if not self.value(part.value, part.value):
                    return False
            return True
        if isinstance(cell, CellChoice):
            return self._same_cell(cell.left) and self._same_cell(cell.right)
        assert isinstance(cell, ObjectCell)
        return self._region(cell.identity, cell.identity)

    def _relations(self) -> bool:
        """What the wider state says about differences must hold of what its unknowns stand for."""
        relation = self.wide.relations
        if relation is None or relation is self.narrow.relations:
            return True
        while relation is not None:
            x = self.matched.get(relation.x)
            y = self.matched.get(relation.y)
            if x is not None and y is not None:
                if not self._related(x, y, relation.bound):
                    return False
            elif (x is not None or y is not None) and not self._shared(relation):
                return False
            relation = relation.next
        return True

    def _shared(self, relation: Relation) -> bool:
        """Whether the narrower state has the very same relation about the same unknown."""
        for unknown in (relation.x, relation.y):
            value = self.matched.get(unknown)
            if value is not None and (value.unknown is not unknown or value.offset != 0):
                return False
        have = self.narrow.relations
        while have is not None:
            if have is relation:
                return True
            have = have.next
        return False

    def _related(self, x: Value, y: Value, bound: i64) -> bool:
        left = x.unknown
        right = y.unknown
        if left is None or right is None or left is right:
            a = self.narrow.range_of(x)
            b = self.narrow.range_of(y)
            if left is right:
                return x.offset - y.offset <= bound
            return a.high - b.low <= bound if b.low > -(1 << 61) and a.high < (1 << 61) else False
        have = self.narrow.relations
        while have is not None:
            if have.x is left and have.y is right and have.bound + x.offset - y.offset <= bound:
                return True
            have = have.next
        a = self.narrow.known(left)
        b = self.narrow.known(right)
        return (
            b.low > -(1 << 61)
            and a.high < (1 << 61)
            and a.high + x.offset - b.low - y.offset <= bound
        )

    def _meta_reach(self) -> bool:
        if self.narrow.meta_reach is self.wide.meta_reach:
            return True
        for start, need in self.wide.meta_reach.items():
            if start is None:
                have = self.narrow.meta_reach.get(None)
                if have is None or have < need:
                    return False
            else:
                value = self.matched.get(start)
                if value is None:
                    continue
                have = self.narrow.meta_reach.get(value.unknown)
                if have is None or have - value.offset < need:
                    return False
        return True
