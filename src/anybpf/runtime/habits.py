"""What the execution contexts of platforms do each in their own way: a row a platform.

Numbers of helpers, types and errors stand in the platform's own tables; this is about objects:
paths of pins, flags of maps that stand for something else in the core, who empties what when.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from anybpf.errors import InputError
from anybpf.platforms import Platform
from anybpf.platforms.model import MapType

# Flags of maps in the core: enum in src/core/map.h.
GROWS: Final = 1 << 0
DELETE_ZEROES: Final = 1 << 1
PROGRAM_READS_ONLY: Final = 1 << 2
PROGRAM_WRITES_ONLY: Final = 1 << 3
USER_READS_ONLY: Final = 1 << 4
USER_WRITES_ONLY: Final = 1 << 5
LRU_PER_CPU: Final = 1 << 6
DROPS_OLDEST: Final = 1 << 7
KEYED: Final = 1 << 8
RECENCY_BY_USER: Final = 1 << 9
OVERWRITES: Final = 1 << 10
NEEDS_READER: Final = 1 << 11
INNER_SIZE_FREE: Final = 1 << 12

# Ways of programs in the core: ANYBPF_BEHAVES_* in src/core/run.h.
WINDOWS_TAIL_CALL: Final = 1 << 0
TAIL_CALL_FAILS_NEGATIVE: Final = 1 << 1
BEHAVES_WINDOWS: Final = 1 << 2

# What a flag of map creation, by its name on the platform, comes to in the core.
CORE_FLAGS: Final = {
    "rdonly": USER_READS_ONLY,
    "wronly": USER_WRITES_ONLY,
    "rdonly_prog": PROGRAM_READS_ONLY,
    "wronly_prog": PROGRAM_WRITES_ONLY,
    "no_common_lru": LRU_PER_CPU,
    "preserve_elems": 0,
}

# Map types by the platforms' names, and the kind that implements them in the core where it has
# another name. None: nothing here does.
CORE_KINDS: Final[dict[str, str | None]] = {
    "devmap": "devmap",
    "devmap_hash": "devmap",
    "cpumap": "devmap",
    "xskmap": "devmap",
    "sk_storage": "local_storage",
    "inode_storage": "local_storage",
    "task_storage": "local_storage",
    "cgrp_storage": "local_storage",
    "cgroup_storage": "local_storage",
    "percpu_cgroup_storage": None,
    "unspec": None,
    "stack_trace": None,
    "cgroup_array": None,
    "sockmap": None,
    "sockhash": None,
    "reuseport_sockarray": None,
    "struct_ops": None,
    "sample_hash_map": "hash",
}
KEYED_TYPES: Final = frozenset({"devmap_hash"})

# A path as a user wrote it -> the path as it is kept. Arguments: path, bytes that it may have.
PathRule = Callable[[str, int], str]


class Habits:
    """One platform's row.

    ``pin_root`` is the directory of pins by name. ``emptied`` are what maps hold ("programs",
    "maps") that are emptied when their last user reference goes. ``array_delete_zeroes``: deleting
    an array's entry makes it zero. ``numbers_types``: type information is an object with a number.
    ``perf_ring`` is the size of a perf ring where the map does not say it itself, 0 where it does.
    ``inner_sizes``: maps inside others need not have as many entries as the template.
    ``behaviour`` has the core's bits for helpers that differ. ``links_wait``: programs may be
    attached whether or not events come from there yet.
    """

    __slots__ = (
        "array_delete_zeroes",
        "behaviour",
        "emptied",
        "inner_sizes",
        "links_wait",
        "numbers_types",
        "path",
        "perf_ring",
        "pin_root",
    )

    def __init__(
        self,
        path: PathRule,
        pin_root: str,
        emptied: Iterable[str],
        *,
        array_delete_zeroes: bool = False,
        numbers_types: bool = True,
        perf_ring: int = 1 << 18,
        behaviour: int = 0,
        inner_sizes: bool = True,
        links_wait: bool = False,
    ) -> None:
        self.path: PathRule = path
        self.pin_root: str = pin_root
        self.emptied: frozenset[str] = frozenset(emptied)
        self.array_delete_zeroes: bool = array_delete_zeroes
        self.numbers_types: bool = numbers_types
        self.perf_ring: int = perf_ring
        self.behaviour: int = behaviour
        self.inner_sizes: bool = inner_sizes
        self.links_wait: bool = links_wait

    def inner_sizes_vary(self, template: MapType, flags: int, platform: Platform) -> bool:
        """Whether maps of this kind inside another may have more or fewer entries than it.

        Linux: all but arrays, and arrays whose flag says so (kernel/bpf/arraymap.c,
        array_map_meta_equal).
        """
        if not self.inner_sizes:
            return False
        bit = next((flag.bit for flag in platform.map_flags if flag.name == "inner_map"), 0)
        return "array" not in template.name or bool(flags & bit)


def plain_path(path: str, most: int) -> str:
    """A path of bpffs: absolute, or below its usual mount; no name in it has a dot.

    >>> plain_path("/sys/fs/bpf//tc/counters", 4095)
    '/sys/fs/bpf/tc/counters'
    """
    _check_text(path, most)
    if not path.startswith("/"):
        path = f"{LINUX_ROOT}/{path}"
    parts = [part for part in path.split("/") if part and part != "."]
    if ".." in parts:
        raise InputError(f"pin path {path!r} has '..' in it: write the place in full")
    for part in parts:
        if "." in part:  # bpffs keeps such names for itself: kernel/bpf/inode.c
            raise InputError(
                f"pin path {path!r}: the name {part!r} has a dot in it, which no pin has"
            )
    if not parts:
        raise InputError(f"pin path {path!r} names no object: it is the root")
    return "/" + "/".join(parts)


def windows_path(path: str, most: int) -> str:
    r"""A path of eBPF for Windows in its canonical form.

    >>> windows_path("/ebpf/global//drops", 255)
    'BPF:\\drops'
    """
    _check_text(path, most)
    rest = path[4:] if path.startswith("BPF:") else path
    if ":" in rest:
        raise InputError(f"pin path {path!r} has a colon in it")
    parts: list[str] = []
    for part in rest.replace("/", "\\").split("\\"):
        if part == "..":
            if not parts:
                raise InputError(f"pin path {path!r} leads above the root")
            parts.pop()
        elif part and part != ".":
            parts.append(part)
    if len(parts) > 2 and parts[:2] == ["ebpf", "global"]:
        del parts[:2]
    if not parts:
        raise InputError(f"pin path {path!r} names no object: it is the root")
    kept = "BPF:\\" + "\\".join(parts)
    _check_text(kept, most)
    return kept


def _check_text(path: object, most: int) -> None:
    if not isinstance(path, str):
        raise InputError(f"a pin path is text, not {type(path).__name__}")
    if not path or "\0" in path:
        raise InputError(f"pin path {path!r} is {'empty' if not path else 'cut by a zero'}")
    try:
        size = len(path.encode())
    except UnicodeEncodeError:
        raise InputError(f"pin path {path!r} cannot be written as UTF-8") from None
    if size > most:
        raise InputError(f"pin path {path[:40]!r}... has {size} bytes, at most {most} are kept")


LINUX_ROOT: Final = "/sys/fs/bpf"

# Linux: kernel/bpf/arraymap.c, prog_array_map_clear. Windows: the execution context drops both.
_ROWS: Final[dict[str, Habits]] = {
    "linux": Habits(plain_path, LINUX_ROOT, ["programs"]),
    "windows": Habits(
        windows_path,
        "/ebpf/global",
        ["programs", "maps"],
        array_delete_zeroes=True,
        numbers_types=False,
        perf_ring=0,
        inner_sizes=False,
        links_wait=True,
        behaviour=WINDOWS_TAIL_CALL | TAIL_CALL_FAILS_NEGATIVE | BEHAVES_WINDOWS,
    ),
}


def habits_of(platform: Platform) -> Habits:
    """The platform's row; one that has none does as Linux does."""
    return _ROWS.get(platform.name, _ROWS["linux"])


