"""Runs operations over blocks: the common ground of the two strategies.

An engine takes states through blocks, splits a state on the merges that its failing operands came
through, follows calls and callbacks, and collects faults. In which order blocks are visited, and
when states are merged, is the business of ``fixpoint`` and ``paths``.
"""

from __future__ import annotations

import time
from typing import Final

from mypy_extensions import i64

from anybpf.verifier import exits, prototypes
from anybpf.verifier.branch import assume
from anybpf.verifier.deduction import FUEL, select
from anybpf.verifier.environment import Environment, Fault
from anybpf.verifier.inclusion import Inclusion
from anybpf.verifier.merge import Merger
from anybpf.verifier.numbers import NEGATE
from anybpf.verifier.operations import Branch, Operation
from anybpf.verifier.program import Code
from anybpf.verifier.record import Journal
from anybpf.verifier.state import State
from anybpf.verifier.values import Choice, Phi, Record, Value

NO_STEPS: Final[list[i64]] = []
# Everything is live.
ALL: Final = -1
# How often one failing instruction may be tried again on parts of its state.
SPLIT_TRIES: Final = 128
MERGES_REMEMBERED: Final = 2048
# Steps between two looks at the clock.
LOOK_EVERY: Final = 4096


class GaveUp(Exception):
    """The budget is spent."""


class Work:
    """What was done, and how much more may be."""

    __slots__ = (
        "deadline",
        "limit",
        "loop_bounds",
        "loops",
        "max_states",
        "merges",
        "next_look",
        "splits",
        "state_limit",
        "states",
        "steps",
        "widenings",
    )

    def __init__(self, limit: i64, state_limit: i64, deadline: float) -> None:
        self.limit: i64 = limit
        # On the thread's own clock; 0: none. Looked at now and then only.
        self.deadline: float = deadline
        self.next_look: i64 = LOOK_EVERY if deadline > 0 else limit
        self.state_limit: i64 = state_limit
        self.steps: i64 = 0
        self.merges: i64 = 0
        self.splits: i64 = 0
        self.widenings: i64 = 0
        self.loops: i64 = 0
        self.states: i64 = 0
        self.max_states: i64 = 0
        self.loop_bounds: dict[i64, i64] = {}

    def look(self) -> None:
        """Stop if the budget is spent."""
        if self.steps > self.limit or (self.deadline > 0 and time.thread_time() > self.deadline):
            raise GaveUp()
        self.next_look = self.limit
        if self.deadline > 0 and self.steps + LOOK_EVERY < self.limit:
            self.next_look = self.steps + LOOK_EVERY


class Found:
    """A fault that stands, with the state it was found in and the way there, if that is known."""

    __slots__ = ("fault", "path", "pc", "state")

    def __init__(self, pc: i64, fault: Fault, state: State | None, path: list[i64]) -> None:
        self.pc: i64 = pc
        self.fault: Fault = fault
        self.state: State | None = state
        self.path: list[i64] = path


class Exit(Operation):
    """The end of the entry function, of a callback, or of a function verified by itself."""

    __slots__ = ("function",)

    def __init__(self, pc: i64, function: i64) -> None:
        super().__init__(pc)
        self.function: i64 = function

    def operands(self) -> list[i64]:
        return [0]


