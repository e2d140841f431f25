"""The report for programs: one object of plain values for each verified program."""

from __future__ import annotations

from typing import Any

from anybpf.verifier.report.states import state_texts
from anybpf.verifier.verification import Verification


def record(
    verification: Verification,
    file: str,
    *,
    explained: bool = False,
    invariants: bool = False,
) -> dict[str, Any]:
    """All that is said of one program; ``explained`` adds the explanation of each finding."""
    stats = verification.stats
    out: dict[str, Any] = {
        "file": file,
        "section": verification.program.section,
        "program": verification.program.name,
        "type": verification.type,
        "platform": verification.platform.name,
        "verdict": "pass" if verification.ok else "reject",
        "seconds": round(stats.seconds, 9),
        "steps": stats.steps,
        "instructions": stats.instructions,
        "gave_up": verification.gave_up,
        "loops": [
            {"slot": verification.slots[index], "rounds": bound}
            for index, bound in sorted(stats.loop_bounds.items())
        ],
        "stats": {
            "blocks": stats.blocks,
            "loops": stats.loops,
            "max_states": stats.max_states,
            "merges": stats.merges,
            "phase": stats.phase,
            "splits": stats.splits,
            "widenings": stats.widenings,
        },
        "findings": _explained(verification)
        if explained and verification.findings
        else [finding.as_json() for finding in verification.findings],
    }
    if invariants:
        out["states"] = [_states(verification, index) for index in sorted(verification.states)]
    return out


def _states(verification: Verification, index: int) -> dict[str, Any]:
    texts, more = state_texts(verification, index)
    return {
        "instruction": index,
        "slot": verification.slots[index],
        "states": texts,
        "more": more,
    }


def _explained(verification: Verification) -> list[dict[str, Any]]:
    # What explains is imported when it is needed: most verdicts have nothing to explain.
    from anybpf.verifier.explain import explain
    from anybpf.verifier.wording import Words

    words = Words(verification)
    return [explain(verification, finding, words).as_json() for finding in verification.findings]


def error_record(
    file: str, message: str, *, section: str = "", program: str = "", type_name: str = ""
) -> dict[str, Any]:
    """What stands in place of a verification where there could be none."""
    return {
        "file": file,
        "section": section,
        "program": program,
        "type": type_name,
        "verdict": "error",
        "seconds": 0.0,
        "steps": 0,
        "instructions": 0,
        "findings": [],
        "error": message,
    }