def register(platform: str, habits: Habits) -> None:
    """Say what a platform of one's own does. The ones that come with anybpf keep their rows."""
    if platform in ("linux", "windows"):
        raise InputError(f"the habits of platform {platform} cannot be replaced")
    _ROWS[platform] = habits


def core_flags(
    platform: Platform, kind: MapType, flags: int, inner: tuple[MapType, int] | None = None
) -> int:
    """What the flags of map creation, and the platform's ways, come to in the core.

    ``inner`` are type and flags of the template, for maps that hold maps.
    """
    out = 0
    habits = habits_of(platform)
    if inner is not None and habits.inner_sizes_vary(*inner, platform):
        out |= INNER_SIZE_FREE
    if CORE_KINDS.get(kind.name) == "local_storage":
        out |= GROWS
    for flag in platform.map_flags:
        if flags & flag.bit:
            out |= CORE_FLAGS.get(flag.name, 0)
    if not kind.bounded:
        out |= GROWS
    if kind.name in ("array", "percpu_array") and habits.array_delete_zeroes:
        out |= DELETE_ZEROES
    if kind.name in ("queue", "stack"):
        out |= DROPS_OLDEST
    if kind.name in KEYED_TYPES:
        out |= KEYED
    if kind.name == "perf_event_array" and habits.perf_ring:
        out |= NEEDS_READER
    return out
