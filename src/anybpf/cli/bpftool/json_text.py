"""JSON as bpftool spaces it: all on one line, or pretty with members on lines and items in rows.

A :class:`Raw` stands for text that is printed as it is: bpftool's listings of typed values have the
form of pretty JSON with numbers in hexadecimal, and pointers, between.
"""

from __future__ import annotations

from typing import Final

_INDENT: Final = "    "


class Raw(str):
    """Text to be printed without quotes."""

    __slots__ = ()


def compact(value: object) -> str:
    """One line, no spaces.

    >>> compact({"key": ["0x01", "0x00"], "value": None})
    '{"key":["0x01","0x00"],"value":null}'
    """
    if isinstance(value, dict):
        members = [f"{quoted(str(name))}:{compact(one)}" for name, one in value.items()]
        return "{" + ",".join(members) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join([compact(one) for one in value]) + "]"
    return scalar(value)


def pretty(value: object, depth: int = 0) -> str:
    """Members of objects have lines of their own; items of arrays follow each other.

    >>> print(pretty([{"id": 1, "map_ids": [2, 3]}]))
    [{
            "id": 1,
            "map_ids": [2,3
            ]
        }
    ]
    """
    end = f"\n{_INDENT * depth}"
    if isinstance(value, dict):
        if not value:
            return "{}"
        start = f"\n{_INDENT * (depth + 1)}"
        members = [
            f"{start}{quoted(str(name))}: {pretty(one, depth + 1)}" for name, one in value.items()
        ]
        return "{" + ",".join(members) + end + "}"
    if isinstance(value, list | tuple):
        if not value:
            return "[]"
        return "[" + ",".join([pretty(one, depth + 1) for one in value]) + end + "]"
    return scalar(value)


def scalar(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, str):
        return quoted(value)
    return str(value)


def quoted(text: str) -> str:
    """A string with its quotes; all that is not ASCII stands as it is.

    >>> quoted('a "b"')
    '"a \\\\"b\\\\""'
    """
    from json import dumps

    return dumps(text, ensure_ascii=False)
