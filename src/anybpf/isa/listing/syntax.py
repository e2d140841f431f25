"""One instruction in our own spelling, which the assembler reads back to the same bytes.

It is clang's and the kernel's syntax, with a spelling of its own for what neither can say: where
a 16-byte load takes its value from, and calls by BTF id. Layout, labels and comments are added by
`anybpf.isa.listing.anybpf`.

    r1 = map[fd:3]              the map behind a file descriptor, or by name: map[hits]
    r1 = map[fd:3][0] + 16      an address in its value, or map[hits][0] + 16
    r1 = map[idx:3]             the same by index into a list of descriptors
    r1 = map[idx:3][0] + 16
    r1 = var[id:7]              a kernel variable by BTF id; var[id:7,module:4]
    r1 = subprog[+12]           a function of this program, or by name: subprog[callback]
    call kfunc[id:7]            a kernel function by BTF id; kfunc[id:7,module:4], kfunc[name]
    .quad 0x...                 a slot that holds no legal instruction
"""

from __future__ import annotations

from typing import Final

from anybpf.isa import opcodes as op
from anybpf.isa import text
from anybpf.isa.codec import encode, problem
from anybpf.isa.instruction import Instruction

_FORMS: Final = text.FORMS
_OPERATORS: Final = text.OPERATORS
_NAMES: Final = text.NAMES
_REGISTERS: Final = text.REGISTERS
_SUBREGISTERS: Final = text.SUBREGISTERS
_PLAIN_BELOW: Final = 1024  # immediates from here on are written in hexadecimal
_BITWISE: Final = (op.OR, op.AND, op.XOR)


def number(value: int, bitwise: bool = False) -> str:
    """An immediate: decimal where people count, hexadecimal where they think of bits.

    >>> number(-8), number(255, bitwise=True), number(0x86DD)
    ('-8', '0xff', '0x86dd')
    """
    if -10 < value < 10 or (-_PLAIN_BELOW < value < _PLAIN_BELOW and not bitwise):
        return str(value)
    return hex(value)


def place(register: int, offset: int) -> str:
    """An address such as ``r10 - 8``."""
    if offset >= 0:
        return _REGISTERS[register] + " + " + str(offset)
    return _REGISTERS[register] + " - " + str(-offset)


def distance(slots: int) -> str:
    """A jump's distance, always with its sign."""
    return f"+{slots}" if slots >= 0 else str(slots)


def instruction_text(insn: Instruction, target: str = "") -> str:
    """``insn`` as text; ``target`` is the label that it jumps to, calls, or takes the address of.

    >>> instruction_text(Instruction(0x61, dst=1, src=10, offset=-8))
    'r1 = *(u32 *)(r10 - 8)'
    >>> instruction_text(Instruction(0x15, dst=1, offset=3, imm=0), "out")
    'if r1 == 0 goto out'
    """
    opcode: int = insn.opcode
    dst: int = insn.dst
    src: int = insn.src
    offset: int = insn.offset
    imm: int = insn.imm
    if problem(insn):
        return quads(insn)
    form = _FORMS[opcode]
    names = _NAMES[opcode]
    operator = _OPERATORS[opcode]
    if form == text.ALU_REG:
        if offset == 1:
            operator = text.SIGNED_ASSIGNMENTS[opcode & op.OP_MASK]
        return names[dst] + " " + operator + " " + names[src]
    if form == text.ALU_IMM:
        operation = opcode & op.OP_MASK
        if offset == 1:
            operator = text.SIGNED_ASSIGNMENTS[operation]
        return names[dst] + " " + operator + " " + number(imm, operation in _BITWISE)
    if form == text.MOVE_REG:
        if offset == 0:
            return names[dst] + " = " + names[src]
        if offset == op.ADDRESS_SPACE_CAST:
            return f"{names[dst]} = addr_space_cast({names[src]}, {imm >> 16}, {imm & 0xFFFF})"
        return f"{names[dst]} = (s{offset}){names[src]}"
    if form == text.LOAD:
        return _REGISTERS[dst] + " = *(" + operator + " *)(" + place(src, offset) + ")"
    if form == text.STORE:
        return "*(" + operator + " *)(" + place(dst, offset) + ") = " + _REGISTERS[src]
    if form == text.STORE_IMM:
        return f"*({operator} *)({place(dst, offset)}) = {number(imm)}"
    if form == text.JUMP_IMM:
        right = number(imm, operator == "&")
        return f"if {names[dst]} {operator} {right} goto {target or distance(offset)}"
    if form == text.JUMP_REG:
        return f"if {names[dst]} {operator} {names[src]} goto {target or distance(offset)}"
    if form == text.JUMP:
        return "goto " + (target or distance(offset))
    if form == text.RETURN:
        return "exit"
    if form == text.CALL:
        return _call(insn, target)
    if form == text.LOAD_64:
        return f"{_REGISTERS[dst]} = {_wide_value(insn, target)}"
    if form == text.NEGATE:
        return f"{names[dst]} = -{names[dst]}"
    if form == text.SWAP:
        return f"{_REGISTERS[dst]} = {operator}{imm} {_REGISTERS[dst]}"
    if form == text.JUMP_LONG:
        return "gotol " + (target or distance(imm))
    if form == text.JUMP_MAYBE:
        return "may_goto " + (target or distance(offset))
    if form == text.CALL_REGISTER:
        return "callx " + _REGISTERS[dst]
    if form == text.LOAD_PACKET:
        return f"r0 = *({operator} *)skb[{number(imm)}]"
    if form == text.LOAD_PACKET_REG:
        index = place(src, imm) if imm else _REGISTERS[src]
        return f"r0 = *({operator} *)skb[{index}]"
    return _atomic(opcode, dst, src, offset, imm)


