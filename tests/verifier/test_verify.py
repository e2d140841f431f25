"""The front door: deterministic, bounded, safe in threads, and clear about what it is given."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from anybpf.errors import NotFound, ObjectError
from anybpf.isa.assembler import assemble
from anybpf.verifier import Budget, Verification, verify_instructions

# Reads packet bytes by a variable offset, in a loop, with a map value and a spill on the way.
BUSY = """
    r6 = r1
    r2 = *(u32 *)(r6 + 0)
    r3 = *(u32 *)(r6 + 4)
    r4 = 0
    r0 = 0
again:
    r5 = r2
    r5 += r4
    r1 = r5
    r1 += 4
    if r1 > r3 goto out
    r1 = *(u32 *)(r5 + 0)
    *(u64 *)(r10 - 8) = r1
    r7 = *(u64 *)(r10 - 8)
    r0 += r7
    r4 += 4
    if r4 < 400 goto again
out:
    r0 &= 1
    exit
"""

# Nothing is known of how often it turns: only running the turns could tell.
ENDLESS = """
    r0 = 1
    r1 = 0
again:
    r1 += 3
    r1 ^= 5
    if r1 != 2 goto again
    exit
"""


def summary(result: Verification) -> tuple[object, ...]:
    return (
        result.ok,
        [(f.kind, f.instruction, f.message, f.path) for f in result.findings],
        result.stats.steps,
        result.stats.merges,
        result.facts.to_json(),
    )


def test_the_same_program_gives_the_same_result() -> None:
    code = assemble(BUSY)
    first = summary(verify_instructions(code))
    assert first[0]
    for _ in range(5):
        assert summary(verify_instructions(code)) == first


def test_threads_do_not_disturb_each_other() -> None:
    texts = [BUSY, BUSY.replace("r1 += 4", "r1 += 3"), ENDLESS.replace("r1 += 3", "r1 += 1")]
    alone = [summary(verify_instructions(assemble(text))) for text in texts]
    assert [result[0] for result in alone] == [True, False, alone[2][0]]
    with ThreadPoolExecutor(4) as pool:
        jobs = [texts[i % len(texts)] for i in range(24)]
        together = list(pool.map(lambda text: summary(verify_instructions(assemble(text))), jobs))
    assert together == [alone[i % len(texts)] for i in range(24)]


def test_a_spent_budget_is_said() -> None:
    loop = ENDLESS.replace("if r1 != 2", "if r1 != 999999999")
    result = verify_instructions(assemble(loop), budget=Budget(steps=2000))
    assert not result.ok
    assert result.findings[0].kind in ("gave-up", "loop-bound")
    assert result.stats.steps < 20_000


def test_a_budget_of_time_is_kept() -> None:
    loop = ENDLESS.replace("if r1 != 2", "if r1 != 999999999")
    budget = Budget(steps=1 << 40, states=1 << 40, seconds=0.2)
    result = verify_instructions(assemble(loop), budget=budget)
    assert not result.ok
    assert result.stats.seconds < 5


def test_bounds_of_loops_are_told() -> None:
    result = verify_instructions(assemble(BUSY))
    assert result.stats.loop_bounds == {5: 100}


def test_nothing_to_verify() -> None:
    with pytest.raises(ObjectError, match="no instructions"):
        verify_instructions([])


def test_an_unknown_type_is_named() -> None:
    with pytest.raises(NotFound, match="xpd"):
        verify_instructions(assemble("r0 = 0\nexit"), type="xpd")
