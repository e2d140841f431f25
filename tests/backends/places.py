"""Places of a test's own where programs may be attached: a network, mounts, a cgroup."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

_NEW_MOUNTS = 0x00020000  # CLONE_NEWNS
_NEW_NETWORK = 0x40000000  # CLONE_NEWNET
_RECURSIVE_PRIVATE = 0x4000 | 1 << 18  # MS_REC | MS_PRIVATE

ETHERTYPE = b"\x88\xb5"  # for experiments: IEEE 802
FRAME = b"\xff" * 6 + b"\x02" + bytes(5) + ETHERTYPE + bytes(50)


def in_own_network(work: Callable[[], None]) -> None:
    """Do something in a thread that has a network and mounts to itself; both go with it.

    Child processes that it starts are in there, too. There is a pair of devices, va and vb.
    """
    failed: list[BaseException] = []

    def body() -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        try:
            if libc.unshare(_NEW_NETWORK | _NEW_MOUNTS):
                reason = os.strerror(ctypes.get_errno())
                pytest.skip(f"no network namespace of one's own here: {reason}")
            libc.mount(None, b"/", None, _RECURSIVE_PRIVATE, None)
            _ip("link set lo up")
            _ip("link add va type veth peer name vb")
            _ip("link set va up")
            _ip("link set vb up")
            work()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]


def _ip(words: str) -> None:
    done = subprocess.run(["ip", *words.split()], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"ip {words}: {done.stderr.strip()}")


def mount(kind: str, place: Path | str) -> None:
    """In the thread's own mounts."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(kind.encode(), os.fsencode(place), kind.encode(), 0, None):
        pytest.skip(f"{kind} cannot be mounted: {os.strerror(ctypes.get_errno())}")


def send_frames(device: str, count: int = 1) -> None:
    """Frames out of a device: into the other end of its pair."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind((device, 0))
        for _ in range(count):
            raw.send(FRAME)


@contextlib.contextmanager
def own_cgroup() -> Iterator[Path]:
    """A child of the root of the cgroup v2 tree, which is removed at the end."""
    root = next(
        (
            line.split(" ")[4]
            for line in Path("/proc/self/mountinfo").read_text().splitlines()
            if " - cgroup2 " in line
        ),
        "",
    )
    if not root:
        pytest.skip("no cgroup v2 is mounted here")
    place = Path(root) / f"anybpf-test-{os.getpid()}"
    try:
        place.mkdir()
    except OSError as error:
        pytest.skip(f"no cgroup of one's own here: {error}")
    try:
        yield place
    finally:
        place.rmdir()


def run_in_cgroup(group: Path, code: str) -> str:
    """What Python code prints in a process that belongs to the cgroup."""
    join = f"open({str(group / 'cgroup.procs')!r}, 'w').write('0')\n"
    done = subprocess.run(
        [sys.executable, "-c", join + code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
