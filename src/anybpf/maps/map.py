"""The face of a map: keys and values as Python objects, one at a time, in walks and in batches.

`m[key]`, `m[key] = value`, `del m[key]`, `key in m` and `m.get(key)` are the core's own and take
integers and bytes without a detour through Python. Who holds the map's memory, pins it and counts
references is its keeper, which the runtime gives.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn, Self

from anybpf import _core
from anybpf.btf import BTF
from anybpf.errors import InputError
from anybpf.maps.codecs import Codec
from anybpf.maps.failures import STATUS, fail
from anybpf.maps.keeper import Keeper, Lent
from anybpf.maps.perf import PerfReader
from anybpf.maps.ring import RingReader, UserRing
from anybpf.maps.typed import INDEXED, Wish, codec_by_wish, codec_for
from anybpf.objects.specs import MapSpec
from anybpf.platforms import Platform

# Flags of updates; they may be combined.
ANY = 0
NOEXIST = 1  # the entry must not be there
EXIST = 2  # the entry must be there
LOCK = 4  # under the value's spin lock

# Entries fetched at once by walks.
CHUNK = 1024


class Map(_core.Map):
    """A map of a runtime.

    ``spec`` is what it was made from, ``platform`` whose rules it follows, ``key`` and ``value``
    say what keys and values are (:class:`anybpf.maps.codecs.Codec`). Safe for many threads.
    """

    spec: MapSpec
    platform: Platform
    btf: BTF | None
    keeper: Keeper
    key: Codec
    value: Codec
    per_cpu: bool

    def settle(
        self, keeper: Keeper, spec: MapSpec, btf: BTF | None, platform: Platform,
        key: Codec, value: Codec,
    ) -> None:  # fmt: skip
        """What a new face must know; called once, by whoever makes it."""
        self.keeper = keeper
        self.spec = spec
        self.btf = btf
        self.platform = platform
        self.key = key
        self.value = value
        self.per_cpu = platform.map_type(spec.type).per_cpu
        self.set_codec(key.code, value.code)

    # Conversions, called by the core where it cannot do them itself.

    def _encode_key(self, key: Any) -> bytes:
        return self.key.encode(key)

    def _encode_value(self, value: Any) -> bytes:
        if not self.per_cpu:
            return self.value.encode(value)
        values = list(value) if isinstance(value, list | tuple) else None
        if values is None or len(values) != self.cpus:
            raise InputError(
                f"map {self.spec.name} has a value for each processor: give a list of {self.cpus}"
            )
        stride = self.value_stride
        return b"".join(self.value.encode(item).ljust(stride, b"\0") for item in values)

    def _decode_value(self, value: bytes) -> Any:
        if not self.per_cpu:
            return self.value.decode(value)
        stride = self.value_stride
        size = self.value_size
        return [self.value.decode(value[at : at + size]) for at in range(0, len(value), stride)]

    def decode_key(self, key: bytes) -> Any:
        """A key's bytes as the object that this map takes and gives."""
        return self.key.decode_key(key)

    def _fail(self, what: str, status: int, key: object) -> NoReturn:
        spec = self.spec
        raise fail(
            name=spec.name, type_name=spec.type, key_name=self.key.name, key_size=self.key.size,
            value_name=self.value.name, value_size=self.value.size, max_entries=spec.max_entries,
            numbers=self.platform.codes(), what=what, status=status, key=key,
        )  # fmt: skip

    def _check(self, what: str, status: int, key: object) -> None:
        if status:
            self._fail(what, status, key)

    # One entry.

    def update(self, key: Any, value: Any, flags: int = ANY) -> None:  # type: ignore[override]
        """Put an entry in: any (:data:`ANY`), only a new one (:data:`NOEXIST`), or only in place of
        one that is there (:data:`EXIST`)."""
        if flags == ANY:
            self[key] = value
            return
        raw = self.key.encode(key)
        self._check("update", super().update(raw, self._encode_value(value), flags), key)

    def delete(self, key: Any) -> None:  # type: ignore[override]
        """Take an entry out; :class:`NoSuchKey` if there is none."""
        del self[key]

    def lookup_and_delete(self, key: Any) -> Any:
        """Take an entry out and return its value; :class:`NoSuchKey` if there is none."""
        raw = super().take(self.key.encode(key))
        if raw is None:
            self._fail("look up and delete", STATUS["MISSING"], key)
        return self._decode_value(raw)

    def pop(self, key: Any = None, *default: Any) -> Any:
        """As of a dict: :meth:`lookup_and_delete` with a default."""
        raw = super().take(self.key.encode(key))
        if raw is not None:
            return self._decode_value(raw)
        if not default:
            self._fail("take out", STATUS["MISSING"], key)
        return default[0]

    # All entries.

    def __len__(self) -> int:
        return self.count()

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[Any]:
        """Its keys. Entries that come or go meanwhile may be met or not."""
        for keys, _, count in self._chunks(True, False):
            size = self.key_size
            for at in range(0, count * size, size):
                yield self.decode_key(keys[at : at + size])

    def keys(self) -> Iterator[Any]:
        return iter(self)

    def values(self) -> Iterator[Any]:
        for _, values, count in self._chunks(False, True):
            size = self.user_value_size
            for at in range(0, count * size, size):
                yield self._decode_value(values[at : at + size])

    def items(self) -> Iterator[tuple[Any, Any]]:
        for keys, values, count in self._chunks(True, True):
            key_size, value_size = self.key_size, self.user_value_size
            for i in range(count):
                yield (
                    self.decode_key(keys[i * key_size : (i + 1) * key_size]),
                    self._decode_value(values[i * value_size : (i + 1) * value_size]),
                )

    def _chunks(self, keys: bool, values: bool) -> Iterator[tuple[bytes, bytes, int]]:
        cursor = 0
        done = False
        while not done:
            cursor, key_bytes, value_bytes, count, done = self.scan(cursor, CHUNK, keys, values)
            if count:
                yield key_bytes, value_bytes, count

    def clear(self) -> None:
        """Delete every entry that is there now."""
        raws = [
            keys[at : at + self.key_size]
            for keys, _, count in self._chunks(True, False)
            for at in range(0, count * self.key_size, self.key_size)
        ]
        if raws:
            self.delete_many(b"".join(raws))

    # Many at once.

    def lookup_batch(self, keys: Iterable[Any]) -> list[Any]:
        """The values of many keys; None where there is no entry."""
        wanted = list(keys)
        raw = b"".join(self.key.encode(key) for key in wanted)
        size = self.user_value_size
        values = bytearray(len(wanted) * size)
        present = bytearray(len(wanted))
        self._all("look up", wanted, self.lookup_many(raw, values, present), present)
        return [
            self._decode_value(bytes(values[i * size : (i + 1) * size])) if there else None
            for i, there in enumerate(present)
        ]

    def update_batch(self, entries: Any, flags: int = ANY) -> None:
        """Put many entries in: a dict, or pairs. The first that fails ends it, and is told; those
        before it are in."""
        pairs = list(entries.items() if hasattr(entries, "items") else entries)
        keys = b"".join(self.key.encode(key) for key, _ in pairs)
        values = b"".join(self._encode_value(value) for _, value in pairs)
        self._all("update", [key for key, _ in pairs], self.update_many(keys, values, flags))

    def delete_batch(self, keys: Iterable[Any]) -> int:
        """Take many entries out; how many were there."""
        wanted = list(keys)
        present = bytearray(len(wanted))
        raw = b"".join(self.key.encode(key) for key in wanted)
        self._all("delete", wanted, self.delete_many(raw, present), present)
        return sum(present)

    def _all(
        self, what: str, keys: list[Any], done: tuple[int, int], present: bytearray | None = None
    ) -> None:
        count, status = done
        if status and count < len(keys):
            self._fail(f"{what} (entry {count} of {len(keys)})", status, keys[count])

    # Views.

    def cpu(self, number: int) -> CPUView:
        """The values of one processor in a per-CPU map."""
        if not self.per_cpu:
            raise InputError(f"map {self.spec.name} of type {self.spec.type} has no values per CPU")
        if not 0 <= number < self.cpus:
            raise InputError(
                f"map {self.spec.name} has values for {self.cpus} CPUs, not for {number}"
            )
        return CPUView(self, number)

    def array(self) -> Any:
        """An array's values as a NumPy array over the map's own memory: what programs write is seen
        at once, and the other way round. Structures become structured arrays."""
        from anybpf.maps.batch import array_view

        return array_view(self)

    def arrays(self) -> tuple[Any, Any]:
        """All entries, copied into two NumPy arrays: keys and values."""
        from anybpf.maps.batch import arrays

        return arrays(self)

    def typed(self, key: Wish | None = None, value: Wish | None = None) -> Self:
        """The same map with other keys or values: "u4", "bytes", "text", a structure's class."""
        new = type(self).share(self)
        new.settle(
            Lent(self.keeper), self.spec, self.btf, self.platform,
            self.key if key is None else codec_by_wish(key, self.key_size, "key"),
            self.value if value is None else codec_by_wish(value, self.value_size, "value"),
        )  # fmt: skip
        return new

    # Its life.

    def close(self) -> None:
        """Let go. If nothing else refers to the map, it is gone when this returns."""
        if not self.closed:
            super().close()
            self.keeper.close()

    def freeze(self) -> None:  # type: ignore[override]
        """Users may not change it from now on; programs still may."""
        self._check("freeze", self.keeper.freeze(), None)

    def pin(self, path: str) -> str:
        """Give the map a place in the runtime's directory tree; the path as it is kept."""
        return self.keeper.pin(path)

    def unpin(self, path: str = "") -> None:
        """Take one pin away, or all that the map has."""
        self.keeper.unpin(path)

    @property
    def pins(self) -> list[str]:
        return self.keeper.pins

    def info(self) -> Any:
        """What there is to know of the map, with the kernel's names."""
        return self.keeper.info()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        if self.closed:
            return f"<{type(self).__name__} {self.spec.name}, closed>"
        spec = self.spec
        return (
            f"<{type(self).__name__} {spec.name} ({spec.type}, {self.key.name} -> "
            f"{self.value.name}, {spec.max_entries} entries at most)>"
        )


