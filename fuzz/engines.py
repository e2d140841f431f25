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
from multiprocessing import connection
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


Result = tuple[dict[str, int], list[tuple[str, str]]]
Job = tuple[str, int | str]


class Worker:
    """A process that does one job after another, and may fall over."""

    def __init__(self, context: Any, args: argparse.Namespace, names: list[str]) -> None:
        self.pipe, other = context.Pipe()
        self.at: Any = context.Value("q", -1, lock=False)
        self.job: Job | None = None
        self.process: Any = context.Process(
            target=_work, args=(other, self.at, args.seed, args.runs, names, args.minimise)
        )
        self.process.start()
        other.close()

    def give(self, job: Job) -> None:
        self.job = job
        self.pipe.send(job)

    def take(self) -> Result | None:
        """What the job came to; None if the process is no more."""
        self.job = None
        try:
            result: Result = self.pipe.recv()
            return result
        except EOFError:
            self.process.join()
            return None

    def end(self) -> None:
        self.pipe.close()
        self.process.join(5)
        if self.process.is_alive():
            self.process.kill()


def _work(pipe: Any, at: Any, seed: int, runs: int, names: list[str], seconds: float) -> None:
    from fuzz.engine_campaign import Campaign

    campaign = Campaign(seed, runs, names, seconds)
    while True:
        try:
            kind, what = pipe.recv()
        except EOFError:
            return
        if kind == "file":
            pipe.send(campaign.file(Path(what)))
        else:
            pipe.send(campaign.batch(range(what, what + BATCH), at))


def keep(name: str, words: str) -> None:
    KEPT.mkdir(parents=True, exist_ok=True)
    (KEPT / f"{name}.txt").write_text(words + "\n")
    print(f"\n{words}\n  kept in {KEPT / name}.txt", flush=True)


def jobs_of(args: argparse.Namespace) -> Iterator[Job]:
    if args.corpus:
        shared = Path(os.environ.get("ANYBPF_SHARED") or ROOT.parent / "shared") / "corpus"
        if not shared.is_dir():
            raise SystemExit("engines: there is no corpus: set ANYBPF_SHARED")
        for path in sorted(shared.rglob("*.o")):
            yield "file", str(path)
        return
    number = args.first
    while True:
        yield "batch", number
        number += BATCH


class Run:
    """All jobs, by several processes; counts, and what is found."""

    def __init__(self, args: argparse.Namespace, names: list[str]) -> None:
        self.args = args
        self.names = names
        self.context: Any = multiprocessing.get_context("fork")
        self.total: dict[str, int] = {}
        self.found = 0
        self.begun = self.shown = time.monotonic()
        self.jobs = jobs_of(args)

    @property
    def over(self) -> bool:
        enough: bool = not self.args.corpus and self.total.get("run", 0) >= self.args.programs
        spent = time.monotonic() - self.begun
        return enough or spent >= float(self.args.seconds) or self.found >= int(self.args.most)

    def all(self) -> None:
        workers = [Worker(self.context, self.args, self.names) for _ in range(self.args.jobs)]
        for worker in workers:
            self.feed(worker)
        while any(worker.job for worker in workers):
            ready = connection.wait([worker.pipe for worker in workers if worker.job], 20)
            for number, worker in enumerate(workers):
                if worker.pipe not in ready:
                    continue
                job = worker.job
                result = worker.take()
                if result is None:
                    self.fallen(worker, job)
                    workers[number] = worker = Worker(self.context, self.args, self.names)
                else:
                    self.add(result)
                self.feed(worker)
            now = time.monotonic()
            if now - self.shown > 20:
                self.shown = now
                print(line(self.total, self.found, now - self.begun), flush=True)
        for worker in workers:
            worker.end()

    def feed(self, worker: Worker) -> None:
        job = None if self.over else next(self.jobs, None)
        if job is not None:
            worker.give(job)

    def add(self, result: Result) -> None:
        counts, reports = result
        for word, count in counts.items():
            self.total[word] = self.total.get(word, 0) + count
        for name, words in reports:
            self.found += 1
            keep(name, words)

    def fallen(self, worker: Worker, job: Job | None) -> None:
        """A process that is no more is the worst of differences."""
        self.found += 1
        what = f"{job[1]}" if job and job[0] == "file" else f"program {worker.at.value}"
        name = f"{self.args.seed}-{worker.at.value}"
        again = f"--seed {self.args.seed} --runs {self.args.runs} --one {worker.at.value}"
        keep(
            name if not job or job[0] != "file" else Path(str(job[1])).stem,
            f"the process ended with {worker.process.exitcode} in {what}\n"
            f"  again: python fuzz/engines.py {again}",
        )


def run(args: argparse.Namespace, how: str, names: list[str]) -> int:
    campaign = Run(args, names)
    campaign.all()
    total = campaign.total
    print(line(total, campaign.found, time.monotonic() - campaign.begun))
    for word, count in sorted(total.items(), key=lambda row: -row[1]):
        print(f"  {count:9d}  {word}")
    print(
        f"engines ({how}): {', '.join(names)}: {campaign.found} differences in "
        f"{total.get('run', 0)} programs, seed {args.seed}"
    )
    return 1 if campaign.found else 0


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
