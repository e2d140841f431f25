"""Arenas from Python: pages, pointers, memory in place."""

from __future__ import annotations

import pytest

from anybpf.btf import BTFBuilder, Int, Member, Pointer, Struct
from anybpf.errors import ClosedError, InputError, MapError, MapFull
from anybpf.maps import struct_class
from anybpf.maps.arena import Arena
from anybpf.objects.specs import ARENA_PAGE as PAGE
from tests.maps.faces import a_map

START = 0x7000_0001_0000


def an_arena(pages: int = 10, extra: int = START, **more: object) -> Arena:
    made = a_map("arena", 0, 0, pages, extra=extra, **more)  # type: ignore[arg-type]
    assert isinstance(made, Arena)
    return made


def test_pages_are_taken_and_given_back() -> None:
    arena = an_arena()
    assert (arena.start, arena.size, len(arena), arena.allocated()) == (START, 10 * PAGE, 0, [])
    one, three = arena.allocate(), arena.allocate(3)
    assert (one, three) == (START, START + PAGE)
    assert arena.allocated() == [(START, 4)]
    arena.free(three, 2)
    assert arena.allocated() == [(START, 1), (START + 3 * PAGE, 1)]
    assert arena.allocate(2) == three
    arena.free(START, 10)  # those that nobody has are left alone
    assert len(arena) == 0


def test_a_stretch_grows_where_the_pages_behind_it_are_free() -> None:
    arena = an_arena()
    pages = arena.allocate(2)
    assert arena.allocate(3, at=pages + 2 * PAGE) == pages + 2 * PAGE
    assert len(arena.view(pages)) == 5 * PAGE
    with pytest.raises(MapFull, match=r"cannot allocate 2 pages: some of those .* are taken"):
        arena.allocate(2, at=pages + 4 * PAGE)


def test_an_arena_has_an_end() -> None:
    arena = an_arena(4)
    arena.allocate(4)
    arena.free(START + PAGE)
    arena.free(START + 3 * PAGE)
    with pytest.raises(MapFull, match="2 of 4 are taken, and no 2 others lie together") as caught:
        arena.allocate(2)
    assert (caught.value.map_name, caught.value.number) == ("table", -12)  # -ENOMEM
    for pages, at in [(5, START), (1, START + 1), (1, START + 4 * PAGE), (0, 0), (-1, 0)]:
        with pytest.raises(InputError):
            arena.allocate(pages, at)
        with pytest.raises(InputError):
            arena.free(at, pages)


def test_memory_is_seen_in_place() -> None:
    arena = an_arena()
    pointer = arena.allocate(2)
    with arena.view(pointer + PAGE) as view:
        assert len(view) == PAGE
        view[:5] = b"hello"
    assert arena.read(pointer + PAGE, 5) == b"hello"
    arena.write(pointer + PAGE - 2, b"abcd")  # over the pages' border
    assert arena.read(pointer + PAGE - 2, 7) == b"abcdllo"
    arena.free(pointer, 2)
    assert arena.allocate(2) == pointer
    assert not any(arena.read(pointer, 2 * PAGE))  # who takes pages finds them zero


def test_memory_that_nobody_has_is_not_shown() -> None:
    arena = an_arena()
    with pytest.raises(InputError, match="allocate them first"):
        arena.view(START)
    pointer = arena.allocate()
    arena.view(pointer, PAGE).release()
    for at, size in [(pointer + 1, PAGE), (pointer + PAGE, 1), (pointer, -1)]:
        with pytest.raises(InputError, match="are not in pages that somebody has"):
            arena.read(at, size)
    with pytest.raises(InputError, match="does not point into it"):
        arena.read(START - 1, 1)
    with pytest.raises(InputError, match="null pointer"):
        arena.read(0, 1)


def test_pointers_and_offsets() -> None:
    """As for programs, the low 32 bits tell where a pointer leads."""
    arena = an_arena()
    assert arena.pointer_to(5000) == START + 5000
    assert arena.offset_of(START + 5000) == 5000
    assert arena.offset_of((START + 5000) & 0xFFFFFFFF) == 5000
    for offset in (-1, 10 * PAGE):
        with pytest.raises(InputError):
            arena.pointer_to(offset)


def test_the_null_pointer_is_all_zero() -> None:
    """A first byte whose pointer ends in 32 bits of zero is a byte as every other."""
    arena = an_arena(3, extra=1 << 44)
    assert [arena.allocate() - arena.start for _ in range(3)] == [0, PAGE, 2 * PAGE]
    arena.write(1 << 44, b"x")
    assert arena.read(1 << 44, 1) == b"x"


def test_structures_in_place() -> None:
    builder = BTFBuilder()
    number = builder.add(Int("unsigned int", 4, 0))
    node = builder.add(Struct("node", 16, []))
    pointer = builder.add(Pointer(node))
    members = [Member("next", pointer, 0, 0), Member("value", number, 64, 0)]
    builder.add(Struct("link", 16, members))
    btf = builder.build()
    arena = an_arena(btf=btf)
    at = arena.allocate()
    link = arena.struct(at + 32, "link")
    link.value = 7
    link.next = at
    assert arena.read(at + 32, 12) == at.to_bytes(8, "little") + (7).to_bytes(4, "little")
    again = arena.struct(at + 32, struct_class(btf, "link"))
    assert (again.next, again.value) == (at, 7)
    with pytest.raises(InputError, match="are not in pages that somebody has"):
        arena.struct(at + PAGE - 8, "link")
    with pytest.raises(InputError, match="without BTF"):
        an_arena().struct(START, "link")


def test_what_is_seen_keeps_the_arena_open() -> None:
    arena = an_arena()
    view = arena.view(arena.allocate())
    with pytest.raises(BufferError):
        arena.close()
    view.release()
    arena.close()
    with pytest.raises(ClosedError):
        arena.allocate()


def test_other_maps_have_no_pages() -> None:
    table = a_map("array")
    with pytest.raises(MapError, match="maps of type array cannot do that"):
        table.alloc_pages(1)
    with pytest.raises(MapError, match="maps of type arena cannot do that"):
        an_arena()[b""]
