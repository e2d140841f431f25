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


def test_lattice_laws(rng: random.Random) -> None:
    for _ in range(2500):
        a, b, c = draw(rng), draw(rng), draw(rng)
        both = nu.join(a, b)
        assert well_formed(both), (a, b, both)
        assert both == nu.join(b, a)
        assert nu.includes(both, a)
        assert nu.includes(both, b)
        assert nu.join(both, c) == nu.join(a, nu.join(b, c))
        assert nu.join(a, both) == both
        shared = nu.meet(a, b)
        assert shared == nu.meet(b, a)
        assert nu.disjoint(a, b) == (shared is None)
        inside = [x for x in members(a, rng) if contains(b, x)]
        assert shared is not None or not inside
        if shared is not None:
            assert well_formed(shared), (a, b, shared)
            assert nu.includes(a, shared)
            assert nu.includes(b, shared)
            assert all(contains(shared, x) for x in inside)
        assert nu.meet(a, both) is a, "what is not changed stays the same object"
        assert nu.includes(a, b) == (nu.join(a, b) == a), (a, b)
        assert nu.includes(a, b) == (shared == b), (a, b)
        assert (a == b) == nu.same(a, b)


def test_widening_holds_both_and_comes_to_rest(rng: random.Random) -> None:
    for _ in range(400):
        thresholds = sorted(rng.sample(EDGES, rng.randint(0, 6)))
        base = rng.choice([0, 1, -1, 64, -(2**63), 2**63 - 1, edge(rng)])
        known = draw(rng)
        for step in itertools.count():
            new = draw(rng)
            wide = nu.widen(known, new, thresholds, base)
            assert well_formed(wide), (known, new, thresholds, base)
            assert nu.includes(wide, nu.join(known, new)), (known, new, wide, thresholds, base)
            if nu.includes(known, new):
                assert wide is known
            known = wide
            if step > 12:
                break
        changes = 0
        count = 0
        while changes < 100 and count < 300:
            # A loop that always brings one more.
            wide = nu.widen(known, nu.join(known, ar.shift_by(known, 4)), thresholds, base)
            changes += wide is not known
            count += 1
            if wide is known:
                break
            known = wide
        assert changes < 40


