"""Calls of functions that call the program back, during the call or after it.

What a callback is given and may return stands in the platform's table of callbacks.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from anybpf.platforms import kinds
from anybpf.platforms.model import Arg, Callback
from anybpf.verifier import faults, numbers
from anybpf.verifier.calls import Calling, HelperCall
from anybpf.verifier.contexts import STRUCT
from anybpf.verifier.deduction import invalidate
from anybpf.verifier.effects import MAY_SLEEP, NEVER_SLEEPS, program_sleeps
from anybpf.verifier.entry import blank_state
from anybpf.verifier.environment import MAX_DEPTH, Environment, Fault
from anybpf.verifier.operations import Operation
from anybpf.verifier.results import own_structure
from anybpf.verifier.rulebook import lookups, value_flags
from anybpf.verifier.rules import Call, FunctionRule
from anybpf.verifier.state import Held, State
from anybpf.verifier.values import (
    FUNCTION,
    MAP,
    MAP_VALUE,
    MEMORY,
    NON_OWNING,
    NOTHING,
    NUMBER,
    OBJECT,
    OWNED,
    READ_ONLY,
    STACK,
    UNINIT,
    Region,
    Value,
    unknown_number,
)

# The name of the argument that says how often a callback runs.
TURNS: Final = "nr_loops"


class CallbackCall(Calling):
    """A call during which the program's function runs."""

    __slots__ = ("callback", "inputs", "register", "turns_in")

    def __init__(
        self, pc: i64, rule: FunctionRule, callback: Callback, register: i64, inputs: list[i64]
    ) -> None:
        super().__init__(pc, rule)
        self.callback: Callback = callback
        self.register: i64 = register
        # For each parameter the register whose value it gets, or -1.
        self.inputs: list[i64] = inputs
        self.repeats = callback.runs == "loop"
        # The register that says how often.
        self.turns_in: i64 = -1
        self.use = None

    def callback_function(self, st: State) -> i64:
        value = st.settled(st.regs[self.register])
        if value.kind != FUNCTION or value.unknown is not None:
            return -1
        return value.offset

    def turns(self, st: State) -> i64:
        if self.turns_in < 0:
            return -1
        value = st.settled(st.regs[self.turns_in])
        if value.kind != NUMBER:
            return -1
        known = st.range_of(value)
        # The kernel takes 32 bits of it.
        return known.value & 0xFFFFFFFF if known.mask == 0 else -1

    def enter_callback(self, st: State, env: Environment) -> State | Fault:
        fault = self.check(st, env)
        if fault is not None:
            return fault
        if st.depth + 1 >= MAX_DEPTH:
            return Fault(
                faults.CALL_DEPTH, f"calls nest deeper than {MAX_DEPTH} frames at this callback"
            )
        parameters = parameters_of(st, env, self.callback, self.call, self.inputs)
        regs = st.regs
        i: i64 = 6
        while i < 10:
            regs.append(regs[i])
            regs[i] = NOTHING
            i = i + 1
        i = 0
        while i < 6:
            regs[i] = NOTHING
            i = i + 1
        i = 0
        while i < len(parameters):
            regs[i + 1] = parameters[i]
            i = i + 1
        st.push_frame()
        regs[10] = Value(STACK, 0, None, env.stack_regions[st.depth])
        return st

    def leave_callback(self, st: State, env: Environment) -> Fault | None:
        fault = check_result(st, self.callback)
        if fault is not None:
            return fault
        regs = st.regs
        i: i64 = 9
        while i > 5:
            regs[i] = regs.pop()
            i = i - 1
        i = 0
        while i < 6:
            regs[i] = NOTHING
            i = i + 1
        invalidate(st, env.stack_regions[st.depth])
        st.pop_frame()
        regs[10] = Value(STACK, 0, None, env.stack_regions[st.depth])
        return None


class LaterCall(HelperCall):
    """A call that has the program's function called some time after it."""

    __slots__ = ("callback", "inputs")

    def __init__(self, pc: i64, rule: FunctionRule, callback: Callback, inputs: list[i64]) -> None:
        super().__init__(pc, rule)
        self.callback: Callback = callback
        self.inputs: list[i64] = inputs

    def run(self, st: State, env: Environment) -> Fault | None:
        fault = self.check(st, env)
        if fault is not None:
            return fault
        call = self.call
        entered = blank_state(env)
        callback = self.callback
        preempt: i64 = 0
        if callback.sleeps and not program_sleeps(env):
            preempt = MAY_SLEEP
        elif not callback.sleeps and program_sleeps(env):
            preempt = NEVER_SLEEPS
        entered.held = Held([], [], 0, preempt, 0)
        parameters = parameters_of(st, env, self.callback, call, self.inputs)
        i: i64 = 0
        while i < len(parameters):
            entered.regs[i + 1] = parameters[i]
            i = i + 1
        if not self.is_known(env, call, entered):
            env.later.append((call.function, entered))
        lookups(env).later[int(call.function)] = callback
        return self.finish(st, env)

    def is_known(self, env: Environment, call: Call, entered: State) -> bool:
        """Whether the same function is to be called with the same map already."""
        for function, state in env.later:
            if function == call.function and state.regs[1].region is entered.regs[1].region:
                return True
        return False


