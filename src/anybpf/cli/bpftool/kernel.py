"""System calls for what bpftool does in the kernel without links: attach, detach, ask who is there.

For `cgroup`, `net` and `perf` on the Linux back end; other back ends have no such places.
Numbers and layouts: ``union bpf_attr`` in include/uapi/linux/bpf.h.
"""

from __future__ import annotations

import ctypes
from struct import pack, pack_into, unpack_from
from typing import Any, Final

from anybpf.cli.bpftool.session import Session
from anybpf.errors import NotSupported

MULTI: Final = 2  # BPF_F_ALLOW_MULTI
OVERRIDE: Final = 1  # BPF_F_ALLOW_OVERRIDE
EFFECTIVE: Final = 1  # BPF_F_QUERY_EFFECTIVE
_MOST: Final = 1024
_QUERY_SIZE: Final = 64


def require(session: Session, what: str) -> None:
    """Complain on back ends that are not the kernel."""
    if session.backend.name != "linux":
        raise NotSupported(
            what, where=f"the back end {session.backend.name}; give '--backend linux'"
        )


def query(target: int, attach_type: int, flags: int = 0) -> tuple[int, int, list[int], list[int]]:
    """Error number (0: none), attach flags, ids of programs, and flags of each."""
    from anybpf.backends.linux import syscall

    ids = (ctypes.c_uint32 * _MOST)()
    each = (ctypes.c_uint32 * _MOST)()
    block = bytearray(_QUERY_SIZE)
    pack_into("=IIII", block, 0, target, attach_type, flags, 0)
    pack_into("=QI", block, 16, ctypes.addressof(ids), _MOST)
    if not flags & EFFECTIVE:
        pack_into("=Q", block, 32, ctypes.addressof(each))
    result = syscall.call(syscall.PROG_QUERY, block)
    if result < 0:
        return -result, 0, [], []
    count = unpack_from("=I", block, 24)[0]
    return 0, unpack_from("=I", block, 12)[0], list(ids[:count]), list(each[:count])


def attach(target: int, program: int, attach_type: int, flags: int) -> int:
    """Attach a program's descriptor; the error number."""
    from anybpf.backends.linux import syscall

    return -min(0, syscall.call(8, pack("=IIII", target, program, attach_type, flags)))


def detach(target: int, program: int, attach_type: int) -> int:
    from anybpf.backends.linux import syscall

    return -min(0, syscall.call(9, pack("=IIII", target, program, attach_type, 0)))


def task_event(pid: int, fd: int) -> dict[str, Any] | None:
    """What a process's descriptor traces with a program: None if nothing."""
    from anybpf.backends.linux import syscall

    room = ctypes.create_string_buffer(4096)
    block = bytearray(48)
    pack_into("=IIIIQ", block, 0, pid, fd, 0, len(room), ctypes.addressof(room))
    if syscall.call(syscall.TASK_FD_QUERY, block) < 0:
        return None
    program, kind, offset, address = unpack_from("=IIQQ", block, 24)
    return {
        "program": program, "kind": kind, "offset": offset, "address": address,
        "name": room.value.decode(errors="replace"),
    }  # fmt: skip
