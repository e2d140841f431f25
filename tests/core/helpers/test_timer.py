"""Timers: set by programs, fired by the host."""

from __future__ import annotations

import os
import threading
import time
from typing import Any

import pytest

from anybpf import _core
from tests.core.helpers.running import Case

# A value: a timer of 16 bytes, and how often it fired.
SHAPE = {
    "kind": "array", "key_size": 4, "value_size": 24, "max_entries": 3, "timer_offset": 0
}  # fmt: skip
EPERM, EINVAL, EBUSY, EDEADLK, EOPNOTSUPP = -1, -22, -16, -35, -95

BEGIN = """
r6 = value 0 ll
r6 += 24
r1 = r6
r2 = map 0 ll
r3 = {clock}
call bpf_timer_init
"""
SET = """
r1 = r6
r2 = function fired ll
call bpf_timer_set_callback
"""
START = """
r1 = r6
r2 = {delay} ll
r3 = {flags}
call bpf_timer_start
"""
FIRED = """
exit
fired:
r1 = *(u32 *)(r2 + 0)
r4 = *(u64 *)(r3 + 16)
r4 += r1
*(u64 *)(r3 + 16) = r4
r6 = r3
{more}
r0 = 0
exit
"""
CANCEL = "r1 = r6\ncall bpf_timer_cancel\n"


def counted(case: Case) -> int:
    value = case.maps[0].lookup(b"\1\0\0\0")
    assert value is not None
    return int.from_bytes(value[16:], "little")


def whole(delay: int = 0, flags: int = 0, clock: int = 1, more: str = "") -> str:
    return (
        BEGIN.format(clock=clock)
        + SET
        + START.format(delay=delay, flags=flags)
        + FIRED.format(more=more)
    )


@pytest.mark.parametrize("clock", [0, 1, 7])
def test_a_timer_fires_once_with_its_key_and_value(clock: int) -> None:
    case = Case(SHAPE)
    timers = _core.Timers(case.domain)
    program = case.program(whole(clock=clock))
    assert program() == 0
    assert timers.next() is not None
    assert timers.fire() == (1, [])
    assert counted(case) == 1
    assert timers.next() is None
    assert timers.fire() == (0, [])


def test_it_fires_when_it_is_due() -> None:
    case = Case(SHAPE)
    timers = _core.Timers(case.domain)
    program = case.program(whole(delay=30_000_000))
    before = time.monotonic_ns()
    assert program() == 0
    due = timers.next()
    assert due is not None
    assert before + 30_000_000 <= due <= time.monotonic_ns() + 30_000_000
    assert timers.fire() == (0, [])
    assert not timers.wait(timers.ticket, 0.04)
    assert timers.fire()[0] == 1


def test_absolute_times_are_the_clocks() -> None:
    case = Case(SHAPE)
    timers = _core.Timers(case.domain)
    program = case.program(whole(delay=time.monotonic_ns() + 10**10, flags=1))
    assert program() == 0
    due = timers.next()
    assert due is not None
    assert abs(due - time.monotonic_ns() - 10**10) < 10**9


def test_it_may_start_itself_again() -> None:
    case = Case(SHAPE)
    timers = _core.Timers(case.domain)
    program = case.program(whole(more=START.format(delay=0, flags=0)))
    assert program() == 0
    for _ in range(3):
        assert timers.fire()[0] >= 1
    assert counted(case) >= 3


def test_it_can_be_cancelled_but_not_by_itself() -> None:
    case = Case(SHAPE)
    timers = _core.Timers(case.domain)
    text = BEGIN.format(clock=1) + SET + START.format(delay=0, flags=0) + CANCEL
    program = case.program(text + FIRED.format(more=""))
    assert program() == 1
    assert timers.fire() == (0, [])
    other = Case(SHAPE)
    later = _core.Timers(other.domain)
    more = CANCEL + "*(u64 *)(r6 + 16) = r0"
    second = other.program(whole(more=more))
    assert second() == 0
    assert later.fire()[0] == 1
    assert counted(other) - (1 << 64) == EDEADLK


def test_what_is_not_set_up_does_not_start() -> None:
    case = Case(SHAPE)
    begin = "r6 = value 0 ll\nr6 += 24\n"
    assert case.run(BEGIN.format(clock=1) + "exit").value == EOPNOTSUPP
    timers = _core.Timers(case.domain)
    assert case.run(begin + CANCEL + "exit").value == EINVAL
    assert case.run(begin + START.format(delay=0, flags=0) + "exit").value == EINVAL
    assert case.run(BEGIN.format(clock=5) + "exit").value == EINVAL
    assert case.run(BEGIN.format(clock=1) + "exit").value == 0
    assert case.run(BEGIN.format(clock=1) + "exit").value == EBUSY
    assert case.run(begin + START.format(delay=0, flags=0) + "exit").value == EINVAL
    assert case.run(begin + "r1 = r10\nr1 += -16\ncall bpf_timer_cancel\nexit").value == EINVAL
    assert timers.next() is None


