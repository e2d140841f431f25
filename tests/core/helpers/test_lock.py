"""Spin locks in map values, and pointers that are swapped."""

from __future__ import annotations

import threading

from tests.core.helpers.running import Case
from tests.core.helpers.texts import pointer

SHAPE = {"kind": "array", "key_size": 4, "value_size": 16, "max_entries": 2, "lock_offset": 0}
TAKE = "r6 = value 0 ll\nr1 = r6\ncall bpf_spin_lock\n"
GIVE = "r1 = r6\ncall bpf_spin_unlock\n"
COUNT = """
r6 = value 0 ll
r7 = 2000
again:
r1 = r6
call bpf_spin_lock
r1 = *(u64 *)(r6 + 8)
r1 += 1
*(u64 *)(r6 + 8) = r1
r1 = r6
call bpf_spin_unlock
r7 += -1
if r7 != 0 goto again
r0 = 0
exit
"""


def counted(case: Case) -> int:
    value = case.maps[0].lookup(bytes(4))
    assert value is not None
    return int.from_bytes(value[8:], "little")


def test_programs_under_a_lock_lose_nothing() -> None:
    case = Case(SHAPE, cpus=4)
    program = case.program(COUNT)
    ends = []

    def work() -> None:
        for _ in range(5):
            ends.append(program.run(timeout=30.0)[1])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ends == [None] * 20
    assert counted(case) == 4 * 5 * 2000


def test_users_take_the_same_lock() -> None:
    case = Case(SHAPE)
    text = TAKE + pointer("r2", -4) + GIVE + "r0 = 0\nexit"
    assert case.run(text).end == ""
    assert case.maps[0].update(bytes(4), bytes(16), 4) == 0


def test_a_lock_taken_twice_ends_the_run() -> None:
    case = Case(SHAPE)
    assert case.run(TAKE + TAKE + "exit").end == "HELPER_FAILED"
    assert case.run(TAKE + GIVE + "r0 = 0\nexit").end == ""  # it was given back


def test_a_lock_not_taken_cannot_be_given() -> None:
    assert Case(SHAPE).run("r6 = value 0 ll\n" + GIVE + "exit").end == "HELPER_FAILED"


def test_a_run_that_is_stopped_gives_its_lock_back() -> None:
    case = Case(SHAPE)
    assert case.run(TAKE + "again:\ngoto again", budget=10_000).end == "OUT_OF_BUDGET"
    assert case.run(TAKE + "exit").end == ""  # it ends with the lock
    assert case.run(TAKE + GIVE + "r0 = 0\nexit", timeout=10.0).end == ""


def test_only_a_values_lock_is_a_lock() -> None:
    plain = {name: value for name, value in SHAPE.items() if name != "lock_offset"}
    for shape, text in (
        (plain, TAKE),
        (SHAPE, "r1 = r10\nr1 += -8\ncall bpf_spin_lock\n"),
        (SHAPE, "r1 = 64\ncall bpf_spin_lock\n"),
        (SHAPE, "r1 = value 0 ll\nr1 += 2\ncall bpf_spin_lock\n"),
    ):
        assert Case(shape).run(text + "exit").end == "HELPER_FAILED"


def test_an_update_does_not_wait_for_its_own_lock() -> None:
    text = (
        TAKE
        + f"""
    *(u32 *)(r10 - 4) = 0
    *(u64 *)(r10 - 16) = 0
    *(u64 *)(r10 - 24) = 0
    r1 = map 0 ll
    {pointer("r2", -4)}
    {pointer("r3", -24)}
    r4 = 4
    call bpf_map_update_elem
    r7 = r0
    {GIVE}
    r0 = r7
    exit
    """
    )
    assert Case(SHAPE).run(text, timeout=10.0).value == -16


def test_a_pointer_is_swapped() -> None:
    case = Case({"kind": "array", "key_size": 4, "value_size": 8, "max_entries": 1})
    swap = "r1 = value 0 ll\nr2 = {}\ncall bpf_kptr_xchg\nexit"
    assert [case.run(swap.format(word)).value for word in (5, 6, 0)] == [0, 5, 6]
    assert case.run("r1 = 8\nr2 = 0\ncall bpf_kptr_xchg\nexit").end == "HELPER_FAILED"
