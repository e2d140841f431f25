"""The dialect of clang, llvm-objdump, the kernel and bpftool, and of our own listing.

One statement at a time becomes one instruction; expressions are constant. Beyond clang's grammar
it reads the kernel's spellings of jumps, calls and atomics, and those of
`anybpf.isa.listing.syntax` for the sources of 16-byte loads.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from anybpf.isa import opcodes as op
from anybpf.isa import text
from anybpf.isa.assembler import lexer
from anybpf.isa.assembler.atomics import FUNCTIONS, function, lock, store_release
from anybpf.isa.assembler.cursor import Cursor, signed32, signed64
from anybpf.isa.assembler.lexer import Stripper, tokenize
from anybpf.isa.assembler.output import CALL, JUMP, JUMP_LONG, Output, near
from anybpf.isa.assembler.wide import SOURCES, load_pseudo, named_load, symbol_load
from anybpf.isa.instruction import Instruction

_REGISTERS: Final = text.REGISTER_NUMBERS
_SUBREGISTERS: Final = text.SUBREGISTER_NUMBERS

# The tables of words, read the other way round.
_ASSIGNMENTS: Final = {sign: operation for operation, sign in text.ASSIGNMENTS.items()}
_SIGNED: Final = {sign: operation for operation, sign in text.SIGNED_ASSIGNMENTS.items()}
_COMPARISONS: Final = {sign: operation for operation, sign in text.COMPARISONS.items()}
_SWAPS: Final = {
    f"{word}{width}": (opcode, width)
    for opcode, word in text.SWAPS.items()
    for width in (16, 32, 64)
}
_SIGN_EXTENSIONS: Final = {"s8": 8, "s16": 16, "s32": 32}

_STARTS: Final = (
    "if", "goto", "gotol", "may_goto", "call", "callx", "exit", "lock", "ld_pseudo",
    "store_release",
)  # fmt: skip


def assemble_llvm(
    source: str,
    file: str = "",
    helpers: Mapping[str, int] | None = None,
    open_names: bool = True,
) -> list[Instruction]:
    """The instructions of ``source``; see :func:`anybpf.isa.assembler.assemble`."""
    lines = source.splitlines()
    parser = Parser(Output(lines, file), helpers)
    stripper = Stripper()
    number = 0
    for raw in lines:
        number += 1
        line = stripper.strip(raw)
        if line:
            parser.line(line, number)
    if stripper.in_comment:
        raise parser.out.fail("a comment that begins with /* never ends", number, 1)
    if not open_names:
        parser.out.refuse_open_names([] if helpers is None else list(helpers))
    return parser.out.finish()


class Parser(Cursor):
    """Reads statements, a line at a time."""

    __slots__ = ("helpers", "is_wide")

    def __init__(self, out: Output, helpers: Mapping[str, int] | None) -> None:
        super().__init__(out)
        self.helpers: Final = helpers
        self.is_wide: bool = False  # the kernel's opcode column says it is a 16-byte load

    def line(self, line: str, number: int) -> None:
        """Assemble one line that has no comments left."""
        if line.rstrip().endswith(":"):
            label = lexer.headline_label(line)
            if label:
                self.out.label(label, number, line.index(label) + 1)
                return
            if lexer.is_headline(line):
                return
        elif lexer.is_headline(line):
            return
        self.is_wide = "(18) " in line
        line = lexer.without_columns(line)
        self.tokens = tokenize(line, number)
        self.at = 0
        while self.kind() != lexer.END:
            if self.accept(";") or self._label():
                continue
            self._statement()
            if self.kind() == lexer.OPERATOR and self.word() == "#":
                return
            if self.kind() != lexer.END and not self.accept(";"):
                raise self.error(f"unexpected {self.word()!r} at the end of a statement")

    def _label(self) -> bool:
        """Take a label, if one comes next."""
        if self.next_word() != ":":
            return False
        kind = self.kind()
        word = self.word()
        if kind == lexer.NUMBER:
            self.out.local_label(word)
        elif kind in (lexer.NAME, lexer.STRING) and not self.is_register():
            if self.directives.in_code:
                column = self.tokens.column(self.at)
                self.out.label(word.strip('"'), self.tokens.line, column)
        else:
            return False
        self.at += 2
        return True

    def _statement(self) -> None:
        word = self.word()
        if word[:1] == ".":
            self.at = self.directives.read(self.tokens, self.at)
            return
        if not self.directives.in_code:
            self._skip()
            return
        if word in _REGISTERS or word in _SUBREGISTERS:
            self._assignment()
            return
        if word == "*":
            self._store()
            return
        start = self.at
        self.at += 1
        if word == "if":
            self._if()
        elif word == "goto":
            self._jump(Instruction(op.GOTO), JUMP)
        elif word == "gotol":
            self._jump(Instruction(op.GOTO_LONG), JUMP_LONG)
        elif word == "may_goto":
            self._jump(Instruction(op.MAY_GOTO), JUMP)
        elif word == "call":
            self._call()
        elif word == "callx":
            self.out.emit(Instruction(op.CALL_REG, dst=self.wide_register()))
        elif word == "exit":
            self.out.emit(Instruction(op.EXIT_INSN))
        elif word == "lock":
            lock(self)
        elif word == "ld_pseudo":
            load_pseudo(self)
        elif word == "store_release":
            store_release(self)
        else:
            self.at = start
            if word == "<" and self.tokens.texts[start + 1] == "unknown":
                raise self.error("<unknown> stands for bytes that are no instruction")
            found = self.found()
            hint = near(word, _STARTS) or "; a statement begins with a register, *(, if, goto, …"
            raise self.error(f"{found} begins no instruction{hint}")

    def _skip(self) -> None:
        while self.kind() != lexer.END and self.word() != ";":
            self.at += 1

    def _assignment(self) -> None:
        start = self.at
        dst, narrow = self.register()
        sign = self.word()
        if sign == "=":
            self.at += 1
            self._assign(dst, narrow, start)
            return
        offset = 0
        operation = _ASSIGNMENTS.get(sign, -1)
        if operation < 0:
            operation = _SIGNED.get(sign, -1)
            offset = 1
        if operation < 0:
            known = " ".join([*_ASSIGNMENTS, *_SIGNED])
            raise self.error(f"expected one of {known}, found {self.found()}")
        self.at += 1
        opcode = (op.ALU if narrow else op.ALU64) | operation
        if self.is_register():
            src = self.same_width(narrow)
            self.out.emit(Instruction(opcode | op.X, dst=dst, src=src, offset=offset))
        else:
            self.out.emit(Instruction(opcode, dst=dst, offset=offset, imm=self.immediate()))

    def _assign(self, dst: int, narrow: bool, start: int) -> None:
        """What stands behind ``register =``."""
        word = self.word()
        kind = self.kind()
        following = self.next_word()
        alu = op.ALU if narrow else op.ALU64
        if word in _REGISTERS or word in _SUBREGISTERS:
            if not narrow and word in _SUBREGISTERS:
                alu = op.ALU  # clang's "r1 = w1": a 32-bit move clears the upper half
                narrow = True
            src = self.same_width(narrow)
            self.out.emit(Instruction(alu | op.MOV | op.X, dst=dst, src=src))
            return
        if kind == lexer.OPERATOR:
            if word == "-" and (following in _REGISTERS or following in _SUBREGISTERS):
                self.at += 1
                self._in_place(dst, narrow)
                self.out.emit(Instruction(alu | op.NEG, dst=dst))
                return
            if word == "*":
                self._load(dst, narrow)
                return
            if word == "(" and following in _SIGN_EXTENSIONS:
                self._move_signed(dst, narrow)
                return
        elif kind == lexer.NAME:
            swap = _SWAPS.get(word)
            if swap is not None:
                self.at += 1
                self._in_place(dst, narrow)
                self.out.emit(Instruction(swap[0], dst=dst, imm=swap[1]))
                return
            if following == "(":
                function(self, word, dst, narrow, start)
                return
            if following == "[" or word in ("map_fd", "map_by_fd"):
                named_load(self, word, dst)
                return
            if word not in self.directives.constants:
                symbol_load(self, dst, narrow, [*_SWAPS, *FUNCTIONS, *SOURCES])
                return
        at = self.at
        value = self.expression("a value", -0x8000000000000000, 0xFFFFFFFFFFFFFFFF)
        if self.accept("ll") or self.is_wide:
            if narrow:
                raise self.error(f"a 16-byte load fills a whole register: write r{dst}", start)
            self.out.emit(Instruction(op.LD_IMM64, dst=dst, imm=signed64(value)))
            return
        if not -0x80000000 <= value <= 0xFFFFFFFF:
            raise self.error(
                f"{value:#x} does not fit in 32 bits; with 'll' behind it, it may have 64", at
            )
        imm = value - 0x100000000 if value > 0x7FFFFFFF else value
        self.out.emit(Instruction(alu | op.MOV, dst=dst, imm=imm))

    def _in_place(self, dst: int, narrow: bool) -> None:
        """The register of a negation or swap, which is the one assigned to."""
        start = self.at
        src, also = self.register()
        if src != dst or also != narrow:
            name = f"{'w' if narrow else 'r'}{dst}"
            raise self.error(f"this works in place: write {name} on both sides", start)

    def _move_signed(self, dst: int, narrow: bool) -> None:
        self.at += 1
        start = self.at
        width = _SIGN_EXTENSIONS[self.word()]
        self.at += 1
        self.expect(")")
        src = self.same_width(narrow)
        if narrow and width == 32:
            raise self.error("a w register has 32 bits: (s8) and (s16) extend it", start)
        opcode = op.MOV | op.X | (op.ALU if narrow else op.ALU64)
        self.out.emit(Instruction(opcode, dst=dst, src=src, offset=width))

    # Memory

    def _load(self, dst: int, narrow: bool) -> None:
        self.at += 1
        start = self.at
        size, signed = self.cast()
        if self.accept("skb"):
            self._load_packet(dst, size, signed, start)
            return
        self.expect("(", "around the address")
        src, offset = self.address()
        self.expect(")")
        if narrow and (size == op.DW or signed):
            raise self.error(f"this load fills a whole register: write r{dst}", start)
        opcode = op.LDX | (op.MEMSX if signed else op.MEM) | size
        self.out.emit(Instruction(opcode, dst=dst, src=src, offset=offset))

    def _load_packet(self, dst: int, size: int, signed: bool, start: int) -> None:
        if dst != 0 or signed or size == op.DW:
            raise self.error("a packet load is r0 = *(u8 *)skb[…], with u8, u16 or u32", start)
        self.expect("[")
        if self.is_register():
            src = self.wide_register()
            imm = 0
            if self.word() in ("+", "-"):
                imm = self.immediate()
            self.out.emit(Instruction(op.LD | op.IND | size, src=src, imm=imm))
        else:
            self.out.emit(Instruction(op.LD | op.ABS | size, imm=self.immediate()))
        self.expect("]")

    def _store(self) -> None:
        start = self.at
        self.at += 1
        size, signed = self.cast()
        if signed:
            raise self.error("stores have no sign: write u8, u16, u32 or u64", start)
        self.expect("(", "around the address")
        dst, offset = self.address()
        self.expect(")")
        if not self.accept("="):
            hint = "; an operation on memory begins with lock" if "=" in self.word() else ""
            raise self.error(f"expected '=', found {self.found()}{hint}")
        if self.is_register():
            src = self.value_register(size)
            self.out.emit(Instruction(op.STX | op.MEM | size, dst=dst, src=src, offset=offset))
        else:
            imm = self.immediate()
            self.out.emit(Instruction(op.ST | op.MEM | size, dst=dst, offset=offset, imm=imm))

    def _if(self) -> None:
        dst, narrow = self.register("a register behind if")
        operation = _COMPARISONS.get(self.word(), -1)
        if operation < 0:
            known = " ".join(_COMPARISONS)
            raise self.error(f"expected one of {known}, found {self.found()}")
        self.at += 1
        opcode = (op.JMP32 if narrow else op.JMP) | operation
        if self.is_register():
            insn = Instruction(opcode | op.X, dst=dst, src=self.same_width(narrow))
        else:
            insn = Instruction(opcode, dst=dst, imm=self.immediate())
        start = self.at
        if not self.accept("goto"):
            if self.word() == "gotol":
                raise self.error("a jump with a condition has no long form", start)
            raise self.error(f"expected 'goto', found {self.found()}")
        self._jump(insn, JUMP)

    def _jump(self, insn: Instruction, kind: int) -> None:
        """Where a jump goes: a label, or a distance in slots."""
        start = self.at
        token_kind = self.kind()
        word = self.word()
        if word == "pc" and self.next_word() in ("+", "-"):
            self.at += 1
        elif (
            token_kind in (lexer.NAME, lexer.LOCAL, lexer.STRING)
            and word not in self.directives.constants
        ):
            self.at += 1
            column = self.tokens.column(start)
            self.out.emit_use(insn, word.strip('"'), kind, self.tokens.line, column)
            return
        if kind == JUMP_LONG:
            insn.imm = self.expression("a distance", -0x80000000, 0x7FFFFFFF)
        else:
            insn.offset = self.expression("a distance or label", -0x8000, 0x7FFF)
        self.out.emit(insn)

    def _call(self) -> None:
        start = self.at
        word = self.word()
        kind = self.kind()
        if word == "pc" and self.next_word() in ("+", "-"):
            self.at += 1
            imm = self.expression("a distance", -0x80000000, 0x7FFFFFFF)
            insn = Instruction(op.CALL_IMM, src=op.CALL_LOCAL, imm=imm)
            if self.accept("#"):
                insn.reference = self.word()
                self.at += 1
            self.out.emit(insn)
        elif word in _REGISTERS:
            self.out.emit(Instruction(op.CALL_REG, dst=self.wide_register()))
        elif word == "kfunc" and self.next_word() == "[":
            self._call_kernel(start)
        elif kind in (lexer.NAME, lexer.STRING, lexer.LOCAL):
            self._call_name(word.strip('"'))
        else:
            self.out.emit(Instruction(op.CALL_IMM, imm=self.immediate()))

    def _call_name(self, name: str) -> None:
        start = self.at
        self.at += 1
        if self.word() == "#" and self.tokens.kinds[self.at + 1] == lexer.NUMBER:
            self.at += 1
            insn = Instruction(op.CALL_IMM, imm=self.immediate())
            insn.reference = name
            self.out.emit(insn)
            return
        if self.helpers is not None and name not in self.out.labels and name in self.helpers:
            insn = Instruction(op.CALL_IMM, imm=self.helpers[name])
            insn.reference = name
            self.out.emit(insn)
            return
        insn = Instruction(op.CALL_IMM, src=op.CALL_LOCAL)
        self.out.emit_use(insn, name, CALL, self.tokens.line, self.tokens.column(start))

    def _call_kernel(self, start: int) -> None:
        self.at += 1
        inside = self.brackets()
        if ":" in inside:
            number, module = self.identity(inside, start)
            if not -0x8000 <= module <= 0x7FFF:
                raise self.error(f"module {module} does not fit in 16 bits", start)
            imm = signed32(number)
            self.out.emit(Instruction(op.CALL_IMM, src=op.CALL_BTF, offset=module, imm=imm))
            return
        insn = Instruction(op.CALL_IMM, src=op.CALL_BTF)
        insn.reference = inside
        self.out.emit(insn)
