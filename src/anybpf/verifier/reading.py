"""Abstract states from text, for cases and experiments that begin in the middle of things."""

from __future__ import annotations

from typing import Final

from anybpf.errors import InputError
from anybpf.verifier import numbers
from anybpf.verifier.clauses import (
    WORD_LIMIT,
    Clause,
    Numbers,
    Place,
    Shape,
    parse_clauses,
)
from anybpf.verifier.environment import Environment
from anybpf.verifier.numbers import Range
from anybpf.verifier.printing import as_signed
from anybpf.verifier.state import FRAME_CELLS, HOLDS_NOTHING, REGISTERS, Held, Relation, State
from anybpf.verifier.values import (
    CONTEXT,
    FUNCTION,
    KIND_NAMES,
    MAP,
    MAP_VALUE,
    MEMORY,
    NOTHING,
    NUMBER,
    OBJECT,
    PACKET,
    PACKET_END,
    PACKET_META,
    PLAIN,
    STACK,
    UNINIT,
    UNWRITTEN,
    Cell,
    Region,
    Unknown,
    Value,
)

_ALL_BITS: Final = WORD_LIMIT - 1


def parse_state(text: str, env: Environment) -> State:
    """The state at a function's entry of which the text says all that is known.

    What it does not mention is uninitialised, but for r10, the top of the frame.
    """
    registers = [NOTHING] * REGISTERS
    registers[10] = Value(STACK, 0, None, env.stack_regions[0])
    stack: list[Cell] = [UNWRITTEN] * FRAME_CELLS
    state = State(registers, stack, {}, {}, {}, {}, Region(PACKET, 0, False, -1))
    reader = _Reader(state, env)
    clauses = parse_clauses(text)
    # Copies refer to places that may come later in the text.
    for clause in clauses:
        if clause.shape is not None and clause.shape.base is None:
            reader.place(clause)
    for clause in clauses:
        if clause.shape is not None and clause.shape.base is not None:
            reader.place(clause)
    for clause in clauses:
        if clause.shape is None:
            reader.tell(clause)
    return state


