"""Perf event arrays of the kernel, read over shared memory: a ring for each processor.

Layouts: Linux UAPI header linux/perf_event.h (struct perf_event_mmap_page, enum perf_event_type).
"""

from __future__ import annotations

import mmap
import os
from struct import pack, unpack_from
from typing import TYPE_CHECKING, Final

from anybpf.backends.linux import perf_events
from anybpf.backends.linux.waiting import Reader
from anybpf.errors import InputError, NotSupported
from anybpf.maps.perf import Event

if TYPE_CHECKING:
    from anybpf.backends.linux.maps import Map

_SAMPLE_RAW: Final = 1 << 10
_RECORD_LOST: Final = 2
_RECORD_SAMPLE: Final = 9
_HEAD: Final = 1024 // 8
_TAIL: Final = 1032 // 8


class _Ring:
    """One processor's ring."""

    def __init__(self, cpu: int, pages: int) -> None:
        self.cpu: int = cpu
        self.lost: int = 0
        self.untold: int = 0
        self.fd: int = perf_events.open_event(
            perf_events.SOFTWARE,
            perf_events.SOFTWARE_EVENTS["bpf-output"],
            cpu=cpu,
            period=1,
            sample_type=_SAMPLE_RAW,
            what=f"the output of programs on processor {cpu}",
        )
        try:
            size = pages * mmap.PAGESIZE
            memory = memoryview(mmap.mmap(self.fd, mmap.PAGESIZE + size, mmap.MAP_SHARED))
            perf_events.enable(self.fd)
        except OSError as error:
            os.close(self.fd)
            raise InputError(
                f"a ring of {pages} pages for processor {cpu} cannot be made: {error.strerror}; "
                "pages are a power of two, and limited for users without CAP_IPC_LOCK"
            ) from error
        self.size: int = size
        self._words = memory[: mmap.PAGESIZE].cast("Q")
        self._data = memory[mmap.PAGESIZE :]

    @property
    def unread(self) -> int:
        return int(self._words[_HEAD] - self._words[_TAIL])

    def _piece(self, at: int, size: int) -> bytes:
        """Bytes that may go on at the ring's beginning."""
        place = at % self.size
        first = bytes(self._data[place : place + size])
        return first if len(first) == size else first + bytes(self._data[: size - len(first)])

    def take(self, most: int) -> list[Event]:
        found: list[Event] = []
        start: int = self._words[_TAIL]
        end: int = self._words[_HEAD]
        at = start
        while at < end and len(found) < most:
            kind, _, size = unpack_from("=IHH", self._piece(at, 8))
            record = self._piece(at + 8, size - 8)
            if kind == _RECORD_SAMPLE:
                length = unpack_from("=I", record)[0]
                found.append(Event(self.cpu, record[4 : 4 + length], self.untold))
                self.untold = 0
            elif kind == _RECORD_LOST:
                number = unpack_from("=Q", record, 8)[0]
                self.lost += number
                self.untold += number
            at += size
        if at != start:
            self._words[_TAIL] = at
        return found


class PerfReader(Reader[Event]):
    """Reads a perf event array: from its making on, until it is closed, it has the array's places.

    ``pages`` is a power of two. Data come as the kernel has them: up to 7 bytes longer than what
    the program put out, so that they end on a multiple of 8.
    """

    def __init__(self, map: Map, timeout: float | None = None, *, pages: int = 8) -> None:  # noqa: A002
        if pages < 1 or pages & (pages - 1):
            raise InputError(f"a ring has a power of two of pages, not {pages!r}")
        self._rings: list[_Ring] = []
        try:
            for cpu in range(map.max_entries):
                self._add(map, cpu, pages)
            super().__init__(map, timeout, [ring.fd for ring in self._rings])
        except BaseException:
            self._close_rings()
            raise

    def _add(self, map: Map, cpu: int, pages: int) -> None:  # noqa: A002
        try:
            ring = _Ring(cpu, pages)
        except NotSupported:
            if not os.path.exists(f"/sys/devices/system/cpu/cpu{cpu}") or not _online(cpu):
                return  # a processor that may come, but is not there
            raise
        self._rings.append(ring)
        map.update(cpu, pack("=I", ring.fd))

    def _take(self, most: int) -> list[Event]:
        found: list[Event] = []
        for ring in self._rings:
            found += ring.take(most - len(found))
            if len(found) >= most:
                break
        # Every processor has its turn to be first.
        self._rings.append(self._rings.pop(0))
        return found

    def _end(self) -> None:
        self._close_rings()

    def _close_rings(self) -> None:
        """Close the events: each takes its own place in the map with it."""
        for ring in self._rings:
            if ring.fd >= 0:
                os.close(ring.fd)
            ring.fd = -1

    def __del__(self) -> None:
        if hasattr(self, "_rings"):
            self._close_rings()
        super().__del__()

    @property
    def lost(self) -> int:
        """Events that all processors lost since the reader was made."""
        return sum(ring.lost for ring in self._rings)

    @property
    def unread(self) -> list[int]:
        """Bytes taken in each processor's ring."""
        self._check("count")
        return [ring.unread for ring in sorted(self._rings, key=lambda ring: ring.cpu)]


def _online(cpu: int) -> bool:
    try:
        with open(f"/sys/devices/system/cpu/cpu{cpu}/online") as stream:
            return stream.read().strip() == "1"
    except OSError:
        return True  # one that cannot be switched off has no such file
