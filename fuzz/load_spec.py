"""Hostile object files, made by atheris: whatever the bytes, only an AnyBPFError may come out.

`python fuzz/load_spec.py --seconds 60 [file or folder of seeds ...]`; without seeds, the small
objects of the corpus, if they are there. Needs `pip install atheris`, and without it says so.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from types import FunctionType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
os.environ.setdefault("ANYBPF_PURE", "1")  # coverage comes from Python source
sys.path.insert(0, str(ROOT / "src"))

MAX_SEED = 8 << 10
MEMORY = "1024"  # MiB
SLOW = "5"  # seconds for one input


def seeds(given: list[str]) -> list[Path]:
    """The files to begin with: small ones, so that a round is quick."""
    shared = Path(os.environ.get("ANYBPF_SHARED") or ROOT.parent / "shared")
    places = [Path(text) for text in given] or [shared / "corpus"]
    files: list[Path] = []
    for place in places:
        files += [place] if place.is_file() else sorted(place.rglob("*"))
    return [path for path in files if path.is_file() and path.stat().st_size <= MAX_SEED]


def instrument(atheris: Any) -> None:
    """Make the package's functions report their coverage.

    Atheris would do so as modules are imported, but then misses what a finder of our own imports.
    """
    for name, module in list(sys.modules.items()):
        if not name.startswith("anybpf."):
            continue
        for value in list(vars(module).values()):
            if isinstance(value, FunctionType) and value.__module__ == name:
                atheris.instrument_func(value)
            elif isinstance(value, type) and value.__module__ == name:
                for method in vars(value).values():
                    if isinstance(method, property):
                        method = method.fget
                    if isinstance(method, classmethod):
                        method = method.__func__
                    if isinstance(method, FunctionType):
                        atheris.instrument_func(method)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("seeds", nargs="*")
    args = parser.parse_args()
    try:
        import atheris
    except ImportError:
        print("load_spec: not fuzzed, atheris is not installed (pip install atheris)")
        return 0
    from anybpf.errors import AnyBPFError
    from anybpf.objects import load_spec
    from anybpf.objects.check import portability
    from anybpf.objects.hints import access_hints
    from anybpf.platforms import get

    platform = get("linux")
    instrument(atheris)

    def one(data: bytes) -> None:
        try:
            spec = load_spec(data)
            for program in spec:
                _ = program.instructions
            for variable in spec.variables.values():
                variable.head(64)
            for obstacle in portability(spec, platform):
                str(obstacle)
            for function in spec.functions.values():
                access_hints(function, spec, platform)
        except AnyBPFError as error:
            str(error)

    folder = ROOT / "build" / "fuzz" / "load_spec"
    (folder / "corpus").mkdir(parents=True, exist_ok=True)
    for path in seeds(args.seeds):
        (folder / "corpus" / path.name).write_bytes(path.read_bytes())
    options = [
        sys.argv[0],
        str(folder / "corpus"),
        f"-max_total_time={args.seconds}",
        f"-rss_limit_mb={MEMORY}",
        f"-timeout={SLOW}",
        f"-max_len={MAX_SEED}",
        f"-artifact_prefix={folder}/",
    ]
    atheris.Setup(options, one)
    atheris.Fuzz()  # ends the process: status 0, or that of what was found
    return 0


if __name__ == "__main__":
    sys.exit(main())
