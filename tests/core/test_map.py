"""Domains and maps as Python sees them, whatever the kind."""

from __future__ import annotations

import gc
import os
import struct
import sys
import weakref
from pathlib import Path
from typing import Any

import pytest

from anybpf import _core

linux_only = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="shared maps are built on Linux's memory files"
)


def u32(number: int) -> bytes:
    return struct.pack("=I", number)


class Failed(Exception):
    """What the face raised."""


class Face(_core.Map):
    """A face that says what it was told, and has a codec of its own."""

    def _fail(self, what: str, status: int, key: object, /) -> None:
        raise Failed(what, "CLOSED" if status < 0 else _core.STATUSES[status], key)

    def _encode_key(self, key: Any, /) -> bytes:
        return u32(len(key))

    def _encode_value(self, value: Any, /) -> bytes:
        return str(value).encode().ljust(self.value_size, b" ")

    def _decode_value(self, value: bytes, /) -> str:
        return value.decode().strip()


def make(value_size: int = 8, entries: int = 4, **more: Any) -> Face:
    return Face(_core.Domain(2), 1, "array", 4, value_size, entries, **more)


@pytest.mark.parametrize(
    ("code", "size", "low", "high"),
    [
        ("u1", 1, 0, 2**8 - 1),
        ("u2", 2, 0, 2**16 - 1),
        ("u4", 4, 0, 2**32 - 1),
        ("u8", 8, 0, 2**64 - 1),
        ("i1", 1, -(2**7), 2**7 - 1),
        ("i2", 2, -(2**15), 2**15 - 1),
        ("i4", 4, -(2**31), 2**31 - 1),
        ("i8", 8, -(2**63), 2**63 - 1),
    ],
)
def test_integers(code: str, size: int, low: int, high: int) -> None:
    array = make(size)
    array.set_codec("u4", code)
    for number in (low, high, 1, 0):
        array[2] = number
        assert array[2] == array.get(2) == number
    for number in (low - 1, high + 1, 2**70, -(2**70)):
        with pytest.raises(Failed) as failure:
            array[2] = number
        assert failure.value.args == ("value", "BAD_ARGUMENT", number)
    assert array[2] == 0


def test_keys_that_are_no_integers() -> None:
    array = make()
    array.set_codec("u4", "u8")
    for key in ("a", 1.0, None, -1, 2**32):
        with pytest.raises(Failed) as failure:
            array[key]
        assert failure.value.args == ("key", "BAD_ARGUMENT", key)


def test_what_is_not_there() -> None:
    array = make()
    array.set_codec("u4", "u8")
    assert 3 in array
    assert 4 not in array
    assert array.get(4) is None
    assert array.get(4, "nothing") == "nothing"
    with pytest.raises(Failed) as failure:
        array[4]
    assert failure.value.args == ("lookup", "MISSING", 4)
    with pytest.raises(Failed) as failure:
        del array[0]
    assert failure.value.args == ("delete", "CANNOT_DELETE", 0)


def test_bytes_and_buffers() -> None:
    array = make()
    array[u32(1)] = memoryview(b"abcdefgh")
    assert array[bytearray(u32(1))] == b"abcdefgh"
    with pytest.raises(Failed) as failure:
        array[b"abc"]
    assert failure.value.args == ("key", "BAD_SIZE", b"abc")
    with pytest.raises(Failed) as failure:
        array[u32(1)] = b"abc"
    assert failure.value.args == ("value", "BAD_SIZE", b"abc")
    with pytest.raises(Failed):
        array["text"]


def test_objects_go_by_the_faces_own_methods() -> None:
    array = make()
    array.set_codec("O", "O")
    array["abc"] = 42
    assert array["abc"] == "42"
    assert array.lookup(u32(3)) == b"42      "


