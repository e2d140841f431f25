"""What to say when the kernel refuses a map operation: its error number, the map, the key, and what
helps."""

from __future__ import annotations

import errno
from typing import Final

from anybpf.backends.linux import syscall
from anybpf.errors import AnyBPFError, KeyExists, MapError, MapFull, NoSuchKey

_ARRAYS: Final = frozenset(
    {
        "array",
        "percpu_array",
        "prog_array",
        "array_of_maps",
        "perf_event_array",
        "cgroup_array",
        "devmap",
        "cpumap",
        "xskmap",
        "sockmap",
    }
)
_VALUES_ONLY: Final = frozenset({"queue", "stack", "bloom_filter"})

# By error number: what was found, and what to do about it. {k} is the key.
_WORDS: Final[dict[int, tuple[type[MapError], str]]] = {
    errno.ENOENT: (NoSuchKey, "there is no entry {k}"),
    errno.EEXIST: (KeyExists, "there is an entry {k} already (leave out NOEXIST to replace it)"),
    errno.E2BIG: (
        MapFull,
        "it has its {max_entries} entries; delete some, or give it more max_entries",
    ),
    errno.ENOSPC: (
        MapFull,
        "it has its {max_entries} entries; delete some, or give it more max_entries",
    ),
    errno.EPERM: (MapError, "it is frozen, or its flags or this process's rights forbid it"),
    errno.EINVAL: (
        MapError,
        "the kernel takes the key, the value or the flags not (a map of type {type})",
    ),
    errno.EOPNOTSUPP: (MapError, "maps of type {type} cannot do that"),
    syscall.ENOTSUPP: (MapError, "maps of type {type} cannot do that"),
    errno.EBADF: (
        MapError,
        "what was given is no open program or map of the kind that it holds",
    ),
    errno.EBUSY: (MapError, "somebody else is using it in the same way (or it is mapped writable)"),
    errno.ENOMEM: (MapError, "there is no memory left"),
    errno.EAGAIN: (MapError, "it is being changed: try again"),
}


def refusal(
    name: str, type_name: str, max_entries: int, what: str, number: int, key: object
) -> AnyBPFError:
    """The error for an error number of a map operation."""
    kind, said = _WORDS.get(number, (MapError, syscall.text(number)))
    if type_name in _ARRAYS:
        if number == errno.E2BIG or (number == errno.ENOENT and type_name in _PLAIN):
            kind, said = MapError, "{k} is past its end: it has {max_entries} entries"
        elif number == errno.EINVAL and what == "delete":
            kind = MapError
            said = "an array's entries cannot be deleted (set {k} to zero instead)"
        elif number == errno.EEXIST:
            said = "an array's entry {k} is there from the start (leave out NOEXIST)"
    elif type_name in _VALUES_ONLY and number == errno.ENOENT:
        said = "it is empty"
    if number == errno.ENOSPC and not what.startswith(("update", "push", "add")):
        kind, said = MapError, "the kernel shows no values of such a size of a map of type {type}"
    shown = "" if key is None else repr(key)
    action = f"{what} {shown}" if shown and "{k}" not in said else what
    said = said.format(k=shown, max_entries=max_entries, type=type_name)
    return kind(
        f"map {name}: cannot {action}: {said} [{syscall.word(number)}]",
        map_name=name,
        status=syscall.word(number),
        number=-number,
        key=key,
    )


# Arrays whose entries are all there from the start.
_PLAIN: Final = frozenset({"array", "percpu_array"})
