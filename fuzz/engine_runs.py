"""Runs one program in several engines on the same inputs, and says where they come apart.

Each engine has a domain of its own with maps of its own. Compared are the result, how a run ended,
the packet, the context and all maps, after each run. What differs by nature is taken out before:
clocks and random numbers are the same for all, and the programs are proved under rules by which
none can see an address or what it did not write.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, Final

from anybpf import _core
from anybpf.engines import Prepared
from anybpf.objects.specs import MapSpec
from anybpf.platforms import Platform, get
from anybpf.runtime import Runtime
from anybpf.runtime.event import event_bytes
from anybpf.runtime.map import settle
from anybpf.testing import engines
from fuzz.soundness.chance import Chance

# What a run that takes longer does to the end is not compared.
BUDGET: Final = 3_000_000
SIZES: Final = (0, 13, 14, 20, 33, 34, 42, 54, 60, 64, 64, 100, 128, 200, 255, 300)
EVENT: Final = event_bytes({"pid": 1234, "tid": 1235, "uid": 7, "gid": 8, "comm": "fuzz"})
RINGS: Final = ("ringbuf", "perf_event_array")
# Helpers whose results differ from run to run: here numbers in a row take their place.
CHANGING: Final = (
    "ktime_get_ns", "ktime_get_boot_ns", "ktime_get_coarse_ns", "ktime_get_tai_ns", "jiffies64",
    "get_prandom_u32",
)  # fmt: skip
# Helpers whose results are addresses, or what others did.
UNSTABLE: Final = frozenset(
    {"get_current_task", "get_current_task_btf", "get_stackid", "get_stack", "probe_read_kernel",
     "probe_read_user", "probe_read", "probe_read_str", "probe_read_kernel_str",
     "probe_read_user_str", "copy_from_user"}
)  # fmt: skip


def strict(platform: Platform | None = None) -> Platform:
    """The platform, but programs see no addresses and read no bytes that they have not written."""
    made = copy.copy(platform or get("linux"))
    made.rules = {**made.rules, "pointer_leaks": False, "uninitialized_stack_reads": False}
    made.derived = {}
    return made


class Sequence64:
    """What clocks and sources of randomness say: numbers that depend on nothing but a seed."""

    def __init__(self) -> None:
        self.state: int = 1

    def restart(self, seed: int) -> None:
        self.state = seed * 2654435761 + 1 & 0xFFFFFFFFFFFFFFFF

    def __call__(self, *arguments: int) -> int:
        self.state = self.state * 6364136223846793005 + 1442695040888963407 & 0xFFFFFFFFFFFFFFFF
        return self.state >> 11

    def half(self, *arguments: int) -> int:
        return self() & 0xFFFFFFFF


class Input:
    """What one run is given: a packet, a context, the contents of maps."""

    def __init__(self, prepared: Prepared, seed: int, number: int, run: int) -> None:
        chance = Chance(seed)
        chance.restart(seed ^ 0x5EED, number * 64 + run)
        self.seed: int = chance.next()
        self.packet: bytes | None = None
        context = prepared.context
        self.context: bytes | None = None
        if context is None:
            return
        if context.data >= 0:
            packet = bytearray(SIZES[chance.below(len(SIZES))])
            chance.fill(packet, 0, len(packet))
            if len(packet) >= 34 and chance.one_in(2):
                packet[12:15] = b"\x08\x00\x45"
                packet[23] = (6, 17, 1)[chance.below(3)]
            self.packet = bytes(packet)
        data = bytearray(context.size)
        for field in context.fields:
            if field.kind == "scalar" and field.name not in ("len", "data_len"):
                chance.fill(data, field.offset, min(field.end, len(data)))
        self.context = bytes(data)

    def fill(self, maps: Sequence[tuple[MapSpec, _core.Map]]) -> None:
        """The same contents for every engine."""
        chance = Chance(1)
        for index, (spec, made) in enumerate(maps):
            chance.restart(self.seed, index)
            if spec.kind == "rodata":
                continue
            if made.kind == "array":
                view = made.values_view()
                data = bytearray(view.nbytes)
                chance.fill(data, 0, len(data))
                for entry in range(made.max_entries):  # padding behind values is nobody's
                    end = (entry + 1) * made.value_stride
                    data[end - made.value_stride + made.value_size : end] = bytes(
                        made.value_stride - made.value_size
                    )
                view.cast("B")[:] = data
            elif made.kind == "hash":
                for key, _ in engines.contents(made):
                    made.delete(key)
                value = bytearray(made.value_size)
                for _ in range(chance.below(6)):
                    chance.fill(value, 0, len(value))
                    key = int(chance.below(8)).to_bytes(made.key_size, "little")
                    made.update(key, value)
            elif made.kind == "percpu_array":
                value = bytearray(made.user_value_size)
                for entry in range(made.max_entries):
                    made.update(entry.to_bytes(4, "little"), value)


class Seat:
    """One engine with its maps, for many programs."""

    def __init__(self, engine: str, specs: Sequence[MapSpec]) -> None:
        self.engine: str = engine
        self.runtime: Runtime = Runtime("linux", cpus=2)
        self.domain: _core.Domain = self.runtime.domain
        self.maps: list[tuple[MapSpec, _core.Map]] = []
        self.by_spec: dict[int, _core.Map] = {}
        self.rings: list[Any] = []
        self.faces: list[Any] = []
        for spec in specs:
            settle(spec, self.runtime)
            face: Any = self.runtime.create_map(spec)
            self.faces.append(face)
            made: _core.Map = face.keeper.record.storage
            self.maps.append((spec, made))
            self.by_spec[id(spec)] = made
            for key, value in spec.contents:
                if isinstance(value, bytes):
                    made.update(key, value.ljust(made.user_value_size, b"\0"))
        self.clock: Sequence64 = Sequence64()
        self.make_rings()

    def make_rings(self) -> None:
        """New rings in place of the old: what a program reserves holds what was there before."""
        for one in self.rings:
            one.close()
        self.rings.clear()
        for index, (spec, made) in enumerate(self.maps):
            if made.kind not in RINGS:
                continue
            self.faces[index].close()
            self.faces[index] = self.runtime.create_map(spec)
            ring: _core.Map = self.faces[index].keeper.record.storage
            self.maps[index] = spec, ring
            self.by_spec[id(spec)] = ring
            self.rings.append(_core.RingConsumer(ring))

    def close(self) -> None:
        for one in (*self.rings, *self.faces, self.runtime):
            one.close()

    def next(self) -> int:
        return self.runtime.take_number()

    def helper(self, name: str) -> Any:
        if name not in CHANGING:
            return _core.helper(name)
        return self.clock.half if name == "get_prandom_u32" else self.clock

    def contents(self) -> list[Any]:
        found: list[Any] = [ring.read() for ring in self.rings]
        for _, made in self.maps:
            if made.kind == "array":
                found.append(bytes(made.values_view()))
            elif made.kind not in RINGS:
                found.append(engines.contents(made))
        return found

    def make(self, prepared: Prepared) -> Any:
        self.make_rings()
        maps = [self.by_spec[id(spec)] for spec in prepared.maps]
        helpers = [self.helper(name) for name in prepared.helpers]
        return engines.make(self.engine, prepared, self.domain, self.next(), maps, helpers)

    def run(self, program: Any, given: Input, budget: int) -> tuple[Any, ...]:
        """Everything that can be seen of a run."""
        given.fill(self.maps)
        self.clock.restart(given.seed)
        outcome = program.run(
            packet=given.packet, context=given.context, cpu=0, budget=budget, event=EVENT,
            timeout=0.0 if budget else 20.0,
        )  # fmt: skip
        value, stop, packet, meta, context, _, _, redirect = outcome
        ended = None if stop is None else (_core.ENDS[stop[0]], stop[2], stop[4], stop[5], stop[6])
        if redirect is not None:
            redirect = (redirect[0], *redirect[2:4])
        return (
            value if ended is None else 0,
            ended,
            packet,
            meta,
            context,
            redirect,
            self.contents(),
        )


PARTS: Final = ("result", "end", "packet", "metadata", "context", "redirection", "maps")


def apart(one: tuple[Any, ...], other: tuple[Any, ...]) -> str:
    """The first thing that differs, with both values."""
    for name, a, b in zip(PARTS, one, other, strict=True):
        if name == "maps":
            for index, (x, y) in enumerate(zip(a, b, strict=True)):
                if x != y:
                    return f"maps: number {index}: {_short(x)} instead of {_short(y)}"
        elif a != b:
            return f"{name}: {_short(a)} instead of {_short(b)}"
    return ""


def _short(value: Any) -> str:
    if isinstance(value, int):
        return f"{value:#x}"
    if isinstance(value, bytes):
        return value.hex()
    return repr(value)


class Difference:
    """Two engines that come to different things."""

    def __init__(self, engine: str, run: int, text: str, part: str) -> None:
        self.engine: str = engine
        self.run: int = run
        self.text: str = text
        self.part: str = part


class Bench:
    """All engines that are asked for, with the same maps in each."""

    def __init__(self, names: Sequence[str], specs: Sequence[MapSpec]) -> None:
        self.reference: Seat = Seat(engines.REFERENCE, specs)
        self.others: list[Seat] = [Seat(name, specs) for name in names if name != engines.REFERENCE]
        # Why a program was not compared, or only in part.
        self.note: str = ""
        self.runs: int = 0

    def close(self) -> None:
        for seat in (self.reference, *self.others):
            seat.close()

    def compare(self, prepared: Prepared, seed: int, number: int, runs: int) -> Difference | None:
        """The program in all engines; where they come apart first."""
        self.note = ""
        if UNSTABLE.intersection(prepared.helpers):
            self.note = "sees what differs by nature"
            return None
        if "for_each_map_elem" in prepared.helpers and any(
            "hash" in spec.type for spec in prepared.maps
        ):
            self.note = "walks through a table, whose order is its own"
            return None
        if any(self.reference.helper(name) == -1 for name in prepared.helpers):
            self.note = "calls a helper that is not built"
            return None
        inputs = [Input(prepared, seed, number, run) for run in range(runs)]
        wanted: list[tuple[Any, ...]] = []
        with _Made(self.reference, prepared) as program:
            for given in inputs:
                seen = self.reference.run(program, given, BUDGET)
                if seen[1] is not None and seen[1][0] == "OUT_OF_BUDGET":
                    self.note = "takes long"
                    break
                wanted.append(seen)
        self.runs += len(wanted)
        for seat in self.others:
            with _Made(seat, prepared) as program:
                for run, expected in enumerate(wanted):
                    text = apart(seat.run(program, inputs[run], 0), expected)
                    if text:
                        part = text.partition(":")[0]
                        return Difference(seat.engine, run, f"{seat.engine}: {text}", part)
        return None


class _Made:
    """A program of a seat, as long as it is needed."""

    def __init__(self, seat: Seat, prepared: Prepared) -> None:
        self.program: Any = seat.make(prepared)

    def __enter__(self) -> Any:
        return self.program

    def __exit__(self, *exc_info: object) -> None:
        close: Callable[[], None] = self.program.close
        close()
