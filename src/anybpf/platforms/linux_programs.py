"""Linux: program types, attach types, link types, and which program type may call which helper.

Layouts and rights over context fields stand in ``linux_contexts``, helpers' prototypes in
``linux_helpers``, section names in ``linux_sections``.
"""

# ruff: noqa: E501  (one row a line reads better than one row on three)
from __future__ import annotations

# Numbers: Linux UAPI header linux/bpf.h, enum bpf_prog_type (6.18). Versions: docs.ebpf.io.
# (number, name, what it is, flags, version)
PROGRAM_TYPES: tuple[tuple[int, str, str, str, str], ...] = (
    (0, "unspec", "no type given", "", ""),
    (1, "socket_filter", "filters and observes what a socket receives", "packet_loads no_locks", "3.19"),
    (2, "kprobe", "runs at kernel and user functions", "no_locks no_timers no_graphs", "4.1"),
    (3, "sched_cls", "classifies and edits packets in traffic control", "packet_write packet_loads packet_read", "4.1"),
    (4, "sched_act", "acts on packets in traffic control", "packet_write packet_loads packet_read", "4.1"),
    (5, "tracepoint", "runs at a kernel tracepoint", "no_locks no_timers no_graphs", "4.7"),
    (6, "xdp", "handles packets before the network stack", "packet_write frags packet_read", "4.8"),
    (7, "perf_event", "runs at samples of a perf event", "no_locks no_timers no_graphs", "4.9"),
    (8, "cgroup_skb", "filters packets of a cgroup", "packet_read", "4.10"),
    (9, "cgroup_sock", "watches a cgroup's sockets come, bind and go", "", "4.10"),
    (10, "lwt_in", "handles a route's incoming packets", "packet_read", "4.10"),
    (11, "lwt_out", "handles a route's outgoing packets", "packet_read", "4.10"),
    (12, "lwt_xmit", "edits and redirects a route's packets on their way out", "packet_write packet_read", "4.10"),
    (13, "sock_ops", "follows and tunes TCP connections", "", "4.13"),
    (14, "sk_skb", "parses and redirects streams between sockets", "packet_write packet_read", "4.14"),
    (15, "cgroup_device", "permits device access in a cgroup", "", "4.15"),
    (16, "sk_msg", "handles what sockets send", "packet_write packet_read", "4.17"),
    (17, "raw_tracepoint", "runs at a tracepoint, with its raw arguments", "no_locks no_timers no_graphs", "4.17"),
    (18, "cgroup_sock_addr", "rewrites the addresses that a cgroup's sockets use", "", "4.17"),
    (19, "lwt_seg6local", "handles IPv6 segment routing", "packet_read", "4.18"),
    (20, "lirc_mode2", "decodes infrared signals", "", "4.18"),
    (21, "sk_reuseport", "chooses a socket among those that share a port", "packet_read", "4.19"),
    (22, "flow_dissector", "takes packet headers apart for the network stack", "packet_read", "4.20"),
    (23, "cgroup_sysctl", "permits reading and writing of sysctl values in a cgroup", "", "5.2"),
    (24, "raw_tracepoint_writable", "as raw_tracepoint, may write into a buffer", "no_locks no_timers no_graphs", "5.2"),
    (25, "cgroup_sockopt", "handles socket options in a cgroup", "packet_write packet_read packet_to_helpers", "5.3"),
    (26, "tracing", "runs at entry and exit of kernel functions, iterates", "btf_target", "5.5"),
    (27, "struct_ops", "implements an interface of the kernel", "btf_target gpl", "5.6"),
    (28, "ext", "replaces a function of another program", "btf_target as_target", "5.6"),
    (29, "lsm", "decides at security hooks", "btf_target gpl", "5.7"),
    (30, "sk_lookup", "chooses the socket that receives a packet", "", "5.9"),
    (31, "syscall", "calls the kernel on behalf of user space", "", "5.14"),
    (32, "netfilter", "filters packets at a netfilter hook", "", "6.4"),
)  # fmt: skip

