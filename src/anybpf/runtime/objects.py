"""Objects with numbers, and who refers to them: what maps, programs, links and types share.

A record is the thing itself; a handle is one user's hold on it. A record goes exactly when the last
of its references goes: handles and pins (user references), and what other records hold of it.
What a record is, is the business of the modules of its kind; who may make one, that of ``runtime``.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, Self

from anybpf.errors import ClosedError

if TYPE_CHECKING:
    from anybpf.runtime.runtime import Runtime

MAP: Final = "map"
PROGRAM: Final = "program"
LINK: Final = "link"
TYPES: Final = "btf"
KINDS: Final = (MAP, PROGRAM, LINK, TYPES)


def nanoseconds_since_boot() -> int:
    """What the kernel says of load times: time since the machine started, sleep included."""
    clock: int | None = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic_ns() if clock is None else time.clock_gettime_ns(clock)


class Record:
    """One object of a runtime. All counts are guarded by the runtime's lock."""

    kind = ""

    def __init__(self, runtime: Runtime, name: str, owner: str) -> None:
        self.runtime: Runtime = runtime
        self.id: int = 0  # given by the runtime as it takes the record in
        self.name: str = name
        self.owner: str = owner
        self.load_time: int = 0
        self.memory: int = 0
        self.handles: int = 0
        self.pins: set[str] = set()
        self.users: int = 0
        self.gone: bool = False

    @property
    def user_references(self) -> int:
        return self.handles + len(self.pins)

    @property
    def references(self) -> int:
        return self.handles + len(self.pins) + self.users

    def on_last_user(self) -> Iterable[Record]:
        """Nobody outside holds it any more: what it lets go of for that."""
        return ()

    def release(self) -> Iterable[Record]:
        """It goes: frees what is its own, and says what it held."""
        return ()

    def count_runs(self, on: bool) -> None:
        """The statistics switch was turned."""

    def describe(self) -> str:
        return f"{self.kind} {self.name or '(no name)'} (id {self.id})"

    def __repr__(self) -> str:
        return (
            f"<{self.kind} record {self.id} {self.name}: {self.handles} handles, "
            f"{len(self.pins)} pins, {self.users} users>"
        )


class Origin:
    """Where in the user's own code something was made; cheap to take, put into words when asked."""

    __slots__ = ("file", "line")

    def __init__(self) -> None:
        frame = sys._getframe(1)
        while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(
            "anybpf."
        ):
            frame = frame.f_back
        self.file: str = frame.f_code.co_filename
        self.line: int = frame.f_lineno

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class Handle:
    """A user's hold on a record. Closing it twice does no harm; using it afterwards is an error.

    Whoever forgets to close it gets a ``ResourceWarning`` that names the place where it was made,
    and what it held goes all the same.
    """

    __slots__ = ("__weakref__", "_closed", "_origin", "_record")

    def __init__(self, record: Record) -> None:
        self._closed: bool = True  # until the reference is counted
        self._record: Record = record
        self._origin: Origin = Origin()
        record.runtime.hold(record)
        self._closed = False

    @property
    def record(self) -> Record:
        """The object itself, while the handle is open."""
        if self._closed:
            raise ClosedError(
                f"{self._record.describe()} was closed: open it again by id or pin, or use it "
                "before it is closed"
            )
        return self._record

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def id(self) -> int:
        return self._record.id

    @property
    def name(self) -> str:
        return self._record.name

    def close(self) -> None:
        """Let go. If nothing else refers to the object, it is gone when this returns."""
        self._record.runtime.close_handle(self)

    def _end(self) -> bool:
        """Whether it was open until now. Called with the runtime's lock."""
        was_open, self._closed = not self._closed, True
        return was_open

    def pin(self, path: str) -> str:
        """Give the object a place in the runtime's directory tree; the path as it is kept."""
        record = self.record
        return record.runtime.pin(path, record)

    def unpin(self, path: str = "") -> None:
        """Take one pin away, or all that the object has."""
        record = self.record
        record.runtime.unpin(record, path)

    @property
    def pins(self) -> list[str]:
        """The paths of its pins, sorted."""
        return sorted(self.record.pins)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_closed", True):
            return
        self._closed = True
        record = self._record
        record.runtime.drop_later(record)
        if not record.runtime.closed:
            warnings.warn(
                f"{record.describe()} was never closed; it was made at {self._origin}",
                ResourceWarning,
                source=self,
                stacklevel=2,
            )

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"id {self._record.id}"
        return f"<{type(self).__name__} {self._record.name}, {state}>"
