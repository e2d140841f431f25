"""Programs through netsh: loaded, attached, pinned, shown and deleted, whole outputs compared."""

from __future__ import annotations

from pathlib import Path

import pytest

from anybpf.runtime import Runtime
from tests.cli.conftest import Cli
from tests.cli.netsh.conftest import Netsh

HEAD = """
    ID  Pins  Links  Mode       Type           Name
======  ====  =====  =========  =============  ====================
"""
NO_INTERFACE = (
    "Interface parameter is not allowed for program types that don't support interfaces.\n"
)
NO_COMPARTMENT = (
    "Compartment parameter is not allowed for program types that don't support compartments.\n"
)


def test_the_first_program_is_attached_and_pinned(netsh: Netsh) -> None:
    assert netsh("add program tail_call.o sample_ext pinpath=mypinpath") == "Loaded with ID 4\n"
    assert netsh("show programs") == HEAD + (
        "     4     1      1  JIT        sample         caller\n"
        "     5     0      0  JIT        sample         callee\n"
    )
    assert netsh("delete program 4") == "Unpinned 4 from BPF:\\mypinpath\n"
    assert netsh("show programs") == HEAD
    assert netsh("show links").count("\n") == 4


def test_all_programs_are_pinned_by_their_sections(netsh: Netsh) -> None:
    assert netsh("add program tail_call.o pinpath=mypinpath pinned=all") == "Loaded with ID 4\n"
    assert netsh("show pins") == (
        "\n     ID     Type  Path\n"
        "=======  =======  ==============\n"
        "      4  Program  BPF:\\mypinpath\\sample_ext\n"
        "      5  Program  BPF:\\mypinpath\\sample_ext_0\n"
    )
    assert netsh("delete program 4") == "Unpinned 4 from BPF:\\mypinpath\\sample_ext\n"
    assert netsh("delete program 5") == "Unpinned 5 from BPF:\\mypinpath\\sample_ext_0\n"
    assert netsh("show programs") == HEAD


@pytest.mark.parametrize(
    ("filters", "rows"),
    [
        ("sample_ext", "ab"),
        ("xdp", ""),
        ("attached=yes", "a"),
        ("attached=no", "b"),
        ("pinned=yes", "a"),
        ("pinned=no", "b"),
        ("attached=any pinned=any", "ab"),
        ("level=normal filename=tail_call.o", "ab"),
        ("level=normal filename=other.o", ""),
        ("section=sample_ext/0", "b"),
        ("id=5 level=normal", "b"),
        ("sample_ext yes yes normal", "a"),
    ],
)
def test_programs_by_filter(netsh: Netsh, filters: str, rows: str) -> None:
    netsh("add program tail_call.o pinpath=mypinname")
    lines = {
        "a": "     4     1      1  JIT        sample         caller\n",
        "b": "     5     0      0  JIT        sample         callee\n",
    }
    assert netsh(f"show programs {filters}") == HEAD + "".join(lines[row] for row in rows)


BLOCK_4 = """
ID             : 4
File name      : tail_call.o
Section        : sample_ext
Name           : caller
Program type   : sample
Mode           : JIT
# map IDs      : 2
map IDs        : 2
                 3
# pinned paths : 1
# links        : 1
"""
BLOCK_5 = """
ID             : 5
File name      : tail_call.o
Section        : sample_ext/0
Name           : callee
Program type   : sample
Mode           : JIT
# map IDs      : 0
# pinned paths : 0
# links        : 0
"""


def test_programs_in_full(netsh: Netsh) -> None:
    netsh("add program tail_call.o pinpath=mypinname")
    assert netsh("show programs level=verbose") == BLOCK_4 + BLOCK_5
    assert netsh("show programs id=5") == BLOCK_5
    assert netsh("show programs filename=tail_call.o") == BLOCK_4 + BLOCK_5
    assert netsh("show programs id=99") == ""


def test_programs_may_be_interpreted(netsh: Netsh) -> None:
    assert netsh("add program bindmonitor.o execution=interpret pinned=none") == (
        "Loaded with ID 4\n"
    )
    assert netsh("show programs") == HEAD + (
        "     4     0      1  INTERPRET  bind           limit_ports\n"
    )


def test_a_program_is_set(netsh: Netsh) -> None:
    netsh("add program tail_call.o pinned=none")
    assert (netsh('set program 4 ""'), netsh.code) == ("", 0)
    assert netsh("show programs") == HEAD + (
        "     4     0      0  JIT        sample         caller\n"
        "     5     0      0  JIT        sample         callee\n"
    )
    assert netsh("set program 4 attached=") == "error 1168: could not detach program\n"
    assert netsh.code == 1
    assert (netsh("set program 4 sample_ext"), netsh.code) == ("", 0)
    assert netsh("show links").splitlines()[-1] == "      7        4  sample_ext"
    assert (netsh('set program 4 ""'), netsh.code) == ("", 0)
    assert (netsh("set program 4 pinpath=one"), netsh.code) == ("", 0)
    assert (netsh("set program 4 pinpath=/ebpf/global/two"), netsh.code) == ("", 0)
    assert netsh("set program 4 pinpath=/two") == "error 17: could not pin program\n"
    assert (netsh('set program 4 pinpath=""'), netsh.code) == ("", 0)
    assert netsh("show pins").count("\n") == 3
    assert (netsh("delete program 4"), netsh.code) == ("", 0)
    assert netsh("show programs") == HEAD


