"""eBPF for Windows: everything that it and its extensions offer, as tables.

How a row becomes an object stands in ``windows``; how prototypes and size rules are written, in
``prototype``.
"""

# ruff: noqa: E501  (one row a line reads better than one row on three)
from __future__ import annotations

# Numbers, GUIDs: microsoft/ebpf-for-windows include/ebpf_structs.h, include/ebpf_program_types.h,
# microsoft/ntosebpfext (process, netevent). Names as the tools print them.
# (number, name, what it is, context, what may be returned, who ships it, GUID)
PROGRAM_TYPES: tuple[tuple[int, str, str, str, tuple[tuple[int, int], ...], str, str], ...] = (
    (0, "unspec", "no type given", "", (), "", "00000000-0000-0000-0000-000000000000"),
    (1, "xdp", "handles packets before the network stack", "xdp_md_t", (), "xdp-for-windows", "f1832a85-85d5-45b0-98a0-7069d63013b0"),
    (2, "bind", "permits or denies binding to a port", "bind_md_t", (), "netebpfext", "608c517c-6c52-4a26-b677-bb1c34425adf"),
    (3, "sock_addr", "permits, denies and redirects connections", "bpf_sock_addr_t", (), "netebpfext", "92ec8e39-aeec-11ec-9a30-18602489beee"),
    (4, "sockops", "follows connections come and go", "bpf_sock_ops_t", (), "netebpfext", "43fb224d-68f8-46d6-aa3f-c856518cbb32"),
    (5, "netevent_monitor", "watches packet monitor events", "netevent_event_md_t", (), "neteventebpfext", "fc4adc85-49c3-4f0a-8393-facce89cde91"),
    (6, "process", "watches and permits processes", "process_md_t", (), "ntosebpfext", "22ea7b37-1043-4d0d-b60d-cafa1c7b638e"),
    (999, "sample", "the sample extension's type, for tests", "sample_program_context_t", (), "sample_ebpf_ext", "f788ef4a-207d-4dc3-85cf-0f2ea107213c"),
)  # fmt: skip

# The names that enum bpf_prog_type gives them, where the tools print others.
PROGRAM_TYPE_ALIASES: dict[str, str] = {
    "cgroup_sock_addr": "sock_addr",
    "sock_ops": "sockops",
    "netevent": "netevent_monitor",
}

# Names of return values: microsoft/ebpf-for-windows include/ebpf_nethooks.h.
# Any other value counts as a refusal there, so nothing is out of range.
RETURN_NAMES: dict[str, tuple[tuple[int, str], ...]] = {
    "xdp": ((1, "XDP_PASS"), (2, "XDP_DROP"), (3, "XDP_TX")),
    "bind": (
        (0, "BIND_PERMIT_SOFT"),
        (1, "BIND_DENY"),
        (2, "BIND_REDIRECT"),
        (3, "BIND_PERMIT_HARD"),
    ),
    "sock_addr": (
        (0, "BPF_SOCK_ADDR_VERDICT_REJECT"),
        (1, "BPF_SOCK_ADDR_VERDICT_PROCEED_SOFT"),
        (2, "BPF_SOCK_ADDR_VERDICT_PROCEED_HARD"),
    ),
    "sockops": ((0, "permit"),),
    "process": ((0, "STATUS_SUCCESS"),),
}

_COMPARTMENT = "u32 compartment id; 0 or none: any"

