"""The result of verifying one program: the verdict, the findings, the work, and the facts.

Plain values that hold no part of the analysis, unless its states were asked for. What they mean in
words is said by ``explain``.
"""

from __future__ import annotations

from anybpf.isa.instruction import Instruction, SourceLine
from anybpf.objects.specs import EXCEPTION_CALLBACK, CollectionSpec, MapSpec, ProgramSpec
from anybpf.platforms import Platform
from anybpf.verifier.facts import Facts
from anybpf.verifier.findings import Finding
from anybpf.verifier.state import State


class Stats:
    """The work that a verification was. ``seconds`` are those of the analysis alone.

    ``steps`` counts instructions as often as they were analysed; ``phase`` is "merged" if joined
    states were enough, "paths" if paths had to be explored. ``loop_bounds`` has the most rounds of
    each loop by the instruction at its head.
    """

    __slots__ = (
        "blocks",
        "instructions",
        "loop_bounds",
        "loops",
        "max_states",
        "merges",
        "phase",
        "seconds",
        "splits",
        "steps",
        "widenings",
    )

    def __init__(self) -> None:
        self.seconds: float = 0.0
        self.steps: int = 0
        self.instructions: int = 0
        self.blocks: int = 0
        self.merges: int = 0
        self.splits: int = 0
        self.widenings: int = 0
        self.loops: int = 0
        self.max_states: int = 0
        self.phase: str = "merged"
        self.loop_bounds: dict[int, int] = {}

    def __repr__(self) -> str:
        return f"<Stats: {self.steps} steps in {self.seconds:.6f} s, {self.phase}>"


class Verification:
    """What is known of a program after verifying it.

    ``instructions`` is the program as it is laid out; findings, facts and states speak of them by
    index, ``slots`` and ``function_of`` say where each stands. ``findings`` are sorted by
    instruction, but for the first, which is the primary one. ``states`` holds the abstract states
    before each instruction, if they were recorded. ``gave_up``: the budget was spent before an
    answer was found, which counts as a refusal. ``handler`` is the slot of the function that
    handles exceptions, or 0.
    """

    __slots__ = (
        "_lines",
        "attach_type",
        "collection",
        "facts",
        "findings",
        "function_of",
        "gave_up",
        "handler",
        "instructions",
        "maps",
        "platform",
        "program",
        "slots",
        "states",
        "stats",
        "type",
    )

    def __init__(
        self,
        program: ProgramSpec,
        platform: Platform,
        program_type: str,
        instructions: list[Instruction],
    ) -> None:
        self.program: ProgramSpec = program
        self.platform: Platform = platform
        self.type: str = program_type
        self.attach_type: str = program.attach_type
        # Where the program came from, which names its maps, variables and types.
        self.collection: CollectionSpec | None = None
        # The maps that states and facts number.
        self.maps: list[MapSpec] = []
        self.instructions: list[Instruction] = instructions
        self.slots: list[int] = []
        self.function_of: list[str] = []
        self.handler: int = 0
        handlers = {
            tag.removeprefix(EXCEPTION_CALLBACK)
            for tag in program.function.tags
            if tag.startswith(EXCEPTION_CALLBACK)
        }
        starts = {function.name for function in program.functions}
        slot = 0
        name = program.name
        for insn in instructions:
            if insn.symbol in starts:
                name = insn.symbol
                if name in handlers:
                    self.handler = slot
            self.slots.append(slot)
            self.function_of.append(name)
            slot += insn.slots
        self._lines: list[SourceLine | None] | None = None
        self.findings: list[Finding] = []
        self.stats: Stats = Stats()
        self.stats.instructions = len(instructions)
        self.facts: Facts = Facts(len(instructions))
        self.states: dict[int, list[State]] = {}
        self.gave_up: bool = False

    @property
    def ok(self) -> bool:
        """Whether the program was proved safe."""
        return not self.findings and not self.gave_up

    def source_line(self, index: int) -> SourceLine | None:
        """The source line of an instruction; only the first instruction of a line bears it."""
        if self._lines is None:
            self._lines = self._spread_lines()
        return self._lines[index] if 0 <= index < len(self._lines) else None

    def _spread_lines(self) -> list[SourceLine | None]:
        lines: list[SourceLine | None] = []
        last: SourceLine | None = None
        function = ""
        for index, insn in enumerate(self.instructions):
            if self.function_of[index] != function:
                function = self.function_of[index]
                last = None
            if insn.line is not None:
                last = insn.line
            lines.append(last)
        return lines

    def __repr__(self) -> str:
        verdict = "pass" if self.ok else "reject"
        return f"<Verification {self.program.name}: {verdict}, {len(self.findings)} findings>"
