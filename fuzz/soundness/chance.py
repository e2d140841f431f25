"""Numbers by chance: the same seed gives the same ones everywhere, compiled or not.

Two linear congruential generators side by side (L'Ecuyer 1988), whose products fit machine words.
Good enough to choose programs and inputs, and cheap; not for anything else.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64, mypyc_attr

WORD: Final = 0xFFFFFFFFFFFFFFFF


@mypyc_attr(acyclic=True)
class Chance:
    """A sequence of numbers."""

    __slots__ = ("_x", "_y")

    def __init__(self, seed: i64, stream: i64 = 0) -> None:
        self._x: i64 = 1
        self._y: i64 = 1
        self.restart(seed, stream)

    def restart(self, seed: i64, stream: i64) -> None:
        """Begin the sequence that these two numbers name."""
        self._x = (seed * 7919 + stream * 104729) % 2147483562 + 1
        self._y = (stream * 15485863 + seed * 31) % 2147483398 + 1
        i: i64 = 0
        while i < 4:
            self.next()
            i = i + 1

    def next(self) -> i64:
        """A number of 31 bits."""
        self._x = self._x * 40014 % 2147483563
        self._y = self._y * 40692 % 2147483399
        return (self._x ^ (self._y * 2)) & 0x7FFFFFFF

    def below(self, bound: i64) -> i64:
        """A number from 0 to ``bound - 1``."""
        return (self.next() >> 3) % bound

    def between(self, low: i64, high: i64) -> i64:
        """A number from ``low`` to ``high``, both included."""
        return low + (self.next() >> 3) % (high - low + 1)

    def one_in(self, count: i64) -> bool:
        return (self.next() >> 3) % count == 0

    def percent(self, share: i64) -> bool:
        return (self.next() >> 3) % 100 < share

    def word(self) -> int:
        """64 bits of any kind: small, negative, sparse, near a border, or just anything."""
        kind: i64 = self.below(10)
        some: int = self.next()
        if kind < 3:
            return some % 256
        if kind == 3:
            return (-1 - some % 4096) & WORD
        if kind == 4:
            return some
        if kind == 5:
            return (some << 1) & 0xFFFFFFFF | 0x80000000
        if kind == 6:
            # around a power of two
            bit: int = some & 63
            near: int = ((some >> 8) & 3) - 1
            return ((1 << bit) + near) & WORD
        if kind == 7:
            upper: int = self.next()
            return (upper << 32 | some % 64) & WORD
        high: int = self.next()
        middle: int = self.next()
        return (high << 40 ^ middle << 20 ^ some) & WORD

    def fill(self, data: bytearray, start: i64, end: i64) -> None:
        """Put something into each of these bytes."""
        size: int = end - start
        if size <= 0:
            return
        if size <= 8:
            i: i64 = start
            while i < end:
                data[i] = self.byte()
                i = i + 1
            return
        # A few words, repeated: what matters is that nothing can be relied on.
        high: int = self.next()
        low: int = self.next()
        more: int = self.next()
        pattern = (high << 62 | low << 31 | more).to_bytes(12, "little")
        whole = pattern * (size // 12 + 1)
        data[start:end] = whole[:size]
        changes: i64 = 0
        while changes < 3:
            data[start + self.below(end - start)] = self.byte()
            changes = changes + 1

    def byte(self) -> int:
        kind: i64 = self.below(4)
        if kind == 0:
            return 0
        if kind == 1:
            return int(self.below(8))
        return int(self.below(256))
