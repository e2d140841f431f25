"""The report for people at a terminal: a line for each program, below it what was found.

Whether colours are wanted, somebody else knows; what comes from the file never steers the terminal.
"""

from __future__ import annotations

from typing import Final

from anybpf.isa.listing.anybpf import source_place
from anybpf.verifier.report.states import state_texts
from anybpf.verifier.verification import Verification

_RESET: Final = "\x1b[0m"


class Paint:
    """What puts words into colour; the plain one leaves them as they are."""

    __slots__ = ("_on",)

    def __init__(self, on: bool) -> None:
        self._on: bool = on

    def good(self, words: str) -> str:
        return self._paint("\x1b[32m", words)

    def bad(self, words: str) -> str:
        return self._paint("\x1b[1;31m", words)

    def strong(self, words: str) -> str:
        return self._paint("\x1b[1m", words)

    def faint(self, words: str) -> str:
        return self._paint("\x1b[2m", words)

    def _paint(self, code: str, words: str) -> str:
        return f"{code}{words}{_RESET}" if self._on and words else words


PLAIN: Final = Paint(False)


def lines(
    verification: Verification,
    file: str = "",
    *,
    explained: bool = False,
    invariants: bool = False,
    paint: Paint = PLAIN,
) -> list[str]:
    """The report on one program; ``explained`` with a paragraph for each finding."""
    out = [head(verification, file, paint)]
    if invariants:
        out += invariant_lines(verification, paint)
    if explained and verification.findings:
        out += _paragraphs(verification, paint)
    else:
        out += [f"  {_visible(finding.short())}" for finding in verification.findings]
    if verification.type == "unspec" and not verification.ok:
        out.append("  the section does not say what type of program this is: --type TYPE does")
    return out


def _paragraphs(verification: Verification, paint: Paint) -> list[str]:
    # What explains is imported when it is needed: most verdicts are one line.
    from anybpf.verifier.explain import explain
    from anybpf.verifier.wording import Words

    words = Words(verification)
    out: list[str] = []
    for finding in verification.findings:
        paragraph = explain(verification, finding, words).lines()
        out.append(f"  {paint.strong(_visible(paragraph[0]))}")
        out += [f"  {_visible(line)}" for line in paragraph[1:]]
    return out


def head(verification: Verification, file: str, paint: Paint = PLAIN) -> str:
    """The verdict on one line."""
    program = verification.program
    section = f"section {program.section}, " if program.section else ""
    who = f"{program.name} ({section}type {verification.type})"
    if file:
        who = f"{file}: {who}"
    if verification.ok:
        verdict = paint.good("pass") + _rounds(verification)
    else:
        verdict = paint.bad("reject")
        if verification.gave_up:
            verdict += ", the budget was spent before there was an answer"
    return f"{_visible(who)}: {verdict}"


def _rounds(verification: Verification) -> str:
    """How often loops go round at most, where there are loops."""
    bounds = verification.stats.loop_bounds
    if not bounds:
        return ""
    most = max(bounds.values())
    return f", loops end within {most} round{'' if most == 1 else 's'}"


def invariant_lines(verification: Verification, paint: Paint = PLAIN) -> list[str]:
    """The program with what is known before each instruction."""
    from anybpf.verifier.wording import Words

    words = Words(verification)
    out: list[str] = []
    width = max(4, len(str(verification.slots[-1])) if verification.slots else 1)
    last = ""
    for index in range(len(verification.instructions)):
        name = verification.function_of[index]
        if index == 0 or verification.function_of[index - 1] != name:
            out.append(f"  {_visible(name)}:")
        line = verification.instructions[index].line
        if line is not None and line.text:
            place = f"{source_place(line)}: {' '.join(line.text.split())}"
            if place != last:
                out.append(f"    {paint.faint(f'; {_visible(place)}')}")
                last = place
        shown, more = state_texts(verification, index)
        if more:
            shown.append(f"and {more} more")
        if not shown and verification.states:
            shown.append("never reached")
        out += [f"    {' ' * width}  {paint.faint('{ ' + text + ' }')}" for text in shown]
        remark = words.remark(index)
        code = f"    {str(verification.slots[index]).rjust(width)}: {words.instruction(index)}"
        out.append(_visible(f"{code.ljust(48)}  // {remark}" if remark else code))
    return out


def _visible(words: str) -> str:
    """Names and source lines come from the file: nothing in them may steer the terminal."""
    if words.isprintable():
        return words
    return "".join([c if c.isprintable() or c == "\t" else ascii(c)[1:-1] for c in words])
