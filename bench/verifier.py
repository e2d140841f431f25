"""The verifier: its time against PREVAIL's and the kernel's, its growth, and its memory.

The time is that of control flow and analysis, in CPU seconds, without loading the object and
without wording the findings. Needs the corpus (folder `shared` beside the checkout, or
ANYBPF_SHARED); the kernel is asked where bpf(2) is permitted. All of it takes about three minutes;
with the names of parts as arguments (prevail kernel uncompiled growth memory) only these are done.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from math import exp, log
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import corpus
import families
import prevail
from corpus import Item

from anybpf.objects import load_spec
from anybpf.verifier import verify

if TYPE_CHECKING:
    from fuzz.linux_kernel import KernelObject

RUNS = 9
KERNEL_TURNS = 5
KERNEL_RUNS = 3  # of each in one turn, so that both find their code and data in the caches
KERNEL_LONG = 0.02  # seconds from which one run a turn is enough
ENOUGH = 0.3  # seconds after which a program is not run again, once it has been three times
SIZES = [1_000, 3_000, 10_000, 30_000, 100_000]
SIZES_UNCOMPILED = [1_000, 3_000, 10_000]
GROWTH_RUNS = 3
MEGABYTE = 1 << 20


def geometric_mean(values: Iterable[float]) -> float:
    logarithms = [log(value) for value in values]
    return exp(sum(logarithms) / len(logarithms))


def is_compiled() -> bool:
    from anybpf.verifier import fixpoint

    return not (fixpoint.__file__ or "").endswith(".py")


def against_prevail(items: list[Item]) -> None:
    """Each program's time beside what was recorded of PREVAIL for it or for its size."""
    times = [_runs(item) for item in items]
    middle = {item: median(runs) for item, runs in zip(items, times, strict=True)}
    best = {item: min(runs) for item, runs in zip(items, times, strict=True)}
    ratios = {
        item: prevail.seconds(item.file, item.program.section, item.instructions) / seconds
        for item, seconds in middle.items()
    }
    print("analysis of the corpus beside PREVAIL's recorded figures")
    print(f"    {len(items)} programs, {RUNS} runs each, at least 3 of long ones; CPU time")
    print("    PREVAIL was not run here: its control flow and fixpoint are of another run, on a")
    print("    machine of this kind; of 20 programs each one's own, else the geomean of its size")
    print(
        f"    {'instructions':14}{'programs':>9}{'median us':>11}{'best us':>10}"
        f"{'ns/insn':>9}{'PREVAIL us':>12}{'ratio':>8}{'lowest':>8}"
    )
    for index, (_, title, theirs) in enumerate(prevail.CLASSES):
        group = [item for item in items if prevail.size_class(item.instructions) == index]
        if not group:
            continue
        each = sum(middle[i] for i in group) / sum(i.instructions for i in group)
        print(
            f"    {title:14}{len(group):9}{geometric_mean(middle[i] for i in group) * 1e6:11.1f}"
            f"{geometric_mean(best[i] for i in group) * 1e6:10.1f}{each * 1e9:9.0f}"
            f"{theirs * 1e6:12.0f}{geometric_mean(ratios[i] for i in group):8.1f}"
            f"{min(ratios[i] for i in group):8.1f}"
        )
    passed = [item for item in items if item.prevail == "pass"]
    for title, group in (
        ("all", items),
        ("those PREVAIL passes; it stops early in others", passed),
    ):
        print(
            f"    {title}: {geometric_mean(ratios[i] for i in group):.1f} times as fast by geomean,"
            f" wanted at least 100 ({len(group)} programs, {sum(middle[i] for i in group):.3f} s)"
        )
    slower = [item for item in items if ratios[item] < 1]
    print(f"    slower than PREVAIL: {len(slower)}, wanted 0")
    for item in slower[:10]:
        print(f"        {ratios[item]:.2f} times as fast: {item.name}")
    print("    most time per instruction:")
    by_rate = sorted(items, key=lambda item: middle[item] / item.instructions, reverse=True)
    for item in by_rate[:8]:
        rate = middle[item] / item.instructions * 1e9
        print(f"        {rate:8.0f} ns for each of {item.instructions}: {item.name}")


def _runs(item: Item) -> list[float]:
    times: list[float] = []
    started = time.perf_counter()
    while len(times) < 3 or (len(times) < RUNS and time.perf_counter() - started < ENOUGH):
        times.append(item.seconds())
    return times


