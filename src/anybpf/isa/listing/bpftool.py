"""The listing of ``bpftool prog dump xlated``, from the kernel's own disassembler.

As nothing is loaded there are no map ids: maps are called by name (``map[name:hits]``), helpers
by name and number. Memory, jumps and immediates are spelled as the kernel does.
"""

from __future__ import annotations

from typing import Any, Final

from anybpf.isa import opcodes as op
from anybpf.isa import text
from anybpf.isa.codec import encode
from anybpf.isa.instruction import Instruction, SourceLine
from anybpf.isa.listing.names import Names

_FORMS: Final = text.FORMS
_OPERATORS: Final = text.OPERATORS
_NAMES: Final = text.NAMES
_REGISTERS: Final = text.REGISTERS
_PREFIXES: Final = tuple([f"({opcode:02x}) " for opcode in range(256)])


def lines(
    instructions: list[Instruction],
    *,
    names: Names | None = None,
    signatures: dict[str, str] | None = None,
    opcodes: bool = False,
    linum: bool = False,
    big_endian: bool = False,
) -> list[str]:
    """The dump as lines; ``signatures`` are the C prototypes of functions by name.

    >>> from anybpf.isa import decode
    >>> print(*lines(decode(bytes.fromhex("b700000002000000" "9500000000000000"))), sep="\\n")
       0: (b7) r0 = 2
       1: (95) exit
    """
    out: list[str] = []
    slot = 0
    for insn in instructions:
        proto = prototype(insn, signatures)
        if proto:
            out.append(f"{proto}:")
        line = insn.line
        if line is not None and line.text:
            out.append(f"; {line.text.lstrip()}{_position(line) if linum else ''}")
        out.append(f"{str(slot).rjust(4)}: {disassembly(insn, names)}")
        if opcodes:
            out.append(f"       {encode([insn], big_endian).hex(' ')}")
        slot += insn.slots
    return out


def records(
    instructions: list[Instruction],
    *,
    names: Names | None = None,
    signatures: dict[str, str] | None = None,
    opcodes: bool = False,
    linum: bool = False,
    big_endian: bool = False,
) -> list[dict[str, Any]]:
    """The dump as ``bpftool --json`` has it: one dictionary per instruction."""
    out: list[dict[str, Any]] = []
    for insn in instructions:
        record: dict[str, Any] = {}
        proto = prototype(insn, signatures)
        if proto:
            record["proto"] = proto
        line = insn.line
        if line is not None and line.text:
            record["src"] = line.text.lstrip()
            if linum:
                record["file"] = line.file
                record["line_num"] = line.line
                if line.column:
                    record["line_col"] = line.column
        record["disasm"] = disassembly(insn, names)
        if opcodes:
            data = encode([insn], big_endian)
            record["opcodes"] = {
                "code": f"{insn.opcode:#04x}",
                "src_reg": f"{insn.src:#x}",
                "dst_reg": f"{insn.dst:#x}",
                "off": [f"{byte:#04x}" for byte in data[2:4]],
                "imm": [f"{byte:#04x}" for byte in data[4:]],
            }
        out.append(record)
    return out


def prototype(insn: Instruction, signatures: dict[str, str] | None) -> str:
    """The C prototype of the function that starts at ``insn``, or ''."""
    if signatures is None:
        return ""
    function = insn.function
    name = function.name if function is not None else insn.symbol
    return signatures.get(name, "")


def _position(line: SourceLine) -> str:
    return f" [file:{line.file} line_num:{line.line} line_col:{line.column}]"


def disassembly(insn: Instruction, names: Names | None = None) -> str:
    """One instruction as the kernel's disassembler writes it.

    >>> disassembly(Instruction(0x61, dst=1, src=10, offset=-8))
    '(61) r1 = *(u32 *)(r10 -8)'
    """
    opcode: int = insn.opcode
    return _PREFIXES[opcode] + _words(insn, opcode, names)


