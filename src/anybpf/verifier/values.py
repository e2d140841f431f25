"""What registers and stack slots hold: numbers and pointers, as far as they are known.

A value is ``region + unknown + offset``; a number has no region. An unknown is one 64-bit word that
the program computed and that never changes; what is known about it is said by each state, so that
copies of a value share what is learnt about one of them. How values are computed with is the
business of ``compute``, how they meet at a merge that of ``merge``.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from anybpf.verifier.numbers import Range

# Kinds of values.
UNINIT: Final = 0  # nothing was written yet
NUMBER: Final = 1
CONTEXT: Final = 2
STACK: Final = 3
MAP_VALUE: Final = 4
PACKET: Final = 5
PACKET_END: Final = 6
PACKET_META: Final = 7
MAP: Final = 8  # the map itself
MEMORY: Final = 9  # a block of known size: a ring buffer record, a buffer of the context
OBJECT: Final = 10  # a typed object of the system: a socket, a kernel structure
FUNCTION: Final = 11
MIXED: Final = 12  # of different kinds on different ways here

KIND_NAMES: Final[list[str]] = [
    "uninitialized",
    "number",
    "ctx",
    "stack",
    "map_value",
    "packet",
    "packet_end",
    "packet_meta",
    "map",
    "memory",
    "object",
    "function",
    "mixed",
]

# How an unknown came about, where that helps to learn about what it was made of.
PLAIN: Final = 0
SHIFTED: Final = 1  # source << amount
PACKET_LENGTH: Final = 2  # data_end - source
MERGED: Final = 3  # a Phi
LOW_HALF: Final = 4  # the low 32 bits of source
MASKED: Final = 5  # source & amount
REMAINING: Final = 6  # amount - source
SIGNED_HALF: Final = 7  # the low 32 bits of source as a signed number

# What a region allows, as bits of ``Region.flags``.
READ_ONLY: Final = 1
TRUSTED: Final = 2  # an object that helpers may be given
RCU: Final = 4  # an object that lives as long as the read-side section
UNTRUSTED: Final = 8  # an object that may be read with care but not passed on
ACQUIRED: Final = 16  # holds a reference that must be given back
OWNED: Final = 32  # memory that the program allocated itself: typed, read and write
PER_CPU: Final = 64
NON_OWNING: Final = 128  # an owned object that sits in a list or tree and is only borrowed
DYNPTR_SLICE: Final = 256  # gone when its dynptr (``parent``) goes
ARENA: Final = 512
FAULT_SAFE: Final = 1024  # reads that fail yield zero: any offset inside ``size`` will do


class Unknown:
    """An unknown 64-bit word. ``range`` holds in every state, and so does how it came about."""

    __slots__ = ("amount", "depth", "low", "origin", "range", "sibling", "signed", "source")

    def __init__(self, known: Range, origin: i64, amount: i64, source: Value | None) -> None:
        # How many unknowns hang one on the other here; beyond a bound the tie is cut.
        depth: i64 = 0
        if source is not None and source.unknown is not None:
            depth = source.unknown.depth + 1
            if depth > MAX_NESTING:
                origin = PLAIN
                source = None
                depth = 0
        self.range: Range = known
        self.origin: i64 = origin
        self.amount: i64 = amount
        self.source: Value | None = source
        self.depth: i64 = depth
        # The unknowns that stand for the low half of this one plus some offset (that of their
        # source), and those for that low half as a signed number; chained by ``sibling``.
        self.low: Unknown | None = None
        self.signed: Unknown | None = None
        self.sibling: Unknown | None = None


class Region:
    """Something pointers point into: bytes ``low`` to ``size`` around its origin are accessible.

    ``index`` is the frame of a stack region and the map of a map or map value, -1 for none.
    A region that a merge made stands for ``left`` on one side and ``right`` on the other, whose
    origin lies ``shift`` bytes further on; None stands for the null pointer. What a merge made, of
    merges too, stands for something whose origin lies ``least`` to ``most`` bytes further on.
    """

    __slots__ = (
        "depth",
        "flags",
        "index",
        "kind",
        "least",
        "left",
        "low",
        "merge",
        "most",
        "nullable",
        "parent",
        "right",
        "shift",
        "size",
        "type",
    )

    def __init__(self, kind: i64, size: i64, nullable: bool, index: i64) -> None:
        self.kind: i64 = kind
        self.size: i64 = size
        self.nullable: bool = nullable
        self.index: i64 = index
        self.low: i64 = 0
        self.flags: i64 = 0
        self.type: str = ""
        self.parent: Region | None = None
        self.merge: Record | None = None
        self.left: Region | None = None
        self.right: Region | None = None
        self.shift: i64 = 0
        self.depth: i64 = 0
        self.least: i64 = 0
        self.most: i64 = 0


class Record:
    """What a merge remembers; see :class:`anybpf.verifier.merge.Merge`."""

    __slots__ = ("forgotten",)

    def __init__(self) -> None:
        self.forgotten: bool = False


class Cell:
    """The content of eight bytes of stack."""

    __slots__ = ()


class Value(Cell):
    """A number (``unknown + offset``) or a pointer (``region + unknown + offset``)."""

    __slots__ = ("kind", "offset", "region", "unknown")

    def __init__(
        self, kind: i64, offset: i64, unknown: Unknown | None, region: Region | None
    ) -> None:
        self.kind: i64 = kind
        self.offset: i64 = offset
        self.unknown: Unknown | None = unknown
        self.region: Region | None = region


class Phi(Unknown):
    """An unknown made by a merge: ``left + left_offset`` on one side, or the same of the right.

    ``left_range`` and ``right_range`` are what was known of it on each side.
    """

    __slots__ = (
        "left",
        "left_offset",
        "left_range",
        "merge",
        "right",
        "right_offset",
        "right_range",
    )

    def __init__(
        self,
        known: Range,
        merge: Record | None,
        left: Unknown | None,
        left_offset: i64,
        right: Unknown | None,
        right_offset: i64,
        left_range: Range,
        right_range: Range,
    ) -> None:
        super().__init__(known, MERGED if merge is not None else PLAIN, 0, None)
        depth: i64 = 0
        if merge is not None:
            if left is not None:
                depth = left.depth
            if right is not None and right.depth > depth:
                depth = right.depth
            depth = depth + 1
            if depth > MAX_NESTING:
                merge = None
                self.origin = PLAIN
                depth = 0
        self.depth = depth
        self.merge: Record | None = merge
        # Without a record nothing may keep the operands alive: chains would grow without bound.
        self.left: Unknown | None = left if merge is not None else None
        self.left_offset: i64 = left_offset
        self.right: Unknown | None = right if merge is not None else None
        self.right_offset: i64 = right_offset
        self.left_range: Range = left_range
        self.right_range: Range = right_range


# Values made of values: alternatives of alternatives are remembered to this depth, so that nothing
# that follows them, or frees them, has to go deep.
MAX_NESTING: Final = 32


class Choice(Value):
    """Values of different kinds that met; of use once the side of the merge is known."""

    __slots__ = ("depth", "left", "merge", "right")

    def __init__(self, merge: Record | None, left: Value, right: Value) -> None:
        super().__init__(MIXED, 0, None, None)
        depth: i64 = 0
        if isinstance(left, Choice):
            depth = left.depth
        if isinstance(right, Choice) and right.depth > depth:
            depth = right.depth
        depth = depth + 1
        if depth > MAX_NESTING:
            merge = None
        self.depth: i64 = depth if merge is not None else 0
        self.merge: Record | None = merge
        self.left: Value = left if merge is not None else NOTHING
        self.right: Value = right if merge is not None else NOTHING


class Part:
    """``size`` bytes of a cell, from ``start`` on."""

    __slots__ = ("size", "start", "value")

    def __init__(self, start: i64, size: i64, value: Value) -> None:
        self.start: i64 = start
        self.size: i64 = size
        self.value: Value = value


class Bytes(Cell):
    """A cell of which only parts are known; ``written`` has a bit for each byte written."""

    __slots__ = ("parts", "written")

    def __init__(self, written: i64, parts: list[Part]) -> None:
        self.written: i64 = written
        self.parts: list[Part] = parts


class CellChoice(Cell):
    """Contents of different shape that met; of use once the side of the merge is known."""

    __slots__ = ("depth", "left", "merge", "right", "written")

    def __init__(self, merge: Record, left: Cell, right: Cell, written: i64) -> None:
        self.merge: Record = merge
        self.written: i64 = written  # a bit for each byte written on both sides
        self.left: Cell = left
        self.right: Cell = right
        self.depth: i64 = 1 + max(choices(left), choices(right))


def is_unset(value: Value) -> bool:
    """Whether nothing was written on some way here; of too many choices that is not known."""
    if value.kind == UNINIT:
        return True
    if isinstance(value, Choice):
        return value.merge is None or is_unset(value.left) or is_unset(value.right)
    return False


def is_in_frame(value: Value, lowest: i64) -> bool:
    """Whether the value may be a pointer into the frame with that number, or one further in."""
    if value.kind == STACK:
        return value.region is not None and value.region.index >= lowest
    if isinstance(value, Choice):
        return is_in_frame(value.left, lowest) or is_in_frame(value.right, lowest)
    return False


def owes(cell: Cell) -> bool:
    """Whether the cell may hold part of an object that must be given back."""
    if isinstance(cell, CellChoice):
        return owes(cell.left) or owes(cell.right)
    return isinstance(cell, ObjectCell) and cell.holds


def choices(cell: Cell) -> i64:
    """How deep choices are nested in the cell."""
    return cell.depth if isinstance(cell, CellChoice) else 0


class ObjectCell(Cell):
    """Part of an object that only helpers may touch: a dynptr, an iterator, saved irq flags.

    ``type`` names it, ``index`` counts its cells from 0. ``identity`` is the region that stands
    for the object; slices and references hang on it. ``detail`` says more: the flavour of a
    dynptr, the state of an iterator. ``holds``: the object itself must be given back. ``given`` is
    what an iterator gave last.
    """

    __slots__ = ("detail", "given", "holds", "identity", "index", "read_only", "type")

    def __init__(
        self,
        type_name: str,
        index: i64,
        identity: Region,
        detail: str,
        holds: bool,
        read_only: bool,
    ) -> None:
        self.type: str = type_name
        self.index: i64 = index
        self.identity: Region = identity
        self.detail: str = detail
        self.holds: bool = holds
        self.read_only: bool = read_only
        self.given: Region | None = None

    def giving(self, region: Region | None) -> ObjectCell:
        """The same cell of an iterator that gave this last."""
        made = ObjectCell(
            self.type, self.index, self.identity, self.detail, self.holds, self.read_only
        )
        made.given = region
        return made


NO_PARTS: Final[list[Part]] = []
UNWRITTEN: Final = Bytes(0, NO_PARTS)
WRITTEN: Final = Bytes(255, NO_PARTS)  # something, not known what
NOTHING: Final = Value(UNINIT, 0, None, None)
CONFLICT: Final = Value(MIXED, 0, None, None)
# Small numbers, of which each program has many.
SMALL: Final = 64
SMALL_NUMBERS: Final = [Value(NUMBER, constant, None, None) for constant in range(SMALL)]
NUMBER_ZERO: Final = SMALL_NUMBERS[0]


def number(constant: i64) -> Value:
    """The number itself."""
    if 0 <= constant < SMALL:
        return SMALL_NUMBERS[constant]
    return Value(NUMBER, constant, None, None)


def unknown_number(known: Range) -> Value:
    """A new number of which only this is known."""
    if known.mask == 0:
        return number(known.value)
    return Value(NUMBER, 0, Unknown(known, PLAIN, 0, None), None)
