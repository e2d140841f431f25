"""Compiles verifier and fuzzer together into a folder of their own, far from the source tree.

`python fuzz/soundness/build.py [--to build/fuzz/verifier]`: copies what is needed there, and
compiles it as one group, so that calls between them stay native. `fuzz/verifier.py` uses the copy
if it is as new as the sources. Needs mypyc, and without it says so.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DEFAULT = ROOT / "build" / "fuzz" / "verifier"
ROOMS = ("anybpf/isa", "anybpf/verifier", "fuzz/soundness")
# What reads and writes text is in no hurry, and C compilers are slow.
PLAIN = (
    "assembler", "listing", "report", "notation.py", "clauses.py", "printing.py", "reading.py",
    "explain.py", "wording.py", "remedies.py", "trail.py", "build.py", "mutations.py",
    "minimise.py", "classes.py", "scene.py", "mutate.py",
)  # fmt: skip

SETUP = """
import sys
from setuptools import setup
from mypyc.build import mypycify
setup(
    name="fuzzed",
    ext_modules=mypycify(
        ["--strict", "--explicit-package-bases", *open("compiled.txt").read().split()],
        opt_level=sys.argv.pop(),
        debug_level="0",
        group_name="fuzzed",
        multi_file=True,
    ),
)
"""


def stamp(source: Path) -> str:
    """A name for the state of all sources that are compiled."""
    digest = hashlib.sha256()
    for path in sources(source):
        digest.update(str(path.relative_to(source)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def sources(source: Path) -> list[Path]:
    """The package and the fuzzer below a checkout (or a copy of one)."""
    package = sorted((source / "src" / "anybpf").rglob("*.py*"))
    package = [path for path in package if path.suffix in (".py", ".pyi")]
    return package + sorted((source / "fuzz" / "soundness").glob("*.py"))


def is_current(folder: Path) -> bool:
    """Whether what was compiled there is what the sources say now."""
    kept = folder / "stamp"
    return kept.is_file() and kept.read_text() == stamp(ROOT)


def copy(folder: Path) -> None:
    """Put the sources there, with nothing else around them."""
    if folder.exists():
        shutil.rmtree(folder)
    for path in sources(ROOT):
        inner = path.relative_to(ROOT)
        target = folder / (inner if inner.parts[0] == "src" else Path("src") / inner)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    (folder / "src" / "fuzz" / "__init__.py").write_text("")


def compile_in(folder: Path, level: str = "1") -> None:
    """Compile the copy that lies there."""
    source = folder / "src"
    wanted = [
        str(path.relative_to(source))
        for room in ROOMS
        for path in sorted((source / room).rglob("*.py"))
        if not set(path.relative_to(source).parts) & set(PLAIN)
    ]
    (source / "compiled.txt").write_text("\n".join(wanted))
    (source / "setup.py").write_text(SETUP)
    environment = dict(os.environ, MYPYPATH=str(source), CFLAGS="-g0")
    done = subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--inplace", level],
        cwd=source,
        env=environment,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise SystemExit(f"fuzzer: not compiled in {folder}:\n{done.stdout}{done.stderr}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=Path, default=DEFAULT)
    parser.add_argument("--level", default="1", help="the C compiler's optimisation level")
    args = parser.parse_args()
    if is_current(args.to):
        return 0
    try:
        import mypyc  # noqa: F401
    except ImportError:
        print("fuzzer: not compiled, mypyc is not installed (pip install 'mypy[mypyc]')")
        return 0
    copy(args.to)
    compile_in(args.to, args.level)
    (args.to / "stamp").write_text(stamp(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
