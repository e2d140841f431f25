"""Maps of the kernel with the methods of :class:`anybpf.maps.Map`: keys and values as objects.

Types of keys and values come from the map's BTF, as the kernel has it. Bytes and system calls are
the business of ``elements``; how maps are created, of ``creating``.
"""

from __future__ import annotations

import copy
import errno
import os
import struct
from collections.abc import Callable, Iterable, Iterator
from struct import pack, unpack
from typing import TYPE_CHECKING, Any, Self

from anybpf.backends.linux import syscall
from anybpf.backends.linux.elements import Elements
from anybpf.backends.linux.handle import Handle
from anybpf.backends.linux.info import fdinfo, map_info, open_id
from anybpf.errors import InputError, MapError, NotFound
from anybpf.maps.codecs import Codec, Number
from anybpf.maps.map import CPUView
from anybpf.maps.typed import INDEXED, Wish, codec_by_wish, codec_for
from anybpf.objects.specs import MapSpec

if TYPE_CHECKING:
    from anybpf.backends.linux.backend import LinuxBackend
    from anybpf.backends.linux.perf import PerfReader
    from anybpf.backends.linux.rings import RingReader
    from anybpf.backends.linux.user_ring import UserRing
    from anybpf.btf import BTF
    from anybpf.platforms import Platform
    from anybpf.runtime.infos import MapInfo

# Flags of updates, as in ``anybpf.maps.map``.
ANY = 0
NOEXIST = 1
EXIST = 2
LOCK = 4

_MMAPABLE = 1 << 10
# Arrays whose entries are all there from the start.
_FULL = frozenset({"array", "percpu_array"})


