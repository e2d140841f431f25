"""What to say when a map refuses: the core's status in words, the map, the key, and what helps."""

from __future__ import annotations

from typing import Final

from anybpf import _core
from anybpf.errors import AnyBPFError, ClosedError, KeyExists, MapError, MapFull, NoSuchKey

# The core's statuses by name.
STATUS: Final = {name: number for number, name in enumerate(_core.STATUSES)}

# By status: what was found, and what to do about it. {k} is the key.
_WORDS: dict[str, tuple[type[MapError], str]] = {
    "MISSING": (NoSuchKey, "there is no entry {k}"),
    "MISSING_KEY": (NoSuchKey, "there is no entry {k}"),
    "MISSING_PREFIX": (NoSuchKey, "no prefix in it matches {k}"),
    "EMPTY": (NoSuchKey, "it is empty"),
    "EXISTS": (KeyExists, "there is an entry {k} already (leave out NOEXIST to replace it)"),
    "ALWAYS_THERE": (KeyExists, "an array's entry {k} is there from the start (leave out NOEXIST)"),
    "CANNOT_DELETE": (MapError, "an array's entries cannot be deleted (set {k} to zero instead)"),
    "FULL": (MapFull, "it has its {max_entries} entries; delete some, or give it more max_entries"),
    "QUEUE_FULL": (
        MapFull,
        "it has its {max_entries} entries; take some out, or push with EXIST to drop the oldest",
    ),
    "BAD_INDEX": (MapError, "{k} is past its end: it has {max_entries} entries"),
    "BAD_KEY": (MapError, "{k} is no key that it can have"),
    "BAD_VALUE": (MapError, "that is no value that it can have"),
    "BAD_FLAGS": (MapError, "these flags do not exist or not together (ANY, NOEXIST, EXIST, LOCK)"),
    "BAD_OBJECT": (MapError, "the program or map is not of the kind that it holds"),
    "NO_OBJECT": (MapError, "there is no such program or map"),
    "NOT_SUPPORTED": (MapError, "maps of type {type} cannot do that"),
    "DENIED": (MapError, "it is frozen, or its flags forbid it"),
    "NO_MEMORY": (MapError, "there is no memory left"),
    "NO_SPACE": (MapError, "there is no room in it now: read some records first"),
    "TOO_BIG": (MapError, "a record of that size never fits into it"),
    "BUSY": (MapError, "somebody else is using it in the same way"),
    "DAMAGED": (MapError, "its shared memory makes no sense: another process wrote there"),
}  # fmt: skip


def fail(
    *,
    name: str,
    type_name: str,
    key_name: str,
    key_size: int,
    value_name: str,
    value_size: int,
    max_entries: int,
    numbers: list[int] | None,
    what: str,
    status: int,
    key: object,
) -> AnyBPFError:
    """The error for a status of the core; ``what`` and ``key`` as ``_core.Map`` gives them."""
    if status < 0:
        return ClosedError(f"map {name} is closed: load its collection or open its pin again")
    word = _core.STATUSES[status]
    number = numbers[status] if numbers is not None else 0
    if what in ("key", "value"):
        size, wanted = (key_size, key_name) if what == "key" else (value_size, value_name)
        found = (
            f"{len(key)} bytes" if isinstance(key, bytes | bytearray | memoryview) else repr(key)
        )
        return MapError(
            f"map {name}: {found} is no {what} of it: that is {wanted}, {size} bytes",
            map_name=name, status=word, number=number, key=key,
        )  # fmt: skip
    kind, text = _WORDS.get(word, (MapError, word.lower().replace("_", " ")))
    shown = "" if key is None else repr(key)
    action = f"{what} {shown}" if shown and "{k}" not in text else what
    text = text.format(k=shown, max_entries=max_entries, type=type_name)
    return kind(
        f"map {name}: cannot {action}: {text}", map_name=name, status=word, number=number, key=key
    )
