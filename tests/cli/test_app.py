"""What all commands share: help, usage errors, exit codes, and no traceback ever."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from anybpf.cli.app import COMMANDS, build_parser
from anybpf.cli.commands.completion import nodes
from tests.cli.conftest import Cli

LEAVES = [node.path for node in nodes(build_parser()) if node.path and not node.words]
# A command with choices of words (completion bash|zsh|fish) is a leaf too.
LEAVES += [("completion",)]


def test_help_lists_every_command(cli: Cli) -> None:
    result = cli("--help")
    assert result.code == 0
    for name, summary in COMMANDS:
        assert name in result.out
        assert summary in result.out


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_every_command_shows_an_example_and_takes_json(cli: Cli, path: tuple[str, ...]) -> None:
    result = cli(*path, "--help")
    assert result.code == 0
    assert "examples:" in result.out
    assert f"anybpf {' '.join(path)}" in result.out.split("examples:")[1]
    assert "--json" in result.out


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "which command?"),
        (["chek"], "did you mean 'check'?"),
        (["obj"], "COMMAND"),
        (["obj", "show"], "FILE"),
        (["btf", "dump", "x", "--format", "xml"], "xml"),
        (["platform", "show", "linux", "--colour"], "--colour"),
        (["--nonsense"], "--nonsense"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_usage_is_one_line_and_exit_code_2(cli: Cli, words: list[str], complaint: str) -> None:
    result = cli(*words)
    assert result.code == 2
    assert result.out == ""
    assert complaint in result.err
    assert result.err.count("\n") == 1


FILE_COMMANDS = [
    ("obj", "show"),
    ("obj", "disasm"),
    ("obj", "maps"),
    ("btf", "dump"),
    ("check",),
    ("link", "-o", "out.o"),
    ("asm",),
    ("cc",),
]


@pytest.mark.parametrize("path", FILE_COMMANDS, ids=" ".join)
def test_a_file_that_is_not_there(
    cli: Cli, path: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = cli(*path, "missing.c")
    assert result.code == 2
    assert "missing.c" in result.err
    assert result.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "content",
    [b"", b"\x7fELF", b"no object at all\n", bytes(range(256)) * 8],
    ids=["empty", "cut", "text", "noise"],
)
@pytest.mark.parametrize("path", FILE_COMMANDS[:6], ids=" ".join)
def test_a_file_that_is_no_object(
    cli: Cli,
    path: tuple[str, ...],
    content: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.o").write_bytes(content)
    result = cli(*path, "bad.o")
    assert result.code == 2
    assert "bad.o" in result.err
    assert result.err.count("\n") == 1
    assert [item.name for item in tmp_path.iterdir()] == ["bad.o"]


def test_python_m_anybpf_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "anybpf", "--version"],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert done.stdout.startswith("anybpf ")


def test_output_cut_short_by_its_reader_is_no_error() -> None:
    script = f"{sys.executable} -m anybpf platform show linux | head -1"
    done = subprocess.run(
        ["sh", "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1
