"""Bytes on bpftool's command line and in its listings."""

from __future__ import annotations

from anybpf.cli.bpftool.session import Failure, Words, c_number


def take_bytes(words: Words, what: str, size: int) -> bytes:
    """``size`` bytes from the command line: numbers in C's bases, or hexadecimal after `hex`."""
    base = 16 if words.take_if("hex") else 0
    out = bytearray()
    while len(out) < size and len(words):
        word = words.take()
        number = c_number(word, base)
        if number is None:
            raise Failure(f"error parsing byte: {word}")
        out.append(number & 0xFF)
    if len(out) != size:
        raise Failure(f"{what} expected {size} bytes got {len(out)}")
    return bytes(out)


def rows(data: bytes) -> str:
    """Sixteen bytes a row, a wider gap in its middle.

    >>> rows(bytes(3))
    '00 00 00'
    """
    lines = []
    for at in range(0, len(data), 16):
        row = data[at : at + 16]
        halves = [row[:8].hex(" "), row[8:].hex(" ")]
        lines.append("  ".join(half for half in halves if half))
    return "\n".join(lines)


def strings(data: bytes) -> list[str]:
    """As JSON has them: '0x00' each."""
    return [f"{byte:#04x}" for byte in data]


def hexdump(data: bytes) -> str:
    """The listing of what a test run gave: offset, sixteen bytes in pairs, what can be printed."""
    out = []
    for at in range(0, len(data), 16):
        row = data[at : at + 16]
        pairs = "".join(
            f"{row[i : i + 2].hex()} " if i < len(row) else "     " for i in range(0, 16, 2)
        )
        shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        halves = f"{shown[:8]} {shown[8:]}" if len(row) >= 8 else shown
        out.append(f"{at:07x}\t{pairs}| {halves}\n")
    return "".join(out)
