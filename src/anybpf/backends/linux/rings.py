"""Ring buffers of the kernel, read over shared memory: system calls only for waiting.

The methods are those of :class:`anybpf.maps.ring.RingReader`, but for those that need its C core
(packed records, leases, asyncio). Layout: Documentation/bpf/ringbuf.rst of Linux.
"""

from __future__ import annotations

import mmap
import os
import select
import threading
from collections.abc import Iterator
from struct import unpack_from
from typing import TYPE_CHECKING, Final, Self

from anybpf.backends.linux.handle import Descriptor
from anybpf.errors import ClosedError, RingTimeout
from anybpf.maps.reading import BATCH, Clock

if TYPE_CHECKING:
    from anybpf.backends.linux.maps import Map

# In the first word of a record: still being written; thrown away (linux/bpf.h).
_BUSY: Final = 1 << 31
_DISCARDED: Final = 1 << 30
_HEADER: Final = 8


class RingReader:
    """Reads a ring buffer: an iterator and a context manager. A map has one reader at a time.

    ``timeout`` (seconds, ``None``: no limit) is for every wait that is not given one of its own.
    It may be closed, and flushed, from any thread.
    """

    def __init__(self, map: Map, timeout: float | None = None) -> None:  # noqa: A002
        self.map: Map = map
        self.timeout: float | None = timeout
        self.size: int = map.max_entries
        self._mask: int = map.max_entries - 1
        self._lock = threading.Lock()
        self._closed: bool = False
        held = map.hold()
        page = mmap.PAGESIZE
        # Where we are is ours to write; where programs are, and the data, are for reading. The
        # data lie there twice in a row, so that no record is ever in two pieces.
        self._consumer = memoryview(map.mapped(page)).cast("Q")
        self._producer = map.mapped(page + 2 * self.size, page, writable=False)
        self._ends = self._producer[:8].cast("Q")
        self._data = self._producer[page:]
        self._held: Descriptor = held
        self._poll = select.epoll()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll.register(held.fd, select.EPOLLIN)
        self._poll.register(self._wake, select.EPOLLIN)

    def _check(self, what: str) -> None:
        if self._closed:
            raise ClosedError(
                f"cannot {what} records of map {self.map.name}: this reader was closed; make "
                "another"
            )

    def _take(self, most: int) -> list[bytes]:
        """Up to ``most`` records that are there now."""
        found: list[bytes] = []
        with self._lock:
            self._check("read")
            data, mask = self._data, self._mask
            at: int = self._consumer[0]
            end: int = self._ends[0]
            start = at
            while at < end and len(found) < most:
                place = at & mask
                head: int = unpack_from("=I", data, place)[0]
                if head & _BUSY:
                    break
                size = head & ~_DISCARDED
                if not head & _DISCARDED:
                    found.append(bytes(data[place + _HEADER : place + _HEADER + size]))
                at += (size + _HEADER + 7) & ~7
            if at != start:
                self._consumer[0] = at
        return found

    def read(self, timeout: float | None = None) -> bytes:
        """The next record; :class:`RingTimeout` if none comes in time, or after :meth:`flush`."""
        records = self.read_batch(1, timeout)
        if not records:
            raise RingTimeout(
                f"no record came to map {self.map.name} in time: allow more, or see that its "
                "program runs"
            )
        return records[0]

    def read_batch(self, most: int = BATCH, timeout: float | None = None) -> list[bytes]:
        """Up to ``most`` records, as soon as there is one; none if time is up, or after
        :meth:`flush`. A timeout of 0 does not wait."""
        clock = Clock(self.timeout if timeout is None else timeout)
        while True:
            records = self._take(most)
            if records or not self._wait(clock.left()):
                return records or self._take(most)

    def wait(self, timeout: float | None = None) -> bool:
        """Whether there is something to read, after waiting for it; False when time is up or after
        :meth:`flush`."""
        self._check("wait for")
        return self._wait(Clock(self.timeout if timeout is None else timeout).left())

    def _wait(self, left: float | None) -> bool:
        self._check("wait for")
        if self._ends[0] > self._consumer[0] and left == 0.0:
            return False  # what follows is still being written
        ready = [fd for fd, _ in self._poll.poll(-1 if left is None else left)]
        self._check("wait for")
        if self._wake in ready:
            os.eventfd_read(self._wake)
            return False
        return bool(ready)

    def __iter__(self) -> Iterator[bytes]:
        """Records as they come; ends when none comes in ``timeout``, or after :meth:`flush`."""
        return self

    def __next__(self) -> bytes:
        records = self.read_batch(1)
        if not records:
            raise StopIteration
        return records[0]

    @property
    def unread(self) -> int:
        """Bytes of the ring that are taken."""
        self._check("count")
        return int(self._ends[0] - self._consumer[0])

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
        return f"<RingReader of map {self.map.name}{' closed' if self._closed else ''}>"
