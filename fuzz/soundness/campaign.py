"""Generates, verifies, runs and compares; counts, and keeps what should not have been.

One :class:`Campaign` serves one process. What it finds is plain data, so that processes can hand it
on.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from anybpf.errors import AnyBPFError
from anybpf.isa.instruction import Instruction
from anybpf.platforms import get
from anybpf.verifier import Budget, Verification, verify_instructions
from fuzz.soundness.blocks import KIND_NAMES
from fuzz.soundness.code import Code
from fuzz.soundness.compare import Comparer
from fuzz.soundness.generate import Generator, Program, standard_maps
from fuzz.soundness.live import Live, everything, goes_back
from fuzz.soundness.machine import Machine
from fuzz.soundness.mutate import Original
from fuzz.soundness.scene import Scene

# A run that takes longer is only followed to see that it ends.
COMPARED: Final = 1000
LONGEST: Final = 300_000
# Of more states than these none is looked for.
MANY_STATES: Final = 500
CALL_OR_EXIT: Final = (0x85, 0x95)
GOTOS: Final = (0x05, 0x06)
# Kinds of memory as facts name them.
FACT_NAMES: Final[list[str]] = [
    "", "", "ctx", "stack", "map_value", "packet", "packet_end", "packet_meta", "map", "memory",
    "object", "function",
]  # fmt: skip
# What one verification may cost; programs that need more are none of ours.
STEPS: Final = 12_000


class Tally:
    """Counts of a campaign. ``words`` counts anything else worth a word."""

    __slots__ = ("accepted", "gave_up", "long", "programs", "runs", "steps", "words")

    def __init__(self) -> None:
        self.programs: int = 0
        self.accepted: int = 0
        self.gave_up: int = 0
        self.runs: int = 0
        self.steps: int = 0
        self.long: int = 0
        self.words: dict[str, int] = {}

    def count(self, word: str) -> None:
        self.words[word] = self.words.get(word, 0) + 1

    def plain(self) -> tuple[int, int, int, int, int, int, dict[str, int]]:
        return (
            self.programs,
            self.accepted,
            self.gave_up,
            self.runs,
            self.steps,
            self.long,
            self.words,
        )

    def add(self, other: tuple[int, int, int, int, int, int, dict[str, int]]) -> None:
        programs, accepted, gave_up, runs, steps, long, words = other
        self.programs += programs
        self.accepted += accepted
        self.gave_up += gave_up
        self.runs += runs
        self.steps += steps
        self.long += long
        for word, count in words.items():
            self.words[word] = self.words.get(word, 0) + count


class Violation:
    """A run that was not foreseen: ``at`` is the instruction, ``run`` names the inputs."""

    __slots__ = ("at", "kind", "program", "run", "text")

    def __init__(self, program: Program, kind: str, at: int, run: int, text: str) -> None:
        self.program: Program = program
        self.kind: str = kind
        self.at: int = at
        self.run: int = run
        self.text: str = text


class Campaign:
    """Everything that stays the same from one program to the next."""

    __slots__ = ("generator", "maps", "platform", "runs", "scenes", "tally")

    def __init__(self, seed: i64, originals: list[Original], runs: i64 = 4) -> None:
        self.generator: Generator = Generator(seed, originals)
        self.runs: i64 = runs
        self.platform = get("linux")
        self.maps = standard_maps()
        self.scenes: dict[str, Scene] = {}
        self.tally: Tally = Tally()

    def scene(self, program: Program) -> Scene:
        original = program.original
        name = program.type if original is None else f"{original.name} {original.type}"
        found = self.scenes.get(name)
        if found is None:
            if original is None:
                found = Scene(self.platform, program.type, self.maps)
            else:
                found = Scene(self.platform, original.type, original.maps, original.attach_type)
            self.scenes[name] = found
        return found

    def verify(self, program: Program, code: list[Instruction], record: bool) -> Verification:
        original = program.original
        return verify_instructions(
            code,
            program.type,
            self.maps if original is None else original.maps,
            platform=self.platform,
            attach_type="" if original is None else original.attach_type,
            budget=Budget(STEPS),
            record=record,
        )

    def one(self, number: i64) -> Violation | None:
        """The program of that number, all the way."""
        program = self.generator.program(number)
        tally = self.tally
        tally.programs += 1
        tally.count(f"made: {program.family}")
        scene = self.scene(program)
        if not scene.usable:
            return None
        try:
            verification = self.verify(program, program.code, True)
        except AnyBPFError as error:
            tally.count(f"not verified: {type(error).__name__}")
            return None
        if verification.gave_up:
            tally.gave_up += 1
            return None
        if not verification.ok:
            tally.count(f"refused: {verification.findings[0].kind}")
            return None
        tally.accepted += 1
        tally.count(f"accepted: {program.family}")
        return self.follow(program, verification, self.runs)

    def again(self, program: Program, code: list[Instruction], runs: i64) -> Violation | None:
        """The same with other code in the program's place, not counted."""
        try:
            verification = self.verify(program, code, True)
        except AnyBPFError:
            return None
        if not verification.ok:
            return None
        kept = self.tally
        self.tally = Tally()
        found = self.follow(program, verification, runs)
        self.tally = kept
        return found

    def follow(self, program: Program, verification: Verification, runs: i64) -> Violation | None:
        """Run an accepted program on several inputs; what was not foreseen, if anything."""
        # The verifier lays functions out in its own order.
        machine = Machine(self.scene(program), Code(verification.instructions))
        comparer = Comparer(machine)
        # Where paths end because others go on from there, only what is read there agrees.
        strict = verification.stats.phase == "merged" and not goes_back(machine.code)
        live = Live(machine.code, machine.scene)
        if strict:
            live.registers, live.slots = everything(machine.code.count)
        tally = self.tally
        run: i64 = 0
        while run < runs:
            machine.start(program.number + 1, run)
            text = self.compare(machine, comparer, verification, live, strict)
            tally.runs += 1
            tally.steps += machine.steps
            if machine.unsupported:
                tally.count(f"not acted out: {machine.unsupported}")
            if text:
                kind = "unsafe" if machine.violation else "unforeseen"
                if text.startswith("the loop at"):
                    kind = "loop bound"
                return Violation(program, kind, machine.pc, run, text)
            run = run + 1
        return None

    def compare(
        self,
        machine: Machine,
        comparer: Comparer,
        verification: Verification,
        live: Live,
        strict: bool,
    ) -> str:
        """One run, step by step; why it was not foreseen, or nothing."""
        states = verification.states
        facts = verification.facts
        branches = facts.branches
        accesses = facts.accesses
        code = machine.code
        last: dict[int, int] = {}
        bounds = verification.stats.loop_bounds
        turns: dict[int, int] = {}
        while not machine.finished:
            if machine.steps >= COMPARED:
                return self.outrun(machine)
            pc: i64 = machine.pc
            if pc < 0 or pc >= code.count:
                return f"execution leaves the code at {pc}"
            foreseen = states.get(pc)
            if foreseen is None or len(foreseen) == 0:
                if code.opcode[pc] in GOTOS:
                    machine.step()  # does nothing that could be foreseen
                    continue
                return f"instruction {pc} is executed, was not foreseen"
            # The state that fitted last time, or the one after it, probably fits.
            count: i64 = len(foreseen)
            first: i64 = last.get(pc, 0)
            registers = live.registers[pc]
            slots = live.slots[pc]
            comparer.quiet = True
            if count <= MANY_STATES and comparer.explain(foreseen[first], registers, slots, strict):
                i: i64 = 1
                fits = False
                while i < count:
                    at: i64 = (first + i) % count
                    if not comparer.explain(foreseen[at], registers, slots, strict):
                        last[pc] = at
                        fits = True
                        break
                    i = i + 1
                if not fits:
                    comparer.quiet = False
                    reason = comparer.explain(foreseen[first], registers, slots, strict)
                    more = "" if count == 1 else f" (nor in {count - 1} other states)"
                    return f"before instruction {pc}: {reason}{more}"
            machine.step()
            if machine.violation:
                return f"instruction {pc}: {machine.violation}"
            if pc in branches and machine.pc != pc + 1 and branches[pc] == "fallthrough":
                return f"branch {pc} is taken, is said never to be"
            if pc in branches and branches[pc] == "taken" and machine.pc != code.target[pc]:
                return f"branch {pc} is not taken, is said always to be"
            if machine.pc in bounds:
                # A turn more, or the loop's beginning.
                back = machine.pc <= pc and code.opcode[pc] & 0xF7 not in CALL_OR_EXIT
                turns[machine.pc] = turns.get(machine.pc, 0) + 1 if back else 1
                if turns[machine.pc] > bounds[machine.pc]:
                    return f"the loop at {machine.pc} turns more often than {bounds[machine.pc]}"
            block = machine.access_block
            if block is not None and pc in accesses:
                fact = accesses[pc]
                low = machine.access_offset
                high = low + machine.access_size
                if fact.kind != "mixed" and fact.kind != FACT_NAMES[block.kind]:
                    return f"instruction {pc} touches {KIND_NAMES[block.kind]}, not {fact.kind}"
                fact_low: int = fact.low
                fact_high: int = fact.high
                if low < fact_low or high > fact_high:
                    return (
                        f"instruction {pc} touches bytes {low} to {high}, "
                        f"said to be {fact_low} to {fact_high}"
                    )
        return ""

    def outrun(self, machine: Machine) -> str:
        """A long run: does it end?"""
        self.tally.long += 1
        while not machine.finished and machine.steps < LONGEST:
            machine.step()
            if machine.violation:
                return f"instruction {machine.pc}, step {machine.steps}: {machine.violation}"
        return ""
