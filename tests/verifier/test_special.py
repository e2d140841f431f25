"""Locks, timers, kernel pointers, dynptrs and iterators as arguments."""

from __future__ import annotations

import pytest

from anybpf.btf import BTF, BTFBuilder
from anybpf.btf import types as t
from anybpf.isa.instruction import Instruction
from anybpf.objects import fields
from anybpf.objects.fields import fields_of
from anybpf.verifier import formats, kfuncs
from anybpf.verifier.environment import Environment, Fault
from anybpf.verifier.memory import object_at
from anybpf.verifier.operations import Operation
from anybpf.verifier.state import State
from anybpf.verifier.values import MAP_VALUE, MEMORY, NUMBER, Value, number
from tests.verifier.checking import (
    call,
    environment,
    kind_of,
    looked_up,
    map_spec,
    stack,
    state_of,
    the_map,
)


def value_types() -> tuple[BTF, int]:
    """``struct value { u64 count; struct bpf_spin_lock lock; struct bpf_timer timer;
    struct task_struct __kptr *task; }``"""
    builder = BTFBuilder()
    u64 = builder.add(t.Int("u64", 8))
    u32 = builder.add(t.Int("u32", 4))
    lock = builder.add(t.Struct("bpf_spin_lock", 4, [t.Member("val", u32, 0)]))
    words = builder.add(t.Array(u64, u32, 2))
    timer = builder.add(t.Struct("bpf_timer", 16, [t.Member("__opaque", words, 0)]))
    task = builder.add(t.Forward("task_struct"))
    tagged = builder.add(t.TypeTag("kptr", task))
    pointer = builder.add(t.Pointer(tagged))
    value = builder.add(
        t.Struct(
            "value",
            40,
            [
                t.Member("count", u64, 0),
                t.Member("lock", lock, 8 * 8),
                t.Member("timer", timer, 16 * 8),
                t.Member("task", pointer, 32 * 8),
            ],
        )
    )
    return builder.build(), value


def guarded(type_name: str = "sched_cls") -> Environment:
    """Two maps whose values have a lock, a timer and a kernel pointer."""
    btf, value = value_types()
    specs = [map_spec("values", "array", 4, 40), map_spec("others", "array", 4, 40)]
    for spec in specs:
        spec.value_type_id = value
    env = environment(type_name, *specs)
    env.btf = btf
    return env


def at(pointer: Value, offset: int) -> Value:
    return Value(MAP_VALUE, offset, None, pointer.region)


def test_special_fields_are_found_in_types() -> None:
    btf, value = value_types()
    found = fields_of(btf, value)
    assert [(one.kind, one.offset, one.size) for one in found.fields] == [
        (fields.SPIN_LOCK, 8, 4),
        (fields.TIMER, 16, 16),
        (fields.KPTR, 32, 8),
    ]
    assert found.fields[2].type == "task_struct"
    assert found.touched(0, 8) is None
    assert found.touched(4, 9) is found.fields[0]


# Locks.


def test_a_lock_is_taken_and_given_back() -> None:
    env = guarded()
    st = state_of(env)
    value = looked_up(env)
    assert call(env, st, "bpf_spin_lock", at(value, 8)) is None
    assert len(st.held.locks) == 1
    assert kind_of(call(env, st, "bpf_ktime_get_ns")) == "lock"
    assert call(env, st, "bpf_spin_unlock", at(value, 8)) is None
    assert len(st.held.locks) == 0
    assert kind_of(call(env, st, "bpf_spin_unlock", at(value, 8))) == "lock"


def test_a_lock_is_where_the_type_says() -> None:
    env = guarded()
    fault = call(env, state_of(env), "bpf_spin_lock", looked_up(env))
    assert kind_of(fault) == "argument"
    assert fault is not None
    assert "have no spin lock at offset 0" in fault.message


def test_values_looked_up_apart_have_different_locks() -> None:
    env = guarded()
    st = state_of(env)
    assert call(env, st, "bpf_spin_lock", at(looked_up(env), 8)) is None
    assert kind_of(call(env, st, "bpf_spin_unlock", at(looked_up(env), 8))) == "lock"


# Timers.


def test_a_timer_belongs_to_the_map_it_lies_in() -> None:
    env = guarded()
    st = state_of(env)
    timer = at(looked_up(env), 16)
    assert call(env, st, "bpf_timer_init", timer, the_map(env), number(1)) is None
    fault = call(env, st, "bpf_timer_init", timer, the_map(env, 1), number(1))
    assert kind_of(fault) == "map-type"


# Dynptrs.


