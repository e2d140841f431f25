"""A Windows runtime that commands work on, objects for it, and a session with a shell."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from anybpf import toolchain
from anybpf.cli.backend import lend
from anybpf.cli.netsh.session import Session
from anybpf.cli.netsh.shell import Shell
from anybpf.runtime import Runtime
from anybpf.runtime.places import add_places
from anybpf.toolchain import Compiler
from tests.conftest import ROOT

SOURCES = Path(__file__).parent / "sources"


@pytest.fixture(scope="session")
def objects(compiler: Compiler, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the objects that the tests speak of."""
    folder = tmp_path_factory.mktemp("netsh")
    bind = ROOT / "examples" / "bindmonitor" / "bindmonitor.c"
    for source in [*sorted(SOURCES.glob("*.c")), bind]:
        toolchain.compile(
            source, folder / f"{source.stem}.o", compiler=compiler, flags=["-mcpu=v3"]
        )
    return folder


@pytest.fixture
def here(objects: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, with the test inside the folder."""
    monkeypatch.chdir(objects)
    return objects


@pytest.fixture
def windows() -> Iterator[Runtime]:
    """A Windows runtime on which `anybpf netsh` works as if it were a back end that lasts."""
    with Runtime("windows", cpus=2) as runtime, lend(runtime):
        yield runtime


class Netsh:
    """One netsh process in the test's own: what a line prints, and how it ends."""

    def __init__(self, runtime: Runtime) -> None:
        self.out = io.StringIO()
        self.err = io.StringIO()
        self.session = Session(lambda: runtime, out=self.out, err=self.err)
        self.shell = Shell(self.session)
        self.shell.context = "ebpf"
        self.code = 0

    def __call__(self, line: str) -> str:
        """What the line prints, on both streams."""
        for stream in (self.out, self.err):
            stream.seek(0)
            stream.truncate()
        self.code = self.shell.line(line)
        return self.out.getvalue() + self.err.getvalue()


@pytest.fixture
def netsh(windows: Runtime, here: Path) -> Iterator[Netsh]:
    add_places(windows)
    made = Netsh(windows)
    yield made
    made.session.close()
