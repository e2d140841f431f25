"""User ring buffers of the kernel: records that user space writes, for programs to drain.

Layout: kernel/bpf/ringbuf.c of Linux (user space produces; the pages of positions are swapped).
"""

from __future__ import annotations

import mmap
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from struct import pack_into
from typing import TYPE_CHECKING, Final, Self

from anybpf.errors import ClosedError, MapError, RingTimeout
from anybpf.maps.reading import Clock

if TYPE_CHECKING:
    from anybpf.backends.linux.handle import Descriptor
    from anybpf.backends.linux.maps import Map

_BUSY: Final = 1 << 31
_DISCARDED: Final = 1 << 30
_HEADER: Final = 8
# Seconds between two looks for room: the kernel wakes nobody before the ring was drained.
_LOOK: Final = 0.001


class UserRing:
    """Writes records to a user ring. Safe for many threads."""

    def __init__(self, map: Map) -> None:  # noqa: A002
        self.map: Map = map
        self.size: int = map.max_entries
        self._held: Descriptor = map.hold()
        self._lock = threading.Lock()
        self._closed: bool = False
        page = mmap.PAGESIZE
        self._consumer = map.mapped(page, writable=False).cast("Q")
        memory = map.mapped(page + 2 * self.size, page)
        self._producer = memory[:8].cast("Q")
        self._data = memory[page:]

    def _check(self) -> None:
        if self._closed:
            raise ClosedError(f"cannot write to map {self.map.name}: this writer was closed")

    @property
    def unread(self) -> int:
        """Bytes of the ring that are taken: what programs have not drained."""
        self._check()
        return int(self._producer[0] - self._consumer[0])

    def _claim(self, size: int, clock: Clock) -> int:
        """Where a record of that size may stand; it is marked as not yet written."""
        room = (size + _HEADER + 7) & ~7
        if room > self.size:
            raise MapError(
                f"map {self.map.name}: a record of {size} bytes never fits into its {self.size}",
                map_name=self.map.name,
                status="TOO_BIG",
            )
        while True:
            with self._lock:
                self._check()
                at: int = self._producer[0]
                if at + room - self._consumer[0] <= self.size:
                    place = at & (self.size - 1)
                    pack_into("=II", self._data, place, size | _BUSY, 0)
                    self._producer[0] = at + room
                    return place
            left = clock.left()
            if left == 0.0:
                raise RingTimeout(
                    f"map {self.map.name} has no room for a record of {size} bytes: let its "
                    "program drain it, allow more time, or give it more max_entries"
                )
            time.sleep(_LOOK if left is None else min(_LOOK, left))

    def write(self, data: bytes | bytearray | memoryview, timeout: float | None = 0.0) -> None:
        """One record; :class:`RingTimeout` if there is no room in time (``None``: wait as long as
        it takes)."""
        raw = bytes(data)
        with self.reserve(len(raw), timeout) as record:
            record[:] = raw

    def write_many(
        self, records: Sequence[bytes | bytearray | memoryview], timeout: float | None = 0.0
    ) -> int:
        """As many of the records, in order, as there is room for in time; how many."""
        clock = Clock(timeout)
        for index, record in enumerate(records):
            try:
                self.write(record, clock.left())
            except RingTimeout:
                return index
        return len(records)

    @contextmanager
    def reserve(self, size: int, timeout: float | None = 0.0) -> Iterator[memoryview]:
        """Zeroed memory of the ring for one record: submitted at the end of the ``with`` block,
        discarded by an exception."""
        place = self._claim(size, Clock(timeout))
        start = place + _HEADER
        try:
            with self._data[start : start + size] as record:
                record[:] = bytes(size)
                yield record
        except BaseException:
            pack_into("=I", self._data, place, size | _DISCARDED)
            raise
        pack_into("=I", self._data, place, size)

    @property
    def closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        """Write no more. Whoever waits in another thread gets a :class:`ClosedError`."""
        self._closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<UserRing of map {self.map.name}{' closed' if self._closed else ''}>"
