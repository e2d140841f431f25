"""Messages between clients and the service: bounded frames of JSON with bytes beside it.

A frame is a header (magic, bytes of JSON, number of blobs, bytes of all blobs), the JSON, the
blobs' lengths and the blobs. In the JSON, ``{"$b": 2}`` stands for the third blob. Nothing in a
frame is code, and a frame's size is known, and refused, before anything of it is kept.
What messages mean is the business of ``requests``.
"""

from __future__ import annotations

import json
import struct
from typing import Any, Final

from anybpf import errors
from anybpf.errors import AnyBPFError, InputError

MAGIC: Final = 0x31535641  # "AVS1"
HEADER: Final = struct.Struct("<IIII")
MOST_JSON: Final = 4 << 20
MOST_BLOBS: Final = 4096
MOST_BYTES: Final = 64 << 20
# File descriptors that may come with a frame.
MOST_FILES: Final = 4


class WireError(InputError):
    """Bytes that are no message."""


def encode(value: object) -> bytes:
    """A value of JSON's types, and of bytes, as a frame."""
    blobs: list[bytes] = []

    def put(one: object) -> object:
        if isinstance(one, bytes | bytearray | memoryview):
            blobs.append(bytes(one))
            return {"$b": len(blobs) - 1}
        raise InputError(f"{type(one).__name__} cannot be sent to or by the service")

    text = json.dumps(value, separators=(",", ":"), default=put).encode()
    if not blobs:
        if len(text) > MOST_JSON:
            raise InputError(f"a message of {len(text)} bytes is too large ({MOST_JSON} at most)")
        return HEADER.pack(MAGIC, len(text), 0, 0) + text
    size = sum(map(len, blobs))
    if len(text) > MOST_JSON or len(blobs) > MOST_BLOBS or size > MOST_BYTES:
        raise InputError(
            f"a message of {len(text) + size} bytes is too large (at most {MOST_BYTES} of data)"
        )
    lengths = struct.pack(f"<{len(blobs)}I", *map(len, blobs))
    return b"".join((HEADER.pack(MAGIC, len(text), len(blobs), size), text, lengths, *blobs))


def frame_size(start: bytes | bytearray) -> int:
    """How long the frame is that begins so, once the header is there; 0 before."""
    if len(start) < HEADER.size:
        return 0
    magic, text, blobs, size = HEADER.unpack_from(start)
    if magic != MAGIC:
        raise WireError("this is no message of anybpf")
    if text > MOST_JSON or blobs > MOST_BLOBS or size > MOST_BYTES:
        raise WireError(f"a message of {text + size} bytes is too large")
    return int(HEADER.size + text + 4 * blobs + size)


def decode(frame: bytes | bytearray) -> Any:
    """The value of a whole frame; :class:`WireError` if it makes no sense."""
    _, text, count, size = HEADER.unpack_from(frame)
    at = HEADER.size + text
    try:
        if not count:
            return json.loads(frame[HEADER.size : at])
        lengths = struct.unpack_from(f"<{count}I", frame, at)
        if sum(lengths) != size:
            raise WireError("the blobs of a message have another size than it says")
        at += 4 * count
        blobs = []
        for length in lengths:
            blobs.append(bytes(frame[at : at + length]))
            at += length

        def take(one: dict[str, Any]) -> Any:
            return blobs[one["$b"]] if "$b" in one else one

        return json.loads(frame[HEADER.size : HEADER.size + text], object_hook=take)
    except (ValueError, TypeError, IndexError, RecursionError) as error:
        raise WireError(f"the JSON of a message cannot be read: {error}") from None


# Errors.

_PLAIN = (str, int, float, bool, type(None))


def error_to_wire(error: BaseException) -> dict[str, Any]:
    """An error of the tree as it is; of any other, that there was one."""
    if not isinstance(error, AnyBPFError):
        kind = "InputError" if isinstance(error, OSError) else "AnyBPFError"
        return {"kind": kind, "text": f"{type(error).__name__}: {error}", "fields": {}}
    kind = next(one.__name__ for one in type(error).__mro__ if hasattr(errors, one.__name__))
    fields = {
        name: value
        for name, value in vars(error).items()
        if isinstance(value, _PLAIN) and not name.startswith("_")
    }
    return {"kind": kind, "text": str(error), "fields": fields}


def error_from_wire(told: Any) -> AnyBPFError:
    """The error of that name with those fields, to be raised at the client's."""
    if not isinstance(told, dict):
        return AnyBPFError("the service sent an error that cannot be read")
    kind = getattr(errors, str(told.get("kind", "")), AnyBPFError)
    if not (isinstance(kind, type) and issubclass(kind, AnyBPFError)):
        kind = AnyBPFError
    text = str(told.get("text", ""))
    made = kind.__new__(kind)
    made.args = (text,)
    fields = told.get("fields")
    for name in ("message", "verification"):
        if kind.__init__ is not AnyBPFError.__init__:
            made.__dict__[name] = text if name == "message" else None
    for name, value in (fields if isinstance(fields, dict) else {}).items():
        if isinstance(value, _PLAIN):
            made.__dict__[str(name)] = value
    return made
