"""Local storage, as users see it: values by owner. How programs get theirs is tested in C."""

from __future__ import annotations

import pytest

from anybpf import _core
from tests.core.maps.small import SmallMap, flags, keys, make, name, refused, scan, u32, u64

NOEXIST, EXIST, LOCK = 1, 2, 4


@pytest.fixture
def domain() -> _core.Domain:
    return _core.Domain(2)


@pytest.fixture
def storage(domain: _core.Domain) -> SmallMap:
    return make(domain, "local_storage", 8, 12, 0, flags=flags("GROWS"))


def value(number: int) -> bytes:
    return u64(number) + b"tail"


def test_each_owner_has_its_own(storage: SmallMap) -> None:
    assert storage.lookup(u64(1)) is None
    assert name(storage.update(u64(1), value(10))) == "OK"
    assert name(storage.update(u64(1 << 63), value(20))) == "OK"
    assert storage.lookup(u64(1)) == value(10)
    assert storage.lookup(u64(1 << 63)) == value(20)
    assert storage.count() == 2
    assert storage.check() is None


def test_it_goes_with_its_owner(storage: SmallMap) -> None:
    storage.update(u64(1), value(10))
    assert name(storage.delete(u64(1))) == "OK"
    assert name(storage.delete(u64(1))) == "MISSING_KEY"
    assert storage.lookup(u64(1)) is None
    assert storage.count() == 0


def test_flags(storage: SmallMap) -> None:
    assert name(storage.update(u64(1), value(1), EXIST)) == "MISSING_KEY"
    assert name(storage.update(u64(1), value(1), NOEXIST)) == "OK"
    assert name(storage.update(u64(1), value(2), NOEXIST)) == "EXISTS"
    assert name(storage.update(u64(1), value(2), LOCK)) == "BAD_FLAGS"
    assert name(storage.update(u64(1), value(2), EXIST)) == "OK"
    assert storage.lookup(u64(1)) == value(2)


def test_values_with_a_lock_are_changed_under_it(domain: _core.Domain) -> None:
    storage = make(domain, "local_storage", 8, 12, 0, flags=flags("GROWS"), lock_offset=4)
    assert name(storage.update(u64(1), b"aaaa0000bbbb")) == "OK"
    assert name(storage.update(u64(1), b"cccc0000dddd", LOCK)) == "OK"
    assert storage.lookup(u64(1), LOCK) == b"cccc\0\0\0\0dddd"


def test_nobody_owns_nothing(storage: SmallMap) -> None:
    assert name(storage.update(u64(0), value(1))) == "NO_OWNER"
    assert name(storage.delete(u64(0))) == "NO_OWNER"
    with refused("NO_OWNER"):
        storage.lookup(u64(0))


def test_keys_of_four_bytes(domain: _core.Domain) -> None:
    storage = make(domain, "local_storage", 4, 4, 0, flags=flags("GROWS"))
    storage.update(u32(0xFFFFFFFF), u32(1))
    assert keys(storage) == [u32(0xFFFFFFFF)]


def test_every_owner_is_met_once(storage: SmallMap) -> None:
    wanted = {u64(i): value(i) for i in range(1, 2001)}
    for key, each in wanted.items():
        assert name(storage.update(key, each)) == "OK"
    assert storage.check() is None
    met = scan(storage, 7)
    assert len(met) == len(wanted)
    assert dict(met) == wanted
    assert keys(storage) == [key for key, _ in met]


def test_a_walk_goes_on_while_owners_come_and_go(storage: SmallMap) -> None:
    for i in range(1, 501):
        storage.update(u64(i), value(i))
    cursor, done, met = 0, False, set()
    while not done:
        cursor, found, _, count, done = storage.scan(cursor, 10)
        for i in range(count):
            key = found[8 * i : 8 * i + 8]
            met.add(key)
            owner = int.from_bytes(key, "little" if u64(1)[0] else "big")
            if owner % 2 == 0:
                storage.delete(key)
                storage.update(u64(owner + 1000), value(0))
            else:
                storage.update(key, value(owner + 1))
    assert met >= {u64(i) for i in range(1, 501)}
    assert storage.check() is None


def test_where_there_is_a_limit_it_is_kept(domain: _core.Domain) -> None:
    storage = make(domain, "local_storage", 8, 8, 2)
    for i in (1, 2):
        assert name(storage.update(u64(i), u64(i))) == "OK"
    assert name(storage.update(u64(3), u64(3))) == "FULL"
    assert name(storage.update(u64(2), u64(4))) == "OK"
    storage.delete(u64(1))
    assert name(storage.update(u64(3), u64(3))) == "OK"


@pytest.mark.parametrize(("key", "size", "entries"), [(2, 4, 1), (16, 4, 1), (8, 0, 1), (8, 4, 0)])
def test_shapes_that_make_none(domain: _core.Domain, key: int, size: int, entries: int) -> None:
    with refused("BAD_SIZE"):
        make(domain, "local_storage", key, size, entries)
