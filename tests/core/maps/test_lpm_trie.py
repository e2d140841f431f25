"""LPM tries: the longest prefix wins, whatever is put in and taken out around it."""

from __future__ import annotations

import functools
import ipaddress
import random
import sys

import pytest

from anybpf import _core
from tests.core.maps.small import SmallMap, flags, keys, make, name, refused, scan, u32

NOEXIST, EXIST = 1, 2


@pytest.fixture
def domain() -> _core.Domain:
    return _core.Domain(2)


def prefix(text: str) -> bytes:
    network = ipaddress.ip_interface(text)
    return u32(network.network.prefixlen) + network.ip.packed


def text_of(key: bytes) -> str:
    return f"{ipaddress.ip_address(key[4:])}/{int.from_bytes(key[:4], sys.byteorder)}"


def routes(domain: _core.Domain, *prefixes: str, entries: int = 100) -> SmallMap:
    trie = make(domain, "lpm_trie", len(prefix(prefixes[0])), 4, entries)
    for number, each in enumerate(prefixes):
        assert name(trie.update(prefix(each), u32(number))) == "OK"
    return trie


def test_the_longest_prefix_wins(domain: _core.Domain) -> None:
    trie = routes(domain, "10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.1.2.3/32")
    assert trie.lookup(prefix("10.1.2.3")) == u32(3)
    assert trie.lookup(prefix("10.1.2.4")) == u32(2)
    assert trie.lookup(prefix("10.1.3.4")) == u32(1)
    assert trie.lookup(prefix("10.2.3.4")) == u32(0)
    assert trie.lookup(prefix("11.2.3.4")) is None
    assert trie.check() is None


def test_no_more_bits_are_looked_at_than_the_key_has(domain: _core.Domain) -> None:
    trie = routes(domain, "10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24")
    assert trie.lookup(prefix("10.1.2.3/20")) == u32(1)
    assert trie.lookup(prefix("10.1.2.3/16")) == u32(1)
    assert trie.lookup(prefix("10.1.2.3/15")) == u32(0)
    assert trie.lookup(prefix("10.1.2.3/7")) is None


def test_the_prefix_of_no_bits_matches_all(domain: _core.Domain) -> None:
    trie = routes(domain, "0.0.0.0/0", "128.0.0.0/1")
    assert trie.lookup(prefix("1.2.3.4")) == u32(0)
    assert trie.lookup(prefix("200.2.3.4")) == u32(1)
    assert trie.lookup(prefix("200.2.3.4/0")) == u32(0)


def test_bits_behind_the_prefix_do_not_count_but_are_kept(domain: _core.Domain) -> None:
    trie = routes(domain, "10.1.2.3/16")
    assert keys(trie) == [prefix("10.1.2.3/16")]
    assert name(trie.update(prefix("10.1.9.9/16"), u32(9))) == "OK"
    assert keys(trie) == [prefix("10.1.9.9/16")]
    assert trie.lookup(prefix("10.1.0.0/32")) == u32(9)
    assert trie.count() == 1


def test_ipv6(domain: _core.Domain) -> None:
    trie = routes(domain, "::/0", "2001:db8::/32", "2001:db8:1::/48", "2001:db8:1::1/128")
    assert trie.lookup(prefix("2001:db8:1::1")) == u32(3)
    assert trie.lookup(prefix("2001:db8:1::2")) == u32(2)
    assert trie.lookup(prefix("2001:db8:2::2")) == u32(1)
    assert trie.lookup(prefix("2001:db9::")) == u32(0)
    for each in ("2001:db8:1::/48", "2001:db8::/32", "2001:db8:1::1/128"):
        assert name(trie.delete(prefix(each))) == "OK"
        assert trie.check() is None
    assert trie.lookup(prefix("2001:db8:1::1")) == u32(0)


