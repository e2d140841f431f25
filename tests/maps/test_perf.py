"""Perf event arrays as Python sees them."""

from __future__ import annotations

import asyncio
import threading

import pytest

from anybpf._core import Domain, Map, RingProducer
from anybpf.errors import ClosedError, RingTimeout
from anybpf.maps.perf import Event, Part, PerfReader
from tests.core.maps.small import flags, make

CPUS = 3
LONG = 30.0


@pytest.fixture
def events() -> Map:
    return make(Domain(CPUS), "perf_event_array", 4, 4, CPUS, extra=4096, name="events")


def test_events_of_all_processors(events: Map) -> None:
    producer = RingProducer(events)
    with PerfReader(events, timeout=0) as reader:
        for cpu in (2, 0, 2):
            producer.output_event(b"x", cpu)
        found = list(reader)
        assert sorted(found) == [Event(0, b"x", 0), Event(2, b"x", 0), Event(2, b"x", 0)]
        with pytest.raises(RingTimeout):
            reader.read()


def test_every_processor_has_its_turn(events: Map) -> None:
    producer = RingProducer(events)
    for cpu in range(CPUS):
        for _ in range(3):
            producer.output_event(b"", cpu)
    with PerfReader(events, timeout=0) as reader:
        assert [event.cpu for event in reader] == [0, 1, 2, 0, 1, 2, 0, 1, 2]


def test_a_batch_goes_on_with_the_next_processor(events: Map) -> None:
    producer = RingProducer(events)
    for cpu in range(CPUS):
        producer.output_event(b"", cpu)
    with PerfReader(events) as reader:
        assert [event.cpu for event in reader.read_batch(2)] == [0, 1]
        assert [event.cpu for event in reader.read_batch(2)] == [2]


def test_losses_are_told(events: Map) -> None:
    producer = RingProducer(events)
    with PerfReader(events, timeout=0) as reader:
        written = 0
        while producer.output_event(bytes(100), 1) == 0:
            written += 1
        assert (reader.lost, reader.lost_by_cpu) == (1, [0, 1, 0])
        assert reader.unread == [0, written * 112, 0]
        assert len(list(reader)) == written
        producer.output_event(b"after", 1)
        assert reader.read() == Event(cpu=1, data=b"after", lost=1)


def test_overwriting_keeps_the_newest() -> None:
    array = make(
        Domain(1), "perf_event_array", 4, 4, 1, extra=128, flags=flags("OVERWRITES")
    )  # fmt: skip
    producer = RingProducer(array)
    with PerfReader(array, timeout=0) as reader:
        for n in range(20):
            producer.output_event(b"%8d" % n, 0)
        found = list(reader)
        assert [int(event.data) for event in found] == list(range(13, 20))
        assert [event.lost for event in found] == [13, 0, 0, 0, 0, 0, 0]


def test_a_waiting_reader_is_woken_at_the_watermark(events: Map) -> None:
    producer = RingProducer(events)
    with PerfReader(events, wake_events=3) as reader:
        producer.output_event(b"1", 0)
        assert not reader.wait(0.01)
        assert len(reader.read_batch(timeout=0)) == 1, "what is there is read all the same"
        done = threading.Event()

        def produce() -> None:
            for n in range(3):
                done.wait(0.01)
                producer.output_event(b"%d" % n, 0)

        threading.Timer(0.01, produce).start()
        assert len(reader.read_batch(timeout=LONG)) == 3
        reader.set_wakeup()
        producer.output_event(b"at once", 0)
        assert reader.wait(LONG)


def test_a_time_limit_ends_with_what_is_below_the_watermark(events: Map) -> None:
    producer = RingProducer(events)
    with PerfReader(events, wake_bytes=1024) as reader:
        threading.Timer(0.01, producer.output_event, [b"few bytes", 0]).start()
        assert [event.data for event in reader.read_batch(timeout=0.1)] == [b"few bytes"]


