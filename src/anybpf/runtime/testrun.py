"""Runs that a user asks for: one on data of his own, or many over a buffer.

What is asked for and what comes back bear the names of the kernel's test run
(Documentation/bpf/bpf_prog_run.rst) where it has them. The runs themselves are the core's.
"""

from __future__ import annotations

import math
import struct
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar

from anybpf import _core
from anybpf.engines import ContextLayout
from anybpf.engines.contexts import ContextValue
from anybpf.errors import ClosedError, InputError, NotSupported, RunError
from anybpf.runtime.event import EventValue, event_bytes
from anybpf.runtime.program import ProgramRecord

Buffer = bytes | bytearray | memoryview
Result = TypeVar("Result")

# As the kernel has it for one packet: XDP_PACKET_HEADROOM in linux/bpf.h, and what a skb keeps
# behind the data.
HEADROOM: Final = 256
TAILROOM: Final = 320
LINK_HEADER: Final = 14  # ETH_HLEN in linux/if_ether.h
_MOST_REPEATS: Final = (1 << 31) - 1
# Runs in a row without a pause for those who wait for memory: as eBPF for Windows has it.
BATCH: Final = 1024
# Programs of these types see a packet from its network header on, though a test run is given all of
# it: Linux net/bpf/test_run.c.
NETWORK_TYPES: Final = frozenset(
    {
        "socket_filter",
        "cgroup_skb",
        "lwt_in",
        "lwt_out",
        "lwt_xmit",
        "lwt_seg6local",
        "sk_skb",
        "netfilter",
        "flow_dissector",
    }
)
# Where the kernel gives the packet back with the metadata in front of it.
WITH_METADATA: Final = frozenset({"xdp"})


class TestRun:
    """What a test run came to.

    ``retval`` is the result as the system takes it, 32 bits; ``value`` is all of r0. ``duration``
    is the average of one run in nanoseconds. ``redirect`` is what helpers for redirection decided:
    kind, map id, key, flags and the entry's value.
    """

    __test__ = False  # its name is no wish to be collected
    # Written out: classes that write themselves take longer to import than most runs.
    __slots__ = (
        "ctx_out", "data_out", "duration", "instructions", "layout", "redirect", "repeat", "retval",
        "retval_name", "value",
    )  # fmt: skip

    def __init__(
        self,
        retval: int,
        retval_name: str,
        value: int,
        data_out: bytes,
        ctx_out: bytes,
        duration: int,
        repeat: int,
        instructions: int,
        redirect: tuple[int, int, int, int, bytes] | None,
        layout: ContextLayout,
    ) -> None:
        self.retval: int = retval
        self.retval_name: str = retval_name
        self.value: int = value
        self.data_out: bytes = data_out
        self.ctx_out: bytes = ctx_out
        self.duration: int = duration
        self.repeat: int = repeat
        self.instructions: int = instructions
        self.redirect: tuple[int, int, int, int, bytes] | None = redirect
        self.layout: ContextLayout = layout

    def _told(self) -> dict[str, object]:
        return {name: getattr(self, name) for name in self.__slots__ if name != "layout"}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TestRun) and self._told() == other._told()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        order = ("retval", "retval_name", "value", "data_out", "ctx_out", "duration", "repeat",
                 "instructions", "redirect")  # fmt: skip
        return f"TestRun({', '.join(f'{name}={getattr(self, name)!r}' for name in order)})"

    @property
    def context(self) -> dict[str, object]:
        """The fields of the context after the run, by name."""
        return self.layout.read(self.ctx_out)

    @property
    def data_size_out(self) -> int:
        return len(self.data_out)

    @property
    def ctx_size_out(self) -> int:
        return len(self.ctx_out)