# Numbers, GUIDs: microsoft/ebpf-for-windows include/ebpf_structs.h, ebpf_program_attach_type_guids.h.
# (number, name, program type, link type, what an attachment must name, GUID); 9 is a gap.
ATTACH_TYPES: tuple[tuple[int, str, str, str, str, str], ...] = (
    (0, "unspec", "unspec", "", "", "00000000-0000-0000-0000-000000000000"),
    (1, "xdp", "xdp", "xdp", "u32 interface index; 0: all", "85e0d8ef-579e-4931-b072-8ee226bb2e9d"),
    (2, "bind", "bind", "plain", "", "b9707e04-8127-4c72-833e-05b1fb439496"),
    (3, "cgroup/connect4", "sock_addr", "cgroup", _COMPARTMENT, "a82e37b1-aee7-11ec-9a30-18602489beee"),
    (4, "cgroup/connect6", "sock_addr", "cgroup", _COMPARTMENT, "a82e37b2-aee7-11ec-9a30-18602489beee"),
    (5, "cgroup/recv_accept4", "sock_addr", "cgroup", _COMPARTMENT, "a82e37b3-aee7-11ec-9a30-18602489beee"),
    (6, "cgroup/recv_accept6", "sock_addr", "cgroup", _COMPARTMENT, "a82e37b4-aee7-11ec-9a30-18602489beee"),
    (7, "sockops", "sockops", "cgroup", _COMPARTMENT, "837d02cd-3251-4632-8d94-60d3b45769f2"),
    (8, "sample_ext", "sample", "plain", "bytes, the attach key", "f788ef4b-207d-4dc3-85cf-0f2ea107213c"),
    (10, "netevent_monitor", "netevent_monitor", "plain", "u32 capture type: 1 all, 2 flow, 3 drop, 4 none", "68011b08-ab6b-4b46-85e4-67bae1afe741"),
    (11, "process", "process", "plain", "", "66e20687-9805-4458-a0db-38e220d31685"),
    (12, "cgroup/connect_authorization4", "sock_addr", "cgroup", _COMPARTMENT, "6076c13a-f04f-4ff8-8380-908553f22276"),
    (13, "cgroup/connect_authorization6", "sock_addr", "cgroup", _COMPARTMENT, "54b0b6ed-432a-4674-8b27-8d9f5b40c675"),
    (14, "cgroup/bind4", "sock_addr", "cgroup", _COMPARTMENT, "0d7ce21a-7773-405c-93b6-d5bfb92e74bc"),
    (15, "cgroup/bind6", "sock_addr", "cgroup", _COMPARTMENT, "81de64c0-2973-468d-8382-6769f033d759"),
    (16, "cgroup/listen4", "sock_addr", "cgroup", _COMPARTMENT, "e1b0cb3d-d70c-4ee2-b23a-0742bedb06d6"),
    (17, "cgroup/listen6", "sock_addr", "cgroup", _COMPARTMENT, "4e72f92e-5ed0-4fe5-b851-b124fe14074d"),
)  # fmt: skip

# The names that enum bpf_attach_type gives them.
ATTACH_TYPE_ALIASES: dict[str, str] = {
    "cgroup_inet4_connect": "cgroup/connect4",
    "cgroup_inet6_connect": "cgroup/connect6",
    "cgroup_inet4_recv_accept": "cgroup/recv_accept4",
    "cgroup_inet6_recv_accept": "cgroup/recv_accept6",
    "cgroup_sock_ops": "sockops",
    "sample": "sample_ext",
    "netevent": "netevent_monitor",
    "cgroup_inet4_connect_authorization": "cgroup/connect_authorization4",
    "cgroup_inet6_connect_authorization": "cgroup/connect_authorization6",
    "cgroup_inet4_bind": "cgroup/bind4",
    "cgroup_inet6_bind": "cgroup/bind6",
    "cgroup_inet4_listen": "cgroup/listen4",
    "cgroup_inet6_listen": "cgroup/listen6",
}

# Numbers: microsoft/ebpf-for-windows include/ebpf_structs.h, enum bpf_link_type.
LINK_TYPES: tuple[tuple[int, str], ...] = (
    (0, "unspec"),
    (1, "plain"),
    (2, "cgroup"),
    (3, "xdp"),
)

# Prefixes: microsoft/ebpf-for-windows, section information that the extensions publish. The
# longest prefix wins. (name, program type, attach type, form, flags)
SECTIONS: tuple[tuple[str, str, str, str, str], ...] = (
    ("xdp", "xdp", "xdp", "prefix", ""),
    ("bind", "bind", "bind", "prefix", ""),
    ("cgroup/connect4", "sock_addr", "cgroup/connect4", "prefix", ""),
    ("cgroup/connect6", "sock_addr", "cgroup/connect6", "prefix", ""),
    ("cgroup/recv_accept4", "sock_addr", "cgroup/recv_accept4", "prefix", ""),
    ("cgroup/recv_accept6", "sock_addr", "cgroup/recv_accept6", "prefix", ""),
    ("sockops", "sockops", "sockops", "prefix", ""),
    ("sample_ext", "sample", "sample_ext", "prefix", ""),
    ("netevent_monitor", "netevent_monitor", "netevent_monitor", "prefix", ""),
    ("process", "process", "process", "prefix", ""),
    ("cgroup/connect_authorization4", "sock_addr", "cgroup/connect_authorization4", "prefix", ""),
    ("cgroup/connect_authorization6", "sock_addr", "cgroup/connect_authorization6", "prefix", ""),
    ("cgroup/bind4", "sock_addr", "cgroup/bind4", "prefix", ""),
    ("cgroup/bind6", "sock_addr", "cgroup/bind6", "prefix", ""),
    ("cgroup/listen4", "sock_addr", "cgroup/listen4", "prefix", ""),
    ("cgroup/listen6", "sock_addr", "cgroup/listen6", "prefix", ""),
)