class Map(Elements):
    """A map in the kernel.

    ``spec`` is what it is like, ``key`` and ``value`` say what keys and values are
    (:class:`anybpf.maps.codecs.Codec`). Safe for many threads.
    """

    def __init__(
        self, backend: LinuxBackend, fd: int, spec: MapSpec | None = None, btf: BTF | None = None
    ) -> None:
        super().__init__(backend, fd)
        try:
            info = map_info(fd, backend.platform)
            if btf is None and info.btf_id:
                btf = _types_of(backend, info.btf_id)
            made = MapSpec(info.name, info.type_name) if spec is None else spec.copy()
        except BaseException:
            self.close()
            raise
        if spec is not None and spec.name:
            self._name = spec.name
        made.key_size, made.value_size = info.key_size, info.value_size
        made.max_entries, made.flags, made.extra = info.max_entries, info.map_flags, info.map_extra
        made.key_type_id = info.btf_key_type_id or made.key_type_id
        made.value_type_id = info.btf_value_type_id or made.value_type_id
        self.spec: MapSpec = made
        self.btf: BTF | None = btf
        types = backend.platform.map_types
        self.holds: str = types[info.type_name].holds if info.type_name in types else ""
        value_type = 0 if self.holds in ("maps", "programs") else made.value_type_id
        self._settle(
            codec_for(btf, made.key_type_id, info.key_size, info.type_name in INDEXED),
            codec_for(btf, value_type, info.value_size),
        )

    def _settle(self, key: Codec, value: Codec) -> None:
        self.key: Codec = key
        self.value: Codec = value
        # Integers need no detour.
        self._pack_key: Callable[..., bytes] | None = _packer(key)
        self._unpack_key: Callable[[bytes], tuple[Any, ...]] | None = _unpacker(key)
        plain = not self.per_cpu
        self._pack_value: Callable[..., bytes] | None = _packer(value) if plain else None
        self._unpack_value: Callable[[bytes], tuple[Any, ...]] | None = (
            _unpacker(value) if plain else None
        )

    @property
    def platform(self) -> Platform:
        return self.backend.platform

    @property
    def kind(self) -> str:
        """The name of its type."""
        return self.type

    @property
    def frozen(self) -> bool:
        """Whether users may change it no more."""
        return fdinfo(self.hold().fd).get("frozen") == "1"

    def info(self) -> MapInfo:
        return map_info(self.hold().fd, self.platform, len(self._pins))

    # Conversions.

    def encode_key(self, key: Any) -> bytes:
        if self._pack_key is not None:
            try:
                return self._pack_key(key)
            except struct.error:
                if not isinstance(key, bytes) or len(key) != self.key_size:
                    raise self._wrong_type("key", key, self.key) from None
                return key
        return self.key.encode(key)

    def decode_key(self, key: bytes) -> Any:
        """A key's bytes as the object that this map takes and gives."""
        if self._unpack_key is not None:
            return self._unpack_key(key)[0]
        return self.key.decode_key(key)

    def encode_value(self, value: Any) -> bytes:
        if self._pack_value is not None:
            try:
                return self._pack_value(value)
            except struct.error:
                if not isinstance(value, bytes) or len(value) != self.value_size:
                    raise self._wrong_type("value", value, self.value) from None
                return value
        if not self.per_cpu:
            return self.value.encode(value)
        if isinstance(value, bytes) and len(value) == self.user_value_size:
            return value
        values = list(value) if isinstance(value, list | tuple) else None
        if values is None or len(values) != self.cpus:
            raise MapError(
                f"map {self._name} has a value for each processor: give a list of {self.cpus}",
                map_name=self._name,
                key=value,
            )
        stride = self.value_stride
        return b"".join(self.value.encode(item).ljust(stride, b"\0") for item in values)

    def decode_value(self, value: bytes) -> Any:
        if self._unpack_value is not None:
            return self._unpack_value(value)[0]
        if not self.per_cpu:
            return self.value.decode(value)
        stride, size = self.value_stride, self.value_size
        return [self.value.decode(value[at : at + size]) for at in range(0, len(value), stride)]

    def _wrong_type(self, what: str, found: object, codec: Codec) -> MapError:
        return MapError(
            f"map {self._name}: {found!r} is no {what} of it: that is {codec.name}, {codec.size} "
            "bytes",
            map_name=self._name,
            status="BAD_SIZE",
            key=found,
        )

    def _check_status(self, what: str, number: int, key: object) -> None:
        if number:
            self._fail(what, number, key)

    # One entry.

    def __getitem__(self, key: Any, /) -> Any:
        raw = self.lookup(self.encode_key(key))
        if raw is None:
            self._fail("look up", errno.ENOENT, key)
        if self._unpack_value is not None:
            return self._unpack_value(raw)[0]
        return self.decode_value(raw)

    def get(self, key: Any, default: Any = None, /) -> Any:
        raw = self.lookup(self.encode_key(key))
        return default if raw is None else self.decode_value(raw)

    def __contains__(self, key: object, /) -> bool:
        return self.lookup(self.encode_key(key)) is not None

    def __setitem__(self, key: Any, value: Any, /) -> None:
        number = self.put(self.encode_key(key), self.encode_value(value))
        if number:
            self._fail("update", number, key)

    def update(self, key: Any, value: Any, flags: int = ANY) -> None:
        """Put an entry in: any (:data:`ANY`), only a new one (:data:`NOEXIST`), or only in place of
        one that is there (:data:`EXIST`)."""
        number = self.put(self.encode_key(key), self.encode_value(value), flags)
        self._check_status("update", number, key)

    def __delitem__(self, key: Any, /) -> None:
        self._check_status("delete", self.erase(self.encode_key(key)), key)

    def delete(self, key: Any) -> None:
        """Take an entry out; :class:`NoSuchKey` if there is none."""
        del self[key]

    def lookup_and_delete(self, key: Any) -> Any:
        """Take an entry out and return its value; :class:`NoSuchKey` if there is none."""
        raw = self.take(self.encode_key(key))
        if raw is None:
            self._fail("look up and delete", errno.ENOENT, key)
        return self.decode_value(raw)

    def pop(self, key: Any = None, *default: Any) -> Any:
        """As of a dict: :meth:`lookup_and_delete` with a default."""
        raw = self.take(self.encode_key(key))
        if raw is not None:
            return self.decode_value(raw)
        if not default:
            self._fail("take out", errno.ENOENT, key)
        return default[0]

    # All entries.

    def __len__(self) -> int:
        if self.type in _FULL:
            return self.max_entries
        return sum(count for _, _, count in self.chunks())

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[Any]:
        """Its keys. Entries that come or go meanwhile may be met or not."""
        return (self.decode_key(raw) for raw in self.raw_keys())

    def keys(self) -> Iterator[Any]:
        return iter(self)

    def values(self) -> Iterator[Any]:
        return (value for _, value in self.items())

    def items(self) -> Iterator[tuple[Any, Any]]:
        key_size, value_size = self.key_size, self.user_value_size
        for keys, values, count in self.chunks():
            for i in range(count):
                yield (
                    self.decode_key(keys[i * key_size : (i + 1) * key_size]),
                    self.decode_value(values[i * value_size : (i + 1) * value_size]),
                )

    def clear(self) -> None:
        """Delete every entry that is there now."""
        raws = b"".join(self.raw_keys())
        if raws:
            _, _, number = self.erase_many(raws)
            self._check_status("clear", number, None)

    # Many at once.

    def lookup_batch(self, keys: Iterable[Any]) -> list[Any]:
        """The values of many keys; None where there is no entry."""
        return [self.get(key) for key in keys]

    def update_batch(self, entries: Any, flags: int = ANY) -> None:
        """Put many entries in: a dict, or pairs. The first that fails ends it, and is told; those
        before it are in."""
        pairs = list(entries.items() if hasattr(entries, "items") else entries)
        if not pairs:
            return
        keys = b"".join(self.encode_key(key) for key, _ in pairs)
        values = b"".join(self.encode_value(value) for _, value in pairs)
        done, number = self.put_many(keys, values, flags)
        if number:
            self._fail(f"update (entry {done} of {len(pairs)})", number, pairs[done][0])

    def delete_batch(self, keys: Iterable[Any]) -> int:
        """Take many entries out; how many were there."""
        wanted = list(keys)
        done, found, number = self.erase_many(b"".join(self.encode_key(key) for key in wanted))
        if number:
            self._fail(f"delete (entry {done} of {len(wanted)})", number, wanted[done])
        return found

    # Views.

    def cpu(self, number: int) -> CPUView:
        """The values of one processor in a per-CPU map."""
        if not self.per_cpu:
            raise InputError(f"map {self._name} of type {self.type} has no values per CPU")
        if not 0 <= number < self.cpus:
            raise InputError(f"map {self._name} has values for {self.cpus} CPUs, not for {number}")
        return CPUView(self, number)

    def values_view(self) -> memoryview:
        """The memory of an array's values: what programs write is seen at once, and the other way
        round if the map is not frozen. Each begins on a multiple of 8 (``value_stride``)."""
        if self.type not in ("array", "arena") or not self.flags & _MMAPABLE:
            raise InputError(
                f"map {self._name} of type {self.type} has no memory to be seen: only arrays that "
                "were created with the flag mmapable have"
            )
        stride = 4096 if self.type == "arena" else self.value_stride
        # The kernel gives memory for writing to a map that is neither frozen nor for reading only.
        writable = not self.frozen
        return self.mapped(self.max_entries * stride, 0, writable)

    def array(self) -> Any:
        """An array's values as a NumPy array over the map's own memory."""
        from anybpf.maps.batch import dtype, numpy

        np = numpy()
        view = self.values_view()
        return np.ndarray(
            self.max_entries, dtype=dtype(self.value), buffer=view, strides=self.value_stride
        )

    def arrays(self) -> tuple[Any, Any]:
        """All entries, copied into two NumPy arrays: keys and values; of per-CPU maps, values are
        rows of one a processor."""
        from anybpf.maps.batch import dtype, numpy

        np = numpy()
        parts = list(self.chunks())
        count = sum(each[2] for each in parts)
        keys = np.frombuffer(b"".join(each[0] for each in parts), dtype(self.key), count)
        raw = b"".join(each[1] for each in parts)
        if not self.per_cpu:
            return keys, np.frombuffer(raw, dtype(self.value), count)
        shaped = np.ndarray(
            (count, self.cpus), dtype=dtype(self.value), buffer=raw,
            strides=(self.user_value_size, self.value_stride),
        )  # fmt: skip
        return keys, shaped

    def typed(self, key: Wish | None = None, value: Wish | None = None) -> Self:
        """The same map with other keys or values: "u4", "bytes", "text", a structure's class."""
        new = copy.copy(self)
        new._lent = True
        new._settle(
            self.key if key is None else codec_by_wish(key, self.key_size, "key"),
            self.value if value is None else codec_by_wish(value, self.value_size, "value"),
        )
        return new

    # Its life.

    def freeze(self) -> None:
        """Users may not change it from now on; programs still may."""
        held = self.hold()
        result = syscall.call(syscall.MAP_FREEZE, pack("=I", held.fd))
        del held
        self._check_status("freeze", -result, None)

    def __repr__(self) -> str:
        if self.closed:
            return f"<{type(self).__name__} {self._name}, closed>"
        return (
            f"<{type(self).__name__} {self._name} ({self.type}, {self.key.name} -> "
            f"{self.value.name}, {self.max_entries} entries at most)>"
        )


