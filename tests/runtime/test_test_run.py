"""Test runs: data and context in, data and context out, results by name, limits that hold."""

from __future__ import annotations

import struct
import sys
import threading

import pytest

from anybpf.errors import AnyBPFError, InputError, NotSupported, RunError
from anybpf.runtime import Runtime
from tests.objects.conftest import Build
from tests.objects.sources import PRELUDE
from tests.runtime.making import DNS, PASS, collection, map_spec

SWAPS_FIRST_BYTE = """
    r2 = *(u32 *)(r1 + 0)
    r3 = *(u32 *)(r1 + 4)
    r4 = r2
    r4 += 1
    r0 = 0
    if r4 > r3 goto +3
    r0 = *(u8 *)(r2 + 0)
    r5 = 0x5a
    *(u8 *)(r2 + 0) = r5
    exit
"""
# Counts to 2^32: ends in time only because somebody stops it.
LONG = """
    r0 = 0
    r1 = 0
    r1 += 1
    r2 = r1
    r2 &= 1
    if r1 < 100000 goto -4
    exit
"""


def test_data_goes_in_and_out(runtime: Runtime) -> None:
    with runtime.load(collection(SWAPS_FIRST_BYTE)) as loaded:
        given = b"\x03" + bytes(63)
        result = loaded.program().test_run(given)
        assert result.retval == 3
        assert result.retval_name == "XDP_TX"
        assert result.data_out == b"\x5a" + bytes(63)
        assert result.data_size_out == 64
        assert given[0] == 3  # the caller's is a copy
        assert result.duration > 0
        assert result.repeat == 1


def test_repeats_go_on_with_the_same_packet(runtime: Runtime) -> None:
    with runtime.load(collection(SWAPS_FIRST_BYTE)) as loaded:
        assert loaded.program().test_run(b"\x03" + bytes(63), repeat=2).retval == 0x5A
        result = loaded.program().test_run(b"\x03" + bytes(63), repeat=10_000, batch=7)
        assert (result.retval, result.repeat) == (0x5A, 10_000)


def test_an_empty_packet_has_no_bytes(runtime: Runtime) -> None:
    with runtime.load(collection(SWAPS_FIRST_BYTE)) as loaded:
        assert loaded.program().test_run().retval == 0
        assert loaded.program().test_run(b"").data_out == b""


def test_the_context_comes_back(runtime: Runtime) -> None:
    text = "r2 = *(u32 *)(r1 + 8)\nr2 += 1\n*(u32 *)(r1 + 8) = r2\nr0 = 0\nexit"
    with runtime.load(collection(text, kind="sched_cls")) as loaded:
        result = loaded.program().test_run(DNS, ctx={"mark": 41, "priority": 5})
        assert result.context["mark"] == 42
        assert result.context["priority"] == 5
        assert struct.unpack_from("=I", result.ctx_out, 8) == (42,)
        # What the system derives from the packet.
        assert result.context["len"] == len(DNS)
        assert result.context["protocol"] == int.from_bytes(b"\x08\x00", sys.byteorder)
        assert result.retval_name == "TC_ACT_OK"


def test_metadata_lies_in_front_of_the_packet(runtime: Runtime) -> None:
    text = """
        r2 = *(u32 *)(r1 + 8)
        r3 = *(u32 *)(r1 + 0)
        r4 = r2
        r4 += 4
        r0 = 0
        if r4 > r3 goto +1
        r0 = *(u32 *)(r2 + 0)
        exit
    """
    with runtime.load(collection(text)) as loaded:
        data = (1).to_bytes(4, sys.byteorder) + bytes(60)
        result = loaded.program().test_run(data, ctx={"data": 4})
        assert result.retval == 1
        assert result.context["data"] == 4
        assert result.data_out == data  # as the kernel gives it back: metadata first
        assert loaded.program().test_run(data).retval == 0


def test_programs_above_the_link_layer_do_not_see_its_header(runtime: Runtime) -> None:
    text = """
        r2 = *(u32 *)(r1 + 76)
        r3 = *(u32 *)(r1 + 80)
        r4 = r2
        r4 += 1
        r0 = 0
        if r4 > r3 goto +2
        r0 = *(u8 *)(r2 + 0)
        r0 &= 1
        exit
    """
    with runtime.load(
        collection(text, kind="cgroup_skb", attach_type="cgroup_inet_ingress")
    ) as loaded:
        assert loaded.program().test_run(bytes(14) + b"\x01").retval == 1
        assert loaded.program().test_run(b"\x01" * 14 + b"\0").retval == 0
        with pytest.raises(InputError, match="link header of 14 bytes"):
            loaded.program().test_run(b"short")


@pytest.mark.parametrize("cpu", [0, 1])
def test_a_program_believes_where_it_is(runtime: Runtime, cpu: int) -> None:
    with runtime.load(collection("call bpf_get_smp_processor_id\nexit")) as loaded:
        assert loaded.program().test_run(bytes(64), cpu=cpu).value == cpu


