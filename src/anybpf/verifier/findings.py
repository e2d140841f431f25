"""What a verification found, for people and for tools: plain values, sorted and complete."""

from __future__ import annotations

from typing import Any

from anybpf.isa.instruction import SourceLine
from anybpf.isa.listing.anybpf import source_place
from anybpf.verifier.state import State


class Finding:
    """Something that keeps a program from being accepted.

    ``instruction`` is the index of the instruction in ``Verification.instructions`` (the program
    as it is laid out, a 16-byte load counting once), ``slot`` counts eight-byte slots as the
    kernel's log does. ``path`` are the indexes of instructions that led there, oldest first, where
    a path is known; ``state`` is what was known there, if states were recorded.
    """

    __slots__ = (
        "function",
        "hint",
        "instruction",
        "kind",
        "known",
        "message",
        "path",
        "register",
        "required",
        "slot",
        "source",
        "state",
    )

    def __init__(self, kind: str, instruction: int, message: str) -> None:
        self.kind: str = kind
        self.instruction: int = instruction
        self.message: str = message
        self.slot: int = 0
        self.function: str = ""
        self.source: SourceLine | None = None
        self.register: int = -1
        self.required: str = ""
        self.known: str = ""
        self.hint: str = ""
        self.path: list[int] = []
        self.state: State | None = None

    @property
    def place(self) -> str:
        """``file.c:21``, or '' where the object does not say."""
        source = self.source
        return "" if source is None or not source.file else source_place(source)

    def short(self) -> str:
        """All on one line: the place in the source, or the slot where that is not known."""
        where = self.place
        if not where and self.instruction >= 0:
            where = f"slot {self.slot}"
        return f"{where}{where and ': '}{self.message} [{self.kind}]"

    def as_json(self) -> dict[str, Any]:
        """What every reader of findings needs; ``explain`` says more."""
        source = self.source
        return {
            "kind": self.kind,
            "instruction": self.instruction,
            "slot": self.slot,
            "function": self.function or None,
            "source": None
            if source is None
            else {
                "file": source.file,
                "line": source.line,
                "column": source.column,
                "text": source.text,
            },
            "message": self.message,
        }

    def __repr__(self) -> str:
        return f"<Finding {self.kind} at {self.instruction}: {self.message}>"
