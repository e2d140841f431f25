"""Programs at their places in the running kernel, and that they are called there.

Everything happens in a network, mounts and a cgroup of the test's own.
"""

from __future__ import annotations

import ctypes
import os
import socket
import time
from pathlib import Path

import pytest

from anybpf.backends.linux import LinuxBackend, attach
from anybpf.backends.linux.collection import Collection
from anybpf.backends.linux.query import attach_directly, attached
from anybpf.backends.linux.symbols import symbol_offset
from anybpf.errors import AnyBPFError, ClosedError, InputError, NotFound, NotSupported
from tests.backends.places import in_own_network, mount, own_cgroup, run_in_cgroup, send_frames
from tests.runtime.making import collection, map_spec

COUNT = """
    *(u32 *)(r10 - 4) = 0
    r1 = map[counts]
    r2 = r10
    r2 += -4
    call bpf_map_lookup_elem
    if r0 == 0 goto +2
    r1 = 1
    lock *(u64 *)(r0 + 0) += r1
"""


def counting(
    kernel: LinuxBackend, kind: str, verdict: int, attach_type: str = "", section: str = ""
) -> Collection:
    """A program that counts its calls in map "counts" and gives the verdict."""
    spec = collection(
        f"{COUNT} r0 = {verdict}\nexit", maps=[map_spec()], kind=kind, attach_type=attach_type
    )
    program = spec.programs["main"]
    if section:
        program.section = section
        program.attach_to = section.partition("/")[2]
    try:
        return kernel.load(spec)
    except NotSupported as error:
        pytest.skip(str(error))


def counted(loaded: Collection) -> int:
    """How often the program was called so far."""
    return int.from_bytes(loaded.map("counts").lookup(bytes(4)) or b"", "little")


def wait_for(loaded: Collection, least: int) -> int:
    """The same, as soon as it is that many; packets take their time."""
    end = time.monotonic() + 5
    while counted(loaded) < least and time.monotonic() < end:
        time.sleep(0.01)
    return counted(loaded)


def test_xdp_drops_are_counted_until_it_is_detached(kernel: LinuxBackend) -> None:
    def work() -> None:
        with counting(kernel, "xdp", 1, "xdp") as loaded:
            link = attach.attach_xdp(loaded.program(), "va", "generic")
            with link:
                before = counted(loaded)
                send_frames("vb", 5)
                assert wait_for(loaded, before + 5) >= before + 5
                info = link.info()
                assert (info.type_name, info.attach_type_name, info.state) == (
                    "xdp", "xdp", "attached",
                )  # fmt: skip
                assert info.details["ifindex"] == socket.if_nametoindex("va")
                assert info.prog_id == loaded.program().id
                assert info.id in kernel.ids("link")
                link.detach()
                assert link.state == "detached"
                before = counted(loaded)
                send_frames("vb", 5)
                time.sleep(0.05)
                assert counted(loaded) == before

    in_own_network(work)


def test_a_program_is_replaced_where_it_is(kernel: LinuxBackend) -> None:
    def work() -> None:
        with (
            counting(kernel, "xdp", 1, "xdp") as first,
            counting(kernel, "xdp", 2, "xdp") as second,
            counting(kernel, "sched_cls", -1) as other,
            attach.attach_xdp(first.program(), "va") as link,
        ):
            link.update(second.program())
            before = counted(second)
            send_frames("vb", 3)
            assert wait_for(second, before + 3) >= before + 3
            assert link.info().prog_id == second.program().id
            with pytest.raises(InputError, match="another program is there"):
                link.update(first.program(), old=first.program())
            link.update(first.program(), old=second.program())
            with pytest.raises(InputError, match="another type"):
                link.update(other.program())
            assert link.info().prog_id == first.program().id

    in_own_network(work)


