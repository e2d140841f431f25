"""The internet checksum, over memory and in packets: as the kernel answers, bit for bit."""

from __future__ import annotations

import random

import pytest

from tests.core.helpers.running import SCHED_CLS, Case, agree
from tests.core.helpers.texts import fetch, pointer

PACKETS = [bytes(64), b"\xff" * 64, bytes(range(64)), random.Random(1).randbytes(64)]
EINVAL, EFAULT = -22, -14


def difference(old: int, new: int, seed: int) -> str:
    """csum_diff over the packet's first bytes; sizes of 0 come with null pointers."""
    return (
        fetch(64)
        + (pointer("r1", -64) if old else "r1 = 0\n")
        + f"r2 = {old}\n"
        + (pointer("r3", -32) if new else "r3 = 0\n")
        + f"r4 = {new}\nr5 = {seed}\ncall bpf_csum_diff\nexit"
    )


@pytest.mark.parametrize("packet", PACKETS, ids=["zero", "ones", "rising", "random"])
@pytest.mark.parametrize(
    "sizes", [(28, 4), (12, 20), (0, 0), (4, 0), (0, 4), (4, 4), (32, 28), (16, 32)]
)
@pytest.mark.parametrize("seed", [0, 1, 0xFFFF, 0x7FFFFFFF, -1])
def test_differences_are_the_kernels(packet: bytes, sizes: tuple[int, int], seed: int) -> None:
    agree(difference(*sizes, seed), packet)


def test_sizes_are_multiples_of_four() -> None:
    assert Case().run(difference(6, 4, 0), bytes(64)).value == EINVAL
    assert Case().run(difference(6, 4, 0), bytes(64), platform="windows").value == EINVAL


def test_windows_gives_the_sum_as_it_is() -> None:
    """It is the program that folds it."""
    result = Case().run(difference(0, 32, 5), b"\xff" * 64, platform="windows")
    assert result.value == 16 * 0xFFFF + 5


def test_windows_refuses_a_sum_that_does_not_fit() -> None:
    assert Case().run(difference(0, 4, -1), bytes(64), platform="windows").value == EINVAL


def replacement(layer: int, offset: int, old: int, new: int, flags: int) -> str:
    return f"""
    r2 = {offset}
    r3 = {old} ll
    r4 = {new} ll
    r5 = {flags}
    call bpf_l{layer}_csum_replace
    exit
    """


@pytest.mark.parametrize("layer", [3, 4])
@pytest.mark.parametrize(
    ("old", "new", "flags"),
    [
        (0, 0x1234, 0),
        (7, 0x1234, 0),
        (0x1111, 0x2222, 2),
        (0xFFFF, 0, 2),
        (0, 0xFFFF, 2),
        (0x0100007F, 0x08080808, 4),
        (0xFFFFFFFF, 0, 4),
        (1, 2, 3),
        (1, 2, 0x100),
        (0x1111, 0x2222, 0x12),
        (0x1111, 0x2222, 0x22),
        (0x1111, 0x2222, 0x62),
    ],
)
@pytest.mark.parametrize("packet", PACKETS[:2] + PACKETS[3:], ids=["zero", "ones", "random"])
def test_replacements_are_the_kernels(
    packet: bytes, layer: int, old: int, new: int, flags: int
) -> None:
    agree(replacement(layer, 24, old, new, flags), packet, kind=SCHED_CLS)


@pytest.mark.parametrize("offset", [25, 63, 64, 0x10000])
def test_a_checksum_lies_inside_the_packet_at_an_even_place(offset: int) -> None:
    result = agree(replacement(3, offset, 1, 2, 2), bytes(64), kind=SCHED_CLS)
    assert result.value == EFAULT


def test_only_the_context_is_a_context() -> None:
    text = "r1 = r10\n" + replacement(3, 24, 1, 2, 2)
    assert Case().run(text, bytes(64), kind=SCHED_CLS).value == EFAULT
