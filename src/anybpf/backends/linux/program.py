"""Programs in the kernel: what there is to know of one, test runs, and attaching.

How one is loaded is the business of ``loading``; how it is attached, of ``attach``.
"""

from __future__ import annotations

import errno
from ctypes import addressof, create_string_buffer
from dataclasses import dataclass, field
from struct import pack, unpack_from
from typing import TYPE_CHECKING, Any, Final

from anybpf.backends.linux import syscall
from anybpf.backends.linux.handle import Handle
from anybpf.backends.linux.info import name_of_type, program_info
from anybpf.errors import AnyBPFError, InputError, NotSupported

if TYPE_CHECKING:
    from anybpf.backends.linux.backend import LinuxBackend
    from anybpf.backends.linux.link import Link
    from anybpf.engines.contexts import ContextLayout, ContextValue
    from anybpf.objects.specs import ProgramSpec
    from anybpf.runtime.infos import ProgramInfo

ON_CPU: Final = 1 << 0
LIVE_FRAMES: Final = 1 << 1
_MOST_REPEATS: Final = (1 << 31) - 1
# Room for what programs put in front of and behind a packet.
_SLACK: Final = 1024
# Types that the kernel runs for a test only once, and says so by refusing any number of repeats.
_ONCE: Final = frozenset({"raw_tracepoint", "raw_tracepoint_writable", "syscall", "tracing"})


@dataclass(frozen=True, slots=True)
class TestRun:
    """What a test run in the kernel came to.

    ``retval`` are 32 bits; ``duration`` is the average of one run in nanoseconds, as the kernel
    measured it. ``ctx_out`` is empty if no context was given.
    """

    retval: int
    retval_name: str
    data_out: bytes
    ctx_out: bytes
    duration: int
    repeat: int
    layout: ContextLayout | None = field(repr=False, compare=False, default=None)

    @property
    def context(self) -> dict[str, object]:
        """The fields of the context after the run, by name."""
        return {} if self.layout is None or not self.ctx_out else self.layout.read(self.ctx_out)

    @property
    def data_size_out(self) -> int:
        return len(self.data_out)

    @property
    def ctx_size_out(self) -> int:
        return len(self.ctx_out)


TestRun.__test__ = False  # type: ignore[attr-defined]  # its name is no wish to be collected