def test_the_section_says_where(kernel: LinuxBackend) -> None:
    def work() -> None:
        with counting(kernel, "xdp", 2, "xdp") as loaded:
            program = loaded.program()
            number = socket.if_nametoindex("va").to_bytes(4, "little")
            for data in (number, b"va"):
                with program.attach(data=data) as link:
                    assert link.info().attach_data == number
            with pytest.raises(InputError, match="name the network device"):
                program.attach()
            with pytest.raises(NotFound, match=r"no network device 'nowhere'; there are: .*va"):
                attach.attach_xdp(program, "nowhere")
            with pytest.raises(InputError, match="XDP modes are generic, native, offload"):
                attach.attach_xdp(program, "va", "fast")

    in_own_network(work)


def test_tcx_programs_stand_in_a_row(kernel: LinuxBackend) -> None:
    def work() -> None:
        with (
            counting(kernel, "sched_cls", -1, "tcx_ingress") as last,
            counting(kernel, "sched_cls", 2, "tcx_ingress") as first,
            attach.attach_tcx(last.program(), "va") as link,
        ):
            send_frames("vb", 2)
            assert wait_for(last, 2) >= 2
            with attach.attach_tcx(first.program(), "va", before=link) as other:
                assert other.info().details["attach_type"] == 46
                time.sleep(0.05)
                before = counted(last)
                send_frames("vb", 3)
                assert wait_for(first, 3) >= 3
                assert counted(last) == before  # the first one dropped them

    in_own_network(work)


def test_netfilter_drops_what_is_sent_to_this_host(kernel: LinuxBackend) -> None:
    def work() -> None:
        with (
            counting(kernel, "netfilter", 0, "netfilter") as loaded,
            attach.attach_netfilter(loaded.program(), "input", "ipv4", -7) as link,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as heard,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
        ):
            heard.bind(("127.0.0.1", 0))
            heard.settimeout(0.05)
            sender.sendto(b"x", heard.getsockname())
            assert wait_for(loaded, 1) == 1
            with pytest.raises(TimeoutError):
                heard.recv(1)
            details = link.info().details
            assert (details["pf_name"], details["hook_name"], details["prio"]) == (
                "ipv4", "input", -7,
            )  # fmt: skip
            link.close()
            sender.sendto(b"x", heard.getsockname())
            assert heard.recv(1) == b"x"

    in_own_network(work)


def test_netfilter_says_what_there_is(kernel: LinuxBackend) -> None:
    with counting(kernel, "netfilter", 1, "netfilter") as loaded:
        with pytest.raises(InputError, match="hooks of netfilter are prerouting, input"):
            attach.attach_netfilter(loaded.program(), "ingress")
        with pytest.raises(InputError, match="families of netfilter are ipv4, ipv6"):
            attach.attach_netfilter(loaded.program(), family="arp")


def test_sk_lookup_hides_a_listener(kernel: LinuxBackend) -> None:
    def work() -> None:
        with (
            counting(kernel, "sk_lookup", 0, "sk_lookup") as loaded,
            socket.create_server(("127.0.0.1", 0)) as server,
        ):
            # The thread's network, not the process's.
            with attach.attach_netns(loaded.program(), "/proc/thread-self/ns/net") as link:
                with pytest.raises(ConnectionRefusedError):
                    socket.create_connection(server.getsockname(), 1)
                assert counted(loaded) == 1
                here = os.stat("/proc/thread-self/ns/net").st_ino
                assert link.info().details["netns_ino"] == here
            socket.create_connection(server.getsockname(), 1).close()

    in_own_network(work)


def test_a_cgroup_may_not_connect(kernel: LinuxBackend) -> None:
    connect = (
        "import socket\n"
        "try: socket.socket().connect(('127.0.0.1', 9))\n"
        "except OSError as error: print(type(error).__name__)\n"
    )
    with (
        own_cgroup() as group,
        counting(kernel, "cgroup_sock_addr", 0, "cgroup_inet4_connect") as loaded,
    ):
        with attach.attach_cgroup(loaded.program(), group) as link:
            assert run_in_cgroup(group, connect) == "PermissionError"
            assert counted(loaded) == 1
            info = link.info()
            assert info.details["cgroup_id"] == group.stat().st_ino
            assert info.attach_type_name == "cgroup_inet4_connect"
            link.detach()
            assert link.state == "detached"
        assert run_in_cgroup(group, connect) == "ConnectionRefusedError"
        with loaded.program().attach(data=os.fsencode(group)) as link:
            assert link.type == "cgroup"


