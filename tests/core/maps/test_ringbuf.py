"""Ring buffers straight from the core; and all rings in C, with threads and killed processes."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from anybpf import _core
from anybpf._core import Domain, RingConsumer, RingProducer
from tests.conftest import ROOT
from tests.core.maps.small import SmallMap, make, refused

CORE = ROOT / "src" / "core"
NO_WAKEUP, FORCE_WAKEUP = 1, 2
AVAILABLE, SIZE, CONSUMED, PRODUCED = range(4)


def ring(size: int = 4096, **more: object) -> SmallMap:
    return make(Domain(2), "ringbuf", 0, 0, size, **more)


def status(number: int) -> str:
    return _core.STATUSES[number]


@pytest.mark.parametrize("size", [0, 1, 32, 63, 96, 4095, 4097, 3 << 30])
def test_the_size_is_a_power_of_two(size: int) -> None:
    with refused("BAD_SIZE"):
        ring(size)


def test_records_come_out_as_they_went_in() -> None:
    events = ring()
    producer, consumer = RingProducer(events), RingConsumer(events)
    records = [bytes([n]) * n for n in range(40)]
    assert producer.output_many(records) == (0, 40)
    assert consumer.read() == records
    assert consumer.read() == []


def test_what_is_discarded_is_skipped() -> None:
    events = ring()
    producer, consumer = RingProducer(events), RingConsumer(events)
    first, second, third = (producer.reserve(8) for _ in range(3))
    assert not isinstance(first, int)
    assert not isinstance(second, int)
    assert not isinstance(third, int)
    memoryview(third)[:] = b"the last"
    third.submit()
    assert consumer.read() == [], "records come in the order they were reserved"
    first.discard()
    assert consumer.read() == []
    second.submit()
    assert consumer.read() == [bytes(8), b"the last"]


def test_a_reservation_that_is_dropped_is_discarded() -> None:
    events = ring()
    producer, consumer = RingProducer(events), RingConsumer(events)
    reservation = producer.reserve(8)
    producer.output(b"next")
    del reservation
    assert consumer.read() == [b"next"]


def test_positions_and_sizes_are_those_of_the_kernel() -> None:
    events = ring()
    producer = RingProducer(events)
    consumer = RingConsumer(events)
    producer.output(b"12345")  # 5 and a header of 8, rounded up to 8
    assert [producer.query(n) for n in (AVAILABLE, SIZE, CONSUMED, PRODUCED)] == [16, 4096, 0, 16]
    consumer.read()
    assert [producer.query(n) for n in (AVAILABLE, SIZE, CONSUMED, PRODUCED)] == [0, 4096, 16, 16]
    assert producer.query(4) == 0


def test_a_full_ring_takes_no_more_until_it_is_read() -> None:
    events = ring(64)
    producer, consumer = RingProducer(events), RingConsumer(events)
    assert status(producer.output(bytes(49))) == "TOO_BIG"
    assert status(producer.output(bytes(40))) == "OK"
    assert status(producer.output(b"")) == "OK"
    assert status(producer.output(b"")) == "NO_SPACE"
    assert len(consumer.read(1)[0]) == 40
    assert status(producer.output(bytes(40))) == "OK"


def test_records_may_cross_the_end_anywhere() -> None:
    events = ring(128)
    producer, consumer = RingProducer(events), RingConsumer(events)
    for n in range(1000):
        record = bytes((n + i) & 255 for i in range(n % 112))
        assert producer.output(record) == 0
        assert consumer.read() == [record]


def test_unknown_flags_are_refused() -> None:
    producer = RingProducer(ring())
    assert status(producer.output(b"", 4)) == "BAD_FLAGS"
    assert status(producer.output(b"", NO_WAKEUP | FORCE_WAKEUP)) == "OK"


def test_a_batch_is_one_piece_of_memory() -> None:
    events = ring()
    producer, consumer = RingProducer(events), RingConsumer(events)
    producer.output_many([b"one", b"", b"three"])
    data, offsets = consumer.batch()
    assert data == b"onethree"
    assert memoryview(offsets).cast("Q").tolist() == [0, 3, 3, 8]
    assert consumer.batch() == (b"", bytes(8))


def test_reading_stops_at_as_many_as_were_asked_for() -> None:
    events = ring()
    producer, consumer = RingProducer(events), RingConsumer(events)
    producer.output_many([b"%d" % n for n in range(10)])
    assert consumer.read(3) == [b"0", b"1", b"2"]
    assert consumer.batch(2)[0] == b"34"
    assert consumer.lease(2).records == [b"5", b"6"]  # and dropped: read
    assert consumer.read(0) == []
    assert consumer.read() == [b"7", b"8", b"9"]


def test_one_reader_at_a_time() -> None:
    events = ring()
    first = RingConsumer(events)
    with refused("BUSY"):
        RingConsumer(events)
    first.close()
    RingConsumer(events)


@pytest.mark.parametrize("kind", ["array", "hash"])
def test_only_maps_with_rings_are_read(kind: str) -> None:
    with refused("NOT_SUPPORTED"):
        RingConsumer(make(Domain(1), kind, 4, 8, 4))


def test_other_operations_are_not_for_rings() -> None:
    events = ring()
    assert status(events.update(b"", b"")) == "NOT_SUPPORTED"
    assert events.check() is None


def test_a_reader_that_waits_is_woken_when_it_has_read_all() -> None:
    events = ring()
    producer, consumer = RingProducer(events), RingConsumer(events)
    threading.Timer(0.02, producer.output, [b"x"]).start()
    assert consumer.wait(30) == 1
    assert consumer.wait(0) == 1
    consumer.read()
    assert consumer.wait(0.01) == 0


@pytest.mark.parametrize("flag", [0, NO_WAKEUP, FORCE_WAKEUP])
def test_a_descriptor_is_raised_as_the_flags_say(flag: int) -> None:
    events = ring()
    producer, consumer = RingProducer(events), RingConsumer(events)
    if consumer.fileno() < 0:
        pytest.skip("there are no descriptors to wait for here")

    def raised() -> bool:
        return bool(select.select([consumer], [], [], 0)[0])

    assert not raised()
    producer.output(b"not told", NO_WAKEUP)
    assert not raised()
    producer.output(b"not the next to be read, so it takes a flag", flag)
    assert raised() == (flag == FORCE_WAKEUP)
    assert len(consumer.read()) == 2
    assert not raised()
    producer.output(b"the next to be read", flag)
    assert raised() == (flag != NO_WAKEUP)


def test_memory_that_may_only_be_read_is_not_consumed() -> None:
    if sys.platform != "linux":
        pytest.skip("memory is shared on Linux only, for now")
    domain = Domain(2, shared=True)
    events = make(domain, "ringbuf", 0, 0, 4096, shared=True)
    other = Domain.attach(domain.fd)
    view = SmallMap.attach(other, events.fd, writable=False)
    with refused("DENIED"):
        RingConsumer(view)
    with refused("DENIED"):
        RingProducer(view)


def test_a_map_may_be_closed_before_its_reader() -> None:
    events = ring()
    consumer = RingConsumer(events)
    RingProducer(events).output(b"still there")
    events.close()
    assert consumer.read() == [b"still there"]


# Processes. What is shared and dies with a record in hand.

DIES = """
import os, signal, sys
from anybpf._core import Domain, Map, RingProducer
domain = Domain.attach(int(sys.argv[1]))
events = Map.attach(domain, int(sys.argv[2]))
producer = RingProducer(events)
producer.output(b"before")
reservation = producer.reserve(100)
print("reserved", flush=True)
if sys.argv[3] == "dies":
    os.kill(os.getpid(), signal.SIGKILL)
