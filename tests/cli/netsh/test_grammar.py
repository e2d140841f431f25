"""How lines are read: words, prefixes, arguments by position and by tag."""

from __future__ import annotations

import pytest

from anybpf.cli.netsh.grammar import SyntaxProblem, bind, choose, split
from anybpf.cli.netsh.table import EBPF
from tests.cli.netsh.conftest import Netsh

COMMANDS = {command.name: command for command in EBPF}
ADD = COMMANDS["add program"]


def test_the_commands_are_those_of_the_windows_tool() -> None:
    """One row a line of section 5.1 of the inventory."""
    assert {name: [tag.name for tag in one.tags] for name, one in COMMANDS.items()} == {
        "add program": [
            "filename", "type", "pinpath", "interface", "pinned", "execution", "compartment",
        ],
        "delete program": ["id", "section"],
        "set program": ["id", "attached", "pinpath", "interface", "compartment"],
        "show programs": ["type", "attached", "pinned", "level", "filename", "section", "id"],
        "show sections": ["filename", "section", "level"],
        "show disassembly": ["filename", "section", "program"],
        "show verification": ["filename", "section", "program", "type", "level"],
        "show maps": [],
        "show links": [],
        "show pins": [],
        "show processes": [],
        "show hash": ["filename", "hashonly"],
        "pin map": ["id", "path"],
        "pin program": ["id", "path"],
        "unpin map": ["id", "path"],
        "unpin program": ["id", "path"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("a.o", {"filename": "a.o"}),
        ("a.o xdp here 3", {"filename": "a.o", "type": "xdp", "pinpath": "here", "interface": "3"}),
        ("pinned=none filename=a.o xdp", {"filename": "a.o", "type": "xdp", "pinned": "none"}),
        ("a.o xdp pinp=x", {"filename": "a.o", "type": "xdp", "pinpath": "x"}),
        ("F=a.o T=xdp PINNED=ALL", {"filename": "a.o", "type": "xdp", "pinned": "all"}),
        ("a.o pinn=f e=i", {"filename": "a.o", "pinned": "first", "execution": "interpret"}),
        ('"my file.o" pinpath="a b"', {"filename": "my file.o", "pinpath": "a b"}),
        (r"C:\bpf\a.o pinpath=BPF:\a", {"filename": r"C:\bpf\a.o", "pinpath": r"BPF:\a"}),
        ("dir/a=b.o", {"filename": "dir/a=b.o"}),
    ],
)
def test_arguments(line: str, values: dict[str, str]) -> None:
    assert bind(ADD, split(line)) == values


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("", "'filename' is needed"),
        ('""', "'filename' is needed"),
        ("a.o pin=x", "may mean pinpath or pinned"),
        ("a.o colour=red", "there is no argument 'colour'; it takes filename, type"),
        ("a.o pinned=some", "'some' is none of none, first, all"),
        ("a.o type=xdp type=bind", "'type' is given twice"),
        ("a.o 2 3 4 none jit 7 8", "'8' is one argument too many"),
        ('a.o "xdp', "none closes it"),
        ("a.o\0", "zero byte"),
    ],
)
def test_arguments_that_do_not_fit(line: str, complaint: str) -> None:
    with pytest.raises(SyntaxProblem, match=complaint):
        bind(ADD, split(line))


def test_an_exact_word_is_meant_although_others_begin_with_it() -> None:
    assert choose("map", ["map", "maps"]) == ["map"]
    assert choose("", ["map", "maps"]) == []


@pytest.mark.parametrize(
    "line", ["show maps", "sh ma", "SHOW MAPS", "ebpf show maps", "eb s m", ".. ebpf show maps"]
)
def test_commands_may_be_cut(netsh: Netsh, line: str) -> None:
    if line == "eb s m":  # set, show
        assert "may mean set or show" in netsh(line)
        return
    assert netsh(line).splitlines()[1].endswith("Max  Inner")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("shoe maps", "There is no command 'ebpf shoe maps'. Type ? to see which there are.\n"),
        ("show map ?", ""),
        (
            "show p",
            "'ebpf show p' may mean show pins or show processes or show programs: write more of "
            "it\n",
        ),
        ("show helpers", "There is no command 'ebpf show helpers'. Type ? "
         "to see which there are.\n"),
        ("delete program five six seven",
         "delete program: 'seven' is one argument too many; it takes id, section\n"),
        ("pin map five", "pin map: id is a number of an object, not 'five'\n"),
        ("pin map 4294967296", "pin map: id is a number of an object, not '4294967296'\n"),
        ("set program 5", "set program: say what is to be set: "
         "attached, pinpath, interface or compartment\n"),
    ],
)  # fmt: skip
def test_lines_that_are_no_command(netsh: Netsh, line: str, complaint: str) -> None:
    told = netsh(line)
    if complaint:
        assert (netsh.code, told) == (2, complaint)
    else:
        assert "Usage: ebpf show maps" in told


def test_a_type_that_no_section_is_like(netsh: Netsh) -> None:
    told = netsh("add program droppacket.o type=xpd")
    assert netsh.code == 2
    assert told.startswith("type 'xpd' is like no section; sections are bind, cgroup/bind4, ")