def test_cgroups_that_are_not_there(kernel: LinuxBackend, tmp_path: Path) -> None:
    with counting(kernel, "cgroup_sock_addr", 1, "cgroup_inet4_connect") as loaded:
        program = loaded.program()
        with pytest.raises(NotFound, match=r"the cgroup .*nowhere cannot be opened"):
            attach.attach_cgroup(program, tmp_path / "nowhere")
        with pytest.raises(AnyBPFError, match="attaching program main"):
            attach.attach_cgroup(program, tmp_path)  # a directory of another kind
        with pytest.raises(InputError, match=r"as one of cgroup_inet4_bind.*not as 'xdp'"):
            attach.attach_cgroup(program, tmp_path, "xdp")


def test_a_tracepoint_by_its_section(kernel: LinuxBackend, tmp_path: Path) -> None:
    def work() -> None:
        if not os.path.isdir("/sys/kernel/tracing/events"):
            mount("tracefs", "/sys/kernel/tracing")
        section = "tp/syscalls/sys_enter_getppid"
        with counting(kernel, "tracepoint", 0, section=section) as loaded:
            with loaded.program().attach() as link:
                for _ in range(10):
                    os.getppid()
                assert counted(loaded) >= 10
                details = link.info().details
                assert (details["event_type"], details["tp_name"]) == (
                    "tracepoint", "sys_enter_getppid",
                )  # fmt: skip
            with pytest.raises(NotFound, match=r"did you mean .*sys_enter_getppid"):
                attach.attach_tracepoint(loaded.program(), "syscalls/sys_enter_getppidd")

    in_own_network(work)


@pytest.mark.parametrize(
    ("kind", "attach_type", "section"),
    [
        ("raw_tracepoint", "", "raw_tp/sched_switch"),
        ("tracing", "trace_raw_tp", "tp_btf/sched_switch"),
    ],
)
def test_raw_tracepoints(kernel: LinuxBackend, kind: str, attach_type: str, section: str) -> None:
    with (
        counting(kernel, kind, 0, attach_type, section) as loaded,
        loaded.program().attach() as link,
    ):
        time.sleep(0.05)
        assert wait_for(loaded, 1) >= 1
        if kind == "raw_tracepoint":
            assert link.info().details["tp_name"] == "sched_switch"
        with pytest.raises(NotSupported):
            link.detach()


def test_a_tracepoint_that_is_not_there(kernel: LinuxBackend) -> None:
    with (
        counting(kernel, "raw_tracepoint", 0) as loaded,
        pytest.raises(NotFound, match="raw tracepoint nothing"),
    ):
        attach.attach_raw_tracepoint(loaded.program(), "nothing")


def test_the_clock_of_a_processor(kernel: LinuxBackend) -> None:
    with counting(kernel, "perf_event", 0, "perf_event") as loaded:
        try:
            link = attach.attach_software_event(loaded.program(), "cpu-clock", period=100_000)
        except NotSupported as error:
            pytest.skip(str(error))
        with link:
            end = time.process_time() + 0.2
            while time.process_time() < end and not counted(loaded):
                pass
            assert wait_for(loaded, 1) >= 1
            assert link.info().details["event_type"] == "event"
        with pytest.raises(NotFound, match="did you mean cpu-clock"):
            attach.attach_software_event(loaded.program(), "cpu-clok")


