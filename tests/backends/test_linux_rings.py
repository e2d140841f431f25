"""Records between programs of the running kernel and us, over memory that both see."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from anybpf.backends.linux import LinuxBackend
from anybpf.backends.linux.maps import CommandRing, Ring
from anybpf.errors import ClosedError, MapError, RingTimeout
from tests.backends.test_linux_load import RING
from tests.runtime.making import collection, map_spec

Build = Callable[..., Path]

DRAIN = """
typedef unsigned int u32;
typedef unsigned long long u64;
#define SEC(name) __attribute__((section(name), used))
#define __uint(name, value) int (*name)[value]
struct bpf_dynptr { u64 words[2]; } __attribute__((aligned(8)));
static long (*bpf_dynptr_read)(void *to, u32 size, const struct bpf_dynptr *from, u32 offset,
                               u64 flags) = (void *)201;
static long (*bpf_user_ringbuf_drain)(void *map, void *function, void *ctx, u64 flags)
    = (void *)209;

struct {
    __uint(type, 31);
    __uint(max_entries, 4096);
} commands SEC(".maps");

u64 sum;

static long take(struct bpf_dynptr *record, void *ctx)
{
    u32 value = 0;
    if (bpf_dynptr_read(&value, sizeof(value), record, 0, 0)) return 1;
    sum += value;
    return 0;
}

SEC("syscall") int drain(void *ctx) { return bpf_user_ringbuf_drain(&commands, take, 0, 0); }
char _license[] SEC("license") = "GPL";
"""


def test_a_program_drains_what_we_write(kernel: LinuxBackend, build: Build) -> None:
    with kernel.load(build(DRAIN)) as loaded:
        commands, drain = loaded.map("commands"), loaded.program("drain")
        assert isinstance(commands, CommandRing)
        with commands.writer() as ring:
            assert ring.write_many([number.to_bytes(4, "little") for number in range(5)]) == 5
            assert ring.unread == 5 * 16
            with pytest.raises(ValueError, match="different"), ring.reserve(4) as record:
                record[:] = b"more than there is room for"  # so it is thrown away
            assert drain.test_run().retval == 5
            assert (ring.unread, loaded.variable("sum").value) == (0, 10)
            # Full, and round the end.
            assert ring.write_many([bytes([1, 0, 0, 0])] * 1000) == 4096 // 16
            with pytest.raises(RingTimeout, match="no room"):
                ring.write(b"more", 0.01)
            assert drain.test_run().retval == 256
            assert loaded.variable("sum").value == 10 + 256
            with pytest.raises(MapError, match="never fits"):
                ring.write(bytes(5000))
        with pytest.raises(ClosedError):
            ring.write(b"late")


def test_a_reader_waits_in_asyncio(kernel: LinuxBackend) -> None:
    with kernel.load(collection(RING, maps=[map_spec("events", "ringbuf", 0, 0, 4096)])) as loaded:
        events, program = loaded.map("events"), loaded.program()
        assert isinstance(events, Ring)

        async def work() -> None:
            with events.reader() as reader:
                asyncio.get_running_loop().call_later(0.02, lambda: program.test_run(bytes(64)))
                assert await reader.aread(5) == (7).to_bytes(8, "little")
                with pytest.raises(RingTimeout):
                    await reader.aread(0.01)
                asyncio.get_running_loop().call_later(0.02, reader.flush)
                assert await reader.aread_batch(10, 5) == []
                program.test_run(bytes(64), repeat=3)
                reader.timeout = 0
                assert len([record async for record in reader]) == 3

        asyncio.run(work())


def test_a_waiting_reader_is_woken(kernel: LinuxBackend) -> None:
    """By a record, by flushing and by closing; in another thread."""
    with kernel.load(collection(RING, maps=[map_spec("events", "ringbuf", 0, 0, 4096)])) as loaded:
        events = loaded.map("events")
        assert isinstance(events, Ring)
        with events.reader() as reader:

            def later(action: Callable[[], object]) -> threading.Thread:
                def body() -> None:
                    time.sleep(0.02)
                    action()

                thread = threading.Thread(target=body)
                thread.start()
                return thread

            thread = later(lambda: loaded.program().test_run(bytes(64)))
            assert len(reader.read_batch(5)) == 1
            thread.join()
            thread = later(reader.flush)
            assert reader.read_batch(5) == []
            thread.join()
            thread = later(reader.close)
            with pytest.raises(ClosedError, match="was closed"):
                reader.read()
            thread.join()
