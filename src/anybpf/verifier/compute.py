"""Arithmetic on values: numbers keep what ties them to what they were made of, pointers move.

Ranges are computed in ``arithmetic``. Here is what goes beyond ranges: constants added to an
unknown, a number that a merge made one of two, pairs of shifts that cut a number to size, and the
arithmetic of pointers.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from anybpf.verifier import arithmetic as ranges
from anybpf.verifier import numbers
from anybpf.verifier.environment import Fault
from anybpf.verifier.numbers import Range
from anybpf.verifier.record import Merge
from anybpf.verifier.state import PACKET_MAX, State
from anybpf.verifier.values import (
    FUNCTION,
    KIND_NAMES,
    LOW_HALF,
    MAP,
    MASKED,
    MERGED,
    MIXED,
    NUMBER,
    NUMBER_ZERO,
    PACKET,
    PACKET_END,
    PACKET_LENGTH,
    PLAIN,
    REMAINING,
    SHIFTED,
    SIGNED_HALF,
    UNINIT,
    Phi,
    Unknown,
    Value,
    number,
    unknown_number,
)
from anybpf.verifier.words import ADD, AND, ARSH, LSH, MUL, OR, RSH, SUB, XOR

U32: Final = 0xFFFFFFFF
# How far alternatives of alternatives are computed separately.
NESTING: Final = 3
# The farthest that a pointer may be moved from its region's origin (the kernel's BPF_MAX_VAR_OFF).
MAX_DISTANCE: Final = 1 << 29


def low_half(st: State, value: Value) -> Value:
    """The number's low 32 bits, zero-extended."""
    unknown = value.unknown
    if unknown is None:
        cut = value.offset & U32
        return value if cut == value.offset else number(cut)
    known = st.range_of(value)
    if known.low >= 0 and known.high <= U32:
        return value
    if unknown.origin == MERGED:
        assert isinstance(unknown, Phi)
        if unknown.left is None and unknown.right is None and unknown.merge is not None:
            return two_constants(
                unknown,
                ranges.plus(value.offset, unknown.left_offset) & U32,
                ranges.plus(value.offset, unknown.right_offset) & U32,
            )
    cut_range = ranges.low32(known)
    if cut_range.mask == 0:
        return number(cut_range.value)
    half = unknown.low
    while half is not None:
        source = half.source
        if source is not None and source.offset == value.offset:
            _tighten(st, half, cut_range)
            return Value(NUMBER, 0, half, None)
        half = half.sibling
    half = Unknown(numbers.U32, LOW_HALF, 0, value)
    if half.source is not None:  # else it hangs on too many others, and what it was is forgotten
        st.tie(unknown)
        half.sibling = unknown.low
        unknown.low = half
    if cut_range is not numbers.U32:
        st.set_known(half, cut_range)
    return Value(NUMBER, 0, half, None)


def _tighten(st: State, unknown: Unknown, known: Range) -> None:
    """The unknown lies in ``known`` too."""
    before = st.known(unknown)
    if not numbers.includes(known, before):
        both = numbers.meet(before, known)
        if both is not None:
            st.set_known(unknown, both)


def two_constants(phi: Phi, left: i64, right: i64) -> Value:
    """The number that is ``left`` or ``right`` as the phi's merge went."""
    if left == right:
        return number(left)
    left_range = numbers.constant(left)
    right_range = numbers.constant(right)
    made = Phi(
        numbers.join(left_range, right_range),
        phi.merge,
        None,
        left,
        None,
        right,
        left_range,
        right_range,
    )
    return Value(NUMBER, 0, made, None)


def sign_extended(st: State, value: Value, bits: i64) -> Value:
    """The low bits of the number, sign-extended to 64."""
    unknown = value.unknown
    known = st.range_of(value)
    extended = ranges.sext(known, bits)
    if extended is known:
        return value
    if bits != 32 or unknown is None or extended.mask == 0:
        return unknown_number(extended)
    half = low_half(st, value)
    unknown = half.unknown
    if unknown is None:
        return unknown_number(ranges.sext(numbers.constant(half.offset), 32))
    signed = unknown.signed
    while signed is not None:
        source = signed.source
        if source is not None and source.offset == half.offset:
            _tighten(st, signed, extended)
            return Value(NUMBER, 0, signed, None)
        signed = signed.sibling
    signed = Unknown(numbers.S32, SIGNED_HALF, 0, half)
    if signed.source is not None:
        st.tie(unknown)
        signed.sibling = unknown.signed
        unknown.signed = signed
    if extended is not numbers.S32:
        st.set_known(signed, extended)
    return Value(NUMBER, 0, signed, None)


