"""Fixtures that several rooms' tests share."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from anybpf import toolchain
from anybpf.errors import CompilerError
from anybpf.toolchain import Compiler, find_compiler

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session", autouse=True)
def own_service() -> Iterator[None]:
    """A service that tests start by asking for it is theirs alone, and goes when they end."""
    home = tempfile.mkdtemp(prefix="ab-")  # short, as names of sockets must be
    os.environ["ANYBPF_SERVICE_DIR"] = home
    yield
    for socket in Path(home).glob("service-*.sock"):
        name = socket.stem.removeprefix("service-")
        command = [sys.executable, "-m", "anybpf", "service", "stop", "--platform", name]
        subprocess.run(command, check=False, capture_output=True, timeout=60)
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Compiled objects are kept for this run of the tests alone."""
    os.environ["ANYBPF_CACHE"] = str(tmp_path_factory.mktemp("cache"))


def find_shared() -> Path | None:
    """The folder with the conformance suite and the corpora, if this machine has it."""
    place = Path(os.environ.get("ANYBPF_SHARED") or ROOT.parent / "shared")
    return place if (place / "corpus").is_dir() else None


@pytest.fixture(scope="session")
def shared() -> Path:
    """The shared folder; tests that need it are skipped where there is none."""
    place = find_shared()
    if place is None:
        pytest.skip("no shared corpora here: set ANYBPF_SHARED to the folder that holds them")
    return place


@pytest.fixture(scope="session")
def compiler() -> Compiler:
    """A compiler that makes BPF; tests that need one are skipped where there is none."""
    try:
        return find_compiler()
    except CompilerError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def droppacket(compiler: Compiler, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first example, compiled."""
    source = ROOT / "examples" / "droppacket" / "droppacket.c"
    return toolchain.compile(
        source, tmp_path_factory.mktemp("examples") / "droppacket.o", compiler=compiler
    ).output