def test_wrong_wishes(runtime: Runtime) -> None:
    with runtime.load(collection(PASS)) as loaded:
        program = loaded.program()
        with pytest.raises(InputError, match="processors 0 to 1, not 2"):
            program.test_run(bytes(64), cpu=2)
        with pytest.raises(InputError, match="repeats 1 to"):
            program.test_run(bytes(64), repeat=0)
        with pytest.raises(InputError, match="a batch"):
            program.test_run(bytes(64), batch=-1)
        with pytest.raises(InputError, match="a budget"):
            program.test_run(bytes(64), budget=-1)
        with pytest.raises(InputError, match="a timeout"):
            program.test_run(bytes(64), timeout=float("nan"))
        with pytest.raises(NotSupported, match="flags 0x2"):
            program.test_run(bytes(64), flags=2)
        with pytest.raises(InputError, match="more than the 10 that data_size_out allows"):
            program.test_run(bytes(64), data_size_out=10)
    with runtime.load(collection("r0 = 1\nexit", kind="cgroup_device")) as loaded:
        assert loaded.program().test_run().retval == 1
        with pytest.raises(InputError, match="see no data"):
            loaded.program().test_run(b"data")


def test_a_budget_stops_a_program_and_names_the_place(runtime: Runtime) -> None:
    with runtime.load(collection(LONG, kind="sched_cls")) as loaded:
        program = loaded.program()
        assert program.test_run(DNS).instructions > 100_000
        with pytest.raises(
            RunError, match=r"program main was stopped at slot \d+ \(.*budget"
        ) as caught:
            program.test_run(DNS, budget=10_000)
        assert caught.value.reason == "out-of-budget"
        assert caught.value.program == "main"


def test_a_timeout_stops_a_program(runtime: Runtime) -> None:
    with runtime.load(collection(LONG, kind="sched_cls")) as loaded:
        with pytest.raises(RunError) as caught:
            loaded.program().test_run(DNS, repeat=2_000_000, batch=2_000_000, timeout=0.05)
        assert caught.value.reason == "out-of-time"


def test_batches_by_stride(runtime: Runtime) -> None:
    with runtime.load(collection(SWAPS_FIRST_BYTE)) as loaded:
        buffer = bytearray(b"".join(bytes([n]) + bytes(63) for n in (1, 2, 2, 3)))
        batch = loaded.program().run_batch(buffer, stride=64)
        assert list(batch) == [1, 2, 2, 3]
        assert len(batch) == 4
        assert batch[1] == 2
        assert batch[1:] == [2, 2, 3]
        assert batch.count("XDP_PASS") == 2
        assert batch.errors == {}
        assert buffer[::64] == b"\x5a" * 4  # in place
        with pytest.raises(InputError, match="no result of xdp programs is named 'PASS'"):
            batch.count("PASS")


def test_batches_by_offsets(runtime: Runtime) -> None:
    with runtime.load(collection(SWAPS_FIRST_BYTE)) as loaded:
        buffer = bytearray(b"\x01ab\x02\x03cdef")
        assert list(loaded.program().run_batch(buffer, offsets=[0, 3, 4, 9])) == [1, 2, 3]
        assert list(loaded.program().run_batch(bytearray(), offsets=[0])) == []


@pytest.mark.parametrize(
    "wish",
    [
        {},
        {"stride": 4, "offsets": [0, 4]},
        {"stride": 3},
        {"stride": -1},
        {"offsets": [0, 9]},
        {"offsets": [4, 0]},
        {"offsets": [0, -4]},
        {"offsets": ["a"]},
        {"stride": 4, "cpu": 9},
    ],
)
def test_batches_that_make_no_sense(runtime: Runtime, wish: dict[str, object]) -> None:
    with runtime.load(collection(PASS)) as loaded, pytest.raises(InputError):
        loaded.program().run_batch(bytearray(8), **wish)  # type: ignore[arg-type]


def test_batches_share_maps_with_each_other(runtime: Runtime) -> None:
    text = """
        *(u32 *)(r10 - 4) = 0
        r2 = r10
        r2 += -4
        r1 = map[counts]
        call bpf_map_lookup_elem
        if r0 == 0 goto +2
        r1 = 1
        lock *(u64 *)(r0 + 0) += r1
        r0 = 2
        exit
    """
    with runtime.load(collection(text, maps=[map_spec()])) as loaded:
        program = loaded.program()
        threads = [
            threading.Thread(
                target=program.run_batch, args=(bytearray(64_000),), kwargs={"stride": 64}
            )
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert loaded.map("counts")[0] == (4000).to_bytes(8, sys.byteorder)


def test_subprograms_and_callbacks(runtime: Runtime, build: Build) -> None:
    source = (
        PRELUDE
        + """
static long step(__u32 index, void *ctx) { *(__u64 *)ctx += index; return 0; }
static __noinline int twice(int x) { asm volatile("" : "+r"(x)); return x * 2; }
SEC("tc") int counts(void *ctx) { __u64 sum = 0; loop(10, step, &sum, 0); return twice((int)sum); }
"""
    )
    with runtime.load(build(source)) as loaded:
        assert loaded.program().test_run(DNS).retval == 90


def test_a_closed_program_does_not_run(runtime: Runtime) -> None:
    loaded = runtime.load(collection(PASS))
    program = loaded.program()
    program.close()
    with pytest.raises(AnyBPFError, match="closed"):
        program.run_batch(bytearray(64), stride=64)
