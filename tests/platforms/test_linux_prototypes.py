"""The prototypes of Linux helpers against the verdicts of a running kernel of the same version.

A call is built from the prototype: it must load. Then each argument in turn is made wrong, null,
zero or packet memory: the kernel must take what the prototype takes and refuse the rest.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from anybpf.platforms import get
from anybpf.platforms.model import Arg, Helper
from tests.platforms import kernel

pytestmark = pytest.mark.skipif(bool(kernel.why_not()), reason=kernel.why_not())

LINUX = get("linux")

# Program type and attach type, and where the context holds a socket and the packet's bounds, with
# the width of those fields: 4 bytes in __sk_buff and xdp_md.
PLACES: tuple[tuple[str, str, int, tuple[int, int, int] | None], ...] = (
    ("sched_cls", "", 168, (76, 80, 4)),
    ("xdp", "xdp", -1, (0, 4, 4)),
    ("sk_msg", "sk_msg_verdict", 72, (0, 8, 8)),
    ("sk_skb", "sk_skb_stream_verdict", 168, (76, 80, 4)),
    ("lwt_xmit", "", 168, (76, 80, 4)),
    ("lwt_in", "", 168, (76, 80, 4)),
    ("lwt_seg6local", "", 168, (76, 80, 4)),
    ("sock_ops", "cgroup_sock_ops", 184, None),
    ("cgroup_skb", "cgroup_inet_ingress", 168, None),
    ("cgroup_sock_addr", "cgroup_inet4_connect", 64, None),
    ("socket_filter", "", 168, None),
    ("kprobe", "", -1, None),
    ("perf_event", "", -1, None),
    ("cgroup_sock", "cgroup_inet_sock_create", -1, None),
    ("sk_reuseport", "sk_reuseport_select", 40, None),
    ("cgroup_sysctl", "cgroup_sysctl", -1, None),
    ("cgroup_sockopt", "cgroup_setsockopt", 0, None),
    ("sk_lookup", "sk_lookup", 0, None),
    ("syscall", "", -1, None),
)

# Lengths that some helpers insist on; the others take 8.
LENGTHS = (8, 12, 16, 24, 28, 32, 36, 64)
FRAME = 384
SOCKETS = ("socket", "sock_common", "sock_common_btf")
# What this test cannot make out of thin air: memory and structures that other calls give, map
# values of special types, functions; and a reference to give back.
BEYOND = (
    "btf_pointer",
    "percpu_btf_pointer",
    "spin_lock",
    "timer",
    "kptr",
    "ringbuf_memory",
    "dynptr",
    "function",
    "stack",
)


class Value:
    """How one register gets its argument: a word for what it is, and a number."""

    def __init__(self, what: str, number: int = 0) -> None:
        self.what = what
        self.number = number


class Maps:
    """One small map of each type, made when first asked for."""

    def __init__(self) -> None:
        self.handles: dict[str, int] = {}

    def handle(self, name: str) -> int:
        if name not in self.handles:
            kind = LINUX.map_type(name)
            key, value, entries = [
                next(size for size in (wanted, 4, 8, 1, 0) if not rule.problem(size))
                for rule, wanted in ((kind.key_size, 4), (kind.value_size, 8), (kind.entries, 4096))
            ]
            flags = sum(LINUX.map_flags[flag].bit for flag in kind.required_flags)
            inner = self.handle("array") if kind.holds == "maps" else 0
            self.handles[name] = kernel.create_map(kind.number, key, value, entries, flags, inner)[
                0
            ]
        return self.handles[name]

    def close(self) -> None:
        for handle in self.handles.values():
            if handle >= 0:
                os.close(handle)


@pytest.fixture(scope="module")
def maps() -> Iterator[Maps]:
    made = Maps()
    yield made
    made.close()


def places_of(helper: Helper) -> list[tuple[str, str, int, tuple[int, int, int] | None]]:
    """Where the helper may be called and its arguments can be had."""
    found = []
    for place in PLACES:
        program_type, attach_type, socket, _ = place
        if not LINUX.helper_allowed(helper.number, program_type, attach_type):
            continue
        own = LINUX.helper(helper.number, program_type)
        kinds = {arg.kind for arg in own.args}
        if kinds.intersection(BEYOND) or any(arg.releases for arg in own.args):
            continue
        if kinds.intersection(SOCKETS) and socket < 0:
            continue
        if "string" in kinds or (own.sleeps and program_type != "syscall"):
            continue
        if any(LINUX.map_type(name).needs_btf for name in own.map_types):
            continue
        found.append(place)
    return found


CALLABLE = [helper.number for helper in LINUX.helpers if places_of(helper)]


@pytest.fixture(params=CALLABLE, ids=lambda number: LINUX.helpers.name(number))
def call(request: pytest.FixtureRequest, maps: Maps) -> Call:
    helper = LINUX.helper(request.param)
    place = places_of(helper)[0]
    made = Call(LINUX.helper(helper.number, place[0]), place, maps)
    for length in LENGTHS:
        made.set_lengths(length)
        accepted, log = made.load()
        if accepted:
            return made
        if "unknown func" in log or "cannot use helper" in log:
            pytest.skip("this kernel was built without it")
    pytest.fail(f"{helper} is refused as its prototype has it: {log[-400:]}")


class Call:
    """A program that calls one helper, with arguments that can be changed one by one."""

    def __init__(
        self, helper: Helper, place: tuple[str, str, int, tuple[int, int, int] | None], maps: Maps
    ) -> None:
        self.helper = helper
        self.program_type, self.attach_type, self.socket, self.packet = place
        self.values = [self.usual(arg, index, maps) for index, arg in enumerate(helper.args)]

    def usual(self, arg: Arg, index: int, maps: Maps) -> Value:
        if arg.kind == "context":
            return Value("context")
        if arg.kind == "map":
            return Value("map", maps.handle(self.helper.map_types[0]))
        if arg.kind in SOCKETS:
            return Value("socket")
        if arg.kind in ("map_key", "map_value", "memory"):
            return Value("stack", -64 * (index + 1))  # 64 bytes for each
        if arg.kind in ("size", "alloc_size"):
            return Value("number", 8)
        return Value("number", 0)

    def set_lengths(self, length: int) -> None:
        for index, arg in enumerate(self.helper.args):
            if arg.kind == "size":
                self.values[index] = Value("number", length)

    def load(
        self, changes: dict[int, Value] | None = None, packet_after: bool = False
    ) -> tuple[bool, str]:
        """Whether the kernel loads it. A reference left over is no fault of the arguments."""
        values = [(changes or {}).get(index, value) for index, value in enumerate(self.values)]
        needs_packet = packet_after or any(value.what == "packet" for value in values)
        code = self.prologue(any(value.what == "socket" for value in values), needs_packet)
        for index, value in enumerate(values):
            code += self.put(index + 1, value)
        code += kernel.instruction(0x85, imm=self.helper.number)
        if packet_after:
            code += kernel.instruction(0x71, 1, 7, 0)  # read a byte of the packet
        accepted, log = kernel.load(
            LINUX.program_types.number(self.program_type),
            code + kernel.exit_with(0),
            LINUX.attach_types.number(self.attach_type) if self.attach_type else 0,
            flags=kernel.SLEEPABLE if self.program_type == "syscall" else 0,
        )
        return accepted or "Unreleased reference" in log, log

    def prologue(self, socket: bool, packet: bool) -> bytes:
        """Context in r6; zeros on the stack; packet in r7, 64 bytes of it checked; socket in r9."""
        code = kernel.instruction(0xBF, 6, 1)
        for offset in range(8, FRAME + 8, 8):
            code += kernel.instruction(0x7A, 10, 0, -offset)
        leave = kernel.exit_with(0)
        if socket:
            code += kernel.instruction(0x79, 9, 6, self.socket)
            code += kernel.instruction(0x55, 9, 0, len(leave) // 8) + leave
        if packet:
            assert self.packet is not None
            data, data_end, width = self.packet
            opcode = 0x61 if width == 4 else 0x79
            code += kernel.instruction(opcode, 7, 6, data)
            code += kernel.instruction(opcode, 0, 6, data_end)
            code += kernel.instruction(0xBF, 2, 7) + kernel.instruction(0x07, 2, imm=64)
            code += kernel.instruction(0xBD, 2, 0, len(leave) // 8) + leave
        return code

    def put(self, register: int, value: Value) -> bytes:
        if value.what == "context":
            return kernel.instruction(0xBF, register, 6)
        if value.what == "packet":
            return kernel.instruction(0xBF, register, 7)
        if value.what == "socket":
            return kernel.instruction(0xBF, register, 9)
        if value.what == "map":
            return kernel.instruction(0x18, register, 1, imm=value.number) + bytes(8)
        if value.what == "stack":
            return kernel.instruction(0xBF, register, 10) + kernel.instruction(
                0x07, register, imm=value.number
            )
        return kernel.instruction(0xB7, register, imm=value.number)


def pointers(helper: Helper) -> list[tuple[int, Arg]]:
    plain = ("anything", "integer", "size", "size_or_zero", "alloc_size")
    return [(index, arg) for index, arg in enumerate(helper.args) if arg.kind not in plain]


def test_most_helpers_are_tried() -> None:
    assert len(CALLABLE) >= 150


def test_prototype(call: Call) -> None:
    numbers_are_no_pointers(call)
    null_is_taken_where_the_prototype_says_so(call)
    zero_lengths_are_taken_where_the_prototype_says_so(call)
    packet_memory_is_taken_where_the_flags_say_so(call)
    packet_pointers_survive_unless_the_flags_say_no(call)


def numbers_are_no_pointers(call: Call) -> None:
    for index, arg in pointers(call.helper):
        accepted, _ = call.load({index: Value("number", 1)})
        assert not accepted, arg


def null_is_taken_where_the_prototype_says_so(call: Call) -> None:
    for index, arg in pointers(call.helper):
        changes = {index: Value("number", 0)}
        if arg.size_arg >= 0:
            changes[arg.size_arg] = Value("number", 0)
        accepted, _ = call.load(changes)
        assert accepted == arg.nullable, arg


def zero_lengths_are_taken_where_the_prototype_says_so(call: Call) -> None:
    for index, arg in enumerate(call.helper.args):
        if arg.is_size:
            accepted, _ = call.load({index: Value("number", 0)})
            assert accepted == (arg.kind == "size_or_zero"), arg


def packet_memory_is_taken_where_the_flags_say_so(call: Call) -> None:
    if call.program_type not in ("sched_cls", "xdp"):
        return  # others may not pass packet memory at all
    for index, arg in pointers(call.helper):
        if arg.kind in ("memory", "map_key", "map_value") and arg.access != "w":
            changes = {index: Value("packet")}
            if arg.size_arg >= 0 and not call.values[arg.size_arg].number:
                changes[arg.size_arg] = Value("number", 4)
            accepted, _ = call.load(changes)
            assert accepted == call.helper.packet_access, arg


def packet_pointers_survive_unless_the_flags_say_no(call: Call) -> None:
    if call.packet is None:
        return
    accepted, _ = call.load(packet_after=True)
    assert accepted != call.helper.invalidates_packet
