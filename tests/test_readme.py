"""README as a new user would take it: from its first line to its last, in one folder.

Every command is run and every Python block executed, in their order. What README shows of outputs
has to be in what the commands of the same section printed; "…" stands for lines left out. Nothing
is installed: that what `pip` and `make` are told exists is checked instead.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

from anybpf import toolchain
from anybpf.toolchain import Compiler
from tests.conftest import ROOT

README = ROOT / "README.md"
LEFT_OUT = "…"
COMMANDS = ("anybpf ", "make ", "pip ", "echo ")


# A packet for DNS without a question in it: Ethernet, IPv4, UDP to port 53, nothing more.
EMPTY_DNS = bytes.fromhex(
    "ffffffffffff 000000000000 0800 4500001c000000004011 0000 7f000001 7f000001 9c40 0035 0008 0000"
)


class Step:
    """A command, a block of Python, or a piece of output that must have been seen."""

    def __init__(self, kind: str, text: str, line: int) -> None:
        self.kind = kind
        self.text = text
        self.line = line


def steps() -> list[Step]:
    """What README has its reader do and see, in order; "section" where a new one begins."""
    found: list[Step] = []
    shown: list[str] = []
    python: list[str] | None = None

    def end_of_output(line: int) -> None:
        text = "\n".join(shown).strip("\n")
        if text:
            found.append(Step("output", text, line))
        shown.clear()

    for number, line in enumerate(README.read_text().splitlines(), 1):
        if python is not None:
            if line == "```":
                found.append(Step("python", "\n".join(python), number))
                python = None
            else:
                python.append(line)
            continue
        if line.startswith("    "):
            text = line[4:]
            if text.startswith(COMMANDS):
                end_of_output(number)
                found.append(Step("command", text, number))
            elif text.endswith(LEFT_OUT):  # the rest of the line, and lines after it
                shown.append(text.removesuffix(LEFT_OUT).rstrip())
                end_of_output(number)
            else:
                shown.append(text)
        elif not line.strip():
            if shown:
                shown.append("")
        else:
            end_of_output(number)
            if line == "```python":
                python = []
            elif line.startswith("#"):
                found.append(Step("section", line.lstrip("# "), number))
    end_of_output(0)
    return found


STEPS = steps()


@pytest.fixture
def desk(compiler: Compiler, tmp_path: Path) -> Path:
    """What a user has before: sources and objects of their own, a key, and our examples."""
    examples = ROOT / "examples"
    (tmp_path / "examples").symlink_to(examples)
    sources = {
        "firewall": examples / "droppacket" / "droppacket.c",
        "droppacket": examples / "droppacket" / "droppacket.c",
        "packet_bounds": examples / "rejected" / "packet_bounds.c",
        "bindmonitor": examples / "bindmonitor" / "bindmonitor.c",
        "parser": examples / "library" / "counter.c",
        "policy": examples / "library" / "protocols.c",
    }
    for header in (examples / "library").glob("*.h"):
        (tmp_path / header.name).write_text(header.read_text())
    for name, source in sources.items():
        copy = tmp_path / f"{name}.c"
        copy.write_text(source.read_text())
        toolchain.compile(copy, tmp_path / f"{name}.o", compiler=compiler)
    (tmp_path / "packet.bin").write_bytes(EMPTY_DNS)
    if find_spec("cryptography") is not None:
        from cryptography.hazmat.primitives import serialization as form
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        key = Ed25519PrivateKey.generate()
        (tmp_path / "key.pem").write_bytes(
            key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
        )
    return tmp_path


def make_commands(target: str) -> list[str]:
    """The commands of ours that a target of the Makefile runs."""
    rules = (ROOT / "Makefile").read_text()
    rule = re.search(rf"^{target}:.*\n((?:\t.*\n)*)", rules, re.M)
    assert rule is not None, f"the Makefile has no target {target}"
    lines = [line.strip().lstrip("@") for line in rule[1].splitlines()]
    return [line.replace("$(BIN)/anybpf ", "anybpf ") for line in lines if "/anybpf " in line]


def run(command: str, desk: Path) -> str:
    """What the command prints. It may say no, but only where that is an answer."""
    ours = command.replace("anybpf ", f"{shlex.quote(sys.executable)} -m anybpf ")
    done = subprocess.run(
        ["sh", "-c", ours], capture_output=True, text=True, check=False, timeout=300, cwd=desk
    )
    answers = (0, 1) if re.search(r"anybpf (check|verify)", command) else (0,)
    assert done.returncode in answers, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def needs(command: str) -> str:
    """The optional package that a command needs and that is not here; else empty."""
    wanted = [("--sign", "cryptography"), ("anybpf compile", "llvmlite")]
    return next((name for mark, name in wanted if mark in command and not find_spec(name)), "")


def test_readme_from_top_to_bottom(desk: Path) -> None:
    (desk / "build").mkdir()
    printed = ""
    for step in STEPS:
        place = f"README.md:{step.line}"
        if step.kind == "section":
            printed = ""
        elif step.kind == "output":
            assert step.text in printed, f"{place}: not printed:\n{step.text}\n--\n{printed}"
        elif step.kind == "python":
            subprocess.run([sys.executable, "-c", step.text], check=True, timeout=300, cwd=desk)
        elif step.text.startswith("make "):
            for command in make_commands(step.text.split()[1]):
                printed += run(command, desk)
        elif step.text.startswith("pip "):
            check_install(step.text)
        elif not needs(step.text):
            printed += run(step.text, desk)


def check_install(command: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for name, extras in re.findall(r"'?(\w+)\[(\w+)\]'?", command.partition("#")[0]):
        assert name == project["name"]
        assert extras in project["optional-dependencies"]


def test_readme_shows_all_of_it() -> None:
    """The tour is one: it has commands, outputs and Python."""
    kinds = [step.kind for step in STEPS]
    assert kinds.count("command") >= 15
    assert kinds.count("output") >= 3
    assert kinds.count("python") >= 2
