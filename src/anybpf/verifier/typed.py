"""Kernel structures known by their BTF, typed arguments, and kernel pointers in map values.

Objects of the kernel are read through BTF: any place inside the structure, with members that are
pointers giving pointers. Which functions take such pointers is the business of ``arguments``.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from anybpf.btf import BTF, layout
from anybpf.btf import types as t
from anybpf.errors import BTFError
from anybpf.objects import fields
from anybpf.objects.fields import NAMES, NO_FIELDS, FieldMap, SpecialField
from anybpf.platforms import kinds
from anybpf.verifier import faults, structures
from anybpf.verifier.contexts import OPEN_SIZE, STRUCT
from anybpf.verifier.effects import in_read_section
from anybpf.verifier.environment import Environment, Fault
from anybpf.verifier.memory import loaded
from anybpf.verifier.rulebook import lookups, map_fields
from anybpf.verifier.state import State
from anybpf.verifier.structures import Place, Structure, kernel_types
from anybpf.verifier.values import (
    ACQUIRED,
    MAP_VALUE,
    MEMORY,
    NON_OWNING,
    NUMBER,
    OBJECT,
    OWNED,
    PER_CPU,
    RCU,
    READ_ONLY,
    TRUSTED,
    UNTRUSTED,
    Region,
    Value,
)

Loaded = Value | Fault

# Structures whose last reference is dropped after a grace period, so that a pointer loaded from a
# map may be used inside a read section.
RCU_SAFE: Final = frozenset(("task_struct", "cgroup", "bpf_cpumask", "cpumask"))


# Structures.


def structure_of(env: Environment, region: Region) -> Structure:
    """The structure behind the pointer."""
    own = (region.flags & OWNED) != 0
    key = ("own " if own else "") + region.type
    known = lookups(env).structures
    found = known.get(key)
    if found is None:
        if own:
            found = Structure(env.btf, structures.find_structure(env.btf, region.type), True)
        else:
            kernel = kernel_types(env)
            found = Structure(kernel, structures.find_structure(kernel, region.type), False)
        known[key] = found
    return found


def load_member(
    st: State, env: Environment, pointer: Value, offset: i64, size: i64, signed: bool
) -> Loaded:
    """What a load from a structure finds."""
    region = pointer.region
    assert region is not None
    flags = region.flags
    if region.nullable and not st.is_nonnull(region):
        return faults.may_be_null(env, pointer)
    if flags & PER_CPU:
        return Fault(
            faults.NOT_A_POINTER,
            f"reads through {faults.describe(env, pointer)}, of which every CPU has its own: "
            "bpf_per_cpu_ptr and bpf_this_cpu_ptr choose one",
        )
    if pointer.unknown is not None or faults.displaced(region, own_size(env, region)):
        return _variable(env, pointer)
    place = pointer.offset + offset
    if flags & OWNED:
        return _load_own(st, env, pointer, place, size, signed)
    if place < 0:
        return _beyond(env, pointer, place, size, "")
    found = structure_of(env, region).at(place, size)
    if found.what == structures.NOT_THERE:
        return _beyond(env, pointer, place, size, found.problem)
    if found.what == structures.PLAIN or signed:
        return loaded(size, signed)
    return _pointer(st, env, region, found)


def own_size(env: Environment, region: Region) -> i64:
    """The size with which regions of such objects are made: none for the kernel's."""
    if (region.flags & OWNED) == 0:
        return 0
    struct = structure_of(env, region).type
    return 0 if struct is None else struct.size


def _pointer(st: State, env: Environment, source: Region, place: Place) -> Value:
    """The pointer in a member; how reliable depends on what it was read from."""
    known = env.platform.member_trust(place.owner, place.field)
    nullable = False
    flags: i64 = UNTRUSTED
    reliable = source.flags & (TRUSTED | ACQUIRED | RCU)
    if place.tags & structures.USER:
        flags = UNTRUSTED
    elif (source.flags & UNTRUSTED) == 0 and reliable != 0:
        if known is not None and known[0] == kinds.TRUSTED:
            if source.flags & (TRUSTED | ACQUIRED):
                flags = TRUSTED
                nullable = known[1]
            elif in_read_section(st, env):
                flags = 0
        elif in_read_section(st, env):
            flags = 0
            if known is not None and known[0] == kinds.RCU:
                flags = RCU
                nullable = known[1]
            elif place.tags & structures.RCU:
                flags = RCU
                nullable = True
    elif (source.flags & UNTRUSTED) == 0:
        flags = 0
    if place.tags & structures.PER_CPU:
        flags = flags | PER_CPU
    if place.tags & structures.IN_UNION:
        flags = (flags & ~(TRUSTED | RCU)) | UNTRUSTED
    region = Region(OBJECT, 0, nullable, -1)
    region.type = place.type
    region.flags = flags
    return Value(OBJECT, 0, None, region)


