"""Between bytes and instructions, and what makes an instruction legal.

`decode` and `encode` are each other's inverse on legal code, in both byte orders. What RFC 9669
reserves must be zero; `problem` says what is not. Whether jumps land well is asked of a whole
function (`anybpf.isa.flow`), not here.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from mypy_extensions import i64

from anybpf.errors import DecodeError, EncodeError
from anybpf.isa import opcodes as op
from anybpf.isa.instruction import Instruction
from anybpf.isa.opcodes import SHAPES

_LITTLE: Final = Struct("<BBhi")
_BIG: Final = Struct(">BBhi")
SLOT_SIZE: Final = 8

_ATOMICS: Final = (
    op.ATOMIC_ADD,
    op.ATOMIC_ADD | op.FETCH,
    op.ATOMIC_OR,
    op.ATOMIC_OR | op.FETCH,
    op.ATOMIC_AND,
    op.ATOMIC_AND | op.FETCH,
    op.ATOMIC_XOR,
    op.ATOMIC_XOR | op.FETCH,
    op.ATOMIC_XCHG,
    op.ATOMIC_CMPXCHG,
)


def decode(
    data: bytes | bytearray | memoryview, big_endian: bool = False, check: bool = True
) -> list[Instruction]:
    """The instructions in ``data``; :class:`DecodeError` names the slot of what is not legal.

    With ``check`` off, fields are taken as they stand, for listings of damaged code; only a
    length that is no multiple of eight is refused, and a 16-byte load without its second half is
    left as one slot with opcode 0x18 and no high half.

    >>> decode(bytes.fromhex("b7000000 2a000000 95000000 00000000"))
    [Instruction(0xb7, dst=0, src=0, offset=0, imm=42), Instruction(0x95, dst=0, src=0, offset=0, \
imm=0)]
    """
    size = len(data)
    if size % SLOT_SIZE:
        raise DecodeError(
            f"{size} bytes of code: instructions come in units of {SLOT_SIZE} bytes",
            slot=size // SLOT_SIZE,
        )
    out: list[Instruction] = []
    slot = 0
    half: Instruction | None = None
    unpack = _BIG if big_endian else _LITTLE
    for opcode, regs, offset, imm in unpack.iter_unpack(data):
        if half is not None:
            # The second half of a 16-byte load holds nothing but the upper immediate.
            if opcode == 0 and regs == 0 and offset == 0:
                low: i64 = half.imm
                high: i64 = imm
                half.imm = (low & 0xFFFFFFFF) + high * 0x100000000
            elif check:
                raise DecodeError(
                    "the second half of a 16-byte load must be zero but for its immediate, "
                    f"found opcode {opcode:#04x}, registers {regs:#04x}, offset {offset}",
                    slot=slot,
                )
            else:
                half = None
        if half is None:
            if big_endian:
                insn = Instruction(opcode, regs >> 4, regs & 15, offset, imm)
            else:
                insn = Instruction(opcode, regs & 15, regs >> 4, offset, imm)
            out.append(insn)
            shape = SHAPES[opcode]
            if opcode == op.LD_IMM64:
                half = insn
            elif check and (shape != 0 or insn.dst > 10 or insn.src > 10):
                reason = problem(insn)
                if reason:
                    raise DecodeError(reason, slot=slot)
        else:
            if check:
                reason = problem(half)
                if reason:
                    raise DecodeError(reason, slot=slot - 1)
            half = None
        slot += 1
    if half is not None and check:
        raise DecodeError("a 16-byte load lacks its second half at the end", slot=slot - 1)
    return out


def encode(instructions: list[Instruction], big_endian: bool = False) -> bytes:
    """The bytes of ``instructions``; :class:`EncodeError` where a field does not fit.

    >>> encode([Instruction(0xB7, dst=0, imm=42)]).hex(" ")
    'b7 00 00 00 2a 00 00 00'
    """
    pack = _BIG if big_endian else _LITTLE
    parts: list[bytes] = []
    slot = 0
    for insn in instructions:
        opcode: int = insn.opcode
        dst: int = insn.dst
        src: int = insn.src
        offset: int = insn.offset
        imm: int = insn.imm
        if not 0 <= opcode <= 255 or not 0 <= dst <= 15 or not 0 <= src <= 15:
            raise EncodeError(f"slot {slot}: {insn!r} has an opcode or register out of range")
        if not -0x8000 <= offset <= 0x7FFF:
            raise EncodeError(f"slot {slot}: offset {offset} does not fit in 16 bits")
        regs = (dst << 4 | src) if big_endian else (src << 4 | dst)
        if opcode == op.LD_IMM64:
            if not -0x8000000000000000 <= imm <= 0x7FFFFFFFFFFFFFFF:
                raise EncodeError(f"slot {slot}: immediate {imm} does not fit in 64 bits")
            low = imm & 0xFFFFFFFF
            parts.append(pack.pack(opcode, regs, offset, low - ((low & 0x80000000) << 1)))
            parts.append(pack.pack(0, 0, 0, imm >> 32))
            slot += 2
        else:
            if not -0x80000000 <= imm <= 0x7FFFFFFF:
                raise EncodeError(f"slot {slot}: immediate {imm} does not fit in 32 bits")
            parts.append(pack.pack(opcode, regs, offset, imm))
            slot += 1
    return b"".join(parts)


def problem(insn: Instruction) -> str:
    """Why ``insn`` is not a legal instruction, or '' if it is.

    >>> problem(Instruction(0x07, dst=0, src=1, imm=1))
    'add of an immediate to a register must have source register 0, found 1'
    """
    opcode: int = insn.opcode
    shape = SHAPES[opcode]
    if shape & op.ILLEGAL:
        return f"opcode {opcode:#04x} is not defined"
    dst: int = insn.dst
    src: int = insn.src
    if dst > 10 or (src > 10):
        return f"register r{dst if dst > 10 else src} does not exist, the last is r10"
    if shape & op.NO_DST and dst != 0:
        return f"{_title(insn)} must have destination register 0, found {dst}"
    if shape & op.NO_SRC and src != 0:
        return f"{_title(insn)} must have source register 0, found {src}"
    if shape & op.NO_OFFSET and insn.offset != 0:
        return f"{_title(insn)} must have offset 0, found {insn.offset}"
    if shape & op.NO_IMM and insn.imm != 0:
        return f"{_title(insn)} must have immediate 0, found {insn.imm}"
    if shape & op.SPECIAL:
        return _special(insn)
    return ""


def _special(insn: Instruction) -> str:
    """The rules that a table of unused fields cannot say."""
    opcode: int = insn.opcode
    cls = opcode & op.CLASS_MASK
    imm: int = insn.imm
    offset: int = insn.offset
    if opcode == op.LD_IMM64:
        return _special_load(insn)
    if opcode == op.CALL_IMM:
        if insn.src > op.CALL_BTF:
            return f"a call's source must be 0 (helper), 1 (local) or 2 (BTF), found {insn.src}"
        if offset != 0 and insn.src != op.CALL_BTF:
            return f"a call must have offset 0, found {offset}"
        return ""
    if cls == op.STX:
        if opcode & op.SIZE_MASK in (op.B, op.H) and imm not in (
            op.LOAD_ACQUIRE,
            op.STORE_RELEASE,
        ):
            return f"atomic operation {imm:#x} is defined for 4 and 8 bytes only"
        if imm in _ATOMICS or imm in (op.LOAD_ACQUIRE, op.STORE_RELEASE):
            return ""
        return f"atomic operation {imm:#x} is not defined"
    if opcode in (op.LE, op.BE, op.BSWAP):
        if imm in (16, 32, 64):
            return ""
        return f"a byte swap's width must be 16, 32 or 64, found {imm}"
    if opcode & op.OP_MASK == op.MOV:
        if cls == op.ALU64 and offset == op.ADDRESS_SPACE_CAST:
            if imm in (1, 1 << 16):
                return ""
            return f"an address-space cast must be from 0 to 1 or from 1 to 0, found {imm:#x}"
        if imm != 0:
            return f"{_title(insn)} must have immediate 0, found {imm}"
        if offset in (0, 8, 16) or (offset == 32 and cls == op.ALU64):
            return ""
        widths = "8, 16 or 32" if cls == op.ALU64 else "8 or 16"
        return f"a sign-extending move's offset must be {widths}, found {offset}"
    if offset in (0, 1):
        return ""
    return f"{_title(insn)} must have offset 0 (unsigned) or 1 (signed), found {offset}"


def _special_load(insn: Instruction) -> str:
    src: int = insn.src
    if src > op.PSEUDO_MAP_INDEX_VALUE:
        return f"a 16-byte load's source must be 0 to 6, found {src}"
    if src in (op.PSEUDO_MAP_FD, op.PSEUDO_MAP_INDEX, op.PSEUDO_FUNCTION) and insn.high != 0:
        return f"a 16-byte load from source {src} must have upper immediate 0, found {insn.high}"
    return ""


# The words for a kind of instruction in messages.
_OPERATIONS: Final = (
    "add", "subtraction", "multiplication", "division", "or", "and", "left shift", "right shift",
    "negation", "modulo", "xor", "move", "arithmetic shift", "byte swap",
)  # fmt: skip


def _title(insn: Instruction) -> str:
    opcode: int = insn.opcode
    cls = opcode & op.CLASS_MASK
    if opcode == op.EXIT_INSN:
        return "exit"
    if opcode == op.CALL_IMM or opcode == op.CALL_REG:
        return "a call"
    if opcode == op.GOTO or opcode == op.GOTO_LONG or opcode == op.MAY_GOTO:
        return "a jump without condition"
    if cls == op.JMP or cls == op.JMP32:
        return f"a jump that compares with {'a register' if opcode & op.X else 'an immediate'}"
    if cls == op.ALU or cls == op.ALU64:
        word = _OPERATIONS[opcode >> 4]
        if opcode in (op.LE, op.BE, op.BSWAP) or opcode & op.OP_MASK == op.NEG:
            return f"a {word}"
        source = "a register" if opcode & op.X else "an immediate"
        return f"{word} of {source} to a register"
    if opcode == op.LD_IMM64:
        return "a 16-byte load"
    if cls == op.LD:
        return "a packet load"
    if cls == op.LDX:
        return "a load"
    return "a store of an immediate" if cls == op.ST else "a store"
