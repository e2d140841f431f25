"""Runs the fuzzer until it finds something, and says in one line after how many programs, and what.

`python -m fuzz.soundness.hunt SEED PROGRAMS SECONDS [bounds]`; with "bounds" a loop that turns more
often than was claimed counts as well. Used on copies with planted bugs.
"""

from __future__ import annotations

import gc
import sys
from time import monotonic

from fuzz.soundness.campaign import Campaign


def main() -> int:
    seed, programs, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    bounds = sys.argv[4:] == ["bounds"]
    campaign = Campaign(seed, [], 6)
    begun = monotonic()
    gc.disable()
    crashes = 0
    for number in range(programs):
        if monotonic() - begun > seconds:
            break
        if number % 100 == 0:
            gc.collect()
        try:
            found = campaign.one(number)
        except (ArithmeticError, AssertionError, LookupError, TypeError, ValueError):
            crashes += 1
            continue
        if found is not None and (bounds or found.kind != "loop bound"):
            print(f"found after {number + 1} programs ({found.text[:80]})")
            return 0
    accepted = campaign.tally.accepted
    print(
        f"not found in {campaign.tally.programs} programs, {accepted} accepted, {crashes} crashes"
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
