"""What follows from a new fact: about the unknowns it was made of, and about the way taken so far.

All functions that learn say False where the new fact contradicts what is known: then no execution
gets here. Whatever is not followed up is merely not known; stopping early is always sound.
"""

from __future__ import annotations

from typing import Final, cast

from mypy_extensions import i64

from anybpf.verifier import arithmetic as ranges
from anybpf.verifier import numbers
from anybpf.verifier.numbers import Range
from anybpf.verifier.record import Merge
from anybpf.verifier.state import Relation, State
from anybpf.verifier.values import (
    CONFLICT,
    LOW_HALF,
    MASKED,
    MERGED,
    MIXED,
    NO_PARTS,
    NOTHING,
    NUMBER,
    NUMBER_ZERO,
    PLAIN,
    REMAINING,
    SHIFTED,
    SIGNED_HALF,
    Bytes,
    Cell,
    CellChoice,
    Choice,
    Part,
    Phi,
    Region,
    Unknown,
    Value,
    is_unset,
    unknown_number,
)

# Consequences that one branch may draw.
FUEL: Final = 256
# Differences kept at once; a short list keeps look-ups cheap.
MAX_RELATIONS: Final = 64
RELATIONS_REGAINED: Final = 8
# Offsets beyond this are of no use for bounds; half the range of a word, so that sums do not wrap.
FAR: Final = 1 << 61
WORD32: Final = 1 << 32


def learn(st: State, unknown: Unknown, known: Range) -> bool:
    """The unknown lies in ``known``, which is tighter than before."""
    st.set_known(unknown, known)
    st.fuel = st.fuel - 1
    if st.fuel <= 0:
        return True
    relation = st.relations
    if relation is not None and not _follow_relations(st, unknown, known, relation):
        return False
    signed = unknown.signed
    while signed is not None:
        if not _follow_signed(st, signed, known):
            return False
        signed = signed.sibling
    origin = unknown.origin
    if origin == PLAIN:
        return True
    if origin == MERGED:
        assert isinstance(unknown, Phi)
        return _decide_phi(st, unknown, known)
    source = unknown.source
    if source is None or source.unknown is None:
        return True
    if origin == SIGNED_HALF:
        if known.low >= 0:
            return restrict_value(st, source, known)
        if known.high < 0:
            return restrict_value(st, source, ranges.shift_by(known, WORD32))
        return True
    if origin == LOW_HALF:
        before = st.range_of(source)
        after = numbers.low32_source(before, known)
        if after is None:
            return False
        return after is before or restrict_value(st, source, after)
    if origin == REMAINING:
        return restrict_value(st, source, ranges.sub(numbers.constant(unknown.amount), known))
    if origin == MASKED:
        bits = numbers.make(
            numbers.MIN,
            numbers.MAX,
            -1,
            0,
            known.value & unknown.amount,
            known.mask | ~unknown.amount,
        )
        return bits is not None and restrict_value(st, source, bits)
    if origin == SHIFTED:
        before = st.range_of(source)
        amount = unknown.amount
        if before.low >= 0 and amount < 62 and before.high <= (numbers.MAX >> amount):
            low = known.low >> amount
            high = known.high >> amount
            if low < 0:
                low = 0
            if high < low:
                return False
            return restrict_value(st, source, numbers.between(low, high))
    return True


def restrict_value(st: State, value: Value, known: Range) -> bool:
    """The number (or a pointer's distance) lies in ``known``."""
    unknown = value.unknown
    if unknown is None:
        return numbers.contains(known, value.offset)
    before = st.known(unknown)
    if value.offset != 0:
        if value.offset == numbers.MIN:
            return True
        known = ranges.shift_by(known, -value.offset)
    after = numbers.meet(before, known)
    if after is None:
        return False
    if numbers.includes(after, before):
        return True
    return learn(st, unknown, after)


def _follow_signed(st: State, signed: Unknown, known: Range) -> bool:
    """The signed half of an unknown follows, once it is clear which sign it has."""
    source = signed.source
    assert source is not None
    if source.offset != 0:
        known = ranges.shift_by(known, source.offset)
    if known.low < 0 or known.high >= WORD32:
        return True
    if known.low >= WORD32 // 2:
        known = ranges.shift_by(known, -WORD32)
    elif known.high >= WORD32 // 2:
        return True
    before = st.known(signed)
    if numbers.includes(known, before):
        return True
    both = numbers.meet(before, known)
    return both is not None and learn(st, signed, both)


