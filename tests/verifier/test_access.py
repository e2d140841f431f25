"""Loads and stores through each kind of pointer."""

from __future__ import annotations

import pytest

from anybpf.verifier import access
from anybpf.verifier.environment import Environment, Fault
from anybpf.verifier.state import State
from anybpf.verifier.values import (
    MEMORY,
    NUMBER_ZERO,
    OBJECT,
    PACKET,
    PACKET_END,
    PACKET_META,
    READ_ONLY,
    Region,
    Value,
    number,
)
from tests.verifier.checking import (
    environment,
    kind_of,
    looked_up,
    map_spec,
    moved,
    state_of,
    the_map,
    within,
)


def load(env: Environment, st: State, pointer: Value, offset: int, size: int) -> str:
    return kind_of(access.load(st, env, pointer, offset, size, False))


def store(env: Environment, st: State, pointer: Value, offset: int, size: int) -> str:
    return kind_of(access.store(st, env, pointer, offset, size, NUMBER_ZERO))


# The context.


def test_packet_pointers_come_from_the_context() -> None:
    env = environment("xdp")
    st = state_of(env)
    kinds = []
    for offset in (0, 4, 8):
        found = access.load(st, env, st.regs[1], offset, 4, False)
        assert isinstance(found, Value)
        kinds.append(found.kind)
    assert kinds == [PACKET, PACKET_END, PACKET_META]


@pytest.mark.parametrize(
    ("offset", "size", "words"),
    [
        (0, 8, "which is read 4 bytes at a time"),
        (2, 4, "which it must begin with"),
        (24, 4, "which has 24 bytes"),
        (-4, 4, "offset -4"),
    ],
)
def test_what_is_wrong_with_an_access_of_the_context(offset: int, size: int, words: str) -> None:
    env = environment("xdp")
    st = state_of(env)
    found = access.load(st, env, st.regs[1], offset, size, False)
    assert isinstance(found, Fault)
    assert found.kind == "context-access"
    assert words in found.message


def test_fields_are_written_as_the_program_type_permits() -> None:
    tc = environment("sched_cls")
    assert store(tc, state_of(tc), state_of(tc).regs[1], 8, 4) == ""  # mark
    assert store(tc, state_of(tc), state_of(tc).regs[1], 0, 4) == "context-access"  # len
    xdp = environment("xdp")
    assert store(xdp, state_of(xdp), state_of(xdp).regs[1], 12, 4) == "context-access"


def test_some_fields_depend_on_the_attach_type() -> None:
    v4 = environment("cgroup_sock_addr", attach_type="cgroup_inet4_connect")
    v6 = environment("cgroup_sock_addr", attach_type="cgroup_inet6_connect")
    assert load(v4, state_of(v4), state_of(v4).regs[1], 4, 4) == ""
    assert load(v6, state_of(v6), state_of(v6).regs[1], 4, 4) == "context-access"


def test_the_context_is_accessed_at_constant_offsets() -> None:
    env = environment("xdp")
    st = state_of(env)
    assert load(env, st, moved(st.regs[1], within(0, 4)), 0, 4) == "context-access"


# The packet.


def packet(st: State) -> Value:
    return Value(PACKET, 0, None, st.packet)


def test_a_packet_is_read_as_far_as_its_length_was_compared() -> None:
    env = environment("xdp")
    st = state_of(env)
    assert load(env, st, packet(st), 0, 1) == "packet-bounds"
    st.extend_reach(None, 14)
    assert load(env, st, packet(st), 12, 2) == ""
    assert load(env, st, packet(st), 12, 4) == "packet-bounds"
    assert load(env, st, packet(st), -1, 1) == "packet-bounds"


def test_a_variable_offset_has_a_reach_of_its_own() -> None:
    env = environment("xdp")
    st = state_of(env)
    options = moved(packet(st), within(20, 60))
    assert load(env, st, options, 0, 4) == "packet-bounds"
    st.extend_reach(options.unknown, 4)
    assert load(env, st, options, 0, 4) == ""
    assert load(env, st, options, -20, 4) == ""
    assert load(env, st, options, -21, 1) == "packet-bounds"


def test_a_packet_pointer_from_before_a_move_is_stale() -> None:
    env = environment("xdp")
    st = state_of(env)
    st.extend_reach(None, 14)
    before = packet(st)
    st.forget_packet()
    assert load(env, st, before, 0, 1) == "stale-packet"


def test_only_some_program_types_write_packets() -> None:
    xdp = environment("xdp")
    st = state_of(xdp)
    st.extend_reach(None, 8)
    assert store(xdp, st, packet(st), 0, 8) == ""
    cgroup = environment("cgroup_skb", attach_type="cgroup_inet_ingress")
    st = state_of(cgroup)
    st.extend_reach(None, 8)
    assert store(cgroup, st, packet(st), 0, 8) == "read-only"


# Map values.


