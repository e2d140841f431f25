"""Helpers that call the program back, and iterators."""

from __future__ import annotations

from typing import Any

import pytest

from tests.core.helpers.running import Case
from tests.core.helpers.texts import pointer

EINVAL, E2BIG = -22, -7

# The callback adds its index to what its context points to, and stops at an index.
LOOP = """
*(u64 *)(r10 - 8) = 0
r1 = {turns}
r2 = function each ll
r3 = r10
r3 += -8
r4 = {flags}
call bpf_loop
r1 = *(u64 *)(r10 - 8)
r1 <<= 32
r0 += r1
exit
each:
r3 = *(u64 *)(r2 + 0)
r3 += r1
*(u64 *)(r2 + 0) = r3
r0 = 0
if r1 != {last} goto out
r0 = 1
out:
exit
"""


def looped(turns: int, last: int = -1, flags: int = 0, **options: Any) -> int:
    result = Case().run(LOOP.format(turns=turns, last=last, flags=flags), **options)
    assert not result.end
    return result.value


def test_a_callback_is_called_with_every_index() -> None:
    assert looped(0) == 0
    assert looped(10) == (45 << 32) + 10


def test_it_says_when_to_stop() -> None:
    assert looped(10, last=3) == (6 << 32) + 4


def test_flags_and_turns_are_bounded() -> None:
    assert looped(10, flags=1) == EINVAL
    assert looped((1 << 23) + 1) == E2BIG


def test_turns_are_paid_for() -> None:
    text = LOOP.format(turns=1 << 23, last=-1, flags=0)
    result = Case().run(text, budget=100_000)
    assert result.end == "OUT_OF_BUDGET"
    assert result.spent == 100_000


def test_what_is_no_function_is_not_called() -> None:
    assert Case().run("r1 = 1\nr2 = r10\nr3 = 0\nr4 = 0\ncall bpf_loop\nexit").end == "BAD_CALL"


def test_loops_may_nest_as_deep_as_frames_go() -> None:
    text = """
    r1 = 1
    r2 = function deeper ll
    r3 = 0
    r4 = 0
    call bpf_loop
    exit
    deeper:
    r1 = 1
    r2 = function deeper ll
    r3 = 0
    r4 = 0
    call bpf_loop
    r0 = 0
    exit
    """
    assert Case().run(text).end == "TOO_DEEP"


EACH = """
*(u64 *)(r10 - 8) = 0
r1 = map 0 ll
r2 = function each ll
r3 = r10
r3 += -8
r4 = 0
call bpf_for_each_map_elem
r1 = *(u64 *)(r10 - 8)
r1 <<= 32
r0 += r1
exit
each:
r1 = *(u32 *)(r2 + 0)
r5 = *(u64 *)(r3 + 0)
r5 *= r1
r1 = *(u64 *)(r4 + 0)
r1 += r5
*(u64 *)(r4 + 0) = r1
r0 = 0
exit
"""


@pytest.mark.parametrize("kind", ["hash", "array", "lru_hash"])
def test_every_entry_is_met_with_key_and_value(kind: str) -> None:
    case = Case({"kind": kind, "key_size": 4, "value_size": 8, "max_entries": 5})
    for key in range(5):
        case.maps[0].update(key.to_bytes(4, "little"), (10 + key).to_bytes(8, "little"))
    expected = sum(key * (10 + key) for key in range(5))
    result = case.run(EACH)
    assert (result.end, result.value) == ("", (expected << 32) + 5)


def test_a_callback_cannot_leave_the_key_it_is_given() -> None:
    """The key is a copy, and there is nothing behind it."""
    case = Case({"kind": "hash", "key_size": 8, "value_size": 8, "max_entries": 5})
    case.maps[0].update(bytes(8), bytes(8))
    assert case.run(EACH.replace("*(u32 *)(r2 + 0)", "*(u64 *)(r2 + 0)")).end == ""
    text = EACH.replace("*(u32 *)(r2 + 0)", "*(u64 *)(r2 + 8)")
    assert case.run(text).end == "OUT_OF_BOUNDS"


def test_an_entry_may_be_deleted_from_within() -> None:
    case = Case({"kind": "hash", "key_size": 4, "value_size": 8, "max_entries": 8})
    for key in range(8):
        case.maps[0].update(key.to_bytes(4, "little"), bytes(8))
    text = EACH.split("each:")[0] + "each:\ncall bpf_map_delete_elem\nr0 = 0\nexit"
    assert case.run(text).value == 8
    assert case.maps[0].count() == 0


NUMBERS = f"""
r6 = 0
{pointer("r1", -8)}
r2 = {{start}}
r3 = {{end}}
call bpf_iter_num_new
r7 = r0
next:
{pointer("r1", -8)}
call bpf_iter_num_next
if r0 == 0 goto done
w1 = *(u32 *)(r0 + 0)
r6 += 1
goto next
done:
{pointer("r1", -8)}
call bpf_iter_num_destroy
r6 <<= 32
r0 = r7
r0 += r6
exit
"""


@pytest.mark.parametrize(
    ("start", "end", "value"),
    [(0, 0, 0), (0, 3, 3 << 32), (-2, 2, 4 << 32), (3, 0, EINVAL), (0, (1 << 23) + 1, E2BIG)],
)
def test_numbers_are_counted(start: int, end: int, value: int) -> None:
    assert Case().run(NUMBERS.format(start=start, end=end)).value == value


def test_bits_are_found() -> None:
    text = f"""
    r1 = {{first}} ll
    *(u64 *)(r10 - 16) = r1
    r1 = {{second}} ll
    *(u64 *)(r10 - 8) = r1
    r6 = 0
    {pointer("r1", -32)}
    {pointer("r2", -16)}
    r3 = {{words}}
    call bpf_iter_bits_new
    next:
    {pointer("r1", -32)}
    call bpf_iter_bits_next
    if r0 == 0 goto done
    w1 = *(u32 *)(r0 + 0)
    r6 <<= 8
    r6 += r1
    goto next
    done:
    r0 = r6
    exit
    """
    one = Case().run(text.format(first=0x11, second=0, words=1)).value
    assert one == 0x0004
    two = Case().run(text.format(first=1 << 63, second=2, words=2)).value
    assert two == 63 * 256 + 65


def test_a_throw_ends_all_frames() -> None:
    text = """
    r1 = 3
    r2 = function each ll
    r3 = 0
    r4 = 0
    call bpf_loop
    r0 = 1
    exit
    each:
    r1 = 42
    call bpf_throw
    r0 = 0
    exit
    """
    result = Case().run(text)
    assert result.end == "THROWN"
    assert result.stop is not None
    assert result.stop[6] == 42