# Layouts: microsoft/ebpf-for-windows include/ebpf_nethooks.h and the sample extension's header,
# microsoft/ntosebpfext include/ebpf_ntos_hooks.h, ebpf_netevent_hooks.h.
# (field, offset, size, type, how it may be read, what it is); modes as in linux_contexts.
LAYOUTS: dict[str, tuple[int, tuple[tuple[str, int, int, str, str, str], ...]]] = {
    "xdp_md_t": (
        32,
        (
            ("data", 0, 8, "void *", "whole", "packet"),
            ("data_end", 8, 8, "void *", "whole", "packet_end"),
            ("data_meta", 16, 8, "u64", "whole", "packet_meta"),
            ("ingress_ifindex", 24, 4, "u32", "bytes", "scalar"),
        ),
    ),
    "bind_md_t": (
        56,
        (
            ("app_id_start", 0, 8, "u8 *", "whole", "packet"),
            ("app_id_end", 8, 8, "u8 *", "whole", "packet_end"),
            ("process_id", 16, 8, "u64", "bytes", "scalar"),
            ("socket_address", 24, 16, "u8", "bytes", "scalar"),
            ("socket_address_length", 40, 1, "u8", "bytes", "scalar"),
            ("operation", 44, 4, "u32", "bytes", "scalar"),
            ("protocol", 48, 1, "u8", "bytes", "scalar"),
        ),
    ),
    "bpf_sock_addr_t": (
        64,
        (
            ("family", 0, 4, "u32", "bytes", "scalar"),
            ("msg_src_ip4", 4, 4, "be32", "bytes", "scalar"),
            ("msg_src_ip6", 4, 16, "be32", "bytes", "scalar"),
            ("msg_src_port", 20, 2, "be16", "bytes", "scalar"),
            ("user_ip4", 24, 4, "be32", "bytes", "scalar"),
            ("user_ip6", 24, 16, "be32", "bytes", "scalar"),
            ("user_port", 40, 2, "be16", "bytes", "scalar"),
            ("protocol", 44, 4, "u32", "bytes", "scalar"),
            ("compartment_id", 48, 4, "u32", "bytes", "scalar"),
            ("interface_luid", 56, 8, "u64", "bytes", "scalar"),
        ),
    ),
    "bpf_sock_ops_t": (
        64,
        (
            ("op", 0, 4, "u32", "bytes", "scalar"),
            ("family", 4, 4, "u32", "bytes", "scalar"),
            ("local_ip4", 8, 4, "be32", "bytes", "scalar"),
            ("local_ip6", 8, 16, "be32", "bytes", "scalar"),
            ("local_port", 24, 4, "be32", "bytes", "scalar"),
            ("remote_ip4", 28, 4, "be32", "bytes", "scalar"),
            ("remote_ip6", 28, 16, "be32", "bytes", "scalar"),
            ("remote_port", 44, 4, "be32", "bytes", "scalar"),
            ("protocol", 48, 1, "u8", "bytes", "scalar"),
            ("compartment_id", 52, 4, "u32", "bytes", "scalar"),
            ("interface_luid", 56, 8, "u64", "bytes", "scalar"),
        ),
    ),
    "sample_program_context_t": (
        32,
        (
            ("data_start", 0, 8, "u8 *", "whole", "packet"),
            ("data_end", 8, 8, "u8 *", "whole", "packet_end"),
            ("uint32_data", 16, 4, "u32", "bytes", "scalar"),
            ("uint16_data", 20, 2, "u16", "bytes", "scalar"),
            ("helper_data_1", 24, 4, "u32", "bytes", "scalar"),
            ("helper_data_2", 28, 4, "u32", "bytes", "scalar"),
        ),
    ),
    "process_md_t": (
        144,
        (
            ("command_start", 0, 8, "u8 *", "whole", "packet"),
            ("command_end", 8, 8, "u8 *", "whole", "packet_end"),
            ("process_id", 16, 8, "u64", "bytes", "scalar"),
            ("parent_process_id", 24, 8, "u64", "bytes", "scalar"),
            ("creating_process_id", 32, 8, "u64", "bytes", "scalar"),
            ("creating_thread_id", 40, 8, "u64", "bytes", "scalar"),
            ("creation_time", 48, 8, "u64", "bytes", "scalar"),
            ("exit_time", 56, 8, "u64", "bytes", "scalar"),
            ("process_exit_code", 64, 4, "u32", "bytes", "scalar"),
            ("operation", 68, 1, "u8", "bytes", "scalar"),
            ("token_sid_size", 72, 4, "u32", "bytes", "scalar"),
            ("token_sid", 76, 68, "u8", "bytes", "scalar"),
        ),
    ),
    "netevent_event_md_t": (
        24,
        (
            ("data_meta", 0, 8, "u8 *", "whole", "packet_meta"),
            ("data", 8, 8, "u8 *", "whole", "packet"),
            ("data_end", 16, 8, "u8 *", "whole", "packet_end"),
        ),
    ),
}