def _load_own(
    st: State, env: Environment, pointer: Value, place: i64, size: i64, signed: bool
) -> Loaded:
    region = pointer.region
    assert region is not None
    if place < 0 or place + size > region.size:
        return _beyond(env, pointer, place, size, f"it has {region.size} bytes")
    field = structure_of(env, region).fields.touched(place, place + size)
    if field is not None:
        if field.offset == place and size == 8 and field.kind in KPTRS:
            return kptr_value(st, env, field)
        return _special(env, pointer, field)
    return loaded(size, signed)


def store_member(
    st: State, env: Environment, pointer: Value, offset: i64, size: i64, value: Value
) -> Fault | None:
    """Whether a store to a structure may be made."""
    region = pointer.region
    assert region is not None
    if region.nullable and not st.is_nonnull(region):
        return faults.may_be_null(env, pointer)
    if pointer.unknown is not None or faults.displaced(region, own_size(env, region)):
        return _variable(env, pointer)
    place = pointer.offset + offset
    if region.flags & OWNED:
        if (region.flags & (ACQUIRED | NON_OWNING)) == 0 or region.flags & PER_CPU:
            return Fault(
                faults.READ_ONLY,
                f"writes to {faults.describe(env, pointer)}, which the program does not own here",
            )
        if place < 0 or place + size > region.size:
            return _beyond(env, pointer, place, size, f"it has {region.size} bytes")
        field = structure_of(env, region).fields.touched(place, place + size)
        return None if field is None else _special(env, pointer, field)
    if (region.flags & UNTRUSTED) == 0 and may_write(env, region, place, size):
        return None
    return Fault(
        faults.READ_ONLY, f"writes to {faults.describe(env, pointer)}, which may only be read"
    )


def may_write(env: Environment, region: Region, offset: i64, size: i64) -> bool:
    """Whether the platform lets this program type store there."""
    struct = structure_of(env, region)
    btf = struct.btf
    if struct.type is None or btf is None:
        return False
    kind = env.program_type.name
    try:
        for owners, name, rows in env.platform.writable:
            if kind not in owners.split():
                continue
            inner = structures.find_structure(btf, name)
            # The structure itself, or one that it begins with.
            if inner is None or not structures.contains(btf, struct.type, 0, inner.name):
                continue
            for path, length in rows:
                start = _offset_of(btf, inner, path)
                if 0 <= start <= offset and offset + size <= start + length:
                    return True
    except BTFError:
        return False
    return False


def _offset_of(btf: BTF, struct: t.Composite, path: str) -> int:
    """The byte offset of a member named by a path, -1 if there is none."""
    total = 0
    current: t.Type = struct
    try:
        for name in path.split("."):
            place = layout.find_member(btf, current.id, name)
            if place is None:
                return -1
            total += place.bit_offset // 8
            current = layout.resolve(btf, place.member.type_id)
    except BTFError:
        return -1
    return total


def _variable(env: Environment, pointer: Value) -> Fault:
    return Fault(
        faults.OUT_OF_BOUNDS,
        f"{faults.describe(env, pointer)} is accessed at an offset that is not constant",
        -1,
        "a constant offset",
    )


def _beyond(env: Environment, pointer: Value, place: i64, size: i64, why: str) -> Fault:
    tail = f": {why}" if why else ""
    return Fault(
        faults.OUT_OF_BOUNDS,
        f"{size} bytes at offset {place} of {faults.describe(env, pointer)}{tail}",
    )


