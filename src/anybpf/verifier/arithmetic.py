"""What the operations of a program make of ranges: sums, products, shifts, bits.

Every function gives a range that holds the result of each choice of members of its operands, as
the processor computes it: modulo 2**64, or 2**32 with the upper half zero. What is learnt from
comparisons is the business of ``numbers``.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64, mypyc_attr

from anybpf.verifier.numbers import (
    MAX,
    MIN,
    S32,
    SMALL,
    U32,
    U32_MAX,
    ZERO,
    Range,
    between,
    build,
    constant,
    contains,
    join,
    one_sign,
    same,
    smear,
    span,
    sure,
    unsigned_high,
    unsigned_less,
    unsigned_low,
)

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
# Shifts by a range are tried one by one up to this many amounts.
FEW: Final = 4


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


@mypyc_attr(acyclic=True)
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


def shift_by(a: Range, c: i64) -> Range:
    """The range of x + c."""
    if c == 0:
        return a
    if a.mask == 0:
        return constant(plus(a.value, c))
    if a.low > -SMALL and a.high < SMALL and -SMALL < c < SMALL and a.below == -1 and a.above == 0:
        if a.mask == -1:
            return sure(span(a.low + c, a.high + c, 0, -1))
        # A carry is known where the smallest and the largest sum of the bits agree on it.
        value: i64 = a.value + c
        mask: i64 = (value ^ (value + a.mask)) | a.mask
        return sure(span(a.low + c, a.high + c, value & ~mask, mask))
    return add(a, constant(c))


def add(a: Range, b: Range) -> Range:
    if a.mask == 0 and b.mask == 0:
        return constant(plus(a.value, b.value))
    if is_top(a):
        return a
    if is_top(b):
        return b
    value: i64 = 0
    mask: i64 = -1
    if is_small(a) and is_small(b):
        # The bits of reduced ranges are as small as their bounds.
        if a.mask != -1 and b.mask != -1:
            value = a.value + b.value
            mask = (value ^ (value + a.mask + b.mask)) | a.mask | b.mask
            value = value & ~mask
        if is_solid(a) and is_solid(b):
            return sure(span(a.low + b.low, a.high + b.high, value, mask))
    elif a.mask != -1 and b.mask != -1:
        value = plus(a.value, b.value)
        mask = (value ^ plus(value, plus(a.mask, b.mask))) | a.mask | b.mask
        value = value & ~mask
    hull = Hull()
    for low, high in parts(a):
        for other_low, other_high in parts(b):
            # Neither part is longer than half of all words: the sum goes round at most once.
            hull.add_turn(plus(low, other_low), plus(high, other_high))
    return result(hull, value, mask, a, b)


def sub(a: Range, b: Range) -> Range:
    if b.mask == 0:
        if a.mask == 0:
            return constant(minus(a.value, b.value))
        if b.value == 0:
            return a
    if is_top(a):
        return a
    if is_top(b):
        return b
    value: i64 = 0
    mask: i64 = -1
    if is_small(a) and is_small(b):
        if a.mask != -1 and b.mask != -1:
            value = a.value - b.value
            mask = ((value + a.mask) ^ (value - b.mask)) | a.mask | b.mask
            value = value & ~mask
        if is_solid(a) and is_solid(b):
            return sure(span(a.low - b.high, a.high - b.low, value, mask))
    elif a.mask != -1 and b.mask != -1:
        value = minus(a.value, b.value)
        mask = (plus(value, a.mask) ^ minus(value, b.mask)) | a.mask | b.mask
        value = value & ~mask
    hull = Hull()
    for low, high in parts(a):
        for other_low, other_high in parts(b):
            hull.add_turn(minus(low, other_high), minus(high, other_low))
    return result(hull, value, mask, a, b)


def result(hull: Hull, value: i64, mask: i64, a: Range, b: Range) -> Range:
    """The range of the hull; an operand itself if it is that."""
    known = hull.range(value, mask)
    if same(known, a):
        return a
    if same(known, b):
        return b
    return known


def neg(a: Range) -> Range:
    return sub(ZERO, a)


def mul(a: Range, b: Range) -> Range:
    if b.mask == 0:
        if b.value == 1 or a is ZERO:
            return a
        if b.value == 0:
            return ZERO
        if a.mask == 0:
            return constant(wrap(int(a.value) * int(b.value)))
        if b.value > 0 and (b.value & (b.value - 1)) == 0:
            return shl_by(a, count_ones(b.value - 1))
    elif a.mask == 0:
        return mul(b, a)
    # Low bits of both factors give low bits of the product; zeros at their ends give more of them.
    zeros_a = trailing_ones(~(a.value | a.mask))
    zeros_b = trailing_ones(~(b.value | b.mask))
    known_a = trailing_ones(~a.mask)
    known_b = trailing_ones(~b.mask)
    low_a: i64 = a.value & known_a
    low_b: i64 = b.value & known_b
    value: i64 = 0
    mask: i64 = -1
    if (known_a & 1) | (known_b & 1) != 0:
        count_a = count_ones(known_a) + count_ones(zeros_b)
        count_b = count_ones(known_b) + count_ones(zeros_a)
        count = count_a if count_a < count_b else count_b
        if count > 63:
            count = 63
        known = ones(count)
        mask = ~known
        if low_a != 0 and low_b != 0:
            value = wrap(int(low_a) * int(low_b)) & known
    if a.low >= 0 and b.low >= 0 and (a.high == 0 or b.high <= HALF // a.high):
        return sure(one_sign(a.low * b.low, a.high * b.high, value, mask))
    hull = Hull()
    if a.low >= 0 and b.low >= 0:
        hull.add_wrapped(int(a.low) * int(b.low), int(a.high) * int(b.high))
        return hull.range(value, mask)
    if is_top(a) or is_top(b):
        return sure(span(MIN, MAX, value, mask))
    for low, high in exact_parts(a):
        for other_low, other_high in exact_parts(b):
            # The signs within each part are the same, so the extremes are at its ends.
            first = low * other_low
            second = low * other_high
            third = high * other_low
            fourth = high * other_high
            hull.add_wrapped(min(first, second, third, fourth), max(first, second, third, fourth))
    return hull.range(value, mask)


def udiv(a: Range, b: Range) -> Range:
    """Unsigned division; by zero gives zero."""
    if b.mask == 0:
        if b.value == 0:
            return ZERO
        if b.value == 1:
            return a
        if b.value > 0 and (b.value & (b.value - 1)) == 0:
            return shr_by(a, count_ones(b.value - 1))
    if a.low >= 0 and b.low > 0:
        return sure(one_sign(a.low // b.high, a.high // b.low, 0, -1))
    hull = Hull()
    for low, high in unsigned_parts(b):
        if low == 0:
            hull.add(0, 0)
            if high == 0:
                continue
            low = 1
        for first, last in unsigned_parts(a):
            hull.add_wrapped(first // high, last // low)
    return hull.range(0, -1)


def umod(a: Range, b: Range) -> Range:
    """Unsigned remainder; modulo zero changes nothing."""
    if b.mask == 0:
        if b.value == 0:
            return a
        if b.value > 0 and (b.value & (b.value - 1)) == 0:
            return and_(a, constant(b.value - 1))
        if a.mask == 0:
            return constant(wrap(unsigned(a.value) % unsigned(b.value)))
    if unsigned_less(unsigned_high(a), unsigned_low(b)):
        return a
    # The remainder keeps the low bits where the divisor has zeros.
    known = trailing_ones(~(b.value | b.mask)) & trailing_ones(~a.mask)
    value: i64 = a.value & known
    mask: i64 = ~known
    if b.low > 0:
        bound: i64 = b.high - 1
        if a.low >= 0:
            if b.mask == 0 and a.high - a.low < b.value:
                first = a.low % b.value
                last = a.high % b.value
                if first <= last:
                    return sure(one_sign(first, last, value, mask))
            if a.high < bound:
                bound = a.high
        return sure(one_sign(0, bound, value, mask))
    divisor = unsigned_high(b)
    if divisor == 0:
        return a
    hull = Hull()
    hull.add_wrapped(0, min(unsigned(divisor) - 1, unsigned(unsigned_high(a))))
    remainder = hull.range(value, mask)
    if contains(b, 0):
        return join(a, remainder)
    return remainder


def truncated(x: int, y: int) -> int:
    """The quotient, rounded towards zero."""
    quotient = abs(x) // abs(y)
    return quotient if (x < 0) == (y < 0) else -quotient


def sdiv(a: Range, b: Range) -> Range:
    """Signed division, rounded towards zero; by zero gives zero."""
    if b.mask == 0:
        if b.value == 0:
            return ZERO
        if b.value == 1:
            return a
    if a.low >= 0 and b.low > 0:
        return udiv(a, b)
    hull = Hull()
    for low, high in exact_parts(b):
        if low == 0:
            hull.add(0, 0)
            if high == 0:
                continue
            low = 1
        for first, last in exact_parts(a):
            ends = [
                truncated(first, low),
                truncated(first, high),
                truncated(last, low),
                truncated(last, high),
            ]
            # The smallest number by -1 is out of bounds: it alone wraps, at the upper end.
            hull.add_wrapped(min(ends), max(ends))
    return hull.range(0, -1)


def smod(a: Range, b: Range) -> Range:
    """Remainder of the signed division, of the sign of ``a``; modulo zero changes nothing."""
    if b.mask == 0 and b.value == 0:
        return a
    if a.low >= 0 and b.low > 0:
        return umod(a, b)
    largest: int = max(abs(int(b.low)), abs(int(b.high))) - 1
    smallest: int = min(
        [0 if low <= 0 <= high else min(abs(low), abs(high)) for low, high in exact_parts(b)]
    )
    if max(abs(int(a.low)), abs(int(a.high))) < smallest:
        return a
    if a.mask == 0 and b.mask == 0:
        x: int = int(a.value)
        y: int = int(b.value)
        return constant(wrap(x - truncated(x, y) * y))
    known = trailing_ones(~(b.value | b.mask)) & trailing_ones(~a.mask)
    low = max(int(a.low), -largest) if a.low < 0 else 0
    high = min(int(a.high), largest) if a.high > 0 else 0
    remainder = sure(span(i64(low), i64(high), a.value & known, ~known))
    if contains(b, 0):
        return join(a, remainder)
    return remainder


def complement(a: Range) -> Range:
    """The range of ~x."""
    value: i64 = ~a.value & ~a.mask
    return Range(~a.high, ~a.low, ~a.above, ~a.below, value, a.mask)


def and_(a: Range, b: Range) -> Range:
    value: i64 = a.value & b.value
    mask: i64 = (a.value | a.mask) & (b.value | b.mask) & ~value
    if mask == 0:
        return constant(value)
    if a.mask == 0:
        return and_(b, a)
    if b.mask == 0:
        c = b.value
        if c >= 0:
            if a.low >= 0:
                if (c & (c + 1)) == 0 if c < SMALL else False:
                    if a.high <= c:
                        return a
                    if ((a.low ^ a.high) & ~c) == 0:
                        return sure(one_sign(a.low & c, a.high & c, value, mask))
                return sure(one_sign(0, a.high if a.high < c else c, value, mask))
            return sure(one_sign(0, c, value, mask))
        if c > MIN and (-c & (-c - 1)) == 0:
            # Rounding down to a multiple keeps the order.
            if (mask | value) == (a.mask | a.value):
                return a
            if is_solid(a):
                return sure(span(a.low & c, a.high & c, value, mask))
            return sure(build(a.low & c, a.below & c, a.above & c, a.high & c, value, mask))
    if a.low >= 0:
        if b.low >= 0:
            return sure(one_sign(0, a.high if a.high < b.high else b.high, value, mask))
        return sure(one_sign(0, a.high, value, mask))
    if b.low >= 0:
        return sure(one_sign(0, b.high, value, mask))
    # Both may be negative, and then the result is.
    below_a = a.below if a.below < a.high else a.high
    below_b = b.below if b.below < b.high else b.high
    low: i64 = ~smear(~a.low | ~b.low)
    high: i64 = -1
    if a.high > high:
        high = a.high
    if b.high > high:
        high = b.high
    return sure(build(low, below_a if below_a < below_b else below_b, 0, high, value, mask))


def or_(a: Range, b: Range) -> Range:
    if b.mask == 0 and b.value == 0:
        return a
    if a.mask == 0 and a.value == 0:
        return b
    if a.low >= 0 and b.low >= 0:
        value: i64 = a.value | b.value
        mask: i64 = (a.mask | b.mask) & ~value
        if ((a.value | a.mask) & (b.value | b.mask)) == 0:
            # No bit of one meets a bit of the other: this is a sum.
            return sure(one_sign(a.low + b.low, a.high + b.high, value, mask))
        return sure(
            one_sign(a.low if a.low > b.low else b.low, smear(a.high | b.high), value, mask)
        )
    return complement(and_(complement(a), complement(b)))


def xor(a: Range, b: Range) -> Range:
    mask: i64 = a.mask | b.mask
    value: i64 = (a.value ^ b.value) & ~mask
    if a.low >= 0 and b.low >= 0:
        if ((a.value | a.mask) & (b.value | b.mask)) == 0:
            return sure(one_sign(a.low + b.low, a.high + b.high, value, mask))
        return sure(one_sign(0, smear(a.high | b.high), value, mask))
    if b.mask == 0 and b.value == -1:
        return complement(a)
    if a.mask == 0 and a.value == -1:
        return complement(b)
    # The bits that differ from the sign are not above those of the operands.
    size = smear(
        (a.high if a.high >= 0 else 0)
        | (b.high if b.high >= 0 else 0)
        | (~a.low if a.low < 0 else 0)
        | (~b.low if b.low < 0 else 0)
    )
    return sure(span(~size, size, value, mask))


def shl(a: Range, b: Range) -> Range:
    """Shift to the left by the low six bits of ``b``."""
    if b.mask == 0:
        return shl_by(a, b.value & 63)
    return shift(LSH, a, and_(b, AMOUNT))


def shr(a: Range, b: Range) -> Range:
    """Unsigned shift to the right by the low six bits of ``b``."""
    if b.mask == 0:
        return shr_by(a, b.value & 63)
    return shift(RSH, a, and_(b, AMOUNT))


def sar(a: Range, b: Range) -> Range:
    """Signed shift to the right by the low six bits of ``b``."""
    if b.mask == 0:
        return sar_by(a, b.value & 63)
    return shift(ARSH, a, and_(b, AMOUNT))


AMOUNT: Final = constant(63)


def shift(op: i64, a: Range, amount: Range) -> Range:
    """Shift by an amount of 0 to 63."""
    if amount.high - amount.low < FEW:
        known = shift_constant(op, a, amount.low)
        count: i64 = amount.low + 1
        while count <= amount.high:
            if (count & ~amount.mask) == amount.value:
                known = join(known, shift_constant(op, a, count))
            count += 1
        return known
    if op == LSH:
        # Zeros at the end stay, and as many more come as are shifted in.
        zeros: i64 = shifted_left(trailing_ones(~(a.value | a.mask)), amount.low)
        zeros = zeros | ones(amount.low)
        if a.low >= 0 and a.high <= (MAX >> amount.high):
            return sure(one_sign(a.low << amount.low, a.high << amount.high, 0, ~zeros))
        return sure(span(MIN, MAX, 0, ~zeros))
    if op == RSH and a.low < 0:
        # Negative words become large numbers as soon as anything is shifted.
        first: i64 = amount.low if amount.low > 0 else 1
        known = between(
            shifted_right(unsigned_low(a), amount.high), shifted_right(unsigned_high(a), first)
        )
        return known if amount.low > 0 else join(a, known)
    # The more is shifted the nearer to zero, or to -1.
    return hull_of(shift_constant(op, a, amount.low), shift_constant(op, a, amount.high))


def hull_of(a: Range, b: Range) -> Range:
    """The numbers from the least member of both to the greatest."""
    return between(
        a.low if a.low < b.low else b.low,
        a.high if a.high > b.high else b.high,
    )


def shift_constant(op: i64, a: Range, count: i64) -> Range:
    if op == LSH:
        return shl_by(a, count)
    if op == RSH:
        return shr_by(a, count)
    return sar_by(a, count)


def shl_by(a: Range, count: i64) -> Range:
    """Shift to the left by 0 to 63."""
    if count == 0:
        return a
    if a.low >= 0 and a.high <= (HALF >> count):
        return Range(a.low << count, a.high << count, -1, 0, a.value << count, a.mask << count)
    value = shifted_left(a.value, count)
    mask = shifted_left(a.mask, count)
    if mask == 0:
        return constant(value)
    hull = Hull()
    kept: i64 = ones(64 - count)
    for low, high in parts(a):
        if high - low > kept:
            hull.add(MIN, MAX)
        else:
            hull.add_turn(shifted_left(low, count), shifted_left(high, count))
    return hull.range(value, mask)


def shr_by(a: Range, count: i64) -> Range:
    """Unsigned shift to the right by 0 to 63."""
    if count == 0:
        return a
    if a.low >= 0:
        return sure(one_sign(a.low >> count, a.high >> count, a.value >> count, a.mask >> count))
    return sure(
        one_sign(
            shifted_right(unsigned_low(a), count),
            shifted_right(unsigned_high(a), count),
            shifted_right(a.value, count),
            shifted_right(a.mask, count),
        )
    )


def sar_by(a: Range, count: i64) -> Range:
    """Signed shift to the right by 0 to 63."""
    if count == 0:
        return a
    if a.low >= 0 or a.high < 0:
        return sure(one_sign(a.low >> count, a.high >> count, a.value >> count, a.mask >> count))
    return sure(
        build(
            a.low >> count,
            a.below >> count,
            a.above >> count,
            a.high >> count,
            a.value >> count,
            a.mask >> count,
        )
    )


def low32(a: Range) -> Range:
    """The low half, the upper one set to zero."""
    if a.low >= 0 and a.high <= U32_MAX:
        return a
    return zext(a, 32)


def zext(a: Range, bits: i64) -> Range:
    """The lowest ``bits`` (8, 16, 32 or 64), the others set to zero."""
    if bits >= 64:
        return a
    limit: i64 = ones(bits)
    if a.low >= 0 and a.high <= limit:
        return a
    value: i64 = a.value & limit
    mask: i64 = a.mask & limit
    if a.low >= 0 or a.high < 0:
        if (a.low >> bits) == (a.high >> bits):
            return sure(one_sign(a.low & limit, a.high & limit, value, mask))
    elif (a.low >> bits) == (a.below >> bits) and (a.above >> bits) == (a.high >> bits):
        first: i64 = a.low & limit
        second: i64 = a.above & limit
        last: i64 = a.below & limit
        other: i64 = a.high & limit
        return sure(
            one_sign(
                first if first < second else second, last if last > other else other, value, mask
            )
        )
    if mask == U32_MAX and limit == U32_MAX:
        return U32
    return sure(one_sign(0, limit, value, mask))


def extended(x: i64, bits: i64) -> i64:
    """The lowest ``bits`` of a word (less than 64 of them), read as signed number."""
    limit: i64 = ones(bits)
    x = x & limit
    if x > (limit >> 1):
        return x - limit - 1
    return x


def sext(a: Range, bits: i64) -> Range:
    """The lowest ``bits`` (8, 16, 32 or 64), read as signed number."""
    if bits >= 64:
        return a
    half: i64 = ones(bits - 1)
    if bits == 32 and a.mask == U32_MAX and a.low == 0 and a.high == U32_MAX:
        return S32
    if -half - 1 <= a.low and a.high <= half:
        return a
    value = extended(a.value, bits)
    mask = extended(a.mask, bits)
    hull = Hull()
    if a.low >= 0 or a.high < 0:
        extend_into(hull, a.low, a.high, bits)
    else:
        extend_into(hull, a.low, a.below, bits)
        extend_into(hull, a.above, a.high, bits)
    return hull.range(value, mask)


def extend_into(hull: Hull, low: i64, high: i64, bits: i64) -> None:
    half: i64 = ones(bits - 1)
    # How often the sign of the low bits turns from 0 to 1, counted from zero on.
    first: i64 = ((low >> (bits - 1)) + 1) >> 1
    last: i64 = ((high >> (bits - 1)) + 1) >> 1
    if first == last:
        hull.add(extended(low, bits), extended(high, bits))
    elif first + 1 == last:
        hull.add(extended(low, bits), half)
        hull.add(-half - 1, extended(high, bits))
    else:
        hull.add(-half - 1, half)


def swapped(x: i64, bits: i64) -> i64:
    size = bits // 8
    data = (int(x) & int(ones(bits) if bits < 64 else -1) & (WORDS - 1)).to_bytes(size, "little")
    return wrap(int.from_bytes(data, "big"))


def bswap(a: Range, bits: i64) -> Range:
    """The lowest ``bits`` (16, 32 or 64) in the opposite order of bytes, the others zero."""
    value = swapped(a.value, bits)
    mask = swapped(a.mask, bits)
    if mask == 0:
        return constant(value)
    if bits >= 64:
        return sure(span(MIN, MAX, value, mask))
    return sure(one_sign(0, ones(bits), value, mask))


def arith(op: i64, a: Range, b: Range, is32: bool) -> Range:
    """The result of an instruction; a 32-bit one takes the low halves and clears the upper one."""
    if is32:
        return arith32(op, a, b)
    if op == MOV:
        return b
    if op == ADD:
        return add(a, b)
    if op == SUB:
        return sub(a, b)
    if op == AND:
        return and_(a, b)
    if op == LSH:
        return shl(a, b)
    if op == RSH:
        return shr(a, b)
    if op == OR:
        return or_(a, b)
    if op == MUL:
        return mul(a, b)
    if op == XOR:
        return xor(a, b)
    if op == ARSH:
        return sar(a, b)
    if op == NEG:
        return neg(a)
    if op == DIV:
        return udiv(a, b)
    if op == MOD:
        return umod(a, b)
    if op == SDIV:
        return sdiv(a, b)
    assert op == SMOD, "no such operation"
    return smod(a, b)


def arith32(op: i64, a: Range, b: Range) -> Range:
    if op == SDIV:
        return low32(sdiv(sext(a, 32), sext(b, 32)))
    if op == SMOD:
        return low32(smod(sext(a, 32), sext(b, 32)))
    if op in (LSH, RSH, ARSH):
        amount = constant(b.value & 31) if b.mask == 0 else and_(b, AMOUNT32)
        if op == ARSH:
            return low32(sar(sext(a, 32), amount))
        return low32(shl(low32(a), amount) if op == LSH else shr(low32(a), amount))
    return low32(arith(op, low32(a), low32(b), False))


AMOUNT32: Final = constant(31)
