"""A descriptor of something in the kernel: open once, closed once, pinned by path.

Programs, maps, links and types all are handles; what they can do besides is the business of the
modules of their kinds.
"""

from __future__ import annotations

import errno
import os
import threading
import warnings
from ctypes import addressof, create_string_buffer
from struct import pack
from typing import TYPE_CHECKING, Final, Self

from anybpf.backends.linux import syscall
from anybpf.errors import AnyBPFError, ClosedError, InputError, NotFound
from anybpf.runtime.objects import Origin

if TYPE_CHECKING:
    from anybpf.backends.linux.backend import LinuxBackend

_NOT_BPFFS: Final = (
    "the path is in no BPF file system: mount one (mount -t bpf bpf /sys/fs/bpf) and pin below it"
)


class Handle:
    """One descriptor. Closing it twice does no harm; using it afterwards is an error.

    Whoever forgets to close it gets a ``ResourceWarning`` that names the place where it was made;
    the descriptor is closed all the same.
    """

    kind = ""

    def __init__(self, backend: LinuxBackend, fd: int) -> None:
        self._fd: int = fd
        self._lock = threading.Lock()
        self._origin: Origin = Origin()
        self._pins: set[str] = set()
        self.backend: LinuxBackend = backend
        self._id: int = 0
        self._name: str = ""

    @property
    def fd(self) -> int:
        """The descriptor, while the handle is open. It stays the handle's: do not close it."""
        if self._fd < 0:
            raise ClosedError(
                f"{self.describe()} was closed: open it again by id or pin, or use it before it "
                "is closed"
            )
        return self._fd

    @property
    def id(self) -> int:
        return self._id

    @property
    def name(self) -> str:
        return self._name

    @property
    def closed(self) -> bool:
        return self._fd < 0

    def describe(self) -> str:
        return f"{self.kind} {self._name or '(no name)'} (id {self._id})"

    def close(self) -> None:
        """Let go. If nothing else refers to the object, the kernel frees it."""
        with self._lock:
            fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def pin(self, path: str | os.PathLike[str]) -> str:
        """Give the object a path in a BPF file system; directories above it are made."""
        kept = os.path.abspath(os.fspath(path))
        try:
            os.makedirs(os.path.dirname(kept), mode=0o700, exist_ok=True)
        except OSError as error:
            raise InputError(f"{self.describe()} cannot be pinned at {kept}: {error}") from error
        name = create_string_buffer(os.fsencode(kept))
        result = syscall.call(syscall.OBJ_PIN, pack("=QIIi4x", addressof(name), self.fd, 0, 0))
        if result < 0:
            raise self._unpinnable(kept, -result)
        self._pins.add(kept)
        return kept

    def _unpinnable(self, path: str, number: int) -> AnyBPFError:
        if number == errno.EPERM and _on_bpffs(path):
            return syscall.not_permitted(f"pinning {self.describe()} at {path}")
        why = {
            errno.EEXIST: "something is pinned there already: remove it, or take another path",
            errno.EINVAL: _NOT_BPFFS,
            errno.EPERM: _NOT_BPFFS,
        }.get(number, syscall.text(number))
        return InputError(f"{self.describe()} cannot be pinned at {path}: {why}")

    def unpin(self, path: str | os.PathLike[str] = "") -> None:
        """Take one pin away, or all that were made or opened with this handle."""
        _ = self.fd
        for kept in [os.path.abspath(os.fspath(path))] if path else sorted(self._pins):
            try:
                os.unlink(kept)
            except FileNotFoundError:
                raise NotFound(f"nothing is pinned at {kept}") from None
            self._pins.discard(kept)

    @property
    def pins(self) -> list[str]:
        """The paths that were made or opened with this handle, sorted. The kernel does not say
        where else an object is pinned; :meth:`LinuxBackend.pins` looks everywhere."""
        _ = self.fd
        return sorted(self._pins)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_fd", -1) < 0:
            return
        said = self.describe()
        self.close()
        warnings.warn(
            f"{said} was never closed; it was made at {self._origin}",
            ResourceWarning,
            source=self,
            stacklevel=2,
        )

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"id {self._id}"
        return f"<{type(self).__name__} {self._name}, {state}>"


def _on_bpffs(path: str) -> bool:
    from anybpf.backends.linux.pins import mounts

    return any(path.startswith(f"{mount}/") for mount in mounts())
