"""Packets of socket buffers: what classifiers may do to them."""

from __future__ import annotations

from struct import pack, unpack_from

import pytest

from tests.core.helpers.running import SCHED_CLS, SKB_BYTES, Case, agree
from tests.core.helpers.texts import fetch, pointer, store

CGROUP_SKB = 8
V4 = bytes(12) + b"\x08\x00" + b"\x45\x00\x00\x40" + bytes(range(60))
V6 = bytes(12) + b"\x86\xdd" + b"\x60\x00\x00\x00" + bytes(range(80))
EINVAL, EFAULT, ENOMEM = -22, -14, -12


def call(name: str, *words: int) -> str:
    """One call; what it returned, as the kernel cuts it to 32 bits."""
    loads = "".join(f"r{register} = {word} ll\n" for register, word in enumerate(words, 2))
    return f"{loads}call bpf_{name}\nexit"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("skb_pull_data", (0,)),
        ("skb_pull_data", (78,)),
        ("skb_pull_data", (79,)),
        ("skb_change_tail", (78, 0)),
        ("skb_change_tail", (14, 0)),
        ("skb_change_tail", (13, 0)),
        ("skb_change_tail", (200, 0)),
        ("skb_change_tail", (60, 1)),
        ("skb_change_tail", (1 << 20, 0)),
        ("skb_change_head", (14, 0)),
        ("skb_change_head", (14, 1)),
        ("skb_change_head", (0xFFFFFFFF, 0)),
        ("skb_change_type", (0,)),
        ("skb_change_type", (3,)),
        ("skb_change_type", (4,)),
        ("skb_change_proto", (0xDD86, 0)),
        ("skb_change_proto", (0xDD86, 1)),
        ("skb_change_proto", (0x0008, 0)),
        ("skb_adjust_room", (8, 0, 0)),
        ("skb_adjust_room", (-8, 0, 0)),
        ("skb_adjust_room", (8, 1, 0)),
        ("skb_adjust_room", (-8, 1, 0)),
        ("skb_adjust_room", (0x1000, 0, 0)),
        ("skb_adjust_room", (-60, 0, 0)),
        ("skb_adjust_room", (8, 2, 0)),
        ("skb_adjust_room", (8, 0, 1 << 40)),
        ("csum_level", (0,)),
        ("csum_level", (1,)),
        ("csum_level", (4,)),
        ("csum_update", (7,)),
        ("skb_ecn_set_ce", ()),
        ("set_hash", (5,)),
        ("set_hash_invalid", ()),
    ],
    ids=str,
)
@pytest.mark.parametrize("packet", [V4, V6[:78]], ids=["ipv4", "ipv6"])
def test_calls_come_to_what_the_kernel_comes_to(
    name: str, words: tuple[int, ...], packet: bytes
) -> None:
    text = call(name, *[word & 0xFFFFFFFFFFFFFFFF for word in words])
    protocol = unpack_from("=H", packet, 12)[0]
    context = bytearray(SKB_BYTES)
    result = agree_with_protocol(text, packet, protocol, context)
    assert result is not None


def agree_with_protocol(
    text: str, packet: bytes, protocol: int, context: bytearray
) -> tuple[int, bytes | None]:
    """The kernel finds the protocol itself; here whoever fills the context writes it."""
    from tests.core.helpers.running import kernel

    value, changed = kernel(text, packet, kind=SCHED_CLS)
    context[16:20] = pack("=I", protocol)
    result = Case().run(text, packet, kind=SCHED_CLS, context=bytes(context))
    assert not result.end
    assert (result.value & 0xFFFFFFFF, result.packet) == (value, changed)
    assert result.context is not None
    assert unpack_from("=I", result.context)[0] == len(changed)
    return value, changed


@pytest.mark.parametrize("offset", [0, 14, 46, 47, 77, 78, 1 << 31])
@pytest.mark.parametrize("what", ["load", "store"])
def test_bytes_are_copied_as_in_the_kernel(offset: int, what: str) -> None:
    flags = "r5 = 0\n" if what == "store" else ""
    text = fetch(32, "skb") + (
        f"r1 = r6\nr2 = {offset} ll\n{pointer('r3', -32)}r4 = 32\n{flags}"
        f"call bpf_skb_{what}_bytes\nr7 = r0\n"
    )
    agree(text + store(32, "skb"), V4, kind=SCHED_CLS)


@pytest.mark.parametrize(
    ("offset", "header"), [(0, 0), (0, 1), (60, 0), (60, 1), (0, 2), (70000, 0)]
)
def test_bytes_are_found_by_header_as_in_the_kernel(offset: int, header: int) -> None:
    text = fetch(16, "skb") + (
        f"r1 = r6\nr2 = {offset}\n{pointer('r3', -16)}r4 = 16\nr5 = {header}\n"
        "call bpf_skb_load_bytes_relative\nr7 = r0\n"
    )
    agree(text + store(16, "skb"), V4, kind=SCHED_CLS)


def test_flags_of_stores_are_looked_at() -> None:
    text = f"r2 = 0\n{pointer('r3', -8)}r4 = 8\nr5 = 4\ncall bpf_skb_store_bytes\nexit"
    assert Case().run("*(u64 *)(r10 - 8) = 0\n" + text, V4, kind=SCHED_CLS).value == EINVAL


def vlan(context: bytes) -> tuple[int, ...]:
    return unpack_from("=III", context, 20)


def test_a_tag_is_kept_beside_the_packet_and_a_second_goes_into_it() -> None:
    push = "r1 = r6\nr2 = {:d}\nr3 = {:d}\ncall bpf_skb_vlan_push\n"
    text = "r6 = r1\n" + push.format(0x0081, 5) + push.format(0xA888, 7) + "exit"
    result = Case().run(text, V4, kind=SCHED_CLS)
    assert result.value == 0
    assert result.packet == V4[:12] + b"\x81\x00\x00\x05" + V4[12:]
    assert result.context is not None
    assert vlan(result.context) == (1, 7, 0xA888)
    again = "r6 = r1\n" + push.format(0x0081, 5) + push.format(0xA888, 7)
    again += "r1 = r6\ncall bpf_skb_vlan_pop\nexit"
    result = Case().run(again, V4, kind=SCHED_CLS)
    assert result.packet == V4
    assert result.context is not None
    assert vlan(result.context) == (1, 5, 0x0081)


def test_a_flow_has_one_hash_and_two_flows_have_two() -> None:
    text = "call bpf_get_hash_recalc\nexit"
    first = Case().run(text, V4, kind=SCHED_CLS).value
    assert first == Case().run(text, V4[:-1] + b"?", kind=SCHED_CLS).value != 0
    other = V4[:30] + b"\xff" + V4[31:]
    assert Case().run(text, other, kind=SCHED_CLS).value != first


def test_programs_without_link_header_see_the_network_header_first() -> None:
    """...and the link's is still there in front of it, if the hook left it there."""
    text = f"r2 = 0\n{pointer('r3', -8)}r4 = 2\nr5 = 1\ncall bpf_skb_load_bytes_relative\n"
    text += "r0 = *(u16 *)(r10 - 8)\nexit"
    packet = V4[14:]
    result = Case().run(
        text, packet, kind=CGROUP_SKB, context=bytes(SKB_BYTES), context_size=SKB_BYTES
    )
    assert result.value == unpack_from("=H", packet)[0]
