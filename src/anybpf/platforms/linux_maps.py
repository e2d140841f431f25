"""Linux: map types, their size rules, creation flags, and which helpers programs may use on them.

``prototype.limit`` says how the size rules are written. What a map does with its entries is the
business of whoever implements it.
"""

# ruff: noqa: E501  (one row a line reads better than one row on three)
from __future__ import annotations

# Bits: Linux UAPI header linux/bpf.h, flags of BPF_MAP_CREATE (6.18). Versions: docs.ebpf.io.
MAP_FLAGS: tuple[tuple[int, str, str], ...] = (
    (1 << 0, "no_prealloc", "4.6"),
    (1 << 1, "no_common_lru", "4.10"),
    (1 << 2, "numa_node", "4.14"),
    (1 << 3, "rdonly", "4.15"),
    (1 << 4, "wronly", "4.15"),
    (1 << 5, "stack_build_id", "4.17"),
    (1 << 6, "zero_seed", "5.0"),
    (1 << 7, "rdonly_prog", "5.2"),
    (1 << 8, "wronly_prog", "5.2"),
    (1 << 9, "clone", "5.4"),
    (1 << 10, "mmapable", "5.5"),
    (1 << 11, "preserve_elems", "5.10"),
    (1 << 12, "inner_map", "5.10"),
    (1 << 13, "link", "6.4"),
    (1 << 14, "path_fd", "6.5"),
    (1 << 15, "vtype_btf_obj_fd", "6.9"),
    (1 << 16, "token_fd", "6.9"),
    (1 << 17, "segv_on_fault", "6.9"),
    (1 << 18, "no_user_conv", "6.9"),
)

_PLACE = "numa_node rdonly wronly"
_ACCESS = "numa_node rdonly wronly rdonly_prog wronly_prog"
_HASH = _ACCESS + " no_prealloc zero_seed"
_LRU = _ACCESS + " no_common_lru zero_seed"
_CPU_ACCESS = "rdonly wronly rdonly_prog wronly_prog"
_USER = "lookup update delete next"
_BATCH = _USER + " batch freeze"

# Numbers: Linux UAPI header linux/bpf.h, enum bpf_map_type (6.18). Size rules and flags: what
# BPF_MAP_CREATE of Linux 6.18 accepts and refuses. Versions: docs.ebpf.io.
# (number, name, key size, value size, max entries, flags, flags it must have, what user space may
#  do, what it holds, version); "per_cpu" and "btf" are marks before what it holds.
MAP_TYPES: tuple[tuple[int, str, str, str, str, str, str, str, str, str], ...] = (
    (0, "unspec", "0", "0", "0", "", "", "", "", "3.19"),
    (1, "hash", "1..", "1..", "1..", _HASH, "", _BATCH + " lookup_delete", "", "3.19"),
    (2, "array", "4", "1..", "1..", _ACCESS + " mmapable inner_map", "", _BATCH + " mmap", "", "3.19"),
    (3, "prog_array", "4", "4", "1..", _PLACE, "", _USER, "programs", "4.2"),
    (4, "perf_event_array", "4", "4", "1..", _PLACE + " preserve_elems", "", "update delete next mmap poll", "perf_events", "4.3"),
    (5, "percpu_hash", "1..", "1..32768", "1..", _CPU_ACCESS + " no_prealloc zero_seed", "", _BATCH + " lookup_delete", "per_cpu", "4.6"),
    (6, "percpu_array", "4", "1..32768", "1..", _CPU_ACCESS, "", _BATCH, "per_cpu", "4.6"),
    (7, "stack_trace", "4", "8..1016 /8", "1..", _PLACE + " stack_build_id", "", "lookup delete next lookup_delete", "stacks", "4.6"),
    (8, "cgroup_array", "4", "4", "1..", _PLACE, "", "update delete next", "cgroups", "4.8"),
    (9, "lru_hash", "1..", "1..", "1..", _LRU, "", _BATCH + " lookup_delete", "", "4.10"),
    (10, "lru_percpu_hash", "1..", "1..32768", "1..", _CPU_ACCESS + " no_common_lru zero_seed", "", _BATCH + " lookup_delete", "per_cpu", "4.10"),
    (11, "lpm_trie", "5..260", "1..", "1..", _ACCESS + " no_prealloc", "no_prealloc", _BATCH, "", "4.11"),
    (12, "array_of_maps", "4", "4", "1..", _PLACE, "", _USER + " batch", "maps", "4.12"),
    (13, "hash_of_maps", "1..", "4", "1..", _HASH, "", _USER + " batch", "maps", "4.12"),
    (14, "devmap", "4", "4..8 /4", "1..", _PLACE, "", _USER, "devices", "4.14"),
    (15, "sockmap", "4", "4..8 /4", "1..", _PLACE, "", _USER + " batch", "sockets", "4.14"),
    (16, "cpumap", "4", "4..8 /4", "1..8192", "numa_node", "", _USER, "cpus", "4.15"),
    (17, "xskmap", "4", "4", "1..", _PLACE, "", _USER, "sockets", "4.18"),
    (18, "sockhash", "1..512", "4..8 /4", "1..", _PLACE, "", _USER + " batch", "sockets", "4.18"),
    (19, "cgroup_storage", "8..16 /8", "1..", "0", _ACCESS, "", "lookup update next freeze", "", "4.19"),
    (20, "reuseport_sockarray", "4", "4..8 /4", "1..", _ACCESS, "", _USER, "sockets", "4.19"),
    (21, "percpu_cgroup_storage", "8..16 /8", "1..32768", "0", _ACCESS, "", "lookup update next freeze", "per_cpu", "4.20"),
    (22, "queue", "0", "1..", "1..", _ACCESS, "", "push pop peek freeze", "", "4.20"),
    (23, "stack", "0", "1..", "1..", _ACCESS, "", "push pop peek freeze", "", "4.20"),
    (24, "sk_storage", "4", "1..", "0", "no_prealloc clone", "no_prealloc", "lookup update delete", "btf", "5.2"),
    (25, "devmap_hash", "4", "4..8 /4", "1..", _PLACE, "", _USER, "devices", "5.4"),
    (26, "struct_ops", "4", "1..", "1", "link vtype_btf_obj_fd", "", "lookup update delete next", "btf", "5.6"),
    (27, "ringbuf", "0", "0", "4096.. pow2 pages", "numa_node", "", "mmap poll", "records", "5.8"),
    (28, "inode_storage", "4", "1..", "0", "no_prealloc clone", "no_prealloc", "lookup update delete", "btf", "5.10"),
    (29, "task_storage", "4", "1..", "0", "no_prealloc clone", "no_prealloc", "lookup update delete", "btf", "5.11"),
    (30, "bloom_filter", "0", "1..", "1..", _ACCESS + " zero_seed", "", "push peek freeze", "", "5.16"),
    (31, "user_ringbuf", "0", "0", "4096.. pow2 pages", "numa_node", "", "mmap poll", "records", "6.1"),
    (32, "cgrp_storage", "4", "1..", "0", "no_prealloc clone", "no_prealloc", "lookup update delete", "btf", "6.2"),
    (33, "arena", "0", "0", "1..", "mmapable segv_on_fault no_user_conv", "mmapable", "mmap", "", "6.9"),
)  # fmt: skip

