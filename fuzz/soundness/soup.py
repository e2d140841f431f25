"""Instructions that merely look alive: any operation on any register that may hold something."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from anybpf.isa.instruction import Instruction
from anybpf.isa.opcodes import ADD, DIV, JEQ, LSH, MOD
from fuzz.soundness.chance import Chance
from fuzz.soundness.grammar import COMPARISONS, CONSTANTS, OPERATIONS, SIZES
from fuzz.soundness.writer import Writer

SOME_HELPERS: Final[list[int]] = [5, 7, 8]


def soup(chance: Chance, type_name: str) -> list[Instruction]:
    """A program of a few instructions: numbers and the stack above all, jumps forward."""
    w = Writer()
    count: i64 = 4 + chance.below(26)
    # Something in most registers.
    pointer: i64 = -1
    i: i64 = 0
    while i < 10:
        kind: i64 = chance.below(6)
        if i == 1 and chance.one_in(2):
            i = i + 1
            continue
        if kind == 0:
            w.call(SOME_HELPERS[chance.below(3)])
            w.move(i if i < 1 or i > 5 else 6, 0)
            if i >= 1 and i <= 5:
                w.move(i, 6)
            # the call took r1 to r5
            j: i64 = 1
            while j < 6 and j <= i:
                w.set(j, chance.below(100))
                j = j + 1
        elif kind == 1:
            w.emit(0x18, i, 0, 0, wide(chance))
        elif kind == 2 and i > 5:
            w.move(i, 10)
            w.alu(ADD, i, -8 * (1 + chance.below(8)))
            pointer = i
        else:
            w.set(i, CONSTANTS[chance.below(len(CONSTANTS))])
        i = i + 1
    out = w.label()
    labels: list[int] = []
    while count > 0:
        count = count - 1
        if labels and chance.one_in(4):
            w.place(labels.pop())
        instruction(chance, w, labels, out, pointer)
    while labels:
        w.place(labels.pop())
    w.place(out)
    w.set(0, chance.below(2))
    w.exit()
    return w.finish()


def wide(chance: Chance) -> i64:
    word = chance.word()
    if word >= 0x8000000000000000:
        return word - 0x10000000000000000
    return word


def any_register(chance: Chance, pointer: i64) -> i64:
    register: i64 = chance.below(10)
    if register == pointer or register == 1:
        return chance.below(10)
    return register


def instruction(chance: Chance, w: Writer, labels: list[int], out: int, pointer: i64) -> None:
    kind: i64 = chance.below(20)
    dst = any_register(chance, pointer)
    src = any_register(chance, pointer)
    wide_one = not chance.one_in(3)
    if kind < 9:
        operation: i64 = OPERATIONS[chance.below(len(OPERATIONS))]
        if chance.one_in(2):
            w.alu_reg(operation, dst, src, wide_one)
            return
        value: i64 = CONSTANTS[chance.below(len(CONSTANTS))]
        if (operation >= LSH and operation <= 0x70) or operation == 0xC0:
            value = chance.below(64 if wide_one else 32)
        elif (operation in (DIV, MOD)) and value == 0:
            value = 1
        w.alu(operation, dst, value, wide_one)
    elif kind < 10:
        signed: i64 = 8 << chance.below(3 if wide_one else 2)
        w.emit(0xBF if wide_one else 0xBC, dst, src, signed, 0)
    elif kind < 11:
        operation = DIV if chance.one_in(2) else MOD
        w.emit(operation | (0x0F if wide_one else 0x0C), dst, src, chance.below(2), 0)
    elif kind < 12:
        w.emit([0xD4, 0xDC, 0xD7][chance.below(3)], dst, 0, 0, 16 << chance.below(3))
    elif kind < 16:
        label = out
        if chance.one_in(2):
            label = w.label()
            labels.append(label)
        comparison: i64 = COMPARISONS[chance.below(len(COMPARISONS))]
        if chance.one_in(2):
            w.jump_reg(comparison, dst, src, label, wide_one)
        else:
            w.jump(comparison, dst, CONSTANTS[chance.below(len(CONSTANTS))], label, wide_one)
    elif kind < 18:
        size: i64 = SIZES[chance.below(4)]
        w.store(size, 10, -8 * (1 + chance.below(8)), src)
    elif kind < 19:
        size = SIZES[chance.below(4)]
        w.load(size, dst, 10, -8 * (1 + chance.below(8)))
    else:
        w.jump(JEQ, dst, 0, out)
