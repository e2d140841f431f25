"""What the embedded runtime's operations come to, in the numbers of each platform.

The core speaks of statuses (``anybpf._core.STATUSES``); a row here says which of the platform's own
error numbers or result codes a program or a user sees for one. What single helpers return besides
stands with the helpers.
"""

from __future__ import annotations

# Linux: what bpf(2) and the helpers on maps return, Linux 6.18; bpf-helpers(7).
LINUX: dict[str, str] = {
    "MISSING": "ENOENT",
    "MISSING_KEY": "ENOENT",
    "MISSING_PREFIX": "ENOENT",
    "EXISTS": "EEXIST",
    "ALWAYS_THERE": "EEXIST",
    "CANNOT_DELETE": "EINVAL",
    "NO_MORE_KEYS": "ENOENT",
    "FULL": "E2BIG",
    "EMPTY": "ENOENT",
    "QUEUE_FULL": "E2BIG",
    "BAD_INDEX": "E2BIG",
    "BAD_KEY": "EINVAL",
    "BAD_VALUE": "EINVAL",
    "BAD_FLAGS": "EINVAL",
    "BAD_SIZE": "EINVAL",
    "BAD_OBJECT": "EINVAL",
    "NO_OBJECT": "ENOENT",
    "NO_MEMORY": "ENOMEM",
    "NO_SPACE": "EAGAIN",
    "TOO_BIG": "E2BIG",
    "NOT_SUPPORTED": "EOPNOTSUPP",
    "DENIED": "EPERM",
    "BUSY": "EBUSY",
    "NO_OWNER": "EINVAL",
    "DAMAGED": "EUCLEAN",
    "NO_MORE_CALLS": "ELOOP",
    "NO_DATA": "EFAULT",
    "BAD_ARGUMENT": "EINVAL",
    "OUT_OF_RANGE": "ERANGE",
    "NO_PERMISSION": "EPERM",
    "NAME_TOO_LONG": "ENAMETOOLONG",
    "NO_DEVICE": "ENODEV",
    "CANNOT_SEND": "ENETDOWN",
    "PREFIXES_FULL": "ENOSPC",
}

# Windows: microsoft/ebpf-for-windows libs/execution_context; results of include/ebpf_result.h
# without "EBPF_".
WINDOWS: dict[str, str] = {
    "MISSING": "OBJECT_NOT_FOUND",
    "MISSING_KEY": "KEY_NOT_FOUND",
    "MISSING_PREFIX": "KEY_NOT_FOUND",
    "EXISTS": "OBJECT_ALREADY_EXISTS",
    "ALWAYS_THERE": "INVALID_ARGUMENT",
    "CANNOT_DELETE": "INVALID_ARGUMENT",
    "NO_MORE_KEYS": "NO_MORE_KEYS",
    "FULL": "OUT_OF_SPACE",
    "EMPTY": "OBJECT_NOT_FOUND",
    "QUEUE_FULL": "OUT_OF_SPACE",
    "BAD_INDEX": "INVALID_ARGUMENT",
    "BAD_KEY": "INVALID_ARGUMENT",
    "BAD_VALUE": "INVALID_ARGUMENT",
    "BAD_FLAGS": "INVALID_ARGUMENT",
    "BAD_SIZE": "INVALID_ARGUMENT",
    "BAD_OBJECT": "INVALID_OBJECT",
    "NO_OBJECT": "OBJECT_NOT_FOUND",
    "NO_MEMORY": "NO_MEMORY",
    "NO_SPACE": "NO_MEMORY",
    "TOO_BIG": "NO_MEMORY",
    "NOT_SUPPORTED": "OPERATION_NOT_SUPPORTED",
    "DENIED": "ACCESS_DENIED",
    "BUSY": "INVALID_STATE",
    "NO_OWNER": "INVALID_ARGUMENT",
    "DAMAGED": "FAILED",
    "NO_MORE_CALLS": "NO_MORE_TAIL_CALLS",
    "NO_DATA": "INVALID_POINTER",
    "BAD_ARGUMENT": "INVALID_ARGUMENT",
    "OUT_OF_RANGE": "ARITHMETIC_OVERFLOW",
    "NO_PERMISSION": "ACCESS_DENIED",
    "NAME_TOO_LONG": "INVALID_ARGUMENT",
    "NO_DEVICE": "OBJECT_NOT_FOUND",
    "CANNOT_SEND": "FAILED",
    "PREFIXES_FULL": "OUT_OF_SPACE",
}
