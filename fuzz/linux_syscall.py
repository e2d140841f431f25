"""bpf(2) itself: the commands that create maps and load types and programs, without any library.

Only what asking a kernel's verifier takes: nothing here attaches or runs a program, and every
descriptor is the caller's to close. Layouts: Linux UAPI header linux/bpf.h, union bpf_attr (6.18).
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import sys
from struct import pack

# Number of the system call: tools/include/nolibc and arch/*/include/asm/unistd.h of each machine.
_NUMBERS = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "ppc64le": 361, "s390x": 351}

MAP_CREATE = 0
MAP_UPDATE_ELEM = 2
PROG_LOAD = 5
BTF_LOAD = 18
MAP_FREEZE = 22

F_SLEEPABLE = 1 << 4
F_XDP_HAS_FRAGS = 1 << 5

LOG_STATS = 4
_LOG_BYTES = 1 << 20
_LOG_LIMIT = 1 << 26
_NAME_BYTES = 16


class Refused(OSError):
    """The kernel said no; ``log`` is what it wrote about it."""

    def __init__(self, what: str, number: int, log: str = "") -> None:
        super().__init__(number, f"{what}: {os.strerror(number)}")
        self.log = log


class _System:
    """The C library's way into the system call, looked up once."""

    def __init__(self) -> None:
        self.number = _NUMBERS.get(platform.machine(), 0)
        self.libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None

    def call(self, command: int, attributes: bytes) -> int:
        """The result, or minus the error number."""
        if self.libc is None or not self.number:
            return -errno.ENOSYS
        buffer = ctypes.create_string_buffer(attributes, len(attributes))
        result = int(self.libc.syscall(self.number, command, buffer, len(attributes)))
        return -ctypes.get_errno() if result < 0 else result


_system = _System()


def unavailable() -> str:
    """Why this machine's kernel cannot be asked; empty if it can."""
    if sys.platform != "linux":
        return f"bpf(2) is Linux's, this is {sys.platform}"
    if not _system.number:
        return f"the number of bpf(2) on {platform.machine()} is not known here"
    try:
        os.close(create_map(2, 4, 4, 1))
    except Refused as refused:
        return f"bpf(2) is refused here ({refused.strerror}); it needs root or CAP_BPF"
    return ""


def plain_name(name: str) -> bytes:
    """A name as the kernel takes it: letters, digits, dot and underscore, and not too long."""
    kept = "".join([c if c.isascii() and (c.isalnum() or c in "_.") else "_" for c in name])
    return kept.encode()[: _NAME_BYTES - 1]


def create_map(
    number: int,
    key_size: int,
    value_size: int,
    max_entries: int,
    *,
    name: str = "",
    flags: int = 0,
    inner: int = 0,
    numa_node: int = 0,
    btf: int = 0,
    key_type: int = 0,
    value_type: int = 0,
    extra: int = 0,
) -> int:
    """A descriptor of a new map."""
    attributes = pack(
        "=7I16s5IQii",
        number,
        key_size,
        value_size,
        max_entries,
        flags,
        inner,
        numa_node,
        plain_name(name),
        0,  # no device
        btf,
        key_type,
        value_type,
        0,  # no type of the kernel's own
        extra,
        0,
        0,
    )
    result = _system.call(MAP_CREATE, attributes)
    if result < 0:
        raise Refused(f"map {name}", -result)
    return result


def update_map(descriptor: int, key: bytes, value: bytes) -> None:
    """Put one entry into a map."""
    key_buffer = ctypes.create_string_buffer(key, len(key))
    value_buffer = ctypes.create_string_buffer(value, len(value))
    attributes = pack(
        "=IxxxxQQQ", descriptor, ctypes.addressof(key_buffer), ctypes.addressof(value_buffer), 0
    )
    result = _system.call(MAP_UPDATE_ELEM, attributes)
    if result < 0:
        raise Refused("a map's contents", -result)


def freeze_map(descriptor: int) -> None:
    """From now on nobody outside of programs writes: the verifier may rely on what is there."""
    result = _system.call(MAP_FREEZE, pack("=I", descriptor))
    if result < 0:
        raise Refused("freezing a map", -result)


def load_btf(data: bytes) -> int:
    """A descriptor of these types; a refusal bears the kernel's reason in its log."""
    buffer = ctypes.create_string_buffer(data, len(data))
    attributes = pack("=QQIIII", ctypes.addressof(buffer), 0, len(data), 0, 0, 0)
    result = _system.call(BTF_LOAD, attributes)
    if result >= 0:
        return result
    log = ctypes.create_string_buffer(_LOG_BYTES)
    attributes = pack(
        "=QQIIII", ctypes.addressof(buffer), ctypes.addressof(log), len(data), _LOG_BYTES, 1, 0
    )
    again = _system.call(BTF_LOAD, attributes)
    if again >= 0:
        return again
    raise Refused("types", -result, log.value.decode(errors="replace"))


def load_program(
    code: bytes,
    program_type: int,
    *,
    name: str = "",
    license: str = "GPL",  # noqa: A002  (the field's own word)
    flags: int = 0,
    attach_type: int = 0,
    attach_btf_id: int = 0,
    btf: int = 0,
    function_info: bytes = b"",
    log_level: int = LOG_STATS,
) -> tuple[int, str]:
    """A descriptor of the program, or minus the error number; and the verifier's log."""
    code_buffer = ctypes.create_string_buffer(code, len(code))
    license_buffer = ctypes.create_string_buffer(license.encode())
    info_buffer = ctypes.create_string_buffer(function_info, len(function_info) + 1)
    size = _LOG_BYTES if log_level else 0
    while True:
        log = ctypes.create_string_buffer(size) if size else None
        attributes = pack(
            "=IIQQIIQII16sIIIIQIIQIIII",
            program_type,
            len(code) // 8,
            ctypes.addressof(code_buffer),
            ctypes.addressof(license_buffer),
            log_level,
            size,
            0 if log is None else ctypes.addressof(log),
            0,  # kernel version: asked for by old kernels only
            flags,
            plain_name(name),
            0,  # no device
            attach_type,
            btf,
            8 if function_info else 0,
            ctypes.addressof(info_buffer) if function_info else 0,
            len(function_info) // 8,
            0,
            0,  # no line information: it would only make the log longer
            0,
            attach_btf_id,
            0,
            0,
        )
        result = _system.call(PROG_LOAD, attributes)
        text = "" if log is None else log.value.decode(errors="replace")
        if result == -errno.ENOSPC and size and size < _LOG_LIMIT and len(text) + 1 >= size:
            size *= 8
            continue
        if result == -errno.EAGAIN:  # a signal came in between
            continue
        return result, text