# Numbers, prototypes: microsoft/ebpf-for-windows include/bpf_helper_defs.h (general helpers).
# "virtual": there is no default, a program type must bring it. (number, name, prototype, flags)
HELPERS: tuple[tuple[int, str, str, str], ...] = (
    (1, "bpf_map_lookup_elem", "map:map key:key -> value?", ""),
    (2, "bpf_map_update_elem", "map:map key:key value:value flags:any -> int", ""),
    (3, "bpf_map_delete_elem", "map:map key:key -> int", ""),
    (4, "bpf_map_lookup_and_delete_elem", "map:map key:key -> value?", ""),
    (5, "bpf_tail_call", "ctx:ctx prog_array_map:map index:any -> int", "no_return"),
    (6, "bpf_get_prandom_u32", "-> int", ""),
    (7, "bpf_ktime_get_boot_ns", "-> int", ""),
    (8, "bpf_get_smp_processor_id", "-> int", ""),
    (9, "bpf_ktime_get_ns", "-> int", ""),
    (10, "bpf_csum_diff", "from:mem? from_size:size0 to:mem? to_size:size0 seed:any -> int", ""),
    (11, "bpf_ringbuf_output", "ringbuf:map data:mem size:size flags:any -> int", ""),
    (12, "bpf_trace_printk2", "fmt:mem fmt_size:size -> int", ""),
    (13, "bpf_trace_printk3", "fmt:mem fmt_size:size arg3:any -> int", ""),
    (14, "bpf_trace_printk4", "fmt:mem fmt_size:size arg3:any arg4:any -> int", ""),
    (15, "bpf_trace_printk5", "fmt:mem fmt_size:size arg3:any arg4:any arg5:any -> int", ""),
    (16, "bpf_map_push_elem", "map:map value:value flags:any -> int", ""),
    (17, "bpf_map_pop_elem", "map:map value:value_out -> int", ""),
    (18, "bpf_map_peek_elem", "map:map value:value_out -> int", ""),
    (19, "bpf_get_current_pid_tgid", "-> int", ""),
    (20, "bpf_get_current_logon_id", "ctx:ctx -> int", ""),
    (21, "bpf_is_current_admin", "ctx:ctx -> int", ""),
    (22, "bpf_memcpy_s", "destination:out destination_size:size source:mem source_size:size -> int", ""),
    (23, "bpf_memcmp_s", "memory1:mem memory1_size:size memory2:mem memory2_size:size -> int", ""),
    (24, "bpf_memset", "memory:out size:size value:any -> int", ""),
    (25, "bpf_memmove_s", "destination:out destination_size:size source:mem source_size:size -> int", ""),
    (26, "bpf_get_socket_cookie", "ctx:ctx -> int", "virtual"),
    (27, "bpf_strncpy_s", "destination:out destination_size:size source:mem count:size -> int", ""),
    (28, "bpf_strncat_s", "destination:inout destination_size:size source:mem count:size -> int", ""),
    (29, "bpf_strnlen_s", "str:mem str_size:size -> int", ""),
    (30, "bpf_ktime_get_boot_ms", "-> int", ""),
    (31, "bpf_ktime_get_ms", "-> int", ""),
    (32, "bpf_perf_event_output", "ctx:ctx map:map flags:any data:mem size:size -> int", ""),
    (33, "bpf_get_current_process_start_key", "-> int", ""),
    (34, "bpf_get_current_thread_create_time", "-> int", ""),
    (35, "bpf_redirect_map", "map:map key:any flags:any -> int", "virtual"),
)  # fmt: skip

