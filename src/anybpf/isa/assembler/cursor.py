"""Where the parser of clang's dialect stands in a statement, and how it reads an operand.

Registers, numbers, casts and addresses are read here, each with the error that says what would
have been right; which operands an instruction has is known by the modules beside this one.
"""

from __future__ import annotations

from typing import Final

from anybpf.errors import AssemblerError
from anybpf.isa import opcodes as op
from anybpf.isa import text
from anybpf.isa.assembler import lexer
from anybpf.isa.assembler.directives import Directives
from anybpf.isa.assembler.expressions import evaluate
from anybpf.isa.assembler.lexer import Tokens
from anybpf.isa.assembler.output import Output

_REGISTERS: Final = text.REGISTER_NUMBERS
_SUBREGISTERS: Final = text.SUBREGISTER_NUMBERS
_SIZES: Final = {name: size for size, name in text.SIZE_TYPES.items()}
_SIGNED_SIZES: Final = {name: size for size, name in text.SIGNED_SIZE_TYPES.items()}


class Cursor:
    """One line's tokens; ``at`` is the token that comes next."""

    __slots__ = ("at", "directives", "out", "tokens")

    def __init__(self, out: Output) -> None:
        self.out: Final = out
        self.directives: Final = Directives(out)
        self.tokens: Tokens = Tokens(0, "")
        self.at: int = 0

    def word(self) -> str:
        return self.tokens.texts[self.at]

    def kind(self) -> int:
        return self.tokens.kinds[self.at]

    def next_word(self) -> str:
        return self.tokens.texts[self.at + 1] if self.at + 1 < len(self.tokens.texts) else ""

    def accept(self, word: str) -> bool:
        if self.tokens.texts[self.at] == word and self.tokens.kinds[self.at] != lexer.STRING:
            self.at += 1
            return True
        return False

    def expect(self, word: str, where: str = "") -> None:
        if not self.accept(word):
            behind = f" {where}" if where else ""
            raise self.error(f"expected {word!r}{behind}, found {self.found()}")

    def found(self) -> str:
        return repr(self.word()) if self.kind() != lexer.END else "the end of the line"

    def error(self, message: str, at: int = -1) -> AssemblerError:
        column = self.tokens.column(self.at if at < 0 else at)
        return self.out.fail(message, self.tokens.line, column)

    def expression(self, what: str, low: int, high: int) -> int:
        start = self.at
        value = self.value(what)
        if not low <= value <= high:
            raise self.error(f"{what} {value:#x} must be from {low:#x} to {high:#x}", start)
        return value

    def value(self, what: str) -> int:
        start = self.at
        value, self.at = evaluate(self.tokens, self.at, self.directives.constants)
        if self.at == start:
            raise self.error(f"expected {what}, found {self.found()}")
        return value

    def immediate(self) -> int:
        """A 32-bit immediate; one above 2^31-1 stands for its negative counterpart."""
        value = self.expression("an immediate", -0x80000000, 0xFFFFFFFF)
        return value - 0x100000000 if value > 0x7FFFFFFF else value

    def register(self, what: str = "a register") -> tuple[int, bool]:
        """A register's number and whether it is a w register."""
        word = self.word()
        number = _REGISTERS.get(word, -1)
        narrow = False
        if number < 0:
            number = _SUBREGISTERS.get(word, -1)
            narrow = True
        if number < 0:
            raise self.error(f"expected {what}, found {self.found()}")
        if number >= op.REGISTERS:
            raise self.error(f"register {word} does not exist, the last is {word[0]}10")
        self.at += 1
        return number, narrow

    def wide_register(self, what: str = "a register") -> int:
        start = self.at
        number, narrow = self.register(what)
        if narrow:
            raise self.error(f"expected r{number}: the whole register is meant here", start)
        return number

    def is_register(self) -> bool:
        word = self.word()
        return word in _REGISTERS or word in _SUBREGISTERS

    def same_width(self, narrow: bool) -> int:
        start = self.at
        number, also = self.register()
        if narrow != also:
            raise self.error(
                f"{'w' if narrow else 'r'} registers go together: "
                f"write {'w' if narrow else 'r'}{number}",
                start,
            )
        return number

    def value_register(self, size: int) -> int:
        """A register of which ``size`` is stored; for up to 32 bits its w name will do."""
        start = self.at
        number, narrow = self.register()
        if narrow and size == op.DW:
            raise self.error(f"64 bits are in r{number}, not in w{number}", start)
        return number

    # Atomic operations

    def cast(self) -> tuple[int, bool]:
        """``(u32 *)``: the size's bits, and whether it is signed."""
        self.expect("(")
        word = self.word()
        signed = word in _SIGNED_SIZES
        size = _SIGNED_SIZES.get(word, _SIZES.get(word, -1))
        if size < 0:
            raise self.error(f"expected u8, u16, u32, u64, s8, s16 or s32, found {self.found()}")
        self.at += 1
        self.expect("*", "behind the type")
        self.expect(")")
        return size, signed

    def address(self) -> tuple[int, int]:
        """``r1 + 4``: register and offset."""
        register = self.wide_register("the register that holds the address")
        return register, self.offset()

    def offset(self) -> int:
        if self.word() != "+" and self.word() != "-":
            return 0
        start = self.at
        if self.word() == "+" and self.next_word() in ("-", "+"):
            self.at += 1
        value = self.expression("an offset", -0x8000, 0xFFFF)
        if value > 0x7FFF:
            raise self.error(f"offset {value:#x} does not fit in 16 bits with sign", start)
        return value

    def cast_address(self) -> tuple[int, int, int]:
        """``(u64 *)(r1 + 0)``: size, register, offset."""
        start = self.at
        size, signed = self.cast()
        if signed:
            raise self.error("atomic operations have no sign", start)
        self.expect("(", "around the address")
        register, offset = self.address()
        self.expect(")")
        return size, register, offset

    def brackets(self) -> str:
        """What stands in brackets, as it stands."""
        open_at = self.at
        self.expect("[")
        begin = self.tokens.column(open_at)
        source = self.tokens.source
        place = begin
        while self.kind() != lexer.END:
            word = self.word()
            place = source.index(word, place)
            self.at += 1
            if word == "]":
                return source[begin:place].strip()
            place += len(word)
        raise self.error("a bracket is not closed", open_at)

    def plain_number(self, word: str) -> int:
        try:
            value = int(word, 0)
        except ValueError:
            raise self.error(f"expected a number in brackets, found {word!r}") from None
        if not -0x80000000 <= value <= 0xFFFFFFFF:
            raise self.error(f"{value:#x} does not fit in 32 bits")
        return value

    def identity(self, inside: str, start: int) -> tuple[int, int]:
        """``id:7`` or ``id:7,module:4``."""
        first, _, second = inside.partition(",")
        module = 0
        second = second.strip()
        if not first.startswith("id:") or (second and not second.startswith("module:")):
            raise self.error("expected id:NUMBER or id:NUMBER,module:NUMBER in brackets", start)
        if second:
            module = self.plain_number(second[7:])
        return self.plain_number(first[3:]), module


def signed32(value: int) -> int:
    """The signed number with the same lower 32 bits."""
    value &= 0xFFFFFFFF
    return value - ((value & 0x80000000) << 1)


def signed64(value: int) -> int:
    """The signed number with the same lower 64 bits."""
    value &= 0xFFFFFFFFFFFFFFFF
    return value - ((value & 0x8000000000000000) << 1)
