"""Parts of a frame that are variables of their own: what compilers spill there, above all.

A place that is only ever reached through an address that is known beforehand need not be in the
frame, where whoever computes an address might reach it. Compilers behind us keep it in a register.
"""

from __future__ import annotations

# First byte and the one behind the last, counted from the frame's end.
Range = tuple[int, int]


def own_slots(direct: list[Range], others: list[Range]) -> dict[int, int]:
    """First byte and size of each part that ``direct`` accesses share among themselves.

    >>> own_slots([(-8, 0), (-16, -8), (-12, -8), (-24, -16)], [(-32, -20)])
    {-16: 8, -8: 8}
    """
    joined: list[list[int]] = []
    for low, high in sorted(direct):
        if joined and low < joined[-1][1]:
            joined[-1][1] = max(joined[-1][1], high)
        else:
            joined.append([low, high])
    return {
        low: high - low
        for low, high in joined
        if not any(first < high and low < behind for first, behind in others)
    }
