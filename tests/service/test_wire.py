"""Frames: what goes in comes out, and what is none is refused."""

from __future__ import annotations

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anybpf.errors import AnyBPFError, InputError, MapError, NoSuchKey, NotSupported, PolicyError
from anybpf.service import wire

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64) | st.text() | st.binary(max_size=64),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text().filter(lambda key: key != "$b"), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(VALUES)
def test_values_come_back_as_they_were(value: object) -> None:
    frame = wire.encode(value)
    assert wire.frame_size(frame) == len(frame)
    assert wire.frame_size(frame[:15]) == 0
    assert wire.decode(frame) == value


@given(st.binary(max_size=200), st.integers(0, 60), st.integers(0, 3), st.integers(0, 60))
def test_any_bytes_are_a_value_or_no_message(body: bytes, text: int, count: int, size: int) -> None:
    frame = wire.HEADER.pack(wire.MAGIC, text, count, size) + body.ljust(text + 4 * count + size)
    whole = wire.frame_size(frame)
    with suppress(wire.WireError):
        wire.decode(frame[:whole])


@pytest.mark.parametrize(
    "header",
    [(0, 1, 0, 0), (wire.MAGIC, 1 << 31, 0, 0), (wire.MAGIC, 0, 1 << 20, 0),
     (wire.MAGIC, 0, 1, 1 << 31)],
)  # fmt: skip
def test_sizes_are_refused_before_anything_is_kept(header: tuple[int, ...]) -> None:
    with pytest.raises(wire.WireError):
        wire.frame_size(struct.pack("<4I", *header))


def test_deep_nesting_is_refused() -> None:
    text = b"[" * 1_000_000
    with pytest.raises(wire.WireError):
        wire.decode(wire.HEADER.pack(wire.MAGIC, len(text), 0, 0) + text)


def test_what_cannot_be_sent() -> None:
    with pytest.raises(InputError, match="object cannot be sent"):
        wire.encode([object()])
    with pytest.raises(InputError, match="too large"):
        wire.encode("x" * (wire.MOST_JSON + 1))


@pytest.mark.parametrize(
    "error",
    [
        PolicyError("no", policy="p", rule="r"),
        NoSuchKey("gone", map_name="m", status="MISSING", number=-2),
        NotSupported("this", where="here", since="v1"),
        InputError("so"),
    ],
)
def test_errors_come_back_as_they_were(error: AnyBPFError) -> None:
    made = wire.error_from_wire(wire.decode(wire.encode(wire.error_to_wire(error))))
    assert type(made) is type(error)
    assert str(made) == str(error)
    if isinstance(error, MapError):
        assert made.__dict__["map_name"] == "m"


def test_errors_of_no_known_kind() -> None:
    assert "ZeroDivisionError" in str(
        wire.error_from_wire(wire.error_to_wire(ZeroDivisionError("x")))
    )
    for told in (None, {"kind": "annotations"}, {"kind": "AnyBPFError", "fields": 3}):
        assert isinstance(wire.error_from_wire(told), AnyBPFError)
