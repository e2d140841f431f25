"""Everything that the documentation shows is run: examples in docstrings, README and docs."""

from __future__ import annotations

import doctest
import importlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGE = ROOT / "src" / "anybpf"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PURE = os.environ.get("ANYBPF_PURE") == "1"


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


WITH_EXAMPLES = [path for path in sorted(PACKAGE.rglob("*.py")) if ">>> " in path.read_text()]


@pytest.mark.skipif(not PURE, reason="doctest reads source: it runs with ANYBPF_PURE=1")
@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=module_name)
def test_examples_in_docstrings(path: Path) -> None:
    module = importlib.import_module(module_name(path))
    result = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.attempted > 0
    assert result.failed == 0


def fences(page: Path, language: str) -> list[str]:
    """The code blocks of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.S | re.M)


@pytest.fixture(scope="session")
def desk(droppacket: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that pages speak of."""
    place = tmp_path_factory.mktemp("desk")
    for name in ("droppacket.o", "firewall.o"):
        (place / name).write_bytes(droppacket.read_bytes())
    for example in ("bindmonitor", "droppacket", "guard", "library", "rejected"):
        for source in (ROOT / "examples" / example).glob("*.[ch]"):
            (place / source.name).write_text(source.read_text())
    return place


@pytest.mark.parametrize(
    "page", [page for page in PAGES if fences(page, "python")], ids=lambda p: p.name
)
def test_python_on_pages(page: Path, desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All blocks of a page run in order in one namespace."""
    monkeypatch.chdir(desk)
    namespace: dict[str, object] = {}
    for block in fences(page, "python"):
        exec(compile(block, str(page), "exec"), namespace)


@pytest.mark.parametrize(
    "page", [page for page in PAGES if fences(page, "console")], ids=lambda p: p.name
)
def test_commands_on_pages(page: Path, desk: Path) -> None:
    """In a `console` block, lines after "$ " are run; what follows is what they must print."""
    for block in fences(page, "console"):
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, _, expected = part.partition("\n")
            words = command.replace("anybpf ", f"{shlex.quote(sys.executable)} -m anybpf ")
            done = subprocess.run(
                ["sh", "-c", words], capture_output=True, text=True, check=False,
                timeout=120, cwd=desk,
            )  # fmt: skip
            assert (done.stdout + done.stderr).rstrip() == expected.rstrip(), command


def test_pages_lead_somewhere() -> None:
    """Links between pages point to files that are there."""
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"
