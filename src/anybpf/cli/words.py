"""Keys and values as people type them, and as they are shown: words to bytes, objects to words.

What a type is, say the codecs of ``anybpf.maps``; here is only the notation. A word becomes the
bytes of one type, so that it can go to any back end.
"""

from __future__ import annotations

import re
import sys
from json import JSONDecodeError, dumps, loads
from typing import Any

from anybpf.errors import InputError
from anybpf.maps.codecs import (
    Array,
    ArrayView,
    Bytes,
    Codec,
    Enumeration,
    Number,
    Struct,
    StructCodec,
    Text,
)

_PAIRS = re.compile(r"[0-9a-fA-F]{2}(?:[ :][0-9a-fA-F]{2})+")
_DIGITS = re.compile("[0-9a-fA-F]+")
_STEP = re.compile(r"\.?([A-Za-z_]\w*)|\[(\d+)\]")


def encode(word: str, codec: Codec, what: str) -> bytes:
    """The bytes that a word stands for. ``what`` names it in errors: "key", "value".

    >>> encode("80", Number("__u32", 4), "key").hex()
    '50000000'
    >>> encode("10.0.0.1", Bytes(4), "key").hex()
    '0a000001'
    """
    out = bytearray(codec.size)
    _put(out, 0, codec, word, what)
    return bytes(out)


def _put(out: bytearray, at: int, codec: Codec, word: str, what: str) -> None:
    if word[:1] in ("{", "[", '"'):
        try:
            given = loads(word)
        except JSONDecodeError as error:
            raise InputError(f"{what} {word}: no JSON: {error}") from None
        _put_object(out, at, codec, given, what)
        return
    _put_word(out, at, codec, word, what)


def _put_word(out: bytearray, at: int, codec: Codec, word: str, what: str) -> None:
    if isinstance(codec, StructCodec) and "=" in word:
        _put_fields(out, at, codec, word, what)
        return
    raw = _bytes_of(word, codec, what)
    if raw is not None:
        out[at : at + codec.size] = raw
        return
    codec.write(out, at, _plain_word(word, codec, what), what)


def _put_object(out: bytearray, at: int, codec: Codec, given: object, what: str) -> None:
    """What JSON said; strings in it are words again."""
    if isinstance(given, str):
        if isinstance(codec, Text):
            codec.write(out, at, given, what)
        elif isinstance(codec, Bytes) and len(given) == 2 * codec.size and _DIGITS.fullmatch(given):
            out[at : at + codec.size] = bytes.fromhex(given)  # as --json prints them
        else:
            _put_word(out, at, codec, given, what)
    elif isinstance(given, dict) and isinstance(codec, StructCodec):
        for name, one in given.items():
            inner, place = _walk(codec, name, what)
            _put_object(out, at + place, inner, one, f"{what} {name}")
    elif isinstance(given, list) and isinstance(codec, Array):
        if len(given) > codec.count:
            raise InputError(f"{what}: {codec.name} has {codec.count} elements, not {len(given)}")
        for index, one in enumerate(given):
            place = at + index * codec.element.size
            _put_object(out, place, codec.element, one, f"{what}[{index}]")
    elif isinstance(given, list) and isinstance(codec, Bytes):
        codec.write(out, at, _small_numbers(given, what), what)
    elif isinstance(given, int) and isinstance(codec, Bytes):
        out[at : at + codec.size] = _number_bytes(given, codec, what)
    else:
        codec.write(out, at, given, what)


def _small_numbers(given: list[object], what: str) -> bytes:
    try:
        return bytes(given)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise InputError(f"{what}: a list for bytes is one of numbers from 0 to 255") from None


def _put_fields(out: bytearray, at: int, codec: StructCodec, word: str, what: str) -> None:
    for part in split(word):
        path, sign, value = part.partition("=")
        if not sign:
            raise InputError(f"{what}: {part!r} is no field=value of {codec.name}")
        inner, place = _walk(codec, path.strip(), what)
        _put(out, at + place, inner, value.strip(), f"{what} {path.strip()}")


def split(word: str) -> list[str]:
    """The parts between commas, but for commas in brackets and quotes.

    >>> split('a=1,b=[2,3],c="x,y"')
    ['a=1', 'b=[2,3]', 'c="x,y"']
    """
    parts = [""]
    depth = 0
    quoted = False
    for letter in word:
        if letter == '"':
            quoted = not quoted
        elif not quoted:
            depth += (letter in "[{") - (letter in "]}")
        if letter == "," and not depth and not quoted:
            parts.append("")
        else:
            parts[-1] += letter
    return [part for part in parts if part.strip()]


