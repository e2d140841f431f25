"""The tables cost nothing until they are used, and little then."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys, typing, time
import anybpf
before = set(sys.modules)
import anybpf.platforms
print(*sorted(set(sys.modules) - before))
before = set(sys.modules)
start = time.perf_counter()
anybpf.platforms.get("linux")
cost = time.perf_counter() - start
print(*sorted(set(sys.modules) - before))
print(cost)
"""


def run(cache: Path) -> list[str]:
    """Three lines: what the room imports, what asking for Linux imports, how long that took."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    env["PYTHONPATH"] = os.pathsep.join(sys.path)
    env["PYTHONPYCACHEPREFIX"] = str(cache)
    return subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=env,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()


def test_import_pulls_in_nothing_else(tmp_path: Path) -> None:
    first, second, _ = run(tmp_path)
    assert all(name.startswith("anybpf.") for name in first.split()), first
    assert "anybpf.platforms.linux" not in first.split()
    assert "anybpf.platforms.linux" in second.split()
    # importlib is how the tables are fetched; some interpreters have it loaded already.
    own = [name for name in second.split() if not name.startswith("importlib")]
    assert all(name.startswith("anybpf.platforms.") for name in own), second


def test_tables_are_ready_at_once(tmp_path: Path) -> None:
    # The first run fills the cache of byte code. Measured: 3 ms; the bound only tells tables that
    # are built row by row from tables that are compiled constants, on however busy a machine.
    run(tmp_path)
    assert min(float(run(tmp_path)[2]) for _ in range(3)) < 0.5
