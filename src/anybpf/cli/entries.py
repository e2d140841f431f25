"""The entries of any map, whatever its kind and back end: keys and values as plain objects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from anybpf.errors import AnyBPFError, InputError

if TYPE_CHECKING:
    from anybpf.backends.model import MapHandle

# Kinds that have no entries to walk, and what to do with them instead.
_WITHOUT = {
    "ringbuf": "'anybpf ring' follows its records",
    "perf_event_array": "'anybpf ring' follows its records",
    "user_ringbuf": "programs take its records",
    "queue": "'anybpf map pop' takes the next value",
    "stack": "'anybpf map pop' takes the next value",
    "bloom_filter": "'anybpf map get' says whether a value is in it",
    "arena": "its memory has no entries",
}


def has_entries(one: MapHandle) -> bool:
    return one.spec.type not in _WITHOUT


def check_entries(one: MapHandle) -> None:
    """Refuse a map that has none, and say what to do instead."""
    if not has_entries(one):
        kind = one.spec.type
        raise InputError(f"map {one.spec.name} of type {kind} has no entries: {_WITHOUT[kind]}")


def entries_of(one: MapHandle) -> Iterator[tuple[Any, Any]]:
    """Keys and values; values of maps that hold objects are the objects' numbers."""
    if not has_entries(one):
        return
    if holds(one):
        ids = getattr(one, "ids", None)
        if ids is not None:
            yield from ids().items()
            return
        for key in one:
            raw = one.lookup(one.key.encode(key))
            if raw is not None:
                yield key, int.from_bytes(raw[:4], "little")
        return
    yield from one.items()


def holds(one: MapHandle) -> str:
    """What objects the map holds: "programs", "maps", or nothing."""
    try:
        found = one.platform.map_type(one.spec.type).holds
    except AnyBPFError:
        return ""
    return found if found in ("programs", "maps") else ""
