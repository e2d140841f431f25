"""The stack: eight-byte cells, written and read whole or in parts, by known and unknown offsets."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from anybpf.verifier import arithmetic as ranges
from anybpf.verifier import numbers
from anybpf.verifier.deduction import invalidate, settle_cell
from anybpf.verifier.environment import Environment, Fault
from anybpf.verifier.numbers import Range
from anybpf.verifier.state import FRAME_BYTES, FRAME_CELLS, State
from anybpf.verifier.values import (
    MIXED,
    NO_PARTS,
    NOTHING,
    NUMBER,
    STACK,
    UNINIT,
    UNWRITTEN,
    WRITTEN,
    Bytes,
    Cell,
    CellChoice,
    Choice,
    ObjectCell,
    Part,
    Value,
    is_in_frame,
    number,
    unknown_number,
)

# bit masks of n bytes of a cell
BYTES: Final[list[i64]] = [0, 1, 3, 7, 15, 31, 63, 127, 255]
LOW_BYTES: Final[list[i64]] = [0, 0xFF, 0xFFFF, 0xFFFFFF, 0xFFFFFFFF]


def width_range(size: i64) -> Range:
    """What is known of any number that was loaded with this many bytes."""
    if size == 8:
        return numbers.TOP
    if size == 4:
        return numbers.U32
    if size == 2:
        return numbers.U16
    return numbers.U8


def loaded(size: i64, signed: bool) -> Value:
    """A number of which only its width is known."""
    if signed:
        return unknown_number(ranges.sext(numbers.TOP, size * 8))
    return unknown_number(width_range(size))


def span(st: State, pointer: Value, offset: i64, size: i64) -> tuple[i64, i64]:
    """The bytes of its frame, counted from the lowest, that an access may touch: [low, high)."""
    low = pointer.offset + offset + FRAME_BYTES
    high = low
    if pointer.unknown is not None:
        known = st.known(pointer.unknown)
        if known.low < -FRAME_BYTES * 16 or known.high > FRAME_BYTES * 16:
            return -1, -1
        low = low + known.low
        high = high + known.high
    high = high + size
    if low < 0 or high > FRAME_BYTES:
        return -1, -1
    return low, high


def is_aligned(st: State, pointer: Value, offset: i64, size: i64) -> bool:
    """Whether the place is a multiple of the size, wherever it is."""
    known = ranges.shift_by(st.range_of(pointer), offset)
    return ((known.value | known.mask) & (size - 1)) == 0


def _misaligned(verb: str, size: i64) -> Fault:
    return Fault(
        "alignment",
        f"{verb} {size} bytes of stack at an offset that need not be a multiple of {size}",
    )


def _out_of_stack(pointer: Value, offset: i64, size: i64, verb: str) -> Fault:
    place = pointer.offset + offset
    where = f"at offset {place} from the frame's top"
    if pointer.unknown is not None:
        where = f"at an offset that is not bounded, {place} plus something, from the frame's top"
    return Fault(
        "stack-bounds",
        f"{verb} {size} bytes of stack {where}; a frame has bytes -{FRAME_BYTES} to -1",
        -1,
        f"an offset from -{FRAME_BYTES} to {-size}",
    )


def load_stack(
    st: State, env: Environment, pointer: Value, offset: i64, size: i64, signed: bool
) -> object:
    """The value that a load finds, or why it may not be made."""
    region = pointer.region
    assert region is not None
    frame = region.index
    if pointer.unknown is None:
        place = pointer.offset + offset + FRAME_BYTES
        if place < 0 or place + size > FRAME_BYTES:
            return _out_of_stack(pointer, offset, size, "reads")
        start = place & 7
        if env.aligned_stack and (place & (size - 1)) != 0:
            return Fault(
                "alignment",
                f"reads {size} bytes of stack at offset {place - FRAME_BYTES}, "
                f"which is not a multiple of {size}",
            )
        if start + size <= 8:
            index = frame * FRAME_CELLS + (place >> 3)
            cell = st.stack[index]
            if isinstance(cell, CellChoice):
                cell = settle_cell(st, cell)
            if size < 8 and env.strict_pointers and _holds_pointer(cell):
                return Fault(
                    "uninitialized-stack",
                    f"reads {size} bytes of the pointer at stack offset "
                    f"{place - start - FRAME_BYTES}; pointers are read whole",
                )
            found = load_cell(st, cell, start, size)
            if found is not None:
                if signed and found.kind == NUMBER:
                    return sign_extend(st, found, size)
                if size < 8 and found.kind != NUMBER and found.kind != MIXED:
                    return loaded(size, signed)
                return found
        elif is_written(st, frame, place, place + size):
            return loaded(size, signed)
        if env.uninitialized_reads and not holds_object(st, frame, place, place + size):
            return loaded(size, signed)
        return _unwritten(st, frame, place, place + size)
    low, high = span(st, pointer, offset, size)
    if low < 0:
        return _out_of_stack(pointer, offset, size, "reads")
    if env.aligned_stack and not is_aligned(st, pointer, offset, size):
        return _misaligned("reads", size)
    if env.uninitialized_reads:
        if holds_object(st, frame, low, high):
            return _unwritten(st, frame, low, high)
    elif not is_written(st, frame, low, high):
        return _unwritten(st, frame, low, high)
    if _all_zero(st, frame, low, high):
        return number(0)
    return loaded(size, signed)


def _unwritten(st: State, frame: i64, low: i64, high: i64) -> Fault:
    if holds_object(st, frame, low, high):
        return Fault(
            "argument",
            f"touches the stack bytes {low - FRAME_BYTES} to {high - FRAME_BYTES - 1}, where an "
            "object lies that only its own functions may touch",
        )
    return Fault(
        "uninitialized-stack",
        f"reads stack bytes {low - FRAME_BYTES} to {high - FRAME_BYTES - 1}, "
        "which are not all written on every way here",
    )


def _holds_pointer(cell: Cell) -> bool:
    """Whether a pointer was put here on some way."""
    if isinstance(cell, Choice):
        return _holds_pointer(cell.left) or _holds_pointer(cell.right)
    if isinstance(cell, Value):
        return cell.kind != NUMBER and cell.kind != UNINIT and cell.kind != MIXED
    if isinstance(cell, CellChoice):
        return _holds_pointer(cell.left) or _holds_pointer(cell.right)
    return False


def sign_extend(st: State, value: Value, size: i64) -> Value:
    known = st.range_of(value)
    extended = ranges.sext(known, size * 8)
    if extended is known:
        return value
    return unknown_number(extended)


def load_cell(st: State, cell: Cell, start: i64, size: i64) -> Value | None:
    """What ``size`` bytes from ``start`` on hold; None where some of them may be unwritten."""
    if isinstance(cell, Value):
        if size == 8:
            return cell if cell.kind != UNINIT else None
        if cell.kind == NUMBER:
            if cell.unknown is None:
                return number(_bytes_of(cell.offset, start, size))
            known = st.range_of(cell)
            if start > 0:
                known = ranges.shr(known, numbers.constant(start * 8))
            low = ranges.zext(known, size * 8)
            if start == 0 and low is known:
                return cell
            return unknown_number(low)
        return loaded(size, False)
    if isinstance(cell, Bytes):
        for part in cell.parts:
            if part.start == start and part.size == size:
                return part.value
        need = BYTES[size] << start
        if (cell.written & need) != need:
            return None
        return _assemble(st, cell, start, size)
    if isinstance(cell, CellChoice):
        left = load_cell(st, cell.left, start, size)
        right = load_cell(st, cell.right, start, size)
        if left is None and right is None:
            return None
        if left is None:
            left = NOTHING
        if right is None:
            right = NOTHING
        if left.kind == NUMBER and right.kind == NUMBER:
            return unknown_number(numbers.join(st.range_of(left), st.range_of(right)))
        return Choice(cell.merge, left, right)
    return None


def _bytes_of(word: i64, start: i64, size: i64) -> i64:
    if start > 0:
        word = word >> (8 * start)
    if size == 8:
        return word
    return word & LOW_BYTES[size]


def _assemble(st: State, cell: Bytes, start: i64, size: i64) -> Value:
    """A number put together from parts: known bits where all its bytes lie in known parts."""
    total = numbers.ZERO
    covered: i64 = 0
    for part in cell.parts:
        if part.value.kind != NUMBER:
            continue
        known = st.range_of(part.value)
        if part.start >= start and part.start + part.size <= start + size:
            known = ranges.zext(known, part.size * 8)
            known = ranges.shl(known, numbers.constant((part.start - start) * 8))
            covered = covered | (BYTES[part.size] << part.start)
            total = ranges.or_(total, known)
        elif part.start <= start and part.start + part.size >= start + size:
            known = ranges.shr(known, numbers.constant((start - part.start) * 8))
            return unknown_number(ranges.zext(known, size * 8))
    need = BYTES[size] << start
    if (covered & need) != need:
        # Unknown bytes in between: keep what the known ones say.
        i = start
        while i < start + size:
            if (covered >> i) & 1 == 0:
                unknown = ranges.shl(numbers.U8, numbers.constant((i - start) * 8))
                total = ranges.or_(total, unknown)
            i = i + 1
    if size < 8:
        total = ranges.zext(total, size * 8)
    return unknown_number(total)


def store_stack(
    st: State, env: Environment, pointer: Value, offset: i64, size: i64, value: Value
) -> Fault | None:
    """Write the value; None, or why it may not be done."""
    region = pointer.region
    assert region is not None
    frame = region.index
    if value.kind == STACK or value.kind == MIXED:
        # A pointer on one way only counts as well: another function's frame may take its place.
        if env.strict_pointers and frame != st.depth and is_in_frame(value, 0):
            return Fault(
                "pointer-leak",
                "stores a pointer to the stack in a caller's frame, where it may outlive its own",
            )
        if is_in_frame(value, frame + 1):
            return Fault(
                "pointer-leak",
                "stores a pointer into its own frame in a caller's frame, which outlives it",
            )
    if pointer.unknown is None:
        place = pointer.offset + offset + FRAME_BYTES
        if place < 0 or place + size > FRAME_BYTES:
            return _out_of_stack(pointer, offset, size, "writes")
        if env.aligned_stack and (place & (size - 1)) != 0:
            return Fault(
                "alignment",
                f"writes {size} bytes of stack at offset "
                f"{place - FRAME_BYTES}, which is not a multiple of {size}",
            )
        index = frame * FRAME_CELLS + (place >> 3)
        start = place & 7
        if isinstance(st.stack[index], ObjectCell):
            fault = _spare_object(st, frame, place, place + size)
            if fault is not None:
                return fault
        if size == 8 and start == 0:
            st.set_cell(index, value)
            return None
        if start + size > 8:
            st.set_cell(index, store_cell(st, st.stack[index], start, 8 - start, None))
            st.set_cell(index + 1, store_cell(st, st.stack[index + 1], 0, start + size - 8, None))
            return None
        if value.kind != NUMBER:
            if not env.leaks_allowed or env.strict_pointers:
                return Fault(
                    "pointer-leak", f"writes part of a pointer ({size} bytes) to the stack"
                )
            st.set_cell(index, store_cell(st, st.stack[index], start, size, None))
            return None
        st.set_cell(index, store_cell(st, st.stack[index], start, size, _cut(st, value, size)))
        return None
    low, high = span(st, pointer, offset, size)
    if low < 0:
        return _out_of_stack(pointer, offset, size, "writes")
    if env.aligned_stack and not is_aligned(st, pointer, offset, size):
        return _misaligned("writes", size)
    fault = _spare_object(st, frame, low, high)
    if fault is not None:
        return fault
    if value.kind != NUMBER and not env.leaks_allowed:
        return Fault("pointer-leak", "writes a pointer to the stack at an offset that is not known")
    zero = value.kind == NUMBER and value.unknown is None and value.offset == 0
    while low < high:
        end = (low | 7) + 1
        if end > high:
            end = high
        if not zero or not _all_zero(st, frame, low, end):
            overwrite(st, frame, low, end, False)
        low = end
    return None


def _all_zero(st: State, frame: i64, low: i64, high: i64) -> bool:
    """Whether the bytes [low, high) are zero already, so that zero among them changes nothing."""
    at = low
    while at < high:
        cell = st.stack[frame * FRAME_CELLS + (at >> 3)]
        byte = None if isinstance(cell, ObjectCell) else load_cell(st, cell, at & 7, 1)
        if byte is None or byte.kind != NUMBER or byte.unknown is not None or byte.offset != 0:
            return False
        at = at + 1
    return True


def _cut(st: State, value: Value, size: i64) -> Value:
    """The low bytes of a number."""
    if value.unknown is None:
        if size == 8:
            return value
        return number(value.offset & LOW_BYTES[size])
    known = st.range_of(value)
    low = ranges.zext(known, size * 8)
    return value if low is known else unknown_number(low)


def store_cell(st: State, cell: Cell, start: i64, size: i64, value: Value | None) -> Cell:
    """The cell after ``size`` bytes from ``start`` on became ``value`` (None: not known what)."""
    parts: list[Part] = []
    written: i64 = 255
    if isinstance(cell, Bytes):
        written = cell.written
        for part in cell.parts:
            if part.start + part.size <= start or part.start >= start + size:
                parts.append(part)
            elif part.value.kind == NUMBER:
                _keep_rest(st, parts, part.value, part.start, part.size, start, size)
    elif isinstance(cell, Value):
        if cell.kind == NUMBER:
            _keep_rest(st, parts, cell, 0, 8, start, size)
        elif cell.kind == UNINIT:
            written = 0
    elif isinstance(cell, CellChoice):
        written = written_bytes(cell)
    elif isinstance(cell, ObjectCell):
        written = 0
    written = written | (BYTES[size] << start)
    if value is not None:
        parts.append(Part(start, size, value))
    elif len(parts) == 0 and written == 255:
        return WRITTEN
    return Bytes(written, parts)


def _keep_rest(
    st: State, parts: list[Part], value: Value, base: i64, length: i64, start: i64, size: i64
) -> None:
    """What a number says of the bytes beside those overwritten, in pieces that loads ask for."""
    known = st.range_of(value)
    if known is numbers.TOP:
        return
    at: i64 = base
    end = base + length
    while at < end:
        piece: i64 = 8
        while piece > 1 and (
            (at & (piece - 1)) != 0
            or at + piece > end
            or not (at + piece <= start or at >= start + size)
        ):
            piece = piece >> 1
        if at + piece <= start or at >= start + size:
            rest = known
            if at > base:
                rest = ranges.shr(rest, numbers.constant((at - base) * 8))
            rest = ranges.zext(rest, piece * 8)
            parts.append(Part(at, piece, unknown_number(rest)))
        at = at + piece


def written_bytes(cell: Cell) -> i64:
    """A bit for each byte that surely was written."""
    if isinstance(cell, Value):
        return 255 if cell.kind != UNINIT else 0
    if isinstance(cell, Bytes):
        return cell.written
    if isinstance(cell, CellChoice):
        return cell.written
    return 0


def is_written(st: State, frame: i64, low: i64, high: i64) -> bool:
    """Whether the frame's bytes [low, high) were all written."""
    index = low >> 3
    last = (high + 7) >> 3
    base = frame * FRAME_CELLS
    while index < last:
        cell = st.stack[base + index]
        written = written_bytes(cell)
        if written != 255:
            first = low - index * 8
            end = high - index * 8
            if first < 0:
                first = 0
            if end > 8:
                end = 8
            need = BYTES[end - first] << first
            if (written & need) != need:
                return False
        index = index + 1
    return True


