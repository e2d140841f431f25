"""Frames: which parts are variables of their own, and what is handed to maps without a helper."""

from __future__ import annotations

from anybpf.engines import prepare
from anybpf.engines.lowering import ALL, Plan, make_plan, source_of
from anybpf.engines.lowering import plan as p
from anybpf.engines.lowering.slots import own_slots
from anybpf.verifier import verify
from tests.runtime.making import collection, map_spec


def plan_of(text: str, checks: str = "unproved") -> Plan:
    spec = collection(text, maps=[map_spec("counts", "hash"), map_spec("names", "array", value=16)])
    program = spec.programs["main"]
    verification = verify(program, spec)
    assert verification.ok, verification.findings
    return make_plan(source_of(prepare(program, verification)), checks)


def test_overlapping_parts_are_one() -> None:
    assert own_slots([(-8, -4), (-6, -2)], []) == {-8: 6}
    assert own_slots([(-8, -4), (-4, 0)], []) == {-8: 4, -4: 4}
    assert own_slots([(-8, -4), (-6, -2)], [(-3, -1)]) == {}


def test_what_is_spilled_is_a_variable_and_what_is_computed_is_not() -> None:
    plan = plan_of("""
        *(u64 *)(r10 - 72) = 5
        *(u64 *)(r10 - 8) = 1
        *(u64 *)(r10 - 16) = 2
        call bpf_get_prandom_u32
        r0 &= 8
        r2 = r10
        r2 += -16
        r2 += r0
        r3 = *(u64 *)(r2 + 0)
        r0 = *(u64 *)(r10 - 72)
        r0 += r3
        r0 &= 3
        exit
    """)
    assert plan.functions[0].slots == {-72: 8}


KEY_ON_STACK = """
    *(u32 *)(r10 - 4) = 3
    *(u64 *)(r10 - 16) = 9
    *(u64 *)(r10 - 24) = 9
    r2 = r10
    r2 += -4
    r3 = r10
    r3 += -16
    r4 = 0
    r1 = map[counts]
    call bpf_map_update_elem
    r0 = *(u64 *)(r10 - 24)
    r0 &= 1
    exit
"""


def test_keys_and_values_in_the_frame_go_to_maps_directly() -> None:
    for checks in ("unproved", ALL):
        one = plan_of(KEY_ON_STACK, checks).functions[0]
        (call,) = one.calls.values()
        assert call.kind == p.DIRECT_UPDATE
        assert one.frame == p.ON_MACHINE
        assert one.slots == {-24: 8}, "but for key and value"


def test_keys_that_others_may_change_go_through_the_helper() -> None:
    plan = plan_of("""
        *(u32 *)(r10 - 4) = 0
        r2 = r10
        r2 += -4
        r1 = map[names]
        call bpf_map_lookup_elem
        if r0 == 0 goto out
        r2 = r0
        r3 = r10
        *(u64 *)(r10 - 16) = 1
        r3 += -16
        r4 = 0
        r1 = map[counts]
        call bpf_map_update_elem
    out:
        r0 = 0
        exit
    """)
    kinds = [call.kind for call in plan.functions[0].calls.values()]
    assert kinds == [p.ARRAY_LOOKUP, p.HELPER]
    assert plan.functions[0].frame == p.IN_RUN, "where the helper finds the value"


def test_an_address_that_is_stored_leaves_nothing_apart() -> None:
    plan = plan_of("""
        *(u64 *)(r10 - 24) = 9
        r1 = r10
        r1 += -8
        *(u64 *)(r10 - 16) = r1
        r2 = *(u64 *)(r10 - 16)
        *(u64 *)(r2 + 0) = 7
        r0 = *(u64 *)(r10 - 24)
        r0 &= 1
        exit
    """)
    assert plan.functions[0].slots == {}
