"""Per-CPU arrays: a value for each processor."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from anybpf import _core

OK = _core.STATUSES.index("OK")


def u32(number: int) -> bytes:
    return struct.pack("=I", number)


def make(value_size: int = 4, entries: int = 3, **more: Any) -> _core.Map:
    return _core.Map(_core.Domain(2), 1, "percpu_array", 4, value_size, entries, **more)


def test_users_have_the_values_of_all_processors() -> None:
    array = make()
    value = u32(1) + bytes(4) + u32(2) + bytes(4)
    assert array.user_value_size == len(value)
    assert array.lookup(u32(2)) == bytes(16)
    assert array.update(u32(2), value) == OK
    assert array.lookup(u32(2)) == value
    assert array.lookup(u32(1)) == bytes(16)
    assert array.check() is None


def test_what_pads_values_is_not_kept() -> None:
    array = make()
    array.update(u32(0), b"\xff" * 16)
    assert array.lookup(u32(0)) == (b"\xff" * 4 + bytes(4)) * 2


def test_integers_are_lists_with_one_for_each_processor() -> None:
    array = make()
    array.set_codec("u4", "i4")
    array[1] = [-1, 5]
    assert array[1] == [-1, 5]
    with pytest.raises(ValueError, match="value"):
        array[1] = [1, 2, 3]
    with pytest.raises(ValueError, match="value"):
        array[1] = 7
    assert array[1] == [-1, 5]


def test_more_values_than_processors() -> None:
    assert make(cpus=5).user_value_size == 40
    with pytest.raises(ValueError, match=f"status {_core.STATUSES.index('BAD_SIZE')}"):
        make(cpus=1)


def test_views_have_a_row_for_each_processor() -> None:
    array = make(8, 5)
    array.update(u32(4), struct.pack("=QQ", 10, 20))
    view = array.values_view()
    assert view.shape == (2, 40)
    assert view[0, 32] == 10
    assert view[1, 32] == 20


def test_no_lock_in_values() -> None:
    with pytest.raises(ValueError, match=f"status {_core.STATUSES.index('NOT_SUPPORTED')}"):
        make(8, lock_offset=0)


def test_deleting_makes_zero_for_all() -> None:
    array = make(8, flags=_core.MAP_FLAGS["DELETE_ZEROES"])
    array.update(u32(0), b"x" * 16)
    assert array.delete(u32(0)) == OK
    assert array.lookup(u32(0)) == bytes(16)
