"""User rings straight from the core: users write, and what a program does to drain them."""

from __future__ import annotations

import threading

import pytest

from anybpf import _core
from anybpf._core import Domain, RingConsumer, RingProducer
from tests.core.maps.small import SmallMap, make, refused

NO_WAKEUP, FORCE_WAKEUP = 1, 2
MOST_DRAINED = 128 * 1024


def ring(size: int = 4096) -> SmallMap:
    return make(Domain(2), "user_ringbuf", 0, 0, size)


def drain(producer: RingProducer, flags: int = 0) -> tuple[str, list[bytes]]:
    found: list[bytes] = []
    status, visited = producer.drain(found.append, flags)
    assert visited == len(found)
    return _core.STATUSES[status], found


@pytest.mark.parametrize("size", [0, 63, 96, 4097])
def test_the_size_is_a_power_of_two(size: int) -> None:
    with refused("BAD_SIZE"):
        ring(size)


def test_a_program_sees_what_users_wrote() -> None:
    producer = RingProducer(ring())
    producer.output_many([b"one", b"two"])
    assert drain(producer) == ("OK", [b"one", b"two"])
    assert drain(producer) == ("OK", [])


def test_users_do_not_read_it() -> None:
    with refused("NOT_SUPPORTED"):
        RingConsumer(ring())


def test_a_callback_ends_the_draining_after_its_record() -> None:
    producer = RingProducer(ring())
    producer.output_many([b"one", b"two", b"three"])
    assert producer.drain(lambda sample: sample == b"two") == (0, 2)
    assert drain(producer) == ("OK", [b"three"])


def test_busy_records_are_waited_for_and_discarded_ones_skipped() -> None:
    producer = RingProducer(ring())
    first, second = producer.reserve(8), producer.reserve(4)
    assert not isinstance(first, int)
    assert not isinstance(second, int)
    memoryview(second)[:] = b"next"
    second.submit()
    assert drain(producer) == ("OK", [])
    first.discard()
    assert drain(producer) == ("OK", [b"next"])


def test_nobody_drains_while_somebody_drains() -> None:
    producer = RingProducer(ring())
    producer.output(b"x")
    inside: list[tuple[int, int]] = []
    producer.drain(lambda sample: inside.append(producer.drain(print)))
    assert [(_core.STATUSES[status], count) for status, count in inside] == [("BUSY", 0)]


def test_draining_ends_at_so_many_records() -> None:
    producer = RingProducer(ring(1 << 21))
    status, written = producer.output_many([b""] * (MOST_DRAINED + 5))
    assert (status, written) == (0, MOST_DRAINED + 5)
    assert producer.drain(lambda sample: 0) == (0, MOST_DRAINED)
    assert producer.drain(lambda sample: 0) == (0, 5)


def test_flags_that_do_not_exist_are_refused() -> None:
    producer = RingProducer(ring())
    assert drain(producer, 4) == ("BAD_FLAGS", [])
    assert drain(producer, NO_WAKEUP | FORCE_WAKEUP) == ("OK", [])


def test_an_error_in_a_callback_ends_the_draining() -> None:
    producer = RingProducer(ring())
    producer.output_many([b"bad", b"good"])
    with pytest.raises(ZeroDivisionError):
        producer.drain(lambda sample: 1 // 0)
    assert drain(producer) == ("OK", [b"good"])


def test_writers_wait_for_room() -> None:
    producer = RingProducer(ring(64))
    assert producer.output(bytes(48)) == 0
    assert not producer.wait(48, 0.01)
    threading.Timer(0.02, drain, [producer]).start()
    assert producer.wait(48, 30)
    assert producer.output(bytes(48)) == 0


def test_a_writer_that_waits_is_woken_by_closing() -> None:
    producer = RingProducer(ring(64))
    producer.output(bytes(48))
    threading.Timer(0.02, producer.close).start()
    assert not producer.wait(48, 30)
