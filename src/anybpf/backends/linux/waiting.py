"""Waiting for records in shared memory: what readers of rings and of perf event arrays share.

The kernel is called only to wait. The methods are those of :mod:`anybpf.maps.reading`, but for
those that need its C core (packed records, leases).
"""

from __future__ import annotations

import os
import select
import threading
from abc import abstractmethod
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import TYPE_CHECKING, Generic, Self, TypeVar

from anybpf.errors import ClosedError, RingTimeout
from anybpf.maps.reading import BATCH, Clock

if TYPE_CHECKING:
    from anybpf.backends.linux.maps import Map

Record = TypeVar("Record")


class Reader(Generic[Record]):
    """The reader of a map's records: an iterator and a context manager.

    ``timeout`` (seconds, ``None``: no limit) is for every wait that is not given one of its own.
    It may be closed, and flushed, from any thread.
    """

    def __init__(self, map: Map, timeout: float | None, descriptors: Iterable[int]) -> None:  # noqa: A002
        self.map: Map = map
        self.timeout: float | None = timeout
        self._lock = threading.Lock()
        self._closed: bool = False
        self._poll = select.epoll()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        for fd in [self._wake, *descriptors]:
            self._poll.register(fd, select.EPOLLIN)

    # What kinds of readers differ in.

    @abstractmethod
    def _take(self, most: int) -> list[Record]:
        """Up to ``most`` records that are there now. Called with the lock."""

    def _end(self) -> None:
        """Let go of what is the kind's own. Called with the lock, once."""

    def _too_late(self) -> RingTimeout:
        return RingTimeout(
            f"no record came to map {self.map.name} in time: allow more, or see that its program "
            "runs"
        )

    # Reading.

    def _look(self, most: int) -> list[Record]:
        with self._lock:
            self._check("read")
            return self._take(most)

    def _check(self, what: str) -> None:
        if self._closed:
            raise ClosedError(
                f"cannot {what} records of map {self.map.name}: this reader was closed; make "
                "another"
            )

    def read(self, timeout: float | None = None) -> Record:
        """The next record; :class:`RingTimeout` if none comes in time, or after :meth:`flush`."""
        records = self.read_batch(1, timeout)
        if not records:
            raise self._too_late()
        return records[0]

    def read_batch(self, most: int = BATCH, timeout: float | None = None) -> list[Record]:
        """Up to ``most`` records, as soon as there is one; none if time is up, or after
        :meth:`flush`. A timeout of 0 does not wait."""
        clock = Clock(self.timeout if timeout is None else timeout)
        while True:
            records = self._look(most)
            if records or not self._wait(clock.left()):
                return records or self._look(most)

    def wait(self, timeout: float | None = None) -> bool:
        """Whether there is something to read, after waiting for it; False when time is up or after
        :meth:`flush`."""
        self._check("wait for")
        return self._wait(Clock(self.timeout if timeout is None else timeout).left())

    def _wait(self, left: float | None) -> bool:
        self._check("wait for")
        ready = [fd for fd, _ in self._poll.poll(-1 if left is None else left)]
        self._check("wait for")
        if self._wake in ready:
            os.eventfd_read(self._wake)
            return False
        return bool(ready)

    def __iter__(self) -> Iterator[Record]:
        """Records as they come; ends when none comes in ``timeout``, or after :meth:`flush`."""
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
        clock = Clock(self.timeout if timeout is None else timeout)
        while True:
            records = self._look(most)
            left = clock.left()
            if records or left == 0.0:
                return records
            if not await self._await(left):
                return self._look(most)

    def __aiter__(self) -> AsyncIterator[Record]:
        """As iteration, for asyncio."""
        return self

    async def __anext__(self) -> Record:
        records = await self.aread_batch(1)
        if not records:
            raise StopAsyncIteration
        return records[0]

    async def _await(self, left: float | None) -> bool:
        import asyncio

        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()

        def is_ready() -> None:
            if not ready.done():
                ready.set_result(None)

        descriptor = self.fileno()
        loop.add_reader(descriptor, is_ready)
        try:
            await asyncio.wait_for(ready, left)
        except TimeoutError:
            return False
        finally:
            loop.remove_reader(descriptor)
        return self._wait(0.0)

    # Life.

    def flush(self) -> None:
        """End a wait that is under way in another thread: it returns what is there."""
        self._check("flush")
        os.eventfd_write(self._wake, 1)

    def fileno(self) -> int:
        """A descriptor that is readable while there is something to read."""
        self._check("wait for")
        return self._poll.fileno()

    @property
    def closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        """Let somebody else read. Whoever waits in another thread gets a :class:`ClosedError`."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            # Whoever waits wakes up, and finds it closed; descriptors go with the reader.
            self._end()
            os.eventfd_write(self._wake, 1)

    def __del__(self) -> None:
        if hasattr(self, "_wake"):
            self._poll.close()
            os.close(self._wake)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of map {self.map.name}{' closed' if self._closed else ''}>"