def test_leases_by_processor(events: Map) -> None:
    producer = RingProducer(events)
    producer.output_event(b"in place", 2)
    with PerfReader(events, timeout=0) as reader:
        with reader.lease(2) as records:
            assert records == [b"in place"]
        assert reader.unread == [0, 0, 0]


def test_asyncio(events: Map) -> None:
    producer = RingProducer(events)

    async def read() -> list[Event]:
        asyncio.get_running_loop().call_later(0.02, producer.output_event, b"x", 1)
        with PerfReader(events, timeout=0.2) as reader:
            return [event async for event in reader]

    assert asyncio.run(read()) == [Event(1, b"x", 0)]


def test_closing_wakes_whoever_waits(events: Map) -> None:
    reader = PerfReader(events)
    threading.Timer(0.02, reader.close).start()
    with pytest.raises(ClosedError):
        reader.read()
    with pytest.raises(ClosedError):
        _ = reader.lost


def test_events_end_to_end(events: Map) -> None:
    producer = RingProducer(events)
    with PerfReader(events, timeout=0) as reader:
        for cpu, data in ((2, b"a"), (0, b"bcd"), (2, b""), (2, b"ef")):
            producer.output_event(data, cpu)
        found = reader.read_packed()
        assert found.data == b"bcdaef"
        assert list(found.offsets) == [0, 3, 4, 4, 6]
        assert found.parts == [Part(0, 0, 1, 0), Part(2, 1, 4, 0)]
        assert [bytes(event) for event in found] == [b"bcd", b"a", b"", b"ef"]
        assert bytes(found[-1]) == b"ef"
        nothing = reader.read_packed()
        assert (len(nothing), nothing.data, nothing.parts) == (0, b"", [])


def test_no_more_events_than_asked_for_end_to_end(events: Map) -> None:
    producer = RingProducer(events)
    for cpu in range(CPUS):
        for number in range(3):
            producer.output_event(bytes([cpu, number]), cpu)
    with PerfReader(events, timeout=0) as reader:
        found = [reader.read_packed(4) for _ in range(3)]
        assert [len(each) for each in found] == [4, 4, 1]
        assert found[0].parts == [Part(0, 0, 3, 0), Part(1, 3, 4, 0)]
        assert found[1].parts == [Part(1, 0, 2, 0), Part(2, 2, 4, 0)]
        assert bytes(found[2][0]) == bytes([2, 2])
        assert len(reader.read_packed()) == 0


def test_losses_are_told_end_to_end(events: Map) -> None:
    producer = RingProducer(events)
    with PerfReader(events, timeout=0) as reader:
        while producer.output_event(bytes(100), 1) == 0:
            pass
        reader.read_packed(1)
        producer.output_event(b"after", 1)
        found = reader.read_packed()
        assert bytes(found[len(found) - 1]) == b"after"
        assert [part.lost for part in found.parts] == [1]


def test_overwritten_events_end_to_end() -> None:
    events = make(Domain(1), "perf_event_array", 4, 4, 1, extra=4096, flags=flags("OVERWRITES"))
    producer = RingProducer(events)
    with PerfReader(events, timeout=0) as reader:
        for number in range(1000):
            producer.output_event(number.to_bytes(100, "little"), 0)
        found = reader.read_packed()
        numbers = [int.from_bytes(event, "little") for event in found]
        assert numbers == list(range(1000 - len(numbers), 1000))
        assert 20 < len(numbers) < 41


def test_reading_end_to_end_waits_and_ends_with_the_reader(events: Map) -> None:
    reader = PerfReader(events)
    producer = RingProducer(events)
    timer = threading.Timer(0.05, producer.output_event, (b"late", 1))
    timer.start()
    assert reader.read_packed(timeout=LONG).data == b"late"
    timer.join()
    end = threading.Timer(0.05, reader.close)
    end.start()
    with pytest.raises(ClosedError):
        reader.read_packed(timeout=LONG)
    end.join()
    with pytest.raises(ClosedError):
        reader.read_packed()
