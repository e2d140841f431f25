"""A program as the machine runs it: the fields of each instruction and where its jumps lead."""

from __future__ import annotations

from mypy_extensions import i64

from anybpf.isa.instruction import Instruction


class Code:
    """The instructions by index; jumps and calls are resolved from slots to indexes.

    ``target`` is -1 where an instruction leads nowhere, and an index that does not exist where it
    leads astray: the machine notices when it gets there.
    """

    __slots__ = (
        "count",
        "dst",
        "imm",
        "instructions",
        "map_names",
        "offset",
        "opcode",
        "src",
        "target",
    )

    def __init__(self, instructions: list[Instruction]) -> None:
        self.instructions: list[Instruction] = instructions
        self.count: i64 = len(instructions)
        self.opcode: list[int] = []
        self.dst: list[int] = []
        self.src: list[int] = []
        self.offset: list[int] = []
        self.imm: list[int] = []
        self.target: list[int] = []
        self.map_names: list[str] = []
        starts: list[int] = []  # the slot of each instruction
        index_at: list[int] = []  # the instruction at each slot, -2 inside a 16-byte load
        at: int = 0
        for insn in instructions:
            opcode: int = insn.opcode
            starts.append(at)
            index_at.append(len(starts) - 1)
            at += 1
            if opcode == 0x18:
                index_at.append(-2)
                at += 1
            self.opcode.append(opcode)
            self.dst.append(insn.dst)
            self.src.append(insn.src)
            self.offset.append(insn.offset)
            self.imm.append(insn.imm)
            meta = insn.meta
            self.map_names.append("" if meta is None else meta.map_name)
        for number, insn in enumerate(instructions):
            opcode = insn.opcode
            distance: int = 0
            leads = False
            low = opcode & 0x07
            if low == 5 or low == 6:
                operation = opcode & 0xF0
                if opcode == 0x06:
                    distance = insn.imm
                    leads = True
                elif opcode == 0x85:
                    distance = insn.imm
                    leads = insn.src == 1
                elif operation != 0x90 and operation != 0x80:
                    distance = insn.offset
                    leads = True
            elif opcode == 0x18 and insn.src == 4:
                distance = insn.imm
                if distance >= 0x80000000:
                    distance -= 0x100000000
                leads = True
            if leads:
                slot: int = starts[number] + 1 + distance
                if 0 <= slot < at:
                    self.target.append(index_at[slot])
                else:
                    self.target.append(-2)
            else:
                self.target.append(-1)
