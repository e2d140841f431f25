"""Sixteen-byte loads whose value is not a plain number: maps, variables, functions, symbols.

The spellings in brackets are those of `anybpf.isa.listing.syntax` and of bpftool.
"""

from __future__ import annotations

from anybpf.isa import opcodes as op
from anybpf.isa.assembler.cursor import Cursor, signed64
from anybpf.isa.assembler.output import FUNCTION_LOAD, near
from anybpf.isa.instruction import Instruction

SOURCES = ("map", "var", "subprog")


def load_pseudo(cursor: Cursor) -> None:
    """``ld_pseudo r1, source, value``, as clang has it."""
    dst = cursor.wide_register()
    cursor.accept(",")
    src = cursor.expression("a source", 0, 15)
    cursor.accept(",")
    value = cursor.expression("a value", -0x8000000000000000, 0xFFFFFFFFFFFFFFFF)
    cursor.out.emit(Instruction(op.LD_IMM64, dst=dst, src=src, imm=signed64(value)))


def symbol_load(cursor: Cursor, dst: int, narrow: bool, known_words: list[str]) -> None:
    """``r1 = name ll``: an address that is filled in later."""
    start = cursor.at
    name = cursor.word()
    cursor.at += 1
    value = 0
    if cursor.word() in ("+", "-"):
        value = cursor.value("an offset")
    if not cursor.accept("ll"):
        raise cursor.error(
            f"{name} is no value{near(name, known_words)}; the address of a symbol is "
            f"'r{dst} = {name} ll'",
            start,
        )
    if narrow:
        raise cursor.error(f"an address fills a whole register: write r{dst}", start)
    insn = Instruction(op.LD_IMM64, dst=dst, imm=signed64(value))
    insn.reference = name
    cursor.out.emit(insn)


def named_load(cursor: Cursor, word: str, dst: int) -> None:
    """``map[…]``, ``var[…]``, ``subprog[…]`` and ``map_fd 3``."""
    start = cursor.at
    cursor.at += 1
    if word == "map":
        _map_load(cursor, dst)
    elif word in ("map_fd", "map_by_fd"):
        value = cursor.expression("a file descriptor", -0x80000000, 0x7FFFFFFF)
        cursor.out.emit(_map_instruction(dst, op.PSEUDO_MAP_FD, value, 0))
    elif word == "subprog":
        _function_load(cursor, dst)
    elif word == "var":
        inside = cursor.brackets()
        number, module = cursor.identity(inside, start)
        cursor.out.emit(_map_instruction(dst, op.PSEUDO_VARIABLE, number, module))
    else:
        known = near(word, SOURCES)
        raise cursor.error(f"there is nothing called {word}[…]{known}", start)


def _map_load(cursor: Cursor, dst: int) -> None:
    inside = cursor.brackets()
    key, colon, rest = inside.partition(":")
    name = ""
    number = 0
    if colon and key in ("fd", "id", "idx"):
        number = cursor.plain_number(rest)
    else:
        name = rest if colon and key == "name" else inside
        if not name:
            raise cursor.error("expected a map: map[fd:3], map[idx:0] or map[name]")
    by_index = bool(colon) and key == "idx"
    is_value = False
    offset = 0
    if cursor.word() == "[":
        cursor.brackets()
        is_value = True
    if cursor.word() == "+":
        cursor.at += 1
        offset = cursor.expression("an offset", 0, 0xFFFFFFFF)
        is_value = True
    if is_value:
        src = op.PSEUDO_MAP_INDEX_VALUE if by_index else op.PSEUDO_MAP_VALUE
    else:
        src = op.PSEUDO_MAP_INDEX if by_index else op.PSEUDO_MAP_FD
    insn = _map_instruction(dst, src, number, offset)
    if name:
        insn.map_name = name
    cursor.out.emit(insn)


def _function_load(cursor: Cursor, dst: int) -> None:
    start = cursor.at
    inside = cursor.brackets()
    insn = Instruction(op.LD_IMM64, dst=dst, src=op.PSEUDO_FUNCTION)
    if inside[:1] in ("+", "-") or inside[:1].isdigit():
        insn.imm = cursor.plain_number(inside) & 0xFFFFFFFF
        cursor.out.emit(insn)
        return
    line = cursor.tokens.line
    cursor.out.emit_use(insn, inside, FUNCTION_LOAD, line, cursor.tokens.column(start))


def _map_instruction(dst: int, src: int, low: int, high: int) -> Instruction:
    imm = signed64((low & 0xFFFFFFFF) | (high & 0xFFFFFFFF) << 32)
    return Instruction(op.LD_IMM64, dst=dst, src=src, imm=imm)
