"""The C core, `src/core`: see the headers there for what each function promises."""

from collections.abc import Callable, Sequence
from typing import Any, Self, TypeAlias

from typing_extensions import Buffer

def check_instructions(code: Buffer, big_endian: bool = False) -> tuple[int, int] | None: ...
def check_program(code: Buffer, big_endian: bool = False) -> tuple[int, int] | None: ...

STATUSES: tuple[str, ...]
"""Names of statuses by number."""
KINDS: tuple[str, ...]
"""Names of the kinds of maps that are built."""
MAP_FLAGS: dict[str, int]

class Domain:
    """The threads and processes that share maps. After a fork, the child goes on under a number of
    its own."""

    def __init__(self, cpus: int, shared: bool = False) -> None: ...
    @classmethod
    def attach(cls, fd: int, sealed: bool = True) -> Domain: ...
    @property
    def cpus(self) -> int: ...
    @property
    def fd(self) -> int: ...
    @property
    def shared(self) -> bool: ...
    @property
    def participant(self) -> int: ...
    def synchronize(self, timeout: float | None = None) -> bool: ...
    def collect(self) -> int: ...

class Map:
    """A map's storage. Also a buffer, of an array's values.

    What goes wrong is told to `_fail(what, status, key)`, which must raise: `what` is the
    operation, or "key" or "value" if that object is at fault (then it is given as `key`), or "use"
    with a status of -1 if the map is closed. What returns a status does not raise for it.
    """

    def __init__(
        self,
        domain: Domain,
        id: int,  # noqa: A002
        kind: str,
        key_size: int,
        value_size: int,
        max_entries: int,
        flags: int = 0,
        cpus: int = 0,
        extra: int = 0,
        lock_offset: int = -1,
        timer_offset: int = -1,
        name: str = "",
        inner: Map | None = None,
        shared: bool = False,
    ) -> None: ...
    @classmethod
    def attach(
        cls, domain: Domain, fd: int, writable: bool = True, sealed: bool = True
    ) -> Self: ...
    @classmethod
    def share(cls, map: Map, /) -> Self: ...  # noqa: A002
    @property
    def id(self) -> int: ...
    @property
    def kind(self) -> str: ...
    @property
    def key_size(self) -> int: ...
    @property
    def value_size(self) -> int: ...
    @property
    def user_value_size(self) -> int: ...
    @property
    def value_stride(self) -> int: ...
    @property
    def max_entries(self) -> int: ...
    @property
    def flags(self) -> int: ...
    @property
    def cpus(self) -> int: ...
    @property
    def extra(self) -> int: ...
    @property
    def lock_offset(self) -> int: ...
    @property
    def timer_offset(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def fd(self) -> int: ...
    @property
    def memory(self) -> int: ...
    @property
    def frozen(self) -> bool: ...
    @property
    def closed(self) -> bool: ...
    @property
    def domain(self) -> Domain | None: ...
    def close(self) -> None: ...
    def abandon(self, abandoned: bool, /) -> None:
        """Whether only programs refer to it from now on. Then its timers go; it gets no others."""

    def freeze(self) -> int: ...
    def values_view(self) -> memoryview: ...

    # Of an arena: pages are counted, pointers are arena pointers. 0 pages, or 0 as pointer: none.
    def arena_start(self) -> int: ...
    def alloc_pages(self, pages: int, pointer: int = 0, /) -> int: ...
    def free_pages(self, pointer: int, pages: int, /) -> int: ...
    def taken_pages(self, first: int, /) -> tuple[int, int]: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...

    # One entry, in bytes.
    def lookup(self, key: Buffer, flags: int = 0, /) -> bytes | None: ...
    def lookup_into(self, key: Buffer, out: Buffer, flags: int = 0, /) -> bool: ...
    def update(self, key: Buffer, value: Buffer, flags: int = 0, /) -> int: ...
    def delete(self, key: Buffer, /) -> int: ...
    def next_key(self, key: Buffer | None, /) -> bytes | None: ...
    def take(self, key: Buffer, /) -> bytes | None: ...
    def push(self, value: Buffer, flags: int = 0, /) -> int: ...
    def pop(self) -> bytes | None: ...
    def peek(self) -> bytes | None: ...
    def count(self) -> int: ...
    def check(self) -> str | None: ...

    # Many entries, without the GIL.
    def scan(
        self, cursor: int, count: int, want_keys: bool = True, want_values: bool = True, /
    ) -> tuple[int, bytes, bytes, int, bool]: ...
    def scan_into(
        self, cursor: int, keys: Buffer | None, values: Buffer | None, /
    ) -> tuple[int, int, bool]: ...
    def lookup_many(
        self, keys: Buffer, values: Buffer, present: Buffer | None = None, flags: int = 0, /
    ) -> tuple[int, int]: ...
    def update_many(self, keys: Buffer, values: Buffer, flags: int = 0, /) -> tuple[int, int]: ...
    def delete_many(self, keys: Buffer, present: Buffer | None = None, /) -> tuple[int, int]: ...

    # One entry, as objects. Codes: "B" bytes; "u1" to "u8" and "i1" to "i8" integers in native
    # byte order (in per-CPU maps a list of them); "O" by the methods below, which subclasses have.
    def set_codec(self, key_code: str, value_code: str, /) -> None: ...
    def __getitem__(self, key: Any, /) -> Any: ...
    def __setitem__(self, key: Any, value: Any, /) -> None: ...
    def __delitem__(self, key: Any, /) -> None: ...
    def __contains__(self, key: object, /) -> bool: ...
    def get(self, key: Any, default: Any = None, /) -> Any: ...
    def _encode_key(self, key: Any, /) -> Buffer: ...
    def _encode_value(self, value: Any, /) -> Buffer: ...
    def _decode_value(self, value: bytes, /) -> Any: ...
    def _fail(self, what: str, status: int, key: object, /) -> None: ...

# Programs and their runs. A stop, as data: end (enum anybpf_end of run.h; _core.ENDS has the
# names), id of the program, slot in its code, and of an access its address, size and whether it
# wrote; the value is bpf_throw's cookie.
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
        id: int,  # noqa: A002
        name: str,
        code: Buffer,
        maps: Sequence[Map],
        helpers: Sequence[object],
        codes: Sequence[int],
        type: int = 0,  # noqa: A002
        context_size: int = 0,
        behaviour: int = 0,
        compatible: int = 0,
        packet_fields: tuple[int, int, int] = (-1, -1, -1),
        length_field: int = -1,
        handler: int = 0,
    ) -> None:
        """`code` is in the machine's byte order. A helper is a number from `helper`, -1 for one
        that is not there, or what Python has in its place. `packet_fields`: offsets in the
        context of eight-byte pointers to the packet's data, end and metadata, `length_field` of a
        four-byte length of the packet; -1: not there. `handler`: the slot of the function that
        handles exceptions; 0: none. ValueError says at which slot the code is refused."""

    def __call__(self, memory: Buffer | None = None, /) -> int | Stop:
        """The fastest run: r1 = address and r2 = length of `memory`, or 0; r0, or why it stopped.
        No budget and no time limit; `stop()` ends it from another thread."""

    def packet(self, packet: Buffer, context: Buffer | None = None, /) -> int | Stop:
        """The fastest run on a packet, which is copied, as is the context (zeros, but for the
        packet's pointers and length, where none is given): r0, or why it stopped. No event, no
        budget and no time limit. For many packets there is `run_batch`."""

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

    def attach_code(
        self, code: Code, entry: int, functions: Sequence[tuple[int, int]] = (), /
    ) -> None:
        """From now on runs begin at offset `entry` of the code, which is sealed, and stays as long
        as the program. `functions`: slots of functions that are called by value, and offsets."""

    def detach_code(self) -> None:
        """Back to the interpreter, for runs that begin from now on."""

    def symbol(self, name: str, /) -> int:
        """The address of what compiled code of this program calls so: `anybpf_helper_<i>`,
        `anybpf_map_<i>`, `anybpf_values_<i>`, `anybpf_lookup_<i>`, `anybpf_update_<i>`,
        `anybpf_erase_<i>` (src/core/maps/direct.h), `anybpf_ops`, and what the function of this
        name knows. LookupError."""

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
    def compiled(self) -> bool: ...
    @property
    def heat(self) -> int:
        """How often 65,536 of its instructions were interpreted."""

    on_hot: Callable[[], object] | None
    """Called after the run that makes it hot (32 of `heat`), by the thread that ran it, once."""
    @property
    def runs(self) -> int: ...
    @property
    def run_ns(self) -> int: ...
    @property
    def statistics(self) -> bool: ...
    @statistics.setter
    def statistics(self, on: bool) -> None: ...

