"""Events of perf_event_open(2) that programs can be attached to: tracepoints, probes, clocks.

This opens them; putting a program on one is the business of ``attach``.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from ctypes import addressof, create_string_buffer
from pathlib import Path
from struct import pack_into
from typing import Final

from anybpf.backends.linux import syscall
from anybpf.errors import InputError, NotFound, NotSupported

# Number of the system call, by machine: arch/*/include of Linux.
_NUMBERS: Final = {
    "x86_64": 298,
    "aarch64": 241,
    "riscv64": 241,
    "loongarch64": 241,
    "ppc64le": 319,
    "s390x": 331,
}
# struct perf_event_attr up to the fields that Linux 4.1 has (PERF_ATTR_SIZE_VER5).
_ATTR_SIZE: Final = 112
_CLOSE_ON_EXEC: Final = 8
# In the word of bits: use a frequency, not a period.
_FREQUENCY_BIT: Final = 1 << 10
_ENABLE: Final = 0x2400  # PERF_EVENT_IOC_ENABLE

# enum perf_type_id, perf_sw_ids and perf_hw_id (linux/perf_event.h).
HARDWARE: Final = 0
SOFTWARE: Final = 1
TRACEPOINT: Final = 2
SOFTWARE_EVENTS: Final = {
    "cpu-clock": 0,
    "task-clock": 1,
    "page-faults": 2,
    "context-switches": 3,
    "cpu-migrations": 4,
    "minor-faults": 5,
    "major-faults": 6,
    "alignment-faults": 7,
    "emulation-faults": 8,
    "dummy": 9,
    "bpf-output": 10,
    "cgroup-switches": 11,
}
HARDWARE_EVENTS: Final = {
    "cpu-cycles": 0,
    "instructions": 1,
    "cache-references": 2,
    "cache-misses": 3,
    "branch-instructions": 4,
    "branch-misses": 5,
    "bus-cycles": 6,
}

_TRACE_ROOTS: Final = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")
_PROBES: Final = "/sys/bus/event_source/devices"


def open_event(
    kind: int,
    config: int,
    *,
    pid: int = -1,
    cpu: int = -1,
    period: int = 0,
    frequency: int = 0,
    config1: int = 0,
    config2: int = 0,
    sample_type: int = 0,
    what: str = "a perf event",
) -> int:
    """A descriptor of the event; the caller closes it."""
    attr = create_string_buffer(_ATTR_SIZE)
    pack_into("=IIQQ", attr, 0, kind, _ATTR_SIZE, config, frequency or period)
    pack_into("=Q", attr, 24, sample_type)
    pack_into("=QIIQQ", attr, 40, _FREQUENCY_BIT if frequency else 0, 1, 0, config1, config2)
    number = _NUMBERS.get(os.uname().machine, 0) if sys.platform == "linux" else 0
    if not number:
        raise NotSupported(what, where="this machine, whose perf_event_open(2) is not known here")
    library = ctypes.CDLL(None, use_errno=True)
    result = library.syscall(
        ctypes.c_long(number),
        ctypes.c_void_p(addressof(attr)),
        ctypes.c_int(pid),
        ctypes.c_int(cpu),
        ctypes.c_int(-1),
        ctypes.c_ulong(_CLOSE_ON_EXEC),
    )
    if result >= 0:
        return int(result)
    failed = ctypes.get_errno()
    if failed in (errno.EPERM, errno.EACCES):
        raise syscall.not_permitted(f"opening {what}")
    if failed in (errno.ENOENT, errno.EOPNOTSUPP, errno.ENODEV):
        raise NotSupported(what, where=f"{syscall.release()} on this machine")
    if failed == errno.ESRCH:
        raise NotFound(f"{what}: there is no process {pid}")
    raise InputError(f"{what} cannot be opened: {syscall.text(failed)}")


def enable(fd: int) -> None:
    """Let an event begin, if it does not run yet."""
    import fcntl

    fcntl.ioctl(fd, _ENABLE, 0)


def tracing_root() -> str:
    """Where the tracing file system is mounted."""
    for root in _TRACE_ROOTS:
        if os.path.isdir(f"{root}/events"):
            return root
    raise NotSupported(
        "looking up a tracepoint",
        where="this machine: tracefs is not mounted (mount -t tracefs tracefs /sys/kernel/tracing)",
    )


def tracepoint_id(category: str, name: str) -> int:
    """The number of a tracepoint."""
    for part in (category, name):
        if not part or "/" in part or part.startswith("."):
            raise InputError(f"a tracepoint is named category/name, not {category}/{name}")
    place = Path(tracing_root()) / "events" / category
    try:
        return int((place / name / "id").read_text())
    except FileNotFoundError:
        from anybpf.platforms.table import near

        there = sorted(os.listdir(place if place.is_dir() else place.parent))
        hint = near(name if place.is_dir() else category, there)
        raise NotFound(f"there is no tracepoint {category}/{name}{hint}") from None
    except PermissionError:
        raise syscall.not_permitted(f"reading the number of tracepoint {category}/{name}") from None


def open_tracepoint(category: str, name: str) -> int:
    number = tracepoint_id(category, name)
    return open_event(TRACEPOINT, number, cpu=0, period=1, what=f"the tracepoint {category}/{name}")


def open_uprobe(
    binary: str, offset: int, *, pid: int = -1, returns: bool = False, counter: int = 0
) -> int:
    """A probe at a byte of a file, in one process or (-1) in all."""
    if not os.path.isfile(binary):
        raise NotFound(f"there is no file {binary} to be probed")
    kind = _probe_type("uprobe")
    path = create_string_buffer(os.fsencode(binary))
    config = (counter << 32) | (_return_bit("uprobe") if returns else 0)
    return open_event(
        kind, config, pid=pid, cpu=0 if pid < 0 else -1, config1=addressof(path), config2=offset,
        what=f"a probe of {binary} at {offset:#x}",
    )  # fmt: skip


def open_kprobe(function: str, offset: int = 0, *, returns: bool = False) -> int:
    """A probe of a function of the kernel."""
    kind = _probe_type("kprobe")
    name = create_string_buffer(function.encode())
    return open_event(
        kind, _return_bit("kprobe") if returns else 0, cpu=0, config1=addressof(name),
        config2=offset, what=f"a probe of the kernel's {function}",
    )  # fmt: skip


def _probe_type(name: str) -> int:
    try:
        return int(Path(f"{_PROBES}/{name}/type").read_text())
    except OSError:
        raise NotSupported(f"{name}s", where=f"{syscall.release()}, built without them") from None


def _return_bit(name: str) -> int:
    text = Path(f"{_PROBES}/{name}/format/retprobe").read_text()
    return 1 << int(text.strip().removeprefix("config:"))
