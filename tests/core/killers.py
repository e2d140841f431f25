"""Processes that share a map and are killed in the middle of changing it.

A harness for tests and for the soak, not a test: `python -m tests.core.killers --kind hash` forks
writers, kills them at random moments, and looks whether what they leave is a map that others can go
on with. It runs in a process of its own, which ends by itself if a map ever holds it up.
"""

from __future__ import annotations

import argparse
import faulthandler
import os
import random
import signal
import struct
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from anybpf import _core

WORD = (1 << 64) - 1
BATCH = 64
ARRAYS = ("array", "percpu_array")
TABLES = ("hash", "percpu_hash", "lru_hash", "lru_percpu_hash", "lpm_trie")
PIPES = ("queue", "stack")
KINDS = ARRAYS + TABLES + PIPES
HANG = 30  # seconds after which a process that a map holds up is ended


@dataclass(frozen=True)
class Plan:
    """What is shared, and how hard it is hit."""

    kind: str
    value_size: int = 64
    entries: int = 100
    cpus: int = 2
    kills: int = 1000
    seconds: float = 15.0
    writers: int = 2
    readers: int = 0  # every other one walks over the whole map
    seed: int = 1


def words(number: int, salt: int, count: int) -> list[int]:
    """A value that shows if parts of two values were mixed, or if it lies under another's key."""
    first = (salt << 32 | (number ^ salt)) & WORD
    return [first] + [(first * (2 * i + 1) ^ first >> 7) & WORD for i in range(1, count)]


def value_of(number: int, salt: int, size: int) -> bytes:
    count = (size + 7) // 8
    return struct.pack(f"={count}Q", *words(number, salt, count))[:size]


