"""Per-CPU hash maps: users see and set the values of all processors."""

from __future__ import annotations

import sys

import pytest

from anybpf import _core
from tests.core.maps.small import keys, make, name, scan, u32, u64


@pytest.fixture
def domain() -> _core.Domain:
    return _core.Domain(4)


@pytest.mark.parametrize("kind", ["percpu_hash", "lru_percpu_hash"])
def test_a_key_has_a_value_for_each_processor(domain: _core.Domain, kind: str) -> None:
    table = make(domain, kind, 4, 8, 10)
    assert table.user_value_size == 32
    assert name(table.update(u32(1), u64(1, 2, 3, 4))) == "OK"
    assert table.lookup(u32(1)) == u64(1, 2, 3, 4)
    assert name(table.update(u32(1), u64(5, 6, 7, 8))) == "OK"
    assert scan(table, 4) == [(u32(1), u64(5, 6, 7, 8))]
    assert table.take(u32(1)) == u64(5, 6, 7, 8)
    assert table.count() == 0
    assert table.check() is None


def test_values_are_padded_to_eight_bytes(domain: _core.Domain) -> None:
    table = make(domain, "percpu_hash", 4, 3, 10)
    value = b"".join(bytes([i]) * 3 + bytes(5) for i in range(4))
    assert name(table.update(u32(1), value)) == "OK"
    assert table.lookup(u32(1)) == value


def test_it_is_full_when_it_is_full(domain: _core.Domain) -> None:
    table = make(domain, "percpu_hash", 4, 8, 30)
    assert {table.update(u32(i), u64(i, i, i, i)) for i in range(30)} == {0}
    assert name(table.update(u32(30), bytes(32))) == "FULL"
    assert sorted(keys(table)) == sorted(u32(i) for i in range(30))
    assert table.check() is None


def test_deleted_keys_come_back_empty_handed(domain: _core.Domain) -> None:
    table = make(domain, "percpu_hash", 4, 8, 2)
    for i in range(3000):
        assert name(table.update(u32(i), u64(i, 1, 2, 3))) == "OK"
        assert table.lookup(u32(i)) == u64(i, 1, 2, 3)
        assert name(table.delete(u32(i))) == "OK"
    assert table.check() is None


@pytest.mark.parametrize("kind", ["percpu_hash", "lru_percpu_hash"])
@pytest.mark.parametrize("size", [4, 8, 16])
def test_a_single_processor_has_its_values_apart_from_keys_too(kind: str, size: int) -> None:
    table = make(_core.Domain(1), kind, 4, size, 64)
    for turn in range(3):
        for i in range(40):
            value = (i << 8 | turn).to_bytes(size, sys.byteorder)
            assert name(table.update(u32(i), value.ljust(table.user_value_size, b"\0"))) == "OK"
    assert sorted(keys(table)) == sorted(u32(i) for i in range(40))
    for i in range(40):
        found = table.lookup(u32(i))
        assert found is not None
        assert int.from_bytes(found[:size], sys.byteorder) == i << 8 | 2
    assert table.check() is None
