"""What a section's name says."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from anybpf.platforms import get

LINUX = get("linux")
WINDOWS = get("windows")


@pytest.mark.parametrize(
    ("name", "program_type", "attach_type", "attach_to"),
    [
        ("xdp", "xdp", "xdp", ""),
        ("xdp/devmap", "xdp", "xdp_devmap", ""),
        ("socket", "socket_filter", "", ""),
        ("tc", "sched_cls", "", ""),
        ("tcx/ingress", "sched_cls", "tcx_ingress", ""),
        ("kprobe/do_unlinkat", "kprobe", "", "do_unlinkat"),
        ("kprobe", "kprobe", "", ""),
        ("uprobe//proc/self/exe:main", "kprobe", "", "/proc/self/exe:main"),
        ("kprobe.multi/tcp_*", "kprobe", "trace_kprobe_multi", "tcp_*"),
        ("uprobe.session.s/x:y", "kprobe", "trace_uprobe_session", "x:y"),
        ("tracepoint/syscalls/sys_enter_open", "tracepoint", "", "syscalls/sys_enter_open"),
        ("tp/sched/sched_switch", "tracepoint", "", "sched/sched_switch"),
        ("raw_tp.w/nbd_send_request", "raw_tracepoint_writable", "", "nbd_send_request"),
        ("fentry/tcp_connect", "tracing", "trace_fentry", "tcp_connect"),
        ("lsm.s/bprm_check_security", "lsm", "lsm_mac", "bprm_check_security"),
        ("lsm_cgroup/socket_bind", "lsm", "lsm_cgroup", "socket_bind"),
        ("iter/task", "tracing", "trace_iter", "task"),
        ("struct_ops/ssthresh", "struct_ops", "", "ssthresh"),
        ("cgroup/connect4", "cgroup_sock_addr", "cgroup_inet4_connect", ""),
        ("cgroup/sock_release", "cgroup_sock", "cgroup_inet_sock_release", ""),
        ("cgroup_skb/egress", "cgroup_skb", "cgroup_inet_egress", ""),
        ("sk_reuseport/migrate", "sk_reuseport", "sk_reuseport_select_or_migrate", ""),
    ],
)
def test_libbpf_names(name: str, program_type: str, attach_type: str, attach_to: str) -> None:
    match = LINUX.section(name)
    assert (match.program_type, match.attach_type) == (program_type, attach_type)
    assert match.attach_to == match.extra == attach_to
    assert match.known
    assert not match.legacy


def test_marks() -> None:
    assert LINUX.section("fentry.s/x").sleepable
    assert not LINUX.section("fentry/x").sleepable
    assert LINUX.section("xdp.frags").frags
    assert LINUX.section("xdp.frags/cpumap").attach_type == "xdp_cpumap"
    assert "session" in LINUX.section("kprobe.session/x").flags


def test_all_of_libbpfs_table_is_there() -> None:
    strict = [rule for rule in LINUX.sections if not rule.legacy]
    assert len(strict) == 116
    for rule in strict:
        assert LINUX.section(rule.name).rule is rule


@pytest.mark.parametrize(
    ("name", "program_type"),
    [
        ("xdp_prog", "xdp"),
        ("xdp1", "xdp"),
        ("xdpfilter", "xdp"),
        ("socket1", "socket_filter"),
        ("socket_filter", "socket_filter"),
        ("socket/0", "socket_filter"),
        ("classifier_x", "sched_cls"),
        ("classifier/ingress", "sched_cls"),
        ("tc_mark", "sched_cls"),
        ("cgroup/sock1", "cgroup_sock"),
        ("cgroup/connect4/first", "cgroup_sock_addr"),
    ],
)
def test_names_of_older_loaders(name: str, program_type: str) -> None:
    match = LINUX.section(name)
    assert match.program_type == program_type
    assert match.legacy
    assert match.attach_to == ""


@pytest.mark.parametrize(
    "name",
    ["", "/", "tcp_mark", ".text", "2/7", "from-netdev", "kprobes", "lsmx", "action_", "x/xdp"],
)
def test_unknown_names(name: str) -> None:
    match = LINUX.section(name)
    if name == "action_":
        assert match.program_type == "sched_act"  # goes on with no letter
        return
    assert match.program_type == "unspec"
    assert not match.known


def test_question_mark_is_no_part_of_the_name() -> None:
    assert LINUX.section("?kprobe/x").attach_to == "x"


@pytest.mark.parametrize(
    ("name", "program_type", "attach_type"),
    [
        ("bind", "bind", "bind"),
        ("bind_3", "bind", "bind"),
        ("bind/0", "bind", "bind"),
        ("xdp_prog", "xdp", "xdp"),
        ("cgroup/connect4", "sock_addr", "cgroup/connect4"),
        ("cgroup/connect_authorization6", "sock_addr", "cgroup/connect_authorization6"),
        ("cgroup/recv_accept6/x", "sock_addr", "cgroup/recv_accept6"),
        ("sockops", "sockops", "sockops"),
        ("process/monitor", "process", "process"),
        ("sample_ext", "sample", "sample_ext"),
        ("tracepoint/x", "unspec", ""),
    ],
)
def test_windows_takes_the_longest_prefix(name: str, program_type: str, attach_type: str) -> None:
    match = WINDOWS.section(name)
    assert (match.program_type, match.attach_type) == (program_type, attach_type)
    assert not match.legacy


def test_corpus(shared: Path) -> None:
    """The types under which the corpus was loaded follow from its section names.

    The exceptions bear names that no loader knows: tail-call slots in iproute2's "map/slot" form
    and free names out of iproute2's hands, where the command line gives the type (``ip link set
    xdp``, ``tc filter``); and test cases, where the type was chosen for the test.
    """
    free = {
        *["af_xdp", "clone_redirect_recv", "clone_redirect_xmit", "downcall", "drop_non_tun_vip"],
        *["egress", "filter", "from-container", "from-netdev", "from-overlay", "ingress"],
        *["ingress_redirect", "l2_to_ip6tun_ingress_redirect", "l2_to_iptun_ingress_forward"],
        *["l2_to_iptun_ingress_redirect", "len_hist", "redirect_recv", "redirect_xmit", "test"],
        *["test_md", ".text", ""],
    }
    seen = 0
    with (shared / "corpus" / "verdicts.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            name, wanted = row["section"], row["type"]
            found = LINUX.section(name).program_type
            if name in free or name.startswith("tail-") or name[:1].isdigit():
                assert found == "unspec", name
                continue
            assert found == wanted, name
            seen += 1
    assert seen > 150
