"""The words of the instruction set: registers, operators, sizes, mnemonics.

One place for what both assembler dialects read and all listings write, so that no two of them can
disagree. It says how a thing is spelled, not what it does; numbers are in `anybpf.isa.opcodes`.
"""

from __future__ import annotations

from typing import Final

from anybpf.isa import opcodes as op

# Sixteen names, because damaged code and the mnemonic dialect can speak of r11 to r15.
REGISTERS: Final = tuple([f"r{number}" for number in range(16)])
SUBREGISTERS: Final = tuple([f"w{number}" for number in range(16)])
REGISTER_NUMBERS: Final = {name: number for number, name in enumerate(REGISTERS)}
SUBREGISTER_NUMBERS: Final = {name: number for number, name in enumerate(SUBREGISTERS)}

# Arithmetic as assignment, RFC 9669 section 4.1, in the spelling of clang and the kernel.
ASSIGNMENTS: Final = {
    op.ADD: "+=",
    op.SUB: "-=",
    op.MUL: "*=",
    op.DIV: "/=",
    op.OR: "|=",
    op.AND: "&=",
    op.LSH: "<<=",
    op.RSH: ">>=",
    op.MOD: "%=",
    op.XOR: "^=",
    op.MOV: "=",
    op.ARSH: "s>>=",
}
SIGNED_ASSIGNMENTS: Final = {op.DIV: "s/=", op.MOD: "s%="}

# Comparisons, RFC 9669 section 4.3.
COMPARISONS: Final = {
    op.JEQ: "==",
    op.JGT: ">",
    op.JGE: ">=",
    op.JSET: "&",
    op.JNE: "!=",
    op.JSGT: "s>",
    op.JSGE: "s>=",
    op.JLT: "<",
    op.JLE: "<=",
    op.JSLT: "s<",
    op.JSLE: "s<=",
}

# Sizes of accesses, RFC 9669 section 5.
SIZE_TYPES: Final = {op.B: "u8", op.H: "u16", op.W: "u32", op.DW: "u64"}
SIGNED_SIZE_TYPES: Final = {op.B: "s8", op.H: "s16", op.W: "s32"}
SIZE_LETTERS: Final = {op.B: "b", op.H: "h", op.W: "w", op.DW: "dw"}

# Byte swaps by opcode, RFC 9669 section 4.2; the width follows the word.
SWAPS: Final = {op.LE: "le", op.BE: "be", op.BSWAP: "bswap"}

# Atomic operations, RFC 9669 section 5.3: as an assignment and as a word.
ATOMIC_ASSIGNMENTS: Final = {
    op.ATOMIC_ADD: "+=",
    op.ATOMIC_OR: "|=",
    op.ATOMIC_AND: "&=",
    op.ATOMIC_XOR: "^=",
}
ATOMIC_WORDS: Final = {
    op.ATOMIC_ADD: "add",
    op.ATOMIC_OR: "or",
    op.ATOMIC_AND: "and",
    op.ATOMIC_XOR: "xor",
}

# The mnemonics of the conformance suite's assembler.
ARITHMETIC_MNEMONICS: Final = {
    op.ADD: "add",
    op.SUB: "sub",
    op.MUL: "mul",
    op.DIV: "div",
    op.OR: "or",
    op.AND: "and",
    op.LSH: "lsh",
    op.RSH: "rsh",
    op.NEG: "neg",
    op.MOD: "mod",
    op.XOR: "xor",
    op.MOV: "mov",
    op.ARSH: "arsh",
}
SIGNED_MNEMONICS: Final = {op.DIV: "sdiv", op.MOD: "smod"}
JUMP_MNEMONICS: Final = {
    op.JEQ: "jeq",
    op.JGT: "jgt",
    op.JGE: "jge",
    op.JSET: "jset",
    op.JNE: "jne",
    op.JSGT: "jsgt",
    op.JSGE: "jsge",
    op.JLT: "jlt",
    op.JLE: "jle",
    op.JSLT: "jslt",
    op.JSLE: "jsle",
}

# What the operands of an opcode look like, as numbers in `FORMS`.
UNKNOWN: Final = 0
ALU_IMM: Final = 1
ALU_REG: Final = 2
MOVE_REG: Final = 3
NEGATE: Final = 4
SWAP: Final = 5
JUMP_IMM: Final = 6
JUMP_REG: Final = 7
JUMP: Final = 8
JUMP_LONG: Final = 9
JUMP_MAYBE: Final = 10
CALL: Final = 11
CALL_REGISTER: Final = 12
RETURN: Final = 13
LOAD_64: Final = 14
LOAD_PACKET: Final = 15
LOAD_PACKET_REG: Final = 16
LOAD: Final = 17
STORE_IMM: Final = 18
STORE: Final = 19
ATOMIC: Final = 20


def _form(opcode: int) -> int:
    if op.SHAPES[opcode] & op.ILLEGAL:
        return UNKNOWN
    cls = opcode & op.CLASS_MASK
    by_register = opcode & op.X != 0
    if cls in (op.ALU, op.ALU64):
        operation = opcode & op.OP_MASK
        if operation == op.NEG:
            return NEGATE
        if operation == op.END:
            return SWAP
        if operation == op.MOV and by_register:
            return MOVE_REG
        return ALU_REG if by_register else ALU_IMM
    if cls in (op.JMP, op.JMP32):
        whole = {
            op.GOTO: JUMP,
            op.GOTO_LONG: JUMP_LONG,
            op.MAY_GOTO: JUMP_MAYBE,
            op.CALL_IMM: CALL,
            op.CALL_REG: CALL_REGISTER,
            op.EXIT_INSN: RETURN,
        }
        return whole.get(opcode, JUMP_REG if by_register else JUMP_IMM)
    if cls == op.LD:
        packet = {op.ABS: LOAD_PACKET, op.IND: LOAD_PACKET_REG}
        return packet.get(opcode & op.MODE_MASK, LOAD_64)
    if cls == op.LDX:
        return LOAD
    if cls == op.ST:
        return STORE_IMM
    return ATOMIC if opcode & op.MODE_MASK == op.ATOMIC else STORE


def _operator(opcode: int) -> str:
    form = FORMS[opcode]
    if form in (ALU_IMM, ALU_REG, MOVE_REG):
        return ASSIGNMENTS[opcode & op.OP_MASK]
    if form in (JUMP_IMM, JUMP_REG):
        return COMPARISONS[opcode & op.OP_MASK]
    if form == SWAP:
        return SWAPS[opcode]
    if form == LOAD and opcode & op.MODE_MASK == op.MEMSX:
        return SIGNED_SIZE_TYPES[opcode & op.SIZE_MASK]
    if form in (LOAD, STORE, STORE_IMM, ATOMIC, LOAD_PACKET, LOAD_PACKET_REG):
        return SIZE_TYPES[opcode & op.SIZE_MASK]
    return ""


# By opcode: the form of its operands, its operator or access type, and how its registers are
# called (32-bit arithmetic and comparisons speak of w registers).
FORMS: Final = tuple([_form(opcode) for opcode in range(256)])
OPERATORS: Final = tuple([_operator(opcode) for opcode in range(256)])
NAMES: Final = tuple(
    [
        SUBREGISTERS
        if opcode & op.CLASS_MASK in (op.ALU, op.JMP32) and FORMS[opcode] != SWAP
        else REGISTERS
        for opcode in range(256)
    ]
)
