"""Why a loop ends: a place that moves towards a bound, an iterator that is used up, may_goto.

Only evidence is judged here, between the state at a loop's head and those that come round to it;
the turns themselves are run by ``fixpoint`` and ``paths``.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from anybpf.verifier import numbers
from anybpf.verifier.flow import BRANCHES, Block, Graph
from anybpf.verifier.operations import Branch
from anybpf.verifier.state import State
from anybpf.verifier.values import NOTHING, ObjectCell, Value

# Steps and bounds beyond these may wrap around.
MAX_STEP: Final = 1 << 40
FAR: Final = 1 << 61


def is_limited(block: Block) -> bool:
    """Whether the block ends with may_goto.

    Only where it does not jump does that use up some of what it was given; once that is used up it
    always jumps, so a loop that jumps goes on for ever.
    """
    if block.ending != BRANCHES:
        return False
    branch = block.operations[len(block.operations) - 1]
    assert isinstance(branch, Branch)
    return branch.bounds_loop


def is_bounded(graph: Graph, head: Block) -> bool:
    """Whether every way round the loop passes a may_goto that does not jump."""
    found = False
    i = head.index
    while i <= head.end and not found:
        found = is_limited(graph.blocks[i])
        i = i + 1
    if not found:
        return False
    seen: dict[i64, bool] = {}
    work: list[i64] = [head.index]
    while len(work) > 0:
        block = graph.blocks[work.pop()]
        successors = block.successors
        if is_limited(block):
            successors = successors[1:]
        for index in successors:
            if index == head.index:
                return False
            if head.index < index <= head.end and index not in seen:
                seen[index] = True
                work.append(index)
    return True


def iterates(before: State, after: State) -> bool:
    """Whether an iterator that was there before has given another element since.

    Each gives finitely many. What it gave last is a region that only that call made, so one that
    is not the same as before, and not null, came in between.
    """
    i: i64 = 0
    count: i64 = len(before.stack)
    if len(after.stack) < count:
        count = len(after.stack)
    while i < count:
        old = before.stack[i]
        if isinstance(old, ObjectCell):
            new = after.stack[i]
            if isinstance(new, ObjectCell) and new.identity is old.identity:
                given = new.given
                if (
                    given is not None
                    and given is not old.given
                    and after.nonnull.get(given) is True
                ):
                    return True
        i = i + 1
    return False


def turns_by(invariant: State, back: list[State], place: i64) -> i64:
    """The most turns that this register or cell of stack permits; -1 if it bounds none."""
    start = _value_at(invariant, place)
    unknown = start.unknown
    if unknown is None:
        return -1
    least_up: i64 = MAX_STEP
    least_down: i64 = MAX_STEP
    low = numbers.MAX
    high = numbers.MIN
    for st in back:
        value = _value_at(st, place)
        if value.unknown is not unknown or value.kind != start.kind:
            return -1
        step = value.offset - start.offset
        if not -MAX_STEP < step < MAX_STEP:
            return -1
        if step < least_up:
            least_up = step
        if -step < least_down:
            least_down = -step
        known = st.known(unknown)
        if known.low < low:
            low = known.low
        if known.high > high:
            high = known.high
    known = invariant.known(unknown)
    if known.low > low:
        low = known.low
    if known.high < high:
        high = known.high
    if least_up > 0 and high < FAR and known.low > -FAR:
        return (high - known.low) // least_up + 1
    if least_down > 0 and low > -FAR and known.high < FAR:
        return (known.high - low) // least_down + 1
    return -1


def _value_at(st: State, place: i64) -> Value:
    if place < len(st.regs):
        return st.regs[place]
    cell = st.stack[place - len(st.regs)]
    return cell if isinstance(cell, Value) else NOTHING
