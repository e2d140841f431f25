"""LRU hash maps: who makes way, what counts as use, and that there is always room."""

from __future__ import annotations

import random

import pytest

from anybpf import _core
from tests.core.maps.small import flags, keys, make, name, scan, u32, u64


@pytest.fixture
def domain() -> _core.Domain:
    return _core.Domain(2)


def numbers(table: _core.Map) -> set[int]:
    return {int.from_bytes(key, "little") for key in keys(table)}


def test_a_full_map_loses_the_oldest(domain: _core.Domain) -> None:
    table = make(domain, "lru_hash", 4, 4, 8)
    for i in range(20):
        assert name(table.update(u32(i), u32(i))) == "OK"
        assert table.count() == min(i + 1, 8)
    assert numbers(table) == set(range(12, 20))
    assert table.check() is None


def test_setting_is_use_and_reading_by_users_is_not(domain: _core.Domain) -> None:
    table = make(domain, "lru_hash", 4, 4, 4)
    for i in range(4):
        table.update(u32(i), u32(i))
    table.update(u32(9), u32(9))  # 0 goes
    table.update(u32(1), u32(1))
    assert table.lookup(u32(2)) is not None
    table.update(u32(10), u32(10))
    assert numbers(table) == {1, 3, 9, 10}


def test_reading_by_users_is_use_where_the_platform_says_so(domain: _core.Domain) -> None:
    table = make(domain, "lru_hash", 4, 4, 4, flags=flags("RECENCY_BY_USER"))
    for i in range(4):
        table.update(u32(i), u32(i))
    assert table.lookup(u32(0)) is not None
    table.update(u32(9), u32(9))
    table.update(u32(10), u32(10))
    assert 0 in numbers(table)


def test_a_key_that_must_be_there_drives_nobody_out(domain: _core.Domain) -> None:
    table = make(domain, "lru_hash", 4, 4, 2)
    table.update(u32(1), u32(1))
    table.update(u32(2), u32(2))
    assert name(table.update(u32(3), u32(3), 2)) == "MISSING_KEY"
    assert numbers(table) == {1, 2}


def test_of_large_maps_an_old_entry_goes(domain: _core.Domain) -> None:
    """Half of the keys are used again and again: hardly any of them is lost."""
    table = make(domain, "lru_hash", 8, 24, 1000)
    rng = random.Random(1)
    for i in range(1000):
        table.update(u64(i), bytes(24))
    for i in range(3000):
        for _ in range(8):
            table.update(u64(rng.randrange(500)), bytes(24))
        table.update(u64(10_000 + i), bytes(24))
    kept = sum(table.lookup(u64(i)) is not None for i in range(500))
    assert table.count() == 1000
    assert kept > 480
    assert table.check() is None


@pytest.mark.parametrize("kind", ["lru_hash", "lru_percpu_hash"])
def test_there_is_always_room(domain: _core.Domain, kind: str) -> None:
    table = make(domain, kind, 4, 16, 50)
    value = bytes(table.user_value_size)
    assert {table.update(u32(i), value) for i in range(30_000)} == {0}
    assert table.count() == 50
    assert len(scan(table, 7)) == 50
    assert table.check() is None