def test_a_probe_of_a_library(kernel: LinuxBackend) -> None:
    libc = next(
        (
            line.split()[-1]
            for line in Path("/proc/self/maps").read_text().splitlines()
            if "libc.so" in line
        ),
        "",
    )
    with counting(kernel, "kprobe", 0) as loaded:
        try:
            link = attach.attach_uprobe(loaded.program(), libc, "getppid", pid=os.getpid())
        except NotSupported as error:
            pytest.skip(str(error))
        with link:
            getppid = ctypes.CDLL(None).getppid
            for _ in range(3):
                getppid()
            assert counted(loaded) == 3
            details = link.info().details
            assert (details["event_type"], details["file_name"]) == ("uprobe", libc)
            assert details["offset"] == symbol_offset(libc, "getppid")
        getppid()
        assert counted(loaded) == 3
        with pytest.raises(NotFound, match="no function no_such_name"):
            attach.attach_uprobe(loaded.program(), libc, "no_such_name")


def test_an_iterator_is_read(kernel: LinuxBackend) -> None:
    text = """
        r6 = *(u64 *)(r1 + 0)
        *(u8 *)(r10 - 1) = 65
        r1 = *(u64 *)(r6 + 0)
        r2 = r10
        r2 += -1
        r3 = 1
        call bpf_seq_write
        r0 = 0
        exit
    """
    spec = collection(text, kind="tracing", attach_type="trace_iter")
    spec.programs["main"].attach_to = "bpf_prog"
    try:
        loaded = kernel.load(spec)
    except NotSupported as error:
        pytest.skip(str(error))
    with loaded, attach.attach_iterator(loaded.program()) as link:
        said = link.read()
        assert set(said) == {ord("A")}
        assert len(said) >= 1  # at least this program
        assert link.info().details["target_name"] == "bpf_prog"
        with link.open_iterator() as stream:
            assert stream.read(1) == b"A"


def test_a_pinned_link_stays(kernel: LinuxBackend, tmp_path: Path) -> None:
    def work() -> None:
        mount("bpf", tmp_path)
        with (
            counting(kernel, "xdp", 2, "xdp") as loaded,
            attach.attach_xdp(loaded.program(), "va") as link,
        ):
            number = link.id
            link.pin(tmp_path / "link")
        with kernel.open(tmp_path / "link") as again:
            assert (again.id, again.state, again.type) == (number, "attached", "xdp")
            again.unpin()
        assert number not in kernel.ids("link")

    in_own_network(work)


def test_a_filter_of_a_socket(kernel: LinuxBackend) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs, counting(kernel, "socket_filter", 0) as loaded:
        hold = attach.attach_socket(loaded.program(), ours)
        ours.settimeout(0.05)
        theirs.send(b"x")
        assert counted(loaded) == 1
        with pytest.raises(TimeoutError):
            ours.recv(1)
        hold.detach()
        hold.detach()
        assert hold.state == "detached"
        theirs.send(b"x")
        assert ours.recv(1) == b"x"


def test_programs_of_the_wrong_type_are_told_so(kernel: LinuxBackend) -> None:
    with counting(kernel, "xdp", 2, "xdp") as loaded:
        program = loaded.program()
        with pytest.raises(InputError, match="as one of tcx_ingress, tcx_egress"):
            attach.attach_tcx(program, 1)
        with pytest.raises(InputError, match="sk_lookup and flow_dissector"):
            attach.attach_netns(program)
        with pytest.raises(InputError, match="of type xdp; those of tracing"):
            attach.attach_tracing(program)


def test_all_programs_whose_sections_say_where(kernel: LinuxBackend) -> None:
    spec = collection(f"{COUNT} r0 = 0\nexit", "r0 = 2\nexit", maps=[map_spec()])
    spec.programs["main"].type = "raw_tracepoint"
    spec.programs["main"].section = "raw_tp/sched_switch"
    spec.programs["main"].attach_to = "sched_switch"
    with kernel.load(spec) as loaded:
        links = attach.attach_all(loaded)
        assert list(links) == ["main"]  # XDP waits for its device
        with links["main"]:
            time.sleep(0.05)
            assert wait_for(loaded, 1) >= 1
        spec.programs["main1"].type = "raw_tracepoint"
        spec.programs["main1"].section = "raw_tp/nothing"
        spec.programs["main1"].attach_to = "nothing"
    with kernel.load(spec) as loaded:
        before = kernel.ids("link")
        with pytest.raises(NotFound, match="raw tracepoint nothing"):
            attach.attach_all(loaded)
        assert len(kernel.ids("link")) <= len(before)