def test_a_timer_of_a_program_that_is_gone_does_not_fire() -> None:
    case = Case(SHAPE)
    timers = _core.Timers(case.domain)
    program = case.program(whole())
    assert program() == 0
    program.close()
    assert timers.fire() == (0, [])
    assert counted(case) == 0


def test_a_timer_of_a_map_that_is_gone_does_not_fire() -> None:
    case = Case(SHAPE)
    timers = _core.Timers(case.domain)
    program = case.program(whole())
    assert program() == 0
    program.close()
    del program
    case.maps.pop().close()
    case.domain.synchronize()
    case.domain.collect()
    assert timers.fire() == (0, [])


def test_a_callback_that_runs_away_is_stopped() -> None:
    case = Case(SHAPE)
    timers = _core.Timers(case.domain)
    program = case.program(whole(more="again:\ngoto again"))
    assert program() == 0
    count, stops = timers.fire(10_000)
    assert count == 1
    assert [_core.ENDS[stop[0]] for stop, _ in stops] == ["OUT_OF_BUDGET"]


def test_timers_can_be_closed_with_some_running() -> None:
    case = Case(SHAPE)
    timers = _core.Timers(case.domain)
    assert case.program(whole(delay=10**12))() == 0
    timers.close()
    with pytest.raises(ValueError, match="closed"):
        timers.fire()
    assert case.run(BEGIN.format(clock=1) + "exit").value == EOPNOTSUPP


@pytest.mark.parametrize("kind", ["hash", "lru_hash"])
def test_an_entry_that_is_deleted_does_not_fire(kind: str) -> None:
    case = Case({**SHAPE, "kind": kind})
    timers = _core.Timers(case.domain)
    entry = case.maps[0]
    look_up = """
    *(u32 *)(r10 - 4) = 1
    r1 = map 0 ll
    r2 = r10
    r2 += -4
    call bpf_map_lookup_elem
    if r0 == 0 goto none
    r6 = r0
    """
    init = "r1 = r6\nr2 = map 0 ll\nr3 = 1\ncall bpf_timer_init\n"
    text = look_up + init + SET + START.format(delay=0, flags=0) + "exit\nnone:\nr0 = -99"
    program = case.program(text + FIRED.format(more=""))
    for fires in (1, 0, 1):
        entry.update(b"\1\0\0\0", bytes(24))
        assert program() == 0
        if fires:
            assert timers.fire() == (1, [])
            assert counted(case) == 1
            entry.delete(b"\1\0\0\0")
        else:
            entry.delete(b"\1\0\0\0")
            assert timers.fire() == (0, [])


# Linux: a callback is given up with its timer.
def test_what_was_cancelled_has_no_callback_any_more() -> None:
    case = Case(SHAPE)
    timers = _core.Timers(case.domain)
    text = BEGIN.format(clock=1) + SET + START.format(delay=10**9, flags=0) + CANCEL
    assert case.program(text + START.format(delay=0, flags=0) + FIRED.format(more=""))() == (
        EINVAL % (1 << 64)
    )
    again = "r6 = value 0 ll\nr6 += 24\n" + SET + START.format(delay=0, flags=0)
    program = case.program(again + FIRED.format(more=""))
    assert program() == 0
    assert timers.fire() == (1, [])


# A value: a timer, and two words. The callback sets the first, and waits until a user sets the
# second; its result says what went on meanwhile.
WAITING = """
*(u64 *)(r3 + 16) = 1
again:
r1 = *(u64 *)(r3 + 24)
if r1 == 0 goto again
*(u64 *)(r3 + 16) = 2
"""
WORDS = {**SHAPE, "value_size": 32}


class Firing:
    """A timer whose callback runs in another thread until it is let go."""

    def __init__(self, case: Case, timers: _core.Timers, index: int = 1, more: str = "") -> None:
        self.case = case
        self.key = index.to_bytes(4, "little")
        text = whole(more=WAITING + more).replace("+= 24", f"+= {index * 32}")
        text = text.replace("r4 = *(u64 *)(r3 + 16)\nr4 += r1\n*(u64 *)(r3 + 16) = r4\n", "")
        self.program = case.program(text)
        assert self.program() == 0
        self.fired: list[tuple[int, list[Any]]] = []
        self.thread = threading.Thread(target=lambda: self.fired.append(timers.fire()))
        self.thread.start()
        self.wait_until(16, 1)

    def word(self, offset: int) -> int:
        value = self.case.maps[0].lookup(self.key)
        assert value is not None
        return int.from_bytes(value[offset : offset + 8], "little")

    def wait_until(self, offset: int, expected: int) -> None:
        end = time.monotonic() + 10
        while self.word(offset) != expected:
            assert time.monotonic() < end
            time.sleep(0.001)

    def let_go(self) -> None:
        with self.case.maps[0].values_view() as view, view.cast("B") as raw:
            raw[int.from_bytes(self.key, "little") * 32 + 24] = 1

    def end(self) -> list[tuple[int, list[Any]]]:
        self.let_go()
        self.thread.join(10)
        assert not self.thread.is_alive()
        return self.fired


