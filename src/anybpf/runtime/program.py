"""Programs as objects of a runtime: made from prepared code, run for tests and in batches.

What runs them is the core's; what their results are called stands in ``testrun``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from anybpf import _core
from anybpf.engines import ContextLayout, Prepared
from anybpf.engines.contexts import ContextValue
from anybpf.engines.interpreter import make_program
from anybpf.engines.tiers import Job, compiler
from anybpf.errors import InputError
from anybpf.runtime.event import EventValue
from anybpf.runtime.map import MapRecord
from anybpf.runtime.objects import PROGRAM, Handle, Record
from anybpf.runtime.policy import AUTO, INTERPRET, JIT, NATIVE

if TYPE_CHECKING:
    from anybpf.engines.lowering import Source
    from anybpf.runtime.infos import ProgramInfo as ProgramInfo
    from anybpf.runtime.link import Link
    from anybpf.runtime.runtime import Runtime
    from anybpf.runtime.testrun import Batch, TestRun
    from anybpf.runtime.types import TypesRecord
    from anybpf.verifier import Verification


# Licences under which Linux lets programs use what is for the GPL only: include/linux/license.h.
GPL_COMPATIBLE = (
    "GPL",
    "GPL v2",
    "GPL and additional rights",
    "Dual BSD/GPL",
    "Dual MIT/GPL",
    "Dual MPL/GPL",
)


class ProgramRecord(Record):
    kind = PROGRAM

    def __init__(self, runtime: Runtime, owner: str, prepared: Prepared) -> None:
        super().__init__(runtime, prepared.name, owner)
        self.prepared: Prepared = prepared
        self.layout: ContextLayout = ContextLayout(prepared.type)
        self.held: list[Record] = []
        self.types_id: int = 0
        # As they were given to the core: numbers of built-in ones, and functions.
        self.helpers: list[Any] = []
        # The compiler's, if it waits for the program to become hot.
        self.job: Job | None = None
        # Bytes of the machine code that an image gave it.
        self.native_size: int = 0
        self.core: _core.Program

    @property
    def map_ids(self) -> tuple[int, ...]:
        return tuple(one.id for one in self.held if isinstance(one, MapRecord))

    def release(self) -> Iterable[Record]:
        self.core.close()
        held, self.held = self.held, []
        return held

    def count_runs(self, on: bool) -> None:
        self.core.statistics = on

    def info(self) -> ProgramInfo:
        from anybpf.runtime.infos import ProgramInfo

        prepared = self.prepared
        platform = self.runtime.platform
        attach = platform.attach_types.get(prepared.attach_type) if prepared.attach_type else None
        maps = self.map_ids
        links = self.users_of_kind("link")
        with self.runtime.guard():
            runs, spent = (0, 0) if self.gone else (self.core.runs, self.core.run_ns)
            compiled = not self.gone and self.core.compiled
        return ProgramInfo(
            id=self.id,
            type=prepared.type.number,
            type_name=prepared.type.name,
            name=self.name,
            tag=prepared.tag,
            jited_prog_len=self.native_size,
            xlated_prog_len=len(prepared.code),
            xlated_prog_insns=prepared.code,
            load_time=self.load_time,
            created_by_uid=_user_id(),
            nr_map_ids=len(maps),
            map_ids=maps,
            ifindex=0,
            gpl_compatible=prepared.license in GPL_COMPATIBLE,
            btf_id=self.types_id,
            nr_func_info=prepared.typed_functions,
            nr_line_info=sum(1 for line in prepared.lines if line[1]),
            run_time_ns=spent,
            run_cnt=runs,
            recursion_misses=0,
            verified_insns=prepared.verified_steps,
            attach_btf_obj_id=0,
            attach_btf_id=0,
            memlock=self.memory,
            type_uuid=prepared.type.guid,
            attach_type_uuid=attach.guid if attach else "",
            attach_type_name=prepared.attach_type,
            pinned_path_count=len(self.pins),
            link_count=links,
            mode=NATIVE if self.native_size else JIT if compiled else INTERPRET,
        )

    def users_of_kind(self, kind: str) -> int:
        """How many objects of that kind hold the program."""
        return sum(
            1
            for record in self.runtime.records(kind)
            if getattr(record, "program", None) is self and getattr(record, "holds", False)
        )

    def open(self) -> Program:
        return Program(self)


def _user_id() -> int:
    import os

    return os.getuid() if hasattr(os, "getuid") else 0


class Program(Handle):
    """A hold on a loaded program."""

    __slots__ = ()

    def program_record(self) -> ProgramRecord:
        """For the rooms of this package: the object itself, while the handle is open."""
        record = self.record
        assert isinstance(record, ProgramRecord)
        return record

    @property
    def type(self) -> str:
        """The name of the program's type, such as ``xdp``."""
        return self.program_record().prepared.type.name

    @property
    def attach_type(self) -> str:
        return self.program_record().prepared.attach_type

    @property
    def verification(self) -> Verification:
        """The proof with which the program was loaded: its facts, and the work it was.

        Programs out of images come without one: :class:`NotSupported`.
        """
        return self.program_record().prepared.verification

    @property
    def prepared(self) -> Prepared:
        return self.program_record().prepared

    def info(self) -> ProgramInfo:
        return self.program_record().info()

    def native_listing(self) -> str:
        """Its machine code beside bytecode and source lines, as text.

        It is made by compiling the program: :class:`NotSupported` where nothing can be compiled.
        """
        from anybpf.engines.listing import native_listing

        record = self.program_record()
        maps = [one for one in record.held if isinstance(one, MapRecord)]
        return native_listing(record.prepared, _source(record.prepared, maps, record.helpers))

    def attach(self, attach_type: str = "", data: bytes = b"") -> Link:
        """Attach it by the runtime's hook for that attach type (its own, if none is named)."""
        from anybpf.runtime.link import attach

        return attach(self, attach_type, data)

    def test_run(
        self,
        data: bytes | bytearray | memoryview = b"",
        ctx: ContextValue = None,
        *,
        repeat: int = 1,
        cpu: int | None = None,
        batch: int = 0,
        data_size_out: int | None = None,
        flags: int = 0,
        budget: int = 0,
        timeout: float | None = None,
        event: EventValue = None,
    ) -> TestRun:
        """Run the program on data and a context of your own, as the kernel's test run does.

        ``data`` is what the packet pointers lead to, ``ctx`` fields by name or bytes. ``repeat``
        runs it several times in a row on the same packet; ``batch`` of these without a pause for
        others. ``cpu`` is the processor that it believes to be on. ``budget`` (instructions) and
        ``timeout`` (seconds) stop a run that goes on for too long: :class:`RunError` says where.
        ``event`` is what helpers say of who caused it (``{"pid": 1, "comm": "init"}``); without
        it, this very thread.
        """
        from anybpf.runtime.testrun import test_run

        return test_run(
            self.program_record(), data, ctx, repeat=repeat, cpu=cpu, batch=batch,
            data_size_out=data_size_out, flags=flags, budget=budget, timeout=timeout,
            event=event,
        )  # fmt: skip

    @property
    def on_packet(self) -> Callable[..., int | _core.Stop]:
        """The shortest way to run it: a function of a packet, and of a context as bytes if wanted.

        It gives r0, or a tuple that says why the run was stopped. The packet is copied and what
        becomes of it is not told; nor are there budgets, time limits or events. Keep the function:
        it is good as long as the program is open.
        """
        return self.program_record().core.packet

    def run_batch(
        self,
        buffer: bytes | bytearray | memoryview,
        *,
        stride: int = 0,
        offsets: Sequence[int] | None = None,
        ctx: ContextValue = None,
        cpu: int | None = None,
        budget: int = 0,
        timeout: float | None = None,
        event: EventValue = None,
    ) -> Batch:
        """Run the program once for each record in a buffer, without Python in between.

        Records are ``stride`` bytes each, or lie between neighbours in ``offsets``. The packets
        are changed where they are if the buffer is writable, else in a copy.
        """
        from anybpf.runtime.testrun import run_batch

        if bool(stride) == (offsets is not None):
            raise InputError("say how the buffer is divided: by stride, or by offsets")
        return run_batch(
            self.program_record(), buffer, stride, offsets, ctx, cpu, budget, timeout, event
        )


