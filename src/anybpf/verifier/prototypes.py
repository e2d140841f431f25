"""Global functions: verified once on their own, called by their prototype.

What a parameter stands for is told by its BTF type and by tags on it (arg:ctx, arg:nonnull,
arg:nullable, arg:trusted, arg:untrusted, arg:arena), as Linux reads them.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from anybpf.btf import BTF, layout
from anybpf.btf import types as t
from anybpf.errors import BTFError
from anybpf.objects.specs import Function
from anybpf.platforms.calls import Return
from anybpf.verifier import faults, numbers
from anybpf.verifier.arguments import check_memory, is_zero
from anybpf.verifier.contexts import STRUCT
from anybpf.verifier.deduction import settle_value
from anybpf.verifier.entry import blank_state
from anybpf.verifier.environment import Environment, Fault
from anybpf.verifier.exits import check_later_exit, nothing_held
from anybpf.verifier.memory import overwrite
from anybpf.verifier.operations import Operation, arena_pointer
from anybpf.verifier.rulebook import lookups
from anybpf.verifier.rules import ArgumentRule, Call, FunctionRule
from anybpf.verifier.stackobjects import forget_packet
from anybpf.verifier.state import State
from anybpf.verifier.values import (
    ARENA,
    CONTEXT,
    FAULT_SAFE,
    MEMORY,
    MIXED,
    NOTHING,
    NUMBER,
    OBJECT,
    READ_ONLY,
    TRUSTED,
    UNINIT,
    UNTRUSTED,
    ObjectCell,
    Region,
    Value,
    unknown_number,
)

# What a parameter is.
SCALAR: Final = 1
THE_CONTEXT: Final = 2
BLOCK: Final = 3
DYNPTR: Final = 4
STRUCTURE: Final = 5
ARENA_POINTER: Final = 6

# More parameters do not fit into registers.
MOST: Final = 5

# Other names under which the context of a program type goes. Source: kernel documentation and
# libbpf's bpf_tracing.h.
CONTEXT_TYPEDEFS: Final = ("bpf_user_pt_regs_t",)


class Parameter:
    """One parameter: what it is, how large the memory behind it, what it points to."""

    __slots__ = ("kind", "name", "nullable", "size", "type", "untrusted")

    def __init__(self, kind: i64, name: str) -> None:
        self.kind: i64 = kind
        self.name: str = name
        self.size: i64 = 0
        self.nullable: bool = False
        self.untrusted: bool = False
        self.type: str = ""


class Prototype:
    __slots__ = ("parameters", "returns")

    def __init__(self, parameters: list[Parameter], returns: bool) -> None:
        self.parameters: list[Parameter] = parameters
        self.returns: bool = returns


def is_global(env: Environment, function: Function) -> bool:
    """Whether the function is verified by itself, and calls know its prototype only."""
    # A hidden one is static to the kernel: loaders tell it so.
    if not function.is_global or function.is_hidden or function.type_id == 0:
        return False
    btf = env.btf
    if btf is None or not env.platform.allows("global_functions"):
        return False
    found = btf.type(function.type_id)
    return isinstance(found, t.Function) and found.linkage == t.LINKAGE_GLOBAL


def returns_number(env: Environment, function: Function) -> bool:
    """Whether the function's type says that it returns a number; also if it has no type."""
    btf = env.btf
    if btf is None or function.type_id == 0:
        return True
    declared = btf.type(function.type_id)
    proto = layout.resolve(btf, declared.type_id) if isinstance(declared, t.Function) else None
    if not isinstance(proto, t.FunctionProto) or proto.return_id == 0:
        return False
    return isinstance(layout.resolve(btf, proto.return_id), (t.Int, t.Enum))


