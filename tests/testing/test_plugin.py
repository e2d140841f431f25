"""The pytest plugin, in runs of pytest of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SUITE = """
from anybpf.runtime import Runtime

def test_fails():
    Runtime("linux", cpus=1).close()
    assert False

def test_passes():
    Runtime("linux", cpus=1).close()
"""


def run(place: Path, *options: str) -> str:
    (place / "test_suite.py").write_text(SUITE)
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "anybpf.testing.plugin", "-p", "no:cacheprovider",
         "--rootdir", str(place), *options, str(place)],
        capture_output=True, text=True, check=False, timeout=60, cwd=place,
        env={**environment, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )  # fmt: skip
    return done.stdout + done.stderr


def test_a_failing_test_tells_what_runtimes_did(tmp_path: Path) -> None:
    out = run(tmp_path, "--anybpf-trace=base")
    assert out.count(" anybpf trace call ") == 1
    assert out.count("Runtime.__init__: for linux, 1 processors") == 1
    assert "1 failed, 1 passed" in out


def test_nothing_is_told_unless_asked_for(tmp_path: Path) -> None:
    assert "anybpf trace" not in run(tmp_path)


def test_all_tests_are_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "events.log"
    run(tmp_path, "--anybpf-trace-file", str(file), "--anybpf-trace-level", "info")
    lines = file.read_text().splitlines()
    assert [line for line in lines if line.startswith("#")] == [
        "# test_suite.py::test_fails call",
        "# test_suite.py::test_passes call",
    ]
    assert sum("Runtime.close" in line for line in lines) == 2


def test_an_area_that_is_none_is_a_matter_of_usage(tmp_path: Path) -> None:
    assert "no area of events is named 'map' (did you mean maps?)" in run(
        tmp_path, "--anybpf-trace=map"
    )
