"""Perf event arrays from Python: a ring for each processor, read as one.

Events of one processor come in order; between processors there is none, as in the kernel.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import Final, NamedTuple

from anybpf import _core
from anybpf.maps.reading import BATCH, Packed, Reader

OFFSET: Final = 8  # bytes of one: there is always the end of the last


class Event(NamedTuple):
    """What a program put out: where, what, and how many events that processor lost before it."""

    cpu: int
    data: bytes
    lost: int


class Part(NamedTuple):
    """Which of the events in a :class:`PackedEvents` are one processor's: ``start`` up to, and
    without, ``stop``; and how many it lost before them and among them."""

    cpu: int
    start: int
    stop: int
    lost: int


class PackedEvents(Packed):
    """Events end to end, processor by processor: ``parts`` says which are whose."""

    __slots__ = ("parts",)

    def __init__(self, data: bytes, offsets: bytes, parts: list[Part]) -> None:
        super().__init__(data, offsets)
        self.parts = parts


class PerfReader(Reader[Event]):
    """Reads a perf event array. A map has one reader at a time.

    Whoever waits is woken by the first event, or by the first of ``wake_events`` events and
    ``wake_bytes`` bytes unread on one processor if either is given; a call that finds events does
    not wait for more, and one whose time is up returns what there is.

    >>> from anybpf._core import Domain, Map, RingProducer
    >>> events = Map(Domain(2), 1, "perf_event_array", 4, 4, 2, extra=4096, name="events")
    >>> RingProducer(events).output_event(b"hello", 1)  # a program's part
    0
    >>> with PerfReader(events, timeout=0) as reader:
    ...     list(reader)
    [Event(cpu=1, data=b'hello', lost=0)]
    """

    def __init__(
        self,
        map: _core.Map,  # noqa: A002
        timeout: float | None = None,
        *,
        wake_events: int = 0,
        wake_bytes: int = 0,
    ) -> None:
        super().__init__(map, timeout)
        self.cpus = self._core.rings
        self.size = self._core.size
        self._turn = 0
        self.set_wakeup(wake_events, wake_bytes)

    def set_wakeup(self, events: int = 0, size: int = 0) -> None:
        """From now on, wake after so many events or bytes; 0 and 0: after every event."""
        self._check("wait for")
        self._core.set_wakeup(events, size)

    def _order(self) -> Iterator[int]:
        """Every processor has its turn to be first."""
        first = self._turn
        self._turn = (first + 1) % self.cpus
        return ((first + step) % self.cpus for step in range(self.cpus))

    def _take(self, most: int) -> list[Event]:
        found: list[Event] = []
        for cpu in self._order():
            found += map(Event._make, self._core.read(most - len(found), cpu))
            if len(found) >= most:
                break
        return found

    def _take_packed(self, most: int) -> PackedEvents:
        pieces: list[bytes] = []
        ends = array("Q", [0])
        parts: list[Part] = []
        for cpu in self._order():
            start, before = len(ends) - 1, ends[-1]
            data, offsets, lost = self._core.batch(most - start, cpu)
            if len(offsets) == OFFSET:
                continue
            pieces.append(data)
            if start:
                ends.extend(before + end for end in memoryview(offsets).cast("Q")[1:])
            else:
                ends = array("Q", offsets)
            parts.append(Part(cpu, start, len(ends) - 1, lost))
            if len(ends) > most:
                break
        # Mostly it is all one processor's, and no event is copied again.
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        return PackedEvents(data, ends.tobytes(), parts)

    def read_packed(self, most: int = BATCH * 16, timeout: float | None = None) -> PackedEvents:
        """Up to ``most`` (65536 a processor) events end to end: the fastest way to many of them."""
        return self._read_packed(self._take_packed, most, timeout)

    def lease(self, cpu: int, most: int = 1024) -> _core.RingLease:
        """One processor's events in place, as memoryviews that end with the ``with`` block; see
        :meth:`RingReader.lease`. Does not wait; not for rings that overwrite."""
        self._check("read")
        return self._core.lease(most, cpu)

    @property
    def lost(self) -> int:
        """Events that all processors lost since the map was made."""
        return sum(self.lost_by_cpu)

    @property
    def lost_by_cpu(self) -> list[int]:
        self._check("count")
        return [self._core.lost(cpu) for cpu in range(self.cpus)]

    @property
    def unread(self) -> list[int]:
        """Bytes taken in each processor's ring."""
        self._check("count")
        return [self._core.unread(cpu) for cpu in range(self.cpus)]
