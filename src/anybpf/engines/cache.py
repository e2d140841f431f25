"""Compiled objects on disk, so that a program is compiled once for a machine.

One file an object, named by a digest of all that went into it; whoever asks makes that digest with
``key``. What is in the cache is executed: so its directory must be ours alone, or it is not used.
Losing it costs time and nothing else, hence nothing that goes wrong with it is an error: without a
directory, on a full disk, with damaged files, everything is compiled anew.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from stat import S_ISDIR, S_ISREG
from struct import Struct
from time import time
from typing import Final

MAGIC: Final = b"anybpf object\n\0\0"
VERSION: Final = 1
SUFFIX: Final = ".obj"
DEFAULT_LIMIT: Final = 256 << 20
# Directory, how much it may hold.
DIRECTORY_VARIABLE: Final = "ANYBPF_CACHE"
LIMIT_VARIABLE: Final = "ANYBPF_CACHE_SIZE"

# Magic, version, room for flags, key, length and SHA-256 of what follows.
_HEADER: Final = Struct("<16sII32sQ32s")
_LOCK: Final = "lock"
_MOST_OBJECT: Final = 64 << 20
# Eviction leaves so much of the limit, so that it is not due again at once.
_LEFT_FULL: Final = 0.8
# A use is noted only if the last one noted is older than so many seconds.
_USE_GRAIN: Final = 60.0
# Leftovers of writers that died are removed after so many seconds.
_STALE: Final = 3600.0
# The directory is measured at the first write and then after each so many.
_WRITES_BETWEEN_LOOKS: Final = 64

_NO_FOLLOW: Final = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
# Not to wait for whoever writes into a pipe that somebody put in place of a file.
_READ: Final = os.O_RDONLY | _NO_FOLLOW | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_BINARY: Final = getattr(os, "O_BINARY", 0)
_OTHERS_WRITE: Final = 0o022
_STICKY: Final = 0o1000


def key(*parts: bytes | str | int) -> bytes:
    """The digest of everything that matters for an object, in this order.

    >>> key("linux", 1).hex()[:8] == key("linux1").hex()[:8]
    False
    """
    digest = hashlib.sha256()
    for part in parts:
        if not isinstance(part, bytes):
            part = f"{type(part).__name__}:{part}".encode()
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.digest()


def default_directory() -> str:
    """Where the cache is if nobody says otherwise; "" where there is no such place."""
    chosen = os.environ.get(DIRECTORY_VARIABLE)
    if chosen is not None:
        return chosen
    home = os.path.expanduser("~")
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA", "")
        return os.path.join(base, "anybpf", "cache") if base else ""
    if sys.platform == "darwin":
        base = os.path.join(home, "Library", "Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME", "")
        if not os.path.isabs(base):  # as its specification has it: a relative one is ignored
            base = os.path.join(home, ".cache")
    return os.path.join(base, "anybpf") if os.path.isabs(base) else ""


def default_limit() -> int:
    """Bytes that the cache may hold: ``ANYBPF_CACHE_SIZE``, with k, M or G behind the number if
    wanted. What is no number is as if it were not there."""
    text = os.environ.get(LIMIT_VARIABLE, "").strip().lower().removesuffix("b").removesuffix("i")
    factor = 1
    if text and text[-1] in "kmg":
        factor = 1 << 10 * (1 + "kmg".index(text[-1]))
        text = text[:-1]
    return int(text) * factor if text.isascii() and text.isdecimal() else DEFAULT_LIMIT


class Entry:
    """One file in the cache. ``problem`` is "" or what is wrong with it, if that was asked for."""

    __slots__ = ("key", "problem", "size", "used")

    def __init__(self, key: str, size: int, used: float, problem: str = "") -> None:
        self.key: str = key  # in hexadecimal digits
        self.size: int = size
        self.used: float = used  # seconds since 1970
        self.problem: str = problem


class Cache:
    """The objects in one directory. Safe for many threads and processes at once.

    ``problem`` says why it is not used, or is "". Counters tell what this object of Python did.
    """

    __slots__ = (
        "_total",
        "_until_look",
        "damaged",
        "directory",
        "evicted",
        "hits",
        "limit",
        "misses",
        "problem",
        "stored",
    )

    def __init__(self, directory: str | None = None, limit: int | None = None) -> None:
        self.directory: str = default_directory() if directory is None else directory
        self.limit: int = default_limit() if limit is None else limit
        self.problem: str = ""
        if not self.directory:
            self.problem = "there is no directory for it"
        elif self.limit <= 0:
            self.problem = "its limit is 0"
        self.hits: int = 0
        self.misses: int = 0
        self.damaged: int = 0
        self.stored: int = 0
        self.evicted: int = 0
        self._total: int = 0
        self._until_look: int = 0

    @property
    def is_used(self) -> bool:
        """Whether objects may be there or put there, as far as is known."""
        return not self.problem

    # Reading and writing objects.

    def get(self, name: bytes) -> bytes | None:
        """The object with that key, or None. A damaged one is removed."""
        found: bytes | None = None
        if self.is_used and self._is_ours(create=False):
            found = self._read(name)
        if found is None:
            self.misses += 1
        else:
            self.hits += 1
        return found

    def put(self, name: bytes, data: bytes) -> bool:
        """Keeps an object for later; whether that was possible."""
        size = _HEADER.size + len(data)
        if not self.is_used or size > min(self.limit, _MOST_OBJECT):
            return False
        if not self._is_ours(create=True):
            return False
        header = _HEADER.pack(MAGIC, VERSION, 0, name, len(data), hashlib.sha256(data).digest())
        if not self._write(name, header + data):
            return False
        self.stored += 1
        self._total += size
        self._until_look -= 1
        if self._until_look < 0 or self._total > self.limit:
            self._until_look = _WRITES_BETWEEN_LOOKS
            self._evict()
        return True

    def _path(self, name: bytes) -> str:
        return os.path.join(self.directory, name.hex() + SUFFIX)

    def _read(self, name: bytes) -> bytes | None:
        path = self._path(name)
        try:
            handle = os.open(path, _READ)
        except OSError:
            return None
        try:
            status = os.fstat(handle)
            if not _is_trusted(status) or status.st_size > _MOST_OBJECT:
                return None
            content = _read_all(handle, status.st_size)
        except OSError:
            return None
        finally:
            os.close(handle)
        if problem_of(content, name):
            self.damaged += 1
            _remove(path)
            return None
        self._note_use(path, status.st_mtime)
        return content[_HEADER.size :]

    def _note_use(self, path: str, last: float) -> None:
        """The time of change is the time of the last use: access times are often switched off."""
        if not -_USE_GRAIN < time() - last < _USE_GRAIN:
            try:
                os.utime(path)
            except OSError:
                return  # on a file system that cannot be written, nothing is evicted either

    def _write(self, name: bytes, content: bytes) -> bool:
        """To a file of its own first: others see all of it or nothing."""
        temporary = os.path.join(self.directory, f".{name.hex()[:16]}.{os.urandom(8).hex()}.new")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_FOLLOW | _BINARY
        try:
            handle = os.open(temporary, flags, 0o600)
        except OSError:
            return False
        try:
            try:
                rest = memoryview(content)
                while rest:
                    rest = rest[os.write(handle, rest) :]
            finally:
                os.close(handle)
            os.replace(temporary, self._path(name))
        except OSError:
            _remove(temporary)
            return False
        return True

    # The directory.

    def _is_ours(self, *, create: bool) -> bool:
        """Whether nobody else can have put into the directory what we would execute. Looked at
        each time, since it may be exchanged; if it is not ours, `problem` says why."""
        try:
            status = os.lstat(self.directory)
        except FileNotFoundError:
            return create and self._create()
        except OSError as error:
            self.problem = error.strerror or str(error)
            return False
        self.problem = _problem_of_directory(status)
        return not self.problem

    def _create(self) -> bool:
        parent = os.path.dirname(os.path.abspath(self.directory))
        try:
            os.makedirs(parent, mode=0o700, exist_ok=True)
            self.problem = _problem_of_parent(os.stat(parent))
            if not self.problem:
                try:
                    os.mkdir(self.directory, 0o700)
                except FileExistsError:  # another process was quicker
                    self.problem = _problem_of_directory(os.lstat(self.directory))
        except OSError as error:
            self.problem = error.strerror or str(error)
        return not self.problem

    # Eviction, listing, clearing.

    def entries(self, *, check: bool = False) -> list[Entry]:
        """What is there, the one used last first. ``check`` reads every file to its end."""
        if not self.is_used or not self._is_ours(create=False):
            return []
        found = []
        for entry in self._files(SUFFIX):
            problem = ""
            try:
                status = entry.stat(follow_symlinks=False)
                if check:
                    problem = _problem_of_file(entry.path)
            except OSError:
                continue
            name = entry.name.removesuffix(SUFFIX)
            found.append(Entry(name, status.st_size, status.st_mtime, problem))
        found.sort(key=lambda each: (-each.used, each.key))
        return found

    def clear(self) -> tuple[int, int]:
        """Removes everything: how many objects, and how many bytes they had. The directory stays,
        because others may be writing to it."""
        if not self.is_used or not self._is_ours(create=False):
            return 0, 0
        files = size = 0
        with _Locked(self.directory, wait=True):
            for entry in [*self._files(SUFFIX), *self._files(".new")]:
                try:
                    length = entry.stat(follow_symlinks=False).st_size
                except OSError:
                    continue
                if _remove(entry.path) and entry.name.endswith(SUFFIX):
                    files += 1
                    size += length
        self._total = 0
        return files, size

    def _files(self, suffix: str) -> Iterator[os.DirEntry[str]]:
        try:
            with os.scandir(self.directory) as entries:
                for entry in entries:
                    if entry.name.endswith(suffix):
                        yield entry
        except OSError:
            return

    def _evict(self) -> None:
        """Makes room if there is too little: those go first that were not used for longest. One
        process at a time; the others need not wait for it."""
        with _Locked(self.directory, wait=False) as locked:
            if not locked:
                return
            self._remove_leftovers()
            entries = self.entries()
            self._total = sum(entry.size for entry in entries)
            if self._total <= self.limit:
                return
            while entries and self._total > self.limit * _LEFT_FULL:
                oldest = entries.pop()
                if _remove(os.path.join(self.directory, oldest.key + SUFFIX)):
                    self.evicted += 1
                self._total -= oldest.size

    def _remove_leftovers(self) -> None:
        for entry in self._files(".new"):
            try:
                if time() - entry.stat(follow_symlinks=False).st_mtime > _STALE:
                    _remove(entry.path)
            except OSError:
                continue


class _Locked:
    """The directory's lock, held in a ``with``: True if it was got. Goes with its holder."""

    __slots__ = ("_directory", "_handle", "_wait")

    def __init__(self, directory: str, *, wait: bool) -> None:
        self._directory: str = directory
        self._wait: bool = wait
        self._handle: int = -1

    def __enter__(self) -> bool:
        path = os.path.join(self._directory, _LOCK)
        try:
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT | _NO_FOLLOW, 0o600)
            _lock(self._handle, wait=self._wait)
        except OSError:
            return False
        return True

    def __exit__(self, *_: object) -> None:
        if self._handle >= 0:
            os.close(self._handle)


