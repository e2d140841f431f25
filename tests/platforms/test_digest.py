"""The digest of what a platform's tables say to a program: it changes with that, and only then."""

from __future__ import annotations

import pytest

from anybpf.platforms import Extension, Helper, ReturnRange, get


def used() -> str:
    """Of a program that looks something up in an array."""
    return get("linux").digest("xdp", "", ["map_lookup_elem"], ["array"])


def test_it_is_stable_across_processes() -> None:
    """Sets have another order in each process: the digest must not show it."""
    import subprocess
    import sys

    code = (
        "from anybpf.platforms import get; "
        "print(get('linux').digest('sched_cls', '', ['redirect', 'timer_set_callback'], ['hash']))"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={**__import__("os").environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(seen) == 1


def test_a_helper_that_nobody_calls_changes_nothing() -> None:
    linux = get("linux")
    before = used()
    linux.register(Extension("more", helpers=[Helper(60_000, "bpf_more")]))
    try:
        assert used() == before
        assert linux.digest("xdp", calls=["more"]) != linux.digest("xdp")
    finally:
        linux.unregister("more")


@pytest.mark.parametrize("change", ["returns", "limits", "helper", "map", "field"])
def test_what_a_proof_stands_on_changes_it(change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    linux = get("linux")
    before = used()
    xdp = linux.program_type("xdp")
    assert xdp.context is not None
    if change == "returns":
        monkeypatch.setattr(xdp, "returns", (ReturnRange(0, 3),))
    elif change == "limits":
        monkeypatch.setitem(linux.limits, next(iter(linux.limits)), 7)
    elif change == "helper":
        monkeypatch.setattr(linux.helper("bpf_map_lookup_elem").returns, "nullable", False)
    elif change == "map":
        monkeypatch.setattr(linux.map_type("array"), "read_only", True)
    else:
        monkeypatch.setattr(xdp.context.fields[0], "offset", 4)
    assert used() != before


def test_each_platform_type_and_attach_type_has_its_own() -> None:
    linux = get("linux")
    digests = {
        linux.digest("xdp"),
        linux.digest("sched_cls"),
        linux.digest("cgroup_sock_addr", "cgroup_inet4_bind"),
        linux.digest("cgroup_sock_addr", "cgroup_inet4_connect"),
        get("windows").digest("xdp"),
    }
    assert len(digests) == 5
