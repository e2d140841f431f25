"""Completion scripts, run in the shells that this machine has."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.cli.conftest import Cli


def complete(script: str, *words: str) -> list[str]:
    """What bash offers for the last of ``words``."""
    line = " ".join(f"'{word}'" for word in ("anybpf", *words))
    program = f"""{script}
COMP_WORDS=({line}); COMP_CWORD={len(words)}; _anybpf; printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(
        ["bash", "-c", program], capture_output=True, text=True, check=True, timeout=60, cwd="/"
    )
    return done.stdout.split()


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash on this machine")
def test_bash_completes_commands_subcommands_and_options(cli: Cli) -> None:
    script = cli("completion", "bash").out
    assert {"cc", "check", "completion"} <= set(complete(script, "c"))
    assert "btf" not in complete(script, "c")
    assert {"show", "disasm", "maps"} <= set(complete(script, "obj", ""))
    assert complete(script, "obj", "disasm", "--st") == ["--style"]
    assert "--format" in complete(script, "btf", "dump", "file.o", "--")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_gets_a_script_that_names_all_commands(cli: Cli, shell: str) -> None:
    result = cli("completion", shell)
    assert result.code == 0
    for word in ("disasm", "platform", "link"):
        assert word in result.out
    program = shutil.which(shell)
    if program:
        flags = ["--no-execute"] if shell == "fish" else ["-n"]
        subprocess.run([program, *flags], input=result.out, text=True, check=True, timeout=60)


def test_an_unknown_shell_is_refused(cli: Cli) -> None:
    result = cli("completion", "tcsh")
    assert result.code == 2
    assert "tcsh" in result.err
