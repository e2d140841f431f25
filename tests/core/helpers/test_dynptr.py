"""Pointers that carry their size: to memory and to packets."""

from __future__ import annotations

import pytest

from tests.core.helpers.running import SCHED_CLS, Case
from tests.core.helpers.texts import pointer

EINVAL, E2BIG, ERANGE, EFAULT = -22, -7, -34, -14

# A dynptr at -16 to 32 bytes at -64, which hold 0, 1, 2, ...; r9 is what making it returned.
MAKE = f"""
r6 = r1
r1 = 0x0706050403020100 ll
*(u64 *)(r10 - 64) = r1
r1 = 0x0f0e0d0c0b0a0908 ll
*(u64 *)(r10 - 56) = r1
r1 = 0x1716151413121110 ll
*(u64 *)(r10 - 48) = r1
r1 = 0x1f1e1d1c1b1a1918 ll
*(u64 *)(r10 - 40) = r1
*(u64 *)(r10 - 24) = 0
{pointer("r1", -64)}
r2 = {{size}}
r3 = {{flags}}
{pointer("r4", -16)}
call bpf_dynptr_from_mem
r9 = r0
"""


def made(text: str, size: int = 32, flags: int = 0) -> int:
    result = Case().run(MAKE.format(size=size, flags=flags) + text)
    assert not result.end
    return result.value


READ = f"""
{pointer("r1", -24)}
r2 = {{size}}
{pointer("r3", -16)}
r4 = {{offset}}
r5 = {{flags}}
call bpf_dynptr_read
if r0 != 0 goto out
r0 = *(u64 *)(r10 - 24)
out:
exit
"""


def read(size: int, offset: int, flags: int = 0) -> str:
    return READ.format(size=size, offset=offset, flags=flags)


def call(name: str, *words: int) -> str:
    loads = "".join(f"r{register} = {word}\n" for register, word in enumerate(words, 2))
    return pointer("r1", -16) + loads + f"call bpf_{name}\n"


def test_it_is_made_of_memory() -> None:
    assert made("r0 = r9\nexit") == 0
    assert made("r0 = r9\nexit", flags=1) == EINVAL
    assert made("r0 = r9\nexit", size=128) == EFAULT
    assert made(call("dynptr_size") + "exit") == 32


def test_what_is_read_lies_inside() -> None:
    assert made(read(8, 8)) == 0x0F0E0D0C0B0A0908
    assert made(read(2, 30)) == 0x1F1E
    assert made(read(2, 31)) == E2BIG
    assert made(read(8, 0xFFFFFFF)) == E2BIG
    assert made(read(8, 0, 1)) == EINVAL


def test_what_is_written_lies_inside() -> None:
    write = pointer("r1", -16) + "r2 = {}\n" + pointer("r3", -64) + "r4 = 8\nr5 = {}\n"
    write += "call bpf_dynptr_write\nif r0 != 0 goto done\n" + read(8, 24).replace("out", "done")
    assert made(write.format(24, 0)) == 0x0706050403020100
    assert made(write.format(25, 0)) == E2BIG
    assert made(write.format(24, 1)) == EINVAL


def test_a_slice_is_a_pointer_into_it() -> None:
    look = "if r0 == 0 goto none\nr0 = *(u8 *)(r0 + 0)\nexit\nnone:\nr0 = -1\nexit"
    assert made(call("dynptr_data", 5, 4) + look) == 5
    assert made(call("dynptr_data", 29, 4) + look) == -1
    assert made(call("dynptr_slice", 5, 0, 4) + look) == 5
    assert made(call("dynptr_slice_rdwr", 5, 0, 4) + look) == 5


def test_it_may_shrink() -> None:
    assert made(call("dynptr_adjust", 8, 16) + read(8, 0)) == 0x0F0E0D0C0B0A0908
    assert made(call("dynptr_adjust", 8, 16) + read(8, 1)) == E2BIG
    assert made(call("dynptr_adjust", 8, 33) + "exit") == ERANGE
    assert made(call("dynptr_adjust", 9, 8) + "exit") == EINVAL


def test_it_may_be_copied_and_filled() -> None:
    clone = pointer("r1", -16) + pointer("r2", -80) + "call bpf_dynptr_clone\n"
    assert made(clone + read(1, 3).replace("-16", "-80")) == 3
    copy = pointer("r1", -16) + "r2 = 0\n" + pointer("r3", -16) + "r4 = 16\nr5 = 8\n"
    assert made(copy + "call bpf_dynptr_copy\n" + read(8, 0)) == 0x1716151413121110
    assert made(call("dynptr_memset", 1, 2, 0xAB) + read(4, 0)) == 0x03ABAB00
    assert made(call("dynptr_memset", 31, 2, 0) + "exit") == E2BIG


def test_an_empty_one_is_empty() -> None:
    empty = "*(u64 *)(r10 - 16) = 0\n*(u64 *)(r10 - 8) = 0\n"
    assert made(empty + call("dynptr_is_null") + "exit") == 1
    assert made(empty + read(1, 0)) == EINVAL
    assert made(empty + call("dynptr_data", 0, 1) + "exit") == 0
    assert made(call("dynptr_is_null") + "exit") == 0


@pytest.mark.parametrize("address", ["0x1000", "-4096", "0x7fff00000000"])
def test_a_forged_one_reads_nothing(address: str) -> None:
    forged = (
        f"r1 = {address} ll\n*(u64 *)(r10 - 16) = r1\nr1 = 0x10000020 ll\n*(u64 *)(r10 - 8) = r1\n"
    )
    assert made(forged + read(8, 0)) == EFAULT
    write = pointer("r1", -16) + "r2 = 0\n" + pointer("r3", -64) + "r4 = 8\nr5 = 0\n"
    assert made(forged + write + "call bpf_dynptr_write\nexit") == EFAULT


@pytest.mark.parametrize(("name", "kind"), [("xdp", 6), ("skb", SCHED_CLS)])
def test_a_packet_is_read_and_written(name: str, kind: int) -> None:
    text = f"""
    r2 = 0
    {pointer("r3", -16)}
    call bpf_dynptr_from_{name}
    if r0 != 0 goto out
    *(u64 *)(r10 - 24) = 1
    {pointer("r1", -16)}
    r2 = 32
    {pointer("r3", -24)}
    r4 = 8
    r5 = 0
    call bpf_dynptr_write
    if r0 != 0 goto out
    {read(8, 8)}
    """
    result = Case().run(text, bytes(range(40)), kind=kind)
    assert result.value == 0x0F0E0D0C0B0A0908
    assert result.packet == bytes(range(32)) + b"\1" + bytes(7)
    assert Case().run(text, bytes(39), kind=kind).value == E2BIG
