"""Global functions: what their types say of parameters, and what callers must pass."""

from __future__ import annotations

from anybpf.btf import BTFBuilder
from anybpf.btf import types as t
from anybpf.objects.specs import Function
from anybpf.verifier import prototypes as global_functions
from anybpf.verifier.environment import Environment, Fault
from anybpf.verifier.state import State
from anybpf.verifier.values import CONTEXT, MEMORY, NUMBER, UNINIT, Value, number
from tests.verifier.checking import environment, kind_of, stack, state_of


def declared(
    *tags: tuple[int, str], linkage: int = t.LINKAGE_GLOBAL
) -> tuple[Environment, Function]:
    """``int f(struct xdp_md *ctx, int *p, int n)`` with tags on its parameters."""
    builder = BTFBuilder()
    word = builder.add(t.Int("int", 4, t.INT_SIGNED))
    context = builder.add(t.Struct("xdp_md", 24, []))
    params = [
        t.Param("ctx", builder.add(t.Pointer(context))),
        t.Param("p", builder.add(t.Pointer(word))),
        t.Param("n", word),
    ]
    proto = builder.add(t.FunctionProto(word, params))
    type_id = builder.add(t.Function("f", proto, linkage))
    for position, text in tags:
        builder.add(t.DeclTag(text, type_id, position))
    env = environment("xdp")
    env.btf = builder.build()
    function = Function("f", ".text", 0, [])
    function.type_id = type_id
    return env, function


def begun(env: Environment, function: Function) -> State:
    found = global_functions.global_entry_state(env, function)
    assert isinstance(found, State)
    return found


def call(env: Environment, function: Function, *arguments: Value) -> tuple[str, State]:
    made = global_functions.compile_global_call(env, 0, function)
    assert not isinstance(made, Fault)
    st = state_of(env)
    for at, argument in enumerate(arguments):
        st.regs[at + 1] = argument
    return kind_of(made.run(st, env)), st


def test_linkage_decides_who_is_global() -> None:
    env, function = declared()
    assert global_functions.is_global(env, function)
    assert not global_functions.is_global(*declared(linkage=t.LINKAGE_STATIC))
    function.is_global = False
    assert not global_functions.is_global(env, function)


def test_parameters_begin_as_their_types_say() -> None:
    st = begun(*declared())
    assert [st.regs[at].kind for at in range(1, 5)] == [CONTEXT, MEMORY, NUMBER, UNINIT]
    region = st.regs[2].region
    assert region is not None
    assert (region.size, region.nullable) == (4, True)


def test_a_tag_says_that_a_pointer_is_never_null() -> None:
    region = begun(*declared((1, "arg:nonnull"))).regs[2].region
    assert region is not None
    assert not region.nullable


def test_callers_pass_what_the_prototype_asks_for() -> None:
    env, function = declared()
    context = state_of(env).regs[1]
    here = stack(env, -8)
    assert call(env, function, context, here, number(1))[0] == ""
    assert call(env, function, context, number(0), number(1))[0] == ""
    assert call(env, function, here, here, number(1))[0] == "argument"
    assert call(env, function, context, number(1), number(1))[0] == "argument"
    assert call(env, function, context, context, number(1))[0] == "argument"
    assert call(env, function, context, here, here)[0] == "argument"
    assert call(env, function, context, stack(env, -2), number(1))[0] == "stack-bounds"
    strict, f = declared((1, "arg:nonnull"))
    assert call(strict, f, context, number(0), number(1))[0] == "argument"


def test_only_a_number_comes_back() -> None:
    env, function = declared()
    kind, st = call(env, function, state_of(env).regs[1], stack(env, -8), number(1))
    assert kind == ""
    assert [st.regs[at].kind for at in range(6)] == [NUMBER] + [UNINIT] * 5
    end = begun(env, function)
    end.regs[0] = end.regs[1]
    assert kind_of(global_functions.check_global_exit(end, env, function)) == "return-value"
    end.regs[0] = number(1)
    assert global_functions.check_global_exit(end, env, function) is None
