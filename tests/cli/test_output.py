"""What is for terminals only: colours, and how far long work is."""

from __future__ import annotations

import io
import sys

import pytest

from anybpf.cli.output import Progress, paint


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_a_line_that_goes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    progress = Progress(2)
    progress.step("first")
    progress.step("second")
    progress.clear()
    assert terminal.getvalue() == "\r\033[K[1/2] first\r\033[K[2/2] second\r\033[K"


@pytest.mark.parametrize("whole", [1, 2])
def test_no_progress_without_a_terminal_or_with_little_to_do(
    whole: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.StringIO() if whole > 1 else Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    progress = Progress(whole)
    progress.step("only")
    progress.clear()
    assert stream.getvalue() == ""


def test_colours_are_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    assert paint("pass", "green") == "pass"
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert paint("pass", "green") == "\033[32mpass\033[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert paint("pass", "green") == "pass"
