"""Writers, readers, iterators and killers at every kind of map, for as long as you like.

    python fuzz/soak.py --seconds 600

Each round takes one kind with sizes drawn anew, in a process of its own (tests/core/killers.py and
victims.py have what they do and what must hold); two rounds run at a time. Ends at the first
invariant that does not hold, and prints the command that repeats the round. No process outlives
this one, however it ends, and of each round that does not end well it is said how it ended.
"""

from __future__ import annotations

import argparse
import os
import random
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from anybpf import _core  # noqa: E402
from tests.core.killers import HANG, Ended, asked_to_end  # noqa: E402
from tests.core.victims import KINDS, core_kind  # noqa: E402

ROUND = 20.0  # seconds
AT_ONCE = 2
LOOK = 0.05  # seconds between two looks at the rounds


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


class Round:
    """One process that kills others, and what it says."""

    def __init__(self, kind: str, words: Sequence[str], seconds: float) -> None:
        self.kind = kind
        self.words = words
        self.late = time.monotonic() + seconds + 4 * HANG
        # A file, not a pipe: nobody needs to read while it runs. Closed with the round.
        self.said = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115
        self.process = subprocess.Popen(
            [*words, "--parent", str(os.getpid())], cwd=ROOT, stdin=subprocess.DEVNULL,
            stdout=self.said, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def is_over(self) -> bool:
        if time.monotonic() > self.late and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        return self.process.poll() is not None

    def output(self) -> str:
        self.said.seek(0)
        return self.said.read().strip()

    def killed(self) -> int | None:
        """How many processes it killed, if it ended well, which it must have said."""
        said = self.output().split()
        if self.process.returncode != 0 or said[:1] != [f"{self.kind}:"] or said[-1] != "holds":
            return None
        return int(said[1])

    def end(self) -> str:
        """How it ended, in words."""
        code = self.process.returncode
        if code is None:
            return "still runs"
        if code < 0:
            how = f"was killed by {signal.Signals(-code).name}"
        else:
            how = f"ended with {code}"
        late = ", having been late" if time.monotonic() > self.late else ""
        return f"process {self.process.pid} {how}{late}, and said: {self.output() or 'nothing'}"

    def stop(self) -> None:
        """Asks it to end, and sees to it."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(HANG / 3)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.said.close()


class Soak:
    """Rounds, one kind after the other."""

    def __init__(self, kinds: Sequence[str], seconds: float, seed: int) -> None:
        self.kinds = kinds
        self.rng = random.Random(seed)
        self.seconds = seconds
        self.end = time.monotonic() + seconds
        self.killed: Counter[str] = Counter()
        self.rounds: list[Round] = []
        self.turn = 0

    def start(self) -> None:
        # Time for every kind, if there is any at all.
        share = self.seconds / len(self.kinds) * AT_ONCE
        seconds = min(ROUND, self.end - time.monotonic(), share)
        kind = self.kinds[self.turn % len(self.kinds)]
        self.turn += 1
        self.rounds.append(Round(kind, command_of(kind, self.rng, seconds), seconds))

    def run(self) -> bool:
        """Whether everything held."""
        while self.rounds or time.monotonic() < self.end:
            while len(self.rounds) < AT_ONCE and self.end - time.monotonic() > 1:
                self.start()
            if not self.rounds:
                break
            time.sleep(LOOK)
            for one in [each for each in self.rounds if each.is_over()]:
                killed = one.killed()
                if killed is None:
                    print(f"{one.kind}: {one.end()}", file=sys.stderr)
                    print(f"to repeat this round: {shlex.join(one.words)}", file=sys.stderr)
                    return False
                self.rounds.remove(one)
                one.said.close()
                self.killed[one.kind] += killed
        return True

    def stop(self) -> None:
        for one in self.rounds:
            one.stop()
        self.rounds.clear()


def main() -> int:
    parser = argparse.ArgumentParser(description="Soak every kind of map.")
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=None, help="of the rounds' sizes")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    arguments = parser.parse_args()
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().getrandbits(32)
    kinds = [kind for kind in arguments.kinds if core_kind(kind) in _core.KINDS]
    print(f"seed {seed}; kinds: {', '.join(kinds)}", flush=True)
    soak = Soak(kinds, arguments.seconds, seed)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, asked_to_end)
    try:
        good = soak.run()
    except Ended as ended:
        print(f"{ended}; of the kinds that had their turn every invariant held", file=sys.stderr)
        good = False
    finally:
        soak.stop()
    for kind in kinds:
        state = "every invariant holds" if good else "before the end"
        print(f"{kind:16} {soak.killed[kind]:8} processes killed, {state}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
