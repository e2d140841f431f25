"""The table that all hash maps are made of, with eight threads at it, under sanitizers."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT

CORE = ROOT / "src" / "core"
WARNINGS = ["-Wall", "-Wextra", "-Wconversion", "-Wpedantic", "-Werror"]


def compiler_with(sanitizers: str, place: Path) -> str:
    """A C compiler here whose sanitizers link and run, or a skip."""
    probe = place / "probe.c"
    probe.write_text("int main(void) { return 0; }\n")
    for name in ("cc", "gcc", "clang"):
        compiler = shutil.which(name)
        built = compiler and subprocess.run(
            [compiler, f"-fsanitize={sanitizers}", str(probe), "-o", str(place / "probe")],
            capture_output=True, check=False, timeout=120,
        )  # fmt: skip
        if compiler and built and built.returncode == 0:
            run = subprocess.run([str(place / "probe")], check=False, timeout=60)
            if run.returncode == 0:
                return compiler
    pytest.skip(f"no C compiler here has -fsanitize={sanitizers}")


@pytest.mark.parametrize("sanitizers", ["address,undefined", "thread"])
def test_eight_threads_at_one_table(sanitizers: str, tmp_path: Path) -> None:
    compiler = compiler_with(sanitizers, tmp_path)
    warnings = list(WARNINGS)
    if sanitizers == "thread" and "clang" not in Path(compiler).resolve().name:
        warnings.append("-Wno-tsan")  # fences, which it does not follow; what they order is atomic
    program = tmp_path / "table_tests"
    sources = [str(path) for path in sorted([*CORE.glob("*.c"), *CORE.glob("maps/*.c")])]
    helpers = [str(path) for path in sorted(CORE.glob("helpers/*.c"))]
    built = subprocess.run(
        [
            compiler, "-std=gnu11", "-g", "-O1", *warnings, f"-fsanitize={sanitizers}",
            "-fno-sanitize-recover=all", f"-I{CORE}", str(Path(__file__).parent / "table_tests.c"),
            *sources, *helpers, "-lpthread", "-lm", "-o", str(program),
        ],
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    run = subprocess.run(
        [str(program), "500"], capture_output=True, text=True, check=False, timeout=600
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.strip() == "all passed"
