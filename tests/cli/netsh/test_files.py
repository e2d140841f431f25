"""What files say: sections, code, verdicts, hashes; whole outputs compared."""

from __future__ import annotations

from pathlib import Path

import pytest

from anybpf.objects.elf_writer import ElfWriter
from tests.cli.conftest import Cli
from tests.cli.netsh.conftest import Netsh

MAPS = """
                     Key  Value      Max
          Map Type  Size   Size  Entries  Name
==================  ====  =====  =======  ========
"""
SECTIONS = """
                                                                     Size
                       Section                   Program       Type  (bytes)
==============================  ========================  =========  =======
"""


def test_sections_without_a_type(netsh: Netsh) -> None:
    assert netsh("show sections bpf.o") == SECTIONS + (
        "                         .text                      func     unspec       16\n" + MAPS
    )


def test_sections_are_listed_from_the_files_end(netsh: Netsh) -> None:
    assert netsh("show sections tail_call.o") == SECTIONS + (
        "                  sample_ext/0                    callee     sample       16\n"
        "                    sample_ext                    caller     sample      144\n"
        + MAPS
        + "        prog_array     4      4       10  map\n"
        "             array     4      4        1  canary\n"
    )


def test_sections_in_full(netsh: Netsh) -> None:
    """A section that is named, and no level: then all is counted."""
    expected = """
Section      : .text
Program      : func
Program Type : unspec
Size         : 16 bytes
Instructions : 2
arith        : 0
arith32      : 1
arith64      : 0
assign       : 1
call_1       : 0
call_mem     : 0
call_nomem   : 0
instructions : 4
joins        : 0
jumps        : 0
load         : 0
load_store   : 0
map_in_map   : 0
other        : 3
packet_access: 0
reallocate   : 0
store        : 0
"""
    assert netsh("show sections bpf.o .text") == expected + MAPS
    assert netsh("show sections bpf.o level=verbose") == expected + MAPS
    assert netsh("show sections bpf.o .text normal").startswith(SECTIONS)


def test_what_is_counted(netsh: Netsh) -> None:
    told = netsh("show sections droppacket.o xdp").split(MAPS)[0]
    numbers = {
        key.strip(): int(value)
        for key, _, value in (line.partition(":") for line in told.splitlines()[5:])
    }
    parts = ("arith", "assign", "assume", "call_1", "load", "store", "other")
    assert numbers["instructions"] == sum(numbers[part] for part in parts)
    assert numbers["assume"] == 2 * numbers["jumps"]
    assert (numbers["call_1"], numbers["call_mem"]) == (1, 0)
    assert list(numbers)[1:] == sorted(list(numbers)[1:])


def test_code(netsh: Netsh) -> None:
    told = netsh("show disassembly bpf.o")
    lines = [line for line in told.splitlines() if not line.startswith(";")]
    assert lines == ["       0:\tw0 = 42", "       1:\texit", ""]
    assert told.endswith("exit\n\n")


def test_code_of_a_section_or_a_program(netsh: Netsh) -> None:
    first = netsh("show disassembly tail_call.o")
    assert "bpf_tail_call:5(ctx r1, map_fd_programs r2, uint64_t r3)" in first
    assert "r2 = map_fd 1" in first  # maps are numbered as `show sections` lists them
    assert netsh("show disassembly tail_call.o sample_ext") == first
    assert netsh("show disassembly tail_call.o program=callee") != first


def test_verdicts(netsh: Netsh) -> None:
    good = "Verification succeeded\nProgram terminates within 0 loop iterations\n"
    assert (netsh("show verification droppacket.o xdp"), netsh.code) == (good, 0)
    assert netsh("show verification tail_call.o") == 2 * good
    assert netsh("show verification bpf.o program=func type=bind") == good


def test_a_verdict_against_a_program(netsh: Netsh) -> None:
    """What a program reads of its context is another thing for another type."""
    told = netsh("show verification droppacket.o type=sockops")
    assert netsh.code == 1
    assert told.startswith("Verification failed\n\nVerification report:\n\n; ")
    assert told.endswith(" errors\n\n")
    longer = netsh("show verification droppacket.o type=sockops level=informational")
    assert "Failure slice" in longer
    assert "Pre-invariant" in netsh("show verification droppacket.o level=verbose")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("show disassembly none.o", "error: No such file or directory opening none.o\n"),
        ("show sections none.o", "error: No such file or directory opening none.o\n"),
        ("show verification none.o", "error: No such file or directory opening none.o\n"),
        ("show verification bpf.o", "error: Unspecified program type.\n"),
        ("show verification bpf.o xdp", "error: Section not found\n"),
        ("show disassembly bpf.o xdp", "error: Section not found\n"),
        ("show sections bpf.o xdp", "error: Section not found\n"),
        ("show disassembly bpf.o program=no", "error: No such program no\n"),
        ("show hash none.o", "Error: No such file or directory opening none.o\n"),
        ("show hash bpf.o", "Error: No hash section found in bpf.o\n"),
    ],
)
def test_what_is_not_there(netsh: Netsh, line: str, told: str) -> None:
    assert (netsh(line), netsh.code) == (told, 1)


def test_a_file_without_programs(netsh: Netsh, tmp_path: Path) -> None:
    empty = tmp_path / "empty.o"
    empty.write_bytes(ElfWriter().encode())
    assert netsh(f"show verification {empty}") == "\nNo section(s) found\n"
    assert netsh(f"show disassembly {empty}") == "error: No programs found\n"


def test_hashes_in_sections(netsh: Netsh, tmp_path: Path) -> None:
    def file(name: str, data: bytes) -> Path:
        writer = ElfWriter()
        writer.add_section("hash", data)
        place = tmp_path / name
        place.write_bytes(writer.encode())
        return place

    some = file("some.o", bytes(range(40)))
    assert netsh(f"show hash {some}") == (
        f"Hash for {some}:\n"
        "Size: 40 bytes\n"
        "Data: 00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f\n"
        "      10 11 12 13 14 15 16 17 18 19 1a 1b 1c 1d 1e 1f\n"
        "      20 21 22 23 24 25 26 27\n"
    )
    assert netsh(f"show hash {some} hashonly") == (
        f"{bytes(range(32)).hex().upper()}\n"
        "Warning: Hash data (40 bytes) truncated to 32 bytes (SHA-256 size).\n"
    )
    none = file("none.o", b"")
    assert netsh(f"show hash {none}") == f"Error: Hash section is empty in {none}\n"


def test_a_native_image(cli: Cli, netsh: Netsh, here: Path) -> None:
    """Compile ahead, look into it, load it: the mode says that it is native."""
    pytest.importorskip("llvmlite")
    from hashlib import sha256

    done = cli("compile", "droppacket.o", "-o", "droppacket.so", "--platform", "windows")
    assert done.code == 0, done.err
    digest = sha256((here / "droppacket.o").read_bytes()).hexdigest()
    assert netsh("show hash droppacket.so hashonly") == f"{digest.upper()}\n"
    sections = netsh("show sections droppacket.so")
    assert "                           xdp                DropPacket        xdp" in sections
    assert "arith" not in netsh("show sections droppacket.so xdp")
    assert netsh("add program droppacket.so") == "Loaded with ID 3\n"
    assert netsh("show programs").splitlines()[-1] == (
        "     3     1      1  NATIVE     xdp            DropPacket"
    )
