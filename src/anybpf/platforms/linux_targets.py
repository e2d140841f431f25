"""Linux: what typed arguments of single targets are, beyond what the kernel's BTF says of them.

Tracepoints and iterators pass pointers that may be null or that nothing vouches for; some members
of kernel structures lead on to pointers that may be relied on. Everything else follows from the
attach type (``linux_rules``) and from BTF.
"""

from __future__ import annotations

# Tracepoints with pointers that may be null: position of the argument (from 0) -> tracepoints.
# Facts: what the verifier of Linux 6.18 makes of them.
NULLABLE_TRACEPOINTS: dict[int, str] = {
    0: (
        "mm_collapse_huge_page_isolate mm_page_alloc mm_page_alloc_zone_locked"
        " mm_page_pcpu_drain tcp_send_reset tmigr_update_events xfs_blockgc_flush_all"
        " xfs_blockgc_start xfs_blockgc_stop xfs_blockgc_worker xfs_defer_add_item"
        " xfs_defer_cancel_item xfs_defer_cancel_list xfs_defer_create_intent"
        " xfs_defer_finish_item xfs_defer_isolate_paused xfs_defer_item_pause"
        " xfs_defer_item_unpause xfs_defer_pending_abort xfs_defer_pending_finish"
        " xfs_defer_relog_intent xfs_fs_sync_fs xfs_inodegc_flush xfs_inodegc_push"
        " xfs_inodegc_queue xfs_inodegc_start xfs_inodegc_stop xfs_inodegc_throttle"
    ),
    1: (
        "break_lease_block break_lease_noblock break_lease_unblock ext4_mballoc_discard"
        " ext4_mballoc_free fcntl_setlk flock_lock_inode folio_wait_writeback"
        " generic_delete_lease hugetlbfs_alloc_inode locks_remove_posix"
        " mm_khugepaged_collapse_file mm_khugepaged_scan_file mm_khugepaged_scan_pmd"
        " posix_lock_inode sched_pi_setprio tcp_send_reset time_out_leases"
        " writeback_dirty_folio xfs_blockgc_free_space xfs_ioc_free_eofblocks"
    ),
    2: (
        "fib_table_lookup sched_stick_numa sched_swap_numa tcp_sendmsg_locked"
        " xfs_btree_overlapped_query_range xfs_btree_updkeys"
    ),
    3: "kfree_skb qdisc_dequeue",
    4: "xfs_map_blocks_alloc xfs_map_blocks_found",
}

# Iterators' arguments behind "meta": "trusted", "null", "buffer" (as long as a map's value) and
# "read_buffer" (as a map's key) as words of each, "," between arguments; "-" for a number.
# Facts: what the verifier of Linux 6.18 makes of them.
ITERATORS: dict[str, str] = {
    "bpf_link": "null",
    "bpf_map": "trusted null",
    "bpf_map_elem": "trusted, null read_buffer, null buffer",
    "bpf_prog": "null",
    "bpf_sk_storage_map": "trusted, null, null buffer",
    "cgroup": "trusted null",
    "dmabuf": "null",
    "ipv6_route": "null",
    "kmem_cache": "trusted null",
    "ksym": "null",
    "netlink": "null",
    "sockmap": "trusted, null read_buffer, null",
    "task": "trusted null",
    "task_file": "null, -, null",
    "task_vma": "null, null",
    "tcp": "trusted null, -",
    "udp": "trusted null, -, -",
    "unix": "null, -",
}

# Security hooks whose arguments are not trusted: the objects come or go just then. docs.ebpf.io.
UNTRUSTED_HOOKS = (
    "bpf_map_free bpf_prog_free file_alloc_security file_free_security sk_alloc_security"
    " sk_free_security task_free"
)

# Security hooks that answer yes or no: 0 and 1 are their only results. docs.ebpf.io.
BOOL_HOOKS = "audit_rule_known inode_xattr_skipcap"

# Members that lead from a pointer that may be relied on to another: (structure, member, how far
# that one may be relied on, whether it may be null). Other members lead to pointers that may be
# read and nothing else. BTF of Linux 6.18: structures named "__safe_rcu" and so on.
MEMBERS: tuple[tuple[str, str, str, bool], ...] = (
    ("task_struct", "cpus_ptr", "rcu", False),
    ("task_struct", "cgroups", "rcu", False),
    ("task_struct", "real_parent", "rcu", False),
    ("task_struct", "group_leader", "rcu", False),
    ("cgroup", "kn", "rcu", False),
    ("css_set", "dfl_cgrp", "rcu", False),
    ("cgroup_subsys_state", "cgroup", "rcu", False),
    ("mm_struct", "exe_file", "rcu", True),
    ("sk_buff", "sk", "rcu", True),
    ("request_sock", "sk", "rcu", True),
    ("bpf_iter_meta", "seq", "trusted", False),
    ("bpf_iter__task", "meta", "trusted", False),
    ("bpf_iter__task", "task", "trusted", False),
    ("linux_binprm", "file", "trusted", False),
    ("file", "f_inode", "trusted", False),
    ("dentry", "d_inode", "trusted", True),
    ("socket", "sk", "trusted", True),
)


def argument_words(attach_type: str, target: str, position: int, trusted: bool) -> frozenset[str]:
    """What is known of an argument, as words; ``trusted`` is what the attach type says of all."""
    general = frozenset({"trusted"} if trusted else ())
    if attach_type == "trace_raw_tp":
        if target in NULLABLE_TRACEPOINTS.get(position, "").split():
            return general | {"null"}
    elif attach_type == "trace_iter" and position > 0:
        rows = ITERATORS.get(target, "").split(",")
        if position <= len(rows):
            return frozenset(rows[position - 1].replace("-", "").split())
    elif attach_type in ("lsm_mac", "lsm_cgroup") and target in UNTRUSTED_HOOKS.split():
        return frozenset()
    return general
