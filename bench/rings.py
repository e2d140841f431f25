"""Records a second through a ring buffer: in C, and from C into Python, against queue.SimpleQueue.

In C a record of 16 bytes is reserved, filled, submitted and consumed; in Python records are written
as one list and read in batches. The queue passes the same objects on, without copying them.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from statistics import median

from ratio import compare, cpu_of_call, cpu_of_command

from anybpf._core import Domain, Map, RingProducer
from anybpf.maps.ring import RingReader

HERE = Path(__file__).resolve().parent
CORE = HERE.parent / "src" / "core"
IN_C = 5_000_000
IN_PYTHON = 200_000
SIZE = 16
GOAL_IN_C = 20.0  # million records a second, produced and consumed, of CPU time
GOAL_IN_PYTHON = 5.0


def build(place: Path) -> list[str] | None:
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        print("in C: not measured, there is no C compiler here")
        return None
    sources = [path for path in sorted(CORE.rglob("*.c")) if path.parent.name != "python"]
    program = place / "rings"
    subprocess.run(
        [compiler, "-std=gnu11", "-O2", f"-I{CORE}", HERE / "rings_in_c.c", *sources, "-pthread",
         "-o", program],
        check=True,
    )  # fmt: skip
    return [str(program), str(IN_C), str(SIZE)]


def rate(what: str, records: int, seconds: Callable[[], float], goal: float, rounds: int) -> None:
    seconds()
    found = records / median(seconds() for _ in range(rounds)) / 1e6
    print(f"{what}: {found:.1f} million records a second, wanted at least {goal:g}")


def measure_c() -> None:
    with tempfile.TemporaryDirectory() as place:
        command = build(Path(place))
        if command is None:
            return
        rate(
            f"in C, {SIZE} bytes, one thread, both sides", IN_C,
            lambda: cpu_of_command([*command, "0"]), GOAL_IN_C, 7,
        )  # fmt: skip
        for producers in (1, 4, 8):
            took = subprocess.run([*command, str(producers)], capture_output=True, check=True)
            print(
                f"    {producers} producers, one consumer, wall time: {float(took.stdout):.0f} ns"
            )


def main() -> None:
    measure_c()
    events = Map(Domain(1), 1, "ringbuf", 0, 0, 1 << 24, name="events")
    producer = RingProducer(events)
    reader = RingReader(events, timeout=0)
    records = [bytes([n & 255]) * SIZE for n in range(IN_PYTHON)]

    def write() -> None:
        status, written = producer.output_many(records)
        assert (status, written) == (0, IN_PYTHON)

    def reading(read: Callable[[], int]) -> Callable[[], float]:
        def everything() -> None:
            left = IN_PYTHON
            while left:
                left -= read()

        def seconds() -> float:
            write()
            return cpu_of_call(everything)

        return seconds

    def leased() -> int:
        with reader.lease() as some:
            return len(some)

    ways: dict[str, tuple[Callable[[], int], float]] = {
        "packed": (lambda: len(reader.read_packed()), GOAL_IN_PYTHON),
        "batches (lists of bytes)": (lambda: len(reader.read_batch()), GOAL_IN_PYTHON),
        "leases": (leased, 0),
        "one by one": (lambda: len(next(reader)) // SIZE, 0),
    }
    for name, (read, goal) in ways.items():
        rate(f"into Python, {name}", IN_PYTHON, reading(read), goal, 7)

    queue: SimpleQueue[bytes] = SimpleQueue()

    def through_queue() -> None:
        for record in records:
            queue.put(record)
        for _ in records:
            queue.get()

    def through_ring() -> None:
        write()
        left = IN_PYTHON
        while left:
            left -= len(reader.read_batch())

    compare(
        f"{IN_PYTHON} records written and read as batches, over queue.SimpleQueue",
        ("ring buffer", lambda: cpu_of_call(through_ring)),
        ("SimpleQueue", lambda: cpu_of_call(through_queue)),
        goal=1,
    )


if __name__ == "__main__":
    main()
