"""Writers, readers, iterators and killers at every kind of map, for as long as you like.

    python fuzz/soak.py --seconds 600

Each round takes one kind with sizes drawn anew, in a process of its own (tests/core/killers.py has
what they do and what must hold); two rounds run at a time. Ends at the first invariant that does
not hold, and prints the command that repeats the round.
"""

from __future__ import annotations

import argparse
import os
import random
import shlex
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from anybpf import _core  # noqa: E402
from tests.core.killers import HANG, KINDS  # noqa: E402

ROUND = 20.0  # seconds


def command_of(kind: str, rng: random.Random, seconds: float) -> list[str]:
    """A round: small maps, where everybody meets, more often than large ones."""
    options = {
        "kind": kind,
        "value-size": rng.choice([8, 12, 16, 64, 256, 4096]),
        "entries": rng.choice([1, 2, 16, 100, 1000]),
        "cpus": rng.choice([1, 2, 5]),
        "writers": rng.randint(1, 4),
        "readers": rng.randint(0, 3),
        "kills": 1 << 30,
        "seconds": round(seconds, 1),
        "seed": rng.randrange(1 << 32),
    }
    words = [sys.executable, "-m", "tests.core.killers"]
    for name, value in options.items():
        words += [f"--{name}", str(value)]
    return words


def run(words: list[str], seconds: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=seconds + 4 * HANG
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="Soak every kind of map.")
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=None, help="of the rounds' sizes")
    arguments = parser.parse_args()
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().getrandbits(32)
    rng = random.Random(seed)
    kinds = [kind for kind in KINDS if kind in _core.KINDS]
    print(f"seed {seed}; kinds: {', '.join(kinds)}", flush=True)
    end = time.monotonic() + arguments.seconds
    killed: Counter[str] = Counter()
    rounds: dict[Future[subprocess.CompletedProcess[str]], tuple[str, list[str]]] = {}
    turn = 0
    with ThreadPoolExecutor(max(2, (os.cpu_count() or 2) // 2)) as pool:
        while rounds or time.monotonic() < end:
            while len(rounds) < 2 and end - time.monotonic() > 1:
                seconds = min(ROUND, end - time.monotonic(), arguments.seconds / len(kinds) * 2)
                kind = kinds[turn % len(kinds)]
                turn += 1
                words = command_of(kind, rng, seconds)
                rounds[pool.submit(run, words, seconds)] = kind, words
            if not rounds:
                break
            for future in wait(rounds, return_when=FIRST_COMPLETED).done:
                kind, words = rounds.pop(future)
                done = future.result()
                if done.returncode != 0:
                    print(done.stdout + done.stderr, file=sys.stderr)
                    print(f"{kind}: ended with {done.returncode}", file=sys.stderr)
                    print(f"to repeat this round: {shlex.join(words)}", file=sys.stderr)
                    os._exit(1)  # the other round is not waited for
                killed[kind] += int(done.stdout.split()[1])
    for kind in kinds:
        print(f"{kind:16} {killed[kind]:8} processes killed, every invariant holds")
    return 0


if __name__ == "__main__":
    sys.exit(main())
