"""Rotations that compilers for BPF take apart, found again.

BPF has no rotation, so ``(x * C) << n | (x * C) >> (w - n)`` comes as a product with ``C << n``, a
second product with ``C`` that is shifted, and an OR. That is two multiplications for one and hides
the rotation from every compiler behind us; hashes consist of little else. Plain rotations, without
the product, need no help.
"""

from __future__ import annotations

from typing import Final

from anybpf.engines.lowering.graph import Block
from anybpf.engines.lowering.source import Source
from anybpf.isa import opcodes as op

# What a register holds: value number, factor, bits that it was shifted right, where, and width.
_Held = tuple[int, int, int, int, int]
_PLAIN: Final = (1, 0, -1, 0)


class Rotation:
    """An OR that is the rotation to the left, by ``amount``, of what is shifted at ``shift``."""

    __slots__ = ("amount", "shift", "width")

    def __init__(self, shift: int, amount: int, width: int) -> None:
        self.shift: int = shift
        self.amount: int = amount
        self.width: int = width


def find(source: Source, blocks: list[Block]) -> dict[int, Rotation]:
    """Such ORs by instruction. Both products are made in the OR's block."""
    found: dict[int, Rotation] = {}
    for block in blocks:
        _search(source, block, found)
    return found


def _search(source: Source, block: Block, found: dict[int, Rotation]) -> None:
    next_value = op.REGISTERS
    held: list[_Held] = [(register, *_PLAIN) for register in range(op.REGISTERS)]
    constants: dict[int, int] = {}  # by register
    for index in range(block.first, block.last + 1):
        insn = source.instructions[index]
        cls = insn.opcode & op.CLASS_MASK
        dst = insn.dst
        known = constants.get(insn.src) if insn.opcode & op.X else insn.imm
        operation = insn.opcode & op.OP_MASK
        width = 64 if cls == op.ALU64 else 32
        value, factor, shifted, where, of_width = held[dst]
        after: _Held | None = None
        constant: int | None = None
        if cls in (op.ALU64, op.ALU) and (operation == op.MOV or of_width in (0, width)):
            mask = (1 << width) - 1
            if operation == op.MOV and insn.opcode & op.X and insn.offset == 0:
                after, constant = held[insn.src], constants.get(insn.src)
                if width == 32:  # of what had no width, the low half is meant from here on
                    after = (*after[:4], 32) if after[4] != 64 else None
                    constant = None if constant is None else constant & mask
            elif operation == op.MOV and not insn.opcode & op.X:
                constant = insn.imm if width == 64 else insn.imm & mask
            elif operation == op.MUL and known is not None and shifted == 0 and where < 0:
                after = (value, factor * known & mask, 0, -1, width)
            elif operation == op.RSH and not insn.opcode & op.X and shifted == 0 and of_width:
                after = (value, factor, insn.imm & (width - 1), index, width)
            elif operation == op.OR and insn.opcode & op.X:
                rotation = _rotation(held[dst], held[insn.src], width)
                if rotation is not None:
                    found[index] = rotation
        elif insn.opcode == op.LD_IMM64 and insn.src == 0:
            constant = insn.imm
        for register in _written(insn.opcode, dst, insn.src, insn.imm):
            constants.pop(register, None)
            held[register] = (next_value, *_PLAIN)
            next_value += 1
        if after is not None:
            held[dst] = after
        if constant is not None:
            constants[dst] = constant


def _rotation(a: _Held, b: _Held, width: int) -> Rotation | None:
    for high, low in ((a, b), (b, a)):
        same = high[0] == low[0] and high[4] == low[4] == width
        if same and high[2] == 0 and low[2] > 0 and low[3] >= 0:
            amount = width - low[2]
            if high[1] == (low[1] << amount) & ((1 << width) - 1):
                return Rotation(low[3], amount, width)
    return None


def _written(opcode: int, dst: int, src: int, imm: int) -> tuple[int, ...]:
    """The registers that an instruction changes."""
    cls = opcode & op.CLASS_MASK
    if cls in (op.ALU, op.ALU64, op.LDX) or opcode == op.LD_IMM64:
        return (dst,)
    if cls == op.LD:
        return (0,)
    if opcode in (op.CALL_IMM, op.CALL_REG):
        return (0, 1, 2, 3, 4, 5)
    if cls == op.STX and opcode & op.MODE_MASK == op.ATOMIC:
        return (0, src, dst)
    return ()
