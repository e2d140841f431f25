"""Linux: what programs find behind their first argument, and who may touch which field of it.

``LAYOUTS`` holds the structures, ``ACCESS`` the rights of each program type over them. A context
that is not made of fields (raw arguments, bytes) says so by its layout word in ``PLAIN``.
"""

from __future__ import annotations

# How a field may be read: "whole" one element at a time; "narrow" any smaller aligned power of two
# as well; "start" smaller ones only at the field's first byte; "half" down to half an element;
# "pair" as narrow, and two elements at once; "bytes" any size up to 8, for writing too.
# The last column is what the value is; "?" says that it may be null.
# Layouts: Linux UAPI header linux/bpf.h (6.18); registers of x86-64: asm/ptrace.h.
LAYOUTS: dict[str, tuple[int, tuple[tuple[str, int, int, str, str, str], ...]]] = {
    "__sk_buff": (
        192,
        (
            ("len", 0, 4, "u32", "narrow", "scalar"),
            ("pkt_type", 4, 4, "u32", "narrow", "scalar"),
            ("mark", 8, 4, "u32", "narrow", "scalar"),
            ("queue_mapping", 12, 4, "u32", "narrow", "scalar"),
            ("protocol", 16, 4, "u32", "narrow", "scalar"),
            ("vlan_present", 20, 4, "u32", "narrow", "scalar"),
            ("vlan_tci", 24, 4, "u32", "narrow", "scalar"),
            ("vlan_proto", 28, 4, "u32", "narrow", "scalar"),
            ("priority", 32, 4, "u32", "narrow", "scalar"),
            ("ingress_ifindex", 36, 4, "u32", "narrow", "scalar"),
            ("ifindex", 40, 4, "u32", "narrow", "scalar"),
            ("tc_index", 44, 4, "u32", "narrow", "scalar"),
            ("cb", 48, 20, "u32", "bytes", "scalar"),
            ("hash", 68, 4, "u32", "narrow", "scalar"),
            ("tc_classid", 72, 4, "u32", "narrow", "scalar"),
            ("data", 76, 4, "u32", "whole", "packet"),
            ("data_end", 80, 4, "u32", "whole", "packet_end"),
            ("napi_id", 84, 4, "u32", "narrow", "scalar"),
            ("family", 88, 4, "u32", "narrow", "scalar"),
            ("remote_ip4", 92, 4, "u32", "whole", "scalar"),
            ("local_ip4", 96, 4, "u32", "whole", "scalar"),
            ("remote_ip6", 100, 16, "u32", "whole", "scalar"),
            ("local_ip6", 116, 16, "u32", "whole", "scalar"),
            ("remote_port", 132, 4, "u32", "narrow", "scalar"),
            ("local_port", 136, 4, "u32", "narrow", "scalar"),
            ("data_meta", 140, 4, "u32", "whole", "packet_meta"),
            ("flow_keys", 144, 8, "bpf_flow_keys *", "whole", "flow_keys"),
            ("tstamp", 152, 8, "u64", "whole", "scalar"),
            ("wire_len", 160, 4, "u32", "narrow", "scalar"),
            ("gso_segs", 164, 4, "u32", "narrow", "scalar"),
            ("sk", 168, 8, "bpf_sock *", "whole", "sock_common?"),
            ("gso_size", 176, 4, "u32", "narrow", "scalar"),
            ("tstamp_type", 180, 1, "u8", "whole", "scalar"),
            ("hwtstamp", 184, 8, "u64", "whole", "scalar"),
        ),
    ),
    "xdp_md": (
        24,
        (
            ("data", 0, 4, "u32", "whole", "packet"),
            ("data_end", 4, 4, "u32", "whole", "packet_end"),
            ("data_meta", 8, 4, "u32", "whole", "packet_meta"),
            ("ingress_ifindex", 12, 4, "u32", "whole", "scalar"),
            ("rx_queue_index", 16, 4, "u32", "whole", "scalar"),
            ("egress_ifindex", 20, 4, "u32", "whole", "scalar"),
        ),
    ),
    "bpf_sock": (
        80,
        (
            ("bound_dev_if", 0, 4, "u32", "whole", "scalar"),
            ("family", 4, 4, "u32", "start", "scalar"),
            ("type", 8, 4, "u32", "start", "scalar"),
            ("protocol", 12, 4, "u32", "start", "scalar"),
            ("mark", 16, 4, "u32", "whole", "scalar"),
            ("priority", 20, 4, "u32", "whole", "scalar"),
            ("src_ip4", 24, 4, "u32", "narrow", "scalar"),
            ("src_ip6", 28, 16, "u32", "narrow", "scalar"),
            ("src_port", 44, 4, "u32", "start", "scalar"),
            ("dst_port", 48, 2, "be16", "narrow", "scalar"),
            ("dst_port", 48, 4, "u32", "whole", "scalar"),
            ("dst_ip4", 52, 4, "u32", "narrow", "scalar"),
            ("dst_ip6", 56, 16, "u32", "narrow", "scalar"),
            ("state", 72, 4, "u32", "start", "scalar"),
            ("rx_queue_mapping", 76, 4, "s32", "start", "scalar"),
        ),
    ),
    "bpf_sock_addr": (
        72,
        (
            ("user_family", 0, 4, "u32", "whole", "scalar"),
            ("user_ip4", 4, 4, "u32", "narrow", "scalar"),
            ("user_ip6", 8, 16, "u32", "pair", "scalar"),
            ("user_port", 24, 4, "u32", "narrow", "scalar"),
            ("family", 28, 4, "u32", "whole", "scalar"),
            ("type", 32, 4, "u32", "whole", "scalar"),
            ("protocol", 36, 4, "u32", "whole", "scalar"),
            ("msg_src_ip4", 40, 4, "u32", "narrow", "scalar"),
            ("msg_src_ip6", 44, 16, "u32", "pair", "scalar"),
            ("sk", 64, 8, "bpf_sock *", "whole", "socket"),
        ),
    ),
    "bpf_sock_ops": (
        224,
        (
            ("op", 0, 4, "u32", "whole", "scalar"),
            ("args", 4, 16, "u32", "whole", "scalar"),
            ("reply", 4, 4, "u32", "whole", "scalar"),
            ("replylong", 4, 16, "u32", "whole", "scalar"),
            ("family", 20, 4, "u32", "whole", "scalar"),
            ("remote_ip4", 24, 4, "u32", "whole", "scalar"),
            ("local_ip4", 28, 4, "u32", "whole", "scalar"),
            ("remote_ip6", 32, 16, "u32", "whole", "scalar"),
            ("local_ip6", 48, 16, "u32", "whole", "scalar"),
            ("remote_port", 64, 4, "u32", "whole", "scalar"),
            ("local_port", 68, 4, "u32", "whole", "scalar"),
            ("is_fullsock", 72, 4, "u32", "whole", "scalar"),
            ("snd_cwnd", 76, 4, "u32", "whole", "scalar"),
            ("srtt_us", 80, 4, "u32", "whole", "scalar"),
            ("bpf_sock_ops_cb_flags", 84, 4, "u32", "whole", "scalar"),
            ("state", 88, 4, "u32", "whole", "scalar"),
            ("rtt_min", 92, 4, "u32", "whole", "scalar"),
            ("snd_ssthresh", 96, 4, "u32", "whole", "scalar"),
            ("rcv_nxt", 100, 4, "u32", "whole", "scalar"),
            ("snd_nxt", 104, 4, "u32", "whole", "scalar"),
            ("snd_una", 108, 4, "u32", "whole", "scalar"),
            ("mss_cache", 112, 4, "u32", "whole", "scalar"),
            ("ecn_flags", 116, 4, "u32", "whole", "scalar"),
            ("rate_delivered", 120, 4, "u32", "whole", "scalar"),
            ("rate_interval_us", 124, 4, "u32", "whole", "scalar"),
            ("packets_out", 128, 4, "u32", "whole", "scalar"),
            ("retrans_out", 132, 4, "u32", "whole", "scalar"),
            ("total_retrans", 136, 4, "u32", "whole", "scalar"),
            ("segs_in", 140, 4, "u32", "whole", "scalar"),
            ("data_segs_in", 144, 4, "u32", "whole", "scalar"),
            ("segs_out", 148, 4, "u32", "whole", "scalar"),
            ("data_segs_out", 152, 4, "u32", "whole", "scalar"),
            ("lost_out", 156, 4, "u32", "whole", "scalar"),
            ("sacked_out", 160, 4, "u32", "whole", "scalar"),
            ("sk_txhash", 164, 4, "u32", "whole", "scalar"),
            ("bytes_received", 168, 8, "u64", "whole", "scalar"),
            ("bytes_acked", 176, 8, "u64", "whole", "scalar"),
            ("sk", 184, 8, "bpf_sock *", "whole", "socket?"),
            ("skb_data", 192, 8, "void *", "whole", "packet"),
            ("skb_data_end", 200, 8, "void *", "whole", "packet_end"),
            ("skb_len", 208, 4, "u32", "whole", "scalar"),
            ("skb_tcp_flags", 212, 4, "u32", "start", "scalar"),
            ("skb_hwtstamp", 216, 8, "u64", "whole", "scalar"),
        ),
    ),
    "sk_msg_md": (
        80,
        (
            ("data", 0, 8, "void *", "whole", "packet"),
            ("data_end", 8, 8, "void *", "whole", "packet_end"),
            ("family", 16, 4, "u32", "whole", "scalar"),
            ("remote_ip4", 20, 4, "u32", "whole", "scalar"),
            ("local_ip4", 24, 4, "u32", "whole", "scalar"),
            ("remote_ip6", 28, 16, "u32", "whole", "scalar"),
            ("local_ip6", 44, 16, "u32", "whole", "scalar"),
            ("remote_port", 60, 4, "u32", "whole", "scalar"),
            ("local_port", 64, 4, "u32", "whole", "scalar"),
            ("size", 68, 4, "u32", "whole", "scalar"),
            ("sk", 72, 8, "bpf_sock *", "whole", "socket"),
        ),
    ),
    "sk_reuseport_md": (
        56,
        (
            ("data", 0, 8, "void *", "whole", "packet"),
            ("data_end", 8, 8, "void *", "whole", "packet_end"),
            ("len", 16, 4, "u32", "narrow", "scalar"),
            ("eth_protocol", 20, 4, "u32", "half", "scalar"),
            ("ip_protocol", 24, 4, "u32", "narrow", "scalar"),
            ("bind_inany", 28, 4, "u32", "narrow", "scalar"),
            ("hash", 32, 4, "u32", "whole", "scalar"),
            ("sk", 40, 8, "bpf_sock *", "whole", "socket"),
            ("migrating_sk", 48, 8, "bpf_sock *", "whole", "sock_common?"),
        ),
    ),
    "bpf_sk_lookup": (
        72,
        (
            ("sk", 0, 8, "bpf_sock *", "whole", "socket?"),
            ("family", 8, 4, "u32", "narrow", "scalar"),
            ("protocol", 12, 4, "u32", "narrow", "scalar"),
            ("remote_ip4", 16, 4, "u32", "narrow", "scalar"),
            ("remote_ip6", 20, 16, "u32", "narrow", "scalar"),
            ("remote_port", 36, 2, "be16", "narrow", "scalar"),
            ("remote_port", 36, 4, "u32", "narrow", "scalar"),
            ("local_ip4", 40, 4, "u32", "narrow", "scalar"),
            ("local_ip6", 44, 16, "u32", "narrow", "scalar"),
            ("local_port", 60, 4, "u32", "narrow", "scalar"),
            ("ingress_ifindex", 64, 4, "u32", "narrow", "scalar"),
        ),
    ),
    "bpf_sysctl": (
        8,
        (
            ("write", 0, 4, "u32", "narrow", "scalar"),
            ("file_pos", 4, 4, "u32", "narrow", "scalar"),
        ),
    ),
    "bpf_sockopt": (
        40,
        (
            ("sk", 0, 8, "bpf_sock *", "whole", "socket"),
            ("optval", 8, 8, "void *", "whole", "packet"),
            ("optval_end", 16, 8, "void *", "whole", "packet_end"),
            ("level", 24, 4, "s32", "whole", "scalar"),
            ("optname", 28, 4, "s32", "whole", "scalar"),
            ("optlen", 32, 4, "s32", "whole", "scalar"),
            ("retval", 36, 4, "s32", "whole", "scalar"),
        ),
    ),
    "bpf_cgroup_dev_ctx": (
        12,
        (
            ("access_type", 0, 4, "u32", "narrow", "scalar"),
            ("major", 4, 4, "u32", "whole", "scalar"),
            ("minor", 8, 4, "u32", "whole", "scalar"),
        ),
    ),
    "bpf_tcp_sock": (
        112,
        (
            ("snd_cwnd", 0, 4, "u32", "whole", "scalar"),
            ("srtt_us", 4, 4, "u32", "whole", "scalar"),
            ("rtt_min", 8, 4, "u32", "whole", "scalar"),
            ("snd_ssthresh", 12, 4, "u32", "whole", "scalar"),
            ("rcv_nxt", 16, 4, "u32", "whole", "scalar"),
            ("snd_nxt", 20, 4, "u32", "whole", "scalar"),
            ("snd_una", 24, 4, "u32", "whole", "scalar"),
            ("mss_cache", 28, 4, "u32", "whole", "scalar"),
            ("ecn_flags", 32, 4, "u32", "whole", "scalar"),
            ("rate_delivered", 36, 4, "u32", "whole", "scalar"),
            ("rate_interval_us", 40, 4, "u32", "whole", "scalar"),
            ("packets_out", 44, 4, "u32", "whole", "scalar"),
            ("retrans_out", 48, 4, "u32", "whole", "scalar"),
            ("total_retrans", 52, 4, "u32", "whole", "scalar"),
            ("segs_in", 56, 4, "u32", "whole", "scalar"),
            ("data_segs_in", 60, 4, "u32", "whole", "scalar"),
            ("segs_out", 64, 4, "u32", "whole", "scalar"),
            ("data_segs_out", 68, 4, "u32", "whole", "scalar"),
            ("lost_out", 72, 4, "u32", "whole", "scalar"),
            ("sacked_out", 76, 4, "u32", "whole", "scalar"),
            ("bytes_received", 80, 8, "u64", "whole", "scalar"),
            ("bytes_acked", 88, 8, "u64", "whole", "scalar"),
            ("dsack_dups", 96, 4, "u32", "whole", "scalar"),
            ("delivered", 100, 4, "u32", "whole", "scalar"),
            ("delivered_ce", 104, 4, "u32", "whole", "scalar"),
            ("icsk_retransmits", 108, 4, "u32", "whole", "scalar"),
        ),
    ),
    "bpf_xdp_sock": (
        4,
        (("queue_id", 0, 4, "u32", "whole", "scalar"),),
    ),
    "pt_regs": (
        168,
        (
            ("r15", 0, 8, "u64", "narrow", "scalar"),
            ("r14", 8, 8, "u64", "narrow", "scalar"),
            ("r13", 16, 8, "u64", "narrow", "scalar"),
            ("r12", 24, 8, "u64", "narrow", "scalar"),
            ("bp", 32, 8, "u64", "narrow", "scalar"),
            ("bx", 40, 8, "u64", "narrow", "scalar"),
            ("r11", 48, 8, "u64", "narrow", "scalar"),
            ("r10", 56, 8, "u64", "narrow", "scalar"),
            ("r9", 64, 8, "u64", "narrow", "scalar"),
            ("r8", 72, 8, "u64", "narrow", "scalar"),
            ("ax", 80, 8, "u64", "narrow", "scalar"),
            ("cx", 88, 8, "u64", "narrow", "scalar"),
            ("dx", 96, 8, "u64", "narrow", "scalar"),
            ("si", 104, 8, "u64", "narrow", "scalar"),
            ("di", 112, 8, "u64", "narrow", "scalar"),
            ("orig_ax", 120, 8, "u64", "narrow", "scalar"),
            ("ip", 128, 8, "u64", "narrow", "scalar"),
            ("cs", 136, 8, "u64", "narrow", "scalar"),
            ("flags", 144, 8, "u64", "narrow", "scalar"),
            ("sp", 152, 8, "u64", "narrow", "scalar"),
            ("ss", 160, 8, "u64", "narrow", "scalar"),
        ),
    ),
    "bpf_perf_event_data": (
        184,
        (
            ("regs.r15", 0, 8, "u64", "whole", "scalar"),
            ("regs.r14", 8, 8, "u64", "whole", "scalar"),
            ("regs.r13", 16, 8, "u64", "whole", "scalar"),
            ("regs.r12", 24, 8, "u64", "whole", "scalar"),
            ("regs.bp", 32, 8, "u64", "whole", "scalar"),
            ("regs.bx", 40, 8, "u64", "whole", "scalar"),
            ("regs.r11", 48, 8, "u64", "whole", "scalar"),
            ("regs.r10", 56, 8, "u64", "whole", "scalar"),
            ("regs.r9", 64, 8, "u64", "whole", "scalar"),
            ("regs.r8", 72, 8, "u64", "whole", "scalar"),
            ("regs.ax", 80, 8, "u64", "whole", "scalar"),
            ("regs.cx", 88, 8, "u64", "whole", "scalar"),
            ("regs.dx", 96, 8, "u64", "whole", "scalar"),
            ("regs.si", 104, 8, "u64", "whole", "scalar"),
            ("regs.di", 112, 8, "u64", "whole", "scalar"),
            ("regs.orig_ax", 120, 8, "u64", "whole", "scalar"),
            ("regs.ip", 128, 8, "u64", "whole", "scalar"),
            ("regs.cs", 136, 8, "u64", "whole", "scalar"),
            ("regs.flags", 144, 8, "u64", "whole", "scalar"),
            ("regs.sp", 152, 8, "u64", "whole", "scalar"),
            ("regs.ss", 160, 8, "u64", "whole", "scalar"),
            ("sample_period", 168, 8, "u64", "narrow", "scalar"),
            ("addr", 176, 8, "u64", "narrow", "scalar"),
        ),
    ),
    "bpf_raw_tracepoint_args": (
        96,
        (("args", 0, 96, "u64", "narrow", "scalar"),),
    ),
    "bpf_raw_tracepoint_args_writable": (
        96,
        (
            ("args", 0, 8, "u64", "whole", "buffer"),
            ("args", 8, 88, "u64", "narrow", "scalar"),
        ),
    ),
    "bpf_nf_ctx": (
        16,
        (
            ("state", 0, 8, "nf_hook_state *", "whole", "btf_pointer^"),
            ("skb", 8, 8, "sk_buff *", "whole", "btf_pointer^"),
        ),
    ),
    "lirc_sample": (
        4,
        (("sample", 0, 4, "u32", "whole", "scalar"),),
    ),
    "bpf_flow_keys": (
        56,
        (
            ("nhoff", 0, 2, "u16", "bytes", "scalar"),
            ("thoff", 2, 2, "u16", "bytes", "scalar"),
            ("addr_proto", 4, 2, "u16", "bytes", "scalar"),
            ("is_frag", 6, 1, "u8", "bytes", "scalar"),
            ("is_first_frag", 7, 1, "u8", "bytes", "scalar"),
            ("is_encap", 8, 1, "u8", "bytes", "scalar"),
            ("ip_proto", 9, 1, "u8", "bytes", "scalar"),
            ("n_proto", 10, 2, "be16", "bytes", "scalar"),
            ("sport", 12, 2, "be16", "bytes", "scalar"),
            ("dport", 14, 2, "be16", "bytes", "scalar"),
            ("ipv4_src", 16, 4, "be32", "bytes", "scalar"),
            ("ipv4_dst", 20, 4, "be32", "bytes", "scalar"),
            ("ipv6_src", 16, 16, "u32", "bytes", "scalar"),
            ("ipv6_dst", 32, 16, "u32", "bytes", "scalar"),
            ("flags", 48, 4, "u32", "bytes", "scalar"),
            ("flow_label", 52, 4, "be32", "bytes", "scalar"),
        ),
    ),
}

