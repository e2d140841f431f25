"""Bugs planted on purpose, one at a time: the fuzzer must find each, or its silence says nothing.

A mutation is a change of one place of the verifier's source, made in a copy elsewhere. The table
says after how many programs each was found.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from fuzz.soundness.build import copy

# One mutation may take this many programs and seconds; uncompiled, as no two are the same code.
PROGRAMS: Final = 20_000
SECONDS: Final = 300.0


class Mutation:
    """In ``file``, the one occurrence of ``old`` becomes ``new``."""

    __slots__ = ("file", "name", "new", "old")

    def __init__(self, name: str, file: str, old: str, new: str) -> None:
        self.name: str = name
        self.file: str = file
        self.old: str = old
        self.new: str = new

    def apply(self, verifier: Path) -> bool:
        """Plant the bug; False if its place is not there any more."""
        path = verifier / self.file
        text = path.read_text() if path.is_file() else ""
        if text.count(self.old) != 1:
            return False
        path.write_text(text.replace(self.old, self.new))
        return True


MUTATIONS: Final[list[Mutation]] = [
    # What comparisons teach.
    Mutation(
        "an upper bound that is equal is excluded",
        "numbers.py",
        "            high = c if equal else c - 1",
        "            high = c - 1",
    ),
    Mutation(
        "a lower bound is one too high",
        "numbers.py",
        "            above = c if equal else c + 1",
        "            above = c + 1",
    ),
    Mutation(
        "unsigned comparison forgets that negative numbers are large",
        "numbers.py",
        "    if unsigned:\n        low = 0\n        below = -1\n    return build(",
        "    if not unsigned:\n        low = 0\n        below = -1\n    return build(",
    ),
    Mutation(
        "a number that is excluded takes the bound with it",
        "numbers.py",
        "        else:\n            high = c - 1\n    elif c == above:",
        "        else:\n            high = c - 2\n    elif c == above:",
    ),
    Mutation(
        "signed order is decided as never too early",
        "numbers.py",
        "        return decide_order(a.high <= b.low, a.low > b.high)",
        "        return decide_order(a.high <= b.low, a.low >= b.high)",
    ),
    Mutation(
        "a bit test says all of its bits",
        "numbers.py",
        "    if possible == lowest:\n        return make(a.low, a.high, a.below, a.above, "
        "a.value | lowest, a.mask & ~lowest)",
        "    if possible != MIN:\n        return make(a.low, a.high, a.below, a.above, "
        "a.value | lowest, a.mask & ~lowest)",
    ),
    Mutation(
        "32-bit comparison taken for one of 64 bits",
        "branch.py",
        "                a = low_half(st, a)\n                b = low_half(st, b)",
        "                b = low_half(st, b)",
    ),
    Mutation(
        "signed 32-bit comparison without sign extension",
        "branch.py",
        "                a = sign_extended(st, a, 32)\n"
        "                b = sign_extended(st, b, 32)",
        "                a = low_half(st, a)\n                b = low_half(st, b)",
    ),
    Mutation(
        "relations of unsigned comparisons hold for negative numbers",
        "branch.py",
        "(unsigned and known_a.low >= 0 and known_b.low >= 0)",
        "unsigned",
    ),
    Mutation(
        "less-or-equal remembered as less",
        "branch.py",
        "    if op == JLT or op == JSLT or op == JGT or op == JSGT:\n"
        "        distance = distance - 1",
        "    if op != JEQ:\n        distance = distance - 1",
    ),
    Mutation(
        "packet reach is one byte too long",
        "branch.py",
        "    st.extend_reach(unknown, size)\n    return True",
        "    st.extend_reach(unknown, size + 1)\n    return True",
    ),
    # Arithmetic.
    Mutation(
        "carries are not followed in sums of known bits",
        "arithmetic.py",
        "            mask = (value ^ (value + a.mask + b.mask)) | a.mask | b.mask",
        "            mask = a.mask | b.mask",
    ),
    Mutation(
        "differences are bounded the wrong way round",
        "arithmetic.py",
        "            return sure(span(a.low - b.high, a.high - b.low, value, mask))",
        "            return sure(span(a.low - b.low, a.high - b.low, value, mask))",
    ),
    Mutation(
        "a remainder is smaller than it is",
        "arithmetic.py",
        "        bound: i64 = b.high - 1",
        "        bound: i64 = b.high - 2",
    ),
    Mutation(
        "division by zero is forgotten",
        "arithmetic.py",
        "    for low, high in unsigned_parts(b):\n        if low == 0:\n            hull.add(0, 0)",
        "    for low, high in unsigned_parts(b):\n        if low == 0:\n            pass",
    ),
    Mutation(
        "32-bit shifts by the low six bits",
        "arithmetic.py",
        "AMOUNT32: Final = constant(31)",
        "AMOUNT32: Final = constant(15)",
    ),
    Mutation(
        "signed 32-bit division of unsigned numbers",
        "arithmetic.py",
        "        return low32(sdiv(sext(a, 32), sext(b, 32)))",
        "        return low32(sdiv(low32(a), low32(b)))",
    ),
    Mutation(
        "a disjunction is no larger than its operands",
        "bitwise.py",
        "one_sign(a.low if a.low > b.low else b.low, smear(a.high | b.high), value, mask)",
        "one_sign(a.low if a.low > b.low else b.low, a.high | b.high, value, mask)",
    ),
    Mutation(
        "an exclusive or is no larger than its operands",
        "bitwise.py",
        "        return sure(one_sign(0, smear(a.high | b.high), value, mask))",
        "        return sure(one_sign(0, a.high | b.high, value, mask))",
    ),
    Mutation(
        "zero extension keeps the bounds",
        "bitwise.py",
        "        if (a.low >> bits) == (a.high >> bits):\n"
        "            return sure(one_sign(a.low & limit",
        "        if a.low <= a.high:\n            return sure(one_sign(a.low & limit",
    ),
    Mutation(
        "results of 32 bits keep their upper half",
        "compute.py",
        "        return low_half(st, sum_) if is32 else sum_",
        "        return sum_",
    ),
    Mutation(
        "a pair of shifts cuts one bit less",
        "compute.py",
        "    bits = 64 - amount\n    if not signed:",
        "    bits = 63 - amount\n    if not signed:",
    ),
    # Merges and what is concluded from them.
    Mutation(
        "the sides of a merged number are swapped",
        "deduction.py",
        "        return not not_right and select(st, merge, False)\n    if not_right:\n"
        "        return select(st, merge, True)\n    return True\n\n\ndef set_nullness",
        "        return not not_right and select(st, merge, True)\n    if not_right:\n"
        "        return select(st, merge, False)\n    return True\n\n\ndef set_nullness",
    ),
    Mutation(
        "a merge keeps the left side's bounds",
        "merge.py",
        "            known = numbers.join(x, y)\n        phi = Phi(",
        "            known = x\n        phi = Phi(",
    ),
    Mutation(
        "a merge keeps facts of one side",
        "merge.py",
        "                else:\n                    facts[unknown] = numbers.join(x, y)",
        "                else:\n                    facts[unknown] = x",
    ),
    Mutation(
        "a merge keeps the larger packet reach",
        "merge.py",
        "reach_left if reach_left < reach_right else reach_right",
        "reach_left if reach_left > reach_right else reach_right",
    ),
    Mutation(
        "a merge keeps nullness of one side",
        "merge.py",
        "            if b.get(region) == nonnull:\n                known[region] = nonnull",
        "            known[region] = nonnull",
    ),
    Mutation(
        "a relation is followed with the wrong sign",
        "deduction.py",
        "                if y.low < known.low - bound:\n"
        "                    after = numbers.restrict(y, numbers.JSGE, known.low - bound)",
        "                if y.low < known.low + bound:\n"
        "                    after = numbers.restrict(y, numbers.JSGE, known.low + bound)",
    ),
    Mutation(
        "an invariant need not hold what a turn leads to",
        "inclusion.py",
        "        if not numbers.includes(self.wide.known(right), known):\n"
        "            return False\n"
        "        return right.origin == PLAIN or self._origin(x.unknown, distance, right)",
        "        return right.origin == PLAIN or self._origin(x.unknown, distance, right)",
    ),
    Mutation(
        "a loop is said to end sooner",
        "progress.py",
        "        return (high - known.low) // least_up + 1",
        "        return (high - known.low) // (least_up + 1) + 1",
    ),
    # Memory, calls, packets.
    Mutation(
        "registers of the caller do not come back",
        "operations.py",
        "        while i > 5:\n            regs[i] = regs.pop()",
        "        while i > 5:\n            regs.pop()",
    ),
    Mutation(
        "what a helper writes is not forgotten",
        "calls.py",
        "                overwrite(st, write.frame, write.low, write.high, write.surely)",
        "                pass",
    ),
    Mutation(
        "a record that was given back stays good",
        "calls.py",
        "            st.release(call.released)\n            invalidate(st, call.released)",
        "            st.release(call.released)",
    ),
    Mutation(
        "values of maps are one byte longer",
        "access.py",
        "    if low < region.low or high > region.size:\n"
        "        return _outside(env, pointer, low, high, size, write)\n"
        "    if region.flags & (READ_ONLY | WRITE_ONLY):",
        "    if low < region.low or high > region.size + 1:\n"
        "        return _outside(env, pointer, low, high, size, write)\n"
        "    if region.flags & (READ_ONLY | WRITE_ONLY):",
    ),
    Mutation(
        "a pointer moves back by what it should move on",
        "compute.py",
        "    if back:\n        known = ranges.neg(known)",
        "    if back:\n        known = ranges.shift_by(known, 0)",
    ),
    Mutation(
        "a store at an unknown place changes nothing",
        "memory.py",
        "            overwrite(st, frame, low, end, False)",
        "            pass",
    ),
    Mutation(
        "any constant is zero where zero is stored at an unknown place",
        "memory.py",
        "byte.unknown is not None or byte.offset != 0:",
        "byte.unknown is not None:",
    ),
    Mutation(
        "a partial store keeps what was below",
        "memory.py",
        "            if part.start + part.size <= start or part.start >= start + size:",
        "            if part.start + part.size <= start + size or part.start >= start + size:",
    ),
    Mutation(
        "the packet stays good when it moves",
        "state.py",
        "        self.packet = Region(PACKET, 0, False, -1)\n        self.reach = NO_REACH",
        "        self.reach = self.reach",
    ),
]


def hunt(mutation: Mutation | None, seed: int, folder: Path) -> str:
    """What the fuzzer says of a copy with that mutation."""
    copy(folder)
    if mutation is not None and not mutation.apply(folder / "src" / "anybpf" / "verifier"):
        return f"not planted: {mutation.file} has changed, bring this table up to date"
    command = [
        sys.executable,
        "-m",
        "fuzz.soundness.hunt",
        str(seed),
        str(PROGRAMS),
        str(SECONDS),
    ]
    if mutation is not None and mutation.file == "progress.py":
        command.append("bounds")
    environment = dict(os.environ, ANYBPF_PURE="1", PYTHONPATH=str(folder / "src"))
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=SECONDS * 2,
        )
    except subprocess.TimeoutExpired:
        return "not found: no end"
    return done.stdout.strip() or f"not found: {done.stderr.strip()[-300:]}"


def table(seed: int, seconds: float) -> int:
    """Hunt each; print the table. Status 1 if one was not found."""
    from time import monotonic

    end = monotonic() + max(seconds, SECONDS * len(MUTATIONS))
    missed = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "copy"
        for mutation in MUTATIONS:
            if monotonic() > end:
                print(f"{mutation.name:60s} not tried: time is up")
                missed += 1
                continue
            said = hunt(mutation, seed, folder)
            if not said.startswith("found"):
                missed += 1
            print(f"{mutation.name:60s} {said}", flush=True)
    print(f"{len(MUTATIONS) - missed} of {len(MUTATIONS)} planted bugs found")
    return 1 if missed else 0
