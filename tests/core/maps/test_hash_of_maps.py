"""Hash maps of maps: what may be put in, and what of it can be read."""

from __future__ import annotations

import pytest

from anybpf import _core
from tests.core.maps.small import keys, make, name, refused, u32


@pytest.fixture
def domain() -> _core.Domain:
    return _core.Domain(2)


def test_maps_like_the_template_are_put_in_by_number(domain: _core.Domain) -> None:
    inner = make(domain, "array", 4, 8, 10)
    other = make(domain, "array", 4, 8, 10)
    outer = make(domain, "hash_of_maps", 8, 4, 5, inner=inner)
    assert name(outer.update(b"a" * 8, u32(inner.id))) == "OK"
    assert name(outer.update(b"b" * 8, u32(other.id))) == "OK"
    assert name(outer.update(b"b" * 8, u32(inner.id), 1)) == "EXISTS"
    assert outer.lookup(b"b" * 8) == u32(other.id)
    assert sorted(keys(outer)) == [b"a" * 8, b"b" * 8]
    assert name(outer.delete(b"a" * 8)) == "OK"
    assert outer.lookup(b"a" * 8) is None
    assert outer.check() is None


def test_others_are_refused(domain: _core.Domain) -> None:
    outer = make(domain, "hash_of_maps", 4, 4, 5, inner=make(domain, "array", 4, 8, 10))
    assert name(outer.update(u32(1), u32(make(domain, "array", 4, 16, 10).id))) == "BAD_OBJECT"
    assert name(outer.update(u32(1), u32(make(domain, "hash", 4, 8, 10).id))) == "BAD_OBJECT"
    assert name(outer.update(u32(1), u32(999_999))) == "NO_OBJECT"
    assert name(outer.update(u32(1), u32(0))) == "NO_OBJECT"
    assert outer.count() == 0


def test_a_template_is_needed_that_holds_no_maps_itself(domain: _core.Domain) -> None:
    inner = make(domain, "array", 4, 8, 10)
    outer = make(domain, "hash_of_maps", 4, 4, 5, inner=inner)
    with refused("BAD_OBJECT"):
        make(domain, "hash_of_maps", 4, 4, 5)
    with refused("BAD_OBJECT"):
        make(domain, "hash_of_maps", 4, 4, 5, inner=outer)
    with refused("BAD_SIZE"):
        make(domain, "hash_of_maps", 4, 8, 5, inner=inner)
