"""What a call leaves in r0, one class a kind of result.

Made after the arguments were found good; what they were is in the :class:`Call`.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from anybpf.btf.types import Struct
from anybpf.platforms import kinds
from anybpf.platforms.model import Return
from anybpf.verifier import faults, numbers
from anybpf.verifier.contexts import STRUCT
from anybpf.verifier.environment import Environment, Fault
from anybpf.verifier.rulebook import value_flags
from anybpf.verifier.rules import Call, FunctionRule, ResultRule
from anybpf.verifier.state import State
from anybpf.verifier.values import (
    ACQUIRED,
    DYNPTR_SLICE,
    MAP,
    MAP_VALUE,
    MEMORY,
    NON_OWNING,
    NOTHING,
    NUMBER,
    OBJECT,
    OWNED,
    PER_CPU,
    PLAIN,
    RCU,
    READ_ONLY,
    TRUSTED,
    UNTRUSTED,
    Region,
    Unknown,
    Value,
    unknown_number,
)

# The lowest error number of the kernel, negated (include/linux/err.h).
LOWEST_ERROR: Final = -4095

# Map types in which every key below the number of entries is present.
INDEXED_MAPS: Final = ("array", "percpu_array")


class Integer(ResultRule):
    def make(self, st: State, env: Environment, rule: FunctionRule, call: Call) -> Value | Fault:
        known = rule.range
        if rule.length_bound and call.length < numbers.SMALL:
            known = numbers.between(LOWEST_ERROR, call.length)
        elif known is None:
            known = numbers.TOP
        return Value(NUMBER, 0, Unknown(known, PLAIN, 0, None), None)


class Nothing(ResultRule):
    def make(self, st: State, env: Environment, rule: FunctionRule, call: Call) -> Value | Fault:
        return NOTHING


class MapValueResult(ResultRule):
    """What a look-up finds: a value, an inner map, a socket."""

    def make(self, st: State, env: Environment, rule: FunctionRule, call: Call) -> Value | Fault:
        if call.map < 0:
            return Fault(faults.MAP_TYPE, f"{rule.name} works on a map that is not known")
        info = env.maps[call.map]
        kind = info.type
        looks_up = kind is not None and len(rule.arguments) == 2
        if kind is not None and looks_up and kind.lookup.kind != kinds.MAP_VALUE:
            if kind.lookup.kind == kinds.MAP:
                if info.inner < 0:
                    return Fault(
                        faults.MAP_TYPE,
                        f"map {info.name} holds maps, but what its inner maps look like is not "
                        "known",
                    )
                return Value(MAP, 0, None, Region(MAP, 0, True, info.inner))
            region = Region(OBJECT, 0, kind.lookup.nullable, -1)
            region.type = kind.lookup.kind
            region.flags = TRUSTED
            if kind.lookup.acquires:
                region.flags = TRUSTED | ACQUIRED
                st.acquire(region)
            return Value(OBJECT, 0, None, region)
        nullable = self.nullable
        if (
            0 <= call.key < info.max_entries
            and looks_up
            and kind is not None
            and kind.name in INDEXED_MAPS
        ):
            nullable = False
        region = Region(MAP_VALUE, info.value_size, nullable, call.map)
        region.flags = value_flags(env, info)
        return Value(MAP_VALUE, 0, None, region)


class ObjectResult(ResultRule):
    """A socket or kernel structure."""

    __slots__ = ("acquires", "flags", "type")

    def __init__(self, returns: Return) -> None:
        super().__init__(returns.nullable)
        self.type: str = returns.kind
        flags: i64 = TRUSTED
        if returns.kind == kinds.BTF_POINTER:
            self.type = STRUCT + returns.type
            flags = TRUST[returns.trust]
        self.acquires: bool = returns.acquires
        if returns.acquires:
            flags = flags | ACQUIRED | TRUSTED
        self.flags: i64 = flags

    def make(self, st: State, env: Environment, rule: FunctionRule, call: Call) -> Value | Fault:
        region = Region(OBJECT, 0, self.nullable, -1)
        region.type = self.type
        region.flags = self.flags
        if self.acquires:
            st.acquire(region)
        elif "casts" in rule.flags:
            region.parent = call.object.region
        return Value(OBJECT, 0, None, region)


TRUST: Final[dict[str, int]] = {"": 0, "trusted": TRUSTED, "rcu": RCU, "untrusted": UNTRUSTED}


class Record(ResultRule):
    """A ring buffer record of constant size."""

    def make(self, st: State, env: Environment, rule: FunctionRule, call: Call) -> Value | Fault:
        region = Region(MEMORY, call.constant, self.nullable, -1)
        region.flags = ACQUIRED
        st.acquire(region)
        return Value(MEMORY, 0, None, region)


class Block(ResultRule):
    """Memory whose size is fixed or was given; with "slices", part of a dynptr."""

    __slots__ = ("access", "acquires", "size", "size_arg")

    def __init__(self, returns: Return) -> None:
        super().__init__(returns.nullable)
        self.size: i64 = returns.size
        self.size_arg: i64 = returns.size_arg
        self.access: str = returns.access
        self.acquires: bool = returns.acquires

    def make(self, st: State, env: Environment, rule: FunctionRule, call: Call) -> Value | Fault:
        size = self.size
        if self.size_arg >= 0:
            size = st.range_of(st.regs[self.size_arg + 1]).high
        region = Region(MEMORY, size, self.nullable, -1)
        if self.access == "r":
            region.flags = READ_ONLY
        if self.acquires:
            region.flags = region.flags | ACQUIRED
            st.acquire(region)
        dynptr = call.dynptr
        if dynptr is not None:
            region.flags = region.flags | DYNPTR_SLICE
            if dynptr.read_only:
                region.flags = region.flags | READ_ONLY
            region.parent = dynptr.identity
        return Value(MEMORY, 0, None, region)


class KernelPointer(ResultRule):
    """What was in a map value's field for a kernel pointer; now the program holds it."""

    def make(self, st: State, env: Environment, rule: FunctionRule, call: Call) -> Value | Fault:
        from anybpf.verifier.typed import held_kptr

        field = call.field
        assert field is not None
        region = held_kptr(env, field)
        st.acquire(region)
        return Value(OBJECT, 0, None, region)


