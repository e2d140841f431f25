"""Hash maps: keys, flags, being full, growing, walking, and segments that are damaged."""

from __future__ import annotations

import mmap
import os
import random
import struct
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anybpf import _core
from tests.core.maps.small import (
    Refused,
    SmallMap,
    flags,
    keys,
    make,
    name,
    refused,
    scan,
    u32,
    u64,
)

NOEXIST, EXIST, WITH_LOCK = 1, 2, 4

linux_only = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="shared maps are built on Linux's memory files"
)


@pytest.fixture
def domain() -> _core.Domain:
    return _core.Domain(2)


def test_what_is_set_is_found_until_it_is_deleted(domain: _core.Domain) -> None:
    table = make(domain, "hash", 4, 8, 10)
    assert table.lookup(u32(1)) is None
    assert name(table.update(u32(1), u64(11))) == "OK"
    assert name(table.update(u32(1), u64(12))) == "OK"
    assert table.lookup(u32(1)) == u64(12)
    assert table.count() == 1
    assert name(table.delete(u32(1))) == "OK"
    assert name(table.delete(u32(1))) == "MISSING_KEY"
    assert table.lookup(u32(1)) is None
    assert table.check() is None


def test_flags_say_whether_the_key_must_be_there(domain: _core.Domain) -> None:
    table = make(domain, "hash", 4, 4, 10)
    assert name(table.update(u32(1), u32(1), EXIST)) == "MISSING_KEY"
    assert name(table.update(u32(1), u32(1), NOEXIST)) == "OK"
    assert name(table.update(u32(1), u32(2), NOEXIST)) == "EXISTS"
    assert name(table.update(u32(1), u32(3), EXIST)) == "OK"
    assert table.lookup(u32(1)) == u32(3)


@pytest.mark.parametrize("bad", [3, WITH_LOCK, 8, 1 << 63])
def test_other_flags_are_refused(domain: _core.Domain, bad: int) -> None:
    table = make(domain, "hash", 4, 4, 10)
    assert name(table.update(u32(1), u32(1), bad)) == "BAD_FLAGS"
    assert table.count() == 0


@pytest.mark.parametrize("entries", [1, 7, 10, 100])
def test_max_entries_is_exact(domain: _core.Domain, entries: int) -> None:
    table = make(domain, "hash", 4, 4, entries)
    assert {table.update(u32(i), u32(i)) for i in range(entries)} == {0}
    assert name(table.update(u32(entries), u32(0))) == "FULL"
    assert name(table.update(u32(0), u32(5))) == "OK"  # what is there can still be changed
    assert name(table.delete(u32(0))) == "OK"
    assert name(table.update(u32(entries), u32(0))) == "OK"
    assert table.count() == entries
    assert table.check() is None


def test_a_table_that_grows_does_so_in_place(domain: _core.Domain) -> None:
    table = make(domain, "hash", 4, 12, 2, flags=flags("GROWS"))
    expected = {u32(i): struct.pack("=III", i, i + 1, i + 2) for i in range(20_000)}
    assert {table.update(key, value) for key, value in expected.items()} == {0}
    assert table.count() == len(expected)
    assert all(table.lookup(key) == value for key, value in expected.items())
    assert dict(scan(table, 1000)) == expected
    assert sorted(keys(table)) == sorted(expected)
    assert table.check() is None


def test_a_full_table_goes_on_with_other_keys(domain: _core.Domain) -> None:
    table = make(domain, "hash", 8, 40, 16)
    for i in range(20_000):
        if i >= 16:
            assert name(table.delete(u64(i - 16))) == "OK"
        assert name(table.update(u64(i), bytes([i & 255]) * 40)) == "OK"
    assert table.count() == 16
    assert table.check() is None


@pytest.mark.parametrize("key_size", [1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 40, 512])
@pytest.mark.parametrize("value_size", [1, 3, 8, 9, 64])
def test_keys_and_values_of_any_size(domain: _core.Domain, key_size: int, value_size: int) -> None:
    table = make(domain, "hash", key_size, value_size, 64)
    rng = random.Random(key_size * 100 + value_size)
    expected = {rng.randbytes(key_size): rng.randbytes(value_size) for _ in range(50)}
    for key, value in expected.items():
        assert name(table.update(key, value)) == "OK"
    assert {key: table.lookup(key) for key in expected} == expected
    assert dict(scan(table, 7)) == expected
    assert table.check() is None


@pytest.mark.parametrize(
    ("key", "value", "entries"), [(0, 4, 4), (4, 0, 4), (4, 4, 0)], ids=["key", "value", "entries"]
)
def test_shapes_that_make_no_table(
    domain: _core.Domain, key: int, value: int, entries: int
) -> None:
    with refused("BAD_SIZE"):
        make(domain, "hash", key, value, entries)


@pytest.mark.parametrize(
    ("key", "value", "entries"),
    [(0x7FFFFFF0, 0x7FFFFFF0, 0xFFFFFFFF), (4, 1 << 20, 0xFFFFFFFF), (1 << 20, 4, 0xFFFFFFFF)],
)
def test_sizes_beyond_all_memory(domain: _core.Domain, key: int, value: int, entries: int) -> None:
    with refused("NO_MEMORY"):
        make(domain, "hash", key, value, entries)


