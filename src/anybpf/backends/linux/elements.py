"""A map's entries as bytes: one system call each, or one for many.

The attributes of a call are written once, with buffers for a key and a value, and used again: what
remains is to copy the key in and the value out. What keys and values mean is the business of
``maps``.
"""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Iterator
from ctypes import addressof, c_char, c_uint64
from functools import cache
from struct import pack, pack_into, unpack_from
from typing import TYPE_CHECKING, Final, NoReturn

from anybpf.backends.linux import syscall
from anybpf.backends.linux.handle import Descriptor, Handle
from anybpf.backends.linux.info import map_info
from anybpf.backends.linux.refusals import refusal
from anybpf.backends.linux.syscall import ENOTSUPP
from anybpf.errors import MapError

if TYPE_CHECKING:
    from anybpf.backends.linux.backend import LinuxBackend

_call = syscall.function
_NUMBER: Final = syscall.NUMBER
_LOOKUP: Final = syscall.MAP_LOOKUP_ELEM

# Entries fetched at once by walks.
CHUNK: Final = 1024
# What is said of a command that a map's type, or this kernel, does not have.
_LACKING: Final = frozenset({errno.EOPNOTSUPP, ENOTSUPP, errno.EINVAL, errno.ENOSYS})
# Values of each processor lie on multiples of this.
_STEP: Final = 8


@cache
def possible_cpus() -> int:
    """How many values a per-CPU map has for a key: processors that may ever be there."""
    last = 0
    with open("/sys/devices/system/cpu/possible") as stream:
        for part in stream.read().strip().split(","):
            last = max(last, int(part.rpartition("-")[2]))
    return last + 1


class Cell:
    """Attributes of one call about one entry, with room for its key and its value."""

    __slots__ = ("address", "block", "flags", "key", "value")

    def __init__(self, fd: int, key_size: int, value_size: int) -> None:
        self.key: ctypes.Array[c_char] = (c_char * key_size)()
        self.value: ctypes.Array[c_char] = (c_char * value_size)()
        self.block = bytearray(
            pack("=IIQQQ", fd, 0, addressof(self.key) if key_size else 0, addressof(self.value), 0)
        )
        whole = (c_char * 32).from_buffer(self.block)
        self.address: int = addressof(whole)
        self.flags: c_uint64 = c_uint64.from_buffer(self.block, 24)


