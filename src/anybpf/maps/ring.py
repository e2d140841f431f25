"""Ring buffers and user rings from Python: a reader, and a writer.

Records come one at a time, in batches, end to end in one piece of memory, or in place. Nothing here
knows where a map is from: give it any map of type ringbuf or user_ringbuf.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Self

from anybpf import _core
from anybpf.errors import ClosedError, RingTimeout
from anybpf.maps.failures import STATUS
from anybpf.maps.reading import BATCH, Clock, Packed, Reader

if TYPE_CHECKING:
    from typing_extensions import Buffer

_NO_SPACE: Final = STATUS["NO_SPACE"]


class RingReader(Reader[bytes]):
    """Reads a ring buffer. A map has one reader at a time.

    >>> from anybpf._core import Domain, Map, RingProducer
    >>> events = Map(Domain(1), 1, "ringbuf", 0, 0, 4096, name="events")
    >>> RingProducer(events).output_many([b"first", b"second", b"third"])  # a program's part
    (0, 3)
    >>> with RingReader(events, timeout=0) as reader:
    ...     reader.read()
    ...     with reader.lease(1) as records:
    ...         bytes(records[0])
    ...     list(reader)
    b'first'
    b'second'
    [b'third']
    """

    def __init__(self, map: _core.Map, timeout: float | None = None) -> None:  # noqa: A002
        super().__init__(map, timeout)
        self.size = self._core.size

    def _take(self, most: int) -> list[bytes]:
        return self._core.read(most)

    def __next__(self) -> bytes:
        if not self._closed:
            records: list[bytes] = self._core.read(1)
            if records:
                return records[0]
        return super().__next__()

    def _take_packed(self, most: int) -> Packed:
        data, offsets = self._core.batch(most)
        return Packed(data, offsets)

    def read_packed(self, most: int = BATCH * 16, timeout: float | None = None) -> Packed:
        """Up to ``most`` (65536) records end to end: the fastest way to many of them."""
        return self._read_packed(self._take_packed, most, timeout)

    def lease(self, most: int = BATCH, timeout: float | None = None) -> _core.RingLease:
        """Up to ``most`` records in place, as memoryviews that end with the ``with`` block.

        The ring keeps their room until then, and nothing else is read meanwhile. If a slice or an
        array made of a record outlives the block, BufferError says so, and the lease goes on.
        """
        self._check("read")
        clock = self._clock(timeout)
        while True:
            lease = self._core.lease(most)
            if lease.records:
                return lease
            lease.release()
            if not self.wait(clock.left()):
                return self._core.lease(most)

    @property
    def unread(self) -> int:
        """Bytes of the ring that are taken."""
        self._check("count")
        return self._core.unread(0)


class UserRing:
    """Writes records to a user ring, for a program to drain. Safe for many threads.

    >>> from anybpf._core import Domain, Map
    >>> commands = Map(Domain(1), 1, "user_ringbuf", 0, 0, 4096, name="commands")
    >>> with UserRing(commands) as ring:
    ...     ring.write(b"a whole record")
    ...     with ring.reserve(4) as record:  # or in place
    ...         record[:] = b"open"
    ...     ring.unread
    40
    """

    def __init__(self, map: _core.Map) -> None:  # noqa: A002
        self.map = map
        self._name = map.name or f"number {map.id}"
        self._core = _core.RingProducer(map)
        self._closed = False

    def write(self, data: Buffer, timeout: float | None = 0.0) -> None:
        """One record; :class:`RingTimeout` if there is no room in time (``None``: wait as long as
        it takes)."""
        self._check()
        status = self._core.output(data)
        if status == 0:
            return
        clock = Clock(timeout)
        while status == _NO_SPACE:
            self._make_room(len(memoryview(data).cast("B")), clock)
            status = self._core.output(data)
        self._refuse("write to", status)

    def write_many(self, records: Sequence[Buffer], timeout: float | None = 0.0) -> int:
        """As many of the records, in order, as there is room for in time; how many."""
        self._check()
        clock = Clock(timeout)
        status, written = self._core.output_many(records)
        while status == _NO_SPACE:
            try:
                self._make_room(len(memoryview(records[written]).cast("B")), clock)
            except RingTimeout:
                return written
            status, more = self._core.output_many(records[written:])
            written += more
        self._refuse("write to", status)
        return written

    def reserve(self, size: int, timeout: float | None = 0.0) -> _core.RingReservation:
        """Zeroed memory of the ring for one record: submitted at the end of the ``with`` block,
        discarded by an exception."""
        self._check()
        clock = Clock(timeout)
        while True:
            record = self._core.reserve(size)
            if isinstance(record, _core.RingReservation):
                return record
            if record != _NO_SPACE:
                self._refuse("reserve in", record)
            self._make_room(size, clock)

    @property
    def unread(self) -> int:
        """Bytes of the ring that are taken: what programs have not drained."""
        self._check()
        return self._core.query(0)

    @property
    def size(self) -> int:
        self._check()
        return self._core.query(1)

    @property
    def closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        """Write no more. Whoever waits in another thread gets a :class:`ClosedError`."""
        self._closed = True
        self._core.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<UserRing of map {self._name}{' closed' if self._closed else ''}>"

    def _check(self) -> None:
        if self._closed:
            raise ClosedError(f"cannot write to map {self._name}: this writer was closed")

    def _make_room(self, size: int, clock: Clock) -> None:
        left = clock.left()
        room = left != 0.0 and self._core.wait(size, -1.0 if left is None else left)
        self._check()
        if not room:
            raise RingTimeout(
                f"map {self._name} has no room for a record of {size} bytes: "
                "let its program drain it, allow more time, or give it more max_entries"
            )

    def _refuse(self, what: str, status: int) -> None:
        if status:
            self.map._fail(what, status, None)
