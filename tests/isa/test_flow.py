"""Where jumps lead."""

from __future__ import annotations

import pytest

from anybpf.errors import DecodeError
from anybpf.isa import jump_targets, slot_numbers
from anybpf.isa.assembler import assemble


def test_slots_count_wide_loads_twice() -> None:
    assert slot_numbers(assemble("r1 = 5 ll; r0 = 0; exit")) == [0, 2, 3, 4]


def test_targets_are_sorted_and_named_once() -> None:
    code = assemble("a: if r1 == 0 goto b; if r1 == 1 goto b; goto a; b: gotol a; may_goto b; exit")
    assert jump_targets(code) == [0, 3]


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("goto +1; exit", r"slot 2, outside its function \(slots 0 to 1\)"),
        ("r0 = 0; goto -3", r"slot -1, outside"),
        ("goto +1; r1 = 0 ll; exit", "the middle of the 16-byte load at slot 1"),
    ],
)
def test_jumps_into_nowhere_are_refused(text: str, where: str) -> None:
    with pytest.raises(DecodeError, match=where):
        jump_targets(assemble(text))


def test_the_slot_in_the_error_counts_from_where_the_function_stands() -> None:
    with pytest.raises(DecodeError, match="slot 109") as caught:
        jump_targets(assemble("r0 = 0; goto +7"), first_slot=100)
    assert caught.value.slot == 101
