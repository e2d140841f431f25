"""What a comparison says: of numbers, of pointers that may be null, of packet pointers.

Each side of a branch is assumed by itself; a side whose assumption contradicts what is known is
never taken. What a test teaches beyond the compared ranges is worked out in ``deduction``.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from anybpf.verifier import arithmetic as ranges
from anybpf.verifier import numbers
from anybpf.verifier.compute import low_half, sign_extended
from anybpf.verifier.deduction import (
    FAR,
    FUEL,
    MAX_RELATIONS,
    learn,
    restrict_value,
    select,
    set_nullness,
)
from anybpf.verifier.numbers import (
    JEQ,
    JGE,
    JGT,
    JLE,
    JLT,
    JNE,
    JNSET,
    JSET,
    JSGE,
    JSGT,
    JSLE,
    JSLT,
    SWAP,
)
from anybpf.verifier.state import PACKET_MAX, Relation, State
from anybpf.verifier.values import (
    CONTEXT,
    MAP,
    MIXED,
    NUMBER,
    OBJECT,
    PACKET,
    PACKET_END,
    PACKET_LENGTH,
    PACKET_META,
    STACK,
    TRUSTED,
    UNTRUSTED,
    Choice,
    Unknown,
    Value,
)

# Pointers whose comparison with zero decides nothing: is_branch_taken of the kernel (6.18) knows of
# maps, their values, sockets and trusted structures only that they are not null.
UNDECIDED: Final = frozenset((CONTEXT, STACK, PACKET, PACKET_END, PACKET_META))
# So far from its region an address has not wrapped around: no system maps the first 64 KiB.
ORDERED: Final = 1 << 16
# Differences farther apart than this are not worth remembering.
FAR_APART: Final = 1 << 40


def assume(st: State, op: i64, a: Value, b: Value, is32: bool) -> bool:
    """``a op b`` holds; False if it cannot."""
    st.fuel = FUEL
    a = st.settled(a)
    b = st.settled(b)
    if a.kind == NUMBER and b.kind == NUMBER:
        if is32:
            if op == JSGT or op == JSGE or op == JSLT or op == JSLE:
                a = sign_extended(st, a, 32)
                b = sign_extended(st, b, 32)
            else:
                a = low_half(st, a)
                b = low_half(st, b)
        if b.unknown is None:
            return assume_constant(st, a, op, b.offset)
        if a.unknown is None:
            return assume_constant(st, b, SWAP[op], a.offset)
        return _assume_two(st, a, b, op)
    if is32:
        return True
    if a.kind == NUMBER:
        swapped = a
        a = b
        b = swapped
        op = SWAP[op]
    if b.kind == NUMBER:
        if b.unknown is None and b.offset == 0:
            if op == JEQ or op == JLE:
                return _assume_zero(st, a, True)
            if op == JNE or op == JGT:
                return _assume_zero(st, a, False)
        return True
    if op == JEQ and a.kind != MIXED and b.kind != MIXED:
        # The same address: if one is not null, neither is the other.
        if _is_address(st, b) and not _same_address(st, a):
            return False
        if _is_address(st, a) and not _same_address(st, b):
            return False
    if a.kind == PACKET and b.kind == PACKET_END and a.region is b.region:
        return _assume_packet(st, a, op)
    if a.kind == PACKET_END and b.kind == PACKET and a.region is b.region:
        return _assume_packet(st, b, SWAP[op])
    if a.kind == PACKET_META and b.kind == PACKET:
        return _assume_meta(st, a, b, op)
    if a.kind == PACKET and b.kind == PACKET_META:
        return _assume_meta(st, b, a, SWAP[op])
    if a.kind == b.kind and a.region is b.region and a.kind != MIXED and a.region is not None:
        if a.unknown is None and b.unknown is None and _ordered(a) and _ordered(b):
            # Offsets may be negative, addresses are not: both are moved until neither is.
            return (
                op == JSET
                or op == JNSET
                or numbers.compare_constants(a.offset + ORDERED, op, b.offset + ORDERED)
            )
    return True


def _is_address(st: State, value: Value) -> bool:
    """Whether the value is certainly not null: the start of something, not moved from there.

    The kernel's objects that are not trusted may be null whatever their type says.
    """
    region = value.region
    if region is None or value.unknown is not None or value.offset != 0:
        return False
    if region.nullable:
        return st.nonnull.get(region) is True
    if (region.flags & UNTRUSTED) != 0:
        return False
    return value.kind != OBJECT or (region.flags & TRUSTED) != 0


def _same_address(st: State, value: Value) -> bool:
    """The value equals an address that is not null; False if it cannot."""
    region = value.region
    if region is None or not region.nullable or value.unknown is not None or value.offset != 0:
        return True
    if st.nonnull.get(region) is not None:
        return True
    return set_nullness(st, region, False)


def _ordered(pointer: Value) -> bool:
    """Whether offsets order pointers into the region as their addresses do."""
    region = pointer.region
    if region is None or region.nullable or not -ORDERED < pointer.offset < ORDERED:
        return False
    return pointer.kind == STACK or pointer.kind == CONTEXT


def assume_constant(st: State, a: Value, op: i64, constant: i64) -> bool:
    """The number compares so with a constant."""
    unknown = a.unknown
    if unknown is None:
        return numbers.compare_constants(a.offset, op, constant)
    known = st.known(unknown)
    if a.offset == 0:
        after = numbers.restrict(known, op, constant)
        if after is None:
            return False
        return after is known or learn(st, unknown, after)
    moved = ranges.shift_by(known, a.offset)
    after = numbers.restrict(moved, op, constant)
    if after is None:
        return False
    return after is moved or restrict_value(st, a, after)


def _assume_two(st: State, a: Value, b: Value, op: i64) -> bool:
    x = a.unknown
    y = b.unknown
    assert x is not None and y is not None
    known_a = st.range_of(a)
    known_b = st.range_of(b)
    if x is y:
        if op == JEQ or op == JNE:
            return (a.offset == b.offset) == (op == JEQ)
        if a.offset == b.offset:
            return op == JGE or op == JLE or op == JSGE or op == JSLE or op == JSET or op == JNSET
    answer = numbers.decide(op, known_a, known_b)
    if answer == numbers.NEVER:
        return False
    if answer == numbers.ALWAYS and op != JEQ:
        return True
    unsigned = op == JGT or op == JGE or op == JLT or op == JLE
    if (
        op == JSGT
        or op == JSGE
        or op == JSLT
        or op == JSLE
        or op == JEQ
        or (unsigned and known_a.low >= 0 and known_b.low >= 0)
    ):
        if not _relate(st, a, b, op):
            return False
    after = numbers.restrict_by(known_a, op, known_b)
    if after is None:
        return False
    if after is not known_a:
        if not restrict_value(st, a, after):
            return False
    after = numbers.restrict_by(known_b, SWAP[op], known_a)
    if after is None:
        return False
    if after is not known_b:
        return restrict_value(st, b, after)
    return True


def _exact(st: State, value: Value) -> bool:
    """Whether unknown plus offset does not wrap around, so that it is a sum of integers."""
    if value.offset == 0:
        return True
    unknown = value.unknown
    assert unknown is not None
    known = st.known(unknown)
    return known.low > -FAR and known.high < FAR and -FAR_APART < value.offset < FAR_APART


def _relate(st: State, a: Value, b: Value, op: i64) -> bool:
    """Remember how the two compare as integers; False if that contradicts what is remembered."""
    x = a.unknown
    y = b.unknown
    assert x is not None and y is not None
    if x is y or not _exact(st, a) or not _exact(st, b):
        return True
    distance = b.offset - a.offset
    if not -FAR_APART < distance < FAR_APART:
        return True
    if op == JEQ:
        return _add_relation(st, x, y, distance) and _add_relation(st, y, x, -distance)
    if op == JGT or op == JGE or op == JSGT or op == JSGE:
        swapped = x
        x = y
        y = swapped
        distance = -distance
    if op == JLT or op == JSLT or op == JGT or op == JSGT:
        distance = distance - 1
    return _add_relation(st, x, y, distance)


def _add_relation(st: State, x: Unknown, y: Unknown, bound: i64) -> bool:
    """x - y <= bound."""
    newest = st.relations
    relation = newest
    while relation is not None:
        if relation.x is y and relation.y is x and relation.bound + bound < 0:
            return False
        if relation.x is x and relation.y is y and relation.bound <= bound:
            return True
        relation = relation.next
    if y.origin == PACKET_LENGTH:
        start = y.source
        assert start is not None
        if start.unknown is None and start.region is st.packet and st.known(x).low >= 0:
            st.extend_reach(x, start.offset - bound)
    if newest is None or newest.depth < MAX_RELATIONS:
        st.relations = Relation(x, y, bound, newest)
    return True


# Pointers.

NOT_ZERO: Final = 0
IS_ZERO: Final = 1
MAY_BE_ZERO: Final = 2


def zeroness(st: State, value: Value) -> i64:
    """Whether the value is zero."""
    kind = value.kind
    if kind == NUMBER:
        if value.unknown is None:
            return IS_ZERO if value.offset == 0 else NOT_ZERO
        return MAY_BE_ZERO if numbers.contains(st.range_of(value), 0) else NOT_ZERO
    if kind == PACKET or kind == STACK or kind == CONTEXT or kind == PACKET_END or kind == MAP:
        region = value.region
        if region is not None and region.nullable and not st.is_nonnull(region):
            return MAY_BE_ZERO
        return NOT_ZERO
    region = value.region
    if region is None or kind == MIXED or region.nullable or (region.flags & UNTRUSTED) != 0:
        return MAY_BE_ZERO
    return NOT_ZERO


def _assume_zero(st: State, value: Value, is_zero: bool) -> bool:
    if value.kind == MIXED:
        return not isinstance(value, Choice) or _assume_choice(st, value, is_zero)
    region = value.region
    if region is None:
        return True
    if not region.nullable:
        # Linux follows both sides of a test of these, and what it refuses there is refused here.
        if value.kind in UNDECIDED:
            return True
        # Far from where it started, an address may be anything.
        if value.unknown is not None or (region.flags & UNTRUSTED) != 0:
            return True
        return not is_zero
    known = st.nonnull.get(region)
    if known is not None:
        return known != is_zero
    if value.unknown is not None:
        return True
    # A pointer that may be null was never moved: with an offset it came as a part of an object.
    return set_nullness(st, region, is_zero)


def _assume_choice(st: State, value: Choice, is_zero: bool) -> bool:
    merge = value.merge
    if merge is None:
        return True
    impossible = NOT_ZERO if is_zero else IS_ZERO
    not_left = zeroness(st, value.left) == impossible
    not_right = zeroness(st, value.right) == impossible
    if not_left:
        return not not_right and select(st, merge, False)
    if not_right:
        return select(st, merge, True)
    return True


def _assume_packet(st: State, pointer: Value, op: i64) -> bool:
    """``pointer op data_end``."""
    if pointer.region is not st.packet:
        return True
    size = pointer.offset
    unknown = pointer.unknown
    if op == JGT or op == JGE:
        found = st.reach.get(unknown)
        if found is not None and (found > size or (found == size and op == JGT)):
            return False
        return True
    if op == JLT:
        size = size + 1
    elif op != JLE and op != JEQ:
        return True
    if unknown is not None:
        known = st.known(unknown)
        if known.low < -PACKET_MAX or known.high + pointer.offset > PACKET_MAX:
            return True
    st.extend_reach(unknown, size)
    return True


def _assume_meta(st: State, meta: Value, data: Value, op: i64) -> bool:
    """``meta op data``, where data is the start of the packet."""
    if data.unknown is not None or data.offset != 0 or meta.region is not st.packet:
        return True
    if data.region is not st.packet:
        return True
    size = meta.offset
    if op == JLT:
        size = size + 1
    elif op != JLE and op != JEQ:
        return True
    if size > PACKET_MAX:
        return True
    unknown = meta.unknown
    if unknown is not None:
        known = st.known(unknown)
        if known.low < 0 or known.high + meta.offset > PACKET_MAX:
            return True
    found = st.meta_reach.get(unknown)
    if found is None or found < size:
        reach = st.meta_reach.copy()
        reach[unknown] = size
        st.meta_reach = reach
    return True


__all__ = ["assume", "assume_constant", "zeroness"]
