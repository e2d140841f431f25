"""Asks the running Linux kernel what it accepts: bpf(2) in a few lines, for the tests beside it.

Not a back end: it loads programs of a few instructions to see the verifier's answer, and closes
whatever it got at once.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys

BPF_MAP_CREATE = 0
BPF_PROG_LOAD = 5
BPF_BTF_LOAD = 18
SLEEPABLE = 1 << 4
_SYSCALL_BPF = 321  # x86-64
_LOG_SIZE = 1 << 16


def why_not() -> str:
    """Why the kernel cannot be asked here; empty if it can.

    The tables say what 6.18 does; another version may rightly answer otherwise.
    """
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return "asks a Linux kernel on x86-64"
    if not os.uname().release.startswith("6.18."):
        return f"the tables describe Linux 6.18, this is {os.uname().release}"
    loaded, why = load(1, exit_with(0))
    return "" if loaded else f"this process may not load programs ({why})"


def instruction(opcode: int, dst: int = 0, src: int = 0, offset: int = 0, imm: int = 0) -> bytes:
    return struct.pack("<BBhi", opcode, dst | src << 4, offset, imm)


def exit_with(value: int) -> bytes:
    return instruction(0xB7, imm=value) + instruction(0x95)


def load(
    program_type: int,
    code: bytes,
    attach_type: int = 0,
    btf_id: int = 0,
    flags: int = 0,
    licence: str = "GPL",
) -> tuple[bool, str]:
    """Whether the kernel loads the program, and if not, the error and the verifier's log."""
    instructions = ctypes.create_string_buffer(code, len(code))
    licence_text = ctypes.create_string_buffer(licence.encode())
    log = ctypes.create_string_buffer(_LOG_SIZE)
    attributes = struct.pack(
        "<IIQQIIQII16sIIIIQIIQII",
        program_type,
        len(code) // 8,
        ctypes.addressof(instructions),
        ctypes.addressof(licence_text),
        1,
        _LOG_SIZE,
        ctypes.addressof(log),
        0,
        flags,
        b"",
        0,
        attach_type,
        *[0] * 7,
        btf_id,
    )
    result, error = _bpf(BPF_PROG_LOAD, attributes)
    if result >= 0:
        os.close(result)
        return True, ""
    return False, f"{errno.errorcode.get(error, error)} {log.value.decode(errors='replace')}"


def create_map(
    map_type: int,
    key_size: int,
    value_size: int,
    entries: int,
    flags: int = 0,
    inner: int = 0,
    types: tuple[int, int, int] = (0, 0, 0),
) -> tuple[int, str]:
    """A file descriptor that the caller closes, or -1 and the error's name.

    ``types`` are the descriptor of BTF and its ids for the key and the value.
    """
    attributes = struct.pack(
        "<7I16s5I", map_type, key_size, value_size, entries, flags, inner, 0, b"", 0, *types, 0
    )
    result, error = _bpf(BPF_MAP_CREATE, attributes)
    return result, "" if result >= 0 else str(errno.errorcode.get(error, error))


def load_types(data: bytes) -> tuple[int, str]:
    """A file descriptor of BTF that the caller closes, or -1 and what the kernel says of it."""
    buffer = ctypes.create_string_buffer(data, len(data))
    log = ctypes.create_string_buffer(_LOG_SIZE)
    attributes = struct.pack(
        "<QQIII", ctypes.addressof(buffer), ctypes.addressof(log), len(data), _LOG_SIZE, 1
    )
    result, error = _bpf(BPF_BTF_LOAD, attributes)
    return result, f"{errno.errorcode.get(error, error)} {log.value.decode(errors='replace')}"


def _bpf(command: int, attributes: bytes) -> tuple[int, int]:
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(attributes, max(len(attributes), 152))
    result = int(libc.syscall(_SYSCALL_BPF, command, buffer, len(buffer)))
    return result, ctypes.get_errno()
