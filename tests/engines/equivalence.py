"""What the tests of equivalence share: cases, and what can be seen of a program's runs.

A case is one or more programs, maps, and packets. Each engine runs all packets one after the other
in a runtime of its own; after every run the result, the packet, the context and all maps must be as
they are in the interpreter.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from anybpf import _core
from anybpf.errors import RunError
from anybpf.isa.assembler import assemble
from anybpf.objects.specs import CollectionSpec, MapSpec, ProgramSpec
from anybpf.platforms import get
from anybpf.runtime import Collection, Runtime
from anybpf.testing import engines
from anybpf.verifier.verify import _functions

Maps = dict[str, list[tuple[bytes, bytes]]]

# Values at which something changes: signs, halves, widths of shifts.
CORNERS = [
    0, 1, 2, 3, 7, 31, 32, 33, 63, 64, 65, 127, 128, 255, 256, 0x7FFF, 0x8000, 0xFFFF, 0x10000,
    0x7FFFFFFF, 0x80000000, 0x80000001, 0xFFFFFFFE, 0xFFFFFFFF, 0x100000000, 0x1FFFFFFFF,
    0x7FFFFFFFFFFFFFFF, 0x8000000000000000, 0x8000000000000001, 0xFFFFFFFF00000000,
    0xFFFFFFFF7FFFFFFF, 0xFFFFFFFF80000000, 0xFFFFFFFFFFFFFFFE, 0xFFFFFFFFFFFFFFFF,
]  # fmt: skip


@dataclass(frozen=True)
class Case:
    """Programs "main", "main1", ...; packets for "main", one run each."""

    name: str
    programs: tuple[str, ...]
    packets: tuple[bytes, ...] = (bytes(64),)
    maps: tuple[MapSpec, ...] = ()
    kind: str = "xdp"
    ctx: dict[str, int] | None = None
    prepare: Callable[[Collection], None] | None = None
    budget: int = 0
    # What is known of each run without any engine: (result, packet).
    expected: tuple[tuple[int, bytes], ...] | None = None


@dataclass(frozen=True)
class Seen:
    """What one run left behind."""

    value: int | str
    packet: bytes = b""
    context: bytes = b""
    redirect: tuple[Any, ...] | None = None
    maps: Maps = field(default_factory=dict)


def specs(case: Case) -> CollectionSpec:
    """The programs of a case, with the functions that they call."""
    made = CollectionSpec("case", "", "linux")
    for one in case.maps:
        made.maps[one.name] = one.copy()
    numbers = {helper.name: helper.number for helper in get("linux").helpers}
    for index, text in enumerate(case.programs):
        name = f"main{index}" if index else "main"
        code = assemble(text, helpers=numbers, open_names=False)
        code[0].symbol = name
        functions = {function.name: function for function in _functions(code)}
        functions[name].section = case.kind
        program = ProgramSpec(functions[name], case.kind, functions)
        program.type, program.license, program.platform = case.kind, "GPL", "linux"
        made.programs[name] = program
        made.functions.update(functions)
    return made


def storage_of(loaded: Collection, name: str) -> _core.Map:
    """The map itself, without what makes it pleasant."""
    keeper: Any = loaded.maps[name].keeper
    storage: _core.Map = keeper.record.storage
    return storage


def observe(case: Case, engine: str) -> list[Seen]:
    """All runs of a case in an engine."""
    spec = specs(case)
    with Runtime("linux", cpus=2) as runtime:
        loaded = engines.load(runtime, spec, engine)
        if case.prepare is not None:
            case.prepare(loaded)
        seen = [_run(loaded, packet, case) for packet in case.packets]
        loaded.close()
    return seen


def _run(loaded: Collection, packet: bytes, case: Case) -> Seen:
    try:
        done = loaded.programs["main"].test_run(packet, case.ctx, cpu=0, budget=case.budget)
    except RunError as error:
        return Seen(f"{error.reason} in {error.program} at {error.slot}", maps=_maps(loaded))
    return Seen(done.value, done.data_out, done.ctx_out, done.redirect, _maps(loaded))


def _maps(loaded: Collection) -> Maps:
    kept = {}
    for name in loaded.maps:
        storage = storage_of(loaded, name)
        if storage.kind != "prog_array":
            kept[name] = engines.contents(storage)
    return kept


_reference: dict[str, list[Seen]] = {}


def check(case: Case, engine: str) -> None:
    """The case in the engine, against the interpreter, and against what is known of it."""
    why = engines.problem(engine)
    if why:
        pytest.skip(why)
    if case.name not in _reference:
        _reference[case.name] = observe(case, engines.REFERENCE)
    wanted = _reference[case.name]
    if case.expected is not None:
        assert [(one.value, one.packet) for one in wanted] == list(case.expected)
    if engine == engines.REFERENCE:
        return
    for number, (one, other) in enumerate(zip(observe(case, engine), wanted, strict=True)):
        assert one == other, f"{case.name}, packet {number}: {case.packets[number].hex(' ', 8)}"


def every_engine(cases: Sequence[Case]) -> Any:
    """A parametrisation: each case in each engine."""
    rows = [
        pytest.param(case, engine, id=f"{case.name}-{engine}")
        for case in cases
        for engine in engines.ENGINES
    ]
    return pytest.mark.parametrize(("case", "engine"), rows)


# Programs on a packet: r2 is its first byte, r3 its end, and so many bytes are there.
def on_packet(size: int, text: str) -> str:
    return f"""
    r2 = *(u32 *)(r1 + 0)
    r3 = *(u32 *)(r1 + 4)
    r4 = r2
    r4 += {size}
    if r4 > r3 goto short
    {text}
    r0 = 2
    exit
short:
    r0 = 1
    exit
"""


def pairs(seed: int, count: int = 40) -> list[tuple[int, int]]:
    """Operands: every corner with some other, and some of any kind."""
    chance = random.Random(seed)
    found = [(a, chance.choice(CORNERS)) for a in CORNERS]
    found += [(chance.choice(CORNERS), b) for b in CORNERS]
    found += [(a, a) for a in CORNERS[::4]]
    found += [(chance.getrandbits(64), chance.getrandbits(64)) for _ in range(count)]
    return found


def words(*values: int, size: int) -> bytes:
    """These words, and zeros behind up to a size."""
    return struct.pack(f"={len(values)}Q", *values).ljust(size, b"\0")