_PLAIN = "map_lookup_elem map_update_elem map_delete_elem"
_EACH = _PLAIN + " for_each_map_elem"
_TIMED = _EACH + " timer_init"
_CPU = _EACH + " map_lookup_percpu_elem"
_EVENTS = "perf_event_read perf_event_read_value perf_event_output skb_output xdp_output"
_SOCKETS = _PLAIN + " sk_select_reuseport"

# Which helpers may get a map of which type as their map argument (names without "bpf_").
# Facts: what the verifier of Linux 6.18 accepts and refuses.
MAP_HELPERS: dict[str, str] = {
    "hash": _TIMED,
    "array": _TIMED,
    "prog_array": "tail_call",
    "perf_event_array": _EVENTS,
    "percpu_hash": _CPU,
    "percpu_array": _CPU,
    "stack_trace": "get_stackid",
    "cgroup_array": "skb_under_cgroup current_task_under_cgroup",
    "lru_hash": _TIMED,
    "lru_percpu_hash": _CPU,
    "lpm_trie": _PLAIN,
    "array_of_maps": "map_lookup_elem",
    "hash_of_maps": "map_lookup_elem",
    "devmap": "redirect_map map_lookup_elem",
    "sockmap": _SOCKETS + " sk_redirect_map sock_map_update msg_redirect_map",
    "cpumap": "redirect_map",
    "xskmap": "redirect_map map_lookup_elem",
    "sockhash": _SOCKETS + " sk_redirect_hash sock_hash_update msg_redirect_hash",
    "cgroup_storage": "get_local_storage",
    "reuseport_sockarray": "sk_select_reuseport",
    "percpu_cgroup_storage": "get_local_storage",
    "queue": "map_push_elem map_pop_elem map_peek_elem",
    "stack": "map_push_elem map_pop_elem map_peek_elem",
    "sk_storage": "sk_storage_get sk_storage_delete",
    "devmap_hash": "redirect_map map_lookup_elem",
    "ringbuf": "ringbuf_output ringbuf_reserve ringbuf_query ringbuf_reserve_dynptr",
    "inode_storage": "inode_storage_get inode_storage_delete",
    "task_storage": "task_storage_get task_storage_delete",
    "bloom_filter": "map_push_elem map_peek_elem",
    "user_ringbuf": "user_ringbuf_drain",
    "cgrp_storage": "cgrp_storage_get cgrp_storage_delete",
}

# Names that older headers and tools use.
MAP_TYPE_ALIASES: dict[str, str] = {
    "cgroup_storage_deprecated": "cgroup_storage",
    "percpu_cgroup_storage_deprecated": "percpu_cgroup_storage",
}
