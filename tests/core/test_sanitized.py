"""The C core's own tests, compiled with address and undefined-behaviour sanitizers, and with the
thread sanitizer."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conftest import ROOT

CORE = ROOT / "src" / "core"
FLAGS = ["-std=gnu11", "-g", "-O1", f"-I{CORE}"]
WARNINGS = ["-Wall", "-Wextra", "-Wconversion", "-Wpedantic", "-Werror"]
SANITIZERS = {"address": "address,undefined", "thread": "thread"}


def run(command: list[str], timeout: float = 300) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout)


def sanitizing_compiler(sanitizer: str, place: Path) -> list[str]:
    """A C compiler here whose sanitizer works, with its flags; or a skip."""
    probe = place / "probe.c"
    probe.write_text("int main(void) { return 0; }\n")
    flags = [f"-fsanitize={SANITIZERS[sanitizer]}", "-fno-sanitize-recover=all"]
    for name in ("cc", "gcc", "clang"):
        compiler = shutil.which(name)
        made = str(place / "probe")
        if compiler and run([compiler, *flags, str(probe), "-o", made]).returncode == 0:
            # gcc says that it does not see fences: what they order is atomic by itself.
            known = run([compiler, "-Wno-tsan", "-Werror", "-c", str(probe), "-o", made])
            return [compiler, *flags, *(["-Wno-tsan"] if known.returncode == 0 else [])]
    pytest.skip(f"no C compiler here links the {sanitizer} sanitizer")


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[str]]:
    """Compiles the core once for each sanitizer: the command that links a test with it."""
    commands: dict[str, list[str]] = {}

    def build(sanitizer: str) -> list[str]:
        if sanitizer not in commands:
            place = tmp_path_factory.mktemp(sanitizer)
            compiler = sanitizing_compiler(sanitizer, place)
            sources = sorted(path for path in CORE.rglob("*.c") if path.parent != CORE / "python")
            objects = [
                str(place / f"{path.relative_to(CORE).as_posix().replace('/', '-')}.o")
                for path in sources
            ]
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                for done in pool.map(
                    lambda pair: run(
                        [*compiler, *FLAGS, *WARNINGS, "-c", str(pair[0]), "-o", pair[1]]
                    ),
                    zip(sources, objects, strict=True),
                ):
                    assert done.returncode == 0, done.stderr
            commands[sanitizer] = [*compiler, *FLAGS, *WARNINGS, *objects, "-pthread", "-lm"]
        return commands[sanitizer]

    return build


@pytest.mark.parametrize("sanitizer", SANITIZERS)
@pytest.mark.parametrize(
    "test", sorted(Path(__file__).parent.glob("*_tests.c")), ids=lambda path: path.stem
)
def test_core_under_sanitizers(
    test: Path, sanitizer: str, built: Callable[[str], list[str]], tmp_path: Path
) -> None:
    program = str(tmp_path / test.stem)
    linked = run([*built(sanitizer), str(test), "-o", program])
    assert linked.returncode == 0, linked.stderr
    done = run([program])
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip() == "all passed"