def test_a_reserved_dynptr_must_be_given_back() -> None:
    env = environment("xdp", map_spec("events", "ringbuf", 0, 0, 4096))
    st = state_of(env)
    place = stack(env, -16)
    name = "bpf_ringbuf_reserve_dynptr"
    assert call(env, st, name, the_map(env), number(64), number(0), place) is None
    assert len(st.held.references) == 1
    assert call(env, st, "bpf_dynptr_data", place, number(0), number(8)) is None
    data = st.regs[0]
    assert data.kind == MEMORY
    assert data.region is not None
    assert (data.region.size, data.region.nullable) == (8, True)
    fault = call(env, st, name, the_map(env), number(64), number(0), place)
    assert kind_of(fault) == "dynptr"
    st.regs[6] = data
    assert call(env, st, "bpf_ringbuf_submit_dynptr", place, number(0)) is None
    assert len(st.held.references) == 0
    assert st.regs[6].kind == NUMBER
    assert object_at(st, 0, 496, 512) is None
    assert kind_of(call(env, st, "bpf_ringbuf_submit_dynptr", place, number(0))) == "dynptr"


def test_other_helpers_keep_off_the_bytes_of_a_dynptr() -> None:
    env = environment("sched_cls", map_spec("events", "ringbuf", 0, 0, 4096))
    st = state_of(env)
    context = st.regs[1]
    name = "bpf_ringbuf_reserve_dynptr"
    assert call(env, st, name, the_map(env), number(8), number(0), stack(env, -16)) is None
    fault = call(env, st, "bpf_skb_load_bytes", context, number(0), stack(env, -24), number(16))
    assert kind_of(fault) == "argument"


# Iterators.


def kfunc(env: Environment, name: str) -> Operation:
    insn = Instruction(0x85, src=2)
    insn.reference = name
    made = kfuncs.compile_kfunc(env, 0, insn)
    assert not isinstance(made, Fault), made.message
    return made


def invoke(env: Environment, st: State, name: str, *arguments: Value) -> str:
    for index, argument in enumerate(arguments):
        st.regs[index + 1] = argument
    return kind_of(kfunc(env, name).run(st, env))


def test_an_iterator_is_made_used_and_destroyed() -> None:
    env = environment("xdp")
    st = state_of(env)
    place = stack(env, -8)
    assert invoke(env, st, "bpf_iter_num_next", place) == "iterator"
    assert invoke(env, st, "bpf_iter_num_new", place, number(0), number(9)) == ""
    assert invoke(env, st, "bpf_iter_num_next", place) == ""
    element = st.regs[0]
    assert element.region is not None
    assert (element.region.size, element.region.nullable) == (4, True)
    assert invoke(env, st, "bpf_iter_num_new", place, number(0), number(9)) == "iterator"
    assert invoke(env, st, "bpf_iter_num_destroy", place) == ""
    assert len(st.held.references) == 0
    assert invoke(env, st, "bpf_iter_num_destroy", place) == "iterator"


# Sections.


def test_sections_nest_as_the_kernel_lets_them() -> None:
    env = environment("xdp")
    st = state_of(env)
    assert invoke(env, st, "bpf_rcu_read_unlock") == "lock"
    assert invoke(env, st, "bpf_rcu_read_lock") == ""
    assert invoke(env, st, "bpf_rcu_read_lock") == "lock"
    assert invoke(env, st, "bpf_rcu_read_unlock") == ""
    for name in ("disable", "disable", "enable", "enable"):
        assert invoke(env, st, f"bpf_preempt_{name}") == ""
    assert invoke(env, st, "bpf_preempt_enable") == "lock"


def test_interrupts_are_restored_in_reverse_order() -> None:
    env = environment("xdp")
    st = state_of(env)
    outer, inner = stack(env, -8), stack(env, -16)
    assert invoke(env, st, "bpf_local_irq_restore", outer) == "lock"
    assert invoke(env, st, "bpf_local_irq_save", outer) == ""
    assert invoke(env, st, "bpf_local_irq_save", inner) == ""
    assert invoke(env, st, "bpf_local_irq_restore", outer) == "lock"
    assert invoke(env, st, "bpf_local_irq_restore", inner) == ""
    assert invoke(env, st, "bpf_local_irq_restore", outer) == ""
    assert st.held.irqs == 0


# Formats.


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", 0),
        ("plain", 0),
        ("%d %llu %s", 3),
        ("100%%", 0),
        ("%04x", 1),
        ("%p", 1),
        ("%pI4:%u", 2),
        ("%q", -1),
        ("%", -1),
        ("%pz", -1),
        ("\x01", -1),
    ],
)
def test_formats_take_values(text: str, values: int) -> None:
    assert formats.values_of(text) == values
