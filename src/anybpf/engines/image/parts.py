"""What a compiler's object consists of, as far as a shared library is made of it.

Only objects that LLVM has just made come here, in this process: what is not understood is a mistake
of ours, and told as one. Code from files is read by ``reading`` and by the linker of the engines.

Numbers of ELF are from the System V ABI (gabi 4.1).
"""

from __future__ import annotations

from struct import Struct, error
from typing import Final

from anybpf.errors import CompileError

_HEADER: Final = Struct("<16sHHIQQQIHHHHHH")
_SECTION: Final = Struct("<IIQQQQIIQQ")
_SYMBOL: Final = Struct("<IBBHQQ")
_RELOCATION: Final = Struct("<QIIq")
_RELOCATABLE: Final = 1
_SYMTAB, _RELA, _NOTE, _NOBITS = 2, 4, 7, 8
_X86_UNWIND: Final = 0x70000001
_WRITE, _ALLOC, _EXECUTE = 1, 2, 4
# What no run needs: nobody unwinds through compiled programs.
_LEFT_OUT: Final = ".eh_frame"
UNDEFINED: Final = 0


class Piece:
    """A section that becomes part of the library. ``place`` is its address there."""

    __slots__ = ("align", "data", "index", "is_text", "name", "place", "relocations")

    def __init__(self, index: int, name: str, data: bytes, align: int, is_text: bool) -> None:
        self.index: int = index
        self.name: str = name
        self.data: bytes = data
        self.align: int = max(1, align)
        self.is_text: bool = is_text
        self.place: int = 0
        # Offset, type, symbol, addend.
        self.relocations: list[tuple[int, int, int, int]] = []


class Parts:
    """One program's object: its pieces by section, its symbols as (name, section, value, size)."""

    __slots__ = ("machine", "name", "pieces", "symbols")

    def __init__(self, name: str, data: bytes) -> None:
        self.name: str = name
        self.pieces: dict[int, Piece] = {}
        self.symbols: list[tuple[str, int, int, int]] = []
        try:
            self.machine: int = self._read(data)
        except (error, IndexError) as problem:
            raise self.problem(f"is damaged ({problem})") from None

    def problem(self, text: str) -> CompileError:
        return CompileError(
            f"the object that LLVM made {text}; this is a mistake of anybpf's, please report it",
            program=self.name,
        )

    def defined(self, name: str) -> tuple[int, int, int] | None:
        """Section, value and size of a symbol that the object defines."""
        for text, section, value, size in self.symbols:
            if text == name and section in self.pieces:
                return section, value, size
        return None

    def undefined(self) -> list[str]:
        """The symbols that it refers to and does not define, in its order."""
        return [name for name, section, _, _ in self.symbols if name and section == UNDEFINED]

    def _read(self, data: bytes) -> int:
        header = _HEADER.unpack_from(data)
        if header[0][:6] != b"\x7fELF\x02\x01" or header[1] != _RELOCATABLE:
            raise self.problem("is no relocatable 64-bit ELF file")
        start, count, names = header[6], header[12], header[13]
        rows = [_SECTION.unpack_from(data, start + _SECTION.size * i) for i in range(count)]
        strings = _bytes(data, rows[names])
        for index, row in enumerate(rows):
            self._take(index, row, _text(strings, row[0]), data)
        for row in rows:
            if row[1] == _SYMTAB:
                names_of_symbols = _bytes(data, rows[row[6]])
                for symbol in _SYMBOL.iter_unpack(_bytes(data, row)):
                    name = _text(names_of_symbols, symbol[0])
                    self.symbols.append((name, symbol[3], symbol[4], symbol[5]))
        for row in rows:
            if row[1] == _RELA and row[7] in self.pieces:
                piece = self.pieces[row[7]]
                for offset, kind, symbol_index, addend in _RELOCATION.iter_unpack(
                    _bytes(data, row)
                ):
                    if symbol_index >= len(self.symbols) or offset >= len(piece.data):
                        raise self.problem(f"has a relocation in {piece.name} that leads nowhere")
                    piece.relocations.append((offset, kind, symbol_index, addend))
        return int(header[2])

    def _take(self, index: int, row: tuple[int, ...], name: str, data: bytes) -> None:
        if not row[2] & _ALLOC or row[1] in (_NOTE, _X86_UNWIND) or name == _LEFT_OUT:
            return
        # Constants with addresses in them are written by dynamic linkers; there are none here.
        if row[2] & _WRITE and row[5] and not name.startswith(".data.rel.ro"):
            raise self.problem(f"has data that can be written ({name}, {row[5]} bytes)")
        contents = bytes(row[5]) if row[1] == _NOBITS else _bytes(data, row)
        self.pieces[index] = Piece(index, name, contents, row[8], bool(row[2] & _EXECUTE))


def _bytes(data: bytes, row: tuple[int, ...]) -> bytes:
    found = data[row[4] : row[4] + row[5]]
    if len(found) != row[5]:
        raise IndexError(f"{row[5]} bytes at {row[4]:#x} of {len(data)}")
    return found


def _text(strings: bytes, start: int) -> str:
    return strings[start : strings.index(b"\0", start)].decode(errors="replace")
