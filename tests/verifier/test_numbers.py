"""Ranges against brute force: whatever members do one by one, the ranges must allow.

``EDGES`` are the numbers where words turn over. Ranges are drawn around them, members are sampled
from each, and every operation is compared with what the instruction set says of single words.
"""

import itertools
import random
from collections.abc import Callable

import pytest

from anybpf.verifier import arithmetic as ar
from anybpf.verifier import numbers as nu
from anybpf.verifier.numbers import Range, between, constant, contains

WORD = 1 << 64
EDGES = sorted(
    {
        sign * base + delta
        for base in (0, 1, 7, 64, 2**8, 2**15, 2**31, 2**32, 2**61, 2**62, 2**63)
        for sign in (-1, 1)
        for delta in (-2, -1, 0, 1, 2)
        if -(2**63) <= sign * base + delta < 2**63
    }
)
COMPARISONS = [
    nu.JEQ, nu.JNE, nu.JGT, nu.JGE, nu.JLT, nu.JLE,
    nu.JSGT, nu.JSGE, nu.JSLT, nu.JSLE, nu.JSET, nu.JNSET,
]  # fmt: skip
OPERATIONS = [
    ar.ADD, ar.SUB, ar.MUL, ar.DIV, ar.OR, ar.AND, ar.LSH, ar.RSH, ar.NEG, ar.MOD, ar.XOR,
    ar.MOV, ar.ARSH, ar.SDIV, ar.SMOD,
]  # fmt: skip


def signed(x: int, bits: int = 64) -> int:
    x &= (1 << bits) - 1
    return x - (1 << bits) if x >> (bits - 1) else x


def quotient(x: int, y: int) -> int:
    return abs(x) // abs(y) * (1 if (x < 0) == (y < 0) else -1)


def compute(op: int, x: int, y: int, is32: bool) -> int:
    """What the instruction makes of two words (RFC 9669, section 4.1)."""
    bits = 32 if is32 else 64
    u, v = x % (1 << bits), y % (1 << bits)
    s, t = signed(x, bits), signed(y, bits)
    amount = v % bits
    outcomes: dict[int, Callable[[], int]] = {
        ar.ADD: lambda: u + v,
        ar.SUB: lambda: u - v,
        ar.MUL: lambda: u * v,
        ar.DIV: lambda: u // v if v else 0,
        ar.OR: lambda: u | v,
        ar.AND: lambda: u & v,
        ar.LSH: lambda: u << amount,
        ar.RSH: lambda: u >> amount,
        ar.NEG: lambda: -u,
        ar.MOD: lambda: u % v if v else u,
        ar.XOR: lambda: u ^ v,
        ar.MOV: lambda: v,
        ar.ARSH: lambda: s >> amount,
        ar.SDIV: lambda: quotient(s, t) if t else 0,
        ar.SMOD: lambda: s - quotient(s, t) * t if t else s,
    }
    return signed(outcomes[op]() % (1 << bits))


def holds(x: int, op: int, y: int) -> bool:
    u, v = x % WORD, y % WORD
    answers = {
        nu.JEQ: x == y, nu.JNE: x != y, nu.JGT: u > v, nu.JGE: u >= v, nu.JLT: u < v,
        nu.JLE: u <= v, nu.JSGT: x > y, nu.JSGE: x >= y, nu.JSLT: x < y, nu.JSLE: x <= y,
        nu.JSET: x & y != 0, nu.JNSET: x & y == 0,
    }  # fmt: skip
    return answers[op]


def edge(rng: random.Random) -> int:
    kind = rng.randrange(4)
    if kind == 0:
        return rng.randint(-9, 9)
    if kind == 1:
        return signed(rng.getrandbits(64))
    return rng.choice(EDGES)


