"""What a merge of two states remembers, so that it can be undone once its side is known."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from anybpf.verifier.state import State
from anybpf.verifier.values import Phi, Record, Region, Value


def empty_state() -> State:
    regs: list[Value] = []
    return State(regs, [], {}, {}, {}, {}, Region(0, 0, False, -1))


# What stands in a merge that is forgotten, where nobody looks.
NO_STATE: Final = empty_state()


class Merge(Record):
    """The two states that met, and what was made of their values.

    ``phis`` and ``regions`` are the unknowns and regions that stand for one of two; a later branch
    that decides about one of them decides about all.
    """

    __slots__ = ("left", "packet", "phis", "regions", "right")

    def __init__(self, left: State, right: State, packet: Region) -> None:
        super().__init__()
        self.left: State = left
        self.right: State = right
        self.packet: Region = packet
        self.phis: list[Phi] = []
        self.regions: list[Region] = []

    def forget(self) -> None:
        """Let go of the states; the side can no longer be decided."""
        self.forgotten = True
        self.left = NO_STATE
        self.right = NO_STATE
        self.phis.clear()
        self.regions.clear()


class Journal:
    """The merges of one verification, oldest first; only the latest are remembered.

    Records and the phis in them refer to each other, so they are taken apart by hand.
    """

    __slots__ = ("capacity", "first", "merges")

    def __init__(self, capacity: i64) -> None:
        self.capacity: i64 = capacity
        self.merges: list[Merge] = []
        self.first: i64 = 0

    def add(self, merge: Merge) -> None:
        self.merges.append(merge)
        if len(self.merges) - self.first > self.capacity:
            self.merges[self.first].forget()
            self.first = self.first + 1
            if self.first > 2 * self.capacity:
                self.merges = self.merges[self.first :]
                self.first = 0

    def close(self) -> None:
        """Take everything apart, newest first, so that nothing is freed recursively."""
        while len(self.merges) > 0:
            self.merges.pop().forget()
