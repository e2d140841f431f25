"""The conformance suite's dialect: a mnemonic and its operands, one instruction a line.

    ldxw %r0, [%r1+4]
    jne %r0, 5, fail
    lock fetch add [%r10-8], %r1

The suite's assembler knows the label ``exit`` at the first exit by itself; so does this one.
"""

from __future__ import annotations

from typing import Final

from anybpf.errors import AssemblerError
from anybpf.isa import opcodes as op
from anybpf.isa import text
from anybpf.isa.assembler.output import CALL, JUMP, JUMP_LONG, Output, near
from anybpf.isa.instruction import Instruction

# Mnemonics by what their operands are.
_ARITHMETIC: Final = 0
_NEGATION: Final = 1
_SWAP: Final = 2
_MOVE_SIGNED: Final = 3
_LOAD: Final = 4
_STORE_IMM: Final = 5
_STORE: Final = 6
_LOAD_64: Final = 7
_JUMP: Final = 8
_GOTO: Final = 9
_CALL: Final = 10
_EXIT: Final = 11
_LOCK: Final = 12

_ALU_CLASSES: Final = (("", op.ALU64), ("32", op.ALU))
_JMP_CLASSES: Final = (("", op.JMP), ("32", op.JMP32))
_ATOMICS: Final = {word: code for code, word in text.ATOMIC_WORDS.items()} | {
    "xchg": op.ATOMIC_XCHG,
    "cmpxchg": op.ATOMIC_CMPXCHG,
}
_HEX_DIGITS: Final = "0123456789abcdefABCDEF"
_IMPLICIT_LABEL: Final = "exit"
_SHAPES_OF_OPERANDS: Final = {
    _ARITHMETIC: "%rD, %rS or %rD, NUMBER",
    _NEGATION: "%rD",
    _SWAP: "%rD",
    _MOVE_SIGNED: "%rD, %rS",
    _LOAD: "%rD, [%rS+OFFSET]",
    _STORE_IMM: "[%rD+OFFSET], NUMBER",
    _STORE: "[%rD+OFFSET], %rS",
    _LOAD_64: "%rD, NUMBER",
    _JUMP: "%rD, %rS, LABEL or %rD, NUMBER, LABEL",
    _GOTO: "LABEL",
    _CALL: "NUMBER, local LABEL, runtime NUMBER or %rN",
    _EXIT: "",
    _LOCK: "[fetch] add|or|and|xor|xchg|cmpxchg[32] [%rD+OFFSET], %rS",
}


def _table() -> dict[str, tuple[int, int, int]]:
    """Each mnemonic: the kind of its operands, its opcode, and its offset or immediate."""
    table: dict[str, tuple[int, int, int]] = {}
    for suffix, cls in _ALU_CLASSES:
        for operation, name in text.ARITHMETIC_MNEMONICS.items():
            kind = _NEGATION if operation == op.NEG else _ARITHMETIC
            table[name + suffix] = (kind, cls | operation, 0)
        for operation, name in text.SIGNED_MNEMONICS.items():
            table[name + suffix] = (_ARITHMETIC, cls | operation, 1)
    for width in (8, 16, 32):
        table[f"movsx{width}64"] = (_MOVE_SIGNED, op.ALU64 | op.MOV | op.X, width)
        table[f"movsx{width}32"] = (_MOVE_SIGNED, op.ALU | op.MOV | op.X, width)
    for width in (16, 32, 64):
        for opcode, word in text.SWAPS.items():
            table[f"{word}{width}"] = (_SWAP, opcode, width)
        table[f"swap{width}"] = (_SWAP, op.BSWAP, width)
    for size, letters in text.SIZE_LETTERS.items():
        table[f"ldx{letters}"] = (_LOAD, op.LDX | op.MEM | size, 0)
        table[f"st{letters}"] = (_STORE_IMM, op.ST | op.MEM | size, 0)
        table[f"stx{letters}"] = (_STORE, op.STX | op.MEM | size, 0)
        if size != op.DW:
            table[f"ldxs{letters}"] = (_LOAD, op.LDX | op.MEMSX | size, 0)
    for suffix, cls in _JMP_CLASSES:
        for operation, name in text.JUMP_MNEMONICS.items():
            table[name + suffix] = (_JUMP, cls | operation, 0)
    table["lddw"] = (_LOAD_64, op.LD_IMM64, 0)
    table["ja"] = (_GOTO, op.GOTO, 0)
    table["ja32"] = (_GOTO, op.GOTO_LONG, 0)
    table["call"] = (_CALL, op.CALL_IMM, 0)
    table["exit"] = (_EXIT, op.EXIT_INSN, 0)
    table["lock"] = (_LOCK, op.STX | op.ATOMIC, 0)
    return table


_TABLE: Final = _table()


