"""Waiting for records: what readers of ring buffers and of perf event arrays have in common.

Reading itself is the core's; this is time limits, closing, iteration, and waiting in asyncio. Where
the system has no descriptor to wait for (anything but Linux), asyncio's side polls.
"""

from __future__ import annotations

import threading
import time
import weakref
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Final, Generic, Self, TypeVar

from anybpf import _core
from anybpf.errors import ClosedError, NotSupported, RingTimeout

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future

# Records fetched at once unless told otherwise.
BATCH: Final = 1024
# Seconds between two looks at a ring for which there is no descriptor, and for which there is one:
# nobody raises it for what follows a record that a stopped program left behind.
POLL_INTERVAL: Final = 0.01
LOOK_INTERVAL: Final = 1.0

# What the core's wait() returns.
_READY: Final = 1
_CALLED: Final = 2

Record = TypeVar("Record")
Batch = TypeVar("Batch", bound="Packed")


class Packed:
    """Records end to end: ``data``, and where each begins and the last ends in ``offsets``.

    ``Program.run_batch`` takes both as they are, and so does NumPy.
    """

    __slots__ = ("data", "offsets")

    def __init__(self, data: bytes, offsets: bytes) -> None:
        self.data = data
        self.offsets = memoryview(offsets).cast("Q")

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> memoryview:
        count = len(self)
        if not -count <= index < count:
            raise IndexError(f"there are {count} records, and no number {index}")
        index %= count
        return memoryview(self.data)[self.offsets[index] : self.offsets[index + 1]]

    def __iter__(self) -> Iterator[memoryview]:
        view = memoryview(self.data)
        offsets = self.offsets.tolist()
        return (view[start:end] for start, end in pairwise(offsets))


class Clock:
    """How much of a time limit is left. ``None``: there is no limit."""

    __slots__ = ("_end",)

    def __init__(self, timeout: float | None) -> None:
        self._end = None if timeout is None else time.monotonic() + max(0.0, timeout)

    def left(self) -> float | None:
        return None if self._end is None else max(0.0, self._end - time.monotonic())


def _bridge(core: _core.RingConsumer) -> None:
    while core.bridge():
        pass


