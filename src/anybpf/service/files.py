"""Files that are there whole or not at all, whenever the process is killed; and copies of memory
that leave holes where nothing was written."""

from __future__ import annotations

import errno
import os

_BLOCK = 1 << 20


def write_whole(path: str, data: bytes) -> None:
    """Put a file in the place of the one that may be there, in one step."""
    beside = f"{path}.new"
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        os.fsync(fd)
    finally:
        os.close(fd)
    os.replace(beside, path)


def read_file(path: str) -> bytes | None:
    """What is in a file; None if there is none."""
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except FileNotFoundError:
        return None


def copy_memory(source: int, path: str) -> int:
    """Copy a memory file to a new file with a name, and return its descriptor."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        size = os.fstat(source).st_size
        os.ftruncate(fd, size)
        at = 0
        while at < size:
            try:
                at = os.lseek(source, at, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:  # nothing but a hole up to the end
                    break
                raise
            end = os.lseek(source, at, os.SEEK_HOLE)
            while at < end:
                block = os.pread(source, min(_BLOCK, end - at), at)
                if not block:
                    break
                os.pwrite(fd, block, at)
                at += len(block)
    except BaseException:
        os.close(fd)
        raise
    return fd
