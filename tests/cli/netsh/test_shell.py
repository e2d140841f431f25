"""The session: prompts, contexts, help, scripts, and how it ends."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from anybpf.cli.netsh.session import Session
from anybpf.cli.netsh.shell import Shell, interact
from anybpf.runtime import Runtime
from anybpf.runtime.places import add_places
from tests.cli.conftest import Cli
from tests.cli.netsh.conftest import Netsh


def talk(runtime: Runtime, typed: str) -> str:
    """What is on the screen after somebody typed that: prompts and answers, not what was typed."""
    out = io.StringIO()
    with Session(lambda: runtime, out=out, err=out) as session:
        interact(Shell(session), io.StringIO(typed))
    return out.getvalue()


def test_prompts_say_where_one_is(windows: Runtime) -> None:
    assert talk(windows, "ebpf\n..\n\nEBPF\nbye\nshow maps\n") == (
        "netsh>netsh ebpf>netsh>netsh>netsh ebpf>"
    )


@pytest.mark.parametrize("word", ["exit", "bye", "quit", "QUIT", "ex", "b", "q"])
def test_the_words_that_end_it(windows: Runtime, word: str) -> None:
    assert talk(windows, f"{word}\nshow helper\n") == "netsh>"
    assert talk(windows, f"ebpf\n{word}\nshow maps\n") == "netsh>netsh ebpf>"


def test_it_ends_with_its_input(windows: Runtime) -> None:
    assert talk(windows, "") == "netsh>\n"


def test_objects_live_as_long_as_the_session(windows: Runtime, here: Path) -> None:
    add_places(windows)
    lines = "ebpf\nadd program tail_call.o pinned=none\nset program 4 attached=\nshow pins\n"
    told = talk(windows, lines)
    assert "netsh ebpf>Loaded with ID 4\n" in told
    assert windows.ids("program") == []


def test_help(netsh: Netsh) -> None:
    for line in ("?", "help", "HELP"):
        told = netsh(line)
        assert told.startswith("\nCommands in the ebpf context:\n..")
        for word in ("add", "delete", "pin", "set", "show", "unpin", "exit"):
            assert f"\n{word} " in told
    netsh("..")
    assert "\nebpf    - Changes to the 'ebpf' context.\n" in netsh("?")


def test_help_of_a_group_and_of_a_command(netsh: Netsh) -> None:
    assert (
        netsh("unpin")
        == netsh("unpin ?")
        == (
            "\nCommands in ebpf unpin:\n"
            "unpin map      - Take a map's pin away.\n"
            "unpin program  - Take a program's pin away.\n\n"
        )
    )
    assert netsh("pin map ?") == (
        "\nUsage: ebpf pin map id=<number> [path=<text>]\n"
        "\n  Pin a map.\n"
        "\nArguments:\n\n"
        "  id    the map's number\n"
        "  path  the pin's path; without it, the object's name\n\n"
    )
    assert "pinned=none|first|all" in netsh("add program help")


def test_the_context_is_there_without_a_dll(netsh: Netsh) -> None:
    netsh("..")
    assert (netsh("add helper ebpfnetsh.dll"), netsh.code) == ("", 0)
    assert netsh("show helper").endswith("{634d21b8-13f9-46a3-945f-885cbd661c13}  ebpf\n")
    assert (netsh("add helper"), netsh.code)[1] == 2


def test_a_script(cli: Cli, windows: Runtime, here: Path, tmp_path: Path) -> None:
    script = tmp_path / "demo.netsh"
    script.write_text(
        "# a program by its file\nebpf\nadd program droppacket.o xdp\n\nshow pins\nnonsense\n"
        "delete program 3\nbye\nshow maps\n"
    )
    result = cli("netsh", "-f", script)
    assert result.out == (
        "Loaded with ID 3\n"
        "\n     ID     Type  Path\n"
        "=======  =======  ==============\n"
        "      3  Program  BPF:\\DropPacket\n"
        "Unpinned 3 from BPF:\\DropPacket\n"
    )
    assert result.err == "There is no command 'ebpf nonsense'. Type ? to see which there are.\n"
    assert result.code == 2


def test_as_json(cli: Cli, windows: Runtime, here: Path) -> None:
    """What was printed, and behind it what was listed as values."""
    told = cli("netsh", "--json", "ebpf", "show", "links").json
    assert (told["version"], told["code"], told["errors"]) == (1, 0, "")
    assert told["output"].splitlines()[-1] == "=======  =======  ============="
    failed = cli("netsh", "--json", "ebpf", "delete", "program", "7")
    assert (failed.code, failed.json["output"]) == (1, "Program not found\n")

    loaded = cli("netsh", "--json", "ebpf", "add", "program", "tail_call.o").json
    assert loaded["loaded"] == [{"id": 4, "name": "caller"}, {"id": 5, "name": "callee"}]
    (program,) = cli("netsh", "--json", "ebpf", "show", "programs").json["programs"]
    assert (program["name"], program["map_ids"], program["links"]) == ("caller", [2, 3], 1)
    assert program["pinned"] == ["BPF:\\caller"]
    (link,) = cli("netsh", "--json", "ebpf", "show", "links").json["links"]
    assert (link["prog_id"], link["attach_type"], link["pinned"]) == (4, "sample_ext", [])
    maps = cli("netsh", "--json", "ebpf", "show", "maps").json["maps"]
    assert [one["type"] for one in maps] == ["prog_array", "array"]
    pins = cli("netsh", "--json", "ebpf", "show", "pins").json["pins"]
    assert pins == [{"id": 4, "kind": "program", "path": "BPF:\\caller"}]


def test_files_as_json(cli: Cli, here: Path) -> None:
    told = cli("netsh", "--json", "ebpf", "show", "sections", "bpf.o", ".text").json
    assert told["programs"][0]["bytes"] == 16
    assert told["programs"][0]["statistics"]["Instructions"] == 2
    told = cli("netsh", "--json", "ebpf", "show", "verification", "droppacket.o").json
    assert [one["verdict"] for one in told["programs"]] == ["pass"]


def test_more_is_said_of_errors_if_wanted(cli: Cli, windows: Runtime, here: Path) -> None:
    cli("netsh", "ebpf", "add", "program", "bindmonitor.o")
    told = cli("netsh", "--explain", "ebpf", "add", "program", "bindmonitor.o", "pinned=none")
    assert told.err == (
        "error 20: could not attach program\n"
        "  bind has a program already: program limit_ports (id 4); detach that one first\n"
    )


def test_files_need_no_back_end(here: Path) -> None:
    """Nothing is opened for what only looks at files."""

    def opener() -> Runtime:
        raise AssertionError("a back end was opened")

    out = io.StringIO()
    with Session(opener, out=out) as session:
        assert Shell(session).line("ebpf show verification droppacket.o") == 0
    assert out.getvalue().startswith("Verification succeeded")
