"""What must hold where a program ends."""

from __future__ import annotations

import pytest

from anybpf.verifier.environment import Environment
from anybpf.verifier.exits import check_exit
from anybpf.verifier.state import Held
from anybpf.verifier.values import MEMORY, NOTHING, Region, Value, number
from tests.verifier.checking import environment, kind_of, state_of, within


def end(env: Environment, value: Value) -> str:
    st = state_of(env)
    st.regs[0] = value
    return kind_of(check_exit(st, env))


def test_something_must_be_returned() -> None:
    assert end(environment("xdp"), NOTHING) == "uninitialized-register"
    assert end(environment("xdp"), number(2)) == ""


@pytest.mark.parametrize(
    ("type_name", "attach_type", "value", "kind"),
    [
        ("cgroup_sock", "", number(1), ""),
        ("cgroup_sock", "", number(2), "return-value"),
        ("cgroup_sock", "", within(0, 1), ""),
        ("cgroup_sock", "", within(0, 2), "return-value"),
        ("cgroup_skb", "cgroup_inet_egress", number(3), ""),
        ("cgroup_skb", "cgroup_inet_ingress", number(3), "return-value"),
        ("lsm", "lsm_mac", number(-13), ""),
        ("lsm", "lsm_mac", number(1), "return-value"),
        ("kprobe", "", within(-(2**63), 2**63 - 1), ""),
    ],
)
def test_types_limit_what_is_returned(
    type_name: str, attach_type: str, value: Value, kind: str
) -> None:
    assert end(environment(type_name, attach_type=attach_type), value) == kind


def test_pointers_are_returned_only_where_they_may_leak() -> None:
    context = state_of(environment("xdp")).regs[1]
    assert end(environment("xdp"), context) == ""
    assert end(environment("xdp", platform="windows"), context) == "pointer-leak"
    assert end(environment("cgroup_sock"), context) == "return-value"


def test_all_that_was_taken_is_given_back() -> None:
    env = environment("xdp")
    st = state_of(env)
    st.regs[0] = number(2)
    st.acquire(Region(MEMORY, 16, False, -1))
    fault = check_exit(st, env)
    assert fault is not None
    assert fault.kind == "reference-leak"
    assert "16 bytes" in fault.message


@pytest.mark.parametrize("counts", [(1, 0, 0), (0, 1, 0), (0, 0, 1)])
def test_sections_are_closed(counts: tuple[int, int, int]) -> None:
    env = environment("xdp")
    st = state_of(env)
    st.regs[0] = number(2)
    st.held = Held([], [], *counts)
    assert kind_of(check_exit(st, env)) == "lock"
