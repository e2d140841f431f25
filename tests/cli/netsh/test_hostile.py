"""Lines of anything: told what is wrong with them, never a traceback, nothing half-made."""

from __future__ import annotations

import random

from anybpf.runtime import Runtime
from tests.cli.netsh.conftest import Netsh

STARTS = (
    "add program", "delete program", "pin map", "set program", "show hash", "show programs",
    "show sections", "show verification", "unpin program", "show disassembly", "",
)  # fmt: skip
WORDS = (
    "droppacket.o", "bpf.o", "missing.o", "/", "/dev/null", "xdp", "3", "4", "99999999999", "-1",
    "id=3", "id=", "pinpath=x", "pinpath=", "pinpath=a:b", "pinpath=..", "attached=",
    "attached=xdp", "pinned=all", "pinned=none", "level=verbose", "interface=1", "interface=-1",
    "compartment=2", "type=sample_ext", '"', "\0", "é", "=", "?", "..", "BPF:\\", "hashonly", "²",
)  # fmt: skip


def test_random_lines(netsh: Netsh, windows: Runtime) -> None:
    generator = random.Random(6)
    codes = {0: 0, 1: 0, 2: 0}
    for _ in range(3000):
        words = [generator.choice(WORDS) for _ in range(generator.randint(0, 4))]
        netsh(" ".join([generator.choice(STARTS), *words]))
        codes[netsh.code] += 1
        netsh.shell.context, netsh.shell.over = "ebpf", False
    assert all(count > 20 for count in codes.values()), codes
    for number in windows.ids("program"):
        netsh(f"delete program {number}")
    assert windows.ids("program") == []
    assert windows.ids("link") == []