def _special(env: Environment, pointer: Value, field: SpecialField) -> Fault:
    return Fault(
        faults.SPECIAL_FIELD,
        f"touches the {NAMES[int(field.kind)]} at offset {field.offset} of "
        f"{faults.describe(env, pointer)}; only the functions made for it may do that",
    )


# The end of names of structures that are set up by the program before the kernel sees them.
IN_SETUP: Final = "___init"


def begins_with(env: Environment, type_name: str, structure: str) -> bool:
    """Whether the kernel structure is, or begins with, the other one."""
    return holds_at(env, type_name, 0, structure)


def holds_at(env: Environment, type_name: str, offset: i64, structure: str) -> bool:
    """Whether a ``structure`` lies at this offset of the kernel structure."""
    if type_name == STRUCT + structure:
        return offset == 0
    # What is still being set up is another type to the functions that take it.
    if type_name == STRUCT + structure + IN_SETUP:
        return False
    also = env.platform.pointer_structures.get(type_name)
    if also is not None:
        type_name = STRUCT + also
        if also == structure:
            return offset == 0
    kernel = kernel_types(env)
    if kernel is None or offset < 0:
        return False
    struct = structures.find_structure(kernel, type_name)
    if struct is None:
        return False
    try:
        return structures.contains(kernel, struct, int(offset), structure)
    except BTFError:
        return False


def check_range(
    st: State, env: Environment, pointer: Value, size: i64, write: bool
) -> Fault | None:
    """Whether that many bytes of the object may be handed to a function."""
    region = pointer.region
    assert region is not None
    if region.nullable and not st.is_nonnull(region):
        return faults.may_be_null(env, pointer)
    if (
        pointer.unknown is None
        and pointer.offset >= 0
        and not faults.displaced(region, own_size(env, region))
    ):
        if region.flags & OWNED and region.flags & (ACQUIRED | NON_OWNING):
            own = structure_of(env, region).fields
            end = pointer.offset + size
            if end <= region.size and own.touched(pointer.offset, end) is None:
                return None
        elif (
            region.type.startswith(STRUCT)
            and not write
            and region.flags & (TRUSTED | ACQUIRED)
            and (region.flags & UNTRUSTED) == 0
        ):
            struct = structure_of(env, region).type
            if struct is not None and pointer.offset + size <= struct.size:
                return None
    return Fault(
        faults.ARGUMENT,
        f"{faults.describe(env, pointer)} is not memory that functions may be given",
    )


def plain_size(env: Environment, name: str) -> i64:
    """The size of a kernel structure of mere numbers, for which any memory will do; else -1."""
    kernel = kernel_types(env)
    struct = structures.find_structure(kernel, name)
    if kernel is None or struct is None or not structures.is_plain(kernel, struct, 0):
        return -1
    return struct.size


def own_fields(env: Environment, type_name: str) -> FieldMap:
    """The special fields of one of the program's own structures."""
    if not type_name:
        return NO_FIELDS
    probe = Region(OBJECT, 0, False, -1)
    probe.type = type_name
    probe.flags = OWNED
    return structure_of(env, probe).fields


def structure_cells(env: Environment, name: str) -> i64:
    """How many cells of stack a structure of the kernel takes, -1 if that is not known."""
    for btf in (env.btf, kernel_types(env)):
        found = structures.find_structure(btf, name)
        if found is not None:
            return (found.size + 7) // 8
    return -1


# Kernel pointers in map values and objects.

KPTRS: Final = (fields.KPTR, fields.KPTR_UNTRUSTED, fields.KPTR_PERCPU, fields.USER_POINTER)


def _kptr_field(env: Environment, pointer: Value, offset: i64, size: i64) -> SpecialField | None:
    region = pointer.region
    if region is None or pointer.kind != MAP_VALUE or region.index < 0:
        return None
    info = env.maps[region.index]
    if pointer.unknown is not None or size != 8 or faults.displaced(region, info.value_size):
        return None
    known = map_fields(env, info)
    for kind in KPTRS:
        found = known.at(pointer.offset + offset, kind)
        if found is not None:
            return found
    return None


def load_kptr(st: State, env: Environment, pointer: Value, offset: i64, size: i64) -> Value | None:
    """The kernel pointer that lies in the map value; None if no whole one is loaded."""
    field = _kptr_field(env, pointer, offset, size)
    return None if field is None else kptr_value(st, env, field)


