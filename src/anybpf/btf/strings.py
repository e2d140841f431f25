"""The string section of BTF: text by byte offset, and which offset a name stands at.

An offset may point into the middle of a longer string, and the strings of a split BTF continue
where those of its base end. What the strings mean is not known here.
"""

from __future__ import annotations

from itertools import accumulate

from anybpf.errors import BTFError


class StringTable:
    """Strings by offset, decoded all at once when the first is asked for.

    `start` is the offset of the first own string; those below belong to `base`. Bytes that are no
    UTF-8 become lone surrogates, so that encoding gives the same bytes again.
    """

    __slots__ = ("_data", "_known", "_ready", "base", "end", "file", "start")

    def __init__(self, data: bytes, base: StringTable | None = None, file: str = "") -> None:
        self._data: bytes = data
        self.base: StringTable | None = base
        self.start: int = base.end if base is not None else 0
        self.end: int = self.start + len(data)
        self.file: str = file
        self._known: dict[int, str] = {}
        self._ready: bool = False

    def get(self, offset: int) -> str:
        """The string at `offset`; at 0 always stands the empty one."""
        if offset == 0:
            return ""
        if offset < self.start and self.base is not None:
            return self.base.get(offset)
        if not self._ready:
            self._read_all()
        text = self._known.get(offset)
        return self._tail(offset) if text is None else text

    def get_all(self, offsets: list[int]) -> list[str]:
        """The string at each of `offsets`; much quicker than one by one."""
        if self.base is not None:
            return [self.get(offset) for offset in offsets]
        if not self._ready:
            self._read_all()
        found: list[str | None] = list(map(self._known.get, offsets))
        if None in found:
            return [self.get(offset) for offset in offsets]
        return found  # type: ignore[return-value]

    def _read_all(self) -> None:
        self._ready = True
        if not self._data:
            return
        parts = self._data.split(b"\0")
        parts.pop()  # what follows the last NUL: nothing
        step = accumulate([len(part) + 1 for part in parts], initial=self.start)
        if self._data.isascii():
            texts = self._data.decode("ascii").split("\0")
        else:
            texts = [part.decode("utf-8", "surrogateescape") for part in parts]
        self._known = dict(zip(step, texts, strict=False))

    def _tail(self, offset: int) -> str:
        """A string that begins inside another one, as linkers that merge tails make them."""
        at = offset - self.start
        if at < 0 or at >= len(self._data):
            raise BTFError(
                f"string offset {offset:#x} lies outside the string section "
                f"({self.start:#x} to {self.end:#x})",
                file=self.file,
            )
        stop = self._data.find(b"\0", at)
        text = self._data[at:stop].decode("utf-8", "surrogateescape")
        self._known[offset] = text
        return text


def encode_text(text: str) -> bytes:
    """The bytes of a string in the table, without the closing NUL."""
    raw = text.encode("utf-8", "surrogateescape")
    if b"\0" in raw:
        raise BTFError(f"the name {text!r} contains a NUL character, which BTF cannot store")
    return raw
