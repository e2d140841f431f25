"""Ring buffers of the kernel, read over shared memory: system calls only for waiting.

Layout: Documentation/bpf/ringbuf.rst of Linux.
"""

from __future__ import annotations

import mmap
from struct import unpack_from
from typing import TYPE_CHECKING, Final

from anybpf.backends.linux.handle import Descriptor
from anybpf.backends.linux.waiting import Reader

if TYPE_CHECKING:
    from anybpf.backends.linux.maps import Map

# In the first word of a record: still being written; thrown away (linux/bpf.h).
_BUSY: Final = 1 << 31
_DISCARDED: Final = 1 << 30
_HEADER: Final = 8


class RingReader(Reader[bytes]):
    """Reads a ring buffer. A map has one reader at a time."""

    def __init__(self, map: Map, timeout: float | None = None) -> None:  # noqa: A002
        self._held: Descriptor = map.hold()
        self.size: int = map.max_entries
        self._mask: int = map.max_entries - 1
        page = mmap.PAGESIZE
        # Where we are is ours to write; where programs are, and the data, are for reading. The
        # data lie there twice in a row, so that no record is ever in two pieces.
        self._consumer = map.mapped(page).cast("Q")
        producer = map.mapped(page + 2 * self.size, page, writable=False)
        self._ends = producer[:8].cast("Q")
        self._data = producer[page:]
        super().__init__(map, timeout, [self._held.fd])

    def _take(self, most: int) -> list[bytes]:
        found: list[bytes] = []
        data, mask = self._data, self._mask
        start: int = self._consumer[0]
        end: int = self._ends[0]
        at = start
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

    @property
    def unread(self) -> int:
        """Bytes of the ring that are taken."""
        self._check("count")
        return int(self._ends[0] - self._consumer[0])
