"""Findings for people: one line in short, and on request what is needed, known, and led there.

Everything is in the words of the source as far as the object has them. How it is laid out for a
terminal, a log or a page is the business of ``report``.
"""

from __future__ import annotations

from typing import Any, Final

from anybpf.isa import text
from anybpf.isa.instruction import Instruction
from anybpf.platforms import Helper
from anybpf.verifier.faults import LOCK, REFERENCE_LEAK, UNINITIALIZED_REGISTER
from anybpf.verifier.findings import Finding
from anybpf.verifier.remedies import remedy
from anybpf.verifier.trail import Trail, follow_back, reads, shortest_way, whole_way
from anybpf.verifier.verification import Verification
from anybpf.verifier.wording import NEVER_WRITTEN, Words

# Kinds that are about what was taken earlier, not about what a register holds.
_ABOUT_HOLDING: Final = (REFERENCE_LEAK, LOCK)
# Comparisons and their opposites, to say what holds where a branch was not taken.
_OPPOSITES: Final = {
    "==": "!=", "!=": "==", ">": "<=", "<=": ">", ">=": "<", "<": ">=",
    "s>": "s<=", "s<=": "s>", "s>=": "s<", "s<": "s>=",
}  # fmt: skip


class ShownStep:
    """A step of the way in words: ``note`` says which side of a branch was gone, or how often."""

    __slots__ = ("index", "note", "place", "remark", "slot", "source", "text")

    def __init__(self, index: int, slot: int, words: str) -> None:
        self.index: int = index
        self.slot: int = slot
        self.text: str = words
        self.remark: str = ""
        self.note: str = ""
        self.place: str = ""
        self.source: str = ""

    def as_json(self) -> dict[str, Any]:
        return {
            "instruction": self.index,
            "slot": self.slot,
            "text": self.text,
            "remark": self.remark or None,
            "note": self.note or None,
            "place": self.place or None,
            "source": self.source or None,
        }


class Explanation:
    """A finding with all that helps to understand it."""

    __slots__ = (
        "elided",
        "finding",
        "hint",
        "known",
        "place",
        "remark",
        "required",
        "slot",
        "source",
        "steps",
        "text",
        "way",
        "way_known",
    )

    def __init__(self, finding: Finding) -> None:
        self.finding: Finding = finding
        self.slot: int = finding.slot
        self.text: str = ""
        self.remark: str = ""
        self.place: str = ""
        self.source: str = ""
        self.required: str = ""
        self.known: list[tuple[str, str]] = []
        self.steps: list[ShownStep] = []
        self.elided: int = 0
        self.way: list[int] = []
        self.way_known: bool = False
        self.hint: str = ""

    def lines(self) -> list[str]:
        """The paragraph as plain lines; the first is the finding in short."""
        out = [self.short()]
        out += _field("at", [_with_remark(f"{self.slot}: {self.text}", self.remark)])
        if self.place or self.source:
            out += _field("source", [f"{self.place}: {self.source}".rstrip(" :")])
        if self.required:
            out += _field("required", [self.required])
        if self.known:
            out += _field("known", [f"{name}{name and ': '}{words}" for name, words in self.known])
        if self.steps:
            out += _field("how" if self.way_known else "one way", self.step_lines())
        if self.hint:
            out += _field("mend", wrap(self.hint))
        return out

    def step_lines(self) -> list[str]:
        """The way in lines: source lines above the instructions that they became."""
        from anybpf.verifier.trail import FIRST_STEPS

        out: list[str] = []
        last = ""
        width = max([len(str(step.slot)) for step in self.steps], default=1)
        for position, step in enumerate(self.steps):
            if self.elided and position == FIRST_STEPS:
                more = "step" if self.elided == 1 else "steps"
                out.append(f"... {self.elided} more {more}")
                last = ""
            head = f"{step.place}: {step.source}".rstrip(" :")
            if head and head != last:
                out.append(f"; {head}")
                last = head
            words = f"{str(step.slot).rjust(width)}: {step.text}"
            notes = ", ".join([each for each in (step.remark, step.note) if each])
            out.append(_with_remark(words, notes))
        return out

    def short(self) -> str:
        return self.finding.short()

    def as_json(self) -> dict[str, Any]:
        finding = self.finding
        return {
            **finding.as_json(),
            "text": self.text,
            "remark": self.remark or None,
            "required": self.required or None,
            "known": [{"what": what or None, "holds": words} for what, words in self.known],
            "way": [step.as_json() for step in self.steps],
            "way_elided": self.elided,
            "way_known": self.way_known,
            "hint": self.hint or None,
        }


