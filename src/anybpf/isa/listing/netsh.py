"""The layout of ``netsh ebpf show disassembly``, whose words are those of the PREVAIL verifier.

Numbers are decimal, maps are numbered from one, helper calls show their typed registers, source
lines come as pairs of comments. Nothing here is meant to be assembled again.
"""

from __future__ import annotations

from typing import Final

from anybpf.isa import opcodes as op
from anybpf.isa import text
from anybpf.isa.instruction import Instruction, SourceLine
from anybpf.isa.listing.names import HelperName, Names

_FORMS: Final = text.FORMS
_OPERATORS: Final = text.OPERATORS
_NAMES: Final = text.NAMES
_REGISTERS: Final = text.REGISTERS

# PREVAIL's words where they differ from everybody else's.
_ASSIGNMENTS: Final = {"s>>=": ">>>="}
_COMPARISONS: Final = {"&": "&=="}
_ATOMICS: Final = {
    op.ATOMIC_ADD: "+",
    op.ATOMIC_OR: "|",
    op.ATOMIC_AND: "&",
    op.ATOMIC_XOR: "^",
}

# Kinds of arguments, as the platform tables call them, in PREVAIL's words; else uint64_t.
_KINDS: Final = {
    "context": "ctx",
    "map": "map_fd",
    "map_key": "map_key",
    "map_value": "map_value",
    "stack": "stack",
    "function": "func",
    "memory": "mem",
}


def lines(
    instructions: list[Instruction],
    *,
    names: Names | None = None,
    map_numbers: dict[str, int] | None = None,
) -> list[str]:
    """The listing, up to and with its last, blank line.

    ``map_numbers`` are the maps' numbers by name; without them, maps are numbered from one in
    the order in which the program first mentions them.

    >>> from anybpf.isa import decode
    >>> lines(decode(bytes.fromhex("b700000002000000" "9500000000000000")))
    ['       0:\\tr0 = 2', '       1:\\texit', '']
    """
    numbers: dict[str, int] = {} if map_numbers is None else dict(map_numbers)
    out: list[str] = []
    last: SourceLine | None = None
    slot = 0
    for insn in instructions:
        line = insn.line
        if line is not None and (
            last is None
            or line.line != last.line
            or line.file != last.file
            or line.text != last.text
        ):
            out.append(f"; {line.file}:{line.line}")
            out.append(f"; {line.text}")
            last = line
        out.append(f"{str(slot).rjust(8)}:\t{_words(insn, slot, names, numbers)}")
        slot += insn.slots
    out.append("")
    return out


def _words(insn: Instruction, slot: int, names: Names | None, numbers: dict[str, int]) -> str:
    opcode: int = insn.opcode
    dst: int = insn.dst
    src: int = insn.src
    offset: int = insn.offset
    imm: int = insn.imm
    form = _FORMS[opcode]
    called = _NAMES[opcode]
    operator = _OPERATORS[opcode]
    if form in (text.ALU_IMM, text.ALU_REG):
        if offset == 1:
            operator = text.SIGNED_ASSIGNMENTS.get(opcode & op.OP_MASK, operator)
        operator = _ASSIGNMENTS.get(operator, operator)
        right = str(imm) if form == text.ALU_IMM else called[src]
        return f"{called[dst]} {operator} {right}"
    if form == text.MOVE_REG:
        if offset == op.ADDRESS_SPACE_CAST and opcode == op.MOV64_REG:
            spaces = f"{imm >> 16 & 0xFFFF}, {imm & 0xFFFF}"
            return f"{called[dst]} = addr_space_cast({called[src]}, {spaces})"
        sign = f"s{offset}" if offset in (8, 16, 32) else ""
        return f"{called[dst]} {sign}= {called[src]}"
    if form == text.LOAD:
        return f"{_REGISTERS[dst]} = *({operator} *)({_place(src, offset)})"
    if form == text.STORE:
        return f"*({operator} *)({_place(dst, offset)}) = {_REGISTERS[src]}"
    if form == text.STORE_IMM:
        return f"*({operator} *)({_place(dst, offset)}) = {imm}"
    if text.JUMP_IMM <= form <= text.JUMP_MAYBE:
        jump = _jump(insn, slot)
        if form > text.JUMP_REG:
            return jump
        operator = _COMPARISONS.get(operator, operator)
        right = str(imm) if form == text.JUMP_IMM else called[src]
        return f"if {called[dst]} {operator} {right} {jump}"
    if form == text.CALL:
        return _call(insn, slot, names)
    if form == text.CALL_REGISTER:
        return f"callx {_REGISTERS[dst]}"
    if form == text.RETURN:
        return "exit"
    if form == text.LOAD_64:
        return f"{_REGISTERS[dst]} = {_wide_value(insn, numbers)}"
    if form == text.NEGATE:
        return f"{called[dst]} = -{called[dst]}"
    if form == text.SWAP:
        word = "swap" if operator == "bswap" else operator
        return f"{_REGISTERS[dst]} = {word}{imm} {_REGISTERS[dst]}"
    if form == text.LOAD_PACKET:
        return f"r0 = *({operator} *)skb[{imm}]"
    if form == text.LOAD_PACKET_REG:
        beyond = f" + {imm}" if imm else ""
        return f"r0 = *({operator} *)skb[{_REGISTERS[src]}{beyond}]"
    if form == text.ATOMIC:
        return _atomic(opcode, dst, src, offset, imm)
    return f"unknown opcode {opcode:#04x}"