def parameters_of(
    st: State, env: Environment, callback: Callback, call: Call, inputs: list[i64]
) -> list[Value]:
    """What the callback finds in r1 and up."""
    found: list[Value] = []
    at: i64 = 0
    for arg in callback.args:
        register = inputs[at]
        at = at + 1
        if register >= 0:
            found.append(st.regs[register])
        else:
            found.append(parameter(env, arg, call))
    return found


def parameter(env: Environment, arg: Arg, call: Call) -> Value:
    """One parameter that does not come from the caller's registers."""
    kind = arg.kind
    if kind == kinds.MAP and call.map >= 0:
        return Value(MAP, 0, None, env.maps[call.map].region)
    if kind == kinds.MAP_KEY and call.map >= 0:
        region = Region(MEMORY, env.maps[call.map].key_size, False, -1)
        region.flags = READ_ONLY
        return Value(MEMORY, 0, None, region)
    if kind == kinds.MAP_VALUE and call.map >= 0:
        info = env.maps[call.map]
        region = Region(MAP_VALUE, info.value_size, False, call.map)
        region.flags = value_flags(env, info)
        return Value(MAP_VALUE, 0, None, region)
    if kind == kinds.BTF_POINTER:
        region = Region(OBJECT, 0, False, -1)
        region.type = STRUCT + arg.type
        return Value(OBJECT, 0, None, region)
    if kind == kinds.DYNPTR:
        region = Region(OBJECT, 0, False, -1)
        region.type = "dynptr"
        return Value(OBJECT, 0, None, region)
    field = call.field
    if kind == kinds.RB_NODE and field is not None:
        struct = own_structure(env, field.type_id)
        size: i64 = 0
        if struct is not None:
            size = struct.size
        region = Region(OBJECT, size, False, -1)
        region.type = STRUCT + field.type
        region.flags = OWNED | NON_OWNING
        return Value(OBJECT, field.node_offset, None, region)
    return unknown_number(numbers.TOP)


def check_result(st: State, callback: Callback) -> Fault | None:
    """Whether r0 is something that the callback may return."""
    value = st.settled(st.regs[0])
    if value.kind == UNINIT:
        return Fault(faults.UNINITIALIZED_REGISTER, "the callback returns r0, which was not set", 0)
    allowed = f"{callback.low}"
    if callback.high != callback.low:
        allowed = f"{callback.low} to {callback.high}"
    if value.kind != NUMBER:
        return Fault(
            faults.RETURN_VALUE, f"the callback must return {allowed}, not a pointer", 0, allowed
        )
    known = st.range_of(value)
    if known.low < callback.low or known.high > callback.high:
        have = f"{known.low}" if known.mask == 0 else f"{known.low} to {known.high}"
        return Fault(
            faults.RETURN_VALUE,
            f"the callback must return {allowed}, and may return {have}",
            0,
            allowed,
            have,
        )
    return None


def compile_callback(
    env: Environment, pc: i64, rule: FunctionRule, args: tuple[Arg, ...]
) -> Operation | Fault:
    """The operation for a call that takes one of the program's functions."""
    for position, arg in enumerate(args):
        if arg.kind != kinds.FUNCTION:
            continue
        callback = env.platform.callback(arg.type)
        inputs: list[i64] = []
        for wanted in callback.args:
            register = -1
            if wanted.kind == kinds.PASSED:
                for other, given in enumerate(args):
                    if given.name == wanted.type:
                        register = other + 1
            inputs.append(register)
        if callback.runs == "later":
            return LaterCall(pc, rule, callback, inputs)
        made = CallbackCall(pc, rule, callback, position + 1, inputs)
        for other, given in enumerate(args):
            if given.name == TURNS:
                made.turns_in = other + 1
        return made
    return Fault(faults.UNSUPPORTED, f"{rule.name} calls back, but takes no function")