# Helpers whose numbers mean something for one program type only; they start at 65536
# (EBPF_MAX_GENERAL_HELPER_FUNCTION + 1). Sources: the extensions' program information.
# (program type, number, name, prototype, flags)
OWN_HELPERS: tuple[tuple[str, int, str, str, str], ...] = (
    ("xdp", 0x10000, "bpf_xdp_adjust_head", "ctx:ctx delta:any -> int", "invalidates_packet"),
    ("sock_addr", 0x10001, "bpf_sock_addr_set_redirect_context", "ctx:ctx data:mem data_size:size -> int", ""),
    ("sock_addr", 0x10002, "bpf_sock_addr_get_network_context", "ctx:ctx network_context:out size:size -> int", ""),
    ("sockops", 0x10000, "bpf_sock_ops_get_flow_id", "ctx:ctx -> int", ""),
    ("process", 0x10000, "bpf_process_get_image_path", "ctx:ctx path:out path_length:size -> int", ""),
    ("process", 0x10001, "bpf_process_get_account_name", "ctx:ctx name:out name_length:size -> int", ""),
    ("process", 0x10002, "bpf_process_get_account_domain", "ctx:ctx domain:out domain_length:size -> int", ""),
    ("netevent_monitor", 0x10000, "bpf_netevent_push_event", "ctx:ctx -> int", "virtual"),
    ("sample", 0x10000, "sample_ebpf_extension_helper_function1", "ctx:ctx -> int", ""),
    ("sample", 0x10001, "sample_ebpf_extension_find", "buffer:mem size:size find:mem arg_size:size -> int", ""),
    ("sample", 0x10002, "sample_ebpf_extension_replace", "buffer:inout size:size position:any replace:mem arg_size:size -> int", ""),
    ("sample", 0x10003, "sample_ebpf_extension_helper_implicit_1", "-> int", ""),
    ("sample", 0x10004, "sample_ebpf_extension_helper_implicit_2", "arg:any -> int", ""),
    ("sample", 0x10005, "sample_ext_helper_map_lookup_element", "map:map key:key -> value?", ""),
    ("sample", 0x10006, "sample_ext_helper_map_get_value", "map:map key:key value:out size:size -> int", ""),
)  # fmt: skip

# General helpers that a program type replaces by its own implementation.
OVERRIDES: dict[str, str] = {
    "xdp": "bpf_redirect_map",
    "bind": "bpf_get_current_pid_tgid bpf_get_current_logon_id bpf_is_current_admin",
    "sock_addr": "bpf_get_current_pid_tgid bpf_get_current_logon_id bpf_is_current_admin"
    " bpf_get_socket_cookie",
    "sockops": "bpf_get_current_pid_tgid",
    "sample": "bpf_get_current_pid_tgid bpf_redirect_map",
}

_USER = "lookup update delete next batch"

# Numbers, rules: microsoft/ebpf-for-windows include/ebpf_structs.h, libs/execution_context maps.
# (number, name, key size, value size, max entries, what user space may do, what it holds, marks)
MAP_TYPES: tuple[tuple[int, str, str, str, str, str, str, str], ...] = (
    (0, "unspec", "0", "0", "0", "", "", ""),
    (1, "hash", "1..", "1..", "1..", _USER + " lookup_delete", "", "unbounded"),
    (2, "array", "4", "1..", "1..", "lookup update delete next batch", "", ""),
    (3, "prog_array", "4", "4", "1..", "lookup update delete next", "programs", ""),
    (4, "percpu_hash", "1..", "1..", "1..", _USER + " lookup_delete", "", "per_cpu unbounded"),
    (5, "percpu_array", "4", "1..", "1..", "lookup update delete next batch", "", "per_cpu"),
    (6, "hash_of_maps", "1..", "4", "1..", "lookup update delete next", "maps", "unbounded"),
    (7, "array_of_maps", "4", "4", "1..", "lookup update delete next", "maps", ""),
    (8, "lru_hash", "1..", "1..", "1..", _USER + " lookup_delete", "", ""),
    (9, "lpm_trie", "4..", "1..", "1..", "lookup update delete next batch", "", "unbounded"),
    (10, "queue", "0", "1..", "1..", "push pop peek", "", ""),
    (11, "lru_percpu_hash", "1..", "1..", "1..", _USER + " lookup_delete", "", "per_cpu"),
    (12, "stack", "0", "1..", "1..", "push pop peek", "", ""),
    (13, "ringbuf", "0", "0", "1.. pow2", "mmap poll", "records", ""),
    (14, "perf_event_array", "0..", "0..", "1..", "mmap poll", "perf_events", "per_cpu"),
    (15, "sample_hash_map", "4", "4", "1..", _USER, "", "custom"),
    (16, "xskmap", "4", "4", "1..", _USER, "sockets", "custom"),
)  # fmt: skip

_PLAIN = "bpf_map_lookup_elem bpf_map_update_elem bpf_map_delete_elem"
_HASH = _PLAIN + " bpf_map_lookup_and_delete_elem"
_ENDS = "bpf_map_push_elem bpf_map_pop_elem bpf_map_peek_elem"

