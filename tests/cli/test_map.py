"""`anybpf map`, on a runtime in this process that lasts longer than the command."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from anybpf.runtime import Runtime
from tests.cli.conftest import Cli
from tests.objects.conftest import Build, build

__all__ = ["build"]

SOURCE = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct flow { __u32 source; __u16 port; __u16 protocol; };
struct counters { __u64 packets; __u64 bytes; };

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2);
	__type(key, struct flow);
	__type(value, struct counters);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} per_cpu SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u32);
} jumps SEC(".maps");

SEC("xdp")
int entry(struct xdp_md *ctx)
{
	struct flow flow = {};
	__u32 zero = 0;
	bpf_map_lookup_elem(&flows, &flow);
	bpf_map_lookup_elem(&per_cpu, &zero);
	bpf_tail_call(ctx, &jumps, 1);
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
"""


@pytest.fixture(scope="session")
def flows(build: Build) -> Path:
    return build(SOURCE, "flows")


@pytest.fixture
def loaded(cli: Cli, runtime: Runtime, flows: Path) -> Cli:
    assert cli("prog", "load", flows, "--pin", "/p").code == 0
    return cli


@pytest.fixture
def jobs(cli: Cli, runtime: Runtime) -> Cli:
    done = cli("map", "create", "jobs", "queue", "--value", 4, "--entries", 2, "--pin", "/jobs")
    assert (done.code, done.err) == (0, "")
    return cli


def test_create_says_number_and_pin(cli: Cli, runtime: Runtime) -> None:
    line = "map", "create", "hits", "hash", "--key", 4, "--value", 8, "--entries", 10
    assert cli(*line, "--pin", "/hits").out == (
        f"map {runtime.ids('map')[0]}, hits, pinned at {runtime.path('/hits')}\n"
    )
    done = cli(*line)
    assert done.err == "note: it goes with this command: --pin PATH keeps it\n"
    assert len(runtime.ids("map")) == 1
    assert "no map type" in cli("map", "create", "hits", "hush").err
    assert "cannot be created on linux" in cli("map", "create", "hits", "hash").err


def test_show(loaded: Cli, runtime: Runtime) -> None:
    info = next(one for one in runtime.infos("map") if one.name == "flows")
    assert loaded("map", "show", "flows").out == (
        f"{info.id}: hash, map flows\n"
        "  key      8 bytes, struct flow\n"
        "  value    16 bytes, struct counters\n"
        "  entries  at most 2\n"
        f"  memory   {info.memlock} bytes\n"
        f"  types    btf {info.btf_id}\n"
    )
    head, *rows = loaded("map", "show").out.splitlines()
    assert head.split() == ["id", "type", "name", "key", "value", "entries", "memory", "pinned"]
    assert [row.split()[1:6] for row in rows] == [
        ["hash", "flows", "8", "16", "2"],
        ["percpu_array", "per_cpu", "4", "8", "1"],
        ["prog_array", "jumps", "4", "4", "4"],
    ]
    told = loaded("map", "show", info.id, "--json").json
    assert told == {
        "version": 1,
        "maps": [
            {
                "id": info.id, "type": "hash", "name": "flows", "flags": 0, "bytes_key": 8,
                "bytes_value": 16, "max_entries": 2, "map_extra": 0,
                "bytes_memlock": info.memlock, "frozen": False, "btf_id": info.btf_id,
                "inner_map_id": 0, "pinned": [],
            }
        ],
    }  # fmt: skip


def test_entries_of_structures_by_field(loaded: Cli) -> None:
    key = "source=1,port=53"
    assert loaded("map", "dump", "flows").out == "no entries\n"
    assert loaded("map", "set", "flows", key, "packets=7").out == ""
    assert loaded("map", "get", "flows", key).out == "{packets: 7, bytes: 0}\n"
    assert loaded("map", "set", "flows", '{"source": 2}', '{"bytes": 9}').code == 0
    assert sorted(loaded("map", "dump", "flows").out.splitlines()) == [
        "{source: 1, port: 53, protocol: 0}: {packets: 7, bytes: 0}",
        "{source: 2, port: 0, protocol: 0}: {packets: 0, bytes: 9}",
    ]
    told = loaded("map", "get", "flows", key, "--json").json
    assert told.pop("id") > 0
    assert told == {
        "version": 1,
        "map": "flows",
        "key": {"source": 1, "port": 53, "protocol": 0},
        "found": True,
        "value": {"packets": 7, "bytes": 0},
    }
    entries = loaded("map", "dump", "flows", "--json").json["entries"]
    assert {"key": told["key"], "value": told["value"]} in entries
    assert len(entries) == 2


def test_what_is_not_there_is_exit_code_1(loaded: Cli) -> None:
    done = loaded("map", "get", "flows", "source=9")
    assert (done.code, done.err) == (1, "")
    assert done.out == "map flows has no entry {source: 9, port: 0, protocol: 0}\n"
    assert loaded("map", "delete", "flows", "source=9").out == done.out
    assert loaded("map", "delete", "flows", "source=9").code == 1
    done = loaded("map", "get", "flows", "source=9", "--json")
    assert (done.code, done.json["found"], done.json["value"]) == (1, False, None)


def test_set_may_insist_on_new_or_old(loaded: Cli) -> None:
    line = "map", "set", "flows", "source=1", "packets=1"
    assert loaded(*line, "--existing").code == 1
    assert loaded(*line, "--new").code == 0
    assert "flows" in loaded(*line, "--new").err
    assert loaded("map", "set", "flows", "source=2", "packets=1").code == 0
    assert "it has its 2 entries" in loaded("map", "set", "flows", "source=3", "packets=1").err