def explain(
    verification: Verification, finding: Finding, words: Words | None = None
) -> Explanation:
    """Say all that is known of a finding. ``words`` may be shared by the findings of a program."""
    if words is None:
        words = Words(verification)
    out = Explanation(finding)
    kind_needs, out.hint = remedy(finding.kind)
    out.hint = finding.hint or out.hint
    out.required = finding.required or kind_needs
    index = finding.instruction
    if not 0 <= index < len(verification.instructions):
        if finding.known:
            out.known.append(("", finding.known))
        return out  # about the program as a whole
    insn = verification.instructions[index]
    out.slot = verification.slots[index]
    out.text = words.instruction(index)
    out.remark = words.remark(index)
    out.place = words.place(index)
    out.source = words.source_text(index)
    about = _about(finding, insn, words.helper_of(insn))
    if finding.kind not in _ABOUT_HOLDING:
        out.known += [
            (register, said)
            for register, said in words.registers(index, about, finding.state)
            if said != NEVER_WRITTEN or finding.kind == UNINITIALIZED_REGISTER
        ]
    # What a register holds says more than what was known of the value when it was refused.
    if finding.known and len(out.known) != 1:
        out.known.insert(0, ("", finding.known))
    trail = find_trail(verification, finding, about)
    out.steps = [_shown(words, trail, position) for position in range(len(trail.steps))]
    out.elided = trail.elided
    out.way = trail.way
    out.way_known = trail.known
    return out


def _about(finding: Finding, insn: Instruction, helper: Helper | None) -> list[int]:
    """The registers that matter: the one that is at fault, with its length or memory if it has one.

    Where none is named, all that the instruction looks at.
    """
    register = finding.register
    if register < 0:
        return reads(insn, helper)
    out = [register]
    if helper is not None and 1 <= register <= len(helper.args):
        arg = helper.args[register - 1]
        out += [other + 1 for other in (arg.memory_arg, arg.size_arg) if other >= 0]
    return sorted(out)


def find_trail(verification: Verification, finding: Finding, registers: list[int]) -> Trail:
    """The way to a finding and the steps of it that matter for these registers."""
    index = finding.instruction
    if finding.path:
        way = whole_way(verification, finding.path, index)
    else:
        way = shortest_way(verification, index)
    if finding.kind in _ABOUT_HOLDING:
        registers = []
    return follow_back(verification, way, bool(finding.path), registers, finding.kind)


def _shown(words: Words, trail: Trail, position: int) -> ShownStep:
    step = trail.steps[position]
    out = ShownStep(step.index, words.verification.slots[step.index], words.instruction(step.index))
    out.remark = words.remark(step.index)
    out.place = words.place(step.index)
    out.source = words.source_text(step.index)
    notes: list[str] = []
    if step.branch:
        notes.append(f"{step.branch}{_so(words, step.index, step.branch)}")
    if step.times > 1:
        notes.append(f"{step.times} times")
    out.note = ", ".join(notes)
    return out


def _so(words: Words, index: int, side: str) -> str:
    """What holds on the side of a branch that was gone: ``, so r0 != 0``."""
    insn = words.verification.instructions[index]
    form = text.FORMS[insn.opcode]
    if form not in (text.JUMP_IMM, text.JUMP_REG):
        return ""
    condition, _, _ = words.instruction(index).removeprefix("if ").partition(" goto ")
    parts = condition.split(" ", 2)
    if len(parts) != 3:
        return ""
    if side == "not taken":
        opposite = _OPPOSITES.get(parts[1])
        if opposite is None:
            condition = f"({condition}) == 0"
        else:
            condition = f"{parts[0]} {opposite} {parts[2]}"
    return f": {condition}"


def _field(name: str, lines: list[str]) -> list[str]:
    """Lines beside their name."""
    head = f"  {name.ljust(8)} "
    blank = " " * len(head)
    return [f"{head if number == 0 else blank}{line}" for number, line in enumerate(lines)]


_REMARK_COLUMN: Final = 38


def _with_remark(words: str, remark: str) -> str:
    return f"{words.ljust(_REMARK_COLUMN)}  // {remark}" if remark else words


def wrap(words: str, width: int = 80) -> list[str]:
    """A paragraph in lines."""
    lines: list[str] = []
    line = ""
    for word in words.split():
        if line and len(line) + 1 + len(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return [*lines, line] if line else lines
