"""The Linux tables against the verdicts of a running kernel of the same version.

Each case loads a program of a few instructions and compares the verifier's answer with what the
table says. So the tables cannot rot unseen, and nobody has to believe them.
"""

from __future__ import annotations

import os

import pytest

from anybpf.platforms import get
from anybpf.platforms.model import Limit, MapType
from tests.platforms import kernel

pytestmark = pytest.mark.skipif(bool(kernel.why_not()), reason=kernel.why_not())

LINUX = get("linux")

# Types that load without a target in the kernel's BTF, with the attach types that matter to them.
# lirc_mode2 is left out: kernels are rarely built with it.
PLACES = {
    "socket_filter": [""],
    "kprobe": ["", "trace_kprobe_multi", "trace_kprobe_session", "trace_uprobe_session"],
    "sched_cls": ["", "tcx_ingress"],
    "sched_act": [""],
    "tracepoint": [""],
    "xdp": ["xdp", "xdp_devmap", "xdp_cpumap"],
    "perf_event": [""],
    "cgroup_skb": ["cgroup_inet_ingress", "cgroup_inet_egress"],
    "cgroup_sock": [
        "cgroup_inet_sock_create",
        "cgroup_inet_sock_release",
        "cgroup_inet4_post_bind",
        "cgroup_inet6_post_bind",
    ],
    "lwt_in": [""],
    "lwt_out": [""],
    "lwt_xmit": [""],
    "sock_ops": ["cgroup_sock_ops"],
    "sk_skb": ["sk_skb_stream_parser", "sk_skb_stream_verdict", "sk_skb_verdict"],
    "cgroup_device": ["cgroup_device"],
    "sk_msg": ["sk_msg_verdict"],
    "raw_tracepoint": [""],
    "cgroup_sock_addr": list(LINUX.program_type("cgroup_sock_addr").attach_types),
    "lwt_seg6local": [""],
    "sk_reuseport": ["sk_reuseport_select", "sk_reuseport_select_or_migrate"],
    "flow_dissector": ["flow_dissector"],
    "cgroup_sysctl": ["cgroup_sysctl"],
    "raw_tracepoint_writable": [""],
    "cgroup_sockopt": ["cgroup_getsockopt", "cgroup_setsockopt"],
    "sk_lookup": ["sk_lookup"],
    "syscall": [""],
    "netfilter": ["netfilter"],
}
CASES = [(name, place) for name, places in PLACES.items() for place in places]

# Helpers that depend on how the kernel was built or locked down.
OPTIONAL = {"bpf_probe_write_user", "bpf_override_return"}

LOADS = {1: 0x71, 2: 0x69, 4: 0x61, 8: 0x79}
STORES = {1: 0x73, 2: 0x6B, 4: 0x63, 8: 0x7B}
CALL = 0x85
SCAN = 240  # bytes: more than the largest context that is made of fields


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]}-{case[1] or 'any'}")
def place(request: pytest.FixtureRequest) -> tuple[str, str]:
    name, attach_type = request.param
    loaded, why = attempt(name, attach_type, kernel.exit_with(1))
    if not loaded:
        pytest.skip(f"this kernel has no program type {name}: {why[:80]}")
    return name, attach_type


def attempt(program_type: str, attach_type: str, code: bytes) -> tuple[bool, str]:
    return kernel.load(
        LINUX.program_types.number(program_type),
        code,
        LINUX.attach_types.number(attach_type) if attach_type else 0,
        flags=kernel.SLEEPABLE if program_type == "syscall" else 0,
    )


def test_helpers_that_may_be_called(place: tuple[str, str]) -> None:
    name, attach_type = place
    wrong = []
    for helper in LINUX.helpers:
        code = kernel.instruction(CALL, imm=helper.number) + kernel.exit_with(1)
        _, log = attempt(name, attach_type, code)
        known = "cannot use helper" not in log and "unknown func" not in log
        if known != LINUX.helper_allowed(helper.number, name, attach_type):
            wrong.append(helper.name)
    assert set(wrong) <= OPTIONAL


def test_context_fields_that_may_be_touched(place: tuple[str, str]) -> None:
    name, attach_type = place
    wrong = []
    for offset in range(SCAN):
        for size in (1, 2, 4, 8):
            for write in (False, True):
                code = touch(offset, size, write) + kernel.exit_with(1)
                permitted, _ = attempt(name, attach_type, code)
                field = LINUX.context_access(name, offset, size, write, attach_type)
                if permitted != (field is not None):
                    wrong.append((offset, size, "write" if write else "read"))
    if name == "raw_tracepoint_writable":
        # The kernel reads parts of the buffer's address; the table offers it as a pointer only.
        wrong = [place for place in wrong if place[0] >= 8]
    assert wrong == []


def touch(offset: int, size: int, write: bool) -> bytes:
    if not write:
        return kernel.instruction(LOADS[size], 0, 1, offset)
    return kernel.instruction(0xB7) + kernel.instruction(STORES[size], 1, 0, offset)


def test_return_values(place: tuple[str, str]) -> None:
    name, attach_type = place
    rule = LINUX.program_type(name).return_range(attach_type)
    for value in (-(1 << 31), -4095, -1, 0, 1, 2, 3, 4, 100, (1 << 31) - 1):
        permitted, _ = attempt(name, attach_type, kernel.exit_with(value))
        assert permitted == (rule is None or value in rule), value