# Numbers: Linux UAPI header linux/bpf.h, enum bpf_attach_type (6.18; 58 and up: newer header).
# (number, name, program types, link type, version)
ATTACH_TYPES: tuple[tuple[int, str, str, str, str], ...] = (
    (0, "cgroup_inet_ingress", "cgroup_skb", "cgroup", "4.10"),
    (1, "cgroup_inet_egress", "cgroup_skb", "cgroup", "4.10"),
    (2, "cgroup_inet_sock_create", "cgroup_sock", "cgroup", "4.10"),
    (3, "cgroup_sock_ops", "sock_ops", "cgroup", "4.13"),
    (4, "sk_skb_stream_parser", "sk_skb", "sockmap", "4.14"),
    (5, "sk_skb_stream_verdict", "sk_skb", "sockmap", "4.14"),
    (6, "cgroup_device", "cgroup_device", "cgroup", "4.15"),
    (7, "sk_msg_verdict", "sk_msg", "sockmap", "4.17"),
    (8, "cgroup_inet4_bind", "cgroup_sock_addr", "cgroup", "4.17"),
    (9, "cgroup_inet6_bind", "cgroup_sock_addr", "cgroup", "4.17"),
    (10, "cgroup_inet4_connect", "cgroup_sock_addr", "cgroup", "4.17"),
    (11, "cgroup_inet6_connect", "cgroup_sock_addr", "cgroup", "4.17"),
    (12, "cgroup_inet4_post_bind", "cgroup_sock", "cgroup", "4.17"),
    (13, "cgroup_inet6_post_bind", "cgroup_sock", "cgroup", "4.17"),
    (14, "cgroup_udp4_sendmsg", "cgroup_sock_addr", "cgroup", "4.18"),
    (15, "cgroup_udp6_sendmsg", "cgroup_sock_addr", "cgroup", "4.18"),
    (16, "lirc_mode2", "lirc_mode2", "", "4.18"),
    (17, "flow_dissector", "flow_dissector", "netns", "4.20"),
    (18, "cgroup_sysctl", "cgroup_sysctl", "cgroup", "5.2"),
    (19, "cgroup_udp4_recvmsg", "cgroup_sock_addr", "cgroup", "5.2"),
    (20, "cgroup_udp6_recvmsg", "cgroup_sock_addr", "cgroup", "5.2"),
    (21, "cgroup_getsockopt", "cgroup_sockopt", "cgroup", "5.3"),
    (22, "cgroup_setsockopt", "cgroup_sockopt", "cgroup", "5.3"),
    (23, "trace_raw_tp", "tracing", "tracing", "5.5"),
    (24, "trace_fentry", "tracing", "tracing", "5.5"),
    (25, "trace_fexit", "tracing", "tracing", "5.5"),
    (26, "modify_return", "tracing", "tracing", "5.7"),
    (27, "lsm_mac", "lsm", "tracing", "5.7"),
    (28, "trace_iter", "tracing", "iter", "5.8"),
    (29, "cgroup_inet4_getpeername", "cgroup_sock_addr", "cgroup", "5.8"),
    (30, "cgroup_inet6_getpeername", "cgroup_sock_addr", "cgroup", "5.8"),
    (31, "cgroup_inet4_getsockname", "cgroup_sock_addr", "cgroup", "5.8"),
    (32, "cgroup_inet6_getsockname", "cgroup_sock_addr", "cgroup", "5.8"),
    (33, "xdp_devmap", "xdp", "", "5.8"),
    (34, "cgroup_inet_sock_release", "cgroup_sock", "cgroup", "5.9"),
    (35, "xdp_cpumap", "xdp", "", "5.9"),
    (36, "sk_lookup", "sk_lookup", "netns", "5.9"),
    (37, "xdp", "xdp", "xdp", "5.9"),
    (38, "sk_skb_verdict", "sk_skb", "sockmap", "5.13"),
    (39, "sk_reuseport_select", "sk_reuseport", "", "5.14"),
    (40, "sk_reuseport_select_or_migrate", "sk_reuseport", "", "5.14"),
    (41, "perf_event", "perf_event kprobe tracepoint", "perf_event", "5.15"),
    (42, "trace_kprobe_multi", "kprobe", "kprobe_multi", "5.18"),
    (43, "lsm_cgroup", "lsm", "cgroup", "6.0"),
    (44, "struct_ops", "struct_ops", "struct_ops", "6.4"),
    (45, "netfilter", "netfilter", "netfilter", "6.4"),
    (46, "tcx_ingress", "sched_cls", "tcx", "6.6"),
    (47, "tcx_egress", "sched_cls", "tcx", "6.6"),
    (48, "trace_uprobe_multi", "kprobe", "uprobe_multi", "6.6"),
    (49, "cgroup_unix_connect", "cgroup_sock_addr", "cgroup", "6.7"),
    (50, "cgroup_unix_sendmsg", "cgroup_sock_addr", "cgroup", "6.7"),
    (51, "cgroup_unix_recvmsg", "cgroup_sock_addr", "cgroup", "6.7"),
    (52, "cgroup_unix_getpeername", "cgroup_sock_addr", "cgroup", "6.7"),
    (53, "cgroup_unix_getsockname", "cgroup_sock_addr", "cgroup", "6.7"),
    (54, "netkit_primary", "sched_cls", "netkit", "6.7"),
    (55, "netkit_peer", "sched_cls", "netkit", "6.7"),
    (56, "trace_kprobe_session", "kprobe", "kprobe_multi", "6.10"),
    (57, "trace_uprobe_session", "kprobe", "uprobe_multi", "6.13"),
    (58, "trace_fsession", "tracing", "tracing", "after 6.18"),
    (59, "trace_fentry_multi", "tracing", "tracing_multi", "after 6.18"),
    (60, "trace_fexit_multi", "tracing", "tracing_multi", "after 6.18"),
    (61, "trace_fsession_multi", "tracing", "tracing_multi", "after 6.18"),
)  # fmt: skip

