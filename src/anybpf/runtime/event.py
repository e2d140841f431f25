"""What happened, as helpers tell it to programs: whose process, which socket, which cgroup.

A test run says it by name; hooks fill the same structure (``src/core/run.h``) on their own.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from struct import Struct
from typing import Final

from anybpf.errors import InputError
from anybpf.platforms.table import near

EventValue = Mapping[str, int | str | bytes] | None

# struct anybpf_event up to `present`, and its bits: src/core/run.h.
_LAYOUT: Final = Struct("=QQ16sQQQQQQQQiI")
_PLACES: Final = (
    "pid_tgid",
    "uid_gid",
    "comm",
    "cgroup_id",
    "socket_cookie",
    "netns_cookie",
    "attach_cookie",
    "function_ip",
    "logon_id",
    "process_start_key",
    "thread_create_time",
    "is_admin",
)
# Which bit says that a place is known; the last two of a process go together.
_PRESENT: Final = {
    "pid_tgid": 1 << 0,
    "uid_gid": 1 << 1,
    "comm": 1 << 2,
    "cgroup_id": 1 << 3,
    "socket_cookie": 1 << 4,
    "netns_cookie": 1 << 5,
    "attach_cookie": 1 << 6,
    "function_ip": 1 << 7,
    "logon_id": 1 << 8,
    "process_start_key": 1 << 9,
    "thread_create_time": 1 << 9,
    "is_admin": 1 << 10,
}
# Names of halves: process and thread, user and group. (place, shift)
_HALVES: Final = {
    "pid": ("pid_tgid", 32),
    "tid": ("pid_tgid", 0),
    "gid": ("uid_gid", 32),
    "uid": ("uid_gid", 0),
}
NAMES: Final = (*_HALVES, *_PLACES)


def event_bytes(value: EventValue) -> bytes:
    """The structure. What is not named is not known; with nothing named it is this very thread.

    >>> len(event_bytes({"pid": 7, "comm": "init"}))
    104
    """
    if value is None:
        return _this_thread()
    if not isinstance(value, Mapping):
        raise InputError(
            f'an event is values by name, such as {{"pid": 1}}, not {type(value).__name__}'
        )
    numbers = dict.fromkeys(_PLACES, 0)
    comm = b""
    present = 0
    for name, one in value.items():
        if name not in NAMES:
            raise InputError(
                f"an event has no {name!r}{near(name, NAMES) or f'; it has: {chr(44).join(NAMES)}'}"
            )
        place, shift = _HALVES.get(name, (name, 0))
        present |= _PRESENT[place]
        if name == "comm":
            comm = one.encode() if isinstance(one, str) else bytes(one) if _is_bytes(one) else b"?"
            continue
        if not isinstance(one, int):
            raise InputError(f"{name} of an event is a number, not {type(one).__name__}")
        bits = 32 if name in _HALVES or name == "is_admin" else 64
        if not -(1 << (bits - 1)) <= one < 1 << bits:
            raise InputError(f"{name} of an event has {bits} bits, {one} does not fit")
        if name == "pid" and "tid" not in value:
            numbers[place] |= one & 0xFFFFFFFF  # the first thread has its process's number
        numbers[place] |= (one & ((1 << bits) - 1)) << shift
    admin = numbers["is_admin"]
    numbers["is_admin"] = admin - (1 << 32) if admin >> 31 else admin
    # A name that is too long is cut, with a zero behind it, as the kernel does.
    filled = [comm[:15] if name == "comm" else numbers[name] for name in _PLACES]
    return _LAYOUT.pack(*filled, present)


def _is_bytes(value: object) -> bool:
    return isinstance(value, (bytes, bytearray, memoryview))


def _this_thread() -> bytes:
    """The same for the thread that asks: made once for each."""
    process = os.getpid()  # another one in a child
    known: tuple[int, bytes] | None = getattr(_made, "event", None)
    if known is None or known[0] != process:
        known = _made.event = (process, event_bytes(_here()))
    return known[1]


_made = threading.local()


def _here() -> Mapping[str, int | str | bytes]:
    thread = threading.current_thread()
    found: dict[str, int | str | bytes] = {
        "pid": os.getpid(),
        "tid": (thread.native_id or 0) & 0xFFFFFFFF,
        "comm": "python" if thread is threading.main_thread() else thread.name,
    }
    if hasattr(os, "getuid"):
        found |= {"uid": os.getuid(), "gid": os.getgid()}
    return found
