"""The numbers of the instruction set, by the names RFC 9669 and the kernel give them.

An opcode byte is a class in its low three bits and, by class, an operation with a source bit or an
access mode with a size. This module holds the numbers and which fields each opcode leaves unused;
it knows nothing of text or of programs.
"""

from __future__ import annotations

from typing import Final

# Classes: RFC 9669 section 3, table 3.
LD: Final = 0x00
LDX: Final = 0x01
ST: Final = 0x02
STX: Final = 0x03
ALU: Final = 0x04
JMP: Final = 0x05
JMP32: Final = 0x06
ALU64: Final = 0x07
CLASS_MASK: Final = 0x07

# Source bit of arithmetic and jumps: RFC 9669 section 3.1.
K: Final = 0x00
X: Final = 0x08
OP_MASK: Final = 0xF0

# Arithmetic: RFC 9669 section 4.1, table 5.
ADD: Final = 0x00
SUB: Final = 0x10
MUL: Final = 0x20
DIV: Final = 0x30
OR: Final = 0x40
AND: Final = 0x50
LSH: Final = 0x60
RSH: Final = 0x70
NEG: Final = 0x80
MOD: Final = 0x90
XOR: Final = 0xA0
MOV: Final = 0xB0
ARSH: Final = 0xC0
END: Final = 0xD0

# Jumps: RFC 9669 section 4.3, table 9; JCOND is the kernel's (include/uapi/linux/bpf.h).
JA: Final = 0x00
JEQ: Final = 0x10
JGT: Final = 0x20
JGE: Final = 0x30
JSET: Final = 0x40
JNE: Final = 0x50
JSGT: Final = 0x60
JSGE: Final = 0x70
CALL: Final = 0x80
EXIT: Final = 0x90
JLT: Final = 0xA0
JLE: Final = 0xB0
JSLT: Final = 0xC0
JSLE: Final = 0xD0
JCOND: Final = 0xE0

# Sizes and modes of loads and stores: RFC 9669 section 5, tables 10 and 11.
W: Final = 0x00
H: Final = 0x08
B: Final = 0x10
DW: Final = 0x18
SIZE_MASK: Final = 0x18
IMM: Final = 0x00
ABS: Final = 0x20
IND: Final = 0x40
MEM: Final = 0x60
MEMSX: Final = 0x80
ATOMIC: Final = 0xC0
MODE_MASK: Final = 0xE0

# Whole opcodes that code compares with by name.
LD_IMM64: Final = LD | IMM | DW
CALL_IMM: Final = JMP | CALL | K
CALL_REG: Final = JMP | CALL | X
EXIT_INSN: Final = JMP | EXIT
GOTO: Final = JMP | JA
GOTO_LONG: Final = JMP32 | JA
MAY_GOTO: Final = JMP | JCOND
LE: Final = ALU | END | K
BE: Final = ALU | END | X
BSWAP: Final = ALU64 | END | K
MOV64_REG: Final = ALU64 | MOV | X
MOV64_IMM: Final = ALU64 | MOV | K

# Atomic operations, in the immediate: RFC 9669 section 5.3; the last two: kernel 6.15.
FETCH: Final = 0x01
ATOMIC_ADD: Final = 0x00
ATOMIC_OR: Final = 0x40
ATOMIC_AND: Final = 0x50
ATOMIC_XOR: Final = 0xA0
ATOMIC_XCHG: Final = 0xE0 | FETCH
ATOMIC_CMPXCHG: Final = 0xF0 | FETCH
LOAD_ACQUIRE: Final = 0x100
STORE_RELEASE: Final = 0x110

# Sources of the 16-byte load: RFC 9669 section 5.4, table 12.
PSEUDO_MAP_FD: Final = 1
PSEUDO_MAP_VALUE: Final = 2
PSEUDO_VARIABLE: Final = 3
PSEUDO_FUNCTION: Final = 4
PSEUDO_MAP_INDEX: Final = 5
PSEUDO_MAP_INDEX_VALUE: Final = 6

# Sources of a call: RFC 9669 section 4.3.1, table 8.
CALL_HELPER: Final = 0
CALL_LOCAL: Final = 1
CALL_BTF: Final = 2

# The address-space cast is a 64-bit register move with this offset (kernel 6.9, arenas).
ADDRESS_SPACE_CAST: Final = 1

REGISTERS: Final = 11
FRAME_POINTER: Final = 10

# What an opcode leaves unused, or that it needs a closer look, as bits of `shape(opcode)`.
NO_DST: Final = 1
NO_SRC: Final = 2
NO_OFFSET: Final = 4
NO_IMM: Final = 8
SPECIAL: Final = 16
ILLEGAL: Final = 32

SIZES: Final = {W: 4, H: 2, B: 1, DW: 8}
_BINARY: Final = (ADD, SUB, MUL, OR, AND, LSH, RSH, XOR, ARSH)
_COMPARE: Final = (JEQ, JGT, JGE, JSET, JNE, JSGT, JSGE, JLT, JLE, JSLT, JSLE)


def _shapes() -> list[int]:
    table = [ILLEGAL] * 256
    for cls in (ALU, ALU64):
        for op in _BINARY:
            table[cls | op | K] = NO_SRC | NO_OFFSET
            table[cls | op | X] = NO_IMM | NO_OFFSET
        for op in (DIV, MOD):  # offset 1 makes them signed
            table[cls | op | K] = NO_SRC | SPECIAL
            table[cls | op | X] = NO_IMM | SPECIAL
        table[cls | NEG] = NO_SRC | NO_OFFSET | NO_IMM
        table[cls | MOV | K] = NO_SRC | NO_OFFSET
        table[cls | MOV | X] = SPECIAL  # offset: sign extension or address-space cast
    for opcode in (LE, BE, BSWAP):
        table[opcode] = NO_SRC | NO_OFFSET | SPECIAL  # immediate: the width
    for cls in (JMP, JMP32):
        for op in _COMPARE:
            table[cls | op | K] = NO_SRC
            table[cls | op | X] = NO_IMM
    table[GOTO] = table[MAY_GOTO] = NO_DST | NO_SRC | NO_IMM
    table[GOTO_LONG] = NO_DST | NO_SRC | NO_OFFSET
    table[CALL_IMM] = NO_DST | SPECIAL
    table[CALL_REG] = NO_SRC | NO_OFFSET | NO_IMM
    table[EXIT_INSN] = NO_DST | NO_SRC | NO_OFFSET | NO_IMM
    table[LD_IMM64] = NO_OFFSET | SPECIAL
    for size in (W, H, B):
        table[LD | ABS | size] = NO_DST | NO_SRC | NO_OFFSET
        table[LD | IND | size] = NO_DST | NO_OFFSET
        table[LDX | MEMSX | size] = NO_IMM
    for size in (W, H, B, DW):
        table[LDX | MEM | size] = NO_IMM
        table[ST | MEM | size] = NO_SRC
        table[STX | MEM | size] = NO_IMM
        table[STX | ATOMIC | size] = SPECIAL
    return table


SHAPES: Final = _shapes()