def against_kernel(items: list[Item]) -> None:
    """Each program that loads here, by turns with the kernel's verifier by its own clock."""
    sys.path.append(str(corpus.ROOT))
    from fuzz import linux_syscall

    problem = linux_syscall.unavailable()
    if problem:
        print(f"analysis beside the kernel's: not measured, {problem}")
        return
    pairs = _by_turns(items)
    if not pairs:
        print("analysis beside the kernel's: not measured, it accepts none of the programs")
        return
    ratios = {item: theirs / ours for item, (ours, theirs) in pairs.items()}
    ours = sum(mine for mine, _ in pairs.values())
    theirs = sum(other for _, other in pairs.values())
    print(f"analysis beside the kernel's own verification time (Linux {os.uname().release})")
    print(
        f"    {len(pairs)} programs of {len(items)} it accepts; medians of {KERNEL_TURNS} turns"
        f" of {KERNEL_RUNS} runs each, of long ones one each"
    )
    print(
        "    ours in CPU time; the kernel's by its own clock in whole microseconds, less the share"
    )
    print("    of the call during which others had the processor")
    print(
        f"    {geometric_mean(ratios.values()):.2f} times as fast by geomean, wanted at least 1.5;"
        f" {theirs / ours:.1f} in total, wanted at least 10 ({ours:.3f} s to {theirs:.3f} s)"
    )
    slower = [item for item in pairs if ratios[item] < 1]
    print(f"    slower than the kernel: {len(slower)}")
    for index, (_, title, _) in enumerate(prevail.CLASSES):
        group = [i for i in pairs if prevail.size_class(i.instructions) == index]
        if group:
            print(
                f"    {title:14}{len(group):5} programs: ours"
                f"{geometric_mean(pairs[i][0] for i in group) * 1e6:10.1f} us, the kernel's"
                f"{geometric_mean(pairs[i][1] for i in group) * 1e6:10.1f} us,"
                f"{geometric_mean(ratios[i] for i in group):7.2f} times as fast,"
                f"{sum(ratios[i] < 1 for i in group):4} slower"
            )


def _by_turns(items: list[Item]) -> dict[Item, tuple[float, float]]:
    """Medians of ours and the kernel's seconds, of the programs that load."""
    from fuzz.linux_kernel import KernelObject

    pairs: dict[Item, tuple[float, float]] = {}
    for file in dict.fromkeys(item.file for item in items):
        group = [item for item in items if item.file == file]
        with KernelObject(group[0].collection) as loaded:
            for item in group:
                first = _kernel_seconds(loaded, item)
                if first == 0:
                    continue
                item.seconds()
                runs = KERNEL_RUNS if first < KERNEL_LONG else 1
                ours: list[float] = []
                theirs: list[float] = []
                for _ in range(KERNEL_TURNS):
                    for _ in range(runs):
                        theirs.append(_kernel_seconds(loaded, item))
                    for _ in range(runs):
                        ours.append(item.seconds())
                pairs[item] = median(ours), median(theirs)
    return pairs


def _kernel_seconds(loaded: KernelObject, item: Item) -> float:
    """The kernel's own count of its verification; 0 if it does not accept the program."""
    wall, used = time.perf_counter(), time.thread_time()
    verdict = loaded.load(item.key, program_type=item.type)
    used, wall = time.thread_time() - used, time.perf_counter() - wall
    if not verdict.accepted:
        return 0.0
    return max(verdict.verification_ns, 1000) / 1e9 * min(used / wall, 1.0)


def against_uncompiled(items: list[Item]) -> None:
    """The corpus in processes of their own, compiled and not by turns."""
    if not is_compiled():
        print("uncompiled over compiled: not measured, the verifier is not compiled here")
        return
    compiled: list[list[float]] = []
    plain: list[list[float]] = []
    for _ in range(2):
        compiled.append(_child("times"))
        plain.append(_child("times", pure=True))
    mine = [min(each) for each in zip(*compiled, strict=True)]
    other = [min(each) for each in zip(*plain, strict=True)]
    ratios = [b / a for a, b in zip(mine, other, strict=True)]
    print(
        f"uncompiled over compiled: {geometric_mean(ratios):.2f} by geomean, {max(ratios):.1f} at "
        f"most, {sum(other) / sum(mine):.2f} in total, wanted at most 8"
    )
    print(
        f"    {len(items)} programs of the corpus, {sum(mine):.3f} s to {sum(other):.3f} s; the "
        "better of two processes each, by turns"
    )