def test_a_looked_up_value_is_tested_before_use() -> None:
    env = environment("xdp", map_spec("counts", "hash"))
    st = state_of(env)
    pointer = looked_up(env, nullable=True)
    found = access.load(st, env, pointer, 0, 8, False)
    assert isinstance(found, Fault)
    assert found.kind == "null-pointer"
    assert "counts" in found.message
    assert pointer.region is not None
    st.set_null(pointer.region, True)
    assert load(env, st, pointer, 0, 8) == ""


@pytest.mark.parametrize(
    ("offset", "size", "kind"),
    [(0, 8, ""), (8, 8, ""), (12, 4, ""), (12, 8, "out-of-bounds"), (-1, 1, "out-of-bounds")],
)
def test_values_have_bounds(offset: int, size: int, kind: str) -> None:
    env = environment("xdp", map_spec("counts", "hash"))
    assert load(env, state_of(env), looked_up(env), offset, size) == kind


@pytest.mark.parametrize(
    ("low", "high", "kind"),
    [
        (0, 12, ""),
        (0, 13, "out-of-bounds"),
        (-1, 12, "out-of-bounds"),
        (0, 2**63 - 1, "out-of-bounds"),
        (-(2**63), 0, "out-of-bounds"),
    ],
)
def test_all_offsets_that_are_possible_must_be_inside(low: int, high: int, kind: str) -> None:
    env = environment("xdp", map_spec("counts", "hash"))
    pointer = moved(looked_up(env), within(low, high))
    assert load(env, state_of(env), pointer, 0, 4) == kind


def test_a_message_names_place_map_and_size() -> None:
    env = environment("xdp", map_spec("counts", "hash"))
    found = access.load(state_of(env), env, looked_up(env), 12, 8, False)
    assert isinstance(found, Fault)
    assert (
        found.message == "reads 8 bytes at offset 12 of a value of map counts, which has 16 bytes"
    )


def test_constant_data_is_known() -> None:
    env = environment("xdp", map_spec("settings", "array"))
    info = env.maps[0]
    info.read_only = True
    info.contents = b"\x01\x02\xff\xff\xff\xff\xff\xff" + bytes(8)
    pointer = Value(4, 0, None, info.value_region)
    st = state_of(env)
    for size, signed, value in ((2, False, 0x201), (2, True, 0x201), (8, False, -65023)):
        found = access.load(st, env, pointer, 0, size, signed)
        assert isinstance(found, Value)
        assert (found.unknown, found.offset) == (None, value)
    assert store(env, st, pointer, 0, 4) == "read-only"


# Other memory.


def test_a_block_has_bounds_and_may_be_read_only() -> None:
    env = environment("xdp")
    st = state_of(env)
    region = Region(MEMORY, 8, False, -1)
    assert store(env, st, Value(MEMORY, 0, None, region), 0, 8) == ""
    assert store(env, st, Value(MEMORY, 0, None, region), 1, 8) == "out-of-bounds"
    region.flags = READ_ONLY
    assert load(env, st, Value(MEMORY, 0, None, region), 0, 8) == ""
    assert store(env, st, Value(MEMORY, 0, None, region), 0, 8) == "read-only"


def test_a_socket_has_fields() -> None:
    env = environment("sched_cls")
    st = state_of(env)
    region = Region(OBJECT, 0, False, -1)
    region.type = "socket"
    sock = Value(OBJECT, 0, None, region)
    assert load(env, st, sock, 4, 4) == ""  # family
    assert load(env, st, sock, 2, 4) == "out-of-bounds"
    assert store(env, st, sock, 4, 4) == "read-only"


def test_a_number_is_no_pointer() -> None:
    env = environment("xdp")
    st = state_of(env)
    assert load(env, st, number(4096), 0, 4) == "not-a-pointer"
    assert load(env, st, number(0), 0, 4) == "null-pointer"


def test_a_map_itself_is_never_written() -> None:
    env = environment("xdp", map_spec("counts", "hash"))
    assert store(env, state_of(env), the_map(env), 0, 4) == "read-only"


def test_pointers_do_not_leak_where_the_platform_forbids_it() -> None:
    env = environment("xdp", map_spec("counts", "hash"), platform="windows")
    st = state_of(env)
    fault = access.store(st, env, looked_up(env), 0, 8, st.regs[1])
    assert kind_of(fault) == "pointer-leak"
    linux = environment("xdp", map_spec("counts", "hash"))
    assert access.store(st, linux, looked_up(linux), 0, 8, st.regs[1]) is None


# Atomic operations.


def test_atomic_operations_are_aligned_and_not_on_the_packet() -> None:
    env = environment("xdp", map_spec("counts", "hash"))
    st = state_of(env)
    st.extend_reach(None, 8)
    assert kind_of(access.atomic(st, env, looked_up(env), 8, 8)) == ""
    assert kind_of(access.atomic(st, env, looked_up(env), 4, 8)) == "alignment"
    assert kind_of(access.atomic(st, env, packet(st), 0, 8)) == "not-a-pointer"
    assert kind_of(access.atomic(st, env, st.regs[1], 0, 4)) == "not-a-pointer"
