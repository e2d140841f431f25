"""Objects have numbers and references, and go exactly when the last reference goes."""

from __future__ import annotations

import gc
import warnings

import pytest

from anybpf.errors import ClosedError, InputError, NotFound
from anybpf.runtime import Runtime
from tests.runtime.making import PASS, collection, map_spec

USES_COUNTS = """
    *(u32 *)(r10 - 4) = 0
    r2 = r10
    r2 += -4
    r1 = map[counts]
    call bpf_map_lookup_elem
    r0 = 2
    exit
"""


def objects(runtime: Runtime) -> list[tuple[str, int]]:
    return [(kind, n) for kind in ("map", "program", "link", "btf") for n in runtime.ids(kind)]


def test_one_counter_for_all_kinds(runtime: Runtime) -> None:
    with runtime.load(collection(USES_COUNTS, maps=[map_spec()])):
        assert objects(runtime) == [("map", 1), ("program", 2)]
    with runtime.load(collection(PASS)) as again:
        assert again.program().id == 3  # no number is given twice


def test_windows_begins_with_two(windows: Runtime) -> None:
    with windows.load(collection("r0 = 0\nexit", kind="bind", platform="windows")) as loaded:
        assert loaded.program().id == 2


def test_walking_by_number(runtime: Runtime) -> None:
    with runtime.load(collection(PASS, PASS)):
        assert runtime.next_id("program") == 1
        assert runtime.next_id("program", 1) == 2
        assert runtime.next_id("program", 2) is None
        assert [info.name for info in runtime.infos("program")] == ["main", "main1"]
    with pytest.raises(NotFound, match="no program has the id 1; there are: none"):
        runtime.program(1)
    with pytest.raises(InputError, match="of the kinds map, program"):
        runtime.ids("programs")


def test_the_last_handle_takes_the_object_along(runtime: Runtime) -> None:
    loaded = runtime.load(collection(PASS))
    first = loaded.program()
    second = runtime.program(first.id)
    first.close()
    assert second.test_run(bytes(64)).retval_name == "XDP_PASS"
    first.close()  # does not take the other's reference
    assert runtime.ids("program") == [second.id]
    second.close()
    assert runtime.ids("program") == []


def test_a_closed_handle_says_so(runtime: Runtime) -> None:
    loaded = runtime.load(collection(USES_COUNTS, maps=[map_spec()]))
    program, one = loaded.program(), loaded.map("counts")
    loaded.close()
    loaded.close()
    with pytest.raises(ClosedError, match=r"program main .* was closed"):
        program.test_run(bytes(64))
    with pytest.raises(ValueError, match="closed"):  # as files do
        one.get(0)


def test_a_program_keeps_its_maps(runtime: Runtime) -> None:
    loaded = runtime.load(collection(USES_COUNTS, maps=[map_spec()]))
    number = loaded.map("counts").id
    loaded.map("counts").close()
    assert runtime.ids("map") == [number]
    with runtime.map(number) as again:
        assert again[0] == bytes(8)
    loaded.program().close()
    assert runtime.ids("map") == []
    loaded.close()


def test_contents_outlive_handles_while_something_refers(runtime: Runtime) -> None:
    loaded = runtime.load(collection(USES_COUNTS, maps=[map_spec()]))
    with loaded.map("counts") as one:
        one[0] = b"8 bytes!"
        number = one.id
    with runtime.map(number) as again:
        assert again[0] == b"8 bytes!"
    loaded.close()


def test_a_forgotten_handle_warns_with_its_place(runtime: Runtime) -> None:
    loaded = runtime.load(collection(PASS))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del loaded
        gc.collect()
    texts = [str(one.message) for one in caught if one.category is ResourceWarning]
    assert len(texts) == 1
    assert "program main (id 1) was never closed; it was made at" in texts[0]
    assert __file__ in texts[0]
    assert runtime.ids("program") == []


def test_a_forgotten_map_warns_too(runtime: Runtime) -> None:
    one = runtime.create_map(map_spec())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del one
        gc.collect()
    assert [str(w.message).split(" (")[0] for w in caught] == ["map counts"]
    assert runtime.ids("map") == []


TAIL_CALL = """
    r6 = r1
    r2 = map[jumps]
    r3 = 0
    call bpf_tail_call
    r0 = 1
    exit
"""


def test_a_program_array_holds_its_programs(runtime: Runtime) -> None:
    loaded = runtime.load(
        collection(TAIL_CALL, PASS, maps=[map_spec("jumps", "prog_array", value=4)])
    )
    jumps, target = loaded.map("jumps"), loaded.programs["main1"]
    assert jumps.keeper.store(bytes(4), target) == 0
    number = target.id
    target.close()
    assert number in runtime.ids("program")
    assert loaded.programs["main"].test_run(bytes(64)).retval_name == "XDP_PASS"
    with jumps.keeper.held(bytes(4)) as inside:
        assert inside.id == number
    assert jumps.keeper.erase(bytes(4)) == 0
    assert number not in runtime.ids("program")
    assert loaded.programs["main"].test_run(bytes(64)).retval_name == "XDP_DROP"
    loaded.close()


