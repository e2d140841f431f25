"""Helpers that send records to users, and take theirs."""

from __future__ import annotations

import pytest

from anybpf import _core
from tests.core.helpers.running import XDP_BYTES, Case
from tests.core.helpers.texts import pointer

RING = {"kind": "ringbuf", "key_size": 0, "value_size": 0, "max_entries": 4096}
EAGAIN, EINVAL, E2BIG, EFAULT, ENOSPC = -11, -22, -7, -14, -28


def records(case: Case) -> int:
    """Bytes that wait in the ring, with headers."""
    return case.run("r1 = map 0 ll\nr2 = 0\ncall bpf_ringbuf_query\nexit").value


def output(size: int, flags: int = 0) -> str:
    return f"""
    *(u64 *)(r10 - 8) = 1
    *(u64 *)(r10 - 16) = 2
    r1 = map 0 ll
    {pointer("r2", -16)}
    r3 = {size}
    r4 = {flags}
    call bpf_ringbuf_output
    exit
    """


def test_a_record_is_sent() -> None:
    case = Case(RING)
    assert case.run(output(16)).value == 0
    assert records(case) == 24


def test_what_cannot_be_sent_is_refused() -> None:
    case = Case(RING)
    assert case.run(output(17)).value == EFAULT
    assert case.run(output(16, 4)).value == EINVAL
    assert case.run(output(16, 4), platform="windows").value == 0  # flags are ignored
    full = (
        "r6 = 400\nagain:\n"
        + output(16).replace("exit", "")
        + "r6 += -1\nif r6 != 0 goto again\nexit"
    )
    assert case.run(full).value == EAGAIN
    assert case.run(output(16), platform="windows").value == -12


RESERVE = """
r1 = map 0 ll
r2 = {size}
r3 = 0
call bpf_ringbuf_reserve
if r0 == 0 goto none
{use}
r1 = r0
r2 = 0
call bpf_ringbuf_{end}
r0 = 0
exit
none:
r0 = -1
exit
"""


def test_a_record_is_reserved_written_and_submitted_or_not() -> None:
    case = Case(RING)
    use = "r1 = 7\n*(u64 *)(r0 + 0) = r1\n*(u64 *)(r0 + 8) = r1"
    assert case.run(RESERVE.format(size=16, use=use, end="submit")).value == 0
    assert records(case) == 24
    assert case.run(RESERVE.format(size=16, use=use, end="discard")).value == 0
    assert case.run(RESERVE.format(size=1 << 20, use="", end="submit")).value == -1


@pytest.mark.parametrize("address", ["0", "8", "-1", "0x7fff00000000"])
def test_a_record_that_is_none_is_not_touched(address: str) -> None:
    case = Case(RING)
    for end in ("submit", "discard"):
        result = case.run(f"r1 = {address} ll\nr2 = 0\ncall bpf_ringbuf_{end}\nr0 = 0\nexit")
        assert (result.end, result.value) == ("", 0)
    twice = RESERVE.format(size=8, use="r6 = r0", end="submit").replace(
        "r0 = 0\nexit", "r1 = r6\nr2 = 0\ncall bpf_ringbuf_submit\nr0 = 0\nexit", 1
    )
    assert case.run(twice).value == 0
    assert records(case) == 16


DYNPTR = f"""
r1 = map 0 ll
r2 = {{size}}
r3 = 0
{pointer("r4", -16)}
call bpf_ringbuf_reserve_dynptr
r6 = r0
*(u64 *)(r10 - 24) = 77
{pointer("r1", -16)}
r2 = {{at}}
{pointer("r3", -24)}
r4 = 8
r5 = 0
call bpf_dynptr_write
r7 = r0
{pointer("r1", -16)}
r2 = 0
call bpf_ringbuf_submit_dynptr
r0 = r7
r0 <<= 16
w6 &= 0xffff
r0 |= r6
exit
"""


def dynptr(size: int, at: int) -> tuple[int, int]:
    value = Case(RING).run(DYNPTR.format(size=size, at=at)).value
    low = value & 0xFFFF
    return (low - (1 << 16) if low >> 15 else low), value >> 16


def test_a_record_may_be_written_through_a_dynptr() -> None:
    assert dynptr(32, 24) == (0, 0)
    assert dynptr(32, 25) == (0, E2BIG)
    assert dynptr(1 << 20, 0)[0] == EINVAL
    assert dynptr(1 << 24, 0)[0] == E2BIG


DRAIN = """
*(u64 *)(r10 - 8) = 0
r1 = map 0 ll
r2 = function each ll
r3 = r10
r3 += -8
r4 = {flags}
call bpf_user_ringbuf_drain
r1 = *(u64 *)(r10 - 8)
r1 <<= 32
r0 += r1
exit
each:
r6 = r2
r3 = r1
r1 = r10
r1 += -8
r2 = 8
r4 = 0
r5 = 0
call bpf_dynptr_read
r1 = *(u64 *)(r10 - 8)
r2 = *(u64 *)(r6 + 0)
r1 += r2
*(u64 *)(r6 + 0) = r1
r0 = 0
exit
"""


def test_users_records_are_drained() -> None:
    case = Case({"kind": "user_ringbuf", "key_size": 0, "value_size": 0, "max_entries": 4096})
    producer = _core.RingProducer(case.maps[0])
    for number in (5, 6):
        reservation = producer.reserve(8)
        assert not isinstance(reservation, int)
        memory = memoryview(reservation)
        memory[:] = number.to_bytes(8, "little")
        memory.release()
        reservation.submit()
    assert case.run(DRAIN.format(flags=0)).value == (11 << 32) + 2
    assert case.run(DRAIN.format(flags=0)).value == 0
    assert case.run(DRAIN.format(flags=4)).value == EINVAL


PERF = {
    "kind": "perf_event_array", "key_size": 4, "value_size": 4, "max_entries": 2, "extra": 4096
}  # fmt: skip
CURRENT = 0xFFFFFFFF


def perf(flags: int, size: int = 8) -> str:
    return f"""
    *(u64 *)(r10 - 8) = 1
    r2 = map 0 ll
    r3 = {flags} ll
    {pointer("r4", -8)}
    r5 = {size}
    call bpf_perf_event_output
    exit
    """


def test_events_go_to_this_processors_ring() -> None:
    case = Case(PERF)
    packet = bytes(64)
    assert case.run(perf(CURRENT), packet).value == 0
    assert case.run(perf(1), packet, cpu=1).value == 0
    assert case.run(perf(1), packet, cpu=0).value == -95
    assert case.run(perf(7), packet).value == E2BIG
    assert case.run(perf(1 << 60), packet).value == EINVAL
    assert case.run(perf(CURRENT, 9), packet).value == EFAULT


def test_some_of_the_packet_may_follow() -> None:
    case = Case(PERF)
    assert case.run(perf(CURRENT | 64 << 32), bytes(64)).value == 0
    assert case.run(perf(CURRENT | 65 << 32), bytes(64)).value == EFAULT
    assert case.run(perf(CURRENT | 65 << 32), bytes(64), platform="windows").value == -6
    assert case.run(perf(CURRENT | 8 << 32), platform="windows").value == -18


def test_a_full_ring_says_so() -> None:
    case = Case(PERF)
    text = "r6 = r1\nr7 = 400\nagain:\nr1 = r6\n" + perf(CURRENT).replace("exit", "")
    text += "r7 += -1\nif r7 != 0 goto again\nexit"
    assert case.run(text, context=bytes(XDP_BYTES)).value == ENOSPC
