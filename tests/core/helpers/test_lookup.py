"""Routes, from a table of the user's; sockets, which only hooks have."""

from __future__ import annotations

from struct import pack, unpack_from

import pytest

from anybpf import _core
from tests.core.helpers.running import Case
from tests.core.helpers.texts import fetch, pointer, store

V4, V6 = 2, 10
DIRECT, OUTPUT, SKIP_NEIGHBOUR, TABLE, SOURCE = 1, 2, 4, 8, 16
EINVAL, ENODEV, EAFNOSUPPORT = -22, -19, -97
HERE, THERE = b"\2\0\0\0\0\1", b"\2\0\0\0\0\2"


def v4(text: str) -> bytes:
    return bytes(int(part) for part in text.split("."))


ROUTES = (
    (v4("10.0.0.0"), 8, 0, None, 2, 0, 100, 0, v4("10.9.9.9")),
    (v4("10.1.0.0"), 16, 0, v4("10.0.0.1"), 3, 0, 50, 0, None),
    (v4("10.1.0.0"), 16, 0, None, 2, 0, 60, 0, None),
    (v4("10.2.0.0"), 16, 2, None, 2, 0, 0, 0, None),
    (v4("10.3.0.0"), 16, 3, None, 2, 0, 0, 0, None),
    (v4("10.4.0.0"), 16, 4, None, 2, 0, 0, 0, None),
    (v4("10.5.0.0"), 16, 1, None, 2, 0, 0, 0, None),
    (v4("10.6.0.0"), 16, 0, None, 2, 0, 0, 600, None),
    (v4("10.7.0.0"), 17, 0, None, 3, 0, 0, 0, None),
    (v4("0.0.0.0"), 0, 0, None, 3, 7, 0, 0, None),
    (bytes([0xFD]) + bytes(15), 8, 0, None, 3, 0, 0, 0, None),
)
INTERFACES = ((1, 1500, False, HERE), (2, 1500, True, HERE), (3, 9000, True, HERE))
NEIGHBOURS = (
    (2, v4("10.0.0.5"), THERE),
    (3, v4("10.0.0.1"), THERE),
    (2, v4("10.6.0.1"), THERE),
    (3, v4("10.7.127.1"), THERE),
)

TEXT = (
    fetch(64)
    + f"r1 = r6\n{pointer('r2', -64)}r3 = {{size}}\nr4 = {{flags}}\n"
    + "call bpf_fib_lookup\nr7 = r0\n"
    + store(64)
)


def lookup(
    target: str | bytes,
    flags: int = 0,
    *,
    interface: int = 2,
    family: int = V4,
    length: int = 0,
    table: int = 0,
    size: int = 64,
) -> tuple[int, bytes]:
    """What bpf_fib_lookup returns, and the structure afterwards."""
    case = Case()
    routes = _core.Routes(case.domain, ROUTES, INTERFACES, NEIGHBOURS)
    address = v4(target) if isinstance(target, str) else target
    given = pack(
        "=BBHHHII16s16sI12s", family, 6, 0, 0, length, interface, 0, b"", address, table, b""
    )
    result = case.run(TEXT.format(size=size, flags=flags), given)
    routes.close()
    assert result.packet is not None
    return result.value, result.packet


def test_the_longest_prefix_counts_and_then_the_lesser_metric() -> None:
    value, found = lookup("10.1.2.3")
    assert value == 0
    assert unpack_from("=I", found, 8)[0] == 3
    assert unpack_from("=I", found, 12)[0] == 50
    assert found[32:36] == v4("10.0.0.1")
    assert (found[52:58], found[58:64]) == (HERE, THERE)
    assert unpack_from("=H", found, 6)[0] == 9000
    value, found = lookup("10.0.0.5")
    assert (value, found[32:36]) == (0, v4("10.0.0.5"))


@pytest.mark.parametrize(
    ("target", "value"),
    [("10.2.0.1", 1), ("10.3.0.1", 2), ("10.4.0.1", 3), ("10.5.0.1", 4), ("11.0.0.1", 4),
     ("10.0.0.6", 7), ("10.7.127.1", 0), ("10.7.128.1", 7)],
)  # fmt: skip
def test_kinds_of_routes_have_their_answers(target: str, value: int) -> None:
    assert lookup(target)[0] == value