class CPUView:
    """What one processor has in a per-CPU map. For reading: programs on that processor write."""

    __slots__ = ("_map", "_number")

    def __init__(self, whole: Any, number: int) -> None:  # a map of any back end
        self._map = whole
        self._number = number

    def __getitem__(self, key: Any) -> Any:
        return self._map[key][self._number]

    def get(self, key: Any, default: Any = None) -> Any:
        values = self._map.get(key)
        return default if values is None else values[self._number]

    def __contains__(self, key: object) -> bool:
        return key in self._map

    def __len__(self) -> int:
        return len(self._map)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._map)

    def items(self) -> Iterator[tuple[Any, Any]]:
        return ((key, values[self._number]) for key, values in self._map.items())

    def values(self) -> Iterator[Any]:
        return (values[self._number] for values in self._map.values())


class Queue(Map):
    """A queue, stack or bloom filter: values without keys."""

    def push(self, value: Any, flags: int = ANY) -> None:  # type: ignore[override]
        """Put a value in; with :data:`EXIST`, a full one drops its oldest."""
        self._check("push", super().push(self.value.encode(value), flags), None)

    def pop(self, key: Any = None, *default: Any) -> Any:
        """Take the next value out; the default (given as in ``pop(None, default)``) if empty."""
        raw = _core.Map.pop(self)
        if raw is not None:
            return self.value.decode(raw)
        if not default:
            self._fail("pop", STATUS["EMPTY"], None)
        return default[0]

    def peek(self) -> Any:
        """The next value, left where it is; None if there is none."""
        raw = super().peek()
        return None if raw is None else self.value.decode(raw)


