"""Whether a function may read bytes of its frame that nothing has written.

What such bytes hold does not matter to a program, but to a compiler it must hold something. A
forward pass over the function: which bytes are written on every way. Doubt counts as a read of
what was not written.
"""

from __future__ import annotations

from typing import Final

from anybpf.engines.lowering.graph import Block
from anybpf.engines.lowering.plan import ARRAY_LOOKUP, FRAME_SIZE, LOCAL, FunctionPlan
from anybpf.engines.lowering.source import Source
from anybpf.isa import Instruction
from anybpf.isa import opcodes as op

# Of a register: how far from the end of the frame it leads, or that this is not known.
_UNKNOWN: Final = 1 << 40
_ARRAY_KEY: Final = 4


class _State:
    """``places`` of r0 to r10; ``written`` has a bit for each byte of the frame."""

    __slots__ = ("places", "written")

    def __init__(self, places: list[int], written: int) -> None:
        self.places: list[int] = places
        self.written: int = written

    def copy(self) -> _State:
        return _State(list(self.places), self.written)

    def join(self, other: _State) -> bool:
        """What holds in both; whether that is less than before."""
        written = self.written & other.written
        places = [a if a == b else _UNKNOWN for a, b in zip(self.places, other.places, strict=True)]
        if written == self.written and places == self.places:
            return False
        self.written, self.places = written, places
        return True


def reads_unwritten(source: Source, one: FunctionPlan) -> bool:
    """The pass."""
    by_number = {block.number: block for block in one.blocks}
    first = one.blocks[0].number
    entry = {first: _State([_UNKNOWN] * op.FRAME_POINTER + [0], 0)}
    todo = [first]
    while todo:
        block = by_number[todo.pop()]
        state = entry[block.number].copy()
        _through(source, one, block, state)
        for number in block.successors:
            known = entry.get(number)
            if known is None:
                entry[number] = state.copy()
                todo.append(number)
            elif known.join(state):
                todo.append(number)
    return any(_through(source, one, by_number[n], state.copy()) for n, state in entry.items())


def _through(source: Source, one: FunctionPlan, block: Block, state: _State) -> bool:
    """Whether the block reads what was not written."""
    reads = False
    for index in range(block.first, block.last + 1):
        insn = source.instructions[index]
        reads = _reads(one, index, insn, state) or reads
        _step(source, one, index, insn, state)
    return reads


def _leads_into_frame(one: FunctionPlan, index: int, register: int) -> bool:
    return bool(one.pointers.frame.get(index, 0) >> register & 1)


def _reads(one: FunctionPlan, index: int, insn: Instruction, state: _State) -> bool:
    cls = insn.opcode & op.CLASS_MASK
    if cls == op.LDX and _leads_into_frame(one, index, insn.src):
        size = op.SIZES[insn.opcode & op.SIZE_MASK]
        return not _is_written(state, insn.src, insn.offset, size)
    if cls == op.STX and insn.opcode & op.MODE_MASK == op.ATOMIC:
        return _leads_into_frame(one, index, insn.dst) or _leads_into_frame(one, index, insn.src)
    call = one.calls.get(index)
    if call is not None and call.kind == ARRAY_LOOKUP and _leads_into_frame(one, index, 2):
        return not _is_written(state, 2, 0, _ARRAY_KEY)
    if call is not None and call.kind == LOCAL:
        return any(_leads_into_frame(one, index, register) for register in range(1, 6))
    return False


def _is_written(state: _State, register: int, offset: int, size: int) -> bool:
    bits = _bits(state.places[register] + offset, size)
    return bits != 0 and bits & ~state.written == 0


def _bits(place: int, size: int) -> int:
    """The bytes, as bits; 0 if they are not all inside the frame."""
    if not -FRAME_SIZE <= place <= -size:
        return 0
    return ((1 << size) - 1) << (place + FRAME_SIZE)


def _step(source: Source, one: FunctionPlan, index: int, insn: Instruction, state: _State) -> None:
    cls = insn.opcode & op.CLASS_MASK
    if cls in (op.ALU64, op.ALU):
        _compute(cls, insn, state)
    elif cls in (op.ST, op.STX) and not (cls == op.STX and insn.opcode & op.MODE_MASK == op.ATOMIC):
        size = op.SIZES[insn.opcode & op.SIZE_MASK]
        state.written |= _bits(state.places[insn.dst] + insn.offset, size)
    elif cls in (op.LDX, op.LD):
        state.places[insn.dst if cls == op.LDX or insn.opcode == op.LD_IMM64 else 0] = _UNKNOWN
    elif cls == op.STX:
        for register in (0, insn.src, insn.dst):
            if register != op.FRAME_POINTER:
                state.places[register] = _UNKNOWN
    elif index in one.calls:
        for register in range(6):
            state.places[register] = _UNKNOWN


def _compute(cls: int, insn: Instruction, state: _State) -> None:
    operation = insn.opcode & op.OP_MASK
    place = _UNKNOWN
    if cls == op.ALU64 and insn.opcode & op.X:
        if operation == op.MOV and insn.offset == 0:
            place = state.places[insn.src]
    elif cls == op.ALU64 and operation in (op.ADD, op.SUB):
        place = state.places[insn.dst]
        if place != _UNKNOWN:
            place += insn.imm if operation == op.ADD else -insn.imm
    state.places[insn.dst] = place
