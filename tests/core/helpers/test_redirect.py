"""Where packets go: decisions, which a hook carries out; and other programs."""

from __future__ import annotations

import pytest

from tests.core.helpers.running import SCHED_CLS, XDP, XDP_BYTES, Case

ABORTED, REDIRECT, SHOT, TC_REDIRECT = 0, 4, 2, 7
EINVAL = -22


def test_an_interface_is_named() -> None:
    result = Case().run("r1 = 7\nr2 = 0\ncall bpf_redirect\nexit", bytes(64))
    assert result.value == REDIRECT
    assert result.redirect is not None
    assert result.redirect[:3] == (1, 0, 7)
    result = Case().run("r1 = 7\nr2 = 1\ncall bpf_redirect\nexit", bytes(64), kind=SCHED_CLS)
    assert result.value == TC_REDIRECT
    assert result.redirect is not None
    assert result.redirect[:4] == (1, 0, 7, 1)


@pytest.mark.parametrize(("kind", "value"), [(XDP, ABORTED), (SCHED_CLS, SHOT)])
def test_flags_that_are_not_known_drop_the_packet(kind: int, value: int) -> None:
    result = Case().run("r1 = 7\nr2 = 16\ncall bpf_redirect\nexit", bytes(64), kind=kind)
    assert (result.value, result.redirect) == (value, None)


def test_a_map_says_where() -> None:
    case = Case({"kind": "devmap", "key_size": 4, "value_size": 4, "max_entries": 4})
    text = "r1 = map 0 ll\nr2 = {}\nr3 = {}\ncall bpf_redirect_map\nexit"
    assert case.maps[0].update(b"\2\0\0\0", b"\x09\0\0\0") == 0
    result = case.run(text.format(2, 0), bytes(64))
    assert result.value == REDIRECT
    assert result.redirect is not None
    assert result.redirect[0] == 2
    assert result.redirect[1:3] == (case.maps[0].id, 2)
    assert result.redirect[4][:4] == b"\x09\0\0\0"
    for key, flags, value in ((1, 0, 0), (1, 2, 2), (9, 1, 1), (2, 1 << 10, ABORTED)):
        missed = case.run(text.format(key, flags), bytes(64))
        assert (missed.value, missed.redirect) == (value, None)
    assert case.run(text.format(0, 8), bytes(64)).value == REDIRECT  # to all


def test_other_maps_are_none() -> None:
    case = Case({"kind": "array", "key_size": 4, "value_size": 4, "max_entries": 4})
    text = "r1 = map 0 ll\nr2 = 0\nr3 = 1\ncall bpf_redirect_map\nexit"
    assert case.run(text, bytes(64)).value == ABORTED


def test_copies_are_sent_by_hooks_alone() -> None:
    text = "r2 = 7\nr3 = 0\ncall bpf_clone_redirect\nexit"
    assert Case().run(text, bytes(64), kind=SCHED_CLS).value == EINVAL


PROGRAMS = {"kind": "prog_array", "key_size": 4, "value_size": 4, "max_entries": 2}
JUMP = "r6 = r1\nr2 = map 0 ll\nr3 = {}\ncall bpf_tail_call\n{}\nexit"


def test_a_tail_call_does_not_come_back() -> None:
    case = Case(PROGRAMS)
    other = case.program("r0 = 42\nexit")
    assert case.maps[0].update(bytes(4), other.id.to_bytes(4, "little")) == 0
    assert case.run(JUMP.format(0, "r0 = 1")).value == 42
    assert case.run(JUMP.format(1, "r0 = 1")).value == 1  # empty
    assert case.run(JUMP.format(2, "r0 = 1")).value == 1  # not there


def test_windows_says_why_not() -> None:
    case = Case(PROGRAMS)
    assert case.run(JUMP.format(0, ""), platform="windows").value == -6
    assert case.run(JUMP.format(9, ""), platform="windows").value == -6


def test_a_chain_has_33_calls() -> None:
    case = Case(PROGRAMS, {"kind": "array", "key_size": 4, "value_size": 8, "max_entries": 1})
    text = "r2 = value 1 ll\nr3 = *(u64 *)(r2 + 0)\nr3 += 1\n*(u64 *)(r2 + 0) = r3\n" + JUMP.format(
        0, "r2 = value 1 ll\nr0 = *(u64 *)(r2 + 0)"
    )
    program = case.program(text)
    assert case.maps[0].update(bytes(4), program.id.to_bytes(4, "little")) == 0
    assert program.run(context=bytes(XDP_BYTES))[0] == 34


def test_a_program_that_does_not_fit_is_not_called() -> None:
    case = Case(PROGRAMS)
    assert case.run("r2 = map 0 ll\nr3 = 0\nr1 = r10\ncall bpf_tail_call\nr0 = 5\nexit").value == 5
    assert case.run("r2 = 64\nr3 = 0\ncall bpf_tail_call\nr0 = 5\nexit").value == 5
