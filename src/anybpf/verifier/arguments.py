"""What each kind of argument asks of the value in its register, one class a kind.

A check changes nothing but the :class:`Call`, which collects what was found (the map, the object,
stack to be overwritten) for those that follow. What the call then does stands in ``calls``.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from anybpf.platforms import kinds
from anybpf.platforms.model import Arg
from anybpf.verifier import access, faults, formats, memory, typed
from anybpf.verifier.environment import Environment, Fault, MapInfo
from anybpf.verifier.rulebook import map_is_read_only, rulebook
from anybpf.verifier.rules import NO_STACK, ArgumentRule, Call, FunctionRule
from anybpf.verifier.state import FRAME_BYTES, FRAME_CELLS, State
from anybpf.verifier.values import (
    ACQUIRED,
    ARENA,
    CONTEXT,
    FUNCTION,
    MAP,
    MAP_VALUE,
    MEMORY,
    NUMBER,
    OBJECT,
    PACKET,
    PACKET_META,
    RCU,
    STACK,
    TRUSTED,
    UNINIT,
    UNTRUSTED,
    Bytes,
    Cell,
    CellChoice,
    Region,
    Value,
)

# Sizes from here on are not bounded at all (the kernel's BPF_MAX_VAR_SIZ).
LARGEST_SIZE: Final = 1 << 29


def wrong(
    env: Environment, rule: FunctionRule, arg: ArgumentRule, value: Value, needed: str
) -> Fault:
    """The argument is of another kind than the function takes."""
    held = faults.describe(env, value)
    return Fault(
        faults.ARGUMENT,
        f"r{arg.register}, argument {arg.name} of {rule.name}, must be {needed}, not {held}",
        arg.register,
        needed,
        held,
    )


def null_argument(env: Environment, rule: FunctionRule, arg: ArgumentRule, value: Value) -> Fault:
    fault = faults.may_be_null(env, value, arg.register)
    fault.message = f"{fault.message} as argument {arg.name} of {rule.name}"
    return fault


def is_zero(value: Value) -> bool:
    return value.kind == NUMBER and value.unknown is None and value.offset == 0


class Anything(ArgumentRule):
    """Any value; no pointers where they must not leak."""

    def check(
        self, st: State, env: Environment, rule: FunctionRule, call: Call, value: Value
    ) -> Fault | None:
        if value.kind != NUMBER and not env.leaks_allowed:
            return Fault(
                faults.POINTER_LEAK,
                f"r{self.register}, argument {self.name} of {rule.name}, is a number to the "
                f"function, and would reveal the address in {faults.describe(env, value)}",
                self.register,
                "a number",
                faults.describe(env, value),
            )
        return None


class Ignored(ArgumentRule):
    """Not looked at by the function."""

    def check(
        self, st: State, env: Environment, rule: FunctionRule, call: Call, value: Value
    ) -> Fault | None:
        return None


class Number(ArgumentRule):
    """A number. With ``constant``, one that is known; ``type`` may say which."""

    __slots__ = ("constant",)

    def __init__(self, register: i64, arg: Arg) -> None:
        super().__init__(register, arg.name, arg.nullable, arg.releases, arg.type)
        self.constant: bool = arg.constant

    def check(
        self, st: State, env: Environment, rule: FunctionRule, call: Call, value: Value
    ) -> Fault | None:
        if value.kind != NUMBER:
            return wrong(env, rule, self, value, "a number")
        if self.constant:
            known = st.range_of(value)
            if known.mask != 0:
                return wrong(env, rule, self, value, "a constant")
            if self.type and known.value != int(self.type):
                return wrong(env, rule, self, value, f"the constant {self.type}")
            call.constant = known.value
        return None


class ContextArgument(ArgumentRule):
    """The context, as the program was given it."""

    def check(
        self, st: State, env: Environment, rule: FunctionRule, call: Call, value: Value
    ) -> Fault | None:
        if value.kind == CONTEXT:
            if value.unknown is None and value.offset == 0:
                return None
            return Fault(
                faults.ARGUMENT,
                f"r{self.register}, argument {self.name} of {rule.name}, must be the context "
                "itself, not a pointer moved into it",
                self.register,
                "the context",
                f"the context + {value.offset}",
            )
        if self.nullable and is_zero(value):
            return None
        region = value.region
        if (
            value.kind == OBJECT
            and region is not None
            and self.type
            and (region.flags & (TRUSTED | ACQUIRED)) != 0
            and region.type == f"struct {env.platform.projections.get(self.type, '')}"
            and value.offset == 0
            and value.unknown is None
            and not faults.displaced(region, 0)
            and not region.nullable
        ):
            return None
        return wrong(env, rule, self, value, "the context")


class MapArgument(ArgumentRule):
    """A map of a type that the function works on."""

    def check(
        self, st: State, env: Environment, rule: FunctionRule, call: Call, value: Value
    ) -> Fault | None:
        if value.kind != MAP:
            return wrong(env, rule, self, value, "a map")
        region = value.region
        assert region is not None
        if region.nullable and not st.is_nonnull(region):
            return null_argument(env, rule, self, value)
        index = region.index
        if index < 0:
            return Fault(
                faults.MAP_TYPE,
                f"r{self.register}, argument {self.name} of {rule.name}, is not the same map on "
                "all ways here",
                self.register,
                "one map",
            )
        if call.map >= 0 and call.map != index and call.field is not None:
            return Fault(
                faults.MAP_TYPE,
                f"r{self.register} must be map {env.maps[call.map].name}, in whose value the "
                f"first argument lies, not map {env.maps[index].name}",
                self.register,
            )
        call.map = index
        info = env.maps[index]
        if info.type_name in rule.accepted and not (rule.writes_map and map_is_read_only(info)):
            return None
        return self.accept(env, rule, index)

    def accept(self, env: Environment, rule: FunctionRule, index: i64) -> Fault | None:
        """Whether the function takes this map; remembered if so."""
        info = env.maps[index]
        kind = info.type
        if kind is None:
            return Fault(
                faults.MAP_TYPE,
                f"map {info.name} is of type {info.spec.type!r}, which {env.platform.name} does "
                "not have",
                self.register,
            )
        if rule.number >= 0 and not env.platform.map_accepts(kind.name, int(rule.number)):
            takes = ", ".join(rule.map_types)
            return Fault(
                faults.MAP_TYPE,
                f"{rule.name} does not work on maps of type {kind.name}, which map {info.name} is",
                self.register,
                f"a map of type {takes}" if takes else "",
                kind.name,
            )
        owners = kind.deleters if rule.deletes else kind.updaters
        if rule.writes_map and owners and env.program_type.name not in owners:
            return Fault(
                faults.MAP_TYPE,
                f"{rule.name} may not change map {info.name}, of type {kind.name}, from programs "
                f"of type {env.program_type.name}",
                self.register,
            )
        if rule.writes_map and map_is_read_only(info):
            return Fault(
                faults.READ_ONLY,
                f"{rule.name} changes map {info.name}, which programs may only read",
                self.register,
            )
        rule.accepted[info.type_name] = True
        return None


class KeyArgument(ArgumentRule):
    """Memory that holds a key of the map."""

    def stack_read(self) -> i64:
        return -1

    def check(
        self, st: State, env: Environment, rule: FunctionRule, call: Call, value: Value
    ) -> Fault | None:
        info = map_of(env, call)
        if info is None:
            return wrong(env, rule, self, value, "the key of a map that is known")
        fault = check_memory(
            st, env, rule, call, self, value, info.key_size, info.key_size, True, False
        )
        if fault is not None:
            return fault
        if info.key_size == 4 and value.kind == STACK and value.unknown is None:
            call.key = constant_key(st, value, env)
        return None


def constant_key(st: State, pointer: Value, env: Environment) -> i64:
    """The four-byte key, if it is known; else -1."""
    found = memory.load_stack(st, env, pointer, 0, 4, False)
    if isinstance(found, Value) and found.kind == NUMBER:
        known = st.range_of(found)
        if known.mask == 0:
            return known.value
    return -1


def map_of(env: Environment, call: Call) -> MapInfo | None:
    if 0 <= call.map < len(env.maps):
        return env.maps[call.map]
    return None


class ValueArgument(ArgumentRule):
    """Memory that holds, or gets, a value of the map."""

    __slots__ = ("reads", "writes")

    def __init__(self, register: i64, arg: Arg) -> None:
        super().__init__(register, arg.name, arg.nullable, arg.releases, arg.type)
        self.reads: bool = "r" in arg.access or arg.access == ""
        self.writes: bool = "w" in arg.access

    def stack_read(self) -> i64:
        return -1 if self.reads else NO_STACK

    def check(
        self, st: State, env: Environment, rule: FunctionRule, call: Call, value: Value
    ) -> Fault | None:
        if self.nullable and is_zero(value):
            return None
        info = map_of(env, call)
        if info is None:
            return wrong(env, rule, self, value, "the value of a map that is known")
        kind = info.type
        if kind is not None and kind.value_kind != kinds.MAP_VALUE:
            instead = SocketArgument(
                self.register, Arg(self.name, kind.value_kind, nullable=self.nullable)
            )
            return instead.check(st, env, rule, call, value)
        size = info.value_size
        return check_memory(st, env, rule, call, self, value, size, size, self.reads, self.writes)


class MemoryArgument(ArgumentRule):
    """Memory of a fixed size, or of as many bytes as the register ``size_register`` says."""

    __slots__ = ("align", "constant", "home", "reads", "size", "size_register", "writes", "zero")

    def __init__(self, register: i64, arg: Arg, args: tuple[Arg, ...]) -> None:
        super().__init__(register, arg.name, arg.nullable, arg.releases, arg.type)
        self.reads: bool = "r" in arg.access or arg.access == ""
        self.writes: bool = "w" in arg.access
        self.size: i64 = arg.size
        self.align: i64 = arg.align
        self.size_register: i64 = -1
        self.zero: bool = False
        self.constant: bool = False
        if arg.size_arg >= 0:
            size_arg = args[arg.size_arg]
            self.size_register = arg.size_arg + 1
            self.zero = size_arg.kind in (kinds.SIZE_OR_ZERO, kinds.CONSTANT_SIZE)
            self.constant = size_arg.kind == kinds.CONSTANT_SIZE
        # The only kind of region that it may lie in, -1 for any.
        self.home: i64 = MAP_VALUE if arg.type == kinds.MAP_VALUE else -1

    def stack_read(self) -> i64:
        if not self.reads:
            return NO_STACK
        return -1 if self.size_register >= 0 else self.size

    def check(
        self, st: State, env: Environment, rule: FunctionRule, call: Call, value: Value
    ) -> Fault | None:
        low = self.size
        high = self.size
        if self.size_register >= 0:
            length = st.settled(st.regs[self.size_register])
            if length.kind != NUMBER:
                if length.kind == UNINIT:
                    return faults.uninitialized(self.size_register)
                return self._bad_size(rule, "is no number", f"{faults.describe(env, length)}")
            known = st.range_of(length)
            low = known.low
            high = known.high
            if low < 0:
                return self._bad_size(
                    rule, f"may be negative ({low})", f"{low} to {high}", "at least 0"
                )
            if high >= LARGEST_SIZE:
                return self._bad_size(
                    rule, "is not bounded", f"{low} to {high}", "a size with an upper bound"
                )
            if low == 0 and not self.zero:
                return self._bad_size(rule, "may be zero", f"{low} to {high}", "at least 1")
            if self.constant and low != high:
                return self._bad_size(rule, "is not constant", f"{low} to {high}")
            if high < call.length:
                call.length = high
        absent = self.nullable and self.size_register >= 0 and is_zero(value)
        if absent and (high == 0 or self.constant):
            return None
        if self.home >= 0 and value.kind != self.home:
            return wrong(env, rule, self, value, "a pointer into a map value")
        if is_zero(value) and self.nullable and self.size_register < 0:
            return None
        if self.align > 1 and not aligned(st, value, self.align):
            return Fault(
                faults.ALIGNMENT,
                f"r{self.register}, argument {self.name} of {rule.name}, must be aligned to "
                f"{self.align} bytes",
                self.register,
                f"a multiple of {self.align}",
            )
        return check_memory(st, env, rule, call, self, value, low, high, self.reads, self.writes)

    def _bad_size(self, rule: FunctionRule, what: str, known: str, needed: str = "") -> Fault:
        return Fault(
            faults.ARGUMENT,
            f"r{self.size_register}, the size of argument {self.name} of {rule.name}, {what}",
            self.size_register,
            needed,
            known,
        )


# Packets begin so far from an aligned address (NET_IP_ALIGN of the Linux kernel).
PACKET_SHIFT: Final = 2


def aligned(st: State, pointer: Value, align: i64) -> bool:
    """Whether the address is a multiple of ``align``, a power of two, whatever its offset."""
    known = st.range_of(pointer)
    base = known.value
    if pointer.kind == PACKET:
        base = base + PACKET_SHIFT
    return ((base | known.mask) & (align - 1)) == 0


class SizeArgument(ArgumentRule):
    """The size of the memory beside it, which looks at its value."""

    def check(
        self, st: State, env: Environment, rule: FunctionRule, call: Call, value: Value
    ) -> Fault | None:
        if value.kind != NUMBER:
            return wrong(env, rule, self, value, "a number")
        return None


class AllocationSize(ArgumentRule):
    """A constant: how much memory comes back."""

    def check(
        self, st: State, env: Environment, rule: FunctionRule, call: Call, value: Value
    ) -> Fault | None:
        if value.kind == NUMBER:
            known = st.range_of(value)
            if known.mask == 0:
                call.constant = known.value
                return None
        return wrong(env, rule, self, value, "a constant")


class StringArgument(ArgumentRule):
    """A zero-terminated constant in read-only data.

    ``values_size`` is the register with the size of the values that a format takes, -1 where the
    string is no format.
    """

    __slots__ = ("values_size",)

    def __init__(self, register: i64, arg: Arg, args: tuple[Arg, ...]) -> None:
        super().__init__(register, arg.name, arg.nullable, arg.releases, arg.type)
        self.values_size: i64 = -1
        if arg.name.startswith("fmt"):
            for other in args[register:]:
                if other.size_arg >= 0:
                    self.values_size = other.size_arg + 1

    def check(
        self, st: State, env: Environment, rule: FunctionRule, call: Call, value: Value
    ) -> Fault | None:
        region = value.region
        if value.kind != MAP_VALUE or region is None or region.index < 0:
            return wrong(env, rule, self, value, "a string in read-only data")
        info = env.maps[region.index]
        contents = info.contents
        if contents is None or not map_is_read_only(info):
            return wrong(env, rule, self, value, "a string in read-only data")
        start = value.offset
        if value.unknown is not None or not 0 <= start < len(contents):
            return wrong(env, rule, self, value, "a string at a constant place")
        end = contents.find(b"\0", int(start))
        if end < 0:
            return Fault(
                faults.ARGUMENT,
                f"r{self.register}, argument {self.name} of {rule.name}, points to text that does "
                "not end with a zero byte",
                self.register,
                "a zero-terminated string",
            )
        if self.values_size < 0:
            return None
        return self.check_format(st, rule, contents[int(start) : end].decode("latin-1"))

    def check_format(self, st: State, rule: FunctionRule, text: str) -> Fault | None:
        """Whether the format is legal and its values are there."""
        known = st.range_of(st.regs[self.values_size])
        takes = formats.values_of(text)
        if takes < 0:
            return Fault(
                faults.ARGUMENT,
                f"r{self.register}, argument {self.name} of {rule.name}: {text!r} is no format "
                "that it knows",
                self.register,
            )
        if known.mask != 0 or known.value % 8 != 0 or known.value // 8 < takes:
            return Fault(
                faults.ARGUMENT,
                f"r{self.values_size}: the format {text!r} of {rule.name} takes {takes} values of "
                "8 bytes",
                self.values_size,
                f"{takes * 8} bytes",
                f"{known.low} to {known.high} bytes",
            )
        return None


class StackArgument(ArgumentRule):
    """A pointer to the stack, handed on to the callback."""

    def stack_read(self) -> i64:
        return -1

    def check(
        self, st: State, env: Environment, rule: FunctionRule, call: Call, value: Value
    ) -> Fault | None:
        if value.kind == STACK or (self.nullable and is_zero(value)):
            return None
        needed = "a pointer to the stack or null" if self.nullable else "a pointer to the stack"
        return wrong(env, rule, self, value, needed)


class FunctionArgument(ArgumentRule):
    """A function of the program."""

    def check(
        self, st: State, env: Environment, rule: FunctionRule, call: Call, value: Value
    ) -> Fault | None:
        if value.kind != FUNCTION or value.unknown is not None:
            return wrong(env, rule, self, value, "a function of the program")
        call.function = value.offset
        return None


class SocketArgument(ArgumentRule):
    """A socket. ``takes`` are the kinds of pointers that will do; ``structure`` the kernel's."""

    __slots__ = ("structure", "takes")

    def __init__(self, register: i64, arg: Arg) -> None:
        super().__init__(register, arg.name, arg.nullable, arg.releases, arg.type)
        self.takes: tuple[str, ...] = SOCKETS[arg.kind]
        # Kernel structures are taken too where this names the one that they must begin with.
        self.structure: str = "sock_common" if arg.kind == kinds.SOCK_COMMON_BTF else ""

    def check(
        self, st: State, env: Environment, rule: FunctionRule, call: Call, value: Value
    ) -> Fault | None:
        if self.nullable and is_zero(value):
            return None
        region = value.region
        if value.kind != OBJECT or region is None:
            return wrong(env, rule, self, value, "a socket")
        if region.nullable and not st.is_nonnull(region) and not self.nullable:
            return null_argument(env, rule, self, value)
        if value.offset != 0 or value.unknown is not None or faults.displaced(region, 0):
            return wrong(env, rule, self, value, "a socket's address, not moved")
        if region.type not in self.takes:
            if not self.structure or region.flags & UNTRUSTED:
                return wrong(env, rule, self, value, f"a {' or '.join(self.takes)}")
            if not typed.begins_with(env, region.type, self.structure):
                return wrong(env, rule, self, value, "a socket")
        return take_object(st, env, rule, self, call, value)


