"""Emitted C: compiled by what is here, it does what the interpreter does, and compilers like it."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from anybpf import _core, toolchain
from anybpf.engines import Prepared
from anybpf.engines.lowering import ALL, UNPROVED, Source
from anybpf.engines.lowering.c import Unit, emit_c, print_c
from anybpf.errors import AnyBPFError, RunError
from anybpf.isa import encode
from anybpf.isa.assembler import assemble
from anybpf.objects import load_spec
from anybpf.objects.specs import CollectionSpec
from anybpf.runtime import Collection, Runtime
from anybpf.testing import c_engine, conformance, engines
from anybpf.toolchain import Compiler
from tests.conftest import ROOT
from tests.engines.equivalence import storage_of
from tests.isa.conformance import cases
from tests.testing.test_conformance import code_of

pytestmark = pytest.mark.skipif(
    not c_engine.compilers() or not _core.MACHINE, reason="there is no C compiler here"
)
COMPILERS = list(c_engine.compilers())


def text_of(*sources: Source) -> str:
    return print_c([Unit(source) for source in sources], _core.LAYOUT, _core.NATIVE_ABI)


def code(text: str) -> bytes:
    return encode(assemble(text))


def program_of(source: Source, helpers: Sequence[object] = ()) -> _core.Program:
    codes = [0] * len(_core.STATUSES)
    return _core.Program(_core.Domain(1), 1, source.name, source.code, [], helpers, codes)


@pytest.fixture(scope="module")
def benchmarks(compiler: Compiler, tmp_path_factory: pytest.TempPathFactory) -> CollectionSpec:
    """The programs of the benchmarks, for packets."""
    output = tmp_path_factory.mktemp("bench") / "programs.o"
    flags = ["-Wno-unused", "-DPACKETS", "-g"]
    toolchain.compile(ROOT / "bench" / "programs.c", output, flags, cpu="v4", compiler=compiler)
    return load_spec(output)


@pytest.fixture(scope="module")
def loaded(benchmarks: CollectionSpec) -> Iterator[Collection]:
    """Them, to be interpreted."""
    with Runtime("linux", cpus=1) as runtime:
        yield runtime.load(benchmarks, engine="interpret")


@pytest.fixture(scope="module")
def prepared(loaded: Collection) -> list[Prepared]:
    return [program.prepared for program in loaded.programs.values()]


def packets() -> list[bytes]:
    """Of several protocols, and of none."""
    chance = random.Random(7)
    ethernet = b"\x02" + bytes(10) + b"\x01"
    addresses = bytes([10, 0, 0, 1, 10, 0, 0, 2])
    found = [bytes(14), bytes((i * 37 + 11) % 251 + 1 for i in range(1500))]
    for protocol in (1, 6, 17, 4):
        header = struct.pack(">BBHHHBBH", 0x45, 0, 84, 1, 0, 64, protocol, 0) + addresses
        ports = struct.pack(">HH", 1024, 80) + chance.randbytes(60)
        found.append(ethernet + b"\x08\x00" + header + ports)
        found.append(ethernet + b"\x81\x00\x00\x07\x08\x00" + header + ports)
    found.append(ethernet + b"\x86\xdd\x60" + bytes(5) + b"\x11\x40" + chance.randbytes(80))
    found += [chance.randbytes(size) for size in (14, 60, 64, 128, 900)]
    return found


def seen(loaded: Collection, name: str, data: bytes) -> object:
    """All that a run leaves behind, but what depends on the time of day."""
    try:
        done = loaded.programs[name].test_run(data, cpu=0, budget=1 << 24)
    except RunError as error:
        return error.reason, error.slot
    return done.value, done.data_out, done.ctx_out, done.redirect


def contents(loaded: Collection) -> dict[str, object]:
    """What is in the maps, but for those that hold things."""
    found: dict[str, object] = {}
    for key in loaded.maps:
        storage = storage_of(loaded, key)
        if storage.kind in ("array", "hash", "percpu_array", "percpu_hash"):
            found[key] = engines.contents(storage)
    return found


def all_seen(loaded: Collection) -> list[object]:
    """All programs with all packets, and the maps after each program."""
    found: list[object] = []
    for name in loaded.programs:
        found += [seen(loaded, name, data) for data in packets()]
        found.append(contents(loaded))
    return found


@pytest.mark.parametrize("name", COMPILERS)
def test_the_conformance_suite(shared: Path, name: str) -> None:
    """All programs in one file: each gives what the suite says, or stops."""
    todo = [case for case in cases(shared) if case.runnable]
    found, programs = [], []
    for case in todo:
        source = Source(case.name, code_of(case))
        try:
            made = program_of(source, conformance.HELPERS)
        except ValueError:
            assert case.error is not None  # refused by whoever runs it
            continue
        source.helpers = [""] * len(conformance.HELPERS)
        found.append((case, source))
        programs.append(made)
    text = text_of(*[source for _, source in found])
    library = c_engine.build(text, c_engine.compilers()[name])
    for (case, source), made in zip(found, programs, strict=True):
        library.attach(made, source)
        assert made.compiled
        memory = bytearray(case.memory or b"")
        try:
            outcome = made.run(memory=memory) if memory else made.run()
        except conformance.Unwind:
            assert case.result == 0
            continue
        if case.error is None:
            assert outcome[1] is None, case.name
            assert outcome[0] == case.result, case.name
        else:
            assert outcome[1] is not None, case.name
        made.close()
    assert len(found) > 300


@pytest.mark.parametrize("name", COMPILERS)
def test_no_compiler_has_anything_to_say(
    prepared: list[Prepared], tmp_path: Path, name: str
) -> None:
    for checks in (UNPROVED, ALL):
        source = tmp_path / f"{checks}.c"
        source.write_text(emit_c(prepared, checks))
        command = c_engine.compilers()[name]
        c_engine.make(
            source,
            tmp_path / "out.so",
            command,
            ["-Wextra", "-Wno-unused-parameter", *c_engine.FLAGS],
        )


@pytest.mark.parametrize("checks", [UNPROVED, ALL])
def test_the_programs_of_the_benchmarks(loaded: Collection, checks: str) -> None:
    """Each packet first interpreted, then as C, both from empty maps."""
    records = [program.program_record() for program in loaded.programs.values()]
    clear(loaded)
    wanted = all_seen(loaded)
    c_engine.attach([(record.core, record.prepared) for record in records], checks)
    clear(loaded)
    found = all_seen(loaded)
    for record in records:
        record.core.detach_code()
    assert found == wanted


def clear(loaded: Collection) -> None:
    for name in loaded.maps:
        storage = storage_of(loaded, name)
        for key, value in engines.contents(storage):
            if storage.kind == "array":
                storage.update(key, bytes(len(value)))
            else:
                storage.delete(key)


QUICK = ("-O1", "-Wall", "-shared", "-fPIC")
# Programs whose packets and contexts a test run makes.
PACKET_TYPES = ("xdp", "sched_cls", "socket_filter")
# What they find there is not the same twice.
UNSTEADY = ("ktime", "prandom", "pid_tgid")


def test_programs_of_the_corpus(shared: Path) -> None:
    """Every object whose programs are for packets, against the interpreter."""
    compared = 0
    for path in sorted((shared / "corpus").rglob("*.o")):
        if path.stat().st_size > 60_000:
            continue
        with Runtime("linux", cpus=1) as one, Runtime("linux", cpus=1) as other:
            try:
                wanted = one.load(load_spec(path), engine="interpret")
            except AnyBPFError:
                continue
            kinds = {program.type for program in wanted.programs.values()}
            helpers = {h for p in wanted.programs.values() for h in p.prepared.helpers}
            if not kinds or not kinds <= set(PACKET_TYPES):
                continue
            if any(word in helper for word in UNSTEADY for helper in helpers):
                continue
            found = other.load(load_spec(path), engine="interpret")
            records = [program.program_record() for program in found.programs.values()]
            pairs = [(record.core, record.prepared) for record in records]
            c_engine.attach(pairs, flags=QUICK)
            assert all(record.core.compiled for record in records)
            assert all_seen(found) == all_seen(wanted), path
            compared += len(wanted.programs)
    assert compared > 25


def test_it_is_for_people_to_read(loaded: Collection) -> None:
    """Source lines above what was made of them, names of maps and functions."""
    text = emit_c([loaded.programs["count_in_array"].prepared])
    assert "programs.c" in text
    assert ": ++*count; */" in text
    assert "array_lookup(values_counts, " in text
    assert "uint64_t program_count_in_array(" in text
    text = emit_c([loaded.programs["local_calls"].prepared])
    called = loaded.programs["local_calls"].verification.function_of[-1]
    assert f"ANYBPF_INSIDE uint64_t program_local_calls__{called}_" in text


def test_names_that_are_none_in_c_do_no_harm() -> None:
    """Names come from objects, whoever made them."""
    one = Source('*/ int x; /* "\n\\ ??/', code("r0 = 1\nexit"))
    other = Source('*/ int y; /* "\n\\ ??/', code("r0 = 2\nexit"))
    unit = Unit(one)
    text = print_c([unit, Unit(other)], _core.LAYOUT, _core.NATIVE_ABI)
    library = c_engine.build(text)
    assert list(library.programs) == [one.name, other.name]
    for source, result in ((one, 1), (other, 2)):
        made = program_of(Source("x", source.code))
        library.attach(made, source)
        assert made() == result
