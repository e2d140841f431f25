"""The memory of the machine: blocks of bytes that pointers lead to, each with its bounds.

A word in a register says nothing of what it points to; the machine keeps the block beside it. The
kinds bear the numbers of the verifier's, but nothing of the verifier is used here.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

WORD: Final = 0xFFFFFFFFFFFFFFFF
SIGN: Final = 0x8000000000000000

CONTEXT: Final = 2
STACK: Final = 3
MAP_VALUE: Final = 4
PACKET: Final = 5
PACKET_END: Final = 6
PACKET_META: Final = 7
MAP: Final = 8
MEMORY: Final = 9
OBJECT: Final = 10
FUNCTION: Final = 11

KIND_NAMES: Final[list[str]] = [
    "nothing",
    "number",
    "context",
    "stack",
    "map value",
    "packet",
    "packet end",
    "packet meta",
    "map",
    "memory",
    "object",
    "function",
]

NO_BYTES: Final = bytearray()
FRAME: Final = 512
SLOTS: Final = 64


def signed(word: int) -> int:
    return word - 0x10000000000000000 if word >= SIGN else word


class Block:
    """Bytes that pointers may lead to: those from ``low`` to ``high`` around the origin.

    ``address`` is that of the origin, which is ``data[start]``. ``index`` is the map, the frame or
    the function it belongs to. A frame also keeps which bytes were ``written`` and which of its
    eight-byte slots hold a pointer as it was stored (``spilled``).
    """

    __slots__ = (
        "address",
        "data",
        "high",
        "index",
        "kind",
        "low",
        "owed",
        "spilled",
        "start",
        "type",
        "volatile",
        "writable",
        "written",
    )

    def __init__(self, kind: i64, address: int, data: bytearray, index: i64) -> None:
        self.kind: i64 = kind
        self.address: int = address
        self.data: bytearray = data
        self.start: i64 = 0
        self.low: i64 = 0
        self.high: i64 = len(data)
        self.index: i64 = index
        self.writable: bool = True
        self.volatile: bool = False  # others write to it as well
        self.owed: bool = False  # must be given back before the end
        self.type: str = ""
        self.written: bytearray = NO_BYTES
        self.spilled: list[Block | None] = []

    def offset_of(self, word: int) -> int:
        """How far from the origin an address lies."""
        return signed((word - self.address) & WORD)

    def holds(self, offset: int, size: int) -> bool:
        low: int = self.low
        high: int = self.high
        return low <= offset and offset + size <= high

    def read(self, offset: int, size: int) -> int:
        at: int = offset + self.start
        return int.from_bytes(self.data[at : at + size], "little")

    def write(self, offset: int, size: int, word: int) -> None:
        at: int = offset + self.start
        self.data[at : at + size] = (word & MASKS[size]).to_bytes(size, "little")

    def forget_spills(self, offset: int, size: int) -> None:
        """Bytes of a frame are overwritten by something that is no pointer."""
        first: int = (offset + FRAME) >> 3
        last: int = (offset + FRAME + size - 1) >> 3
        while first <= last:
            self.spilled[first] = None
            first += 1


MASKS: Final[list[int]] = [0, 0xFF, 0xFFFF, 0xFFFFFF, 0xFFFFFFFF, 0, 0, 0, WORD]


def frame(index: i64, address: int, data: bytearray) -> Block:
    """A stack frame; its origin is the frame pointer, one past its last byte."""
    block = Block(STACK, address, data, index)
    block.start = FRAME
    block.low = -FRAME
    block.high = 0
    block.written = bytearray(FRAME)
    block.spilled = [None] * SLOTS
    return block
