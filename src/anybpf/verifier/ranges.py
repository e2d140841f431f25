"""What can be known of a 64-bit word: bounds, signed and unsigned at once, and bits.

A :class:`Range` is a set of words; how ranges are made, joined, met, compared as sets and widened
is said here. What comparisons of a program teach is the business of ``numbers``, computing with
ranges that of ``arithmetic``; which word of a program a range is about is not known here.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

MIN: Final = -9223372036854775808
MAX: Final = 9223372036854775807
# Numbers below this can be added and subtracted without a thought of overflow.
SMALL: Final = 0x1FFF_FFFF_FFFF_FFFF
U32_MAX: Final = 0xFFFF_FFFF


class Range:
    """A set of 64-bit words, read as signed numbers; never changed once made.

    It holds the x with ``low <= x <= high``, outside of the hole ``below < x < above`` around
    zero, and with ``x & ~mask == value``. Without both signs the hole is empty: -1 and 0. So the
    negative members are those of ``low..min(high, below)``, the others ``max(low, above)..high``,
    and unsigned bounds are exact as well. Ranges made by the functions of this room are reduced:
    the four bounds are members, no bit that all members agree on is unknown, and so two ranges
    are the same set exactly if they are equal.
    """

    __slots__ = ("above", "below", "high", "low", "mask", "value")

    def __init__(self, low: i64, high: i64, below: i64, above: i64, value: i64, mask: i64) -> None:
        self.low: i64 = low
        self.high: i64 = high
        self.below: i64 = below
        self.above: i64 = above
        self.value: i64 = value
        self.mask: i64 = mask

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Range) and same(self, other)

    def __hash__(self) -> int:
        return hash((self.low, self.high, self.below, self.above, self.value, self.mask))

    def __repr__(self) -> str:
        return describe(self)


def smear(x: i64) -> i64:
    """The smallest ``2**n - 1`` that is not less than ``x``, which is not negative."""
    x = x | (x >> 1)
    x = x | (x >> 2)
    x = x | (x >> 4)
    x = x | (x >> 8)
    x = x | (x >> 16)
    return x | (x >> 32)


def round_up(x: i64, value: i64, mask: i64) -> i64:
    """The smallest number from ``x`` on that has these bits and the sign of ``x``, else x - 1.

    The sign of ``x`` must be allowed by the bits.
    """
    if (x & ~mask) == value:
        return x
    # All bits up to the highest one in which x is wrong.
    wrong: i64 = smear((x ^ value) & ~mask)
    if (value & (wrong ^ (wrong >> 1))) != 0:
        return (x & ~wrong) | (value & wrong)
    # That bit must be cleared, so one further up must be set.
    free: i64 = mask & ~x & ~wrong
    if free < 0:
        free = free & MAX
    if free == 0:
        return x - 1
    bit: i64 = free & -free
    return (x & ~(bit | (bit - 1))) | bit | (value & (bit - 1))


def round_down(x: i64, value: i64, mask: i64) -> i64:
    """The largest number up to ``x`` that has these bits and the sign of ``x``, else x + 1."""
    if (x & ~mask) == value:
        return x
    return ~round_up(~x, ~value & ~mask, mask)


def one_sign(low: i64, high: i64, value: i64, mask: i64) -> Range | None:
    """The members of ``low..high``, which are of one sign, that have these bits."""
    if mask != -1:
        if ((low ^ value) & ~mask) < 0:
            return None
        if (low & ~mask) != value:
            bound = round_up(low, value, mask)
            if bound < low:
                return None
            low = bound
        if (high & ~mask) != value:
            bound = round_down(high, value, mask)
            if bound > high:
                return None
            high = bound
    if low >= high:
        return constant(low) if low == high else None
    varying: i64 = smear(low ^ high)
    return Range(low, high, -1, 0, (value & varying) | (low & ~varying), mask & varying)


def build(low: i64, below: i64, above: i64, high: i64, value: i64, mask: i64) -> Range | None:
    """The members of ``low..below`` (negative) and ``above..high`` (not) that have these bits.

    Either part may be empty, which is said by a lower bound above the upper one.
    """
    if low > below:
        if above > high:
            return None
        return one_sign(above, high, value, mask)
    if above > high:
        return one_sign(low, below, value, mask)
    if mask == -1:
        if below == -1 and above == 0:
            return Range(low, high, -1, 0, 0, -1)
    elif mask >= 0:
        if value < 0:
            return one_sign(low, below, value, mask)
        return one_sign(above, high, value, mask)
    else:
        low2 = round_up(low, value, mask)
        below2 = round_down(below, value, mask)
        above2 = round_up(above, value, mask)
        high2 = round_down(high, value, mask)
        if low2 < low or below2 > below or low2 > below2:
            if above2 < above or high2 > high or above2 > high2:
                return None
            return one_sign(above2, high2, value, mask)
        if above2 < above or high2 > high or above2 > high2:
            return one_sign(low2, below2, value, mask)
        low = low2
        below = below2
        above = above2
        high = high2
    varying: i64 = smear(low ^ below) | smear(above ^ high) | (low ^ above)
    return Range(low, high, below, above, (value & varying) | (low & ~varying), mask & varying)


def span(low: i64, high: i64, value: i64, mask: i64) -> Range | None:
    """The members of ``low..high`` that have these bits."""
    if (low ^ high) >= 0:
        return one_sign(low, high, value, mask)
    return build(low, -1, 0, high, value, mask)


def make(low: i64, high: i64, below: i64, above: i64, value: i64, mask: i64) -> Range | None:
    """The range of these parts, each reduced by what the others say; None if nothing is left.

    The hole counts also where the bounds are of one sign: no member is between its ends.
    """
    if below > -1:
        below = -1
    elif below > high:
        below = high
    if above < 0:
        above = 0
    elif above < low:
        above = low
    return build(low, below, above, high, value, mask)


def constant(c: i64) -> Range:
    return Range(c, c, -1, 0, c, 0)


def between(low: i64, high: i64) -> Range:
    """The signed numbers ``low..high``, of which there must be some."""
    return sure(span(low, high, 0, -1))


def sure(known: Range | None) -> Range:
    """A range that cannot be empty."""
    assert known is not None, "a set of numbers that cannot be empty is"
    return known


TOP: Final = Range(MIN, MAX, -1, 0, 0, -1)
ZERO: Final = Range(0, 0, -1, 0, 0, 0)
BOOL: Final = Range(0, 1, -1, 0, 0, 1)
U8: Final = Range(0, 0xFF, -1, 0, 0, 0xFF)
U16: Final = Range(0, 0xFFFF, -1, 0, 0, 0xFFFF)
U32: Final = Range(0, U32_MAX, -1, 0, 0, U32_MAX)
S8: Final = Range(-0x80, 0x7F, -1, 0, 0, -1)
S16: Final = Range(-0x8000, 0x7FFF, -1, 0, 0, -1)
S32: Final = Range(-0x8000_0000, 0x7FFF_FFFF, -1, 0, 0, -1)


def is_constant(a: Range) -> bool:
    """Whether there is but one member; it is ``a.value``, and ``a.low`` and ``a.high`` too."""
    return a.mask == 0


def same(a: Range, b: Range) -> bool:
    return a is b or (
        a.low == b.low
        and a.high == b.high
        and a.mask == b.mask
        and a.value == b.value
        and a.below == b.below
        and a.above == b.above
    )


def contains(a: Range, x: i64) -> bool:
    return a.low <= x <= a.high and (x & ~a.mask) == a.value and (x <= a.below or x >= a.above)


def unsigned_less(x: i64, y: i64) -> bool:
    """Whether ``x`` is less than ``y`` when both are read as unsigned words."""
    if (x ^ y) < 0:
        return x >= 0
    return x < y


def unsigned_low(a: Range) -> i64:
    """The member that is the smallest when read as unsigned word."""
    if a.high < 0:
        return a.low
    return a.low if a.low > a.above else a.above


def unsigned_high(a: Range) -> i64:
    """The member that is the largest when read as unsigned word."""
    if a.low >= 0:
        return a.high
    return a.high if a.high < a.below else a.below


def join(a: Range, b: Range) -> Range:
    """The smallest range that holds the members of both."""
    if a is b:
        return a
    mask: i64 = a.mask | b.mask | (a.value ^ b.value)
    low = a.low if a.low < b.low else b.low
    high = a.high if a.high > b.high else b.high
    below: i64 = -1
    above: i64 = 0
    if low < 0 and high >= 0:
        # Of operands of one sign the bounds next to zero are ``high`` and ``low``.
        if a.low >= 0:
            below = b.below if b.below < b.high else b.high
        elif b.low >= 0:
            below = a.below if a.below < a.high else a.high
        else:
            below = a.below if a.below < a.high else a.high
            other = b.below if b.below < b.high else b.high
            if other > below:
                below = other
        if a.high < 0:
            above = b.above if b.above > b.low else b.low
        elif b.high < 0:
            above = a.above if a.above > a.low else a.low
        else:
            above = a.above if a.above > a.low else a.low
            other = b.above if b.above > b.low else b.low
            if other < above:
                above = other
    value: i64 = a.value & ~mask
    if (
        mask == a.mask
        and low == a.low
        and high == a.high
        and value == a.value
        and below == a.below
        and above == a.above
    ):
        return a
    if (
        mask == b.mask
        and low == b.low
        and high == b.high
        and value == b.value
        and below == b.below
        and above == b.above
    ):
        return b
    # The bounds are members of one of both, and the bits are all that both agree on: reduced.
    return Range(low, high, below, above, value, mask)


def meet(a: Range, b: Range) -> Range | None:
    """The members of both, None if there are none; ``a`` or ``b`` itself if it is that."""
    if a is b:
        return a
    if ((a.value ^ b.value) & ~a.mask & ~b.mask) != 0:
        return None
    low = a.low if a.low > b.low else b.low
    high = a.high if a.high < b.high else b.high
    below = a.below if a.below < b.below else b.below
    above = a.above if a.above > b.above else b.above
    # What is left may have but one sign, and end in the hole of an operand.
    if low >= 0:
        if above > low:
            low = above
        below = -1
        above = 0
    elif high < 0:
        if below < high:
            high = below
        below = -1
        above = 0
    if low > high:
        return None
    mask: i64 = a.mask & b.mask
    value: i64 = a.value | b.value
    if mask == a.mask and low == a.low and high == a.high and below == a.below and above == a.above:
        return a
    if mask == b.mask and low == b.low and high == b.high and below == b.below and above == b.above:
        return b
    if (low ^ high) >= 0:
        return one_sign(low, high, value, mask)
    return build(low, below, above, high, value, mask)


def includes(big: Range, small: Range) -> bool:
    """Whether every member of ``small`` is one of ``big``."""
    if big is small:
        return True
    if small.low < big.low or small.high > big.high:
        return False
    if (small.mask & ~big.mask) != 0 or (small.value & ~big.mask) != big.value:
        return False
    if small.low < 0 and small.below > big.below and small.high > big.below:
        return False
    return not (small.high >= 0 and small.above < big.above and small.low < big.above)


def disjoint(a: Range, b: Range) -> bool:
    """Whether no word is a member of both."""
    if a.low > b.high or b.low > a.high:
        return True
    if ((a.value ^ b.value) & ~a.mask & ~b.mask) != 0:
        return True
    if a.mask == 0:
        return not contains(b, a.value)
    if b.mask == 0:
        return not contains(a, b.value)
    return meet(a, b) is None


def widen(old: Range, new: Range, thresholds: list[i64], base: i64) -> Range:
    """A range that holds both, and that does not grow for ever when widened again and again.

    A bound that moved goes on to the next of the (sorted) thresholds, which are about the word
    plus ``base``. Of the bits only those below the lowest unknown one stay known, but for what
    the bounds say.
    """
    both = join(old, new)
    if both is old or same(both, old):
        return old
    low = both.low
    high = both.high
    below = both.below
    above = both.above
    mask = both.mask
    value = both.value
    moved = False
    if low < old.low:
        low = threshold_below(low, thresholds, base)
        moved = True
    if high > old.high:
        high = threshold_above(high, thresholds, base)
        moved = True
    if old.low < 0 and below > (old.below if old.below < old.high else old.high):
        below = -1
        moved = True
    if old.high >= 0 and above < (old.above if old.above > old.low else old.low):
        above = 0
        moved = True
    if moved:
        kept: i64 = (mask & -mask) - 1
        mask = ~kept
        value = value & kept
    return sure(make(low, high, below, above, value, mask))


def threshold_below(bound: i64, thresholds: list[i64], base: i64) -> i64:
    shift: int = int(base)
    limit: int = int(bound) + shift
    found: int = MIN
    for threshold in thresholds:
        # Spelled out as int: compared with a word, the limit would be cut down to one.
        exact: int = int(threshold)
        if exact > limit:
            break
        found = exact - shift
    # Zero is a bound by nature: below it the word is a large one, read as unsigned.
    if bound >= 0 and found < 0:
        return 0
    return i64(found) if found > MIN else MIN


def threshold_above(bound: i64, thresholds: list[i64], base: i64) -> i64:
    shift: int = int(base)
    limit: int = int(bound) + shift
    found: int = MAX
    for threshold in thresholds:
        exact: int = int(threshold)
        if exact >= limit:
            found = exact - shift
            break
    if bound < 0 and found >= 0:
        return -1
    return i64(found) if found < MAX else MAX


def describe(a: Range) -> str:
    """``5``, ``0..255``, ``-1|3..8``; then the bits, if they say more than the bounds."""
    solid = make(a.low, a.high, -1, 0, a.value, a.mask)
    if solid is not None and not same(solid, a):
        text = f"{describe_span(a.low, a.below)}|{describe_span(a.above, a.high)}"
    else:
        text = describe_span(a.low, a.high)
    bounds = make(a.low, a.high, a.below, a.above, 0, -1)
    if bounds is None:
        return text + " (empty)"
    more: i64 = bounds.mask & ~a.mask
    if more == 0:
        return text
    if more == smear(more if more > 0 else MAX) and (a.value & more) == 0:
        return f"{text} in steps of {more + 1}"
    # As unsigned words: a mask reads badly with a sign.
    bits: int = int(more) & 0xFFFF_FFFF_FFFF_FFFF
    return f"{text} with &{bits:#x}=={int(a.value) & bits:#x}"


def describe_span(low: i64, high: i64) -> str:
    if low == high:
        return describe_bound(low)
    return f"{describe_bound(low)}..{describe_bound(high)}"


def describe_bound(x: i64) -> str:
    if x == MIN:
        return "min"
    return "max" if x == MAX else str(x)