def assemble_mnemonic(source: str, file: str = "") -> list[Instruction]:
    """The instructions of ``source``; see :func:`anybpf.isa.assembler.assemble`."""
    lines = source.splitlines()
    parser = Parser(Output(lines, file))
    for number, raw in enumerate(lines, 1):
        parser.line(raw.partition("#")[0], number)
    return parser.finish()


class Parser:
    """Reads one line at a time; ``words`` and ``columns`` are the line's operands."""

    __slots__ = ("columns", "first_exit", "number", "out", "words")

    def __init__(self, out: Output) -> None:
        self.out: Final = out
        self.number: int = 0
        self.words: list[str] = []
        self.columns: list[int] = []
        self.first_exit: int = -1

    def finish(self) -> list[Instruction]:
        """All instructions. The implicit label does not hide one that the text defines."""
        if self.first_exit >= 0:
            self.out.labels.setdefault(_IMPLICIT_LABEL, self.first_exit)
        return self.out.finish()

    def line(self, line: str, number: int) -> None:
        """Assemble one line."""
        self.number = number
        self.words = []
        self.columns = []
        at = 0
        for word in line.split():
            at = line.index(word, at)
            stripped = word.removesuffix(",")
            if stripped:
                self.words.append(stripped)
                self.columns.append(at + 1)
            at += len(word)
        if not self.words:
            return
        if len(self.words) == 1 and self.words[0].endswith(":"):
            self.out.label(self.words[0][:-1], number, self.columns[0])
            return
        entry = _TABLE.get(self.words[0])
        if entry is None:
            hint = near(self.words[0], _TABLE)
            raise self._error(f"there is no mnemonic {self.words[0]}{hint}", 0)
        self._instruction(entry[0], entry[1], entry[2])

    def _error(self, message: str, at: int) -> AssemblerError:
        at = min(at, len(self.columns) - 1)
        return self.out.fail(message, self.number, self.columns[at])

    def _operands(self, kind: int, count: int) -> None:
        found = len(self.words) - 1
        if found != count:
            mnemonic = self.words[0]
            right = f"{mnemonic} {_SHAPES_OF_OPERANDS[kind]}".rstrip()
            plural = "" if found == 1 else "s"
            # A comma inside an operand: the operands were not set apart.
            together = any("," in word.rstrip(",") for word in self.words[1:])
            raise self._error(
                f"{mnemonic} with {found} operand{plural}, it has {count}: {right}"
                f"{'; put a space behind each comma' if together else ''}",
                min(found, count + 1),
            )

    def _instruction(self, kind: int, opcode: int, value: int) -> None:
        out = self.out
        if kind == _ARITHMETIC:
            self._operands(kind, 2)
            dst = self._register(1)
            if self.words[2].startswith("%"):
                out.emit(Instruction(opcode | op.X, dst=dst, src=self._register(2), offset=value))
            else:
                out.emit(Instruction(opcode, dst=dst, offset=value, imm=self._immediate(2)))
        elif kind == _NEGATION:
            self._operands(kind, 1)
            out.emit(Instruction(opcode, dst=self._register(1)))
        elif kind == _SWAP:
            self._operands(kind, 1)
            out.emit(Instruction(opcode, dst=self._register(1), imm=value))
        elif kind == _MOVE_SIGNED:
            self._operands(kind, 2)
            dst = self._register(1)
            out.emit(Instruction(opcode, dst=dst, src=self._register(2), offset=value))
        elif kind == _LOAD:
            self._operands(kind, 2)
            dst = self._register(1)
            src, offset = self._address(2)
            out.emit(Instruction(opcode, dst=dst, src=src, offset=offset))
        elif kind in (_STORE, _STORE_IMM):
            self._operands(kind, 2)
            dst, offset = self._address(1)
            if kind == _STORE:
                src = self._register(2)
                out.emit(Instruction(opcode, dst=dst, src=src, offset=offset))
            else:
                out.emit(Instruction(opcode, dst=dst, offset=offset, imm=self._immediate(2)))
        elif kind == _JUMP:
            self._operands(kind, 3)
            dst = self._register(1)
            if self.words[2].startswith("%"):
                insn = Instruction(opcode | op.X, dst=dst, src=self._register(2))
            else:
                insn = Instruction(opcode, dst=dst, imm=self._immediate(2))
            self._target(insn, 3, JUMP)
        else:
            self._other(kind, opcode)

    def _other(self, kind: int, opcode: int) -> None:
        out = self.out
        if kind == _LOAD_64:
            self._operands(kind, 2)
            dst = self._register(1)
            imm = self._number(2, "a 64-bit immediate", -0x8000000000000000, 0xFFFFFFFFFFFFFFFF)
            imm = imm - 0x10000000000000000 if imm > 0x7FFFFFFFFFFFFFFF else imm
            out.emit(Instruction(opcode, dst=dst, imm=imm))
        elif kind == _GOTO:
            self._operands(kind, 1)
            self._target(Instruction(opcode), 1, JUMP_LONG if opcode == op.GOTO_LONG else JUMP)
        elif kind == _CALL:
            self._call(opcode)
        elif kind == _LOCK:
            self._lock(opcode)
        else:
            self._operands(kind, 0)
            if self.first_exit < 0:
                self.first_exit = out.slot
            out.emit(Instruction(opcode))

    def _call(self, opcode: int) -> None:
        word = self.words[1] if len(self.words) > 1 else ""
        if word in ("local", "helper", "runtime"):
            self._operands(_CALL, 2)
            if word == "local":
                self._target(Instruction(opcode, src=op.CALL_LOCAL), 2, CALL)
                return
            src = op.CALL_BTF if word == "runtime" else op.CALL_HELPER
            self.out.emit(Instruction(opcode, src=src, imm=self._immediate(2)))
            return
        self._operands(_CALL, 1)
        if word.startswith("%"):
            self.out.emit(Instruction(op.CALL_REG, dst=self._register(1)))
        else:
            self.out.emit(Instruction(opcode, imm=self._immediate(1)))

    def _lock(self, opcode: int) -> None:
        fetches = len(self.words) > 1 and self.words[1] == "fetch"
        first = 2 if fetches else 1
        self._operands(_LOCK, first + 2)
        word = self.words[first]
        size = op.W if word.endswith("32") else op.DW
        operation = _ATOMICS.get(word.removesuffix("32"), -1)
        if operation < 0:
            hint = near(word, _ATOMICS)
            raise self._error(f"there is no atomic operation {word}{hint}", first)
        if fetches:
            operation |= op.FETCH
        dst, offset = self._address(first + 1)
        src = self._register(first + 2)
        self.out.emit(Instruction(opcode | size, dst=dst, src=src, offset=offset, imm=operation))

    def _target(self, insn: Instruction, at: int, kind: int) -> None:
        word = self.words[at]
        if word[0] in "+-" or word[0].isdigit():
            limit = 0x7FFF if kind == JUMP else 0x7FFFFFFF
            distance = self._number(at, "a distance", -limit - 1, limit)
            if kind == JUMP:
                insn.offset = distance
            else:
                insn.imm = distance
            self.out.emit(insn)
            return
        if kind == CALL:
            # A call of a function must find it: there is nothing to link with.
            self.out.emit_use(insn, word, JUMP_LONG, self.number, self.columns[at])
            return
        self.out.emit_use(insn, word, kind, self.number, self.columns[at])

    def _register(self, at: int) -> int:
        word = self.words[at]
        number = text.REGISTER_NUMBERS.get(word[1:], -1) if word[:1] == "%" else -1
        if number < 0:
            raise self._error(f"expected a register %r0 to %r15, found {word!r}", at)
        return number

    def _number(self, at: int, what: str, low: int, high: int) -> int:
        word = self.words[at]
        value = _parse(word)
        if value is None:
            raise self._error(f"expected {what}, found {word!r}", at)
        if not low <= value <= high:
            raise self._error(f"{what} must be from {low:#x} to {high:#x}, found {word}", at)
        return value

    def _immediate(self, at: int) -> int:
        """Decimal in the signed 32-bit range, or hexadecimal up to 0xffffffff."""
        hexadecimal = "x" in self.words[at] or "X" in self.words[at]
        high = 0xFFFFFFFF if hexadecimal else 0x7FFFFFFF
        value = self._number(at, "a 32-bit immediate", -0x80000000, high)
        return value - 0x100000000 if value > 0x7FFFFFFF else value

    def _address(self, at: int) -> tuple[int, int]:
        """``[%r1+8]``: register and offset."""
        word = self.words[at]
        if not word.startswith("[%") or not word.endswith("]"):
            raise self._error(f"expected an address such as [%r1+8], found {word!r}", at)
        inside = word[2:-1]
        split = len(inside)
        for sign in ("+", "-"):
            place = inside.find(sign)
            if place >= 0:
                split = min(split, place)
        number = text.REGISTER_NUMBERS.get(inside[:split], -1)
        if number < 0:
            raise self._error(f"expected a register %r0 to %r15 in {word!r}", at)
        if split == len(inside):
            return number, 0
        offset = _parse(inside[split:])
        if offset is None:
            raise self._error(f"expected an offset in {word!r}", at)
        if not -0x8000 <= offset <= 0x7FFF:
            raise self._error(f"offset {offset:#x} does not fit in 16 bits with sign", at)
        return number, offset


def _parse(word: str) -> int | None:
    """A number with or without sign, decimal or hexadecimal; None if it is none."""
    digits = word[1:] if word[:1] in ("+", "-") else word
    if digits[:2] in ("0x", "0X"):
        if len(digits) == 2 or digits[2:].strip(_HEX_DIGITS):
            return None
        value = int(digits[2:], 16)
    elif digits.isascii() and digits.isdigit() and len(digits) < 30:
        value = int(digits)
    else:
        return None
    return -value if word[0] == "-" else value
