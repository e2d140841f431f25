"""Bloom filters: never a wrong no, and a wrong yes as rarely as their size promises."""

from __future__ import annotations

import pytest

from anybpf import _core
from tests.core.maps.small import SmallMap, make, name, refused, u64


@pytest.fixture
def domain() -> _core.Domain:
    return _core.Domain(2)


def has(filter_: SmallMap, value: bytes) -> bool:
    return filter_.lookup_into(b"", bytearray(value))


def test_what_was_put_in_is_in(domain: _core.Domain) -> None:
    filter_ = make(domain, "bloom_filter", 0, 8, 100)
    assert not has(filter_, u64(1))
    for i in range(100):
        assert name(filter_.push(u64(i))) == "OK"
    assert all(has(filter_, u64(i)) for i in range(100))
    assert 80 < filter_.count() <= 100
    assert filter_.check() is None


@pytest.mark.parametrize("functions", [0, 1, 3, 5, 15])
def test_few_others_seem_to_be_in(domain: _core.Domain, functions: int) -> None:
    filter_ = make(domain, "bloom_filter", 0, 8, 1000, extra=functions)
    for i in range(1000):
        filter_.push(u64(i))
    wrong = sum(has(filter_, u64(i)) for i in range(10_000, 20_000))
    # At most half of the bits are set: a wrong yes has probability 2 ** -k; twice that is allowed.
    assert wrong <= 2 * 10_000 * 0.5 ** (functions or 5) + 10


def test_more_than_it_is_for_may_be_put_in(domain: _core.Domain) -> None:
    filter_ = make(domain, "bloom_filter", 0, 8, 1)
    for i in range(1000):
        assert name(filter_.push(u64(i))) == "OK"
    assert has(filter_, u64(999))


def test_nothing_can_be_taken_out(domain: _core.Domain) -> None:
    filter_ = make(domain, "bloom_filter", 0, 8, 10)
    filter_.update(b"", u64(1))
    assert name(filter_.delete(b"")) == "NOT_SUPPORTED"
    with refused("NOT_SUPPORTED"):
        filter_.pop()
    with refused("NOT_SUPPORTED"):
        filter_.next_key(None)


@pytest.mark.parametrize("bad", [1, 2, 4])
def test_flags_are_refused(domain: _core.Domain, bad: int) -> None:
    filter_ = make(domain, "bloom_filter", 0, 8, 10)
    assert name(filter_.push(u64(1), bad)) == "BAD_FLAGS"


def test_shapes_that_make_no_filter(domain: _core.Domain) -> None:
    with refused("BAD_SIZE"):
        make(domain, "bloom_filter", 4, 8, 10)
    with refused("BAD_SIZE"):
        make(domain, "bloom_filter", 0, 0, 10)
    with refused("BAD_SIZE"):
        make(domain, "bloom_filter", 0, 8, 0)
    with refused("BAD_ARGUMENT"):
        make(domain, "bloom_filter", 0, 8, 10, extra=16)


def test_its_size_follows_the_rule(domain: _core.Domain) -> None:
    # 1000 entries, 5 functions: 7000 bits, and the next power of two is 8192 bits or 1 KiB.
    small = make(domain, "bloom_filter", 0, 8, 1000)
    large = make(domain, "bloom_filter", 0, 8, 1_000_000)
    assert small.memory <= 2 * 4096
    assert (1 << 20) <= large.memory <= (1 << 20) + 4096
