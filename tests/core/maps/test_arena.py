"""Arenas, as users see them: all pages at once, and which of them somebody has."""

from __future__ import annotations

import pytest

from anybpf import _core
from tests.core.maps.small import flags, make, name, refused
from tests.core.programs import code, ends, program, slot

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


def test_pages_are_taken_by_pointers_and_told_by_number(domain: _core.Domain) -> None:
    start = 0x7000_0000_0000
    arena = make(domain, "arena", 0, 0, 200, extra=start)
    assert arena.arena_start() == start
    assert arena.alloc_pages(130) == start
    assert arena.alloc_pages(2, start + 150 * PAGE) == start + 150 * PAGE
    assert [arena.taken_pages(at) for at in (0, 64, 129, 130, 151, 152, 200, 1 << 40)] == [
        (0, 130), (64, 66), (129, 1), (150, 2), (151, 1), (152, 0), (200, 0), (0xFFFFFFFF, 0),
    ]  # fmt: skip
    assert arena.count() == 132
    assert name(arena.free_pages(start + 10 * PAGE, 1000)) == "OK"
    assert arena.taken_pages(0) == (0, 10)
    assert arena.check() is None


@pytest.mark.parametrize(
    ("pages", "place"), [(0, 0), (11, 0), (1 << 40, 0), (1, 1), (1, 10 * PAGE), (2, 9 * PAGE)]
)
def test_pages_that_are_not_to_be_had(domain: _core.Domain, pages: int, place: int) -> None:
    start = 0x7000_0000_0000
    arena = make(domain, "arena", 0, 0, 10, extra=start)
    assert arena.alloc_pages(pages, start + place if place else 0) == 0
    assert arena.count() == 0


def test_who_takes_pages_finds_them_zero(domain: _core.Domain) -> None:
    arena = make(domain, "arena", 0, 0, 3)
    pointer = arena.alloc_pages(3)
    view = memoryview(arena.values_view()).cast("B")
    view[:] = b"\xff" * (3 * PAGE)
    assert name(arena.free_pages(pointer + PAGE, 1)) == "OK"
    assert arena.alloc_pages(1) == pointer + PAGE
    assert bytes(view) == b"\xff" * PAGE + bytes(PAGE) + b"\xff" * PAGE


def test_an_arena_that_may_only_be_read_has_no_pages_to_give(domain: _core.Domain) -> None:
    arena = make(domain, "arena", 0, 0, 3, flags=flags("USER_READS_ONLY"))
    assert arena.taken_pages(0) == (0, 0)
    with refused("DENIED"):
        arena.alloc_pages(1)
    with refused("DENIED"):
        arena.free_pages(arena.arena_start(), 1)
    with pytest.raises(TypeError):
        arena.alloc_pages()  # type: ignore[call-arg]
    with pytest.raises(OverflowError):
        arena.alloc_pages(-1)


def test_other_maps_have_no_pages(domain: _core.Domain) -> None:
    table = make(domain, "array", 4, 8, 3)
    with refused("NOT_SUPPORTED"):
        table.alloc_pages(1)
    with refused("NOT_SUPPORTED"):
        table.arena_start()


def test_the_address_of_a_variable_is_an_arena_pointer(domain: _core.Domain) -> None:
    """Which a program casts; without that it is a number like any other."""
    start = 0x7000_0000_0000
    arena = make(domain, "arena", 0, 0, 3, extra=start)
    memoryview(arena.values_view()).cast("B")[5000] = 9
    wide = slot(0x18, 1, 2, 0, 0) + slot(0, imm=5000)
    cast, load, move, end = (0xBF, 1, 1, 1, 1), (0x71, 0, 1), (0xBF, 0, 1), (0x95,)
    assert program(wide + code(cast, load, end), domain=domain, maps=[arena])() == 9
    assert program(wide + code(move, end), domain=domain, maps=[arena])() == start + 5000
    stop = program(wide + code(load, end), domain=domain, maps=[arena])()
    assert ends(stop) == "OUT_OF_BOUNDS"
    with pytest.raises(ValueError, match="points outside"):
        program(
            slot(0x18, 1, 2, 0, 0) + slot(0, imm=3 * PAGE) + code(end), domain=domain, maps=[arena]
        )