def _atomic(opcode: int, dst: int, src: int, offset: int, imm: int) -> str:
    wide = opcode & op.SIZE_MASK == op.DW
    names = _REGISTERS if wide else _SUBREGISTERS
    where = place(dst, offset)
    cast = f"({_OPERATORS[opcode]} *)"
    if imm == op.LOAD_ACQUIRE:
        return f"{names[dst]} = load_acquire({cast}({place(src, offset)}))"
    if imm == op.STORE_RELEASE:
        return f"store_release({cast}({where}), {names[src]})"
    if imm == op.ATOMIC_XCHG:
        return f"{names[src]} = {'xchg_64' if wide else 'xchg32_32'}({where}, {names[src]})"
    if imm == op.ATOMIC_CMPXCHG:
        word = "cmpxchg_64" if wide else "cmpxchg32_32"
        return f"{names[0]} = {word}({where}, {names[0]}, {names[src]})"
    if imm & op.FETCH:
        word = text.ATOMIC_WORDS[imm & 0xF0]
        return f"{names[src]} = atomic_fetch_{word}({cast}({where}), {names[src]})"
    return f"lock *{cast}({where}) {text.ATOMIC_ASSIGNMENTS[imm]} {names[src]}"


def _call(insn: Instruction, target: str) -> str:
    imm: int = insn.imm
    if insn.src == op.CALL_HELPER:
        return f"call {target}#{imm}" if target else f"call {imm}"
    if insn.src == op.CALL_LOCAL:
        return f"call {target or f'pc{distance(imm)}'}"
    if insn.reference and imm == 0 and insn.offset == 0:
        return f"call kfunc[{insn.reference}]"
    module = f",module:{insn.offset}" if insn.offset else ""
    return f"call kfunc[id:{imm}{module}]"


def _wide_value(insn: Instruction, target: str) -> str:
    """The right side of a 16-byte load."""
    src: int = insn.src
    low = insn.low
    high = insn.high
    signed_low = low - ((low & 0x80000000) << 1)
    if src == 0:
        if insn.reference:
            beyond = f" + {insn.imm}" if insn.imm else ""
            return f"{insn.reference}{beyond} ll"
        return f"{number(insn.imm, bitwise=True)} ll"
    if src == op.PSEUDO_FUNCTION:
        return f"subprog[{target or distance(signed_low)}]"
    if src == op.PSEUDO_VARIABLE:
        module = f",module:{high}" if high else ""
        return f"var[id:{low}{module}]"
    by_index = src in (op.PSEUDO_MAP_INDEX, op.PSEUDO_MAP_INDEX_VALUE)
    if insn.map_name and signed_low == 0 and not by_index:
        which = f"map[{insn.map_name}]"
    else:
        which = f"map[{'idx' if by_index else 'fd'}:{signed_low}]"
    if src in (op.PSEUDO_MAP_VALUE, op.PSEUDO_MAP_INDEX_VALUE):
        return f"{which}[0] + {high}"
    return which


def quads(insn: Instruction) -> str:
    """An instruction that is not legal, as the numbers it is made of."""
    data = encode([insn])
    words = [
        f"{int.from_bytes(data[index : index + 8], 'little'):#018x}"
        for index in range(0, len(data), 8)
    ]
    return f".quad {', '.join(words)}"
