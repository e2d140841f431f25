"""`anybpf bpftool map`: whole outputs, and every complaint with its exit code."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from threading import Timer

import pytest

from anybpf.maps.map import EventArray
from anybpf.runtime import Runtime
from tests.cli.bpftool.conftest import Tool
from tests.cli.bpftool.objects import THING


def test_entries_are_listed_by_their_types(loaded: Tool) -> None:
    assert loaded(f"map update name things key 1 0 0 0 value {THING}").code == 0
    assert (
        loaded("map dump name things").out
        == """\
[{
        "key": 1,
        "value": {
            "p": {
                "x": 1,
                "y": 2,
                "name": "abc",
                "a": 0x5,
                "b": 0x1
            },
            "n": 7,
            "c": "GREEN",
            "ok": true,
            "list": [1,2,-1
            ],
            "un": {
                "i": 5,
                "u": 5
            },
            "ptr": (nil)
        }
    }
]
"""
    )


def test_json_has_bytes_and_typed_values(loaded: Tool) -> None:
    loaded(f"map update name things key 1 0 0 0 value {THING}")
    (entry,) = json.loads(loaded("-j map dump name things").out)
    assert entry["key"] == ["0x01", "0x00", "0x00", "0x00"]
    assert len(entry["value"]) == 56
    assert entry["formatted"]["value"]["p"]["a"] == "0x5"
    assert entry["formatted"]["value"]["ptr"] == 0
    assert json.loads(loaded("-j map lookup name things key 1 0 0 0").out) == entry


def test_values_of_each_processor(loaded: Tool) -> None:
    loaded("map update name counts key 1 0 0 0 value 2 0 0 0 0 0 0 0")
    assert (
        loaded("map lookup name counts key 1 0 0 0").out
        == """\
{
    "key": 1,
    "values": [{
            "cpu": 0,
            "value": 2
        },{
            "cpu": 1,
            "value": 2
        }
    ]
}
"""
    )


def test_variables_are_a_section(loaded: Tool) -> None:
    loaded("map update name typed.data key 0 0 0 0 value 9 0 0 0 104 105 0 0 0 0 0 0")
    assert (
        loaded("map dump pinned /m/typed_data").out
        == """\
[{
        "value": {
            ".data": [{
                    "total": 9
                },{
                    "text": "hi"
                }
            ]
        }
    }
]
"""
    )


def test_without_types_there_are_bytes(tool: Tool) -> None:
    tool("map create /h type hash key 20 value 3 entries 4 name h")
    key = " ".join(str(number) for number in range(1, 21))
    assert tool(f"map update name h key {key} value hex a 0b 0xff").out == ""
    assert (
        tool("map dump name h").out
        == """\
