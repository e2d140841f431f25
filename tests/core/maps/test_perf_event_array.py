"""Perf event arrays straight from the core: a ring for each processor."""

from __future__ import annotations

import pytest

from anybpf import _core
from anybpf._core import Domain, RingConsumer, RingProducer
from tests.core.maps.small import SmallMap, flags, make, refused

CPUS = 3


def events(size: int = 4096, entries: int = CPUS, *names: str) -> SmallMap:
    return make(
        Domain(CPUS), "perf_event_array", 4, 4, entries, extra=size, flags=flags(*names)
    )  # fmt: skip


def status(number: int) -> str:
    return _core.STATUSES[number]


@pytest.mark.parametrize("size", [32, 96, 4097, 1 << 32])
def test_the_size_is_a_power_of_two(size: int) -> None:
    with refused("BAD_SIZE"):
        events(size)


def test_without_a_size_of_its_own_a_ring_has_max_entries_bytes() -> None:
    array = make(Domain(CPUS), "perf_event_array", 0, 0, 8192)
    assert RingConsumer(array).size == 8192


def test_each_processor_has_a_ring() -> None:
    array = events()
    producer, consumer = RingProducer(array), RingConsumer(array)
    assert consumer.rings == CPUS
    for cpu in range(CPUS):
        assert producer.output_event(b"from %d" % cpu, cpu) == 0
    for cpu in range(CPUS):
        assert consumer.read(10, cpu) == [(cpu, b"from %d" % cpu, 0)]


def test_a_ring_that_is_not_there_is_refused() -> None:
    producer = RingProducer(events())
    assert status(producer.output_event(b"", CPUS)) == "BAD_INDEX"
    assert status(RingProducer(events(4096, 2)).output_event(b"", 2)) == "BAD_INDEX"
    with pytest.raises(ValueError, match="no ring"):
        RingConsumer(events()).read(1, CPUS)


def test_what_is_lost_is_told_by_the_next_event() -> None:
    array = events(64)
    producer, consumer = RingProducer(array), RingConsumer(array)
    assert status(producer.output_event(bytes(100), 0)) == "TOO_BIG"
    assert [status(producer.output_event(bytes(20), 0)) for _ in range(4)] == [
        "OK", "NO_SPACE", "NO_SPACE", "NO_SPACE",
    ]  # fmt: skip
    assert consumer.lost(0) == 3
    assert consumer.read(10) == [(0, bytes(20), 0)]
    producer.output_event(b"next", 0)
    assert consumer.read(10) == [(0, b"next", 3)]
    producer.output_event(b"and then", 0)
    assert consumer.read(10) == [(0, b"and then", 0)]
    assert [consumer.lost(cpu) for cpu in range(CPUS)] == [3, 0, 0]


def test_a_ring_that_overwrites_keeps_the_newest() -> None:
    array = events(128, CPUS, "OVERWRITES")
    producer, consumer = RingProducer(array), RingConsumer(array)
    for n in range(10):
        assert producer.output_event(b"event %2d" % n, 0) == 0
    # Sixteen bytes each: seven fit, since a ring is never quite full.
    assert consumer.read(2) == [(0, b"event  3", 3), (0, b"event  4", 0)]
    assert consumer.lost(0) == 3
    for n in range(10, 14):
        producer.output_event(b"event %2d" % n, 0)
    assert [record[1:] for record in consumer.read()] == [
        (b"event  7", 2), *((b"event %2d" % n, 0) for n in range(8, 14)),
    ]  # fmt: skip
    with refused("NOT_SUPPORTED"):
        consumer.lease()


def test_events_without_a_reader_are_refused_where_the_platform_says_so() -> None:
    array = events(4096, CPUS, "NEEDS_READER")
    producer = RingProducer(array)
    assert status(producer.output_event(b"", 0)) == "MISSING"
    consumer = RingConsumer(array)
    assert status(producer.output_event(b"read", 0)) == "OK"
    assert consumer.read() == [(0, b"read", 0)]
    producer.output_event(b"never read", 0)
    consumer.close()
    second = RingConsumer(array)
    assert second.read() == []
    second.set_wakeup(2, 0)
    producer.output_event(b"", 0)
    assert second.wait(0.01) == 0, "the first reader's events do not count"


def test_a_waiting_reader_is_woken_at_the_watermark() -> None:
    array = events()
    producer, consumer = RingProducer(array), RingConsumer(array)
    consumer.set_wakeup(3, 0)
    producer.output_event(b"", 0)
    producer.output_event(b"", 0)
    assert consumer.wait(0.01) == 0
    producer.output_event(b"", 0)
    assert consumer.wait(5) == 1
    consumer.read()
    consumer.set_wakeup(0, 64)
    producer.output_event(bytes(40), 1)
    assert consumer.wait(0.01) == 0
    producer.output_event(bytes(8), 1)
    assert consumer.wait(5) == 1
    assert consumer.unread(1) == 64


def test_a_batch_and_a_lease_of_one_processor() -> None:
    array = events()
    producer, consumer = RingProducer(array), RingConsumer(array)
    producer.output_event(b"one", 1)
    producer.output_event(b"two", 1)
    with consumer.lease(1, 1) as records:
        assert records == [b"one"]
    assert consumer.batch(10, 1)[0] == b"two"
    assert array.check() is None
