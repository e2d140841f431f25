"""The words for what can be wrong with an instruction, and the texts that many checks share.

A fault's ``kind`` is one of these words; tools may rely on them. What each check asks for is the
business of the module that makes it.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from anybpf.verifier.environment import Environment, Fault
from anybpf.verifier.values import (
    MAP,
    MAP_VALUE,
    MEMORY,
    MIXED,
    NUMBER,
    OBJECT,
    UNINIT,
    Choice,
    Region,
    Value,
)

# Registers and stack.
UNINITIALIZED_REGISTER: Final = "uninitialized-register"
UNINITIALIZED_STACK: Final = "uninitialized-stack"
STACK_BOUNDS: Final = "stack-bounds"  # outside of the frame
STACK_DEPTH: Final = "stack-depth"  # frames that are too large together
# Memory.
OUT_OF_BOUNDS: Final = "out-of-bounds"  # outside of a map value, a record, a structure
PACKET_BOUNDS: Final = "packet-bounds"  # not compared with the packet's end, or not far enough
STALE_PACKET: Final = "stale-packet"  # the packet may have moved since
NULL_POINTER: Final = "null-pointer"
NOT_A_POINTER: Final = "not-a-pointer"
POINTER_ARITHMETIC: Final = "pointer-arithmetic"
CONTEXT_ACCESS: Final = "context-access"
READ_ONLY: Final = "read-only"
WRITE_ONLY: Final = "write-only"
ALIGNMENT: Final = "alignment"
SPECIAL_FIELD: Final = "special-field"  # a lock, timer, kernel pointer touched directly
POINTER_LEAK: Final = "pointer-leak"
# Calls.
ARGUMENT: Final = "argument"
HELPER_UNAVAILABLE: Final = "helper-unavailable"
MAP_TYPE: Final = "map-type"
NOT_ACQUIRED: Final = "not-acquired"  # given back without being held
REFERENCE_LEAK: Final = "reference-leak"  # held and not given back
LOCK: Final = "lock"  # locks, and sections in which things are forbidden
SLEEP: Final = "sleep"  # may sleep where sleeping is forbidden
KFUNC: Final = "kfunc"
CALLBACK: Final = "callback"
DYNPTR: Final = "dynptr"
ITERATOR: Final = "iterator"
RETURN_VALUE: Final = "return-value"
# Control flow.
CALL_DEPTH: Final = "call-depth"
UNREACHABLE: Final = "unreachable"
FALLS_OFF: Final = "falls-off"
LOOP_BOUND: Final = "loop-bound"
# The verifier's own limits.
GAVE_UP: Final = "gave-up"
UNSUPPORTED: Final = "unsupported"

# What values are called in sentences.
_NAMES: Final[list[str]] = [
    "nothing that was written",
    "a number",
    "the context",
    "a pointer to the stack",
    "a pointer into a map value",
    "a pointer into the packet",
    "the end of the packet",
    "a pointer to packet metadata",
    "a map",
    "a pointer to memory",
    "a pointer to an object",
    "a function",
    "something that is not the same on all ways here",
]


def describe(env: Environment, value: Value) -> str:
    """What a register holds, in a few words."""
    kind = value.kind
    region = value.region
    if kind == NUMBER:
        if value.unknown is not None:
            return "a number"
        return "zero" if value.offset == 0 else f"the number {value.offset}"
    if region is None:
        return _NAMES[kind]
    if kind == MAP_VALUE and 0 <= region.index < len(env.maps):
        return f"a pointer into a value of map {env.maps[region.index].name}"
    if kind == MAP and 0 <= region.index < len(env.maps):
        return f"map {env.maps[region.index].name}"
    if kind == MEMORY:
        return f"a pointer to memory of {region.size} bytes"
    if kind == OBJECT:
        return f"a pointer to a {region.type}" if region.type else "a pointer to an object"
    return _NAMES[kind]


def displaced(region: Region, size: i64) -> bool:
    """Whether the region is one that a merge made of places that differ.

    Its pointers have one offset, but on one side lie elsewhere; what lies at an offset of a
    structure cannot be told then. ``size`` is that of the region as it was made.
    """
    return region.shift != 0 or region.low != 0 or region.size != size


def may_be_unset(value: Value) -> bool:
    """Whether on some way here nothing may have been written; of what was forgotten, it may."""
    if value.kind == UNINIT:
        return True
    if value.kind != MIXED:
        return False
    if isinstance(value, Choice) and value.merge is not None:
        return may_be_unset(value.left) or may_be_unset(value.right)
    return True


def uninitialized(register: i64) -> Fault:
    return Fault(
        UNINITIALIZED_REGISTER,
        f"r{register} is used, but nothing was written to it on some way here",
        register,
    )


def may_be_null(env: Environment, value: Value, register: i64 = -1) -> Fault:
    """A pointer is used that was not compared with null."""
    who = f"r{register}" if register >= 0 else "the pointer"
    region = value.region
    if region is not None and value.kind == MAP_VALUE and 0 <= region.index < len(env.maps):
        return Fault(
            NULL_POINTER,
            f"{who} may be null: a look-up in map {env.maps[region.index].name} finds nothing "
            "when the key is absent; test it before use",
            register,
            "a pointer that was compared with null",
            "a value of the map, or null",
        )
    return Fault(
        NULL_POINTER,
        f"{who}, {describe(env, value)}, may be null; test it before use",
        register,
        "a pointer that was compared with null",
    )


def no_pointer(env: Environment, value: Value) -> Fault:
    """An access through something that is no pointer to memory."""
    kind = value.kind
    if kind == UNINIT:
        return Fault(UNINITIALIZED_REGISTER, "access through a register that was never written")
    if kind == NUMBER:
        if value.unknown is None and value.offset == 0:
            return Fault(NULL_POINTER, "access through a null pointer", -1, "a pointer", "zero")
        return Fault(
            NOT_A_POINTER, "access through a number, which is not a pointer", -1, "a pointer"
        )
    return Fault(
        NOT_A_POINTER,
        f"access through {describe(env, value)}, behind which nothing can be read or written",
        -1,
        "a pointer to memory",
        _NAMES[kind],
    )


def leak(env: Environment, value: Value, where: str) -> Fault:
    return Fault(
        POINTER_LEAK,
        f"writes {describe(env, value)} to {where}, where others may see the address",
        -1,
        "a number",
        describe(env, value),
    )