# Kinds of pointers that each kind of argument takes; "struct ..." are the kernel's own.
# Facts: what the verifier of Linux 6.18 accepts and refuses.
SOCKETS: Final[dict[str, tuple[str, ...]]] = {
    kinds.SOCKET: ("socket",),
    kinds.SOCK_COMMON: ("sock_common", "socket", "tcp_sock", "xdp_sock"),
    kinds.SOCK_COMMON_BTF: ("sock_common", "socket", "tcp_sock", "xdp_sock"),
}


def take_object(
    st: State,
    env: Environment,
    rule: FunctionRule,
    arg: ArgumentRule,
    call: Call,
    value: Value,
) -> Fault | None:
    """Note the object; one that the function takes away must be held."""
    region = value.region
    assert region is not None
    if call.object.kind == UNINIT:
        call.object = value
    if not arg.releases:
        return None
    held = holder(st, region)
    if held is None:
        return Fault(
            faults.NOT_ACQUIRED,
            f"r{arg.register}, argument {arg.name} of {rule.name}, is given back, but the "
            "program does not hold a reference to it",
            arg.register,
            "something that was acquired and not yet released",
            faults.describe(env, value),
        )
    call.released = held
    return None


def holder(st: State, region: Region) -> Region | None:
    """The region that holds the reference under which this one lives."""
    found: Region | None = region
    while found is not None:
        if st.holds(found):
            return found
        found = found.parent
    return None


