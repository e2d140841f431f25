"""Helper calls: who may make them, what each argument must be, what comes back."""

from __future__ import annotations

import pytest

from anybpf.verifier import calls
from anybpf.verifier.environment import Environment, Fault
from anybpf.verifier.memory import is_written
from anybpf.verifier.values import (
    MAP,
    MAP_VALUE,
    MEMORY,
    NUMBER,
    OBJECT,
    PACKET,
    UNINIT,
    Value,
    number,
)
from tests.verifier.checking import (
    call,
    environment,
    kind_of,
    looked_up,
    map_spec,
    moved,
    stack,
    state_of,
    the_map,
    within,
)

LOOKUP = "bpf_map_lookup_elem"
COUNTS = map_spec("counts", "hash")


# Who may call.


def refusal(env: Environment, number_of: int) -> Fault:
    found = calls.compile_helper(env, 0, number_of)
    assert isinstance(found, Fault)
    return found


def test_a_helper_is_available_by_program_type_and_licence() -> None:
    assert "sched_cls" in refusal(environment("sched_cls"), 44).message  # xdp_adjust_head
    assert "9999" in refusal(environment("xdp"), 9999).message
    fault = refusal(environment("kprobe", license_text="Proprietary"), 113)
    assert fault.kind == "helper-unavailable"
    assert "'Proprietary'" in fault.message
    assert not isinstance(calls.compile_helper(environment("kprobe"), 0, 113), Fault)


def test_helpers_that_sleep_need_a_sleepable_program() -> None:
    for flags, kind in (((), "sleep"), (("sleepable",), "")):
        env = environment("tracing", attach_type="trace_fentry", flags=flags)
        st = state_of(env)
        found = call(env, st, "bpf_copy_from_user", stack(env, -8), number(8), number(0))
        assert kind_of(found) == kind


# Maps, keys and values.


def test_a_lookup_gives_a_value_or_null() -> None:
    env = environment("xdp", COUNTS)
    st = state_of(env)
    assert call(env, st, LOOKUP, the_map(env), stack(env, -4)) is None
    result = st.regs[0]
    assert result.kind == MAP_VALUE
    assert result.region is not None
    assert (result.region.size, result.region.nullable) == (16, True)
    assert [st.regs[at].kind for at in range(1, 6)] == [UNINIT] * 5


def test_a_key_that_every_array_has_is_found() -> None:
    env = environment("xdp", map_spec("slots", "array", entries=4))
    st = state_of(env)
    for key, nullable in ((3, False), (4, True)):
        st.set_cell(63, number(key << 32))
        assert call(env, st, LOOKUP, the_map(env), stack(env, -4)) is None
        region = st.regs[0].region
        assert region is not None
        assert region.nullable is nullable


def test_the_key_must_lie_in_memory() -> None:
    env = environment("xdp", COUNTS)
    for key, kind in (
        (stack(env, -2), "stack-bounds"),
        (number(0), "null-pointer"),
        (number(8), "argument"),
        (the_map(env), "argument"),
        (looked_up(env), ""),
        (moved(looked_up(env), within(0, 13)), "out-of-bounds"),
    ):
        assert kind_of(call(env, state_of(env), LOOKUP, the_map(env), key)) == kind


def test_a_helper_works_on_some_map_types() -> None:
    env = environment("xdp", map_spec("events", "ringbuf", 0, 0, 4096))
    fault = call(env, state_of(env), LOOKUP, the_map(env), stack(env, -4))
    assert kind_of(fault) == "map-type"
    assert fault is not None
    assert "events" in fault.message


def test_a_map_that_programs_may_only_read_is_not_updated() -> None:
    spec = map_spec("settings", "array")
    spec.flags = 1 << 7
    env = environment("xdp", spec)
    fault = call(
        env,
        state_of(env),
        "bpf_map_update_elem",
        the_map(env),
        stack(env, -4),
        stack(env, -32),
        number(0),
    )
    assert kind_of(fault) == "read-only"


def test_a_map_of_maps_gives_an_inner_map() -> None:
    outer = map_spec("outer", "array_of_maps", 4, 4, 1)
    outer.inner = map_spec("inner", "hash")
    env = environment("xdp", outer, outer.inner)
    env.maps[0].inner = 1
    st = state_of(env)
    assert call(env, st, LOOKUP, the_map(env), stack(env, -4)) is None
    found = st.regs[0]
    assert found.kind == MAP
    assert found.region is not None
    assert (found.region.index, found.region.nullable) == (1, True)
    assert kind_of(call(env, st, LOOKUP, found, stack(env, -4))) == "null-pointer"


# Memory and sizes.


@pytest.mark.parametrize(
    ("size", "kind"),
    [
        (number(16), ""),
        (within(1, 16), ""),
        (number(0), "argument"),
        (number(-1), "argument"),
        (within(0, 16), "argument"),
        (number(17), "stack-bounds"),
        (within(1, 1 << 30), "argument"),
    ],
)
def test_sizes_are_bounded_by_the_memory(size: Value, kind: str) -> None:
    env = environment("sched_cls")
    st = state_of(env)
    fault = call(env, st, "bpf_skb_load_bytes", st.regs[1], number(0), stack(env, -16), size)
    assert kind_of(fault) == kind


def test_memory_that_a_helper_fills_is_written_afterwards() -> None:
    env = environment("sched_cls")
    st = state_of(env)
    name = "bpf_skb_load_bytes"
    assert call(env, st, name, st.regs[1], number(0), stack(env, -16), number(16)) is None
    assert is_written(st, 0, 496, 512)
    st = state_of(env)
    assert call(env, st, name, st.regs[1], number(0), stack(env, -16), within(1, 16)) is None
    assert not is_written(st, 0, 496, 512)


