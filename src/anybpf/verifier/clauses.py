"""The grammar of the notation for abstract states: from text to clauses and back for numbers.

A clause says one thing of a state: what a register or stack slot holds, how far the packet reaches,
by how much two registers differ, what must be given back. What clauses mean for a state is the
business of ``notation``.

The forms, separated by spaces::

    r0=5   r0=0..10   r0=-8..-1,1..8   r0=10..2^64-1   r0=number   numbers: signed, or unsigned
    r0=0..252%4   r0=0..250&0xfa   r0=1..251&0xfb!0x1              known bits (multiples of four;
                                                  only these may be set; of them these are set)
    r2=r1   r2=r1+4   fp-8=r1                                      the same unknown
    r1=ctx   r1=ctx+8   r1=stack-16   r1=stack[0]-16               pointers; the frame in brackets
    r1=packet+14   r1=packet+0..8   r1=packet+r3+14   r1=map_value(counts)+(-8..8)?   may be null
    r1=packet_end   r1=packet_meta   r1=map(counts)   r1=function(1)
    r1=memory(16)   r1=object(sock)   r1=mixed   r1=uninitialized
    fp-8=5   fp-16:4=0..7   fp-64:40=written                       stack, eight bytes or as many
    reach=34   reach(r2)=20   meta_reach=8                         bytes known to lie in the packet
    r4-r5<=-1                                                      differences
    references=1   locks=1   rcu=1   preempt=1   irqs=1            to be given back
"""

from __future__ import annotations

import re
from typing import Final

from anybpf.errors import InputError

WORD_LIMIT: Final = 2**64
SIGNED_LIMIT: Final = 2**63

# What can be counted: the words for it.
HELD_WORDS: Final = ("references", "locks", "rcu", "preempt", "irqs")
# What pointers point to; those that take something in parentheses.
POINTER_WORDS: Final = (
    "ctx", "stack", "packet", "packet_end", "packet_meta", "map_value", "map", "memory", "object",
    "function", "stale_packet",
)  # fmt: skip
PLAIN_WORDS: Final = ("written", "mixed", "uninitialized", "helper_object")

_NUMBER = r"-?(?:0x[0-9a-fA-F]+|\d+(?:\^\d+)?)(?:[+-]\d+(?![\d^]))?"
_PLACE = r"r\d+|fp(?:\[\d+\])?-\d+(?::\d+)?"
_ONE: Final = re.compile(r"(-?)(0x[0-9a-fA-F]+|\d+)(?:\^(\d+))?([+-]\d+)?")
_PLACE_PARTS: Final = re.compile(r"(?:r(\d+)|fp(?:\[(\d+)\])?-(\d+)(?::(\d+))?)")
_DIFFERENCE: Final = re.compile(rf"({_PLACE})-({_PLACE})<=({_NUMBER})")
_SET: Final = re.compile(r"([-0-9a-fA-Fx^.,+]+|number)(?:%(\d+))?(?:&(\w+))?(?:!(\w+))?")
_SAME: Final = re.compile(rf"({_PLACE})([+-]\d+)?")
_POINTER: Final = re.compile(r"([a-z_]+)(?:\(([^()]*)\))?(?:\[(\d+)\])?([+-].*?)?(\?)?")
_POINTER_BASE: Final = re.compile(rf"\+({_PLACE})([+-]\d+)?")
_REACH: Final = re.compile(rf"(meta_)?reach(?:\(({_PLACE})\))?=(\d+)")


class Place:
    """Where a value is: a register, or ``size`` bytes from ``offset`` below a frame's top.

    ``frame`` is -1 for that of the running function.
    """

    __slots__ = ("frame", "offset", "register", "size")

    def __init__(self, register: int, frame: int = -1, offset: int = 0, size: int = 8) -> None:
        self.register: int = register
        self.frame: int = frame
        self.offset: int = offset
        self.size: int = size

    def __str__(self) -> str:
        if self.register >= 0:
            return f"r{self.register}"
        frame = f"[{self.frame}]" if self.frame >= 0 else ""
        size = f":{self.size}" if self.size != 8 else ""
        return f"fp{frame}-{self.offset}{size}"