# Which helpers take which map types. Source: microsoft/ebpf-for-windows libs/execution_context.
MAP_HELPERS: dict[str, str] = {
    "hash": _HASH,
    "array": _PLAIN,
    "prog_array": "bpf_tail_call",
    "percpu_hash": _HASH,
    "percpu_array": _PLAIN,
    "hash_of_maps": "bpf_map_lookup_elem",
    "array_of_maps": "bpf_map_lookup_elem",
    "lru_hash": _HASH,
    "lpm_trie": _PLAIN,
    "queue": _ENDS,
    "lru_percpu_hash": _HASH,
    "stack": _ENDS,
    "ringbuf": "bpf_ringbuf_output",
    "perf_event_array": "bpf_perf_event_output",
    "sample_hash_map": _PLAIN,
    "xskmap": "bpf_redirect_map bpf_map_lookup_elem",
}

# Limits: microsoft/ebpf-for-windows include/ebpf_structs.h, ebpf_core_structs.h, ebpf_windows.h,
# libs/execution_context, libs/service, tools/bpf2c; stack and frames: the PREVAIL verifier.
LIMITS: tuple[tuple[str, int, str], ...] = (
    ("stack", 512, "bytes of stack that a function may use"),
    ("frames", 8, "functions that may be active at a time"),
    ("stack_total", 4096, "bytes of stack that all active functions may use together"),
    ("tail_calls", 33, "programs that may follow one another by tail calls"),
    ("loop_iterations", 100_000, "rounds of a loop that the verifier is willing to bound"),
    ("packet_offset", 65535, "bytes of a packet that the verifier assumes at most"),
    ("helper_args", 5, "arguments that a function takes"),
    ("helpers", 64, "different helpers that a compiled or interpreted program may call"),
    ("general_helpers", 0xFFFF, "the highest number of a general helper"),
    ("jit_code_size", 32 * 1024, "bytes of machine code of one program"),
    ("name_length", 63, "bytes of a program's or map's name"),
    ("name_length_syscall", 15, "the same where bpf() creates the object"),
    ("pin_path_length", 255, "bytes of a pin's path"),
    ("type_name_length", 255, "bytes of a program type's or helper's name"),
    ("map_memory", 1 << 37, "bytes of memory of one map"),
    ("ringbuf_record_size", (1 << 30) - 1, "bytes of a ring buffer record"),
    ("data_section_size", 1 << 20, "bytes of a section of global variables"),
    ("message_size", 65535, "bytes of a request, test data included"),
    ("context_header", 64, "bytes in front of every context"),
    ("programs_per_hook", 16, "programs attached to one place"),
    ("first_object_id", 2, "the lowest id of a map, program or link"),
    ("interpreter_context", 1024, "bytes of context that an interpreted program sees"),
)

# (name, whether it is allowed, what it means). Facts: what PREVAIL accepts and refuses with the
# options that eBPF for Windows 1.6 gives it.
RULES: tuple[tuple[str, bool, str], ...] = (
    ("pointer_leaks", False, "programs may store pointers where user space sees them"),
    ("uninitialized_stack_reads", False, "programs may read stack that nothing was written to"),
    ("unreachable_code", True, "a program may hold instructions that no path leads to"),
    ("misaligned_stack", True, "stack accesses need not be aligned to their width"),
    ("misaligned_packet", True, "packet accesses need not be aligned to their width"),
    ("misaligned_memory", True, "other accesses need not be aligned to their width"),
    ("misaligned_context", True, "context accesses need not be aligned to their width"),
    ("context_arithmetic", True, "the context may be accessed through a pointer that was moved"),
    ("division_by_zero", True, "a divisor may be zero: the result is defined"),
    ("indirect_calls", False, "a call may take its target from a register"),
    ("global_functions", False, "functions are verified alone, against their prototype"),
    ("packet_loads", False, "the packet loads of classic BPF exist"),
    ("kernel_functions", False, "programs may call functions of the kernel by their BTF id"),
    ("callbacks", False, "helpers may call functions of the program back"),
    ("loops", True, "a program may jump backwards, if it ends"),
    ("tail_calls_in_functions", True, "functions other than the first may make tail calls"),
)

