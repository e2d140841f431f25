"""Objects in the running kernel: loaded whole or not at all, run, told about, and let go."""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from anybpf.backends.linux import LinuxBackend
from anybpf.backends.linux.maps import EventArray
from anybpf.backends.linux.verdict import KernelVerdict, ProgramLoad
from anybpf.errors import (
    BTFError,
    ClosedError,
    InputError,
    NotFound,
    NotSupported,
    RingTimeout,
    VerifierError,
)
from anybpf.objects import load_spec
from tests.runtime.making import PASS, collection, map_spec

Build = Callable[..., Path]

OBJECT = """
typedef unsigned int u32;
typedef unsigned long long u64;
#define SEC(name) __attribute__((section(name), used))
#define __uint(name, value) int (*name)[value]
#define __type(name, type) typeof(type) *name
static void *(*bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static u32 (*bpf_get_smp_processor_id)(void) = (void *)8;

struct flow { u32 port; u32 mark; };
struct seen { u64 packets; u32 cpu; char what[4]; };
struct {
    __uint(type, 1);
    __type(key, struct flow);
    __type(value, struct seen);
    __uint(max_entries, 16);
} flows SEC(".maps");

const volatile u32 verdict = 2;
u64 runs = 5;
u64 spare;

static __attribute__((noinline)) int count(u64 by) { runs += by; return by > 3; }

SEC("xdp") int filter(void *ctx)
{
    struct flow key = { 53, 1 };
    struct seen *found = bpf_map_lookup_elem(&flows, &key);
    if (found) { found->packets++; found->cpu = bpf_get_smp_processor_id(); }
    spare = runs;
    return count(1) ? 0 : verdict;
}
SEC("socket") int other(void *ctx) { return 7; }
char _license[] SEC("license") = "GPL";
"""

BAD = "r0 = *(u64 *)(r1 + 400)\nexit"

