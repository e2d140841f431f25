"""How benchmarks here measure: two things by turns in one run, CPU time, medians, a ratio.

Times of one thing alone say little on a shared machine; the ratio of two, measured by turns, says
much. Every benchmark prints what it compared, on what, how often, and the ratio.
"""

from __future__ import annotations

import gc
import os
import resource
import subprocess
import time
from collections.abc import Callable, Sequence
from statistics import median


def cpu_of_command(command: Sequence[str], environment: dict[str, str] | None = None) -> float:
    """CPU seconds, user and system, that a command takes from its start to its end."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **(environment or {})},
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)


def cpu_of_call(call: Callable[[], object]) -> float:
    """CPU seconds of one call in this process, with garbage of earlier calls out of the way."""
    gc.collect()
    start = time.process_time()
    call()
    return time.process_time() - start


def compare(
    what: str,
    ours: tuple[str, Callable[[], float]],
    theirs: tuple[str, Callable[[], float]],
    rounds: int = 9,
    goal: float | None = None,
) -> float:
    """Measure ``ours`` and ``theirs`` by turns, print the medians and the ratio, return it."""
    ours[1](), theirs[1]()  # a first round that does not count: files and caches get warm
    mine: list[float] = []
    other: list[float] = []
    for _ in range(rounds):
        mine.append(ours[1]())
        other.append(theirs[1]())
    ratio = median(mine) / median(other)
    wanted = "" if goal is None else f", wanted at most {goal:g}"
    print(f"{what}: {ratio:.2f}{wanted}")
    print(f"    {ours[0]}: {median(mine) * 1e3:.1f} ms   {theirs[0]}: {median(other) * 1e3:.1f} ms")
    print(f"    medians of CPU time over {rounds} rounds, by turns")
    return ratio
