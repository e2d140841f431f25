"""Atomic operations and address-space casts in clang's and in the kernel's spelling."""

from __future__ import annotations

from typing import Final

from anybpf.isa import opcodes as op
from anybpf.isa import text
from anybpf.isa.assembler.cursor import Cursor, signed32
from anybpf.isa.assembler.output import near
from anybpf.isa.instruction import Instruction

_ATOMIC_ASSIGNMENTS: Final = {sign: code for code, sign in text.ATOMIC_ASSIGNMENTS.items()}

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
FUNCTIONS: Final = (*_FETCHES, *_EXCHANGES, *_COMPARE_EXCHANGES, "load_acquire", "addr_space_cast")


def lock(cursor: Cursor) -> None:
    """``lock *(u64 *)(r1 + 0) += r2``, from behind the first word."""
    cursor.expect("*", "behind lock")
    start = cursor.at
    size, signed = cursor.cast()
    if signed or size not in (op.W, op.DW):
        raise cursor.error("atomic operations have u32 and u64 only", start)
    cursor.expect("(", "around the address")
    dst, offset = cursor.address()
    cursor.expect(")")
    operation = _ATOMIC_ASSIGNMENTS.get(cursor.word(), -1)
    if operation < 0:
        known = " ".join(_ATOMIC_ASSIGNMENTS)
        raise cursor.error(f"expected one of {known}, found {cursor.found()}")
    cursor.at += 1
    src = cursor.value_register(size)
    opcode = op.STX | op.ATOMIC | size
    cursor.out.emit(Instruction(opcode, dst=dst, src=src, offset=offset, imm=operation))


def function(cursor: Cursor, word: str, dst: int, narrow: bool, start: int) -> None:
    """What looks like a call: ``r1 = name(…)``."""
    called = cursor.at
    cursor.at += 2
    if word == "addr_space_cast":
        _address_space_cast(cursor, dst, narrow, start)
        return
    if word == "load_acquire":
        size, src, offset = cursor.cast_address()
        cursor.expect(")")
        opcode = op.STX | op.ATOMIC | size
        cursor.out.emit(Instruction(opcode, dst=dst, src=src, offset=offset, imm=op.LOAD_ACQUIRE))
        return
    fetch = _FETCHES.get(word, -1)
    size = _EXCHANGES.get(word, _COMPARE_EXCHANGES.get(word, -1))
    compares = word in _COMPARE_EXCHANGES
    if fetch < 0 and size < 0:
        raise cursor.error(f"there is no operation {word}{near(word, FUNCTIONS)}", called)
    operation = fetch
    if fetch < 0:
        operation = op.ATOMIC_CMPXCHG if compares else op.ATOMIC_XCHG
    if cursor.word() == "(":
        cast_at = cursor.at
        said = size
        size, base, offset = cursor.cast_address()
        if said >= 0 and size != said:
            raise cursor.error(f"{word} is for {text.SIZE_TYPES[said]}", cast_at)
    else:
        base, offset = cursor.address()
        if size < 0:
            raise cursor.error(f"expected a type: {word}((u64 *)(r1 + 0), r2)", called + 2)
    if size not in (op.W, op.DW):
        raise cursor.error("atomic operations have u32 and u64 only", called)
    if compares:
        cursor.accept(",")
        if cursor.register()[0] != 0 or dst != 0:
            raise cursor.error(f"{word} compares with r0 and sets it: r0 = {word}(…, r0, r1)")
    cursor.accept(",")
    value_at = cursor.at
    src = cursor.value_register(size)
    cursor.expect(")")
    if not compares and src != dst:
        raise cursor.error(
            f"{word} puts the old value where the operand was: write r{dst} in both places",
            value_at,
        )
    opcode = op.STX | op.ATOMIC | size
    cursor.out.emit(Instruction(opcode, dst=base, src=src, offset=offset, imm=operation))


def store_release(cursor: Cursor) -> None:
    """``store_release((u64 *)(r1 + 0), r2)``, from behind the first word."""
    cursor.expect("(")
    size, dst, offset = cursor.cast_address()
    cursor.accept(",")
    src = cursor.value_register(size)
    cursor.expect(")")
    opcode = op.STX | op.ATOMIC | size
    cursor.out.emit(Instruction(opcode, dst=dst, src=src, offset=offset, imm=op.STORE_RELEASE))


def _address_space_cast(cursor: Cursor, dst: int, narrow: bool, start: int) -> None:
    if narrow:
        raise cursor.error(f"an address fills a whole register: write r{dst}", start)
    src = cursor.wide_register()
    cursor.accept(",")
    to_space = cursor.expression("an address space", 0, 0xFFFF)
    cursor.accept(",")
    from_space = cursor.expression("an address space", 0, 0xFFFF)
    cursor.expect(")")
    imm = signed32(to_space << 16 | from_space)
    cursor.out.emit(
        Instruction(op.MOV64_REG, dst=dst, src=src, offset=op.ADDRESS_SPACE_CAST, imm=imm)
    )


# Sixteen-byte loads