class Numbers:
    """A set of words: pieces of signed numbers, the bits that may and those that must be set."""

    __slots__ = ("may", "must", "pieces")

    def __init__(self, pieces: list[tuple[int, int]], may: int, must: int) -> None:
        self.pieces: list[tuple[int, int]] = pieces
        self.may: int = may
        self.must: int = must


class Shape:
    """What a place holds. ``word`` is one of the words above, or "same" for a copy of ``base``.

    With ``base`` a number or pointer is what that place holds, plus ``offset``; else ``numbers``
    says how large it is, or how far from its region's origin.
    """

    __slots__ = ("argument", "base", "frame", "nullable", "numbers", "offset", "word")

    def __init__(self, word: str) -> None:
        self.word: str = word
        self.argument: str = ""
        self.frame: int = -1
        self.base: Place | None = None
        self.offset: int = 0
        self.numbers: Numbers | None = None
        self.nullable: bool = False


class Clause:
    """One statement: ``kind`` is "holds", "reach", "meta_reach", "difference" or a held word."""

    __slots__ = ("bound", "kind", "other", "place", "shape", "text")

    def __init__(self, kind: str, text: str) -> None:
        self.kind: str = kind
        self.text: str = text
        self.place: Place | None = None
        self.other: Place | None = None
        self.shape: Shape | None = None
        self.bound: int = 0


def parse_clauses(text: str) -> list[Clause]:
    """All clauses of a state's text; :class:`InputError` names the one that is none."""
    return [_clause(word) for word in text.split()]


def number_text(value: int) -> str:
    """Small numbers in decimal, powers of two as such, other large ones in hexadecimal."""
    sign = "-" if value < 0 else ""
    size = abs(value)
    if size < (1 << 31) - 1:
        return str(value)
    if size & (size - 1) == 0:
        return f"{sign}2^{size.bit_length() - 1}"
    if size & (size + 1) == 0 and not sign:
        return f"2^{size.bit_length()}-1"
    return f"{sign}{size:#x}"


def parse_number(text: str, clause: str) -> int:
    """A number as :func:`number_text` writes it, or in plain decimal or hexadecimal."""
    found = _ONE.fullmatch(text)
    if found is None:
        raise InputError(f"{clause!r}: {text!r} is no number")
    value = int(found[2], 0) if found[2].startswith("0x") else int(found[2])
    if found[3]:
        if int(found[3]) > 64:
            raise InputError(f"{clause!r}: {text!r} does not fit into 64 bits")
        value = value ** int(found[3])
    if found[1]:
        value = -value
    value += int(found[4] or 0)
    if not -SIGNED_LIMIT <= value < WORD_LIMIT:
        raise InputError(f"{clause!r}: {text!r} does not fit into 64 bits")
    return value


def _clause(text: str) -> Clause:
    reach = _REACH.fullmatch(text)
    if reach is not None:
        clause = Clause("meta_reach" if reach[1] else "reach", text)
        clause.place = parse_place(reach[2], text) if reach[2] else None
        clause.bound = parse_number(reach[3], text)
        return clause
    difference = _DIFFERENCE.fullmatch(text)
    if difference is not None:
        clause = Clause("difference", text)
        clause.place = parse_place(difference[1], text)
        clause.other = parse_place(difference[2], text)
        clause.bound = parse_number(difference[3], text)
        return clause
    left, equals, right = text.partition("=")
    if not equals or not right:
        raise InputError(f"{text!r} says nothing of a state; a clause is such as r1=0..8")
    if left in HELD_WORDS:
        clause = Clause(left, text)
        clause.bound = parse_number(right, text)
        return clause
    clause = Clause("holds", text)
    clause.place = parse_place(left, text)
    clause.shape = _shape(right, text)
    return clause