# Contexts that are not made of fields: (layout word, name, first byte, size).
# Sizes: PERF_MAX_TRACE_SIZE, MAX_BPF_FUNC_ARGS and U16_MAX of the Linux kernel (6.18).
PLAIN: dict[str, tuple[str, str, int, int]] = {
    "tracepoint": ("bytes", "tracepoint record", 8, 8192),
    "tracing": ("typed", "typed arguments", 0, 96),
    "struct_ops": ("typed", "typed arguments", 0, 96),
    "ext": ("typed", "typed arguments", 0, 96),
    "lsm": ("typed", "typed arguments", 0, 96),
    "syscall": ("memory", "caller's memory", 0, 65535),
}

# Attach types under one word, for rights that depend on where a program is attached.
GROUPS: dict[str, str] = {
    "v4": "cgroup_inet4_bind cgroup_inet4_connect cgroup_udp4_sendmsg cgroup_udp4_recvmsg"
    " cgroup_inet4_getpeername cgroup_inet4_getsockname",
    "v6": "cgroup_inet6_bind cgroup_inet6_connect cgroup_udp6_sendmsg cgroup_udp6_recvmsg"
    " cgroup_inet6_getpeername cgroup_inet6_getsockname",
    "sendmsg4": "cgroup_udp4_sendmsg",
    "sendmsg6": "cgroup_udp6_sendmsg",
    "create": "cgroup_inet_sock_create cgroup_inet_sock_release",
    "post_bind": "cgroup_inet4_post_bind cgroup_inet6_post_bind",
    "post_bind4": "cgroup_inet4_post_bind",
    "post_bind6": "cgroup_inet6_post_bind",
    "devmap": "xdp_devmap",
    "get": "cgroup_getsockopt",
    "set": "cgroup_setsockopt",
}

