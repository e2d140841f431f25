"""The first strategy: blocks in order, states merged where ways meet, loops made to settle.

A loop is first simply run while it is decided whether it goes on. Otherwise an invariant is sought
by widening; if that proves too little, or not that the loop ends, its turns are run one by one. In
the turns of a loop the body's merges are remembered as elsewhere, those at its head are not.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from anybpf.verifier import numbers
from anybpf.verifier.calls import Calling
from anybpf.verifier.deduction import FUEL, select
from anybpf.verifier.engine import ALL, Engine, Exit, Found, Work
from anybpf.verifier.environment import Fault
from anybpf.verifier.flow import BRANCHES, CALLS, EXITS, NO_STATES, Block, Graph
from anybpf.verifier.operations import Branch, CallFunction, Operation
from anybpf.verifier.program import Code, FunctionCode
from anybpf.verifier.progress import is_bounded, iterates, turns_by
from anybpf.verifier.record import Journal
from anybpf.verifier.state import State
from anybpf.verifier.values import Record

# Turns that are run while they are decided, before an invariant is sought.
DECIDED_TURNS: Final = 8
# Rounds in which an invariant must settle, and from which one on it is widened.
MAX_ROUNDS: Final = 24
WIDEN_FROM: Final = 2
# Longer loops end too late for anybody, where the platform does not say how long they may be.
MOST_TURNS: Final = 1 << 23
# Turns of one loop that are run one by one at most.
MAX_TURNS: Final = 10000
# Calls of a callback that are followed one by one where no invariant is good enough.
EXACT_TURNS: Final = 32
# So few are followed one by one at once.
FEW_TURNS: Final = 4
# Merges that are taken apart for one call of a callback: each doubles the work.
CALLBACK_SPLITS: Final = 6


class Activation:
    """A function being run: its graph, and the states at its exits.

    In graphs with loops, ``waiting`` are the blocks that have states pending; within loops,
    ``trail`` has the blocks that states were pushed to.
    """

    __slots__ = ("code", "exits", "graph", "is_entry", "loops", "trail", "waiting")

    def __init__(self, code: FunctionCode, is_entry: bool) -> None:
        self.code: FunctionCode = code
        self.graph: Graph = code.graph
        self.exits: list[State] = []
        self.is_entry: bool = is_entry
        self.waiting: dict[i64, bool] = {}
        self.trail: list[i64] = []
        self.loops: i64 = 0


class Fixpoint(Engine):
    """Runs functions on merged states."""

    __slots__ = ("active",)

    def __init__(self, code: Code, work: Work, journal: Journal | None, records: bool) -> None:
        super().__init__(code, work, journal, records)
        self.active: list[bool] = [False] * len(code.functions)

    def function(self, index: i64, st: State, is_entry: bool) -> list[State]:
        """Run a function from its entry; the states at its exits."""
        code = self.code.functions[index]
        act = Activation(code, is_entry)
        blocks = act.graph.blocks
        if len(blocks) == 0:
            return []
        if self.active[index]:
            self.report(
                code.base,
                Fault(
                    "call-depth", f"{code.function.name} calls itself; recursion is not possible"
                ),
                st,
            )
            return []
        self.active[index] = True
        finished = False
        try:
            blocks[0].pending = [st]
            if act.graph.has_loops:
                act.waiting[0] = True
            self._range(act, 0, len(blocks))
            finished = True
        finally:
            self.active[index] = False
            if not finished:
                for block in blocks:
                    block.pending = NO_STATES
        return act.exits

    def _range(self, act: Activation, first: i64, end: i64) -> None:
        blocks = act.graph.blocks
        i = first
        while i < end:
            block = blocks[i]
            pending = block.pending
            if len(pending) > 0:
                if block.is_head:
                    self._loop(act, block)
                    i = block.end + 1
                    continue
                block.pending = NO_STATES
                if act.graph.has_loops and i in act.waiting:
                    del act.waiting[i]
                if len(pending) > self.work.max_states:
                    self.work.max_states = len(pending)
                for st in pending:
                    self._block(act, block, st)
            i = i + 1

    def _push(self, act: Activation, index: i64, st: State) -> None:
        block = act.graph.blocks[index]
        if act.loops > 0:
            act.trail.append(index)
        pending = block.pending
        if len(pending) == 0:
            if act.graph.has_loops:
                act.waiting[index] = True
            block.pending = [st]
        elif block.predecessors == 1 or block.is_head:
            pending.append(st)
        else:
            self.add(pending, st, block.live, block.live_cells)

    def _block(self, act: Activation, block: Block, st: State) -> None:
        operations = block.operations
        count: i64 = len(operations)
        ending = block.ending
        if ending == BRANCHES or ending == CALLS:
            count = count - 1
        after = self.perform(st, operations, count)
        if after is None:
            return
        st = after
        if ending == BRANCHES:
            branch = operations[count]
            assert isinstance(branch, Branch)
            if self.records:
                self.record(branch.pc, st)
            fault = branch.run(st, self.env)
            self.work.steps = self.work.steps + 1
            if fault is not None:
                other = self.retry(st, branch, fault)
                if other is None:
                    return
                st = other
            falling, jumping = self.branch(st, branch)
            if falling is not None:
                self._push(act, block.successors[0], falling)
            if jumping is not None:
                self._push(act, block.successors[1], jumping)
        elif ending == EXITS:
            self._exit(act, act.code.base + block.last, st)
        elif ending == CALLS:
            self.work.steps = self.work.steps + 1
            for out in self._call(act, operations[count], st):
                if len(block.successors) > 0:
                    self._push(act, block.successors[0], out)
        elif len(block.successors) > 0:
            self._push(act, block.successors[0], st)

    def _exit(self, act: Activation, pc: i64, st: State) -> None:
        self.work.steps = self.work.steps + 1
        if self.records:
            self.record(pc, st)
        if act.is_entry:
            operation = Exit(pc, self.entry)
            fault = self.check_exit(st, operation)
            if fault is not None:
                self.retry(st, operation, fault)
            return
        self.add(act.exits, st, 1 | ALL, ALL)

    # Calls.

    def _call(self, act: Activation, operation: Operation, st: State) -> list[State]:
        if self.records:
            self.record(operation.pc, st)
        fault: Fault | None = None
        if isinstance(operation, CallFunction):
            fault = operation.run(st, self.env)
            if fault is not None:
                self.report(operation.pc, fault, st)
                return []
            return self.call_function(operation, st)
        if isinstance(operation, Calling):
            return self.call_back(operation, st)
        after = self.perform(st, [operation], 1)
        if after is None:
            return []
        if operation.leaves and after.depth > 0:
            left = after.copy()
            operation.leave_early(left, self.env)
            self.add(act.exits, left, ALL, ALL)
        return [after]

    def call_function(self, operation: CallFunction, st: State) -> list[State]:
        operation.enter(st, self.env)
        outs: list[State] = []
        for out in self.function(operation.function, st, False):
            fault = operation.leave(out, self.env)
            if fault is not None:
                self.report(operation.pc, fault, out)
            else:
                self.add(outs, out, ALL, ALL)
        return outs

    def call_back(self, operation: Calling, st: State, splits: i64 = 0) -> list[State]:
        """A helper that calls one of the program's functions, any number of times.

        ``splits`` counts the merges that were taken apart for this call already.
        """
        target = operation.callback_function(st)
        if target < 0:
            fault = operation.check(st, self.env)
            if fault is not None:
                return self._call_back_apart(operation, st, fault, splits)
            return self._called_back(operation, st)
        turns = operation.turns(st)
        if 0 <= turns <= FEW_TURNS and self._may_call_back(operation, st):
            return self._call_back_exactly(operation, target, st, turns)
        found = self.found
        self.found = found.copy()
        outs = self._call_back_often(operation, target, st.copy(), splits)
        if (
            len(self.found) > len(found)
            and 0 <= turns <= EXACT_TURNS
            and self._may_call_back(operation, st)
        ):
            self.found = found
            outs = self._call_back_exactly(operation, target, st, turns)
        return outs

    def _may_call_back(self, operation: Calling, st: State) -> bool:
        return operation.check(st, self.env) is None

    def _called_back(self, operation: Calling, st: State) -> list[State]:
        """The effects of the call itself, its callbacks being done."""
        after = self.perform(st, [operation], 1)
        return [] if after is None else [after]

    def _call_back_apart(
        self, operation: Calling, st: State, fault: Fault, splits: i64
    ) -> list[State]:
        """The call failed: make it on each side of a merge that its operands came through.

        Not by ``retry``, which would only make the call, and leave out what it calls.
        """
        merges: list[Record] = []
        if self.journal is not None and splits < CALLBACK_SPLITS:
            merges = self._candidates(st, operation)
        if len(merges) == 0:
            self.report(operation.pc, fault, st)
            return []
        outs: list[State] = []
        side: i64 = 0
        while side < 2:
            part = st.copy()
            part.fuel = FUEL
            if select(part, merges[0], side == 0):
                if merges[0] not in part.sides:
                    self.report(operation.pc, fault, st)
                    return []
                for out in self.call_back(operation, part, splits + 1):
                    self.add(outs, out, ALL, ALL)
            side = side + 1
        return outs

    def _callback_turn(self, operation: Calling, target: i64, before: State) -> State | None:
        """One run of the callback; the state before the call that it leaves, None for none.

        What it returns is left in r0.
        """
        entered = operation.enter_callback(before.copy(), self.env)
        if isinstance(entered, Fault):
            self.report(operation.pc, entered, before)
            return None
        assert isinstance(entered, State)
        merged: State | None = None
        for out in self.function(target, entered, False):
            result = out.regs[0]
            fault = operation.leave_callback(out, self.env)
            if fault is not None:
                self.report(operation.pc, fault, out)
                return None
            if not out.held.same(before.held):
                self.report(
                    operation.pc,
                    Fault(
                        "callback",
                        "the callback returns with something taken or given back that its "
                        "caller does not know of",
                    ),
                    out,
                )
                return None
            out.regs[0] = result
            i: i64 = 1
            while i < 6:
                out.regs[i] = before.regs[i]
                i = i + 1
            merged = out if merged is None else self.joined(merged, out, ALL, ALL, False)
        return merged

    def _call_back_often(
        self, operation: Calling, target: i64, before: State, splits: i64
    ) -> list[State]:
        """Seek a state that every run of the callback leads back into."""
        entered = operation.enter_callback(before.copy(), self.env)
        if isinstance(entered, Fault):
            return self._call_back_apart(operation, before, entered, splits)
        first = before
        standing = self.found
        rounds: i64 = 0
        while True:
            rounds = rounds + 1
            self.found = standing.copy()
            found = len(self.found)
            merged = self._callback_turn(operation, target, before)
            if merged is None:
                if len(self.found) > found:
                    return []
                break
            merged.regs[0] = before.regs[0]
            if self.covered(merged, before, ALL, ALL):
                if rounds > WIDEN_FROM:
                    before = self._narrowed_call(operation, target, first, merged, before, standing)
                break
            if not operation.repeats:
                before = self.joined(before, merged, ALL, ALL, False)
                break
            if rounds > MAX_ROUNDS:
                self.report(
                    operation.pc,
                    Fault("gave-up", "no invariant was found for the turns of this callback"),
                    before,
                )
                return []
            before = self.joined(before, merged, ALL, ALL, rounds >= WIDEN_FROM)
        return self._called_back(operation, before)

    def _narrowed_call(
        self,
        operation: Calling,
        target: i64,
        first: State,
        merged: State,
        wide: State,
        standing: dict[i64, Found],
    ) -> State:
        """Take back what widening overdid, if what is left is an invariant as well."""
        found_wide = self.found
        self.found = standing.copy()
        tight = self.joined(first.copy(), merged, ALL, ALL, False)
        after = self._callback_turn(operation, target, tight)
        if after is None:
            if len(self.found) == len(standing):
                return tight
        else:
            after.regs[0] = tight.regs[0]
            if self.covered(after, tight, ALL, ALL):
                return tight
        self.found = found_wide
        return wide

    def _call_back_exactly(
        self, operation: Calling, target: i64, before: State, turns: i64
    ) -> list[State]:
        """Run the callback as often as the call says, or until it may have stopped."""
        stopped: State | None = None
        going: State | None = before
        turn: i64 = 0
        while turn < turns and going is not None:
            found = len(self.found)
            after = self._callback_turn(operation, target, going)
            if len(self.found) > found:
                return []
            if after is None:
                going = None
                break
            result = after.range_of(after.regs[0])
            after.regs[0] = before.regs[0]
            if not numbers.contains(result, 0):
                going = None
            else:
                going = after
            if result.mask != 0 or result.value != 0:
                stopped = (
                    after.copy()
                    if stopped is None
                    else self.joined(stopped, after.copy(), ALL, ALL, False)
                )
            turn = turn + 1
        if going is None:
            going = stopped
        elif stopped is not None:
            going = self.joined(going, stopped, ALL, ALL, False)
        return [] if going is None else self._called_back(operation, going)

    # Loops.

    def _loop(self, act: Activation, head: Block) -> None:
        act.loops = act.loops + 1
        self.work.loops = self.work.loops + 1
        self._run_loop(act, head)
        act.loops = act.loops - 1
        if act.loops == 0:
            act.trail.clear()

    def _take(self, act: Activation, head: Block) -> list[State]:
        pending = head.pending
        head.pending = NO_STATES
        if head.index in act.waiting:
            del act.waiting[head.index]
        return pending

    def _run_loop(self, act: Activation, head: Block) -> None:
        incoming = self._take(act, head)
        end = head.end + 1
        turns: i64 = 0
        while len(incoming) > 0 and turns < DECIDED_TURNS:
            mark: i64 = len(act.trail)
            self._turn(act, head, self._joined(head, incoming))
            incoming = self._take(act, head)
            turns = turns + 1
            if _left(act, end, mark):
                break
        if len(incoming) == 0:
            self._bound(act, head, turns)
            return
        saved = self._snapshot(act, end)
        found = self.found
        self.found = found.copy()
        if self._same_held(incoming):
            if self._invariant(act, head, incoming, saved, end, turns):
                if len(self.found) == len(found):
                    return
        self.found = found.copy()
        self._restore(act, end, saved)
        while len(incoming) > 0:
            if turns >= MAX_TURNS:
                self.report(
                    act.code.base + head.first,
                    Fault(
                        "loop-bound",
                        f"the loop did not end within {MAX_TURNS} turns, and nothing shows that "
                        "it ever ends",
                    ),
                    incoming[0],
                )
                return
            self._turn(act, head, self._joined(head, incoming))
            incoming = self._take(act, head)
            turns = turns + 1
            if len(self.found) > len(found):
                return
        self._bound(act, head, turns)

    def _bound(self, act: Activation, head: Block, turns: i64) -> None:
        pc = act.code.base + head.first
        known = self.work.loop_bounds.get(pc)
        if known is None or known < turns:
            self.work.loop_bounds[pc] = turns

    def _same_held(self, states: list[State]) -> bool:
        for st in states:
            if not st.held.same(states[0].held):
                return False
        return True

    def _joined(self, head: Block, states: list[State]) -> list[State]:
        """The states of one turn: as few as what they hold permits."""
        out: list[State] = []
        for st in states:
            i: i64 = 0
            while i < len(out):
                if out[i].held.same(st.held):
                    out[i] = self.joined(out[i], st, head.live, head.live_cells, False)
                    break
                i = i + 1
            if i == len(out):
                out.append(st)
        return out

    def _turn(self, act: Activation, head: Block, states: list[State]) -> None:
        for st in states:
            self._block(act, head, st)
        self._range(act, head.index + 1, head.end + 1)

    def _snapshot(self, act: Activation, end: i64) -> dict[i64, list[State]]:
        """What is pending behind the loop."""
        saved: dict[i64, list[State]] = {}
        for index in act.waiting:
            if index >= end:
                saved[index] = act.graph.blocks[index].pending.copy()
        return saved

    def _restore(self, act: Activation, end: i64, saved: dict[i64, list[State]]) -> None:
        blocks = act.graph.blocks
        for index in list(act.waiting):
            if index >= end and index not in saved:
                blocks[index].pending = NO_STATES
                del act.waiting[index]
        for index, pending in saved.items():
            blocks[index].pending = pending.copy()
            act.waiting[index] = True

    def _invariant(
        self,
        act: Activation,
        head: Block,
        incoming: list[State],
        saved: dict[i64, list[State]],
        end: i64,
        before: i64,
    ) -> bool:
        """Seek a state that every turn leads back into; say whether it shows that the loop ends."""
        invariant = incoming[0].copy()
        i: i64 = 1
        while i < len(incoming):
            invariant = self.joined(invariant, incoming[i], head.live, head.live_cells, False)
            i = i + 1
        first = invariant
        standing = self.found
        rounds: i64 = 0
        while rounds < MAX_ROUNDS:
            rounds = rounds + 1
            self._restore(act, end, saved)
            self.found = standing.copy()
            self._turn(act, head, [invariant.copy()])
            back = self._take(act, head)
            if len(back) == 0:
                self._bound(act, head, before + rounds)
                return True
            if not self._same_held(back) or not back[0].held.same(invariant.held):
                return False
            turn = self._joined(head, [st.copy() for st in back])[0]
            if self.covered(turn, invariant, head.live, head.live_cells):
                faulty = len(self.found) > len(standing)
                if rounds > WIDEN_FROM and (faulty or not _has_inner_loop(act.graph, head)):
                    found_wide = self.found
                    self._restore(act, end, saved)
                    self.found = standing.copy()
                    if self._narrowed(act, head, first, turn, before):
                        return True
                    if faulty:
                        return False
                    self.found = found_wide
                    self._restore(act, end, saved)
                    self._turn(act, head, [invariant.copy()])
                    back = self._take(act, head)
                return self._ends(act, head, invariant, back, before)
            invariant = self.joined(
                invariant, turn, head.live, head.live_cells, rounds >= WIDEN_FROM
            )
        return False

    def _narrowed(
        self, act: Activation, head: Block, first: State, turn: State, before: i64
    ) -> bool:
        """Take back what widening overdid.

        All turns begin as the first did or as a turn of the invariant ended; if that is an
        invariant itself, it is the better one.
        """
        tight = self.joined(first.copy(), turn, head.live, head.live_cells, False)
        self._turn(act, head, [tight.copy()])
        back = self._take(act, head)
        if len(back) == 0:
            self._bound(act, head, before + 1)
            return True
        if not self._same_held(back) or not back[0].held.same(tight.held):
            return False
        again = self._joined(head, [st.copy() for st in back])[0]
        if not self.covered(again, tight, head.live, head.live_cells):
            return False
        return self._ends(act, head, tight, back, before)

    def _ends(
        self, act: Activation, head: Block, invariant: State, back: list[State], before: i64
    ) -> bool:
        """Whether some place moves one way in every turn, towards a bound."""
        if is_bounded(act.graph, head):
            return True
        if _all_iterate(invariant, back):
            return True
        best: i64 = -1
        count: i64 = len(invariant.regs) + len(invariant.stack)
        i: i64 = 0
        while i < count:
            turns = turns_by(invariant, back, i)
            if turns >= 0 and (best < 0 or turns < best):
                best = turns
            i = i + 1
        if best < 0 or best > self.env.platform.limits.get("loop_iterations", MOST_TURNS):
            return False
        # The turns that lead back, the last one, and those that were run before.
        self._bound(act, head, best + 1 + before)
        return True


def _has_inner_loop(graph: Graph, head: Block) -> bool:
    i = head.index + 1
    while i <= head.end:
        if graph.blocks[i].is_head:
            return True
        i = i + 1
    return False


def _all_iterate(invariant: State, back: list[State]) -> bool:
    for st in back:
        if not iterates(invariant, st):
            return False
    return True


def _left(act: Activation, end: i64, mark: i64) -> bool:
    """Whether a state left the loop since the trail had that length."""
    while mark < len(act.trail):
        if act.trail[mark] >= end:
            return True
        mark = mark + 1
    return False
