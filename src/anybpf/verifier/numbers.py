"""What comparisons teach about numbers, and whether they can be true.

This is the front door of ranges too: everything of ``ranges`` that others need is found here, so
that who reasons about numbers needs no more. Computing with them is the business of
``arithmetic``.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from anybpf.verifier.ranges import (
    BOOL,
    MAX,
    MIN,
    S8,
    S16,
    S32,
    SMALL,
    TOP,
    U8,
    U16,
    U32,
    U32_MAX,
    ZERO,
    Range,
    between,
    build,
    constant,
    contains,
    describe,
    disjoint,
    includes,
    is_constant,
    join,
    make,
    meet,
    one_sign,
    same,
    smear,
    span,
    sure,
    unsigned_high,
    unsigned_less,
    unsigned_low,
    widen,
)

__all__ = [
    "ALWAYS",
    "BOOL",
    "JEQ",
    "JGE",
    "JGT",
    "JLE",
    "JLT",
    "JNE",
    "JNSET",
    "JSET",
    "JSGE",
    "JSGT",
    "JSLE",
    "JSLT",
    "MAX",
    "MIN",
    "NEGATE",
    "NEVER",
    "S8",
    "S16",
    "S32",
    "SMALL",
    "SWAP",
    "TOP",
    "U8",
    "U16",
    "U32",
    "U32_MAX",
    "UNDECIDED",
    "ZERO",
    "Range",
    "at_least",
    "at_most",
    "between",
    "build",
    "compare_constants",
    "constant",
    "contains",
    "decide",
    "describe",
    "disjoint",
    "includes",
    "is_constant",
    "join",
    "low32_source",
    "make",
    "meet",
    "one_sign",
    "restrict",
    "restrict_by",
    "same",
    "smear",
    "span",
    "sure",
    "unsigned_high",
    "unsigned_less",
    "unsigned_low",
    "widen",
    "with_some_bit",
    "without",
]

# Comparisons: the operation codes of RFC 9669, section 4.3, and the opposite of JSET.
JEQ: Final = 1
JGT: Final = 2
JGE: Final = 3
JSET: Final = 4
JNE: Final = 5
JSGT: Final = 6
JSGE: Final = 7
JLT: Final = 10
JLE: Final = 11
JSLT: Final = 12
JSLE: Final = 13
JNSET: Final = 14

# The comparison that holds when this one does not, and the one that says the same of swapped
# operands; -1 where there is none.
NEGATE: Final[list[i64]] = [
    -1, JNE, JLE, JLT, JNSET, JEQ, JSLE, JSLT, -1, -1, JGE, JGT, JSGE, JSGT, JSET,
]  # fmt: skip
SWAP: Final[list[i64]] = [
    -1, JEQ, JLT, JLE, JSET, JNE, JSLT, JSLE, -1, -1, JGT, JGE, JSGT, JSGE, JNSET,
]  # fmt: skip

# Answers of ``decide``.
NEVER: Final = 0
ALWAYS: Final = 1
UNDECIDED: Final = 2


def compare_constants(a: i64, op: i64, b: i64) -> bool:
    """Whether ``a op b`` is true."""
    if op == JEQ:
        return a == b
    if op == JNE:
        return a != b
    if op == JGT:
        return unsigned_less(b, a)
    if op == JGE:
        return not unsigned_less(a, b)
    if op == JLT:
        return unsigned_less(a, b)
    if op == JLE:
        return not unsigned_less(b, a)
    if op == JSGT:
        return a > b
    if op == JSGE:
        return a >= b
    if op == JSLT:
        return a < b
    if op == JSLE:
        return a <= b
    if op == JSET:
        return (a & b) != 0
    assert op == JNSET, "no such comparison"
    return (a & b) == 0


def decide(op: i64, a: Range, b: Range) -> i64:
    """Whether ``x op y`` is true for members of both: ALWAYS, NEVER or UNDECIDED."""
    if a.mask == 0 and b.mask == 0:
        return ALWAYS if compare_constants(a.value, op, b.value) else NEVER
    if op == JEQ:
        return NEVER if disjoint(a, b) else UNDECIDED
    if op == JNE:
        return ALWAYS if disjoint(a, b) else UNDECIDED
    if op == JGT:
        return decide_order(
            unsigned_less(unsigned_high(b), unsigned_low(a)),
            not unsigned_less(unsigned_low(b), unsigned_high(a)),
        )
    if op == JLE:
        return decide_order(
            not unsigned_less(unsigned_low(b), unsigned_high(a)),
            unsigned_less(unsigned_high(b), unsigned_low(a)),
        )
    if op == JLT:
        return decide_order(
            unsigned_less(unsigned_high(a), unsigned_low(b)),
            not unsigned_less(unsigned_low(a), unsigned_high(b)),
        )
    if op == JGE:
        return decide_order(
            not unsigned_less(unsigned_low(a), unsigned_high(b)),
            unsigned_less(unsigned_high(a), unsigned_low(b)),
        )
    if op == JSGT:
        return decide_order(a.low > b.high, a.high <= b.low)
    if op == JSGE:
        return decide_order(a.low >= b.high, a.high < b.low)
    if op == JSLT:
        return decide_order(a.high < b.low, a.low >= b.high)
    if op == JSLE:
        return decide_order(a.high <= b.low, a.low > b.high)
    some = can_share_bits(a, b)
    if op == JNSET:
        return UNDECIDED if some == UNDECIDED else 1 - some
    assert op == JSET, "no such comparison"
    return some


def decide_order(always: bool, never: bool) -> i64:
    if always:
        return ALWAYS
    return NEVER if never else UNDECIDED


def can_share_bits(a: Range, b: Range) -> i64:
    """Whether ``x & y`` is not zero for members of both."""
    if (a.value & b.value) != 0:
        return ALWAYS
    if ((a.value | a.mask) & (b.value | b.mask)) == 0:
        return NEVER
    if b.mask == 0 and restrict(a, JNSET, b.value) is None:
        return ALWAYS
    if a.mask == 0 and restrict(b, JNSET, a.value) is None:
        return ALWAYS
    return UNDECIDED


def restrict(a: Range, op: i64, c: i64) -> Range | None:
    """The members x with ``x op c``, None if there are none; ``a`` itself if they all are."""
    if op == JEQ:
        if not contains(a, c):
            return None
        return a if a.mask == 0 else constant(c)
    if op == JNE:
        return without(a, c)
    if op == JGT:
        return at_least(a, c, False, True)
    if op == JGE:
        return at_least(a, c, True, True)
    if op == JLT:
        return at_most(a, c, False, True)
    if op == JLE:
        return at_most(a, c, True, True)
    if op == JSGT:
        return at_least(a, c, False, False)
    if op == JSGE:
        return at_least(a, c, True, False)
    if op == JSLT:
        return at_most(a, c, False, False)
    if op == JSLE:
        return at_most(a, c, True, False)
    if op == JSET:
        return with_some_bit(a, c)
    assert op == JNSET, "no such comparison"
    if (a.value & c) != 0:
        return None
    if (a.mask & c) == 0:
        return a
    return make(a.low, a.high, a.below, a.above, a.value, a.mask & ~c)


def at_least(a: Range, c: i64, equal: bool, unsigned: bool) -> Range | None:
    """The members from ``c`` on, or above it unless ``equal``."""
    low = a.low
    high = a.high
    below = a.below if a.below < high else high
    above = a.above if a.above > low else low
    if c < 0:
        if low <= below:
            if c > below or (c == below and not equal):
                low = 0
                below = -1
            elif c > low:
                low = c if equal else c + 1
            elif c == low and not equal:
                low = c + 1
        if unsigned and above <= high:
            above = 0
            high = -1
            return build(low, below, above, high, a.value, a.mask)
        if low == a.low or a.low >= 0:
            return a
        return build(low, below, above, high, a.value, a.mask)
    if above <= high:
        if c > high or (c == high and not equal):
            above = 0
            high = -1
        elif c > above:
            above = c if equal else c + 1
        elif c == above and not equal:
            above = c + 1
        elif unsigned or a.low >= 0:
            return a
    if not unsigned:
        low = 0
        below = -1
    elif a.high < 0:
        return a
    return build(low, below, above, high, a.value, a.mask)


def at_most(a: Range, c: i64, equal: bool, unsigned: bool) -> Range | None:
    """The members up to ``c``, or below it unless ``equal``."""
    low = a.low
    high = a.high
    below = a.below if a.below < high else high
    above = a.above if a.above > low else low
    if c < 0:
        if low <= below:
            if c < low or (c == low and not equal):
                low = 0
                below = -1
            elif c < below:
                below = c if equal else c - 1
            elif c == below and not equal:
                below = c - 1
            elif unsigned or a.high < 0:
                return a
        if not unsigned:
            above = 0
            high = -1
        elif a.low >= 0:
            return a
        return build(low, below, above, high, a.value, a.mask)
    if above <= high:
        if c < above or (c == above and not equal):
            above = 0
            high = -1
        elif c < high:
            high = c if equal else c - 1
        elif c == high and not equal:
            high = c - 1
        elif not unsigned or a.low >= 0:
            return a
    elif not unsigned:
        return a
    if unsigned:
        low = 0
        below = -1
    return build(low, below, above, high, a.value, a.mask)


def without(a: Range, c: i64) -> Range | None:
    """The members but ``c``, as far as a range can say so."""
    low = a.low
    high = a.high
    if c < low or c > high:
        return a
    below = a.below if a.below < high else high
    above = a.above if a.above > low else low
    # Adding to and taking from a bound is safe: the part is empty, or the bound has room inwards.
    if c < 0:
        if c == below:
            if c == low:
                low = 0
                below = -1
            else:
                below = c - 1
        elif c == low:
            low = c + 1
        else:
            return a
    elif c == high:
        if c == above:
            above = 0
            high = -1
        else:
            high = c - 1
    elif c == above:
        above = c + 1
    else:
        return a
    return build(low, below, above, high, a.value, a.mask)


def with_some_bit(a: Range, c: i64) -> Range | None:
    """The members that have one of the bits of ``c``."""
    if (a.value & c) != 0:
        return a
    possible: i64 = a.mask & c
    if possible == 0:
        return None
    if possible == MIN:
        return at_most(a, -1, True, False)
    lowest: i64 = possible & -possible
    if possible == lowest:
        return make(a.low, a.high, a.below, a.above, a.value | lowest, a.mask & ~lowest)
    return at_least(a, lowest, True, True)


def restrict_by(a: Range, op: i64, b: Range) -> Range | None:
    """The members x with ``x op y`` for some member y of ``b``, and perhaps more."""
    if op == JEQ:
        return meet(a, b)
    if op == JNE:
        return without(a, b.value) if b.mask == 0 else a
    if op in (JGT, JGE):
        return at_least(a, unsigned_low(b), op == JGE, True)
    if op in (JLT, JLE):
        return at_most(a, unsigned_high(b), op == JLE, True)
    if op in (JSGT, JSGE):
        return at_least(a, b.low, op == JSGE, False)
    if op in (JSLT, JSLE):
        return at_most(a, b.high, op == JSLE, False)
    if op == JSET:
        return with_some_bit(a, b.value | b.mask)
    return restrict(a, op, b.value)


def low32_source(a: Range, low: Range) -> Range | None:
    """The members of ``a`` whose low half, zero-extended, is a member of ``low``."""
    first = unsigned_low(low)
    if first < 0 or first > U32_MAX:
        return None
    last = low.high if low.high < U32_MAX else U32_MAX
    if ((a.value ^ low.value) & ~a.mask & ~low.mask & U32_MAX) != 0:
        return None
    mask: i64 = a.mask & (low.mask | ~U32_MAX)
    value: i64 = a.value | (low.value & U32_MAX)
    if mask == a.mask and first == 0 and last == U32_MAX:
        return a
    negative_low = a.low
    negative_high = a.below if a.below < a.high else a.high
    if negative_low <= negative_high:
        negative_low = next_half(negative_low, first, last)
        negative_high = previous_half(negative_high, first, last)
    positive_low = a.above if a.above > a.low else a.low
    positive_high = a.high
    if positive_low <= positive_high:
        positive_low = next_half(positive_low, first, last)
        positive_high = previous_half(positive_high, first, last)
    known = build(negative_low, negative_high, positive_low, positive_high, value, mask)
    if known is not None and same(known, a):
        return a
    return known


def next_half(x: i64, first: i64, last: i64) -> i64:
    """The smallest number from ``x`` on whose low half is in ``first..last``."""
    half: i64 = x & U32_MAX
    if half < first:
        return x + (first - half)
    if half > last:
        # Past the end of numbers: anything above every bound of this sign will do.
        if (x | U32_MAX) == MAX:
            return MAX
        return (x | U32_MAX) + 1 + first
    return x


def previous_half(x: i64, first: i64, last: i64) -> i64:
    """The largest number up to ``x`` whose low half is in ``first..last``."""
    half: i64 = x & U32_MAX
    if half > last:
        return x - (half - last)
    if half < first:
        if (x & ~U32_MAX) == MIN:
            return MIN
        return (x & ~U32_MAX) - 1 - (U32_MAX - last)
    return x
