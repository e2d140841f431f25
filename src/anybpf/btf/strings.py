"""The string section of BTF: text by byte offset, and which offset a name stands at.

An offset may point into the middle of a longer string, and the strings of a split BTF continue
where those of its base end. What the strings mean is not known here.
"""

from __future__ import annotations

from array import array
from itertools import accumulate
from typing import Final

from anybpf.errors import BTFError

# So many strings are read one by one before the whole section is: a small object needs few of its
# strings, a kernel's types need all.
_FEW: Final = 1000
# A table with shorter strings than this on average is not read as a whole: each would take up
# far more memory than bytes in the file.
_MIN_AVERAGE: Final = 6
# Bytes that strings which begin inside others may take up, as a multiple of the section.
_TAIL_FACTOR: Final = 4


class StringTable:
    """Strings by offset, read when they are asked for.

    `start` is the offset of the first own string; those below belong to `base`. Bytes that are no
    UTF-8 become lone surrogates, so that encoding gives the same bytes again.
    """

    __slots__ = ("_all_read", "_data", "_known", "_tail_left", "base", "end", "file", "start")

    def __init__(self, data: bytes, base: StringTable | None = None, file: str = "") -> None:
        self._data: bytes = data
        self.base: StringTable | None = base
        self.start: int = base.end if base is not None else 0
        self.end: int = self.start + len(data)
        self.file: str = file
        self._known: dict[int, str] = {}
        self._all_read: bool = False
        self._tail_left: int = 4096 + _TAIL_FACTOR * len(data)

    def get(self, offset: int) -> str:
        """The string at `offset`; at 0 always stands the empty one."""
        text = self._known.get(offset)
        return self._read(offset) if text is None else text

    def get_all(self, offsets: array[int]) -> list[str]:
        """The string at each of `offsets`; for many, much quicker than one by one."""
        if self.base is None and len(offsets) > _FEW:
            self._read_all()
            found: list[str | None] = list(map(self._known.get, offsets))
            if None not in found:
                return found  # type: ignore[return-value]
        return [self.get(offset) for offset in offsets]

    def _read(self, offset: int) -> str:
        if offset == 0:
            return ""
        if offset < self.start and self.base is not None:
            return self.base.get(offset)
        if len(self._known) == _FEW:
            self._read_all()
            text = self._known.get(offset)
            if text is not None:
                return text
        at = offset - self.start
        if at < 0 or at >= len(self._data):
            raise BTFError(
                f"string offset {offset:#x} lies outside the string section "
                f"({self.start:#x} to {self.end:#x})",
                file=self.file,
            )
        stop = self._data.find(b"\0", at)
        if at and self._data[at - 1]:
            # Inside another string, as linkers that merge tails write them. Damaged BTF could
            # make endless text out of one long string.
            self._tail_left -= stop - at
            if self._tail_left < 0:
                raise BTFError("too many strings begin inside another one", file=self.file)
        text = self._data[at:stop].decode("utf-8", "surrogateescape")
        self._known[offset] = text
        return text

    def _read_all(self) -> None:
        if self._all_read:
            return
        self._all_read = True
        if self._data.count(b"\0") * _MIN_AVERAGE > len(self._data):
            return
        parts = self._data.split(b"\0")
        parts.pop()  # what follows the last NUL: nothing
        begins = accumulate([len(part) + 1 for part in parts], initial=self.start)
        if self._data.isascii():
            texts = self._data.decode("ascii").split("\0")
        else:
            texts = [part.decode("utf-8", "surrogateescape") for part in parts]
        self._known = dict(zip(begins, texts, strict=False))
        self._known[0] = ""


def encode_text(text: str) -> bytes:
    """The bytes of a string in the table, without the closing NUL."""
    raw = text.encode("utf-8", "surrogateescape")
    if b"\0" in raw:
        raise BTFError(f"the name {text!r} contains a NUL character, which BTF cannot store")
    return raw
