"""The C core's own tests, compiled with address and undefined-behaviour sanitizers."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT

CORE = ROOT / "src" / "core"
WARNINGS = ["-Wall", "-Wextra", "-Wconversion", "-Wpedantic", "-Werror"]
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


def sanitizing_compiler(place: Path) -> str:
    """A C compiler here whose sanitizers work, or a skip."""
    probe = place / "probe.c"
    probe.write_text("int main(void) { return 0; }\n")
    for name in ("cc", "gcc", "clang"):
        compiler = shutil.which(name)
        if compiler and (
            subprocess.run(
                [compiler, *SANITIZERS, str(probe), "-o", str(place / "probe")],
                capture_output=True,
                check=False,
                timeout=120,
            ).returncode
            == 0
        ):
            return compiler
    pytest.skip("no C compiler here links the address sanitizer")


@pytest.mark.parametrize(
    "test", sorted(Path(__file__).parent.glob("*_tests.c")), ids=lambda p: p.stem
)
def test_core_under_sanitizers(test: Path, tmp_path: Path) -> None:
    compiler = sanitizing_compiler(tmp_path)
    sources = [str(path) for path in sorted(CORE.glob("*.c"))]
    program = tmp_path / test.stem
    built = subprocess.run(
        [
            compiler, "-std=gnu11", "-g", "-O1", *WARNINGS, *SANITIZERS, f"-I{CORE}",
            str(test), *sources, "-o", str(program),
        ],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    run = subprocess.run([str(program)], capture_output=True, text=True, check=False, timeout=300)
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.strip() == "all passed"