# Numbers: Microsoft C runtime, errno.h ("errno constants" on learn.microsoft.com).
ERRNOS: tuple[tuple[int, str, str], ...] = (
    (1, "EPERM", "operation not permitted"),
    (2, "ENOENT", "no such file or directory"),
    (3, "ESRCH", "no such process"),
    (4, "EINTR", "interrupted function"),
    (5, "EIO", "I/O error"),
    (6, "ENXIO", "no such device or address"),
    (7, "E2BIG", "argument list too long"),
    (8, "ENOEXEC", "executable file format error"),
    (9, "EBADF", "bad file number"),
    (10, "ECHILD", "no spawned processes"),
    (11, "EAGAIN", "no more processes, or not enough memory"),
    (12, "ENOMEM", "not enough memory"),
    (13, "EACCES", "permission denied"),
    (14, "EFAULT", "bad address"),
    (16, "EBUSY", "device or resource busy"),
    (17, "EEXIST", "file exists"),
    (18, "EXDEV", "cross-device link"),
    (19, "ENODEV", "no such device"),
    (20, "ENOTDIR", "not a directory"),
    (21, "EISDIR", "is a directory"),
    (22, "EINVAL", "invalid argument"),
    (23, "ENFILE", "too many files open in the system"),
    (24, "EMFILE", "too many open files"),
    (25, "ENOTTY", "inappropriate I/O control operation"),
    (27, "EFBIG", "file too large"),
    (28, "ENOSPC", "no space left on device"),
    (29, "ESPIPE", "invalid seek"),
    (30, "EROFS", "read-only file system"),
    (31, "EMLINK", "too many links"),
    (32, "EPIPE", "broken pipe"),
    (33, "EDOM", "argument outside the function's domain"),
    (34, "ERANGE", "result too large"),
    (36, "EDEADLK", "resource deadlock would occur"),
    (38, "ENAMETOOLONG", "file name too long"),
    (39, "ENOLCK", "no locks available"),
    (40, "ENOSYS", "function not supported"),
    (41, "ENOTEMPTY", "directory not empty"),
    (42, "EILSEQ", "illegal byte sequence"),
    (80, "STRUNCATE", "string was truncated"),
    (100, "EADDRINUSE", "address in use"),
    (101, "EADDRNOTAVAIL", "address not available"),
    (102, "EAFNOSUPPORT", "address family not supported"),
    (103, "EALREADY", "connection already in progress"),
    (104, "EBADMSG", "bad message"),
    (105, "ECANCELED", "operation canceled"),
    (106, "ECONNABORTED", "connection aborted"),
    (107, "ECONNREFUSED", "connection refused"),
    (108, "ECONNRESET", "connection reset"),
    (109, "EDESTADDRREQ", "destination address required"),
    (110, "EHOSTUNREACH", "host unreachable"),
    (111, "EIDRM", "identifier removed"),
    (112, "EINPROGRESS", "operation in progress"),
    (113, "EISCONN", "already connected"),
    (114, "ELOOP", "too many symbolic link levels"),
    (115, "EMSGSIZE", "message size"),
    (116, "ENETDOWN", "network down"),
    (117, "ENETRESET", "network reset"),
    (118, "ENETUNREACH", "network unreachable"),
    (119, "ENOBUFS", "no buffer space"),
    (120, "ENODATA", "no message available"),
    (121, "ENOLINK", "no link"),
    (122, "ENOMSG", "no message"),
    (123, "ENOPROTOOPT", "no protocol option"),
    (124, "ENOSR", "no stream resources"),
    (125, "ENOSTR", "not a stream"),
    (126, "ENOTCONN", "not connected"),
    (127, "ENOTRECOVERABLE", "state not recoverable"),
    (128, "ENOTSOCK", "not a socket"),
    (129, "ENOTSUP", "not supported"),
    (130, "EOPNOTSUPP", "operation not supported"),
    (131, "EOTHER", "other"),
    (132, "EOVERFLOW", "value too large"),
    (133, "EOWNERDEAD", "owner dead"),
    (134, "EPROTO", "protocol error"),
    (135, "EPROTONOSUPPORT", "protocol not supported"),
    (136, "EPROTOTYPE", "wrong protocol type"),
    (137, "ETIME", "stream timeout"),
    (138, "ETIMEDOUT", "timed out"),
    (139, "ETXTBSY", "text file busy"),
    (140, "EWOULDBLOCK", "operation would block"),
)

