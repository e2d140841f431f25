"""bpf(2) itself: its number, its commands, and one call. Nothing here knows what a map is.

A command's attributes are a packed structure, built by whoever calls with the layouts of the Linux
UAPI header linux/bpf.h (union bpf_attr, Linux 6.18). Buffers whose addresses stand in it must be
held by the caller until the call returns.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from ctypes import create_string_buffer
from typing import Final

from anybpf.errors import NotSupported

# Number of the system call, by machine: arch/*/include of Linux.
_NUMBERS: Final = {
    "x86_64": 321,
    "aarch64": 280,
    "riscv64": 280,
    "loongarch64": 280,
    "ppc64le": 361,
    "s390x": 351,
}

# Commands: enum bpf_cmd.
MAP_CREATE: Final = 0
MAP_LOOKUP_ELEM: Final = 1
MAP_UPDATE_ELEM: Final = 2
MAP_DELETE_ELEM: Final = 3
MAP_GET_NEXT_KEY: Final = 4
PROG_LOAD: Final = 5
OBJ_PIN: Final = 6
OBJ_GET: Final = 7
PROG_ATTACH: Final = 8
PROG_DETACH: Final = 9
PROG_TEST_RUN: Final = 10
PROG_GET_NEXT_ID: Final = 11
MAP_GET_NEXT_ID: Final = 12
PROG_GET_FD_BY_ID: Final = 13
MAP_GET_FD_BY_ID: Final = 14
OBJ_GET_INFO_BY_FD: Final = 15
PROG_QUERY: Final = 16
RAW_TRACEPOINT_OPEN: Final = 17
BTF_LOAD: Final = 18
BTF_GET_FD_BY_ID: Final = 19
TASK_FD_QUERY: Final = 20
MAP_LOOKUP_AND_DELETE_ELEM: Final = 21
MAP_FREEZE: Final = 22
BTF_GET_NEXT_ID: Final = 23
MAP_LOOKUP_BATCH: Final = 24
MAP_LOOKUP_AND_DELETE_BATCH: Final = 25
MAP_UPDATE_BATCH: Final = 26
MAP_DELETE_BATCH: Final = 27
LINK_CREATE: Final = 28
LINK_UPDATE: Final = 29
LINK_GET_FD_BY_ID: Final = 30
LINK_GET_NEXT_ID: Final = 31
ENABLE_STATS: Final = 32
ITER_CREATE: Final = 33
LINK_DETACH: Final = 34
PROG_BIND_MAP: Final = 35
TOKEN_CREATE: Final = 36

# What the kernel uses inside for "not supported", and lets out: include/linux/errno.h.
ENOTSUPP: Final = 524
_NAME_BYTES: Final = 16

if sys.platform == "linux":
    NUMBER = _NUMBERS.get(os.uname().machine, 0)
    # The C library's way into system calls, for who cannot afford `call` around it: where it gives
    # -1, `ctypes.get_errno()` says why. An object of its own: its argument types are everybody's.
    function = ctypes.CDLL(None, use_errno=True).syscall
    function.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_uint]
    function.restype = ctypes.c_long
else:  # pragma: no cover
    NUMBER = 0
    function = None


def call(command: int, attributes: bytes | bytearray) -> int:
    """The result, or minus the error number. Attributes come back changed in a ``bytearray``."""
    if not NUMBER:
        return -errno.ENOSYS
    size = len(attributes)
    if isinstance(attributes, bytearray):
        block = (ctypes.c_char * size).from_buffer(attributes)
    else:
        block = create_string_buffer(attributes, size)
    while True:
        result = int(function(NUMBER, command, block, size))
        if result >= 0:
            return result
        number = ctypes.get_errno()
        if number != errno.EINTR:
            return -number


def call_at(command: int, address: int, size: int) -> int:
    """The same with attributes that lie at an address already."""
    result = int(function(NUMBER, command, address, size))
    return result if result >= 0 else -ctypes.get_errno()


def word(number: int) -> str:
    """What an error number is called: ``EPERM``."""
    return "ENOTSUPP" if number == ENOTSUPP else errno.errorcode.get(number, str(number))


def text(number: int) -> str:
    """An error number in words, with its name."""
    said = "operation not supported" if number == ENOTSUPP else os.strerror(number).lower()
    return f"{word(number)} ({said})"


def kernel_name(name: str) -> bytes:
    """A name as the kernel takes it: letters, digits, dot and underscore; at most 15 of them."""
    kept = "".join([c if c.isascii() and (c.isalnum() or c in "_.") else "_" for c in name])
    return kept.encode()[: _NAME_BYTES - 1]


def release() -> str:
    """What runs here, for messages."""
    return f"Linux {os.uname().release}" if sys.platform == "linux" else sys.platform


def not_permitted(what: str) -> NotSupported:
    """The error for EPERM: which right was lacking the kernel does not say."""
    return NotSupported(
        what,
        where=(
            f"{release()} for this process: EPERM (operation not permitted); run it as root, or "
            "give it CAP_BPF, and CAP_NET_ADMIN or CAP_PERFMON for what concerns the network or "
            "tracing"
        ),
    )


def unavailable() -> str:
    """Why this machine's kernel cannot be asked; empty if it can."""
    if sys.platform != "linux":
        return f"bpf(2) is a system call of Linux, this is {sys.platform}"
    if not NUMBER:
        return f"the number of bpf(2) on {os.uname().machine} is not known here"
    from struct import pack

    # A map of one entry: what every program needs first.
    result = call(MAP_CREATE, pack("=7I16s5I", 2, 4, 4, 1, 0, 0, 0, b"probe", 0, 0, 0, 0, 0))
    if result >= 0:
        os.close(result)
        return ""
    return f"bpf(2) is refused here: {text(-result)}; it needs root, or CAP_BPF"


def require() -> None:
    """:class:`NotSupported` with the probe's reason where bpf(2) cannot be used."""
    problem = unavailable()
    if problem:
        raise NotSupported("the linux back end", where=f"this machine: {problem}")
