"""Functions of the program that helpers call, during the call or after it."""

from __future__ import annotations

from anybpf.verifier.callbacks import CallbackCall
from anybpf.verifier.environment import Environment
from anybpf.verifier.state import State
from anybpf.verifier.values import (
    FUNCTION,
    MAP,
    MAP_VALUE,
    MEMORY,
    NUMBER,
    STACK,
    UNINIT,
    Value,
    number,
)
from tests.verifier.checking import (
    environment,
    helper,
    kind_of,
    map_spec,
    stack,
    state_of,
    the_map,
    within,
)


def looping() -> tuple[Environment, CallbackCall, State]:
    """A call of bpf_loop with function 1 and a context on the stack."""
    env = environment("xdp")
    operation = helper(env, "bpf_loop")
    assert isinstance(operation, CallbackCall)
    st = state_of(env)
    st.regs[6] = number(66)
    st.regs[1] = number(10)
    st.regs[2] = Value(FUNCTION, 1, None, env.function_region)
    st.regs[3] = stack(env, -8)
    st.regs[4] = number(0)
    return env, operation, st


def test_a_loop_calls_the_function_any_number_of_times() -> None:
    _, operation, st = looping()
    assert operation.repeats
    assert operation.callback_function(st) == 1
    st.regs[2] = number(0)
    assert operation.callback_function(st) == -1


def test_a_callback_has_a_frame_of_its_own() -> None:
    env, operation, st = looping()
    inside = operation.enter_callback(st.copy(), env)
    assert isinstance(inside, State)
    assert inside.depth == 1
    assert [inside.regs[at].kind for at in (1, 2, 3, 6)] == [NUMBER, STACK, UNINIT, UNINIT]
    region = inside.regs[10].region
    assert region is env.stack_regions[1]
    inside.regs[0] = number(0)
    assert operation.leave_callback(inside, env) is None
    assert inside.depth == 0
    assert inside.regs[6].offset == 66


def test_a_callback_returns_zero_or_one() -> None:
    for result, kind in ((number(1), ""), (within(0, 1), ""), (number(2), "return-value")):
        env, operation, st = looping()
        inside = operation.enter_callback(st, env)
        assert isinstance(inside, State)
        inside.regs[0] = result
        assert kind_of(operation.leave_callback(inside, env)) == kind


def test_what_a_map_s_callback_is_given() -> None:
    env = environment("xdp", map_spec("counts", "hash"))
    operation = helper(env, "bpf_for_each_map_elem")
    assert isinstance(operation, CallbackCall)
    st = state_of(env)
    st.regs[1] = the_map(env)
    st.regs[2] = Value(FUNCTION, 1, None, env.function_region)
    st.regs[3] = number(0)
    st.regs[4] = number(0)
    inside = operation.enter_callback(st, env)
    assert isinstance(inside, State)
    kinds = [inside.regs[at].kind for at in range(1, 5)]
    assert kinds == [MAP, MEMORY, MAP_VALUE, NUMBER]