def parse_place(text: str, clause: str) -> Place:
    found = _PLACE_PARTS.fullmatch(text)
    if found is None:
        raise InputError(f"{clause!r}: {text!r} is neither a register nor a slot such as fp-8")
    if found[1] is not None:
        register = int(found[1])
        if register > 10:
            raise InputError(f"{clause!r}: there is no register r{register}")
        return Place(register)
    frame = -1 if found[2] is None else int(found[2])
    offset = int(found[3])
    size = 8 if found[4] is None else int(found[4])
    if not 0 < size <= offset <= 512:
        raise InputError(f"{clause!r}: {text!r} lies outside of a frame of 512 bytes")
    return Place(-1, frame, offset, size)


def _shape(text: str, clause: str) -> Shape:
    if text in PLAIN_WORDS:
        return Shape(text)
    same = _SAME.fullmatch(text)
    if same is not None:
        shape = Shape("same")
        shape.base = parse_place(same[1], clause)
        shape.offset = int(same[2] or 0)
        return shape
    if text[0].isdigit() or text[0] == "-" or text.startswith("number"):
        shape = Shape("number")
        shape.numbers = parse_numbers(text, clause)
        return shape
    return _pointer(text, clause)


def parse_numbers(text: str, clause: str) -> Numbers:
    found = _SET.fullmatch(text)
    if found is None:
        raise InputError(f"{clause!r}: {text!r} is no set of numbers such as 0..8 or 0..252%4")
    pieces: list[tuple[int, int]] = []
    if found[1] == "number":
        pieces.append((-SIGNED_LIMIT, SIGNED_LIMIT - 1))
    else:
        for piece in found[1].split(","):
            low, dots, high = piece.partition("..")
            first = parse_number(low, clause)
            last = parse_number(high, clause) if dots else first
            if first > last or (first < 0 and last >= SIGNED_LIMIT):
                raise InputError(f"{clause!r}: {piece!r} is empty; smaller numbers come first")
            pieces += _signed(first, last)
    may = WORD_LIMIT - 1
    must = 0
    if found[2]:
        step = int(found[2])
        if step < 1 or step & (step - 1):
            raise InputError(f"{clause!r}: only multiples of powers of two can be told")
        may -= step - 1
    if found[3]:
        may &= parse_number(found[3], clause)
    if found[4]:
        must = parse_number(found[4], clause) & (WORD_LIMIT - 1)
    return Numbers(pieces, may, must)


def _signed(first: int, last: int) -> list[tuple[int, int]]:
    """The same words as signed numbers."""
    if last < SIGNED_LIMIT:
        return [(first, last)]
    if first >= SIGNED_LIMIT:
        return [(first - WORD_LIMIT, last - WORD_LIMIT)]
    return [(-SIGNED_LIMIT, last - WORD_LIMIT), (first, SIGNED_LIMIT - 1)]


def _pointer(text: str, clause: str) -> Shape:
    found = _POINTER.fullmatch(text)
    if found is None or found[1] not in POINTER_WORDS:
        word = text if found is None else found[1]
        raise InputError(
            f"{clause!r}: {word!r} is nothing that a register can hold; there are: number, "
            + ", ".join(POINTER_WORDS)
        )
    shape = Shape(found[1])
    shape.argument = found[2] or ""
    shape.frame = -1 if found[3] is None else int(found[3])
    shape.nullable = found[5] is not None
    offset = found[4] or ""
    based = _POINTER_BASE.fullmatch(offset)
    if based is not None:
        shape.base = parse_place(based[1], clause)
        shape.offset = int(based[2] or 0)
        return shape
    if not offset:
        shape.numbers = Numbers([(0, 0)], WORD_LIMIT - 1, 0)
    elif offset.startswith("+(") and offset.endswith(")"):
        shape.numbers = parse_numbers(offset[2:-1], clause)
    elif offset.startswith("+"):
        shape.numbers = parse_numbers(offset[1:], clause)
    else:
        shape.numbers = parse_numbers(offset, clause)
    return shape
