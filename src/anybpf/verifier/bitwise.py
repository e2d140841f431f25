"""What bit operations, shifts and conversions make of ranges.

Every function gives a range that holds the result of each choice of members of its operands.
Sums, products and the choice by operation code are in ``arithmetic``.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from anybpf.verifier.ranges import (
    MAX,
    MIN,
    S32,
    SMALL,
    U32,
    U32_MAX,
    Range,
    between,
    build,
    constant,
    join,
    one_sign,
    smear,
    span,
    sure,
    unsigned_high,
    unsigned_low,
)
from anybpf.verifier.words import (
    ARSH,
    HALF,
    LSH,
    RSH,
    WORDS,
    Hull,
    is_solid,
    is_top,
    ones,
    parts,
    shifted_left,
    shifted_right,
    trailing_ones,
    wrap,
)

# Shifts by a range are tried one by one up to this many amounts.
FEW: Final = 4


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
        if ((a.value | a.mask) & ~c) == 0:
            return a
        if c >= 0:
            if a.low >= 0:
                if c < SMALL and (c & (c + 1)) == 0 and ((a.low ^ a.high) & ~c) == 0:
                    # The low bits of numbers that share the others keep their order.
                    return sure(one_sign(a.low & c, a.high & c, value, mask))
                return sure(one_sign(0, a.high if a.high < c else c, value, mask))
            return sure(one_sign(0, c, value, mask))
        if c > MIN and (-c & (-c - 1)) == 0:
            # Rounding down to a multiple keeps the order.
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
    # A constant whose bits are all set already changes nothing.
    if b.mask == 0 and (b.value & ~a.value) == 0:
        return a
    if a.mask == 0 and (a.value & ~b.value) == 0:
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
    if is_top(a):
        return sure(span(MIN, MAX, 0, mask))
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
