"""What lasts from one netsh command to the next: the back end, and what was loaded through it.

One netsh process keeps the objects that it loaded open until they are deleted or it ends. Links are
kept by a pin below ``LINKS``, so that an attachment lasts as long as the back end does, as one
without a handle does on Windows.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TextIO

from anybpf import platforms
from anybpf.platforms import Platform

if TYPE_CHECKING:
    from anybpf.backends.model import Backend, CollectionHandle, ProgramHandle

PLATFORM: Final = "windows"
# Below this directory of pins lie the links that netsh made, by their numbers.
LINKS: Final = "netsh/links"
# A back end, when a command first needs one.
Opener = Callable[[], "Backend"]


class Origin:
    """Where a program came from: the file as it was named, and the section in it."""

    __slots__ = ("file", "section")

    def __init__(self, file: str, section: str) -> None:
        self.file = file
        self.section = section


class Session:
    """One run of netsh. ``out`` and ``err`` are what it prints to."""

    def __init__(
        self,
        opener: Opener,
        *,
        out: TextIO | None = None,
        err: TextIO | None = None,
        explain: bool = False,
        typed: bool = False,
    ) -> None:
        self._opener = opener
        self._backend: Backend | None = None
        self._out = out
        self._err = err
        self.explain: bool = explain
        # What was listed, by the kind of thing, if somebody wants it as values (``typed``).
        self.typed: bool = typed
        self.told: dict[str, list[Any]] = {}
        self.collections: list[CollectionHandle] = []
        self.origins: dict[int, Origin] = {}
        self.platform: Platform = platforms.get(PLATFORM)

    @property
    def backend(self) -> Backend:
        if self._backend is None:
            self._backend = self._opener()
        return self._backend

    # Printing.

    def print(self, *lines: str) -> None:
        """Lines; without any, nothing."""
        self.write("".join(f"{line}\n" for line in lines))

    def write(self, text: str) -> None:
        """Text as it is."""
        (sys.stdout if self._out is None else self._out).write(text)

    def flush(self) -> None:
        (sys.stdout if self._out is None else self._out).flush()

    def tell(self, kind: str, value: Callable[[], Any]) -> None:
        """Something that a listing shows, as a value; made only if somebody wants it."""
        if self.typed:
            self.told.setdefault(kind, []).append(value())

    def fail(self, message: str, error: BaseException | None = None) -> int:
        """Say what went wrong, in netsh's words; with ``explain``, in ours as well."""
        self.flush()
        stream = sys.stderr if self._err is None else self._err
        stream.write(f"{message}\n")
        if self.explain and error is not None:
            stream.write(f"  {str(error).rstrip()}\n")
        return 1

    # Objects.

    @property
    def forgets(self) -> bool:
        """Whether something was loaded that ends with this process, whatever it is pinned by."""
        return bool(self.collections) and self.backend.name == "embedded"

    def keep(self, collection: CollectionHandle) -> None:
        self.collections.append(collection)

    def program(self, number: int) -> ProgramHandle | None:
        """A new handle of that program, or None if there is no such program."""
        if number not in self.backend.ids("program"):
            return None
        return self.backend.program(number)

    def origin(self, number: int, handle: ProgramHandle) -> Origin:
        """Where the program came from, as far as this session or the back end knows."""
        known = self.origins.get(number)
        if known is not None:
            return known
        prepared = getattr(handle, "prepared", None)
        return Origin("", getattr(prepared, "section", ""))

    def drop(self, number: int) -> None:
        """Close the object of which that program is, if this session loaded it."""
        for collection in self.collections:
            if any(not one.closed and one.id == number for one in collection):
                collection.close()
                self.collections.remove(collection)
                return

    def pins_of(self, kind: str, number: int) -> list[str]:
        """The paths of all pins of an object but those that netsh itself keeps links by."""
        own = self.kept_path(f"{LINKS}/{number}") if kind == "link" else ""
        found = self.backend.pins(kind=kind)
        return [path for path, _, one in found if one == number and path != own]

    def program_pins(self, number: int) -> list[str]:
        """The paths of a program's pins, in code point order."""
        return sorted(path for path, _, one in self.backend.pins(kind="program") if one == number)

    def pinned_at(self, path: str) -> bool:
        """Whether something is pinned at that path, however it is spelled."""
        kept = self.kept_path(path)
        return any(one == kept for one, _, _ in self.backend.pins())

    def kept_path(self, path: str) -> str:
        from anybpf.runtime.habits import habits_of

        return habits_of(self.platform).path(path, self.platform.limits["pin_path_length"])

    # Links.

    def attach(self, program: ProgramHandle, attach_type: str, data: bytes) -> None:
        """Attach a program, and let the attachment stay."""
        with program.attach(attach_type, data) as link:
            link.pin(f"{LINKS}/{link.id}")

    def detach(self, number: int) -> bool:
        """Take a program away from where it is attached; whether it was attached at all."""
        found = False
        for info in list(self.backend.infos("link")):
            if info.prog_id != number:
                continue
            found = True
            with self.backend.link(info.id) as link:
                link.detach()
            own = self.kept_path(f"{LINKS}/{info.id}")
            if any(path == own for path, _, _ in self.backend.pins(kind="link")):
                self.backend.remove_pin(own)
        return found

    # The end.

    def close(self) -> None:
        """Close what was loaded; what is pinned stays, if the back end does."""
        for collection in self.collections:
            collection.close()
        self.collections.clear()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def interface_index(text: str) -> int | None:
    """The number of an interface, by its number or its name; None if there is no such interface."""
    if text.isdecimal() and text.isascii():
        return int(text) if int(text) <= 0xFFFFFFFF else None
    import socket

    try:
        return socket.if_nametoindex(text)
    except (OSError, ValueError):
        return None


def own_process() -> tuple[int, str]:
    """This process: its number, and the name that it was started by."""
    name = os.path.basename(sys.argv[0])
    return os.getpid(), "anybpf" if name in ("", "__main__.py") else name
