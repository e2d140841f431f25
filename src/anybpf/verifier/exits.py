"""What must hold where a program, a callback or a global function ends."""

from __future__ import annotations

from mypy_extensions import i64

from anybpf.platforms.model import ReturnRange
from anybpf.verifier import arithmetic, faults, numbers
from anybpf.verifier.deduction import settle_value
from anybpf.verifier.effects import sections_without_preemption
from anybpf.verifier.environment import Environment, Fault
from anybpf.verifier.rulebook import lookups, rulebook
from anybpf.verifier.state import State
from anybpf.verifier.typed import returns_nothing
from anybpf.verifier.values import MEMORY, MIXED, NUMBER, UNINIT, Value


def check_exit(st: State, env: Environment) -> Fault | None:
    """The end of the entry function."""
    value = settled(st, st.regs[0])
    if rulebook(env).may_be_void and returns_nothing(env):
        return nothing_held(st)
    if faults.may_be_unset(value):
        return _nothing_returned()
    if value.kind != NUMBER:
        if not env.leaks_allowed:
            return faults.leak(env, value, "the caller (r0 at the end)")
        if returns_anything(env):
            return nothing_held(st)
        return _not_a_number(env, value)
    fault = check_range(st, env, value)
    if fault is not None:
        return fault
    return nothing_held(st)


def settled(st: State, value: Value) -> Value:
    if value.kind == MIXED:
        value = settle_value(st, value)
    return st.settled(value)


def returns_anything(env: Environment) -> bool:
    return allowed_range(env) is None


def allowed_range(env: Environment) -> ReturnRange | None:
    known = rulebook(env).returns
    target = env.program.attach_to
    if target not in known:
        known[target] = env.platform.return_range(env.program_type.name, env.attach_type, target)
    return known[target]


def _nothing_returned() -> Fault:
    return Fault(
        faults.UNINITIALIZED_REGISTER,
        "the program ends, but r0, which it returns, was not set on some way here",
        0,
        "a number in r0",
        "nothing",
    )


def _not_a_number(env: Environment, value: Value) -> Fault:
    return Fault(
        faults.RETURN_VALUE,
        f"the program returns {faults.describe(env, value)}, not a number",
        0,
        "a number in r0",
        faults.describe(env, value),
    )


def check_range(st: State, env: Environment, value: Value) -> Fault | None:
    """Whether the returned number is one that this type of program may return."""
    allowed = allowed_range(env)
    if allowed is None:
        return None
    known = st.range_of(value)
    low: i64 = allowed.low
    high: i64 = allowed.high
    if known.low >= low and known.high <= high:
        return None
    # A negative answer is read as a 32-bit number.
    if low < 0:
        known = arithmetic.sext(known, 32)
        if known.low >= low and known.high <= high:
            return None
    where = f" at attach type {env.attach_type}" if env.attach_type else ""
    have = f"{known.low}" if known.mask == 0 else f"{known.low} to {known.high}"
    if known is numbers.TOP:
        have = "any number"
    return Fault(
        faults.RETURN_VALUE,
        f"programs of type {env.program_type.name}{where} return {low} to {high}, this one may "
        f"return {have}",
        0,
        f"{low} to {high}",
        have,
    )


def check_later_exit(st: State, env: Environment, index: i64) -> Fault | None:
    """The end of a callback that runs by itself, such as a timer's."""
    value = settled(st, st.regs[0])
    if value.kind == UNINIT:
        return _nothing_returned()
    if value.kind != NUMBER:
        return _not_a_number(env, value)
    low: i64 = 0
    high: i64 = 0
    callback = lookups(env).later.get(int(index))
    if callback is not None:
        low = callback.low
        high = callback.high
    known = st.range_of(value)
    if low < high:
        known = arithmetic.sext(known, 32)
    if known.low < low or known.high > high:
        have = f"{known.low}" if known.mask == 0 else f"{known.low} to {known.high}"
        need = f"{low}" if low == high else f"{low} to {high}"
        return Fault(
            faults.RETURN_VALUE,
            f"a callback that runs later must return {need}, and may return {have}",
            0,
            need,
            have,
        )
    return nothing_held(st)


def nothing_held(st: State) -> Fault | None:
    """Whether everything was given back."""
    held = st.held
    if len(held.locks) > 0:
        return Fault(faults.LOCK, "ends with a lock held; unlock it on every way to the end")
    if len(held.references) > 0:
        region = held.references[0]
        what = region.type if region.type else "something acquired"
        if region.kind == MEMORY:
            what = f"a reserved record of {region.size} bytes"
        return Fault(
            faults.REFERENCE_LEAK,
            f"ends without giving back {what}",
            -1,
            "everything released on every way to the end",
            f"{len(held.references)} held",
        )
    if held.rcu > 0:
        return Fault(faults.LOCK, "ends inside of a read section")
    if sections_without_preemption(st) > 0:
        return Fault(faults.LOCK, "ends with preemption off")
    if held.irqs > 0:
        return Fault(faults.LOCK, "ends with interrupts off")
    return None
