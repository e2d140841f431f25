"""Looking things up by name and number, and what an unknown name is told."""

from __future__ import annotations

import pytest

from anybpf.errors import InputError, NotFound
from anybpf.platforms import Platform, get, names, register, unregister
from anybpf.platforms.table import Table

LINUX = get("linux")
WINDOWS = get("windows")


def test_by_name_and_number() -> None:
    assert LINUX.helper(1) is LINUX.helper("bpf_map_lookup_elem")
    assert LINUX.helper("map_lookup_elem").number == 1
    assert LINUX.map_type("percpu_hash").number == 5
    assert LINUX.map_type(27).name == "ringbuf"
    assert LINUX.program_type(6).name == "xdp"
    assert LINUX.attach_type("trace_fentry").number == 24
    assert LINUX.link_type("tcx").number == 11
    assert LINUX.errno("EINVAL").number == WINDOWS.errno("EINVAL").number == 22
    assert (LINUX.errno("ENOBUFS").number, WINDOWS.errno("ENOBUFS").number) == (105, 119)


def test_other_names_of_the_same_row() -> None:
    assert LINUX.map_type("cgroup_storage_deprecated").number == 19
    assert LINUX.errno("EWOULDBLOCK").number == 11
    assert WINDOWS.program_type("cgroup_sock_addr").name == "sock_addr"
    assert WINDOWS.attach_type("cgroup_inet4_connect").number == 3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: LINUX.helper("bpf_map_lokup_elem"), "bpf_map_lookup_elem"),
        (lambda: LINUX.helper("get_current_pid_tgidd"), "bpf_get_current_pid_tgid"),
        (lambda: LINUX.helper(4711), "no helper of linux has the number 4711"),
        (lambda: LINUX.program_type("sched_clss"), "did you mean sched_cls"),
        (lambda: LINUX.map_type("per_cpu_hash"), "percpu_hash"),
        (lambda: LINUX.attach_type("xdp_devmop"), "xdp_devmap"),
        (lambda: LINUX.structure("sk_buf"), "__sk_buff"),
        (lambda: WINDOWS.helper("bpf_process_get_image_pat"), "bpf_process_get_image_path"),
        (lambda: get("linus"), "there are: linux, windows"),
    ],
)
def test_an_unknown_name_is_told_what_looks_like_it(call: object, message: str) -> None:
    assert callable(call)
    with pytest.raises(NotFound) as caught:
        call()
    assert message in str(caught.value)


def test_helper_allowed() -> None:
    assert LINUX.helper_allowed("bpf_xdp_adjust_head", "xdp")
    assert not LINUX.helper_allowed("bpf_xdp_adjust_head", "sched_cls")
    assert LINUX.helper_allowed("bpf_bind", "cgroup_sock_addr", "cgroup_inet4_connect")
    assert not LINUX.helper_allowed("bpf_bind", "cgroup_sock_addr", "cgroup_inet4_bind")
    assert LINUX.helper_allowed("bpf_bind", "cgroup_sock_addr")
    assert not LINUX.helper_allowed("bpf_setsockopt", "cgroup_sockopt", "cgroup_getsockopt")
    assert LINUX.helper_allowed("bpf_skb_store_bytes", "ext")


def test_a_number_may_mean_another_prototype_to_another_type() -> None:
    assert LINUX.helper("bpf_sk_assign", "sched_cls").args[1].kind == "sock_common_btf"
    assert LINUX.helper("bpf_sk_assign", "sk_lookup").args[1].nullable
    assert LINUX.helper("bpf_get_socket_cookie", "tracing").args[0].kind == "sock_common_btf"
    listed = [helper.number for helper in LINUX.helpers_of("sk_lookup")]
    assert listed.count(124) == 1


def test_windows_helpers_belong_to_their_type() -> None:
    assert WINDOWS.helper(0x10000, "xdp").name == "bpf_xdp_adjust_head"
    assert WINDOWS.helper(0x10000, "process").name == "bpf_process_get_image_path"
    assert WINDOWS.find_helper(0x10000) is None
    assert not WINDOWS.helper_allowed("bpf_get_socket_cookie", "bind")  # nobody supplies it there
    assert WINDOWS.helper_allowed("bpf_get_socket_cookie", "sock_addr")
    assert not WINDOWS.helper_allowed("bpf_xdp_adjust_head", "bind")


def test_context_fields() -> None:
    field = LINUX.context_field("sched_cls", 8, 4)
    assert field is not None
    assert field.name == "mark"
    assert LINUX.context_access("sched_cls", 8, 4, write=True) is field
    assert LINUX.context_access("socket_filter", 8, 4, write=True) is None
    data = LINUX.context_field("socket_filter", 76, 4)
    assert data is not None  # it has a name, but may not be read
    assert LINUX.context_access("socket_filter", 76, 4) is None
    assert LINUX.context_field("unspec", 0, 4) is None


def test_map_rules() -> None:
    assert LINUX.map_type("array").problems(8, 4, 1) == ["array map: key size must be 4, not 8"]
    assert LINUX.map_type("ringbuf").problems(0, 0, 4096) == []
    assert LINUX.map_accepts("hash", "bpf_map_lookup_elem")
    assert not LINUX.map_accepts("ringbuf", "bpf_map_lookup_elem")
    assert not WINDOWS.map_type("hash").bounded


def test_one_platform_object_for_all() -> None:
    assert get("linux") is LINUX
    assert get(LINUX) is LINUX
    assert names()[:2] == ["linux", "windows"]


def test_a_platform_of_ones_own() -> None:
    mine = Platform(
        "mine",
        "My system",
        program_types=Table("program type of mine", ()),
        attach_types=Table("attach type of mine", ()),
        link_types=Table("link type of mine", ()),
        map_types=Table("map type of mine", ()),
        map_flags=Table("map flag of mine", ()),
        helpers=Table("helper of mine", ()),
        errnos=Table("error number of mine", ()),
        result_codes=Table("result code of mine", ()),
        sections=[],
        limits=[],
    )
    register(mine)
    try:
        assert get("mine") is mine
        assert get("mine").section("xdp").program_type == "unspec"
        with pytest.raises(InputError, match="the name is taken"):
            register(mine)
    finally:
        unregister("mine")
    with pytest.raises(NotFound):
        get("mine")
    with pytest.raises(NotFound):
        unregister("linux")
