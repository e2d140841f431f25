"""Loads and stores through every kind of pointer but those to the stack.

An access is in bounds of its region for all values that its offset may have, or it is a fault.
The stack is ``memory``'s business; what memory a call's arguments must have, that of ``arguments``,
which asks here.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from anybpf.objects.fields import NAMES, NO_FIELDS, SPECIAL_VALUE, WRITE_ONLY
from anybpf.verifier import faults, typed
from anybpf.verifier.contexts import (
    ARGUMENT,
    META_START,
    PACKET_LIMIT,
    PACKET_START,
    PLAIN_NUMBER,
    REFUSED,
    STRUCT,
    Layout,
    pointer_from,
)
from anybpf.verifier.deduction import settle_value
from anybpf.verifier.environment import Environment, Fault, MapInfo
from anybpf.verifier.memory import is_aligned, loaded
from anybpf.verifier.rulebook import (
    Rulebook,
    map_fields,
    map_is_read_only,
    map_is_write_only,
    rulebook,
)
from anybpf.verifier.state import PACKET_MAX, State
from anybpf.verifier.values import (
    ARENA,
    CONTEXT,
    FAULT_SAFE,
    MAP,
    MAP_VALUE,
    MEMORY,
    MIXED,
    NUMBER,
    NUMBER_ZERO,
    OBJECT,
    OWNED,
    PACKET,
    PACKET_END,
    PACKET_META,
    READ_ONLY,
    Region,
    Value,
    number,
)

# Offsets that are not known to lie within this are not bounded at all (the kernel's
# BPF_MAX_VAR_OFF, include/linux/bpf_verifier.h).
FAR: Final = 1 << 29

Loaded = Value | Fault


def load(
    st: State, env: Environment, pointer: Value, offset: i64, size: i64, signed: bool
) -> Loaded:
    """The value that a load finds, or why it may not be made."""
    kind = pointer.kind
    if kind == MAP_VALUE:
        fault = check_map_value(st, env, pointer, offset, size, False)
        if fault is not None:
            return _load_special(st, env, pointer, offset, size, fault)
        region = pointer.region
        assert region is not None
        if pointer.unknown is None and region.index >= 0:
            contents = env.maps[region.index].contents
            if contents is not None:
                return _constant(contents, pointer.offset + offset, size, signed, env.big_endian)
        return loaded(size, signed)
    if kind == PACKET:
        fault = check_packet(st, pointer, offset, size, "reads")
        return loaded(size, signed) if fault is None else fault
    if kind == CONTEXT:
        return _load_context(st, env, pointer, offset, size, signed)
    if kind == OBJECT:
        return _load_object(st, env, pointer, offset, size, signed)
    if kind == MEMORY:
        fault = check_memory(st, env, pointer, offset, size, False)
        return loaded(size, signed) if fault is None else fault
    if kind == PACKET_META:
        fault = check_meta(st, pointer, offset, size, "reads")
        return loaded(size, signed) if fault is None else fault
    if kind == MIXED:
        settled = settle_value(st, pointer)
        if settled.kind != MIXED:
            return load(st, env, settled, offset, size, signed)
    if kind == MAP and not rulebook(env).packet_free:
        return _load_map(pointer, offset, size, signed)
    return faults.no_pointer(env, pointer)


def store(
    st: State, env: Environment, pointer: Value, offset: i64, size: i64, value: Value
) -> Fault | None:
    """None if the store may be made. What was stored is not remembered."""
    kind = pointer.kind
    if kind == MAP_VALUE:
        fault = check_map_value(st, env, pointer, offset, size, True)
        if fault is not None:
            return _store_special(st, env, pointer, offset, size, value, fault)
        if value.kind != NUMBER and not env.leaks_allowed:
            return faults.leak(env, value, "a map value")
        return None
    if kind == PACKET:
        if not rulebook(env).packet_writes:
            return _packet_is_read_only(env)
        if value.kind != NUMBER and not env.leaks_allowed:
            return faults.leak(env, value, "the packet")
        return check_packet(st, pointer, offset, size, "writes")
    if kind == MEMORY:
        if value.kind != NUMBER and not env.leaks_allowed:
            return faults.leak(env, value, "memory")
        return check_memory(st, env, pointer, offset, size, True)
    if kind == CONTEXT:
        return _store_context(st, env, pointer, offset, size, value)
    if kind == OBJECT:
        return _store_object(st, env, pointer, offset, size, value)
    if kind == PACKET_META:
        if not rulebook(env).packet_writes:
            return _packet_is_read_only(env)
        return check_meta(st, pointer, offset, size, "writes")
    if kind == MIXED:
        settled = settle_value(st, pointer)
        if settled.kind != MIXED:
            return store(st, env, settled, offset, size, value)
    if kind == MAP:
        return Fault(faults.READ_ONLY, "writes to a map itself; only its values can be written")
    return faults.no_pointer(env, pointer)


def atomic(st: State, env: Environment, pointer: Value, offset: i64, size: i64) -> Loaded:
    """What a place holds that is read and written at once, or why it may not be."""
    kind = pointer.kind
    if kind == MIXED:
        pointer = settle_value(st, pointer)
        kind = pointer.kind
    if kind != MAP_VALUE and kind != MEMORY:
        region = pointer.region
        if kind == OBJECT and region is not None and (region.flags & (ARENA | OWNED)) != 0:
            return load(st, env, pointer, offset, size, False)
        if kind in (CONTEXT, PACKET, PACKET_META, OBJECT):
            return Fault(
                faults.NOT_A_POINTER,
                f"an atomic operation on {faults.describe(env, pointer)}; "
                "they work on the stack, map values and allocated memory",
            )
        return faults.no_pointer(env, pointer)
    if env.aligned_stack and not is_aligned(st, pointer, offset, size):
        return Fault(
            faults.ALIGNMENT,
            f"an atomic operation on {size} bytes at offset {pointer.offset + offset}, which is "
            f"or may be no multiple of {size}",
        )
    found = load(st, env, pointer, offset, size, False)
    if isinstance(found, Fault):
        return found
    fault = store(st, env, pointer, offset, size, NUMBER_ZERO)
    if fault is not None:
        return fault
    return loaded(size, False)


# The packet.


def check_packet(st: State, pointer: Value, offset: i64, size: i64, verb: str) -> Fault | None:
    """Whether the bytes lie inside the packet, as far as comparisons with its end told."""
    if pointer.region is not st.packet:
        return _stale(verb)
    low = pointer.offset + offset
    unknown = pointer.unknown
    if unknown is not None:
        known = st.known(unknown)
        if known.low < -low or known.high > PACKET_MAX:
            return _packet_offset(known.low < -low, verb)
    elif low < 0:
        return _packet_offset(True, verb)
    reach = st.reach.get(unknown)
    if reach is None or low + size > reach:
        if unknown is not None:
            # Wherever it is, it may lie within what was checked from the packet's start.
            start = st.reach.get(None)
            if start is not None and known.high + low + size <= start:
                return None
        return _beyond(verb, low, size, reach, unknown is not None, "packet")
    return None


def check_meta(st: State, pointer: Value, offset: i64, size: i64, verb: str) -> Fault | None:
    if pointer.region is not st.packet:
        return _stale(verb)
    low = pointer.offset + offset
    unknown = pointer.unknown
    if unknown is not None:
        known = st.known(unknown)
        if known.low < -low or known.high > PACKET_MAX:
            return _packet_offset(known.low < -low, verb)
    elif low < 0:
        return _packet_offset(True, verb)
    reach = st.meta_reach.get(unknown)
    if reach is None or low + size > reach:
        return _beyond(verb, low, size, reach, unknown is not None, "packet metadata")
    return None


def _stale(verb: str) -> Fault:
    return Fault(
        faults.STALE_PACKET,
        f"{verb} through a packet pointer from before a call that may move the packet",
        -1,
        "a pointer loaded from the context after that call, and checked again",
        "a pointer into the packet as it was",
    )


def _packet_offset(before: bool, verb: str) -> Fault:
    if before:
        return Fault(faults.PACKET_BOUNDS, f"{verb} bytes that may lie before the packet's start")
    return Fault(
        faults.PACKET_BOUNDS,
        f"{verb} the packet at an offset without an upper bound",
        -1,
        f"an offset up to {PACKET_MAX}",
    )


def _beyond(verb: str, low: i64, size: i64, reach: i64 | None, variable: bool, what: str) -> Fault:
    end = "the packet's data" if what != "packet" else "the packet's end"
    place = f"offset {low} past a variable part" if variable else f"offset {low}"
    if reach is None:
        return Fault(
            faults.PACKET_BOUNDS,
            f"{verb} {size} bytes of the {what} at {place}, but this pointer was not compared "
            f"with {end} on some way here",
            -1,
            f"a comparison that shows that {low + size} bytes are there",
            "nothing about its length",
        )
    return Fault(
        faults.PACKET_BOUNDS,
        f"{verb} {size} bytes of the {what} at {place}, but only {reach} bytes are known to be "
        "there",
        -1,
        f"{low + size} bytes",
        f"{reach} bytes",
    )


def _packet_is_read_only(env: Environment) -> Fault:
    return Fault(
        faults.READ_ONLY,
        f"writes to the packet, which programs of type {env.program_type.name} may only read",
    )


# Map values and other memory of known size.


def check_map_value(
    st: State, env: Environment, pointer: Value, offset: i64, size: i64, write: bool
) -> Fault | None:
    """Whether the bytes lie inside the value, and may be touched directly."""
    region = pointer.region
    assert region is not None
    if region.nullable and not st.is_nonnull(region):
        return faults.may_be_null(env, pointer)
    low = pointer.offset + offset
    high = low + size
    unknown = pointer.unknown
    if unknown is not None:
        known = st.known(unknown)
        if known.low < -FAR or known.high > FAR:
            return _unbounded(env, pointer, size, write)
        low = low + known.low
        high = high + known.high
    if low < region.low or high > region.size:
        return _outside(env, pointer, low, high, size, write)
    if region.flags & (READ_ONLY | WRITE_ONLY):
        if write and region.flags & READ_ONLY:
            return _value_is_read_only(env, pointer)
        if not write and region.flags & WRITE_ONLY:
            return _value_is_write_only(env, pointer)
    if region.index >= 0 and region.shift == 0:
        info = env.maps[region.index]
        fields = info.fields
        if fields is None:
            fields = map_fields(env, info)
        if write and map_is_read_only(info):
            return _value_is_read_only(env, pointer)
        if not write and map_is_write_only(info):
            return _value_is_write_only(env, pointer)
        if fields is NO_FIELDS:
            return None
        if region.size == info.value_size and region.low == 0:
            return _spare_fields(env, info, low, high)
        return _ambiguous(env, pointer)
    if (region.flags & SPECIAL_VALUE) == 0:
        return None
    return _check_sides(st, env, pointer, low, high)


def _check_sides(st: State, env: Environment, pointer: Value, low: i64, high: i64) -> Fault | None:
    """Values of several maps met, or places in one: the bytes must be free of fields in each."""
    region = pointer.region
    assert region is not None
    todo: list[tuple[Region, i64]] = [(region, 0)]
    seen: dict[tuple[Region, int], bool] = {}
    while len(todo) > 0:
        side, shift = todo.pop()
        key = (side, int(shift))
        if key in seen:
            continue
        seen[key] = True
        left = side.left
        right = side.right
        if left is not None or right is not None:
            if left is not None:
                todo.append((left, shift))
            if right is not None:
                todo.append((right, shift + side.shift))
            continue
        if side.index < 0:
            return _ambiguous(env, pointer)
        info = env.maps[side.index]
        if side.size != info.value_size or side.low != 0:
            return _ambiguous(env, pointer)
        fault = _spare_fields(env, info, low + shift, high + shift)
        if fault is not None:
            return fault
    return None


def _ambiguous(env: Environment, pointer: Value) -> Fault:
    return Fault(
        faults.SPECIAL_FIELD,
        f"access through {faults.describe(env, pointer)}, which may point to different places on "
        "different ways here, some beside locks or the like",
    )


def _spare_fields(env: Environment, info: MapInfo, low: i64, high: i64) -> Fault | None:
    field = map_fields(env, info).touched(low, high)
    if field is None:
        return None
    return Fault(
        faults.SPECIAL_FIELD,
        f"touches the {NAMES[int(field.kind)]} at offset {field.offset} of values of map "
        f"{info.name}; only the functions made for it may do that",
        -1,
        "",
        f"bytes {low} to {high - 1}",
    )


def _unbounded(env: Environment, pointer: Value, size: i64, write: bool) -> Fault:
    verb = "writes" if write else "reads"
    return Fault(
        faults.OUT_OF_BOUNDS,
        f"{verb} {size} bytes at an unbounded offset from {faults.describe(env, pointer)}",
        -1,
        "an offset that was compared with the size, or masked",
    )


def _outside(
    env: Environment, pointer: Value, low: i64, high: i64, size: i64, write: bool
) -> Fault:
    region = pointer.region
    assert region is not None
    verb = "writes" if write else "reads"
    what = "memory"
    if pointer.kind == MAP_VALUE:
        what = "map value"
        if 0 <= region.index < len(env.maps):
            what = f"a value of map {env.maps[region.index].name}"
    where = f"offset {low}" if high - low == size else f"offset {low} to {high - size}"
    return Fault(
        faults.OUT_OF_BOUNDS,
        f"{verb} {size} bytes at {where} of {what}, which has {region.size} bytes",
        -1,
        f"an offset from {region.low} to {region.size - size}",
        where,
    )


def _value_is_read_only(env: Environment, pointer: Value) -> Fault:
    return Fault(
        faults.READ_ONLY, f"writes through {faults.describe(env, pointer)}, which is read-only"
    )


def _value_is_write_only(env: Environment, pointer: Value) -> Fault:
    return Fault(
        faults.WRITE_ONLY,
        f"reads through {faults.describe(env, pointer)}, which programs may only write",
    )


def _constant(contents: bytes, start: i64, size: i64, signed: bool, big_endian: bool) -> Value:
    """The number that constant data holds."""
    part = contents[start : start + size]
    if size == 8 or signed:
        return number(int.from_bytes(part, "big" if big_endian else "little", signed=True))
    return number(int.from_bytes(part, "big" if big_endian else "little"))


def check_memory(
    st: State, env: Environment, pointer: Value, offset: i64, size: i64, write: bool
) -> Fault | None:
    """Whether the bytes lie inside a block of known size. Faults in an arena yield zero."""
    region = pointer.region
    assert region is not None
    if region.flags & (ARENA | FAULT_SAFE) and not (write and region.flags & READ_ONLY):
        return None
    if region.nullable and not st.is_nonnull(region):
        return faults.may_be_null(env, pointer)
    low = pointer.offset + offset
    high = low + size
    unknown = pointer.unknown
    if unknown is not None:
        known = st.known(unknown)
        if known.low < -FAR or known.high > FAR:
            return _unbounded(env, pointer, size, write)
        low = low + known.low
        high = high + known.high
    if low < region.low or high > region.size:
        return _outside(env, pointer, low, high, size, write)
    if write and (region.flags & READ_ONLY) != 0:
        return _value_is_read_only(env, pointer)
    return None


def _load_special(
    st: State, env: Environment, pointer: Value, offset: i64, size: i64, fault: Fault
) -> Loaded:
    """A load that touches a special field: kernel pointers may be loaded whole."""
    if fault.kind != faults.SPECIAL_FIELD:
        return fault
    found = typed.load_kptr(st, env, pointer, offset, size)
    return fault if found is None else found


def _store_special(
    st: State,
    env: Environment,
    pointer: Value,
    offset: i64,
    size: i64,
    value: Value,
    fault: Fault,
) -> Fault | None:
    """A store that touches a special field: unreferenced kernel pointers may be stored whole."""
    if fault.kind == faults.SPECIAL_FIELD and typed.may_store_kptr(
        st, env, pointer, offset, size, value
    ):
        return None
    return fault


# Contexts and objects.


def _load_context(
    st: State, env: Environment, pointer: Value, offset: i64, size: i64, signed: bool
) -> Loaded:
    rules = rulebook(env)
    if pointer.unknown is not None or (pointer.offset != 0 and not rules.context_arithmetic):
        return _moved_context(pointer)
    slot = rules.context.read(pointer.offset + offset, size)
    what = slot.what
    if what == PLAIN_NUMBER:
        return loaded(size, signed)
    if what == REFUSED or signed:
        return _refused(rules, pointer.offset + offset, size, False)
    if what == PACKET_START:
        return Value(PACKET, 0, None, st.packet)
    if what == PACKET_LIMIT:
        return Value(PACKET_END, 0, None, st.packet)
    if what == META_START:
        return Value(PACKET_META, 0, None, st.packet)
    if what == ARGUMENT:
        return typed.load_argument(st, env, slot.size, size)
    return pointer_from(slot)


def _store_context(
    st: State, env: Environment, pointer: Value, offset: i64, size: i64, value: Value
) -> Fault | None:
    rules = rulebook(env)
    if pointer.unknown is not None or (pointer.offset != 0 and not rules.context_arithmetic):
        return _moved_context(pointer)
    slot = rules.context.write(pointer.offset + offset, size)
    if slot.what == REFUSED:
        return _refused(rules, pointer.offset + offset, size, True)
    if value.kind != NUMBER and not env.leaks_allowed:
        return faults.leak(env, value, "the context")
    if slot.what != PLAIN_NUMBER:
        return _refused(rules, pointer.offset + offset, size, True)
    return None


def _moved_context(pointer: Value) -> Fault:
    if pointer.unknown is None:
        return Fault(
            faults.CONTEXT_ACCESS,
            f"access through a context pointer that was moved by {pointer.offset}; the offset "
            "must stand in the load or store itself",
            -1,
            "the context pointer as it was given",
        )
    return Fault(
        faults.CONTEXT_ACCESS,
        "the context is accessed at an offset that is not constant",
        -1,
        "a constant offset",
    )


def _refused(rules: Rulebook, offset: i64, size: i64, write: bool) -> Fault:
    verb = "writes" if write else "reads"
    return Fault(faults.CONTEXT_ACCESS, f"{verb} {rules.context.problem(offset, size, write)}")


def _load_object(
    st: State, env: Environment, pointer: Value, offset: i64, size: i64, signed: bool
) -> Loaded:
    region = pointer.region
    assert region is not None
    if region.flags & ARENA:
        return loaded(size, signed)
    layout = rulebook(env).pointee(env, region.type)
    if layout is None:
        if region.type and not region.type.startswith(STRUCT):
            return faults.no_pointer(env, pointer)
        return typed.load_member(st, env, pointer, offset, size, signed)
    if region.nullable and not st.is_nonnull(region):
        return faults.may_be_null(env, pointer)
    if is_moved(layout, pointer, region):
        return _variable_object(region)
    slot = layout.read(pointer.offset + offset, size)
    if slot.what != PLAIN_NUMBER:
        return Fault(
            faults.OUT_OF_BOUNDS,
            f"reads {layout.problem(pointer.offset + offset, size, False)}",
        )
    return loaded(size, signed)


def _store_object(
    st: State, env: Environment, pointer: Value, offset: i64, size: i64, value: Value
) -> Fault | None:
    region = pointer.region
    assert region is not None
    if region.flags & ARENA:
        return None
    layout = rulebook(env).pointee(env, region.type)
    if layout is None:
        return typed.store_member(st, env, pointer, offset, size, value)
    if region.nullable and not st.is_nonnull(region):
        return faults.may_be_null(env, pointer)
    if is_moved(layout, pointer, region):
        return _variable_object(region)
    slot = layout.write(pointer.offset + offset, size)
    if slot.what != PLAIN_NUMBER:
        return Fault(
            faults.READ_ONLY,
            f"writes {layout.problem(pointer.offset + offset, size, True)}",
        )
    if value.kind != NUMBER and not env.leaks_allowed:
        return faults.leak(env, value, f"a {region.type}")
    return None


def is_moved(layout: Layout, pointer: Value, region: Region) -> bool:
    """Whether the pointer was moved; only to structures that are open it may be, by a constant."""
    if pointer.unknown is not None or faults.displaced(region, 0):
        return True
    return pointer.offset != 0 and not layout.open


def _variable_object(region: Region) -> Fault:
    return Fault(
        faults.OUT_OF_BOUNDS,
        f"a {region.type} is accessed through a pointer that was moved",
        -1,
        "the pointer as it was given",
    )


# The map itself: the kernel lets privileged programs read its structure (struct bpf_map). Its
# first two fields are pointers.
MAP_READABLE: Final = 256


def _load_map(pointer: Value, offset: i64, size: i64, signed: bool) -> Loaded:
    low = pointer.offset + offset
    if pointer.unknown is not None or low < 0 or low + size > MAP_READABLE:
        return Fault(
            faults.OUT_OF_BOUNDS,
            f"reads {size} bytes at offset {low} of a map itself; look values up instead",
        )
    return loaded(size, signed)
