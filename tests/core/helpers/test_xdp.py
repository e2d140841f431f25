"""Packets of XDP programs: their ends, their metadata, their bytes."""

from __future__ import annotations

import pytest

from tests.core.helpers.running import Case, agree
from tests.core.helpers.texts import fetch, pointer, store

PACKET = bytes(range(100))
EINVAL, EFAULT, EACCES = -22, -14, -13


def adjust(*steps: tuple[str, int]) -> str:
    """Moves the packet's ends, step by step: the last result counts, and the length behind it."""
    text = "r6 = r1\n"
    for name, by in steps:
        text += f"r1 = r6\nr2 = {by}\ncall bpf_xdp_adjust_{name}\nr7 = r0\n"
    text += "r1 = r6\ncall bpf_xdp_get_buff_len\nr7 <<= 16\nr0 ^= r7\nexit"
    return text


@pytest.mark.parametrize(
    "steps",
    [
        [("head", 14)],
        [("head", 86)],
        [("head", 87)],
        [("head", -216)],
        [("head", -217)],
        [("head", -(1 << 31))],
        [("head", (1 << 31) - 1)],
        [("head", -8), ("head", 8)],
        [("tail", -86)],
        [("tail", -87)],
        [("tail", 300)],
        [("tail", 1 << 20)],
        [("tail", -(1 << 31))],
        [("meta", -4)],
        [("meta", -32), ("head", -4)],
        [("meta", -32), ("meta", 32)],
        [("meta", -32), ("head", 200)],
        [("meta", 4)],
        [("meta", -3)],
        [("meta", -256)],
        [("meta", -252)],
        [("meta", -(1 << 31))],
        [("head", -216), ("meta", -4)],
        [("meta", -8), ("head", -212)],
    ],
    ids=str,
)
def test_ends_move_as_in_the_kernel(steps: list[tuple[str, int]]) -> None:
    text = adjust(*steps)
    if ("tail", 300) in steps or ("meta", -256) in steps:
        # New bytes are zero; and what is refused leaves the packet alone.
        assert Case().run(text, PACKET).packet in (PACKET + bytes(300), PACKET)
    agree(text, PACKET)


def test_metadata_moves_with_the_head() -> None:
    text = adjust(("meta", -4), ("head", -10))
    result = Case().run(text, PACKET)
    assert result.meta == bytes(4)
    assert result.packet is not None
    assert len(result.packet) == len(PACKET) + 10


@pytest.mark.parametrize(
    ("offset", "size"), [(0, 32), (68, 32), (69, 32), (99, 1), (100, 1), (0x10000, 1), (0xFFFF, 4)]
)
@pytest.mark.parametrize("what", ["load", "store"])
def test_bytes_are_copied_as_in_the_kernel(offset: int, size: int, what: str) -> None:
    text = fetch(32) + (
        f"r1 = r6\nr2 = {offset}\n{pointer('r3', -32)}r4 = {size}\n"
        f"call bpf_xdp_{what}_bytes\nr7 = r0\n"
    )
    agree(text + store(32), PACKET)


def test_a_program_copies_to_its_own_memory_only() -> None:
    assert Case().run("r2 = 0\nr3 = 64\nr4 = 4\ncall bpf_xdp_load_bytes\nexit", PACKET).value == (
        EFAULT
    )
    beyond = "r2 = 0\nr3 = r10\nr3 += -4\nr4 = 8\ncall bpf_xdp_load_bytes\nexit"
    assert Case().run(beyond, PACKET).value == EFAULT


@pytest.mark.parametrize("name", ["head", "tail", "meta"])
def test_only_the_context_is_a_context(name: str) -> None:
    text = f"r1 = r10\nr2 = 0\ncall bpf_xdp_adjust_{name}\nexit"
    assert Case().run(text, PACKET).value == EINVAL


@pytest.mark.parametrize("name", ["head", "tail", "meta"])
def test_without_a_packet_nothing_moves(name: str) -> None:
    assert Case().run(f"r2 = 0\ncall bpf_xdp_adjust_{name}\nexit").value == EINVAL
