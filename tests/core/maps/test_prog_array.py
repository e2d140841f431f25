"""Arrays of programs: which programs go together in one."""

from __future__ import annotations

import itertools

import pytest

from anybpf import _core
from tests.core.maps.small import SmallMap, keys, make, name, refused, scan, u32

RETURN_0 = bytes.fromhex("b700000000000000 9500000000000000")
_numbers = itertools.count(1_000_000)


@pytest.fixture
def domain() -> _core.Domain:
    return _core.Domain(2)


@pytest.fixture
def array(domain: _core.Domain) -> SmallMap:
    return make(domain, "prog_array", 4, 4, 5)


def program(domain: _core.Domain, compatible: int = 1) -> _core.Program:
    codes = [0] * len(_core.STATUSES)
    return _core.Program(
        domain, next(_numbers), "p", RETURN_0, [], [], codes, 6, 0, compatible=compatible
    )


def test_users_see_numbers(domain: _core.Domain, array: SmallMap) -> None:
    one, two = program(domain), program(domain)
    assert name(array.update(u32(1), u32(one.id))) == "OK"
    assert name(array.update(u32(4), u32(two.id))) == "OK"
    assert array.lookup(u32(1)) == u32(one.id)
    assert array.lookup(u32(0)) is None
    assert keys(array) == [u32(1), u32(4)]
    assert scan(array, 1) == [(u32(1), u32(one.id)), (u32(4), u32(two.id))]
    assert array.count() == 2
    assert array.check() is None


def test_the_first_program_says_which_others_fit(domain: _core.Domain, array: SmallMap) -> None:
    one, like, other = program(domain, 1), program(domain, 1), program(domain, 2)
    array.update(u32(0), u32(one.id))
    assert name(array.update(u32(1), u32(other.id))) == "BAD_OBJECT"
    assert name(array.update(u32(1), u32(like.id))) == "OK"
    assert name(array.update(u32(1), u32(other.id))) == "BAD_OBJECT"
    array.delete(u32(0))
    array.delete(u32(1))
    assert name(array.update(u32(1), u32(other.id))) == "OK"
    assert array.check() is None


def test_the_only_one_may_be_replaced_by_any(domain: _core.Domain, array: SmallMap) -> None:
    one, other = program(domain, 1), program(domain, 2)
    array.update(u32(0), u32(one.id))
    assert name(array.update(u32(0), u32(other.id))) == "OK"
    assert array.lookup(u32(0)) == u32(other.id)
    assert array.check() is None


def test_what_is_no_program(domain: _core.Domain, array: SmallMap) -> None:
    assert name(array.update(u32(0), u32(0))) == "NO_OBJECT"
    assert name(array.update(u32(0), u32(1 << 30))) == "NO_OBJECT"
    assert name(array.update(u32(0), u32(array.id))) == "BAD_OBJECT"


def test_indexes_and_flags(domain: _core.Domain, array: SmallMap) -> None:
    one = program(domain)
    assert name(array.update(u32(5), u32(one.id))) == "BAD_INDEX"
    assert name(array.update(u32(0), u32(one.id), 1)) == "BAD_FLAGS"
    assert name(array.delete(u32(5))) == "BAD_INDEX"
    assert name(array.delete(u32(0))) == "MISSING_KEY"
    with refused("NOT_SUPPORTED"):
        array.take(u32(0))


@pytest.mark.parametrize(("key", "value", "entries"), [(8, 4, 4), (4, 8, 4), (4, 4, 0)])
def test_shapes_that_make_none(domain: _core.Domain, key: int, value: int, entries: int) -> None:
    with refused("BAD_SIZE"):
        make(domain, "prog_array", key, value, entries)
