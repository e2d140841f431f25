"""Where functions begin in programs and libraries: what a probe by name needs to know.

Only that much of executable ELF files is read here; objects with BPF programs are the business of
``anybpf.objects``.
"""

from __future__ import annotations

from pathlib import Path
from struct import Struct, error
from typing import Final

from anybpf.errors import NotFound, ObjectError

# Layouts of 64-bit little-endian and big-endian ELF: "System V ABI", chapters 4 and 5.
_PT_LOAD: Final = 1
_SHT_SYMTAB: Final = 2
_SHT_DYNSYM: Final = 11
_STT_FUNC: Final = 2
_STT_GNU_IFUNC: Final = 10


def symbol_offset(file: str, symbol: str) -> int:
    """At which byte of the file a function begins."""
    try:
        data = Path(file).read_bytes()
    except OSError as failed:
        raise NotFound(f"{file} cannot be read: {failed.strerror}") from None
    if data[:4] != b"\x7fELF" or len(data) < 64 or data[4] != 2:
        raise ObjectError("this is no 64-bit ELF file", file=file, offset=0)
    try:
        address = _address(data, "<" if data[5] == 1 else ">", symbol)
        found = None if address is None else _in_file(data, "<" if data[5] == 1 else ">", address)
    except (error, OverflowError) as failed:  # places beyond the end, and beyond any address
        raise ObjectError(f"its tables are cut off: {failed}", file=file) from None
    if found is None:
        raise NotFound(f"{file} has no function {symbol}: give its offset in the file instead")
    return found


def _address(data: bytes, order: str, symbol: str) -> int | None:
    """Of what the symbol tables call so; the whole one first, then that of the loader."""
    start, size, count = Struct(f"{order}Q").unpack_from(data, 40)[0], *_counts(data, order, 58)
    section = Struct(f"{order}IIQQQQIIQQ")
    sections = [section.unpack_from(data, start + index * size) for index in range(count)]
    entry = Struct(f"{order}IBBHQQ")
    wanted = symbol.encode()
    for kind in (_SHT_SYMTAB, _SHT_DYNSYM):
        for _, this, _, _, offset, length, link, *_ in sections:
            if this != kind or link >= len(sections):
                continue
            names = sections[link][4]
            for at in range(offset, offset + length - entry.size + 1, entry.size):
                name, info, _, home, value, _ = entry.unpack_from(data, at)
                if home and info & 15 in (_STT_FUNC, _STT_GNU_IFUNC):
                    end = names + name + len(wanted)
                    if data[names + name : end] == wanted and data[end : end + 1] in (b"\0", b"@"):
                        return int(value)
    return None


def _counts(data: bytes, order: str, at: int) -> tuple[int, int]:
    size, count = Struct(f"{order}HH").unpack_from(data, at)
    return int(size), int(count)


def _in_file(data: bytes, order: str, address: int) -> int | None:
    """The place in the file of what is loaded at this address."""
    start = Struct(f"{order}Q").unpack_from(data, 32)[0]
    size, count = _counts(data, order, 54)
    header = Struct(f"{order}IIQQQQ")
    for index in range(count):
        kind, _, offset, home, _, length = header.unpack_from(data, start + index * size)
        if kind == _PT_LOAD and home <= address < home + length:
            return int(address - home + offset)
    return None
