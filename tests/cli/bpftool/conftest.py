"""Commands on a runtime inside the test, in which the objects are loaded and pinned."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from anybpf.cli.backend import lend
from anybpf.runtime import Runtime
from tests.cli.bpftool.objects import TYPED
from tests.cli.conftest import Cli, Result
from tests.objects.conftest import build

__all__ = ["build"]

Tool = Callable[[str], Result]


@pytest.fixture(scope="session")
def typed_object(build: Callable[..., Path]) -> Path:
    return build(TYPED, name="typed.bpf")


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    with Runtime("linux", cpus=2) as made:
        yield made


@pytest.fixture
def tool(cli: Cli, runtime: Runtime) -> Tool:
    """Runs a line of words on the empty runtime."""

    def run(line: str) -> Result:
        with lend(runtime):
            return cli("bpftool", *line.split())

    return run


@pytest.fixture
def loaded(tool: Tool, typed_object: Path) -> Tool:
    """The same after the object was loaded: programs below /p, maps below /m."""
    assert tool(f"prog loadall {typed_object} /p pinmaps /m").code == 0
    return tool