# Numbers: Linux UAPI header linux/bpf.h, enum bpf_link_type (6.18; 15: newer header).
LINK_TYPES: tuple[tuple[int, str, str], ...] = (
    (0, "unspec", ""),
    (1, "raw_tracepoint", "5.8"),
    (2, "tracing", "5.8"),
    (3, "cgroup", "5.8"),
    (4, "iter", "5.8"),
    (5, "netns", "5.8"),
    (6, "xdp", "5.9"),
    (7, "perf_event", "5.15"),
    (8, "kprobe_multi", "5.18"),
    (9, "struct_ops", "6.4"),
    (10, "netfilter", "6.4"),
    (11, "tcx", "6.6"),
    (12, "uprobe_multi", "6.6"),
    (13, "netkit", "6.7"),
    (14, "sockmap", "6.10"),
    (15, "tracing_multi", "after 6.18"),
)

_V4 = "cgroup_inet4_bind cgroup_inet6_bind"
_REPORTS = (
    "cgroup_udp4_recvmsg cgroup_udp6_recvmsg cgroup_unix_recvmsg cgroup_inet4_getpeername"
    " cgroup_inet6_getpeername cgroup_unix_getpeername cgroup_inet4_getsockname"
    " cgroup_inet6_getsockname cgroup_unix_getsockname"
)
_AT_FUNCTIONS = (
    "trace_fentry trace_fexit trace_fsession trace_fentry_multi trace_fexit_multi"
    " trace_fsession_multi"
)

# What programs may return: (lowest, highest, attach types; none: all others). A type that is not
# here may return anything; so may lsm_mac programs at hooks that return nothing, while hooks that
# return a bool take 0 and 1 only. Facts: what the verifier of Linux 6.18 accepts and refuses.
RETURNS: dict[str, tuple[tuple[int, int, str], ...]] = {
    "kprobe": ((0, 1, "trace_kprobe_session trace_uprobe_session"),),
    "cgroup_skb": ((0, 3, "cgroup_inet_egress"), (0, 1, "")),
    "cgroup_sock": ((0, 1, ""),),
    "cgroup_sock_addr": ((0, 3, _V4), (1, 1, _REPORTS), (0, 1, "")),
    "cgroup_sysctl": ((0, 1, ""),),
    "cgroup_sockopt": ((0, 1, ""),),
    "cgroup_device": ((0, 1, ""),),
    "sock_ops": ((0, 1, ""),),
    "sk_lookup": ((0, 1, ""),),
    "netfilter": ((0, 1, ""),),
    "tracing": ((0, 0, _AT_FUNCTIONS), (0, 1, "trace_iter")),
    "lsm": ((-4095, 0, "lsm_mac"), (0, 1, "lsm_cgroup")),
}

