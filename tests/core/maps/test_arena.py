"""Arenas, as users see them: all pages at once. Pages are taken and given back in C."""

from __future__ import annotations

import pytest

from anybpf import _core
from tests.core.maps.small import make, refused

PAGE = 4096


@pytest.fixture
def domain() -> _core.Domain:
    return _core.Domain(2)


def test_all_pages_are_there_and_zero(domain: _core.Domain) -> None:
    arena = make(domain, "arena", 0, 0, 100)
    view = memoryview(arena.values_view()).cast("B")
    assert len(view) == 100 * PAGE
    assert bytes(view) == bytes(100 * PAGE)
    view[-1] = 7
    assert memoryview(arena.values_view()).cast("B")[-1] == 7
    assert arena.count() == 0
    assert arena.check() is None


def test_an_arena_of_four_gigabytes_costs_nothing_yet(domain: _core.Domain) -> None:
    arena = make(domain, "arena", 0, 0, 1 << 20, extra=1 << 44)
    assert arena.memory >= 1 << 32
    assert arena.check() is None


@pytest.mark.parametrize(
    ("key", "value", "pages"), [(4, 0, 1), (0, 4, 1), (0, 0, 0), (0, 0, (1 << 20) + 1)]
)
def test_shapes_that_make_none(domain: _core.Domain, key: int, value: int, pages: int) -> None:
    with refused("BAD_SIZE"):
        make(domain, "arena", key, value, pages)


def test_where_an_arena_may_start(domain: _core.Domain) -> None:
    with refused("BAD_ARGUMENT"):
        make(domain, "arena", 0, 0, 1, extra=1)
    with refused("OUT_OF_RANGE"):
        make(domain, "arena", 0, 0, 2, extra=(1 << 32) - PAGE)
    with refused("BAD_ARGUMENT"):
        make(domain, "arena", 0, 0, 2, extra=(1 << 64) - PAGE)
    assert make(domain, "arena", 0, 0, 2, extra=(1 << 32) - 2 * PAGE).check() is None


def test_there_is_nothing_to_look_up(domain: _core.Domain) -> None:
    arena = make(domain, "arena", 0, 0, 1)
    with refused("NOT_SUPPORTED"):
        arena.next_key(None)
