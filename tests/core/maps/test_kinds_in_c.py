"""The kinds that are not tables or rings, in C: threads, killed processes, and damaged segments."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

CORE = ROOT / "src" / "core"
# What maps stand on, without programs and engines.
PARTS = ("system", "barrier", "domain", "participants", "registry", "seats", "map")
WARNINGS = [
    "-Wall",
    "-Wextra",
    "-Wconversion",
    "-Wpedantic",
    "-Werror",
    "-Wno-unknown-warning-option",
]
# What the thread sanitizer does not know is stand-alone fences; what they order is atomic anyway.
NO_FENCES = {"gcc": ["-Wno-tsan"], "cc": ["-Wno-tsan"]}

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="shared maps are built on Linux's memory files"
)


def build(place: Path, sanitizer: str) -> Path:
    compiler = next((name for name in ("gcc", "clang", "cc") if shutil.which(name)), None)
    if compiler is None:
        pytest.skip("no C compiler here")
    flags = [compiler, "-std=gnu11", "-g", "-O1", f"-fsanitize={sanitizer}"]
    flags += ["-fno-sanitize-recover=all", "-pthread"]
    probe = place / "probe.c"
    probe.write_text("int main(void) { return 0; }\n")
    probed = subprocess.run(
        [*flags, probe, "-o", place / "probe"], capture_output=True, check=False
    )
    if probed.returncode != 0:
        pytest.skip(f"no C compiler here links -fsanitize={sanitizer}")
    sources = [CORE / f"{name}.c" for name in PARTS]
    sources += sorted((CORE / "maps").glob("*.c"))
    program = place / "kinds"
    built = subprocess.run(
        [
            *flags, *WARNINGS, *NO_FENCES.get(compiler, []), f"-I{CORE}",
            Path(__file__).with_name("kinds_tests.c"), *sources, "-o", program,
        ],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    return program


@pytest.mark.parametrize(
    ("sanitizer", "rounds", "kills", "rubbish"),
    [("address,undefined", 1000, 20, 3), ("thread", 300, 0, 0)],
    ids=["addresses", "threads"],
)
def test_under_sanitizers(
    sanitizer: str, rounds: int, kills: int, rubbish: int, tmp_path: Path
) -> None:
    command = [str(build(tmp_path, sanitizer)), str(rounds), str(kills), str(rubbish)]
    if sanitizer == "thread" and shutil.which("setarch"):  # it needs its addresses at their places
        command = ["setarch", "-R", *command]
    log = tmp_path / "log"  # not a pipe, which processes that outlive a failure would keep open
    with log.open("w") as output:
        run = subprocess.run(command, stdout=output, stderr=output, check=False, timeout=300)
    assert run.returncode == 0, log.read_text()
    assert log.read_text().strip() == "all passed"