def test_an_encoder_that_closes_the_map() -> None:
    class Closing(Face):
        def _encode_key(self, key: Any, /) -> bytes:
            self.close()
            return u32(0)

    for use in (
        lambda array: array["x"],
        lambda array: "x" in array,
        lambda array: array.__setitem__("x", "y"),
    ):
        array = Closing(_core.Domain(1), 1, "array", 4, 8, 1)
        array.set_codec("O", "O")
        with pytest.raises(Failed) as failure:
            use(array)
        assert failure.value.args == ("use", "CLOSED", None)


def test_codes_that_do_not_fit() -> None:
    for codes in (("u8", "u8"), ("u4", "u4"), ("x", "B"), ("u4", ""), ("u4", "u16")):
        with pytest.raises(ValueError, match="does not fit"):
            make().set_codec(*codes)


def test_closing() -> None:
    array = make()
    array.close()
    array.close()
    assert array.closed
    for use in (lambda: array.kind, lambda: array[u32(0)], lambda: array.scan(0, 1), array.check):
        with pytest.raises(Failed) as failure:
            use()
        assert failure.value.args == ("use", "CLOSED", None)


def test_a_number_is_free_again_when_the_map_is_closed() -> None:
    domain = _core.Domain(1)
    first = Face(domain, 5, "array", 4, 8, 1)
    with pytest.raises(Failed) as failure:
        Face(domain, 5, "array", 4, 8, 1)
    assert failure.value.args == ("create", "EXISTS", None)
    first.close()
    assert Face(domain, 5, "array", 4, 8, 1).id == 5


def test_views_keep_the_map_alive() -> None:
    array = make()
    array.update(u32(0), b"abcdefgh")
    view = array.values_view()
    alive = weakref.ref(array)
    del array
    gc.collect()
    assert alive() is not None
    assert bytes(view[:8]) == b"abcdefgh"
    del view
    assert alive() is None


def test_rights_of_users() -> None:
    reads = make(flags=_core.MAP_FLAGS["USER_READS_ONLY"])
    assert _core.STATUSES[reads.update(u32(0), bytes(8))] == "DENIED"
    assert reads.values_view().readonly
    writes = make(flags=_core.MAP_FLAGS["USER_WRITES_ONLY"])
    assert _core.STATUSES[writes.update(u32(0), bytes(8))] == "OK"
    with pytest.raises(Failed) as failure:
        writes.lookup(u32(0))
    assert failure.value.args[:2] == ("lookup", "DENIED")
    with pytest.raises(Failed):
        writes.values_view()


def test_batches() -> None:
    array = make(entries=4)
    keys = b"".join(u32(i) for i in (0, 3, 9, 1))
    values = struct.pack("=4Q", 10, 13, 19, 11)
    done, status = array.update_many(keys, values)
    assert (done, _core.STATUSES[status]) == (2, "BAD_INDEX")
    out, present = bytearray(32), bytearray(4)
    assert array.lookup_many(keys, out, present) == (4, 0)
    assert present == b"\1\1\0\1"
    assert struct.unpack("=4Q", out)[:2] == (10, 13)
    done, status = array.lookup_many(keys, out)
    assert (done, _core.STATUSES[status]) == (2, "MISSING")
    with pytest.raises(Failed):
        array.update_many(keys, values[:-1])
    with pytest.raises(Failed):
        array.update_many(keys[:-1], values)
    values_out = bytearray(8 * 4)
    assert array.scan_into(0, None, values_out) == (4, 4, True)
    assert struct.unpack("=4Q", values_out) == (10, 0, 0, 13)