# Numbers: microsoft/ebpf-for-windows include/ebpf_result.h and its translation tables.
# (number, name, NTSTATUS without STATUS_, Win32 error without ERROR_, errno)
RESULT_CODES: tuple[tuple[int, str, str, str, str], ...] = (
    (0, "SUCCESS", "SUCCESS", "SUCCESS", ""),
    (1, "VERIFICATION_FAILED", "VERIFIER_STOP", "VERIFIER_STOP", "EACCES"),
    (2, "JIT_COMPILATION_FAILED", "NONE_MAPPED", "NONE_MAPPED", "EOTHER"),
    (3, "PROGRAM_LOAD_FAILED", "GENERIC_COMMAND_FAILED", "GENERIC_COMMAND_FAILED", "EOTHER"),
    (4, "INVALID_FD", "INVALID_HANDLE", "INVALID_HANDLE", "EBADF"),
    (5, "INVALID_OBJECT", "INVALID_DEVICE_REQUEST", "INVALID_FUNCTION", "EINVAL"),
    (6, "INVALID_ARGUMENT", "INVALID_PARAMETER", "INVALID_PARAMETER", "EINVAL"),
    (7, "OBJECT_NOT_FOUND", "OBJECT_PATH_NOT_FOUND", "PATH_NOT_FOUND", "ENOENT"),
    (8, "OBJECT_ALREADY_EXISTS", "OBJECTID_EXISTS", "OBJECT_ALREADY_EXISTS", "EEXIST"),
    (9, "FILE_NOT_FOUND", "NO_SUCH_FILE", "FILE_NOT_FOUND", "ENOENT"),
    (10, "ALREADY_PINNED", "OBJECT_NAME_EXISTS", "OBJECT_NAME_EXISTS", "EOTHER"),
    (11, "NOT_PINNED", "RESOURCE_NOT_OWNED", "NOT_OWNER", "EOTHER"),
    (12, "NO_MEMORY", "NO_MEMORY", "NOT_ENOUGH_MEMORY", "ENOMEM"),
    (13, "PROGRAM_TOO_LARGE", "TOO_MANY_COMMANDS", "TOO_MANY_CMDS", "EOTHER"),
    (14, "RPC_EXCEPTION", "RPC_NT_CALL_FAILED", "RPC_S_CALL_FAILED", "EOTHER"),
    (15, "ALREADY_INITIALIZED", "ALREADY_INITIALIZED", "ALREADY_INITIALIZED", "EINVAL"),
    (16, "ELF_PARSING_FAILED", "INVALID_IMAGE_FORMAT", "BAD_EXE_FORMAT", "EOTHER"),
    (17, "FAILED", "UNSUCCESSFUL", "GEN_FAILURE", "EOTHER"),
    (18, "OPERATION_NOT_SUPPORTED", "NOT_SUPPORTED", "NOT_SUPPORTED", "ENOTSUP"),
    (19, "KEY_NOT_FOUND", "NOT_FOUND", "NOT_FOUND", "ENOENT"),
    (20, "ACCESS_DENIED", "ACCESS_DENIED", "ACCESS_DENIED", "EPERM"),
    (21, "BLOCKED_BY_POLICY", "CONTENT_BLOCKED", "CONTENT_BLOCKED", "EOTHER"),
    (22, "ARITHMETIC_OVERFLOW", "INTEGER_OVERFLOW", "ARITHMETIC_OVERFLOW", "EOTHER"),
    (23, "EXTENSION_FAILED_TO_LOAD", "DRIVER_UNABLE_TO_LOAD", "BAD_DRIVER", "EINVAL"),
    (24, "INSUFFICIENT_BUFFER", "BUFFER_OVERFLOW", "MORE_DATA", "ENOBUFS"),
    (25, "NO_MORE_KEYS", "NO_MORE_MATCHES", "NO_MORE_MATCHES", "ENOENT"),
    (26, "KEY_ALREADY_EXISTS", "ALREADY_REGISTERED", "INTERNAL_ERROR", "EOTHER"),
    (27, "NO_MORE_TAIL_CALLS", "TOO_MANY_NODES", "TOO_MANY_NAMES", "EOTHER"),
    (28, "PENDING", "PENDING", "IO_PENDING", "EOTHER"),
    (29, "OUT_OF_SPACE", "INSUFFICIENT_RESOURCES", "NO_SYSTEM_RESOURCES", "ENOSPC"),
    (30, "CANCELED", "CANCELLED", "OPERATION_ABORTED", "EOTHER"),
    (31, "INVALID_POINTER", "ACCESS_VIOLATION", "NOACCESS", "EFAULT"),
    (32, "TIMEOUT", "TIMEOUT", "TIMEOUT", "EOTHER"),
    (33, "STALE_ID", "INVALID_DEVICE_STATE", "BAD_COMMAND", "EOTHER"),
    (34, "INVALID_STATE", "INVALID_STATE_TRANSITION", "INVALID_STATE", "EOTHER"),
)
