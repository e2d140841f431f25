"""Every case of `cases/*.case`, one test each: the verdict, the kind of finding, the states."""

from __future__ import annotations

from pathlib import Path

import pytest

from anybpf.verifier import verify, verify_instructions
from anybpf.verifier.environment import Budget
from anybpf.verifier.notation import covers
from anybpf.verifier.verification import Verification
from tests.verifier.cases import FOLDER, Case, CaseError, Prepared, read_cases

# Cases are small; what is not decided with so much work is a loop that does not end.
STEPS = 15_000

CASES = [case for path in sorted(FOLDER.glob("*.case")) for case in read_cases(path)]


def run(case: Case) -> list[str]:
    """What is not as the case says; empty if all is."""
    prepared = Prepared(case)
    words = case.words
    budget = Budget(steps=STEPS)
    if prepared.needs_types:
        spec, program = prepared.collection()
        entry = words.get("before", "")
        result = verify(program, spec, entry=entry, record=True, budget=budget)
    else:
        result = verify_instructions(
            prepared.instructions,
            words["type"],
            list(prepared.maps.values()),
            platform=words["platform"],
            attach_type=words.get("attach", ""),
            entry=words.get("before", ""),
            record=True,
            budget=budget,
        )
    if result.gave_up and (case.accept or case.kind not in ("", "loop-bound")):
        return ["the budget was spent without an answer"]
    return _verdict_problems(case, result) + _claim_problems(case, prepared, result)


def _verdict_problems(case: Case, result: Verification) -> list[str]:
    if case.accept:
        return [f"accepted is what it should be, but: {finding!r}" for finding in result.findings]
    if not result.findings:
        return ["it was accepted"]
    first = result.findings[0]
    problems = []
    if case.kind and first.kind != case.kind and not result.gave_up:
        problems.append(f"rejected for {first!r}, not for {case.kind}")
    if case.place and first.instruction not in _indexes(result, case.place):
        problems.append(f"rejected at {first.instruction}, not at {case.place}")
    return problems


def _indexes(result: Verification, place: str) -> list[int]:
    if place.isdigit():
        return [int(place)]
    return [i for i, insn in enumerate(result.instructions) if insn.symbol == place]


def _claim_problems(case: Case, prepared: Prepared, result: Verification) -> list[str]:
    problems = []
    names = [spec.name for spec in result.maps]
    for label, text in case.claims:
        if label:
            places = _indexes(result, label)
        elif prepared.end >= 0:
            places = [prepared.end]
        else:
            places = [i for i, insn in enumerate(result.instructions) if insn.opcode == 0x95]
        states = [state for place in places for state in result.states.get(place, [])]
        if not label:
            states = [state for state in states if state.depth == 0]
        if text == "unreachable":
            if states:
                problems.append(f"{label or 'the end'} is not proved unreachable")
            continue
        if not states:
            problems.append(f"nothing gets to {label or 'the end'}")
        for state in states:
            problem = covers(state, text, names)
            if problem:
                problems.append(f"at {label or 'the end'}: {problem}")
                break
    return problems


@pytest.mark.parametrize("case", CASES, ids=[case.where for case in CASES])
def test_case(case: Case) -> None:
    assert not run(case), f"{case.where}: {case.title}"


def test_there_are_cases_for_every_theme() -> None:
    assert len(CASES) >= 550
    titles = [(case.file, case.title) for case in CASES]
    assert len(set(titles)) == len(titles), sorted(t for t in titles if titles.count(t) > 1)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("case: a\ncode:\n    exit\n", "expects nothing"),
        ("case: a\naccept\n", "has no code"),
        ("case: a\ncode:\n    exit\nacept\n", "bad.case:4: 'acept' is no line of a case"),
        ("case: a\ncode:\n    exit\naccept\nreject\n", "has a verdict already"),
        ("case: a\ncode:\n    exit\naccept\nlinux: accepts\n", "differ from ours"),
        ("case: a\ncode:\n    exit\nreject\nafter: r0=0\n", "no states after it"),
    ],
)
def test_a_case_that_is_written_wrong_is_told(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "bad.case"
    file.write_text(text)
    with pytest.raises(CaseError, match=problem):
        read_cases(file)


def test_code_that_does_not_assemble_is_told_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "bad.case"
    file.write_text("case: a\ncode:\n    r0 = nonsense nonsense\n    exit\naccept\n")
    with pytest.raises(CaseError, match=r"bad\.case:2: "):
        Prepared(read_cases(file)[0])