def _follow_relations(st: State, unknown: Unknown, known: Range, relation: Relation | None) -> bool:
    while relation is not None:
        bound = relation.bound
        if relation.y is unknown:
            if known.high < FAR:
                x = st.known(relation.x)
                if x.high > known.high + bound:
                    after = numbers.restrict(x, numbers.JSLE, known.high + bound)
                    if after is None:
                        return False
                    if after is not x and not learn(st, relation.x, after):
                        return False
        elif relation.x is unknown:
            if known.low > -FAR:
                y = st.known(relation.y)
                if y.low < known.low - bound:
                    after = numbers.restrict(y, numbers.JSGE, known.low - bound)
                    if after is None:
                        return False
                    if after is not y and not learn(st, relation.y, after):
                        return False
        relation = relation.next
    return True


def _decide_phi(st: State, phi: Phi, known: Range) -> bool:
    merge = phi.merge
    if merge is None or merge.forgotten:
        return True
    side = st.sides.get(merge)
    if side is not None:
        # The phi is one of its alternatives by now.
        alternative = phi.left if side else phi.right
        distance = phi.left_offset if side else phi.right_offset
        return restrict_value(st, Value(NUMBER, distance, alternative, None), known)
    not_left = numbers.disjoint(known, phi.left_range)
    not_right = numbers.disjoint(known, phi.right_range)
    if not_left:
        return not not_right and select(st, merge, False)
    if not_right:
        return select(st, merge, True)
    return True


def set_nullness(st: State, region: Region, is_null: bool) -> bool:
    """The pointer into the region turned out to be null, or not to be."""
    known = st.nonnull.get(region)
    if known is not None:
        return known != is_null
    st.set_null(region, not is_null)
    if is_null and len(st.held.references) > 0 and st.holds(region):
        st.release(region)
    merge = region.merge
    if merge is None or merge.forgotten:
        return True
    assert isinstance(merge, Merge)
    left = region.left
    right = region.right
    side = st.sides.get(merge)
    if side is not None:
        origin = left if side else right
        if origin is None or not origin.nullable:
            return is_null == (origin is None)
        return set_nullness(st, origin, is_null)
    if is_null:
        # A side that cannot be null is excluded.
        if left is not None and merge.left.is_nonnull(left):
            return select(st, merge, False)
        if right is not None and merge.right.is_nonnull(right):
            return select(st, merge, True)
    else:
        if left is None:
            return select(st, merge, False)
        if right is None:
            return select(st, merge, True)
    return True


def select(st: State, record: object, left: bool) -> bool:
    """Execution came through this side of the merge: what was known there holds again."""
    assert isinstance(record, Merge)
    merge: Merge = record
    chosen = st.sides.get(merge)
    if chosen is not None:
        return chosen == left
    if merge.forgotten or st.fuel <= -FUEL:
        return True
    st.fuel = st.fuel - 1
    sides = st.sides.copy()
    sides[merge] = left
    st.sides = sides
    side = merge.left if left else merge.right
    for unknown, then in side.facts.items():
        now = st.known(unknown)
        if now is not then and not numbers.includes(then, now):
            both = numbers.meet(now, then)
            if both is None or not learn(st, unknown, both):
                return False
    for region, nonnull in side.nonnull.items():
        known = st.nonnull.get(region)
        if known is None:
            if not set_nullness(st, region, not nonnull):
                return False
        elif known != nonnull:
            return False
    _regain_relations(st, side)
    if st.packet is merge.packet and len(side.reach) > 0 and side.reach is not st.reach:
        reach = st.reach.copy()
        for start, size in side.reach.items():
            found = reach.get(start)
            if found is None or found < size:
                reach[start] = size
        st.reach = reach
    for other, other_left in side.sides.items():
        if other not in st.sides and not select(st, other, other_left):
            return False
    return _pass_on(st, merge, left) and _settle_all(st)


def _regain_relations(st: State, side: State) -> None:
    relation = side.relations
    count: i64 = 0
    while relation is not None and count < RELATIONS_REGAINED:
        newest = st.relations
        if newest is relation or (newest is not None and newest.depth >= MAX_RELATIONS):
            return
        st.relations = Relation(relation.x, relation.y, relation.bound, newest)
        relation = relation.next
        count = count + 1


def _pass_on(st: State, merge: Merge, left: bool) -> bool:
    """What was learnt since about the merged unknowns holds for those of the side."""
    for phi in merge.phis:
        alternative = phi.left if left else phi.right
        distance = phi.left_offset if left else phi.right_offset
        while isinstance(alternative, Phi) and alternative.merge is not None:
            side = st.sides.get(alternative.merge)
            if side is None:
                break
            if side:
                distance = ranges.plus(distance, alternative.left_offset)
                alternative = alternative.left
            else:
                distance = ranges.plus(distance, alternative.right_offset)
                alternative = alternative.right
        if st.packet is merge.packet and -65536 < distance < 65536:
            size = st.reach.get(phi)
            if size is not None:
                st.extend_reach(alternative, size + distance)
        known = st.facts.get(phi)
        if known is None:
            continue
        if alternative is None:
            if not numbers.contains(known, distance):
                return False
        elif -FAR < distance < FAR:
            known = ranges.shift_by(known, -distance)
            before = st.known(alternative)
            if not numbers.includes(known, before):
                both = numbers.meet(before, known)
                if both is None or not learn(st, alternative, both):
                    return False
    for region in merge.regions:
        nonnull = st.nonnull.get(region)
        if nonnull is None:
            continue
        origin = region.left if left else region.right
        if origin is None:
            if nonnull:
                return False
        elif origin.nullable:
            if not set_nullness(st, origin, not nonnull):
                return False
        elif not nonnull:
            return False
    return True


