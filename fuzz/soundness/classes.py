"""The same programs before the Linux kernel's verifier: disagreements sorted into classes.

A class is the kernel's message with its numbers taken out, beside the kind of our first finding.
Needs a machine that permits bpf(2), and root; without says so.
"""

from __future__ import annotations

import re
from time import monotonic
from typing import Any

from anybpf.errors import AnyBPFError, NotSupported
from anybpf.isa.instruction import Instruction
from fuzz.soundness.campaign import Campaign
from fuzz.soundness.generate import Program
from fuzz.soundness.mutate import Original

_NUMBERS = re.compile(r"0x[0-9a-f]+|-?\b\d+\b")
_REGISTER = re.compile(r"\bR\d+(_\w+)?")
SHOWN = 40


def pattern(message: str) -> str:
    """The message without what is particular to one program."""
    return _NUMBERS.sub("N", _REGISTER.sub("R", message))[:100]


class Class:
    """How often a disagreement of one kind was seen, and where first."""

    __slots__ = ("count", "first", "key")

    def __init__(self, key: str, first: int) -> None:
        self.key = key
        self.first = first
        self.count = 0


class Classes:
    """Disagreements by what both sides say."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, str], Class] = {}
        self.agreed = {True: 0, False: 0}
        self.obstacles: dict[str, int] = {}

    def add(self, side: str, key: str, number: int) -> None:
        found = self.found.setdefault((side, key), Class(key, number))
        found.count += 1

    def lines(self) -> list[str]:
        out = [f"both accept {self.agreed[True]}, both refuse {self.agreed[False]}"]
        for side in ("only the kernel accepts", "only we accept"):
            rows = [row for (where, _), row in self.found.items() if where == side]
            rows.sort(key=lambda row: -row.count)
            out.append(f"{side}: {sum(row.count for row in rows)}")
            out += [f"  {row.count:7d}  {row.key}  (first: {row.first})" for row in rows[:SHOWN]]
        out += [f"not judged: {count}, {why}" for why, count in self.obstacles.items()]
        return out


def ask(kernel: Any, campaign: Campaign, program: Program, code: list[Instruction]) -> Any:
    maps = campaign.maps if program.original is None else program.original.maps
    attach_type = "" if program.original is None else program.original.attach_type
    return kernel.load_instructions(
        code, program.type, {spec.name: spec for spec in maps}, attach_type
    )


def compare_with_kernel(
    seed: int, first: int, seconds: float, programs: int, originals: list[Original]
) -> int:
    """Generate programs and ask both; print the classes. Status 0: disagreement is no failure."""
    from fuzz import linux_kernel as kernel

    campaign = Campaign(seed, originals, 2)
    classes = Classes()
    end = monotonic() + seconds
    number = first
    while monotonic() < end and number < first + programs:
        program = campaign.generator.program(number)
        number += 1
        try:
            ours = campaign.verify(program, program.code, False)
            theirs = ask(kernel, campaign, program, ours.instructions)
        except NotSupported as error:
            print(f"verifier: the kernel was not asked: {error}")
            return 0
        except AnyBPFError as error:
            why = type(error).__name__
            classes.obstacles[why] = classes.obstacles.get(why, 0) + 1
            continue
        if theirs.obstacle or "missing btf func_info" in theirs.reason:
            why = pattern(theirs.obstacle or theirs.reason)
            classes.obstacles[why] = classes.obstacles.get(why, 0) + 1
        elif ours.ok == theirs.accepted:
            classes.agreed[ours.ok] += 1
        elif ours.ok:
            classes.add("only we accept", pattern(theirs.reason), number - 1)
        else:
            finding = ours.findings[0]
            key = f"{finding.kind}: {pattern(finding.message)}"
            classes.add("only the kernel accepts", key, number - 1)
    print(f"{number - first} programs, seed {seed}")
    print("\n".join(classes.lines()))
    return 0