class Program(Handle):
    """A hold on a program in the kernel."""

    object_kind = "program"

    def __init__(
        self,
        backend: LinuxBackend,
        fd: int,
        spec: ProgramSpec | None = None,
        log: str = "",
    ) -> None:
        super().__init__(backend, fd)
        try:
            info = program_info(fd, backend.platform, code=False)
        except BaseException:
            self.close()
            raise
        self._id = info.id
        self._name = info.name if spec is None else spec.name
        self._number: int = info.type
        # What the object file said; nothing, if the program was found by its id or pin.
        self.attach_type: str = "" if spec is None else spec.attach_type
        self.attach_to: str = "" if spec is None else spec.attach_to
        self.section: str = "" if spec is None else spec.section
        # What the kernel's verifier wrote as it was loaded, if it was asked to write.
        self.log: str = log

    @property
    def type(self) -> str:
        """The name of the program's type, such as ``xdp``."""
        return name_of_type(self.backend.platform, self._number)

    def info(self) -> ProgramInfo:
        return program_info(self.hold().fd, self.backend.platform, len(self._pins))

    def attach(self, attach_type: str = "", data: bytes = b"") -> Link:
        """Attach it where its section says; ``data`` is what the place needs to know besides."""
        from anybpf.backends.linux.attach import attach

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
    ) -> TestRun:
        """Run the program in the kernel on data and a context of your own.

        ``ctx`` are fields by name or bytes, ``repeat`` runs it several times in a row, ``cpu`` is
        the processor to run it on (raw tracepoints only), ``flags`` and ``batch`` go to the kernel
        as they are.
        """
        if not isinstance(repeat, int) or not 1 <= repeat <= _MOST_REPEATS:
            raise InputError(f"a program runs 1 to 2^31-1 times, not {repeat!r}")
        packet = bytes(data)
        layout = self._layout()
        context = b"" if ctx is None else self._context(layout, ctx, packet)
        kept = len(packet) + _SLACK if data_size_out is None else data_size_out
        live = bool(flags & LIVE_FRAMES)
        run = _Run(packet, context, 0 if live or not packet else kept)
        if cpu is not None:
            flags |= ON_CPU
        times = 0 if self.type in _ONCE and repeat == 1 else repeat
        number = run.call(self, times, flags, cpu or 0, batch)
        if number == errno.ENOSPC and data_size_out is None and run.data_size > kept:
            run = _Run(packet, context, run.data_size)
            number = run.call(self, times, flags, cpu or 0, batch)
        if number:
            raise self._refused(number, packet, context)
        retval = run.retval
        return TestRun(
            retval=retval,
            retval_name=self._name_of(retval),
            data_out=run.data_out.raw[: run.data_size],
            ctx_out=run.ctx_out.raw[: run.ctx_size],
            duration=run.duration,
            repeat=repeat,
            layout=layout,
        )

    def _layout(self) -> ContextLayout | None:
        from anybpf.engines.contexts import ContextLayout

        types = self.backend.platform.program_types
        return ContextLayout(types[self.type]) if self.type in types else None

    def _context(self, layout: ContextLayout | None, ctx: ContextValue, packet: bytes) -> bytes:
        if layout is None or layout.context is None:
            if isinstance(ctx, bytes | bytearray | memoryview):
                return bytes(ctx)
            raise InputError(f"program {self._name} of type {self.type}: give its context as bytes")
        if self.type != "xdp":
            return layout.build(ctx)
        # The kernel wants to be told where the packet lies: metadata first, then all the rest.
        meta = layout.packet_place(ctx, len(packet)).meta
        return layout.with_packet(layout.build(ctx), meta, len(packet))

    def _name_of(self, retval: int) -> str:
        types = self.backend.platform.program_types
        if self.type in types:
            for number, name in types[self.type].return_names:
                if number & 0xFFFFFFFF == retval:
                    return name
        return ""

    def _refused(self, number: int, packet: bytes, context: bytes) -> AnyBPFError:
        what = f"a test run of program {self._name}"
        if number == errno.EPERM:
            return syscall.not_permitted(what)
        if number in (errno.EOPNOTSUPP, syscall.ENOTSUPP):
            return NotSupported(f"{what}, of type {self.type},", where=syscall.release())
        hints = {
            errno.EINVAL: (
                f"the kernel does not take {len(packet)} bytes of data with {len(context)} bytes "
                f"of context, or these flags, for the type {self.type} (packets have at least 14 "
                "bytes; other types want no data)"
            ),
            errno.ENOSPC: "what came out is longer than data_size_out",
            errno.EINTR: "it was interrupted by a signal",
        }
        said = hints.get(number, "the kernel refuses it")
        return InputError(f"{what} failed: {said}: {syscall.text(number)}")


class _Run:
    """The buffers of one test run."""

    def __init__(self, packet: bytes, context: bytes, room: int) -> None:
        self.data_in = create_string_buffer(packet, len(packet))
        self.ctx_in = create_string_buffer(context, len(context))
        self.data_out = create_string_buffer(room)
        self.ctx_out = create_string_buffer(len(context))
        self.retval = self.data_size = self.duration = self.ctx_size = 0

    def call(self, program: Handle, repeat: int, flags: int, cpu: int, batch: int) -> int:
        """0 or the error number."""
        held = program.hold()
        places: list[Any] = [self.data_in, self.data_out, self.ctx_in, self.ctx_out]
        addresses = [addressof(each) if len(each) else 0 for each in places]
        sizes = [len(each) for each in places]
        block = bytearray(
            pack(
                "=IIIIQQIIIIQQIIII", held.fd, 0, sizes[0], sizes[1], addresses[0], addresses[1],
                repeat, 0, sizes[2], sizes[3], addresses[2], addresses[3], flags, cpu, batch, 0,
            )
        )  # fmt: skip
        result = syscall.call(syscall.PROG_TEST_RUN, block)
        self.retval, _, size = unpack_from("=III", block, 4)
        self.data_size = size if sizes[1] else 0
        self.duration = unpack_from("=I", block, 36)[0]
        self.ctx_size = unpack_from("=I", block, 44)[0] if sizes[3] else 0
        return -result