class Batch(Sequence[int]):
    """The results of a batch: 32 bits each, in the order of the records.

    ``errors`` has the :class:`RunError` of each record whose run was stopped, by its index; the
    result there is 0. ``results`` is a view without a copy, ``values`` has all 64 bits.
    """

    __slots__ = ("_record", "_stops", "results", "values")

    def __init__(
        self, record: ProgramRecord, raw: bytes, stops: list[tuple[int, _core.Stop]]
    ) -> None:
        self._record: ProgramRecord = record
        self._stops: list[tuple[int, _core.Stop]] = stops
        self.values: memoryview = memoryview(raw).cast("Q")
        low = 0 if sys.byteorder == "little" else 1
        self.results: memoryview = memoryview(raw).cast("I")[low::2]

    @property
    def errors(self) -> dict[int, RunError]:
        return {index: stopped(self._record, stop) for index, stop in self._stops}

    def count(self, value: object) -> int:
        """How many records had this result: a number, or a name such as ``XDP_DROP``."""
        if isinstance(value, str):
            numbers = {name: number for number, name in self._record.prepared.type.return_names}
            if value not in numbers:
                raise InputError(
                    f"no result of {self._record.prepared.type.name} programs is named {value!r}; "
                    f"there are: {', '.join(numbers) or 'none'}"
                )
            value = numbers[value] & 0xFFFFFFFF
        return sum(1 for one in self.results if one == value)

    def __len__(self) -> int:
        return len(self.results)

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        found = self.results[index]
        return list(found) if isinstance(index, slice) else found

    def __iter__(self) -> Iterator[int]:
        return iter(self.results)

    def __repr__(self) -> str:
        return f"<Batch of {len(self)} results, {len(self._stops)} stopped>"


def retval_name(record: ProgramRecord, retval: int) -> str:
    """What the platform calls this result; empty if it has no name."""
    for number, name in record.prepared.type.return_names:
        if number & 0xFFFFFFFF == retval:
            return name
    return ""


class _Setting:
    """What is the same for all runs of one call."""

    def __init__(
        self,
        record: ProgramRecord,
        cpu: int | None,
        budget: int,
        timeout: float | None,
        event: EventValue,
    ) -> None:
        self.event: bytes = event_bytes(event)
        self.record: ProgramRecord = record
        self.layout: ContextLayout = record.layout
        most = record.runtime.cpus
        if cpu is not None and not 0 <= cpu < most:
            raise InputError(f"the runtime has processors 0 to {most - 1}, not {cpu}")
        self.cpu: int = -1 if cpu is None else cpu
        if not 0 <= budget < 1 << 63:
            raise InputError(f"a budget is a number of instructions, not {budget}")
        self.budget: int = budget
        if timeout is not None and not (timeout > 0 and math.isfinite(timeout)):
            raise InputError(f"a timeout is a number of seconds above 0, not {timeout}")
        self.timeout: float = 0.0 if timeout is None else float(timeout)

    def fill(self, context: bytes, ctx: ContextValue, data: bytes) -> bytes:
        """What the system derives from the packet, where the caller did not say it."""
        place = self.layout.fields.get("protocol")
        if layout_name(self.layout) != "__sk_buff" or place is None or len(data) < LINK_HEADER:
            return context
        if any(context[place.offset : place.end]):
            return context
        # A be16 in a field of four bytes, read in the machine's order: as the kernel shows it.
        number = int.from_bytes(data[12:14], sys.byteorder).to_bytes(4, sys.byteorder)
        return context[: place.offset] + number + context[place.end :]


