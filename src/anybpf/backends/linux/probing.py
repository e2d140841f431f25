"""The smallest things that tell whether a kernel knows something: tiny programs, maps and types.

A probe gives the kernel's raw answer. What an answer means is said in ``features``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from ctypes import addressof, create_string_buffer
from struct import pack, unpack_from
from typing import Final

from anybpf.backends.linux import syscall

_LOG_ROOM: Final = 8192
# The instruction set: RFC 9669. mov64 r0, imm; exit; call helper.
EXIT: Final = b"\x95" + bytes(7)
_CALL: Final = 0x85
_MOVE: Final = 0xB7
# Where union bpf_attr keeps the version for which kprobes were made; kernels before 5.0 look.
_VERSION_PARTS: Final = 3


def move(value: int, register: int = 0) -> bytes:
    return pack("=BBhi", _MOVE, register, 0, value)


def call(helper: int) -> bytes:
    return pack("=BBhi", _CALL, 0, 0, helper)


RETURN_0: Final = move(0) + EXIT
RETURN_1: Final = move(1) + EXIT


def kernel_version() -> int:
    """The running kernel's, as KERNEL_VERSION of Linux packs it."""
    parts = [*os.uname().release.split("-")[0].split("."), "0", "0"]
    numbers = [int("".join(filter(str.isdigit, part)) or "0") for part in parts[:_VERSION_PARTS]]
    return (numbers[0] << 16) + (numbers[1] << 8) + min(numbers[2], 255)


def load(
    kind: int,
    code: bytes = RETURN_0,
    *,
    attach_type: int = 0,
    flags: int = 0,
    btf_id: int = 0,
    name: bytes = b"",
    log: bool = True,
) -> tuple[int, str]:
    """A descriptor or minus the error number, and what the verifier wrote."""
    code_room = create_string_buffer(code, len(code))
    licence = create_string_buffer(b"GPL")
    room = create_string_buffer(_LOG_ROOM)
    attributes = pack(
        "=IIQQIIQII16sIIIIQIIQIII",
        kind, len(code) // 8, addressof(code_room), addressof(licence),
        1 if log else 0, len(room) if log else 0, addressof(room) if log else 0,
        kernel_version(), flags, name, 0, attach_type, 0, 0, 0, 0, 0, 0, 0, btf_id, 0,
    )  # fmt: skip
    return syscall.call(syscall.PROG_LOAD, attributes), room.value.decode(errors="replace")


def loads(kind: int, code: bytes = RETURN_0, **options: int) -> int:
    """0 if it loads (it is closed again), else minus the error number."""
    result = load(kind, code, log=False, **options)[0]  # type: ignore[arg-type]
    return closed(result)


def closed(result: int) -> int:
    """The same for what is a descriptor: 0, and it is closed."""
    if result < 0:
        return result
    os.close(result)
    return 0


def create_map(
    kind: int,
    key: int,
    value: int,
    entries: int,
    *,
    flags: int = 0,
    inner: int = 0,
    name: bytes = b"",
    btf: int = 0,
    key_type: int = 0,
    value_type: int = 0,
    kernel_type: int = 0,
    extra: int = 0,
) -> int:
    """A descriptor or minus the error number."""
    attributes = pack(
        "=7I16s6IQ",
        kind, key, value, entries, flags, inner, 0, name, 0, btf, key_type, value_type,
        kernel_type, 0, extra,
    )  # fmt: skip
    return syscall.call(syscall.MAP_CREATE, attributes)


def create_link(
    program: int, target: int, attach_type: int, rest: bytes = b"", flags: int = 0
) -> int:
    """A descriptor or minus the error number."""
    head = pack("=IIII", program & 0xFFFFFFFF, target & 0xFFFFFFFF, attach_type, flags)
    return syscall.call(syscall.LINK_CREATE, head + rest)


def attach(program: int, target: int, attach_type: int) -> int:
    """0 or minus the error number: attaching without a link."""
    attributes = pack("=IIII", target & 0xFFFFFFFF, program, attach_type, 0)
    return syscall.call(syscall.PROG_ATTACH, attributes)


# Type information: Documentation/bpf/btf.rst of Linux.
_BTF_MAGIC: Final = 0xEB9F
_BTF_HEADER: Final = 24


def btf(types: Iterable[bytes], strings: bytes = b"\0x\0") -> bytes:
    """Encoded type information; the name of everything is "x", at offset 1."""
    body = b"".join(types)
    head = pack("=HBBIIIII", _BTF_MAGIC, 1, 0, _BTF_HEADER, 0, len(body), len(body), len(strings))
    return head + body + strings


def btf_type(kind: int, size_or_type: int = 0, more: bytes = b"", *, name: int = 1, count: int = 0,
             flag: int = 0) -> bytes:  # fmt: skip
    return pack("=III", name, flag << 31 | kind << 24 | count, size_or_type) + more


# A signed number of 32 bits.
INT: Final = btf_type(1, 4, pack("=I", 1 << 24 | 32))


def load_btf(data: bytes) -> int:
    """A descriptor or minus the error number."""
    room = create_string_buffer(data, len(data))
    return syscall.call(syscall.BTF_LOAD, pack("=QQIII", addressof(room), 0, len(data), 0, 0))


def program_name(fd: int) -> bytes:
    """The name that the kernel keeps of a program."""
    room = create_string_buffer(128)
    attributes = pack("=IIQ", fd, len(room), addressof(room))
    if syscall.call(syscall.OBJ_GET_INFO_BY_FD, attributes) < 0:
        return b""
    found: bytes = unpack_from("=16s", room.raw, 64)[0]
    return found.rstrip(b"\0")