class StructureArgument(ArgumentRule):
    """A kernel structure, known by its BTF."""

    __slots__ = ("trust",)

    def __init__(self, register: i64, arg: Arg) -> None:
        super().__init__(register, arg.name, arg.nullable, arg.releases, arg.type)
        self.trust: str = arg.trust

    def check(
        self, st: State, env: Environment, rule: FunctionRule, call: Call, value: Value
    ) -> Fault | None:
        if is_zero(value):
            if self.nullable:
                return None
            return wrong(env, rule, self, value, f"a struct {self.type}")
        region = value.region
        if value.kind != OBJECT or region is None:
            if value.kind == MAP and env.platform.pointer_structures.get("map") == self.type:
                return None
            size = typed.plain_size(env, self.type) if rule.number < 0 else -1
            if size >= 0 and not self.releases:
                return check_memory(st, env, rule, call, self, value, size, size, True, True)
            return wrong(env, rule, self, value, f"a pointer to struct {self.type}")
        if region.nullable and not st.is_nonnull(region) and not self.nullable:
            return null_argument(env, rule, self, value)
        flags = region.flags
        if flags & UNTRUSTED:
            return self._untrusted(env, rule, value)
        if self.trust == kinds.TRUSTED and (flags & (TRUSTED | ACQUIRED)) == 0:
            return self._untrusted(env, rule, value)
        if self.trust == kinds.RCU and (flags & (TRUSTED | ACQUIRED | RCU)) == 0:
            return self._untrusted(env, rule, value)
        if (
            value.unknown is not None
            or faults.displaced(region, typed.own_size(env, region))
            or not typed.holds_at(env, region.type, value.offset, self.type)
        ):
            return wrong(env, rule, self, value, f"a pointer to struct {self.type}")
        return take_object(st, env, rule, self, call, value)

    def _untrusted(self, env: Environment, rule: FunctionRule, value: Value) -> Fault:
        return Fault(
            faults.ARGUMENT,
            f"r{self.register}, argument {self.name} of {rule.name}, must be a pointer that can "
            f"be relied on, which {faults.describe(env, value)} got here is not",
            self.register,
            f"a trusted pointer to struct {self.type}",
            "a pointer that was read from memory which may have changed since",
        )