def test_replacing_an_entry_lets_the_old_one_go(runtime: Runtime) -> None:
    loaded = runtime.load(
        collection(TAIL_CALL, PASS, PASS, maps=[map_spec("jumps", "prog_array", value=4)])
    )
    keeper = loaded.map("jumps").keeper
    for name in ("main1", "main2"):
        assert keeper.store(bytes(4), loaded.programs[name]) == 0
        loaded.programs[name].close()
    assert [info.name for info in runtime.infos("program")] == ["main", "main2"]
    loaded.close()


def test_an_array_is_emptied_when_its_last_user_goes(runtime: Runtime) -> None:
    """A program that is in the array that it uses would keep itself alive for ever."""
    loaded = runtime.load(collection(TAIL_CALL, maps=[map_spec("jumps", "prog_array", value=4)]))
    assert loaded.map("jumps").keeper.store(bytes(4), loaded.program()) == 0
    loaded.program().close()
    assert len(objects(runtime)) == 2
    loaded.map("jumps").close()
    assert objects(runtime) == []


def test_a_pin_is_a_user_reference_too(runtime: Runtime) -> None:
    loaded = runtime.load(collection(TAIL_CALL, maps=[map_spec("jumps", "prog_array", value=4)]))
    jumps = loaded.map("jumps")
    assert jumps.keeper.store(bytes(4), loaded.program()) == 0
    jumps.pin("/sys/fs/bpf/jumps")
    loaded.close()
    assert len(objects(runtime)) == 2
    runtime.remove_pin("/sys/fs/bpf/jumps")
    assert objects(runtime) == []


@pytest.mark.parametrize(("platform", "goes"), [("linux", False), ("windows", True)])
def test_what_empties_maps_of_maps_is_the_platforms_habit(platform: str, goes: bool) -> None:
    """Windows drops the contents with the last user; on Linux a program goes on finding them."""
    kind = {"linux": "xdp", "windows": "bind"}[platform]
    text = """
        *(u32 *)(r10 - 4) = 0
        r2 = r10
        r2 += -4
        r1 = map[outer]
        call bpf_map_lookup_elem
        r0 = 0
        exit
    """
    outer = map_spec("outer", "array_of_maps", value=4, inner=map_spec("template"))
    with Runtime(platform, cpus=2) as runtime:
        loaded = runtime.load(collection(text, maps=[outer], kind=kind, platform=platform))
        inner = runtime.create_map(map_spec("inside"))
        assert loaded.map("outer").keeper.store(bytes(4), inner) == 0
        inner.close()
        assert len(runtime.ids("map")) == 2
        loaded.map("outer").close()
        assert len(runtime.ids("map")) == (1 if goes else 2)
        loaded.close()
        assert objects(runtime) == []


def test_what_does_not_fit_is_not_held(runtime: Runtime) -> None:
    loaded = runtime.load(collection(TAIL_CALL, maps=[map_spec("jumps", "prog_array", value=4)]))
    other = runtime.load(collection("r0 = 0\nexit", kind="sched_cls"))
    plain = runtime.create_map(map_spec("plain"))
    keeper = loaded.map("jumps").keeper
    assert keeper.store(bytes(4), loaded.program()) == 0
    assert keeper.store((1).to_bytes(4, "little"), other.program()) != 0  # another program type
    assert keeper.store(bytes(4), plain) != 0
    assert keeper.store(bytes(4), 12345) != 0
    assert keeper.store((99).to_bytes(4, "little"), loaded.program()) != 0  # behind the end
    assert plain.keeper.store(bytes(4), loaded.program()) != 0
    for one in (loaded, other, plain):
        one.close()


def test_a_runtime_that_closes_takes_all_along() -> None:
    runtime = Runtime("linux", cpus=1)
    loaded = runtime.load(collection(USES_COUNTS, maps=[map_spec()]))
    loaded.program().pin("/sys/fs/bpf/main")
    runtime.close()
    runtime.close()
    with pytest.raises(ClosedError):
        loaded.program().test_run(bytes(64))
    with pytest.raises(ClosedError, match="the runtime was closed"):
        runtime.load(collection(PASS))
    loaded.close()


def test_statistics_count_while_they_are_on(runtime: Runtime) -> None:
    with runtime.load(collection(PASS)) as loaded:
        program = loaded.program()
        program.test_run(bytes(64), repeat=3)
        assert program.info().run_cnt == 0
        with runtime.enable_statistics():
            program.test_run(bytes(64), repeat=3)
        program.test_run(bytes(64), repeat=3)
        info = program.info()
        assert info.run_cnt == 3
        assert info.run_time_ns > 0
        assert not runtime.statistics


def test_info_has_the_kernels_fields(runtime: Runtime) -> None:
    with runtime.load(collection(USES_COUNTS, maps=[map_spec()])) as loaded:
        info = loaded.program().info()
        assert (info.type, info.type_name, info.name) == (6, "xdp", "main")
        assert info.map_ids == (loaded.map("counts").id,)
        assert info.gpl_compatible
        assert info.load_time > 0
        assert info.xlated_prog_len == 8 * 8
        about = loaded.map("counts").info()
        assert (about.type, about.key_size, about.value_size, about.max_entries) == (2, 4, 8, 4)
        assert about.memlock > 0
        assert not about.frozen
