"""Whoever is killed while taking pages of a shared arena leaves one that others can go on with."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.core import killers

SECONDS = 4


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="shared maps are built on Linux's memory files"
)
@pytest.mark.parametrize("writers", [1, 3])
def test_killed_processes_leave_whole_stretches(writers: int) -> None:
    done = subprocess.run(
        [
            sys.executable, "-m", "tests.core.arena_killers", "--kills", "600",
            "--seconds", str(SECONDS), "--entries", "16", "--writers", str(writers),
        ],
        capture_output=True, text=True, check=False, timeout=SECONDS + 3 * killers.HANG, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all holds" in done.stdout
