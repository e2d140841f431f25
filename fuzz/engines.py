"""Holds the engines against each other: random programs that verify run in all of them alike.

`python fuzz/engines.py --programs 100000 [--seconds 600] [--seed 1] [--jobs 2] [--engines ...]`
generates programs as `fuzz/verifier.py` does, and runs each that is accepted in the interpreter and
in every other engine there is, on the same packets, contexts and maps. `--corpus` does the same
with all programs of the shared corpus. Where engines come apart, the program is made smaller,
printed, and kept below build/fuzz/engines; the status is then 1. `--one NUMBER` shows one again.
`python fuzz/soundness/build.py` beforehand makes generating and verifying several times as fast.
"""

from __future__ import annotations

import argparse
import importlib.util
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / "build" / "fuzz" / "engines"
BATCH = 50


def choose_sources(folder: str) -> str:
    """Make Python import the compiled copy of verifier and generator if it is as new as the
    sources; the core comes from where it is installed."""
    place = Path(folder) if folder else ROOT / "build" / "fuzz" / "verifier"
    core = importlib.util.find_spec("anybpf._core")
    if core is None or core.origin is None:
        raise SystemExit("engines: the core is not built: run `make fuzz`, or install the package")
    sys.path.insert(0, str(ROOT))
    from fuzz.soundness.build import is_current

    if not is_current(place):
        return "as installed"
    for name in list(sys.modules):
        if name.partition(".")[0] in ("fuzz", "anybpf"):
            del sys.modules[name]
    sys.path.insert(0, str(place / "src"))
    import anybpf
    import fuzz

    anybpf.__path__.append(str(Path(core.origin).parent))
    fuzz.__path__ = [*fuzz.__path__, str(ROOT / "fuzz")]
    return "compiled"


class Worker:
    """One process. ``found`` are reports in words."""

    work: Any = None

    @classmethod
    def begin(cls, seed: int, runs: int, names: list[str], minimise: float) -> None:
        from fuzz.engine_campaign import Campaign

        cls.work = Campaign(seed, runs, names, minimise)

    @classmethod
    def batch(cls, first: int) -> tuple[dict[str, int], list[tuple[str, str]]]:
        return cls.work.batch(range(first, first + BATCH))  # type: ignore[no-any-return]

    @classmethod
    def file(cls, path: str) -> tuple[dict[str, int], list[tuple[str, str]]]:
        return cls.work.file(Path(path))  # type: ignore[no-any-return]


def keep(name: str, words: str) -> None:
    KEPT.mkdir(parents=True, exist_ok=True)
    (KEPT / f"{name}.txt").write_text(words + "\n")
    print(f"\n{words}\n  kept in {KEPT / name}.txt", flush=True)


def jobs_of(args: argparse.Namespace) -> Iterator[tuple[Any, int | str]]:
    if args.corpus:
        shared = Path(os.environ.get("ANYBPF_SHARED") or ROOT.parent / "shared") / "corpus"
        if not shared.is_dir():
            raise SystemExit("engines: there is no corpus: set ANYBPF_SHARED")
        for path in sorted(shared.rglob("*.o")):
            yield Worker.file, str(path)
        return
    number = args.first
    while True:
        yield Worker.batch, number
        number += BATCH


def run(args: argparse.Namespace, how: str, names: list[str]) -> int:
    total: dict[str, int] = {}
    begun = shown = time.monotonic()
    found = 0
    context = multiprocessing.get_context("fork")
    jobs = jobs_of(args)
    with context.Pool(
        args.jobs, Worker.begin, (args.seed, args.runs, names, args.minimise)
    ) as pool:
        waiting: list[Any] = []
        ended = False
        while waiting or not ended:
            while not ended and len(waiting) < 2 * args.jobs:
                job = next(jobs, None)
                if job is None:
                    ended = True
                    break
                waiting.append(pool.apply_async(job[0], (job[1],)))
            if not waiting:
                break
            counts, reports = waiting.pop(0).get()
            for word, count in counts.items():
                total[word] = total.get(word, 0) + count
            for name, words in reports:
                found += 1
                keep(name, words)
            now = time.monotonic()
            over = now - begun >= args.seconds or found >= args.most
            ended = ended or over or (not args.corpus and total.get("run", 0) >= args.programs)
            if now - shown > 20:
                shown = now
                print(line(total, found, now - begun), flush=True)
    print(line(total, found, time.monotonic() - begun))
    for word, count in sorted(total.items(), key=lambda row: -row[1]):
        print(f"  {count:9d}  {word}")
    print(
        f"engines ({how}): {', '.join(names)}: {found} differences in {total.get('run', 0)} "
        f"programs, seed {args.seed}"
    )
    return 1 if found else 0


def line(total: dict[str, int], found: int, seconds: float) -> str:
    done = total.get("run", 0)
    return (
        f"{seconds:6.0f} s: {total.get('made', 0)} programs, {done} run in all engines, "
        f"{total.get('runs', 0)} inputs, {done / max(seconds, 0.001):.0f} programs/s, "
        f"{found} differences"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=int, default=10_000_000, help="accepted ones")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="the number to begin with")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--runs", type=int, default=4, help="inputs for each program")
    parser.add_argument("--most", type=int, default=5, help="differences to stop at")
    parser.add_argument("--minimise", type=float, default=20.0, help="seconds for each difference")
    parser.add_argument("--engines", nargs="*", help="some of those there are")
    parser.add_argument("--one", type=int, default=-1, metavar="NUMBER")
    parser.add_argument("--corpus", action="store_true")
    parser.add_argument("--build", default="", help="a folder with a compiled copy")
    args = parser.parse_args()
    how = choose_sources(args.build)
    from anybpf.testing import engines

    for engine in engines.ENGINES:
        if engines.problem(engine):
            print(f"not compared: {engine}: {engines.problem(engine)}")
    names = args.engines or engines.available()
    if args.one >= 0:
        from fuzz.engine_campaign import Campaign

        return Campaign(args.seed, args.runs, names, args.minimise).show(args.one)
    return run(args, how, names)


if __name__ == "__main__":
    sys.exit(main())
