"""What each operation does to 64-bit words, as RFC 9669 sections 4.1 to 4.3 say.

Words are Python integers from 0 to 2^64 - 1. Written from the text of the RFC, not from the
package's own arithmetic: two who err should not err together.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

WORD: Final = 0xFFFFFFFFFFFFFFFF
HALF: Final = 0xFFFFFFFF


def s64(word: int) -> int:
    return word - 0x10000000000000000 if word & 0x8000000000000000 else word


def s32(word: int) -> int:
    word &= HALF
    return word - 0x100000000 if word & 0x80000000 else word


def extend(word: int, bits: i64) -> int:
    """The lowest 8, 16 or 32 bits, their sign copied upwards."""
    if bits == 8:
        word &= 0xFF
        return word | 0xFFFFFFFFFFFFFF00 if word & 0x80 else word
    if bits == 16:
        word &= 0xFFFF
        return word | 0xFFFFFFFFFFFF0000 if word & 0x8000 else word
    word &= HALF
    return word | 0xFFFFFFFF00000000 if word & 0x80000000 else word


def divide(x: int, y: int) -> int:
    """Signed division that cuts towards zero; the divisor is not 0."""
    quotient = abs(x) // abs(y)
    return -quotient if (x < 0) != (y < 0) else quotient


def alu64(operation: i64, x: int, y: int, variant: i64) -> int:
    """``x operation y`` in 64 bits; ``variant`` is the instruction's offset field."""
    if operation == 0x00:
        return (x + y) & WORD
    if operation == 0x10:
        return (x - y) & WORD
    if operation == 0x20:
        return (x * y) & WORD
    if operation == 0x30:
        if y == 0:
            return 0
        if variant == 1:
            return divide(s64(x), s64(y)) & WORD
        return x // y
    if operation == 0x40:
        return x | y
    if operation == 0x50:
        return x & y
    if operation == 0x60:
        return (x << (y & 63)) & WORD
    if operation == 0x70:
        return x >> (y & 63)
    if operation == 0x80:
        return (-x) & WORD
    if operation == 0x90:
        if y == 0:
            return x
        if variant == 1:
            a = s64(x)
            b = s64(y)
            return (a - b * divide(a, b)) & WORD
        return x % y
    if operation == 0xA0:
        return x ^ y
    if operation == 0xB0:
        if variant == 0:
            return y
        return extend(y, variant)
    return (s64(x) >> (y & 63)) & WORD


def alu32(operation: i64, x: int, y: int, variant: i64) -> int:
    """The same in 32 bits; the upper half of the result is zero."""
    x &= HALF
    y &= HALF
    if operation == 0x00:
        return (x + y) & HALF
    if operation == 0x10:
        return (x - y) & HALF
    if operation == 0x20:
        return (x * y) & HALF
    if operation == 0x30:
        if y == 0:
            return 0
        if variant == 1:
            return divide(s32(x), s32(y)) & HALF
        return x // y
    if operation == 0x40:
        return x | y
    if operation == 0x50:
        return x & y
    if operation == 0x60:
        return (x << (y & 31)) & HALF
    if operation == 0x70:
        return x >> (y & 31)
    if operation == 0x80:
        return (-x) & HALF
    if operation == 0x90:
        if y == 0:
            return x
        if variant == 1:
            a = s32(x)
            b = s32(y)
            return (a - b * divide(a, b)) & HALF
        return x % y
    if operation == 0xA0:
        return x ^ y
    if operation == 0xB0:
        if variant == 0:
            return y
        return extend(y, variant) & HALF
    return (s32(x) >> (y & 31)) & HALF


def swap(x: int, bits: int) -> int:
    """The lowest bits with their bytes in the other order."""
    size = bits >> 3
    return int.from_bytes((x & ((1 << bits) - 1)).to_bytes(size, "little"), "big")


def compare(operation: i64, x: int, y: int, wide: bool) -> bool:
    """Whether the branch is taken."""
    if not wide:
        x &= HALF
        y &= HALF
    if operation == 0x10:
        return x == y
    if operation == 0x20:
        return x > y
    if operation == 0x30:
        return x >= y
    if operation == 0x40:
        return x & y != 0
    if operation == 0x50:
        return x != y
    if operation == 0xA0:
        return x < y
    if operation == 0xB0:
        return x <= y
    a = s64(x) if wide else s32(x)
    b = s64(y) if wide else s32(y)
    if operation == 0x60:
        return a > b
    if operation == 0x70:
        return a >= b
    if operation == 0xC0:
        return a < b
    return a <= b


def atomic(operation: i64, old: int, operand: int) -> int:
    """What an atomic operation leaves in memory; compare and exchange is not among them."""
    if operation == 0x00:
        return old + operand
    if operation == 0x40:
        return old | operand
    if operation == 0x50:
        return old & operand
    if operation == 0xA0:
        return old ^ operand
    return operand
