"""Ring buffers and user rings as Python sees them."""

from __future__ import annotations

import asyncio
import gc
import select
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable

import pytest

from anybpf._core import Domain, Map, RingProducer
from anybpf.errors import AnyBPFError, ClosedError, RingTimeout
from anybpf.maps.ring import RingReader, UserRing
from tests.core.maps.small import make, refused

LONG = 30.0  # seconds nothing here takes


@pytest.fixture
def events() -> Map:
    return make(Domain(2), "ringbuf", 0, 0, 4096, name="events")


@pytest.fixture
def producer(events: Map) -> RingProducer:
    return RingProducer(events)


@pytest.fixture
def commands() -> Map:
    return make(Domain(2), "user_ringbuf", 0, 0, 256, name="commands")


def soon(call: Callable[..., object], *arguments: object) -> None:
    threading.Timer(0.02, call, arguments).start()


# Reading.


def test_one_record_or_a_time_limit(events: Map, producer: RingProducer) -> None:
    with RingReader(events) as reader:
        soon(producer.output, b"record")
        assert reader.read(LONG) == b"record"
        with pytest.raises(RingTimeout, match="no record came to map events in time"):
            reader.read(0.01)
        with pytest.raises(TimeoutError):
            reader.read(0)


def test_batches_come_as_soon_as_there_is_one_record(events: Map, producer: RingProducer) -> None:
    with RingReader(events, timeout=LONG) as reader:
        soon(producer.output, b"first")
        assert reader.read_batch() == [b"first"]
        producer.output_many([b"%d" % n for n in range(5)])
        assert reader.read_batch(3) == [b"0", b"1", b"2"]
        assert reader.read_batch(timeout=0) == [b"3", b"4"]
        assert reader.read_batch(timeout=0) == []


def test_iteration_ends_when_nothing_comes_in_time(events: Map, producer: RingProducer) -> None:
    with RingReader(events, timeout=0.05) as reader:
        producer.output_many([b"a", b"b"])
        soon(producer.output, b"c")
        assert list(reader) == [b"a", b"b", b"c"]
        producer.output(b"d")
        assert next(reader) == b"d"


def test_what_iteration_leaves_is_still_in_the_ring(events: Map, producer: RingProducer) -> None:
    producer.output_many([b"a", b"b"])
    with RingReader(events, timeout=0) as reader:
        for _ in reader:
            break
    assert RingReader(events).read(0) == b"b"


def test_a_discarded_record_does_not_end_a_wait(events: Map, producer: RingProducer) -> None:
    with RingReader(events) as reader:
        record = producer.reserve(8)
        assert not isinstance(record, int)
        soon(record.discard)
        threading.Timer(0.05, producer.output, [b"a real one"]).start()
        assert reader.read(LONG) == b"a real one"


def test_packed_records(events: Map, producer: RingProducer) -> None:
    with RingReader(events) as reader:
        soon(producer.output, b"one")
        assert reader.read_packed(timeout=LONG).data == b"one"
        producer.output_many([b"one", b"", b"three"])
        packed = reader.read_packed(timeout=0)
        assert packed.data == b"onethree"
        assert packed.offsets.tolist() == [0, 3, 3, 8]
        assert list(packed) == [b"one", b"", b"three"]
        assert [bytes(packed[1]), bytes(packed[-1])] == [b"", b"three"]
        with pytest.raises(IndexError):
            packed[3]
        assert len(reader.read_packed(timeout=0)) == 0


def test_flush_ends_a_wait_with_what_is_there(events: Map) -> None:
    with RingReader(events) as reader:
        soon(reader.flush)
        assert reader.read_batch(timeout=LONG) == []
        soon(reader.flush)
        assert list(reader) == []


def test_closing_wakes_whoever_waits(events: Map) -> None:
    reader = RingReader(events)
    soon(reader.close)
    with pytest.raises(ClosedError, match="map events: this reader was closed while it waited"):
        reader.read(LONG)
    with pytest.raises(ClosedError, match="make another"):
        reader.read(0)
    with pytest.raises(ClosedError):
        list(reader)
    assert reader.closed
    assert "closed" in repr(reader)
    RingReader(events).close()


def test_many_threads_may_wait(events: Map, producer: RingProducer) -> None:
    reader = RingReader(events, timeout=LONG)
    found: list[bytes] = []

    def read() -> None:
        found.append(reader.read())

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    producer.output_many([b"1", b"2", b"3", b"4"])
    for thread in threads:
        thread.join(LONG)
    assert sorted(found) == [b"1", b"2", b"3", b"4"]