def _place(register: int, offset: int) -> str:
    if offset < 0:
        return f"{_REGISTERS[register]} - {-offset}"
    return f"{_REGISTERS[register]} + {offset}"


def _jump(insn: Instruction, slot: int) -> str:
    form = _FORMS[insn.opcode]
    word = "gotol" if form == text.JUMP_LONG else "goto"
    if form == text.JUMP_MAYBE:
        word = "may_goto"
    slots = insn.jump_distance
    sign = "+" if slots > 0 else ""
    return f"{word} {sign}{slots} <{slot + 1 + slots}>"


def _atomic(opcode: int, dst: int, src: int, offset: int, imm: int) -> str:
    place = f"*({_OPERATORS[opcode]} *)({_place(dst, offset)})"
    if imm == op.LOAD_ACQUIRE:
        return f"{_REGISTERS[dst]} = load_acquire *({_OPERATORS[opcode]} *)({_place(src, offset)})"
    if imm == op.STORE_RELEASE:
        return f"store_release {place} = {_REGISTERS[src]}"
    if imm == op.ATOMIC_XCHG:
        return f"lock {place} x= {_REGISTERS[src]}"
    if imm == op.ATOMIC_CMPXCHG:
        return f"lock {place} cx= {_REGISTERS[src]}"
    sign = _ATOMICS.get(imm & 0xF0, "?")
    return f"lock {place} {sign}= {_REGISTERS[src]}{' fetch' if imm & op.FETCH else ''}"


def _call(insn: Instruction, slot: int, names: Names | None) -> str:
    imm: int = insn.imm
    if insn.src == op.CALL_LOCAL:
        return f"call <{insn.reference or slot + 1 + imm}>"
    if insn.src == op.CALL_BTF:
        return f"call_btf {insn.reference or imm}"
    helper = names.helper(imm) if names is not None else None
    if helper is None:
        return f"r0 = {insn.reference or 'unknown'}:{imm}()"
    return f"r0 = {helper.name}:{imm}({', '.join(_arguments(helper))})"


def _arguments(helper: HelperName) -> list[str]:
    """Each argument as its kind and register; a length belongs to the memory before it."""
    args = list(helper.args)[:5]
    lengths = [arg.size_arg for arg in args]
    words: list[str] = []
    for position, arg in enumerate(args):
        if position in lengths:
            continue
        kind = _KINDS.get(arg.kind, "uint64_t")
        if kind == "map_fd" and helper.name.endswith("tail_call"):
            kind = "map_fd_programs"
        if kind == "mem" and arg.access == "w":
            kind = "out"
        if arg.nullable:
            kind += "?"
        word = f"{kind} r{position + 1}"
        size = arg.size_arg
        if 0 <= size < len(args):
            zero = "?" if args[size].kind == "size_or_zero" else ""
            word += f"[r{size + 1}{zero}], uint64_t r{size + 1}"
        words.append(word)
    return words


def _wide_value(insn: Instruction, numbers: dict[str, int]) -> str:
    if insn.is_function_load:
        return f"fn({insn.reference})" if insn.reference else f"fn({insn.low})"
    if not insn.is_map_load:
        return f"{insn.imm} ll"
    name = insn.map_name
    number = insn.low
    if name:
        if name not in numbers:
            numbers[name] = len(numbers) + 1
        number = numbers[name]
    if insn.src in (op.PSEUDO_MAP_VALUE, op.PSEUDO_MAP_INDEX_VALUE):
        return f"map_val({number}) + {insn.high}"
    return f"map_fd {number}"