def kptr_value(st: State, env: Environment, field: SpecialField) -> Value:
    if field.kind == fields.USER_POINTER:
        size: i64 = 0
        if env.btf is not None:
            size = layout.size_of(env.btf, int(field.type_id))
        region = Region(MEMORY, size, True, -1)
        return Value(MEMORY, 0, None, region)
    region = Region(OBJECT, 0, True, -1)
    _name_kptr(env, field, region)
    if field.kind == fields.KPTR_PERCPU:
        region.flags = region.flags | PER_CPU | RCU
    elif (
        field.kind == fields.KPTR
        and in_read_section(st, env)
        and (field.type in RCU_SAFE or region.flags & OWNED)
    ):
        region.flags = region.flags | RCU
    else:
        region.flags = region.flags | UNTRUSTED
    return Value(OBJECT, 0, None, region)


def _name_kptr(env: Environment, field: SpecialField, region: Region) -> None:
    """A type that the kernel does not have is the program's own."""
    region.type = STRUCT + field.type
    kernel = kernel_types(env)
    if kernel is not None and structures.find_structure(kernel, field.type) is None:
        region.flags = OWNED
        btf = env.btf
        struct = structures.find_structure(btf, field.type)
        if struct is not None:
            region.size = struct.size


def may_store_kptr(
    st: State, env: Environment, pointer: Value, offset: i64, size: i64, value: Value
) -> bool:
    """Whether a plain store may change the field: only fields that hold no reference."""
    field = _kptr_field(env, pointer, offset, size)
    if field is None or field.kind != fields.KPTR_UNTRUSTED:
        return False
    if value.kind == NUMBER:
        return value.unknown is None and value.offset == 0
    region = value.region
    return (
        value.kind == OBJECT
        and region is not None
        and value.offset == 0
        and value.unknown is None
        and region.type == STRUCT + field.type
        and (region.flags & (PER_CPU | OWNED)) == 0
    )


def held_kptr(env: Environment, field: SpecialField) -> Region:
    """The region of a kernel pointer taken out of a map value."""
    region = Region(OBJECT, 0, True, -1)
    _name_kptr(env, field, region)
    region.flags = region.flags | ACQUIRED | TRUSTED
    if field.kind == fields.KPTR_PERCPU:
        region.flags = region.flags | PER_CPU
    return region


# Typed contexts.


class ArgumentType:
    """What one argument of a typed context is."""

    __slots__ = ("flags", "kind", "nullable", "type")

    def __init__(self, kind: i64) -> None:
        self.kind: i64 = kind
        self.type: str = ""
        self.flags: i64 = 0
        self.nullable: bool = False


def load_argument(st: State, env: Environment, index: i64, size: i64) -> Loaded:
    """The argument at ``index`` of a typed context."""
    rules = lookups(env)
    known = rules.arguments
    if known is None:
        known = arguments_of(env)
        rules.arguments = known
    if rules.arguments_known and index >= len(known):
        return Fault(
            faults.CONTEXT_ACCESS,
            f"reads argument {index + 1}, but {env.program.attach_to or 'the target'} has "
            f"{len(known)}",
        )
    if index >= len(known):
        return loaded(size, False)
    argument = known[index]
    if argument.kind == NUMBER:
        return loaded(size, False)
    if size != 8:
        return Fault(
            faults.CONTEXT_ACCESS,
            f"reads {size} bytes of argument {index + 1}, a pointer, which is read whole",
        )
    region = Region(
        argument.kind, OPEN_SIZE if argument.kind == MEMORY else 0, argument.nullable, -1
    )
    region.type = argument.type
    region.flags = argument.flags
    return Value(argument.kind, 0, None, region)