key:
01 02 03 04 05 06 07 08  09 0a 0b 0c 0d 0e 0f 10
11 12 13 14
value:
0a 0b ff
Found 1 element
"""
    )
    tool("map create /a type array key 4 value 4 entries 2 name a")
    assert tool("map dump name a").out == (
        "key: 00 00 00 00  value: 00 00 00 00\nkey: 01 00 00 00  value: 00 00 00 00\n"
        "Found 2 elements\n"
    )


def test_what_is_not_there(loaded: Tool) -> None:
    missed = loaded("map lookup name things key 9 0 0 0")
    assert (missed.code, missed.out) == (254, "key:\n09 00 00 00\n\nNot found\n")
    missed = loaded("-j map lookup name things key 9 0 0 0")
    assert (missed.code, missed.out) == (254, "null\n")
    gone = loaded("map delete name things key 9 0 0 0")
    assert (gone.code, gone.err) == (254, "Error: delete failed: No such file or directory\n")
    end = loaded("map getnext name things")
    assert (end.code, end.err) == (254, "Error: can't get next key: No such file or directory\n")


def test_walking_over_keys(loaded: Tool) -> None:
    assert loaded("map getnext name counts").out == "key: None\nnext key:\n00 00 00 00\n"
    assert json.loads(loaded("-j map getnext name counts key 0 0 0 0").out) == {
        "key": ["0x00"] * 4,
        "next_key": ["0x01", "0x00", "0x00", "0x00"],
    }


def test_queues(tool: Tool) -> None:
    tool("map create /q type queue key 0 value 4 entries 4 name q")
    assert tool("-j map push name q value 1 2 3 4").out == "null\n"
    assert tool("map peek name q").out == "value: 01 02 03 04\n"
    assert json.loads(tool("-j map dequeue name q").out) == {
        "key": [],
        "value": ["0x01", "0x02", "0x03", "0x04"],
    }
    empty = tool("map pop name q")
    assert (empty.code, empty.out) == (254, "Error: empty map\n")
    assert tool("map dump name q").code == 234


def test_programs_and_maps_are_values(loaded: Tool) -> None:
    stored = loaded("map update name jumps key 0 0 0 0 value name second")
    assert (stored.code, stored.err[:34]) == (0, "Warning: updating program array vi")
    assert loaded("map update name jumps key 1 0 0 0 value pinned /p/first").err == ""
    first = json.loads(loaded("-j prog show name first").out)["id"]
    second = json.loads(loaded("-j prog show name second").out)["id"]
    assert loaded("map dump name jumps").out == (
        f"key: 00 00 00 00  value: {second:02x} 00 00 00\n"
        f"key: 01 00 00 00  value: {first:02x} 00 00 00\nFound 2 elements\n"
    )
    loaded("map create /o type array_of_maps key 4 value 4 entries 2 name o inner_map name things")
    assert loaded("map update name o key 1 0 0 0 value name things").code == 0
    things = json.loads(loaded("-j map show name things").out)["id"]
    assert f"value: {things:02x} 00 00 00" in loaded("map dump name o").out
    refused = loaded("map update name o key 1 0 0 0 value name counts")
    assert (refused.code, refused.err) == (234, "Error: update failed: Invalid argument\n")


def test_a_frozen_map_says_so(tool: Tool) -> None:
    tool("map create /a type array key 4 value 4 entries 2 name a")
    assert tool("map freeze name a").code == 0
    refused = tool("map update name a key 0 0 0 0 value 1 1 1 1")
    assert (refused.code, refused.err) == (255, "Error: update failed: Operation not permitted\n")
    again = tool("map freeze name a")
    assert (again.code, again.err) == (
        255,
        "Error: failed to freeze map: Operation not permitted\n",
    )
    shown = tool("map show name a").out
    assert shown.splitlines()[-1] == "\tfrozen"
    assert tool("-j map show name a").json["frozen"] == 1


def test_pins_are_shown_on_request(loaded: Tool) -> None:
    assert loaded("map pin name things /here").code == 0
    assert "pinned" not in loaded("map show name things").out
    assert "\tpinned /here\n\tpinned /m/things\n" in loaded("-f map show name things").out
    taken = loaded("map pin name things /here")
    assert (taken.code, taken.err) == (239, "Error: can't pin the object (/here): File exists\n")


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("map update name a key 1 0 0 value 1", 255, "error parsing byte: value"),
        ("map update name a key 1 0 0 0 value 1 1 1", 255, "value expected 4 bytes got 3"),
        ("map update name a key 1 0 0 0 1 value", 255, "expected key or value, got: 1"),
        ("map update name a key hex 1 0 0 zz", 255, "error parsing byte: zz"),
        ("map update name a", 255, "did not find key"),
        ("map update name a key 1 0 0 0", 255, "did not find value"),
        ("map update name a key 1 0 0 0 key", 255, "duplicate key"),
        ("map update name a key 0 0 0 0 any exist", 255, "flags specified multiple times: exist"),
        ("map update name a key 0 0 0 0 value 1 1 1 1 noexist", 239, "update failed: File exists"),
        ("map lookup name a value 1", 255, "unnecessary value"),
        ("map lookup id 99", 255, "get map by id (99): No such file or directory"),
        ("map lookup id 1x", 255, "can't parse 1x as ID"),
        ("map show foo 1", 255, "expected 'id', 'name' or 'pinned', got: 'foo'?"),
        ("map show foo", 255, "what is 'foo'?"),
        ("map show pinned /none", 255, "bpf obj get (/none): No such file or directory"),
        ("map delete name a key 1 0 0 0", 234, "delete failed: Invalid argument"),
        ("map create", 255, "'create' needs at least 7 arguments, 0 found"),
        ("map create /z type hash value 4 key 4 x", 255, "'4' needs at least 2 arguments, 1 found"),
        ("map create /z type hash key 4 value 4 entries 1", 255, "map name not specified"),
        ("map create /z type hash key x value 4 entries 1", 255, "can't parse x as key size"),
        ("map create /z type nope key 4 value 4 entries 1", 255, "unrecognized map type: nope"),
        ("map create /z type hash key 4 value 4 name a key 2", 255, "key size already specified"),
        ("map create /z type hash key 4 value 4 entries 1 foo 2", 255, "unknown arg foo"),
    ],
)  # fmt: skip
def test_complaints(tool: Tool, line: str, code: int, said: str) -> None:
    tool("map create /a type array key 4 value 4 entries 2 name a")
    result = tool(line)
    assert (result.code, result.out, result.err) == (code, "", f"Error: {said}\n")
    result = tool(f"-j {line}")
    assert (result.code, result.json, result.err) == (code, {"error": said}, "")


def test_a_name_that_nothing_bears_ends_without_a_word(tool: Tool) -> None:
    result = tool("map lookup name nothing key 1")
    assert (result.code, result.out, result.err) == (255, "", "")
    assert tool("-j map lookup name nothing key 1").out == "\n"


def test_several_of_one_name_are_listed_together(tool: Tool) -> None:
    for path in ("/a", "/b"):
        tool(f"map create {path} type array key 4 value 4 entries 1 name twin")
    lines = tool("map dump name twin").out.splitlines()
    assert lines[1:] == [
        "key: 00 00 00 00  value: 00 00 00 00",
        "Found 1 element",
        lines[0].replace(lines[0].split(":")[0], lines[3].split(":")[0], 1),
        "key: 00 00 00 00  value: 00 00 00 00",
        "Found 1 element",
    ]
    assert [one["name"] for one in tool("-j map dump name twin").json] == ["twin", "twin"]
    result = tool("map lookup name twin key 0 0 0 0")
    assert (result.code, result.err) == (255, "Error: several maps match this handle\n")


def test_events_as_they_come(
    tool: Tool, runtime: Runtime, build: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pipe ends where its reader does: here, when there are no more events."""
    source = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct {
    __uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY); __uint(key_size, 4); __uint(value_size, 4);
} events SEC(".maps");
SEC("xdp") int tell(struct xdp_md *ctx)
{
    unsigned long long text = 0x6f6c6c6568;
    bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, &text, sizeof(text));
    return 2;
}
char _license[] SEC("license") = "GPL";
"""
    with runtime.load(build(source)) as loaded:
        events = loaded.map("events")
        waiting = EventArray.reader
        monkeypatch.setattr(EventArray, "reader", lambda self: waiting(self, 2.0))
        events.pin("/events")
        # The event must come while somebody reads.
        later = Timer(0.3, lambda: loaded.program().test_run(bytes(64), cpu=1))
        later.start()
        shown = tool("map event_pipe pinned /events")
        later.join()
        assert (shown.code, shown.out) == (0, "== CPU: 1 size 8\n68 65 6c 6c 6f 00 00 00\n")
        refused = tool("map event_pipe pinned /events cpu 0")
        assert "is not supported" in refused.err
