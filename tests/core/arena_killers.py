"""Processes that share an arena and are killed while they take pages or give them back.

The harness is that of killers.py, and so is the command: `python -m tests.core.arena_killers`.
Every stretch of pages that is taken has the same length. So half of one, which a dead process had
begun to take or to give back, can be told from those that it had.
"""

from __future__ import annotations

import argparse
import faulthandler
import os
import random
import sys

from anybpf import _core
from tests.core.killers import HANG, Killing
from tests.core.victims import OK, Plan, Victim

PAGE = 4096
STRETCH = 32  # pages
STEP = 8  # words of a page between two that are looked at


class ArenaVictim(Victim):
    """An arena whose pages bear the mark of who has them."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.rng = random.Random(plan.seed)
        self.domain = _core.Domain(plan.cpus, shared=True)
        pages = plan.entries * STRETCH
        self.map = _core.Map(self.domain, 1, "arena", 0, 0, pages, shared=True)
        self.words = self.map.values_view().cast("B").cast("Q")

    def stretch(self, pointer: int) -> memoryview:
        """Some of the words of the pages at a pointer."""
        first = (pointer - self.map.arena_start()) // 8
        return self.words[first : first + STRETCH * PAGE // 8 : STEP]

    # In the child.

    def write_for_ever(self, seed: int, ready: int) -> None:
        rng = random.Random(seed)
        parent, waiting = os.getppid(), True
        had: list[int] = []
        mark = seed << 32 | os.getpid()
        while os.getppid() == parent:
            if len(had) < 3 and (not had or rng.random() < 0.5):
                pointer = self.map.alloc_pages(STRETCH)
                if pointer:
                    self.take(pointer, mark)
                    had.append(pointer)
            else:
                pointer = had.pop(rng.randrange(len(had)))
                self.give(pointer, mark)
            if waiting:
                os.close(ready)
                waiting = False

    def take(self, pointer: int, mark: int) -> None:
        words = self.stretch(pointer)
        if any(words):
            raise AssertionError(f"the pages at {pointer:#x} are not zero")
        for at in range(0, len(words), 512 // STEP):
            words[at] = mark

    def give(self, pointer: int, mark: int) -> None:
        words = self.stretch(pointer)
        found = {words[at] for at in range(0, len(words), 512 // STEP)}
        if found != {mark}:
            raise AssertionError(f"others wrote to the pages at {pointer:#x}: {found}")
        if self.map.free_pages(pointer, STRETCH) != OK:
            raise AssertionError(f"the pages at {pointer:#x} cannot be freed")

    # In the parent.

    def problem(self) -> str | None:
        return self.map.check()

    def problem_at_rest(self) -> str | None:
        """Then what the dead had is given back, so that there is room for others."""
        why = self.map.check()
        page, count = self.map.taken_pages(0)
        while why is None and count:
            if page % STRETCH or count % STRETCH:
                return f"{count} pages from page {page} on are taken: no whole stretches"
            if self.map.free_pages(self.map.arena_start() + page * PAGE, count) != OK:
                return f"{count} pages from page {page} on cannot be freed"
            page, count = self.map.taken_pages(page + count)
        if why is None and bytes(self.words) != bytes(self.words.nbytes):
            return "pages that nobody has are not zero"
        return why

    def problem_of_room(self) -> str | None:
        pages = self.plan.entries * STRETCH
        pointer = self.map.alloc_pages(pages)
        if not pointer or self.map.count() != pages:
            return f"not all of {pages} pages can be had"
        self.map.free_pages(pointer, pages)
        return self.problem_at_rest()


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill processes that share an arena.")
    for name in ("entries", "kills", "writers", "seed"):
        parser.add_argument("--" + name, type=int, default=getattr(Plan, name))
    parser.add_argument("--seconds", type=float, default=Plan.seconds)
    plan = Plan("arena", **vars(parser.parse_args()))
    faulthandler.dump_traceback_later(plan.seconds + HANG, exit=True)
    killing = Killing(ArenaVictim(plan))
    killing.run()
    print(f"arena: {killing.killed} killed, and all holds", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