def test_taking_is_looking_up_and_deleting(domain: _core.Domain) -> None:
    table = make(domain, "hash", 4, 16, 4)
    table.update(u32(1), b"sixteen bytes ok")
    assert table.take(u32(1)) == b"sixteen bytes ok"
    assert table.take(u32(1)) is None
    assert table.count() == 0


def test_a_walk_meets_every_key_and_starts_again_where_one_is_gone(domain: _core.Domain) -> None:
    table = make(domain, "hash", 4, 4, 100)
    for i in range(100):
        table.update(u32(i), u32(i))
    walked = keys(table)
    assert sorted(walked) == sorted(u32(i) for i in range(100))
    table.delete(walked[50])
    assert table.next_key(walked[50]) == walked[0]
    assert table.next_key(walked[99]) is None


def test_a_walk_is_not_led_astray_by_replaced_values(domain: _core.Domain) -> None:
    """Entries of large values move to other slots when they are set; the order does not change."""
    table = make(domain, "hash", 4, 64, 60)
    for i in range(60):
        table.update(u32(i), bytes(64))
    met, key = [], table.next_key(None)
    while key is not None:
        met.append(key)
        for i in range(60):
            table.update(u32(i), bytes([len(met)]) * 64)
        key = table.next_key(key)
    assert len(met) == 60
    assert set(met) == {u32(i) for i in range(60)}


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 30), st.binary(max_size=12)), max_size=300)
)
@settings(max_examples=60, deadline=None)
def test_a_table_is_a_dict(steps: list[tuple[int, int, bytes]]) -> None:
    table = make(_core.Domain(1), "hash", 8, 12, 20)
    model: dict[bytes, bytes] = {}
    for what, number, data in steps:
        key, value = u64(number), data.ljust(12, b".")
        if what <= 2:
            fits = key in model or len(model) < 20
            assert name(table.update(key, value)) == ("OK" if fits else "FULL")
            if fits:
                model[key] = value
        elif what == 3:
            assert name(table.delete(key)) == ("OK" if key in model else "MISSING_KEY")
            model.pop(key, None)
        elif what == 4:
            assert table.take(key) == model.pop(key, None)
        else:
            assert dict(scan(table, 3)) == model
    assert table.count() == len(model)
    assert dict(scan(table, 5)) == model
    assert table.check() is None


def test_with_lock_leaves_the_lock_alone(domain: _core.Domain) -> None:
    table = make(domain, "hash", 4, 16, 4, lock_offset=4)
    assert name(table.update(u32(1), b"aaaaXXXXbbbbcccc", WITH_LOCK)) == "OK"
    assert table.lookup(u32(1)) == b"aaaa\0\0\0\0bbbbcccc"
    assert name(table.update(u32(1), b"ddddXXXXeeeeffff", WITH_LOCK | EXIST)) == "OK"
    assert table.lookup(u32(1), WITH_LOCK) == b"dddd\0\0\0\0eeeeffff"
    assert name(table.update(u32(1), bytes(16), WITH_LOCK | NOEXIST)) == "EXISTS"
    assert name(table.update(u32(2), bytes(16), WITH_LOCK | EXIST)) == "MISSING_KEY"
    assert table.check() is None


@linux_only
def test_another_view_of_a_shared_table_sees_it_grow() -> None:
    domain = _core.Domain(1, shared=True)
    table = make(domain, "hash", 4, 4, 2, flags=flags("GROWS"), shared=True)
    other_domain = _core.Domain.attach(domain.fd)
    other = SmallMap.attach(other_domain, table.fd)
    for i in range(5000):
        table.update(u32(i), u32(i))
    assert all(other.lookup(u32(i)) == u32(i) for i in range(5000))
    for i in range(5000, 20_000):
        other.update(u32(i), u32(i))
    assert table.count() == 20_000
    assert len(scan(table, 512)) == 20_000
    assert table.check() is None
    assert other.check() is None


@linux_only
@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_segment_is_refused_or_harmless(seed: int) -> None:
    """Whatever another process writes into the shared memory, this one reads no others."""
    rng = random.Random(seed)
    domain = _core.Domain(1, shared=True)
    kind = rng.choice(["hash", "lru_hash", "percpu_hash"])
    table = make(domain, kind, 8, rng.choice([8, 24]), 50, shared=True)
    for i in range(50):
        table.update(u64(i), bytes(table.user_value_size))
    size = os.fstat(table.fd).st_size
    with mmap.mmap(table.fd, size) as memory:
        for _ in range(rng.choice([1, 8, 200])):
            at = rng.randrange(4096) if rng.random() < 0.3 else rng.randrange(size)
            memory[at] = rng.randrange(16, 256)  # smaller numbers are of those who hold locks
    writable = rng.random() < 0.5
    try:
        other = SmallMap.attach(_core.Domain.attach(domain.fd), table.fd, writable)
    except (Refused, OSError):
        return
    for i in range(60):
        other.lookup(u64(i))
        if writable:
            other.update(u64(i), bytes(table.user_value_size))
            other.delete(u64(i + 1))
    other.next_key(None)
    cursor, done, turns = 0, False, 0
    while not done and turns < 100:
        cursor, _, _, _, done = other.scan(cursor, 64)
        turns += 1
    if writable:
        other.check()
