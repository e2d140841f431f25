"""A descriptor of something in the kernel: open once, closed once, pinned by path.

Programs, maps, links and types all are handles; what they can do besides is the business of the
modules of their kinds.
"""

from __future__ import annotations

import errno
import os
import warnings
from collections.abc import Callable
from ctypes import addressof, create_string_buffer
from struct import pack
from typing import TYPE_CHECKING, Any, Final, Self

from anybpf.backends.linux import syscall
from anybpf.errors import AnyBPFError, ClosedError, InputError, NotFound
from anybpf.runtime.objects import Origin

if TYPE_CHECKING:
    from anybpf.backends.linux.backend import LinuxBackend

_NOT_BPFFS: Final = (
    "the path is in no BPF file system: mount one (mount -t bpf bpf /sys/fs/bpf) and pin below it"
)


class Descriptor:
    """A descriptor that is closed as the last one who uses it lets go.

    Whoever is in the middle of a call holds this, so that a number that was closed meanwhile, and
    given to something else, is never called with. ``cells`` are attributes that are used again.
    """

    __slots__ = ("__weakref__", "cells", "fd")

    def __init__(self, fd: int) -> None:
        self.fd: int = fd
        self.cells: list[Any] = []

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        close(self.fd)  # which is still there as the interpreter ends


class Handle:
    """One descriptor. Closing it twice does no harm; using it afterwards is an error.

    Whoever forgets to close it gets a ``ResourceWarning`` that names the place where it was made;
    the descriptor is closed all the same.
    """

    object_kind = ""

    def __init__(self, backend: LinuxBackend, fd: int) -> None:
        self._held: Descriptor | None = Descriptor(fd)
        self._origin: Origin = Origin()
        self._pins: set[str] = set()
        self.backend: LinuxBackend = backend
        self._id: int = 0
        self._name: str = ""
        # Another handle is who has to be closed.
        self._lent: bool = False

    @property
    def fd(self) -> int:
        """The descriptor, while the handle is open. It stays the handle's: do not close it."""
        return self.hold().fd

    def hold(self) -> Descriptor:
        """The same, to be kept for as long as a call takes that another thread may close under."""
        held = self._held
        if held is None:
            raise ClosedError(
                f"{self.describe()} was closed: open it again by id or pin, or use it before it "
                "is closed"
            )
        return held

    @property
    def id(self) -> int:
        return self._id

    @property
    def name(self) -> str:
        return self._name

    @property
    def closed(self) -> bool:
        return self._held is None

    def describe(self) -> str:
        return f"{self.object_kind} {self._name or '(no name)'} (id {self._id})"

    def close(self) -> None:
        """Let go. If nothing else refers to the object, the kernel frees it."""
        self._held = None

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
        if getattr(self, "_held", None) is None:
            return
        said = self.describe()
        self.close()
        if self._lent:
            return
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