def test_a_packet_too_long_is_told_how_long_it_may_be() -> None:
    value, found = lookup("10.6.0.1", length=601)
    assert (value, unpack_from("=H", found, 6)[0]) == (8, 600)
    assert lookup("10.6.0.1", length=600)[0] == 0


def test_flags_are_minded() -> None:
    assert lookup("10.0.0.6", SKIP_NEIGHBOUR)[0] == 0
    assert lookup("10.0.0.5", interface=1)[0] == 5
    assert lookup("10.0.0.5", OUTPUT, interface=1)[0] == 0
    value, found = lookup("10.0.0.5", SOURCE)
    assert (value, found[16:20]) == (0, v4("10.9.9.9"))
    assert lookup("10.1.2.3", SOURCE)[0] == 9
    assert lookup("11.0.0.1", TABLE | SKIP_NEIGHBOUR, table=7)[0] == 0
    assert lookup("10.0.0.5", 1 << 6)[0] == EINVAL


def test_what_is_wrong_is_an_error() -> None:
    assert lookup("10.0.0.5", interface=9)[0] == ENODEV
    assert lookup("10.0.0.5", family=7)[0] == EAFNOSUPPORT
    assert lookup("10.0.0.5", size=63)[0] == EINVAL
    assert lookup(bytes([0xFD]) + bytes(15), SKIP_NEIGHBOUR, family=V6)[0] == 0


def test_without_routes_there_are_no_interfaces() -> None:
    given = pack("=BBHHHII48x", V4, 6, 0, 0, 0, 2, 0)
    assert Case().run(TEXT.format(size=64, flags=0), given).value == ENODEV


@pytest.mark.parametrize(
    "routes",
    [((b"123", 8, 0, None, 2, 0, 0, 0, None),), ((bytes(4), 33, 0, None, 2, 0, 0, 0, None),),
     ((bytes(4), 8, 9, None, 2, 0, 0, 0, None),), (7,), ((bytes(4),),)],
)  # fmt: skip
def test_rows_that_make_no_sense_are_refused(routes: tuple[object, ...]) -> None:
    with pytest.raises((ValueError, TypeError)):
        _core.Routes(Case().domain, routes)  # type: ignore[arg-type]


def mtu(length: int, interface: int, difference: int = 0) -> tuple[int, int]:
    case = Case()
    routes = _core.Routes(case.domain, (), INTERFACES)
    text = f"*(u32 *)(r10 - 4) = {length}\nr2 = {interface}\n{pointer('r3', -4)}r4 = {difference}\n"
    text += "r5 = 0\ncall bpf_check_mtu\nr1 = *(u32 *)(r10 - 4)\nr1 <<= 32\nr0 += r1\nexit"
    value = case.run(text, bytes(1514)).value
    routes.close()
    return value & 0xFFFFFFFF, value >> 32


def test_lengths_are_held_against_the_interface() -> None:
    assert mtu(1500, 2) == (0, 1500)
    assert mtu(1501, 2) == (1, 1500)
    assert mtu(0, 2) == (0, 1500)
    assert mtu(0, 2, 1) == (1, 1500)
    assert mtu(0, 9)[0] == ENODEV & 0xFFFFFFFF


def test_without_a_hook_there_are_no_sockets() -> None:
    for name in ("sk_lookup_tcp", "sk_lookup_udp", "skc_lookup_tcp"):
        text = f"*(u64 *)(r10 - 8) = 0\n*(u64 *)(r10 - 16) = 0\n{pointer('r2', -16)}"
        text += f"r3 = 12\nr4 = -1\nr5 = 0\ncall bpf_{name}\nexit"
        assert Case().run(text).value == 0
    assert Case().run("r1 = 64\ncall bpf_sk_release\nexit").value == EINVAL
    assert Case().run("r1 = 64\ncall bpf_sk_fullsock\nexit").value == 0
