"""Calls of helpers: who may make them, and what a call does to a state.

What each argument asks for stands in ``arguments``, what comes back in ``results``; functions that
call the program back are in ``callbacks``, the kernel's own functions in ``kfuncs``.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from anybpf.platforms import kinds
from anybpf.platforms.model import Arg, Helper
from anybpf.verifier import arguments as a
from anybpf.verifier import faults, numbers
from anybpf.verifier.arguments import ContextArgument
from anybpf.verifier.deduction import invalidate, settle_value
from anybpf.verifier.effects import effects_of, may_sleep, sections_without_preemption
from anybpf.verifier.environment import Environment, Fault
from anybpf.verifier.liveness import CallUse
from anybpf.verifier.memory import overwrite
from anybpf.verifier.operations import Operation
from anybpf.verifier.results import result_rule
from anybpf.verifier.rulebook import rulebook
from anybpf.verifier.rules import NO_STACK, ArgumentRule, Call, FunctionRule
from anybpf.verifier.special import DynptrArgument, StoredPointer, special_argument
from anybpf.verifier.stackobjects import (
    PACKET_DYNPTR,
    end_object,
    forget_packet,
    lend,
    place_object,
)
from anybpf.verifier.state import State
from anybpf.verifier.values import MIXED, NOTHING, UNINIT, unknown_number

# Helpers that change the map they are given: what maps that programs may only read refuse.
MAP_WRITERS: Final = frozenset(
    (
        "bpf_map_update_elem",
        "bpf_map_delete_elem",
        "bpf_map_push_elem",
        "bpf_map_pop_elem",
        "bpf_map_lookup_and_delete_elem",
    )
)
MAP_DELETERS: Final = frozenset(("bpf_map_delete_elem", "bpf_map_lookup_and_delete_elem"))


# The helper that may move a packet if the dynptr that it writes through is made of one.
PACKET_WRITER: Final = "bpf_dynptr_write"


def _writes_packet(env: Environment, call: Call) -> bool:
    """Whether the dynptr is made of a socket buffer; other packets stay where they are."""
    dynptr = call.dynptr
    return dynptr is not None and dynptr.detail == PACKET_DYNPTR and env.program_type.name != "xdp"


class FunctionCall(Operation):
    """A call of a function of the system."""

    __slots__ = ("call", "key_seen", "map_seen", "rule", "runs")

    def __init__(self, pc: i64, rule: FunctionRule) -> None:
        super().__init__(pc)
        self.rule: FunctionRule = rule
        self.call: Call = Call()
        # What all runs had in common, for the facts: the map, and the key where it is constant.
        self.runs: i64 = 0
        self.map_seen: i64 = -1
        self.key_seen: i64 = -1
        use = rule.use
        if use is None:
            use = use_of(rule)
            rule.use = use
        self.use = use

    def operands(self) -> list[i64]:
        return [argument.register for argument in self.rule.arguments]

    def check(self, st: State, env: Environment) -> Fault | None:
        """Whether the call may be made here; ``call`` says afterwards what was found."""
        rule = self.rule
        held = st.held
        if len(held.locks) > 0 and not rule.in_lock:
            return _locked(rule)
        if rule.sleeps and not may_sleep(st, env):
            return _asleep(rule, st)
        call = self.call
        call.clear()
        regs = st.regs
        for argument in rule.arguments:
            value = regs[argument.register]
            if value.kind == MIXED:
                value = settle_value(st, value)
                if faults.may_be_unset(value):
                    return faults.uninitialized(argument.register)
            if value.region is not None:
                value = st.settled(value)
            elif value.kind == UNINIT:
                return faults.uninitialized(argument.register)
            fault = argument.check(st, env, rule, call, value)
            if fault is not None:
                return fault
        for effect in rule.effects:
            fault = effect.check(st, env, rule, call)
            if fault is not None:
                return fault
        return None

    def run(self, st: State, env: Environment) -> Fault | None:
        fault = self.check(st, env)
        if fault is not None:
            return fault
        return self.finish(st, env)

    def finish(self, st: State, env: Environment) -> Fault | None:
        """The effects of a call that may be made."""
        rule = self.rule
        call = self.call
        regs = st.regs
        if self.runs == 0:
            self.map_seen = call.map
            self.key_seen = call.key
        elif self.map_seen != call.map or self.key_seen != call.key:
            if self.map_seen != call.map:
                self.map_seen = -1
            self.key_seen = -1
        self.runs = self.runs + 1
        if call.released is not None:
            st.release(call.released)
            invalidate(st, call.released)
        if call.gone is not None:
            end_object(st, call.gone.identity)
        if call.lent is not None:
            lend(st, call.lent)
        if call.writes is not None:
            for write in call.writes:
                overwrite(st, write.frame, write.low, write.high, write.surely)
        if call.new_objects is not None:
            for made in call.new_objects:
                place_object(st, made, call)
        if rule.invalidates or (rule.name == PACKET_WRITER and _writes_packet(env, call)):
            forget_packet(st)
        for effect in rule.effects:
            effect.apply(st, env, rule, call)
        result = rule.result.make(st, env, rule, call)
        if isinstance(result, Fault):
            return result
        regs[0] = result
        regs[1] = NOTHING
        regs[2] = NOTHING
        regs[3] = NOTHING
        regs[4] = NOTHING
        regs[5] = NOTHING
        return None


class HelperCall(FunctionCall):
    """A call by number."""

    __slots__ = ()


class Calling(HelperCall):
    """A call during which one of the program's functions may run.

    ``repeats``: any number of times, else at most once.
    """

    __slots__ = ("repeats",)

    def __init__(self, pc: i64, rule: FunctionRule) -> None:
        super().__init__(pc, rule)
        self.repeats: bool = True
        self.ends_block = True

    def callback_function(self, st: State) -> i64:
        """The index of the function that will run, -1 if none does."""
        return -1

    def turns(self, st: State) -> i64:
        """How often the function runs if it does not stop by itself; -1 if that is not known."""
        return -1

    def enter_callback(self, st: State, env: Environment) -> State | Fault:
        """The state in which the callback begins; ``st`` is changed to become it."""
        raise NotImplementedError

    def leave_callback(self, st: State, env: Environment) -> Fault | None:
        """Back from the callback to before the call; None if it may return so."""
        raise NotImplementedError


class TailCall(HelperCall):
    """A helper that does not come back: nothing may be held.

    A tail call goes on in another program, which takes the place of the function that made it: when
    that program ends, the function's caller goes on, with whatever it returned in r0.
    """

    __slots__ = ()

    def __init__(self, pc: i64, rule: FunctionRule) -> None:
        super().__init__(pc, rule)
        self.leaves = "tail_call" in rule.flags
        self.ends_block = self.leaves

    def leave_early(self, st: State, env: Environment) -> None:
        st.regs[0] = unknown_number(numbers.TOP)
        forget_packet(st)

    def check(self, st: State, env: Environment) -> Fault | None:
        fault = super().check(st, env)
        if fault is not None:
            return fault
        held = st.held
        if len(held.references) + len(held.locks) + held.rcu + held.preempt + held.irqs > 0:
            what = "a lock" if len(held.locks) > 0 else "a reference"
            if len(held.references) + len(held.locks) == 0:
                what = "a section open"
            return Fault(
                faults.REFERENCE_LEAK,
                f"a tail call does not come back, but the program still holds {what} here",
                -1,
                "everything given back before the tail call",
            )
        return None


def _locked(rule: FunctionRule) -> Fault:
    return Fault(
        faults.LOCK,
        f"{rule.name} is called while a lock is held; unlock first",
        -1,
        "no lock held",
        "a lock is held",
    )


def _asleep(rule: FunctionRule, st: State) -> Fault:
    held = st.held
    where = "here: only programs and callbacks that are sleepable may"
    if held.rcu > 0:
        where = "in a read section"
    elif held.irqs > 0:
        where = "with interrupts off"
    elif sections_without_preemption(st) > 0:
        where = "with preemption off"
    return Fault(faults.SLEEP, f"{rule.name} may sleep, which is not possible {where}")


def compile_helper(env: Environment, pc: i64, number: i64) -> Operation | Fault:
    """The operation for a call by number, or why this program may not make it."""
    rules = rulebook(env)
    found = rules.helpers.get(int(number))
    if found is None:
        found = _helper(env, int(number))
        rules.helpers[int(number)] = found
    if isinstance(found, Fault):
        return found
    if found.calls_back:
        from anybpf.verifier.callbacks import compile_callback

        return compile_callback(env, pc, found, found.args)
    if found.leaves:
        return TailCall(pc, found)
    return HelperCall(pc, found)


def _helper(env: Environment, number: int) -> FunctionRule | Fault:
    """The rule for a helper, or why programs like this one may not call it."""
    helper = env.platform.find_helper(number, env.program_type.name)
    if helper is None:
        return Fault(
            faults.HELPER_UNAVAILABLE,
            f"calls helper number {number}, which {env.platform.name} does not have",
        )
    fault = unavailable(env, helper)
    return helper_rule(env, helper) if fault is None else fault


def use_of(rule: FunctionRule) -> CallUse | None:
    """What a call reads, for liveness; None where it may be anything."""
    mask: i64 = 0
    read: list[tuple[i64, i64]] = []
    for argument in rule.arguments:
        mask = mask | REGISTER_BITS[argument.register]
        size = argument.stack_read()
        if size != NO_STACK:
            read.append((argument.register, size))
    return CallUse(mask, read)


REGISTER_BITS: Final[list[i64]] = [1, 2, 4, 8, 16, 32]


def packet_loads_problem(env: Environment) -> Fault | None:
    """Why this program may not use the old instructions that load packet bytes."""
    kind = env.program_type
    platform = env.platform
    if "packet_loads" in kind.flags:
        return None
    return Fault(
        faults.UNSUPPORTED,
        f"programs of type {kind.name} on {platform.name} may not load packet bytes by "
        "LD_ABS or LD_IND",
    )


def unavailable(env: Environment, helper: Helper) -> Fault | None:
    """Why programs of this type may not call the helper."""
    rules = rulebook(env)
    kind = env.program_type
    platform = env.platform
    if "virtual" in helper.flags and not platform.uses_license:
        replaced = f"replaces:{helper.name}"
        if not helper.program_type and replaced not in kind.flags:
            return Fault(
                faults.HELPER_UNAVAILABLE,
                f"{helper.name} is not available to programs of type {kind.name}",
            )
    if not platform.helper_allowed(helper, kind.name, ""):
        return Fault(
            faults.HELPER_UNAVAILABLE,
            f"{helper.name} is not available to programs of type {kind.name}",
            -1,
            "a program type that may call it",
            kind.name,
        )
    if env.attach_type and not platform.helper_allowed(helper, kind.name, env.attach_type):
        return Fault(
            faults.HELPER_UNAVAILABLE,
            f"{helper.name} is not available to {kind.name} programs at attach type "
            f"{env.attach_type}",
        )
    if helper.gpl_only and not rules.gpl:
        text = env.program.license
        has = f"this one's is {text!r}" if text else "this one has none"
        return Fault(
            faults.HELPER_UNAVAILABLE,
            f"{helper.name} may only be called by programs under a licence compatible with the "
            f"GPL; {has}",
            -1,
            'such as "GPL" in the section "license"',
        )
    return None


def helper_rule(env: Environment, helper: Helper) -> FunctionRule:
    """The helper's row, compiled."""
    rule = FunctionRule(helper.name, helper.number, helper.returns, helper.flags)
    rule.map_types = helper.map_types
    rule.writes_map = helper.name in MAP_WRITERS
    rule.deletes = helper.name in MAP_DELETERS
    rule.calls_back = "calls_back" in helper.flags
    rule.leaves = "tail_call" in helper.flags or "no_return" in helper.flags
    rule.args = helper.args
    fill(env, rule, helper.args)
    return rule


