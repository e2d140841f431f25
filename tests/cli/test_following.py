"""`anybpf ring`, `anybpf log` and `anybpf top`, on a runtime in this process."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from anybpf.cli.backend import SHORT_LIVED
from anybpf.cli.commands.log import parse
from anybpf.maps import EventArray, PerfReader
from anybpf.runtime import Runtime
from tests.cli.conftest import Cli
from tests.objects.conftest import Build, build

__all__ = ["build"]

SOURCE = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct event { __u32 length; __u32 interface; };

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
} samples SEC(".maps");

struct event unused;

SEC("xdp")
int tell(struct xdp_md *ctx)
{
	struct event event = {ctx->data_end - ctx->data, ctx->ingress_ifindex};
	bpf_ringbuf_output(&events, &event, sizeof(event), 0);
	bpf_perf_event_output(ctx, &samples, BPF_F_CURRENT_CPU, &event, sizeof(event));
	bpf_printk("%d bytes", event.length);
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
"""


@pytest.fixture(scope="session")
def teller(build: Build) -> Path:
    return build(SOURCE, "teller")


@pytest.fixture
def loaded(cli: Cli, runtime: Runtime, teller: Path) -> Cli:
    assert cli("prog", "load", teller, "--pin", "/p").code == 0
    return cli


def run(cli: Cli, *lengths: int) -> None:
    for length in lengths:
        line = "prog", "run", "tell", "--data", "hex:" + "00" * length, "--ctx"
        assert cli(*line, "ingress_ifindex=3", "--cpu", 1).code == 0


def test_records_are_shown_as_bytes_or_as_their_type(loaded: Cli, teller: Path) -> None:
    run(loaded, 20, 30, 40)
    line = "ring", "events", "--timeout", 0.01
    assert loaded(*line, "--count", 1).out == "14 00 00 00 03 00 00 00\n"
    assert loaded(*line, "--count", 1, "--type", "event").out == "{length: 30, interface: 3}\n"
    out = loaded(*line, "--type", "struct event", "--btf", teller, "--json").out
    assert [json.loads(each) for each in out.splitlines()] == [
        {
            "version": 1, "number": 0, "cpu": None, "lost": 0, "data": "2800000003000000",
            "record": {"length": 40, "interface": 3},
        }
    ]  # fmt: skip
    assert loaded(*line).out == ""


def test_events_tell_their_processor(
    loaded: Cli, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A perf event array has rings while somebody reads it: so the program runs meanwhile."""
    make = EventArray.reader

    def reader(samples: EventArray, timeout: float | None = None) -> PerfReader:
        made = make(samples, timeout)
        with runtime.open("/p/tell") as program:
            program.test_run(bytes(20), cpu=1)
        return made

    monkeypatch.setattr(EventArray, "reader", reader)
    done = loaded("ring", "samples", "--timeout", 0.01, "--type", "event")
    assert (done.code, done.err) == (0, "")
    assert done.out == "[001] {length: 20, interface: 0}\n"


def test_what_is_no_ring_or_no_type_is_refused(loaded: Cli, runtime: Runtime) -> None:
    assert loaded("map", "create", "hits", "array", "--key", 4, "--value", 4, "--entries", 1,
                  "--pin", "/hits").code == 0  # fmt: skip
    assert loaded("ring", "hits").err == (
        "anybpf ring: map hits is of type array: records are in those of type ringbuf, "
        "perf_event_array\n"
    )
    assert loaded("ring", "events", "--type", "evnt").err == (
        "anybpf ring: neither map events nor a program that uses it knows a type 'evnt': name an "
        "object that does with --btf\n"
    )


def test_the_log_is_what_programs_print(loaded: Cli, runtime: Runtime) -> None:
    number = runtime.ids("program")[0]
    with runtime.program(number) as program:
        for length in (14, 15, 16):
            program.test_run(bytes(length), cpu=1)
    out = loaded("log", "--count", 1).out
    assert re.sub(r"\d+\.\d{6}", "TIME", out) == f"TIME [001] tell-{number}: 14 bytes\n"
    told = json.loads(loaded("log", "--once", "--json", "--count", 1).out)
    assert (told["version"], told["program"], told["id"], told["cpu"], told["text"]) == (
        1, "tell", number, 1, "15 bytes",
    )  # fmt: skip
    assert loaded("log", "--once", "--program", "other").out == ""


def test_run_shows_what_was_printed(cli: Cli, teller: Path) -> None:
    assert "\nprinted: 20 bytes\n" in cli("prog", "run", teller, "--data", "00" * 20).out


def test_the_kernels_lines_are_read() -> None:
    assert parse("           <...>-4242    [003] ...11   881.031337: bpf_trace_printk: a: b") == {
        "time": 881.031337, "id": 0, "program": "", "cpu": 3, "pid": 4242, "text": "a: b",
    }  # fmt: skip
    assert parse("CPU:3 [LOST 12 EVENTS]") is None


def test_top_tells_rates(loaded: Cli, runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    number = runtime.ids("program")[0]
    with runtime.program(number) as program:
        clock = [0.0]

        def sleep(seconds: float) -> None:
            clock[0] += seconds
            program.test_run(bytes(14), repeat=10)

        monkeypatch.setattr("time.sleep", sleep)
        monkeypatch.setattr("time.monotonic", lambda: clock[0])
        out = loaded("top", "--interval", 2, "--count", 2).out
        (told,) = [json.loads(x) for x in loaded("top", "--count", 1, "--json").out.splitlines()]
    heads = [line for line in out.splitlines() if "shown" in line]
    assert heads == ["1 program, 1 shown", "1 program, 1 shown"]
    rows = [line.split() for line in out.splitlines() if " xdp " in line]
    assert [(row[0], row[2], row[3], row[6]) for row in rows] == [
        (str(number), "tell", "5.0", "10"),
        (str(number), "tell", "5.0", "20"),
    ]
    assert told["seconds"] == 1.0
    assert told["programs"][0]["runs_per_second"] == 10.0
    assert not runtime.statistics


def test_top_leaves_out_what_does_not_run(loaded: Cli) -> None:
    line = "top", "--interval", 0.01, "--count", 1
    assert loaded(*line).out == "1 program, 0 shown\n"
    assert " tell " in loaded(*line, "--all").out


@pytest.mark.parametrize("command", ["top", "log"])
def test_the_embedded_back_end_has_nothing_to_follow(cli: Cli, command: str) -> None:
    done = cli(command)
    assert (done.code, done.out) == (0, "")
    assert done.err.startswith(f"note: {SHORT_LIVED}")


@pytest.mark.parametrize("command", ["ring", "log", "top"])
def test_help_has_examples(cli: Cli, command: str) -> None:
    done = cli(command, "--help")
    assert f"  anybpf {command}" in done.out.partition("examples:")[2]
    assert {"--backend", "--json"} <= set(re.findall(r"--[a-z]+", done.out))
