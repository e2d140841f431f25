"""Which registers hold pointers, and where the frame's address goes."""

from __future__ import annotations

from anybpf.engines.lowering.pointers import (
    FRAME,
    NUMBER,
    POINTER,
    frame_address,
    is_typed,
    join,
    map_of,
    place_of,
)
from tests.engines.lowering.making import plan, proved, unproved
from tests.runtime.making import map_spec


def typed(text: str, index: int) -> set[int]:
    """The registers that hold pointers before an instruction of code without a proof."""
    bits = plan(unproved(text)).functions[0].pointers.typed[index]
    return {register for register in range(11) if bits >> register & 1}


def test_values_join_to_what_holds_on_both_ways() -> None:
    assert join(POINTER, POINTER) == POINTER
    assert not is_typed(join(POINTER, NUMBER))
    assert is_typed(join(POINTER, FRAME))
    assert map_of(join(NUMBER | 3 << 3, NUMBER | 3 << 3)) == 2
    assert map_of(join(NUMBER | 3 << 3, NUMBER | 2 << 3)) == -1
    assert place_of(join(frame_address(-8), frame_address(-8))) == -8
    assert place_of(join(frame_address(-8), frame_address(-16))) is None
    assert join(frame_address(-8), NUMBER | 5 << 3) & FRAME
    assert map_of(join(frame_address(-8), NUMBER | 505 << 3)) == -1


def test_places_are_known_inside_the_frame_only() -> None:
    assert place_of(frame_address(0)) == 0
    assert place_of(frame_address(-512)) == -512
    assert place_of(frame_address(-513)) is None
    assert place_of(frame_address(1)) is None
    assert frame_address(-513) & FRAME


def test_sums_with_numbers_stay_pointers() -> None:
    text = "r2 = r1; r2 += 8; r2 += r3; r3 -= r2; r4 = r2; r4 *= 2; r5 = 1; r5 += r1; exit"
    assert typed(text, 8) == {1, 2, 5, 10}


def test_a_difference_and_half_a_pointer_are_numbers() -> None:
    assert typed("r2 = r1; r2 -= r1; w3 = w1; r4 = r10; r4 += r1; exit", 5) == {1, 10}


def test_calls_leave_r6_to_r9() -> None:
    text = "r6 = r1; r7 = 5; call f; r0 = 1; exit; f: r0 = 0; exit"
    assert typed(text, 3) == {6, 10}


def test_a_register_is_a_pointer_only_if_it_is_on_every_way() -> None:
    text = "if r2 == 0 goto +1; r3 = r1; r0 = 0; exit"
    assert typed(text, 2) == {1, 10}
    both = "r3 = r10; if r2 == 0 goto +1; r3 = r1; r0 = 0; exit"
    assert typed(both, 3) == {1, 3, 10}


def test_packet_pointers_are_what_the_context_gives() -> None:
    made = plan(
        proved("""
        r2 = *(u32 *)(r1 + 0)
        r3 = *(u32 *)(r1 + 4)
        r4 = *(u32 *)(r1 + 12)
        r5 = r2
        r5 += 1
        r0 = 2
        exit
    """)
    )
    bits = made.functions[0].pointers.typed[5]
    assert [register for register in range(11) if bits >> register & 1] == [1, 2, 3, 5, 10]


def test_parameters_are_pointers_where_all_callers_pass_one() -> None:
    text = """
        r6 = r1
        r2 = 5
        call f
        r1 = r6
        r2 = r6
        call f
        r0 = 1
        exit
    f:
        r0 = 0
        exit
    """
    assert plan(unproved(text)).functions[1].typed == 1 << 1
    assert plan(unproved(text.replace("r2 = 5", "r2 = r6"))).functions[1].typed == 0b110
    # The caller's frame is memory as any other.
    frame = plan(unproved("r1 = r10; call f; exit; f: r0 = 0; exit"))
    assert frame.functions[1].typed == 0b10
    assert not frame.functions[1].pointers.frame[3] >> 1 & 1


def spills(text: str) -> bool:
    return plan(unproved(text)).functions[0].pointers.spills


def test_the_frame_s_address_escapes_by_stores_and_as_a_number() -> None:
    assert not spills("r2 = r10; r2 += -8; r0 = *(u64 *)(r2 + 0); exit")
    assert not spills("*(u64 *)(r10 - 8) = r1; r0 = 0; exit")
    assert spills("*(u64 *)(r10 - 8) = r10; r0 = 0; exit")
    assert spills("r2 = r10; r2 += -8; *(u64 *)(r1 + 0) = r2; r0 = 0; exit")
    assert spills("w2 = w10; r0 = 0; exit")
    assert spills("r2 = r10; r2 &= -8; r0 = 0; exit")
    assert spills("r2 = r10; r2 ^= r1; r0 = 0; exit")


def test_a_map_is_known_until_something_else_may_be_there() -> None:
    made = plan(proved("""
        *(u32 *)(r10 - 4) = 0
        r2 = r10
        r2 += -4
        r6 = map[other]
        r1 = r6
        call bpf_map_lookup_elem
        r0 = 2
        exit
    """, [map_spec("one"), map_spec("other")]))  # fmt: skip
    (call,) = made.functions[0].calls.values()
    assert made.source.maps[call.map].name == "other"
