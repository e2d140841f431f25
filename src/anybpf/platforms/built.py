"""Which helpers and kernel functions the embedded runtime has, and why it lacks the others.

The core says what is built; here is what to tell those who ask for the rest. Whether a program may
call a helper at all is the verifier's business.

>>> unbuilt("linux", ["bpf_map_lookup_elem", "bpf_send_signal"])
{'bpf_send_signal': 'it acts on processes of the running kernel'}
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from anybpf.platforms import Platform, get

# What is told of names that match a pattern, the first one that does. Names without "bpf_".
REASONS: tuple[tuple[str, str], ...] = (
    (
        "only a hook that has such events can supply it",
        "sock_addr_* sock_ops_* process_get_* netevent_* get_func_arg* get_func_ret get_retval"
        " set_retval get_local_storage bprm_opts_set",
    ),
    (
        "it acts on processes of the running kernel",
        "send_signal* override_return probe_write_user task_work_* wq_* get_task_exe_file",
    ),
    (
        "it reads structures of the running kernel, and there is none behind these programs",
        "get_current_task get_current_task_btf task_* get_task_stack get_stack get_stackid find_vma"
        " d_path path_d_path snprintf_btf seq_* per_cpu_ptr this_cpu_ptr kallsyms_lookup_name"
        " get_branch_snapshot read_branch_records rdonly_cast cast_to_kern_ctx iter_task* iter_css*"
        " iter_dmabuf* iter_kmem_cache* get_kmem_cache current_task_under_cgroup"
        " *_ancestor_cgroup_id get_ns_current_pid_tgid copy_from_user_task* session_* key_*"
        " lookup_*_key crypto_*"
        " verify_pkcs7_signature ima_* get_*_xattr set_*_xattr remove_*_xattr cgroup_read_xattr"
        " get_fsverity_digest put_file cgroup_* css_*",
    ),
    (
        "it counts hardware events, which belong to the running kernel",
        "perf_event_read perf_event_read_value perf_prog_read_value",
    ),
    (
        "it needs sockets of the running kernel",
        "sk_* skc_* sock_* tcp_* setsockopt getsockopt bind get_listener_sock *hdr_opt msg_*"
        " bbr_* cubictcp_* dctcp_* qdisc_* kfree_skb sk_assign_tcp_reqsk",
    ),
    (
        "it belongs to the kernel's routing, tunnels or traffic control",
        "get_cgroup_classid skb_cgroup_classid get_route_realm skb_*_tunnel_* skb_under_cgroup"
        " skb_cgroup_id skb_get_xfrm_* xdp_get_xfrm_state xdp_xfrm_state_release skb_*_fou_encap"
        " skb_set_xfrm_info lwt_* xdp_flow_lookup xdp_metadata_* ct_* *_ct_* redirect_hash",
    ),
    (
        "it makes objects of the program's own, and they are not built",
        "obj_* percpu_obj_* list_* rbtree_* refcount_acquire_impl cpumask_*",
    ),
    ("it calls the kernel's own system calls", "sys_* btf_find_by_name_kind"),
    ("it drives a remote control of the running kernel", "rc_*"),
    ("it changes settings of the running kernel", "sysctl_*"),
)

_ELSE = "it has no meaning outside the kernel, or is not built"


def why_unbuilt(name: str) -> str:
    """Why there is no helper of that name here, in words that follow "because".

    >>> why_unbuilt("bpf_rc_repeat")
    'it drives a remote control of the running kernel'
    """
    bare = name.removeprefix("bpf_")
    for reason, patterns in REASONS:
        for pattern in patterns.split():
            if fnmatchcase(bare, pattern):
                return reason
    return _ELSE


def is_built(name: str) -> bool:
    """Whether the core has the helper or kernel function, with or without its "bpf_"."""
    from anybpf import _core

    return _core.helper(name.removeprefix("bpf_")) != -1


def unbuilt(platform: str | Platform, names: Iterable[str]) -> dict[str, str]:
    """Those of the names that the embedded runtime lacks, each with the reason.

    A helper that an extension of the platform brings is the extension's to supply, and that is
    what is said of it.
    """
    found = get(platform)
    lacking: dict[str, str] = {}
    for name in names:
        if is_built(name):
            continue
        owner = _extension_of(found, name)
        lacking[name] = (
            f"extension {owner} declares it: give the function that does it, made with @helper"
            if owner
            else why_unbuilt(name)
        )
    return lacking


def _extension_of(platform: Platform, name: str) -> str:
    bare = name.removeprefix("bpf_")
    for extension in platform._extensions.values():
        for helper in extension.helpers:
            if helper.name.removeprefix("bpf_") == bare:
                return extension.name
    return ""
