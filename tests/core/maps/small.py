"""Small maps of any kind, straight from the core, for the tests of the kinds."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import pytest

from anybpf import _core

_numbers = itertools.count(1)


class Refused(Exception):
    """What the core said no to, and how."""

    def __init__(self, what: str, status: str) -> None:
        super().__init__(f"{what}: {status}")
        self.status = status


class SmallMap(_core.Map):
    """A map that says by name what went wrong."""

    def _fail(self, what: str, status: int, key: object) -> NoReturn:
        raise Refused(what, _core.STATUSES[status])


def make(
    domain: _core.Domain, kind: str, key_size: int, value_size: int, entries: int, **more: Any
) -> SmallMap:
    return SmallMap(domain, next(_numbers), kind, key_size, value_size, entries, **more)


@contextmanager
def refused(status: str) -> Iterator[None]:
    with pytest.raises(Refused) as caught:
        yield
    assert caught.value.status == status


def name(status: int) -> str:
    return _core.STATUSES[status]


def flags(*names: str) -> int:
    return sum(_core.MAP_FLAGS[each] for each in names)


def u32(*numbers: int) -> bytes:
    return struct.pack(f"={len(numbers)}I", *numbers)


def u64(*numbers: int) -> bytes:
    return struct.pack(f"={len(numbers)}Q", *numbers)


def keys(map_: _core.Map) -> list[bytes]:
    """Keys, one after the other."""
    found, key = [], map_.next_key(None)
    while key is not None:
        found.append(key)
        key = map_.next_key(key)
    return found


def scan(map_: _core.Map, count: int) -> list[tuple[bytes, bytes]]:
    """Keys and values, `count` at a time."""
    found: list[tuple[bytes, bytes]] = []
    cursor, done = 0, False
    key_size, value_size = map_.key_size, map_.user_value_size
    while not done:
        cursor, some_keys, values, got, done = map_.scan(cursor, count)
        assert got == count or done
        found += [
            (
                some_keys[i * key_size : (i + 1) * key_size],
                values[i * value_size : (i + 1) * value_size],
            )
            for i in range(got)
        ]
    return found