class PerCpu(ResultRule):
    """A per-CPU variable of the kernel, on one CPU."""

    def make(self, st: State, env: Environment, rule: FunctionRule, call: Call) -> Value | Fault:
        source = call.object.region
        if source is None:
            return unknown_number(numbers.TOP)
        region = Region(source.kind, source.size, self.nullable, -1)
        region.type = source.type
        region.kind = MEMORY if source.size > 0 else OBJECT
        # The variable itself is the kernel's; an object of the program may be written.
        region.flags = source.flags & ~(PER_CPU | ACQUIRED)
        region.parent = source
        return Value(region.kind, 0, None, region)


class Allocated(ResultRule):
    """An object of the program's own type, which the program owns."""

    __slots__ = ("flags",)

    def __init__(self, returns: Return) -> None:
        super().__init__(returns.nullable)
        self.flags: i64 = OWNED | ACQUIRED
        if returns.type == "percpu":
            self.flags = OWNED | ACQUIRED | PER_CPU

    def make(self, st: State, env: Environment, rule: FunctionRule, call: Call) -> Value | Fault:
        struct = own_structure(env, call.constant)
        if struct is None:
            return Fault(
                faults.KFUNC,
                f"{rule.name} is asked for type {call.constant}, which is no structure of the "
                "program's BTF",
                1,
            )
        region = Region(OBJECT, struct.size, self.nullable, -1)
        region.type = STRUCT + struct.name
        region.flags = self.flags
        st.acquire(region)
        return Value(OBJECT, 0, None, region)