def test_one_reader_at_a_time(events: Map) -> None:
    with RingReader(events), refused("BUSY"):
        RingReader(events)


def test_a_reader_that_is_forgotten_lets_go(events: Map) -> None:
    reader = RingReader(events)
    gone = weakref.ref(reader)
    del reader
    assert gone() is None
    RingReader(events).close()


def test_an_interrupt_ends_a_wait() -> None:
    program = (
        "import _thread, signal, threading\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell may have it ignored
        "from anybpf._core import Domain, Map\n"
        "from anybpf.maps.ring import RingReader\n"
        "events = Map(Domain(1), 1, 'ringbuf', 0, 0, 4096)\n"
        "threading.Timer(0.1, _thread.interrupt_main).start()\n"
        "try:\n"
        "    RingReader(events).read(30)\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted')\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=20
    )
    assert run.stdout == "interrupted\n", run.stderr


# Leases.


def test_leased_records_are_memory_of_the_ring(events: Map, producer: RingProducer) -> None:
    with RingReader(events, timeout=0) as reader:
        producer.output_many([b"one", b"two", b"three"])
        with reader.lease(2) as records:
            assert records == [b"one", b"two"]
            assert reader.unread == 48, "until they are given back"
            with pytest.raises(TypeError):
                records[0][0] = 1
            with pytest.raises(BufferError, match="leased"):
                reader.read()
        with pytest.raises(ValueError, match="released"):
            records[0].tobytes()
        assert reader.unread == 16
        assert reader.read() == b"three"


def test_a_slice_that_outlives_its_lease_keeps_it(events: Map, producer: RingProducer) -> None:
    with RingReader(events, timeout=0) as reader:
        producer.output_many([b"record", b"next"])
        lease = reader.lease(1)
        piece = lease.records[0][1:3]
        with pytest.raises(BufferError, match="still in use"):
            lease.release()
        assert bytes(piece) == b"ec"
        piece.release()
        lease.release()
        lease.release()
        assert reader.read() == b"next"


def test_a_lease_that_is_dropped_ends_with_its_last_view(
    events: Map, producer: RingProducer
) -> None:
    with RingReader(events, timeout=0) as reader:
        producer.output_many([b"record", b"next"])
        view = reader.lease(1).records[0]
        gc.collect()
        assert bytes(view) == b"record"
        with pytest.raises(BufferError):
            reader.read()
        del view
        gc.collect()
        assert reader.read() == b"next"


def test_a_lease_may_outlive_its_reader(events: Map, producer: RingProducer) -> None:
    producer.output_many([b"record", b"next"])
    reader = RingReader(events)
    lease = reader.lease(1, timeout=0)
    reader.close()
    assert lease.records == [b"record"]
    with refused("BUSY"):
        RingReader(events)
    lease.release()
    assert RingReader(events).read(0) == b"next"


def test_a_lease_waits_for_records(events: Map, producer: RingProducer) -> None:
    with RingReader(events) as reader:
        soon(producer.output, b"record")
        with reader.lease(timeout=LONG) as records:
            assert records == [b"record"]
        with reader.lease(timeout=0.01) as records:
            assert records == []


def test_a_full_ring_stays_full_while_it_is_leased(events: Map, producer: RingProducer) -> None:
    with RingReader(events, timeout=0) as reader:
        while producer.output(bytes(100)) == 0:
            pass
        with reader.lease():
            assert producer.output(bytes(100)) != 0
        assert producer.output(bytes(100)) == 0


# Descriptors and asyncio.

linux = pytest.mark.skipif(sys.platform != "linux", reason="descriptors to wait for are Linux's")


@linux
def test_the_descriptor_is_readable_while_there_is_something(
    events: Map, producer: RingProducer
) -> None:
    with RingReader(events, timeout=0) as reader:

        def readable(timeout: float = 0.0) -> bool:
            return bool(select.select([reader], [], [], timeout)[0])

        assert not readable()
        producer.output_many([b"one", b"two"])
        assert readable()
        assert reader.read() == b"one"
        assert readable(), "there is another"
        assert reader.read() == b"two"
        assert not readable()
        soon(producer.output, b"three")
        assert readable(LONG)
        with reader.lease() as records:
            assert records == [b"three"]
        assert not readable()


