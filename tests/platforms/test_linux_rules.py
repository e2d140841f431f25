"""What the Linux tables say of sleeping, packets and maps, against a running kernel."""

from __future__ import annotations

import os
import re

import pytest

from anybpf.platforms import get
from anybpf.platforms.model import MapType
from tests.platforms import kernel
from tests.platforms.test_linux_kernel import CASES, attempt, smallest

pytestmark = pytest.mark.skipif(bool(kernel.why_not()), reason=kernel.why_not())

LINUX = get("linux")
# The load of a byte of the packet at offset 0: RFC 9669, section 5.5.
PACKET_LOAD = kernel.instruction(0xBF, 6, 1) + kernel.instruction(0x30)


@pytest.mark.parametrize(("name", "attach_type"), CASES)
def test_sleeping(name: str, attach_type: str) -> None:
    number = LINUX.program_types.number(name)
    place = LINUX.attach_types.number(attach_type) if attach_type else 0
    word = LINUX.program_type(name).sleepable_at(attach_type)
    awake, _ = kernel.load(number, kernel.exit_with(1), place)
    asleep, _ = kernel.load(number, kernel.exit_with(1), place, flags=kernel.SLEEPABLE)
    assert (awake, asleep) == {
        "no": (True, False),
        "may": (True, True),
        "must": (False, True),
    }[word]


def two_functions(first: int, second: int) -> bytes:
    """A program that uses so much stack, and calls a function that uses so much."""
    caller = kernel.instruction(0x7A, 10, 0, -first) + kernel.instruction(0x85, src=1, imm=2)
    called = kernel.instruction(0x7A, 10, 0, -second) + kernel.exit_with(1)
    return caller + kernel.exit_with(1) + called


@pytest.mark.parametrize(("name", "attach_type"), CASES)
def test_stack_of_two_functions(name: str, attach_type: str) -> None:
    permitted, _ = attempt(name, attach_type, two_functions(400, 400))
    assert permitted == LINUX.program_type(name).has_private_stacks(attach_type)