def test_flags(domain: _core.Domain) -> None:
    trie = routes(domain, "10.0.0.0/8")
    assert name(trie.update(prefix("10.0.0.0/8"), u32(1), NOEXIST)) == "EXISTS"
    assert name(trie.update(prefix("10.0.0.0/9"), u32(1), EXIST)) == "MISSING_KEY"
    assert name(trie.update(prefix("10.0.0.0/9"), u32(1), NOEXIST | EXIST)) == "BAD_FLAGS"
    assert name(trie.update(prefix("10.0.0.0/9"), u32(1), 4)) == "BAD_FLAGS"
    assert name(trie.update(prefix("10.0.0.0/8"), u32(7), EXIST)) == "OK"
    assert trie.lookup(prefix("10.0.0.1")) == u32(7)


def test_only_the_very_prefix_is_deleted(domain: _core.Domain) -> None:
    trie = routes(domain, "10.0.0.0/8")
    assert name(trie.delete(prefix("10.0.0.0/9"))) == "MISSING_KEY"
    assert name(trie.delete(prefix("10.0.0.0/7"))) == "MISSING_KEY"
    assert name(trie.delete(prefix("10.0.0.0/8"))) == "OK"
    assert trie.count() == 0
    assert keys(trie) == []


def test_a_prefix_that_is_too_long(domain: _core.Domain) -> None:
    trie = routes(domain, "10.0.0.0/8")
    too_long = u32(33) + bytes(4)
    assert name(trie.update(too_long, u32(1))) == "BAD_KEY"
    assert name(trie.delete(too_long)) == "BAD_KEY"
    with refused("BAD_KEY"):
        trie.lookup(too_long)
    assert trie.next_key(too_long) == prefix("10.0.0.0/8")


def test_a_full_trie_takes_no_other_prefix(domain: _core.Domain) -> None:
    trie = routes(domain, "10.0.0.0/8", "11.0.0.0/8", entries=2)
    assert name(trie.update(prefix("12.0.0.0/8"), u32(1))) == "PREFIXES_FULL"
    assert name(trie.update(prefix("11.0.0.0/8"), u32(5))) == "OK"
    trie.delete(prefix("10.0.0.0/8"))
    assert name(trie.update(prefix("12.0.0.0/8"), u32(1))) == "OK"


def test_it_grows_where_the_platform_says_so(domain: _core.Domain) -> None:
    trie = make(domain, "lpm_trie", 8, 4, 2, flags=flags("GROWS"))
    for i in range(1000):
        assert name(trie.update(u32(32) + i.to_bytes(4, "big"), u32(i))) == "OK"
    assert trie.count() == 1000
    assert trie.check() is None


def test_replaced_again_and_again(domain: _core.Domain) -> None:
    trie = routes(domain, "10.0.0.0/8", entries=1)
    key = prefix("10.0.0.0/8")
    for start in range(0, 20_000, 100):
        values = b"".join(u32(start + i) for i in range(100))
        assert trie.update_many(key * 100, values)[0] == 100
    assert trie.lookup(key) == u32(19_999)
    assert trie.check() is None


def test_keys_come_from_the_inside_out(domain: _core.Domain) -> None:
    # The example of the kernel's own test of this order: deeper prefixes first, smaller ones first.
    trie = routes(
        domain,
        "192.168.0.0/16", "192.168.0.0/24", "192.168.128.0/24", "192.168.1.0/24",
        "192.168.0.0/25", "0.0.0.0/0",
    )  # fmt: skip
    assert [text_of(key) for key in keys(trie)] == [
        "192.168.0.0/25",
        "192.168.0.0/24",
        "192.168.1.0/24",
        "192.168.128.0/24",
        "192.168.0.0/16",
        "0.0.0.0/0",
    ]


def test_after_a_key_that_is_gone_the_walk_begins_again(domain: _core.Domain) -> None:
    trie = routes(domain, "10.0.0.0/8", "11.0.0.0/8")
    assert trie.next_key(prefix("10.1.0.0/16")) == prefix("10.0.0.0/8")


def test_values_cannot_be_taken(domain: _core.Domain) -> None:
    trie = routes(domain, "10.0.0.0/8")
    with refused("NOT_SUPPORTED"):
        trie.take(prefix("10.0.0.0/8"))


