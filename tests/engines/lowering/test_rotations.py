"""Rotations that BPF compilers take apart, put together again: only where they are ones."""

from __future__ import annotations

import pytest

from anybpf.engines.lowering import Source, make_plan
from anybpf.isa import encode
from anybpf.isa.assembler import assemble

WIDE = 0x4CF5AD432745937F
SHIFTED = WIDE << 31 & (1 << 64) - 1


def rotations(text: str) -> dict[int, tuple[int, int, int]]:
    """Shift, amount and width by the OR's index."""
    plan = make_plan(Source("case", encode(assemble(text))))
    found = plan.functions[0].rotations
    return {at: (one.shift, one.amount, one.width) for at, one in found.items()}


def test_two_products_with_one_factor_shifted_are_a_rotation() -> None:
    text = f"""
        r1 = 7
        r2 = r1
        r3 = {SHIFTED} ll
        r2 *= r3
        r4 = {WIDE} ll
        r1 *= r4
        r1 >>= 33
        r1 |= r2
        r0 = r1
        exit
    """
    assert rotations(text) == {7: (6, 31, 64)}
    assert rotations(text.replace("r1 |= r2", "r2 |= r1")) == {7: (6, 31, 64)}


def test_in_32_bits() -> None:
    text = """
        r1 = 7
        w2 = w1
        w2 *= 0x20000
        w1 *= 0x10001
        w1 >>= 31
        w1 |= w2
        r0 = r1
        exit
    """
    assert rotations(text) == {}, "0x20000 is 0x10001 << 1 without its last bit"
    assert rotations(text.replace("0x20000", "0x20002")) == {5: (4, 1, 32)}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("r1 >>= 33", "r1 >>= 32"),  # another amount
        ("r1 >>= 33", "r1 s>>= 33"),  # not what was there
        ("r2 = r1", "r2 = r1\nr1 += 1"),  # another value
        (f"r3 = {SHIFTED} ll", f"r3 = {SHIFTED + 1} ll"),  # another factor
        ("r1 |= r2", "goto next\nnext:\nr1 |= r2"),  # made in another block
        ("r1 |= r2", "r1 ^= r2"),
    ],
)
def test_what_is_none(old: str, new: str) -> None:
    text = f"""
        r1 = 7
        r2 = r1
        r3 = {SHIFTED} ll
        r2 *= r3
        r4 = {WIDE} ll
        r1 *= r4
        r1 >>= 33
        r1 |= r2
        r0 = r1
        exit
    """
    assert old in text
    assert rotations(text.replace(old, new)) == {}