_XDP = ((0, "XDP_ABORTED"), (1, "XDP_DROP"), (2, "XDP_PASS"), (3, "XDP_TX"), (4, "XDP_REDIRECT"))
_TC = (
    (-1, "TC_ACT_UNSPEC"),
    (0, "TC_ACT_OK"),
    (1, "TC_ACT_RECLASSIFY"),
    (2, "TC_ACT_SHOT"),
    (3, "TC_ACT_PIPE"),
    (4, "TC_ACT_STOLEN"),
    (5, "TC_ACT_QUEUED"),
    (6, "TC_ACT_REPEAT"),
    (7, "TC_ACT_REDIRECT"),
    (8, "TC_ACT_TRAP"),
)
_VERDICTS = ((0, "SK_DROP"), (1, "SK_PASS"))
_LWT = ((0, "BPF_OK"), (2, "BPF_DROP"), (7, "BPF_REDIRECT"), (128, "BPF_LWT_REROUTE"))

# Names of return values: Linux UAPI headers linux/bpf.h, linux/pkt_cls.h, linux/netfilter.h.
RETURN_NAMES: dict[str, tuple[tuple[int, str], ...]] = {
    "xdp": _XDP,
    "sched_cls": _TC,
    "sched_act": _TC,
    "sk_skb": _VERDICTS,
    "sk_msg": _VERDICTS,
    "sk_reuseport": _VERDICTS,
    "sk_lookup": _VERDICTS,
    "lwt_in": _LWT,
    "lwt_out": _LWT,
    "lwt_xmit": _LWT,
    "lwt_seg6local": _LWT,
    "flow_dissector": ((0, "BPF_OK"), (2, "BPF_DROP"), (129, "BPF_FLOW_DISSECTOR_CONTINUE")),
    "netfilter": ((0, "NF_DROP"), (1, "NF_ACCEPT")),
}

_BASE = (
    "map_lookup_elem map_update_elem map_delete_elem ktime_get_ns trace_printk get_prandom_u32"
    " get_smp_processor_id tail_call get_current_pid_tgid get_current_uid_gid get_current_comm"
    " get_cgroup_classid perf_event_read get_current_task current_task_under_cgroup"
    " get_numa_node_id perf_event_read_value get_current_cgroup_id map_push_elem map_pop_elem"
    " map_peek_elem spin_lock spin_unlock strtol strtoul send_signal probe_read_user"
    " probe_read_kernel probe_read_user_str probe_read_kernel_str send_signal_thread jiffies64"
    " get_ns_current_pid_tgid get_current_ancestor_cgroup_id ktime_get_boot_ns ringbuf_output"
    " ringbuf_reserve ringbuf_submit ringbuf_discard ringbuf_query get_task_stack copy_from_user"
    " snprintf_btf per_cpu_ptr this_cpu_ptr task_storage_get task_storage_delete"
    " get_current_task_btf for_each_map_elem snprintf timer_init timer_set_callback timer_start"
    " timer_cancel task_pt_regs get_branch_snapshot trace_vprintk find_vma loop strncmp"
    " copy_from_user_task kptr_xchg map_lookup_percpu_elem dynptr_from_mem"
    " ringbuf_reserve_dynptr ringbuf_submit_dynptr ringbuf_discard_dynptr dynptr_read"
    " dynptr_write dynptr_data ktime_get_tai_ns user_ringbuf_drain cgrp_storage_get"
    " cgrp_storage_delete"
)
_SKC_TO = (
    " skc_to_tcp6_sock skc_to_tcp_sock skc_to_tcp_timewait_sock skc_to_tcp_request_sock"
    " skc_to_udp6_sock skc_to_unix_sock skc_to_mptcp_sock"
)
_SK = _BASE + _SKC_TO + " ktime_get_coarse_ns"
_LOOKUP = " sk_lookup_tcp sk_lookup_udp skc_lookup_tcp sk_release"
_STORAGE = " sk_storage_get sk_storage_delete"
_COOKIE_CHECKS = (
    " tcp_check_syncookie tcp_gen_syncookie tcp_raw_gen_syncookie_ipv4 tcp_raw_gen_syncookie_ipv6"
    " tcp_raw_check_syncookie_ipv4 tcp_raw_check_syncookie_ipv6"
)
_FILTER = (
    _SK + " perf_event_output skb_load_bytes skb_load_bytes_relative get_socket_cookie"
    " get_socket_uid get_netns_cookie"
)
_TC_HELPERS = (
    _FILTER + _LOOKUP + _STORAGE + _COOKIE_CHECKS + " skb_store_bytes l3_csum_replace"
    " l4_csum_replace clone_redirect skb_vlan_push skb_vlan_pop skb_get_tunnel_key"
    " skb_set_tunnel_key redirect get_route_realm csum_diff skb_get_tunnel_opt skb_set_tunnel_opt"
    " skb_change_proto skb_change_type skb_under_cgroup get_hash_recalc skb_change_tail"
    " skb_pull_data csum_update set_hash_invalid skb_change_head set_hash skb_adjust_room"
    " skb_get_xfrm_state fib_lookup skb_cgroup_id skb_ancestor_cgroup_id sk_fullsock tcp_sock"
    " skb_ecn_set_ce get_listener_sock sk_assign csum_level skb_cgroup_classid redirect_neigh"
    " redirect_peer check_mtu skb_set_tstamp"
)
_LWT_HELPERS = (
    _SK + " perf_event_output skb_load_bytes get_route_realm csum_diff skb_under_cgroup"
    " get_hash_recalc skb_pull_data"
)
_TRACE = (
    _BASE + " perf_event_output probe_read probe_read_str probe_write_user get_stackid get_stack"
    " get_func_ip get_attach_cookie"
)
# What programs with a BTF target may call besides; some only at some attach types, see below.
_TRACE_BTF = (
    _TRACE + _SKC_TO + _STORAGE + " get_socket_cookie skb_output xdp_output d_path sock_from_file"
    " xdp_get_buff_len"
)
_CGROUP = " perf_event_output get_local_storage get_retval set_retval"

