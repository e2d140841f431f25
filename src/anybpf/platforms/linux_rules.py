"""Linux: what a verifier must know beyond prototypes and fields, one row each.

What is allowed, which structures mean something inside map values, which program types may sleep
or keep off some maps, which kernel structures stand behind pointers, and what may be stored to
them. Numbers that bound things are the limits in ``linux``.
"""

# ruff: noqa: E501  (one row a line reads better than one row on three)
from __future__ import annotations

# (name, whether it is allowed, what it means). Facts: what the verifier of Linux 6.18 accepts and
# refuses of a loader with all capabilities, on a machine that bears misaligned accesses.
RULES: tuple[tuple[str, bool, str], ...] = (
    ("pointer_leaks", True, "programs may store pointers where user space sees them, and compare them with numbers"),
    ("uninitialized_stack_reads", True, "programs and helpers may read stack that nothing was written to"),
    ("unreachable_code", False, "a program may hold instructions that no path leads to"),
    ("misaligned_stack", False, "stack accesses need not be aligned to their width"),
    ("misaligned_packet", True, "packet accesses need not be aligned to their width"),
    ("misaligned_memory", True, "accesses to map values and other memory need not be aligned to their width"),
    ("misaligned_context", False, "context accesses need not be aligned to their width"),
    ("context_arithmetic", False, "the context may be accessed through a pointer that was moved"),
    ("division_by_zero", True, "a divisor that is not a constant may be zero: the result is defined"),
    ("indirect_calls", False, "a call may take its target from a register"),
    ("indirect_jumps", False, "a jump may take its target from a register"),
    ("global_functions", True, "functions with BTF and global linkage are verified alone, against their prototype"),
    ("packet_loads", True, "the packet loads of classic BPF exist"),
    ("kernel_functions", True, "programs may call functions of the kernel by their BTF id"),
    ("callbacks", True, "helpers may call functions of the program back"),
    ("loops", True, "a program may jump backwards, if it ends"),
    ("may_goto", True, "loops may be bounded by the system's own counter"),
    ("exceptions", True, "a program may end from anywhere by throwing"),
    ("tail_calls_in_functions", True, "functions other than the first may make tail calls"),
    ("atomics_on_packet", False, "atomic operations may work on packet data"),
    ("atomics_on_context", False, "atomic operations may work on the context"),
    ("load_acquire", True, "loads that acquire and stores that release exist"),
    ("arena", True, "programs may share memory with user space by pointers"),
)  # fmt: skip

_TIMED = "hash lru_hash array"
_LOCKED = "hash array cgroup_storage sk_storage inode_storage task_storage cgrp_storage"
_OBJECTS = (
    "hash percpu_hash lru_hash lru_percpu_hash array percpu_array sk_storage inode_storage"
    " task_storage cgrp_storage"
)

# (name, size, alignment, at most one, map types, program type flag that forbids it); the last four
# are the type tags of pointers. Sizes: Linux UAPI header linux/bpf.h (6.18). Map types: what
# BPF_MAP_CREATE of Linux 6.18 accepts and refuses; cgroup_storage: docs.ebpf.io.
SPECIAL_FIELDS: tuple[tuple[str, int, int, bool, str, str], ...] = (
    ("bpf_spin_lock", 4, 4, True, _LOCKED, "no_locks"),
    ("bpf_res_spin_lock", 4, 4, True, _LOCKED, "no_locks"),
    ("bpf_timer", 16, 8, True, _TIMED, "no_timers"),
    ("bpf_wq", 16, 8, True, _TIMED, "no_timers"),
    ("bpf_task_work", 8, 8, True, _TIMED, ""),
    ("bpf_list_head", 16, 8, False, "hash array", "no_graphs"),
    ("bpf_list_node", 24, 8, False, "", ""),
    ("bpf_rb_root", 16, 8, False, "hash array", "no_graphs"),
    ("bpf_rb_node", 32, 8, False, "", ""),
    ("bpf_refcount", 4, 4, True, _OBJECTS, ""),
    ("kptr", 8, 8, False, _OBJECTS, ""),
    ("kptr_untrusted", 8, 8, False, _OBJECTS, ""),
    ("percpu_kptr", 8, 8, False, _OBJECTS, ""),
    ("uptr", 8, 8, False, "task_storage", ""),
)  # fmt: skip

# Maps that programs which sleep may use. Facts: what the verifier of Linux 6.18 accepts.
SLEEPABLE_MAPS = (
    "hash lru_hash array percpu_hash percpu_array lru_percpu_hash array_of_maps hash_of_maps"
    " ringbuf user_ringbuf inode_storage sk_storage task_storage cgrp_storage queue stack arena"
    " struct_ops"
)