# Machine code.
MACHINE: str
"""The processor architecture: "x86_64", "aarch64", or "" where nothing is compiled."""
PAGE_SIZE: int
NATIVE_ABI: int
"""Counts up with every change of what compiled code relies on."""
LAYOUT: dict[str, int]
"""Where the fields lie that compiled code touches, and numbers that it knows (layout.c)."""

def symbol(name: str, /) -> int:
    """The address of a run-time function that compiled code calls by name; LookupError."""

class Code:
    """Memory that holds machine code, in whole pages: writable until it is sealed, never writable
    and executable at once. ValueError for what lies outside, and for writes after sealing."""

    def __new__(cls, size: int) -> Code: ...
    @classmethod
    def adopt(cls, address: int, size: int, owner: object, /) -> Code:
        """Code that the system has loaded, and that stays as long as `owner` does."""

    @property
    def address(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def text_size(self) -> int: ...
    @property
    def sealed(self) -> bool: ...
    def write(self, offset: int, data: Buffer, /) -> None: ...
    def read(self, offset: int, size: int, /) -> bytes: ...
    def seal(self, text_size: int, data_start: int = ..., /) -> None:
        """Bytes below `text_size` become executable, those up to `data_start` read only; both are
        multiples of PAGE_SIZE. OSError where the system forbids it."""

# Rings: ring buffers, user rings and perf event arrays. `ring` is a processor's number in perf
# event arrays, else 0. ValueError if closed, BufferError while records are leased.

class RingConsumer:
    """The one reader of a ring buffer (records are bytes) or of a perf event array (records are
    `(cpu, bytes, lost)`). What cannot be is told to the map's `_fail`."""

    def __new__(cls, map: Map) -> RingConsumer: ...  # noqa: A002
    def wait(self, timeout: float) -> int:
        """0: time is up; 1: there is something to read; 2: flush() or close(). Without the GIL; a
        negative timeout is no limit."""

    def read(self, most: int = ..., ring: int = 0) -> list[Any]:
        """Records that are there, 65536 at most."""

    def batch(self, most: int = ..., ring: int = 0) -> tuple[Any, ...]:
        """The same end to end (bytes), and n + 1 offsets of eight bytes each (bytes); of perf
        rings also how many records were lost before these and among them (int)."""

    def lease(self, most: int = ..., ring: int = 0) -> RingLease:
        """The same in place."""

    def flush(self) -> None:
        """Ends waits that are under way."""

    @property
    def flushes(self) -> int: ...
    def fileno(self) -> int:
        """A descriptor that is readable while there is something to read; -1: none here."""

    @property
    def needs_bridge(self) -> bool:
        """Whether a thread must call `bridge` over and over for `fileno` to be of use."""

    def bridge(self) -> bool:
        """Waits for a tenth of a second at most; False once closed."""

    def unread(self, ring: int, /) -> int:
        """Bytes."""

    def lost(self, ring: int, /) -> int:
        """Records, since the map was made."""

    def set_wakeup(self, records: int, size: int, /) -> None:
        """Perf: a wait ends at so many records or bytes (0 and 0: at the first)."""

    def close(self) -> None:
        """Ends waits; the ring is another's to read when leases are released. Idempotent."""

    @property
    def closed(self) -> bool: ...
    @property
    def size(self) -> int:
        """Bytes of one ring."""

    @property
    def rings(self) -> int: ...

class RingLease:
    """Records in place. `release` raises BufferError while parts of them are used elsewhere."""

    @property
    def records(self) -> list[memoryview]: ...
    def release(self) -> None: ...
    def __enter__(self) -> list[memoryview]: ...
    def __exit__(self, *error: object) -> None: ...

class RingProducer:
    """Writes records, as users do to user rings and programs to the others. Many may. Numbers
    returned are statuses."""

    def __new__(cls, map: Map) -> RingProducer: ...  # noqa: A002
    def output(self, data: Buffer, flags: int = 0, /) -> int: ...
    def output_many(self, records: Sequence[Buffer], /) -> tuple[int, int]:
        """A status, and how many were written."""

    def output_event(self, data: Buffer, cpu: int, /) -> int:
        """To a perf event array."""

    def reserve(self, size: int, /) -> RingReservation | int:
        """Zeroed memory for a record, or a status."""

    def wait(self, size: int, timeout: float, /) -> bool:
        """Whether there is room for a record of that size. Without the GIL; negative: no limit."""

    def drain(self, callback: Callable[[bytes], object], flags: int = 0, /) -> tuple[int, int]:
        """What a program does to a user ring: a status, and how many records it saw. A result of
        the callback that is true ends it."""

    def query(self, what: int, /) -> int:
        """As bpf_ringbuf_query."""

    def close(self) -> None: ...

class RingReservation:
    """A buffer for one record. `with` submits it, an exception discards it."""

    def submit(self, flags: int = 0, /) -> None: ...
    def discard(self, flags: int = 0, /) -> None: ...
    def __enter__(self) -> memoryview: ...
    def __exit__(self, kind: object = None, error: object = None, trace: object = None) -> None: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...

# Helpers: those that are built, and those that Python brings.
def helper(name: str, /) -> int:
    """What Program takes for the helper of that name, without "bpf_"; -1: it is not built."""

def helpers() -> tuple[str, ...]:
    """The names of all that are built."""

class Memory:
    """What a helper written in Python sees of the program, for the time of the call; then every use
    raises ValueError, as does what the program itself may not do.

    A Python function in Program's `helpers` is called with as many of r1 to r5 as it has
    parameters, as unsigned integers; if the first parameter is named `memory`, that is this
    object. Callables that are no Python functions get it and all five. The result is what the
    program finds in r0, None as 0. An exception ends the run with HELPER_FAILED, and is raised by
    `run`.
    """

    def read(self, address: int, size: int, /) -> bytes: ...
    def write(self, address: int, data: Buffer, /) -> None: ...
    def string(self, address: int, most: int = 256, /) -> bytes: ...
    def map(self, address: int, /) -> Map | None: ...
    @property
    def cpu(self) -> int: ...
    @property
    def program(self) -> int: ...
    @property
    def context(self) -> int: ...
    @property
    def packet(self) -> bytes | None: ...

class Log:
    """What the programs of a domain print; the oldest lines go when it is full. A domain has at
    most one; without, what is printed is gone."""

    def __init__(self, domain: Domain, capacity: int = 65536) -> None: ...
    def read(self) -> tuple[int, int, int, int, str] | None:
        """The oldest line, taken: (monotonic ns, program id, cpu, process id, text)."""

    def wait(self, ticket: int, timeout: float, /) -> bool:
        """Whether something was printed since `ticket` was asked for."""

    def close(self) -> None: ...
    @property
    def lost(self) -> int: ...
    @property
    def ticket(self) -> int: ...

class Timers:
    """The timers that programs of a domain set: without it bpf_timer_init returns -EOPNOTSUPP. The
    host waits until the next is due (`wait` returns early when one is started) and fires."""

    def __init__(self, domain: Domain) -> None: ...
    def next(self) -> int | None:
        """When the earliest is due, in ns as time.monotonic_ns() counts."""

    def fire(self, budget: int = 0, /) -> tuple[int, list[tuple[Stop, BaseException | None]]]:
        """Runs the callbacks of all that are due, each with that many instructions (0: no limit):
        how many, and how those came to an end that did not end by themselves."""

    def wait(self, ticket: int, timeout: float, /) -> bool: ...
    def close(self) -> None: ...
    @property
    def ticket(self) -> int: ...

class Routes:
    """What bpf_fib_lookup and bpf_check_mtu find in a domain. Addresses are bytes, 4 or 16.

    routes: (prefix, length, type, via or None, interface, table or 0, metric, mtu or 0, source or
    None), with types 0 unicast, 1 local, 2 blackhole, 3 unreachable, 4 prohibit; interfaces:
    (index, mtu, forwards, link address); neighbours: (interface, address, link address).
    """

    def __init__(
        self,
        domain: Domain,
        routes: tuple[tuple[bytes, int, int, bytes | None, int, int, int, int, bytes | None], ...],
        interfaces: tuple[tuple[int, int, bool, bytes], ...] = (),
        neighbours: tuple[tuple[int, bytes, bytes], ...] = (),
    ) -> None: ...
    def close(self) -> None: ...
