"""Arenas: pages that programs and Python share, with pointers from one into another.

What programs keep in an arena are arena pointers, 64-bit numbers; :class:`Arena` takes and gives
the same. How the pages are kept and handed out is the core's business (``src/core/maps/arena.c``).
"""

from __future__ import annotations

from typing import Final

from anybpf.errors import InputError, MapFull
from anybpf.maps.codecs import Struct, struct_class
from anybpf.maps.failures import STATUS
from anybpf.maps.map import Map
from anybpf.objects.specs import ARENA_PAGE

_LOW: Final = 0xFFFFFFFF


class Arena(Map):
    """An arena of up to ``max_entries`` pages of 4096 bytes.

    ``allocate`` and ``free`` are what programs do by ``bpf_arena_alloc_pages`` and
    ``bpf_arena_free_pages``; ``view`` shows memory in place, ``struct`` a C structure in it. Of a
    pointer, the low 32 bits count, as for programs: they tell all bytes of an arena apart.
    """

    @property
    def start(self) -> int:
        """The pointer to its first byte, as programs have it."""
        return self.arena_start()

    @property
    def size(self) -> int:
        """Its bytes, whether somebody has them or not."""
        return self.max_entries * ARENA_PAGE

    # Pages.

    def allocate(self, pages: int = 1, at: int = 0) -> int:
        """Take pages side by side, zero, that nobody has: a pointer to the first of them.

        ``at`` is a pointer to where they must be. :class:`MapFull` if there are no such pages.
        """
        if pages < 1:
            raise InputError(f"map {self.spec.name}: {pages} pages are none to allocate")
        if at and self._pages(at, pages) is None:
            raise InputError(
                f"map {self.spec.name}: {pages} pages at {at:#x} are not its own: they begin at a "
                f"multiple of {ARENA_PAGE} from {self.start:#x} to {self.start + self.size:#x}"
            )
        pointer = self.alloc_pages(pages, at)
        if not pointer:
            why = f"{len(self)} of {self.max_entries} are taken, and no {pages} others lie together"
            if at:
                why = f"some of those from {at:#x} on are taken"
            raise MapFull(
                f"map {self.spec.name}: cannot allocate {pages} pages: {why}",
                map_name=self.spec.name, status="NO_MEMORY",
                number=self.platform.codes()[STATUS["NO_MEMORY"]], key=None,
            )  # fmt: skip
        return pointer

    def free(self, pointer: int, pages: int = 1) -> None:
        """Give pages back; what is in them is gone. Those that nobody has are left alone."""
        if pages < 1 or self._pages(pointer, pages) is None:
            raise InputError(
                f"map {self.spec.name}: {pages} pages at {pointer:#x} are not its own: nothing "
                "was freed"
            )
        self._check("free pages", self.free_pages(pointer, pages), None)

    def allocated(self) -> list[tuple[int, int]]:
        """The pages that somebody has, programs or users: a pointer and a number for each stretch
        of pages side by side."""
        found: list[tuple[int, int]] = []
        page, count = self.taken_pages(0)
        while count:
            found.append((self.start + page * ARENA_PAGE, count))
            page, count = self.taken_pages(page + count)
        return found

    def __len__(self) -> int:
        """How many pages somebody has."""
        return self.count()

    def _pages(self, pointer: int, pages: int) -> int | None:
        """The first page's number; None if these are no pages of the arena."""
        offset = (pointer - self.start) & _LOW
        if offset % ARENA_PAGE or offset + pages * ARENA_PAGE > self.size:
            return None
        return offset // ARENA_PAGE

    # Pointers.

    def offset_of(self, pointer: int) -> int:
        """How far from the arena's start a pointer points; :class:`InputError` if outside."""
        offset = (pointer - self.start) & _LOW
        if pointer == 0 or offset >= self.size:
            what = "the null pointer" if pointer == 0 else f"{pointer:#x}"
            raise InputError(
                f"map {self.spec.name}: {what} does not point into it, which goes from "
                f"{self.start:#x} to {self.start + self.size:#x}"
            )
        return offset

    def pointer_to(self, offset: int) -> int:
        """The pointer to a byte, as programs have it."""
        if not 0 <= offset < self.size:
            raise InputError(f"map {self.spec.name} has {self.size} bytes, none at {offset}")
        return self.start + offset

    # Memory.

    def view(self, pointer: int, size: int | None = None) -> memoryview:
        """Allocated memory, in place: what one side writes the other sees at once.

        Without a size, up to the last page of that stretch. As long as there are views, the arena
        cannot be closed: ``release`` them, or use ``with``.
        """
        offset = self.offset_of(pointer)
        page = offset // ARENA_PAGE
        first, count = self.taken_pages(page)
        end = (first + count) * ARENA_PAGE if first == page else offset
        if size is None and end > offset:
            size = end - offset
        if size is None or size < 0 or offset + size > end:
            raise InputError(
                f"map {self.spec.name}: {'the byte' if size is None else f'{size} bytes'} at "
                f"{pointer:#x} are not in pages that somebody has: allocate them first"
            )
        with self.values_view() as whole, whole.cast("B") as octets:
            return octets[offset : offset + size]

    def read(self, pointer: int, size: int) -> bytes:
        """A copy of allocated memory."""
        with self.view(pointer, size) as memory:
            return bytes(memory)

    def write(self, pointer: int, data: bytes | bytearray | memoryview) -> None:
        """Put bytes into allocated memory."""
        with memoryview(data).cast("B") as octets, self.view(pointer, len(octets)) as memory:
            memory[:] = octets

    def struct(self, pointer: int, kind: str | type[Struct]) -> Struct:
        """The C structure at a pointer, in place: fields that are set are set in the arena.

        ``kind`` is its name in the object's BTF, or its class (``anybpf.maps.struct_class``). As
        long as the value is there, the arena cannot be closed; ``from_bytes(bytes(value))`` of
        its class is a copy.
        """
        if isinstance(kind, str):
            kind = self._class(kind)
        return kind._view(self.view(pointer, kind._codec.size), 0)

    def _class(self, name: str) -> type[Struct]:
        classes: dict[str, type[Struct]] = self.__dict__.setdefault("_classes", {})
        found = classes.get(name)
        if found is None:
            if self.btf is None:
                raise InputError(
                    f"map {self.spec.name} was loaded without BTF, where structure {name} would be"
                )
            found = classes[name] = struct_class(self.btf, name)
        return found

    def __repr__(self) -> str:
        if self.closed:
            return f"<Arena {self.spec.name}, closed>"
        return f"<Arena {self.spec.name}, {len(self)} of {self.max_entries} pages taken>"