def test_what_makes_no_map() -> None:
    domain = _core.Domain(1)
    with pytest.raises(Failed) as failure:
        Face(domain, 1, "tree of maps", 4, 8, 1)
    assert failure.value.args == ("create", "NOT_SUPPORTED", None)
    with pytest.raises(Failed) as failure:
        Face(domain, 1, "array", 4, 8, 1, name="x" * 64)
    assert failure.value.args == ("create", "NAME_TOO_LONG", None)
    with pytest.raises(ValueError, match="id"):
        Face(domain, 0, "array", 4, 8, 1)
    with pytest.raises(TypeError):
        Face(object(), 1, "array", 4, 8, 1)  # type: ignore[arg-type]
    for cpus in (0, -1, 1025, 2**40):
        with pytest.raises(ValueError, match="1 to 1024"):
            _core.Domain(cpus)
    with pytest.raises(ValueError, match="never made"):
        _core.Domain.__new__(_core.Domain).cpus  # noqa: B018


def test_memory_comes_back() -> None:
    domain = _core.Domain(2)
    for _ in range(2000):  # 2000 times 16 MiB would not fit
        array = _core.Map(domain, 1, "array", 4, 1 << 14, 1 << 10)
        array.update(u32(7), b"x" * (1 << 14))
        array.close()
    assert domain.collect() == 0
    assert domain.synchronize(0.0)


@linux_only
def test_another_domain_object_sees_the_same_map() -> None:
    domain = _core.Domain(2, shared=True)
    array = Face(domain, 9, "array", 4, 16, 4, shared=True, name="both")
    other = _core.Domain.attach(domain.fd)
    view = Face.attach(other, array.fd)
    assert (view.id, view.kind, view.name, view.max_entries) == (9, "array", "both", 4)
    view.update(u32(3), b"from the other  ")
    assert array.lookup(u32(3)) == b"from the other  "
    assert domain.participant != other.participant
    reader = Face.attach(_core.Domain.attach(domain.fd), array.fd, writable=False)
    assert reader.lookup(u32(3)) == b"from the other  "
    assert _core.STATUSES[reader.update(u32(3), bytes(16))] == "DENIED"
    assert reader.values_view().readonly
    with pytest.raises(Failed) as failure:
        Face.attach(_core.Domain(2, shared=True), array.fd)
    assert failure.value.args[:2] == ("attach", "BAD_OBJECT")


@linux_only
def test_a_child_goes_on_under_a_number_of_its_own() -> None:
    domain = _core.Domain(2, shared=True)
    private = _core.Domain(2)
    array = _core.Map(domain, 1, "array", 4, 64, 4, shared=True)
    before = domain.participant
    pid = os.fork()
    if pid == 0:
        ok = domain.participant != before and private.synchronize(0.0)
        os._exit(0 if ok and array.update(u32(2), b"x" * 64) == 0 else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert domain.participant == before
    assert array.lookup(u32(2)) == b"x" * 64


@linux_only
def test_files_that_are_no_domains() -> None:
    with open(os.devnull) as nothing, pytest.raises(OSError):  # noqa: PT011
        _core.Domain.attach(nothing.fileno())
    file = os.memfd_create("empty", os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(file, 1 << 16)
        with pytest.raises(OSError):  # noqa: PT011
            _core.Domain.attach(file)  # it could be cut under us
    finally:
        os.close(file)


@linux_only
def test_files_with_a_name_keep_a_map_when_nobody_has_it_open(tmp_path: Path) -> None:
    first = _core.Domain(2, shared=True)
    table = _core.Map(first, 7, "hash", 4, 8, 16, shared=True)
    assert table.update(u32(1), b"abcdefgh") == 0
    for name, fd in (("domain", first.fd), ("map", table.fd)):
        (tmp_path / name).write_bytes(os.pread(fd, os.fstat(fd).st_size, 0))
    table.close()
    for value in (b"abcdefgh", b"ABCDEFGH"):
        with open(tmp_path / "domain", "r+b") as one, open(tmp_path / "map", "r+b") as other:
            domain = _core.Domain.attach(one.fileno(), sealed=False)
            kept = _core.Map.attach(domain, other.fileno(), sealed=False)
        assert kept.id == 7
        assert kept.lookup(u32(1)) == value
        assert kept.update(u32(1), b"ABCDEFGH") == 0
        kept.close()
