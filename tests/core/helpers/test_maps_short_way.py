"""Look-ups and updates on their short way and on the long one come to the same."""

from __future__ import annotations

import pytest

from anybpf import _core
from tests.core.helpers.running import Case

ARRAY = {"kind": "array", "key_size": 4, "value_size": 8, "max_entries": 4}
HASH = {"kind": "hash", "key_size": 4, "value_size": 8, "max_entries": 4}


def key(number: int) -> bytes:
    return number.to_bytes(4, "little")


def value(number: int) -> bytes:
    return number.to_bytes(8, "little")


LOOKUP = """
*(u32 *)(r10 - 4) = {key}
r1 = map {map} ll
r2 = r10
r2 += {where}
call bpf_map_lookup_elem
if r0 == 0 goto out
r0 = *(u64 *)(r0 + 0)
out:
exit
"""


def test_one_call_meets_several_maps() -> None:
    case = Case(ARRAY, HASH)
    case.maps[0].update(key(1), value(10))
    case.maps[1].update(key(1), value(20))
    text = """
    r7 = 0
    r6 = 8
    loop:
    *(u32 *)(r10 - 4) = 1
    r1 = map 0 ll
    r2 = r6
    r2 &= 1
    if r2 == 0 goto call
    r1 = map 1 ll
    call:
    r2 = r10
    r2 += -4
    call bpf_map_lookup_elem
    if r0 == 0 goto out
    r0 = *(u64 *)(r0 + 0)
    r7 += r0
    r6 += -1
    if r6 != 0 goto loop
    out:
    r0 = r7
    exit
    """
    assert case.run(text).value == 4 * 10 + 4 * 20


@pytest.mark.parametrize("where", [-2, 0, 512, -516, 1 << 30])
def test_a_key_that_is_not_all_there(where: int) -> None:
    assert Case(ARRAY).run(LOOKUP.format(key=1, map=0, where=where)).value == 0


def test_a_key_in_the_frame_of_a_caller() -> None:
    case = Case(ARRAY)
    case.maps[0].update(key(3), value(33))
    text = """
    *(u32 *)(r10 - 4) = 3
    r1 = r10
    r1 += -4
    call look
    exit
    look:
    r2 = r1
    r1 = map 0 ll
    call bpf_map_lookup_elem
    if r0 == 0 goto out
    r0 = *(u64 *)(r0 + 0)
    out:
    exit
    """
    assert case.run(text).value == 33


def test_a_key_in_a_packet() -> None:
    case = Case(ARRAY)
    case.maps[0].update(key(2), value(22))
    text = """
    r2 = *(u64 *)(r1 - 64)
    r1 = map 0 ll
    call bpf_map_lookup_elem
    if r0 == 0 goto out
    r0 = *(u64 *)(r0 + 0)
    out:
    exit
    """
    assert case.run(text, packet=key(2)).value == 22


def test_what_is_no_map() -> None:
    text = """
    *(u32 *)(r10 - 4) = 1
    r1 = map 0 ll
    r1 += 8
    r2 = r10
    r2 += -4
    call bpf_map_lookup_elem
    exit
    """
    assert Case(ARRAY).run(text).value == 0


def test_maps_that_programs_may_not_read_or_write() -> None:
    closed = {**ARRAY, "flags": _core.MAP_FLAGS["PROGRAM_WRITES_ONLY"]}
    assert Case(closed).run(LOOKUP.format(key=1, map=0, where=-4)).value == 0
    sealed = Case({**ARRAY, "flags": _core.MAP_FLAGS["PROGRAM_READS_ONLY"]})
    assert sealed.run(UPDATE.format(key=1, value=5, flags=0)).value == -1
    assert sealed.maps[0].lookup(key(1)) == value(0)


UPDATE = """
*(u32 *)(r10 - 4) = {key}
*(u64 *)(r10 - 16) = {value}
r1 = map 0 ll
r2 = r10
r2 += -4
r3 = r10
r3 += -16
r4 = {flags}
call bpf_map_update_elem
exit
"""


def test_updates() -> None:
    case = Case(HASH)
    assert case.run(UPDATE.format(key=1, value=5, flags=2)).value == -2  # nothing to replace
    assert case.run(UPDATE.format(key=1, value=5, flags=1)).value == 0
    assert case.run(UPDATE.format(key=1, value=6, flags=1)).value == -17  # there already
    assert case.run(UPDATE.format(key=1, value=7, flags=0)).value == 0
    assert case.maps[0].lookup(key(1)) == value(7)
    assert case.run(UPDATE.format(key=1, value=8, flags=77)).value == -22
    for number in range(2, 5):
        assert case.run(UPDATE.format(key=number, value=1, flags=0)).value == 0
    assert case.run(UPDATE.format(key=9, value=1, flags=0)).value == -7  # full


def test_a_value_that_is_not_all_there() -> None:
    text = UPDATE.replace("r3 += -16", "r3 += -4").format(key=1, value=5, flags=0)
    case = Case(HASH)
    assert case.run(text).value == -14
    assert case.maps[0].lookup(key(1)) is None