def _packer(codec: Codec) -> Callable[..., bytes] | None:
    return codec.format.pack if type(codec) is Number else None


def _unpacker(codec: Codec) -> Callable[[bytes], tuple[Any, ...]] | None:
    return codec.format.unpack if type(codec) is Number else None


class Queue(Map):
    """A queue or stack: values without keys."""

    def push(self, value: Any, flags: int = ANY) -> None:
        """Put a value in; with :data:`EXIST`, a full one drops its oldest."""
        self._check_status("push", self.put(b"", self.encode_value(value), flags), None)

    def pop(self, key: Any = None, *default: Any) -> Any:
        """Take the next value out; the default (given as in ``pop(None, default)``) if empty."""
        raw = self.take(b"")
        if raw is not None:
            return self.decode_value(raw)
        if not default:
            self._fail("pop", errno.ENOENT, None)
        return default[0]

    def peek(self) -> Any:
        """The next value, left where it is; None if there is none."""
        raw = self.lookup(b"")
        return None if raw is None else self.decode_value(raw)

    def __len__(self) -> int:
        raise InputError(f"map {self._name} of type {self.type}: the kernel does not count it")


class Filter(Map):
    """A bloom filter: what was added is in it; what was not, most probably not."""

    def push(self, value: Any, flags: int = ANY) -> None:
        self._check_status("add", self.put(b"", self.encode_value(value), flags), None)

    def add(self, value: Any) -> None:
        self.push(value)

    def __contains__(self, value: object) -> bool:
        held = self.hold()
        cell = self._cell(held)
        cell.value.raw = self.encode_value(value)
        number = -syscall.call_at(syscall.MAP_LOOKUP_ELEM, cell.address, 32)
        held.cells.append(cell)
        del held
        if number not in (0, errno.ENOENT):
            self._fail("ask", number, value)
        return number == 0


