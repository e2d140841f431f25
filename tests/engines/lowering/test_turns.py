"""Loops: which spend, and what a turn of each costs."""

from __future__ import annotations

from anybpf.engines.lowering import Source
from anybpf.engines.lowering.turns import FAR
from tests.engines.lowering.making import plan, proved, unproved


def spends(source: Source, function: int = 0) -> list[int]:
    """What the ends of loops cost, in the order of the code."""
    found = plan(source).functions[function].spends
    return [found[number] for number in sorted(found)]


def test_a_turn_costs_its_instructions() -> None:
    assert spends(unproved("r0 = 0; again: r0 += 1; r0 += 2; if r0 != 9 goto again; exit")) == [3]


def test_straight_code_spends_nothing() -> None:
    assert spends(unproved("r0 = 1; if r1 == 0 goto +1; r0 = 2; exit")) == []


def test_each_way_back_spends() -> None:
    text = "r0 = 0; again: r0 += 1; if r0 & 1 goto again; if r0 & 2 goto again; exit"
    assert spends(unproved(text)) == [3, 3]


def test_a_loop_around_a_loop_pays_for_both() -> None:
    text = """
        r0 = 0
    outer:
        r1 = 5
    inner:
        r1 -= 1
        if r1 != 0 goto inner
        r0 += 1
        if r0 != 9 goto outer
        exit
    """
    assert spends(unproved(text)) == [2, 5]


def loop(turns: int, body: int = 0) -> Source:
    """Proved: so many turns of so many instructions more than two."""
    text = "r0 = 0\nr6 = 0\nagain:\n" + "r0 += 1\n" * body
    return proved(text + f"r6 += 1\nif r6 < {turns} goto again\nr0 &= 1\nexit")


def test_a_loop_that_is_known_to_be_short_spends_nothing() -> None:
    source = loop(100)
    assert source.facts.loops
    assert spends(source) == []


def test_a_short_loop_inside_counts_with_all_its_turns() -> None:
    source = unproved("""
        r0 = 0
    outer:
        r1 = 5
    inner:
        r1 -= 1
        if r1 != 0 goto inner
        r0 += 1
        if r0 != 9 goto outer
        exit
    """)
    source.facts.reached.update(range(len(source.instructions)))
    source.facts.loops[2] = 5  # the inner one
    (cost,) = spends(source)
    assert cost == 5 + 5 * 2


def test_a_long_loop_spends_though_its_end_is_known() -> None:
    source = loop(10)
    (head,) = source.facts.loops
    source.facts.loops[head] = FAR
    assert spends(source) == [2]


def test_what_is_called_counts() -> None:
    text = "r6 = 9; again: call f; r6 -= 1; if r6 != 0 goto again; exit; f: r0 = 1; r0 = 2; exit"
    assert spends(unproved(text)) == [3 + 3]


def test_a_function_that_may_take_long_costs_as_much() -> None:
    """It looks at the clock itself; what it may do between two looks counts."""
    text = "call f; r0 = 1; exit; f: r0 += 1; goto f"
    made = plan(unproved(text))
    assert list(made.functions[1].spends.values()) == [2]
    assert made.functions[1].can_stop
    assert all(call.can_stop for call in made.functions[0].calls.values())