def draw(rng: random.Random) -> Range:
    """Some range: an edge, a hull of a few, an interval, known bits, or a mix of that."""
    while True:
        kind = rng.randrange(8)
        known: Range | None
        if kind == 0:
            known = constant(edge(rng))
        elif kind == 1:
            known = constant(edge(rng))
            for _ in range(rng.randint(1, 3)):
                known = nu.join(known, constant(edge(rng)))
        elif kind == 2:
            start = edge(rng)
            known = between(start, min(start + rng.randint(0, 40), 2**63 - 1))
        elif kind == 3:
            known = rng.choice([nu.TOP, nu.U8, nu.U16, nu.U32, nu.S8, nu.S16, nu.S32, nu.BOOL])
        else:
            low, high = sorted((edge(rng), edge(rng)))
            mask = signed(rng.getrandbits(64) | rng.getrandbits(64))
            if rng.random() < 0.5:
                mask = rng.choice([-1, -4, 0xFF, 0xF0, 12, ~1, -256])
            known = nu.make(
                low, high, -rng.randint(1, 5), rng.randint(0, 5), edge(rng) & ~mask, mask
            )
        if known is not None:
            return known


def members(known: Range, rng: random.Random, count: int = 6) -> list[int]:
    """Some members, the bounds among them."""
    found = {known.low, known.high, nu.unsigned_low(known), nu.unsigned_high(known)}
    for _ in range(count):
        guess = signed(known.value | (rng.getrandbits(64) & known.mask))
        if contains(known, guess):
            found.add(guess)
        guess = signed(rng.randint(known.low, known.high) & known.mask | known.value)
        if contains(known, guess):
            found.add(guess)
    return sorted(found)


def well_formed(known: Range) -> bool:
    """Whether a range keeps its promises: in 64 bits, its bounds members, reduced."""
    fields = (known.low, known.high, known.below, known.above, known.value, known.mask)
    return (
        all(-(2**63) <= field < 2**63 for field in fields)
        and known.value & known.mask == 0
        and contains(known, known.low)
        and contains(known, known.high)
        and contains(known, nu.unsigned_low(known))
        and contains(known, nu.unsigned_high(known))
        and (known.low < 0 <= known.high or (known.below, known.above) == (-1, 0))
        and (known.mask == 0) == (known.low == known.high)
        and nu.make(*fields) == known
    )


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    return random.Random(request.node.name)


@pytest.mark.parametrize("op", OPERATIONS)
@pytest.mark.parametrize("is32", [False, True])
def test_operations_hold_every_result(op: int, is32: bool, rng: random.Random) -> None:
    for _ in range(700):
        a, b = draw(rng), draw(rng)
        known = ar.arith(op, a, b, is32)
        assert well_formed(known), (op, a, b, known)
        for x, y in itertools.product(members(a, rng, 3), members(b, rng, 3)):
            outcome = compute(op, x, y, is32)
            assert contains(known, outcome), (op, is32, a, b, known, x, y, outcome)


@pytest.mark.parametrize("op", COMPARISONS)
def test_comparisons_keep_what_they_allow(op: int, rng: random.Random) -> None:
    for _ in range(1200):
        a, b = draw(rng), draw(rng)
        c = rng.choice(members(b, rng, 3))
        known = nu.restrict(a, op, c)
        by = nu.restrict_by(a, op, b)
        assert known is None or (well_formed(known) and nu.includes(a, known)), (a, op, c)
        assert by is None or (well_formed(by) and nu.includes(a, by)), (a, op, b)
        assert known is a or known != a, "nothing learnt, but another object"
        assert by is a or by != a
        verdict = nu.decide(op, a, b)
        for x in members(a, rng):
            kept = known is not None and contains(known, x)
            if holds(x, op, c):
                assert kept, (a, op, c, x, known)
                assert by is not None, (a, op, b, x)
                assert contains(by, x), (a, op, b, x, by)
            elif op not in (nu.JSET, nu.JNE, nu.JNSET):
                assert not kept, (a, op, c, x, known)
            assert nu.compare_constants(x, op, c) == holds(x, op, c)
            assert verdict == 2 or verdict == holds(x, op, c), (op, a, b, x, c)
