"""How two states become one, and how a loop's states are made to settle.

Where two values differ, a phi unknown stands for both; equal pairs share one, so that what is
learnt of one place is learnt of all. The record of a merge is kept (``record``), so that a branch
that decides the side brings everything of that side back. A merge that widens, or joins the turns
of a loop, keeps no record: its sides are many turns, not one.
"""

from __future__ import annotations

from typing import Final, cast

from mypy_extensions import i64

from anybpf.verifier import arithmetic as ranges
from anybpf.verifier import numbers
from anybpf.verifier.memory import load_cell, written_bytes
from anybpf.verifier.numbers import Range
from anybpf.verifier.record import Journal, Merge
from anybpf.verifier.state import FRAME_CELLS, REGISTERS, Relation, State
from anybpf.verifier.values import (
    CONFLICT,
    CONTEXT,
    FUNCTION,
    MAP,
    MAX_NESTING,
    MIXED,
    NO_PARTS,
    NOTHING,
    NUMBER,
    NUMBER_ZERO,
    PACKET,
    PACKET_END,
    PACKET_META,
    STACK,
    UNINIT,
    UNWRITTEN,
    WRITTEN,
    Bytes,
    Cell,
    CellChoice,
    Choice,
    ObjectCell,
    Part,
    Phi,
    Region,
    Unknown,
    Value,
    choices,
    is_unset,
    owes,
)

# Offsets may differ by this much where one region is made of two.
NEAR: Final = 65536
# Contents of a cell are remembered as choices of choices to this depth.
MAX_CHOICES: Final = 8
# Beyond this many facts, a merge keeps only those about what is still in reach.
MANY_FACTS: Final = 64


