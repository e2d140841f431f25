"""The layouts of ``netsh ebpf show verification``: normal, informational, verbose.

Informational adds the way to each finding, verbose what is known before every instruction. The
layout is that of the Windows tool; findings are in our words.
"""

from __future__ import annotations

from typing import Final

from anybpf.isa.instruction import SourceLine
from anybpf.verifier.explain import explain
from anybpf.verifier.findings import Finding
from anybpf.verifier.report.states import state_texts
from anybpf.verifier.verification import Verification
from anybpf.verifier.wording import Words

NORMAL: Final = "normal"
INFORMATIONAL: Final = "informational"
VERBOSE: Final = "verbose"
LEVELS: Final = (NORMAL, INFORMATIONAL, VERBOSE)


def lines(verification: Verification, verbosity: str = NORMAL) -> list[str]:
    """The report on one program."""
    words = Words(verification)
    out: list[str] = []
    if verbosity == VERBOSE:
        out += _invariants(verification, words)
    if verification.ok:
        bounds = verification.stats.loop_bounds.values()
        out.append("Verification succeeded")
        out.append(f"Program terminates within {max(bounds, default=0)} loop iterations")
        return out
    out += ["Verification failed", "", "Verification report:", ""]
    for finding in verification.findings:
        out += _source(words.line(finding.instruction), "    ")
        out += [f"{finding.slot}: {finding.message} ({finding.kind})", ""]
        if verbosity == INFORMATIONAL:
            out += _slice(verification, finding, words)
    out += [f"{len(verification.findings)} errors", ""]
    return out


def _source(line: SourceLine | None, indent: str = "") -> list[str]:
    if line is None or not line.file:
        return []
    return [f"; {line.file}:{line.line}", f"; {indent}{line.text.strip()}", ""]


def _slice(verification: Verification, finding: Finding, words: Words) -> list[str]:
    """The instructions that matter, with what was known before each."""
    explanation = explain(verification, finding, words)
    indexes = [step.index for step in explanation.steps]
    if finding.instruction >= 0:
        indexes.append(finding.instruction)
    out = [f"Failure slice ({len(indexes)} instructions):", ""]
    for index in indexes:
        line = words.line(index)
        if line is not None and line.file:
            out += [f"; {line.file}:{line.line}", f"; {line.text.strip()}"]
        out += _one(verification, words, index)
    return [*out, ""]


def _invariants(verification: Verification, words: Words) -> list[str]:
    out: list[str] = []
    for index in range(len(verification.instructions)):
        line = verification.instructions[index].line
        if line is not None and line.text:
            out += [f"; {line.file}:{line.line}", f"; {line.text.strip()}"]
        out += _one(verification, words, index)
    return [*out, ""]


def _one(verification: Verification, words: Words, index: int) -> list[str]:
    """An instruction below what is known before it; ``_|_`` stands for what is never reached."""
    out: list[str] = []
    states, more = state_texts(verification, index)
    for state in states:
        out.append(f"Pre-invariant : [{', '.join(state.split(' '))}]")
    if more:
        out.append(f"Pre-invariant : and {more} more")
    if not states and verification.states:
        out.append("Pre-invariant : _|_")
    out.append(f"{str(verification.slots[index]).rjust(8)}:\t{words.instruction(index)}")
    return out
