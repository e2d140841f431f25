"""Contexts by name, in the layouts of both platforms."""

from __future__ import annotations

import struct
import sys

import pytest

from anybpf.engines.contexts import ContextLayout, ContextValue
from anybpf.errors import InputError
from anybpf.platforms import get


def layout(kind: str, platform: str = "linux") -> ContextLayout:
    return ContextLayout(get(platform).program_type(kind))


def test_fields_go_where_the_platform_has_them() -> None:
    linux, windows = layout("xdp"), layout("xdp", "windows")
    assert linux.build({"ingress_ifindex": 3}) == struct.pack("=6I", 0, 0, 0, 3, 0, 0)
    assert windows.build({"ingress_ifindex": 3}) == struct.pack("=QQQII", 0, 0, 0, 3, 0)
    assert linux.read(linux.build({"rx_queue_index": 7}))["rx_queue_index"] == 7


def test_what_is_not_named_is_zero() -> None:
    assert layout("sched_cls").build() == bytes(192)
    assert layout("sched_cls").build({}) == bytes(192)


@pytest.mark.parametrize("kind", ["xdp", "sched_cls", "cgroup_sock_addr", "sock_ops", "sk_lookup"])
def test_every_field_is_read_back(kind: str) -> None:
    made = layout(kind)
    for name, field in made.fields.items():
        if field.kind != "scalar" or field.size not in (1, 2, 4, 8):
            continue
        assert made.read(made.build({name: 1}))[name] == 1, name


def test_arrays_take_bytes_or_numbers() -> None:
    made = layout("sched_cls")
    by_numbers = made.build({"cb": [1, 2, 3]})
    assert by_numbers == made.build({"cb": struct.pack("=3I", 1, 2, 3)})
    assert made.read(by_numbers)["cb"] == [1, 2, 3, 0, 0]
    bind = layout("bind", "windows")
    address = bytes(range(16))
    assert bind.read(bind.build({"socket_address": address}))["socket_address"] == address


def test_network_order_is_kept_where_the_type_says_so() -> None:
    made = layout("sock_addr", "windows")
    data = made.build({"msg_src_ip4": 0x7F000001})
    field = made.fields["msg_src_ip4"]
    assert field.type == "be32"
    assert data[field.offset : field.end] == b"\x7f\0\0\1"
    assert made.read(data)["msg_src_ip4"] == 0x7F000001


def test_arguments_are_given_in_a_row() -> None:
    made = layout("tracing")
    assert made.build([1, 2])[:16] == struct.pack("=QQ", 1, 2)
    assert made.build({"args": [1, 2]}) == made.build([1, 2])
    with pytest.raises(InputError, match="at most"):
        made.build([0] * 1000)


def test_an_unknown_field_gets_a_hint() -> None:
    with pytest.raises(InputError, match=r"xdp_md has no field 'ingres_ifindex' \(did you mean in"):
        layout("xdp").build({"ingres_ifindex": 3})
    with pytest.raises(InputError, match="there are: data, data_end"):
        layout("xdp").build({"zzz": 3})


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"ingress_ifindex": 1 << 32}, "4 bytes, 4294967296 does not fit"),
        ({"ingress_ifindex": -(1 << 31) - 1}, "does not fit"),
        ({"ingress_ifindex": "eth0"}, "takes a number or bytes, not str"),
        ({"ingress_ifindex": 1.5}, "takes a number or bytes, not float"),
        ({"ingress_ifindex": b"12345"}, "has 4 bytes, not 5"),
        ({"ingress_ifindex": [1, 2]}, "has 1 elements, 2 were given"),
        (b"\1" * 25, "has 24 bytes, 25 were given"),
        ([1, 2], "has fields: give values by name"),
        ("text", "bytes or values by name, such as ctx="),
        (3, "not int"),
    ],
)
def test_what_does_not_fit_is_refused(value: ContextValue, words: str) -> None:
    with pytest.raises(InputError, match=words):
        layout("xdp").build(value)


def test_bytes_may_be_short_or_end_in_zeros() -> None:
    made = layout("xdp")
    assert made.build(bytes(12) + b"\1") == bytes(12) + b"\1" + bytes(11)
    assert made.build(bytes(100)) == bytes(24)


def test_a_negative_number_is_its_twos_complement() -> None:
    assert layout("xdp").build({"ingress_ifindex": -1})[12:16] == b"\xff" * 4


def test_packet_fields_are_distances() -> None:
    made = layout("xdp")
    assert made.packet_place({"data": 8, "data_end": 64}, 64).meta == 8
    assert made.packet_place(struct.pack("=6I", 8, 64, 0, 0, 0, 0), 64).meta == 8
    assert made.packet_place(None, 64).meta == 0
    # They are not among the bytes: programs read them from the header in front.
    assert made.build({"data": 8, "data_end": 64}) == bytes(24)
    after = made.read(made.with_packet(bytes(24), 8, 60))
    assert (after["data_meta"], after["data"], after["data_end"]) == (0, 8, 60)


@pytest.mark.parametrize(
    ("ctx", "words"),
    [
        ({"data_end": 63}, "data_end of the context is 63, but the data given has 64 bytes"),
        ({"data_meta": 1}, "data_meta must be 0"),
        ({"data": 3}, "a multiple of 4"),
        ({"data": 68}, "at most 64"),
        ({"data": b"12"}, "a number of bytes"),
    ],
)
def test_a_packet_elsewhere_is_refused(ctx: ContextValue, words: str) -> None:
    with pytest.raises(InputError, match=words):
        layout("xdp").packet_place(ctx, 64)


def test_no_addresses_are_taken() -> None:
    """What a program follows is not for a caller to make up."""
    made = layout("sched_cls")
    assert made.build({"sk": 0}) == bytes(192)
    with pytest.raises(InputError, match="field sk is a pointer"):
        made.build({"sk": 0x1234})
    with pytest.raises(InputError, match="field sk is a pointer"):
        made.build(bytes(168) + b"\1")


def test_types_without_a_context_say_so() -> None:
    unspec = layout("unspec")
    assert unspec.build() == b""
    with pytest.raises(InputError, match="no context"):
        unspec.build({"a": 1})


def test_the_order_of_bytes_is_the_machines() -> None:
    assert layout("xdp").build({"ingress_ifindex": 1})[12:16] == (1).to_bytes(4, sys.byteorder)
