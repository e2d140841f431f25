"""What the operations of a program make of ranges.

Sums, products and quotients are computed here, and ``arith`` does whatever an operation code
says. Every function gives a range that holds the result of each choice of members of its
operands, as the processor computes it: modulo 2**64, or 2**32 with the upper half zero. Bit
operations are in ``bitwise``, found here too; what comparisons teach is in ``numbers``.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from anybpf.verifier.bitwise import (
    and_,
    bswap,
    complement,
    low32,
    or_,
    sar,
    sext,
    shl,
    shl_by,
    shr,
    shr_by,
    xor,
    zext,
)
from anybpf.verifier.ranges import (
    MAX,
    MIN,
    SMALL,
    ZERO,
    Range,
    constant,
    contains,
    join,
    one_sign,
    span,
    sure,
    unsigned_high,
    unsigned_less,
    unsigned_low,
)
from anybpf.verifier.words import (
    ADD,
    AND,
    ARSH,
    DIV,
    HALF,
    LSH,
    MOD,
    MOV,
    MUL,
    NEG,
    OR,
    RSH,
    SDIV,
    SMOD,
    SUB,
    XOR,
    Hull,
    count_ones,
    exact_parts,
    is_small,
    is_solid,
    is_top,
    minus,
    ones,
    parts,
    plus,
    result,
    trailing_ones,
    unsigned,
    unsigned_parts,
    wrap,
)

__all__ = [
    "ADD",
    "AND",
    "ARSH",
    "DIV",
    "LSH",
    "MOD",
    "MOV",
    "MUL",
    "NEG",
    "OR",
    "RSH",
    "SDIV",
    "SMOD",
    "SUB",
    "XOR",
    "add",
    "and_",
    "arith",
    "bswap",
    "complement",
    "low32",
    "minus",
    "mul",
    "neg",
    "ones",
    "or_",
    "plus",
    "sar",
    "sdiv",
    "sext",
    "shift_by",
    "shl",
    "shr",
    "smod",
    "sub",
    "udiv",
    "umod",
    "wrap",
    "xor",
    "zext",
]


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
    if is_top(a) or (b.low == 0 and b.high == 0):
        return a
    if is_top(b) or (a.low == 0 and a.high == 0):
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
