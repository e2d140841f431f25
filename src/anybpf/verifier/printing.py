"""Abstract states as text, in the notation of ``clauses``.

Copies of one unknown are printed as such, so that reading the text again gives a state as precise.
"""

from __future__ import annotations

from typing import Final

from anybpf.verifier import numbers
from anybpf.verifier.clauses import (
    HELD_WORDS,
    WORD_LIMIT,
    Place,
    number_text,
)
from anybpf.verifier.memory import written_bytes
from anybpf.verifier.numbers import Range
from anybpf.verifier.state import FRAME_CELLS, REGISTERS, State
from anybpf.verifier.values import (
    FUNCTION,
    KIND_NAMES,
    MAP,
    MAP_VALUE,
    MEMORY,
    MIXED,
    NUMBER,
    OBJECT,
    PACKET,
    PACKET_META,
    STACK,
    UNINIT,
    Bytes,
    Cell,
    CellChoice,
    ObjectCell,
    Region,
    Unknown,
    Value,
)

_ALL_BITS: Final = WORD_LIMIT - 1
# Kinds whose region says more than the kind: which map, how large, what type.
_POINTS_INTO_NAMED: Final = (MAP_VALUE, MAP, MEMORY, OBJECT)


def state_text(state: State, names: list[str]) -> str:
    """All that is known, in one line; what was never written is left out.

    >>> from anybpf.verifier.record import empty_state
    >>> state = empty_state()
    >>> state.regs = [Value(NUMBER, 5, None, None)]
    >>> state_text(state, [])
    'r0=5'
    """
    return " ".join(state_clauses(state, names))


def state_clauses(state: State, names: list[str]) -> list[str]:
    """The clauses of :func:`state_text`, registers first."""
    return Printer(state, names).clauses()


def value_text(state: State, value: Value, names: list[str]) -> str:
    """One value by itself, such as `packet+14` or `0..255`."""
    return Printer(state, names).value("", value)


def range_text(known: Range) -> str:
    """A set of numbers, such as `0..252%4`.

    >>> range_text(numbers.between(0, 10))
    '0..10'
    """
    if known.mask == 0:
        return number_text(int(known.value))
    text = _pieces_text(known)
    alone = numbers.make(known.low, known.high, known.below, known.above, 0, -1)
    if alone is None or (alone.value == known.value and alone.mask == known.mask):
        return text
    may = (int(known.value) | int(known.mask)) & _ALL_BITS
    step = may & -may
    if step > 1:
        coarse = as_signed(_ALL_BITS - (step - 1))
        multiples = numbers.make(known.low, known.high, known.below, known.above, 0, coarse)
        if multiples is not None and numbers.same(multiples, known):
            return f"{text}%{step}"
    if may != (int(alone.value) | int(alone.mask)) & _ALL_BITS:
        text += f"&{may:#x}"
    if alone.value != known.value:
        text += f"!{int(known.value) & _ALL_BITS:#x}"
    return text


def _pieces_text(known: Range) -> str:
    low = int(known.low)
    high = int(known.high)
    below = int(known.below)
    above = int(known.above)
    if low == numbers.MIN and high == numbers.MAX:
        if below == -1 and above == 0:
            return "number"
        return f"{number_text(above)}..{number_text(below + WORD_LIMIT)}"
    if low < 0 <= high and (below != -1 or above != 0):
        return f"{_piece(low, below)},{_piece(above, high)}"
    return _piece(low, high)


def _piece(low: int, high: int) -> str:
    if low == high:
        return number_text(low)
    return f"{number_text(low)}..{number_text(high)}"


def as_signed(word: int) -> int:
    return word - WORD_LIMIT if word >= WORD_LIMIT >> 1 else word