def _words(insn: Instruction, opcode: int, names: Names | None) -> str:
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
        right = str(imm) if form == text.ALU_IMM else called[src]
        return f"{called[dst]} {operator} {right}"
    if form == text.MOVE_REG:
        if offset == op.ADDRESS_SPACE_CAST and opcode == op.MOV64_REG:
            spaces = f"{imm >> 16 & 0xFFFF}, {imm & 0xFFFF}"
            return f"{called[dst]} = addr_space_cast({called[src]}, {spaces})"
        cast = f"(s{offset})" if offset in (8, 16, 32) else ""
        return f"{called[dst]} = {cast}{called[src]}"
    if form == text.LOAD:
        return f"{_REGISTERS[dst]} = *({operator} *)({_REGISTERS[src]} {_signed(offset)})"
    if form == text.STORE:
        return f"*({operator} *)({_REGISTERS[dst]} {_signed(offset)}) = {_REGISTERS[src]}"
    if form == text.STORE_IMM:
        return f"*({operator} *)({_REGISTERS[dst]} {_signed(offset)}) = {imm}"
    if form == text.JUMP_IMM:
        return f"if {called[dst]} {operator} {imm & 0xFFFFFFFF:#x} goto pc{_signed(offset)}"
    if form == text.JUMP_REG:
        return f"if {called[dst]} {operator} {called[src]} goto pc{_signed(offset)}"
    if form == text.JUMP:
        return f"goto pc{_signed(offset)}"
    if form == text.JUMP_LONG:
        return f"gotol pc{_signed(imm)}"
    if form == text.JUMP_MAYBE:
        return f"may_goto pc{_signed(offset)}"
    if form == text.CALL:
        return _call(insn, names)
    if form == text.CALL_REGISTER:
        return f"callx {_REGISTERS[dst]}"
    if form == text.RETURN:
        return "exit"
    if form == text.LOAD_64:
        return f"{_REGISTERS[dst]} = {_wide_value(insn)}"
    if form == text.NEGATE:
        return f"{called[dst]} = -{called[dst]}"
    if form == text.SWAP:
        return f"{_REGISTERS[dst]} = {operator}{imm} {_REGISTERS[dst]}"
    if form == text.LOAD_PACKET:
        return f"r0 = *({operator} *)skb[{imm}]"
    if form == text.LOAD_PACKET_REG:
        return f"r0 = *({operator} *)skb[{_REGISTERS[src]} + {imm}]"
    if form == text.ATOMIC:
        return _atomic(opcode, dst, src, offset, imm)
    return f"unknown opcode {opcode:#04x}"


def _signed(number: int) -> str:
    return f"+{number}" if number >= 0 else str(number)


def _atomic(opcode: int, dst: int, src: int, offset: int, imm: int) -> str:
    size = _OPERATORS[opcode]
    place = f"({size} *)({_REGISTERS[dst]} {_signed(offset)})"
    wide = "64" if opcode & op.SIZE_MASK == op.DW else ""
    if imm == op.LOAD_ACQUIRE:
        return f"{_REGISTERS[dst]} = load_acquire(({size} *)({_REGISTERS[src]} {_signed(offset)}))"
    if imm == op.STORE_RELEASE:
        return f"store_release({place}, {_REGISTERS[src]})"
    if imm == op.ATOMIC_CMPXCHG:
        return f"r0 = atomic{wide}_cmpxchg({place}, r0, {_REGISTERS[src]})"
    if imm == op.ATOMIC_XCHG:
        return f"{_REGISTERS[src]} = atomic{wide}_xchg({place}, {_REGISTERS[src]})"
    if imm in text.ATOMIC_ASSIGNMENTS:
        return f"lock *{place} {text.ATOMIC_ASSIGNMENTS[imm]} {_REGISTERS[src]}"
    word = text.ATOMIC_WORDS.get(imm ^ op.FETCH)
    if word is not None:
        return f"{_REGISTERS[src]} = atomic{wide}_fetch_{word}({place}, {_REGISTERS[src]})"
    return f"unknown atomic operation {imm:#x}"


def _call(insn: Instruction, names: Names | None) -> str:
    imm: int = insn.imm
    if insn.src == op.CALL_LOCAL:
        return f"call pc{_signed(imm)}" + (f"#{insn.reference}" if insn.reference else "")
    if insn.src == op.CALL_BTF:
        return f"call {insn.reference or 'kernel-function'}#{imm}"
    helper = names.helper(imm) if names is not None else None
    return f"call {helper.name if helper is not None else insn.reference or 'unknown'}#{imm}"


def _wide_value(insn: Instruction) -> str:
    src: int = insn.src
    low = insn.low
    if src == op.PSEUDO_FUNCTION:
        return f"subprog[{low - ((low & 0x80000000) << 1):+d}]"
    if not insn.is_map_load:
        return f"{int(insn.imm) & 0xFFFFFFFFFFFFFFFF:#x}"
    by_index = src in (op.PSEUDO_MAP_INDEX, op.PSEUDO_MAP_INDEX_VALUE)
    if insn.map_name:
        which = f"name:{insn.map_name}"
    else:
        which = f"{'idx' if by_index else 'fd'}:{low}"
    if src == op.PSEUDO_MAP_VALUE:
        return f"map[{which}][0]+{insn.high}"
    return f"map[{which}]" + (f"+{insn.high}" if src == op.PSEUDO_MAP_INDEX_VALUE else "")