def fill(env: Environment, rule: FunctionRule, args: tuple[Arg, ...]) -> None:
    """The argument and result rules of a row."""
    register: i64 = 1
    of_packet = False
    for arg in args:
        if arg.kind != kinds.IGNORED:
            made = argument_rule(register, arg, args)
            if isinstance(made, ContextArgument):
                of_packet = True
            if isinstance(made, DynptrArgument) and made.new and of_packet:
                made.detail = PACKET_DYNPTR
                made.read_only = not rulebook(env).packet_writes
            rule.arguments.append(made)
        register = register + 1
    rule.effects = effects_of(rule.flags)
    rule.result = result_rule(rule.returns)


def argument_rule(register: i64, arg: Arg, args: tuple[Arg, ...]) -> ArgumentRule:
    """The rule for one argument of a row."""
    kind = arg.kind
    if kind == kinds.ANYTHING:
        return a.Anything(register, arg.name, arg.nullable, arg.releases, arg.type)
    if kind == kinds.INTEGER:
        return a.Number(register, arg)
    if kind == kinds.CONTEXT:
        return a.ContextArgument(register, arg.name, arg.nullable, arg.releases, arg.type)
    if kind == kinds.MAP:
        return a.MapArgument(register, arg.name, arg.nullable, arg.releases, arg.type)
    if kind == kinds.MAP_KEY:
        return a.KeyArgument(register, arg.name, arg.nullable, arg.releases, arg.type)
    if kind == kinds.MAP_VALUE:
        return a.ValueArgument(register, arg)
    if kind == kinds.MEMORY:
        return a.MemoryArgument(register, arg, args)
    if kind in (kinds.SIZE, kinds.SIZE_OR_ZERO, kinds.CONSTANT_SIZE):
        return a.SizeArgument(register, arg.name, arg.nullable, arg.releases, arg.type)
    if kind == kinds.ALLOC_SIZE:
        return a.AllocationSize(register, arg.name, arg.nullable, arg.releases, arg.type)
    if kind == kinds.STRING:
        return a.StringArgument(register, arg, args)
    if kind == kinds.STACK:
        return a.StackArgument(register, arg.name, arg.nullable, arg.releases, arg.type)
    if kind == kinds.FUNCTION:
        return a.FunctionArgument(register, arg.name, arg.nullable, arg.releases, arg.type)
    if kind in a.SOCKETS:
        return a.SocketArgument(register, arg)
    if kind == kinds.BTF_POINTER and not arg.type:
        return StoredPointer(register, arg.name, arg.nullable, arg.releases, arg.type)
    if kind == kinds.BTF_POINTER:
        return a.StructureArgument(register, arg)
    if kind == kinds.RINGBUF_MEMORY:
        return a.RecordArgument(register, arg.name, arg.nullable, arg.releases, arg.type)
    return special_argument(register, arg)