def test_a_program_that_is_not_there(netsh: Netsh) -> None:
    assert (netsh("delete program 9"), netsh.code) == ("Program not found\n", 1)
    assert netsh("set program 9 sample_ext") == "error 6: could not attach program\n"
    assert netsh('set program 9 ""') == "error 1168: could not detach program\n"
    assert netsh("set program 9 pinpath=x") == "Program not found\n"
    assert netsh("pin program 9") == "Program not found\n"
    assert netsh("unpin map 9") == "Map not found\n"


def test_pins_go_in_code_point_order(netsh: Netsh) -> None:
    netsh("add program tail_call.o pinned=none")
    for path in ("b", "a", "Z"):
        netsh(f"pin program 4 {path}")
    assert netsh("delete program 4") == (
        "Unpinned 4 from BPF:\\Z\nUnpinned 4 from BPF:\\a\nUnpinned 4 from BPF:\\b\n"
    )


def test_pins_of_programs_and_maps(netsh: Netsh) -> None:
    netsh("add program tail_call.o pinned=none")
    assert [netsh("pin program 4"), netsh("pin map 2"), netsh("pin map 2 custom")] == [""] * 3
    assert netsh("show pins").splitlines()[3:] == ["      4  Program  BPF:\\caller"]
    assert netsh("show maps").splitlines()[4].split()[-2] == "2"
    assert netsh("unpin program 4 random") == "error 2: could not unpin program\n"
    assert [netsh("unpin program 4"), netsh("unpin map 2"), netsh("unpin map 2 custom")] == [""] * 3
    assert netsh("unpin map 2") == "error 2: could not unpin map\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("missing.o", "error 2: could not open file\n"),
        ("droppacket.o xdp x lo", "Loaded with ID 3\n"),
        ("droppacket.o xdp interface=1", "Loaded with ID 3\n"),
        ("droppacket.o xdp interface=no-such-one", "Interface parameter is invalid.\n"),
        ("bindmonitor.o bind interface=1", NO_INTERFACE),
        ("connect.o cgroup/connect4 x compartment=1", "Loaded with ID 5\n"),
        ("connect.o cgroup/connect4 compartment=0", "Compartment parameter is invalid.\n"),
        ("bindmonitor.o bind compartment=1", NO_COMPARTMENT),
        ("droppacket.o pinpath=a:b", "error 22: could not pin to a:b\n"),
        ("bpf.o type=bind pinned=none", "Loaded with ID 2\n"),
    ],
)
def test_what_becomes_of_loading(netsh: Netsh, arguments: str, told: str) -> None:
    assert netsh(f"add program {arguments}") == told
    if netsh.code:
        assert netsh("show programs") == HEAD
        assert netsh("show links").count("\n") == 4
        assert netsh("show maps").count("\n") == 4


def test_a_second_program_is_refused_where_there_may_be_one(netsh: Netsh) -> None:
    netsh("add program bindmonitor.o pinned=none")
    assert netsh("add program bindmonitor.o pinned=none") == "error 20: could not attach program\n"
    assert netsh("show programs").count("limit_ports") == 1


def test_a_pin_that_is_taken_undoes_the_rest(netsh: Netsh) -> None:
    netsh("add program tail_call.o x")
    netsh("add program tail_call.o pinpath=x")
    assert netsh("add program droppacket.o pinpath=x") == "error 17: could not pin to x\n"
    assert "DropPacket" not in netsh("show programs")
    assert netsh("show links").count("xdp") == 0


def test_files_that_are_damaged(netsh: Netsh, tmp_path: Path) -> None:
    broken = tmp_path / "broken.o"
    broken.write_bytes(b"\x7fELF" + bytes(20))
    assert netsh(f"add program {broken}") == "error 131: could not open file\n"
    empty = tmp_path / "empty.o"
    empty.write_bytes(b"")
    assert netsh(f"show sections {empty}").startswith(f"error: ELF file {empty} is malformed: ")


def test_an_attachment_outlives_the_process_that_made_it(
    cli: Cli, windows: Runtime, here: Path
) -> None:
    """Each command is a netsh of its own; the back end is what lasts."""
    assert cli("netsh", "ebpf", "add", "program", "tail_call.o").out == "Loaded with ID 4\n"
    assert cli("netsh", "ebpf", "show", "programs").out == HEAD + (
        "     4     1      1  JIT        sample         caller\n"
    )
    assert cli("netsh", "eb", "sh", "li").out.endswith("      6        4  sample_ext\n")
    assert cli("netsh", "ebpf", "set", "program", "4", "").out == ""
    assert cli("netsh", "ebpf", "delete", "program", "4").out == "Unpinned 4 from BPF:\\caller\n"
    assert (windows.ids("program"), windows.ids("link"), windows.pins()) == ([], [], [])
