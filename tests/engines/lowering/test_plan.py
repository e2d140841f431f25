"""What is decided at each instruction: frames, checks, calls, ends. Each case can be told wrong."""

from __future__ import annotations

import pytest

from anybpf.engines.lowering import ALL, Plan, Source
from anybpf.engines.lowering import plan as p
from anybpf.errors import NotSupported
from tests.engines.lowering.making import plan, proved, unproved
from tests.runtime.making import map_spec

ON_PACKET = """
    r2 = *(u32 *)(r1 + 0)
    r3 = *(u32 *)(r1 + 4)
    r4 = r2
    r4 += 14
    if r4 > r3 goto out
    r5 = *(u8 *)(r2 + 12)
    *(u8 *)(r2 + 0) = 1
out:
    r0 = 2
    exit
"""


def kinds(made: Plan, function: int = 0) -> dict[int, tuple[str, str]]:
    """Kind and check of accesses, by instruction."""
    found = made.functions[function].accesses
    return {index: (one.kind, one.check) for index, one in found.items()}


def test_what_is_proved_is_not_checked() -> None:
    assert kinds(plan(proved(ON_PACKET))) == {
        0: ("ctx", ""), 1: ("ctx", ""), 5: ("packet", ""), 6: ("packet", ""),
    }  # fmt: skip


def test_with_all_checks_each_access_knows_its_region() -> None:
    found = kinds(plan(proved(ON_PACKET), ALL))
    assert found[5] == found[6] == ("packet", p.PACKET_CHECK)
    # The header in front of the context is always there.
    assert found[0] == found[1] == ("ctx", "")


def test_without_a_proof_everything_is_checked_but_the_frame_by_r10() -> None:
    made = plan(
        unproved("""
        r0 = *(u64 *)(r1 + 0)
        *(u64 *)(r10 - 8) = r0
        r2 = r10
        r0 = *(u64 *)(r2 - 8)
        r0 = *(u64 *)(r10 + 0)
        r3 = *(u64 *)(r0 + 0)
        call f
        exit
    f:
        r0 = *(u64 *)(r1 + 0)
        exit
    """)
    )
    assert kinds(made) == {
        0: ("", p.CONTEXT_CHECK),
        1: ("stack", p.NO_CHECK),
        3: ("", p.FRAME_CHECK),
        4: ("", p.FRAME_CHECK),
        5: ("", p.CONTEXT_CHECK),
    }
    assert kinds(made, 1) == {8: ("", p.ANY_CHECK)}


def test_only_what_others_may_write_is_read_once() -> None:
    made = plan(proved("""
        *(u32 *)(r10 - 4) = 0
        r2 = r10
        r2 += -4
        r1 = map[counts]
        call bpf_map_lookup_elem
        if r0 == 0 goto out
        r1 = *(u64 *)(r0 + 0)
        r2 = *(u32 *)(r10 - 4)
    out:
        r0 = 2
        exit
    """, [map_spec()]))  # fmt: skip
    accesses = made.functions[0].accesses
    assert {index: one.once for index, one in accesses.items()} == {0: False, 6: True, 7: False}
    assert accesses[6].aligned


# Frames.


def frame_of(text: str, function: int = 0) -> str:
    return (
        plan(proved(text, [map_spec(), map_spec("queue", "queue", key=0)]))
        .functions[function]
        .frame
    )


def test_a_frame_that_nobody_else_sees_is_the_machine_s() -> None:
    assert frame_of("*(u64 *)(r10 - 8) = 1; r0 = *(u64 *)(r10 - 8); r0 &= 1; exit") == p.ON_MACHINE


def test_a_frame_that_a_helper_sees_is_in_the_run() -> None:
    text = """
        *(u64 *)(r10 - 8) = 1
        r2 = r10
        r2 += -8
        r3 = 0
        r1 = map[queue]
        call bpf_map_push_elem
        r0 = 2
        exit
    """
    assert frame_of(text) == p.IN_RUN


def test_a_frame_whose_address_is_stored_is_in_the_run_if_somebody_may_look() -> None:
    stores = """
        r2 = r10
        r2 += -16
        *(u64 *)(r10 - 16) = 5
        *(u64 *)(r10 - 8) = r2
        call bpf_get_smp_processor_id
        r3 = *(u64 *)(r10 - 8)
        r0 = *(u64 *)(r3 + 0)
        r0 &= 1
        exit
    """
    assert frame_of(stores) == p.IN_RUN


def test_a_function_without_a_frame_uses_none() -> None:
    assert not plan(proved("r0 = 2; exit")).functions[0].uses_frame


CALLS = """
    r0 = 0
    call f1
    exit
f1:
    r0 = 0
    exit
"""


