"""Directives: the lines of clang's output that begin with a dot.

Code sections are kept and data sections passed over, symbols' attributes and debug information
are read and forgotten: what is assembled here is instructions.
"""

from __future__ import annotations

from typing import Final

from anybpf.errors import DecodeError
from anybpf.isa.assembler import lexer
from anybpf.isa.assembler.expressions import evaluate
from anybpf.isa.assembler.lexer import Tokens
from anybpf.isa.assembler.output import Output, near
from anybpf.isa.codec import decode

# What says nothing about instructions. All of it is in "Using as" and in LLVM's documentation.
_IGNORED: Final = (
    ".globl", ".global", ".weak", ".hidden", ".protected", ".local", ".type", ".size", ".p2align",
    ".balign", ".align", ".file", ".loc", ".ident", ".addrsig", ".addrsig_sym", ".comm", ".lcomm",
    ".cfi_startproc", ".cfi_endproc", ".cfi_sections", ".cfi_def_cfa_offset", ".intel_syntax",
)  # fmt: skip
_DATA: Final = (
    ".ascii", ".asciz", ".string", ".byte", ".short", ".2byte", ".hword", ".long", ".int",
    ".4byte", ".zero", ".skip", ".space", ".fill", ".uleb128", ".sleb128",
)  # fmt: skip
_WORDS: Final = (".quad", ".8byte")
_SECTIONS: Final = (".text", ".data", ".bss", ".section", ".set", ".equ", ".previous")


class Directives:
    """Which section is being read, and the constants that have been given names."""

    __slots__ = ("_before", "constants", "in_code", "out")

    def __init__(self, out: Output) -> None:
        self.out: Final = out
        self.in_code: bool = True
        self._before: bool = True
        self.constants: dict[str, int] = {}

    def read(self, tokens: Tokens, at: int) -> int:
        """Take the directive at token ``at``; the index of the token behind it."""
        word = tokens.texts[at]
        end = at
        while tokens.kinds[end] != lexer.END and tokens.texts[end] != ";":
            end += 1
        if word in _IGNORED:
            return end
        if word == ".text":
            self._enter(True)
        elif word in (".data", ".bss"):
            self._enter(False)
        elif word == ".previous":
            self._enter(self._before)
        elif word == ".section":
            self._enter(_is_code(tokens, at + 1, end))
        elif word in (".set", ".equ"):
            self._constant(tokens, at + 1)
        elif word in _WORDS:
            if self.in_code:
                self._quads(tokens, at + 1, end)
        elif word in _DATA:
            if self.in_code:
                raise self._error(
                    f"{word} in a code section; whole slots are written with .quad", tokens, at
                )
        elif self.in_code:
            hint = near(word, [*_IGNORED, *_DATA, *_WORDS, *_SECTIONS])
            raise self._error(f"there is no directive {word}{hint}", tokens, at)
        return end

    def _enter(self, code: bool) -> None:
        self._before = self.in_code
        self.in_code = code

    def _error(self, message: str, tokens: Tokens, at: int) -> Exception:
        return self.out.fail(message, tokens.line, tokens.column(at))

    def _constant(self, tokens: Tokens, at: int) -> None:
        name = tokens.texts[at]
        if tokens.kinds[at] != lexer.NAME or tokens.texts[at + 1] != ",":
            raise self._error("expected .set NAME, VALUE", tokens, at)
        value, after = evaluate(tokens, at + 2, self.constants)
        if after == at + 2:
            # An alias of a label, as clang makes for ".Lname$local": nothing to do.
            if tokens.kinds[at + 2] == lexer.NAME:
                return
            raise self._error("expected a constant", tokens, at + 2)
        self.constants[name] = value

    def _quads(self, tokens: Tokens, at: int, end: int) -> None:
        """Slots given as numbers, legal or not."""
        data = b""
        start = at
        while at < end:
            value, after = evaluate(tokens, at, self.constants)
            if after == at or not -(1 << 63) <= value < 1 << 64:
                raise self._error("expected a 64-bit number", tokens, at)
            data += (value & 0xFFFFFFFFFFFFFFFF).to_bytes(8, "little")
            at = after
            if tokens.texts[at] == ",":
                at += 1
            elif at < end:
                raise self._error(f"expected ',', found {tokens.texts[at]!r}", tokens, at)
        try:
            instructions = decode(data, check=False)
        except DecodeError as error:  # cannot be: the length is a multiple of eight
            raise self._error(error.message, tokens, start) from error
        for insn in instructions:
            self.out.emit(insn)


def _is_code(tokens: Tokens, at: int, end: int) -> bool:
    """Whether a .section line opens code: flags with "x", or no flags and a name of no data."""
    for index in range(at, end):
        if tokens.kinds[index] == lexer.STRING and index > at:
            return "x" in tokens.texts[index]
    name = tokens.texts[at].strip('"')
    return not name.startswith((".data", ".bss", ".rodata", ".debug", ".BTF", ".maps"))