def test_conversions_hold_every_result(rng: random.Random) -> None:
    for _ in range(1500):
        a = draw(rng)
        offset = edge(rng)
        moved = ar.shift_by(a, offset)
        assert well_formed(moved), (a, offset)
        for bits in (8, 16, 32, 64):
            narrow, spread = ar.zext(a, bits), ar.sext(a, bits)
            turned = ar.bswap(a, bits)
            assert well_formed(narrow), (a, bits)
            assert well_formed(spread), (a, bits)
            assert well_formed(turned), (a, bits)
            for x in members(a, rng, 3):
                low = x % (1 << bits)
                assert contains(narrow, signed(low)), (a, bits, x, narrow)
                assert contains(spread, signed(low, bits)), (a, bits, x, spread)
                back = int.from_bytes(low.to_bytes(bits // 8, "little"), "big")
                assert contains(turned, signed(back)), (a, bits, x, turned)
        assert ar.low32(a) == ar.zext(a, 32)
        for x in members(a, rng):
            assert contains(moved, signed(x + offset)), (a, offset, x, moved)


def test_low_half_teaches_about_the_whole(rng: random.Random) -> None:
    for _ in range(3000):
        a = draw(rng)
        low = ar.low32(draw(rng))
        if rng.random() < 0.3:
            low = draw(rng)
        known = nu.low32_source(a, low)
        assert known is a or known is None or (well_formed(known) and known != a)
        for x in members(a, rng):
            if contains(low, x % 2**32):
                assert known is not None, (a, low, x)
                assert contains(known, x), (a, low, x, known)
            elif low.mask & 0xFFFF_FFFF == 0:
                assert known is None or not contains(known, x), (a, low, x, known)


def universe(first: int, last: int) -> dict[frozenset[int], Range]:
    """All ranges with members between the two, by their members."""
    found: dict[frozenset[int], Range] = {}
    numbers = range(first, last + 1)
    for low, high in itertools.combinations_with_replacement(numbers, 2):
        for below in range(min(low, -1), 0):
            for above in range(max(high, 0) + 1):
                for mask in (-1, -2, -3, -4, 7, 6, 5, 4, 3, 2, 1, 0):
                    for value in {x & ~mask for x in numbers}:
                        known = nu.make(low, high, below, above, value, mask)
                        inside = frozenset(
                            x
                            for x in range(low, high + 1)
                            if x & ~mask == value and not below < x < above
                        )
                        assert (known is None) == (not inside)
                        if known is not None:
                            assert well_formed(known)
                            assert inside == {x for x in numbers if contains(known, x)}
                            assert found.setdefault(inside, known) == known
    return found


def test_small_universe_exhaustively() -> None:
    ranges = universe(-3, 3)
    assert len(ranges) > 60
    words = range(-3, 4)
    for op, is32 in itertools.product(OPERATIONS, (False, True)):
        outcomes = {(x, y): compute(op, x, y, is32) for x in words for y in words}
        for (inside, a), (others, b) in itertools.product(ranges.items(), repeat=2):
            known = ar.arith(op, a, b, is32)
            for outcome in {outcomes[x, y] for x in inside for y in others}:
                assert contains(known, outcome), (op, is32, a, b, known, outcome)
    for op in COMPARISONS:
        for inside, a in ranges.items():
            for c in words:
                kept = {x for x in inside if holds(x, op, c)}
                known_kept = nu.restrict(a, op, c)
                assert (known_kept is None) <= (not kept)
                assert known_kept is None or all(contains(known_kept, x) for x in kept)


@pytest.mark.parametrize(
    ("known", "text"),
    [
        (constant(5), "5"),
        (nu.U8, "0..255"),
        (nu.TOP, "min..max"),
        (nu.make(-1, 8, -1, 3, 0, -1), "-1|3..8"),
        (ar.shl(nu.U8, constant(3)), "0..2040 in steps of 8"),
        (ar.or_(ar.and_(nu.TOP, constant(12)), constant(1)), "1..13 with &0x3==0x1"),
        (ar.arith(ar.AND, nu.TOP, constant(-8), False), "min..9223372036854775800 in steps of 8"),
        (nu.restrict(nu.TOP, nu.JLT, -4), "min..-5|0..max"),
    ],
)
def test_ranges_are_readable(known: Range, text: str) -> None:
    assert repr(known) == text


def limited(known: Range, *steps: int) -> Range:
    """What is left after comparisons, given as operation, constant, operation, constant…"""
    for op, c in zip(steps[::2], steps[1::2], strict=True):
        rest = nu.restrict(known, op, c)
        assert rest is not None
        known = rest
    return known


def test_masked_bits_are_known() -> None:
    masked = ar.or_(ar.and_(nu.TOP, constant(12)), constant(1))
    assert ar.and_(masked, constant(2)) == nu.ZERO
    assert ar.and_(ar.shl(nu.TOP, constant(3)), constant(7)) == nu.ZERO
    assert ar.and_(between(1, 100), constant(~7)) == limited(ar.shl(nu.U8, constant(3)), nu.JLE, 96)
    assert ar.and_(between(9, 14), constant(~7)) == constant(8)
    assert ar.or_(between(-3, -2), constant(4)) == between(-3, -2)
    assert ar.and_(nu.U8, constant(0x1FF)) is nu.U8
    assert ar.and_(between(0x103, 0x105), constant(0xFF)) == between(3, 5)
    assert nu.decide(nu.JSET, between(1, 3), constant(3)) == nu.ALWAYS
    assert nu.decide(nu.JSET, ar.shl(nu.TOP, constant(3)), constant(7)) == nu.NEVER


def test_shifts_by_a_range() -> None:
    assert ar.shl(constant(1), between(0, 3)) == between(1, 8)
    assert ar.shr(constant(256), between(0, 8)) == between(1, 256)
    assert ar.shr(nu.TOP, constant(60)) == between(0, 15)
    assert ar.sar(nu.TOP, constant(60)) == between(-8, 7)
    assert ar.shl(nu.U32, between(5, 20)).mask & 31 == 0


def test_sums_and_products() -> None:
    assert ar.umod(ar.mul(nu.TOP, between(2, 5)), between(2, 5)) == between(0, 4)
    assert ar.mul(nu.U8, constant(12)).mask & 3 == 0
    assert ar.mul(nu.TOP, constant(12)).mask & 3 == 0
    assert ar.mul(between(-3, 2), between(-5, 7)) == between(-21, 15)
    assert ar.add(nu.U32, constant(-1)) == between(-1, 2**32 - 2)
    assert ar.sub(between(10, 20), between(1, 3)) == between(7, 19)
    assert ar.neg(between(1, 5)) == between(-5, -1)
    assert ar.add(nu.TOP, constant(2**63 - 1)) == nu.TOP
    assert ar.add(between(2**63 - 3, 2**63 - 1), constant(2)) == limited(
        nu.TOP, nu.JGE, 2**63 - 1, nu.JLE, -(2**63) + 1
    )
    assert ar.arith(ar.ADD, nu.U32, constant(-1), True) == nu.U32
    assert ar.arith(ar.ADD, between(1, 9), constant(-1), True) == between(0, 8)


def test_remainders() -> None:
    assert ar.umod(nu.TOP, constant(16)) == between(0, 15)
    assert ar.umod(ar.shl(nu.TOP, constant(2)), constant(12)).mask & 3 == 0
    assert ar.umod(between(13, 15), constant(10)) == between(3, 5)
    assert ar.umod(between(0, 3), constant(10)) == between(0, 3)
    assert ar.udiv(nu.U32, constant(10)) == between(0, (2**32 - 1) // 10)
    assert ar.sdiv(between(-9, 9), constant(2)) == between(-4, 4)
    assert ar.smod(nu.TOP, constant(10)) == between(-9, 9)


def test_comparisons_tighten() -> None:
    assert limited(nu.TOP, nu.JGT, 0, nu.JLE, 100) == between(1, 100)
    assert limited(nu.U8, nu.JNE, 0, nu.JNE, 255) == between(1, 254)
    assert limited(nu.S8, nu.JSGE, 0) == between(0, 127)
    assert limited(nu.TOP, nu.JGE, -(2**63)) == between(-(2**63), -1)
    assert limited(nu.TOP, nu.JLT, -(2**63)) == between(0, 2**63 - 1)
    outside = limited(nu.TOP, nu.JGE, 16, nu.JLE, -16)
    assert (nu.unsigned_low(outside), nu.unsigned_high(outside)) == (16, -16)
    assert nu.restrict(outside, nu.JEQ, 15) is None
    assert nu.decide(nu.JNE, outside, between(-15, 15)) == nu.ALWAYS
    assert limited(outside, nu.JSGT, -16) == between(16, 2**63 - 1)
    assert limited(nu.U8, nu.JNSET, 0xF0) == between(0, 15)
    assert limited(nu.U8, nu.JSET, 0x80) == between(128, 255)
    assert limited(nu.U8, nu.JSET, 0xF0) == between(16, 255)
    assert limited(ar.shl(nu.U8, constant(2)), nu.JLT, 10) == ar.shl(between(0, 2), constant(2))


def test_negation_and_swap_say_the_same() -> None:
    for x, y in itertools.product((-2, -1, 0, 1, 2**63 - 1, -(2**63)), repeat=2):
        for op in COMPARISONS:
            assert holds(x, nu.NEGATE[op], y) != holds(x, op, y)
            assert holds(y, nu.SWAP[op], x) == holds(x, op, y)


def test_widening_goes_to_thresholds() -> None:
    assert nu.widen(constant(0), between(0, 1), [100], 0) == between(0, 100)
    assert nu.widen(constant(0), between(0, 1), [100], 10) == between(0, 90)
    assert nu.widen(constant(0), between(0, 1), [], 0) == between(0, 2**63 - 1)
    steps = nu.widen(constant(0), nu.join(constant(0), constant(4)), [64], 0)
    assert steps == ar.shl(between(0, 16), constant(2))
    assert nu.widen(between(5, 9), between(4, 9), [], 0) == between(0, 9)


def test_low_half() -> None:
    high = limited(nu.TOP, nu.JGE, 0x5_0000_0000, nu.JLE, 0x5_FFFF_FFFF)
    assert nu.low32_source(high, between(3, 9)) == between(0x5_0000_0003, 0x5_0000_0009)
    assert nu.low32_source(between(10, 20), between(30, 40)) is None
    assert nu.low32_source(nu.U32, nu.U32) is nu.U32
    far = nu.make(-5, 2**33, -5, 2**33, 0, -1)
    assert far is not None
    assert nu.low32_source(nu.TOP, far) is None, "no low half is as large as that"
