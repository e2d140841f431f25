"""XDP programs of network devices by rtnetlink: who is there, and putting one there.

Layouts and numbers: include/uapi/linux/netlink.h, rtnetlink.h and if_link.h.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from struct import pack, unpack_from
from typing import Final

from anybpf.errors import InputError

_GETLINK, _SETLINK = 18, 19
_ERROR, _DONE = 2, 3
_REQUEST, _ACK, _DUMP = 1, 4, 0x300
_IFLA_XDP: Final = 43
_FD, _ATTACHED, _FLAGS, _PROG_ID = 1, 2, 3, 4
_NESTED: Final = 0x8000
_NOEXIST: Final = 1
_MODES: Final = {"": 0, "generic": 2, "drv": 4, "offload": 8}
# XDP_ATTACHED_*; a device with several programs has one of each mode.
_WORDS: Final = {1: "driver", 2: "generic", 3: "offload"}
_SINGLE: Final = {5: "driver", 6: "generic", 7: "offload"}  # IFLA_XDP_DRV_PROG_ID and so on
_MULTI: Final = 4


class XDP:
    """A program on a device."""

    def __init__(self, index: int, mode: str, program: int) -> None:
        self.index = index
        self.mode = mode
        self.program = program


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(data):
        size, kind = unpack_from("=HH", data, at)
        if size < 4:
            return
        yield kind & ~_NESTED, data[at + 4 : at + size]
        at += (size + 3) & ~3


def _exchange(kind: int, flags: int, body: bytes) -> Iterator[tuple[int, bytes]]:
    """Send a request; the messages of the answer."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as line:
        line.settimeout(10)
        line.send(pack("=IHHII", 16 + len(body), kind, flags | _REQUEST, 1, 0) + body)
        while True:
            data = line.recv(1 << 17)
            at = 0
            while at + 16 <= len(data):
                size, what = unpack_from("=IH", data, at)
                if size < 16:
                    raise InputError(f"netlink: a message of {size} bytes")
                yield what, data[at + 16 : at + size]
                if what in (_DONE, _ERROR):
                    return
                at += (size + 3) & ~3


def xdp_programs() -> list[XDP]:
    """All programs on the devices of this network namespace."""
    out = []
    for what, data in _exchange(_GETLINK, _DUMP, pack("=BxHiII", 0, 0, 0, 0, 0)):
        if what in (_DONE, _ERROR):
            break
        index = unpack_from("=i", data, 4)[0]
        for kind, value in _attributes(data[16:]):
            if kind == _IFLA_XDP:
                out += _of_device(index, dict(_attributes(value)))
    return out


def _of_device(index: int, found: dict[int, bytes]) -> list[XDP]:
    attached = found.get(_ATTACHED, b"\0")[0]
    if attached == _MULTI:
        return [
            XDP(index, word, unpack_from("=I", found[kind])[0])
            for kind, word in _SINGLE.items()
            if kind in found
        ]
    if attached in _WORDS and _PROG_ID in found:
        return [XDP(index, _WORDS[attached], unpack_from("=I", found[_PROG_ID])[0])]
    return []


def _attribute(kind: int, value: bytes) -> bytes:
    return pack("=HH", 4 + len(value), kind) + value.ljust((len(value) + 3) & ~3, b"\0")


def set_xdp(index: int, fd: int, mode: str, overwrite: bool) -> int:
    """Put a program's descriptor there, or take what is there away (-1); the error number."""
    flags = _MODES[mode] | (0 if overwrite else _NOEXIST)
    inner = _attribute(_FD, pack("=i", fd)) + _attribute(_FLAGS, pack("=I", flags))
    body = pack("=BxHiII", 0, 0, index, 0, 0) + _attribute(_IFLA_XDP | _NESTED, inner)
    for what, data in _exchange(_SETLINK, _ACK, body):
        if what == _ERROR:
            return int(-unpack_from("=i", data)[0])
    return 0
