"""What a verification proved, for those who run or compile the program: plain, storable values.

Facts speak of instructions by index, as :class:`anybpf.verifier.findings.Finding` does. They hold
for every run of the program; where nothing is said of an instruction, nothing is proved of it.
How they come about is the business of the analysis; this module only joins, stores and reads them.
"""

from __future__ import annotations

from typing import Any, Final

from anybpf.errors import InputError

# The version of the stored form; a reader refuses all others.
VERSION: Final = 1

# Which way a branch always goes.
TAKEN: Final = "taken"
FALLTHROUGH: Final = "fallthrough"

# What an access that is made through pointers of different kinds is said to touch, and one that may
# lead anywhere, as in arenas: an engine must look where it goes.
MIXED_KIND: Final = "mixed"


class Access:
    """Where a load or store goes: bytes ``low`` to ``high`` (excluded) from the region's origin.

    ``kind`` is the region's kind by name ("stack", "map_value", ...); ``map`` is the index of the
    map, or -1 if there is none or it is not always the same. ``null_checked``: the pointer came
    from something that may be null, and was compared with null before.
    """

    __slots__ = ("high", "kind", "low", "map", "null_checked", "write")

    def __init__(
        self, kind: str, map_index: int, low: int, high: int, write: bool, null_checked: bool
    ) -> None:
        self.kind: str = kind
        self.map: int = map_index
        self.low: int = low
        self.high: int = high
        self.write: bool = write
        self.null_checked: bool = null_checked

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Access):
            return NotImplemented
        return (
            self.kind == other.kind
            and self.map == other.map
            and self.low == other.low
            and self.high == other.high
            and self.write == other.write
            and self.null_checked == other.null_checked
        )

    def __hash__(self) -> int:
        return hash((self.kind, self.map, self.low, self.high))

    def __repr__(self) -> str:
        verb = "write" if self.write else "read"
        return f"<Access {verb} {self.kind} [{self.low}, {self.high})>"


class CallFact:
    """A call: the helper's name, and where they are always the same, the map and the key.

    ``map`` is -1 and ``key`` None where there is none, or not always the same. ``key`` is the
    number that the first bytes of the key make, read in the program's byte order.
    """

    __slots__ = ("helper", "key", "map")

    def __init__(self, helper: str, map_index: int = -1, key: int | None = None) -> None:
        self.helper: str = helper
        self.map: int = map_index
        self.key: int | None = key

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CallFact):
            return NotImplemented
        return self.helper == other.helper and self.map == other.map and self.key == other.key

    def __hash__(self) -> int:
        return hash((self.helper, self.map, self.key))

    def __repr__(self) -> str:
        return f"<CallFact {self.helper}, map {self.map}, key {self.key}>"


