"""Constant expressions: integers, names of constants, and C's operators on them.

Only what ends in a number is read; registers and labels are none of its business. Where an
expression cannot begin, nothing is taken, and the caller says what was expected.
"""

from __future__ import annotations

from typing import Final

from anybpf.isa.assembler import lexer
from anybpf.isa.assembler.lexer import Tokens

# Precedence, as in C.
_PRECEDENCE: Final = {
    "|": 1,
    "^": 2,
    "&": 3,
    "<<": 4,
    ">>": 4,
    "+": 5,
    "-": 5,
    "*": 6,
    "/": 6,
    "%": 6,
}
_DEEPEST: Final = 50
_MASK: Final = 0xFFFFFFFFFFFFFFFF


def evaluate(tokens: Tokens, at: int, constants: dict[str, int]) -> tuple[int, int]:
    """The value of the expression at token ``at`` and the index of the token behind it.

    The index is ``at`` itself if no expression begins there.
    """
    # Nearly always it is one number, with or without a sign.
    kind = tokens.kinds[at]
    if kind == lexer.NUMBER and tokens.texts[at + 1] not in _PRECEDENCE:
        return lexer.integer(tokens.texts[at]), at + 1
    return _binary(tokens, at, 1, constants, 0)


def _binary(
    tokens: Tokens, at: int, least: int, constants: dict[str, int], depth: int
) -> tuple[int, int]:
    left, after = _unary(tokens, at, constants, depth)
    if after == at:
        return 0, at
    while True:
        sign = tokens.texts[after]
        rank = _PRECEDENCE.get(sign, 0)
        if rank < least or tokens.kinds[after] != lexer.OPERATOR:
            return left, after
        right, behind = _binary(tokens, after + 1, rank + 1, constants, depth + 1)
        if behind == after + 1:
            return left, after
        left = _apply(sign, left, right)
        after = behind


def _unary(tokens: Tokens, at: int, constants: dict[str, int], depth: int) -> tuple[int, int]:
    kind = tokens.kinds[at]
    text = tokens.texts[at]
    if kind == lexer.NUMBER:
        return lexer.integer(text), at + 1
    if kind == lexer.NAME:
        if text in constants:
            return constants[text], at + 1
        return 0, at
    if kind != lexer.OPERATOR or depth > _DEEPEST:
        return 0, at
    if text == "(":
        value, after = _binary(tokens, at + 1, 1, constants, depth + 1)
        if after == at + 1 or tokens.texts[after] != ")":
            return 0, at
        return value, after + 1
    if text not in ("-", "+", "~"):
        return 0, at
    value, after = _unary(tokens, at + 1, constants, depth + 1)
    if after == at + 1:
        return 0, at
    if text == "-":
        return -value, after
    return (~value if text == "~" else value), after


def _apply(sign: str, left: int, right: int) -> int:
    """C's arithmetic without its limits; a division by zero gives zero, as in BPF."""
    if sign == "+":
        return left + right
    if sign == "-":
        return left - right
    if sign == "*":
        return _clip(left * right)
    if sign == "|":
        return left | right
    if sign == "^":
        return left ^ right
    if sign == "&":
        return left & right
    if sign == "<<":
        return _clip(left << min(max(right, 0), 64))
    if sign == ">>":
        return left >> min(max(right, 0), 64)
    if right == 0:
        return 0
    quotient = abs(left) // abs(right)
    if (left < 0) != (right < 0):
        quotient = -quotient
    return quotient if sign == "/" else left - quotient * right


def _clip(value: int) -> int:
    """Keep numbers from growing without end."""
    return value if -_MASK <= value <= _MASK else value & _MASK