class Engine:
    """What the strategies share. One engine serves one verification."""

    __slots__ = (
        "code",
        "entry",
        "env",
        "found",
        "journal",
        "recorded",
        "records",
        "thresholds",
        "tries",
        "work",
    )

    def __init__(self, code: Code, work: Work, journal: Journal | None, records: bool) -> None:
        self.code: Code = code
        self.env: Environment = code.env
        self.work: Work = work
        self.journal: Journal | None = journal
        self.found: dict[i64, Found] = {}
        self.records: bool = records
        self.recorded: dict[i64, list[State]] = {}
        self.thresholds: list[i64] = []
        self.tries: i64 = 0
        # The function under verification: 0, or one that is verified by itself.
        self.entry: i64 = 0

    # Faults.

    def report(self, pc: i64, fault: Fault, st: State | None) -> None:
        if pc not in self.found:
            self.found[pc] = Found(pc, fault, st, [])

    # States.

    def widening_steps(self) -> list[i64]:
        if len(self.thresholds) == 0:
            self.thresholds = self.code.thresholds()
        return self.thresholds

    def merged(self, a: State, b: State, live: i64, live_cells: i64) -> State:
        """Both in one, with a record of the merge."""
        self.work.merges = self.work.merges + 1
        return Merger(a, b, self.journal, False, NO_STEPS).run(live, live_cells)

    def joined(self, a: State, b: State, live: i64, live_cells: i64, widens: bool) -> State:
        """Both in one, for good."""
        self.work.merges = self.work.merges + 1
        steps = NO_STEPS
        if widens:
            self.work.widenings = self.work.widenings + 1
            steps = self.widening_steps()
        return Merger(a, b, None, widens, steps).run(live, live_cells)

    def add(self, states: list[State], st: State, live: i64, live_cells: i64) -> None:
        """Merge the state with one of the list that holds the same, or put it beside them."""
        i: i64 = 0
        while i < len(states):
            if states[i].held.same(st.held):
                states[i] = self.merged(states[i], st, live, live_cells)
                return
            i = i + 1
        states.append(st)

    def covered(self, narrow: State, wide: State, live: i64, live_cells: i64) -> bool:
        return Inclusion(narrow, wide).holds(live, live_cells)

    # Operations.

    def perform(self, st: State, operations: list[Operation], count: i64) -> State | None:
        """Run the first ``count`` operations; None if one fails, which is then reported."""
        env = self.env
        i: i64 = 0
        while i < count:
            operation = operations[i]
            if self.records:
                self.record(operation.pc, st)
            fault = operation.run(st, env)
            if fault is not None:
                other = self.retry(st, operation, fault)
                if other is None:
                    return None
                st = other
            i = i + 1
        work = self.work
        work.steps = work.steps + count
        if work.steps > work.next_look:
            work.look()
        return st

    def record(self, pc: i64, st: State) -> None:
        states = self.recorded.get(pc)
        if states is None:
            states = []
            self.recorded[pc] = states
        states.append(st.copy())

    def retry(self, st: State, operation: Operation, fault: Fault) -> State | None:
        """The operation failed: try it on each side of the merges its operands came through."""
        if self.journal is not None:
            self.tries = SPLIT_TRIES
            other = self._split(st, operation)
            if other is not None:
                return other
        self.report(operation.pc, fault, st)
        return None

    def _split(self, st: State, operation: Operation) -> State | None:
        for merge in self._candidates(st, operation):
            result: State | None = None
            good = True
            side: i64 = 0
            while side < 2 and good:
                if self.tries <= 0:
                    return None
                self.tries = self.tries - 1
                part = st.copy()
                part.fuel = FUEL
                if select(part, merge, side == 0):
                    tried = part.copy()
                    tried.fuel = part.fuel
                    fault = self.attempt(tried, operation)
                    if fault is None:
                        part = tried
                    else:
                        again = self._split(part, operation)
                        if again is None:
                            good = False
                        else:
                            part = again
                    if good:
                        result = part if result is None else self._both(result, part)
                side = side + 1
            if good and result is not None:
                self.work.splits = self.work.splits + 1
                return result
        return None

    def attempt(self, st: State, operation: Operation) -> Fault | None:
        if isinstance(operation, Exit):
            return self.check_exit(st, operation)
        return operation.run(st, self.env)

    def _both(self, a: State, b: State) -> State | None:
        if not a.held.same(b.held):
            return None
        return self.merged(a, b, ALL, ALL)

    def _candidates(self, st: State, operation: Operation) -> list[Record]:
        found: list[Record] = []
        for register in operation.operands():
            self._merges_of(st, st.regs[register], found)
        return found

    def _merges_of(self, st: State, value: Value, found: list[Record]) -> None:
        if isinstance(value, Choice):
            self._candidate(st, value.merge, found)
            return
        unknown = value.unknown
        while unknown is not None:
            if isinstance(unknown, Phi):
                self._candidate(st, unknown.merge, found)
                break
            source = unknown.source
            unknown = None if source is None else source.unknown
        region = value.region
        if region is not None:
            self._candidate(st, region.merge, found)

    def _candidate(self, st: State, merge: Record | None, found: list[Record]) -> None:
        if merge is None or merge.forgotten or merge in st.sides:
            return
        for other in found:
            if other is merge:
                return
        found.append(merge)

    def check_exit(self, st: State, operation: Exit) -> Fault | None:
        if operation.function > 0:
            function = self.code.functions[operation.function].function
            return prototypes.check_global_exit(st, self.env, function)
        return exits.check_exit(st, self.env)

    def branch(self, st: State, branch: Branch) -> tuple[State | None, State | None]:
        """The states that fall through and that jump; None where that cannot be."""
        if branch.operation < 0:
            branch.falls = True
            branch.jumps = True
            return st.copy(), st
        a = st.regs[branch.dst]
        b = branch.constant
        if b is None:
            b = st.regs[branch.src]
        jumping: State | None = st.copy()
        falling: State | None = st
        assert jumping is not None and falling is not None
        if assume(falling, NEGATE[branch.operation], a, b, branch.is32):
            branch.falls = True
        else:
            falling = None
        if assume(jumping, branch.operation, a, b, branch.is32):
            branch.jumps = True
        else:
            jumping = None
        return falling, jumping