def _settle_all(st: State) -> bool:
    regs = st.regs
    i: i64 = 0
    count: i64 = len(regs)
    while i < count:
        value = regs[i]
        if value.unknown is not None or value.region is not None or value.kind == MIXED:
            settled = settle_value(st, value)
            if settled is not value:
                regs[i] = settled
        i = i + 1
    # As objects: the class of most cells is of no interest.
    cells = cast("list[object]", st.stack)
    i = 0
    count = len(cells)
    while i < count:
        cell = cells[i]
        if isinstance(cell, Value):
            if cell.unknown is not None or cell.region is not None or cell.kind == MIXED:
                settled = settle_value(st, cell)
                if settled is not cell:
                    st.set_cell(i, settled)
        elif isinstance(cell, CellChoice):
            better = settle_cell(st, cell)
            if better is not cell:
                st.set_cell(i, better)
        i = i + 1
    return True


def settle_cell(st: State, cell: Cell) -> Cell:
    """The cell's content as far as decided merges say what it is."""
    while isinstance(cell, CellChoice):
        left = st.sides.get(cell.merge)
        if left is None:
            return cell
        cell = cell.left if left else cell.right
    if isinstance(cell, Value):
        return settle_value(st, cell)
    return cell


def settle_value(st: State, value: Value) -> Value:
    """The value with everything that decided merges made one of two replaced by what it was."""
    sides = st.sides
    while True:
        if value.kind == MIXED:
            if isinstance(value, Choice) and value.merge is not None:
                side = sides.get(value.merge)
                if side is None:
                    return value
                value = value.left if side else value.right
                continue
            return value
        unknown = value.unknown
        region = value.region
        offset = value.offset
        changed = False
        if unknown is not None and unknown.origin == MERGED:
            assert isinstance(unknown, Phi)
            if unknown.merge is not None:
                side = sides.get(unknown.merge)
                if side is not None:
                    if side:
                        offset = ranges.plus(offset, unknown.left_offset)
                        unknown = unknown.left
                    else:
                        offset = ranges.plus(offset, unknown.right_offset)
                        unknown = unknown.right
                    changed = True
        if region is not None and region.merge is not None:
            side = sides.get(region.merge)
            if side is not None:
                if side:
                    origin = region.left
                else:
                    origin = region.right
                    offset = offset + region.shift
                if origin is None:
                    return NUMBER_ZERO if value.offset == 0 and value.unknown is None else value
                region = origin
                changed = True
        if not changed:
            return value
        value = Value(value.kind, offset, unknown, region)


def leads_to(region: Region | None, target: Region) -> bool:
    """Whether the region is the target, part of it, or may stand for it."""
    while region is not None:
        if region is target:
            return True
        if region.merge is not None:
            if leads_to(region.left, target):
                return True
            if region.right is not None and leads_to(region.right, target):
                return True
        region = region.parent
    return False


def invalidate(st: State, target: Region) -> None:
    """What the region stands for is gone: pointers into it are mere numbers now."""
    regs = st.regs
    i: i64 = 0
    while i < len(regs):
        regs[i] = _without(regs[i], target)
        i = i + 1
    i = 0
    while i < len(st.stack):
        cell = st.stack[i]
        better = _cell_without(cell, target)
        if better is not cell:
            st.set_cell(i, better)
        i = i + 1


def _without(value: Value, target: Region) -> Value:
    if value.region is not None:
        return unknown_number(numbers.TOP) if leads_to(value.region, target) else value
    if isinstance(value, Choice):
        left = _without(value.left, target)
        right = _without(value.right, target)
        if left is not value.left or right is not value.right:
            return NOTHING if is_unset(value) else CONFLICT
    return value


def _cell_without(cell: Cell, target: Region) -> Cell:
    if isinstance(cell, Value):
        return _without(cell, target)
    if isinstance(cell, CellChoice):
        if (
            _cell_without(cell.left, target) is not cell.left
            or _cell_without(cell.right, target) is not cell.right
        ):
            return Bytes(cell.written, NO_PARTS)
        return cell
    if isinstance(cell, Bytes):
        for part in cell.parts:
            if _without(part.value, target) is not part.value:
                kept: list[Part] = [p for p in cell.parts if p.value.kind == NUMBER]
                return Bytes(cell.written, kept)
    return cell
