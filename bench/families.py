"""Generated programs of any size, to see how cost grows: four shapes that compilers make.

`FAMILIES` has a function for each shape, from a number of instructions to roughly so many in
assembly text. Each shape is one that some strategy of analysis is quadratic or worse in.
"""

from __future__ import annotations

from collections.abc import Callable

FRAMES = 8  # as many functions as may be in calls at a time


def straight_line(size: int) -> list[str]:
    """No branch at all: arithmetic, spills and fills."""
    turn = [
        "r2 = r0",
        "r2 &= 255",
        "r0 += 3",
        "*(u64 *)(r10 - 8) = r2",
        "r3 = *(u64 *)(r10 - 8)",
        "r3 <<= 2",
    ]
    return ["r0 = 0", *(turn * (size // len(turn))), "r0 = 0", "exit"]


def diamonds(size: int) -> list[str]:
    """Branches that meet again, one after another, each with a spill on either side."""
    lines = ["r6 = r1", "r0 = 0"]
    for i in range(size // 8):
        cell = 8 * (1 + i % 32)
        lines += [
            "r1 = *(u32 *)(r6 + 8)",
            f"if r1 > {i % 100 + 1} goto other{i}",
            f"r0 = {i % 7}",
            f"*(u64 *)(r10 - {cell}) = r1",
            f"goto meet{i}",
            f"other{i}:",
            f"r0 = {i % 5}",
            f"*(u64 *)(r10 - {cell}) = r0",
            f"meet{i}:",
            f"r2 = *(u64 *)(r10 - {cell})",
        ]
    return [*lines, "r0 = 0", "exit"]


def nested_loops(size: int) -> list[str]:
    """Loops in loops, one pair after another, each of a hundred times a hundred turns."""
    lines = ["r0 = 0"]
    for i in range(size // 8):
        lines += [
            "r1 = 0",
            f"outer{i}:",
            "r2 = 0",
            f"inner{i}:",
            "r3 = r2",
            "r3 += r1",
            "r2 += 1",
            f"if r2 < 100 goto inner{i}",
            "r1 += 1",
            f"if r1 < 100 goto outer{i}",
        ]
    return [*lines, "r0 = 0", "exit"]


def deep_calls(size: int) -> list[str]:
    """Functions that call each other as deep as is allowed, with long bodies."""
    turn = ["r2 = r0", "r2 &= 7", "*(u64 *)(r10 - 16) = r2", "r0 += 1"]
    lines: list[str] = []
    for depth in range(FRAMES):
        if depth > 0:
            lines.append(f"function{depth}:")
        lines += ["r6 = r1", "r0 = 0", *(turn * (size // (FRAMES * len(turn))))]
        if depth + 1 < FRAMES:
            lines += ["r1 = r6", f"call function{depth + 1}"]
        lines += ["r0 = 0", "exit"]
    return lines


FAMILIES: dict[str, Callable[[int], list[str]]] = {
    "straight line": straight_line,
    "diamonds with spills": diamonds,
    "nested loops": nested_loops,
    "deep calls": deep_calls,
}
