"""Helpers on maps: what they return, on both platforms, and whom they believe."""

from __future__ import annotations

import pytest

from anybpf import _core
from tests.core.helpers.running import Case
from tests.core.helpers.texts import pointer

HASH = {"kind": "hash", "key_size": 4, "value_size": 8, "max_entries": 2}
ARRAY = {"kind": "array", "key_size": 4, "value_size": 8, "max_entries": 2}
QUEUE = {"kind": "queue", "key_size": 0, "value_size": 8, "max_entries": 1}
KEY = b"\1\0\0\0"

# Key 1 and value 7 lie on the stack.
PREPARE = """
*(u32 *)(r10 - 4) = 1
*(u64 *)(r10 - 16) = 7
r1 = map 0 ll
r2 = r10
r2 += -4
r3 = r10
r3 += -16
r4 = {flags}
"""


def update(flags: int = 0) -> str:
    return PREPARE.format(flags=flags) + "call bpf_map_update_elem\nexit"


def delete() -> str:
    return PREPARE.format(flags=0) + "call bpf_map_delete_elem\nexit"


def test_an_entry_is_put_looked_up_and_deleted() -> None:
    case = Case(HASH)
    assert case.run(update()).value == 0
    assert case.maps[0].lookup(KEY) == (7).to_bytes(8, "little")
    text = PREPARE.format(flags=0) + (
        "call bpf_map_lookup_elem\nif r0 == 0 goto none\nr1 = *(u64 *)(r0 + 0)\nr1 += 1\n"
        "*(u64 *)(r0 + 0) = r1\nr0 = r1\nexit\nnone:\nr0 = -1\nexit"
    )
    assert case.run(text).value == 8
    assert case.maps[0].lookup(KEY) == (8).to_bytes(8, "little")
    assert case.run(delete()).value == 0
    assert case.run(text).value == -1


@pytest.mark.parametrize(
    ("platform", "missing", "exists"), [("linux", -2, -17), ("windows", -19, -8)]
)
def test_failures_have_the_platforms_numbers(platform: str, missing: int, exists: int) -> None:
    case = Case(HASH)
    assert case.run(delete(), platform=platform).value == missing
    assert case.run(update(2), platform=platform).value == missing
    assert case.run(update(1), platform=platform).value == 0
    assert case.run(update(1), platform=platform).value == exists


def test_an_array_refuses_what_it_cannot() -> None:
    case = Case(ARRAY)
    assert case.run(delete()).value == -22
    assert case.run(update(1)).value == -17
    assert case.run(update(9)).value == -22


@pytest.mark.parametrize("address", ["0", "64", "-1", "0x7fff00000000"])
def test_keys_and_values_must_be_the_programs(address: str) -> None:
    for register in ("r2", "r3"):
        text = (
            PREPARE.format(flags=0) + f"{register} = {address} ll\ncall bpf_map_update_elem\nexit"
        )
        assert Case(HASH).run(text).value == -14


@pytest.mark.parametrize("address", ["0", "64", "-1"])
@pytest.mark.parametrize(
    ("name", "value"),
    [("map_lookup_elem", 0), ("map_update_elem", -22), ("map_delete_elem", -22),
     ("map_push_elem", -22), ("map_pop_elem", -22), ("map_peek_elem", -22)],
)  # fmt: skip
def test_a_number_is_no_map(address: str, name: str, value: int) -> None:
    text = PREPARE.format(flags=0) + f"r1 = {address} ll\ncall bpf_{name}\nexit"
    assert Case(HASH).run(text).value == value


def test_another_programs_map_is_no_map() -> None:
    case = Case(HASH)
    first = case.program("r0 = map 0 ll\nexit")
    address = first()
    assert isinstance(address, int)
    case.maps.clear()
    text = f"*(u64 *)(r10 - 8) = 0\nr1 = {address} ll\n{pointer('r2', -8)}"
    assert case.run(text + "call bpf_map_lookup_elem\nexit").value == 0


def test_values_beyond_the_stack_are_not_read() -> None:
    text = "*(u32 *)(r10 - 4) = 1\nr1 = map 0 ll\n" + pointer("r2", -4) + pointer("r3", -4)
    assert Case(HASH).run(text + "r4 = 0\ncall bpf_map_update_elem\nexit").value == -14