def holds_object(st: State, frame: i64, low: i64, high: i64) -> bool:
    return object_at(st, frame, low, high) is not None


def object_at(st: State, frame: i64, low: i64, high: i64) -> ObjectCell | None:
    """An object cell that the bytes [low, high) touch."""
    index = low >> 3
    last = (high + 7) >> 3
    base = frame * FRAME_CELLS
    while index < last:
        cell = st.stack[base + index]
        if isinstance(cell, ObjectCell):
            return cell
        if isinstance(cell, CellChoice):
            found = _object_in(cell)
            if found is not None:
                return found
        index = index + 1
    return None


def _object_in(cell: Cell) -> ObjectCell | None:
    if isinstance(cell, ObjectCell):
        return cell
    if isinstance(cell, CellChoice):
        found = _object_in(cell.left)
        if found is None:
            found = _object_in(cell.right)
        return found
    return None


def _spare_object(st: State, frame: i64, low: i64, high: i64) -> Fault | None:
    """A write over an object ends it, which is an error if it must be given back."""
    index = low >> 3
    last = (high + 7) >> 3
    base = frame * FRAME_CELLS
    while index < last:
        cell = st.stack[base + index]
        found: ObjectCell | None = None
        if isinstance(cell, ObjectCell):
            found = cell
        elif isinstance(cell, CellChoice):
            found = _object_in(cell)
        if found is not None:
            if found.holds:
                return Fault(
                    "reference-leak",
                    f"overwrites the {found.type} at stack offset {index * 8 - FRAME_BYTES}, "
                    "which must first be given back",
                )
            remove_object(st, found)
        index = index + 1
    return None


