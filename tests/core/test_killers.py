"""Whoever is killed while changing a shared map leaves one that others can go on with."""

from __future__ import annotations

import subprocess
import sys

import pytest

from anybpf import _core
from tests.conftest import ROOT
from tests.core import killers

linux_only = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="shared maps are built on Linux's memory files"
)


def kill_writers(kind: str, value_size: int, *, kills: int, seconds: float, entries: int) -> None:
    if kind not in _core.KINDS:
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
@pytest.mark.parametrize("kind", [*killers.TABLES, *killers.PIPES])
def test_killed_writers_leave_whole_maps(kind: str) -> None:
    kill_writers(kind, 64, kills=600, seconds=4.0, entries=100)
