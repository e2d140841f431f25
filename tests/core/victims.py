"""Maps that are hit by processes which are killed: what is written to each, and what must hold.

For killers.py, which makes the processes. What holds is asked of the map's own check, and of what
is read: each value is one that somebody wrote, whole, and under the key that it was written for.
"""

from __future__ import annotations

import mmap
import os
import random
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from anybpf import _core

WORD = (1 << 64) - 1
BATCH = 64
ARRAYS = ("array", "percpu_array")
SLOTS = ("array_of_maps", "prog_array", "devmap")  # indexes that hold something, or do not
TABLES = ("hash", "percpu_hash", "lru_hash", "lru_percpu_hash", "lpm_trie", "local_storage",
          "devmap_hash", "hash_of_maps")  # fmt: skip
PIPES = ("queue", "stack")
FILTERS = ("bloom_filter",)
KINDS = ARRAYS + SLOTS + TABLES + PIPES + FILTERS
HOLDERS = ("array_of_maps", "hash_of_maps", "prog_array")  # of other objects, by number
FAMILIES = 4  # of objects held: those of one are for the keys of one remainder
EACH = 4  # objects of a family

# exit; `return 0`.
RETURN_0 = bytes.fromhex("b700000000000000 9500000000000000")
OK = _core.STATUSES.index("OK")


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


def core_kind(kind: str) -> str:
    """What the core calls it: where redirects go by key is a flag there."""
    return "devmap" if kind == "devmap_hash" else kind


def words(number: int, salt: int, count: int) -> list[int]:
    """A value that shows if parts of two values were mixed, or if it lies under another's key."""
    first = (salt << 32 | (number ^ salt)) & WORD
    return [first] + [(first * (2 * i + 1) ^ first >> 7) & WORD for i in range(1, count)]


def value_of(number: int, salt: int, size: int) -> bytes:
    count = (size + 7) // 8
    return struct.pack(f"={count}Q", *words(number, salt, count))[:size]