@linux
def test_the_descriptor_tells_of_other_processes_too() -> None:
    domain = Domain(2, shared=True)
    events = make(domain, "ringbuf", 0, 0, 4096, name="events", shared=True)
    program = (
        "import sys\n"
        "from anybpf._core import Domain, Map, RingProducer\n"
        "events = Map.attach(Domain.attach(int(sys.argv[1])), int(sys.argv[2]))\n"
        "RingProducer(events).output(b'from afar')\n"
    )
    with RingReader(events) as reader:
        reader.fileno()
        subprocess.run(
            [sys.executable, "-c", program, str(domain.fd), str(events.fd)],
            pass_fds=(domain.fd, events.fd), check=True, timeout=LONG,
        )  # fmt: skip
        assert select.select([reader], [], [], LONG)[0]
        assert reader.read(0) == b"from afar"


def test_asyncio_reads_as_records_come(events: Map, producer: RingProducer) -> None:
    async def read() -> list[bytes]:
        asyncio.get_running_loop().call_later(0.02, producer.output_many, [b"a", b"b"])
        with RingReader(events, timeout=0.2) as reader:
            first = await reader.aread()
            return [first, *[record async for record in reader]]

    assert asyncio.run(read()) == [b"a", b"b"]


def test_asyncio_has_time_limits_and_flushes(events: Map) -> None:
    async def read() -> None:
        with RingReader(events) as reader:
            assert await reader.aread_batch(timeout=0.02) == []
            with pytest.raises(RingTimeout):
                await reader.aread(timeout=0)
            asyncio.get_running_loop().call_later(0.02, reader.flush)
            assert await reader.aread_batch(timeout=LONG) == []
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(reader.aread(), 0.02)

    asyncio.run(read())


def test_asyncio_is_woken_by_closing(events: Map) -> None:
    async def read() -> None:
        reader = RingReader(events)
        soon(reader.close)
        with pytest.raises(ClosedError):
            await reader.aread(LONG)

    asyncio.run(read())


def test_asyncio_polls_where_there_is_no_descriptor(
    events: Map, producer: RingProducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def read() -> bytes:
        loop = asyncio.get_running_loop()

        def refuse(*_: object) -> None:
            raise NotImplementedError

        monkeypatch.setattr(loop, "add_reader", refuse)
        loop.call_later(0.02, producer.output, b"record")
        with RingReader(events) as reader:
            return await reader.aread(LONG)

    assert asyncio.run(read()) == b"record"


# User rings.


def drained(commands: Map) -> list[bytes]:
    found: list[bytes] = []
    RingProducer(commands).drain(found.append)
    return found


def test_users_write_and_programs_drain(commands: Map) -> None:
    with UserRing(commands) as ring:
        ring.write(b"one")
        with ring.reserve(3) as record:
            record[:] = b"two"
        with pytest.raises(ZeroDivisionError), ring.reserve(8):
            _ = 1 // 0
        assert (ring.unread, ring.size) == (48, 256)
        assert drained(commands) == [b"one", b"two"]
        assert ring.unread == 0


def test_a_record_in_hand_is_submitted_when_its_views_are_gone(commands: Map) -> None:
    ring = UserRing(commands)
    record = ring.reserve(4)
    with pytest.raises(BufferError, match="release"), record as view:
        other = view[:2]
    other.release()
    assert drained(commands) == []
    record.submit()
    assert drained(commands) == [bytes(4)]
    with pytest.raises(ValueError, match="already"):
        record.submit()


def test_a_full_user_ring(commands: Map) -> None:
    ring = UserRing(commands)
    assert ring.write_many([bytes(56)] * 9) == 3
    with pytest.raises(RingTimeout, match="no room for a record of 56 bytes: let its program"):
        ring.write(bytes(56))
    with pytest.raises(RingTimeout):
        ring.reserve(56, timeout=0.01)
    soon(drained, commands)
    ring.write(bytes(56), timeout=LONG)
    soon(drained, commands)
    assert ring.write_many([bytes(56)] * 4, timeout=LONG) == 4
    with refused("TOO_BIG"):
        ring.write(bytes(249))
    with refused("TOO_BIG"):
        ring.reserve(249)


def test_closing_wakes_a_writer(commands: Map) -> None:
    ring = UserRing(commands)
    ring.write_many([bytes(56)] * 3)
    soon(ring.close)
    with pytest.raises(ClosedError):
        ring.write(bytes(56), timeout=None)
    with pytest.raises(AnyBPFError):
        ring.write(b"")
    assert ring.closed
