"""The dialect of clang, llvm-objdump, the kernel and bpftool, and of our own listing.

One statement at a time becomes one instruction; expressions are constant. Beyond clang's grammar
it reads the kernel's spellings of jumps, calls and atomics, and those of
`anybpf.isa.listing.syntax` for the sources of 16-byte loads.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from anybpf.errors import AssemblerError
from anybpf.isa import opcodes as op
from anybpf.isa import text
from anybpf.isa.assembler import lexer
from anybpf.isa.assembler.directives import Directives
from anybpf.isa.assembler.expressions import evaluate
from anybpf.isa.assembler.lexer import Stripper, Tokens, tokenize
from anybpf.isa.assembler.output import CALL, FUNCTION_LOAD, JUMP, JUMP_LONG, Output, near
from anybpf.isa.instruction import Instruction

_REGISTERS: Final = text.REGISTER_NUMBERS
_SUBREGISTERS: Final = text.SUBREGISTER_NUMBERS
_REGISTER_COUNT: Final = op.REGISTERS

# The tables of words, read the other way round.
_ASSIGNMENTS: Final = {sign: operation for operation, sign in text.ASSIGNMENTS.items()}
_SIGNED: Final = {sign: operation for operation, sign in text.SIGNED_ASSIGNMENTS.items()}
_COMPARISONS: Final = {sign: operation for operation, sign in text.COMPARISONS.items()}
_SIZES: Final = {name: size for size, name in text.SIZE_TYPES.items()}
_SIGNED_SIZES: Final = {name: size for size, name in text.SIGNED_SIZE_TYPES.items()}
_SWAPS: Final = {
    f"{word}{width}": (opcode, width)
    for opcode, word in text.SWAPS.items()
    for width in (16, 32, 64)
}
_ATOMIC_ASSIGNMENTS: Final = {sign: code for code, sign in text.ATOMIC_ASSIGNMENTS.items()}
_SIGN_EXTENSIONS: Final = {"s8": 8, "s16": 16, "s32": 32}

# Names of atomic operations as functions: operation, and size where the name says it.
_FETCHES: Final = {
    f"atomic{wide}_fetch_{word}": code | op.FETCH
    for code, word in text.ATOMIC_WORDS.items()
    for wide in ("", "64")
}
_EXCHANGES: Final = {
    "xchg_64": op.DW,
    "xchg32_32": op.W,
    "atomic64_xchg": op.DW,
    "atomic_xchg": op.W,
}
_COMPARE_EXCHANGES: Final = {
    "cmpxchg_64": op.DW,
    "cmpxchg32_32": op.W,
    "atomic64_cmpxchg": op.DW,
    "atomic_cmpxchg": op.W,
}

# What may stand in brackets of the loads that name their source.
_MAP_BY_INDEX: Final = "idx"

_STARTS: Final = (
    "if", "goto", "gotol", "may_goto", "call", "callx", "exit", "lock", "ld_pseudo",
    "store_release",
)  # fmt: skip


def assemble_llvm(
    source: str, file: str = "", helpers: Mapping[str, int] | None = None
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
    return parser.out.finish()


class Parser:
    """Reads statements; ``at`` is the token that comes next."""

    __slots__ = ("at", "directives", "helpers", "out", "source", "tokens")

    def __init__(self, out: Output, helpers: Mapping[str, int] | None) -> None:
        self.out: Final = out
        self.helpers: Final = helpers
        self.directives: Final = Directives(out)
        self.tokens: Tokens = Tokens(0)
        self.at: int = 0
        self.source: str = ""

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
        line = lexer.without_columns(line)
        self.source = line
        self.tokens = tokenize(line, number)
        self.at = 0
        while self._kind() != lexer.END:
            if self._accept(";") or self._label():
                continue
            self._statement()
            if self._kind() == lexer.OPERATOR and self._text() == "#":
                return
            if self._kind() != lexer.END and not self._accept(";"):
                raise self._error(f"unexpected {self._text()!r} at the end of a statement")

    # Tokens

    def _text(self) -> str:
        return self.tokens.texts[self.at]

    def _kind(self) -> int:
        return self.tokens.kinds[self.at]

    def _next_text(self) -> str:
        return self.tokens.texts[self.at + 1] if self.at + 1 < len(self.tokens.texts) else ""

    def _accept(self, word: str) -> bool:
        if self.tokens.texts[self.at] == word and self.tokens.kinds[self.at] != lexer.STRING:
            if word:
                self.at += 1
            return True
        return False

    def _expect(self, word: str, where: str = "") -> None:
        if not self._accept(word):
            behind = f" {where}" if where else ""
            raise self._error(f"expected {word!r}{behind}, found {self._found()}")

    def _found(self) -> str:
        return repr(self._text()) if self._kind() != lexer.END else "the end of the line"

    def _error(self, message: str, at: int = -1) -> AssemblerError:
        column = self.tokens.columns[self.at if at < 0 else at]
        return self.out.fail(message, self.tokens.line, column)

    def _expression(self, what: str, low: int, high: int) -> int:
        start = self.at
        value = self._value(what)
        if not low <= value <= high:
            raise self._error(f"{what} {value:#x} must be from {low:#x} to {high:#x}", start)
        return value

    def _value(self, what: str) -> int:
        start = self.at
        value, self.at = evaluate(self.tokens, self.at, self.directives.constants)
        if self.at == start:
            raise self._error(f"expected {what}, found {self._found()}")
        return value

    def _immediate(self) -> int:
        """A 32-bit immediate; one above 2^31-1 stands for its negative counterpart."""
        value = self._expression("an immediate", -0x80000000, 0xFFFFFFFF)
        return value - 0x100000000 if value > 0x7FFFFFFF else value

    def _register(self, what: str = "a register") -> tuple[int, bool]:
        """A register's number and whether it is a w register."""
        word = self._text()
        number = _REGISTERS.get(word, -1)
        narrow = False
        if number < 0:
            number = _SUBREGISTERS.get(word, -1)
            narrow = True
        if number < 0:
            raise self._error(f"expected {what}, found {self._found()}")
        if number >= _REGISTER_COUNT:
            raise self._error(f"register {word} does not exist, the last is {word[0]}10")
        self.at += 1
        return number, narrow

    def _wide_register(self, what: str = "a register") -> int:
        start = self.at
        number, narrow = self._register(what)
        if narrow:
            raise self._error(f"expected r{number}: the whole register is meant here", start)
        return number

    def _is_register(self) -> bool:
        word = self._text()
        return word in _REGISTERS or word in _SUBREGISTERS

    # Statements

    def _label(self) -> bool:
        """Take a label, if one comes next."""
        if self._next_text() != ":":
            return False
        kind = self._kind()
        word = self._text()
        if kind == lexer.NUMBER:
            self.out.local_label(word)
        elif kind in (lexer.NAME, lexer.STRING):
            if self.directives.in_code:
                column = self.tokens.columns[self.at]
                self.out.label(word.strip('"'), self.tokens.line, column)
        else:
            return False
        self.at += 2
        return True

    def _statement(self) -> None:
        word = self._text()
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
            self.out.emit(Instruction(op.CALL_REG, dst=self._wide_register()))
        elif word == "exit":
            self.out.emit(Instruction(op.EXIT_INSN))
        elif word == "lock":
            self._lock()
        elif word == "ld_pseudo":
            self._load_pseudo()
        elif word == "store_release":
            self._store_release()
        else:
            self.at = start
            if word == "<" and self.tokens.texts[start + 1] == "unknown":
                raise self._error("<unknown> stands for bytes that are no instruction")
            found = self._found()
            hint = near(word, _STARTS) or "; a statement begins with a register, *(, if, goto, …"
            raise self._error(f"{found} begins no instruction{hint}")

    def _skip(self) -> None:
        while self._kind() != lexer.END and self._text() != ";":
            self.at += 1

    def _assignment(self) -> None:
        start = self.at
        dst, narrow = self._register()
        sign = self._text()
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
            raise self._error(f"expected one of {known}, found {self._found()}")
        self.at += 1
        opcode = (op.ALU if narrow else op.ALU64) | operation
        if self._is_register():
            src = self._same_width(narrow)
            self.out.emit(Instruction(opcode | op.X, dst=dst, src=src, offset=offset))
        else:
            self.out.emit(Instruction(opcode, dst=dst, offset=offset, imm=self._immediate()))

    def _same_width(self, narrow: bool) -> int:
        start = self.at
        number, also = self._register()
        if narrow != also:
            raise self._error(
                f"{'w' if narrow else 'r'} registers go together: "
                f"write {'w' if narrow else 'r'}{number}",
                start,
            )
        return number

    def _assign(self, dst: int, narrow: bool, start: int) -> None:
        """What stands behind ``register =``."""
        word = self._text()
        kind = self._kind()
        following = self._next_text()
        alu = op.ALU if narrow else op.ALU64
        if word in _REGISTERS or word in _SUBREGISTERS:
            src = self._same_width(narrow)
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
                self._function(word, dst, narrow, start)
                return
            if following == "[" or word in ("map_fd", "map_by_fd"):
                self._named_load(word, dst)
                return
            if word not in self.directives.constants:
                self._symbol_load(dst, narrow)
                return
        at = self.at
        value = self._expression("a value", -0x8000000000000000, 0xFFFFFFFFFFFFFFFF)
        if self._accept("ll"):
            if narrow:
                raise self._error(f"a 16-byte load fills a whole register: write r{dst}", start)
            self.out.emit(Instruction(op.LD_IMM64, dst=dst, imm=_signed64(value)))
            return
        if not -0x80000000 <= value <= 0xFFFFFFFF:
            raise self._error(
                f"{value:#x} does not fit in 32 bits; with 'll' behind it, it may have 64", at
            )
        imm = value - 0x100000000 if value > 0x7FFFFFFF else value
        self.out.emit(Instruction(alu | op.MOV, dst=dst, imm=imm))

    def _in_place(self, dst: int, narrow: bool) -> None:
        """The register of a negation or swap, which is the one assigned to."""
        start = self.at
        src, also = self._register()
        if src != dst or also != narrow:
            name = f"{'w' if narrow else 'r'}{dst}"
            raise self._error(f"this works in place: write {name} on both sides", start)

    def _move_signed(self, dst: int, narrow: bool) -> None:
        self.at += 1
        start = self.at
        width = _SIGN_EXTENSIONS[self._text()]
        self.at += 1
        self._expect(")")
        src = self._same_width(narrow)
        if narrow and width == 32:
            raise self._error("a w register has 32 bits: (s8) and (s16) extend it", start)
        opcode = op.MOV | op.X | (op.ALU if narrow else op.ALU64)
        self.out.emit(Instruction(opcode, dst=dst, src=src, offset=width))

    # Memory

    def _cast(self) -> tuple[int, bool]:
        """``(u32 *)``: the size's bits, and whether it is signed."""
        self._expect("(")
        word = self._text()
        signed = word in _SIGNED_SIZES
        size = _SIGNED_SIZES.get(word, _SIZES.get(word, -1))
        if size < 0:
            raise self._error(f"expected u8, u16, u32, u64, s8, s16 or s32, found {self._found()}")
        self.at += 1
        self._expect("*", "behind the type")
        self._expect(")")
        return size, signed

    def _address(self) -> tuple[int, int]:
        """``r1 + 4``: register and offset."""
        register = self._wide_register("the register that holds the address")
        return register, self._offset()

    def _offset(self) -> int:
        if self._text() != "+" and self._text() != "-":
            return 0
        start = self.at
        if self._text() == "+" and self._next_text() in ("-", "+"):
            self.at += 1
        value = self._expression("an offset", -0x8000, 0xFFFF)
        if value > 0x7FFF:
            raise self._error(f"offset {value:#x} does not fit in 16 bits with sign", start)
        return value

    def _load(self, dst: int, narrow: bool) -> None:
        self.at += 1
        start = self.at
        size, signed = self._cast()
        if self._accept("skb"):
            self._load_packet(dst, size, signed, start)
            return
        self._expect("(", "around the address")
        src, offset = self._address()
        self._expect(")")
        if narrow and (size == op.DW or signed):
            raise self._error(f"this load fills a whole register: write r{dst}", start)
        opcode = op.LDX | (op.MEMSX if signed else op.MEM) | size
        self.out.emit(Instruction(opcode, dst=dst, src=src, offset=offset))

    def _load_packet(self, dst: int, size: int, signed: bool, start: int) -> None:
        if dst != 0 or signed or size == op.DW:
            raise self._error("a packet load is r0 = *(u8 *)skb[…], with u8, u16 or u32", start)
        self._expect("[")
        if self._is_register():
            src = self._wide_register()
            imm = 0
            if self._text() in ("+", "-"):
                imm = self._immediate()
            self.out.emit(Instruction(op.LD | op.IND | size, src=src, imm=imm))
        else:
            self.out.emit(Instruction(op.LD | op.ABS | size, imm=self._immediate()))
        self._expect("]")

    def _store(self) -> None:
        start = self.at
        self.at += 1
        size, signed = self._cast()
        if signed:
            raise self._error("stores have no sign: write u8, u16, u32 or u64", start)
        self._expect("(", "around the address")
        dst, offset = self._address()
        self._expect(")")
        if not self._accept("="):
            hint = "; an operation on memory begins with lock" if "=" in self._text() else ""
            raise self._error(f"expected '=', found {self._found()}{hint}")
        if self._is_register():
            src = self._value_register(size)
            self.out.emit(Instruction(op.STX | op.MEM | size, dst=dst, src=src, offset=offset))
        else:
            imm = self._immediate()
            self.out.emit(Instruction(op.ST | op.MEM | size, dst=dst, offset=offset, imm=imm))

    def _value_register(self, size: int) -> int:
        """A register of which ``size`` is stored; for up to 32 bits its w name will do."""
        start = self.at
        number, narrow = self._register()
        if narrow and size == op.DW:
            raise self._error(f"64 bits are in r{number}, not in w{number}", start)
        return number

    # Atomic operations

    def _lock(self) -> None:
        self._expect("*", "behind lock")
        start = self.at
        size, signed = self._cast()
        if signed or size not in (op.W, op.DW):
            raise self._error("atomic operations have u32 and u64 only", start)
        self._expect("(", "around the address")
        dst, offset = self._address()
        self._expect(")")
        operation = _ATOMIC_ASSIGNMENTS.get(self._text(), -1)
        if operation < 0:
            known = " ".join(_ATOMIC_ASSIGNMENTS)
            raise self._error(f"expected one of {known}, found {self._found()}")
        self.at += 1
        src = self._value_register(size)
        opcode = op.STX | op.ATOMIC | size
        self.out.emit(Instruction(opcode, dst=dst, src=src, offset=offset, imm=operation))

    def _cast_address(self) -> tuple[int, int, int]:
        """``(u64 *)(r1 + 0)``: size, register, offset."""
        start = self.at
        size, signed = self._cast()
        if signed:
            raise self._error("atomic operations have no sign", start)
        self._expect("(", "around the address")
        register, offset = self._address()
        self._expect(")")
        return size, register, offset

    def _function(self, word: str, dst: int, narrow: bool, start: int) -> None:
        """What looks like a call: ``r1 = name(…)``."""
        called = self.at
        self.at += 2
        if word == "addr_space_cast":
            self._address_space_cast(dst, narrow, start)
            return
        if word == "load_acquire":
            size, src, offset = self._cast_address()
            self._expect(")")
            opcode = op.STX | op.ATOMIC | size
            self.out.emit(Instruction(opcode, dst=dst, src=src, offset=offset, imm=op.LOAD_ACQUIRE))
            return
        fetch = _FETCHES.get(word, -1)
        size = _EXCHANGES.get(word, _COMPARE_EXCHANGES.get(word, -1))
        compares = word in _COMPARE_EXCHANGES
        if fetch < 0 and size < 0:
            known = [*_FETCHES, *_EXCHANGES, *_COMPARE_EXCHANGES, "load_acquire", "addr_space_cast"]
            raise self._error(f"there is no operation {word}{near(word, known)}", called)
        operation = fetch
        if fetch < 0:
            operation = op.ATOMIC_CMPXCHG if compares else op.ATOMIC_XCHG
        if self._text() == "(":
            cast_at = self.at
            said = size
            size, base, offset = self._cast_address()
            if said >= 0 and size != said:
                raise self._error(f"{word} is for {text.SIZE_TYPES[said]}", cast_at)
        else:
            base, offset = self._address()
            if size < 0:
                raise self._error(f"expected a type: {word}((u64 *)(r1 + 0), r2)", called + 2)
        if size not in (op.W, op.DW):
            raise self._error("atomic operations have u32 and u64 only", called)
        if compares:
            self._accept(",")
            if self._register()[0] != 0 or dst != 0:
                raise self._error(f"{word} compares with r0 and sets it: r0 = {word}(…, r0, r1)")
        self._accept(",")
        value_at = self.at
        src = self._value_register(size)
        self._expect(")")
        if not compares and src != dst:
            raise self._error(
                f"{word} puts the old value where the operand was: write r{dst} in both places",
                value_at,
            )
        opcode = op.STX | op.ATOMIC | size
        self.out.emit(Instruction(opcode, dst=base, src=src, offset=offset, imm=operation))

    def _store_release(self) -> None:
        self._expect("(")
        size, dst, offset = self._cast_address()
        self._accept(",")
        src = self._value_register(size)
        self._expect(")")
        opcode = op.STX | op.ATOMIC | size
        self.out.emit(Instruction(opcode, dst=dst, src=src, offset=offset, imm=op.STORE_RELEASE))

    def _address_space_cast(self, dst: int, narrow: bool, start: int) -> None:
        if narrow:
            raise self._error(f"an address fills a whole register: write r{dst}", start)
        src = self._wide_register()
        self._accept(",")
        to_space = self._expression("an address space", 0, 0xFFFF)
        self._accept(",")
        from_space = self._expression("an address space", 0, 0xFFFF)
        self._expect(")")
        imm = _signed32(to_space << 16 | from_space)
        self.out.emit(
            Instruction(op.MOV64_REG, dst=dst, src=src, offset=op.ADDRESS_SPACE_CAST, imm=imm)
        )

    # Sixteen-byte loads

    def _load_pseudo(self) -> None:
        """``ld_pseudo r1, source, value``, as clang has it."""
        dst = self._wide_register()
        self._accept(",")
        src = self._expression("a source", 0, 15)
        self._accept(",")
        value = self._expression("a value", -0x8000000000000000, 0xFFFFFFFFFFFFFFFF)
        self.out.emit(Instruction(op.LD_IMM64, dst=dst, src=src, imm=_signed64(value)))

    def _symbol_load(self, dst: int, narrow: bool) -> None:
        """``r1 = name ll``: an address that is filled in later."""
        start = self.at
        name = self._text()
        self.at += 1
        value = 0
        if self._text() in ("+", "-"):
            value = self._value("an offset")
        if not self._accept("ll"):
            known = [*_SWAPS, *_FETCHES, *_EXCHANGES, *_COMPARE_EXCHANGES, "map", "subprog", "var"]
            raise self._error(
                f"{name} is no value{near(name, known)}; the address of a symbol is "
                f"'r{dst} = {name} ll'",
                start,
            )
        if narrow:
            raise self._error(f"an address fills a whole register: write r{dst}", start)
        insn = Instruction(op.LD_IMM64, dst=dst, imm=_signed64(value))
        insn.reference = name
        self.out.emit(insn)

    def _brackets(self) -> str:
        """What stands in brackets, as it stands."""
        open_at = self.at
        self._expect("[")
        begin = self.tokens.columns[open_at]
        end = self.source.find("]", begin)
        if end < 0:
            raise self._error("a bracket is not closed", open_at)
        while self._kind() != lexer.END and self.tokens.columns[self.at] <= end + 1:
            self.at += 1
        return self.source[begin:end].strip()

    def _named_load(self, word: str, dst: int) -> None:
        """``map[…]``, ``var[…]``, ``subprog[…]`` and ``map_fd 3``."""
        start = self.at
        self.at += 1
        if word == "map":
            self._map_load(dst)
        elif word in ("map_fd", "map_by_fd"):
            value = self._expression("a file descriptor", -0x80000000, 0x7FFFFFFF)
            self.out.emit(_map_instruction(dst, op.PSEUDO_MAP_FD, value, 0))
        elif word == "subprog":
            self._function_load(dst)
        elif word == "var":
            inside = self._brackets()
            number, module = self._identity(inside, start)
            self.out.emit(_map_instruction(dst, op.PSEUDO_VARIABLE, number, module))
        else:
            known = near(word, ("map", "var", "subprog"))
            raise self._error(f"there is nothing called {word}[…]{known}", start)

    def _map_load(self, dst: int) -> None:
        inside = self._brackets()
        key, colon, rest = inside.partition(":")
        name = ""
        number = 0
        if colon and key in ("fd", "id", _MAP_BY_INDEX):
            number = self._plain_number(rest)
        else:
            name = rest if colon and key == "name" else inside
            if not name:
                raise self._error("expected a map: map[fd:3], map[idx:0] or map[name]")
        by_index = bool(colon) and key == _MAP_BY_INDEX
        is_value = False
        offset = 0
        if self._text() == "[":
            self._brackets()
            is_value = True
        if self._text() == "+":
            self.at += 1
            offset = self._expression("an offset", 0, 0xFFFFFFFF)
            is_value = True
        if is_value:
            src = op.PSEUDO_MAP_INDEX_VALUE if by_index else op.PSEUDO_MAP_VALUE
        else:
            src = op.PSEUDO_MAP_INDEX if by_index else op.PSEUDO_MAP_FD
        insn = _map_instruction(dst, src, number, offset)
        if name:
            insn.map_name = name
        self.out.emit(insn)

    def _function_load(self, dst: int) -> None:
        start = self.at
        inside = self._brackets()
        insn = Instruction(op.LD_IMM64, dst=dst, src=op.PSEUDO_FUNCTION)
        if inside[:1] in ("+", "-") or inside[:1].isdigit():
            insn.imm = self._plain_number(inside) & 0xFFFFFFFF
            self.out.emit(insn)
            return
        line = self.tokens.line
        self.out.emit_use(insn, inside, FUNCTION_LOAD, line, self.tokens.columns[start])

    def _plain_number(self, word: str) -> int:
        try:
            value = int(word, 0)
        except ValueError:
            raise self._error(f"expected a number in brackets, found {word!r}") from None
        if not -0x80000000 <= value <= 0xFFFFFFFF:
            raise self._error(f"{value:#x} does not fit in 32 bits")
        return value

    def _identity(self, inside: str, start: int) -> tuple[int, int]:
        """``id:7`` or ``id:7,module:4``."""
        first, _, second = inside.partition(",")
        module = 0
        second = second.strip()
        if not first.startswith("id:") or (second and not second.startswith("module:")):
            raise self._error("expected id:NUMBER or id:NUMBER,module:NUMBER in brackets", start)
        if second:
            module = self._plain_number(second[7:])
        return self._plain_number(first[3:]), module

    # Jumps and calls

    def _if(self) -> None:
        dst, narrow = self._register("a register behind if")
        operation = _COMPARISONS.get(self._text(), -1)
        if operation < 0:
            known = " ".join(_COMPARISONS)
            raise self._error(f"expected one of {known}, found {self._found()}")
        self.at += 1
        opcode = (op.JMP32 if narrow else op.JMP) | operation
        if self._is_register():
            insn = Instruction(opcode | op.X, dst=dst, src=self._same_width(narrow))
        else:
            insn = Instruction(opcode, dst=dst, imm=self._immediate())
        start = self.at
        if not self._accept("goto"):
            if self._text() == "gotol":
                raise self._error("a jump with a condition has no long form", start)
            raise self._error(f"expected 'goto', found {self._found()}")
        self._jump(insn, JUMP)

    def _jump(self, insn: Instruction, kind: int) -> None:
        """Where a jump goes: a label, or a distance in slots."""
        start = self.at
        token_kind = self._kind()
        word = self._text()
        if word == "pc" and self._next_text() in ("+", "-"):
            self.at += 1
        elif (
            token_kind in (lexer.NAME, lexer.LOCAL, lexer.STRING)
            and word not in self.directives.constants
        ):
            self.at += 1
            column = self.tokens.columns[start]
            self.out.emit_use(insn, word.strip('"'), kind, self.tokens.line, column)
            return
        if kind == JUMP_LONG:
            insn.imm = self._expression("a distance", -0x80000000, 0x7FFFFFFF)
        else:
            insn.offset = self._expression("a distance or label", -0x8000, 0x7FFF)
        self.out.emit(insn)

    def _call(self) -> None:
        start = self.at
        word = self._text()
        kind = self._kind()
        if word == "pc" and self._next_text() in ("+", "-"):
            self.at += 1
            imm = self._expression("a distance", -0x80000000, 0x7FFFFFFF)
            insn = Instruction(op.CALL_IMM, src=op.CALL_LOCAL, imm=imm)
            if self._accept("#"):
                insn.reference = self._text()
                self.at += 1
            self.out.emit(insn)
        elif word in _REGISTERS:
            self.out.emit(Instruction(op.CALL_REG, dst=self._wide_register()))
        elif word == "kfunc" and self._next_text() == "[":
            self._call_kernel(start)
        elif kind in (lexer.NAME, lexer.STRING, lexer.LOCAL):
            self._call_name(word.strip('"'))
        else:
            self.out.emit(Instruction(op.CALL_IMM, imm=self._immediate()))

    def _call_name(self, name: str) -> None:
        start = self.at
        self.at += 1
        if self._text() == "#" and self.tokens.kinds[self.at + 1] == lexer.NUMBER:
            self.at += 1
            insn = Instruction(op.CALL_IMM, imm=self._immediate())
            insn.reference = name
            self.out.emit(insn)
            return
        if self.helpers is not None and name not in self.out.labels and name in self.helpers:
            insn = Instruction(op.CALL_IMM, imm=self.helpers[name])
            insn.reference = name
            self.out.emit(insn)
            return
        insn = Instruction(op.CALL_IMM, src=op.CALL_LOCAL)
        self.out.emit_use(insn, name, CALL, self.tokens.line, self.tokens.columns[start])

    def _call_kernel(self, start: int) -> None:
        self.at += 1
        inside = self._brackets()
        if ":" in inside:
            number, module = self._identity(inside, start)
            if not -0x8000 <= module <= 0x7FFF:
                raise self._error(f"module {module} does not fit in 16 bits", start)
            imm = _signed32(number)
            self.out.emit(Instruction(op.CALL_IMM, src=op.CALL_BTF, offset=module, imm=imm))
            return
        insn = Instruction(op.CALL_IMM, src=op.CALL_BTF)
        insn.reference = inside
        self.out.emit(insn)


def _signed32(value: int) -> int:
    value &= 0xFFFFFFFF
    return value - ((value & 0x80000000) << 1)


def _signed64(value: int) -> int:
    value &= 0xFFFFFFFFFFFFFFFF
    return value - ((value & 0x8000000000000000) << 1)


def _map_instruction(dst: int, src: int, low: int, high: int) -> Instruction:
    imm = _signed64((low & 0xFFFFFFFF) | (high & 0xFFFFFFFF) << 32)
    return Instruction(op.LD_IMM64, dst=dst, src=src, imm=imm)
