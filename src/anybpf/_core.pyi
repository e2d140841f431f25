"""The C core, `src/core`: see the headers there for what each function promises."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from typing_extensions import Buffer

def check_instructions(code: Buffer, big_endian: bool = False) -> tuple[int, int] | None: ...
def check_program(code: Buffer, big_endian: bool = False) -> tuple[int, int] | None: ...

# Programs and their runs. A stop, as data: end (enum anybpf_end of run.h; _core.ENDS has the names),
# id of the program, slot in its code, and of an access its address, size and whether it wrote; the
# value is bpf_throw's cookie.
Stop: TypeAlias = tuple[int, int, int, int, int, bool, int]
# What a run came to: value, stop, packet, metadata in front of it, context, nanoseconds (all
# repetitions), instructions spent of the budget, redirect (kind, map id, key, flags, value).
Outcome: TypeAlias = tuple[
    int,
    Stop | None,
    bytes | None,
    bytes | None,
    bytes | None,
    int,
    int,
    tuple[int, int, int, int, bytes] | None,
]
ENDS: tuple[str, ...]

class Program:
    """A program, ready to run. Safe for many threads at once."""

    def __init__(
        self,
        domain: Domain,
        id: int,
        name: str,
        code: Buffer,
        maps: Sequence[Map],
        helpers: Sequence[object],
        codes: Sequence[int],
        type: int = 0,
        context_size: int = 0,
        behaviour: int = 0,
        compatible: int = 0,
        packet_fields: tuple[int, int, int] = (-1, -1, -1),
        length_field: int = -1,
    ) -> None:
        """`code` is in the machine's byte order. A helper is a number from `helper`, -1 for one that
        is not there, or what Python has in its place. `packet_fields`: offsets in the context of
        eight-byte pointers to the packet's data, end and metadata, `length_field` of a four-byte
        length of the packet; -1: not there. ValueError says at which slot the code is refused."""

    def __call__(self, memory: Buffer | None = None, /) -> int | Stop:
        """The fastest run: r1 = address and r2 = length of `memory`, or 0; r0, or why it stopped.
        No budget and no time limit; `stop()` ends it from another thread."""

    def run(
        self,
        *,
        packet: Buffer | None = None,
        context: Buffer | None = None,
        memory: Buffer | None = None,
        meta: int = 0,
        event: Buffer | None = None,
        repeat: int = 1,
        cpu: int = -1,
        budget: int = 0,
        timeout: float = 0.0,
        headroom: int = 256,
        tailroom: int = 320,
        counts: Buffer | None = None,
        step: Callable[[int, int, tuple[int, ...]], object] | None = None,
        touch: Callable[[int, int, tuple[int, ...], int, int, bool], object] | None = None,
        watch: Sequence[tuple[int, int, bool, bool]] = (),
    ) -> Outcome:
        """One run, or many. `packet` begins with `meta` bytes of metadata; packet and context are
        copied, `memory` (writable) is not. `budget` (instructions) and `timeout` (seconds) are for
        all repetitions; 0: none. `event`: struct anybpf_event up to is_admin and present, packed as
        "QQ16sQQQQQQQQiI" says.
        `counts`: writable, eight bytes a slot, added to. `step(program id, slot, r0..r10)` before
        each instruction, `touch(..., address, size, write)` before each that reads or writes in one
        of `watch` (address, size, reads, writes): a result that is true stops the run."""

    def run_batch(
        self,
        buffer: Buffer,
        *,
        stride: int = 0,
        offsets: Buffer | None = None,
        kind: str = "packet",
        context: Buffer | None = None,
        event: Buffer | None = None,
        cpu: int = -1,
        budget: int = 0,
        timeout: float = 0.0,
        refresh: int = 256,
    ) -> tuple[bytes, list[tuple[int, Stop]]]:
        """Runs on each record of `buffer`: every `stride` bytes, or from each of `offsets` (n + 1
        eight-byte numbers) to the next. `kind`: records are packets ("packet", used in place,
        with `context` fresh for each), contexts ("context", copied) or memory ("memory"). Packets
        and memory are read only if `buffer` is. r0 of each as native u64: `array("Q", results)`;
        0 where it stopped, which the list tells (first 1000). `budget` is each record's, `timeout`
        the whole batch's: when it is over, or after `stop()`, results are fewer."""

    def stop(self) -> None:
        """Ends runs of this program that are under way, in whichever thread."""

    def close(self) -> None:
        """Takes the program out of its domain. Idempotent; runs afterwards raise ValueError."""

    @property
    def id(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def code(self) -> bytes: ...
    @property
    def slots(self) -> int: ...
    @property
    def maps(self) -> tuple[Map, ...]: ...
    @property
    def closed(self) -> bool: ...
    @property
    def runs(self) -> int: ...
    @property
    def run_ns(self) -> int: ...
    @property
    def statistics(self) -> bool: ...
    @statistics.setter
    def statistics(self, on: bool) -> None: ...
