"""The `.BTF.ext` section: which function and source line an instruction belongs to, and CO-RE.

Records stay raw bytes until somebody asks for rows, since a large object has tens of thousands.
Offsets of strings are offsets into the `.BTF` section of the same object; `BTF.string` reads them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from struct import Struct as Layout
from struct import pack
from typing import Any, Final

from anybpf.errors import BTFError

_MAGIC: Final = 0xEB9F
_LITTLE_MAGIC: Final = b"\x9f\xeb"
_BIG_MAGIC: Final = b"\xeb\x9f"
# Header with function and line information, and with CO-RE added: btf.rst, section 4.2.
_SHORT_HEADER: Final = 24
_LONG_HEADER: Final = 32

# Size of the records that are known today: btf.rst, section 4.2. Longer ones end in news.
FUNC_INFO_SIZE: Final = 8
LINE_INFO_SIZE: Final = 16
CORE_RELO_SIZE: Final = 16


class InfoSection:
    """The records of one kind that belong to one program section."""

    __slots__ = ("big_endian", "count", "data", "known_size", "name_offset", "record_size")

    def __init__(
        self,
        name_offset: int,
        data: bytes | memoryview,
        record_size: int,
        known_size: int,
        big_endian: bool = False,
    ) -> None:
        self.name_offset: int = name_offset
        self.data: bytes | memoryview = data
        self.record_size: int = record_size
        self.known_size: int = known_size
        self.big_endian: bool = big_endian
        self.count: int = len(data) // record_size

    def rows(self) -> Iterator[tuple[int, ...]]:
        """The records as tuples of unsigned words.

        func_info: (insn_off, type_id); line_info: (insn_off, file_name_off, line_off, line_col)
        with line << 10 | column; core_relo: (insn_off, type_id, access_str_off, kind). Offsets
        of instructions are in bytes.
        """
        order = ">" if self.big_endian else "<"
        spare = self.record_size - self.known_size
        layout = Layout(f"{order}{self.known_size // 4}I{spare}x")
        rows: Iterator[Any] = layout.iter_unpack(self.data)
        return rows

    def __repr__(self) -> str:
        return f"<InfoSection name at {self.name_offset:#x}: {self.count} records>"


class BTFExt:
    """The three tables of a `.BTF.ext` section, each a list with an entry per program section."""

    __slots__ = ("big_endian", "core_relo", "func_info", "line_info")

    def __init__(self, big_endian: bool = False) -> None:
        self.big_endian: bool = big_endian
        self.func_info: list[InfoSection] = []
        self.line_info: list[InfoSection] = []
        self.core_relo: list[InfoSection] = []

    @classmethod
    def parse(
        cls, data: bytes | memoryview, big_endian: bool | None = None, file: str = ""
    ) -> BTFExt:
        """Read a `.BTF.ext` section; `big_endian`, where given, must agree with its magic."""
        raw = bytes(data)
        found_big = raw[:2] == _BIG_MAGIC
        if not found_big and raw[:2] != _LITTLE_MAGIC:
            raise BTFError(
                f"this is no .BTF.ext: it starts with '{raw[:2].hex()}' instead of 9feb or eb9f",
                file=file,
                offset=0,
            )
        if big_endian is not None and big_endian != found_big:
            raise BTFError(".BTF.ext has another byte order than its object", file=file, offset=0)
        if len(raw) < _SHORT_HEADER:
            raise BTFError(
                f".BTF.ext has a header of {_SHORT_HEADER} bytes, here are {len(raw)}",
                file=file,
                offset=0,
            )
        order = ">" if found_big else "<"
        version, _flags, size = Layout(order + "BBI").unpack_from(raw, 2)
        if version != 1:
            raise BTFError(
                f".BTF.ext version {version} is unknown; 1 is known", file=file, offset=2
            )
        if size < _SHORT_HEADER or size > len(raw):
            raise BTFError(
                f"header length {size} is impossible in {len(raw)} bytes", file=file, offset=4
            )
        words = Layout(order + "IIIIII").unpack_from(raw + bytes(8), 8)
        ext = cls(found_big)
        reader = _Reader(raw, size, found_big, file)
        ext.func_info = reader.table(words[0], words[1], FUNC_INFO_SIZE, "func_info", 8)
        ext.line_info = reader.table(words[2], words[3], LINE_INFO_SIZE, "line_info", 16)
        if size >= _LONG_HEADER:
            ext.core_relo = reader.table(words[4], words[5], CORE_RELO_SIZE, "core_relo", 24)
        return ext

    def add_func_info(self, name_offset: int, rows: Iterable[tuple[int, ...]]) -> None:
        """Append function records (insn_off, type_id) of the section whose name is at an offset."""
        self.func_info.append(self._section(name_offset, rows, FUNC_INFO_SIZE))

    def add_line_info(self, name_offset: int, rows: Iterable[tuple[int, ...]]) -> None:
        """Append line records (insn_off, file_name_off, line_off, line << 10 | column)."""
        self.line_info.append(self._section(name_offset, rows, LINE_INFO_SIZE))

    def add_core_relo(self, name_offset: int, rows: Iterable[tuple[int, ...]]) -> None:
        """Append CO-RE records (insn_off, type_id, access_str_off, kind)."""
        self.core_relo.append(self._section(name_offset, rows, CORE_RELO_SIZE))

    def _section(self, name_offset: int, rows: Iterable[tuple[int, ...]], size: int) -> InfoSection:
        layout = Layout(f"{'>' if self.big_endian else '<'}{size // 4}I")
        data = b"".join([layout.pack(*row) for row in rows])
        return InfoSection(name_offset, data, size, size, self.big_endian)

    def encode(self) -> bytes:
        """The contents of a `.BTF.ext` section."""
        order = ">" if self.big_endian else "<"
        tables = [_encode_table(table, order) for table in self._tables()]
        words: list[int] = []
        offset = 0
        for table in tables:
            words += [offset, len(table)]
            offset += len(table)
        header = pack(order + "HBBI6I", _MAGIC, 1, 0, _LONG_HEADER, *words)
        return header + b"".join(tables)

    def _tables(self) -> list[list[InfoSection]]:
        return [self.func_info, self.line_info, self.core_relo]


def _encode_table(sections: list[InfoSection], order: str) -> bytes:
    if not sections:
        return b""
    size = sections[0].record_size
    parts = [pack(order + "I", size)]
    for section in sections:
        if section.record_size != size:
            raise BTFError(
                f"records of {section.record_size} and of {size} bytes cannot share a table"
            )
        parts.append(pack(order + "II", section.name_offset, section.count))
        parts.append(bytes(section.data))
    return b"".join(parts)


class _Reader:
    """Takes tables out of the data behind the header, checking every bound."""

    __slots__ = ("_big_endian", "_data", "_file", "_pair", "_start", "_view")

    def __init__(self, data: bytes, start: int, big_endian: bool, file: str) -> None:
        self._data: bytes = data
        self._view: memoryview = memoryview(data)
        self._start: int = start
        self._big_endian: bool = big_endian
        self._file: str = file
        self._pair: Layout = Layout((">" if big_endian else "<") + "II")

    def table(
        self, offset: int, length: int, known_size: int, what: str, header_at: int
    ) -> list[InfoSection]:
        sections: list[InfoSection] = []
        if length == 0:
            return sections
        at = self._start + offset
        end = at + length
        if end > len(self._data) or length < 4:
            raise BTFError(
                f"{what} of {length} bytes at {at:#x} does not fit into {len(self._data)} bytes",
                file=self._file,
                offset=header_at,
            )
        size = int.from_bytes(self._data[at : at + 4], "big" if self._big_endian else "little")
        if size < known_size or size % 4:
            raise BTFError(
                f"{what} records have at least {known_size} bytes, here {size}",
                file=self._file,
                offset=at,
            )
        at += 4
        while at < end:
            if at + 8 > end:
                raise BTFError(f"{what} ends inside a section head", file=self._file, offset=at)
            name_offset, count = self._pair.unpack_from(self._data, at)
            stop = at + 8 + count * size
            if stop > end:
                raise BTFError(
                    f"{what} announces {count} records of {size} bytes, {end - at - 8} bytes "
                    "are left",
                    file=self._file,
                    offset=at,
                )
            data = self._view[at + 8 : stop]
            sections.append(InfoSection(name_offset, data, size, known_size, self._big_endian))
            at = stop
        return sections
