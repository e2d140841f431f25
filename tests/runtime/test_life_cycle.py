"""Open, set, load: what was changed in a spec is what is loaded."""

from __future__ import annotations

import pytest

from anybpf import load_spec
from anybpf.errors import InputError, NotFound
from anybpf.runtime import Runtime
from tests.objects.conftest import Build
from tests.objects.test_editing import SETTINGS
from tests.runtime.making import PASS, collection, map_spec


def test_what_was_set_in_the_spec_is_loaded(runtime: Runtime, build: Build) -> None:
    spec = load_spec(build(SETTINGS))
    spec.set("limit", 5)
    spec.set("ports", {"low": 10, "high": 0})
    spec.set("name", "a")
    with runtime.load(spec) as loaded:
        # limit + mode + ports.low + name[0] + shift + table[0]
        assert loaded.program().test_run(bytes(64)).value == 5 + 0 + 10 + ord("a") - 3
        assert loaded.variable("ports").value == {"low": 10, "high": 0}
        assert spec.get("shift") == -3


def test_variables_are_given_by_type_at_loading(runtime: Runtime, build: Build) -> None:
    values = {"limit": 1, "mode": "LOUD", "ports": {"low": 2}, "name": "b", "table": [7, 8, 9]}
    with runtime.load(build(SETTINGS), variables=values) as loaded:
        assert loaded.variable("table").value == [7, 8, 9]
        assert loaded.program().test_run(bytes(64)).value == 1 + 5 + 2 + ord("b") - 3 + 7
    with pytest.raises(InputError, match="variable mode cannot be 'SHOUTING'"):
        runtime.load(build(SETTINGS), variables={"mode": "SHOUTING"})


def test_a_map_is_given_other_sizes_and_another_type(runtime: Runtime) -> None:
    spec = collection(PASS, maps=[map_spec("seen", "hash", entries=4)])
    seen = spec.map("seen")
    seen.type, seen.max_entries, seen.value_size = "lru_hash", 100, 16
    with runtime.load(spec) as loaded:
        info = loaded.map("seen").info()
        assert (info.type_name, info.max_entries, info.value_size) == ("lru_hash", 100, 16)


def test_a_program_is_left_out_and_taken_in(runtime: Runtime) -> None:
    spec = collection(PASS, PASS)
    spec.programs["main"].autoload = False
    with runtime.load(spec) as loaded:
        assert list(loaded.programs) == ["main1"]
    spec.programs["main"].autoload = True
    with runtime.load(spec) as loaded:
        assert sorted(loaded.programs) == ["main", "main1"]


def test_a_map_is_pinned_at_its_own_path_and_found_there(runtime: Runtime) -> None:
    spec = collection(PASS, maps=[map_spec("seen", "hash")])
    spec.map("seen").pin_path = "/sys/fs/bpf/mine/table"
    with runtime.load(spec) as first, runtime.load(spec) as second:
        first.map("seen").update(b"\1\0\0\0", bytes(8))
        assert second.map("seen").id == first.map("seen").id
        assert first.map("seen").pins == ["/sys/fs/bpf/mine/table"]
        first.map("seen").unpin()


def test_a_subset_is_loaded_by_itself(runtime: Runtime, build: Build) -> None:
    spec = load_spec(build(SETTINGS)).subset(["counts"])
    assert {".data", ".rodata"} <= set(spec.maps)
    with runtime.load(spec) as loaded:
        assert list(loaded.programs) == ["counts"]
        assert loaded.variable("limit").value == 42
    with pytest.raises(NotFound, match="no program is named 'count'"):
        spec.subset(["count"])


def test_a_map_of_the_spec_is_replaced_by_one_that_is_there(runtime: Runtime) -> None:
    spec = collection(PASS, maps=[map_spec("seen", "hash")])
    with (
        runtime.create_map(map_spec("seen", "hash")) as mine,
        runtime.load(spec, maps={"seen": mine}) as loaded,
    ):
        mine.update(b"\1\0\0\0", b"\2" + bytes(7))
        assert loaded.map("seen").id == mine.id