def test_what_is_attached_is_told(kernel: LinuxBackend) -> None:
    def work() -> None:
        with (
            counting(kernel, "sched_cls", -1, "tcx_ingress") as loaded,
            attach.attach_tcx(loaded.program(), "va") as link,
        ):
            found = attached(kernel.platform, "tcx_ingress", "va")
            assert found.program_ids == (loaded.program().id,)
            assert found.link_ids == (link.id,)
            assert attached(kernel.platform, "tcx_egress", "va").program_ids == ()
            with pytest.raises(InputError, match="ESTALE"):
                attach.attach_tcx(loaded.program(), "va", revision=found.revision + 1)

    in_own_network(work)


def test_a_cgroup_without_a_link(kernel: LinuxBackend) -> None:
    with (
        own_cgroup() as group,
        counting(kernel, "cgroup_sock_addr", 1, "cgroup_inet4_connect") as loaded,
    ):
        detach = attach_directly(loaded.program(), "cgroup_inet4_connect", group)
        found = attached(kernel.platform, "cgroup_inet4_connect", group)
        assert found.program_ids == (loaded.program().id,)
        detach()
        assert attached(kernel.platform, "cgroup_inet4_connect", group).program_ids == ()
        with pytest.raises(NotFound, match="detaching program main"):
            detach()
        with pytest.raises(InputError, match="modes are override, multi or none"):
            attach_directly(loaded.program(), "cgroup_inet4_connect", group, "all")
        with pytest.raises(InputError, match="does not tell what is attached as xdp"):
            attached(kernel.platform, "xdp", 1)


def test_many_probes_by_one_link(kernel: LinuxBackend) -> None:
    libc = next(
        (
            line.split()[-1]
            for line in Path("/proc/self/maps").read_text().splitlines()
            if "libc.so" in line
        ),
        "",
    )
    with counting(kernel, "kprobe", 0, "trace_uprobe_multi", "uprobe.multi/x:y") as loaded:
        program = loaded.program()
        names = ["getppid", "getpgrp"]
        try:
            link = attach.attach_uprobes(program, libc, names, pid=os.getpid(), cookies=[1, 2])
        except NotSupported as error:
            pytest.skip(str(error))
        with link:
            functions = ctypes.CDLL(None)
            functions.getppid()
            functions.getpgrp()
            assert counted(loaded) == 2
            assert link.info().details["count"] == 2
        with pytest.raises(InputError, match="2 functions want as many cookies, not 1"):
            attach.attach_uprobes(program, libc, names, cookies=[1])
        with pytest.raises(NotSupported, match=r"by its section 'uprobe\.multi/x:y'"):
            program.attach()


def test_no_descriptor_is_left_behind(kernel: LinuxBackend) -> None:
    def work() -> None:
        with counting(kernel, "xdp", 2, "xdp") as loaded, counting(kernel, "kprobe", 0) as probe:
            before = len(os.listdir("/proc/self/fd"))
            for _ in range(20):
                attach.attach_xdp(loaded.program(), "va").close()
                with pytest.raises(NotFound):
                    attach.attach_xdp(loaded.program(), "nowhere")
                with pytest.raises(AnyBPFError):
                    attach.attach_perf_event(loaded.program(), 0)
                with pytest.raises(AnyBPFError):
                    attach.attach_cgroup(probe.program(), "/proc", "cgroup_inet4_connect")
            assert len(os.listdir("/proc/self/fd")) == before

    in_own_network(work)


def test_a_closed_link_says_so(kernel: LinuxBackend) -> None:
    with counting(kernel, "raw_tracepoint", 0, section="raw_tp/sched_switch") as loaded:
        link = loaded.program().attach()
        link.close()
        link.close()
        for use in (link.info, link.detach, link.read):
            with pytest.raises(ClosedError, match="was closed"):
                use()