class Victim:
    """A map, what writers do to it, and what must hold whatever happens to them."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.rng = random.Random(plan.seed)
        self.domain = _core.Domain(plan.cpus, shared=True)
        self.keyed = plan.kind not in PIPES
        # A trie's key begins with the length of its prefix; the number is what matters.
        self.key_head = struct.pack("=I", 32) if plan.kind == "lpm_trie" else b""
        key_size = len(self.key_head) + 4 if self.keyed else 0
        self.map = _core.Map(
            self.domain, 1, plan.kind, key_size, plan.value_size, plan.entries, shared=True
        )
        self.copies = self.map.user_value_size // self.map.value_stride if self.per_cpu else 1
        # Tables are given half as many keys again as fit, so that being full is met as well.
        self.numbers = plan.entries if plan.kind in ARRAYS else plan.entries * 3 // 2
        self.written: dict[bytes, int] = {}  # every value that is ever written, and its key
        self.batches = [self.make_batch() for _ in range(64)]

    @property
    def per_cpu(self) -> bool:
        return "percpu" in self.plan.kind

    def key_of(self, number: int) -> bytes:
        return self.key_head + struct.pack("=I", number)

    def make_value(self, number: int) -> bytes:
        salt = self.rng.randrange(1, 1 << 32)
        value = value_of(number, salt, self.plan.value_size)
        self.written[value] = number
        return value.ljust(self.map.value_stride, b"\0") * self.copies if self.per_cpu else value

    def make_batch(self) -> tuple[bytes, bytes]:
        numbers = [self.rng.randrange(self.numbers) for _ in range(BATCH)]
        keys = b"".join(self.key_of(number) for number in numbers)
        return keys, b"".join(self.make_value(number) for number in numbers)

    # In the child.

    def write_for_ever(self, seed: int, ready: int) -> None:
        rng = random.Random(seed)
        parent = os.getppid()
        change = self.change_pipe if not self.keyed else self.change_table
        change(rng)
        os.close(ready)
        while os.getppid() == parent:
            change(rng)

    def read_for_ever(self, seed: int, ready: int, walks: bool) -> None:
        """Ends only if what is read is wrong."""
        rng = random.Random(seed)
        parent = os.getppid()
        os.close(ready)
        why: str | None = None
        while why is None and os.getppid() == parent:
            if walks or not self.keyed:
                why = self.problem_of_contents()
                continue
            number = rng.randrange(self.numbers)
            value = self.map.lookup(self.key_of(number))
            why = None if value is None else self.problem_of_entry(number, value)
        if why is not None:
            print(f"a reader met this: {why}", file=sys.stderr, flush=True)

    def change_table(self, rng: random.Random) -> None:
        keys, values = rng.choice(self.batches)
        if self.plan.kind in ARRAYS or rng.random() < 0.6:
            self.map.update_many(keys, values)
        elif rng.random() < 0.5:
            self.map.delete_many(keys, bytearray(BATCH))
        else:
            self.map.lookup_many(keys, bytearray(len(values)), bytearray(BATCH))

    def change_pipe(self, rng: random.Random) -> None:
        _, values = rng.choice(self.batches)
        size = self.plan.value_size
        for start in range(0, len(values), size):
            if rng.random() < 0.5:
                self.map.push(values[start : start + size])
            else:
                self.map.pop()

    # In the parent.

    def problem(self) -> str | None:
        """What is wrong with the map, while others may be at it."""
        return self.map.check() or self.problem_of_contents()

    def problem_of_contents(self) -> str | None:
        if not self.keyed:
            value = self.map.peek()
            return None if value is None else self.problem_of_value(None, value)
        for number, value in self.entries():
            why = self.problem_of_entry(number, value)
            if why is not None:
                return why
        return None

    def problem_of_value(self, number: int | None, value: bytes) -> str | None:
        if self.plan.kind in ARRAYS and not any(value):
            return None
        written_for = self.written.get(value)
        if written_for is None:
            return f"the value of {number} is {value[:48].hex(' ', 8)}, which nobody wrote"
        if number is not None and written_for != number:
            return f"the value of {number} was written for {written_for}"
        return None

    def entries(self) -> Iterator[tuple[int, bytes]]:
        cursor, done, size = 0, False, self.map.user_value_size
        key_size = self.map.key_size
        while not done:
            cursor, keys, values, count, done = self.map.scan(cursor, 4096)
            for i in range(count):
                number = struct.unpack_from("=I", keys, key_size * (i + 1) - 4)[0]
                yield number, values[i * size : (i + 1) * size]

    def problem_of_entry(self, number: int, value: bytes) -> str | None:
        if number >= self.numbers:
            return f"there is a key {number}, which nobody wrote"
        stride = self.map.value_stride
        if self.per_cpu and value != value[:stride] * self.copies:
            return f"the processors' values of {number} are not of one write: {value.hex(' ', 8)}"
        return self.problem_of_value(number, value[: self.plan.value_size])

    def problem_at_rest(self) -> str | None:
        """What is wrong with the map when all writers are dead."""
        why = self.problem()
        if why is not None or not self.keyed:
            return why
        numbers = [number for number, _ in self.entries()]
        if len(set(numbers)) != len(numbers):
            return "a key is there twice"
        if len(numbers) != self.map.count():
            return f"{self.map.count()} entries are counted, {len(numbers)} are there"
        for number in numbers:
            if self.map.lookup(self.key_of(number)) is None:
                return f"{number} is met by a scan and not found by a look-up"
        return None

    def problem_of_room(self) -> str | None:
        """Whether as many entries find room as the map is for: nothing was lost with the dead."""
        if self.plan.kind in ARRAYS:
            return None
        room = 0
        if self.keyed:
            for number in range(self.numbers):
                self.map.delete(self.key_of(number))
            if self.map.count() != 0:
                return f"{self.map.count()} entries cannot be deleted"
            for turn in range(2):  # what was deleted may be used again once nobody can know it
                self.domain.synchronize(HANG)
                for number in range(turn, turn + self.plan.entries):
                    key = self.key_of(number % self.numbers)
                    room += self.map.update(key, self.make_value(number % self.numbers)) == 0
                if room >= self.plan.entries:
                    break
                room = 0
        else:
            while self.map.pop() is not None:
                pass
            while room <= self.plan.entries and self.map.push(self.make_value(room)) == 0:
                room += 1
        if room < self.plan.entries:
            return f"only {room} of {self.plan.entries} entries find room"
        return self.problem_at_rest()


@dataclass
class Killing:
    """Writers and readers at work, and their ends."""

    victim: Victim
    alive: dict[int, str] = field(default_factory=dict)
    killed: int = 0

    def start(self, role: str) -> None:
        """Returns when it is at work: who is killed before it began shows nothing."""
        seed = self.victim.rng.randrange(1 << 32)
        readable, writable = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                signal.alarm(HANG)
                if role == "writer":
                    self.victim.write_for_ever(seed, writable)
                else:
                    self.victim.read_for_ever(seed, writable, role == "walker")
            finally:
                os._exit(3)  # nobody ends by himself
        self.alive[pid] = role
        os.close(writable)
        os.read(readable, 1)
        os.close(readable)

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
        pid = self.victim.rng.choice(list(self.alive))
        role = self.alive.pop(pid)
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        self.killed += 1
        if status != signal.SIGKILL:
            raise AssertionError(f"a {role} ended before it was killed, with status {status:#x}")

    def kill_all(self) -> None:
        while self.alive:
            self.kill_one()

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


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill writers of a shared map.")
    parser.add_argument("--kind", choices=KINDS, required=True)
    for name in ("value_size", "entries", "cpus", "kills", "writers", "readers", "seed"):
        parser.add_argument("--" + name.replace("_", "-"), type=int, default=getattr(Plan, name))
    parser.add_argument("--seconds", type=float, default=Plan.seconds)
    plan = Plan(**vars(parser.parse_args()))
    # Says where it is held up. (Not for the children: this cannot be called again after a fork.)
    faulthandler.dump_traceback_later(plan.seconds + HANG, exit=True)
    killing = Killing(Victim(plan))
    killing.run()
    print(f"{plan.kind}: {killing.killed} killed, and all holds")
    return 0


if __name__ == "__main__":
    sys.exit(main())
