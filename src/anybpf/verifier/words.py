"""What computing with ranges builds on: operation codes, single words, hulls of intervals.

Words are 64-bit numbers, held as signed ones; sums and shifts of them wrap. The operations
themselves are in ``arithmetic`` and ``bitwise``.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from anybpf.verifier.ranges import MAX, MIN, SMALL, Range, build, same, sure

# Operations: the upper four bits of the opcode (RFC 9669, section 4.1) and signed division.
ADD: Final = 0
SUB: Final = 1
MUL: Final = 2
DIV: Final = 3
OR: Final = 4
AND: Final = 5
LSH: Final = 6
RSH: Final = 7
NEG: Final = 8
MOD: Final = 9
XOR: Final = 10
MOV: Final = 11
ARSH: Final = 12
SDIV: Final = 20
SMOD: Final = 21

WORDS: Final = 1 << 64
HALF: Final = 0x3FFF_FFFF_FFFF_FFFF


def wrap(x: int) -> i64:
    """The word that a number becomes when it is cut to 64 bits, read as signed."""
    x = x & (WORDS - 1)
    return i64(x - WORDS if x > MAX else x)


def unsigned(x: i64) -> int:
    """A word read as unsigned number."""
    return int(x) & (WORDS - 1)


def ones(count: i64) -> i64:
    """The number with the lowest ``count`` bits set."""
    if count >= 63:
        return MAX if count == 63 else -1
    return HALF >> (62 - count)


def plus(x: i64, y: i64) -> i64:
    """The sum of two words."""
    if (x ^ y) < 0 or (-SMALL < x < SMALL and -SMALL < y < SMALL):
        return x + y
    # Turning the top bit first and last changes nothing but the signs, and so nothing overflows.
    return ((x ^ MIN) + y) ^ MIN


def minus(x: i64, y: i64) -> i64:
    """The difference of two words."""
    if (x ^ y) >= 0 or (-SMALL < x < SMALL and -SMALL < y < SMALL):
        return x - y
    return ((x ^ MIN) - y) ^ MIN


def shifted_left(x: i64, count: i64) -> i64:
    """The word shifted by 0 to 63 bits."""
    if count == 0:
        return x
    moved: i64 = (x & ones(63 - count)) << count
    # The bit that becomes the sign.
    if ((x >> (63 - count)) & 1) != 0:
        return moved | MIN
    return moved


def shifted_right(x: i64, count: i64) -> i64:
    """The unsigned word shifted by 0 to 63 bits."""
    if count == 0:
        return x
    return (x >> count) & ones(64 - count)


def trailing_ones(x: i64) -> i64:
    """A mask of the ones at the low end."""
    return x & ~(x + 1) if x < SMALL else (-1 if x == -1 else ones(count_ones(x)))


def count_ones(x: i64) -> i64:
    """How many ones there are at the low end."""
    count: i64 = 0
    while (x & 1) != 0 and count < 64:
        x = x >> 1
        count += 1
    return count


class Hull:
    """Collects intervals; at last the range around them all, one part for each sign."""

    __slots__ = ("above", "below", "high", "low")

    def __init__(self) -> None:
        self.low: i64 = 0
        self.below: i64 = MIN
        self.above: i64 = MAX
        self.high: i64 = -1

    def add(self, low: i64, high: i64) -> None:
        if low < 0:
            if low < self.low:
                self.low = low
            last = high if high < 0 else -1
            if last > self.below:
                self.below = last
        if high >= 0:
            first = low if low >= 0 else 0
            if first < self.above:
                self.above = first
            if high > self.high:
                self.high = high

    def add_turn(self, low: i64, high: i64) -> None:
        """The words from ``low`` upwards to ``high``, which may lie past the end of numbers."""
        if low <= high:
            self.add(low, high)
        else:
            self.add(low, MAX)
            self.add(MIN, high)

    def add_wrapped(self, low: int, high: int) -> None:
        """The interval of numbers of any size, of which only 64 bits are left."""
        if high - low >= WORDS - 1:
            self.add(MIN, MAX)
            return
        excess = (low - MIN) // WORDS * WORDS
        low -= excess
        high -= excess
        if high > MAX:
            self.add(i64(low), MAX)
            self.add(MIN, i64(high - WORDS))
        else:
            self.add(i64(low), i64(high))

    def range(self, value: i64, mask: i64) -> Range:
        """The range around the intervals, of the words with these bits."""
        return sure(build(self.low, self.below, self.above, self.high, value, mask))


def parts(a: Range) -> list[tuple[i64, i64]]:
    """The intervals, one for each sign."""
    if a.low >= 0 or a.high < 0:
        return [(a.low, a.high)]
    return [(a.low, a.below), (a.above, a.high)]


def exact_parts(a: Range) -> list[tuple[int, int]]:
    """The intervals, as numbers to compute with at any size."""
    return [(int(low), int(high)) for low, high in parts(a)]


def unsigned_parts(a: Range) -> list[tuple[int, int]]:
    """The intervals, in unsigned reading."""
    if a.low >= 0 or a.high < 0:
        return [(unsigned(a.low), unsigned(a.high))]
    return [(a.above, a.high), (unsigned(a.low), unsigned(a.below))]


def is_small(a: Range) -> bool:
    """Whether sums and differences with the like of it cannot overflow."""
    return a.low > -SMALL and a.high < SMALL


def is_solid(a: Range) -> bool:
    """Whether there is no hole around zero."""
    return a.below == -1 and a.above == 0


def is_top(a: Range) -> bool:
    """Whether nothing is known."""
    # The first comparisons are the cheap ones.
    return a.mask == -1 and a.high > SMALL and is_solid(a) and a.low == MIN and a.high == MAX


def result(hull: Hull, value: i64, mask: i64, a: Range, b: Range) -> Range:
    """The range of the hull; an operand itself if it is that."""
    known = hull.range(value, mask)
    if same(known, a):
        return a
    if same(known, b):
        return b
    return known
