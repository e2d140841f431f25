"""Callbacks, locks and iterators as the tables tell of them, against the kernel's own verifier."""

from __future__ import annotations

from pathlib import Path

import pytest

from anybpf import toolchain
from anybpf.objects import load_spec
from anybpf.objects.specs import CollectionSpec
from anybpf.platforms import get
from anybpf.toolchain import Compiler
from fuzz import linux_kernel
from tests.platforms import kernel

SOURCE = Path(__file__).with_name("calls.c")
LINUX = get("linux")


@pytest.fixture(scope="module")
def compiled(compiler: Compiler, tmp_path_factory: pytest.TempPathFactory) -> CollectionSpec:
    reason = kernel.why_not()
    if reason:
        pytest.skip(reason)
    output = tmp_path_factory.mktemp("calls") / "calls.o"
    return load_spec(toolchain.compile(SOURCE, output, compiler=compiler).output)


def test_programs_whose_names_say_whether_they_load(compiled: CollectionSpec) -> None:
    wrong = []
    for name in compiled.programs:
        verdict = linux_kernel.load(compiled, name)
        assert not verdict.obstacle, verdict.obstacle
        if verdict.accepted != name.startswith("ok_"):
            wrong.append((name, verdict.reason))
    assert len(compiled.programs) >= 20
    assert wrong == []


def test_the_tables_tell_the_same() -> None:
    loop, each, timer = [LINUX.callback(name) for name in ("loop", "map_elem", "timer")]
    assert (loop.low, loop.high, loop.runs) == (0, 1, "loop")
    assert each.args[1].access == "r"
    assert each.args[2].access == "rw"
    assert (timer.low, timer.high, timer.runs) == (0, 0, "later")
    assert "no_timers" in LINUX.program_type("kprobe").flags
    for name, program_type in (("socket_filter", "no_locks"), ("tracepoint", "no_locks")):
        assert program_type in LINUX.program_type(name).flags
    in_lock = [kfunc.name for kfunc in LINUX.kfuncs if "in_lock" in kfunc.flags]
    assert "bpf_iter_num_new" in in_lock
    assert "bpf_rcu_read_lock" not in in_lock
    assert [one.name for one in LINUX.helpers if "in_lock" in one.flags] == ["bpf_spin_unlock"]
    following = LINUX.kfunc("bpf_iter_num_next")
    assert following is not None
    assert following.returns.access == "r"
