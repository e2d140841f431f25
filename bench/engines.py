"""All engines on programs of many kinds, against the same C compiled to native code: x native.

Every program is proved safe and then run by turns: as native code of gcc and of clang with -O2 (the
better one counts), compiled, compiled with a check at every access, as an image, as emitted C, and
interpreted. Native and compiled code are called by the same loop in C through a pointer, inside of
a run of the runtime, with the same packet and context. What counts is the least CPU time of many
rounds; beside it stand medians. `--peer 'PROGRAM OPTIONS'` adds a plugin of the conformance suite,
such as uBPF's, on the same C in its form for plain memory. Costs other than speed (compiling,
loading, calls from Python, memory) come after that: `engine_costs.py`.
"""

from __future__ import annotations

import argparse
import ctypes
import platform
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import engine_costs
from interpreter import code_of, peer_time
from programs import (
    Native,
    address_of,
    by_turns,
    compile_bpf,
    compilers,
    machine,
    mean,
    packet,
    turns_for,
)

from anybpf import _core
from anybpf.engines import Prepared, prepare
from anybpf.objects.specs import CollectionSpec
from anybpf.testing import engines
from anybpf.verifier import verify

ROUNDS = 30
ROUND_NS = 400_000  # about this long is one measurement
NATIVE = "C"
# What is wanted of the geometric mean, by engine, and of each program.
TARGETS = {"jit": 1.0, "checked": 1.15, "native": 1.0, "c": 1.0}
MOST = 1.5

# Machine code that goes on at the address behind it.
JUMPS = {
    "x86_64": b"\x48\xb8%s\xff\xe0",  # movabs rax, address; jmp rax
    "aarch64": b"\x50\x00\x00\x58\x00\x02\x1f\xd6%s",  # ldr x16, 8; br x16; address
}


class Place:
    """Programs of one collection in one domain, with its maps."""

    def __init__(self, spec: CollectionSpec) -> None:
        self.spec = spec
        self.domain = _core.Domain(1)
        self.numbers = iter(range(1, 1 << 30))
        self.maps: dict[str, _core.Map] = {}
        for name, one in spec.maps.items():
            sizes = one.key_size, one.value_size, one.max_entries
            self.maps[name] = _core.Map(self.domain, next(self.numbers), one.type, *sizes)
        self.prepared: dict[str, Prepared] = {
            program.name: prepare(program, verify(program, spec)) for program in spec
        }
        self.clear()

    def clear(self) -> None:
        for made in self.maps.values():
            for key in range(256):
                made.update(struct.pack("=I", key), bytes(8))

    def make(self, engine: str, name: str) -> Any:
        prepared = self.prepared[name]
        return engines.make(
            engine,
            prepared,
            self.domain,
            next(self.numbers),
            [self.maps[one.name] for one in prepared.maps],
            [_core.helper(helper) for helper in prepared.helpers],
        )


class Harness:
    """A program whose compiled code is our loop around any function, inside of a real run."""

    def __init__(self, place: Place, name: str, driver: Native, function: int) -> None:
        word = struct.pack("=Q", driver.function("bench_inside"))
        jump = JUMPS[platform.machine()] % word
        self.code = _core.Code(len(jump))
        self.code.write(0, jump)
        self.code.seal(self.code.size)
        self.program = place.make(engines.REFERENCE, name)
        self.program.attach_code(self.code, 0, [])
        self.function = function
        self.inside = ctypes.c_uint64.in_dll(driver.library, "inside")
        self.count = ctypes.c_uint64.in_dll(driver.library, "inside_count")

    def run(self, data: bytes, count: int = 1) -> _core.Outcome:
        self.inside.value, self.count.value = self.function, count
        outcome: _core.Outcome = self.program.run(packet=data, context=bytes(24), cpu=0)
        return outcome


