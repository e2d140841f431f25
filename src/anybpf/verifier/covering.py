"""Whether a state is at least as precise as a text claims: entailment, not equality of texts."""

from __future__ import annotations

from anybpf.verifier import numbers
from anybpf.verifier.clauses import (
    WORD_LIMIT,
    Clause,
    Place,
    Shape,
    parse_clauses,
)
from anybpf.verifier.memory import load_cell, written_bytes
from anybpf.verifier.printing import Printer
from anybpf.verifier.reading import range_of_numbers
from anybpf.verifier.state import FRAME_CELLS, Relation, State
from anybpf.verifier.values import (
    FUNCTION,
    KIND_NAMES,
    MIXED,
    NUMBER,
    PACKET,
    STACK,
    UNINIT,
    Bytes,
    ObjectCell,
    Unknown,
    Value,
)


def covers(state: State, text: str, names: list[str]) -> str:
    """Empty if the state is at least as precise as every clause; else the first one that it is not.

    This is entailment, not equality of texts: `r0=1..3` covers the claim `r0=0..10`.
    """
    printer = Printer(state, names)
    for clause in parse_clauses(text):
        problem = _uncovered(state, clause, printer)
        if problem:
            return f"{clause.text} is not known, but {problem}"
    return ""


def _uncovered(state: State, clause: Clause, printer: Printer) -> str:
    if clause.kind == "holds":
        return _not_held(state, clause, printer)
    if clause.kind == "difference":
        x = _found(state, clause.place)
        y = _found(state, clause.other)
        if x is None or y is None or not _at_most(state, x, y, clause.bound):
            return _both(printer, clause)
        return ""
    if clause.kind == "reach" or clause.kind == "meta_reach":
        reaches = state.reach if clause.kind == "reach" else state.meta_reach
        unknown: Unknown | None = None
        distance = 0
        if clause.place is not None:
            value = _found(state, clause.place)
            if value is None or value.region is not state.packet:
                return f"{clause.place} is no good packet pointer"
            unknown = value.unknown
            distance = int(value.offset)
        size = int(reaches.get(unknown, 0)) - distance
        return "" if size >= clause.bound else f"it is {size}"
    held = state.held
    counts = {
        "references": len(held.references),
        "locks": len(held.locks),
        "rcu": int(held.rcu),
        "preempt": int(held.preempt),
        "irqs": int(held.irqs),
    }
    count = counts[clause.kind]
    return "" if count == clause.bound else f"{clause.kind}={count}"


def _both(printer: Printer, clause: Clause) -> str:
    texts = []
    for place in (clause.place, clause.other):
        value = _found(printer.state, place)
        texts.append(f"{place}={'unwritten' if value is None else printer.value('', value)}")
    return " ".join(texts)


def _found(state: State, place: Place | None) -> Value | None:
    """What stands at a place; None if that is unwritten or no single value."""
    assert place is not None
    if place.register >= 0:
        return state.settled(state.regs[place.register])
    frame = int(state.depth) if place.frame < 0 else place.frame
    start = 512 - place.offset
    index = frame * FRAME_CELLS + start // 8
    if index >= len(state.stack) or start % 8 + place.size > 8:
        return None
    cell = state.stack[index]
    if isinstance(cell, Value) and place.size == 8:
        return state.settled(cell)
    if isinstance(cell, Value | Bytes) and place.size in (1, 2, 4, 8):
        return load_cell(state, cell, start % 8, place.size)
    return None


