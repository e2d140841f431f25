"""The examples: what their pages say is what a reader of them sees."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from anybpf.errors import CompilerError
from anybpf.toolchain import find_compiler
from tests.conftest import ROOT

PAGES = sorted((ROOT / "examples").glob("*/README.md"))


def test_every_example_has_a_page() -> None:
    folders = {path.name for path in (ROOT / "examples").iterdir() if path.is_dir()}
    assert {page.parent.name for page in PAGES} == folders


@pytest.mark.skipif(sys.platform == "win32", reason="the pages show a shell")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parent.name)
def test_commands_print_what_the_page_shows(page: Path, tmp_path: Path) -> None:
    """In a `console` block, lines after "$ " are run; what follows is what they must print."""
    try:
        find_compiler()
    except CompilerError as error:
        pytest.skip(str(error))
    desk = tmp_path / "desk"
    shutil.copytree(page.parent, desk)
    blocks = re.findall(r"^```console\n(.*?)^```$", page.read_text(), re.S | re.M)
    assert blocks
    # The commands run in another folder, so a relative search path must be made absolute.
    places = [os.path.abspath(place) for place in sys.path if place]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places)}
    for part in re.split(r"^\$ ", "".join(blocks), flags=re.M)[1:]:
        command, _, expected = part.partition("\n")
        words = re.sub(r"^anybpf ", f"{shlex.quote(sys.executable)} -m anybpf ", command)
        done = subprocess.run(
            ["sh", "-c", words],
            capture_output=True, text=True, check=False, timeout=120, cwd=desk,
            env=environment,
        )  # fmt: skip
        assert (done.stdout + done.stderr).rstrip() == expected.rstrip(), command
