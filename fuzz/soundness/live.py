"""What is surely still read: registers, and slots of the own frame that are read by their offset.

A verifier may forget, or never look again at, what nothing reads any more: states are only held to
what is named here. Errs on the side of naming too little; what is forgotten too early shows as soon
as it is read.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from fuzz.soundness.code import Code
from fuzz.soundness.scene import Scene

ALL_REGISTERS: Final = 0x7FF
ALL_SLOTS: Final = (1 << 64) - 1
SIZES: Final[list[int]] = [4, 2, 1, 8]


class Live:
    """``registers`` and ``slots``: a bit for each, before each instruction."""

    __slots__ = ("registers", "slots")

    def __init__(self, code: Code, scene: Scene) -> None:
        count: int = code.count
        self.registers: list[int] = [0] * (count + 1)
        self.slots: list[int] = [0] * (count + 1)
        reads: list[int] = []
        kills: list[int] = []
        slot_reads: list[int] = []
        slot_kills: list[int] = []
        for pc in range(count):
            read, kill = effects(code, scene, pc)
            reads.append(read)
            kills.append(kill)
            slot_read, slot_kill = slot_effects(code, pc)
            slot_reads.append(slot_read)
            slot_kills.append(slot_kill)
        changed = True
        while changed:
            changed = False
            for pc in range(count - 1, -1, -1):
                registers = 0
                slots = 0
                for after in successors(code, pc):
                    registers |= self.registers[after]
                    slots |= self.slots[after]
                registers = registers & ~kills[pc] | reads[pc]
                slots = slots & ~slot_kills[pc] | slot_reads[pc]
                if registers != self.registers[pc] or slots != self.slots[pc]:
                    self.registers[pc] = registers
                    self.slots[pc] = slots
                    changed = True


def goes_back(code: Code) -> bool:
    """Whether there is a loop, or a helper that makes one."""
    for pc in range(int(code.count)):
        opcode = code.opcode[pc]
        target = code.target[pc]
        if opcode == 0x18 and target >= 0:
            return True
        if opcode != 0x85 and 0 <= target <= pc:
            return True
    return False


def successors(code: Code, pc: int) -> list[int]:
    opcode: int = code.opcode[pc]
    group = opcode & 7
    after = pc + 1
    if group not in (5, 6):
        return [after]
    operation = opcode & 0xF0
    if operation == 0x90:
        return []
    if operation == 0x80:
        return [after]
    target: int = code.target[pc]
    if target < 0:
        target = int(code.count)
    if operation == 0x00:
        return [target]
    return [after, target]


def effects(code: Code, scene: Scene, pc: int) -> tuple[int, int]:
    """Registers that the instruction reads and that it overwrites."""
    opcode: int = code.opcode[pc]
    group = opcode & 7
    dst = 1 << code.dst[pc]
    src = 1 << code.src[pc]
    if group in (4, 7):
        operation = opcode & 0xF0
        if operation == 0xB0:
            return (src if opcode & 8 else 0), dst
        if operation in (0x80, 0xD0):
            return dst, dst
        return (dst | src if opcode & 8 else dst), dst
    if group in (5, 6):
        operation = opcode & 0xF0
        if operation == 0x90:
            return 0, ALL_REGISTERS
        if operation in (0x00, 0xE0):
            return 0, 0
        if operation == 0x80:
            read = 0
            if code.src[pc] == 0:
                row = scene.row(code.imm[pc])
                if row is not None:
                    read = (1 << len(row.args)) - 1 << 1
            return read, 0x3F
        return (dst | src if opcode & 8 else dst), 0
    if group == 1:
        return src, dst
    if group == 2:
        return dst, 0
    if group == 3:
        return dst | src, 0
    if opcode == 0x18:
        return 0, dst
    return (1 << 6 | src if opcode & 0xE0 == 0x40 else 1 << 6), 0x3F


def slot_effects(code: Code, pc: int) -> tuple[int, int]:
    """Slots of the frame that the instruction reads, and that it overwrites whole."""
    opcode: int = code.opcode[pc]
    group = opcode & 7
    if group == 1 and code.src[pc] == 10:
        return slots_at(code.offset[pc], SIZES[opcode >> 3 & 3]), 0
    if group == 3 and code.dst[pc] == 10 and opcode & 0xE0 == 0xC0:
        return slots_at(code.offset[pc], SIZES[opcode >> 3 & 3]), 0
    if (
        group in (2, 3)
        and code.dst[pc] == 10
        and code.offset[pc] % 8 == 0
        and opcode & 0x18 == 0x18
    ):
        return 0, slots_at(code.offset[pc], 8)
    if opcode & 0xF7 == 0x95:
        return 0, ALL_SLOTS
    return 0, 0


def slots_at(offset: int, size: int) -> int:
    first = offset + 512
    if first < 0 or first + size > 512:
        return 0
    found = 1 << (first >> 3)
    return found | 1 << (first + size - 1 >> 3)


def everything(count: i64) -> tuple[list[int], list[int]]:
    """As if all were read again."""
    number: int = count
    return [ALL_REGISTERS] * (number + 1), [ALL_SLOTS] * (number + 1)
