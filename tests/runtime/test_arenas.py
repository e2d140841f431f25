"""Programs with arenas: variables and pages that they and Python share, by the same pointers."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest

from anybpf import load_spec
from anybpf.errors import AnyBPFError, InputError
from anybpf.maps.arena import Arena
from anybpf.runtime import Collection, Runtime
from tests.objects.conftest import Build
from tests.runtime.arenas import LIST, PAGE, build_arena, engine

__all__ = ["engine"]

# Where programs see the arena: where the pages are; far away; with a first byte whose pointer ends
# in 32 bits of zero; up to the last byte that 32 bits tell.
STARTS = [0, 0x7000_0000_5000, 1 << 44, (1 << 44) + (1 << 32) - 100 * PAGE]
DATA_PAGES = 2  # 4 + 4 + 8 + 4800 bytes


@pytest.fixture(params=STARTS, ids=hex)
def loaded(
    build: Build, runtime: Runtime, request: pytest.FixtureRequest, engine: str
) -> Iterator[Collection]:
    path = build_arena(build, start=request.param)
    with runtime.load(path, engine=engine) as made:
        yield made


def arena_of(loaded: Collection) -> Arena:
    arena = loaded.map("arena")
    assert isinstance(arena, Arena)
    return arena


def run(loaded: Collection, name: str, index: int = 0) -> int:
    return loaded.program(name).test_run(ctx=struct.pack("=Q", index)).retval


def test_variables_lie_in_the_last_pages(loaded: Collection) -> None:
    """With their contents, and the pages are theirs."""
    arena = arena_of(loaded)
    begin = (100 - DATA_PAGES) * PAGE
    assert loaded.variable("counter").value == 5
    assert loaded.variable("counter").offset == begin
    assert arena.allocated() == [(arena.start + begin, DATA_PAGES)]
    assert arena.read(arena.pointer_to(begin), 4) == struct.pack("=i", 5)


def test_a_program_builds_a_list_that_python_walks(loaded: Collection) -> None:
    assert [run(loaded, "add") for _ in range(3)] == [0, 0, 0]
    arena, values = arena_of(loaded), []
    pointer = loaded.variable("head").value
    assert pointer == loaded.variable("last").value  # in an ordinary map: a pointer all the same
    while pointer:
        element = arena.struct(pointer, "element")
        values.append(element.value)
        pointer = element.next
    assert values == [7, 6, 5]
    assert loaded.variable("counter").value == 8
    del element
    assert len(arena) == 3 + DATA_PAGES
    assert run(loaded, "clear") == 0
    assert len(arena) == DATA_PAGES
    assert run(loaded, "sum") == 0


def test_python_builds_a_list_that_a_program_walks(loaded: Collection) -> None:
    arena, head = arena_of(loaded), 0
    for value in (30, 20, 10):
        pointer = arena.allocate()
        element = arena.struct(pointer, "element")
        element.value, element.next = value, head
        head = pointer
    loaded.variable("head").value = head
    assert run(loaded, "sum") == 60
    element.value = 1000  # in place
    assert run(loaded, "sum") == 1050
    del element


def test_variables_can_be_read_and_set_on_both_sides(loaded: Collection) -> None:
    assert run(loaded, "add") == 0
    table = loaded.variable("table")
    assert table.value[5] == 1
    table.value = [*range(600)]
    assert run(loaded, "look_up", 599) == 599
    loaded.variable("counter").value = 100
    run(loaded, "add")
    assert table.value[100] == 101


def test_pages_run_out(loaded: Collection) -> None:
    room = 100 - DATA_PAGES
    assert [run(loaded, "add") for _ in range(room + 1)] == [0] * room + [1]
    assert run(loaded, "clear") == 0
    assert arena_of(loaded).allocate(room)


def test_outside_of_the_arena_is_nothing(loaded: Collection) -> None:
    """The kernel gives zero there; here the run ends, and says where it was."""
    assert run(loaded, "look_up", 0) == 0
    with pytest.raises(AnyBPFError, match="look_up"):
        run(loaded, "look_up", 1 << 20)


def test_initial_values_can_be_set(build: Build, runtime: Runtime) -> None:
    path = build_arena(build)
    with runtime.load(path, variables={"counter": 40}) as loaded:
        assert run(loaded, "add") == 0
        assert loaded.variable("counter").value == 41


def test_more_pages_may_be_asked_for_and_too_few_are_refused(
    build: Build, runtime: Runtime
) -> None:
    spec = load_spec(build_arena(build))
    spec.maps["arena"].max_entries = 1000
    with runtime.load(spec) as loaded:
        assert loaded.variable("counter").offset == (1000 - DATA_PAGES) * PAGE
        assert run(loaded, "add") == 0
        assert run(loaded, "sum") == 5
    spec.maps["arena"].max_entries = 1
    with pytest.raises(AnyBPFError, match=r"its variables take \d+: give it more max_entries"):
        runtime.load(spec)
    spec.programs.clear()
    with pytest.raises(InputError, match="1 pages have no room for the object's variables"):
        runtime.load(spec)


def test_a_full_arena_of_four_gigabytes(build: Build, runtime: Runtime) -> None:
    """Offsets of variables take all 32 bits; memory is what is used of it."""
    spec = load_spec(build_arena(build, LIST, start=1 << 44))
    spec.maps["arena"].max_entries = 1 << 20
    with runtime.load(spec) as loaded:
        assert loaded.variable("counter").offset == (1 << 32) - DATA_PAGES * PAGE
        assert run(loaded, "add") == 0
        assert run(loaded, "sum") == 5


def test_pages_of_another_collection_are_others(build: Build, runtime: Runtime) -> None:
    """An arena that is given keeps what is in it, and programs find their variables there."""
    path = build_arena(build)
    with runtime.load(path) as first:
        assert run(first, "add") == 0
        with runtime.load(path, maps={"arena": first.map("arena")}) as second:
            assert run(second, "sum") == 5
            assert run(second, "add") == 0
            assert first.variable("counter").value == 7
        with runtime.load(path) as apart:
            assert run(apart, "sum") == 0