def prototype(env: Environment, function: Function) -> Prototype | Fault:
    """What the function's BTF says of its parameters."""
    btf = env.btf
    assert btf is not None
    try:
        declared = btf.type(function.type_id)
        assert isinstance(declared, t.Function)
        proto = btf.type(declared.type_id)
        if not isinstance(proto, t.FunctionProto):
            return _unusable(function, "its type is no function type")
        back = layout.resolve(btf, proto.return_id)
        if not isinstance(back, (t.Int, t.Enum)):
            return _unusable(function, "it does not return a number")
        if len(proto.params) > MOST:
            return _unusable(
                function, f"it has {len(proto.params)} parameters, {MOST} are possible"
            )
        tags = _tags(btf, function.type_id)
        parameters = []
        for index, param in enumerate(proto.params):
            made = _parameter(env, btf, param, tags.get(index, ()))
            if made is None:
                who = param.name or str(index + 1)
                return _unusable(function, f"what parameter {who} points to has no known size")
            parameters.append(made)
    except BTFError as error:
        return _unusable(function, str(error))
    return Prototype(parameters, not isinstance(back, t.Void))


def _unusable(function: Function, why: str) -> Fault:
    return Fault(faults.UNSUPPORTED, f"global function {function.name} cannot be checked: {why}")


def _tags(btf: BTF, type_id: int) -> dict[int, tuple[str, ...]]:
    """The declaration tags of each parameter."""
    found: dict[int, tuple[str, ...]] = {}
    for each in btf.types():
        if isinstance(each, t.DeclTag) and each.type_id == type_id and each.component_index >= 0:
            there = found.get(each.component_index, ())
            found[each.component_index] = (*there, each.name)
    return found


def _parameter(
    env: Environment, btf: BTF, param: t.Param, tags: tuple[str, ...]
) -> Parameter | None:
    found = layout.resolve(btf, param.type_id)
    if isinstance(found, (t.Int, t.Enum)):
        return Parameter(SCALAR, param.name)
    if not isinstance(found, t.Pointer):
        return None
    if "arg:arena" in tags:
        return Parameter(ARENA_POINTER, param.name)
    target = layout.resolve(btf, found.type_id)
    if "arg:ctx" in tags or is_context_type(env, btf, found, target):
        return Parameter(THE_CONTEXT, param.name)
    if isinstance(target, t.Struct) and target.name == "bpf_dynptr":
        return Parameter(DYNPTR, param.name)
    if "arg:trusted" in tags or "arg:untrusted" in tags:
        if not isinstance(target, (t.Composite, t.Forward)):
            made = Parameter(BLOCK, param.name)
            made.untrusted = True
            made.size = layout.size_of(btf, target.id)
            return made
        made = Parameter(STRUCTURE, param.name)
        made.nullable = "arg:nullable" in tags
        made.untrusted = "arg:untrusted" in tags
        made.type = STRUCT + target.name.partition("___")[0]
        return made
    made = Parameter(BLOCK, param.name)
    made.nullable = "arg:nonnull" not in tags
    if isinstance(target, (t.Void, t.Forward, t.FunctionProto)):
        return None
    made.size = layout.size_of(btf, target.id)
    return made


def is_context_type(env: Environment, btf: BTF, pointer: t.Pointer, target: t.Type) -> bool:
    """Whether a pointer to this type is the program's context."""
    context = env.program_type.context
    if context is None:
        return False
    if isinstance(target, t.Composite) and target.name == context.name:
        return True
    named = btf.type(pointer.type_id)
    if isinstance(named, t.Typedef) and named.name in CONTEXT_TYPEDEFS:
        return context.name == "pt_regs"
    return context.layout == "typed" and isinstance(target, t.Int) and target.size == 8


def global_entry_state(env: Environment, function: Function) -> State | Fault:
    """The state in which a global function begins, by its prototype."""
    proto = prototype(env, function)
    if isinstance(proto, Fault):
        return proto
    state = blank_state(env)
    register: i64 = 1
    for parameter in proto.parameters:
        state.regs[register] = _value(env, parameter)
        register = register + 1
    return state