def _lock(handle: int, *, wait: bool) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(handle, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))


def problem_of(content: bytes, name: bytes) -> str:
    """What is wrong with a file's content; "" if it is the object with that key."""
    if len(content) < _HEADER.size:
        return "shorter than its header"
    magic, version, _, named, length, digest = _HEADER.unpack_from(content)
    if magic != MAGIC:
        return "not an object of this cache"
    if version != VERSION:
        return f"of version {version}"
    if named != name:
        return "not what its name says"
    if length != len(content) - _HEADER.size:
        return f"{len(content) - _HEADER.size} bytes where {length} were written"
    if hashlib.sha256(memoryview(content)[_HEADER.size :]).digest() != digest:
        return "its checksum is another"
    return ""


def _problem_of_file(path: str) -> str:
    try:
        name = bytes.fromhex(os.path.basename(path).removesuffix(SUFFIX))
        handle = os.open(path, _READ)
        try:
            status = os.fstat(handle)
            if not _is_trusted(status):
                return "somebody else may have written it"
            return problem_of(_read_all(handle, min(status.st_size, _MOST_OBJECT)), name)
        finally:
            os.close(handle)
    except ValueError:
        return "its name is no key"
    except OSError as error:
        return error.strerror or str(error)


def _read_all(handle: int, size: int) -> bytes:
    content = os.read(handle, size)
    while len(content) < size:
        more = os.read(handle, size - len(content))
        if not more:
            break
        content += more
    return content