class Holder(Map):
    """A map that holds programs or maps: program arrays, arrays and hashes of maps.

    What is assigned is a program or a map, or the number of one; what is read is a new handle.
    """

    def _what(self) -> str:
        return "program" if self.holds == "programs" else "map"

    def __getitem__(self, key: Any, /) -> Any:
        found = self.get(key)
        if found is None:
            self._fail("look up", errno.ENOENT, key)
        return found

    def get(self, key: Any, default: Any = None, /) -> Any:
        raw = self.lookup(self.encode_key(key))
        if raw is None:
            return default
        what = self._what()
        return self.backend.handle(what, open_id(what, unpack("=I", raw)[0]))

    def __setitem__(self, key: Any, value: Any, /) -> None:
        self.update(key, value)

    def update(self, key: Any, value: Any, flags: int = ANY) -> None:
        raw = self.encode_key(key)
        if isinstance(value, Handle):
            held = value.hold()
            number = self.put(raw, pack("=I", held.fd), flags)
            del held
        elif isinstance(value, int):
            try:
                fd = open_id(self._what(), value)
            except NotFound as error:
                raise self._not_held(key, str(error)) from None
            try:
                number = self.put(raw, pack("=I", fd), flags)
            finally:
                os.close(fd)
        else:
            raise self._not_held(key, f"give one of this back end, or its number, not {value!r}")
        self._check_status("update", number, key)

    def _not_held(self, key: Any, why: str) -> MapError:
        return MapError(
            f"map {self._name}: cannot update {key!r}: it holds {self.holds}: {why}",
            map_name=self._name,
            status="NO_OBJECT",
            key=key,
        )

    def ids(self) -> dict[Any, int]:
        """The numbers of what it holds, by key."""
        return {self.decode_key(key): value for key, value in self._numbers()}

    def _numbers(self) -> Iterator[tuple[bytes, int]]:
        size = self.key_size
        for keys, values, count in self.chunks():
            for i in range(count):
                number = unpack("=I", values[i * 4 : i * 4 + 4])[0]
                if number:
                    yield keys[i * size : (i + 1) * size], number

    def items(self) -> Iterator[tuple[Any, Any]]:
        what = self._what()
        for key, number in self._numbers():
            yield self.decode_key(key), self.backend.handle(what, open_id(what, number))