def cancelling(index: int = 1) -> str:
    return f"r6 = value 0 ll\nr6 += {index * 32}\n" + CANCEL


def test_a_canceller_waits_for_the_callback_that_runs() -> None:
    case = Case(WORDS)
    firing = Firing(case, _core.Timers(case.domain))
    canceller = case.program(cancelling() + "r7 = r0\nr0 = *(u64 *)(r6 + 16)\nexit")
    seen: list[object] = []
    thread = threading.Thread(target=lambda: seen.append(canceller()))
    thread.start()
    thread.join(0.1)
    assert not seen
    assert firing.end() == [(1, [])]
    thread.join(10)
    assert seen == [2]  # what the callback wrote last


def test_a_callback_that_is_cancelled_does_not_start_itself_again() -> None:
    case = Case(WORDS)
    timers = _core.Timers(case.domain)
    again = START.format(delay=0, flags=0) + "r6 = r6\n*(u64 *)(r6 + 16) = r0\n"
    firing = Firing(case, timers, more=again)
    canceller = case.program(cancelling() + "exit")
    seen: list[object] = []
    thread = threading.Thread(target=lambda: seen.append(canceller()))
    thread.start()
    thread.join(0.05)
    firing.end()
    thread.join(10)
    assert seen == [0]
    assert firing.word(16) == EINVAL % (1 << 64)
    assert timers.next() is None


def test_a_canceller_that_is_stopped_waits_no_longer() -> None:
    case = Case(WORDS)
    firing = Firing(case, _core.Timers(case.domain))
    canceller = case.program(cancelling() + "exit")
    outcome = canceller.run(context=bytes(24), timeout=0.02)
    assert outcome[1] is not None
    assert _core.ENDS[outcome[1][0]] == "OUT_OF_TIME"
    assert firing.end() == [(1, [])]


def test_a_map_without_users_has_no_timers() -> None:
    case = Case(SHAPE)
    timers = _core.Timers(case.domain)
    entry = case.maps[0]
    start = "r6 = value 0 ll\nr6 += 24\n" + START.format(delay=0, flags=0)
    program = case.program(whole())
    assert program() == 0
    entry.abandon(True)
    assert timers.next() is None
    assert timers.fire() == (0, [])
    assert case.run(start + "exit").value == EINVAL
    assert case.run(BEGIN.format(clock=1) + "exit").value == EPERM
    entry.abandon(False)
    assert program() == 0
    assert timers.fire() == (1, [])


def test_a_map_may_lose_its_users_while_a_callback_runs() -> None:
    case = Case(WORDS)
    timers = _core.Timers(case.domain)
    firing = Firing(case, timers, more=START.format(delay=0, flags=0) + "*(u64 *)(r6 + 16) = r0\n")
    case.maps[0].abandon(True)  # which does not wait
    assert firing.end() == [(1, [])]
    assert firing.word(16) == EINVAL % (1 << 64)
    case.maps[0].abandon(False)
    assert case.run(BEGIN.format(clock=1).replace("24", "32") + "exit").value == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_child_has_the_timers_of_memory_that_it_does_not_share() -> None:
    case = Case(SHAPE)
    timers = _core.Timers(case.domain)
    program = case.program(whole())
    assert program() == 0
    child = os.fork()
    if child == 0:
        try:
            cancel = "r6 = value 0 ll\nr6 += 24\n" + CANCEL + "exit"
            good = timers.fire()[0] == 1 and counted(case) == 1 and case.run(cancel).value == 0
            os._exit(0 if good else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert timers.fire() == (1, [])
    assert counted(case) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_child_need_not_wait_for_what_its_parent_fires() -> None:
    case = Case(WORDS)
    timers = _core.Timers(case.domain)
    firing = Firing(case, timers)
    child = os.fork()
    if child == 0:
        try:
            good = case.run(cancelling() + "exit").value == 0 and timers.fire() == (0, [])
            timers.close()
            os._exit(0 if good else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert firing.end() == [(1, [])]
