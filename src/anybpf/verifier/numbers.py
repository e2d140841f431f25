"""What can be known of a 64-bit word: bounds, signed and unsigned at once, and bits.

A :class:`Range` is a set of words; ranges are joined, met and widened here and cut down by what a
comparison says. Computing with them is the business of ``arithmetic``; which word of a program a
range is about is not known here.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64, mypyc_attr

MIN: Final = -9223372036854775808
MAX: Final = 9223372036854775807
# Numbers below this can be added and subtracted without a thought of overflow.
SMALL: Final = 0x1FFF_FFFF_FFFF_FFFF
U32_MAX: Final = 0xFFFF_FFFF

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


@mypyc_attr(acyclic=True)
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
        if threshold > limit:
            break
        found = int(threshold) - shift
    # Zero is a bound by nature: below it the word is a large one, read as unsigned.
    if bound >= 0 and found < 0:
        return 0
    return i64(found) if found > MIN else MIN


def threshold_above(bound: i64, thresholds: list[i64], base: i64) -> i64:
    shift: int = int(base)
    limit: int = int(bound) + shift
    found: int = MAX
    for threshold in thresholds:
        if threshold >= limit:
            found = int(threshold) - shift
            break
    if bound < 0 and found >= 0:
        return -1
    return i64(found) if found < MAX else MAX


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
    if low.high < 0 or low.low > U32_MAX:
        return None
    first = unsigned_low(low)
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
