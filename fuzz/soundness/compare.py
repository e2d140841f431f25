"""Is the machine's state one of those that an abstract state stands for?

One assignment of words to the state's unknowns must explain every register and every stack slot,
and then everything else that the state claims about these unknowns must be true of the words. Reads
the verifier's states field by field and computes nothing with the verifier's own functions.
"""

from __future__ import annotations

from mypy_extensions import i64

from anybpf.verifier.numbers import Range
from anybpf.verifier.state import State
from anybpf.verifier.values import (
    LOW_HALF,
    MASKED,
    PACKET_LENGTH,
    REMAINING,
    SHIFTED,
    SIGNED_HALF,
    Bytes,
    Cell,
    CellChoice,
    Choice,
    ObjectCell,
    Phi,
    Region,
    Unknown,
    Value,
)
from fuzz.soundness.blocks import (
    CONTEXT,
    FUNCTION,
    MAP,
    MAP_VALUE,
    PACKET,
    PACKET_END,
    PACKET_META,
    SIGN,
    STACK,
    WORD,
    Block,
    signed,
)
from fuzz.soundness.machine import Machine

UNINIT = 0
NUMBER = 1
MIXED = 12
ALL_SLOTS = (1 << 64) - 1
# How deep a pile of alternatives is looked into.
DEEP = 64


def u64(number: i64) -> int:
    """The word that stands for a signed number; words do not fit machine integers."""
    whole: int = number
    return whole & WORD


def contains(known: Range, word: int) -> bool:
    """Whether a word, from 0 to 2^64 - 1, is in the set."""
    number: i64 = word - 0x10000000000000000 if word >= SIGN else word
    if number < known.low or number > known.high:
        return False
    if known.below < number < known.above:
        return False
    return number & ~known.mask == known.value


