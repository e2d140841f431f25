"""How programs run: interpreted at once, compiled when it pays, and the same whichever it is."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import pytest

from anybpf.errors import NotSupported
from anybpf.runtime import Program, Runtime
from tests.runtime.making import DNS, PASS, collection, map_spec

COUNTS = """
    *(u32 *)(r10 - 4) = 0
    r2 = r10
    r2 += -4
    r1 = map[counts]
    call bpf_map_lookup_elem
    if r0 == 0 goto out
    r1 = 1
    lock *(u64 *)(r0 + 0) += r1
out:
    r0 = 2
    exit
"""
SECONDS = 60.0


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("llvmlite", reason="nothing is compiled without llvmlite")
    monkeypatch.setenv("ANYBPF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("anybpf.engines.tiers._compiler", None)


def mode(program: Program) -> str:
    return program.info().mode


def test_jit_compiles_before_load_returns() -> None:
    with Runtime(cpus=1) as runtime, runtime.load(collection(PASS), engine="jit") as loaded:
        (program,) = loaded.programs.values()
        assert mode(program) == "jit"
        assert program.test_run(DNS).retval_name == "XDP_PASS"


def test_interpret_never_compiles() -> None:
    with Runtime(cpus=1) as runtime, runtime.load(collection(PASS), engine="interpret") as loaded:
        (program,) = loaded.programs.values()
        program.test_run(DNS, repeat=2_000_000)
        core = program.program_record().core
        assert core.heat >= 32
        assert core.on_hot is None
        assert mode(program) == "interpret"


def test_what_runs_a_lot_is_compiled_and_no_run_is_lost() -> None:
    spec = collection(COUNTS, maps=[map_spec("counts", "array", entries=1)])
    with Runtime(cpus=2) as runtime, runtime.load(spec) as loaded:
        (program,) = loaded.programs.values()
        assert mode(program) == "interpret", "nothing is compiled before it has run"
        done = [0, 0]
        over = threading.Event()

        def run(number: int) -> None:
            while not over.is_set():
                program.test_run(DNS, repeat=2000)
                done[number] += 2000

        threads = [threading.Thread(target=run, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        job = program.program_record().job
        assert job is not None
        compiled = job.done.wait(SECONDS)
        time.sleep(0.05)  # some runs of the code, too
        over.set()
        for thread in threads:
            thread.join()
        assert compiled
        assert (job.problem, mode(program)) == ("", "jit")
        assert int.from_bytes(loaded.maps["counts"][0], sys.byteorder) == sum(done)


def test_a_program_that_goes_while_it_is_compiled() -> None:
    with Runtime(cpus=1) as runtime:
        loaded = runtime.load(collection(PASS))
        (program,) = loaded.programs.values()
        record = program.program_record()
        job, core = record.job, record.core
        assert job is not None
        assert core.on_hot is not None
        loaded.close()
        core.on_hot()
        assert job.done.wait(SECONDS)
        assert job.problem == ""


def test_without_llvmlite_there_is_the_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anybpf.engines.llvm._binding", None)
    monkeypatch.setitem(sys.modules, "llvmlite", None)
    monkeypatch.setitem(sys.modules, "llvmlite.binding", None)
    with Runtime(cpus=1) as runtime:
        with pytest.raises(NotSupported, match=r"anybpf\[jit\]"):
            runtime.load(collection(PASS), engine="jit")
        assert runtime.ids("program") == [], "nothing half-made stays"
        with runtime.load(collection(PASS)) as loaded:
            (program,) = loaded.programs.values()
            program.test_run(DNS, repeat=2_000_000)
            job = program.program_record().job
            assert job is not None
            assert job.done.wait(SECONDS)
            assert "llvmlite" in job.problem
            assert mode(program) == "interpret"


def test_the_shortest_way_to_a_verdict() -> None:
    with Runtime(cpus=1) as runtime:
        for engine in ("interpret", "jit"):
            with runtime.load(collection(PASS), engine=engine) as loaded:
                (program,) = loaded.programs.values()
                verdict = program.on_packet
                assert [verdict(DNS), verdict(bytearray(DNS)), verdict(b"")] == [2, 2, 2]
            with pytest.raises(ValueError, match="closed"):
                verdict(DNS)
