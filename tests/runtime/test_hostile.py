"""Damaged objects, closing in the middle of runs, and other things that must not hurt."""

from __future__ import annotations

import random
import threading
from pathlib import Path

from anybpf.errors import AnyBPFError
from anybpf.runtime import Runtime
from anybpf.verifier import Budget
from tests.runtime.making import DNS, PASS, collection, map_spec


def test_damaged_objects_leave_nothing(droppacket: Path) -> None:
    """Bytes changed at random: refused with an error of ours, or loaded and then safe to run."""
    whole = droppacket.read_bytes()
    chance = random.Random(20_261_121)
    loads = 0
    with Runtime("linux", cpus=2) as runtime:
        for _ in range(300):
            data = bytearray(whole)
            for _ in range(chance.choice((1, 1, 2, 8))):
                data[chance.randrange(len(data))] = chance.randrange(256)
            if chance.random() < 0.1:
                del data[chance.randrange(len(data)) :]
            try:
                with runtime.load(bytes(data), budget=Budget(seconds=2)) as loaded:
                    loads += 1
                    for program in loaded:
                        if program.type == "xdp":
                            program.test_run(DNS, budget=100_000)
            except AnyBPFError:
                pass
            left = [n for kind in ("map", "program", "btf") for n in runtime.ids(kind)]
            assert left == []
            for path, _, _ in runtime.pins():
                runtime.remove_pin(path)
    assert loads > 20


def test_closing_in_the_middle_of_runs() -> None:
    """A run that is under way ends well; the next one is told that the program is gone."""
    text = """
        *(u32 *)(r10 - 4) = 0
        r2 = r10
        r2 += -4
        r1 = map[counts]
        call bpf_map_lookup_elem
        if r0 == 0 goto +2
        r1 = 1
        lock *(u64 *)(r0 + 0) += r1
        r0 = 2
        exit
    """
    for _ in range(20):
        with Runtime("linux", cpus=2) as runtime:
            loaded = runtime.load(collection(text, maps=[map_spec()]))
            program = loaded.program()
            others: list[BaseException] = []

            def work(program: object = program, others: list[BaseException] = others) -> None:
                try:
                    while True:
                        program.run_batch(bytearray(6400), stride=64)  # type: ignore[attr-defined]
                except AnyBPFError:
                    pass
                except BaseException as error:
                    others.append(error)

            threads = [threading.Thread(target=work) for _ in range(3)]
            for thread in threads:
                thread.start()
            loaded.close()
            for thread in threads:
                thread.join()
            assert others == []
            assert runtime.ids("map") == []


def test_two_threads_that_close_the_same_handle() -> None:
    with Runtime("linux", cpus=1) as runtime:
        keeper = runtime.load(collection(PASS))
        for _ in range(100):
            handle = runtime.program(keeper.program().id)
            threads = [threading.Thread(target=handle.close) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert runtime.ids("program") == [1]  # the keeper's
        keeper.close()


def test_names_of_any_kind() -> None:
    with Runtime("linux", cpus=1) as runtime:
        for name in ("", "x" * 500, "ä" * 20, "a/b", "\U0001f600" * 9, "bad\udcce\ud800", "z\0o"):
            with runtime.create_map(map_spec(name)) as one:
                assert one.info().name == name
