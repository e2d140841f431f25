"""Programs write, Python reads; and the other way round: whole, from load to record."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from anybpf.errors import RunError
from anybpf.maps.perf import Event, PerfReader
from anybpf.maps.ring import RingReader, UserRing
from anybpf.objects.specs import CollectionSpec
from anybpf.runtime import Collection, Runtime
from tests.objects.conftest import Build
from tests.objects.sources import PRELUDE
from tests.runtime.making import collection, map_spec

RESERVES = """
    r1 = map[events]
    r2 = 16
    r3 = 0
    call bpf_ringbuf_reserve
    if r0 == 0 goto full
    r1 = 7
    *(u64 *)(r0 + 0) = r1
    *(u64 *)(r0 + 8) = r1
    r1 = r0
    r2 = 0
    call bpf_ringbuf_submit
    r0 = 2
    exit
full:
    r0 = 1
    exit
"""
TAKES_ITS_TIME = """
    r1 = map[events]
    r2 = 16
    r3 = 0
    call bpf_ringbuf_reserve
    if r0 == 0 goto full
    r6 = r0
    r7 = 0
again:
    r7 += 1
    if r7 < 1000 goto again
    *(u64 *)(r6 + 0) = r7
    *(u64 *)(r6 + 8) = r7
    r1 = r6
    r2 = 0
    call bpf_ringbuf_submit
    r0 = 2
    exit
full:
    r0 = 1
    exit
"""
PUTS_OUT = """
    r1 = 42
    *(u64 *)(r10 - 8) = r1
    r1 = map[events]
    r2 = r10
    r2 += -8
    r3 = 8
    r4 = 0
    call bpf_ringbuf_output
    r0 = 2
    exit
"""
# Eight bytes of its own, and the first four of the packet.
PERF = """
    r2 = 42
    *(u64 *)(r10 - 8) = r2
    r2 = map[events]
    r3 = 0x4ffffffff ll
    r4 = r10
    r4 += -8
    r5 = 8
    call bpf_perf_event_output
    r0 = 2
    exit
"""


@contextmanager
def load(source: CollectionSpec | Path) -> Iterator[Collection]:
    with Runtime("linux", cpus=2) as runtime, runtime.load(source) as loaded:
        yield loaded


@pytest.mark.parametrize("text", [RESERVES, PUTS_OUT], ids=["reserve", "output"])
def test_records_of_programs(text: str) -> None:
    spec = collection(text, maps=[map_spec("events", "ringbuf", 0, 0, 4096)])
    with load(spec) as loaded, RingReader(loaded.map("events"), timeout=0) as reader:
        assert loaded.program().test_run(bytes(64), repeat=3).retval_name == "XDP_PASS"
        expected = struct.pack("=QQ", 7, 7) if text is RESERVES else struct.pack("=Q", 42)
        assert list(reader) == [expected] * 3


def test_a_full_ring_is_the_programs_to_handle() -> None:
    spec = collection(RESERVES, maps=[map_spec("events", "ringbuf", 0, 0, 4096)])
    with load(spec) as loaded, RingReader(loaded.map("events"), timeout=0) as reader:
        last = loaded.program().test_run(bytes(64), repeat=1000)
        assert last.retval_name == "XDP_DROP"
        assert len(list(reader)) == 4096 // 24


def test_a_program_that_is_stopped_does_not_hold_its_ring_up() -> None:
    spec = collection(TAKES_ITS_TIME, maps=[map_spec("events", "ringbuf", 0, 0, 4096)])
    with load(spec) as loaded, RingReader(loaded.map("events"), timeout=0) as reader:
        with pytest.raises(RunError):
            loaded.program().test_run(bytes(64), budget=100)
        loaded.program().test_run(bytes(64))
        assert list(reader) == [struct.pack("=QQ", 1000, 1000)]
        assert reader.unread == 0


def test_events_of_programs_with_the_packets_first_bytes() -> None:
    spec = collection(PERF, maps=[map_spec("events", "perf_event_array", 4, 4, 2)])
    with load(spec) as loaded, PerfReader(loaded.map("events"), timeout=0) as reader:
        loaded.program().test_run(b"\x01\x02\x03\x04" + bytes(60), cpu=1)
        assert list(reader) == [Event(1, struct.pack("=Q4B", 42, 1, 2, 3, 4), 0)]


SUMS = (
    PRELUDE
    + """
struct { __uint(type, 31); __uint(max_entries, 4096); } commands SEC(".maps");
HELPER long (*drain)(void *map, void *callback, void *ctx, __u64 flags) = (void *)209;
HELPER long (*dynptr_read)(void *to, __u32 size, void *from, __u32 at, __u64 flags) = (void *)201;

static long add(void *record, void *sum)
{
    __u32 number = 0;

    if (dynptr_read(&number, sizeof(number), record, 0, 0) == 0)
        *(__u64 *)sum += number;
    return 0;
}

SEC("tc") int sums(void *ctx)
{
    __u64 sum = 0;

    drain(&commands, add, &sum, 0);
    return (int)sum;
}
"""
)


def test_records_for_programs(build: Build) -> None:
    with load(build(SUMS)) as loaded, UserRing(loaded.map("commands")) as ring:
        ring.write_many([struct.pack("=I", number) for number in range(100)])
        assert loaded.program().test_run(bytes(64)).retval == sum(range(100))
        assert ring.unread == 0
        ring.write(b"???")  # too short for the program
        assert loaded.program().test_run(bytes(64)).retval == 0
