"""Pins: references with a path, in the platform's own way of writing paths."""

from __future__ import annotations

import pytest

from anybpf.errors import InputError, NotFound
from anybpf.maps import Map
from anybpf.objects.specs import MapSpec
from anybpf.runtime import Program, Runtime
from anybpf.runtime.habits import plain_path, windows_path
from tests.runtime.making import PASS, collection, map_spec


@pytest.mark.parametrize(
    "path",
    ["BPF:\\x", "/ebpf/global/x", "x", "\\x", "/x", "a/../x", "./x", "//x//", "/ebpf\\global/x"],
)
def test_spellings_of_windows_are_one_path(path: str) -> None:
    assert windows_path(path, 255) == "BPF:\\x"


def test_the_mount_of_linux_is_no_alias_on_windows() -> None:
    assert windows_path("/sys/fs/bpf/x", 255) == "BPF:\\sys\\fs\\bpf\\x"
    assert windows_path("X", 255) != windows_path("x", 255)


@pytest.mark.parametrize(
    "path", ["", "a:b", "C:\\x", "..", "a/../../b", "/", "BPF:\\", "a\0b", "x" * 256]
)
def test_windows_refuses(path: str) -> None:
    with pytest.raises(InputError, match="pin path"):
        windows_path(path, 255)


def test_paths_of_linux_are_plain() -> None:
    assert plain_path("/sys/fs/bpf//tc/x", 4095) == "/sys/fs/bpf/tc/x"
    assert plain_path("x", 4095) == "/sys/fs/bpf/x"
    assert plain_path("/mnt/bpf/x", 4095) == "/mnt/bpf/x"


@pytest.mark.parametrize(
    "path", ["", "/", "/sys/../x", "/sys/fs/bpf/a.b", "a\0b", "x" * 5000, "\udc80"]
)
def test_linux_refuses(path: str) -> None:
    with pytest.raises(InputError, match="pin path"):
        plain_path(path, 4095)


def test_a_pin_keeps_what_it_names(runtime: Runtime) -> None:
    with runtime.load(collection(PASS)) as loaded:
        kept = loaded.program().pin("main")
        number = loaded.program().id
        assert kept == "/sys/fs/bpf/main"
        assert loaded.program().pins == [kept]
        assert loaded.program().info().pinned_path_count == 1
    assert runtime.ids("program") == [number]
    with runtime.open("/sys/fs/bpf/main") as again:
        assert isinstance(again, Program)
        assert again.test_run(bytes(64)).retval_name == "XDP_PASS"
        again.unpin()
        assert again.pins == []
    assert runtime.ids("program") == []


def test_one_object_may_have_many_paths(runtime: Runtime) -> None:
    with runtime.create_map(map_spec()) as one:
        for path in ("b", "a", "dir/c"):
            one.pin(path)
        assert [path for path, _, _ in runtime.pins()] == [
            "/sys/fs/bpf/a", "/sys/fs/bpf/b", "/sys/fs/bpf/dir/c",
        ]  # fmt: skip
        assert [path for path, _, _ in runtime.pins("dir")] == ["/sys/fs/bpf/dir/c"]
        assert runtime.pins(kind="program") == []
        one.unpin("a")
        assert len(one.pins) == 2
    with runtime.open("b") as again:
        assert isinstance(again, Map)
        again.unpin()


def test_taken_paths_are_refused(runtime: Runtime) -> None:
    with runtime.create_map(map_spec("first")) as one, runtime.create_map(map_spec()) as two:
        one.pin("dir/x")
        with pytest.raises(InputError, match=r"map first .* is pinned there"):
            two.pin("dir/x")
        with pytest.raises(InputError, match="is a pin, not a directory"):
            two.pin("dir/x/y")
        with pytest.raises(InputError, match="is the directory of"):
            two.pin("dir")
        assert two.pins == []
        one.unpin()


def test_unknown_paths_get_a_hint(runtime: Runtime) -> None:
    with runtime.create_map(map_spec()) as one:
        one.pin("counts")
        with pytest.raises(NotFound, match=r"nothing is pinned at .*countz \(did you mean"):
            runtime.open("countz")
        with pytest.raises(NotFound):
            runtime.remove_pin("countz")
        with pytest.raises(NotFound):
            one.unpin("countz")
        runtime.remove_pin("counts")


def pinned_spec(value: int = 8, entries: int = 4) -> MapSpec:
    spec = map_spec(value=value, entries=entries)
    spec.pinning = "by_name"
    return spec


def test_maps_pinned_by_name_are_shared(runtime: Runtime) -> None:
    first = runtime.load(collection(PASS, maps=[pinned_spec()]))
    first.map("counts")[0] = b"8 bytes!"
    second = runtime.load(collection(PASS, maps=[pinned_spec()]))
    assert second.map("counts").id == first.map("counts").id
    assert second.map("counts")[0] == b"8 bytes!"
    first.close()
    second.close()
    assert runtime.pins() == [("/sys/fs/bpf/counts", "map", 1)]
    runtime.remove_pin("counts")


def test_a_pinned_map_that_differs_is_refused(runtime: Runtime) -> None:
    first = runtime.load(collection(PASS, maps=[pinned_spec()]))
    with pytest.raises(InputError, match="value size is 8, not 16; max entries is 4, not 9"):
        runtime.load(collection(PASS, maps=[pinned_spec(value=16, entries=9)]))
    assert len(runtime.ids("program")) == 1
    first.map("counts").unpin()
    first.close()


def test_the_root_of_pins_can_be_chosen(runtime: Runtime, windows: Runtime) -> None:
    with runtime.load(collection(PASS, maps=[pinned_spec()]), pin_root="/mine") as loaded:
        assert loaded.map("counts").pins == ["/mine/counts"]
        loaded.map("counts").unpin()
    spec = collection("r0 = 0\nexit", kind="bind", platform="windows", maps=[pinned_spec()])
    with windows.load(spec) as loaded:
        assert loaded.map("counts").pins == ["BPF:\\counts"]
        loaded.map("counts").unpin()
