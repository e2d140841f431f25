"""Every command a process of its own, the service behind them: what is loaded outlives them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="the service runs on Linux only"
)

# Like `anybpf service run --platform windows`, with a place for every attach type.
SERVICE = """
import signal, sys
from anybpf.service import running
from anybpf.service.log import Journal
from anybpf.service.paths import Places
from anybpf.service.proving import Provers
from anybpf.service.server import Server

places = Places(sys.argv[1], "windows")
places.prepare()
lock = running.take_lock(places)
assert lock is not None
server = Server(places, cpus=2, provers=Provers(spare=False), journal=Journal(places.log))
signal.signal(signal.SIGTERM, lambda *_: server.stop())
server.open()
server.run()
"""
Run = Callable[..., str]


@pytest.fixture
def netsh(objects: Path) -> Iterator[Run]:
    """Runs `anybpf netsh` in a new process; nothing tells it of the service but where that is."""
    home = tempfile.mkdtemp(prefix="ab-", dir="/tmp")
    service = subprocess.Popen([sys.executable, "-c", SERVICE, home])
    socket = Path(home) / "service-windows.sock"
    environment = {**os.environ, "ANYBPF_SERVICE_DIR": home}
    environment.pop("ANYBPF_BACKEND", None)

    def run(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "anybpf", "netsh", *words],
            capture_output=True, text=True, check=False, timeout=120, cwd=objects,
            env=environment,
        )  # fmt: skip
        return done.stdout + done.stderr

    try:
        end = time.monotonic() + 60
        while not socket.exists():
            assert service.poll() is None, "the service ended"
            assert time.monotonic() < end, "the service does not listen"
            time.sleep(0.01)
        yield run
    finally:
        service.terminate()
        service.wait(30)
        shutil.rmtree(home)


HEAD = """
    ID  Pins  Links  Mode       Type           Name
======  ====  =====  =========  =============  ====================
"""


def test_a_program_outlives_the_command_that_added_it(netsh: Run) -> None:
    assert netsh("ebpf", "add", "program", "droppacket.o", "xdp", "execution=interpret") == (
        "Loaded with ID 3\n"
    )
    assert netsh("ebpf", "show", "programs") == HEAD + (
        "     3     1      1  INTERPRET  xdp            DropPacket\n"
    )
    assert netsh("ebpf", "show", "links").endswith("      4        3  xdp\n")
    assert netsh("ebpf", "show", "maps").endswith(
        "      2               array     4      8        1      0     0  dropped_packet_map\n"
    )
    assert netsh("ebpf", "set", "program", "3", "") == ""
    assert netsh("ebpf", "set", "program", "3", "pinpath=second") == ""
    assert netsh("ebpf", "pin", "program", "3", "second") == "error 17: could not pin program\n"
    assert netsh("ebpf", "delete", "program", "3") == (
        "Unpinned 3 from BPF:\\DropPacket\nUnpinned 3 from BPF:\\second\n"
    )
    assert netsh("ebpf", "show", "programs") == HEAD


def test_what_is_refused_leaves_nothing(netsh: Run) -> None:
    told = netsh("ebpf", "add", "program", "droppacket.o", "type=sockops")
    assert told.startswith("error 13: could not load program\nVerification failed\n")
    netsh("ebpf", "add", "program", "bindmonitor.o")
    assert netsh("ebpf", "add", "program", "bindmonitor.o", "pinned=none") == (
        "error 20: could not attach program\n"
    )
    assert netsh("ebpf", "show", "programs").count("limit_ports") == 1