def growth() -> None:
    """How time and memory grow with the size of generated programs."""
    sizes = SIZES if is_compiled() else SIZES_UNCOMPILED
    print(
        "growth with size in CPU time, a process for each size, best of "
        f"{GROWTH_RUNS} runs, of long ones one"
    )
    for name in families.FAMILIES:
        points = [_child("family", name, str(size)) for size in sizes]
        exponent = _slope([(log(point[0]), log(point[1])) for point in points])
        print(f"    {name}: time grows with exponent {exponent:.2f}, wanted at most 1.2")
        for instructions, seconds, peak, passes in points:
            print(
                f"        {instructions:7.0f} instructions: {seconds * 1e3:9.2f} ms, "
                f"{seconds / instructions * 1e9:6.0f} ns each, peak memory "
                f"{peak / MEGABYTE:6.1f} MB above start{'' if passes else ', REJECTED'}"
            )


def _slope(points: list[tuple[float, float]]) -> float:
    """Of the line through the points that fits best by least squares."""
    x = sum(a for a, _ in points) / len(points)
    y = sum(b for _, b in points) / len(points)
    return sum((a - x) * (b - y) for a, b in points) / sum((a - x) ** 2 for a, _ in points)


def memory(items: list[Item]) -> None:
    """How far memory rises for the largest program, from before its object is loaded."""
    item = max(items, key=lambda item: item.instructions)
    whole, analysis = _child("memory", item.file, item.key)
    print(
        f"peak memory for the largest program: {whole / MEGABYTE:.1f} MB above start, "
        "wanted at most 100"
    )
    print(
        f"    {item.name}, {item.instructions} instructions, in a process of its own; start is "
        f"before its object is loaded; {analysis / MEGABYTE:.1f} MB of it above the loaded object"
    )


# What runs in processes of its own: results are numbers, printed as JSON.


def _child(*arguments: str, pure: bool = False) -> list[float]:
    environment = dict(os.environ)
    if pure:
        environment["ANYBPF_PURE"] = "1"
    command = [sys.executable, __file__, "child", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    numbers: list[float] = json.loads(done.stdout)
    return numbers


def _as_child(what: str, *arguments: str) -> list[float]:
    if what == "times":
        return [min(_few_runs(item)) for item in corpus.programs()]
    if what == "family":
        return _family(arguments[0], int(arguments[1]))
    start = _start_of_peak()
    collection = load_spec(corpus.folder() / arguments[0])
    loaded = _start_of_peak()
    verify(collection.programs[arguments[1]], collection)
    return [_peak() - start, _peak() - loaded]


def _few_runs(item: Item) -> list[float]:
    first = item.seconds()
    return [first] if first > ENOUGH else [first, item.seconds(), item.seconds()]


def _family(name: str, size: int) -> list[float]:
    from anybpf.isa.assembler import assemble
    from anybpf.verifier import Budget, verify_instructions

    instructions = assemble("\n".join(families.FAMILIES[name](size)))
    before = _start_of_peak()
    times = []
    passes = True
    for _ in range(GROWTH_RUNS):
        budget = Budget(steps=1000 * len(instructions), states=1 << 30)
        found = verify_instructions(instructions, type="xdp", budget=budget)
        times.append(found.stats.seconds)
        passes = passes and found.ok
        if times[0] > ENOUGH:
            break
    return [len(instructions), min(times), _peak() - before, float(passes)]


def _start_of_peak() -> float:
    """Have the peak of this process count from here; the bytes it has now."""
    Path("/proc/self/clear_refs").write_text("5")  # proc(5): resets VmHWM
    return _peak()


def _peak() -> float:
    """The most memory this process had, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return float(line.split()[1]) * 1024
    raise RuntimeError("/proc/self/status does not say VmHWM")


def main(parts: list[str]) -> None:
    def wants(part: str) -> bool:
        return not parts or part in parts

    print(f"anybpf's verifier is {'compiled' if is_compiled() else 'uncompiled'}")
    if hasattr(os, "getloadavg"):
        print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    if corpus.folder().is_dir():
        items = corpus.programs()
        if wants("prevail"):
            against_prevail(items)
        if wants("kernel"):
            against_kernel(items)
        if wants("uncompiled"):
            against_uncompiled(items)
        if wants("memory") and sys.platform == "linux":
            memory(items)
    else:
        print(f"the corpus is not measured: there is no {corpus.folder()}")
    if wants("growth") and sys.platform == "linux":
        growth()


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        print(json.dumps(_as_child(*sys.argv[2:])))
    else:
        main(sys.argv[1:])