KERNEL_NAMES = {
    "pkt": "packet",
    "pkt_end": "packet_end",
    "pkt_meta": "packet_meta",
    "sock_common_or_null": "sock_common",
    "sock_or_null": "socket",
    "sock": "socket",
    "flow_keys": "flow_keys",
    "tp_buffer": "buffer",
    "trusted_ptr_nf_hook_state": "btf_pointer",
    "trusted_ptr_sk_buff": "btf_pointer",
    "scalar": "scalar",
}


def test_kinds_of_context_fields(place: tuple[str, str]) -> None:
    """The verifier's log says what a loaded field is: a number, a packet pointer, a socket …"""
    name, attach_type = place
    context = LINUX.program_type(name).context
    assert context is not None
    for field in context.fields:
        size = field.read_sizes[-1] if field.read_sizes else 0
        if not size or not field.allows(field.offset, size, attach_type=attach_type):
            continue
        # A call to nothing makes the load fail, so that there is a log.
        code = touch(field.offset, size, write=False) + kernel.instruction(CALL, imm=1 << 20)
        _, log = attempt(name, attach_type, code + kernel.exit_with(1))
        _, found, state = log.partition("; R0=")
        if not found:
            _, found, state = log.partition("; R0_w=")
        assert found, log
        word = state.split("(")[0].split()[0]
        assert KERNEL_NAMES[word] == field.kind, field
        assert word.endswith("_or_null") == field.nullable, field


SOCKET = kernel.instruction(0x79, 9, 1, 168) + kernel.instruction(0x55, 9, 0, 2)
SOCKET += kernel.exit_with(0)


def through(helper: int) -> bytes:
    """The socket in r9 replaced by what the helper makes of it."""
    call = kernel.instruction(0xBF, 1, 9) + kernel.instruction(CALL, imm=helper)
    return (
        call
        + kernel.instruction(0x55, 0, 0, 2)
        + kernel.exit_with(0)
        + kernel.instruction(0xBF, 9, 0)
    )


@pytest.mark.parametrize(
    ("kind", "program_type", "code"),
    [
        ("sock_common", "sched_cls", SOCKET),
        ("socket", "sched_cls", SOCKET + through(95)),
        ("tcp_sock", "sched_cls", SOCKET + through(96)),
        ("flow_keys", "flow_dissector", kernel.instruction(0x79, 9, 1, 144)),
    ],
)
def test_what_lies_behind_pointers(kind: str, program_type: str, code: bytes) -> None:
    pointee = LINUX.pointee(kind)
    assert pointee is not None
    attach_type = "flow_dissector" if program_type == "flow_dissector" else ""
    for offset in range(128):
        for size in (1, 2, 4, 8):
            read = code + kernel.instruction(LOADS[size], 0, 9, offset) + kernel.exit_with(0)
            permitted, _ = attempt(program_type, attach_type, read)
            assert permitted == (pointee.access(offset, size) is not None), (offset, size)
            write = code + kernel.instruction(0xB7)
            write += kernel.instruction(STORES[size], 9, 0, offset) + kernel.exit_with(0)
            permitted, _ = attempt(program_type, attach_type, write)
            assert permitted == (pointee.access(offset, size, write=True) is not None)


def plain_maps() -> list[MapType]:
    """Map types that need neither BTF nor a kernel structure."""
    return [kind for kind in LINUX.map_types if kind.number and not kind.needs_btf]


@pytest.mark.parametrize("kind", plain_maps(), ids=lambda kind: kind.name)
def test_map_sizes_and_flags(kind: MapType) -> None:
    inner, problem = kernel.create_map(2, 4, 4, 1) if kind.holds == "maps" else (0, "")
    assert not problem
    try:
        compare_map(kind, inner)
    finally:
        if inner:
            os.close(inner)


def compare_map(kind: MapType, inner: int) -> None:
    bits = {flag.name: flag.bit for flag in LINUX.map_flags}
    required = sum(bits[name] for name in kind.required_flags)

    def created(sizes: list[int], flags: int) -> bool:
        key, value, entries = sizes
        handle, _ = kernel.create_map(kind.number, key, value, entries, flags, inner)
        if handle >= 0:
            os.close(handle)
        return handle >= 0

    rules = [kind.key_size, kind.value_size, kind.entries]
    sizes = [smallest(rule) for rule in rules]
    assert created(sizes, required), "the smallest sizes"
    for index, rule in enumerate(rules):
        for value in (0, 1, 2, 3, 4, 5, 8, 12, 16, 17, 24, 260, 261, 512, 513, 4096, 12288):
            if kind.name == "cpumap" and value > 8:
                continue  # as many entries as the kernel was built for processors
            changed = [*sizes[:index], value, *sizes[index + 1 :]]
            assert created(changed, required) == (not rule.problem(value)), changed
    for name, bit in bits.items():
        if name in ("link", "path_fd", "vtype_btf_obj_fd", "token_fd"):
            continue  # they need another file descriptor
        if name == "stack_build_id":
            continue  # it needs values of 32 bytes
        if name in kind.required_flags:
            assert not created(sizes, required & ~bit), name
        else:
            assert created(sizes, required | bit) == (name in kind.allowed_flags), name


def smallest(rule: Limit) -> int:
    value = rule.low
    while rule.problem(value):
        value += 1
    return value


def test_cases_are_places_to_attach_to() -> None:
    for name, attach_type in CASES:
        if attach_type:
            assert attach_type in LINUX.program_type(name).attach_types