def test_a_queue_is_pushed_peeked_and_popped() -> None:
    case = Case(QUEUE)
    push = "*(u64 *)(r10 - 8) = 9\nr1 = map 0 ll\n" + pointer("r2", -8) + "r3 = {}\n"
    push += "call bpf_map_push_elem\nexit"
    take = "*(u64 *)(r10 - 8) = 5\nr1 = map 0 ll\n" + pointer("r2", -8)
    take += "call bpf_map_{}_elem\nr1 = *(u64 *)(r10 - 8)\nr1 <<= 8\nr0 += r1\nexit"
    assert case.run(push.format(0)).value == 0
    assert case.run(push.format(0)).value == -7
    assert case.run(push.format(0), platform="windows").value == -29
    assert case.run(take.format("peek")).value == 9 << 8
    assert case.run(take.format("pop")).value == 9 << 8
    assert case.run(take.format("pop")).value == -2  # and a zero for the value
    assert case.run(take.format("pop"), platform="windows").value == -7


def test_windows_takes_an_entry_with_its_deletion() -> None:
    case = Case(HASH)
    assert case.run(update()).value == 0
    text = PREPARE.format(flags=0) + (
        "call bpf_map_lookup_and_delete_elem\nif r0 == 0 goto none\nr0 = *(u64 *)(r0 + 0)\nexit\n"
        "none:\nr0 = -1\nexit"
    )
    assert case.run(text, platform="windows").value == 7
    assert case.run(text, platform="windows").value == -1


def test_another_processors_value_is_found_by_number() -> None:
    case = Case({"kind": "percpu_array", "key_size": 4, "value_size": 8, "max_entries": 2}, cpus=2)
    case.maps[0].update(KEY, (10).to_bytes(8, "little") + (11).to_bytes(8, "little"))
    text = PREPARE.format(flags=0) + (
        "r3 = {}\ncall bpf_map_lookup_percpu_elem\nif r0 == 0 goto none\nr0 = *(u64 *)(r0 + 0)\n"
        "exit\nnone:\nr0 = -1\nexit"
    )
    assert [case.run(text.format(cpu)).value for cpu in (0, 1, 2, -1)] == [10, 11, -1, -1]


def test_a_map_inside_a_map_is_a_map() -> None:
    case = Case(HASH)
    inner = case.maps[0]
    inner.update(KEY, (7).to_bytes(8, "little"))
    outer = case.map(kind="array_of_maps", key_size=4, value_size=4, max_entries=2, inner=inner)
    assert outer.update(bytes(4), inner.id.to_bytes(4, "little")) == 0
    case.maps[:] = [outer]
    text = f"""
    *(u32 *)(r10 - 4) = 0
    *(u32 *)(r10 - 8) = 1
    r1 = map 0 ll
    {pointer("r2", -4)}
    call bpf_map_lookup_elem
    if r0 == 0 goto none
    r1 = r0
    {pointer("r2", -8)}
    call bpf_map_lookup_elem
    if r0 == 0 goto none
    r0 = *(u64 *)(r0 + 0)
    exit
    none:
    r0 = -1
    exit
    """
    assert case.run(text).value == 7


def test_entries_are_counted() -> None:
    case = Case(HASH)
    assert case.run(update()).value == 0
    assert case.run("r1 = map 0 ll\ncall bpf_map_sum_elem_count\nexit").value == 1


def test_storage_is_found_by_its_owner() -> None:
    case = Case({"kind": "local_storage", "key_size": 4, "value_size": 8, "max_entries": 8})
    get = """
    r1 = map 0 ll
    r2 = {owner}
    r3 = 0
    r4 = {flags}
    call bpf_sk_storage_get
    if r0 == 0 goto none
    r1 = *(u64 *)(r0 + 0)
    r1 += 1
    *(u64 *)(r0 + 0) = r1
    r0 = r1
    exit
    none:
    r0 = -1
    exit
    """
    assert case.run(get.format(owner=5, flags=0)).value == -1
    assert [case.run(get.format(owner=5, flags=1)).value for _ in range(2)] == [1, 2]
    assert case.run(get.format(owner=6, flags=1)).value == 1
    assert case.run(get.format(owner=0, flags=1)).value == -1
    drop = "r1 = map 0 ll\nr2 = {}\ncall bpf_sk_storage_delete\nexit"
    assert [case.run(drop.format(owner)).value for owner in (5, 5, 0)] == [0, -2, -22]


def test_statuses_have_names() -> None:
    assert _core.STATUSES[0] == "OK"
    assert "?" not in _core.STATUSES
