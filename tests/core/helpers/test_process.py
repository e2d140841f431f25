"""Whose doing an event is, what time it is, and where the program runs."""

from __future__ import annotations

import os
import time
from struct import pack
from typing import Any

import pytest

from tests.core.helpers.running import Case
from tests.core.helpers.texts import pointer

# struct anybpf_event up to `present`: run.h.
WORDS = {
    "get_current_pid_tgid": (0, 1 << 0),
    "get_current_uid_gid": (1, 1 << 1),
    "get_current_cgroup_id": (2, 1 << 3),
    "get_socket_cookie": (3, 1 << 4),
    "get_netns_cookie": (4, 1 << 5),
    "get_attach_cookie": (5, 1 << 6),
    "get_func_ip": (6, 1 << 7),
    "get_current_logon_id": (7, 1 << 8),
    "get_current_process_start_key": (8, 1 << 9),
    "get_current_thread_create_time": (9, 1 << 9),
}


def event(present: int = 0, admin: int = 0, comm: bytes = b"", **words: int) -> bytes:
    numbers = [words.get(name, 0) for name in WORDS]
    return pack("=QQ16s8QiI", *numbers[:2], comm, *numbers[2:], admin, present)


@pytest.mark.parametrize("name", WORDS)
def test_the_event_says_it(name: str) -> None:
    text = f"call bpf_{name}\nexit"
    word: dict[str, Any] = {name: 0x1234567890}
    known = event(WORDS[name][1], **word)
    assert Case().run(text, event=known).value == 0x1234567890


def test_without_an_event_it_is_this_process() -> None:
    ids = Case().run("call bpf_get_current_pid_tgid\nexit").value
    assert ids >> 32 == os.getpid()
    if hasattr(os, "getuid"):
        user = Case().run("call bpf_get_current_uid_gid\nexit").value
        assert user == os.getgid() << 32 | os.getuid()
    assert Case().run("call bpf_get_socket_cookie\nexit").value == 0
    assert Case().run("call bpf_get_socket_uid\nexit").value == 65534


@pytest.mark.parametrize("admin", [1, 0, -22])
def test_who_is_administrator(admin: int) -> None:
    text = "call bpf_is_current_admin\nexit"
    assert Case().run(text, platform="windows").value == -1
    known = event(1 << 10, admin)
    assert Case().run(text, platform="windows", event=known).value == admin


@pytest.mark.parametrize(("size", "name"), [(16, b"daemon"), (4, b"dae"), (1, b"")])
def test_a_name_is_cut_and_ends_with_a_zero(size: int, name: bytes) -> None:
    text = f"""
    r1 = -1
    *(u64 *)(r10 - 8) = r1
    *(u64 *)(r10 - 16) = r1
    {pointer("r1", -16)}
    r2 = {size}
    call bpf_get_current_comm
    if r0 != 0 goto out
    r0 = *(u64 *)(r10 - 16)
    out:
    exit
    """
    value = Case().run(text, event=event(1 << 2, comm=b"daemon")).value
    found = (value & (1 << 64) - 1).to_bytes(8, "little")
    assert found[: min(size, 8)] == name.ljust(min(size, 8), b"\0")
    assert Case().run(text).value == -22


@pytest.mark.parametrize(
    ("name", "clock", "unit"),
    [
        ("ktime_get_ns", "CLOCK_MONOTONIC", 1),
        ("ktime_get_coarse_ns", "CLOCK_MONOTONIC", 1),
        ("ktime_get_boot_ns", "CLOCK_BOOTTIME", 1),
        ("ktime_get_tai_ns", "CLOCK_TAI", 1),
        ("ktime_get_ms", "CLOCK_MONOTONIC", 1_000_000),
        ("ktime_get_boot_ms", "CLOCK_BOOTTIME", 1_000_000),
        ("jiffies64", "CLOCK_MONOTONIC", 4_000_000),
    ],
)
def test_clocks_are_the_systems(name: str, clock: str, unit: int) -> None:
    number = getattr(time, clock, None)
    if number is None:
        pytest.skip(f"no {clock} here")
    before = time.clock_gettime_ns(number)
    found = Case().run(f"call bpf_{name}\nexit").value * unit
    assert before - 20_000_000 <= found <= time.clock_gettime_ns(number)


def test_the_processor_is_the_seat() -> None:
    case = Case(cpus=4)
    text = "call bpf_get_smp_processor_id\nexit"
    assert [case.run(text, cpu=cpu).value for cpu in range(4)] == [0, 1, 2, 3]


def test_chance_is_32_bits_and_never_the_same() -> None:
    text = "call bpf_get_prandom_u32\nexit"
    found = {Case().run(text).value for _ in range(20)}
    assert len(found) > 15
    assert all(0 <= one < 1 << 32 for one in found)
