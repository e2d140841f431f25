"""Command lines that help texts and pages show are command lines: the parser takes them.

Those in `console` blocks are run besides, by tests/test_docs.py.
"""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from anybpf.cli.app import COMMANDS, build_parser, split_off
from tests.conftest import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES += sorted((ROOT / "examples").rglob("*.md"))
# What stands for something else is no command line but its form.
FORM = re.compile(r"[…<|\[]|\b[A-Z]{2,}\b(?!=)")


def leaves(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    groups = [one for one in parser._actions if isinstance(one, argparse._SubParsersAction)]
    if not groups:
        yield parser
    for group in groups:
        for child in group.choices.values():
            yield from leaves(child)


def in_help() -> list[str]:
    found: list[str] = []
    for parser in leaves(build_parser()):
        found += [line.strip() for line in (parser.epilog or "").splitlines()]
    return sorted({line for line in found if line.startswith("anybpf ")})


def on_page(page: Path) -> list[str]:
    """Lines of code that begin with the command, with the shell's prompt or without."""
    lines = page.read_text().splitlines()
    found = [re.match(r"(?:    |\$ )+(anybpf .+?)(?: +#.*)?$", line) for line in lines]
    return [one[1] for one in found if one is not None and not FORM.search(one[1])]


def check(line: str) -> None:
    first = re.split(r" (?:&&|\|\||[|;>]|2>)", line)[0]
    words = shlex.split(first, comments=True)[1:]
    named = next((word for word in words if not word.startswith("-")), "")
    if named not in dict(COMMANDS):
        assert words in (["--version"], ["--help"]), f"{line}: there is no such command"
        return
    try:
        parsed, rest = build_parser(named).parse_known_args(split_off(named, words)[0])
    except SystemExit:
        pytest.fail(f"{line}: not understood")
    assert not rest or getattr(parsed, "takes_rest", False), f"{line}: {rest} is too much"


@pytest.mark.parametrize("line", in_help())
def test_examples_of_help_are_understood(line: str) -> None:
    check(line)


@pytest.mark.parametrize("page", [one for one in PAGES if on_page(one)], ids=lambda one: one.name)
def test_command_lines_of_pages_are_understood(page: Path) -> None:
    for line in on_page(page):
        check(line)
