"""The low halves of numbers, and those as signed numbers, hang on what they are halves of."""

from __future__ import annotations

import pytest

from anybpf.verifier import numbers
from anybpf.verifier.compute import low_half, sign_extended
from anybpf.verifier.deduction import FUEL, learn
from anybpf.verifier.record import empty_state
from anybpf.verifier.values import MAX_NESTING, NUMBER, PLAIN, SHIFTED, Unknown, Value


@pytest.mark.parametrize("length", range(MAX_NESTING - 3, MAX_NESTING + 2))
def test_a_chain_that_is_too_long_is_cut(length: int) -> None:
    """What would hang on too many others stands for itself; what is learnt is learnt safely."""
    st = empty_state()
    value = Value(NUMBER, 0, Unknown(numbers.TOP, PLAIN, 0, None), None)
    for _ in range(length):
        value = Value(NUMBER, 0, Unknown(numbers.TOP, SHIFTED, 1, value), None)
    half = low_half(st, value)
    signed = sign_extended(st, half, 32)
    for number in (value, half, signed):
        unknown = number.unknown
        assert unknown is not None
        st.fuel = FUEL
        known = numbers.meet(st.known(unknown), numbers.between(6, 9))
        assert known is not None
        assert learn(st, unknown, known)
    assert st.range_of(half).low >= 0
