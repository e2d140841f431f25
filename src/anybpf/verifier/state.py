"""What is known at one point of a program: registers, stack, and facts about the unknowns in them.

States are copied at branches; the parts that rarely change (stack, facts, packet ranges) are shared
until written. What follows from a new fact is worked out in ``deduction``, how two states become
one in ``merge``.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from anybpf.verifier import arithmetic as ranges
from anybpf.verifier import numbers
from anybpf.verifier.numbers import Range
from anybpf.verifier.values import (
    NUMBER_ZERO,
    PACKET,
    PACKET_LENGTH,
    UNWRITTEN,
    Cell,
    Record,
    Region,
    Unknown,
    Value,
)

# A frame has 512 bytes, that is 64 cells; a call saves r6 to r9 behind the eleven registers.
FRAME_BYTES: Final = 512
FRAME_CELLS: Final = 64
REGISTERS: Final = 11
SAVED: Final = 4

# The most bytes that a packet has (the kernel's MAX_PACKET_OFF).
PACKET_MAX: Final = 65535

NO_TIES: Final[list[Unknown]] = []
NO_SIDES: Final[dict[Record, bool]] = {}
# What states begin with: shared, as states copy what they change.
BLANK_STACK: Final[list[Cell]] = [UNWRITTEN for _ in range(FRAME_CELLS)]
NO_FACTS: Final[dict[Unknown, Range]] = {}
NO_NULLNESS: Final[dict[Region, bool]] = {}
NO_REACH: Final[dict[Unknown | None, i64]] = {}


class Relation:
    """``x - y <= bound``, as a list with the newest first."""

    __slots__ = ("bound", "depth", "next", "x", "y")

    def __init__(self, x: Unknown, y: Unknown, bound: i64, rest: Relation | None) -> None:
        self.x: Unknown = x
        self.y: Unknown = y
        self.bound: i64 = bound
        self.next: Relation | None = rest
        depth: i64 = 1
        if rest is not None:
            depth = rest.depth + 1
        self.depth: i64 = depth


class Held:
    """What the program must give back before it ends. Never changed, only replaced.

    ``references`` are the regions that hold one, in the order in which they were taken. ``locks``
    are the regions of locked map values and objects with the lock's offset. The counters count
    nested sections.
    """

    __slots__ = ("irqs", "locks", "preempt", "rcu", "references")

    def __init__(
        self,
        references: list[Region],
        locks: list[tuple[Region, i64]],
        rcu: i64,
        preempt: i64,
        irqs: i64,
    ) -> None:
        self.references: list[Region] = references
        self.locks: list[tuple[Region, i64]] = locks
        self.rcu: i64 = rcu
        self.preempt: i64 = preempt
        self.irqs: i64 = irqs

    def same(self, other: Held) -> bool:
        if self is other:
            return True
        if (
            self.rcu != other.rcu
            or self.preempt != other.preempt
            or self.irqs != other.irqs
            or len(self.references) != len(other.references)
            or len(self.locks) != len(other.locks)
        ):
            return False
        i: i64 = 0
        while i < len(self.references):
            if self.references[i] is not other.references[i]:
                return False
            i = i + 1
        i = 0
        while i < len(self.locks):
            x = self.locks[i]
            y = other.locks[i]
            if x[0] is not y[0] or x[1] != y[1]:
                return False
            i = i + 1
        return True


HOLDS_NOTHING: Final = Held([], [], 0, 0, 0)


class State:
    """What is known at one point of a program.

    ``regs`` are r0 to r10, then r6 to r9 of each caller, innermost last. ``stack`` has 64 cells a
    frame, the entry function's first; within a frame the lowest address comes first. ``reach`` says
    for an unknown u (None: zero) how many bytes from ``data + u`` on lie before ``data_end``;
    ``meta_reach`` the same from ``data_meta`` to ``data``. ``packet`` is the region of packet
    pointers that are still good. ``sides`` are the merges whose side became known.
    """

    __slots__ = (
        "depth",
        "facts",
        "fuel",
        "held",
        "meta_reach",
        "nonnull",
        "own_facts",
        "own_stack",
        "packet",
        "reach",
        "regs",
        "relations",
        "sides",
        "stack",
        "ties",
    )

    def __init__(
        self,
        regs: list[Value],
        stack: list[Cell],
        facts: dict[Unknown, Range],
        nonnull: dict[Region, bool],
        reach: dict[Unknown | None, i64],
        meta_reach: dict[Unknown | None, i64],
        packet: Region,
    ) -> None:
        self.regs: list[Value] = regs
        self.stack: list[Cell] = stack
        self.own_stack: bool = False
        self.facts: dict[Unknown, Range] = facts
        self.own_facts: bool = False
        self.nonnull: dict[Region, bool] = nonnull
        self.reach: dict[Unknown | None, i64] = reach
        self.meta_reach: dict[Unknown | None, i64] = meta_reach
        self.packet: Region = packet
        self.sides: dict[Record, bool] = NO_SIDES
        self.relations: Relation | None = None
        self.held: Held = HOLDS_NOTHING
        self.depth: i64 = 0  # of calls
        # Unknowns that refer to others made of them, shared by all states of a verification: at
        # its end they are taken apart, as they would keep each other alive.
        self.ties: list[Unknown] = NO_TIES
        self.fuel: i64 = 0  # what may still be spent on the consequences of one branch

    def copy(self) -> State:
        self.own_stack = False
        self.own_facts = False
        new = State(
            self.regs.copy(),
            self.stack,
            self.facts,
            self.nonnull,
            self.reach,
            self.meta_reach,
            self.packet,
        )
        new.sides = self.sides
        new.relations = self.relations
        new.held = self.held
        new.depth = self.depth
        new.ties = self.ties
        return new

    # What is known of values.

    def known(self, unknown: Unknown) -> Range:
        found = self.facts.get(unknown)
        if found is None:
            return unknown.range
        return found

    def range_of(self, value: Value) -> Range:
        """What is known of the number, or of a pointer's distance from its region's origin."""
        unknown = value.unknown
        if unknown is None:
            return numbers.constant(value.offset)
        found = self.facts.get(unknown)
        if found is None:
            found = unknown.range
        if value.offset == 0:
            return found
        return ranges.shift_by(found, value.offset)

    def settled(self, value: Value) -> Value:
        """The value itself, or zero if it is a pointer that turned out to be null."""
        region = value.region
        if region is not None and region.nullable:
            if self.nonnull.get(region) is False:
                return NUMBER_ZERO
        return value

    def is_nonnull(self, region: Region) -> bool:
        if not region.nullable:
            return True
        return self.nonnull.get(region) is True

    def tie(self, unknown: Unknown) -> None:
        if self.ties is not NO_TIES:
            self.ties.append(unknown)

    # Changes. Consequences are drawn elsewhere.

    def set_known(self, unknown: Unknown, known: Range) -> None:
        if not self.own_facts:
            self.facts = self.facts.copy()
            self.own_facts = True
        self.facts[unknown] = known
        if unknown.origin == PACKET_LENGTH:
            start = unknown.source
            assert start is not None
            if start.region is self.packet and known.low > 0:
                self.extend_reach(start.unknown, start.offset + known.low)

    def extend_reach(self, unknown: Unknown | None, size: i64) -> None:
        """From ``data + unknown`` on, ``size`` bytes are packet.

        Far from the packet an address may have wrapped around: nothing is learnt there. That it
        lies behind the packet's start is not said.
        """
        if unknown is not None:
            known = self.known(unknown)
            if known.low < -PACKET_MAX or known.high > PACKET_MAX:
                return
        if size > PACKET_MAX:
            return
        found = self.reach.get(unknown)
        if found is None or found < size:
            reach = self.reach.copy()
            reach[unknown] = size
            self.reach = reach

    def set_cell(self, index: i64, cell: Cell) -> None:
        if not self.own_stack:
            self.stack = self.stack.copy()
            self.own_stack = True
        self.stack[index] = cell

    def set_null(self, region: Region, nonnull: bool) -> None:
        known = self.nonnull.copy()
        known[region] = nonnull
        self.nonnull = known

    def forget_packet(self) -> None:
        """The packet may have moved: its pointers are no good any more."""
        self.packet = Region(PACKET, 0, False, -1)
        self.reach = NO_REACH
        self.meta_reach = NO_REACH

    # What must be given back.

    def acquire(self, region: Region) -> None:
        held = self.held
        references = held.references.copy()
        references.append(region)
        self.held = Held(references, held.locks, held.rcu, held.preempt, held.irqs)

    def holds(self, region: Region) -> bool:
        for held in self.held.references:
            if held is region:
                return True
        return False

    def release(self, region: Region) -> None:
        """The reference is given back; what pointed to it is to be forgotten by the caller."""
        held = self.held
        references: list[Region] = []
        for other in held.references:
            if other is not region:
                references.append(other)
        self.held = Held(references, held.locks, held.rcu, held.preempt, held.irqs)

    # Frames.

    def push_frame(self) -> None:
        self.depth = self.depth + 1
        self.stack = self.stack + BLANK_STACK
        self.own_stack = True

    def pop_frame(self) -> None:
        self.depth = self.depth - 1
        self.stack = self.stack[: (self.depth + 1) * FRAME_CELLS]
        self.own_stack = True