def test_run(
    record: ProgramRecord,
    data: Buffer,
    ctx: ContextValue,
    *,
    repeat: int,
    cpu: int | None,
    batch: int,
    data_size_out: int | None,
    flags: int,
    budget: int,
    timeout: float | None,
    event: EventValue,
) -> TestRun:
    """See :meth:`Program.test_run`."""
    if flags:
        raise NotSupported(f"a test run with flags {flags:#x}", where="the embedded runtime")
    if not isinstance(repeat, int) or not 1 <= repeat <= _MOST_REPEATS:
        raise InputError(f"a test run repeats 1 to {_MOST_REPEATS} times, not {repeat!r}")
    if not isinstance(batch, int) or batch < 0:
        raise InputError(f"a batch is a number of runs, not {batch!r}")
    setting = _Setting(record, cpu, budget, timeout, event)
    layout = setting.layout
    packet = bytes(data)
    if packet and not layout.has_packet:
        raise InputError(
            f"programs of type {record.prepared.type.name} see no data: give what they are to see "
            "by ctx"
        )
    context = layout.build(ctx)
    place = layout.packet_place(ctx, len(packet))
    head = b""
    if layout.has_packet:
        context = setting.fill(context, ctx, packet)
        if record.prepared.type.name in NETWORK_TYPES and layout_name(layout) == "__sk_buff":
            if len(packet) < LINK_HEADER:
                raise InputError(
                    f"the data of a test run of type {record.prepared.type.name} begins with a "
                    f"link header of {LINK_HEADER} bytes, which the program does not see; "
                    f"{len(packet)} bytes were given"
                )
            head, packet = packet[:LINK_HEADER], packet[LINK_HEADER:]
    left, step, meta = repeat, batch or BATCH, place.meta
    nanoseconds = instructions = 0
    value = 0
    redirect: tuple[int, int, int, int, bytes] | None = None
    while left:
        turn = min(left, step)
        given = packet if layout.has_packet else None
        outcome = _core_run(record, given, context, meta, turn, setting)
        value, stop, out, meta_out, context_out, spent, count, redirect = outcome
        nanoseconds += spent
        instructions += count
        if stop is not None and _end(stop) != "THROWN":
            raise stopped(record, stop)
        if context_out is not None:
            context = context_out
        if out is not None:
            front = meta_out or b""
            packet, meta = front + out, len(front)
        left -= turn
    if layout.has_packet:
        if head:
            packet = bytes(len(head)) + packet
        context = layout.with_packet(context, meta, len(packet))
    elif layout.is_memory and isinstance(ctx, (bytes, bytearray, memoryview)):
        context = context[: len(ctx)]
    if data_size_out is not None and len(packet) > data_size_out:
        raise InputError(
            f"the packet has {len(packet)} bytes after the run, more than the {data_size_out} that "
            "data_size_out allows"
        )
    retval = value & 0xFFFFFFFF
    return TestRun(
        retval=retval,
        retval_name=retval_name(record, retval),
        value=value,
        data_out=packet if record.prepared.type.name in WITH_METADATA else packet[meta:],
        ctx_out=context,
        duration=nanoseconds // repeat,
        repeat=repeat,
        instructions=instructions,
        redirect=redirect,
        layout=layout,
    )


def layout_name(layout: ContextLayout) -> str:
    return "" if layout.context is None else layout.context.name


def _core_run(
    record: ProgramRecord,
    packet: bytes | None,
    context: bytes,
    meta: int,
    repeat: int,
    setting: _Setting,
) -> _core.Outcome:
    if record.gone:
        raise ClosedError(f"{record.describe()} is gone")
    return _guarded(
        record,
        record.core.run,
        packet=packet,
        context=context if setting.layout.context is not None else None,
        meta=meta,
        repeat=repeat,
        cpu=setting.cpu,
        budget=setting.budget,
        timeout=setting.timeout,
        headroom=HEADROOM,
        tailroom=TAILROOM,
        event=setting.event,
    )


def _guarded(
    record: ProgramRecord, function: Callable[..., Result], *args: object, **options: object
) -> Result:
    """A call into the core while another thread may close the program."""
    try:
        return function(*args, **options)
    except ValueError:
        if record.gone:
            raise ClosedError(f"{record.describe()} is gone") from None
        raise