class Facts:
    """All that was proved of one program.

    ``maps`` names the maps that indexes mean. ``accesses`` and ``calls`` go by instruction.
    ``branches`` says which way a branch always goes; ``reached`` holds the instructions that can
    be reached at all; ``loops`` bounds the rounds of a loop by the instruction at its head.
    ``types`` has a letter for each of r0 to r10 (see :data:`LETTERS`) before an instruction, if
    states were recorded. Facts of a program that was refused are not all there.
    """

    __slots__ = (
        "accesses",
        "branches",
        "calls",
        "instructions",
        "loops",
        "maps",
        "reached",
        "types",
    )

    def __init__(self, instructions: int = 0) -> None:
        self.instructions: int = instructions
        self.maps: list[str] = []
        self.accesses: dict[int, Access] = {}
        self.branches: dict[int, str] = {}
        self.calls: dict[int, CallFact] = {}
        self.reached: set[int] = set()
        self.loops: dict[int, int] = {}
        self.types: dict[int, str] = {}

    def add_access(
        self,
        instruction: int,
        kind: str,
        map_index: int,
        low: int,
        high: int,
        write: bool,
        null_checked: bool,
    ) -> None:
        """One more state in which the instruction was seen: what holds is what holds in all."""
        known = self.accesses.get(instruction)
        if known is None:
            self.accesses[instruction] = Access(kind, map_index, low, high, write, null_checked)
            return
        if known.kind != kind:
            known.kind = MIXED_KIND
        if known.map != map_index:
            known.map = -1
        if low < known.low:
            known.low = low
        if high > known.high:
            known.high = high
        known.write = known.write or write
        known.null_checked = known.null_checked and null_checked

    def add_call(
        self, instruction: int, helper: str, map_index: int = -1, key: int | None = None
    ) -> None:
        """One more state in which the call was seen: what holds is what holds in all."""
        known = self.calls.get(instruction)
        if known is None:
            self.calls[instruction] = CallFact(helper, map_index, key)
            return
        if known.map != map_index:
            known.map = -1
        if known.map < 0 or known.key != key:
            known.key = None

    def to_json(self) -> str:
        """The stored form: JSON on one line, the same for equal facts."""
        import json

        value = {
            "version": VERSION,
            "instructions": self.instructions,
            "maps": self.maps,
            "reached": _runs(self.reached),
            "accesses": [
                [pc, a.kind, a.map, a.low, a.high, a.write, a.null_checked]
                for pc, a in sorted(self.accesses.items())
            ],
            "branches": [[pc, way] for pc, way in sorted(self.branches.items())],
            "calls": [[pc, c.helper, c.map, c.key] for pc, c in sorted(self.calls.items())],
            "loops": [[pc, bound] for pc, bound in sorted(self.loops.items())],
            "types": [[pc, letters] for pc, letters in sorted(self.types.items())],
        }
        return json.dumps(value, separators=(",", ":"))

    @staticmethod
    def from_json(text: str) -> Facts:
        """The facts that :meth:`to_json` stored; :class:`InputError` if that is not what it is."""
        import json

        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError(f"stored facts are no JSON: {error}") from None
        if not isinstance(value, dict):
            raise InputError("stored facts must be a JSON object")
        if value.get("version") != VERSION:
            raise InputError(
                f"stored facts are of version {value.get('version')!r}, this reads {VERSION}: "
                "verify the program again"
            )
        count = value.get("instructions")
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:
            raise InputError(f"stored facts: instructions is {count!r}, which is no count")
        facts = Facts(count)
        maps = value.get("maps")
        if not isinstance(maps, list) or not all(isinstance(name, str) for name in maps):
            raise InputError(f"stored facts: maps is {maps!r}, which is no list of names")
        facts.maps = maps
        for row in _rows(value, "reached", [int, int], count):
            if row[1] < row[0] or row[1] >= count:
                raise InputError(f"stored facts: {row!r} is no run of reached instructions")
            facts.reached.update(range(row[0], row[1] + 1))
        for row in _rows(value, "accesses", [int, str, int, int, int, bool, bool], count):
            facts.accesses[row[0]] = Access(row[1], row[2], row[3], row[4], row[5], row[6])
        for row in _rows(value, "branches", [int, str], count):
            if row[1] not in (TAKEN, FALLTHROUGH):
                raise InputError(f"stored facts: a branch cannot go {row[1]!r}")
            facts.branches[row[0]] = row[1]
        for row in _rows(value, "calls", [int, str, int, object], count):
            if row[3] is not None and not _is_number(row[3]):
                raise InputError(f"stored facts: {row[3]!r} is no key")
            facts.calls[row[0]] = CallFact(row[1], row[2], row[3])
        for row in _rows(value, "loops", [int, int], count):
            facts.loops[row[0]] = row[1]
        for row in _rows(value, "types", [int, str], count):
            facts.types[row[0]] = row[1]
        return facts

    def __repr__(self) -> str:
        return (
            f"<Facts: {len(self.reached)} of {self.instructions} instructions reached, "
            f"{len(self.accesses)} accesses, {len(self.calls)} calls>"
        )


# One letter a kind of value, in the order of ``values.KIND_NAMES``: "-" is for what was not written
# or is not read any more, "?" for what is not the same on all ways.
LETTERS: Final = "-ncsvpedmbof?"


def _runs(numbers: set[int]) -> list[list[int]]:
    """Sorted numbers as first and last of each run of neighbours."""
    runs: list[list[int]] = []
    for each in sorted(numbers):
        if runs and runs[-1][1] == each - 1:
            runs[-1][1] = each
        else:
            runs.append([each, each])
    return runs


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _rows(value: dict[str, Any], key: str, shape: list[type], count: int) -> list[list[Any]]:
    """The rows under a key, each of this shape and about an instruction that exists."""
    rows = value.get(key)
    if not isinstance(rows, list):
        raise InputError(f"stored facts: {key} is missing or no list")
    for row in rows:
        if not isinstance(row, list) or len(row) != len(shape):
            raise InputError(f"stored facts: {row!r} is no entry of {key}")
        for cell, wanted in zip(row, shape, strict=True):
            fits = _is_number(cell) if wanted is int else isinstance(cell, wanted)
            if not fits:
                raise InputError(f"stored facts: {row!r} is no entry of {key}")
        if not 0 <= row[0] < count:
            raise InputError(f"stored facts: {key} speaks of instruction {row[0]} of {count}")
    return rows