# Which program type may call which helpers (names without "bpf_"); "*" is all.
# Facts: what the verifier of Linux 6.18 accepts; lirc_mode2, struct_ops, lsm: docs.ebpf.io.
HELPERS_OF: dict[str, str] = {
    "socket_filter": _FILTER,
    "kprobe": _TRACE + " override_return",
    "sched_cls": _TC_HELPERS,
    "sched_act": _TC_HELPERS,
    "tracepoint": _TRACE,
    "xdp": _SK + _LOOKUP + _COOKIE_CHECKS + " redirect perf_event_output csum_diff xdp_adjust_head"
    " redirect_map xdp_adjust_meta xdp_adjust_tail fib_lookup check_mtu xdp_get_buff_len"
    " xdp_load_bytes xdp_store_bytes",
    "perf_event": _TRACE + " perf_prog_read_value read_branch_records",
    "cgroup_skb": _FILTER + _LOOKUP + _STORAGE + " skb_cgroup_id get_local_storage"
    " skb_ancestor_cgroup_id sk_fullsock tcp_sock skb_ecn_set_ce get_listener_sock sk_cgroup_id"
    " sk_ancestor_cgroup_id",
    "cgroup_sock": _BASE + _CGROUP + " get_socket_cookie sk_storage_get get_netns_cookie"
    " ktime_get_coarse_ns",
    "lwt_in": _LWT_HELPERS + " lwt_push_encap",
    "lwt_out": _LWT_HELPERS,
    "lwt_xmit": _LWT_HELPERS + " lwt_push_encap skb_store_bytes l3_csum_replace l4_csum_replace"
    " clone_redirect skb_get_tunnel_key skb_set_tunnel_key redirect skb_get_tunnel_opt"
    " skb_set_tunnel_opt skb_change_tail csum_update set_hash_invalid skb_change_head csum_level",
    "sock_ops": _SK + _STORAGE + " perf_event_output get_socket_cookie setsockopt getsockopt"
    " sock_map_update sock_hash_update sock_ops_cb_flags_set get_local_storage tcp_sock"
    " get_netns_cookie load_hdr_opt store_hdr_opt reserve_hdr_opt",
    "sk_skb": _SK + _LOOKUP + " skb_store_bytes perf_event_output skb_load_bytes skb_change_tail"
    " skb_pull_data skb_change_head get_socket_cookie get_socket_uid skb_adjust_room"
    " sk_redirect_map sk_redirect_hash",
    "cgroup_device": _BASE + _CGROUP,
    "sk_msg": _SK + _STORAGE + " perf_event_output msg_redirect_map msg_redirect_hash"
    " msg_apply_bytes msg_cork_bytes msg_pull_data msg_push_data msg_pop_data get_netns_cookie",
    "raw_tracepoint": _TRACE,
    "cgroup_sock_addr": _SK + _CGROUP + _LOOKUP + _STORAGE + " get_socket_cookie setsockopt"
    " getsockopt bind get_netns_cookie",
    "lwt_seg6local": _LWT_HELPERS + " lwt_seg6_store_bytes lwt_seg6_adjust_srh lwt_seg6_action",
    "lirc_mode2": "rc_repeat rc_keydown rc_pointer_rel map_lookup_elem map_update_elem"
    " map_delete_elem map_push_elem map_pop_elem map_peek_elem ktime_get_ns ktime_get_boot_ns"
    " tail_call get_prandom_u32 trace_printk",
    "sk_reuseport": _BASE + " skb_load_bytes skb_load_bytes_relative get_socket_cookie"
    " sk_select_reuseport ktime_get_coarse_ns",
    "flow_dissector": _SK + " skb_load_bytes",
    "cgroup_sysctl": _BASE + _CGROUP + " sysctl_get_name sysctl_get_current_value"
    " sysctl_get_new_value sysctl_set_new_value ktime_get_coarse_ns",
    "raw_tracepoint_writable": _TRACE,
    "cgroup_sockopt": _BASE + _CGROUP + _STORAGE + " tcp_sock get_netns_cookie setsockopt"
    " getsockopt",
    "tracing": _TRACE_BTF + " seq_printf seq_write seq_printf_btf get_func_arg get_func_ret"
    " get_func_arg_cnt",
    "struct_ops": _BASE + _STORAGE + " tcp_send_ack setsockopt getsockopt ktime_get_coarse_ns",
    "ext": "*",
    "lsm": _TRACE_BTF + " inode_storage_get inode_storage_delete bprm_opts_set ima_inode_hash"
    " ima_file_hash get_func_arg get_func_arg_cnt get_local_storage get_retval set_retval"
    " setsockopt getsockopt get_netns_cookie",
    "sk_lookup": _SK + " perf_event_output sk_assign sk_release",
    "syscall": _TRACE_BTF.replace(" get_attach_cookie", "")
    + " sys_bpf btf_find_by_name_kind sys_close kallsyms_lookup_name",
    "netfilter": _BASE,
}