def _walk(codec: Codec, path: str, what: str) -> tuple[Codec, int]:
    """The codec and the place of ``a.b[2]`` in a structure."""
    at = end = 0
    for found in _STEP.finditer(path):
        if found.start() != end:
            break
        end = found.end()
        name, index = found.groups()
        if name is not None:
            if not isinstance(codec, StructCodec) or name not in codec.fields:
                names = (
                    f"its fields are {', '.join(codec.fields)}"
                    if isinstance(codec, StructCodec)
                    else "it is no structure"
                )
                raise InputError(f"{what}: {codec.name} has no field {name!r}: {names}")
            field = codec.fields[name]
            codec, at = field.codec, at + field.offset
            continue
        number = int(index)
        if isinstance(codec, Bytes):
            codec = Array(codec.name, Number("__u8", 1), codec.size)
        if not isinstance(codec, Array) or number >= codec.count:
            count = f"{codec.count} elements" if isinstance(codec, Array) else "no elements"
            raise InputError(f"{what}: {codec.name} has {count}, there is no [{number}]")
        at += number * codec.element.size
        codec = codec.element
    if end != len(path) or not path:
        raise InputError(f"{what}: {path!r} is no field: write them as name, a.b or a[2]")
    return codec, at


def _bytes_of(word: str, codec: Codec, what: str) -> bytes | None:
    """A word that is written as bytes: digits, text in words, an address; None if it is not."""
    prefix, sign, rest = word.partition(":")
    if sign and prefix == "hex":
        return _sized(hex_bytes(rest, what), codec, what)
    if sign and prefix == "text":
        raw = rest.encode("utf-8", "surrogateescape")
        if len(raw) > codec.size:
            raise InputError(f"{what}: the text has {len(raw)} bytes, {codec.name} {codec.size}")
        return raw.ljust(codec.size, b"\0")
    if isinstance(codec, Text | StructCodec) and not _PAIRS.fullmatch(word):
        return None
    if isinstance(codec, Text):
        return None
    if _PAIRS.fullmatch(word):
        return _sized(hex_bytes(word, what), codec, what)
    address = _address(word)
    if address is not None and len(address) == codec.size:
        return address
    if isinstance(codec, Bytes):
        number = integer(word)
        if number is not None:
            return _number_bytes(number, codec, what)
        if len(word) == 2 * codec.size and _DIGITS.fullmatch(word):
            return bytes.fromhex(word)
        raise InputError(
            f"{what}: {word!r} does not say {codec.size} bytes: give an integer, hex:DIGITS or "
            "text:WORDS"
        )
    return None


def _sized(raw: bytes, codec: Codec, what: str) -> bytes:
    if len(raw) != codec.size:
        raise InputError(f"{what}: {len(raw)} bytes were given, {codec.name} has {codec.size}")
    return raw


def _number_bytes(number: int, codec: Codec, what: str) -> bytes:
    bits = 8 * codec.size
    if not -(1 << bits >> 1) <= number < 1 << bits:
        raise InputError(f"{what}: {number} does not fit in {codec.size} bytes")
    return (number & ((1 << bits) - 1)).to_bytes(codec.size, sys.byteorder)


def _address(word: str) -> bytes | None:
    import socket

    for family, letter in ((socket.AF_INET, "."), (socket.AF_INET6, ":")):
        if letter in word:
            try:
                return socket.inet_pton(family, word)
            except OSError:
                continue
    return None


def _plain_word(word: str, codec: Codec, what: str) -> object:
    if isinstance(codec, Text):
        return word
    if isinstance(codec, StructCodec):
        raise InputError(
            f"{what}: {word!r} is no {codec.name}: give field=value,…; its fields are "
            f"{', '.join(codec.fields)}"
        )
    if isinstance(codec, Enumeration) and word in codec.numbers:
        return word
    if word in ("true", "false"):
        return word == "true"
    number = integer(word)
    if number is not None:
        return number
    if isinstance(codec, Number) and codec.real:
        try:
            return float(word)
        except ValueError:
            pass
    return word  # which the codec refuses in its own words


def integer(word: str) -> int | None:
    """A number in decimal, or with 0x, 0o or 0b in front; None for anything else."""
    try:
        return int(word, 0)
    except ValueError:
        return int(word) if word.isascii() and word.isdigit() else None


def hex_bytes(word: str, what: str) -> bytes:
    """Digits, with spaces, colons or nothing between the bytes."""
    try:
        return bytes.fromhex(re.sub(r"[\s:]+|0x", "", word))
    except ValueError:
        raise InputError(f"{what}: {word!r} is not a number of bytes in hexadecimal") from None


# The way out.


def plain(value: Any) -> Any:
    """A key or value as lists, dicts, numbers, text and bytes."""
    if isinstance(value, Struct):
        return {name: plain(one) for name, one in value.as_dict().items()}
    if isinstance(value, ArrayView):
        return [plain(one) for one in value.plain()]
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    return value


def as_json(value: Any) -> Any:
    """The same for JSON: bytes are hexadecimal digits, text that is no UTF-8 is escaped."""
    value = plain(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    if isinstance(value, dict):
        return {name: as_json(one) for name, one in value.items()}
    if isinstance(value, list):
        return [as_json(one) for one in value]
    return value


def shown(value: Any) -> str:
    """The same for people.

    >>> shown({"port": 80, "address": bytes([10, 0, 0, 1]), "name": "eth0"})
    '{port: 80, address: 0a 00 00 01, name: "eth0"}'
    """
    value = plain(value)
    if isinstance(value, bytes):
        return value.hex(" ") or "(nothing)"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return dumps(as_json(value), ensure_ascii=False)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {shown(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(shown(one) for one in value) + "]"
    return "-" if value is None else str(value)