def _value(env: Environment, parameter: Parameter) -> Value:
    kind = parameter.kind
    if kind == THE_CONTEXT:
        return Value(CONTEXT, 0, None, env.context_region)
    if kind == BLOCK:
        region = Region(MEMORY, parameter.size, parameter.nullable, -1)
        if parameter.untrusted:
            # Reads that fail give zero.
            region.flags = READ_ONLY | FAULT_SAFE
        return Value(MEMORY, 0, None, region)
    if kind == DYNPTR:
        region = Region(OBJECT, 0, False, -1)
        region.type = "dynptr"
        return Value(OBJECT, 0, None, region)
    if kind == STRUCTURE:
        region = Region(OBJECT, 0, parameter.nullable, -1)
        region.type = parameter.type
        region.flags = UNTRUSTED if parameter.untrusted else TRUSTED
        return Value(OBJECT, 0, None, region)
    if kind == ARENA_POINTER:
        return arena_pointer()
    return unknown_number(numbers.TOP)


class ParameterRule(ArgumentRule):
    """A parameter, as a name for messages."""


class GlobalCall(Operation):
    """A call of a global function, which is only known by its prototype."""

    __slots__ = ("call", "proto", "rule", "rules")

    def __init__(self, pc: i64, function: Function, proto: Prototype, moves_packet: bool) -> None:
        super().__init__(pc)
        self.proto: Prototype = proto
        flags = ["invalidates_packet"] if moves_packet else []
        self.rule: FunctionRule = FunctionRule(function.name, -1, Return(), frozenset(flags))
        # Whether packet pointers may be passed is for the function's own helpers to say.
        self.rule.packet = True
        self.call: Call = Call()
        self.rules: list[ParameterRule] = []
        register: i64 = 1
        for parameter in proto.parameters:
            self.rules.append(
                ParameterRule(register, parameter.name, parameter.nullable, False, "")
            )
            register = register + 1

    def operands(self) -> list[i64]:
        return [rule.register for rule in self.rules]

    def run(self, st: State, env: Environment) -> Fault | None:
        if len(st.held.locks) > 0:
            return Fault(
                faults.LOCK, f"global function {self.rule.name} is called while a lock is held"
            )
        self.call.clear()
        regs = st.regs
        i: i64 = 0
        while i < len(self.rules):
            value = regs[i + 1]
            if value.kind == UNINIT:
                return faults.uninitialized(i + 1)
            if value.kind == MIXED:
                value = settle_value(st, value)
                if faults.may_be_unset(value):
                    return faults.uninitialized(i + 1)
            fault = self.check(st, env, self.proto.parameters[i], self.rules[i], st.settled(value))
            if fault is not None:
                return fault
            i = i + 1
        if self.call.writes is not None:
            for write in self.call.writes:
                overwrite(st, write.frame, write.low, write.high, False)
        if self.rule.invalidates:
            forget_packet(st)
        regs[0] = unknown_number(numbers.TOP) if self.proto.returns else NOTHING
        i = 1
        while i < 6:
            regs[i] = NOTHING
            i = i + 1
        return None

    def check(
        self, st: State, env: Environment, parameter: Parameter, arg: ParameterRule, value: Value
    ) -> Fault | None:
        kind = parameter.kind
        register = arg.register
        region = value.region
        if parameter.untrusted:
            # It is only ever read, in a way that survives any address.
            return None
        if kind == SCALAR:
            if value.kind == NUMBER:
                return None
            return self._wrong(env, arg, value, "a number")
        if kind == THE_CONTEXT:
            if value.kind == CONTEXT and value.offset == 0 and value.unknown is None:
                return None
            return self._wrong(env, arg, value, "the context")
        if kind == ARENA_POINTER:
            if value.kind == NUMBER or (region is not None and region.flags & ARENA):
                return None
            return self._wrong(env, arg, value, "a pointer into the arena")
        if kind == DYNPTR:
            return self._check_dynptr(st, env, arg, value)
        if is_zero(value):
            if parameter.nullable:
                return None
            return self._wrong(env, arg, value, "a pointer that is not null")
        if region is None:
            return self._wrong(env, arg, value, "a pointer")
        if region.nullable and not st.is_nonnull(region):
            if not parameter.nullable:
                return faults.may_be_null(env, value, register)
            # What is behind it is looked at as if it were there.
            st = st.copy()
            st.set_null(region, True)
        if kind == STRUCTURE:
            if value.kind != OBJECT or region.type != parameter.type or value.offset != 0:
                return self._wrong(env, arg, value, f"a pointer to {parameter.type}")
            if not parameter.untrusted and (region.flags & TRUSTED) == 0:
                return self._wrong(env, arg, value, f"a trusted pointer to {parameter.type}")
            return None
        return check_memory(
            st,
            env,
            self.rule,
            self.call,
            arg,
            value,
            parameter.size,
            parameter.size,
            True,
            True,
        )

    def _check_dynptr(
        self, st: State, env: Environment, arg: ParameterRule, value: Value
    ) -> Fault | None:
        region = value.region
        if region is not None and value.kind == OBJECT and region.type == "dynptr":
            if value.offset != 0 or value.unknown is not None:
                return self._wrong(env, arg, value, "the dynptr itself, not a place beside it")
            return None
        from anybpf.verifier.special import DYNPTR_CELLS, object_here, stack_place

        low = stack_place(st, env, self.rule, arg, value, DYNPTR_CELLS)
        found: ObjectCell | None = None
        if low >= 0:
            found = object_here(st, value, low, DYNPTR_CELLS, "dynptr")
        if found is None:
            return self._wrong(env, arg, value, "an initialised dynptr")
        return None

    def _wrong(self, env: Environment, arg: ParameterRule, value: Value, needed: str) -> Fault:
        held = faults.describe(env, value)
        return Fault(
            faults.ARGUMENT,
            f"r{arg.register}, parameter {arg.name} of {self.rule.name}, must be {needed}, "
            f"not {held}",
            arg.register,
            needed,
            held,
        )


