"""The running kernel as a back end: what is loaded, opened, walked and pinned.

What each kind of object can do stands in its own module: ``maps``, ``program``, ``link``,
``types``. Nothing is kept here: the kernel is asked every time.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from struct import pack
from typing import TYPE_CHECKING, Any, Self

from anybpf import platforms
from anybpf.backends.linux import info as infos
from anybpf.backends.linux import pins, syscall
from anybpf.errors import AnyBPFError, ClosedError, NotFound, NotSupported
from anybpf.platforms import Platform

if TYPE_CHECKING:
    from anybpf.backends.linux.collection import Collection
    from anybpf.backends.linux.link import Link
    from anybpf.backends.linux.maps import Map
    from anybpf.backends.linux.program import Program
    from anybpf.backends.linux.types import Types
    from anybpf.btf import BTF
    from anybpf.objects.specs import MapSpec
    from anybpf.runtime.features import Features


class LinuxBackend:
    """The kernel of this machine, by bpf(2).

    Closing it closes nothing that was handed out: objects in the kernel live as long as their
    handles, links and pins. :class:`NotSupported` says why, where bpf(2) is refused.
    """

    def __init__(self, platform: str | Platform = "linux") -> None:
        self.platform: Platform = platforms.get(platform)
        if self.platform.name != "linux":
            raise NotSupported(
                f"the platform {self.platform.name}", where="the linux back end, which is a kernel"
            )
        syscall.require()
        self.name: str = "linux"
        self._closed: bool = False
        self._lock = threading.Lock()
        self._types: BTF | None = None
        self._types_read: bool = False
        self._features: Features | None = None

    @property
    def closed(self) -> bool:
        return self._closed

    def _check(self) -> None:
        if self._closed:
            raise ClosedError("the linux back end was closed: make another one")

    def kernel_types(self) -> BTF | None:
        """The types of the running kernel, read once; None if it does not tell them."""
        with self._lock:
            if not self._types_read:
                from anybpf.backends.linux.types import parse_kernel_types

                self._types = parse_kernel_types(self)
                self._types_read = True
            return self._types

    # Loading.

    def load(self, source: Any, **options: Any) -> Collection:
        """See :func:`anybpf.backends.linux.loading.load`."""
        self._check()
        from anybpf.backends.linux.loading import load

        return load(self, source, **options)

    def create_map(self, spec: MapSpec) -> Map:
        """A map by itself, of no object file. Close it, or pin it."""
        self._check()
        from anybpf.backends.linux.maps import create

        return create(self, spec.copy())

    # Looking.

    def next_id(self, kind: str, after: int = 0) -> int | None:
        """The lowest number of that kind above ``after``; None at the end."""
        self._check()
        return infos.next_id(infos.known_kind(kind), after)

    def ids(self, kind: str) -> list[int]:
        """The numbers of all objects of a kind ("program", "map", "link", "btf"), sorted."""
        found: list[int] = []
        number = self.next_id(kind)
        while number is not None:
            found.append(number)
            number = self.next_id(kind, number)
        return found

    def infos(self, kind: str) -> Iterator[Any]:
        """What ``info()`` says of every object of that kind."""
        kind = infos.known_kind(kind)
        for number in self.ids(kind):
            try:
                fd = infos.open_id(kind, number)
            except NotFound:
                continue  # gone meanwhile
            try:
                yield self._info(kind, fd)
            finally:
                os.close(fd)

    def _info(self, kind: str, fd: int) -> Any:
        if kind == "program":
            return infos.program_info(fd, self.platform)
        if kind == "map":
            return infos.map_info(fd, self.platform)
        if kind == "btf":
            return infos.types_info(fd)
        from anybpf.backends.linux.link import link_info

        return link_info(fd, self.platform)

    def handle(self, kind: str, fd: int) -> Any:
        """A handle of the right kind, which owns the descriptor from now on."""
        if kind == "program":
            from anybpf.backends.linux.program import Program

            return Program(self, fd)
        if kind == "map":
            from anybpf.backends.linux.maps import of_descriptor

            return of_descriptor(self, fd)
        if kind == "btf":
            from anybpf.backends.linux.types import Types

            return Types(self, fd)
        if kind == "link":
            from anybpf.backends.linux.link import Link

            return Link(self, fd)
        os.close(fd)
        raise AnyBPFError("what was opened is neither a program, a map, a link nor types")

    def _open_id(self, kind: str, number: int) -> Any:
        self._check()
        return self.handle(kind, infos.open_id(kind, number))

    def program(self, number: int) -> Program:
        """A new handle of the program with that number."""
        found: Program = self._open_id("program", number)
        return found

    def map(self, number: int) -> Map:
        """A new handle of the map with that number."""
        found: Map = self._open_id("map", number)
        return found

    def link(self, number: int) -> Link:
        """A new handle of the link with that number."""
        found: Link = self._open_id("link", number)
        return found

    def types(self, number: int) -> Types:
        """A new handle of the type information with that number."""
        found: Types = self._open_id("btf", number)
        return found

    # Pins.

    def pins(self, below: str = "", kind: str = "") -> list[tuple[str, str, int]]:
        """Path, kind and number of every pin below a directory, or in all BPF file systems."""
        self._check()
        return sorted(pins.walk(below, infos.known_kind(kind) if kind else ""))

    def open(self, path: str | os.PathLike[str]) -> Any:
        """A new handle of what is pinned there: a program, a map or a link."""
        self._check()
        fd, kind = pins.open_path(path)
        found = self.handle(kind, fd)
        found._pins.add(os.path.abspath(os.fspath(path)))
        return found

    def remove_pin(self, path: str | os.PathLike[str]) -> None:
        """Take a pin away, whatever is pinned there."""
        self._check()
        pins.remove(path)

    # The rest.

    def enable_statistics(self) -> Statistics:
        """Let the kernel count runs and run times of all programs until this is closed."""
        self._check()
        result = syscall.call(syscall.ENABLE_STATS, pack("=I", 0))
        if result < 0:
            raise syscall.not_permitted("counting run times (it needs CAP_SYS_ADMIN)")
        return Statistics(result)

    def features(self) -> Features:
        """What this kernel can do: it is asked, once."""
        self._check()
        if self._features is None:
            from anybpf.backends.linux.features import linux_features

            self._features = linux_features(self)
        return self._features

    def close(self) -> None:
        """Twice does no harm. What was opened stays open."""
        self._closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<LinuxBackend, {syscall.release()}{', closed' if self._closed else ''}>"


class Statistics:
    """The statistics switch, on. Closing it twice does no harm."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> Statistics:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()