def arithmetic(st: State, operation: i64, a: Value, b: Value, is32: bool, nesting: i64) -> Value:
    """A number made of two; what a merge made one of two stays so where that helps."""
    if operation != ADD and operation != SUB and nesting < NESTING:
        phi: Phi | None = None
        left = a
        right = a
        on_left = True
        unknown = a.unknown
        if unknown is not None and unknown.origin == MERGED:
            assert isinstance(unknown, Phi)
            phi = unknown
        else:
            unknown = b.unknown
            if unknown is not None and unknown.origin == MERGED:
                assert isinstance(unknown, Phi)
                phi = unknown
                on_left = False
        if phi is not None:
            merge = phi.merge
            if merge is not None and not merge.forgotten and merge not in st.sides:
                assert isinstance(merge, Merge)
                base = a.offset if on_left else b.offset
                x = Value(NUMBER, ranges.plus(base, phi.left_offset), phi.left, None)
                y = Value(NUMBER, ranges.plus(base, phi.right_offset), phi.right, None)
                if on_left:
                    left = arithmetic(st, operation, x, b, is32, nesting + 1)
                    right = arithmetic(st, operation, y, b, is32, nesting + 1)
                else:
                    left = arithmetic(st, operation, a, x, is32, nesting + 1)
                    right = arithmetic(st, operation, a, y, is32, nesting + 1)
                if left.unknown is right.unknown and left.offset == right.offset:
                    return left
                left_range = st.range_of(left)
                right_range = st.range_of(right)
                if (
                    left.unknown is None
                    or right.unknown is None
                    or numbers.disjoint(left_range, right_range)
                ):
                    return _derived(st, merge, left, right, left_range, right_range)
    return plain_arithmetic(st, operation, a, b, is32)


def _derived(
    st: State, merge: Merge, left: Value, right: Value, left_range: Range, right_range: Range
) -> Value:
    made = Phi(
        numbers.join(left_range, right_range),
        merge,
        left.unknown,
        left.offset,
        right.unknown,
        right.offset,
        left_range,
        right_range,
    )
    merge.phis.append(made)
    return Value(NUMBER, 0, made, None)


def plain_arithmetic(st: State, operation: i64, a: Value, b: Value, is32: bool) -> Value:
    x = a.unknown
    y = b.unknown
    if operation == ADD:
        if y is None:
            sum_ = Value(NUMBER, ranges.plus(a.offset, b.offset), x, None)
        elif x is None:
            sum_ = Value(NUMBER, ranges.plus(a.offset, b.offset), y, None)
        else:
            sum_ = unknown_number(ranges.add(st.range_of(a), st.range_of(b)))
        return low_half(st, sum_) if is32 else sum_
    if operation == SUB:
        if y is None:
            difference = Value(NUMBER, ranges.minus(a.offset, b.offset), x, None)
        elif x is y:
            difference = number(ranges.minus(a.offset, b.offset))
        else:
            difference = _difference(st, a, b)
        return low_half(st, difference) if is32 else difference
    known_b = st.range_of(b)
    if y is None and x is not None:
        constant = b.offset
        if operation == AND:
            return _masked(st, a, constant & U32 if is32 else constant)
        if operation == LSH and not is32:
            return _shifted(st, a, constant & 63)
        if operation == RSH:
            return _shifted_right(st, a, constant, is32)
        if operation == ARSH and not is32:
            cut = _cut_by_shifts(st, a, constant & 63, True)
            if cut is not None:
                return cut
        if operation == MUL and not is32 and constant > 0 and (constant & (constant - 1)) == 0:
            amount: i64 = 0
            while (constant >> amount) > 1:
                amount = amount + 1
            return _shifted(st, a, amount)
    if x is y and x is not None and a.offset == b.offset:
        if operation == XOR:
            return NUMBER_ZERO
        if operation == OR or operation == AND:
            return low_half(st, a) if is32 else a
    return unknown_number(ranges.arith(operation, st.range_of(a), known_b, is32))


def _difference(st: State, a: Value, b: Value) -> Value:
    known = ranges.sub(st.range_of(a), st.range_of(b))
    x = a.unknown
    y = b.unknown
    if x is None:
        return Value(NUMBER, 0, Unknown(known, REMAINING, a.offset, b), None)
    assert y is not None
    relation = st.relations
    while relation is not None:
        # x - y <= c bounds the difference where neither wraps.
        if relation.x is x and relation.y is y:
            known = _bounded(known, numbers.MIN, relation.bound, a, b)
        elif relation.x is y and relation.y is x:
            known = _bounded(known, -relation.bound, numbers.MAX, a, b)
        relation = relation.next
    return unknown_number(known)


def _bounded(known: Range, low: i64, high: i64, a: Value, b: Value) -> Range:
    far: i64 = 1 << 40
    if not (-far < a.offset < far and -far < b.offset < far):
        return known
    if known.low <= -(1 << 61) or known.high >= (1 << 61):
        return known
    distance = a.offset - b.offset
    if high < far:
        better = numbers.restrict(known, numbers.JSLE, high + distance)
        if better is not None:
            known = better
    if low > -far:
        better = numbers.restrict(known, numbers.JSGE, low + distance)
        if better is not None:
            known = better
    return known