# What programs get from a look-up where that is no value, as ``prototype`` writes results.
# Facts: what the verifier of Linux 6.18 accepts and refuses.
LOOKUPS: dict[str, str] = {
    "sockmap": "+sock?",
    "sockhash": "+sock?",
    "xskmap": "xdp_sock?",
    "array_of_maps": "map?",
    "hash_of_maps": "map?",
}

# Maps of sockets: entries are sockets, and only these program types may put in or take out any.
# Facts: what the verifier of Linux 6.18 accepts and refuses.
SOCKET_MAPS = "sockmap sockhash"
SOCKET_MAP_UPDATERS = (
    "socket_filter sched_cls sched_act xdp sk_reuseport flow_dissector tracing sk_lookup"
)
SOCKET_MAP_DELETERS = SOCKET_MAP_UPDATERS + " sock_ops"

# Maps whose entries programs may only read: a look-up leads into structures of the kernel's.
READ_ONLY_MAPS = "devmap devmap_hash"

# Whether programs may sleep: (program type, attach types; none: all, "may" or "must").
# Facts: what the verifier of Linux 6.18 accepts; entry and exit of functions, lsm: docs.ebpf.io.
SLEEPS: tuple[tuple[str, str, str], ...] = (
    ("kprobe", "", "may"),
    ("tracing", "trace_fentry trace_fexit modify_return trace_iter trace_fsession", "may"),
    ("lsm", "lsm_mac", "may"),
    ("struct_ops", "", "may"),
    ("syscall", "", "must"),
)

# Attach types at which each function of a program has a stack of its own; "*" is all.
# Facts: what the verifier of Linux 6.18 accepts and refuses; entry and exit of functions, lsm:
# kernel documentation.
PRIVATE_STACKS: dict[str, str] = {
    "kprobe": "*",
    "tracepoint": "*",
    "perf_event": "*",
    "raw_tracepoint": "*",
    "tracing": "trace_raw_tp trace_fentry trace_fexit modify_return trace_fsession",
    "lsm": "lsm_mac",
}

# Attach types whose typed arguments are trusted pointers; "*" is all. Kernel documentation of
# kfuncs, "KF_TRUSTED_ARGS". Arguments at entry and exit of functions are not trusted.
TRUSTED_ARGUMENTS: dict[str, str] = {
    "tracing": "trace_raw_tp trace_iter",
    "lsm": "lsm_mac lsm_cgroup",
    "struct_ops": "*",
}

# The kernel's structure behind a kind of pointer, for calls that want one by its BTF type, and by
# which a BTF pointer fits an argument of that kind: it leads to the structure, or to one that
# begins with it.
POINTER_STRUCTURES: dict[str, str] = {
    "socket": "sock",
    "sock_common": "sock_common",
    "sock_common_btf": "sock_common",
    "tcp_sock": "tcp_sock",
    "map": "bpf_map",
}

# The kernel's structure behind one that programs see: a call that wants the left takes a trusted
# pointer to the right where it is not the caller's context.
PROJECTIONS: dict[str, str] = {
    "__sk_buff": "sk_buff",
    "xdp_md": "xdp_buff",
    "bpf_sock_addr": "bpf_sock_addr_kern",
    "bpf_sock_ops": "bpf_sock_ops_kern",
    "bpf_sock": "sock",
    "sk_msg_md": "sk_msg",
    "sk_reuseport_md": "sk_reuseport_kern",
    "bpf_sk_lookup": "bpf_sk_lookup_kern",
    "bpf_sysctl": "bpf_sysctl_kern",
    "bpf_sockopt": "bpf_sockopt_kern",
    "bpf_perf_event_data": "bpf_perf_event_data_kern",
}

# Fields of kernel structures that programs may store to: (program types, structure, fields with
# their sizes). Facts: kernel documentation of struct_ops and connection tracking, docs.ebpf.io.
WRITABLE: tuple[tuple[str, str, tuple[tuple[str, int], ...]], ...] = (
    ("sched_cls xdp", "nf_conn", (("mark", 4),)),
    ("sched_cls xdp", "nf_conn___init", (("mark", 4),)),
    ("struct_ops", "sock", (("sk_pacing_rate", 8), ("sk_pacing_status", 4))),
    ("struct_ops", "inet_connection_sock", (("icsk_ca_priv", 104), ("icsk_ack.pending", 1))),
    (
        "struct_ops",
        "tcp_sock",
        (
            ("snd_cwnd", 4),
            ("snd_cwnd_cnt", 4),
            ("snd_cwnd_stamp", 4),
            ("snd_ssthresh", 4),
            ("ecn_flags", 1),
            ("app_limited", 4),
        ),
    ),
    ("struct_ops", "task_struct", (("scx.slice", 8), ("scx.dsq_vtime", 8), ("scx.disallow", 1))),
)
