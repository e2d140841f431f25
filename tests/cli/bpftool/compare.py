"""Runs bpftool and ours on the same kernel objects, in namespaces of its own; prints both as JSON.

Started by ``test_real`` under ``unshare``. ``{name}`` in a command stands for one of two twins: the
real bpftool works on the first, ours on the second, so that commands which change a map can be
compared too. All numbers of twins are masked before the outputs are compared.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from anybpf.cli import main

ROOT = "/sys/fs/bpf"


def real(words: list[str]) -> tuple[int, str, str]:
    done = subprocess.run(["bpftool", *words], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


def ours(words: list[str]) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(["bpftool", "--backend", "linux", *words])
    return code, out.getvalue(), err.getvalue()


def one(line: str) -> dict[str, Any]:
    words = line.split()
    return {
        "line": line,
        "real": real([word.replace("{}", "real") for word in words]),
        "ours": ours([word.replace("{}", "ours") for word in words]),
    }


@contextmanager
def own_group(folder: str) -> Iterator[str]:
    """A control group of this process's own, gone at the end; what is no group if none is to be
    had."""
    subprocess.run(["mount", "-t", "cgroup2", "none", folder], check=False, capture_output=True)
    group = Path(folder) / f"anybpf-{os.getpid()}"
    group.mkdir()
    try:
        yield str(group)
    finally:
        group.rmdir()
        subprocess.run(["umount", folder], check=False, capture_output=True)


def begin(objects: list[str]) -> None:
    subprocess.run(["mount", "-t", "bpf", "bpf", ROOT], check=True)
    for path in objects:
        for twin in ("real", "ours"):
            place = f"{ROOT}/{twin}"
            Path(place).mkdir(exist_ok=True)
            subprocess.run(
                ["bpftool", "prog", "loadall", path, f"{place}/p", "pinmaps", f"{place}/m"],
                check=True,
                capture_output=True,
            )


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    begin(asked["objects"])
    with own_group(asked["folder"]) as group:
        lines = [line.replace("GROUP", group) for line in asked["lines"]]
        print(json.dumps([one(line) for line in lines]))
