"""Processes that share a map and are killed in the middle of changing it.

A harness for tests and for the soak, not a test: `python -m tests.core.killers --kind hash` forks
writers, kills them at random moments, and looks whether what they leave is a map that others can go
on with. It runs in a process of its own, which ends by itself if a map ever holds it up, takes all
its children with it however it ends, and says of each of them how it ended if that is not as it
should be.
"""

from __future__ import annotations

import argparse
import ctypes
import faulthandler
import os
import signal
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType

from tests.core.victims import KINDS, Plan, Victim, victim_of

HANG = 30  # seconds after which a process that a map holds up is ended
ENDED_BY_ITSELF = 3  # exit status of a child, which never should
PR_SET_PDEATHSIG = 1  # linux/prctl.h
LAST_ENDS = 8  # of which it is told how they came


def die_with(parent: int) -> None:
    """From now on this process is killed as soon as its parent is gone, however that went."""
    if sys.platform.startswith("linux"):
        _libc().prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # too late
        os._exit(ENDED_BY_ITSELF)


_loaded: list[ctypes.CDLL] = []


def _libc() -> ctypes.CDLL:
    if not _loaded:
        _loaded.append(ctypes.CDLL(None))
    return _loaded[0]


def how_it_ended(status: int) -> str:
    """A wait status in words."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"exited with {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


class Ended(Exception):
    """Somebody wants this round to end."""


@dataclass
class Killing:
    """Writers and readers at work, and their ends."""

    victim: Victim
    alive: dict[int, str] = field(default_factory=dict)
    killed: int = 0
    ends: deque[str] = field(default_factory=lambda: deque(maxlen=LAST_ENDS))

    def start(self, role: str) -> None:
        """Returns when it is at work: who is killed before it began shows nothing."""
        seed = self.victim.rng.randrange(1 << 32)
        parent = os.getpid()
        readable, writable = os.pipe()
        pid = os.fork()
        if pid == 0:
            self.be(role, seed, parent, writable)
        self.alive[pid] = role
        os.close(writable)
        os.read(readable, 1)
        os.close(readable)

    def be(self, role: str, seed: int, parent: int, ready: int) -> None:
        """In the child. Does not return."""
        try:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            die_with(parent)
            signal.alarm(HANG)
            if role == "writer":
                self.victim.write_for_ever(seed, ready)
            else:
                self.victim.read_for_ever(seed, ready, role == "walker")
        except BaseException:
            print(f"{role} {os.getpid()}:\n{traceback.format_exc()}", file=sys.stderr, flush=True)
        finally:
            os._exit(ENDED_BY_ITSELF)

    def start_all(self) -> None:
        plan = self.victim.plan
        wanted = {
            "writer": plan.writers,
            "walker": (plan.readers + 1) // 2,
            "reader": plan.readers // 2,
        }
        for role, count in wanted.items():
            for _ in range(count - list(self.alive.values()).count(role)):
                self.start(role)

    def kill_one(self) -> None:
        self.end(self.victim.rng.choice(list(self.alive)))

    def end(self, pid: int) -> None:
        role = self.alive[pid]
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        del self.alive[pid]
        self.ends.append(f"{role} {pid} {how_it_ended(status)}")
        if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
            raise AssertionError(f"{role} {pid} ended before it was killed: {how_it_ended(status)}")
        self.killed += 1

    def kill_all(self) -> None:
        """All of them, whatever is found on the way; the first that had ended before is told."""
        problem: AssertionError | None = None
        while self.alive:
            try:
                self.kill_one()
            except AssertionError as error:
                problem = problem or error
        if problem is not None:
            raise problem

    def run(self, step: Callable[[], str | None] | None = None) -> None:
        """Kills until there were enough or time is over; AssertionError says what did not hold."""
        plan, rng = self.victim.plan, self.victim.rng
        end = time.monotonic() + plan.seconds
        try:
            while self.killed < plan.kills and time.monotonic() < end:
                self.start_all()
                time.sleep(rng.random() * 0.001)
                for _ in range(rng.randint(1, len(self.alive))):
                    self.kill_one()
                if step is not None:
                    self.must_be_none(step())
                if not self.alive:
                    self.must_be_none(self.victim.problem_at_rest())
                elif rng.random() < 0.2:
                    self.must_be_none(self.victim.problem())
        finally:
            self.kill_all()
        self.must_be_none(self.victim.problem_at_rest())
        self.must_be_none(self.victim.problem_of_room())

    def must_be_none(self, problem: str | None) -> None:
        if problem is not None:
            raise AssertionError(f"after {self.killed} kills: {problem}")


def asked_to_end(number: int, frame: FrameType | None) -> None:
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, signal.SIG_IGN)
    raise Ended(f"asked to end by {signal.Signals(number).name}")


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill writers of a shared map.")
    parser.add_argument("--kind", choices=KINDS, required=True)
    parser.add_argument("--parent", type=int, default=0, help="process with which this one ends")
    for name in ("value_size", "entries", "cpus", "kills", "writers", "readers", "seed"):
        parser.add_argument("--" + name.replace("_", "-"), type=int, default=getattr(Plan, name))
    parser.add_argument("--seconds", type=float, default=Plan.seconds)
    given = vars(parser.parse_args())
    parent = given.pop("parent")
    _libc()
    if parent:
        die_with(parent)
    plan = Plan(**given)
    faulthandler.enable()
    # Says where it is held up. (Not for the children: this cannot be called again after a fork.)
    faulthandler.dump_traceback_later(plan.seconds + HANG, exit=True)
    killing = Killing(victim_of(plan))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, asked_to_end)
    try:
        killing.run()
    except BaseException as problem:
        if not isinstance(problem, Ended):
            traceback.print_exc()
        print(
            f"{plan.kind}: {killing.killed} killed, then: {type(problem).__name__}: {problem}; "
            f"the last ends: {'; '.join(killing.ends) or 'none'}",
            file=sys.stderr, flush=True,
        )  # fmt: skip
        return 2 if isinstance(problem, Ended) else 1
    print(f"{plan.kind}: {killing.killed} killed, and all holds", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
