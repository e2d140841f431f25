"""Options, beginnings of words, help, versions and batches."""

from __future__ import annotations

from pathlib import Path

import pytest

from anybpf.cli.bpftool.data import rows
from anybpf.cli.bpftool.session import c_number
from anybpf.runtime import Runtime
from anybpf.runtime.link import LinkRecord
from tests.cli.bpftool.conftest import Tool
from tests.runtime.making import PASS, collection


def test_any_beginning_of_a_word_will_do(loaded: Tool) -> None:
    whole = loaded("map show name things").out
    assert loaded("m s n things").out == whole
    assert loaded("ma list name things").out == whole
    assert loaded("map").out == loaded("map show").out
    assert loaded("p").out == loaded("prog show").out


def test_options_stand_anywhere(loaded: Tool) -> None:
    compact = loaded("-j map show name things").out
    assert loaded("map show -j name things").out == compact
    assert loaded("map show name things --json").out == compact
    pretty = loaded("-p map show name things").out
    assert pretty.startswith('{\n    "id": ')
    assert loaded("-jp map show name things").out == pretty
    assert "pinned" in loaded("--bpffs map show name things").out


def test_pretty_lists_stand_in_rows(loaded: Tool) -> None:
    assert loaded("-p prog show name second").out.endswith('\n    ],\n    "btf_id": 1\n}\n')


@pytest.mark.parametrize("noun", ["prog", "map", "link", "cgroup", "perf", "net", "feature", "btf",
                                  "gen", "struct_ops", "iter"])  # fmt: skip
def test_every_noun_has_help(tool: Tool, noun: str) -> None:
    shown = tool(f"{noun} help")
    assert (shown.code, shown.out) == (0, "")
    assert shown.err.startswith(f"Usage: anybpf bpftool {noun} ")
    wrong = tool(f"{noun} nonsense")
    assert (wrong.code, wrong.err) == (255, shown.err)
    assert tool(f"-j {noun} nonsense").out == "null\n"


def test_what_is_no_noun_or_option(tool: Tool) -> None:
    assert tool("nonsense").code == 255
    result = tool("--nonsense")
    assert result.code == 255
    assert result.err.startswith("Error: unrecognized option '--nonsense'\nUsage: ")
    assert tool("-jx version").json == {"error": "unrecognized option '-jx'"}
    assert tool("").code == 0


def test_versions(tool: Tool) -> None:
    assert tool("version").out == tool("-V").out
    assert set(tool("-j version").json) == {"version", "anybpf_backend", "features"}


def test_batches_stop_at_the_first_failure(loaded: Tool, tmp_path: Path) -> None:
    file = tmp_path / "batch"
    file.write_text("map show name things  # a comment\n\nmap show \\\n name counts\n")
    done = loaded(f"batch file {file}")
    assert (done.code, done.err) == (0, "processed 2 commands\n")
    shown = loaded("map show name things").out + loaded("map show name counts").out
    assert done.out == shown
    file.write_text("map show name things\nmap foo\nmap show\n")
    stopped = loaded(f"-j batch file {file}")
    assert stopped.code == 255
    assert [one["command"] for one in stopped.json] == [
        ["map", "show", "name", "things"],
        ["map", "foo"],
    ]
    assert stopped.json[1]["output"] is None
    missing = loaded("batch file /none")
    assert missing.err == "Error: Can't open file (/none): No such file or directory\n"


def test_features_and_what_is_built_in(tool: Tool) -> None:
    assert tool("feature list_builtins prog_types").out.startswith(
        "unspec\nsocket_filter\nkprobe\n"
    )
    answer = tool("-j feature probe").json
    assert answer["program_types"]["have_xdp_prog_type"] is True
    assert "bpf_map_lookup_elem" in answer["helpers"]["xdp_available_helpers"]
    assert "eBPF map_type hash is available\n" in tool("feature probe").out
    assert "#define T_HAVE_HASH_MAP_TYPE\n" in tool("feature probe macros prefix T_").out


def test_numbers_are_those_of_c() -> None:
    assert [c_number(one) for one in ("0x1f", "017", "9", "09", "x", "")] == [
        31, 15, 9, None, None, None,
    ]  # fmt: skip
    assert rows(bytes(17)) == "00 " * 7 + "00  " + "00 " * 7 + "00\n00"


def test_no_links_are_no_lines(tool: Tool) -> None:
    assert tool("link show").out == ""
    assert tool("-j link show").out == "[]\n"
    result = tool("link show id 99")
    assert (result.code, result.err) == (
        254,
        "Error: failed to get link with ID 99: No such file or directory\n",
    )


class Quiet:
    """A hook from which no events come."""

    def attach(self, link: LinkRecord) -> None:
        pass

    def detach(self, link: LinkRecord) -> None:
        pass


def test_links_of_a_runtime(tool: Tool, runtime: Runtime) -> None:
    runtime.hooks["xdp"] = Quiet()
    with runtime.load(collection(PASS, attach_type="xdp")) as made, made.program().attach() as link:
        record = {"id": link.id, "type": "xdp", "prog_id": made.program().id, "attach_type": "xdp"}
        assert tool("-j link show").json == [record]
        shown = f"{link.id}: xdp  prog {record['prog_id']}  attach_type xdp  \n"
        assert tool(f"link show id {link.id}").out == shown
        assert tool(f"link pin id {link.id} /kept").code == 0
        assert tool("-jf link show pinned /kept").json == {**record, "pinned": ["/kept"]}
        assert tool("link detach pinned /kept").code == 0
        assert tool("-j link show").json[0]["prog_id"] == 0


@pytest.mark.parametrize(
    "line",
    [
        "map create /z type hash key 99999999999999999999 value 4 entries 4 name z",
        "map create /z type hash key 4 value 4 entries 4 name z flags 0xffffffffffff",
        "map create bad\0path type hash key 4 value 4 entries 4 name z",
        "prog load / /x",
        "prog load /dev/null /x",
        "gen skeleton /dev/null",
        "gen object /dev/null/x /dev/null",
        "btf dump file /",
        "btf dump file /dev/null",
        "btf dump id 99999999999999999999999",
        "prog show id 0xffffffffffffffffffffff",
        "map event_pipe id 1",
        "batch file /",
        "iter pin /dev/null /x",
    ],
)
def test_nonsense_is_one_complaint(tool: Tool, line: str) -> None:
    result = tool(line)
    assert result.code
    assert "Error: " in result.err
    assert "Traceback" not in result.err
