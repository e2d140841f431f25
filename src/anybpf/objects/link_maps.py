"""What the linker must know of map definitions from before BTF, in sections `maps` and `maps/…`.

They are joined like other data, which is right as long as all have one layout and none refers to
another by its place in the section. Reading them is the business of `maps_legacy`.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from anybpf.errors import LinkError
from anybpf.objects.elf import Section
from anybpf.objects.link_types import Input

# Map types that hold maps, as each platform numbers them, and the word of a definition in which
# each then has the place of the inner map's definition: Linux, samples/bpf/bpf_load.h; eBPF for
# Windows, include/ebpf_structs.h.
_LINUX_OF_MAPS: Final = (12, 13)
_LINUX_INNER_WORD: Final = 5
_LINUX_SIZES: Final = (24, 28)
_WINDOWS_OF_MAPS: Final = (6, 7)
_WINDOWS_INNER_WORD: Final = 4
_WINDOWS_INNER_ID_WORD: Final = 7
_WINDOWS_SIZE: Final = 32


def is_legacy(name: str) -> bool:
    """Whether a section of that name holds map definitions of the old kind."""
    return name == "maps" or name.startswith("maps/")


def check_legacy_maps(inputs: list[Input]) -> None:
    """Raise :class:`LinkError` where joining would change what definitions mean."""
    known: dict[str, tuple[int, str]] = {}
    for entry in inputs:
        for section in entry.elf.sections:
            if entry.targets[section.index] < 0 or not is_legacy(section.name):
                continue
            places = _places(entry, section)
            if not places:
                continue
            # Some compilers pad the end of the section; definitions themselves are of one size.
            size = section.size // len(places)
            if len(places) > 1:
                size = places[1] - places[0]
            before = known.setdefault(section.name, (size, entry.file))
            if before[0] != size:
                raise LinkError(
                    f"map definitions have {size} bytes here and {before[0]} in {before[1]}; "
                    "compile both with the same headers",
                    file=entry.file,
                    section=section.name,
                )
            if entry.shifts[section.index]:
                _check_references(entry, section, places, size)


def _places(entry: Input, section: Section) -> list[int]:
    places: set[int] = set()
    for symbol in entry.symbols_in(section.index).values():
        places.add(symbol.value)
    return sorted(places)


def _check_references(entry: Input, section: Section, places: list[int], size: int) -> None:
    """A definition that counts definitions from the section's start would now count others."""
    count = size // 4
    row = Struct(f"{'>' if entry.elf.big_endian else '<'}{count}I") if count <= 9 else None
    for place in places:
        if row is None or place + size > len(section.data):
            continue
        words = row.unpack_from(section.data, place)
        linux = size in _LINUX_SIZES and words[0] in _LINUX_OF_MAPS
        windows = (
            size == _WINDOWS_SIZE
            and words[0] in _WINDOWS_OF_MAPS
            and words[_WINDOWS_INNER_WORD] > 0
            and words[_WINDOWS_INNER_ID_WORD] == 0
        )
        if linux or windows:
            word = _LINUX_INNER_WORD if linux else _WINDOWS_INNER_WORD
            raise entry.elf.error_in(
                section,
                f"this map of maps names its inner map as number {words[word]} of the section, "
                "which is another one once objects are joined; define both in .maps",
                place,
            )
