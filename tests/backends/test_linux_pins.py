"""Pins in a BPF file system of the test's own, in mounts of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from anybpf.backends.linux import LinuxBackend
from anybpf.backends.linux.maps import Map
from anybpf.backends.linux.pins import mounts
from anybpf.errors import InputError, NotFound, VerifierError
from tests.backends.places import in_own_network, mount
from tests.runtime.making import PASS, collection, map_spec


def in_own_tree(place: Path, work: Callable[[Path], None]) -> None:
    """Do something with a BPF file system that is there for nobody else."""

    def body() -> None:
        mount("bpf", place)
        assert str(place) in mounts()
        work(place)

    in_own_network(body)
    assert str(place) not in mounts()


def test_objects_live_as_long_as_their_pins(kernel: LinuxBackend, tmp_path: Path) -> None:
    def work(tree: Path) -> None:
        with kernel.load(collection(PASS, maps=[map_spec()])) as loaded:
            one, program = loaded.map("counts"), loaded.program()
            number = one.id
            path = one.pin(tree / "deep" / "counts")
            assert one.pins == [path] == [str(tree / "deep" / "counts")]
            program.pin(tree / "main")
            one[1] = b"12345678"
        assert kernel.pins(str(tree)) == [
            (path, "map", number), (str(tree / "main"), "program", program.id),
        ]  # fmt: skip
        assert kernel.pins(str(tree), "map") == [(path, "map", number)]
        assert (path, "map", number) in kernel.pins()
        with kernel.open(path) as again:
            assert isinstance(again, Map)
            assert (again.id, again.name, again[1]) == (number, "counts", b"12345678")
            again.unpin()
            assert again.pins == []
        kernel.remove_pin(tree / "main")
        assert kernel.pins(str(tree)) == []
        assert number not in kernel.ids("map")

    in_own_tree(tmp_path, work)


def test_pins_that_cannot_be(kernel: LinuxBackend, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()

    def work(tree: Path) -> None:
        with kernel.create_map(map_spec()) as one:
            one.pin(tree / "taken")
            with pytest.raises(InputError, match="something is pinned there already"):
                one.pin(tree / "taken")
            with pytest.raises(InputError, match="in no BPF file system"):
                one.pin(tmp_path / "plain")
            with pytest.raises(NotFound, match="nothing is pinned at"):
                kernel.open(tree / "nothing")
            with pytest.raises(NotFound):
                one.unpin(tree / "nothing")
            one.unpin()
        (tmp_path / "file").write_text("kept")
        with pytest.raises(InputError, match=r"no pin that this process may open|cannot be opened"):
            kernel.remove_pin(tmp_path / "file")
        assert (tmp_path / "file").read_text() == "kept"

    in_own_tree(tmp_path / "tree", work)


def test_maps_that_are_pinned_by_name_are_shared(kernel: LinuxBackend, tmp_path: Path) -> None:
    def work(tree: Path) -> None:
        spec = collection(PASS, maps=[map_spec()])
        spec.maps["counts"].pinning = "by_name"
        with kernel.load(spec, pin_root=str(tree)) as first:
            first.map("counts")[0] = b"from one"
        with kernel.load(spec, pin_root=str(tree)) as second:
            assert second.map("counts")[0] == b"from one"
        spec.maps["counts"].max_entries = 9
        with pytest.raises(InputError, match="max entries is 4, not 9"):
            kernel.load(spec, pin_root=str(tree))

    in_own_tree(tmp_path, work)


def test_a_load_that_fails_leaves_no_pin(kernel: LinuxBackend, tmp_path: Path) -> None:
    def work(tree: Path) -> None:
        spec = collection("exit", maps=[map_spec()])
        spec.maps["counts"].pinning = "by_name"
        with pytest.raises(VerifierError):
            kernel.load(spec, pin_root=str(tree))
        assert kernel.pins(str(tree)) == []

    in_own_tree(tmp_path, work)