def test_delete_one_or_all(loaded: Cli) -> None:
    for number in (1, 2):
        assert loaded("map", "set", "flows", f"source={number}", "packets=1").code == 0
    assert loaded("map", "delete", "flows", "source=1").out == ""
    assert loaded("map", "delete", "flows", "--all").out == "took 1 entry out\n"
    assert loaded("map", "delete", "flows", "--all", "--json").json["deleted"] == 0
    assert loaded("map", "delete", "flows").err == (
        "anybpf map delete: say which entry is to go: a KEY, or --all\n"
    )


def test_values_per_processor(loaded: Cli) -> None:
    assert loaded("map", "set", "per_cpu", 0, 5).code == 0
    assert loaded("map", "get", "per_cpu", 0).out == "[5, 5]\n"
    assert loaded("map", "set", "per_cpu", 0, '[1, "0x10"]').code == 0
    assert loaded("map", "dump", "per_cpu", "--json").json["entries"] == [
        {"key": 0, "value": [1, 16]}
    ]
    assert loaded("map", "set", "per_cpu", 0, "[1]").err == (
        "anybpf map set: map per_cpu has values for 2 processors, the list has 1\n"
    )


def test_programs_in_a_map_are_told_by_number(loaded: Cli, runtime: Runtime) -> None:
    number = runtime.ids("program")[0]
    assert loaded("map", "set", "jumps", 1, "entry").err == (
        "note: map jumps has no pin: it is emptied when its last holder outside lets go of it\n"
    )
    assert loaded("map", "dump", "jumps").out == "no entries\n"
    assert loaded("map", "pin", "jumps", "/jumps").code == 0
    assert loaded("map", "set", "jumps", 1, "entry").err == ""
    assert loaded("map", "get", "jumps", 1).out == f"{number}\n"
    assert loaded("map", "dump", "jumps").out == f"1: {number}\n"
    assert loaded("map", "delete", "jumps", 1).code == 0
    assert loaded("map", "set", "jumps", 1, "nobody").err == (
        "anybpf map set: no program is named 'nobody'; there are: entry\n"
    )


def test_queues_are_pushed_and_popped(jobs: Cli) -> None:
    for number in (1, 2):
        assert jobs("map", "push", "/jobs", f"hex:0{number}000000").code == 0
    assert "it has its 2 entries" in jobs("map", "push", "jobs", 3).err
    assert jobs("map", "push", "jobs", 3, "--force").code == 0
    assert jobs("map", "pop", "jobs").out == "02 00 00 00\n"
    assert jobs("map", "pop", "jobs", "--json").json["value"] == "03000000"
    done = jobs("map", "pop", "jobs")
    assert (done.code, done.out) == (1, "map jobs is empty\n")
    assert jobs("map", "dump", "jobs").err == (
        "anybpf map dump: map jobs of type queue has no entries: 'anybpf map pop' takes the next "
        "value\n"
    )


def test_bloom_filters_are_asked(cli: Cli, runtime: Runtime) -> None:
    line = "map", "create", "seen", "bloom_filter", "--value", 4, "--entries", 100
    assert cli(*line, "--pin", "/seen").code == 0
    assert cli("map", "push", "seen", 7).code == 0
    assert cli("map", "get", "seen", 7).out == "probably in it\n"
    done = cli("map", "get", "seen", 8)
    assert (done.code, done.out) == (1, "not in it\n")


def test_only_queues_are_popped(loaded: Cli) -> None:
    assert loaded("map", "pop", "flows").err == (
        "anybpf map pop: map flows is of type hash: only those of type queue, stack can be popped\n"
    )


def test_pin(loaded: Cli, runtime: Runtime) -> None:
    done = loaded("map", "pin", "flows", "/flows", "--json").json
    assert done == {
        "version": 1, "kind": "map", "id": done["id"], "path": runtime.path("/flows"),
    }  # fmt: skip
    assert runtime.path("/flows") in loaded("map", "show").out


def test_watch_tells_what_comes_changes_and_goes(
    loaded: Cli, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = next(one.id for one in runtime.infos("map") if one.name == "flows")
    with runtime.map(number) as flows:
        flows.update({"source": 1}, {"packets": 1})
        steps: Iterator[Callable[[], object]] = iter(
            [
                lambda: flows.update({"source": 1}, {"packets": 2}),
                lambda: flows.update({"source": 2}, {"packets": 1}),
                lambda: flows.delete({"source": 1}),
            ]
        )
        monkeypatch.setattr("time.sleep", lambda _: next(steps)())
        out = loaded("map", "watch", "flows", "--interval", 100, "--count", 4).out
    one, two = (f"{{source: {n}, port: 0, protocol: 0}}" for n in (1, 2))
    assert out == (
        f"there   {one}: {{packets: 1, bytes: 0}}\n"
        f"changed {one}: {{packets: 1, bytes: 0}} -> {{packets: 2, bytes: 0}}\n"
        f"new     {two}: {{packets: 1, bytes: 0}}\n"
        f"gone    {one}: {{packets: 2, bytes: 0}}\n"
    )


@pytest.mark.parametrize(
    "command",
    ["create", "show", "dump", "get", "set", "delete", "pop", "push", "pin", "watch"],
)
def test_help_has_examples(cli: Cli, command: str) -> None:
    done = cli("map", command, "--help")
    assert done.code == 0
    assert f"  anybpf map {command}" in done.out.partition("examples:")[2]
    assert {"--backend", "--json"} <= set(re.findall(r"--[a-z]+", done.out))