class RecordArgument(ArgumentRule):
    """A ring buffer record that the program reserved."""

    def check(
        self, st: State, env: Environment, rule: FunctionRule, call: Call, value: Value
    ) -> Fault | None:
        region = value.region
        if value.kind != MEMORY or region is None or (region.flags & ACQUIRED) == 0:
            if self.releases and region is None and value.kind == NUMBER:
                return Fault(
                    faults.NOT_ACQUIRED,
                    f"r{self.register}, argument {self.name} of {rule.name}, must be a record "
                    "that the program reserved and still holds",
                    self.register,
                    "a reserved record",
                    faults.describe(env, value),
                )
            return wrong(env, rule, self, value, "a reserved record")
        if region.nullable and not st.is_nonnull(region):
            return null_argument(env, rule, self, value)
        if value.offset != 0 or value.unknown is not None:
            return wrong(env, rule, self, value, "the record's beginning")
        return take_object(st, env, rule, self, call, value)


# Memory.


def check_memory(
    st: State,
    env: Environment,
    rule: FunctionRule,
    call: Call,
    arg: ArgumentRule,
    value: Value,
    low: i64,
    high: i64,
    reads: bool,
    writes: bool,
) -> Fault | None:
    """Whether ``high`` bytes may be read or written there; at least ``low`` of them will be."""
    kind = value.kind
    if kind == STACK:
        return check_stack(st, env, rule, call, arg, value, low, high, reads, writes)
    region = value.region
    if kind == NUMBER or region is None:
        if is_zero(value):
            return Fault(
                faults.NULL_POINTER,
                f"r{arg.register}, argument {arg.name} of {rule.name}, is null",
                arg.register,
                f"{high} bytes of memory",
                "null",
            )
        return wrong(env, rule, arg, value, f"memory of {high} bytes")
    fault: Fault | None = None
    if kind == MAP_VALUE:
        fault = access.check_map_value(st, env, value, 0, high, writes)
    elif kind == MEMORY:
        fault = access.check_memory(st, env, value, 0, high, writes)
    elif kind in (PACKET, PACKET_META):
        rules = rulebook(env)
        if not (rules.packet_free or (rule.packet and rules.packet_arguments)):
            return Fault(
                faults.ARGUMENT,
                f"r{arg.register}, argument {arg.name} of {rule.name}, may not be packet data; "
                "copy it to the stack first",
                arg.register,
                "memory other than the packet",
                faults.describe(env, value),
            )
        if writes and not rules.packet_writes:
            return Fault(faults.READ_ONLY, f"{rule.name} would write to the packet", arg.register)
        verb = "writes" if writes else "reads"
        if kind == PACKET:
            fault = access.check_packet(st, value, 0, high, verb)
        else:
            fault = access.check_meta(st, value, 0, high, verb)
    elif kind == OBJECT:
        if region.flags & ARENA:
            return None
        fault = typed.check_range(st, env, value, high, writes)
    else:
        return wrong(env, rule, arg, value, f"memory of {high} bytes")
    if fault is not None:
        fault.register = arg.register
        fault.message = f"argument {arg.name} of {rule.name}: {fault.message}"
    return fault


