"""Which registers hold pointers, and which of them may lead into the function's own frame.

A forward pass over each function. It finds what compiled code can treat as a typed pointer, which
map a call works on, and whether the frame's address gets out of sight: what is safe was proved
before, so that a pointer missed here costs speed and nothing else, but for the frame, where doubt
counts as an escape.
"""

from __future__ import annotations

from typing import Final

from anybpf.engines.lowering.graph import Block, Function, reachable
from anybpf.engines.lowering.source import Source
from anybpf.isa import Instruction
from anybpf.isa import opcodes as op

# What a register may hold, as bits; above them, one more than the index of the map that it is, or
# for addresses in the frame how far they lie above its begin, plus one; 0 is for what is not known.
NUMBER: Final = 1
POINTER: Final = 2
FRAME: Final = 4  # a pointer into this function's frame
KINDS: Final = 7
_MORE: Final = 3
FRAME_SIZE: Final = 512

State = list[int]


class Pointers:
    """What is known before each instruction of a function that can be reached.

    ``typed`` has a bit for each register that holds a pointer on every way there, ``frame`` one for
    each that may lead into the frame, ``maps`` the map that r1 is at a call. ``places`` has, for
    accesses through an address in the frame that is the same each time, where it is: below 0, from
    the frame's end. ``spills``: the frame's address is stored somewhere, or computed with as a
    number. ``at_call`` has r0 to r10 before each call.
    """

    __slots__ = ("at_call", "frame", "maps", "places", "spills", "typed")

    def __init__(self) -> None:
        self.typed: dict[int, int] = {}
        self.frame: dict[int, int] = {}
        self.maps: dict[int, int] = {}
        self.places: dict[int, int] = {}
        self.at_call: dict[int, State] = {}
        self.spills: bool = False


def is_typed(value: int) -> bool:
    """Whether it is a pointer for sure."""
    return value & NUMBER == 0 and value & (POINTER | FRAME) != 0


def map_of(value: int) -> int:
    """The map that it is for sure, or -1."""
    return -1 if value & FRAME else (value >> _MORE) - 1


def place_of(value: int) -> int | None:
    """Where in the frame it points to for sure, from the frame's end; else None."""
    if value & KINDS != FRAME or value >> _MORE == 0:
        return None
    return (value >> _MORE) - 1 - FRAME_SIZE


def frame_address(place: int) -> int:
    """The value of an address there."""
    if -FRAME_SIZE <= place <= 0:
        return FRAME | (place + FRAME_SIZE + 1) << _MORE
    return FRAME


def join(a: int, b: int) -> int:
    if a == b:
        return a
    same = a >> _MORE == b >> _MORE and (a ^ b) & FRAME == 0
    return (a & KINDS) | (b & KINDS) | ((a >> _MORE << _MORE) if same else 0)


def find(source: Source, function: Function, parameters: State) -> Pointers:
    """The pass; ``parameters`` are r0 to r10 as the function is entered."""
    found = Pointers()
    order = reachable(function)
    place = {block.number: position for position, block in enumerate(order)}
    entry: dict[int, State] = {0: list(parameters)}
    todo = {0}
    while todo:
        position = min(todo)
        todo.discard(position)
        block = order[position]
        state = list(entry[block.number])
        _through(source, function, block, state, None)
        for number in block.successors:
            known = entry.get(number)
            if known is None:
                entry[number] = list(state)
                todo.add(place[number])
                continue
            joined = [join(a, b) for a, b in zip(known, state, strict=True)]
            if joined != known:
                entry[number] = joined
                todo.add(place[number])
    for block in order:
        _through(source, function, block, list(entry[block.number]), found)
    return found


