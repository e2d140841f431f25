"""Per-CPU LRU hash maps: the values of all processors come and go together.

What they share with their relatives is tested there, for both kinds at once.
"""

from __future__ import annotations

import pytest

from anybpf import _core
from tests.core.maps.small import keys, make, name, u32, u64


@pytest.fixture
def domain() -> _core.Domain:
    return _core.Domain(4)


def test_a_full_map_makes_room_by_itself(domain: _core.Domain) -> None:
    table = make(domain, "lru_percpu_hash", 4, 8, 16)
    for i in range(2000):
        assert name(table.update(u32(i), u64(i, i + 1, i + 2, i + 3))) == "OK"
        assert table.lookup(u32(i)) == u64(i, i + 1, i + 2, i + 3)
    assert table.count() <= 16
    for key in keys(table):
        number = int.from_bytes(key, "little")
        assert table.lookup(key) == u64(number, number + 1, number + 2, number + 3)
    assert table.check() is None


def test_a_key_that_comes_back_has_no_old_values(domain: _core.Domain) -> None:
    table = make(domain, "lru_percpu_hash", 4, 8, 1)
    table.update(u32(1), u64(9, 9, 9, 9))
    table.update(u32(2), u64(0, 0, 0, 1))
    assert table.lookup(u32(1)) is None
    table.update(u32(1), u64(0, 0, 0, 0))
    assert table.lookup(u32(1)) == u64(0, 0, 0, 0)
    assert table.check() is None
