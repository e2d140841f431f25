"""Registers and what is computed with them.

Registers are slots on the machine stack, which the first pass of LLVM turns into values. One that
may be a pointer has two, a number and a pointer; whoever is not read costs nothing.
"""

from __future__ import annotations

from typing import Final

from anybpf.engines.lowering.llvm.text import Text
from anybpf.isa import Instruction
from anybpf.isa import opcodes as op

_OP_SIZE: Final = 16  # of struct anybpf_op: values of functions are places in an array of these
_SIMPLE: Final = {
    op.ADD: "add", op.SUB: "sub", op.MUL: "mul", op.OR: "or", op.AND: "and", op.XOR: "xor",
}  # fmt: skip
_SHIFTS: Final = {op.LSH: "shl", op.RSH: "lshr", op.ARSH: "ashr"}
_COMPARE: Final = {
    op.JEQ: "eq", op.JNE: "ne", op.JGT: "ugt", op.JGE: "uge", op.JLT: "ult", op.JLE: "ule",
    op.JSGT: "sgt", op.JSGE: "sge", op.JSLT: "slt", op.JSLE: "sle",
}  # fmt: skip


class Values(Text):
    """Instructions that change registers and nothing else."""

    def number(self, register: int) -> str:
        if register == op.FRAME_POINTER:
            return self.value("ptrtoint ptr %r10p to i64")
        return self.value(f"load i64, ptr %r{register}")

    def narrow(self, register: int) -> str:
        return self.value(f"trunc i64 {self.number(register)} to i32")

    def is_typed(self, register: int) -> bool:
        return bool(self.one.pointers.typed.get(self.index, 0) >> register & 1)

    def pointer(self, register: int) -> str:
        if register == op.FRAME_POINTER:
            return "%r10p"
        if self.is_typed(register):
            return self.value(f"load ptr, ptr %p{register}")
        return self.value(f"inttoptr i64 {self.number(register)} to ptr")

    def set(self, register: int, value: str) -> None:
        self.emit(f"store i64 {value}, ptr %r{register}")

    def set_narrow(self, register: int, value: str) -> None:
        self.set(register, self.value(f"zext i32 {value} to i64"))

    def set_pointer(self, register: int, value: str) -> None:
        self.emit(f"store ptr {value}, ptr %p{register}")
        self.set(register, self.value(f"ptrtoint ptr {value} to i64"))

    def widened(self, kind: str, value: str) -> str:
        return value if kind == "i64" else self.value(f"zext {kind} {value} to i64")

    def wide(self, insn: Instruction) -> None:
        operation = insn.opcode & op.OP_MASK
        dst, src = insn.dst, insn.src
        from_register = bool(insn.opcode & op.X)
        if operation == op.MOV and from_register:
            self.move(insn)
            return
        if operation == op.MOV:
            self.set(dst, str(insn.imm))
            return
        if operation == op.END:
            self.swap(insn, True)
            return
        b = self.number(src) if from_register else str(insn.imm)
        if operation in (op.ADD, op.SUB) and self.offset_pointer(insn, operation, b):
            return
        self.set(dst, self.compute(operation, "i64", self.number(dst), b, insn))

    def offset_pointer(self, insn: Instruction, operation: int, b: str) -> bool:
        """A sum with a pointer in it, if that is what this is."""
        dst, src = insn.dst, insn.src
        typed_dst = self.is_typed(dst)
        typed_src = bool(insn.opcode & op.X) and self.is_typed(src)
        if typed_dst == typed_src or (operation == op.SUB and typed_src):
            return False
        base = self.pointer(dst if typed_dst else src)
        distance = b if typed_dst else self.number(dst)
        if operation == op.SUB:
            distance = self.value(f"sub i64 0, {distance}")
        self.set_pointer(dst, self.value(f"getelementptr i8, ptr {base}, i64 {distance}"))
        return True

    def move(self, insn: Instruction) -> None:
        dst, src = insn.dst, insn.src
        if insn.offset == 0:
            if self.is_typed(src):
                self.set_pointer(dst, self.pointer(src))
            else:
                self.set(dst, self.number(src))
        elif insn.offset == op.ADDRESS_SPACE_CAST:
            to_user = 0 if insn.imm == 1 else 1
            self.set(dst, self.value(self.runtime(
                "anybpf_native_cast", f"ptr %run, i64 {self.number(src)}, i32 {to_user}"
            )))  # fmt: skip
        else:
            cut = self.value(f"trunc i64 {self.number(src)} to i{insn.offset}")
            self.set(dst, self.value(f"sext i{insn.offset} {cut} to i64"))

    def half(self, insn: Instruction) -> None:
        operation = insn.opcode & op.OP_MASK
        if operation == op.END:
            self.swap(insn, False)
            return
        from_register = bool(insn.opcode & op.X)
        if operation == op.MOV and from_register and insn.offset != 0:
            cut = self.value(f"trunc i64 {self.number(insn.src)} to i{insn.offset}")
            self.set_narrow(insn.dst, self.value(f"sext i{insn.offset} {cut} to i32"))
            return
        b = self.narrow(insn.src) if from_register else str(insn.imm)
        if operation == op.MOV:
            self.set_narrow(insn.dst, b)
            return
        self.set_narrow(insn.dst, self.compute(operation, "i32", self.narrow(insn.dst), b, insn))

    def compute(self, operation: int, kind: str, a: str, b: str, insn: Instruction) -> str:
        rotation = self.one.rotations.get(self.index)
        if rotation is not None:
            self.intrinsic(f"declare {kind} @llvm.fshl.{kind}({kind}, {kind}, {kind})")
            rotated = f"{kind} {self.before_shift[rotation.shift]}"
            amount = f"{kind} {rotation.amount}"
            return self.value(f"call {kind} @llvm.fshl.{kind}({rotated}, {rotated}, {amount})")
        if operation == op.RSH:
            self.before_shift[self.index] = a
        simple = _SIMPLE.get(operation)
        if simple is not None:
            return self.value(f"{simple} {kind} {a}, {b}")
        if operation == op.NEG:
            return self.value(f"sub {kind} 0, {a}")
        if operation in _SHIFTS:
            most = 63 if kind == "i64" else 31
            if insn.opcode & op.X:
                b = self.value(f"and {kind} {b}, {most}")
            else:
                b = str(insn.imm & most)
            return self.value(f"{_SHIFTS[operation]} {kind} {a}, {b}")
        return self.divide(operation == op.MOD, insn.offset == 1, kind, a, b)

    def divide(self, rest: bool, signed: bool, kind: str, a: str, b: str) -> str:
        """By zero: 0, or the dividend as the rest. The least number by -1: itself, and no rest."""
        word = ("srem" if rest else "sdiv") if signed else ("urem" if rest else "udiv")
        zero = self.value(f"icmp eq {kind} {b}, 0")
        bad = zero
        minus = ""
        if signed:
            minus = self.value(f"icmp eq {kind} {b}, -1")
            bad = self.value(f"or i1 {zero}, {minus}")
        divisor = self.value(f"select i1 {bad}, {kind} 1, {kind} {b}")
        result = self.value(f"{word} {kind} {a}, {divisor}")
        if signed:
            negated = "0" if rest else self.value(f"sub {kind} 0, {a}")
            result = self.value(f"select i1 {minus}, {kind} {negated}, {kind} {result}")
        return self.value(f"select i1 {zero}, {kind} {a if rest else '0'}, {kind} {result}")

    def swap(self, insn: Instruction, always: bool) -> None:
        width = insn.imm
        value = self.number(insn.dst)
        swaps = always or bool(insn.opcode & op.X)  # little-endian machines, as all our targets are
        if width != 64:
            value = self.value(f"trunc i64 {value} to i{width}")
        if swaps:
            self.intrinsic(f"declare i{width} @llvm.bswap.i{width}(i{width})")
            value = self.value(f"call i{width} @llvm.bswap.i{width}(i{width} {value})")
        if width != 64:
            value = self.value(f"zext i{width} {value} to i64")
        self.set(insn.dst, value)

    def condition(self, insn: Instruction, cls: int) -> str:
        wide = cls == op.JMP
        kind = "i64" if wide else "i32"
        read = self.number if wide else self.narrow
        a = read(insn.dst)
        b = read(insn.src) if insn.opcode & op.X else str(insn.imm)
        operation = insn.opcode & op.OP_MASK
        if operation == op.JSET:
            return self.value(f"icmp ne {kind} {self.value(f'and {kind} {a}, {b}')}, 0")
        return self.value(f"icmp {_COMPARE[operation]} {kind} {a}, {b}")

    def load_wide(self, insn: Instruction) -> None:
        if insn.src == op.PSEUDO_MAP_FD:
            symbol = self.symbol(f"anybpf_map_{insn.imm}", None)
            self.set(insn.dst, self.value(f"ptrtoint ptr {symbol} to i64"))
        elif insn.src == op.PSEUDO_MAP_VALUE:
            symbol = self.symbol(f"anybpf_values_{insn.low}", None)
            self.set_pointer(
                insn.dst, self.value(f"getelementptr i8, ptr {symbol}, i64 {insn.high}")
            )
        elif insn.src == op.PSEUDO_FUNCTION:
            slot = self.slot + 1 + insn.low
            ops = self.symbol("anybpf_ops", None)
            place = self.value(f"getelementptr i8, ptr {ops}, i64 {slot * _OP_SIZE}")
            self.set(insn.dst, self.value(f"ptrtoint ptr {place} to i64"))
        else:
            self.set(insn.dst, str(insn.imm))
