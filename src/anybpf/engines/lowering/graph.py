"""Functions and blocks of a program, as compiled code has them; in what order blocks are looked at.

The verifier has a graph of its own, with what it needs; this one also stands for programs that come
without a proof.
"""

from __future__ import annotations

from typing import Final

from anybpf.engines.lowering.source import Source
from anybpf.errors import NotSupported
from anybpf.isa import Instruction
from anybpf.isa import opcodes as op
from anybpf.verifier.facts import FALLTHROUGH, TAKEN

NOWHERE: Final = -1


class Block:
    """Instructions ``first`` to ``last``, run one after the other.

    ``falls`` and ``jumps`` are the blocks that follow by number, or NOWHERE; of a branch that
    always goes one way the other is NOWHERE.
    """

    __slots__ = ("falls", "first", "jumps", "last", "number")

    def __init__(self, number: int, first: int, last: int) -> None:
        self.number: int = number
        self.first: int = first
        self.last: int = last
        self.falls: int = NOWHERE
        self.jumps: int = NOWHERE

    @property
    def successors(self) -> list[int]:
        return [number for number in (self.falls, self.jumps) if number != NOWHERE]


class Function:
    """One function: its blocks in the order of the code, the first being the entry.

    ``calls`` are the instructions that call a function of the program, with that function's
    number. ``is_value``: somebody has its address, to call it back.
    """

    __slots__ = ("blocks", "calls", "first", "is_value", "last", "number", "slot")

    def __init__(self, number: int, slot: int, first: int, last: int) -> None:
        self.number: int = number
        self.slot: int = slot
        self.first: int = first
        self.last: int = last
        self.blocks: list[Block] = []
        self.calls: dict[int, int] = {}
        self.is_value: bool = False

    def indexes(self) -> range:
        return range(self.first, self.last + 1)


def jump_target(source: Source, index: int) -> int:
    """The slot that a jump goes to."""
    insn = source.instructions[index]
    distance = insn.imm if insn.opcode == op.GOTO_LONG else insn.offset
    return source.slots[index] + 1 + distance


def is_jump(insn: Instruction) -> bool:
    cls = insn.opcode & op.CLASS_MASK
    return cls in (op.JMP, op.JMP32) and insn.opcode not in (
        op.CALL_IMM,
        op.CALL_REG,
        op.EXIT_INSN,
    )


def functions_of(source: Source) -> list[Function]:
    """The functions, in the order of the code; the entry is the first."""
    starts = {0}
    values = set()
    for index, insn in enumerate(source.instructions):
        is_call = insn.opcode == op.CALL_IMM and insn.src == op.CALL_LOCAL
        is_value = insn.opcode == op.LD_IMM64 and insn.src == op.PSEUDO_FUNCTION
        if is_call or is_value:
            slot = source.slots[index] + 1 + (insn.low if is_value else insn.imm)
            if slot not in source.index_of:
                raise refused(source, "a call into an instruction")
            starts.add(slot)
            if is_value:
                values.add(slot)
    ordered = sorted(starts)
    numbers = {slot: number for number, slot in enumerate(ordered)}
    functions = []
    for number, slot in enumerate(ordered):
        last = len(source.instructions) - 1
        if number + 1 < len(ordered):
            last = source.index_of[ordered[number + 1]] - 1
        function = Function(number, slot, source.index_of[slot], last)
        function.is_value = slot in values
        functions.append(function)
    for function in functions:
        _blocks(source, function)
        for index in function.indexes():
            insn = source.instructions[index]
            if insn.opcode == op.CALL_IMM and insn.src == op.CALL_LOCAL and source.reached(index):
                function.calls[index] = numbers[source.slots[index] + 1 + insn.imm]
    return functions


def refused(source: Source, what: str) -> NotSupported:
    """Code that only the interpreter runs; no compiler writes any."""
    return NotSupported(f"program {source.name}: {what}", where="the compiler; interpret it")


def _blocks(source: Source, function: Function) -> None:
    leaders = {function.first}
    for index in function.indexes():
        insn = source.instructions[index]
        if is_jump(insn):
            leaders.add(_inside(source, function, jump_target(source, index)))
        if is_jump(insn) or insn.opcode == op.EXIT_INSN:
            leaders.add(index + 1)
    leaders.discard(function.last + 1)
    ordered = sorted(leaders)
    number_of = {index: number for number, index in enumerate(ordered)}
    for number, first in enumerate(ordered):
        last = ordered[number + 1] - 1 if number + 1 < len(ordered) else function.last
        block = Block(number, first, last)
        function.blocks.append(block)
        insn = source.instructions[last]
        if insn.opcode == op.EXIT_INSN:
            continue
        way = source.facts.branches.get(last, "")
        if not is_jump(insn):
            block.falls = _next(source, function, number_of, last)
            continue
        target = number_of[_inside(source, function, jump_target(source, last))]
        if insn.opcode in (op.GOTO, op.GOTO_LONG):
            block.jumps = target
            continue
        if way != FALLTHROUGH:
            block.jumps = target
        if way != TAKEN:
            block.falls = _next(source, function, number_of, last)


def _inside(source: Source, function: Function, slot: int) -> int:
    index = source.index_of.get(slot, -1)
    if not function.first <= index <= function.last:
        raise refused(source, "a jump from one function to another")
    return index


def _next(source: Source, function: Function, number_of: dict[int, int], last: int) -> int:
    if last >= function.last:
        raise refused(source, "a function that has no end")
    return number_of[last + 1]


def reachable(function: Function) -> list[Block]:
    """Blocks that can be come to, each after one that leads to it, loops aside."""
    seen = {0}
    order: list[Block] = []
    # Reverse post-order, without recursion: functions may have thousands of blocks.
    stack: list[tuple[Block, int]] = [(function.blocks[0], 0)]
    while stack:
        block, turn = stack.pop()
        successors = block.successors
        if turn < len(successors):
            stack.append((block, turn + 1))
            following = successors[turn]
            if following not in seen:
                seen.add(following)
                stack.append((function.blocks[following], 0))
        else:
            order.append(block)
    order.reverse()
    return order
