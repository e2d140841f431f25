"""The second strategy: paths one by one, depth first, leaving those that lead nowhere new.

It is used where merged states proved too little. A path ends where its state is covered by one that
was followed to the end before from the same place; a state that comes round to one still being
followed makes a loop that nothing is known to end. Merges are made only inside callbacks, which are
run by the first strategy.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from anybpf.verifier.calls import Calling
from anybpf.verifier.engine import Exit, Found, GaveUp, Work
from anybpf.verifier.environment import Fault
from anybpf.verifier.fixpoint import Fixpoint
from anybpf.verifier.flow import BRANCHES, CALLS, EXITS, Block
from anybpf.verifier.operations import Branch, CallFunction, Operation
from anybpf.verifier.program import Code, FunctionCode
from anybpf.verifier.progress import iterates
from anybpf.verifier.record import Journal
from anybpf.verifier.state import State
from anybpf.verifier.values import NOTHING

# States remembered at one place; the oldest that are followed to the end make room.
PLACES: Final = 64
# How many of the newest stay when room must be made among those still being followed.
NEWEST: Final = 8
# Once something is found, this much more work is spent on finding more.
STEPS_AFTER_FAULT: Final = 20000
MAX_FOUND: Final = 16


class Checkpoint:
    """A state that a path came by. ``open`` counts what is still to be followed from it.

    ``spent`` counts the passages of may_goto on the way here. ``needs`` are the earlier checkpoints
    that paths from here came round to, which was good because something was used up in between.
    """

    __slots__ = ("needs", "open", "parent", "spent", "state")

    def __init__(self, state: State, parent: i64, spent: i64) -> None:
        self.state: State = state
        self.parent: i64 = parent
        self.open: i64 = 1
        self.spent: i64 = spent
        self.needs: list[i64] = []


class Return:
    """Where a function goes back to, as a chain of calls; equal chains are one object."""

    __slots__ = ("block", "call", "code", "inner", "outer", "uid")

    def __init__(
        self,
        uid: i64,
        code: FunctionCode,
        block: Block,
        call: CallFunction,
        outer: Return | None,
    ) -> None:
        self.uid: i64 = uid
        self.code: FunctionCode = code
        self.block: Block = block
        self.call: CallFunction = call
        self.outer: Return | None = outer
        self.inner: dict[i64, Return] = {}


class Item:
    """A path to be followed: from where, in which state, behind which checkpoint."""

    __slots__ = ("back", "block", "code", "parent", "state", "traced")

    def __init__(
        self,
        code: FunctionCode,
        block: Block,
        state: State,
        back: Return | None,
        parent: i64,
        traced: i64,
    ) -> None:
        self.code: FunctionCode = code
        self.block: Block = block
        self.state: State = state
        self.back: Return | None = back
        self.parent: i64 = parent
        self.traced: i64 = traced  # the length of the trace where the path leaves it


class Paths(Fixpoint):
    """Follows paths."""

    __slots__ = ("checkpoints", "next_uid", "places", "roots", "stop_at", "trace", "work_list")

    def __init__(self, code: Code, work: Work, journal: Journal | None, records: bool) -> None:
        super().__init__(code, work, journal, records)
        self.checkpoints: list[Checkpoint] = []
        self.places: dict[i64, list[i64]] = {}
        self.roots: dict[i64, Return] = {}
        self.work_list: list[Item] = []
        # The blocks of the current path, as (first instruction, last instruction) pairs.
        self.trace: list[i64] = []
        self.next_uid: i64 = 1
        self.stop_at: i64 = -1

    def explore(self, index: i64, st: State) -> None:
        """Follow all paths from the function's entry."""
        code = self.code.functions[index]
        self.trace.clear()
        self.places.clear()
        self.checkpoints.clear()
        if len(code.graph.blocks) == 0:
            return
        self.work_list = [Item(code, code.graph.blocks[0], st, None, -1, 0)]
        while len(self.work_list) > 0:
            item = self.work_list.pop()
            del self.trace[item.traced :]
            self._follow(item)
            if len(self.found) > 0:
                if len(self.found) >= MAX_FOUND:
                    return
                if self.stop_at < 0:
                    self.stop_at = self.work.steps + STEPS_AFTER_FAULT
                elif self.work.steps > self.stop_at:
                    return

    def _follow(self, item: Item) -> None:
        """Follow one path to its end, leaving others for later."""
        code = item.code
        block = item.block
        st = item.state
        back = item.back
        parent = item.parent
        while True:
            if block.predecessors > 1 or block.is_head:
                parent = self._arrive(code, block, st, back, parent)
                if parent < 0:
                    return
            self.trace.append(code.base + block.first)
            self.trace.append(code.base + block.last)
            operations = block.operations
            count: i64 = len(operations)
            ending = block.ending
            if ending == BRANCHES or ending == CALLS:
                count = count - 1
            after = self.perform(st, operations, count)
            if after is None:
                self._end(parent)
                return
            st = after
            self.work.steps = self.work.steps + 1
            if ending == BRANCHES:
                branch = operations[count]
                assert isinstance(branch, Branch)
                if self.records:
                    self.record(branch.pc, st)
                fault = branch.run(st, self.env)
                if fault is not None:
                    self.report(branch.pc, fault, st)
                    self._end(parent)
                    return
                falling, jumping = self.branch(st, branch)
                blocks = code.graph.blocks
                if falling is None and jumping is None:
                    self._end(parent)
                    return
                if falling is not None and jumping is not None:
                    if parent >= 0:
                        checkpoint = self.checkpoints[parent]
                        checkpoint.open = checkpoint.open + 1
                    other = blocks[block.successors[1]]
                    self.work_list.append(Item(code, other, jumping, back, parent, len(self.trace)))
                    if len(self.work_list) > self.work.max_states:
                        self.work.max_states = len(self.work_list)
                if falling is not None:
                    st = falling
                    if branch.bounds_loop:
                        parent = self._pass(st, parent)
                    block = blocks[block.successors[0]]
                else:
                    assert jumping is not None
                    st = jumping
                    block = blocks[block.successors[1]]
                continue
            if ending == EXITS:
                pc = code.base + block.last
                if self.records:
                    self.record(pc, st)
                if back is None:
                    fault = self.check_exit(st, Exit(pc, self.entry))
                    if fault is not None:
                        self.report(pc, fault, st)
                    self._end(parent)
                    return
                fault = back.call.leave(st, self.env)
                if fault is not None:
                    self.report(pc, fault, st)
                    self._end(parent)
                    return
                code = back.code
                block = code.graph.blocks[back.block.successors[0]]
                back = back.outer
                continue
            if ending == CALLS:
                call = operations[count]
                if isinstance(call, CallFunction):
                    if self.records:
                        self.record(call.pc, st)
                    fault = call.run(st, self.env)
                    if fault is not None or len(block.successors) == 0:
                        if fault is not None:
                            self.report(call.pc, fault, st)
                        self._end(parent)
                        return
                    call.enter(st, self.env)
                    back = self._return_to(code, block, call, back)
                    code = self.code.functions[call.function]
                    block = code.graph.blocks[0]
                    continue
                outs: list[State] = []
                if isinstance(call, Calling):
                    if self.records:
                        self.record(call.pc, st)
                    outs = self.call_back(call, st)
                else:
                    after = self.perform(st, [call], 1)
                    if after is not None:
                        outs.append(after)
                        if call.leaves and back is not None:
                            self._leave(call, after.copy(), back, parent)
                if len(outs) == 0 or len(block.successors) == 0:
                    self._end(parent)
                    return
                st = outs[0]
            if len(block.successors) == 0:
                self._end(parent)
                return
            block = code.graph.blocks[block.successors[0]]

    def _leave(self, operation: Operation, st: State, back: Return, parent: i64) -> None:
        """Leave for later the path on which the function ends at this operation."""
        operation.leave_early(st, self.env)
        fault = back.call.leave(st, self.env)
        if fault is not None:
            self.report(operation.pc, fault, st)
            return
        block = back.code.graph.blocks[back.block.successors[0]]
        if parent >= 0:
            checkpoint = self.checkpoints[parent]
            checkpoint.open = checkpoint.open + 1
        self.work_list.append(Item(back.code, block, st, back.outer, parent, len(self.trace)))

    def _return_to(
        self, code: FunctionCode, block: Block, call: CallFunction, outer: Return | None
    ) -> Return:
        known = self.roots if outer is None else outer.inner
        key = call.pc
        found = known.get(key)
        if found is None:
            found = Return(self.next_uid, code, block, call, outer)
            self.next_uid = self.next_uid + 1
            known[key] = found
        return found

    def _arrive(
        self, code: FunctionCode, block: Block, st: State, back: Return | None, parent: i64
    ) -> i64:
        """Leave a checkpoint; -1 if the path need not be followed further."""
        uid: i64 = 0 if back is None else back.uid
        key = (uid << 32) | (code.base + block.first)
        places = self.places.get(key)
        if places is None:
            places = []
            self.places[key] = places
        # Comparing is work too, and counts against the budget.
        i: i64 = len(places)
        self.work.steps = self.work.steps + (i >> 3)
        i = i - 1
        while i >= 0:
            checkpoint = self.checkpoints[places[i]]
            if self.covered(st, checkpoint.state, block.live, block.live_cells):
                if self._is_done(places[i], parent, st):
                    self._end(parent)
                    return -1
                if checkpoint.open > 0 and self.covered(
                    checkpoint.state, st, block.live, block.live_cells
                ):
                    if self._is_ancestor(places[i], parent):
                        self.report(
                            code.base + block.first,
                            Fault(
                                "loop-bound",
                                "the loop comes round to the very state it started from, "
                                "so nothing ends it",
                            ),
                            st,
                        )
                    self._end(parent)
                    return -1
            i = i - 1
        kept = st.copy()
        i = 0
        while i < 10:
            if (block.live >> i) & 1 == 0:
                kept.regs[i] = NOTHING
            i = i + 1
        index: i64 = len(self.checkpoints)
        if index > self.work.state_limit:
            raise GaveUp()
        self.checkpoints.append(Checkpoint(kept, parent, self._spent(parent)))
        if len(places) >= PLACES:
            self._make_room(places)
        places.append(index)
        self.work.states = self.work.states + 1
        return index

    def _spent(self, at: i64) -> i64:
        return self.checkpoints[at].spent if at >= 0 else 0

    def _is_done(self, index: i64, parent: i64, st: State) -> bool:
        """Whether a path that comes to a known state need not be followed.

        It need not where all paths from there were followed to their end. One that is still being
        followed is come round to: good if something was used up since, so that no program goes
        round for ever. Whoever joins such a round half way must have used up something as well.
        """
        checkpoint = self.checkpoints[index]
        if checkpoint.open > 0:
            if not self._advanced(index, parent, st):
                return False
            self._depend(parent, index)
            return True
        for need in checkpoint.needs:
            if self.checkpoints[need].open > 0 and not self._advanced(need, parent, st):
                return False
        for need in checkpoint.needs:
            if self.checkpoints[need].open > 0:
                self._depend(parent, need)
        return True

    def _advanced(self, index: i64, parent: i64, st: State) -> bool:
        """Whether may_goto was passed, or an iterator gave something, since the checkpoint."""
        if self._spent(parent) > self.checkpoints[index].spent:
            return True
        return iterates(self.checkpoints[index].state, st)

    def _depend(self, at: i64, need: i64) -> None:
        while at > need:
            checkpoint = self.checkpoints[at]
            if need not in checkpoint.needs:
                checkpoint.needs.append(need)
            at = checkpoint.parent

    def _pass(self, st: State, parent: i64) -> i64:
        """A checkpoint that says that may_goto was passed."""
        self.checkpoints.append(Checkpoint(st, parent, self._spent(parent) + 1))
        return len(self.checkpoints) - 1

    def _make_room(self, places: list[i64]) -> None:
        i: i64 = 0
        while i < len(places):
            if self.checkpoints[places[i]].open == 0:
                places.pop(i)
                return
            i = i + 1
        # One long path, such as a loop that runs its turns: every other state will do. Should it
        # come round, it will meet one of those that are kept.
        kept: list[i64] = []
        i = 0
        while i < len(places):
            if i % 2 == 0 or i >= len(places) - NEWEST:
                kept.append(places[i])
            i = i + 1
        places.clear()
        places.extend(kept)

    def _is_ancestor(self, index: i64, at: i64) -> bool:
        while at >= 0:
            if at == index:
                return True
            at = self.checkpoints[at].parent
        return False

    def _end(self, at: i64) -> None:
        """A path ended: checkpoints behind which nothing is left to follow are done."""
        while at >= 0:
            checkpoint = self.checkpoints[at]
            checkpoint.open = checkpoint.open - 1
            if checkpoint.open > 0:
                return
            at = checkpoint.parent

    def report(self, pc: i64, fault: Fault, st: State | None) -> None:
        if pc in self.found:
            return
        found = Found(pc, fault, st, [])
        trace = self.trace
        i: i64 = 0
        count: i64 = len(trace)
        while i < count:
            at = trace[i]
            last = trace[i + 1]
            if i + 2 >= count and at <= pc < last:
                last = pc
            while at <= last:
                found.path.append(at)
                at = at + 1
            i = i + 2
        self.found[pc] = found
