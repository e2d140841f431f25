"""The functions and the layout that compiled code uses instead of helpers, under sanitizers."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.core.maps.test_table import CORE, WARNINGS, compiler_with


def test_what_is_called_directly_does_what_the_kind_does(tmp_path: Path) -> None:
    sanitizers = "address,undefined"
    compiler = compiler_with(sanitizers, tmp_path)
    program = tmp_path / "direct_tests"
    sources = [
        str(path)
        for place in (CORE, CORE / "maps", CORE / "helpers")
        for path in sorted(place.glob("*.c"))
    ]
    built = subprocess.run(
        [
            compiler, "-std=gnu11", "-g", "-O1", *WARNINGS, f"-fsanitize={sanitizers}",
            "-fno-sanitize-recover=all", f"-I{CORE}", str(Path(__file__).parent / "direct_tests.c"),
            *sources, "-lpthread", "-lm", "-o", str(program),
        ],
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    run = subprocess.run([str(program)], capture_output=True, text=True, check=False, timeout=600)
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.strip() == "all passed"
