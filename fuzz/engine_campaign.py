"""Generates, verifies and compares, in one process; makes small what comes apart.

What programs are run on and how they are compared stands in ``engine_runs``; the programs are those
of ``fuzz.soundness``, by seed and number.
"""

from __future__ import annotations

import gc
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from anybpf.engines import Prepared, prepare
from anybpf.errors import AnyBPFError
from anybpf.isa import Instruction
from anybpf.objects import load_spec
from anybpf.objects.specs import CollectionSpec, MapSpec
from anybpf.platforms import get
from anybpf.verifier import Budget, verify, verify_instructions
from fuzz.engine_runs import Bench, Difference, strict
from fuzz.soundness.generate import Generator, Program, standard_maps
from fuzz.soundness.minimise import minimise, text

# What one verification may cost; programs that need more are left to others.
STEPS: Final = 12_000
LONGER: Final = 400_000
# Maps whose contents a bench can make and read.
PLAIN: Final = frozenset(
    {"array", "hash", "percpu_array", "percpu_hash", "lru_hash", "lru_percpu_hash", "lpm_trie",
     "queue", "stack", "ringbuf", "devmap", "devmap_hash", "cpumap", "xskmap", "prog_array",
     "perf_event_array"}
)  # fmt: skip
# Of maps for millions of entries, as many are enough.
MOST_ENTRIES: Final = 256


class Found:
    """A difference, as ``fuzz.soundness.minimise`` takes violations."""

    def __init__(self, program: Program, difference: Difference) -> None:
        self.program: Program = program
        self.run: int = difference.run
        self.kind: str = f"{difference.engine} {difference.part}"
        self.text: str = difference.text


class Campaign:
    """Everything that stays the same from one program to the next."""

    def __init__(self, seed: int, runs: int, names: list[str], seconds: float) -> None:
        self.seed: int = seed
        self.runs: int = runs
        self.names: list[str] = names
        self.seconds: float = seconds
        self.platform = strict()
        self.maps: list[MapSpec] = standard_maps()
        self.generator: Generator = Generator(seed, [])
        self.bench: Bench = Bench(names, self.maps)
        self.counts: dict[str, int] = {}

    def close(self) -> None:
        self.bench.close()

    def count(self, word: str, by: int = 1) -> None:
        self.counts[word] = self.counts.get(word, 0) + by

    # Random programs.

    def batch(
        self, numbers: Iterable[int], at: Any = None
    ) -> tuple[dict[str, int], list[tuple[str, str]]]:
        """Counts, and a name and words for each difference; ``at`` is told the number."""
        self.counts = {}
        reports: list[tuple[str, str]] = []
        gc.disable()
        for number in numbers:
            if at is not None:
                at.value = number
            found = self.one(number)
            if found is not None:
                reports.append((f"{self.seed}-{number}", self.report(found)))
        gc.enable()
        gc.collect()
        return self.counts, reports

    def prepared(self, program: Program, code: list[Instruction]) -> Prepared | None:
        """The program, proved and ready; None if it is not accepted."""
        try:
            proof = verify_instructions(
                code, program.type, self.maps, platform=self.platform, budget=Budget(STEPS)
            )
            return prepare(proof.program, proof) if proof.ok else None
        except AnyBPFError:
            return None

    def one(self, number: int) -> Found | None:
        program = self.generator.program(number)
        self.count("made")
        made = self.prepared(program, program.code)
        if made is None:
            self.count("refused")
            return None
        self.count(f"accepted: {program.family} {program.type}")
        before = self.bench.runs
        difference = self.bench.compare(made, self.seed, number, self.runs)
        self.count("runs", self.bench.runs - before)
        self.count(f"not compared: {self.bench.note}" if self.bench.note else "run")
        return None if difference is None else Found(program, difference)

    def again(self, program: Program, code: list[Instruction], runs: int) -> Found | None:
        """The same with other code in the program's place."""
        made = self.prepared(program, code)
        if made is None:
            return None
        difference = self.bench.compare(made, self.seed, program.number, min(runs, 64))
        return None if difference is None else Found(program, difference)

    def report(self, found: Found) -> str:
        program = found.program
        searcher: Any = self
        violation: Any = found
        small = minimise(searcher, violation, self.seconds)
        again = self.again(program, small, max(24, found.run + 1)) or found
        return (
            f"{found.kind}: {program.family} {program.type}, seed {self.seed} number "
            f"{program.number} run {found.run}\n  {found.text}\n"
            f"  again: python fuzz/engines.py --seed {self.seed} --runs {self.runs} "
            f"--one {program.number}\n  smaller, run {again.run}: {again.text}\n{text(small)}"
        )

    def show(self, number: int) -> int:
        """One program, and what is found about it."""
        program = self.generator.program(number)
        print(f"{program.family} {program.type}, {len(program.code)} instructions")
        print(text(program.code))
        found = self.one(number)
        if found is None:
            print(", ".join(self.counts))
            return 0
        print(self.report(found))
        return 1

    # The corpus.

    def file(self, path: Path) -> tuple[dict[str, int], list[tuple[str, str]]]:
        """All programs of an object file."""
        self.counts = {}
        reports: list[tuple[str, str]] = []
        try:
            spec = load_spec(path)
        except AnyBPFError:
            self.count("files that cannot be read")
            return self.counts, []
        for one in spec.maps.values():
            one.max_entries = 4096 if one.type == "ringbuf" else min(one.max_entries, MOST_ENTRIES)
        for program in spec:
            self.count("made")
            try:
                difference = self.of_corpus(spec, program)
            except AnyBPFError as error:
                self.count(f"not compared: {type(error).__name__}")
                continue
            except Exception:  # what falls over is a finding too
                words = f"{path.name} {program.name}: {traceback.format_exc(limit=-5)}"
                reports.append((f"{path.stem}-{program.name}", words))
                continue
            if difference is not None:
                words = f"{path.name} {program.name}: run {difference.run}: {difference.text}"
                reports.append((f"{path.stem}-{program.name}", words))
        return self.counts, reports

    def of_corpus(self, spec: CollectionSpec, program: Any) -> Difference | None:
        for platform in (self.platform, get("linux")):
            proof = verify(program, spec, platform=platform, budget=Budget(LONGER))
            if proof.ok:
                break
        else:
            self.count("refused")
            return None
        made = prepare(program, proof)
        if any(one.type not in PLAIN or one.inner is not None for one in made.maps):
            self.count("not compared: maps of other kinds")
            return None
        bench = Bench(self.names, made.maps)
        try:
            difference = bench.compare(made, self.seed, 0, 4 * self.runs)
        finally:
            bench.close()
        self.count("runs", bench.runs)
        self.count(f"not compared: {bench.note}" if bench.note else "run")
        return difference