_SKB = (
    "len pkt_type queue_mapping protocol vlan_present vlan_tci vlan_proto priority"
    " ingress_ifindex ifindex tc_index cb hash napi_id gso_segs sk gso_size"
)
_ADDRESSES = "family remote_ip4 local_ip4 remote_ip6 local_ip6 remote_port local_port"
_TC = (
    _SKB + " mark tc_classid data data_end data_meta tstamp wire_len tstamp_type hwtstamp",
    "mark queue_mapping priority tc_index cb tc_classid tstamp",
)
_LWT = (_SKB + " mark data data_end", "mark priority cb")
_RAW = ("*", "")

# (context, fields that may be read, fields that may be written); "*" is all, and "name@group" only
# for the attach types of that group. Facts: what the verifier of Linux 6.18 accepts and refuses.
ACCESS: dict[str, tuple[str, str, str]] = {
    "socket_filter": ("__sk_buff", _SKB + " mark", "cb"),
    "sched_cls": ("__sk_buff", *_TC),
    "sched_act": ("__sk_buff", *_TC),
    "cgroup_skb": (
        "__sk_buff",
        _SKB + " mark data data_end tstamp hwtstamp " + _ADDRESSES,
        "mark priority cb tstamp",
    ),
    "lwt_in": ("__sk_buff", *_LWT),
    "lwt_out": ("__sk_buff", *_LWT),
    "lwt_xmit": ("__sk_buff", *_LWT),
    "lwt_seg6local": ("__sk_buff", *_LWT),
    "sk_skb": ("__sk_buff", _SKB + " data data_end " + _ADDRESSES, "priority tc_index"),
    "flow_dissector": ("__sk_buff", "data data_end flow_keys", ""),
    "xdp": (
        "xdp_md",
        "data data_end data_meta ingress_ifindex rx_queue_index egress_ifindex@devmap",
        "",
    ),
    "cgroup_sock": (
        "bpf_sock",
        "bound_dev_if@create family type protocol mark@create priority@create src_ip4@post_bind4"
        " src_ip6@post_bind6 src_port@post_bind dst_port dst_ip4 dst_ip6 state rx_queue_mapping",
        "bound_dev_if@create mark@create priority@create",
    ),
    "cgroup_sock_addr": (
        "bpf_sock_addr",
        "user_family user_ip4@v4 user_ip6@v6 user_port family type protocol msg_src_ip4@sendmsg4"
        " msg_src_ip6@sendmsg6 sk",
        "user_ip4@v4 user_ip6@v6 user_port msg_src_ip4@sendmsg4 msg_src_ip6@sendmsg6",
    ),
    "sock_ops": ("bpf_sock_ops", "*", "reply sk_txhash"),
    "sk_msg": ("sk_msg_md", "*", ""),
    "sk_reuseport": ("sk_reuseport_md", "*", ""),
    "sk_lookup": ("bpf_sk_lookup", "*", ""),
    "cgroup_sysctl": ("bpf_sysctl", "*", "file_pos"),
    "cgroup_sockopt": (
        "bpf_sockopt",
        "sk optval optval_end level optname optlen retval@get",
        "level@set optname@set optlen retval@get",
    ),
    "cgroup_device": ("bpf_cgroup_dev_ctx", "*", ""),
    "kprobe": ("pt_regs", *_RAW),
    "perf_event": ("bpf_perf_event_data", *_RAW),
    "raw_tracepoint": ("bpf_raw_tracepoint_args", *_RAW),
    "raw_tracepoint_writable": ("bpf_raw_tracepoint_args_writable", *_RAW),
    "netfilter": ("bpf_nf_ctx", *_RAW),
    "lirc_mode2": ("lirc_sample", *_RAW),
}

# What programs see through pointers of these kinds: (structure, fields that may be read, fields
# that may be written, layout word). Facts: what the verifier of Linux 6.18 accepts and refuses.
POINTEES: dict[str, tuple[str, str, str, str]] = {
    "sock_common": (
        "bpf_sock",
        "bound_dev_if family src_ip4 src_ip6 src_port dst_port dst_ip4 dst_ip6 state"
        " rx_queue_mapping",
        "",
        "fields",
    ),
    "socket": ("bpf_sock", "*", "", "fields"),
    "tcp_sock": ("bpf_tcp_sock", "*", "", "fields"),
    "xdp_sock": ("bpf_xdp_sock", "*", "", "fields"),
    "flow_keys": ("bpf_flow_keys", "*", "*", "open"),
}
