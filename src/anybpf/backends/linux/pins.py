"""Pins: files of BPF file systems, each of which keeps an object of the kernel alive.

Making one is the handle's business; here they are found, opened and taken away.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from ctypes import addressof, create_string_buffer
from struct import pack

from anybpf.backends.linux import syscall
from anybpf.backends.linux.info import id_of, kind_of
from anybpf.errors import AnyBPFError, InputError, NotFound


def mounts() -> list[str]:
    """Where BPF file systems are mounted, as this process sees it."""
    found = []
    try:
        with open(
            "/proc/thread-self/mountinfo", encoding="utf-8", errors="surrogateescape"
        ) as lines:
            for line in lines:
                front, _, back = line.partition(" - ")
                if back.split(" ", 1)[0] == "bpf":
                    # Blanks and the like stand there as octal numbers.
                    raw = front.split(" ")[4].encode("utf-8", "surrogateescape")
                    found.append(raw.decode("unicode_escape"))
    except OSError:
        return []
    return sorted(set(found))


def open_path(path: str | os.PathLike[str]) -> tuple[int, str]:
    """A descriptor of what is pinned there, and its kind."""
    kept = os.path.abspath(os.fspath(path))
    name = create_string_buffer(os.fsencode(kept))
    result = syscall.call(syscall.OBJ_GET, pack("=QIIi4x", addressof(name), 0, 0, 0))
    if result < 0:
        raise _not_opened(kept, -result)
    return result, kind_of(result)


def _not_opened(path: str, number: int) -> AnyBPFError:
    if number == errno.ENOENT:
        return NotFound(f"nothing is pinned at {path}")
    if number in (errno.EACCES, errno.EPERM) and os.path.exists(path):
        try:
            regular = stat.S_ISREG(os.stat(path).st_mode)
        except OSError:
            regular = False
        if number == errno.EPERM and not regular:
            return syscall.not_permitted(f"opening the pin {path}")
        return InputError(
            f"{path} is no pin that this process may open: {syscall.text(number)}; pins are files "
            "of a BPF file system"
        )
    return InputError(f"the pin {path} cannot be opened: {syscall.text(number)}")


def walk(below: str = "", kind: str = "") -> Iterator[tuple[str, str, int]]:
    """Path, kind and number of every pin below a directory, or in all BPF file systems."""
    if below:
        kept = os.path.abspath(below)
        roots = [kept] if os.path.isdir(kept) else []
    else:
        roots = mounts()
    seen: set[str] = set()
    for root in roots:
        for directory, names, files in os.walk(root):
            names.sort()
            for name in sorted(files):
                path = os.path.join(directory, name)
                if path in seen:
                    continue
                seen.add(path)
                found = _look(path)
                if found is not None and kind in ("", found[1]):
                    yield found


def _look(path: str) -> tuple[str, str, int] | None:
    try:
        fd, kind = open_path(path)
    except AnyBPFError:
        return None  # gone meanwhile, not ours, or no pin: there are such files too
    try:
        return (path, kind, id_of(fd, kind)) if kind else None
    finally:
        os.close(fd)


def remove(path: str | os.PathLike[str]) -> None:
    """Take a pin away, whatever is pinned there. Files that are no pins stay."""
    kept = os.path.abspath(os.fspath(path))
    fd, _ = open_path(kept)
    try:
        os.unlink(kept)
    except OSError as error:
        raise InputError(f"the pin {kept} cannot be removed: {error.strerror}") from error
    finally:
        os.close(fd)