class Ring(Map):
    """A ring buffer: records that programs put out, in order."""

    def reader(self, timeout: float | None = None) -> RingReader:
        """What reads it; a ring has one reader at a time."""
        from anybpf.backends.linux.rings import RingReader

        return RingReader(self, timeout)


class CommandRing(Map):
    """A user ring buffer: records for programs to drain."""

    def writer(self) -> UserRing:
        from anybpf.backends.linux.user_ring import UserRing

        return UserRing(self)


class EventArray(Map):
    """A perf event array: a ring for each processor."""

    def reader(self, timeout: float | None = None, *, pages: int = 8) -> PerfReader:
        """What reads all its rings, of ``pages`` pages each; an array has one reader at a time."""
        from anybpf.backends.linux.perf import PerfReader

        return PerfReader(self, timeout, pages=pages)


_FACES: dict[str, type[Map]] = {
    "ringbuf": Ring,
    "user_ringbuf": CommandRing,
    "perf_event_array": EventArray,
    "queue": Queue,
    "stack": Queue,
    "bloom_filter": Filter,
    "prog_array": Holder,
    "array_of_maps": Holder,
    "hash_of_maps": Holder,
}


def of_descriptor(
    backend: LinuxBackend, fd: int, spec: MapSpec | None = None, btf: BTF | None = None
) -> Map:
    """The face of a map for its type; the descriptor is its own from now on."""
    try:
        name = map_info(fd, backend.platform).type_name
    except BaseException:
        os.close(fd)
        raise
    return _FACES.get(name, Map)(backend, fd, spec, btf)


def _types_of(backend: LinuxBackend, number: int) -> BTF | None:
    """The types with which a map was created; None where this process may not see them."""
    from anybpf.errors import BTFError, NotSupported

    try:
        with backend.types(number) as found:
            return found.btf
    except (NotFound, NotSupported, BTFError):
        return None


def create(backend: LinuxBackend, spec: MapSpec) -> Map:
    """A map by itself, of no object file."""
    from anybpf.backends.linux.creating import create_map

    return of_descriptor(backend, create_map(backend, spec), spec)
