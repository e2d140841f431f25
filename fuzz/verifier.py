"""Holds the verifier to its word: runs what it accepts, and compares every step with its states.

`python fuzz/verifier.py --programs 100000 [--seconds 600] [--seed 1] [--jobs 2]` generates
programs, verifies them, and runs each accepted one on several inputs in a checked machine. A step
that was not foreseen is printed as a small program; the status is then 1. `--mutations` shows that
planted bugs are found; `--kernel` asks the Linux kernel about the same programs; `--one NUMBER`
shows one.
`python fuzz/soundness/build.py` beforehand makes it ten times as fast.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
BATCH = 250


def choose_sources(folder: str, wants_compiled: bool) -> str:
    """Make Python import the compiled copy if it is as new as the sources, else the sources."""
    place = Path(folder) if folder else ROOT / "build" / "fuzz" / "verifier"
    sys.path.insert(0, str(ROOT))
    from fuzz.soundness.build import is_current

    compiled = wants_compiled and (bool(folder) or is_current(place))
    for name in [name for name in sys.modules if name == "fuzz" or name.startswith("fuzz.")]:
        del sys.modules[name]
    sys.path.pop(0)
    if compiled:
        sys.path.insert(0, str(place / "src"))
        return "compiled"
    os.environ["ANYBPF_PURE"] = "1"
    sys.path[:0] = [str(ROOT / "src"), str(ROOT)]
    return "uncompiled"


def originals() -> list[Any]:
    """The programs of the corpus, if it is there."""
    from fuzz.soundness.mutate import read_originals

    shared = Path(os.environ.get("ANYBPF_SHARED") or ROOT.parent / "shared")
    return read_originals(shared / "corpus") if (shared / "corpus").is_dir() else []


class Worker:
    """One process: does batches of programs. ``found`` are reports in words."""

    campaign: Any = None

    @classmethod
    def begin(cls, seed: int, runs: int) -> None:
        from fuzz.soundness.campaign import Campaign

        cls.campaign = Campaign(seed, originals(), runs)

    @classmethod
    def batch(cls, first: int) -> tuple[Any, list[str]]:
        import gc

        from fuzz.soundness.campaign import Tally

        campaign = cls.campaign
        campaign.tally = Tally()
        found: list[str] = []
        gc.disable()
        for number in range(first, first + BATCH):
            try:
                violation = campaign.one(number)
            except Exception as error:  # a verifier that falls over is a finding too
                import traceback

                text = traceback.format_exc(limit=-4)
                found.append(f"program {number} ends in {type(error).__name__}\n{text}")
                continue
            if violation is not None:
                found.append(report(campaign, violation))
        gc.enable()
        gc.collect()
        return campaign.tally.plain(), found


def report(campaign: Any, violation: Any) -> str:
    """A violation in words, with the smallest program that still shows it."""
    from fuzz.soundness.minimise import minimise, text

    program = violation.program
    small = minimise(campaign, violation)
    again = campaign.again(program, small, max(24, violation.run + 1)) or violation
    where = f"seed {program.seed} number {program.number} run {violation.run}"
    return (
        f"{violation.kind}: {program.family} {program.type}, {where}\n"
        f"  {violation.text}\n  smaller, at {again.at}: {again.text}\n{text(small)}"
    )


def show(seed: int, number: int, runs: int) -> int:
    """One program, and what is found about it."""
    from fuzz.soundness.campaign import Campaign
    from fuzz.soundness.minimise import text

    campaign = Campaign(seed, originals(), runs)
    program = campaign.generator.program(number)
    print(f"{program.family} {program.type}, {len(program.code)} instructions")
    print(text(program.code))
    verification = campaign.verify(program, program.code, False)
    for finding in verification.findings:
        print(f"{finding.instruction}: {finding.kind}: {finding.message}")
    found = campaign.one(number)
    if found is None:
        print("accepted, nothing found" if verification.ok else "refused")
        return 0
    print(report(campaign, found))
    return 1


def firsts(start: int) -> Iterator[int]:
    while True:
        yield start
        start += BATCH


def run(args: argparse.Namespace, how: str) -> int:
    from fuzz.soundness.campaign import Tally

    total = Tally()
    begun = time.monotonic()
    shown = begun
    violations = 0
    context = multiprocessing.get_context("fork")
    first = firsts(args.first)
    with context.Pool(args.jobs, Worker.begin, (args.seed, args.runs)) as pool:
        waiting: list[Any] = [
            pool.apply_async(Worker.batch, (next(first),)) for _ in range(args.jobs * 2)
        ]
        while waiting:
            counts, found = waiting.pop(0).get()
            total.add(counts)
            for words in found:
                violations += 1
                print(f"\n{words}", flush=True)
            now = time.monotonic()
            enough = total.accepted >= args.programs or now - begun >= args.seconds
            if not enough and violations < args.most:
                waiting.append(pool.apply_async(Worker.batch, (next(first),)))
            if now - shown > 20:
                shown = now
                print(line(total, violations, now - begun), flush=True)
    spent = time.monotonic() - begun
    print(line(total, violations, spent))
    for word, count in sorted(total.words.items(), key=lambda row: -row[1]):
        print(f"  {count:9d}  {word}")
    print(f"verifier ({how}): {violations} violations in {total.accepted} accepted programs")
    return 1 if violations else 0


def line(total: Any, violations: int, seconds: float) -> str:
    share = 100 * total.accepted / total.programs if total.programs else 0
    rate = total.accepted / seconds if seconds else 0
    return (
        f"{seconds:6.0f} s: {total.programs} programs, {total.accepted} accepted ({share:.0f} %), "
        f"{total.gave_up} given up, {total.runs} runs, {total.steps} steps compared, "
        f"{total.long} long, {rate:.0f} accepted/s, {violations} violations"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=int, default=10_000_000, help="accepted ones")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="the number to begin with")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--runs", type=int, default=4, help="inputs for each program")
    parser.add_argument("--most", type=int, default=5, help="violations to stop at")
    parser.add_argument("--one", type=int, default=-1, metavar="NUMBER")
    parser.add_argument("--build", default="", help="a folder with a compiled copy")
    parser.add_argument("--kernel", action="store_true")
    parser.add_argument("--mutations", action="store_true")
    args = parser.parse_args()
    # Planted bugs and the kernel are asked with the sources themselves.
    how = choose_sources(args.build, not args.mutations and not args.kernel)
    if args.one >= 0:
        return show(args.seed, args.one, args.runs)
    if args.mutations:
        from fuzz.soundness.mutations import table

        return table(args.seed, args.seconds)
    if args.kernel:
        from fuzz.soundness.classes import compare_with_kernel

        return compare_with_kernel(args.seed, args.first, args.seconds, args.programs, originals())
    return run(args, how)


if __name__ == "__main__":
    sys.exit(main())