class Printer:
    """Prints one state: remembers where each unknown was seen, to tell copies from likenesses."""

    __slots__ = ("names", "numbers", "pointers", "state")

    def __init__(self, state: State, names: list[str]) -> None:
        self.state: State = state
        self.names: list[str] = names
        # The place of each unknown in a register or slot that holds a number, and its offset there.
        self.numbers: dict[Unknown, tuple[str, int]] = {}
        self.pointers: dict[tuple[Region, Unknown | None], tuple[str, int]] = {}
        for name, value in self._places():
            unknown = value.unknown
            if value.kind == NUMBER and unknown is not None and unknown not in self.numbers:
                self.numbers[unknown] = (name, int(value.offset))

    def _places(self) -> list[tuple[str, Value]]:
        places: list[tuple[str, Value]] = []
        for index in range(min(len(self.state.regs), REGISTERS)):
            places.append((f"r{index}", self.state.settled(self.state.regs[index])))
        for index in range(len(self.state.stack)):
            cell = self.state.stack[index]
            if isinstance(cell, Value) and cell.kind != UNINIT:
                places.append((self._slot(index, 0, 8), self.state.settled(cell)))
        return places

    def _slot(self, index: int, start: int, size: int) -> str:
        frame = index // FRAME_CELLS
        offset = 512 - (index % FRAME_CELLS) * 8 - start
        return str(Place(-1, -1 if frame == self.state.depth else frame, offset, size))

    def clauses(self) -> list[str]:
        out: list[str] = []
        state = self.state
        for index in range(min(len(state.regs), REGISTERS)):
            value = state.settled(state.regs[index])
            if value.kind == UNINIT:
                continue
            text = self.value(f"r{index}", value)
            if index < 10 or text != "stack":
                out.append(f"r{index}={text}")
        self._stack(out)
        self._reaches(out)
        self._differences(out)
        held = state.held
        counts = (len(held.references), len(held.locks), held.rcu, held.preempt, held.irqs)
        for word, count in zip(HELD_WORDS, counts, strict=True):
            if count:
                out.append(f"{word}={int(count)}")
        return out

    # Values.

    def value(self, place: str, value: Value) -> str:
        """What a place holds; copies of what was printed before say so."""
        if value.kind == NUMBER:
            return self._number(place, value)
        if value.kind == UNINIT or value.kind == MIXED or value.region is None:
            return KIND_NAMES[value.kind]
        key = (value.region, value.unknown)
        before = self.pointers.get(key)
        if before is None and place:
            self.pointers[key] = (place, int(value.offset))
        open_question = value.region.nullable and not self.state.is_nonnull(value.region)
        hidden = value.unknown is not None and value.unknown not in self.numbers
        if before is not None and before[0] != place and (open_question or hidden):
            return _plus(before[0], int(value.offset) - before[1])
        return self._pointer(place, value) + ("?" if open_question else "")

    def _number(self, place: str, value: Value) -> str:
        unknown = value.unknown
        if unknown is None:
            return number_text(int(value.offset))
        known = self.state.range_of(value)
        owner = self.numbers.get(unknown)
        if owner is None or owner[0] == place or known.mask == 0:
            return range_text(known)
        return _plus(owner[0], int(value.offset) - owner[1])

    def _pointer(self, place: str, value: Value) -> str:
        region = value.region
        assert region is not None
        word = KIND_NAMES[value.kind]
        if value.kind == FUNCTION:
            return f"function({int(value.offset)})"
        if value.kind == PACKET and region is not self.state.packet:
            word = "stale_packet"
        if value.kind == STACK and region.index != self.state.depth:
            word = f"stack[{int(region.index)}]"
        if value.kind in _POINTS_INTO_NAMED:
            argument = self.region_argument(value.kind, region)
            word += f"({argument})" if argument else ""
        if value.unknown is None:
            return _plus(word, int(value.offset))
        owner = self.numbers.get(value.unknown)
        if owner is not None:
            return f"{word}+{_plus(owner[0], int(value.offset) - owner[1])}"
        known = self.state.range_of(value)
        if known.mask == 0:
            return _plus(word, int(known.value))
        text = range_text(known)
        return f"{word}+({text})" if text.startswith("-") or "," in text else f"{word}+{text}"

    def region_argument(self, kind: int, region: Region) -> str:
        if kind == MEMORY:
            return str(int(region.size))
        if kind == OBJECT:
            return region.type
        if 0 <= region.index < len(self.names):
            return self.names[region.index]
        return ""

    # The stack, whose unknown bytes are told in runs.

    def _stack(self, out: list[str]) -> None:
        run = 0  # bytes written without a known content, up to the place before the next cell
        for index in range(len(self.state.stack)):
            cell = self.state.stack[index]
            if index % FRAME_CELLS == 0:
                self._end_run(out, index, run)
                run = 0
            if isinstance(cell, Bytes) and cell.written == 255 and len(cell.parts) == 0:
                run += 8
                continue
            self._end_run(out, index, run)
            run = 0
            self._cell(out, index, cell)
        self._end_run(out, len(self.state.stack), run)

    def _end_run(self, out: list[str], index: int, run: int) -> None:
        if run:
            first = index - run // 8
            place = self._slot(first, 0, 8).partition(":")[0]
            out.append(f"{place}{'' if run == 8 else f':{run}'}=written")

    def _cell(self, out: list[str], index: int, cell: Cell) -> None:
        if isinstance(cell, Value):
            value = self.state.settled(cell)
            if value.kind != UNINIT:
                place = self._slot(index, 0, 8)
                out.append(f"{place}={self.value(place, value)}")
        elif isinstance(cell, ObjectCell):
            detail = f"/{cell.detail}" if cell.detail else ""
            out.append(f"{self._slot(index, 0, 8)}=object({cell.type}{detail}/{int(cell.index)})")
        elif isinstance(cell, Bytes):
            covered = 0
            for part in cell.parts:
                place = self._slot(index, int(part.start), int(part.size))
                out.append(f"{place}={self.value(place, part.value)}")
                covered |= ((1 << int(part.size)) - 1) << int(part.start)
            self._written(out, index, int(cell.written) & ~covered)
        elif isinstance(cell, CellChoice):
            self._written(out, index, int(written_bytes(cell)))

    def _written(self, out: list[str], index: int, written: int) -> None:
        start = 0
        while start < 8:
            size = 0
            while start + size < 8 and written >> (start + size) & 1:
                size += 1
            if size:
                out.append(f"{self._slot(index, start, size)}=written")
            start += size + 1

    # Facts about several places.

    def _reaches(self, out: list[str]) -> None:
        state = self.state
        for word, reaches, kind in (
            ("reach", state.reach, PACKET),
            ("meta_reach", state.meta_reach, PACKET_META),
        ):
            for unknown, size in reaches.items():
                if unknown is None:
                    out.append(f"{word}={int(size)}")
                    continue
                for name, value in self._places():
                    if value.kind == kind and value.unknown is unknown:
                        if int(size) > int(value.offset):
                            out.append(f"{word}({name})={int(size) - int(value.offset)}")
                        break

    def _differences(self, out: list[str]) -> None:
        told: set[str] = set()
        relation = self.state.relations
        while relation is not None:
            x = self.numbers.get(relation.x)
            y = self.numbers.get(relation.y)
            if x is not None and y is not None:
                left = f"{x[0]}-{y[0]}<="
                if left not in told:
                    told.add(left)
                    out.append(f"{left}{int(relation.bound) + x[1] - y[1]}")
            relation = relation.next


def _plus(text: str, offset: int) -> str:
    if offset == 0:
        return text
    return f"{text}+{offset}" if offset > 0 else f"{text}-{-offset}"