def create_program(
    runtime: Runtime,
    prepared: Prepared,
    maps: list[MapRecord],
    helpers: list[Any],
    types: TypesRecord | None,
    owner: str,
    engine: str = INTERPRET,
) -> ProgramRecord:
    """A program that can run, unreferenced: it goes with the first handle that is closed."""
    record = ProgramRecord(runtime, owner, prepared)
    for spec, one in zip(prepared.maps, maps, strict=True):
        if (spec.key_size, spec.value_size) != (one.spec.key_size, one.spec.value_size):
            raise InputError(
                f"program {prepared.name} was proved with keys of {spec.key_size} and values of "
                f"{spec.value_size} bytes in map {spec.name}; {one.describe()} has "
                f"{one.spec.key_size} and {one.spec.value_size}"
            )
    number = runtime.reserve(PROGRAM, owner, f"program {prepared.name}")
    held: list[Record] = []
    try:
        for needed in [*maps, *([] if types is None else [types])]:
            runtime.use(needed)
            held.append(needed)
        record.core = make_program(
            prepared,
            runtime.domain,
            number,
            [one.storage for one in maps],
            helpers,
            runtime.habits.behaviour,
        )
        try:
            record.held = held
            record.helpers = helpers
            record.types_id = 0 if types is None else types.id
            record.core.statistics = runtime.statistics
            _use_engine(record, maps, helpers, engine)
            runtime.admit(record, number, len(prepared.code))
        except BaseException:
            record.core.close()
            raise
    except BaseException:
        for needed in held:
            runtime.unuse(needed)
        runtime.unreserve(PROGRAM, owner)
        raise
    return record


def _use_engine(
    record: ProgramRecord, maps: list[MapRecord], helpers: list[Any], engine: str
) -> None:
    """Compile the program now, or let it be compiled when that pays."""
    if engine == JIT:
        compiler().compile_now(record.core, _source(record.prepared, maps, helpers))
    elif engine == AUTO:
        prepared = record.prepared
        record.job = compiler().watch(record.core, lambda: _source(prepared, maps, helpers))


def _source(prepared: Prepared, maps: list[MapRecord], helpers: list[Any]) -> Source:
    """What the compiler starts from: maps and helpers as they are, and not as was said of them."""
    from anybpf.engines.lowering import source_of

    source = source_of(prepared)
    for shape, one in zip(source.maps, maps, strict=True):
        if shape.max_entries != one.spec.max_entries or shape.kind != one.spec.type:
            shape.open = False
    for index, helper in enumerate(helpers):
        if callable(helper):
            source.is_in_python(index)
    return source
