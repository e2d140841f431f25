"""Kernel structures by their types: what lies where, and how far loaded pointers are good."""

from __future__ import annotations

import pytest

from anybpf.btf import BTF, BTFBuilder
from anybpf.btf import types as t
from anybpf.verifier import access
from anybpf.verifier.environment import Environment, Fault
from anybpf.verifier.state import State
from anybpf.verifier.structures import NOT_THERE, PLAIN, POINTER, contains, find_place
from anybpf.verifier.values import (
    NUMBER,
    OBJECT,
    RCU,
    TRUSTED,
    UNTRUSTED,
    Region,
    Value,
    number,
)
from tests.verifier.checking import call, environment, kind_of, map_spec, state_of, the_map


def kernel() -> BTF:
    """A kernel with two functions: ``int open(struct task_struct *, int)`` and its tracepoint."""
    builder = BTFBuilder()
    word = builder.add(t.Int("int", 4, t.INT_SIGNED))
    task = builder.add(t.Forward("task_struct"))
    pointer = builder.add(t.Pointer(task))
    cred = builder.add(t.Struct("cred", 8, [t.Member("uid", word, 0)]))
    cred_pointer = builder.add(t.Pointer(cred))
    builder.replace(
        task,
        t.Struct(
            "task_struct",
            40,
            [
                t.Member("pid", word, 0),
                t.Member("real_parent", pointer, 64),
                t.Member("cred", cred_pointer, 128),
                t.Member("inner", cred, 192),
            ],
        ),
    )
    proto = builder.add(t.FunctionProto(word, [t.Param("task", pointer), t.Param("flags", word)]))
    builder.add(t.Function("open", proto))
    void = builder.add(t.Pointer(0))
    traced = builder.add(t.FunctionProto(0, [t.Param("__data", void), t.Param("task", pointer)]))
    builder.add(t.Typedef("btf_trace_open", builder.add(t.Pointer(traced))))
    return builder.build()


def traced(attach_type: str, target: str = "open", flags: tuple[str, ...] = ()) -> Environment:
    storage = map_spec("storage", "task_storage", 4, 8)
    env = environment("tracing", storage, attach_type=attach_type, flags=flags)
    env.program.attach_to = target
    env.kernel_btf = kernel()
    return env


def argument(env: Environment, st: State, index: int) -> Value:
    found = access.load(st, env, state_of(env).regs[1], index * 8, 8, False)
    assert isinstance(found, Value)
    return found


@pytest.mark.parametrize(
    ("offset", "size", "what"),
    [
        (0, 4, PLAIN),
        (8, 8, POINTER),
        (8, 4, NOT_THERE),
        (24, 4, PLAIN),
        (36, 8, NOT_THERE),
    ],
)
def test_places_of_a_structure(offset: int, size: int, what: int) -> None:
    btf = kernel()
    task = btf.get("task_struct", t.KIND_STRUCT)
    assert isinstance(task, t.Struct)
    assert find_place(btf, task, offset, size).what == what
    assert contains(btf, task, 24, "cred")
    assert not contains(btf, task, 8, "cred")


def test_arguments_have_the_types_of_the_function() -> None:
    env = traced("trace_fexit")
    st = state_of(env)
    task = argument(env, st, 0)
    assert task.kind == OBJECT
    assert task.region is not None
    assert (task.region.type, task.region.flags) == ("struct task_struct", 0)
    assert argument(env, st, 1).kind == NUMBER
    assert argument(env, st, 2).kind == NUMBER  # what the function returned
    found = access.load(st, env, st.regs[1], 24, 8, False)
    assert kind_of(found) == "context-access"


def test_a_tracepoint_passes_trusted_pointers() -> None:
    env = traced("trace_raw_tp")
    task = argument(env, state_of(env), 0)
    assert task.region is not None
    assert task.region.flags == TRUSTED


def test_pointers_that_are_read_are_less_reliable() -> None:
    env = traced("trace_raw_tp")
    st = state_of(env)
    task = argument(env, st, 0)
    parent = access.load(st, env, task, 8, 8, False)
    assert isinstance(parent, Value)
    assert parent.region is not None
    assert parent.region.flags == RCU
    sleepy = traced("trace_raw_tp", flags=("sleepable",))
    st = state_of(sleepy)
    parent = access.load(st, sleepy, argument(sleepy, st, 0), 8, 8, False)
    assert isinstance(parent, Value)
    assert parent.region is not None
    assert parent.region.flags == UNTRUSTED


def test_kernel_structures_are_read_only_and_bounded() -> None:
    env = traced("trace_raw_tp")
    st = state_of(env)
    task = argument(env, st, 0)
    assert kind_of(access.store(st, env, task, 0, 4, number(1))) == "read-only"
    assert kind_of(access.load(st, env, task, 40, 4, False)) == "out-of-bounds"
    assert kind_of(access.load(st, env, task, -4, 4, False)) == "out-of-bounds"
    found = access.load(st, env, task, 8, 4, False)
    assert isinstance(found, Fault)
    assert "real_parent is a pointer" in found.message


def test_a_helper_wants_a_pointer_that_can_be_relied_on() -> None:
    env = traced("trace_raw_tp")
    st = state_of(env)
    task = argument(env, st, 0)
    zero = number(0)
    assert call(env, st, "bpf_task_storage_get", the_map(env), task, zero, zero) is None
    doubtful = Region(OBJECT, 0, False, -1)
    doubtful.type = "struct task_struct"
    doubtful.flags = UNTRUSTED
    wrong = Value(OBJECT, 0, None, doubtful)
    fault = call(env, st, "bpf_task_storage_get", the_map(env), wrong, zero, zero)
    assert kind_of(fault) == "argument"