def run_batch(
    record: ProgramRecord,
    buffer: Buffer,
    stride: int,
    offsets: Sequence[int] | None,
    ctx: ContextValue,
    cpu: int | None,
    budget: int,
    timeout: float | None,
    event: EventValue,
) -> Batch:
    """See :meth:`Program.run_batch`."""
    setting = _Setting(record, cpu, budget, timeout, event)
    view = memoryview(buffer).cast("B") if len(memoryview(buffer)) else memoryview(b"")
    packed = None
    if offsets is None:
        if not isinstance(stride, int) or stride < 1:
            raise InputError(f"a stride is a number of bytes, not {stride!r}")
        if len(view) % stride:
            raise InputError(f"{len(view)} bytes are no whole number of records of {stride} bytes")
    else:
        packed = _packed(offsets, len(view))
    layout = setting.layout
    if record.gone:
        raise ClosedError(f"{record.describe()} is gone")
    context = layout.build(ctx) if layout.context is not None else None
    raw, stops = _guarded(
        record,
        record.core.run_batch,
        view,
        stride=stride,
        offsets=packed,
        kind="packet" if layout.has_packet else "context",
        context=context if layout.has_packet else None,
        cpu=setting.cpu,
        budget=setting.budget,
        timeout=setting.timeout,
        event=setting.event,
    )
    return Batch(record, raw, stops)


def _packed(offsets: Sequence[int], size: int) -> bytes:
    """Offsets as the core takes them, checked: it must not be sent outside the buffer."""
    if isinstance(offsets, memoryview) and offsets.format in ("Q", "L") and offsets.itemsize == 8:
        numbers: Sequence[int] = offsets
    else:
        numbers = offsets
    last = 0
    for index, number in enumerate(numbers):
        if not isinstance(number, int) or not last <= number <= size:
            raise InputError(
                f"offset {index} is {number!r}: offsets ascend from 0 to the buffer's {size} bytes"
            )
        last = number
    return struct.pack(f"={len(numbers)}Q", *numbers)


# Words for how a run ended, by the core's names.
_REASONS: Final = {
    "OUT_OF_BOUNDS": "{verb} {size} bytes at address {address:#x}, which it may not touch",
    "READ_ONLY": "wrote {size} bytes at address {address:#x}, which it may only read",
    "OUT_OF_BUDGET": "had used up its budget of instructions",
    "OUT_OF_TIME": "had used up its time",
    "TOO_DEEP": "had more than eight functions active at a time",
    "BAD_CALL": "called what is no function",
    "HELPER_FAILED": "called a helper that failed, or that cannot be run here",
    "STOPPED": "was told to stop",
    "MISALIGNED": (
        "made an atomic operation of {size} bytes at address {address:#x}, which is no multiple of "
        "its size"
    ),
}


def _end(stop: _core.Stop) -> str:
    return _core.ENDS[stop[0]]


def stopped(record: ProgramRecord, stop: _core.Stop) -> RunError:
    """The error that says why and where a run was stopped."""
    word = _end(stop)
    number, slot = stop[1], stop[2]
    ran = record
    if number != record.id:
        for other in record.runtime.records("program"):
            if other.id == number and isinstance(other, ProgramRecord):
                ran = other
    text = _REASONS.get(word, word.lower().replace("_", " ")).format(
        verb="wrote" if stop[5] else "read", size=stop[4], address=stop[3]
    )
    place = f"slot {slot}"
    if ran.id == number:
        index = ran.prepared.instruction_at(slot)
        if index < len(ran.prepared.instructions):
            place += f" ({_listed(ran, index)})"
            line = ran.prepared.source_place(slot)
            if line is not None:
                place += f", {line[0]}:{line[1]}"
    return RunError(
        f"program {ran.name} was stopped at {place}: it {text}",
        reason=word.lower().replace("_", "-"),
        program=ran.name,
        slot=slot,
    )


def _listed(record: ProgramRecord, index: int) -> str:
    from anybpf.isa.listing.syntax import instruction_text

    return instruction_text(record.prepared.instructions[index])
