"""The directory tree of pins that a runtime keeps in memory. A pin is a reference with a path.

What a path looks like is the platform's habit; who counts references is the runtime.
"""

from __future__ import annotations

from collections.abc import Iterator

from anybpf.errors import InputError, NotFound
from anybpf.platforms.table import near
from anybpf.runtime.objects import Record


class PinTree:
    """Paths as they are kept, and what is pinned there. Guarded by the runtime's lock."""

    __slots__ = ("_pins", "_separator")

    def __init__(self, separator: str) -> None:
        self._pins: dict[str, Record] = {}
        self._separator: str = separator

    def __len__(self) -> int:
        return len(self._pins)

    def get(self, path: str) -> Record | None:
        return self._pins.get(path)

    def add(self, path: str, record: Record) -> None:
        """Put the record there; :class:`InputError` if something else is in the way."""
        there = self._pins.get(path)
        if there is not None:
            raise InputError(
                f"cannot pin {record.describe()} at {path}: {there.describe()} is pinned there; "
                "unpin that one or choose another path"
            )
        below = path + self._separator
        for other in self._pins:
            if other.startswith(below):
                raise InputError(
                    f"cannot pin {record.describe()} at {path}: that is the directory of {other}"
                )
            if path.startswith(other + self._separator):
                raise InputError(
                    f"cannot pin {record.describe()} at {path}: {other} is a pin, not a directory"
                )
        self._pins[path] = record

    def remove(self, path: str) -> Record:
        record = self._pins.pop(path, None)
        if record is None:
            raise self.missing(path)
        return record

    def missing(self, path: str) -> NotFound:
        return NotFound(f"nothing is pinned at {path}{near(path, self._pins)}")

    def items(self, below: str = "") -> Iterator[tuple[str, Record]]:
        """All pins, or those at or below a path, sorted by the bytes of their paths."""
        for path in sorted(self._pins, key=str.encode):
            if not below or path == below or path.startswith(below + self._separator):
                yield path, self._pins[path]
