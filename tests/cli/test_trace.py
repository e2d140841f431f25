"""`anybpf trace`: another command, and what the runtime does meanwhile."""

from __future__ import annotations

import json
import re
from pathlib import Path

from anybpf.runtime.tracing import AREAS
from tests.cli.conftest import Cli


def test_events_stand_beside_the_commands_output(cli: Cli, droppacket: Path) -> None:
    done = cli("trace", "--level", "info", "prog", "run", droppacket, "--data", "00" * 14)
    assert done.code == 0
    assert done.out.startswith("drop_packet: XDP_PASS (2)\n")
    events = [re.sub(r"^ *\d+\.\d{6} ", "", line) for line in done.err.splitlines()]
    assert [event.partition(":")[0] for event in events] == [
        "info    base       Runtime.__init__",
        "info    verifier   _Load._verify",
        "info    maps       create_map",
        "info    maps       create_map",
        "info    programs   create_program",
        "info    base       Runtime.load",
        "info    base       Runtime.close",
    ]
    assert (
        events[0] == "info    base       Runtime.__init__: for linux, " + events[0].split(", ")[1]
    )


def test_events_go_to_a_file_as_json(cli: Cli, droppacket: Path, tmp_path: Path) -> None:
    file = tmp_path / "events.json"
    done = cli(
        "trace", "--json", "--area", "core,maps", "--output", file,
        "prog", "run", droppacket, "--data", "00" * 14, "--json",
    )  # fmt: skip
    assert (done.code, done.err) == (0, "")
    assert done.json["retval_name"] == "XDP_PASS"
    events = [json.loads(line) for line in file.read_text().splitlines()]
    assert [event["function"] for event in events] == ["create_map"] * 2 + ["Program.test_run"]
    assert events[0]["time"] == 0
    assert set(events[0]) == {"version", "time", "area", "level", "function", "thread", "text"}


def test_the_commands_code_is_the_code(cli: Cli, tmp_path: Path) -> None:
    done = cli("trace", "--", "prog", "run", "nowhere.o")
    assert done.code == 2
    assert "anybpf prog run: nowhere.o: No such file or directory\n" in done.err


def test_what_makes_no_sense_is_refused(cli: Cli) -> None:
    assert cli("trace").err == (
        "anybpf trace: which command? Say it behind: anybpf trace prog run FILE.o\n"
    )
    done = cli("trace", "--area", "map", "prog", "show")
    assert (done.code, done.err) == (
        2, "anybpf trace: no area of events is named 'map' (did you mean maps?)\n",
    )  # fmt: skip


def test_areas_are_listed(cli: Cli) -> None:
    lines = cli("trace", "--list").out.splitlines()
    assert [line.split()[0] for line in lines] == list(AREAS)
