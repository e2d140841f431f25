"""The report as one page for a browser: source, code and control flow side by side.

The page needs nothing but itself: no network, no fonts, no other files. Its data are one block of
JSON, which the script of :mod:`anybpf.verifier.report.page` turns into text nodes, so that no name
out of an object can become markup; its policy lets the browser run nothing else.
"""

from __future__ import annotations

from typing import Any

from anybpf.verifier.explain import explain
from anybpf.verifier.printing import state_clauses
from anybpf.verifier.report import text
from anybpf.verifier.report.layout import LINE, SHOWN, TITLE, WIDTH, draw
from anybpf.verifier.report.page import SCRIPT, STYLE
from anybpf.verifier.state import REGISTERS, State
from anybpf.verifier.values import UNINIT
from anybpf.verifier.verification import Verification
from anybpf.verifier.wording import Words

# States of one instruction that the page shows.
MAX_STATES: int = 8


def page(verified: list[tuple[str, Verification]]) -> str:
    """One page about these programs, each with the name of its file."""
    import base64
    import hashlib
    import json

    strings = Strings()
    programs = [program_data(file, verification, strings) for file, verification in verified]
    data = {"programs": programs, "strings": strings.all}
    # Inside a script element only "</script" and "<!--" mean anything.
    block = json.dumps(data, ensure_ascii=True, separators=(",", ":")).replace("<", "\\u003c")
    allowed = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{allowed}'; "
        "base-uri 'none'; form-action 'none'"
    )
    names = ", ".join([verification.program.name for _, verification in verified[:3]])
    title = escape(f"{names}{' ...' if len(verified) > 3 else ''} - anybpf verify")
    return (
        "<!DOCTYPE html>\n"
        '<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        "<noscript>This page draws itself with JavaScript, which is switched off here."
        "</noscript>\n"
        f'<script type="application/json" id="data">{block}</script>\n'
        f"<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )


def escape(words: str) -> str:
    """Text as it stands between tags."""
    return words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


class Strings:
    """Texts that are said more than once, by number."""

    __slots__ = ("_numbers", "all")

    def __init__(self) -> None:
        self.all: list[str] = []
        self._numbers: dict[str, int] = {}

    def number(self, words: str) -> int:
        found = self._numbers.get(words)
        if found is None:
            found = len(self.all)
            self._numbers[words] = found
            self.all.append(words)
        return found


def program_data(file: str, verification: Verification, strings: Strings) -> dict[str, Any]:
    """All that the page knows of one program."""
    words = Words(verification)
    lines, line_of = _source(verification)
    drawing = draw(verification)
    block_of: list[int] = []
    for number, box in enumerate(drawing.boxes):
        block_of += [number] * (box.last - box.first + 1)
    instructions = []
    for index in range(len(verification.instructions)):
        starts = (
            index == 0 or verification.function_of[index] != verification.function_of[index - 1]
        )
        instructions.append(
            [
                verification.slots[index],
                words.instruction(index),
                words.remark(index),
                line_of[index],
                block_of[index],
                verification.function_of[index] if starts else "",
            ]
        )
    return {
        "file": file,
        "name": verification.program.name,
        "head": text.head(verification, file),
        "ok": verification.ok,
        "instructions": instructions,
        "lines": lines,
        "states": [
            _states(verification, words, index, strings)
            for index in range(len(verification.instructions))
        ],
        "recorded": bool(verification.states),
        "findings": [_finding(verification, words, number) for number in _findings(verification)],
        "boxes": [[box.first, box.last, box.x, box.y, box.height] for box in drawing.boxes],
        "edges": [
            [line.source, line.target, line.kind, line.points, line.is_aside]
            for line in drawing.lines
        ],
        "paper": [drawing.width, drawing.height, WIDTH, TITLE, LINE, SHOWN],
    }


def _findings(verification: Verification) -> range:
    return range(len(verification.findings))


def _finding(verification: Verification, words: Words, number: int) -> dict[str, Any]:
    finding = verification.findings[number]
    explanation = explain(verification, finding, words)
    return {
        "instruction": finding.instruction,
        "kind": finding.kind,
        "message": finding.message,
        "place": explanation.place,
        "required": explanation.required,
        "known": [f"{name}{': ' if name else ''}{what}" for name, what in explanation.known],
        "hint": explanation.hint,
        "way": explanation.way,
        "followed": explanation.way_known,
        "elided": explanation.elided,
        "steps": [[step.index, step.note] for step in explanation.steps],
    }


def _source(verification: Verification) -> tuple[list[list[Any]], list[int]]:
    """The source lines that code was made from, by file and number, and which is whose.

    An object has no more of its source than that.
    """
    found: dict[tuple[str, int], str] = {}
    keys: list[tuple[str, int] | None] = []
    for index in range(len(verification.instructions)):
        line = verification.source_line(index)
        if line is None or (not line.line and not line.text):
            keys.append(None)
            continue
        key = (line.file, line.line)
        keys.append(key)
        if not found.get(key):
            found[key] = line.text
    ordered = sorted(found)
    numbers = {key: number for number, key in enumerate(ordered)}
    lines: list[list[Any]] = [[file, line, found[(file, line)]] for file, line in ordered]
    return lines, [-1 if key is None else numbers[key] for key in keys]


def _states(
    verification: Verification, words: Words, index: int, strings: Strings
) -> list[list[Any]]:
    """What is known before an instruction: rows of name and words, clauses, whether it fails."""
    out: list[list[Any]] = []
    failing = [
        finding.state
        for finding in verification.findings
        if finding.instruction == index and finding.state is not None
    ]
    others = verification.states.get(index, [])[:MAX_STATES]
    for position, state in enumerate([*failing, *others]):
        rows = [
            [register, strings.number(words.value(state, state.regs[register]))]
            for register in range(REGISTERS)
            if state.regs[register].kind != UNINIT
        ]
        said = [rows, [strings.number(clause) for clause in _clauses(verification, state)]]
        if said not in [known[:2] for known in out]:
            out.append([*said, position < len(failing)])
    return out


def _clauses(verification: Verification, state: State) -> list[str]:
    names = [spec.name for spec in verification.maps]
    return state_clauses(state, names)