def arguments_of(env: Environment) -> list[ArgumentType]:
    """The types of the arguments that the attach target passes."""
    kernel = kernel_types(env)
    if kernel is None:
        return []
    proto: t.FunctionProto | None = None
    skip = 0
    try:
        proto, skip = target_prototype(env, kernel)
        if proto is None:
            return []
        lookups(env).arguments_known = True
        operations = lookups(env).operations
        kind = env.program_type
        target = env.program.attach_to
        trusted = kind.trusted_arguments(env.attach_type)
        found = []
        for position, param in enumerate(proto.params[skip:]):
            words = env.platform.target_argument(kind.name, env.attach_type, target, position)
            made = argument_type(kernel, param, trusted or "trusted" in words, operations)
            if "buffer" in words or "read_buffer" in words:
                made = ArgumentType(MEMORY)
                made.flags = READ_ONLY if "read_buffer" in words else 0
            made.nullable = made.nullable or "null" in words
            found.append(made)
        if "fexit" in env.attach_type or env.attach_type in ("modify_return", "trace_fsession"):
            result = t.Param("result", proto.return_id)
            found.append(argument_type(kernel, result, trusted, operations))
        elif env.program_type.name == "lsm":
            found.append(ArgumentType(NUMBER))
        return found
    except BTFError:
        return []


# What an implementation of a kernel interface sees in place of the declared structure: TCP's
# congestion control is only ever called for TCP sockets.
PROMOTED: Final[dict[tuple[str, str], str]] = {("tcp_congestion_ops", "sock"): "tcp_sock"}


def argument_type(btf: BTF, param: t.Param, trusted: bool, operations: str) -> ArgumentType:
    """What one parameter of the kernel's prototype is to the program."""
    found = layout.resolve(btf, param.type_id)
    if not isinstance(found, t.Pointer):
        return ArgumentType(NUMBER)
    target = layout.resolve(btf, found.type_id)
    if not isinstance(target, t.Composite):
        return ArgumentType(NUMBER)
    made = ArgumentType(OBJECT)
    made.type = STRUCT + PROMOTED.get((operations, target.name), target.name)
    made.flags = TRUSTED if trusted else 0
    tags = structures.pointer_tags(btf, found)
    if tags & structures.USER:
        made.flags = UNTRUSTED
    if tags & structures.PER_CPU:
        made.flags = made.flags | PER_CPU
    made.nullable = param.name.endswith("__nullable")
    return made


def target_prototype(env: Environment, kernel: BTF) -> tuple[t.FunctionProto | None, int]:
    """The prototype of what the program is attached to, and how many parameters to leave out."""
    name = env.program.attach_to
    kind = env.program_type.name
    if kind == "struct_ops":
        return _operation(env, kernel), 0
    if not name:
        return None, 0
    if env.attach_type == "trace_raw_tp":
        found = kernel.find(f"btf_trace_{name}", t.KIND_TYPEDEF)
        if isinstance(found, t.Typedef):
            pointer = layout.resolve(kernel, found.type_id)
            if isinstance(pointer, t.Pointer):
                proto = layout.resolve(kernel, pointer.type_id)
                if isinstance(proto, t.FunctionProto):
                    return proto, 1
        return None, 0
    if env.attach_type == "trace_iter":
        name = f"bpf_iter_{name}"
    elif kind == "lsm":
        name = f"bpf_lsm_{name}"
    function = kernel.find(name, t.KIND_FUNC)
    if isinstance(function, t.Function):
        proto = kernel.type(function.type_id)
        if isinstance(proto, t.FunctionProto):
            return proto, 0
    return None, 0


def _operation(env: Environment, kernel: BTF) -> t.FunctionProto | None:
    """The prototype of the member that a struct_ops program implements."""
    for info in env.maps:
        for member, program in info.spec.members.items():
            if program != env.program.name or env.btf is None:
                continue
            own = layout.resolve(env.btf, int(info.spec.value_type_id))
            struct = structures.find_structure(kernel, own.name)
            if struct is None:
                continue
            for each in struct.members:
                if each.name != member:
                    continue
                pointer = layout.resolve(kernel, each.type_id)
                if isinstance(pointer, t.Pointer):
                    proto = layout.resolve(kernel, pointer.type_id)
                    if isinstance(proto, t.FunctionProto):
                        lookups(env).operations = own.name
                        return proto
    return None


def returns_nothing(env: Environment) -> bool:
    """Whether the attach target's function returns nothing, so that r0 does not matter."""
    kernel = kernel_types(env)
    if kernel is None:
        return False
    try:
        proto, _ = target_prototype(env, kernel)
    except BTFError:
        return False
    return proto is not None and proto.return_id == 0
