"""The programs of the corpus whose verdicts are recorded, loaded once; for benchmarks of several.

Needs the corpus: folder `shared` beside the checkout, or ANYBPF_SHARED.
"""

from __future__ import annotations

import csv
import os
from pathlib import Path

from anybpf.errors import AnyBPFError
from anybpf.objects import load_spec
from anybpf.objects.specs import CollectionSpec, ProgramSpec
from anybpf.verifier import Verification, verify

ROOT = Path(__file__).resolve().parent.parent


def folder() -> Path:
    """Where the corpus is, or should be."""
    return Path(os.environ.get("ANYBPF_SHARED") or ROOT.parent / "shared") / "corpus"


class Item:
    """One program, with what it was loaded with. ``type`` is empty if its section says it."""

    def __init__(
        self, file: str, collection: CollectionSpec, program: ProgramSpec, row: dict[str, str]
    ) -> None:
        self.file = file
        self.collection = collection
        self.program = program
        self.key = next(key for key, each in collection.programs.items() if each is program)
        self.type = row["type"] if program.type == "unspec" else ""
        self.prevail = row["prevail"]
        self.linux = row["linux_6_18"]
        self.instructions = len(program.instructions)

    @property
    def name(self) -> str:
        return f"{self.file} {self.program.section} {self.program.function.symbol}"

    def verify(self) -> Verification:
        return verify(self.program, self.collection, type=self.type)

    def seconds(self) -> float:
        """CPU seconds of control flow and analysis, without loading and without the report."""
        return self.verify().stats.seconds


def programs() -> list[Item]:
    """All programs that load, in the order of the recorded verdicts."""
    place = folder()
    collections: dict[str, CollectionSpec | None] = {}
    items = []
    with (place / "verdicts.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            name = row["object"]
            if name not in collections:
                try:
                    collections[name] = load_spec(place / name)
                except AnyBPFError:  # the corpus has broken objects too
                    collections[name] = None
            collection = collections[name]
            if collection is None:
                continue
            for program in collection:
                if program.section == row["section"] and row["function"] in (
                    program.function.symbol,
                    program.name,
                ):
                    items.append(Item(name, collection, program, row))
                    break
    return items