def _is_written(state: State, place: Place) -> bool:
    frame = int(state.depth) if place.frame < 0 else place.frame
    for byte in range(512 - place.offset, 512 - place.offset + place.size):
        cell = state.stack[frame * FRAME_CELLS + byte // 8]
        if not int(written_bytes(cell)) >> (byte % 8) & 1:
            return False
    return True


def _not_held(state: State, clause: Clause, printer: Printer) -> str:
    place = clause.place
    shape = clause.shape
    assert place is not None
    assert shape is not None
    if shape.word == "written":
        return "" if _is_written(state, place) else "some of it may be unwritten"
    if shape.word == "helper_object" or (place.register < 0 and shape.word == "object"):
        return _no_object(state, place, shape)
    value = _found(state, place)
    if value is None:
        return f"{place} is unwritten or not known"
    is_text = f"{place}={printer.value(str(place), value)}"
    if shape.word == "uninitialized":
        return "" if value.kind == UNINIT else is_text
    if shape.word == "mixed":
        return ""
    if shape.word == "same":
        base = _found(state, shape.base)
        return "" if base is not None and _same(state, value, base, shape.offset) else is_text
    if shape.word == "number":
        if value.kind != NUMBER:
            return is_text
        wanted = range_of_numbers(shape.numbers, clause.text)
        return "" if numbers.includes(wanted, state.range_of(value)) else is_text
    return "" if _is_pointer(state, value, shape, clause, printer) else is_text


def _no_object(state: State, place: Place, shape: Shape) -> str:
    frame = int(state.depth) if place.frame < 0 else place.frame
    cell = state.stack[frame * FRAME_CELLS + (512 - place.offset) // 8]
    if not isinstance(cell, ObjectCell):
        return f"{place} is no object of a helper"
    wanted = shape.argument.partition("/")[0]
    return "" if wanted in ("", cell.type) else f"{place} is a {cell.type}"


def _is_pointer(state: State, value: Value, shape: Shape, clause: Clause, printer: Printer) -> bool:
    region = value.region
    if value.kind == NUMBER:
        return shape.nullable and value.unknown is None and value.offset == 0
    if region is None:
        return False
    if shape.word == "stale_packet":
        return value.kind == PACKET and region is not state.packet
    if KIND_NAMES[value.kind] != shape.word:
        return False
    if value.kind == FUNCTION:
        return shape.argument in ("", str(int(value.offset)))
    if value.kind == PACKET and region is not state.packet:
        return False
    if value.kind == STACK:
        frame = int(state.depth) if shape.frame < 0 else shape.frame
        if region.index != frame:
            return False
    if shape.argument and shape.argument != printer.region_argument(value.kind, region):
        return False
    if not shape.nullable and not state.is_nonnull(region):
        return False
    if shape.base is not None:
        base = _found(state, shape.base)
        if base is None or base.kind != NUMBER:
            return False
        distance = Value(NUMBER, value.offset, value.unknown, None)
        return _same(state, distance, base, shape.offset)
    return numbers.includes(range_of_numbers(shape.numbers, clause.text), state.range_of(value))


def _same(state: State, x: Value, y: Value, distance: int) -> bool:
    """Whether x is surely y + distance."""
    if x.kind != y.kind or x.region is not y.region or x.kind == MIXED:
        return False
    if x.unknown is y.unknown:
        return (int(x.offset) - int(y.offset) - distance) % WORD_LIMIT == 0
    left = state.range_of(x)
    right = state.range_of(y)
    if left.mask == 0 and right.mask == 0:
        return (int(left.value) - int(right.value) - distance) % WORD_LIMIT == 0
    return _at_most(state, x, y, distance) and _at_most(state, y, x, -distance)


def _at_most(state: State, x: Value, y: Value, bound: int) -> bool:
    """Whether x - y <= bound, both being numbers, or pointers into the same region."""
    if x.kind != y.kind or x.region is not y.region:
        return False
    if x.unknown is y.unknown and x.unknown is not None:
        return int(x.offset) - int(y.offset) <= bound
    if int(state.range_of(x).high) - int(state.range_of(y).low) <= bound:
        return True
    if x.unknown is None or y.unknown is None:
        return False
    bound += int(y.offset) - int(x.offset)
    direct: Relation | None = state.relations
    while direct is not None:
        if direct.x is x.unknown:
            if direct.y is y.unknown and direct.bound <= bound:
                return True
            second: Relation | None = state.relations
            while second is not None:
                both = int(direct.bound) + int(second.bound)
                if second.x is direct.y and second.y is y.unknown and both <= bound:
                    return True
                second = second.next
        direct = direct.next
    return False