@pytest.mark.parametrize(
    ("key", "value", "entries"), [(3, 4, 1), (261, 4, 1), (8, 0, 1), (8, 4, 0)]
)
def test_shapes_that_make_no_trie(domain: _core.Domain, key: int, value: int, entries: int) -> None:
    with refused("BAD_SIZE"):
        make(domain, "lpm_trie", key, value, entries)


def test_a_trie_too_large_for_any_memory(domain: _core.Domain) -> None:
    with refused("NO_MEMORY"):
        make(domain, "lpm_trie", 8, 1 << 30, 0xFFFFFFFF)


def test_a_key_may_have_no_bytes_to_match(domain: _core.Domain) -> None:
    trie = make(domain, "lpm_trie", 4, 4, 3)
    assert trie.lookup(u32(0)) is None
    trie.update(u32(0), u32(5))
    assert trie.lookup(u32(0)) == u32(5)
    assert keys(trie) == [u32(0)]
    assert name(trie.delete(u32(0))) == "OK"


class Model:
    """What a trie must do, the slow way."""

    def __init__(self, size: int) -> None:
        self.bits = size * 8
        self.entries: dict[tuple[int, int], tuple[bytes, bytes]] = {}

    def canonical(self, length: int, number: int) -> tuple[int, int]:
        return length, number >> (self.bits - length)

    def longest(self, length: int, number: int) -> bytes | None:
        for shorter in range(length, -1, -1):
            found = self.entries.get(self.canonical(shorter, number))
            if found is not None:
                return found[1]
        return None

    def ordered(self) -> list[tuple[bytes, bytes]]:
        def compare(a: tuple[int, int], b: tuple[int, int]) -> int:
            least = min(a[0], b[0])
            left, right = a[1] >> (a[0] - least), b[1] >> (b[0] - least)
            return (left > right) - (left < right) or b[0] - a[0]

        order = sorted(self.entries, key=functools.cmp_to_key(compare))
        return [self.entries[each] for each in order]


@pytest.mark.parametrize("size", [1, 2, 4, 7, 16, 33, 256])
def test_against_a_model(domain: _core.Domain, size: int) -> None:
    rng = random.Random(size)
    model, limit = Model(size), 60
    trie = make(domain, "lpm_trie", 4 + size, 5, limit)
    for turn in range(3000):
        length = rng.choice([rng.randrange(size * 8 + 1), rng.randrange(10), size * 8])
        length = min(length, size * 8)
        number = sum((rng.random() < 0.1) << i for i in range(size * 8))
        if model.entries and rng.random() < 0.5:  # near one that is there
            known = rng.choice(list(model.entries))
            number = known[1] << (size * 8 - known[0]) ^ (1 << rng.randrange(size * 8))
            length = rng.choice([known[0], length])
        key, canonical = u32(length) + number.to_bytes(size, "big"), model.canonical(length, number)
        choice = rng.random()
        if choice < 0.4:
            value = rng.randbytes(5)
            fits = canonical in model.entries or len(model.entries) < limit
            assert name(trie.update(key, value)) == ("OK" if fits else "PREFIXES_FULL")
            if fits:
                model.entries[canonical] = key, value
        elif choice < 0.7:
            there = model.entries.pop(canonical, None)
            assert name(trie.delete(key)) == ("MISSING_KEY" if there is None else "OK")
        else:
            assert trie.lookup(key) == model.longest(length, number)
        if turn % 50 == 0:
            assert trie.check() is None
            assert trie.count() == len(model.entries)
            assert scan(trie, rng.randrange(1, 80)) == model.ordered()
            assert keys(trie) == [each for each, _ in model.ordered()]


def test_a_scan_goes_on_when_its_last_entry_is_gone(domain: _core.Domain) -> None:
    trie = routes(domain, *(f"10.{i}.0.0/16" for i in range(20)))
    cursor, some, _, _, _ = trie.scan(0, 10)
    assert name(trie.delete(some[-8:])) == "OK"
    _, rest, _, count, done = trie.scan(cursor, 100)
    assert (count, done) == (10, True)
    assert text_of(rest[:8]) == "10.10.0.0/16"
