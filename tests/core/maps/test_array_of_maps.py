"""Arrays of maps: what may be put in, and what users see of it."""

from __future__ import annotations

import sys

import pytest

from anybpf import _core
from tests.core.maps.small import SmallMap, flags, keys, make, name, refused, scan, u32


@pytest.fixture
def domain() -> _core.Domain:
    return _core.Domain(2)


def inner(domain: _core.Domain, entries: int = 10, value_size: int = 8) -> SmallMap:
    return make(domain, "array", 4, value_size, entries)


def test_users_see_numbers(domain: _core.Domain) -> None:
    template = inner(domain)
    one, two = inner(domain), inner(domain)
    outer = make(domain, "array_of_maps", 4, 4, 70, inner=template)
    assert name(outer.update(u32(3), u32(one.id))) == "OK"
    assert name(outer.update(u32(69), u32(two.id))) == "OK"
    assert outer.lookup(u32(3)) == u32(one.id)
    assert outer.lookup(u32(4)) is None
    assert outer.lookup(u32(70)) is None
    assert keys(outer) == [u32(3), u32(69)]
    assert scan(outer, 1) == [(u32(3), u32(one.id)), (u32(69), u32(two.id))]
    assert outer.count() == 2
    assert outer.check() is None


def test_a_map_is_replaced_and_taken_out(domain: _core.Domain) -> None:
    one, two = inner(domain), inner(domain)
    outer = make(domain, "array_of_maps", 4, 4, 4, inner=one)
    outer.update(u32(0), u32(one.id))
    assert name(outer.update(u32(0), u32(two.id))) == "OK"
    assert outer.lookup(u32(0)) == u32(two.id)
    assert name(outer.delete(u32(0))) == "OK"
    assert name(outer.delete(u32(0))) == "MISSING_KEY"
    assert name(outer.delete(u32(4))) == "BAD_INDEX"
    assert outer.count() == 0


def test_only_maps_like_the_template_fit(domain: _core.Domain) -> None:
    outer = make(domain, "array_of_maps", 4, 4, 4, inner=inner(domain))
    for other in (
        inner(domain, entries=11),
        inner(domain, value_size=16),
        make(domain, "hash", 4, 8, 10),
        make(domain, "array", 4, 8, 10, flags=flags("PROGRAM_READS_ONLY")),
    ):
        assert name(outer.update(u32(0), u32(other.id))) == "BAD_OBJECT"
    assert outer.count() == 0


def test_the_number_of_entries_may_be_free(domain: _core.Domain) -> None:
    outer = make(
        domain, "array_of_maps", 4, 4, 4, inner=inner(domain), flags=flags("INNER_SIZE_FREE")
    )
    larger = inner(domain, entries=11)
    assert name(outer.update(u32(0), u32(larger.id))) == "OK"
    assert outer.check() is None


def test_numbers_of_nothing(domain: _core.Domain) -> None:
    template = inner(domain)
    outer = make(domain, "array_of_maps", 4, 4, 4, inner=template)
    assert name(outer.update(u32(0), u32(0))) == "NO_OBJECT"
    assert name(outer.update(u32(0), u32(1 << 30))) == "NO_OBJECT"
    assert name(outer.update(u32(4), u32(template.id))) == "BAD_INDEX"
    assert name(outer.update(u32(0), u32(template.id), 1)) == "BAD_FLAGS"


def test_maps_of_maps_are_not_nested(domain: _core.Domain) -> None:
    outer = make(domain, "array_of_maps", 4, 4, 4, inner=inner(domain))
    with refused("BAD_OBJECT"):
        make(domain, "array_of_maps", 4, 4, 4, inner=outer)


def test_there_must_be_a_template(domain: _core.Domain) -> None:
    with refused("BAD_OBJECT"):
        make(domain, "array_of_maps", 4, 4, 4)


@pytest.mark.parametrize(("key", "value", "entries"), [(8, 4, 4), (4, 8, 4), (4, 4, 0)])
def test_shapes_that_make_none(domain: _core.Domain, key: int, value: int, entries: int) -> None:
    with refused("BAD_SIZE"):
        make(domain, "array_of_maps", key, value, entries, inner=inner(domain))


@pytest.mark.skipif(sys.platform != "linux", reason="shared maps are built on Linux's memory files")
def test_the_template_goes_with_the_memory() -> None:
    here = _core.Domain(2, shared=True)
    template = make(here, "array", 4, 8, 10, shared=True)
    outer = make(here, "array_of_maps", 4, 4, 4, inner=template, shared=True)
    there = _core.Domain.attach(here.fd)
    found = SmallMap.attach(there, outer.fd)
    other = make(there, "array", 4, 16, 10)
    like = make(there, "array", 4, 8, 10)
    assert name(found.update(u32(0), u32(other.id))) == "BAD_OBJECT"
    assert name(found.update(u32(0), u32(like.id))) == "OK"
    assert outer.lookup(u32(0)) == u32(like.id)
