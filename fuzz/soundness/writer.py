"""Puts instructions one behind the other, with labels for what is not there yet."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from anybpf.isa.instruction import Instruction

SIZE_BITS: Final[list[int]] = [0, 0x10, 0x08, 0, 0x00, 0, 0, 0, 0x18]


class Writer:
    """Code in the making. A label is a number; ``place`` says where it is."""

    __slots__ = ("code", "jumps", "labels")

    def __init__(self) -> None:
        self.code: list[Instruction] = []
        self.labels: list[int] = []
        self.jumps: list[tuple[int, int]] = []

    def label(self) -> int:
        self.labels.append(-1)
        return len(self.labels) - 1

    def is_used(self, label: int) -> bool:
        return label in [other for _, other in self.jumps]

    def place(self, label: int) -> None:
        self.labels[label] = len(self.code)

    def emit(self, opcode: i64, dst: i64, src: i64, offset: i64, imm: i64) -> None:
        word: int = imm
        self.code.append(Instruction(int(opcode), int(dst), int(src), int(offset), word))

    def alu(self, operation: i64, dst: i64, imm: i64, wide: bool = True) -> None:
        self.emit(operation | (0x07 if wide else 0x04), dst, 0, 0, imm)

    def alu_reg(self, operation: i64, dst: i64, src: i64, wide: bool = True) -> None:
        self.emit(operation | (0x0F if wide else 0x0C), dst, src, 0, 0)

    def move(self, dst: i64, src: i64) -> None:
        self.emit(0xBF, dst, src, 0, 0)

    def set(self, dst: i64, imm: i64) -> None:
        self.emit(0xB7, dst, 0, 0, imm)

    def load(self, size: i64, dst: i64, src: i64, offset: i64, sign: bool = False) -> None:
        self.emit(SIZE_BITS[size] | (0x81 if sign else 0x61), dst, src, offset, 0)

    def store(self, size: i64, dst: i64, offset: i64, src: i64) -> None:
        self.emit(SIZE_BITS[size] | 0x63, dst, src, offset, 0)

    def store_imm(self, size: i64, dst: i64, offset: i64, imm: i64) -> None:
        self.emit(SIZE_BITS[size] | 0x62, dst, 0, offset, imm)

    def jump(self, operation: i64, dst: i64, imm: i64, label: int, wide: bool = True) -> None:
        self.jumps.append((len(self.code), label))
        self.emit(operation | (0x05 if wide else 0x06), dst, 0, 0, imm)

    def jump_reg(self, operation: i64, dst: i64, src: i64, label: int, wide: bool = True) -> None:
        self.jumps.append((len(self.code), label))
        self.emit(operation | (0x0D if wide else 0x0E), dst, src, 0, 0)

    def goto(self, label: int) -> None:
        self.jumps.append((len(self.code), label))
        self.emit(0x05, 0, 0, 0, 0)

    def call(self, helper: i64) -> None:
        self.emit(0x85, 0, 0, 0, helper)

    def call_local(self, label: int) -> None:
        self.jumps.append((len(self.code), label))
        self.emit(0x85, 0, 1, 0, 0)

    def load_function(self, dst: i64, label: int) -> None:
        self.jumps.append((len(self.code), label))
        self.emit(0x18, dst, 4, 0, 0)

    def load_map(self, dst: i64, name: str) -> None:
        self.emit(0x18, dst, 1, 0, 0)
        self.code[len(self.code) - 1].map_name = name

    def load_value(self, dst: i64, name: str, offset: i64) -> None:
        self.emit(0x18, dst, 2, 0, offset * 0x100000000)
        self.code[len(self.code) - 1].map_name = name

    def exit(self) -> None:
        self.emit(0x95, 0, 0, 0, 0)

    def finish(self) -> list[Instruction]:
        """The code, its jumps resolved."""
        starts: list[int] = []
        at: int = 0
        for insn in self.code:
            starts.append(at)
            at += 2 if insn.opcode == 0x18 else 1
        starts.append(at)
        for index, label in self.jumps:
            insn = self.code[index]
            distance: int = starts[self.labels[label]] - starts[index] - 1
            if insn.opcode == 0x85 or insn.opcode == 0x18:
                insn.imm = distance if insn.opcode == 0x85 else distance & 0xFFFFFFFF
            else:
                insn.offset = distance
        return self.code