def _masked(st: State, a: Value, mask: i64) -> Value:
    known = st.range_of(a)
    if ((known.value | known.mask) & ~mask) == 0:
        return a
    result = ranges.and_(known, numbers.constant(mask))
    if result.mask == 0:
        return number(result.value)
    if mask == U32:
        return low_half(st, a)
    return Value(NUMBER, 0, Unknown(result, MASKED, mask, a), None)


def _shifted(st: State, a: Value, amount: i64) -> Value:
    if amount == 0:
        return a
    result = ranges.shl(st.range_of(a), numbers.constant(amount))
    if result.mask == 0:
        return number(result.value)
    return Value(NUMBER, 0, Unknown(result, SHIFTED, amount, a), None)


def _shifted_right(st: State, a: Value, constant: i64, is32: bool) -> Value:
    if is32:
        a = low_half(st, a)
        amount = constant & 31
    else:
        amount = constant & 63
        cut = _cut_by_shifts(st, a, amount, False)
        if cut is not None:
            return cut
    if amount == 0:
        return a
    return unknown_number(ranges.shr(st.range_of(a), numbers.constant(amount)))


def _cut_by_shifts(st: State, a: Value, amount: i64, signed: bool) -> Value | None:
    """``(x << n) >> n``: the low bits of x."""
    unknown = a.unknown
    if unknown is None or unknown.origin != SHIFTED or a.offset != 0 or unknown.amount != amount:
        return None
    source = unknown.source
    assert source is not None
    bits = 64 - amount
    if not signed:
        if bits == 32:
            return low_half(st, source)
        known = st.range_of(source)
        cut = ranges.zext(known, bits)
        if cut is known:
            return source
        mask = ranges.ones(bits)
        return _masked(st, source, mask)
    if bits == 8 or bits == 16 or bits == 32:
        return sign_extended(st, source, bits)
    return None


# Pointers.


def move_pointer(st: State, pointer: Value, by: Value, back: bool) -> object:
    """The pointer moved by a number (back: to lower addresses), or why it may not be."""
    kind = pointer.kind
    region = pointer.region
    if kind == MAP and not back and by.unknown is None and by.offset == 0:
        return pointer
    if kind == PACKET_END or kind == MAP or kind == FUNCTION or kind == MIXED or kind == UNINIT:
        return Fault(
            "pointer-arithmetic",
            f"arithmetic on a pointer of kind {KIND_NAMES[kind]}, which may not be moved",
        )
    if region is not None and region.nullable and not st.is_nonnull(region):
        return Fault(
            "null-pointer", "arithmetic on a pointer that may be null; test it before it is moved"
        )
    moved = by.unknown
    if moved is None:
        distance = by.offset
        if not -MAX_DISTANCE <= distance <= MAX_DISTANCE:
            return _too_far(distance)
        place = pointer.offset - distance if back else pointer.offset + distance
        if not -MAX_DISTANCE <= place <= MAX_DISTANCE:
            return _too_far(place)
        return Value(kind, place, pointer.unknown, region)
    known = st.range_of(by)
    if known.low <= -MAX_DISTANCE or known.low >= MAX_DISTANCE:
        if known.low != numbers.MIN:
            return _too_far(known.low)
        return Fault("pointer-arithmetic", "moves a pointer by a number without a lower bound")
    if not back and pointer.unknown is None and -MAX_DISTANCE <= by.offset <= MAX_DISTANCE:
        place = pointer.offset + by.offset
        if not -MAX_DISTANCE <= place <= MAX_DISTANCE:
            return _too_far(place)
        return Value(kind, place, moved, region)
    if back:
        known = ranges.neg(known)
    if pointer.unknown is not None:
        known = ranges.add(st.known(pointer.unknown), known)
    return Value(kind, pointer.offset, Unknown(known, PLAIN, 0, None), region)


def _too_far(distance: i64) -> Fault:
    return Fault(
        "pointer-arithmetic",
        f"moves a pointer to offset {distance} from its start; the limit is {MAX_DISTANCE}",
    )


def pointer_difference(st: State, a: Value, b: Value) -> Value | None:
    """The distance between two pointers into the same region; None if it is not known."""
    if a.kind == PACKET_END and b.kind == PACKET and a.region is b.region:
        known = ranges.sub(numbers.between(0, PACKET_MAX), st.range_of(b))
        reach = st.reach.get(b.unknown)
        if b.region is st.packet and reach is not None:
            tighter = numbers.restrict(known, numbers.JSGE, reach - b.offset)
            if tighter is not None:
                known = tighter
        return Value(NUMBER, 0, Unknown(known, PACKET_LENGTH, 0, b), None)
    if a.kind == b.kind and a.region is b.region and a.region is not None:
        if a.unknown is b.unknown:
            return number(a.offset - b.offset)
        return unknown_number(ranges.sub(st.range_of(a), st.range_of(b)))
    return None