class Merger:
    """Makes one state of two. ``live`` and ``live_cells`` say what is still needed."""

    __slots__ = (
        "journal",
        "left",
        "merge",
        "packet",
        "phis",
        "reach",
        "regions",
        "right",
        "thresholds",
        "widens",
    )

    def __init__(
        self,
        left: State,
        right: State,
        journal: Journal | None,
        widens: bool,
        thresholds: list[i64],
    ) -> None:
        self.left: State = left
        self.right: State = right
        self.widens: bool = widens
        self.thresholds: list[i64] = thresholds
        self.phis: dict[tuple[Unknown | None, Unknown | None, i64], Phi] = {}
        self.regions: dict[tuple[Region | None, Region | None, i64], Region] = {}
        self.reach: dict[Unknown | None, i64] = {}
        if left.packet is right.packet:
            self.packet: Region = left.packet
        else:
            self.packet = Region(PACKET, 0, False, -1)
        self.merge: Merge | None = None
        if journal is not None:
            merge = Merge(left, right, self.packet)
            journal.add(merge)
            self.merge = merge

    # Numbers and offsets.

    def offsets(self, kind: i64, x: Value, y: Value, region: Region | None, shift: i64) -> Value:
        """A value of that kind and region, for x on the left, y (``shift`` nearer) on the right."""
        left = x.unknown
        right = y.unknown
        a = x.offset
        b = y.offset - shift if shift != 0 else y.offset
        if left is right and a == b:
            return Value(kind, a, left, region)
        distance = ranges.minus(b, a)
        # The phi is ``left`` on the left and ``right + distance`` on the right; where the left is
        # a constant it is told from the right instead.
        from_right = left is None and right is not None
        base = b if from_right else a
        key = (left, right, distance)
        phi = self.phis.get(key)
        if phi is None:
            phi = self._phi(left, right, distance, from_right, base)
            self.phis[key] = phi
        return Value(kind, base, phi, region)

    def _phi(
        self,
        left: Unknown | None,
        right: Unknown | None,
        distance: i64,
        from_right: bool,
        base: i64,
    ) -> Phi:
        left_offset: i64 = 0
        right_offset: i64 = 0
        if from_right:
            left_offset = ranges.minus(0, distance)
        else:
            right_offset = distance
        x = _at(self.left, left, left_offset)
        y = _at(self.right, right, right_offset)
        if self.widens:
            known = numbers.widen(x, y, self.thresholds, base)
        else:
            known = numbers.join(x, y)
        phi = Phi(known, self.merge, left, left_offset, right, right_offset, x, y)
        merge = self.merge
        if merge is not None:
            merge.phis.append(phi)
        reach_left = self.left.reach.get(left)
        if reach_left is not None:
            reach_right = self.right.reach.get(right)
            if reach_right is not None and -NEAR < distance < NEAR:
                reach_left = reach_left - left_offset
                reach_right = reach_right - right_offset
                self.reach[phi] = reach_left if reach_left < reach_right else reach_right
        return phi

    # Values.

    def value(self, x: Value, y: Value) -> Value:
        if x.kind == y.kind and x.region is y.region and x.unknown is y.unknown:
            if x is y or (x.offset == y.offset and x.kind != MIXED):
                return self._same(x)
        x = self.left.settled(x)
        y = self.right.settled(y)
        kind = x.kind
        if kind == NUMBER and y.kind == NUMBER:
            return self.offsets(NUMBER, x, y, None, 0)
        if kind == UNINIT or y.kind == UNINIT:
            if kind == y.kind:
                return NOTHING
            return NOTHING if self.merge is None else Choice(self.merge, x, y)
        if kind != y.kind:
            if kind == NUMBER and x.unknown is None and x.offset == 0:
                return self._nullable(y, True)
            if y.kind == NUMBER and y.unknown is None and y.offset == 0:
                return self._nullable(x, False)
            return self._different(x, y)
        if kind == MIXED:
            return x if x is y else self._different(x, y)
        if x.region is y.region and not _in_packet(kind):
            assert x.region is not None
            region, _ = self._region(x.region, x.region, 0)
            return self.offsets(kind, x, y, region, 0)
        return self._pointers(kind, x, y)

    def _same(self, x: Value) -> Value:
        """The same value on both sides; but what is known of its region may differ."""
        region = x.region
        if region is None:
            return x
        if _in_packet(x.kind) and region is not self.packet:
            if region is self.left.packet and region is self.right.packet:
                return Value(x.kind, x.offset, x.unknown, self.packet)
            return x
        if region.nullable and self.left.nonnull.get(region) != self.right.nonnull.get(region):
            a = self.left.settled(x)
            b = self.right.settled(x)
            if a.kind != b.kind:
                return self._nullable(b, True) if a.kind == NUMBER else self._nullable(a, False)
            if a.kind == NUMBER:
                return a
        return x

    def _pointers(self, kind: i64, x: Value, y: Value) -> Value:
        left = x.region
        right = y.region
        assert left is not None and right is not None
        if _in_packet(kind):
            if left is not self.left.packet or right is not self.right.packet:
                return self._different(x, y)  # stale on one side at least
            return self.offsets(kind, x, y, self.packet, 0)
        if kind == STACK or kind == FUNCTION or kind == CONTEXT:
            return self._different(x, y)
        if kind == MAP:
            if left.index != right.index and self.merge is None:
                return CONFLICT
            if x.offset != y.offset or x.unknown is not y.unknown:
                return self._different(x, y)
        elif (
            left.type != right.type or left.flags != right.flags or left.parent is not right.parent
        ):
            return self._different(x, y)
        shift: i64 = 0
        if x.unknown is y.unknown and -NEAR < y.offset - x.offset < NEAR:
            shift = y.offset - x.offset
        region, shift = self._region(left, right, shift)
        if region is None:
            return self._different(x, y)
        return self.offsets(kind, x, y, region, shift)

    def _region(self, left: Region, right: Region, shift: i64) -> tuple[Region | None, i64]:
        """The region that stands for both; its origin is that of the right plus ``shift``."""
        if left is right:
            if not left.nullable or self.left.is_nonnull(left) == self.right.is_nonnull(left):
                return left, 0
        if left.kind == MAP and left.index != right.index:
            return None, 0
        if len(self.left.held.references) > 0 and (
            self.left.holds(left) or self.right.holds(right)
        ):
            if left is right:
                return left, 0
            return None, 0
        key = (left, right, shift)
        made = self.regions.get(key)
        if made is None:
            size = right.size - shift
            low = right.low - shift
            nullable = (left.nullable and not self.left.is_nonnull(left)) or (
                right.nullable and not self.right.is_nonnull(right)
            )
            index = left.index
            if index != right.index:
                index = -1
            made = Region(left.kind, left.size if left.size < size else size, nullable, index)
            made.low = left.low if left.low > low else low
            made.type = left.type
            made.flags = left.flags
            made.parent = left.parent
            least = right.least + shift
            most = right.most + shift
            made.least = left.least if left.least < least else least
            made.most = left.most if left.most > most else most
            self._remember(made, left, right, shift)
            self.regions[key] = made
        return made, shift

    def _remember(
        self, made: Region, left: Region | None, right: Region | None, shift: i64
    ) -> None:
        merge = self.merge
        if merge is None:
            return
        depth: i64 = 0
        if left is not None:
            depth = left.depth
        if right is not None and right.depth > depth:
            depth = right.depth
        depth = depth + 1
        if depth > MAX_NESTING:
            return
        made.depth = depth
        made.merge = merge
        made.left = left
        made.right = right
        made.shift = shift
        merge.regions.append(made)

    def _nullable(self, pointer: Value, null_on_left: bool) -> Value:
        """Null on one side, a pointer on the other."""
        region = pointer.region
        kind = pointer.kind
        st = self.right if null_on_left else self.left
        if (
            region is None
            or kind == STACK
            or kind == CONTEXT
            or _in_packet(kind)
            or kind == FUNCTION
            or pointer.offset != 0
            or pointer.unknown is not None
            or st.holds(region)
        ):
            if null_on_left:
                return self._different(NUMBER_ZERO, pointer)
            return self._different(pointer, NUMBER_ZERO)
        key = (None, region, i64(0)) if null_on_left else (region, None, i64(0))
        made = self.regions.get(key)
        if made is None:
            made = Region(kind, region.size, True, region.index)
            made.low = region.low
            made.type = region.type
            made.flags = region.flags
            made.parent = region.parent
            made.least = region.least
            made.most = region.most
            if null_on_left:
                self._remember(made, None, region, 0)
            else:
                self._remember(made, region, None, 0)
            self.regions[key] = made
        return Value(kind, 0, None, made)

    def _different(self, x: Value, y: Value) -> Value:
        if self.merge is None:
            return NOTHING if is_unset(x) or is_unset(y) else CONFLICT
        return Choice(self.merge, x, y)

    # Cells.

    def cell(self, x: Cell, y: Cell) -> Cell:
        if isinstance(x, Value) and isinstance(y, Value):
            if x is y and x.region is None:
                return x
            made = self.value(x, y)
            if made.kind == UNINIT:
                return UNWRITTEN
            if made is CONFLICT:
                return WRITTEN
            return made
        if x is y:
            return x
        if isinstance(x, ObjectCell) and isinstance(y, ObjectCell):
            if (
                x.type == y.type
                and x.index == y.index
                and x.identity is y.identity
                and x.detail == y.detail
                and x.holds == y.holds
            ):
                return x if x.given is y.given else x.giving(None)
        if (
            isinstance(x, (ObjectCell, CellChoice))
            or isinstance(y, (ObjectCell, CellChoice))
            or (isinstance(x, Value) and x.kind != NUMBER)
            or (isinstance(y, Value) and y.kind != NUMBER)
        ):
            if self.merge is not None:
                return self._choice(x, y)
            return _plain(written_bytes(x) & written_bytes(y))
        both = written_bytes(x) & written_bytes(y)
        if self.merge is not None and both != 255 and written_bytes(x) != written_bytes(y):
            return self._choice(x, y)
        parts: list[Part] = []
        if isinstance(x, Bytes):
            for part in x.parts:
                other = self._part_of(self.right, y, part.start, part.size)
                if other is not None:
                    parts.append(Part(part.start, part.size, self.value(part.value, other)))
        elif isinstance(y, Bytes):
            for part in y.parts:
                other = self._part_of(self.left, x, part.start, part.size)
                if other is not None:
                    parts.append(Part(part.start, part.size, self.value(other, part.value)))
        if len(parts) == 0:
            return _plain(both)
        return Bytes(both, parts)

    def _choice(self, x: Cell, y: Cell) -> Cell:
        merge = self.merge
        deep = max(choices(x), choices(y)) >= MAX_CHOICES and not owes(x) and not owes(y)
        if merge is None or deep:
            return _plain(written_bytes(x) & written_bytes(y))
        return CellChoice(merge, x, y, written_bytes(x) & written_bytes(y))

    def _part_of(self, st: State, cell: Cell, start: i64, size: i64) -> Value | None:
        if isinstance(cell, Bytes):
            for part in cell.parts:
                if part.start == start and part.size == size:
                    return part.value
            return None
        return load_cell(st, cell, start, size)

    # States.

    def run(self, live: i64, live_cells: i64) -> State:
        """The merged state. Registers and cells that are not live are left out."""
        left = self.left
        right = self.right
        a = left.regs
        b = right.regs
        regs = a.copy()
        i: i64 = 0
        count: i64 = len(a)
        while i < count:
            if i >= REGISTERS or (live >> i) & 1:
                x = a[i]
                y = b[i]
                if x is not y or x.region is not None:
                    regs[i] = self.value(x, y)
            else:
                regs[i] = NOTHING
            i = i + 1
        stack = left.stack
        own_stack = False
        if stack is not right.stack or len(left.nonnull) > 0 or len(right.nonnull) > 0:
            stack, own_stack = self._stacks(live_cells)
        facts = self._facts()
        made = State(
            regs, stack, facts, self._nonnull(), self._reach(), self._meta_reach(), self.packet
        )
        # What is shared now belongs to nobody alone.
        made.own_stack = own_stack
        if not own_stack:
            left.own_stack = False
        if facts is left.facts:
            left.own_facts = False
        else:
            made.own_facts = True
        made.depth = left.depth
        made.ties = left.ties
        made.held = left.held
        made.relations = _common(left.relations, right.relations)
        if left.sides is right.sides:
            made.sides = left.sides
        elif len(left.sides) > 0 and len(right.sides) > 0:
            sides = {}
            for merge, side in left.sides.items():
                if right.sides.get(merge) == side:
                    sides[merge] = side
            made.sides = sides
        if len(facts) > MANY_FACTS and left.facts is not right.facts:
            _drop_facts(made)
        return made

    def _stacks(self, live_cells: i64) -> tuple[list[Cell], bool]:
        same = self.left.stack
        other = self.right.stack
        out = same  # until a cell differs
        # Most cells are the same: only of others it is asked what kinds of cells they are.
        a = cast("list[object]", same)
        b = cast("list[object]", other)
        i: i64 = 0
        count: i64 = len(a)
        own = count - FRAME_CELLS
        while i < count:
            seen = a[i]
            if seen is not b[i] or (isinstance(seen, Value) and seen.region is not None):
                x = same[i]
                y = other[i]
                if (
                    i >= own
                    and (live_cells >> (i - own)) & 1 == 0
                    and not _pinned(x)
                    and not _pinned(y)
                ):
                    cell: Cell = _plain(written_bytes(x) & written_bytes(y))
                else:
                    cell = self.cell(x, y)
                if cell is not x:
                    if out is same:
                        out = same.copy()
                    out[i] = cell
            i = i + 1
        return out, out is not same

    def _facts(self) -> dict[Unknown, Range]:
        a = self.left.facts
        b = self.right.facts
        if a is b:
            return a
        facts = a  # until a fact differs
        for unknown, x in a.items():
            y = b.get(unknown)
            if x is not y:
                if facts is a:
                    facts = a.copy()
                if y is None:
                    del facts[unknown]
                elif self.widens:
                    facts[unknown] = numbers.widen(x, y, self.thresholds, 0)
                else:
                    facts[unknown] = numbers.join(x, y)
        return facts

    def _nonnull(self) -> dict[Region, bool]:
        a = self.left.nonnull
        b = self.right.nonnull
        if a is b:
            return a
        known: dict[Region, bool] = {}
        for region, nonnull in a.items():
            if b.get(region) == nonnull:
                known[region] = nonnull
        return known

    def _reach(self) -> dict[Unknown | None, i64]:
        a = self.left.reach
        b = self.right.reach
        if a is b and len(self.reach) == 0:
            return a
        reach = self.reach
        for start, size in a.items():
            other = b.get(start)
            if other is not None:
                reach[start] = size if size < other else other
        return reach

    def _meta_reach(self) -> dict[Unknown | None, i64]:
        a = self.left.meta_reach
        b = self.right.meta_reach
        if a is b:
            return a
        reach: dict[Unknown | None, i64] = {}
        for start, size in a.items():
            other = b.get(start)
            if other is not None:
                reach[start] = size if size < other else other
        return reach