def compile_global_call(env: Environment, pc: i64, function: Function) -> Operation | Fault:
    """The operation for a call of a global function."""
    proto = prototype(env, function)
    if isinstance(proto, Fault):
        return proto
    return GlobalCall(pc, function, proto, moves_packet(env, function, set()))


def moves_packet(env: Environment, function: Function, seen: set[str]) -> bool:
    """Whether the function, or one that it calls, may move the packet."""
    if function.name in seen:
        return False
    seen.add(function.name)
    platform = env.platform
    kind = env.program_type.name
    for insn in function.instructions:
        if insn.is_helper_call:
            helper = platform.find_helper(int(insn.imm), kind)
            if helper is not None and (helper.invalidates_packet or "tail_call" in helper.flags):
                return True
        elif insn.is_btf_call:
            row = platform.kfunc(insn.reference) if insn.reference else None
            if row is not None and row.invalidates_packet:
                return True
    functions = lookups(env).functions
    for name in function.calls:
        callee = functions.get(name)
        if callee is not None and moves_packet(env, callee, seen):
            return True
    return False


def check_global_exit(st: State, env: Environment, function: Function) -> Fault | None:
    """The end of a function that is verified by itself: a global one, or a later callback."""
    if not is_global(env, function):
        index: i64 = 0
        for other in env.program.functions:
            if other.name == function.name:
                break
            index = index + 1
        return check_later_exit(st, env, index)
    proto = prototype(env, function)
    if isinstance(proto, Fault):
        return proto
    if proto.returns:
        value = st.settled(st.regs[0])
        if value.kind == UNINIT:
            return Fault(
                faults.UNINITIALIZED_REGISTER,
                f"global function {function.name} ends, but r0, which it returns, was not set on "
                "some way here",
                0,
            )
        if value.kind != NUMBER:
            return Fault(
                faults.RETURN_VALUE,
                f"global function {function.name} returns {faults.describe(env, value)}, not a "
                "number",
                0,
            )
    return nothing_held(st)
