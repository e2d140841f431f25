"""Arrays: what users may do, as statuses and bytes."""

from __future__ import annotations

import struct
import threading
from typing import Any

import pytest

from anybpf import _core

OK = _core.STATUSES.index("OK")
ANY, NOEXIST, EXIST, LOCK = 0, 1, 2, 4


def status(name: str) -> int:
    return _core.STATUSES.index(name)


def u32(number: int) -> bytes:
    return struct.pack("=I", number)


def make(value_size: int = 8, entries: int = 4, **more: Any) -> _core.Map:
    return _core.Map(_core.Domain(2), 1, "array", 4, value_size, entries, **more)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 8, 9, 16, 100, 4096])
def test_entries_are_there_from_the_start_and_keep_what_is_written(size: int) -> None:
    array = make(size)
    assert array.lookup(u32(3)) == bytes(size)
    value = bytes(i & 255 or 1 for i in range(size))
    assert array.update(u32(3), value) == OK
    assert array.lookup(u32(3)) == value
    assert array.lookup(u32(2)) == bytes(size)
    assert array.count() == 4
    assert array.check() is None


def test_an_index_beyond_the_end() -> None:
    array = make()
    assert array.lookup(u32(4)) is None
    assert array.update(u32(4), bytes(8)) == status("BAD_INDEX")
    assert array.update(u32(0xFFFFFFFF), bytes(8)) == status("BAD_INDEX")


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (ANY, "OK"),
        (EXIST, "OK"),
        (NOEXIST, "ALWAYS_THERE"),
        (NOEXIST | EXIST, "BAD_FLAGS"),
        (LOCK, "BAD_FLAGS"),
        (8, "BAD_FLAGS"),
        (1 << 63, "BAD_FLAGS"),
    ],
)
def test_flags_of_updates(flags: int, expected: str) -> None:
    assert make().update(u32(0), bytes(8), flags) == status(expected)


def test_entries_cannot_be_deleted_or_are_made_zero() -> None:
    array = make()
    assert array.delete(u32(0)) == status("CANNOT_DELETE")
    for size in (8, 24):
        zeroing = make(size, flags=_core.MAP_FLAGS["DELETE_ZEROES"])
        zeroing.update(u32(1), b"x" * size)
        assert zeroing.delete(u32(1)) == OK
        assert zeroing.lookup(u32(1)) == bytes(size)
        assert zeroing.delete(u32(4)) == status("BAD_INDEX")


@pytest.mark.parametrize(
    ("key_size", "value_size", "entries"),
    [(4, 0, 1), (4, 8, 0), (8, 8, 1), (0, 8, 1), (4, 0xFFFFFFFF, 1)],
)
def test_sizes_that_make_no_array(key_size: int, value_size: int, entries: int) -> None:
    with pytest.raises(ValueError, match=f"status {status('BAD_SIZE')}"):
        _core.Map(_core.Domain(1), 1, "array", key_size, value_size, entries)


def test_more_than_there_can_be() -> None:
    with pytest.raises(ValueError, match=f"status {status('NO_MEMORY')}"):
        make(0x7FFFFFF0, 0xFFFFFFFF)


def test_walking() -> None:
    array = make(entries=3)
    assert array.next_key(None) == u32(0)
    assert array.next_key(u32(0)) == u32(1)
    assert array.next_key(u32(2)) is None
    assert array.next_key(u32(77)) == u32(0)


@pytest.mark.parametrize("size", [4, 8, 12])
def test_scanning_in_steps(size: int) -> None:
    array = make(size, 10000)
    for number in (0, 4095, 4096, 9999):
        array.update(u32(number), u32(number + 1).ljust(size, b"\0"))
    cursor, seen, done = 0, {}, False
    while not done:
        cursor, keys, values, count, done = array.scan(cursor, 3000)
        for i in range(count):
            key = struct.unpack_from("=I", keys, 4 * i)[0]
            seen[key] = struct.unpack_from("=I", values, size * i)[0]
    assert len(seen) == 10000
    assert {key for key, value in seen.items() if value} == {0, 4095, 4096, 9999}
    assert seen[9999] == 10000


def test_a_spin_lock_is_neither_written_nor_shown() -> None:
    array = make(16, lock_offset=4)
    assert array.update(u32(1), b"\xff" * 16, LOCK) == OK
    expected = b"\xff" * 4 + bytes(4) + b"\xff" * 8
    assert array.lookup(u32(1)) == expected
    assert array.lookup(u32(1), LOCK) == expected
    assert bytes(array.values_view())[16:32] == expected


def test_a_timer_is_neither_written_nor_shown() -> None:
    array = make(32, timer_offset=8)
    assert array.update(u32(0), b"\xff" * 32) == OK
    assert array.lookup(u32(0)) == b"\xff" * 8 + bytes(16) + b"\xff" * 8


def test_views_are_the_values_themselves() -> None:
    array = make(4, 100)
    with array.values_view() as view:
        assert view.nbytes == 800  # each value is padded to 8 bytes
        view[8:12] = u32(77)
        assert array.lookup(u32(1)) == u32(77)
        with pytest.raises(BufferError, match="1 views"):
            array.close()
        assert array.freeze() == status("BUSY")
    assert array.freeze() == OK
    assert array.update(u32(1), u32(1)) == status("DENIED")
    assert array.values_view().readonly


def test_users_copies_are_never_torn() -> None:
    array = make(256, 2)
    stop = threading.Event()

    def write(letter: bytes) -> None:
        keys, values = u32(0) * 64, letter * 256 * 64
        while not stop.is_set():
            array.update_many(keys, values)

    writers = [threading.Thread(target=write, args=(letter,)) for letter in (b"a", b"b")]
    for writer in writers:
        writer.start()
    try:
        out = bytearray(256 * 512)
        for _ in range(50):
            assert array.lookup_many(u32(0) * 512, out) == (512, OK)
            for start in range(0, len(out), 256):
                assert len(set(out[start : start + 256])) == 1
    finally:
        stop.set()
        for writer in writers:
            writer.join()