def _in_packet(kind: i64) -> bool:
    """Whether pointers of the kind are good only as long as the packet does not move."""
    return kind == PACKET or kind == PACKET_END or kind == PACKET_META


def _pinned(cell: Cell) -> bool:
    """Whether the cell holds something that must not be lost sight of."""
    return isinstance(cell, (ObjectCell, CellChoice))


def _plain(written: i64) -> Cell:
    if written == 255:
        return WRITTEN
    if written == 0:
        return UNWRITTEN
    return Bytes(written, NO_PARTS)


def _at(st: State, unknown: Unknown | None, offset: i64) -> Range:
    if unknown is None:
        return numbers.constant(offset)
    known = st.known(unknown)
    return known if offset == 0 else ranges.shift_by(known, offset)


def _common(a: Relation | None, b: Relation | None) -> Relation | None:
    """The part of the two lists that they share, and older relations that both imply."""
    while a is not b:
        if a is None or b is None:
            return None
        if a.depth > b.depth:
            a = a.next
        elif b.depth > a.depth:
            b = b.next
        else:
            a = a.next
            b = b.next
    return a


def _drop_facts(st: State) -> None:
    """Keep facts only about unknowns that the state still holds, or that those were made of."""
    held: dict[Unknown, bool] = {}
    for value in st.regs:
        _note(held, value.unknown)
    for cell in st.stack:
        if isinstance(cell, Value):
            _note(held, cell.unknown)
        elif isinstance(cell, Bytes):
            for part in cell.parts:
                _note(held, part.value.unknown)
    relation = st.relations
    while relation is not None:
        held[relation.x] = True
        held[relation.y] = True
        relation = relation.next
    kept: dict[Unknown, Range] = {}
    for unknown, known in st.facts.items():
        if unknown in held:
            kept[unknown] = known
    st.facts = kept


def _note(held: dict[Unknown, bool], unknown: Unknown | None) -> None:
    while unknown is not None and unknown not in held:
        held[unknown] = True
        half = unknown.low
        while half is not None:
            held[half] = True
            _note_chain(held, half.signed)
            half = half.sibling
        _note_chain(held, unknown.signed)
        source = unknown.source
        unknown = None if source is None else source.unknown


def _note_chain(held: dict[Unknown, bool], unknown: Unknown | None) -> None:
    while unknown is not None:
        held[unknown] = True
        unknown = unknown.sibling