def put_object(st: State, frame: i64, low: i64, cells: list[ObjectCell]) -> None:
    """Place an object at byte ``low`` of the frame, a multiple of eight."""
    index = frame * FRAME_CELLS + (low >> 3)
    i: i64 = 0
    while i < len(cells):
        st.set_cell(index + i, cells[i])
        i = i + 1


def remove_object(st: State, found: ObjectCell) -> None:
    """The object ends: its cells become unwritten, and what points into it is no good any more."""
    invalidate(st, found.identity)
    i: i64 = 0
    while i < len(st.stack):
        cell = st.stack[i]
        if isinstance(cell, ObjectCell) and cell.identity is found.identity:
            st.set_cell(i, UNWRITTEN)
        i = i + 1


def overwrite(st: State, frame: i64, low: i64, high: i64, surely: bool) -> None:
    """The bytes [low, high) are (surely) or may be written with something unknown."""
    index = low >> 3
    last = (high + 7) >> 3
    base = frame * FRAME_CELLS
    while index < last:
        cell = st.stack[base + index]
        if surely:
            first = low - index * 8
            end = high - index * 8
            if first < 0:
                first = 0
            if end > 8:
                end = 8
            if first == 0 and end == 8:
                if cell is not WRITTEN:
                    st.set_cell(base + index, WRITTEN)
            else:
                st.set_cell(base + index, store_cell(st, cell, first, end - first, None))
        elif isinstance(cell, Value):
            if cell.kind != UNINIT:
                st.set_cell(base + index, WRITTEN)
        elif isinstance(cell, Bytes):
            if len(cell.parts) > 0:
                st.set_cell(base + index, Bytes(cell.written, NO_PARTS))
        elif isinstance(cell, CellChoice):
            st.set_cell(base + index, Bytes(written_bytes(cell), NO_PARTS))
        index = index + 1
