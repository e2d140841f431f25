"""Maps, links, pins and processes in the Windows tool's columns."""

from __future__ import annotations

import os
from types import SimpleNamespace

from anybpf.cli.netsh.listings import map_row
from tests.cli.netsh.conftest import Netsh

MAPS = """
                              Key  Value      Max  Inner
     ID            Map Type  Size   Size  Entries     ID  Pins  Name
=======  ==================  ====  =====  =======  =====  ====  ========
"""
LINKS = """
   Link  Program  Attach
     ID       ID  Type
=======  =======  =============
"""
PINS = """
     ID     Type  Path
=======  =======  ==============
"""
PROCESSES = """
  PID  Name
=====  ==============
"""


def test_nothing_is_loaded(netsh: Netsh) -> None:
    assert netsh("show maps") == MAPS
    assert netsh("show links") == LINKS
    assert netsh("show pins") == PINS
    assert netsh("show processes") == PROCESSES


def test_maps(netsh: Netsh) -> None:
    netsh("add program tail_call.o")
    assert netsh("show maps") == MAPS + (
        "      2          prog_array     4      4       10      0     0  map\n"
        "      3               array     4      4        1      0     0  canary\n"
    )
    netsh("delete program 4")
    assert netsh("show maps") == MAPS


def test_the_row_of_a_map_that_holds_maps() -> None:
    info = SimpleNamespace(
        id=4, type_name="array_of_maps", key_size=4, value_size=4, max_entries=1, inner_map_id=3,
        pinned_path_count=0, name="outer_map",
    )  # fmt: skip
    assert map_row(info) == (
        "      4       array_of_maps     4      4        1      3     0  outer_map"
    )


def test_links(netsh: Netsh) -> None:
    netsh("add program connect.o pinned=none")
    first, second = (int(line.split()[0]) for line in netsh("show programs").splitlines()[3:])
    netsh(f"set program {second} cgroup/recv_accept4 compartment=3")
    assert netsh("show links") == LINKS + (
        f"{second + 1:>7}{first:>9}  cgroup/connect4\n"
        f"{second + 2:>7}{second:>9}  cgroup/recv_accept4\n"
    )


def test_pins_are_those_of_programs(netsh: Netsh) -> None:
    netsh("add program tail_call.o pinpath=b")
    netsh("pin map 2 a")
    netsh("pin program 5 a2")
    assert netsh("show pins") == PINS + (
        "      5  Program  BPF:\\a2\n"
        "      4  Program  BPF:\\b\n"
    )  # fmt: skip


def test_the_process_that_holds_objects(netsh: Netsh) -> None:
    netsh("add program tail_call.o")
    line = netsh("show processes").removeprefix(PROCESSES)
    assert line.split()[0] == str(os.getpid())
    assert line.startswith(f"{os.getpid():>5}  ")
