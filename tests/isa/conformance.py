"""Reads the public conformance suite's ``.data`` files into cases, for the tests of several rooms.

The format is line based: ``--`` anywhere in a line makes it a directive, ``#`` begins a comment.
What the suite's own runner skips (empty files, unknown directives) is a case here too, marked so.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

# In the order in which the suite looks for them in a directive line.
_DIRECTIVES = ("asm", "result", "mem", "raw", "no register offset", " c", "error")


class Case:
    """One file: ``asm`` text or ``raw`` code bytes, the input memory, and what must come out."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.stem
        self.asm = ""
        self.raw = b""
        self.memory: bytes | None = None
        self.result: int | None = None
        self.error: str | None = None
        self.unknown_directive = ""

    @property
    def runnable(self) -> bool:
        """Whether the suite would run it."""
        return (
            not self.unknown_directive
            and bool(self.asm.strip() or self.raw)
            and (self.result is not None or self.error is not None)
        )

    def __repr__(self) -> str:
        return f"<Case {self.name}>"


def read(path: Path) -> Case:
    """The case in one file."""
    case = Case(path)
    section = ""
    asm: list[str] = []
    raw: list[str] = []
    for line in path.read_text().splitlines():
        line = line.rstrip("\r").partition("#")[0]
        if "--" in line:
            section = next((word for word in _DIRECTIVES if word in line), "")
            if not section:
                case.unknown_directive = line
            if section == "error":
                case.error = ""
            if section == "mem":
                case.memory = case.memory or b""
            continue
        if section == "asm":
            asm.append(line)
        if not line.strip():
            continue
        if section == "raw":
            raw += line.split()
        elif section == "mem":
            case.memory = (case.memory or b"") + bytes.fromhex(line)
        elif section == "result":
            text = line.strip()
            case.result = int(text, 16 if "0x" in text else 10)
        elif section == "error":
            case.error = line.rstrip()
    case.asm = "\n".join(asm)
    case.raw = _code(raw)
    return case


def _code(tokens: list[str]) -> bytes:
    """Raw code is 64-bit words, or, in the negative cases, bytes."""
    if all(len(token) == 2 for token in tokens):
        return bytes.fromhex("".join(tokens))
    return b"".join(
        int(token, 16 if "0x" in token else 10).to_bytes(8, "little") for token in tokens
    )


def cases(shared: Path) -> Iterator[Case]:
    """The cases that must run."""
    for path in sorted((shared / "conformance").glob("*.data")):
        yield read(path)


def negative_cases(shared: Path) -> Iterator[Case]:
    """The cases that must be refused somewhere."""
    for path in sorted((shared / "conformance" / "negative").glob("*.data")):
        yield read(path)