class Node(ResultRule):
    """A node of a list or tree: the object around it, owned or borrowed."""

    __slots__ = ("acquires",)

    def __init__(self, returns: Return) -> None:
        super().__init__(returns.nullable)
        self.acquires: bool = returns.acquires

    def make(self, st: State, env: Environment, rule: FunctionRule, call: Call) -> Value | Fault:
        field = call.field
        struct = None if field is None else own_structure(env, field.type_id)
        if field is None or struct is None:
            return Fault(
                faults.KFUNC,
                f"{rule.name}: what the list or tree contains is not declared (__contains)",
                1,
            )
        region = Region(OBJECT, struct.size, self.nullable, -1)
        region.type = STRUCT + struct.name
        region.flags = OWNED | NON_OWNING
        if self.acquires:
            region.flags = OWNED | ACQUIRED
            st.acquire(region)
        return Value(OBJECT, field.node_offset, None, region)


class Same(ResultRule):
    """One more reference to the argument's object."""

    def make(self, st: State, env: Environment, rule: FunctionRule, call: Call) -> Value | Fault:
        source = call.object.region
        if source is None:
            return unknown_number(numbers.TOP)
        # Who holds a reference always gets another; who only sees the object may come too late.
        nullable = self.nullable and not st.holds(source)
        region = Region(OBJECT, source.size, nullable, -1)
        region.type = source.type
        region.flags = (source.flags & ~NON_OWNING) | ACQUIRED
        st.acquire(region)
        return Value(OBJECT, 0, None, region)


class Cast(ResultRule):
    """Any address, to be read with care as the kernel's type of that id."""

    def make(self, st: State, env: Environment, rule: FunctionRule, call: Call) -> Value | Fault:
        region = Region(OBJECT, 0, False, -1)
        region.flags = UNTRUSTED | READ_ONLY
        kernel = env.kernel_btf
        if kernel is not None and 0 < call.constant < len(kernel):
            region.type = STRUCT + kernel.type(int(call.constant)).name
        return Value(OBJECT, 0, None, region)


class KernelContext(ResultRule):
    """The kernel's structure behind the context."""

    def make(self, st: State, env: Environment, rule: FunctionRule, call: Call) -> Value | Fault:
        context = env.program_type.context
        name = "" if context is None else env.platform.projections.get(context.name, "")
        region = Region(OBJECT, 0, False, -1)
        region.type = STRUCT + name
        region.flags = TRUSTED
        return Value(OBJECT, 0, None, region)


class Arena(ResultRule):
    """Pages of the arena, as user space sees them: a number until it is cast."""

    def make(self, st: State, env: Environment, rule: FunctionRule, call: Call) -> Value | Fault:
        return unknown_number(numbers.TOP)


def own_structure(env: Environment, type_id: i64) -> Struct | None:
    """The structure of the program's own types with that id."""
    btf = env.btf
    if btf is None or not 0 < type_id < len(btf):
        return None
    found = btf.type(int(type_id))
    return found if isinstance(found, Struct) else None


class Unknown64(ResultRule):
    """Something of which nothing can be used."""

    def make(self, st: State, env: Environment, rule: FunctionRule, call: Call) -> Value | Fault:
        return unknown_number(numbers.TOP)


def result_rule(returns: Return) -> ResultRule:
    """The rule for a row's result."""
    kind = returns.kind
    if kind == kinds.INTEGER:
        return Integer(False)
    if kind == kinds.VOID:
        return Nothing(False)
    if kind == kinds.MAP_VALUE:
        return MapValueResult(returns.nullable)
    if kind in (kinds.SOCKET, kinds.SOCK_COMMON, kinds.TCP_SOCK, kinds.BTF_POINTER):
        return ObjectResult(returns)
    if kind == kinds.RINGBUF_MEMORY:
        return Record(returns.nullable)
    if kind == kinds.MEMORY:
        return Block(returns)
    if kind == kinds.KPTR:
        return KernelPointer(returns.nullable)
    if kind == kinds.MEMORY_OR_BTF:
        return PerCpu(returns.nullable)
    if kind == kinds.ALLOCATED:
        return Allocated(returns)
    if kind in (kinds.LIST_NODE, kinds.RB_NODE):
        return Node(returns)
    if kind == kinds.SAME:
        return Same(returns.nullable)
    if kind == kinds.CAST:
        return Cast(False)
    if kind == kinds.KERNEL_CONTEXT:
        return KernelContext(False)
    if kind == kinds.ARENA:
        return Arena(False)
    return Unknown64(False)