def _remove(path: str) -> bool:
    try:
        os.unlink(path)
    except OSError:
        return False
    return True


# Who may have written. Windows keeps a user's own folder from others by the access list that
# everything in it inherits, and has no such bits.


def _is_trusted(status: os.stat_result) -> bool:
    if not S_ISREG(status.st_mode):
        return False
    if sys.platform == "win32":
        return True
    return status.st_uid == os.geteuid() and not status.st_mode & _OTHERS_WRITE


def _problem_of_directory(status: os.stat_result) -> str:
    if not S_ISDIR(status.st_mode):
        return "it is no directory"
    if sys.platform == "win32":
        return ""
    if status.st_uid != os.geteuid():
        return f"it belongs to user {status.st_uid}, and this process is user {os.geteuid()}"
    if status.st_mode & _OTHERS_WRITE:
        return (
            f"others may write to it (mode {status.st_mode & 0o7777:o}); chmod 700 it, or clear it"
        )
    return ""


def _problem_of_parent(status: os.stat_result) -> str:
    if sys.platform == "win32":
        return ""
    if status.st_uid not in (0, os.geteuid()):
        return f"what it lies in belongs to user {status.st_uid}"
    if status.st_mode & _OTHERS_WRITE and not status.st_mode & _STICKY:
        return f"others may write to what it lies in (mode {status.st_mode & 0o7777:o})"
    return ""