class Filter(Map):
    """A bloom filter: what was added is in it; what was not, most probably not."""

    def add(self, value: Any) -> None:
        self._check("add", _core.Map.push(self, self.value.encode(value)), None)

    def __contains__(self, value: object) -> bool:
        return super().lookup_into(b"", bytearray(self.value.encode(value)))


class Holder(Map):
    """A map that holds programs or maps: program arrays, arrays and hashes of maps.

    What is assigned is a program or a map, or the number of one; what is read is a new handle.
    """

    def __getitem__(self, key: Any) -> Any:
        held = self.keeper.held(self.key.encode(key))
        if held is None:
            self._fail("lookup", STATUS["MISSING"], key)
        return held

    def get(self, key: Any, default: Any = None) -> Any:
        held = self.keeper.held(self.key.encode(key))
        return default if held is None else held

    def __setitem__(self, key: Any, value: Any) -> None:
        self.update(key, value)

    def update(self, key: Any, value: Any, flags: int = ANY) -> None:  # type: ignore[override]
        self._check("update", self.keeper.store(self.key.encode(key), value, flags), key)

    def __delitem__(self, key: Any) -> None:
        self._check("delete", self.keeper.erase(self.key.encode(key)), key)

    def delete(self, key: Any) -> None:  # type: ignore[override]
        del self[key]

    def ids(self) -> dict[Any, int]:
        """The numbers of what it holds, by key."""
        return {
            self.decode_key(keys[i * self.key_size : (i + 1) * self.key_size]):
                int.from_bytes(values[i * 4 : i * 4 + 4], sys.byteorder)
            for keys, values, count in self._chunks(True, True)
            for i in range(count)
        }  # fmt: skip


class Ring(Map):
    """A ring buffer: records that programs put out, in order."""

    def reader(self, timeout: float | None = None) -> RingReader:
        """What reads it; a ring has one reader at a time."""
        return RingReader(self, timeout)


class CommandRing(Map):
    """A user ring buffer: records for programs to drain."""

    def writer(self) -> UserRing:
        return UserRing(self)


class EventArray(Map):
    """A perf event array: a ring for each processor."""

    def reader(
        self, timeout: float | None = None, *, wake_events: int = 0, wake_bytes: int = 0
    ) -> PerfReader:
        """What reads all its rings; an array has one reader at a time."""
        return PerfReader(self, timeout, wake_events=wake_events, wake_bytes=wake_bytes)


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


def _arena() -> type[Map]:
    from anybpf.maps.arena import Arena

    return Arena


def make(
    storage: _core.Map, keeper: Keeper, *, spec: MapSpec, btf: BTF | None, platform: Platform
) -> Map:
    """A face of a map's storage, which must outlive it: the keeper sees to that."""
    holds = platform.map_type(spec.type).holds
    value_type = 0 if holds in ("maps", "programs") else spec.value_type_id
    face = (_arena() if storage.kind == "arena" else _FACES.get(storage.kind, Map)).share(storage)
    face.settle(
        keeper, spec, btf, platform,
        codec_for(btf, spec.key_type_id, storage.key_size, storage.kind in INDEXED),
        codec_for(btf, value_type, storage.value_size),
    )  # fmt: skip
    return face