class Comparer:
    """Holds one machine's states against abstract ones."""

    __slots__ = ("bound", "machine", "origins", "owners", "quiet", "reason", "st", "words")

    def __init__(self, machine: Machine) -> None:
        self.machine: Machine = machine
        self.st: State | None = None
        self.words: dict[Unknown, int] = {}
        self.bound: list[Unknown] = []
        # Where the origin of a region lies: 0 for a null pointer.
        self.origins: dict[Region, int] = {}
        self.owners: dict[Region, Block] = {}
        self.reason: str = ""
        # Whether the reason need not be put into words.
        self.quiet: bool = False

    def explain(self, st: State, live: int, live_slots: int, callers: bool) -> str:
        """Why the machine is not in this state, empty if it is.

        ``live`` and ``live_slots`` have a bit for each register, and slot of the innermost frame,
        that is to be looked at; with ``callers`` all that belongs to callers is as well.
        """
        machine = self.machine
        self.st = st
        self.words = {}
        self.bound = []
        self.origins = {}
        self.owners = {}
        self.reason = ""
        depth: i64 = len(machine.saved)
        if st.depth != depth:
            return f"call depth {depth} is foreseen as {st.depth}"
        if not self._registers(st, live, callers) or not self._stack(st, live_slots, callers):
            return self.reason
        if not self._claims(st):
            return self.reason
        return ""

    # What registers and slots hold.

    def _registers(self, st: State, live: int, callers: bool) -> bool:
        machine = self.machine
        regs = st.regs
        i: i64 = 0
        while i < 11:
            value = regs[i]
            bit: int = i
            if value.kind != UNINIT and (live >> bit) & 1:
                if not machine.defined[i] and not self._may_be_unset(st, value, 0):
                    self.reason = f"r{i} was not written, is foreseen as {show(st, value)}"
                    return False
                if machine.defined[i] and not self._value(
                    st, value, machine.words[i], machine.owners[i]
                ):
                    self._complain(st, f"r{i}", value, machine.words[i], machine.owners[i])
                    return False
            i = i + 1
        if not callers:
            return True
        at: i64 = 11
        for kept in machine.saved:
            if at + 4 > len(regs):
                self.reason = "registers of a caller are missing"
                return False
            i = 0
            while i < 4:
                value = regs[at + i]
                if value.kind != UNINIT:
                    name = f"r{6 + i} of a caller"
                    if not kept.defined[i] and not self._may_be_unset(st, value, 0):
                        self.reason = f"{name} was not written, is foreseen as {show(st, value)}"
                        return False
                    if kept.defined[i] and not self._value(
                        st, value, kept.words[i], kept.owners[i]
                    ):
                        self._complain(st, name, value, kept.words[i], kept.owners[i])
                        return False
                i = i + 1
            at = at + 4
        return True

    def _complain(self, st: State, name: str, value: Value, word: int, owner: Block | None) -> None:
        if self.quiet:
            self.reason = name
            return
        why = f" ({self.reason})" if self.reason else ""
        what = "" if owner is None else f", a pointer {owner.offset_of(word):+d} into {owner.kind}"
        self.reason = f"{name} is {word:#x}{what}, is foreseen as {show(st, value)}{why}"

    def _value(self, st: State, value: Value, word: int, owner: Block | None) -> bool:
        kind: i64 = value.kind
        if kind == NUMBER:
            unknown = value.unknown
            if unknown is None:
                return word == u64(value.offset)
            return self._bind(st, unknown, (word - u64(value.offset)) & WORD)
        if kind == UNINIT:
            return True
        if kind == MIXED:
            return self._mixed(st, value, word, owner, 0)
        region = value.region
        if region is None:
            self.reason = "a pointer without a region"
            return False
        if kind in (PACKET, PACKET_META, PACKET_END):
            if region is not st.packet:
                return True  # stale: good for nothing
            block = self.machine.packet
            if kind == PACKET_META:
                block = self.machine.meta
            elif kind == PACKET_END:
                block = self.machine.packet_end
            return self._distance(st, value, word, block.address)
        if kind == CONTEXT:
            return self._distance(st, value, word, self.machine.context.address)
        if kind == STACK:
            index: i64 = region.index
            if index < 0 or index >= len(self.machine.frames):
                self.reason = f"a pointer into frame {index}, which does not exist"
                return False
            return self._distance(st, value, word, self.machine.frames[index].address)
        if kind == FUNCTION:
            return owner is not None and owner.kind == FUNCTION
        return self._region(st, region, value, word, owner)

    def _distance(self, st: State, value: Value, word: int, origin: int) -> bool:
        distance = (word - origin - u64(value.offset)) & WORD
        unknown = value.unknown
        if unknown is None:
            if distance != 0:
                self.reason = f"it lies {signed(distance)} bytes off"
            return distance == 0
        return self._bind(st, unknown, distance)

    def _region(
        self, st: State, region: Region, value: Value, word: int, owner: Block | None
    ) -> bool:
        """A pointer into something that only the pointer tells: a map value, a record."""
        if owner is None:
            # Null, if that is possible; a null pointer that was moved stays one.
            if region.nullable and st.nonnull.get(region) is not True:
                if region in self.owners:
                    self.reason = "null, while another pointer into the region is not"
                    return False
                self.origins[region] = 0
                return self._distance(st, value, word, 0)
            self.reason = "not a pointer"
            return False
        kind: i64 = owner.kind
        if kind != region.kind:
            self.reason = f"a pointer of kind {kind}, not {region.kind}"
            return False
        if region.nullable and st.nonnull.get(region) is False:
            self.reason = "not null"
            return False
        if region.index >= 0 and (kind in (MAP, MAP_VALUE)) and region.index != owner.index:
            inner = region.index >= len(self.machine.scene.inner)
            if not inner:
                self.reason = f"a pointer of map {owner.index}, not {region.index}"
                return False
        known = self.origins.get(region)
        if known is not None:
            if region in self.owners and self.owners[region] is owner:
                return self._distance(st, value, word, known)
            self.reason = "not the same object as another pointer into the region"
            return False
        if region.merge is None:
            self.origins[region] = owner.address
            self.owners[region] = owner
            if not self._bounds(region, owner, owner.address):
                return False
            return self._distance(st, value, word, owner.address)
        # Made of two: its origin is one of theirs.
        side = st.sides.get(region.merge)
        for shift in self._shifts(st, region, side, 0):
            origin = (owner.address + shift) & WORD
            distance = (word - origin - u64(value.offset)) & WORD
            if value.unknown is None:
                if distance != 0:
                    continue
            elif self.words.get(value.unknown, distance) != distance:
                continue
            if not self._bounds(region, owner, origin):
                continue
            self.origins[region] = origin
            self.owners[region] = owner
            return self._distance(st, value, word, origin)
        if not self.reason:
            self.reason = "at none of the merged region's origins"
        return False

    def _shifts(self, st: State, region: Region, side: bool | None, depth: i64) -> list[int]:
        """How far the origin of a merged region may lie from that of what it stands for."""
        if region.merge is None or depth > DEEP:
            return [0]
        found: list[int] = []
        left = region.left
        right = region.right
        if left is not None and side is not False:
            found += self._inner_shifts(st, left, 0, depth)
        if right is not None and side is not True:
            found += self._inner_shifts(st, right, region.shift, depth)
        if not found:
            self.reason = "a pointer where the side of the merge has null"
        return sorted(set(found))

    def _inner_shifts(self, st: State, region: Region, shift: int, depth: i64) -> list[int]:
        merge = region.merge
        side = None if merge is None else st.sides.get(merge)
        return [at + shift for at in self._shifts(st, region, side, depth + 1)]

    def _bounds(self, region: Region, owner: Block, origin: int) -> bool:
        """The bytes that the region claims must be there."""
        kind: i64 = region.kind
        if kind in (MAP, FUNCTION) or region.size <= region.low:
            return True
        distance = owner.offset_of(origin)
        first: int = region.low
        last: int = region.size
        if distance + first < int(owner.low) or distance + last > int(owner.high):
            self.reason = (
                f"the region claims bytes {region.low} to {region.size}, "
                f"there are {int(owner.low) - distance} to {int(owner.high) - distance}"
            )
            return False
        return True

    def _mixed(self, st: State, value: Value, word: int, owner: Block | None, depth: i64) -> bool:
        if not isinstance(value, Choice) or value.merge is None or depth > DEEP:
            return True
        side = st.sides.get(value.merge)
        if side is None:
            # One of both will do; nothing is concluded for other places.
            return self._may(st, value.left, word, owner, depth) or self._may(
                st, value.right, word, owner, depth
            )
        chosen = value.left if side else value.right
        if chosen.kind == MIXED:
            return self._mixed(st, chosen, word, owner, depth + 1)
        return self._value(st, chosen, word, owner)

    def _may_be_unset(self, st: State, value: Value, depth: i64) -> bool:
        """Whether one alternative of the value is that nothing was written."""
        if value.kind == UNINIT or depth > DEEP:
            return True
        if not isinstance(value, Choice) or value.merge is None:
            return False
        side = st.sides.get(value.merge)
        left = side is not False and self._may_be_unset(st, value.left, depth + 1)
        return left or (side is not True and self._may_be_unset(st, value.right, depth + 1))

    def _may(self, st: State, value: Value, word: int, owner: Block | None, depth: i64) -> bool:
        """Whether the word may be that value, without saying which unknown is what."""
        kind: i64 = value.kind
        if kind == MIXED:
            return self._mixed(st, value, word, owner, depth + 1)
        if kind == UNINIT:
            return True
        if kind == NUMBER:
            unknown = value.unknown
            if unknown is None:
                return word == u64(value.offset)
            return contains(unknown.range, (word - u64(value.offset)) & WORD)
        if owner is None:
            region = value.region
            if kind == STACK and region is not None and region.index >= len(self.machine.frames):
                return True  # of a frame that has ended: good for nothing
            stale = kind in (PACKET, PACKET_META, PACKET_END) and region is not st.packet
            return stale or (region is not None and region.nullable)
        return owner.kind == kind

    # Unknowns.

    def _bind(self, st: State, unknown: Unknown, word: int) -> bool:
        """The unknown is this word: here, and so everywhere in the state."""
        found = self.words.get(unknown)
        if found is not None:
            if found != word:
                self.reason = f"the unknown is {found:#x} elsewhere, {word:#x} here"
                return False
            return True
        self.words[unknown] = word
        self.bound.append(unknown)
        known = st.facts.get(unknown)
        if known is not None and not contains(known, word):
            self.reason = "" if self.quiet else f"{word:#x} is not among {known!r}"
            return False
        if not contains(unknown.range, word):
            self.reason = "" if self.quiet else f"{word:#x} is not among {unknown.range!r}"
            return False
        if isinstance(unknown, Phi):
            merge = unknown.merge
            if merge is not None:
                side = st.sides.get(merge)
                if side is True:
                    return self._side(st, unknown.left, unknown.left_offset, word)
                if side is False:
                    return self._side(st, unknown.right, unknown.right_offset, word)
        return True

    def _side(self, st: State, unknown: Unknown | None, offset: i64, word: int) -> bool:
        if unknown is None:
            if word != u64(offset):
                self.reason = f"the merged unknown is {word:#x}, its side says {offset}"
                return False
            return True
        return self._bind(st, unknown, (word - u64(offset)) & WORD)

    def _word_of(self, value: Value | None) -> int:
        """The word that a number is, or a packet pointer's address; -1 if it is not known."""
        if value is None:
            return -1
        distance: int = value.offset
        unknown = value.unknown
        if unknown is not None:
            found = self.words.get(unknown)
            if found is None:
                return -1
            distance = distance + found
        kind: i64 = value.kind
        if kind == NUMBER:
            return distance & WORD
        st = self.st
        assert st is not None
        if value.region is st.packet:
            if kind == PACKET:
                return (self.machine.packet.address + distance) & WORD
            if kind == PACKET_META:
                return (self.machine.meta.address + distance) & WORD
        return -1

    # What the state claims besides.

    def _claims(self, st: State) -> bool:
        words = self.words
        for unknown in self.bound:
            if not self._origin(st, unknown, words[unknown]):
                return False
        relation = st.relations
        while relation is not None:
            x = words.get(relation.x)
            if x is not None:
                y = words.get(relation.y)
                bound: int = relation.bound
                if y is not None and signed(x) - signed(y) > bound:
                    self.reason = f"{signed(x)} - {signed(y)} should be at most {bound}"
                    return False
            relation = relation.next
        packet = self.machine.packet
        for start, size in st.reach.items():
            if not self._reaches(start, size, packet.high, "data"):
                return False
        for start, size in st.meta_reach.items():
            if not self._reaches(start, size, packet.start, "data_meta"):
                return False
        return self._held(st)

    def _held(self, st: State) -> bool:
        """What must be given back; of what may be null, nothing."""
        most = len(st.held.references)
        least = most
        for region in st.held.references:
            if region.nullable and st.nonnull.get(region) is not True:
                least -= 1
            owner = self.owners.get(region)
            if owner is not None and owner not in self.machine.owed:
                self.reason = "something that was given back is said to be held"
                return False
        owed = len(self.machine.owed)
        if not least <= owed <= most:
            self.reason = f"{owed} references to give back, {least} to {most} are foreseen"
            return False
        return True

    def _reaches(self, start: Unknown | None, size: i64, available: int, name: str) -> bool:
        distance: int = 0
        if start is not None:
            found = self.words.get(start)
            if found is None:
                return True
            distance = signed(found)
        if distance + size > available:
            self.reason = (
                f"{size} bytes from {name} + {distance} are said to be there, "
                f"there are {available} in all"
            )
            return False
        return True

    def _origin(self, st: State, unknown: Unknown, word: int) -> bool:
        """An unknown that was made of another must fit it."""
        half = unknown.low
        while half is not None:
            if half in self.words and not self._made(half, self.words[half]):
                return False
            half = half.sibling
        half = unknown.signed
        while half is not None:
            if half in self.words and not self._made(half, self.words[half]):
                return False
            half = half.sibling
        if isinstance(unknown, Phi):
            return self._phi(st, unknown, word)
        return self._made(unknown, word)

    def _phi(self, st: State, phi: Phi, word: int) -> bool:
        merge = phi.merge
        if merge is None or merge in st.sides:
            return True
        left = phi.left
        right = phi.right
        if left is not None:
            if left not in self.words:
                return True
            if (self.words[left] + u64(phi.left_offset)) & WORD == word:
                return True
        elif u64(phi.left_offset) == word:
            return True
        if right is not None:
            if right not in self.words:
                return True
            if (self.words[right] + u64(phi.right_offset)) & WORD == word:
                return True
        elif u64(phi.right_offset) == word:
            return True
        self.reason = f"the merged unknown {word:#x} is neither of its sides"
        return False

    def _made(self, unknown: Unknown, word: int) -> bool:
        origin: i64 = unknown.origin
        if origin == 0 or unknown.source is None:
            return True
        source = self._word_of(unknown.source)
        if source < 0:
            return True
        amount: int = unknown.amount
        right = word
        what = ""
        if origin == SHIFTED:
            right = (source << amount) & WORD
            what = "shift"
        elif origin == LOW_HALF:
            right = source & 0xFFFFFFFF
            what = "low half"
        elif origin == SIGNED_HALF:
            right = source & 0xFFFFFFFF
            if right & 0x80000000:
                right |= 0xFFFFFFFF00000000
            what = "signed half"
        elif origin == MASKED:
            right = source & amount & WORD
            what = "mask"
        elif origin == REMAINING:
            right = (amount - source) & WORD
            what = "rest"
        elif origin == PACKET_LENGTH:
            right = (self.machine.packet_end.address - source) & WORD
            what = "packet length"
        if right != word:
            self.reason = f"{word:#x} is said to be the {what} of {source:#x}, which is {right:#x}"
            return False
        return True

    # The stack.

    def _stack(self, st: State, live: int, callers: bool) -> bool:
        frames = self.machine.frames
        stack = st.stack
        if len(stack) != 64 * len(frames):
            self.reason = f"{len(stack)} cells of stack are foreseen for {len(frames)} frames"
            return False
        at: i64 = 0
        innermost: i64 = len(stack) - 64
        for frame in frames:
            i: i64 = 0
            if at < innermost and not callers:
                i = 64
            whole = at < innermost or live == ALL_SLOTS
            while i < 64:
                cell = stack[at + i]
                bit: int = i
                if not whole and not (live >> bit) & 1:
                    i = i + 1
                    continue
                if isinstance(cell, Value):
                    if cell.kind != UNINIT:
                        word = int.from_bytes(frame.data[i * 8 : i * 8 + 8], "little")
                        owner = frame.spilled[i]
                        if not self._value(st, cell, word, owner):
                            name = f"stack {frame.index} at {i * 8 - 512}"
                            self._complain(st, name, cell, word, owner)
                            return False
                elif isinstance(cell, Bytes):
                    if cell.written != 0 and not self._bytes(st, cell, frame, i):
                        return False
                elif isinstance(cell, CellChoice) and not self._cells(st, cell, frame, i):
                    return False
                i = i + 1
            at = at + 64
        return True

    def _bytes(self, st: State, cell: Bytes, frame: Block, index: i64) -> bool:
        start: i64 = index * 8
        written: i64 = cell.written
        i: i64 = 0
        while i < 8:
            if (written >> i) & 1 and frame.written[start + i] == 0:
                self.reason = f"stack {frame.index} at {start + i - 512} was not written"
                return False
            i = i + 1
        for part in cell.parts:
            at: i64 = start + part.start
            word = int.from_bytes(frame.data[at : at + part.size], "little")
            if not self._value(st, part.value, word, None):
                name = f"{part.size} bytes of stack {frame.index} at {at - 512}"
                self._complain(st, name, part.value, word, None)
                return False
        return True

    def _cells(self, st: State, cell: CellChoice, frame: Block, index: i64) -> bool:
        side = st.sides.get(cell.merge)
        if side is None:
            if self._may_cell(st, cell.left, frame, index):
                return True
            if self._may_cell(st, cell.right, frame, index):
                return True
            self.reason = f"stack {frame.index} at {index * 8 - 512} is neither of its alternatives"
            return False
        chosen = cell.left if side else cell.right
        if isinstance(chosen, CellChoice):
            return self._cells(st, chosen, frame, index)
        if isinstance(chosen, Bytes):
            return self._bytes(st, chosen, frame, index)
        if isinstance(chosen, Value):
            word = int.from_bytes(frame.data[index * 8 : index * 8 + 8], "little")
            if not self._value(st, chosen, word, frame.spilled[index]):
                name = f"stack {frame.index} at {index * 8 - 512}"
                self._complain(st, name, chosen, word, frame.spilled[index])
                return False
        return True

    def _may_cell(self, st: State, cell: Cell, frame: Block, index: i64) -> bool:
        start: i64 = index * 8
        if isinstance(cell, CellChoice):
            side = st.sides.get(cell.merge)
            return (side is not False and self._may_cell(st, cell.left, frame, index)) or (
                side is not True and self._may_cell(st, cell.right, frame, index)
            )
        if isinstance(cell, Value):
            word = int.from_bytes(frame.data[start : start + 8], "little")
            return self._may(st, cell, word, frame.spilled[index], 0)
        if isinstance(cell, Bytes):
            i: i64 = 0
            while i < 8:
                if (cell.written >> i) & 1 and frame.written[start + i] == 0:
                    return False
                i = i + 1
            for part in cell.parts:
                at: i64 = start + part.start
                word = int.from_bytes(frame.data[at : at + part.size], "little")
                if not self._may(st, part.value, word, None, 0):
                    return False
            return True
        return isinstance(cell, ObjectCell)


def show(st: State, value: Value) -> str:
    """A value in a few words, for reports."""
    kind: i64 = value.kind
    unknown = value.unknown
    number = str(value.offset)
    if unknown is not None:
        known = st.facts.get(unknown, unknown.range)
        number = f"{value.offset}+{known!r}"
        if unknown.origin != 0:
            number += f" origin {unknown.origin}"
    region = value.region
    if region is None:
        return f"kind {kind}: {number}"
    return (
        f"kind {kind}: region {region.index} of {region.size} bytes"
        f"{' or null' if region.nullable else ''} {number}"
    )


__all__ = ["Comparer", "contains", "show"]
