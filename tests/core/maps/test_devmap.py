"""Redirect targets: devmap, cpumap and xskmap by index, devmap_hash by key."""

from __future__ import annotations

import pytest

from anybpf import _core
from tests.core.maps.small import SmallMap, flags, keys, make, name, refused, scan, u32

NOEXIST, EXIST = 1, 2


@pytest.fixture
def domain() -> _core.Domain:
    return _core.Domain(2)


@pytest.fixture
def devices(domain: _core.Domain) -> SmallMap:
    return make(domain, "devmap", 4, 8, 70)


@pytest.fixture
def keyed(domain: _core.Domain) -> SmallMap:
    return make(domain, "devmap", 4, 4, 3, flags=flags("KEYED"))


def test_entries_by_index(devices: SmallMap) -> None:
    assert name(devices.update(u32(0), u32(3, 0))) == "OK"
    assert name(devices.update(u32(69), u32(4, 9))) == "OK"
    assert devices.lookup(u32(0)) == u32(3, 0)
    assert devices.lookup(u32(1)) is None
    assert devices.lookup(u32(70)) is None
    assert keys(devices) == [u32(0), u32(69)]
    assert scan(devices, 1) == [(u32(0), u32(3, 0)), (u32(69), u32(4, 9))]
    assert devices.count() == 2
    assert devices.check() is None


def test_no_interface_is_no_entry(devices: SmallMap) -> None:
    devices.update(u32(0), u32(3, 0))
    assert name(devices.update(u32(0), u32(0, 0))) == "OK"
    assert devices.lookup(u32(0)) is None
    assert devices.count() == 0


def test_rules_of_indexes(devices: SmallMap) -> None:
    assert name(devices.update(u32(70), u32(3, 0))) == "BAD_INDEX"
    assert name(devices.update(u32(0), u32(3, 0), NOEXIST)) == "ALWAYS_THERE"
    assert name(devices.update(u32(0), u32(3, 0), EXIST)) == "OK"
    assert name(devices.update(u32(0), u32(3, 0), 3)) == "BAD_FLAGS"
    assert name(devices.delete(u32(70))) == "BAD_KEY"
    assert name(devices.delete(u32(0))) == "OK"
    assert name(devices.delete(u32(0))) == "OK"
    with refused("NOT_SUPPORTED"):
        devices.take(u32(0))


def test_entries_by_key(keyed: SmallMap) -> None:
    for i in (7, 0xFFFFFFFF, 0):
        assert name(keyed.update(u32(i), u32(i | 1))) == "OK"
    assert name(keyed.update(u32(8), u32(1))) == "FULL"
    assert keyed.lookup(u32(7)) == u32(7)
    assert keyed.lookup(u32(0)) == u32(1)
    assert sorted(keys(keyed)) == sorted([u32(0), u32(7), u32(0xFFFFFFFF)])
    assert dict(scan(keyed, 2)) == {u32(i): u32(i | 1) for i in (7, 0xFFFFFFFF, 0)}
    assert name(keyed.delete(u32(7))) == "OK"
    assert name(keyed.delete(u32(7))) == "MISSING_KEY"
    assert keyed.count() == 2
    assert keyed.check() is None


def test_rules_of_keys(keyed: SmallMap) -> None:
    assert name(keyed.update(u32(1), u32(0))) == "BAD_VALUE"
    assert name(keyed.update(u32(1), u32(1), EXIST)) == "MISSING_KEY"
    assert name(keyed.update(u32(1), u32(1), NOEXIST)) == "OK"
    assert name(keyed.update(u32(1), u32(2), NOEXIST)) == "EXISTS"
    assert name(keyed.update(u32(1), u32(2), EXIST)) == "OK"
    assert name(keyed.update(u32(1), u32(2), 3)) == "BAD_FLAGS"
    assert keyed.lookup(u32(1)) == u32(2)


@pytest.mark.parametrize(("key", "size", "entries"), [(8, 4, 1), (4, 6, 1), (4, 12, 1), (4, 4, 0)])
def test_shapes_that_make_none(domain: _core.Domain, key: int, size: int, entries: int) -> None:
    with refused("BAD_SIZE"):
        make(domain, "devmap", key, size, entries)
