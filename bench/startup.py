"""How long the command and the package take to start, against Python itself."""

from __future__ import annotations

import sys
from pathlib import Path

from ratio import compare, cpu_of_command

ANYBPF = str(Path(sys.executable).with_name("anybpf"))


def main() -> None:
    compare(
        "start of `anybpf --help` over `python -c pass`",
        ("anybpf --help", lambda: cpu_of_command([ANYBPF, "--help"])),
        ("python -c pass", lambda: cpu_of_command([sys.executable, "-c", "pass"])),
        rounds=41,
        goal=4,
    )
    compare(
        "`import anybpf` over `import argparse`, each less Python's own start",
        ("import anybpf", lambda: _import("anybpf")),
        ("import argparse", lambda: _import("argparse")),
        rounds=21,
        goal=3,
    )


def _import(module: str) -> float:
    """Seconds that the import itself takes, as the interpreter counts it."""
    import subprocess

    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", f"import {module}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    rows = [line.split("|") for line in done.stderr.splitlines() if line.count("|") == 2]
    return min(int(row[1]) for row in rows if row[2].strip() == module) / 1e6


if __name__ == "__main__":
    main()
