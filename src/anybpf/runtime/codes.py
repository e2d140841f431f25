"""What programs find in r0 for each of the core's statuses, as their platform has it.

Provisional until the platform's own table of them is asked: it is then the only source.
"""

from __future__ import annotations

from anybpf import _core
from anybpf.platforms import Platform

# Linux UAPI asm-generic/errno-base.h; what the map operations of Linux 6.18 return.
_LINUX: dict[str, int] = {
    "OK": 0, "MISSING": -2, "MISSING_KEY": -2, "MISSING_PREFIX": -2, "EXISTS": -17,
    "ALWAYS_THERE": -17, "CANNOT_DELETE": -22, "NO_MORE_KEYS": -2, "FULL": -7, "EMPTY": -2,
    "QUEUE_FULL": -7, "BAD_INDEX": -7, "NO_MEMORY": -12, "NO_SPACE": -11, "TOO_BIG": -7,
    "NOT_SUPPORTED": -95, "DENIED": -1, "BUSY": -16, "NO_OBJECT": -2, "NO_DATA": -14,
    "OUT_OF_RANGE": -34, "NO_PERMISSION": -1, "NO_DEVICE": -19,
}  # fmt: skip
# microsoft/ebpf-for-windows include/ebpf_result.h, negative.
_WINDOWS: dict[str, int] = {
    "OK": 0, "MISSING": -7, "MISSING_KEY": -19, "MISSING_PREFIX": -19, "EXISTS": -8,
    "NO_MORE_KEYS": -25, "EMPTY": -7, "QUEUE_FULL": -29, "NO_MEMORY": -12, "NO_SPACE": -29,
    "NOT_SUPPORTED": -18, "DENIED": -20, "NO_OBJECT": -7, "BAD_OBJECT": -5, "NO_MORE_CALLS": -27,
    "FULL": -29,
}  # fmt: skip


def codes_of(platform: Platform) -> list[int]:
    """The numbers by status."""
    rows, other = (_WINDOWS, -6) if platform.name == "windows" else (_LINUX, -22)
    return [rows.get(name, other) for name in _core.STATUSES]