def check_stack(
    st: State,
    env: Environment,
    rule: FunctionRule,
    call: Call,
    arg: ArgumentRule,
    value: Value,
    low: i64,
    high: i64,
    reads: bool,
    writes: bool,
) -> Fault | None:
    region = value.region
    assert region is not None
    first, end = memory.span(st, value, 0, high)
    if first < 0:
        return Fault(
            faults.STACK_BOUNDS,
            f"r{arg.register}, argument {arg.name} of {rule.name}: {high} bytes from offset "
            f"{value.offset} of the stack do not lie inside the frame",
            arg.register,
            f"{high} bytes between -{FRAME_BYTES} and 0",
        )
    if high == 0:
        return None
    frame = region.index
    found = memory.object_at(st, frame, first, end)
    if found is not None and not writes:
        return Fault(
            faults.ARGUMENT,
            f"r{arg.register}, argument {arg.name} of {rule.name}, is stack where a {found.type} "
            "lies; only its own functions may touch it",
            arg.register,
        )
    if found is not None:
        return Fault(
            faults.ARGUMENT,
            f"{rule.name} would overwrite the {found.type} on the stack",
            arg.register,
        )
    if reads:
        if not env.uninitialized_reads and not memory.is_written(st, frame, first, end):
            return Fault(
                faults.UNINITIALIZED_STACK,
                f"r{arg.register}, argument {arg.name} of {rule.name}: the {high} bytes of stack "
                f"from offset {first - FRAME_BYTES} on are not all written on every way here",
                arg.register,
                f"{high} written bytes",
            )
        if not env.leaks_allowed and holds_pointer(st, frame, first, end):
            return Fault(
                faults.POINTER_LEAK,
                f"r{arg.register}, argument {arg.name} of {rule.name}: the memory holds a "
                "pointer, whose address would become known",
                arg.register,
                "numbers only",
            )
    if writes:
        call.write(frame, first, end, value.unknown is None and low == high)
    return None


def holds_pointer(st: State, frame: i64, low: i64, high: i64) -> bool:
    """Whether a pointer may lie in these bytes of the frame."""
    index = low >> 3
    last = (high + 7) >> 3
    base = frame * FRAME_CELLS
    while index < last:
        if _is_pointer(st.stack[base + index]):
            return True
        index = index + 1
    return False


def _is_pointer(cell: Cell) -> bool:
    if isinstance(cell, Value):
        return cell.kind != NUMBER and cell.kind != UNINIT
    if isinstance(cell, Bytes):
        return any(part.value.kind != NUMBER for part in cell.parts)
    if isinstance(cell, CellChoice):
        return _is_pointer(cell.left) or _is_pointer(cell.right)
    return False
