"""Everything is released: objects by count, memory by segment, over hundreds of cycles."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pytest

from anybpf.errors import AnyBPFError
from anybpf.runtime import Policy, Quota, Runtime
from tests.runtime.making import PASS, collection, map_spec

CYCLES = 300


def mappings() -> int:
    """Pieces of memory that this process has mapped."""
    return Path("/proc/self/maps").read_text().count("\n")


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def everything(runtime: Runtime) -> None:
    """One of each: maps of many kinds, programs in arrays, maps in maps, pins, and all let go."""
    pinned = map_spec("pinned")
    pinned.pinning = "by_name"
    jumps = map_spec("jumps", "prog_array", value=4)
    jumps.contents = [(bytes(4), "main1")]
    outer = map_spec("outer", "hash_of_maps", value=4, inner=map_spec("template", "hash"))
    text = "r2 = map[jumps]\nr3 = 0\ncall bpf_tail_call\nr0 = 0\nexit"
    maps = [
        pinned, jumps, outer, map_spec("h", "hash", entries=1000), map_spec("p", "percpu_hash"),
        map_spec("l", "lru_hash", entries=64), map_spec("q", "queue", key=0),
        map_spec("t", "lpm_trie", key=8, flags=1), map_spec("r", "ringbuf", 0, 0, 4096),
    ]  # fmt: skip
    with runtime.load(collection(text, PASS, maps=maps)) as loaded:
        assert loaded.programs["main"].test_run(bytes(64)).retval_name == "XDP_PASS"
        for number in range(100):
            loaded.map("h")[number.to_bytes(4, "little")] = bytes(8)
        inner = runtime.create_map(map_spec("inner", "hash"))
        assert loaded.map("outer").keeper.store(bytes(4), inner) == 0
        inner.close()
        loaded.programs["main"].pin("a/b")
        with runtime.open("a/b") as again:
            again.unpin()
        loaded.map("pinned").unpin()


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="counts memory through /proc")
def test_cycles_leave_nothing() -> None:
    with Runtime("linux", cpus=2) as runtime:
        for _ in range(20):
            everything(runtime)
        runtime.domain.collect()
        before = (mappings(), descriptors())
        for _ in range(CYCLES):
            everything(runtime)
            assert [
                n for kind in ("map", "program", "link", "btf") for n in runtime.ids(kind)
            ] == []
        runtime.domain.collect()
        gc.collect()
        assert runtime.usage().nothing
        after = (mappings(), descriptors())
        assert after[0] <= before[0] + 10
        assert after[1] == before[1]


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="counts memory through /proc")
def test_runtimes_leave_nothing() -> None:
    def cycle() -> None:
        with Runtime("linux", cpus=2) as runtime:
            everything(runtime)

    for _ in range(5):
        cycle()
    gc.collect()
    before = (mappings(), descriptors(), threading.active_count())
    for _ in range(50):
        cycle()
    gc.collect()
    assert mappings() <= before[0] + 10
    assert (descriptors(), threading.active_count()) == before[1:]


def test_failures_leave_nothing() -> None:
    """Whichever object of a load is refused, those made before it go."""
    for most in range(8):
        policy = Policy("few", quota=Quota(maps=most))
        with Runtime("linux", cpus=2, policies=[policy]) as runtime:
            for _ in range(10):
                try:
                    everything(runtime)
                except AnyBPFError:
                    assert runtime.pins() == []
                else:
                    raise AssertionError("a load should have been refused")
                assert [n for kind in ("map", "program") for n in runtime.ids(kind)] == []
                assert runtime.usage().nothing


def test_handles_from_many_threads() -> None:
    with Runtime("linux", cpus=2) as runtime:
        loaded = runtime.load(collection(PASS, maps=[map_spec()]))
        number = loaded.program().id
        problems: list[BaseException] = []

        def work() -> None:
            try:
                for _ in range(200):
                    with runtime.program(number) as one:
                        assert one.test_run(bytes(64)).retval == 2
                    with runtime.map(loaded.map("counts").id) as two:
                        two[0] = bytes(8)
            except BaseException as error:
                problems.append(error)

        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert problems == []
        loaded.close()
        assert runtime.ids("program") == runtime.ids("map") == []


def test_finalisers_in_the_middle_of_things() -> None:
    """A collector that runs while the runtime's lock is held must not wait for it."""
    old = gc.get_threshold()
    gc.set_threshold(5)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            with Runtime("linux", cpus=1) as runtime:
                for _ in range(200):
                    handle: list[object] = [runtime.create_map(map_spec())]
                    handle.append(handle)  # a cycle: only the collector frees it
                    runtime.ids("map")
                del handle
                gc.collect()
                assert runtime.ids("map") == []
    finally:
        gc.set_threshold(*old)


class Closes:
    """What users write: a class that closes what it has when it goes."""

    def __init__(self, runtime: Runtime) -> None:
        self.map = runtime.create_map(map_spec())
        self.me = self  # only the collector frees it

    def __del__(self) -> None:
        self.map.close()


def test_users_finalisers_may_close_things() -> None:
    old = gc.get_threshold()
    gc.set_threshold(1)  # wherever an object is made: also while the lock is held
    try:
        with Runtime("linux", cpus=1) as runtime:
            for _ in range(200):
                Closes(runtime)
                runtime.ids("map")
                runtime.pins()
            gc.collect()
            assert runtime.ids("map") == []
    finally:
        gc.set_threshold(*old)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_child_goes_on_with_its_copy() -> None:
    code = """
import os
from anybpf.runtime import Runtime
from tests.runtime.making import PASS, collection, map_spec
with Runtime("linux", cpus=2) as runtime:
    with runtime.load(collection(PASS, maps=[map_spec()])) as loaded:
        runtime.need_timers()
        child = os.fork()
        assert loaded.program().test_run(bytes(64)).retval == 2
        loaded.map("counts")[0] = b"12345678"
        with runtime.program(loaded.program().id) as again:
            assert again.test_run(bytes(64)).retval == 2
    assert runtime.ids("map") == []
    if child:
        assert os.waitpid(child, 0)[1] == 0
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60)