_CONNECT = "cgroup_inet4_connect cgroup_inet6_connect"
_CHOOSES = (
    "cgroup_inet4_bind cgroup_inet6_bind cgroup_inet4_connect cgroup_inet6_connect"
    " cgroup_udp4_sendmsg cgroup_udp6_sendmsg cgroup_unix_connect cgroup_unix_sendmsg"
)
_ARGUMENTS = (
    "trace_fentry trace_fexit modify_return trace_fsession trace_fentry_multi trace_fexit_multi"
    " trace_fsession_multi"
)
_RESULTS = "trace_fexit modify_return trace_fsession trace_fexit_multi trace_fsession_multi"

# Helpers that a program type may call at some of its attach types only.
HELPER_ATTACH_TYPES: dict[str, tuple[tuple[str, str], ...]] = {
    "cgroup_sock_addr": (
        ("bind", _CONNECT),
        ("get_retval set_retval", _CHOOSES),
    ),
    "cgroup_sockopt": (("setsockopt getsockopt", "cgroup_setsockopt"),),
    "tracing": (
        ("seq_printf seq_write seq_printf_btf", "trace_iter"),
        ("get_func_arg get_func_arg_cnt", _ARGUMENTS),
        ("get_func_ret", _RESULTS),
        ("get_attach_cookie", "trace_raw_tp " + _ARGUMENTS),
    ),
    "lsm": (
        ("get_func_arg get_func_arg_cnt get_attach_cookie", "lsm_mac"),
        ("get_local_storage get_retval set_retval", "lsm_cgroup"),
        ("setsockopt getsockopt get_netns_cookie", "lsm_cgroup"),
    ),
}
