"""Small programs from assembly, run by the core and, where the machine permits it, by the kernel.

A text calls helpers by name and refers to maps as ``r1 = map 0 ll``, to the start of a map's values
as ``r1 = value 0 ll``, to a function as ``r1 = function label ll``. It reaches its packet through
helpers alone, so that it is the same program on both sides.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable, Mapping, Sequence
from struct import pack, unpack_from

import pytest

from anybpf import _core
from anybpf.isa import Instruction, encode
from anybpf.isa.assembler import assemble
from anybpf.platforms import get
from fuzz import linux_syscall

XDP = 6
SCHED_CLS = 3
SKB_BYTES = 192
XDP_BYTES = 24
# What the kernel's test run has around a packet: XDP_PACKET_HEADROOM without struct xdp_frame.
HEADROOM = 216
TAILROOM = 4096 - 256 - 320

WINDOWS = 1 << 0 | 1 << 1 | 1 << 2


class Case:
    """A domain with maps, and programs that run in it."""

    def __init__(self, *maps: Mapping[str, object], cpus: int = 2) -> None:
        self.domain = _core.Domain(cpus)
        self.next_id = 1
        self.maps: list[_core.Map] = []
        for one in maps:
            self.maps.append(self.map(**one))

    def number(self) -> int:
        self.next_id += 1
        return self.next_id

    def map(self, **shape: object) -> _core.Map:
        return Map(self.domain, self.number(), **shape)  # type: ignore[arg-type]

    def program(
        self,
        text: str,
        *,
        kind: int = XDP,
        platform: str = "linux",
        context_size: int | None = None,
        functions: Mapping[str, object] | None = None,
        behaviour: int | None = None,
    ) -> _core.Program:
        names, code = numbered(text, functions or ())
        size = {XDP: XDP_BYTES, SCHED_CLS: SKB_BYTES}.get(kind, 64)
        return _core.Program(
            self.domain,
            self.number(),
            "test",
            code,
            self.maps,
            [(functions or {}).get(name, _core.helper(name)) for name in names],
            get(platform).codes(),
            type=kind,
            context_size=size if context_size is None else context_size,
            behaviour=(WINDOWS if platform == "windows" else 0) if behaviour is None else behaviour,
            length_field=0 if kind == SCHED_CLS else -1,
        )

    def run(self, text: str, packet: bytes | None = None, **options: object) -> Result:
        """The text as a program, run once."""
        wishes = {
            name: options.pop(name)
            for name in list(options)
            if name in ("kind", "platform", "context_size", "functions", "behaviour")
        }
        program = self.program(text, **wishes)  # type: ignore[arg-type]
        if "context" not in options and "memory" not in options:
            options["context"] = bytes(
                {XDP: XDP_BYTES, SCHED_CLS: SKB_BYTES}.get(int(wishes.get("kind", XDP)), 64)  # type: ignore[call-overload]
            )
        if packet is not None:
            options.setdefault("headroom", HEADROOM)
            options.setdefault("tailroom", TAILROOM - len(packet))
        outcome = program.run(packet=packet, **options)  # type: ignore[arg-type]
        return Result(outcome)


class Map(_core.Map):
    def _fail(self, what: str, status: int, key: object, /) -> None:
        raise AssertionError(f"{what}: {status} {key!r}")


class Result:
    """What came of a run: ``value`` as a signed number."""

    def __init__(self, outcome: _core.Outcome) -> None:
        value, self.stop, self.packet, self.meta, self.context, _, self.spent, self.redirect = (
            outcome
        )
        self.value = value - (1 << 64) if value >> 63 else value
        self.end = _core.ENDS[self.stop[0]] if self.stop is not None else ""


def numbered(text: str, others: Iterable[str] = ()) -> tuple[list[str], bytes]:
    """The names of the helpers called, and the code, in which calls and maps are indexes."""
    every = [f"bpf_{name.removeprefix('bpf_')}" for name in (*_core.helpers(), *others)]
    instructions = lines(text, {name: number for number, name in enumerate(every)})
    names: list[str] = []
    for insn in instructions:
        if insn.opcode == 0x85 and insn.src == 0:
            name = every[insn.imm].removeprefix("bpf_")
            if name not in names:
                names.append(name)
            insn.imm = names.index(name)
    return names, encode(instructions)


def lines(text: str, helpers: Mapping[str, int]) -> list[Instruction]:
    """Instructions, with loads of maps (by index), values and functions."""
    plain: list[str] = []
    loads: dict[int, tuple[int, str]] = {}
    count = 0
    for line in [part.strip() for row in text.splitlines() for part in row.split(";")]:
        if not line or line.startswith("#"):
            continue
        words = line.split()
        if len(words) == 5 and words[1] == "=" and words[2] in LOADS:
            loads[count] = (LOADS[words[2]], words[3])
            line = f"{words[0]} = 0 ll"
        plain.append(line)
        count += not line.endswith(":")
    found = assemble("\n".join(plain), helpers=helpers, open_names=False)
    places = {
        insn.symbol: slot for insn, slot in zip(found, slots(found), strict=True) if insn.symbol
    }
    for index, slot in enumerate(slots(found)):
        insn = found[index]
        if index in loads:
            insn.src, word = loads[index]
            insn.imm = (places[word] - slot - 1) & 0xFFFFFFFF if insn.src == 4 else int(word)
    return found


# The source field of a 16-byte load: RFC 9669, table of 64-bit immediate instructions.
LOADS = {"map": 1, "value": 2, "function": 4}


def slots(instructions: Sequence[Instruction]) -> list[int]:
    found, at = [], 0
    for insn in instructions:
        found.append(at)
        at += insn.slots
    return found


# The kernel.

_TEST_RUN = 10


def kernel(
    text: str,
    packet: bytes = b"",
    *,
    kind: int = XDP,
    context: bytes = b"",
    maps: Sequence[int] = (),
) -> tuple[int, bytes]:
    """The value (32 bits) and packet that the running kernel comes to; a skip where it cannot."""
    problem = linux_syscall.unavailable()
    if problem:
        pytest.skip(problem)
    numbers = {helper.name: helper.number for helper in get("linux").helpers}
    instructions = lines(text, numbers)
    for insn in instructions:
        if insn.opcode == 0x18 and insn.src in (1, 2):
            insn.imm = maps[insn.imm]
    code = encode(instructions)
    descriptor, log = linux_syscall.load_program(code, kind)
    assert descriptor >= 0, log
    try:
        return test_run(descriptor, packet, context)
    finally:
        os.close(descriptor)


def test_run(descriptor: int, packet: bytes, context: bytes) -> tuple[int, bytes]:
    data = ctypes.create_string_buffer(packet, len(packet))
    out = ctypes.create_string_buffer(1 << 16)
    given = ctypes.create_string_buffer(context, len(context) + 1)
    attributes = pack(
        "=IIIIQQIIIIQQIIII",
        descriptor, 0, len(packet), len(out), ctypes.addressof(data), ctypes.addressof(out),
        1, 0, len(context), 0, ctypes.addressof(given) if context else 0, 0, 0, 0, 0, 0,
    )  # fmt: skip
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    system = linux_syscall._system
    assert system.libc is not None
    result = system.libc.syscall(system.number, _TEST_RUN, buffer, len(attributes))
    if result < 0:
        pytest.skip(f"BPF_PROG_TEST_RUN: {os.strerror(ctypes.get_errno())}")
    value, _, size = unpack_from("=III", buffer.raw, 4)
    return value, out.raw[:size]


test_run.__test__ = False  # type: ignore[attr-defined]  # a helper of tests, not one


def agree(text: str, packet: bytes = b"", *, kind: int = XDP, context: bytes = b"") -> Result:
    """Runs the text on both sides; value and packet must be the same. The core's result."""
    value, changed = kernel(text, packet, kind=kind, context=context)
    options: dict[str, object] = {"kind": kind}
    if context:
        options["context"] = context
    result = Case().run(text, packet, **options)
    assert result.stop is None, result.end
    # The kernel gives the metadata with the packet.
    together = (result.meta or b"") + (result.packet or b"")
    assert (result.value & 0xFFFFFFFF, together) == (value, changed)
    return result
