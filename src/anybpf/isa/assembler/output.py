"""What both dialects write into: instructions, labels, and jumps whose target is yet unknown.

Knows where in the text each thing came from, so that errors that show only at the end still name
their line. It knows nothing of either dialect's syntax.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from itertools import islice
from typing import Final

from anybpf.errors import AssemblerError
from anybpf.isa.instruction import Instruction

# How a name is used: it fills the offset, the immediate, a call's immediate, or a 16-byte load.
JUMP: Final = 0
JUMP_LONG: Final = 1
CALL: Final = 2
FUNCTION_LOAD: Final = 3

_MOST_COMPARED: Final = 500  # names that a hint is looked for among

UNRESOLVED: Final = -1  # the immediate of a call to a function that is not here


class Use:
    """A place that names a label."""

    __slots__ = ("column", "insn", "kind", "line", "name", "slot")

    def __init__(
        self, insn: Instruction, slot: int, name: str, kind: int, line: int, column: int
    ) -> None:
        self.insn: Final = insn
        self.slot: Final = slot
        self.name: Final = name
        self.kind: Final = kind
        self.line: Final = line
        self.column: Final = column


class Output:
    """The instructions assembled so far, and what must still be resolved."""

    __slots__ = (
        "_pending",
        "_uses",
        "file",
        "instructions",
        "labels",
        "lines",
        "locals",
        "slot",
    )

    def __init__(self, lines: list[str], file: str) -> None:
        self.lines: Final = lines
        self.file: Final = file
        self.instructions: list[Instruction] = []
        self.slot: int = 0
        self.labels: dict[str, int] = {}
        self.locals: dict[str, list[int]] = {}  # labels that are numbers may be defined again
        self._pending: str = ""
        self._uses: list[Use] = []

    def fail(self, message: str, line: int, column: int) -> AssemblerError:
        """The error to raise for what stands at ``line`` and ``column``, counted from one."""
        text = self.lines[line - 1] if 0 < line <= len(self.lines) else ""
        return AssemblerError(message, line=line, column=column, text=text, file=self.file)

    def label(self, name: str, line: int, column: int) -> None:
        """Define ``name`` here."""
        if name in self.labels:
            raise self.fail(f"label {name} is defined a second time", line, column)
        self.labels[name] = self.slot
        if not self._pending or self._pending.startswith(".L"):
            self._pending = name  # of several, the first that is no compiler's own

    def local_label(self, number: str) -> None:
        """Define a numeric label here; ``1b`` and ``1f`` look back and forward for ``1:``."""
        self.locals.setdefault(number, []).append(self.slot)

    def emit(self, insn: Instruction) -> None:
        if self._pending:
            insn.symbol = self._pending
            self._pending = ""
        self.instructions.append(insn)
        self.slot += insn.slots

    def emit_use(self, insn: Instruction, name: str, kind: int, line: int, column: int) -> None:
        """Emit ``insn``, whose target is ``name``."""
        self._uses.append(Use(insn, self.slot, name, kind, line, column))
        insn.reference = name
        self.emit(insn)

    def finish(self) -> list[Instruction]:
        """All instructions, with every name resolved."""
        for use in self._uses:
            self._resolve(use)
        return self.instructions

    def refuse_open_names(self, helpers: list[str]) -> None:
        """Raise for the first call of a name that is neither defined here nor a helper's."""
        for use in self._uses:
            if use.kind in (CALL, FUNCTION_LOAD) and self._find(use) < 0:
                raise self.fail(
                    f"there is no function, label or helper {use.name}"
                    f"{near(use.name, [*self.labels, *helpers])}",
                    use.line,
                    use.column,
                )

    def _resolve(self, use: Use) -> None:
        target = self._find(use)
        insn = use.insn
        if target < 0:
            if use.kind == CALL:
                insn.imm = UNRESOLVED
                return
            if use.kind == FUNCTION_LOAD:
                insn.imm = UNRESOLVED & 0xFFFFFFFF
                return
            raise self.fail(
                f"there is no label {use.name}{near(use.name, self.labels)}", use.line, use.column
            )
        distance = target - (use.slot + 1)
        if use.kind == JUMP:
            if not -0x8000 <= distance <= 0x7FFF:
                raise self.fail(
                    f"label {use.name} is {distance} slots away, more than 16 bits hold; "
                    "gotol reaches it",
                    use.line,
                    use.column,
                )
            insn.offset = distance
        elif use.kind == FUNCTION_LOAD:
            insn.imm = distance & 0xFFFFFFFF
        else:
            insn.imm = distance

    def _find(self, use: Use) -> int:
        """The slot of a label, or -1."""
        name = use.name
        if name in self.labels:
            return self.labels[name]
        if not name[:1].isdigit():
            return -1
        places = self.locals.get(name[:-1], [])
        index = bisect_right(places, use.slot)
        if name[-1] == "b":
            return places[index - 1] if index else -1
        return places[index] if index < len(places) else -1


def near(word: str, known: Iterable[str]) -> str:
    """A hint such as "; did you mean ldxw?", or '' if nothing is near."""
    from difflib import get_close_matches

    found = get_close_matches(word, list(islice(known, _MOST_COMPARED)), 3, 0.6)
    return f"; did you mean {' or '.join(found)}?" if found else ""