def native_programs(place: Place, folder: Path, flags: list[str]) -> list[Native]:
    """The programs as the machine's compilers see them, with helpers and the table by address."""
    probe = place.make(engines.REFERENCE, "count_in_hash")
    addresses = [
        f"-DPROCESSOR_ADDRESS={_core.helper('get_smp_processor_id'):#x}ull",
        f"-DFIND_ADDRESS={probe.symbol('anybpf_lookup_0'):#x}ull",
        f"-DTABLE_ADDRESS={probe.symbol('anybpf_map_0'):#x}ull",
    ]
    return [
        Native(command, folder, f"{name}-packets", ["-DPACKETS", *addresses, *flags])
        for name, command in compilers().items()
    ]


def compiled(engine: str, program: _core.Program, prepared: Prepared) -> tuple[int, object]:
    """The address of the program's code in an engine, and what keeps it there."""
    if engine == "native":
        loaded = engines.attach_image([(program, prepared)])
        image = loaded.image
        base = image.text.address - image.text.address % _core.PAGE_SIZE
        return loaded.code.address + image.programs[prepared.name].entry - base, loaded
    if engine == "c":
        from anybpf.engines.lowering import source_of
        from anybpf.engines.lowering.c import emit_c
        from anybpf.testing import c_engine

        library = c_engine.build(emit_c([prepared]))
        library.attach(program, source_of(prepared))
        return library.programs[prepared.name].entry, library
    linked = engines.compile_in_place(program, prepared, engine)
    return linked.code.address + linked.symbols["anybpf_entry"], linked


class Row:
    """One program in all engines."""

    def __init__(self, place: Place, name: str, natives: list[Native], ours: list[str]) -> None:
        self.name = name
        self.kept: list[object] = []
        self.slots = len(place.prepared[name].code) // 8
        data = bytes(packet())
        reference = place.make(engines.REFERENCE, name)
        place.clear()
        wanted = self.seen(place, reference.run(packet=data, context=bytes(24), cpu=0))
        self.calls: dict[str, Callable[[int], object]] = {}
        for native in natives:
            harness = Harness(place, name, native, native.function(name))
            self.add(native.name, harness, wanted, data, None)
        for engine in ours:
            if engine == engines.REFERENCE:
                self.calls[engine] = lambda count: reference.run(
                    packet=data, context=bytes(24), cpu=0, repeat=count
                )
                continue
            made = place.make(engines.REFERENCE, name)
            entry, code = compiled(engine, made, place.prepared[name])
            self.kept += [made, code]
            self.add(engine, Harness(place, name, natives[0], entry), wanted, data, place)
        self.times: dict[str, list[float]] = {}

    def seen(self, place: Place, outcome: _core.Outcome) -> Any:
        maps = {name: engines.contents(one) for name, one in place.maps.items()}
        return (outcome[0], outcome[1], outcome[2]), maps

    def add(
        self, engine: str, harness: Harness, wanted: Any, data: bytes, place: Place | None
    ) -> None:
        """Take an engine in, if it comes to the same."""
        if place is not None:
            place.clear()
        outcome = harness.run(data)
        found = self.seen(place, outcome) if place is not None else (outcome[:3], wanted[1])
        if found != wanted:
            at = next((i for i, pair in enumerate(zip(found[0], wanted[0], strict=True))
                       if pair[0] != pair[1]), 3)  # fmt: skip
            what = ("the result", "how it ends", "the packet", "the maps")[at]
            raise SystemExit(f"{self.name}: {engine} differs from the interpreter in {what}")
        self.calls[engine] = lambda count: harness.run(data, count)

    def measure(self, rounds: int) -> None:
        counts = {name: turns_for(call, ROUND_NS) for name, call in self.calls.items()}
        self.times = by_turns(self.calls, counts, rounds)

    def least(self, engine: str) -> float:
        return min(self.times[engine])

    def middle(self, engine: str) -> float:
        return median(self.times[engine])