class Victim:
    """A map with keys, what writers do to it, and what must hold whatever happens to them."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.rng = random.Random(plan.seed)
        self.domain = _core.Domain(plan.cpus, shared=True)
        self.has_indexes = plan.kind in ARRAYS + SLOTS
        # A trie's key begins with the length of its prefix; the number is what matters.
        self.key_head = struct.pack("=I", 32) if plan.kind == "lpm_trie" else b""
        self.first_key = 1 if plan.kind == "local_storage" else 0  # nobody is owner 0
        # Tables are given half as many keys again as fit, so that being full is met as well.
        self.numbers = plan.entries if self.has_indexes else plan.entries * 3 // 2
        self.map = self.make_map()
        self.copies = self.map.user_value_size // self.map.value_stride if self.per_cpu else 1
        self.written: dict[bytes, int] = {}  # every value that is ever written, and its key
        self.batches = [self.make_batch() for _ in range(64)]

    def make_map(self) -> _core.Map:
        plan = self.plan
        return _core.Map(
            self.domain, 1, core_kind(plan.kind), self.key_size, self.value_size, plan.entries,
            self.map_flags, shared=True, inner=self.template(),
        )  # fmt: skip

    def template(self) -> _core.Map | None:
        return None

    @property
    def key_size(self) -> int:
        return len(self.key_head) + 4

    @property
    def value_size(self) -> int:
        if core_kind(self.plan.kind) == "devmap":
            return 4 if self.plan.value_size % 8 else 8
        return self.plan.value_size

    @property
    def map_flags(self) -> int:
        return _core.MAP_FLAGS["KEYED"] if self.plan.kind == "devmap_hash" else 0

    @property
    def per_cpu(self) -> bool:
        return "percpu" in self.plan.kind

    def key_of(self, number: int) -> bytes:
        return self.key_head + struct.pack("=I", number + self.first_key)

    def new_value(self, number: int) -> bytes:
        while True:
            salt = self.rng.randrange(1, 1 << 32)
            value = value_of(number, salt, self.value_size)
            if self.written.setdefault(value, number) == number and any(value[:4]):
                return value

    def make_value(self, number: int) -> bytes:
        value = self.new_value(number)
        return value.ljust(self.map.value_stride, b"\0") * self.copies if self.per_cpu else value

    def make_batch(self) -> tuple[bytes, bytes]:
        numbers = [self.rng.randrange(self.numbers) for _ in range(BATCH)]
        keys = b"".join(self.key_of(number) for number in numbers)
        return keys, b"".join(self.make_value(number) for number in numbers)

    # In the child.

    def write_for_ever(self, seed: int, ready: int) -> None:
        rng = random.Random(seed)
        parent = os.getppid()
        self.change(rng)
        os.close(ready)
        while os.getppid() == parent:
            self.change(rng)

    def read_for_ever(self, seed: int, ready: int, walks: bool) -> None:
        """Ends only if what is read is wrong."""
        rng = random.Random(seed)
        parent = os.getppid()
        os.close(ready)
        why: str | None = None
        while why is None and os.getppid() == parent:
            why = self.problem_of_contents() if walks else self.problem_of_one(rng)
        if why is not None:
            print(f"a reader met this: {why}", file=sys.stderr, flush=True)

    def change(self, rng: random.Random) -> None:
        keys, values = rng.choice(self.batches)
        if self.plan.kind in ARRAYS or rng.random() < 0.6:
            self.map.update_many(keys, values)
        elif rng.random() < 0.5:
            self.map.delete_many(keys, bytearray(BATCH))
        else:
            self.map.lookup_many(keys, bytearray(len(values)), bytearray(BATCH))

    def problem_of_one(self, rng: random.Random) -> str | None:
        number = rng.randrange(self.numbers)
        value = self.map.lookup(self.key_of(number))
        return None if value is None else self.problem_of_entry(number, value)

    # In the parent.

    def problem(self) -> str | None:
        """What is wrong with the map, while others may be at it."""
        return self.map.check() or self.problem_of_contents()

    def problem_of_contents(self) -> str | None:
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
                yield number - self.first_key, values[i * size : (i + 1) * size]

    def problem_of_entry(self, number: int, value: bytes) -> str | None:
        if not 0 <= number < self.numbers:
            return f"there is a key {number}, which nobody wrote"
        stride = self.map.value_stride
        if self.per_cpu and value != value[:stride] * self.copies:
            return f"the processors' values of {number} are not of one write: {value.hex(' ', 8)}"
        return self.problem_of_value(number, value[: self.value_size])

    def problem_at_rest(self) -> str | None:
        """What is wrong with the map when all writers are dead."""
        why = self.problem()
        if why is not None:
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
        for number in range(self.numbers):
            self.map.delete(self.key_of(number))
        if self.map.count() != 0:
            return f"{self.map.count()} entries cannot be deleted"
        room = 0
        for turn in range(2):  # what was deleted may be used again once nobody can know it
            self.domain.synchronize(10)
            room = 0
            for i in range(turn, turn + self.plan.entries):
                number = i % self.numbers
                room += self.map.update(self.key_of(number), self.make_value(number)) == OK
            if room >= self.plan.entries:
                return self.problem_at_rest()
        return f"only {room} of {self.plan.entries} entries find room"


class Holder(Victim):
    """A map of other objects: each is one of those that may be under that key.

    Of an array of programs one half may not be with the other, so that it is now of the one sort
    and now of the other.
    """

    one_sort = False

    def make_map(self) -> _core.Map:
        codes = [0] * len(_core.STATUSES)
        numbers = range(2, 2 + FAMILIES * EACH)
        self.held: list[_core.Map | _core.Program]
        if self.plan.kind == "prog_array":
            self.held = [
                _core.Program(
                    self.domain, number, "p", RETURN_0, [], [], codes, 6, 0,
                    compatible=1 + (number - 2) // FAMILIES % 2,
                )
                for number in numbers
            ]  # fmt: skip
        else:
            self.held = [
                _core.Map(self.domain, number, "array", 4, 8, 1, shared=True) for number in numbers
            ]
        return super().make_map()

    def template(self) -> _core.Map | None:
        return None if self.plan.kind == "prog_array" else self.held[0]  # type: ignore[return-value]

    @property
    def value_size(self) -> int:
        return 4

    def new_value(self, number: int) -> bytes:
        turn = 0 if self.one_sort else self.rng.randrange(EACH)
        return struct.pack("=I", 2 + number % FAMILIES + FAMILIES * turn)

    def problem_of_value(self, number: int | None, value: bytes) -> str | None:
        held = struct.unpack("=I", value)[0]
        if not 2 <= held < 2 + FAMILIES * EACH:
            return f"{number} holds object {held}, which nobody put there"
        if number is not None and (held - 2) % FAMILIES != number % FAMILIES:
            return f"{number} holds object {held}, which was put elsewhere"
        return None

    def change(self, rng: random.Random) -> None:
        keys, values = rng.choice(self.batches)
        share = rng.choice((0.2, 0.8))  # often nearly empty, where a first one says who may follow
        for i in range(BATCH):
            key = keys[4 * i : 4 * i + 4]
            if rng.random() < share:
                self.map.update(key, values[4 * i : 4 * i + 4])
            else:
                self.map.delete(key)

    def problem_of_room(self) -> str | None:
        self.one_sort = True
        return super().problem_of_room()


class Pipe(Victim):
    """A queue or a stack: values without keys."""

    @property
    def key_size(self) -> int:
        return 0

    def change(self, rng: random.Random) -> None:
        _, values = rng.choice(self.batches)
        size = self.plan.value_size
        for start in range(0, len(values), size):
            if rng.random() < 0.5:
                self.map.push(values[start : start + size])
            else:
                self.map.pop()

    def problem_of_one(self, rng: random.Random) -> str | None:
        return self.problem_of_contents()

    def problem_of_contents(self) -> str | None:
        value = self.map.peek()
        return None if value is None else self.problem_of_value(None, value)

    def problem_at_rest(self) -> str | None:
        return self.problem()

    def problem_of_room(self) -> str | None:
        room = 0
        while self.map.pop() is not None:
            pass
        while room <= self.plan.entries and self.map.push(self.make_value(room)) == OK:
            room += 1
        if room < self.plan.entries:
            return f"only {room} of {self.plan.entries} entries find room"
        return self.problem_at_rest()


class Filter(Victim):
    """A bloom filter: what somebody was told to be in is in.

    Who put a whole batch in says so in memory that all share, whatever becomes of him then.
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self.told = mmap.mmap(-1, len(self.batches))

    @property
    def key_size(self) -> int:
        return 0

    def values_of(self, batch: int) -> Iterator[bytes]:
        _, values = self.batches[batch]
        size = self.plan.value_size
        return (values[start : start + size] for start in range(0, len(values), size))

    def change(self, rng: random.Random) -> None:
        batch = rng.randrange(len(self.batches))
        for value in self.values_of(batch):
            self.map.push(value)
        self.told[batch] = 1

    def problem_of_batch(self, batch: int) -> str | None:
        if self.told[batch] == 0:
            return None
        for value in self.values_of(batch):
            if not self.map.lookup_into(b"", bytearray(value)):
                return f"value {value[:48].hex(' ', 8)} was put in and is not in"
        return None

    def problem_of_one(self, rng: random.Random) -> str | None:
        return self.problem_of_batch(rng.randrange(len(self.batches)))

    def problem_of_contents(self) -> str | None:
        return next(filter(None, map(self.problem_of_batch, range(len(self.batches)))), None)

    def problem_at_rest(self) -> str | None:
        return self.problem()

    def problem_of_room(self) -> str | None:
        for batch in range(len(self.batches)):
            for value in self.values_of(batch):
                if self.map.push(value) != OK:
                    return "a filter takes no more values"
            self.told[batch] = 1
        return self.problem_at_rest()


def victim_of(plan: Plan) -> Victim:
    if plan.kind in HOLDERS:
        return Holder(plan)
    if plan.kind in PIPES:
        return Pipe(plan)
    return Filter(plan) if plan.kind in FILTERS else Victim(plan)
