"""What a verification found, for people and for tools: plain values, sorted and complete."""

from __future__ import annotations

from typing import Optional

from anybpf.isa.instruction import SourceLine


class Finding:
    """Something that keeps a program from being accepted.

    ``instruction`` is the index of the instruction in ``Verification.instructions`` (the program
    as it is laid out, a 16-byte load counting once), ``slot`` counts eight-byte slots as the
    kernel's log does. ``path`` are the indexes of instructions that led there, oldest first, where
    a path is known.
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
    )

    def __init__(self, kind: str, instruction: int, message: str) -> None:
        self.kind: str = kind
        self.instruction: int = instruction
        self.message: str = message
        self.slot: int = 0
        self.function: str = ""
        self.source: Optional[SourceLine] = None
        self.register: int = -1
        self.required: str = ""
        self.known: str = ""
        self.hint: str = ""
        self.path: list[int] = []

    def __repr__(self) -> str:
        return f"<Finding {self.kind} at {self.instruction}: {self.message}>"