def against_peer(folder: Path, peer: str, names: list[str], rounds: int) -> dict[str, float]:
    """The peer's time over that of native code, by program; it runs in processes of its own."""
    natives = [Native(command, folder, f"{n}-memory") for n, command in compilers().items()]
    found = {}
    for program in compile_bpf(folder, packets=False):
        if program.name not in names:
            continue
        code, _ = code_of(program.instructions)
        data = packet()
        address = address_of(data)
        calls = {native.name: native.caller(program.name, address, len(data)) for native in natives}
        counts = {name: turns_for(call, ROUND_NS) for name, call in calls.items()}
        best = min(min(each) for each in by_turns(calls, counts, rounds).values())
        theirs = peer_time(peer, code, packet(), max(100, int(2e7 / max(best, 1))))
        if theirs is not None and theirs > 0:
            found[program.name] = theirs / best
    return found


def table(rows: list[Row], natives: list[str], ours: list[str], peer: dict[str, float]) -> None:
    columns = "".join(f"{engine:>11}" for engine in ours) + ("       peer" if peer else "")
    print(f"{'program':15} {'slots':>5} {'native ns':>10} {'by':<6}{columns}   (x native, least)")
    ratios: dict[str, list[float]] = {engine: [] for engine in ours}
    medians: dict[str, list[float]] = {engine: [] for engine in ours}
    over: list[str] = []
    for row in rows:
        best = min(natives, key=row.least)
        line = f"{row.name:15} {row.slots:5} {row.least(best):10.2f} {best.split('-')[0]:<6}"
        middle = min(row.middle(name) for name in natives)
        for engine in ours:
            ratio = row.least(engine) / row.least(best)
            ratios[engine].append(ratio)
            medians[engine].append(row.middle(engine) / middle)
            line += f"{ratio:11.2f}"
            if engine in TARGETS and ratio > MOST:
                over.append(f"{row.name} in {engine} {ratio:.2f}")
        print(line + (f"{peer[row.name]:11.2f}" if row.name in peer else ""))
    for engine in ours:
        wanted = f", wanted at most {TARGETS[engine]:.2f}" if engine in TARGETS else ""
        missed = "  MISSED" if engine in TARGETS and mean(ratios[engine]) > TARGETS[engine] else ""
        print(
            f"{engine}: geometric mean of {len(rows)} programs {mean(ratios[engine]):.3f} x native "
            f"from least times, {mean(medians[engine]):.3f} from medians{wanted}{missed}"
        )
    if peer:
        print(f"peer: geometric mean of {len(peer)} programs {mean(list(peer.values())):.3f}")
    print(f"over {MOST} x native, wanted none: {', '.join(over) or 'none'}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", help="a plugin of the conformance suite, with options")
    parser.add_argument("--only", nargs="*", help="names of programs")
    parser.add_argument("--engines", nargs="*", help="some of: " + " ".join(engines.ENGINES))
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--native-flags", nargs="*", default=[], help="such as -march=native")
    parser.add_argument("--no-costs", action="store_true", help="speed alone")
    parser.add_argument(
        "--cycles", type=int, default=1000, help="of loading and unloading; 0: none"
    )
    options = parser.parse_args()
    ours = [one for one in engines.available() if one != "trace"]
    if options.engines:
        ours = [one for one in options.engines if one in ours]
    for engine in engines.ENGINES:
        if engines.problem(engine):
            print(f"not measured: {engine}: {engines.problem(engine)}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        place = Place(compile_bpf(folder, packets=True))
        flags = [flag if flag.startswith("-") else f"-{flag}" for flag in options.native_flags]
        natives = native_programs(place, folder, flags)
        names = [one for one in place.prepared if not options.only or one in options.only]
        rows = [Row(place, one, natives, ours) for one in names]
        for row in rows:
            row.measure(options.rounds)
        peer = against_peer(folder, options.peer, names, 10) if options.peer else {}
        table(rows, [native.name for native in natives], ours, peer)
        print(
            f"least CPU time of {options.rounds} rounds of {ROUND_NS / 1e6:g} ms each, by turns; "
            f"native: {', '.join(natives_words(natives))} -O2 {' '.join(flags)}; {machine()}"
        )
        if not options.no_costs:
            engine_costs.report(place, natives, options.cycles)


def natives_words(natives: list[Native]) -> list[str]:
    return [native.name.split("-")[0] for native in natives]


if __name__ == "__main__":
    main()