sys.stdin.read()
memoryview(reservation)[:5] = b"after"
reservation.submit()
"""


def other_process(events: SmallMap, domain: Domain, what: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-c", DIES, str(domain.fd), str(events.fd), what],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pass_fds=(domain.fd, events.fd),
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"reserved\n"
    return process


@pytest.mark.skipif(sys.platform != "linux", reason="memory is shared on Linux only, for now")
def test_a_record_whose_producer_died_is_discarded() -> None:
    domain = Domain(2, shared=True)
    events = make(domain, "ringbuf", 0, 0, 4096, shared=True)
    consumer, producer = RingConsumer(events), RingProducer(events)
    with other_process(events, domain, "dies") as process:
        assert process.wait() == -signal.SIGKILL
    producer.output(b"mine")
    assert consumer.wait(5) == 1
    assert consumer.read() == [b"before", b"mine"]


@pytest.mark.skipif(sys.platform != "linux", reason="memory is shared on Linux only, for now")
def test_a_record_whose_producer_lives_is_waited_for() -> None:
    domain = Domain(2, shared=True)
    events = make(domain, "ringbuf", 0, 0, 4096, shared=True)
    consumer, producer = RingConsumer(events), RingProducer(events)
    with other_process(events, domain, "lives") as process:
        producer.output(b"mine")
        assert consumer.read() == [b"before"]
        assert consumer.wait(0.02) == 0
        process.communicate(b"")
    assert consumer.wait(5) == 1
    first, second = consumer.read()
    assert first.startswith(b"after")
    assert second == b"mine"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_does_not_read_its_parents_ring() -> None:
    domain = Domain(2, shared=True) if sys.platform == "linux" else Domain(2)
    events = make(domain, "ringbuf", 0, 0, 4096, shared=domain.fd >= 0)
    consumer = RingConsumer(events)
    RingProducer(events).output(b"the parent's")
    child = os.fork()
    if child == 0:
        try:
            with refused("BUSY"):
                consumer.read()
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert consumer.read() == [b"the parent's"]


def test_many_threads_write_while_one_reads() -> None:
    events = ring(1 << 14)
    producer, consumer = RingProducer(events), RingConsumer(events)
    found: list[bytes] = []

    def produce(number: int) -> None:
        for n in range(500):
            while producer.output(b"%d %d" % (number, n)):
                time.sleep(0.0001)

    threads = [threading.Thread(target=produce, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    while len(found) < 4000:
        assert consumer.wait(30) == 1
        found += consumer.read()
    for thread in threads:
        thread.join()
    for number in range(8):
        mine = [int(record.split()[1]) for record in found if record.startswith(b"%d " % number)]
        assert mine == list(range(500))


# In C.


def build(place: Path, sanitizer: str) -> Path:
    compiler = next((name for name in ("cc", "gcc", "clang") if shutil.which(name)), None)
    if compiler is None:
        pytest.skip("no C compiler here")
    flags = [compiler, "-std=gnu11", "-g", "-O1", "-w", f"-fsanitize={sanitizer}"]
    probe = place / "probe.c"
    probe.write_text("int main(void) { return 0; }\n")
    probed = subprocess.run(
        [*flags, probe, "-o", place / "probe"], capture_output=True, check=False
    )
    if probed.returncode != 0:
        pytest.skip(f"no C compiler here links -fsanitize={sanitizer}")
    sources = [path for path in sorted(CORE.rglob("*.c")) if path.parent.name != "python"]
    program = place / "rings"
    built = subprocess.run(
        [*flags, f"-I{CORE}", Path(__file__).with_name("rings_tests.c"), *sources, "-pthread", "-o",
         program],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    return program


@pytest.mark.parametrize(
    ("sanitizer", "records", "kills"),
    [("address,undefined", 20000, 200), ("thread", 3000, 0)],
    ids=["addresses", "threads"],
)
def test_in_c_under_sanitizers(sanitizer: str, records: int, kills: int, tmp_path: Path) -> None:
    program = build(tmp_path, sanitizer)
    command = [str(program), str(records), str(kills)]
    if sanitizer == "thread" and shutil.which("setarch"):  # it needs its addresses at their places
        command = ["setarch", "-R", *command]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.strip() == "all passed"