@pytest.mark.parametrize("sizes", [(256, 256), (264, 248), (496, 8), (504, 8), (272, 240)])
def test_stack_counts_in_granules(sizes: tuple[int, int]) -> None:
    granule = LINUX.limits["stack_granule"]
    total = sum(-(-size // granule) * granule for size in sizes)
    permitted, _ = attempt("xdp", "xdp", two_functions(*sizes))
    assert permitted == (total <= LINUX.limits["stack_total"])


def test_frames() -> None:
    deepest = LINUX.limits["frames"]
    call = kernel.instruction(0x85, src=1, imm=1) + kernel.instruction(0x95)
    assert attempt("xdp", "xdp", call * (deepest - 1) + kernel.exit_with(1))[0]
    assert not attempt("xdp", "xdp", call * deepest + kernel.exit_with(1))[0]


@pytest.mark.parametrize(("name", "attach_type"), CASES)
def test_packet_loads_of_classic_bpf(name: str, attach_type: str) -> None:
    permitted, _ = attempt(name, attach_type, PACKET_LOAD + kernel.exit_with(1))
    assert permitted == ("packet_loads" in LINUX.program_type(name).flags)


@pytest.mark.parametrize(("name", "attach_type"), CASES)
def test_packet_writes(name: str, attach_type: str) -> None:
    """Reads, and then writes, the first byte of the packet, if the context leads to one."""
    kind = LINUX.program_type(name)
    assert kind.context is not None
    fields = {field.kind: field for field in kind.context.fields if field.read}
    if "packet" not in fields or "packet_end" not in fields:
        assert not kind.flags & {"packet_read", "packet_write"}
        return
    start, end = fields["packet"], fields["packet_end"]
    load = {4: 0x61, 8: 0x79}
    head = kernel.instruction(load[start.read_sizes[-1]], 2, 1, start.offset)
    head += kernel.instruction(load[end.read_sizes[-1]], 3, 1, end.offset)
    head += kernel.instruction(0xBF, 4, 2) + kernel.instruction(0x07, 4, imm=8)
    head += kernel.instruction(0x2D, 4, 3, 1)
    read, _ = attempt(
        name, attach_type, head + kernel.instruction(0x71, 0, 2) + kernel.exit_with(1)
    )
    write, _ = attempt(
        name, attach_type, head + kernel.instruction(0x72, 2, imm=1) + kernel.exit_with(1)
    )
    assert read
    assert write == ("packet_write" in kind.flags)


def plain_maps() -> list[MapType]:
    return [
        kind
        for kind in LINUX.map_types
        if kind.number and not kind.needs_btf and kind.name != "arena"
    ]


@pytest.mark.parametrize("kind", plain_maps(), ids=lambda kind: kind.name)
def test_maps_of_programs_that_sleep(kind: MapType) -> None:
    bits = {flag.name: flag.bit for flag in LINUX.map_flags}
    inner, _ = kernel.create_map(2, 4, 4, 1) if kind.holds == "maps" else (0, "")
    sizes = [smallest(rule) for rule in (kind.key_size, kind.value_size, kind.entries)]
    flags = sum(bits[name] for name in kind.required_flags)
    key, value, entries = sizes
    handle, problem = kernel.create_map(kind.number, key, value, entries, flags, inner)
    assert handle >= 0, problem
    try:
        code = kernel.instruction(0x18, 1, 1, 0, handle) + kernel.instruction(0)
        permitted, _ = attempt("syscall", "", code + kernel.exit_with(0))
        assert permitted == kind.sleepable
    finally:
        os.close(handle)
        if inner:
            os.close(inner)


@pytest.mark.parametrize(("name", "attach_type"), CASES)
def test_helpers_that_sleep_or_ask_for_a_licence(name: str, attach_type: str) -> None:
    number = LINUX.program_types.number(name)
    place = LINUX.attach_types.number(attach_type) if attach_type else 0
    flags = kernel.SLEEPABLE if name == "syscall" else 0
    wrong = []
    for helper in LINUX.helpers_of(name, attach_type):
        code = kernel.instruction(0x85, imm=helper.number) + kernel.exit_with(1)
        _, log = kernel.load(number, code, place, flags=flags)
        if name != "syscall" and ("might sleep" in log) != helper.sleeps:
            wrong.append((helper.name, "sleeps"))
        _, log = kernel.load(number, code, place, flags=flags, licence="Proprietary")
        if "cannot use helper" not in log and ("GPL" in log) != helper.gpl_only:
            wrong.append((helper.name, "gpl"))
    if name == "kprobe" and attach_type:
        wrong.remove(("bpf_get_func_ip", "gpl"))  # only there it asks for none
    assert wrong == []


KEY = kernel.instruction(0x7A, 10, 0, -8) + kernel.instruction(0xBF, 2, 10)
KEY += kernel.instruction(0x07, 2, imm=-8)
# What the verifier calls the result of a look-up once it is known not to be null.
FOUND = {"map_value": "map_value", "socket": "sock", "xdp_sock": "xdp_sock", "map": "map_ptr"}


@pytest.mark.parametrize("kind", plain_maps(), ids=lambda kind: kind.name)
def test_look_ups(kind: MapType) -> None:
    if "bpf_map_lookup_elem" not in [LINUX.helpers.name(number) for number in kind.helpers]:
        return
    inner, _ = kernel.create_map(2, 4, 4, 1) if kind.holds == "maps" else (0, "")
    key, value, entries = [
        smallest(rule) for rule in (kind.key_size, kind.value_size, kind.entries)
    ]
    flags = sum(flag.bit for flag in LINUX.map_flags if flag.name in kind.required_flags)
    handle, problem = kernel.create_map(kind.number, key, value, entries, flags, inner)
    assert handle >= 0, problem
    try:
        code = KEY + kernel.instruction(0x18, 1, 1, 0, handle) + kernel.instruction(0)
        code += kernel.instruction(0x85, imm=1) + kernel.instruction(0x55, 0, 0, 2)
        code += kernel.exit_with(1)
        # A call to nothing makes the load fail, so that there is a log.
        stop = kernel.instruction(0xBF, 9, 0) + kernel.instruction(0x85, imm=1 << 20)
        _, log = attempt("xdp", "xdp", code + stop + kernel.exit_with(1))
        found = re.findall(r"R9(?:_w)?=([a-z_]+)\(", log)
        assert found[-1] == FOUND[kind.lookup.kind], log
        assert ("ref_obj_id" in log) == kind.lookup.acquires
        write = kernel.instruction(0x72, 0) + kernel.exit_with(1)
        written, _ = attempt("xdp", "xdp", code + write)
        assert written == (kind.lookup.kind == "map_value" and not kind.read_only)
        if kind.lookup.kind == "xdp_sock":
            layout = LINUX.pointee("xdp_sock")
            assert layout is not None
            for offset, size, opcode in ((0, 4, 0x61), (0, 1, 0x71), (4, 4, 0x61), (0, 8, 0x79)):
                read = kernel.instruction(opcode, 3, 0, offset) + kernel.exit_with(1)
                permitted, _ = attempt("xdp", "xdp", code + read)
                assert permitted == (layout.access(offset, size) is not None)
    finally:
        os.close(handle)
        if inner:
            os.close(inner)


@pytest.mark.parametrize("name", ["sockmap", "sockhash"])
def test_who_may_delete_sockets(name: str) -> None:
    kind = LINUX.map_type(name)
    handle, problem = kernel.create_map(kind.number, 4, 8, 1)
    assert handle >= 0, problem
    code = KEY + kernel.instruction(0x18, 1, 1, 0, handle) + kernel.instruction(0)
    code += kernel.instruction(0x85, imm=3) + kernel.exit_with(1)
    try:
        for program_type, attach_type in CASES:
            if program_type != "syscall":  # it may not use such maps at all
                permitted, _ = attempt(program_type, attach_type, code)
                assert permitted == (program_type in kind.deleters), program_type
    finally:
        os.close(handle)


def test_rules() -> None:
    """A few instructions for those rules that a few instructions can show."""
    xdp = "xdp"
    exit_ = kernel.exit_with(1)
    unreachable = exit_ + exit_
    stack_read = kernel.instruction(0x79, 0, 10, -8) + exit_
    misaligned = kernel.instruction(0x7A, 10, 0, -12, 0) + exit_
    divide = kernel.instruction(0xB7, 0) + kernel.instruction(0xB7, 2)
    divide += kernel.instruction(0x3F, 0, 2) + exit_
    moved = kernel.instruction(0x07, 1, imm=4) + kernel.instruction(0x61, 0, 1) + exit_
    atomic = kernel.instruction(0xB7) + kernel.instruction(0xC3, 1) + exit_
    acquire = kernel.instruction(0x7A, 10, 0, -8)
    acquire += kernel.instruction(0xDB, 0, 10, -8, 0x100) + exit_
    counted = kernel.instruction(0xE5, 0, 0, 1) + kernel.instruction(0x05, 0, 0, -2) + exit_
    jump = kernel.instruction(0xB7, 1) + kernel.instruction(0x0D, 1) + exit_
    indirect = kernel.instruction(0xB7, 1) + kernel.instruction(0x8D, 1) + exit_
    for rule, code in (
        ("unreachable_code", unreachable),
        ("uninitialized_stack_reads", stack_read),
        ("misaligned_stack", misaligned),
        ("division_by_zero", divide),
        ("indirect_calls", indirect),
        ("indirect_jumps", jump),
        ("context_arithmetic", moved),
        ("atomics_on_context", atomic),
        ("load_acquire", acquire),
        ("may_goto", counted),
    ):
        permitted, log = attempt(xdp, "xdp", code)
        assert permitted == LINUX.allows(rule), (rule, log)
    assert not LINUX.allows("no such rule")


def test_special_fields() -> None:
    flags = {flag for kind in LINUX.program_types for flag in kind.flags}
    for field in LINUX.special_fields.values():
        assert field.size % field.align == 0
        assert not field.barred or field.barred in flags
        for name in field.map_types:
            assert name in LINUX.map_types
