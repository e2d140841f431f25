"""Loops that must look at the clock: which, and what a turn of each costs.

A run can be given a budget and a deadline, and be told to stop. Compiled code looks at them where
the program jumps back, unless the proof bounds what can happen until the next look.
"""

from __future__ import annotations

from typing import Final

from anybpf.engines.lowering.graph import Block, Function
from anybpf.engines.lowering.source import Source

# Instructions that may go by between two looks: about a millisecond of compiled code.
FAR: Final = 1 << 20
# What a slice can pay in one go; spending is a 32-bit immediate.
_MOST: Final = 1 << 30


class _Loop:
    __slots__ = ("body", "head", "tails")

    def __init__(self, head: int) -> None:
        self.head: int = head
        self.tails: list[int] = []
        self.body: set[int] = set()


def spend(
    source: Source, function: Function, blocks: list[Block], calls: dict[int, int]
) -> tuple[dict[int, int], int]:
    """What blocks that jump back spend, by number; and how much may go by in the whole function.

    ``calls`` has what a call of a function costs, by instruction.
    """
    by_number = {block.number: block for block in blocks}
    loops = _loops(blocks, by_number)
    cost = {block.number: _cost(block, calls) for block in blocks}
    spends: dict[int, int] = {}
    # Inner loops first: they are the smaller ones.
    for loop in sorted(loops, key=lambda one: (len(one.body), one.head)):
        turn = sum(cost[number] for number in loop.body)
        turns = source.facts.loops.get(by_number[loop.head].first)
        if turns is not None and (turns + 1) * turn <= FAR:
            cost[loop.head] += turns * turn
            continue
        for tail in loop.tails:
            spends[tail] = max(spends.get(tail, 0), min(turn, _MOST))
    return spends, min(sum(cost.values()), FAR)


def _cost(block: Block, calls: dict[int, int]) -> int:
    sum_of_calls = sum(calls.get(index, 0) for index in range(block.first, block.last + 1))
    return block.last - block.first + 1 + sum_of_calls


def _loops(blocks: list[Block], by_number: dict[int, Block]) -> list[_Loop]:
    """Natural loops, one a head. What jumps back without being one counts as one of its own."""
    before: dict[int, list[int]] = {}
    place = {block.number: position for position, block in enumerate(blocks)}
    found: dict[int, _Loop] = {}
    for block in blocks:
        for number in block.successors:
            before.setdefault(number, []).append(block.number)
            if place[number] <= place[block.number]:
                loop = found.setdefault(number, _Loop(number))
                loop.tails.append(block.number)
    for loop in found.values():
        loop.body = {loop.head}
        todo = list(loop.tails)
        while todo:
            number = todo.pop()
            if number not in loop.body:
                loop.body.add(number)
                todo.extend(before.get(number, ()))
    return list(found.values())
