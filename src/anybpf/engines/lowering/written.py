"""Which bytes of its frame a function may read that nothing has written.

What they hold does not matter to a program, but to a compiler they must hold something. A forward
pass over the function: which bytes are written on every way. Doubt counts as a read of what was
not written.
"""

from __future__ import annotations

from typing import Final

from anybpf.engines.lowering.graph import Block
from anybpf.engines.lowering.plan import ARRAY_LOOKUP, LOCAL, FunctionPlan
from anybpf.engines.lowering.pointers import FRAME_SIZE, place_of
from anybpf.engines.lowering.slots import Range
from anybpf.engines.lowering.source import Source
from anybpf.isa import Instruction
from anybpf.isa import opcodes as op

_ARRAY_KEY: Final = 4
_WHOLE: Final = (-FRAME_SIZE, 0)
_PASSED: Final = 0b111110  # r1 to r5, as bits


def unwritten_reads(source: Source, one: FunctionPlan) -> Range | None:
    """First byte, from the frame's end, and the one behind the last; None: there are no such.

    What is kept apart from the frame is not looked at.
    """
    by_number = {block.number: block for block in one.blocks}
    first = one.blocks[0].number
    # Bytes that are written on every way to a block, as bits.
    entry = {first: 0}
    todo = [first]
    while todo:
        block = by_number[todo.pop()]
        written = _through(source, one, block, entry[block.number], [])
        for number in block.successors:
            known = entry.get(number)
            if known is None or known & ~written:
                entry[number] = written if known is None else known & written
                todo.append(number)
    found: list[Range] = []
    for number, written in entry.items():
        _through(source, one, by_number[number], written, found)
    return (min(low for low, _ in found), max(high for _, high in found)) if found else None


def _through(
    source: Source, one: FunctionPlan, block: Block, written: int, found: list[Range]
) -> int:
    """What is written behind the block; what it reads that was not is added to `found`."""
    for index in range(block.first, block.last + 1):
        insn = source.instructions[index]
        reads = _reads(source, one, index, insn)
        if reads is not None and not _is_written(reads, written):
            found.append(reads)
        access = one.accesses.get(index)
        if access is not None and access.write and not _is_atomic(insn):
            place = one.pointers.places.get(index)
            if place is not None:
                written |= _bits((place, place + access.size))
    return written


def _is_atomic(insn: Instruction) -> bool:
    kind = insn.opcode & (op.CLASS_MASK | op.MODE_MASK)
    return kind == op.STX | op.ATOMIC


def _reads(source: Source, one: FunctionPlan, index: int, insn: Instruction) -> Range | None:
    """What an instruction may read of the frame."""
    frame = one.pointers.frame.get(index, 0)
    access = one.accesses.get(index)
    if access is not None and access.slot is None:
        base = insn.dst if access.write else insn.src
        if frame >> base & 1 and (not access.write or _is_atomic(insn)):
            return _range(source, index, one.pointers.places.get(index), access.size)
    call = one.calls.get(index)
    if call is not None and call.kind == ARRAY_LOOKUP and frame >> 2 & 1:
        place = place_of(one.pointers.at_call[index][2])
        return _WHOLE if place is None else (place, place + _ARRAY_KEY)
    if call is not None and call.kind == LOCAL and frame & _PASSED:
        return _WHOLE
    return None


def _range(source: Source, index: int, place: int | None, size: int) -> Range:
    if place is not None:
        return place, place + size
    fact = source.facts.accesses.get(index)
    if fact is not None and fact.kind == "stack" and -FRAME_SIZE <= fact.low < fact.high <= 0:
        return fact.low, fact.high
    return _WHOLE


def _is_written(reads: Range, written: int) -> bool:
    bits = _bits(reads)
    return bits != 0 and bits & ~written == 0


def _bits(bytes_: Range) -> int:
    """The bytes, as bits; 0 if they are not all inside."""
    low, high = bytes_
    if not -FRAME_SIZE <= low < high <= 0:
        return 0
    return ((1 << (high - low)) - 1) << (low + FRAME_SIZE)