def test_null_memory_goes_with_size_zero() -> None:
    env = environment("sched_cls")
    for size, kind in ((number(0), ""), (number(4), "null-pointer")):
        fault = call(
            env,
            state_of(env),
            "bpf_csum_diff",
            number(0),
            size,
            stack(env, -8),
            number(8),
            number(0),
        )
        assert kind_of(fault) == kind


def test_packet_data_goes_to_some_helpers_only() -> None:
    env = environment("xdp", COUNTS, map_spec("events", "ringbuf", 0, 0, 4096))
    st = state_of(env)
    st.extend_reach(None, 16)
    data = Value(PACKET, 0, None, st.packet)
    assert call(env, st, LOOKUP, the_map(env), data) is None
    fault = call(env, st, "bpf_ringbuf_output", the_map(env, 1), data, number(8), number(0))
    assert kind_of(fault) == "argument"


def test_some_helpers_move_the_packet() -> None:
    env = environment("xdp")
    st = state_of(env)
    before = st.packet
    assert call(env, st, "bpf_xdp_adjust_head", st.regs[1], number(4)) is None
    assert st.packet is not before
    assert len(st.reach) == 0


def test_on_windows_stack_is_written_before_helpers_read_it() -> None:
    env = environment("xdp", COUNTS, platform="windows")
    st = state_of(env)
    assert kind_of(call(env, st, LOOKUP, the_map(env), stack(env, -8))) == "uninitialized-stack"
    st.set_cell(63, number(0))
    assert call(env, st, LOOKUP, the_map(env), stack(env, -8)) is None
    st.set_cell(63, the_map(env))
    assert kind_of(call(env, st, LOOKUP, the_map(env), stack(env, -8))) == "pointer-leak"


def test_registers_must_be_written() -> None:
    env = environment("xdp", COUNTS)
    fault = call(env, state_of(env), LOOKUP, the_map(env))
    assert kind_of(fault) == "uninitialized-register"
    assert fault is not None
    assert fault.register == 2


# References.


def test_a_record_is_reserved_used_and_given_back() -> None:
    env = environment("xdp", map_spec("events", "ringbuf", 0, 0, 4096))
    st = state_of(env)
    assert call(env, st, "bpf_ringbuf_reserve", the_map(env), number(24), number(0)) is None
    record = st.regs[0]
    assert record.kind == MEMORY
    assert record.region is not None
    assert st.holds(record.region)
    submit = "bpf_ringbuf_submit"
    assert kind_of(call(env, st, submit, record, number(0))) == "null-pointer"
    st.set_null(record.region, True)
    beyond = Value(MEMORY, 8, None, record.region)
    assert kind_of(call(env, st, submit, beyond, number(0))) == "argument"
    st.regs[6] = record
    assert call(env, st, submit, record, number(0)) is None
    assert not st.holds(record.region)
    assert st.regs[6].kind == NUMBER
    assert kind_of(call(env, st, submit, st.regs[6], number(0))) == "not-acquired"


def test_the_size_of_a_record_is_constant() -> None:
    env = environment("xdp", map_spec("events", "ringbuf", 0, 0, 4096))
    fault = call(env, state_of(env), "bpf_ringbuf_reserve", the_map(env), within(8, 16), number(0))
    assert kind_of(fault) == "argument"


def test_a_socket_may_be_released_under_the_type_it_was_cast_to() -> None:
    env = environment("sched_cls")
    st = state_of(env)
    context = st.regs[1]
    name = "bpf_sk_lookup_tcp"
    zero = number(0)
    assert call(env, st, name, context, stack(env, -16), number(12), zero, zero) is None
    sock = st.regs[0]
    assert sock.kind == OBJECT
    assert sock.region is not None
    st.set_null(sock.region, True)
    assert call(env, st, "bpf_tcp_sock", sock) is None
    cast = st.regs[0]
    assert cast.region is not None
    st.set_null(cast.region, True)
    assert call(env, st, "bpf_sk_release", cast) is None
    assert len(st.held.references) == 0


def test_a_tail_call_needs_empty_hands() -> None:
    env = environment(
        "xdp", map_spec("programs", "prog_array", 4, 4), map_spec("events", "ringbuf", 0, 0, 4096)
    )
    st = state_of(env)
    context = st.regs[1]
    assert call(env, st, "bpf_tail_call", context, the_map(env), number(0)) is None
    assert st.regs[0].kind == UNINIT
    assert call(env, st, "bpf_ringbuf_reserve", the_map(env, 1), number(8), number(0)) is None
    fault = call(env, st, "bpf_tail_call", context, the_map(env), number(0))
    assert kind_of(fault) == "reference-leak"


# Results.


def test_a_length_that_comes_back_is_bounded_by_the_size() -> None:
    env = environment("kprobe")
    st = state_of(env)
    name = "bpf_probe_read_kernel_str"
    assert call(env, st, name, stack(env, -16), number(16), number(0)) is None
    known = st.range_of(st.regs[0])
    assert (known.low, known.high) == (-4095, 16)


def test_what_calls_had_in_common_is_remembered() -> None:
    env = environment("xdp", COUNTS, map_spec("slots", "array"))
    operation = calls.compile_helper(env, 0, 1)
    assert isinstance(operation, calls.FunctionCall)
    for index, seen in ((0, 0), (0, 0), (1, -1)):
        st = state_of(env)
        st.regs[1] = the_map(env, index)
        st.regs[2] = stack(env, -4)
        assert operation.run(st, env) is None
        assert operation.map_seen == seen
