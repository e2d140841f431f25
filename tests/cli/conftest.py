"""Running the command inside the test's own process."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from anybpf.cli import main
from anybpf.cli.backend import lend
from anybpf.runtime import Runtime


class Result:
    """What a command left: its exit code and what it printed."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Cli = Callable[..., Result]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """Runs `anybpf` with the given words; an error that escapes it fails the test."""

    def run(*words: object) -> Result:
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return run


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    """A runtime that commands work on as if it were a back end that lasts."""
    with Runtime("linux", cpus=2) as made, lend(made):
        yield made