def test_frames_are_counted_where_somebody_asks() -> None:
    assert [one.counted for one in plan(proved(CALLS)).functions] == [False, False]
    asks = CALLS.replace(
        "f1:\n    r0 = 0",
        "f1:\n    r1 = r10\n    r1 += -16\n    r2 = 16\n    call bpf_get_current_comm\n    r0 = 0",
    )
    made = plan(proved(asks, kind="kprobe"))
    assert [one.counted for one in made.functions] == [True, True]


def test_recursion_is_counted_and_stops() -> None:
    made = plan(unproved("call f; exit; f: r0 = *(u64 *)(r10 - 8); call f; r0 = 1; exit"))
    assert [one.counted for one in made.functions] == [True, True]
    assert all(one.can_stop for one in made.functions)
    assert all(call.can_stop for one in made.functions for call in one.calls.values())
    assert made.functions[1].frame == p.IN_RUN


def test_chains_that_are_too_deep_are_counted() -> None:
    def chain(length: int) -> Plan:
        text = "call f1; r0 = 1; exit; "
        text += "".join(f"f{i}: call f{i + 1}; exit; " for i in range(1, length))
        return plan(unproved(text + f"f{length}: r0 = 0; exit"))

    assert not any(one.counted for one in chain(7).functions)
    assert all(one.counted for one in chain(8).functions)


# Calls.


def test_maps_that_are_known_are_looked_up_on_the_spot() -> None:
    text = """
        *(u64 *)(r10 - 8) = 0
        r2 = r10
        r2 += -8
        r1 = map[it]
        call bpf_map_lookup_elem
        r0 = 2
        exit
    """
    found = {}
    for kind in ("array", "percpu_array", "hash", "lru_hash", "stack"):
        if kind == "stack":
            continue
        (call,) = plan(proved(text, [map_spec("it", kind)])).functions[0].calls.values()
        found[kind] = call.kind, call.can_stop
    assert found == {
        "array": (p.ARRAY_LOOKUP, False),
        "percpu_array": (p.ARRAY_LOOKUP, False),
        "hash": (p.DIRECT_LOOKUP, False),
        "lru_hash": (p.DIRECT_LOOKUP, False),
    }


def test_a_map_that_is_not_always_the_same_is_the_helper_s_business() -> None:
    text = """
        r6 = *(u32 *)(r1 + 12)
        *(u32 *)(r10 - 4) = 0
        r2 = r10
        r2 += -4
        r1 = map[one]
        if r6 == 0 goto +2
        r1 = map[other]
        call bpf_map_lookup_elem
        r0 = 2
        exit
    """
    (call,) = plan(proved(text, [map_spec("one"), map_spec("other")])).functions[0].calls.values()
    assert (call.kind, call.map, call.can_stop) == (p.HELPER, -1, True)


def test_helpers_that_only_tell_numbers_end_no_run() -> None:
    text = "call bpf_ktime_get_ns; r0 = 2; exit"
    (call,) = plan(proved(text)).functions[0].calls.values()
    assert (call.kind, call.can_stop, call.chains) == (p.HELPER, False, False)
    assert not plan(proved(text)).functions[0].can_stop


def test_tail_calls_chain() -> None:
    jumps = map_spec("jumps", "prog_array", value=4)
    text = "r2 = map[jumps]; r3 = 0; call bpf_tail_call; r0 = 2; exit"
    (call,) = plan(proved(text, [jumps])).functions[0].calls.values()
    assert (call.chains, call.can_stop) == (True, True)


def test_what_is_called_by_value_knows_nothing_of_its_arguments() -> None:
    text = """
        r1 = 3
        r2 = subprog[body]
        r3 = 0
        r4 = 0
        call bpf_loop
        r0 = 2
        exit
    body:
        r0 = 0
        exit
    """
    made = plan(proved(text))
    assert [one.function.is_value for one in made.functions] == [False, True]
    assert made.functions[1].typed == 0
    assert made.functions[1].blocks


def test_functions_that_nobody_calls_are_left_out() -> None:
    made = plan(unproved("r0 = 1; exit; f: r0 = 2; exit; r0 = 3; exit"))
    assert sum(len(one.blocks) for one in made.functions) == 1


# What is not compiled.


def test_code_that_moves_the_frame_pointer_is_not_compiled() -> None:
    raw = bytes.fromhex("bf1a000000000000 b700000001000000 9500000000000000")
    with pytest.raises(NotSupported, match="changes r10"):
        plan(Source("case", raw))


def test_jumps_between_functions_are_not_compiled() -> None:
    source = unproved("r0 = 1; goto +1; exit; f: r0 = 2; exit; call f; exit")
    with pytest.raises(NotSupported, match="from one function to another"):
        plan(source)
