"""Where the platforms differ, programs notice; and what is the same on both."""

from __future__ import annotations

from pathlib import Path

import pytest

from anybpf import _core
from anybpf.runtime import Runtime
from tests.runtime.making import PASS, collection, map_spec

TAIL_CALL = "r2 = map[jumps]\nr3 = 0\ncall bpf_tail_call\nexit"


def signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def test_a_tail_call_that_cannot_be_returns_a_result_on_windows(windows: Runtime) -> None:
    jumps = map_spec("jumps", "prog_array", value=4)
    with windows.load(collection(TAIL_CALL, kind="bind", platform="windows", maps=[jumps])) as one:
        assert signed(one.program().test_run(b"app").value) < 0


def test_a_chain_ends_after_33_calls(runtime: Runtime) -> None:
    """Each program counts, and calls itself."""
    text = """
        r6 = r1
        *(u32 *)(r10 - 4) = 0
        r2 = r10
        r2 += -4
        r1 = map[counts]
        call bpf_map_lookup_elem
        if r0 == 0 goto +3
        r1 = *(u64 *)(r0 + 0)
        r1 += 1
        *(u64 *)(r0 + 0) = r1
        r1 = r6
        r2 = map[jumps]
        r3 = 0
        call bpf_tail_call
        r0 = 2
        exit
    """
    jumps = map_spec("jumps", "prog_array", value=4)
    jumps.contents = [(bytes(4), "main")]
    with runtime.load(collection(text, maps=[map_spec(), jumps])) as loaded:
        assert loaded.program().test_run(bytes(64)).retval_name == "XDP_PASS"
        assert int.from_bytes(loaded.map("counts")[0], "little") == 34


@pytest.mark.parametrize(("platform", "code"), [("linux", -2), ("windows", -19)])
def test_helpers_return_the_platforms_numbers(platform: str, code: int) -> None:
    """Deleting an entry that is not there: ENOENT, or EBPF_KEY_NOT_FOUND."""
    text = """
        *(u32 *)(r10 - 4) = 7
        r2 = r10
        r2 += -4
        r1 = map[counts]
        call bpf_map_delete_elem
        exit
    """
    kind = {"linux": "sched_cls", "windows": "bind"}[platform]
    spec = collection(text, kind=kind, platform=platform, maps=[map_spec(kind="hash")])
    with Runtime(platform, cpus=1) as runtime, runtime.load(spec) as loaded:
        assert signed(loaded.program().test_run(bytes(64)).value) == code


def test_types_are_objects_on_linux(runtime: Runtime, droppacket: Path) -> None:
    with runtime.load(droppacket) as loaded:
        (number,) = runtime.ids("btf")
        assert all(one.info().btf_id == number for one in loaded.maps.values())
        assert loaded.program().info().btf_id == number
        with runtime.types(number) as types:
            assert types.btf is loaded.spec.btf
            assert types.info().size == len(types.btf.encode())
        assert [info.name for info in runtime.infos("btf")] == ["droppacket"]
    assert runtime.ids("btf") == []


def test_types_have_no_number_on_windows(windows: Runtime, bindmonitor: Path) -> None:
    with windows.load(bindmonitor) as loaded:
        assert windows.ids("btf") == []
        assert min(windows.ids("map")) == 2
        assert loaded.map("ports").btf is loaded.spec.btf


def test_a_shared_runtimes_maps_are_files() -> None:
    with (
        Runtime("linux", cpus=2, shared=True) as runtime,
        runtime.load(collection(PASS, maps=[map_spec()])) as loaded,
    ):
        mine = loaded.map("counts")
        mine[0] = b"8 bytes!"
        theirs = _core.Map.attach(_core.Domain.attach(runtime.domain.fd), mine.fd, False)
        assert theirs.lookup(bytes(4)) == b"8 bytes!"
        theirs.close()
