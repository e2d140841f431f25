"""Whoever is killed while changing a shared map leaves one that others can go on with."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from anybpf import _core
from tests.conftest import ROOT
from tests.core import killers, victims

linux_only = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="shared maps are built on Linux's memory files"
)


def kill_writers(kind: str, value_size: int, *, kills: int, seconds: float, entries: int) -> None:
    if victims.core_kind(kind) not in _core.KINDS:
        pytest.skip(f"this build has no maps of kind {kind}")
    done = subprocess.run(
        [
            sys.executable, "-m", "tests.core.killers", "--kind", kind,
            "--value-size", str(value_size), "--kills", str(kills), "--seconds", str(seconds),
            "--entries", str(entries),
        ],
        capture_output=True, text=True, check=False, timeout=seconds + 3 * killers.HANG, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@linux_only
@pytest.mark.parametrize(
    ("kind", "value_size"),
    [("array", 4096), ("array", 8), ("percpu_array", 64)],
)
def test_killed_writers_leave_whole_values(kind: str, value_size: int) -> None:
    kill_writers(kind, value_size, kills=600, seconds=5.0, entries=16)


@linux_only
@pytest.mark.parametrize("kind", [kind for kind in victims.KINDS if kind not in victims.ARRAYS])
def test_killed_writers_leave_whole_maps(kind: str) -> None:
    kill_writers(kind, 64, kills=600, seconds=3.0, entries=100)


def children_of(pid: int) -> Iterator[int]:
    """Those of a process, and theirs."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            child, rest = stat.read_text().split(" (", 1)
        except OSError:
            continue  # gone meanwhile
        if int(rest.rsplit(") ", 1)[1].split()[1]) == pid:
            yield int(child)
            yield from children_of(int(child))


def is_there(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0] != "Z"
    except OSError:
        return False


@linux_only
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_nobody_outlives_a_soak_that_is_ended(number: int) -> None:
    soak = subprocess.Popen(
        [sys.executable, "fuzz/soak.py", "--seconds", "60", "--kinds", "hash", "queue"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        seen: set[int] = set()
        end = time.monotonic() + 30
        # Two rounds, and each has made processes of its own.
        while len(seen) < 4 and time.monotonic() < end:
            seen |= set(children_of(soak.pid))
        assert len(seen) >= 4
        last = set(children_of(soak.pid))
        soak.send_signal(number)
        said, _ = soak.communicate(timeout=60)
    finally:
        soak.kill()
    while (left := [pid for pid in seen | last if is_there(pid)]) and time.monotonic() < end:
        time.sleep(0.01)
    assert not left
    assert soak.returncode == (-number if number == signal.SIGKILL else 1)
    if number != signal.SIGKILL:
        assert f"asked to end by {signal.Signals(number).name}" in said
        assert "before the end" in said


class Failing(victims.Victim):
    """A map of which writers soon think that it is wrong."""

    def change(self, rng: random.Random) -> None:
        super().change(rng)
        if rng.random() < 0.2:
            raise ValueError("a planted mistake")


@linux_only
def test_who_ends_before_he_is_killed_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    killing = killers.Killing(Failing(victims.Plan("array", seconds=20.0)))
    with pytest.raises(
        AssertionError, match=r"writer \d+ ended before it was killed: exited with 3"
    ):
        killing.run()
    assert not killing.alive
    assert "a planted mistake" in capfd.readouterr().err


class Wrong(victims.Victim):
    """A map whose values are not what they should be."""

    def problem_of_value(self, number: int | None, value: bytes) -> str | None:
        return "a planted finding" if any(value) else None


@linux_only
def test_what_does_not_hold_is_told_and_nobody_is_left() -> None:
    killing = killers.Killing(Wrong(victims.Plan("array", seconds=20.0)))
    with pytest.raises(AssertionError, match=r"after \d+ kills: a planted finding"):
        killing.run()
    assert not killing.alive


@pytest.mark.skipif(not hasattr(os, "fork"), reason="signals end processes elsewhere in other ways")
@pytest.mark.parametrize(
    ("status", "words"),
    [(0x300, "exited with 3"), (9, "killed by SIGKILL"), (0x8B, "killed by SIGSEGV")],
)
def test_ends_in_words(status: int, words: str) -> None:
    assert killers.how_it_ended(status) == words
