"""Giving up rights: what a process that reads objects of strangers may still do.

It may compute, use a bounded amount of memory and time, read files, and answer on the descriptors
that it has. It may not start processes, open connections, write files, or get rights back. Each
step that a system does not permit is left out and told.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys
from typing import Final

# linux/prctl.h, linux/seccomp.h, linux/filter.h, linux/sched.h, linux/audit.h
_PR_SET_DUMPABLE: Final = 4
_PR_SET_SECCOMP: Final = 22
_PR_SET_NO_NEW_PRIVS: Final = 38
_SECCOMP_MODE_FILTER: Final = 2
_ALLOW: Final = 0x7FFF0000
_KILL: Final = 0x80000000
_ERRNO: Final = 0x00050000
_LOAD: Final = 0x20  # BPF_LD | BPF_W | BPF_ABS
_EQUAL: Final = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_ANY_BIT: Final = 0x45  # BPF_JMP | BPF_JSET | BPF_K
_RETURN: Final = 0x06  # BPF_RET | BPF_K
_CLONE_NEWUSER: Final = 0x10000000
_CLONE_NEWNET: Final = 0x40000000
_CLONE_NEWIPC: Final = 0x08000000

# System calls by number: arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/
# unistd.h. What Python needs to compute, to import and to end.
_MACHINES: Final = {
    "x86_64": (
        0xC000003E,
        {
            "read": 0, "write": 1, "close": 3, "fstat": 5, "poll": 7, "lseek": 8, "mmap": 9,
            "mprotect": 10, "munmap": 11, "brk": 12, "rt_sigaction": 13, "rt_sigprocmask": 14,
            "rt_sigreturn": 15, "ioctl": 16, "pread64": 17, "readv": 19, "writev": 20,
            "sched_yield": 24, "mremap": 25, "madvise": 28, "dup": 32, "getpid": 39, "exit": 60,
            "fcntl": 72, "getcwd": 79, "readlink": 89, "getuid": 102, "getgid": 104,
            "geteuid": 107, "getegid": 108, "sigaltstack": 131, "gettid": 186, "futex": 202,
            "getdents64": 217, "clock_gettime": 228, "exit_group": 231, "openat": 257,
            "newfstatat": 262, "getrandom": 318, "statx": 332, "rseq": 334,
        },
    ),
    "aarch64": (
        0xC00000B7,
        {
            "getcwd": 17, "dup": 23, "fcntl": 25, "ioctl": 29, "openat": 56, "close": 57,
            "getdents64": 61, "lseek": 62, "read": 63, "write": 64, "readv": 65, "writev": 66,
            "pread64": 67, "ppoll": 73, "readlinkat": 78, "newfstatat": 79, "fstat": 80,
            "exit": 93, "exit_group": 94, "futex": 98, "clock_gettime": 113, "sched_yield": 124,
            "sigaltstack": 132, "rt_sigaction": 134, "rt_sigprocmask": 135, "rt_sigreturn": 139,
            "getpid": 172, "getuid": 174, "geteuid": 175, "getgid": 176, "getegid": 177,
            "gettid": 178, "brk": 214, "munmap": 215, "mremap": 216, "mmap": 222,
            "mprotect": 226, "madvise": 233, "getrandom": 278, "statx": 291, "rseq": 293,
        },
    ),
}  # fmt: skip
# Any of these in the flags of an open makes it one for writing: O_ACCMODE, O_CREAT, O_TRUNC.
_WRITES: Final = 0o3 | 0o100 | 0o1000
_DENIED: Final = 1  # EPERM
_NOBODY: Final = 65534


def give_up(memory: int, seconds: int) -> list[str]:
    """Give up all that can be given up; the names of the measures that this system did not take."""
    import resource

    libc = ctypes.CDLL(None, use_errno=True)
    left = []
    spaces = _CLONE_NEWNET | _CLONE_NEWIPC | (0 if os.geteuid() == 0 else _CLONE_NEWUSER)
    if libc.unshare(spaces) != 0:
        left.append("network")
    if os.geteuid() == 0:
        try:
            os.setgroups([])
            os.setresgid(_NOBODY, _NOBODY, _NOBODY)
            os.setresuid(_NOBODY, _NOBODY, _NOBODY)
        except OSError:
            left.append("user")
    for which, limit in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, 32),
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, seconds),
    ):
        hard = resource.getrlimit(which)[1]
        if hard == resource.RLIM_INFINITY or limit <= hard:
            resource.setrlimit(which, (limit, limit))
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        left.append("no-new-privileges")
        return [*left, "seccomp"]
    if not _filter(libc):
        left.append("seccomp")
    return left


def _filter(libc: ctypes.CDLL) -> bool:
    """Only the system calls above from here on; whoever uses another is told that he must not."""
    machine = _MACHINES.get(platform.machine())
    if machine is None or sys.maxsize < 1 << 32 or sys.byteorder != "little":
        return False
    code = filter_code(*machine)
    buffer = ctypes.create_string_buffer(code, len(code))
    # struct sock_fprog: a count and a pointer
    program = struct.pack("@HP", len(code) // 8, ctypes.addressof(buffer))
    return bool(libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, program, 0, 0) == 0)


def filter_code(arch: int, calls: dict[str, int]) -> bytes:
    """The filter as classic BPF. It looks at ``struct seccomp_data``: number at 0, architecture at
    4, the third argument at 32."""
    rows: list[tuple[int, int, int, int]] = [
        (_LOAD, 0, 0, 4),
        (_EQUAL, 1, 0, arch),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, 0),
        # An open: refused if it is for writing.
        (_EQUAL, 0, 4, calls["openat"]),
        (_LOAD, 0, 0, 32),
        (_ANY_BIT, 0, 1, _WRITES),
        (_RETURN, 0, 0, _ERRNO | _DENIED),
        (_RETURN, 0, 0, _ALLOW),
    ]
    for name, number in calls.items():
        if name != "openat":
            rows += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ALLOW)]
    rows.append((_RETURN, 0, 0, _ERRNO | _DENIED))
    return b"".join(struct.pack("<HBBI", *row) for row in rows)