RING = """
r1 = 7
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


def test_an_object_with_types_variables_and_functions(kernel: LinuxBackend, build: Build) -> None:
    with kernel.load(build(OBJECT), variables={"verdict": 1}) as loaded:
        filter_, flows = loaded.program("filter"), loaded.map("flows")
        flows[{"port": 53, "mark": 1}] = {"packets": 10, "cpu": 99, "what": "dns"}
        assert filter_.test_run(bytes(64)).retval_name == "XDP_DROP"
        found = flows[{"port": 53, "mark": 1}]
        assert (found.packets, found.what) == (11, "dns")
        assert found.cpu != 99
        runs = loaded.variable("runs")
        assert (runs.value, loaded.variable("spare").value) == (6, 5)
        runs.value = 100
        filter_.test_run(bytes(64))
        assert runs.value == 101
        verdict = loaded.variable("verdict")
        assert (verdict.value, verdict.read_only) == (1, True)
        with pytest.raises(InputError, match="before loading"):
            verdict.value = 2


def test_the_kernel_knows_types_and_lines(kernel: LinuxBackend, build: Build) -> None:
    with kernel.load(build(OBJECT)) as loaded:
        info = loaded.program("filter").info()
        assert (info.name, info.type_name, info.gpl_compatible) == ("filter", "xdp", True)
        assert info.nr_func_info == 2
        assert info.nr_line_info > 5
        assert info.map_ids
        assert info.xlated_prog_insns
        flows = loaded.map("flows")
        assert flows.id in info.map_ids
        with kernel.types(info.btf_id) as types:
            assert types.btf.find("flow") is not None
        # Opened by its number alone, the map is typed as well.
        with kernel.map(flows.id) as again:
            again[{"port": 1, "mark": 2}] = {"packets": 3, "cpu": 0, "what": ""}
            assert flows[{"port": 1, "mark": 2}].packets == 3


def test_some_programs_only(kernel: LinuxBackend, build: Build) -> None:
    with kernel.load(build(OBJECT), programs=["other"]) as loaded:
        assert list(loaded.programs) == ["other"]
        assert "flows" not in loaded.maps
        assert loaded.program().type == "socket_filter"
    with pytest.raises(NotFound, match="no program is named 'fliter'"):
        kernel.load(build(OBJECT), programs=["fliter"])


def test_a_map_that_is_there_already(kernel: LinuxBackend, build: Build) -> None:
    spec = load_spec(build(OBJECT).read_bytes())
    with kernel.load(spec) as first, kernel.load(spec, maps={"flows": first.map("flows")}) as next_:
        assert next_.map("flows").id == first.map("flows").id
        first.map("flows").close()
        next_.map("flows")[{"port": 53, "mark": 1}] = {"packets": 0, "cpu": 0, "what": ""}
        next_.program("filter").test_run(bytes(64))
        assert next_.map("flows")[{"port": 53, "mark": 1}].packets == 1
        with (
            pytest.raises(InputError, match="key size is 4, not 8"),
            kernel.create_map(map_spec("flows", "hash")) as other,
        ):
            kernel.load(spec, maps={"flows": other})


def test_the_verifiers_log_comes_with_its_refusal(kernel: LinuxBackend) -> None:
    name = f"of{os.getpid()}"  # others may use this kernel, too
    with pytest.raises(VerifierError, match="main was refused by the kernel: invalid") as refused:
        kernel.load(collection(BAD, maps=[map_spec(name)]))
    verdict = refused.value.verification
    assert isinstance(verdict, KernelVerdict)
    assert not verdict.ok
    assert "invalid bpf_context access off=400" in verdict.reason
    assert "r0 = *(u64 *)(r1 +400)" in verdict.log
    assert name not in [info.name for info in kernel.infos("map")]


def test_one_program_that_is_refused_refuses_all(kernel: LinuxBackend) -> None:
    spec = collection(PASS, BAD)
    name = f"of{os.getpid()}"
    spec.programs["main"].function.symbol = name
    with pytest.raises(VerifierError, match="main1"):
        kernel.load(spec)
    assert name not in [info.name for info in kernel.infos("program")]


def test_a_log_that_is_long_is_whole(kernel: LinuxBackend) -> None:
    """Branches that the verifier follows one by one: more text than the first buffer holds."""
    code = "r0 = 0\n" + "r0 += 1\n" * 3000 + "exit"
    with kernel.load(collection(code), log_level=2) as loaded:
        log = loaded.program().log
        assert len(log) > 1 << 16
        assert "processed 3002 insns" in log


def test_a_log_grows_from_any_size(kernel: LinuxBackend) -> None:
    wanted = ProgramLoad("empty", b"\xb7\0\0\0\0\0\0\0", 1, license="GPL")  # it has no end
    result, text, cut = wanted.attempt(1, 128)
    assert result < 0
    assert cut == (len(text) >= 127)
    assert "last insn is not an exit" in wanted.with_log(1)[1]


def test_test_runs(kernel: LinuxBackend) -> None:
    text = "r0 = *(u32 *)(r1 + 12)\nexit"
    with kernel.load(collection(text)) as loaded:
        program = loaded.program()
        done = program.test_run(bytes(range(64)), {"ingress_ifindex": 1}, repeat=10)
        assert (done.retval, done.repeat, done.data_out) == (1, 10, bytes(range(64)))
        assert done.context["ingress_ifindex"] == 1
        assert program.test_run(bytes(64)).ctx_out == b""
        with pytest.raises(InputError, match="does not take 3 bytes of data"):
            program.test_run(b"abc")
        with pytest.raises(InputError, match="1 to 2"):
            program.test_run(bytes(64), repeat=0)


def test_programs_that_grow_a_packet(kernel: LinuxBackend) -> None:
    """Room for what comes out is made as it is needed."""
    with kernel.load(collection("r2 = -14\ncall bpf_xdp_adjust_head\nr0 = 2\nexit")) as loaded:
        assert len(loaded.program().test_run(bytes(64)).data_out) == 78
        with pytest.raises(InputError, match="longer than data_size_out"):
            loaded.program().test_run(bytes(64), data_size_out=70)


def test_runs_are_counted_while_somebody_wants_it(kernel: LinuxBackend) -> None:
    with kernel.load(collection(PASS)) as loaded:
        program = loaded.program()
        with kernel.enable_statistics():
            program.test_run(bytes(64), repeat=100)
        info = program.info()
        assert info.run_cnt == 100
        assert info.run_time_ns > 0


def test_a_ring_is_read_in_order(kernel: LinuxBackend) -> None:
    with kernel.load(collection(RING, maps=[map_spec("events", "ringbuf", 0, 0, 4096)])) as loaded:
        with loaded.map("events").reader(timeout=0) as reader:  # type: ignore[attr-defined]
            loaded.program().test_run(bytes(64), repeat=1000)
            records = list(reader)
            assert set(records) == {(7).to_bytes(8, "little")}
            assert len(records) == 4096 // 16 - 1  # as many as have room
            assert reader.unread == 0
            loaded.program().test_run(bytes(64), repeat=1000)  # round the end
            assert len(reader.read_batch(10)) == 10
            assert len(list(reader)) > 200
            with pytest.raises(RingTimeout, match="events in time"):
                reader.read(0.01)
            reader.flush()
            assert not reader.wait(10)
        with pytest.raises(ClosedError):
            reader.read()


def test_what_it_cannot_load(kernel: LinuxBackend, build: Build) -> None:
    with pytest.raises(InputError, match="other byte order"):
        kernel.load(build(OBJECT, big_endian=True))
    with pytest.raises(InputError, match="not int"):
        kernel.load(5)
    with pytest.raises(NotSupported, match="engine='interpret'"):
        kernel.load(collection(PASS), engine="interpret")
    with pytest.raises(NotFound, match="no variable is named"):
        kernel.load(collection(PASS), variables={"x": 1})
    with pytest.raises(InputError, match="read it again for linux"):
        kernel.load(collection(PASS, platform="windows"))
    nameless = collection(PASS)
    nameless.program().type = "unspec"
    with pytest.raises(InputError, match="does not say of which type"):
        kernel.load(nameless)


def test_types_that_the_kernel_refuses(kernel: LinuxBackend) -> None:
    from anybpf.backends.linux.types import load_types

    with pytest.raises(BTFError, match="takes the types of example not"):
        load_types(b"\x9f\xeb\x01\x00" + bytes(20), "example")


def test_a_program_outlives_its_collection_if_taken_out(kernel: LinuxBackend) -> None:
    with kernel.load(collection(PASS)) as loaded:
        program = loaded.detach_program("main")
    with program:
        assert program.test_run(bytes(64)).retval == 2
    with pytest.raises(ClosedError, match="program main"):
        program.info()


def test_a_collection_that_was_forgotten_is_told(kernel: LinuxBackend) -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        kernel.load(collection(PASS))
        gc.collect()
    assert any("program main" in str(one.message) and __file__ in str(one.message) for one in told)


def test_the_back_end_closed_is_no_use(kernel: LinuxBackend) -> None:
    with LinuxBackend() as other:
        one = other.create_map(map_spec())
    other.close()
    with pytest.raises(ClosedError, match="make another"):
        other.ids("map")
    assert one[0] == bytes(8)  # what it handed out stays
    one.close()
    with pytest.raises(NotSupported, match="windows"):
        LinuxBackend("windows")


EVENT = """
r6 = r1
r1 = 7
*(u64 *)(r10 - 8) = r1
r1 = r6
r2 = map[events]
r3 = 0xffffffff ll
r4 = r10
r4 += -8
r5 = 8
call bpf_perf_event_output
r0 = 2
exit
"""


def test_events_are_read_from_all_processors(kernel: LinuxBackend) -> None:
    spec = collection(EVENT, maps=[map_spec("events", "perf_event_array", 4, 4, 0)])
    with kernel.load(spec) as loaded:
        events = loaded.map("events")
        assert isinstance(events, EventArray)
        assert events.max_entries == events.cpus
        with events.reader(timeout=0, pages=1) as reader:
            loaded.program().test_run(bytes(64), repeat=10)
            found = list(reader)
            assert len(found) == 10
            assert {event.data[:8] for event in found} == {(7).to_bytes(8, "little")}
            assert sum(reader.unread) == reader.lost == 0
            # More than have room: what is lost is told with the next that comes through.
            loaded.program().test_run(bytes(64), repeat=1000)
            kept = len(list(reader))
            loaded.program().test_run(bytes(64), repeat=1)
            assert reader.read(1).data
            assert reader.lost >= 1000 - kept - 1
            assert 0 < kept < 1000
        with pytest.raises(ClosedError):
            reader.read()
        with pytest.raises(InputError, match="power of two"):
            events.reader(pages=3)
