"""Fixtures of this room: a runtime that must be empty at the end, objects compiled from text."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from anybpf import toolchain
from anybpf.runtime import Runtime
from anybpf.toolchain import Compiler
from tests.conftest import ROOT
from tests.objects.conftest import build

__all__ = ["build"]


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    """A runtime for Linux with two processors. A test that leaves an object behind fails."""
    with Runtime("linux", cpus=2) as made:
        yield made
        gc.collect()
        assert [one for kind in ("map", "program", "link", "btf") for one in made.ids(kind)] == []
        assert made.usage().memory == 0


@pytest.fixture
def windows() -> Iterator[Runtime]:
    """The same for eBPF for Windows."""
    with Runtime("windows", cpus=2) as made:
        yield made
        gc.collect()
        assert [one for kind in ("map", "program", "link", "btf") for one in made.ids(kind)] == []


@pytest.fixture(scope="session")
def bindmonitor(compiler: Compiler, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example for Windows, compiled."""
    source = ROOT / "examples" / "bindmonitor" / "bindmonitor.c"
    return toolchain.compile(
        source, tmp_path_factory.mktemp("examples") / "bindmonitor.o", compiler=compiler
    ).output
