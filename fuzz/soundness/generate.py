"""Programs by number: the same seed and number give the same program everywhere.

Three families: sentences of the grammar, soup of instructions that merely look alive, and programs
of the corpus with something changed.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from anybpf.isa.instruction import Instruction
from anybpf.objects.specs import MapSpec
from fuzz.soundness.chance import Chance
from fuzz.soundness.grammar import (
    FIXED,
    FIXED_BYTES,
    GLOBAL_BYTES,
    GLOBALS,
    RECORDS,
    Grammar,
)
from fuzz.soundness.mutate import Original, mutate
from fuzz.soundness.soup import soup

TYPES: Final[list[str]] = [
    "xdp", "xdp", "xdp", "xdp", "sched_cls", "sched_cls", "socket_filter", "kprobe", "tracepoint",
    "cgroup_skb",
]  # fmt: skip


def standard_maps() -> list[MapSpec]:
    """The maps that generated programs use."""
    rows = [
        ("small", "array", 4, 16, 4),
        ("table", "hash", 8, 48, 16),
        ("one", "array", 4, 64, 1),
        ("cpu", "percpu_array", 4, 24, 2),
        (RECORDS, "ringbuf", 0, 0, 4096),
        (GLOBALS, "array", 4, GLOBAL_BYTES, 1),
        (FIXED, "array", 4, FIXED_BYTES, 1),
    ]
    maps: list[MapSpec] = []
    for name, kind, key, value, entries in rows:
        spec = MapSpec(name, kind)
        spec.key_size = key
        spec.value_size = value
        spec.max_entries = entries
        maps.append(spec)
    maps[5].kind = "data"
    maps[6].kind = "rodata"
    maps[6].contents = [(b"\0\0\0\0", bytes([3, 0, 0, 0, 255, 1, 0, 0, 7, 0, 0, 0, 0, 0, 0, 128]))]
    return maps


class Program:
    """A generated program. ``seed`` and ``number`` name it; ``original`` is what it was made of."""

    __slots__ = ("code", "family", "number", "original", "seed", "type")

    def __init__(
        self,
        seed: int,
        number: int,
        family: str,
        type_name: str,
        code: list[Instruction],
        original: Original | None,
    ) -> None:
        self.seed: int = seed
        self.number: int = number
        self.family: str = family
        self.type: str = type_name
        self.code: list[Instruction] = code
        self.original: Original | None = original


class Generator:
    """Makes programs. Without ``originals`` there are no changed ones."""

    __slots__ = ("chance", "grammar", "originals", "seed")

    def __init__(self, seed: i64, originals: list[Original]) -> None:
        self.seed: i64 = seed
        self.chance: Chance = Chance(1)
        self.grammar: Grammar = Grammar()
        self.originals: list[Original] = originals

    def program(self, number: i64) -> Program:
        chance = self.chance
        chance.restart(self.seed, number)
        family: i64 = chance.below(100)
        if family < 5 and self.originals:
            original = self.originals[chance.below(len(self.originals))]
            code = mutate(chance, original.code)
            return Program(self.seed, number, "corpus", original.type, code, original)
        type_name = TYPES[chance.below(len(TYPES))]
        if family < 25:
            return Program(self.seed, number, "soup", type_name, soup(chance, type_name), None)
        code = self.grammar.program(chance, type_name)
        return Program(self.seed, number, "grammar", type_name, code, None)