class _Reader:
    """Builds a state from clauses."""

    __slots__ = ("env", "state")

    def __init__(self, state: State, env: Environment) -> None:
        self.state: State = state
        self.env: Environment = env

    def place(self, clause: Clause) -> None:
        place = clause.place
        shape = clause.shape
        assert place is not None
        assert shape is not None
        if place.register >= 0:
            self.state.regs[place.register] = self._value(shape, clause.text)
            return
        if place.frame > 0:
            raise InputError(f"{clause.text!r}: a state that begins a function has one frame")
        if shape.word == "written":
            self._write(place)
            return
        part = place.size != 8 or place.offset % 8 != 0
        if part and (shape.word != "number" or shape.numbers is None):
            raise InputError(f"{clause.text!r}: only numbers stand in part of a slot")
        self._store(place, self._value(shape, clause.text), clause.text)

    def _write(self, place: Place) -> None:
        from anybpf.verifier.memory import overwrite

        overwrite(self.state, 0, 512 - place.offset, 512 - place.offset + place.size, True)

    def _store(self, place: Place, value: Value, text: str) -> None:
        from anybpf.verifier.memory import store_cell

        start = (512 - place.offset) % 8
        if start + place.size > 8:
            raise InputError(f"{text!r}: a number lies within eight bytes of stack")
        index = (512 - place.offset) // 8
        if place.size == 8:
            self.state.set_cell(index, value)
            return
        cell = store_cell(self.state, self.state.stack[index], start, place.size, value)
        self.state.set_cell(index, cell)

    def _value(self, shape: Shape, text: str) -> Value:
        if shape.word == "uninitialized":
            return NOTHING
        if shape.word == "same":
            base = self._base(shape.base, text)
            return Value(base.kind, base.offset + shape.offset, base.unknown, base.region)
        if shape.word == "number":
            return _number_value(range_of_numbers(shape.numbers, text))
        if shape.word in ("mixed", "written", "helper_object", "stale_packet"):
            raise InputError(f"{text!r}: that can be told of a state but not asked for")
        return self._pointer(shape, text)

    def _base(self, place: Place | None, text: str) -> Value:
        assert place is not None
        value: Value | None = None
        if place.register >= 0:
            value = self.state.regs[place.register]
        elif place.frame <= 0 and place.size == 8 and place.offset % 8 == 0:
            cell = self.state.stack[(512 - place.offset) // 8]
            value = cell if isinstance(cell, Value) else None
        if value is None or value.kind == UNINIT:
            raise InputError(f"{text!r}: nothing is said of {place}")
        return value

    def _pointer(self, shape: Shape, text: str) -> Value:
        kind = KIND_NAMES.index(shape.word)
        if kind == FUNCTION:
            if not shape.argument.isdigit():
                raise InputError(f"{text!r}: a function goes by its number, function(1)")
            return Value(FUNCTION, int(shape.argument), None, self.env.function_region)
        region = self._region(kind, shape, text)
        offset: Value
        if shape.base is not None:
            offset = self._base(shape.base, text)
            if offset.kind != NUMBER:
                raise InputError(f"{text!r}: {shape.base} is no number")
        else:
            offset = _number_value(range_of_numbers(shape.numbers, text))
        return Value(kind, offset.offset + shape.offset, offset.unknown, region)

    def _region(self, kind: int, shape: Shape, text: str) -> Region:
        env = self.env
        if kind == CONTEXT:
            return env.context_region
        if kind == STACK:
            if shape.frame > 0:
                raise InputError(f"{text!r}: a state that begins a function has one frame")
            return env.stack_regions[0]
        if kind in (PACKET, PACKET_META):
            return self.state.packet
        if kind == PACKET_END:
            return self.state.packet
        if kind == MEMORY:
            if not shape.argument.isdigit():
                raise InputError(f"{text!r}: memory has a size, such as memory(16)")
            return Region(MEMORY, int(shape.argument), shape.nullable, -1)
        if kind == OBJECT:
            region = Region(OBJECT, 0, shape.nullable, -1)
            region.type = shape.argument
            return region
        for info in env.maps:
            if info.name == shape.argument:
                if kind == MAP:
                    return info.region
                if not shape.nullable:
                    return info.value_region
                return Region(MAP_VALUE, info.value_size, True, info.index)
        raise InputError(f"{text!r}: there is no map {shape.argument!r}")

    def tell(self, clause: Clause) -> None:
        """A fact about several places."""
        state = self.state
        if clause.kind == "difference":
            x = self._base(clause.place, clause.text)
            y = self._base(clause.other, clause.text)
            if x.unknown is None or y.unknown is None or x.kind != NUMBER or y.kind != NUMBER:
                raise InputError(f"{clause.text!r}: only of unknown numbers need that be told")
            bound = clause.bound - int(x.offset) + int(y.offset)
            state.relations = Relation(x.unknown, y.unknown, bound, state.relations)
        elif clause.kind == "reach" and clause.place is None:
            state.extend_reach(None, clause.bound)
        elif clause.kind == "reach":
            value = self._base(clause.place, clause.text)
            if value.kind != PACKET:
                raise InputError(f"{clause.text!r}: {clause.place} does not point into the packet")
            state.extend_reach(value.unknown, clause.bound + value.offset)
        elif clause.kind == "meta_reach":
            if clause.place is not None:
                raise InputError(f"{clause.text!r}: can be told of data_meta only")
            state.meta_reach = {None: clause.bound}
        else:
            held = state.held
            rcu = clause.bound if clause.kind == "rcu" else held.rcu
            preempt = clause.bound if clause.kind == "preempt" else held.preempt
            irqs = clause.bound if clause.kind == "irqs" else held.irqs
            if clause.kind in ("references", "locks") and clause.bound:
                raise InputError(f"{clause.text!r}: can be told of a state but not asked for")
            state.held = Held([], [], rcu, preempt, irqs) if rcu + preempt + irqs else HOLDS_NOTHING


def _number_value(known: Range) -> Value:
    if known.mask == 0:
        return Value(NUMBER, known.value, None, None)
    return Value(NUMBER, 0, Unknown(known, PLAIN, 0, None), None)


def range_of_numbers(wanted: Numbers | None, text: str) -> Range:
    """The set of words that a text names; an empty one is an error."""
    assert wanted is not None
    total: Range | None = None
    for low, high in wanted.pieces:
        piece = numbers.between(low, high)
        total = piece if total is None else numbers.join(total, piece)
    assert total is not None
    value = as_signed(wanted.must)
    mask = as_signed(wanted.may & ~wanted.must & _ALL_BITS)
    bits = numbers.make(numbers.MIN, numbers.MAX, -1, 0, value, mask)
    known = None if bits is None else numbers.meet(total, bits)
    if known is None:
        raise InputError(f"{text!r}: there is no such number")
    return known