def _through(
    source: Source, function: Function, block: Block, state: State, found: Pointers | None
) -> None:
    for index in range(block.first, block.last + 1):
        insn = source.instructions[index]
        if found is not None:
            typed = frame = 0
            for register, value in enumerate(state):
                if is_typed(value):
                    typed |= 1 << register
                if value & FRAME:
                    frame |= 1 << register
            found.typed[index] = typed
            found.frame[index] = frame
            if insn.opcode in (op.CALL_IMM, op.CALL_REG):
                found.maps[index] = map_of(state[1])
                found.at_call[index] = list(state)
            cls = insn.opcode & op.CLASS_MASK
            if cls in (op.LDX, op.ST, op.STX):
                loads = cls == op.LDX or (
                    insn.opcode & op.MODE_MASK == op.ATOMIC and insn.imm == op.LOAD_ACQUIRE
                )
                place = place_of(state[insn.src if loads else insn.dst])
                if place is not None:
                    found.places[index] = place + insn.offset
            if _spills(insn, state):
                found.spills = True
        _step(source, index, insn, state)


def _spills(insn: Instruction, state: State) -> bool:
    """Whether the frame's address leaves the registers, or becomes a number."""
    cls = insn.opcode & op.CLASS_MASK
    if cls == op.STX:
        return bool(state[insn.src] & FRAME)
    if cls in (op.ALU, op.ALU64):
        operation = insn.opcode & op.OP_MASK
        if operation == op.MOV:
            narrows = cls == op.ALU or insn.offset != 0
            return bool(insn.opcode & op.X and narrows and state[insn.src] & FRAME)
        used = state[insn.dst]
        if insn.opcode & op.X:
            used |= state[insn.src]
        return bool(used & FRAME) and (cls == op.ALU or operation not in (op.ADD, op.SUB))
    return insn.opcode == op.CALL_REG and any(state[r] & FRAME for r in range(1, 6))


def _step(source: Source, index: int, insn: Instruction, state: State) -> None:
    cls = insn.opcode & op.CLASS_MASK
    if cls == op.ALU64:
        _compute(insn, state)
    elif cls == op.ALU:
        state[insn.dst] = NUMBER
    elif cls == op.LDX:
        state[insn.dst] = POINTER if index in source.pointers else NUMBER
    elif insn.opcode == op.LD_IMM64:
        if insn.src == op.PSEUDO_MAP_VALUE:
            state[insn.dst] = POINTER
        elif insn.src == op.PSEUDO_MAP_FD:
            state[insn.dst] = NUMBER | (insn.imm + 1) << _MORE
        else:
            state[insn.dst] = NUMBER
    elif cls == op.LD:
        state[0] = NUMBER
    elif cls == op.STX and insn.opcode & op.MODE_MASK == op.ATOMIC:
        if insn.imm == op.ATOMIC_CMPXCHG:
            state[0] = NUMBER
        elif insn.imm == op.LOAD_ACQUIRE:
            state[insn.dst] = NUMBER
        elif insn.imm & op.FETCH:
            state[insn.src] = NUMBER
    elif insn.opcode in (op.CALL_IMM, op.CALL_REG):
        gives = insn.opcode == op.CALL_IMM and insn.src == op.CALL_HELPER
        state[0] = POINTER if gives and insn.imm in source.returning else NUMBER
        for register in range(1, 6):
            state[register] = NUMBER


def _compute(insn: Instruction, state: State) -> None:
    operation = insn.opcode & op.OP_MASK
    dst = state[insn.dst]
    if operation == op.MOV:
        copies = insn.opcode & op.X and insn.offset == 0
        state[insn.dst] = state[insn.src] if copies else NUMBER
        return
    src = state[insn.src] if insn.opcode & op.X else NUMBER
    place = place_of(dst)
    if place is not None and not insn.opcode & op.X and operation in (op.ADD, op.SUB):
        state[insn.dst] = frame_address(place + (insn.imm if operation == op.ADD else -insn.imm))
        return
    if operation == op.ADD:
        if is_typed(dst) and not is_typed(src):
            state[insn.dst] = dst & KINDS | (src & FRAME)
            return
        if is_typed(src) and not is_typed(dst):
            state[insn.dst] = src & KINDS | (dst & FRAME)
            return
    elif operation == op.SUB and is_typed(dst) and not is_typed(src):
        state[insn.dst] = dst & KINDS | (src & FRAME)
        return
    state[insn.dst] = NUMBER | ((dst | src) & FRAME)
