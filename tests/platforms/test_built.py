"""What the embedded runtime has of a platform, in the platform's numbers."""

from __future__ import annotations

import pytest

from anybpf import _core
from anybpf.platforms import Extension, Helper, get
from anybpf.platforms.built import REASONS, is_built, unbuilt, why_unbuilt


@pytest.mark.parametrize("name", ["linux", "windows"])
def test_every_status_has_a_number(name: str) -> None:
    codes = get(name).codes()
    assert len(codes) == len(_core.STATUSES)
    assert codes[0] == 0
    assert all(code < 0 for code in codes[1:])
    assert set(get(name).statuses) == set(_core.STATUSES) - {"OK"}


def test_numbers_are_the_platforms_own() -> None:
    linux = dict(zip(_core.STATUSES, get("linux").codes(), strict=True))
    windows = dict(zip(_core.STATUSES, get("windows").codes(), strict=True))
    assert (linux["MISSING_KEY"], windows["MISSING_KEY"]) == (-2, -19)
    assert (linux["QUEUE_FULL"], windows["QUEUE_FULL"]) == (-7, -29)


def test_windows_general_helpers_are_all_built() -> None:
    names = [helper.name for helper in get("windows").helpers]
    assert unbuilt("windows", names) == {}


def test_every_built_helper_is_one_of_a_platform() -> None:
    known = {kfunc.name for kfunc in get("linux").kfuncs}
    for name in ("linux", "windows"):
        platform = get(name)
        known |= {helper.name for helper in platform.helpers}
        known |= {one.name for kind in platform.program_types for one in kind.own_helpers}
    bare = {name.removeprefix("bpf_") for name in known}
    assert [name for name in _core.helpers() if name not in bare] == []


@pytest.mark.parametrize(
    "name",
    ["bpf_map_lookup_elem", "tail_call", "bpf_snprintf", "bpf_fib_lookup", "bpf_iter_num_next"],
)
def test_what_is_built_is_found_with_or_without_prefix(name: str) -> None:
    assert is_built(name)
    assert unbuilt("linux", [name]) == {}


def test_every_refusal_says_why() -> None:
    linux = get("linux")
    names = [helper.name for helper in linux.helpers] + [kfunc.name for kfunc in linux.kfuncs]
    lacking = unbuilt(linux, names)
    assert "running kernel" in lacking["bpf_get_current_task"]
    assert "hook" in lacking["bpf_get_func_arg"]
    assert all(lacking.values())


def test_every_reason_is_given_of_something() -> None:
    names = [kfunc.name for kfunc in get("linux").kfuncs]
    for platform in (get("linux"), get("windows")):
        names += [helper.name for helper in platform.helpers]
        names += [one.name for kind in platform.program_types for one in kind.own_helpers]
    given = {why_unbuilt(name) for name in names if not is_built(name)}
    assert {reason for reason, _ in REASONS} <= given


def test_an_extensions_helper_is_the_extensions_to_supply() -> None:
    windows = get("windows")
    row = Helper(9000, "bpf_get_answer")
    windows.register(Extension("answers", helpers=[row]))
    try:
        assert "answers" in unbuilt(windows, ["bpf_get_answer"])["bpf_get_answer"]
    finally:
        windows.unregister("answers")