class Reader(Generic[Record]):
    """The one reader of a map's records: an iterator, an async iterator and a context manager.

    It may be closed, and flushed, from any thread. ``timeout`` (seconds, ``None``: no limit) is for
    every wait that is not given one of its own.
    """

    def __init__(self, map: _core.Map, timeout: float | None = None) -> None:  # noqa: A002
        self.map = map
        self.timeout = timeout
        self._name = map.name or f"number {map.id}"
        self._core = _core.RingConsumer(map)
        self._closed = False
        self._bridged = False
        self._awaited = False

    # What kinds of readers differ in.

    @abstractmethod
    def _take(self, most: int) -> list[Record]:
        """Up to ``most`` records that are there now."""

    # Reading.

    def read(self, timeout: float | None = None) -> Record:
        """The next record; :class:`RingTimeout` if none comes in time, or after :meth:`flush`."""
        records = self.read_batch(1, timeout)
        if not records:
            raise self._too_late()
        return records[0]

    def read_batch(self, most: int = BATCH, timeout: float | None = None) -> list[Record]:
        """Up to ``most`` records, as soon as there is one; none if time is up, or after
        :meth:`flush`. A timeout of 0 does not wait."""
        records = self._look(most)
        if records:
            return records
        clock = self._clock(timeout)
        while True:
            outcome = self._wait(clock.left())
            records = self._look(most)
            if records or outcome != _READY:
                return records

    def __iter__(self) -> Iterator[Record]:
        """Records as they come; ends when none comes in :attr:`timeout`, or after :meth:`flush`."""
        return self

    def __next__(self) -> Record:
        records = self.read_batch(1)
        if not records:
            raise StopIteration
        return records[0]

    # Reading in asyncio.

    async def aread(self, timeout: float | None = None) -> Record:
        """As :meth:`read`, for asyncio."""
        records = await self.aread_batch(1, timeout)
        if not records:
            raise self._too_late()
        return records[0]

    async def aread_batch(self, most: int = BATCH, timeout: float | None = None) -> list[Record]:
        """As :meth:`read_batch`, for asyncio. One task at a time."""
        clock = self._clock(timeout)
        records = self._look(most)
        flushes = self._core.flushes
        while not records:
            left = clock.left()
            if left == 0.0 or self._core.flushes != flushes:
                return records
            await self._await(left)
            records = self._look(most)
        return records

    def __aiter__(self) -> AsyncIterator[Record]:
        """As iteration, for asyncio."""
        return self

    async def __anext__(self) -> Record:
        records = await self.aread_batch(1)
        if not records:
            raise StopAsyncIteration
        return records[0]

    # Waiting.

    def wait(self, timeout: float | None = None) -> bool:
        """Whether there is something to read, after waiting for it; False when time is up or after
        :meth:`flush`."""
        self._check("wait for")
        return self._wait(self._clock(timeout).left()) == _READY

    def flush(self) -> None:
        """End waits that are under way in other threads and tasks: they return what is there."""
        self._core.flush()

    def fileno(self) -> int:
        """A descriptor that is readable while there is something to read: for ``select``,
        ``selectors`` and event loops. :class:`NotSupported` where the system has none."""
        self._check("wait for")
        descriptor = self._core.fileno()
        if descriptor < 0:
            raise NotSupported("a descriptor to wait for records", where="this system")
        if self._core.needs_bridge and not self._bridged:
            self._bridged = True
            weakref.finalize(self, self._core.close)
            threading.Thread(
                target=_bridge, args=(self._core,), name=f"anybpf ring {self._name}", daemon=True
            ).start()
        return descriptor

    # Life.

    @property
    def closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        """Let somebody else read. Whoever waits in another thread or task gets a
        :class:`ClosedError`; leases that are out stay good until they are released."""
        self._closed = True
        self._core.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = " closed" if self._closed else ""
        return f"<{type(self).__name__} of map {self._name}{state}>"

    # Inside.

    def _check(self, what: str) -> None:
        if self._closed:
            raise ClosedError(
                f"cannot {what} records of map {self._name}: this reader was closed; make another"
            )

    def _clock(self, timeout: float | None) -> Clock:
        return Clock(self.timeout if timeout is None else timeout)

    def _too_late(self) -> RingTimeout:
        return RingTimeout(
            f"no record came to map {self._name} in time: allow more, or see that its program runs"
        )

    def _look(self, most: int) -> list[Record]:
        self._check("read")
        try:
            return self._take(most)
        except ValueError:  # closed by another thread meanwhile, or a wrong argument
            self._check("read")
            raise

    def _wait(self, left: float | None) -> int:
        outcome = self._core.wait(-1.0 if left is None else left)
        if self._closed:
            raise ClosedError(
                f"cannot read records of map {self._name}: this reader was closed while it waited"
            )
        return outcome

    def _read_packed(self, take: Callable[[int], Batch], most: int, timeout: float | None) -> Batch:
        self._check("read")
        clock = self._clock(timeout)
        while True:
            try:
                found = take(most)
            except ValueError:  # as in _look
                self._check("read")
                raise
            if len(found) or not self.wait(clock.left()):
                return found

    async def _await(self, left: float | None) -> None:
        """Until there may be something, or sooner."""
        import asyncio

        loop = asyncio.get_running_loop()
        try:
            descriptor = self.fileno()
            ready: Future[None] = loop.create_future()
            self._watch(loop, descriptor, ready)
        except (NotSupported, NotImplementedError):  # the latter: a loop that has no readers
            await asyncio.sleep(POLL_INTERVAL if left is None else min(POLL_INTERVAL, left))
            return
        try:
            await asyncio.wait_for(
                ready, LOOK_INTERVAL if left is None else min(LOOK_INTERVAL, left)
            )
        except TimeoutError:
            return
        finally:
            self._awaited = False
            loop.remove_reader(descriptor)

    def _watch(self, loop: AbstractEventLoop, descriptor: int, ready: Future[None]) -> None:
        if self._awaited:
            raise RuntimeError(f"another task waits for records of map {self._name} already")

        def is_ready() -> None:
            if not ready.done():
                ready.set_result(None)

        loop.add_reader(descriptor, is_ready)
        self._awaited = True