class Elements(Handle):
    """A map by its descriptor, in bytes."""

    object_kind = "map"

    def __init__(self, backend: LinuxBackend, fd: int) -> None:
        super().__init__(backend, fd)
        try:
            info = map_info(fd, backend.platform)
        except BaseException:
            self.close()
            raise
        self._id, self._name = info.id, info.name
        self.type: str = info.type_name
        self.key_size: int = info.key_size
        self.value_size: int = info.value_size
        self.max_entries: int = info.max_entries
        self.flags: int = info.map_flags
        types = backend.platform.map_types
        self.per_cpu: bool = info.type_name in types and types[info.type_name].per_cpu
        self.cpus: int = possible_cpus()
        self.value_stride: int = -(-info.value_size // _STEP) * _STEP
        # Bytes of a value as user space has it.
        self.user_value_size: int = (
            self.value_stride * self.cpus if self.per_cpu else info.value_size
        )
        # Whether there are batches: yes, until the kernel says no.
        self._batches: bool = True
        self._asked: bool = False

    def _fail(self, what: str, number: int, key: object) -> NoReturn:
        raise refusal(self._name, self.type, self.max_entries, what, number, key)

    def _wrong_size(self, what: str, data: object, wanted: int) -> MapError:
        said = (
            f"{len(data)} bytes" if isinstance(data, bytes | bytearray | memoryview) else repr(data)
        )
        return MapError(
            f"map {self._name}: {said} is no {what} of it: that is {wanted} bytes",
            map_name=self._name,
            status="BAD_SIZE",
            key=data,
        )

    def _cell(self, held: Descriptor) -> Cell:
        try:
            found: Cell = held.cells.pop()
        except IndexError:
            found = Cell(held.fd, self.key_size, self.user_value_size)
        return found

    def _key(self, key: bytes | bytearray | memoryview) -> bytes:
        if len(key) != self.key_size:
            raise self._wrong_size("key", key, self.key_size)
        return bytes(key)

    def _get(self, command: int, key: bytes, flags: int) -> bytes | int:
        """The value, or the error number."""
        held = self.hold()
        cell = self._cell(held)
        cell.key.raw = key
        if flags:
            cell.flags.value = flags
        result = syscall.call_at(command, cell.address, 32)
        value = cell.value.raw if not result else -result
        if flags:
            cell.flags.value = 0
        held.cells.append(cell)
        return value

    def lookup(self, key: bytes, flags: int = 0, /) -> bytes | None:
        """The value of a key; None if there is no such entry."""
        held = self._held
        if held is None or flags or len(key) != self.key_size:
            return self._lookup_with(key, flags)
        # What follows is `_get` written out: nothing is done as often.
        try:
            cell = held.cells.pop()
        except IndexError:
            cell = Cell(held.fd, self.key_size, self.user_value_size)
        cell.key.raw = key
        if not _call(_NUMBER, _LOOKUP, cell.address, 32):
            value: bytes = cell.value.raw
            held.cells.append(cell)
            return value
        number = ctypes.get_errno()
        held.cells.append(cell)
        del held  # or an error that somebody keeps would keep the descriptor open
        if number != errno.ENOENT:
            self._fail("look up", number, key)
        return None

    def _lookup_with(self, key: bytes, flags: int) -> bytes | None:
        found = self._get(syscall.MAP_LOOKUP_ELEM, self._key(key), flags)
        if isinstance(found, bytes):
            return found
        if found != errno.ENOENT:
            self._fail("look up", found, key)
        return None

    def take(self, key: bytes, /) -> bytes | None:
        """Take an entry out; None if there was none."""
        found = self._get(syscall.MAP_LOOKUP_AND_DELETE_ELEM, self._key(key), 0)
        if isinstance(found, bytes):
            return found
        if found != errno.ENOENT:
            self._fail("look up and delete", found, key)
        return None

    def put(self, key: bytes, value: bytes, flags: int = 0, /) -> int:
        """Put an entry in; 0, or the error number."""
        if len(key) != self.key_size:
            raise self._wrong_size("key", key, self.key_size)
        if len(value) != self.user_value_size:
            raise self._wrong_size("value", value, self.user_value_size)
        held = self.hold()
        cell = self._cell(held)
        cell.key.raw = key
        cell.value.raw = value
        if flags:
            cell.flags.value = flags
        result = syscall.call_at(syscall.MAP_UPDATE_ELEM, cell.address, 32)
        if flags:
            cell.flags.value = 0
        held.cells.append(cell)
        return -result

    def erase(self, key: bytes, /) -> int:
        """Take an entry out; 0, or the error number."""
        raw = self._key(key)
        held = self.hold()
        cell = self._cell(held)
        cell.key.raw = raw
        # No further than the key: nothing else may be set for this command.
        result = syscall.call_at(syscall.MAP_DELETE_ELEM, cell.address, 16)
        held.cells.append(cell)
        return -result

    def next_key(self, key: bytes | None, /) -> bytes | None:
        """The key that follows in the map's own order, the first for None; None at the end."""
        before = (c_char * self.key_size)()
        after = (c_char * self.key_size)()
        if key is not None:
            before.raw = self._key(key)
        held = self.hold()
        place = 0 if key is None else addressof(before)
        block = pack("=IIQQQ", held.fd, 0, place, addressof(after), 0)
        result = syscall.call(syscall.MAP_GET_NEXT_KEY, block)
        del held  # as in `lookup`
        if result == 0:
            return after.raw
        if result != -errno.ENOENT:
            self._fail("go on in", -result, key)
        return None

    # Many entries.

    def _reads_many(self) -> bool:
        """Whether its type has batches: asked once, with a single entry."""
        if self._batches and not self._asked and self.key_size:
            self._asked = True
            number = _Batch(self, 1).call(syscall.MAP_LOOKUP_BATCH, False)
            self._batches = number not in _LACKING
        return self._batches and self.key_size > 0

    def chunks(self) -> Iterator[tuple[bytes, bytes, int]]:
        """All entries: keys and values end to end, and how many."""
        if self._reads_many():
            block = _Batch(self, CHUNK)
            started = False
            while True:
                number = block.call(syscall.MAP_LOOKUP_BATCH, started)
                if number == errno.ENOSPC:  # a bucket of the hash has more than there is room for
                    block = block.larger()
                    continue
                if number not in (0, errno.ENOENT):
                    del block  # as in `lookup`
                    self._fail("walk", number, None)
                if block.count:
                    yield block.entries()
                if number:
                    return
                block.turn()
                started = True
        yield from self._one_by_one()

    def _one_by_one(self) -> Iterator[tuple[bytes, bytes, int]]:
        key = self.next_key(None)
        while key is not None:
            value = self._get(syscall.MAP_LOOKUP_ELEM, key, 0)
            if isinstance(value, bytes):
                yield key, value, 1
            elif value != errno.ENOENT:  # deleted meanwhile, or an empty place
                self._fail("look up", value, key)
            key = self.next_key(key)

    def raw_keys(self) -> Iterator[bytes]:
        """All keys; also of maps whose values only programs can read."""
        size = self.key_size
        if not self._reads_many():
            key = self.next_key(None)
            while key is not None:
                yield key
                key = self.next_key(key)
            return
        for keys, _, count in self.chunks():
            for at in range(0, count * size, size):
                yield keys[at : at + size]

    def put_many(self, keys: bytes, values: bytes, flags: int = 0) -> tuple[int, int]:
        """How many were put in, and the error number that ended it."""
        size, room = self.key_size, self.user_value_size
        total = len(keys) // size
        if self._batches and total > 1:
            block = _Batch(self, total, keys, values)
            number = block.call(syscall.MAP_UPDATE_BATCH, False, flags)
            if number not in _LACKING or block.count:
                return (block.count if number else total), number
        for at in range(total):
            number = self.put(
                keys[at * size : (at + 1) * size], values[at * room : (at + 1) * room], flags
            )
            if number:
                return at, number
        return total, 0

    def erase_many(self, keys: bytes) -> tuple[int, int, int]:
        """How many were gone through, how many of them were there, and the error number."""
        size = self.key_size
        total = len(keys) // size
        at = found = 0
        while self._batches and at < total:
            block = _Batch(self, total - at, keys[at * size :], b"")
            number = block.call(syscall.MAP_DELETE_BATCH, False)
            if number in _LACKING and not block.count:
                break
            done = block.count if number else total - at
            at += done
            found += done
            if number == errno.ENOENT:
                at += 1  # that one was not there
            elif number:
                return at, found, number
        while at < total:
            number = self.erase(keys[at * size : (at + 1) * size])
            if number not in (0, errno.ENOENT):
                return at, found, number
            found += not number
            at += 1
        return total, found, 0

    # Its memory.

    def mapped(self, size: int, offset: int = 0, writable: bool = True) -> memoryview:
        """The map's own memory, which stays there as long as the view does."""
        import mmap

        held = self.hold()
        access = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
        length = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
        try:
            memory = mmap.mmap(held.fd, length, mmap.MAP_SHARED, access, offset=offset)
        except OSError as error:
            del held  # as in `lookup`
            self._fail("map the memory of", error.errno or errno.EINVAL, None)
        return memoryview(memory)[:size]


class _Batch:
    """Attributes of one call about many entries, and their buffers."""

    def __init__(
        self, face: Elements, room: int, keys: bytes | None = None, values: bytes = b""
    ) -> None:
        self.face = face
        self.held = face.hold()
        self.room = room
        self.count = 0
        key_bytes, value_bytes = room * face.key_size, room * face.user_value_size
        self.keys = (c_char * key_bytes)()
        self.values = (c_char * (value_bytes if keys is None or values else 1))()
        if keys is not None:
            self.keys.raw = keys[:key_bytes]
            self.values.raw = values or b"\0"
        # A place to go on from: a hash's is a bucket's number, others' a key.
        self.before = (c_char * max(_STEP, face.key_size))()
        self.after = (c_char * max(_STEP, face.key_size))()

    def call(self, command: int, started: bool, flags: int = 0) -> int:
        """0 or the error number; ``count`` says for how many entries it was done."""
        block = bytearray(56)
        pack_into(
            "=QQQQIIQQ", block, 0,
            addressof(self.before) if started else 0, addressof(self.after),
            addressof(self.keys), addressof(self.values),
            self.room, self.held.fd, flags, 0,
        )  # fmt: skip
        result = syscall.call(command, block)
        self.count = unpack_from("=I", block, 32)[0]
        number = -result
        # Refused before it began: the count is still what was asked for.
        if number and number != errno.ENOENT and self.count == self.room:
            self.count = 0
        return number

    def entries(self) -> tuple[bytes, bytes, int]:
        face, count = self.face, self.count
        return (
            ctypes.string_at(self.keys, count * face.key_size),
            ctypes.string_at(self.values, count * face.user_value_size),
            count,
        )

    def turn(self) -> None:
        """Go on where this call ended."""
        self.before, self.after = self.after, self.before

    def larger(self) -> _Batch:
        new = _Batch(self.face, self.room * 2)
        new.before, new.after = self.before, self.after
        return new
