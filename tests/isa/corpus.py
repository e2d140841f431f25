"""Code of the public corpus, for tests that want much of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from anybpf.errors import ObjectError
from anybpf.objects.elf import ElfFile


def files(shared: Path) -> list[Path]:
    """Every file of the corpus that claims to be an object."""
    return [
        path
        for path in sorted((shared / "corpus").rglob("*"))
        if path.is_file() and path.suffix not in (".md", ".csv")
    ]


def objects(shared: Path) -> Iterator[ElfFile]:
    """Those that can be read."""
    for path in files(shared):
        try:
            yield ElfFile(path.read_bytes(), str(path))
        except ObjectError:
            continue


def sections(shared: Path) -> Iterator[tuple[str, bytes, bool]]:
    """Name, bytes and byte order of each code section, each different content once."""
    seen: set[bytes] = set()
    for elf in objects(shared):
        for section in elf.sections:
            data = bytes(section.data)
            if section.is_code and data and data not in seen:
                seen.add(data)
                yield f"{Path(elf.file).name} {section.name}", data, elf.big_endian
