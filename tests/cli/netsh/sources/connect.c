// SPDX-License-Identifier: MIT
/* One program for connections out, one for connections in; a map of maps. */
#include <anybpf/windows/bpf_helpers.h>
#include <anybpf/windows/ebpf_nethooks.h>

struct inner {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, uint32_t);
	__type(value, uint32_t);
	__uint(max_entries, 1);
} inner_map SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__type(key, uint32_t);
	__uint(max_entries, 1);
	__array(values, struct inner);
} outer_map SEC(".maps");

SEC("cgroup/connect4")
int out(bpf_sock_addr_t *ctx)
{
	uint32_t zero = 0;
	return bpf_map_lookup_elem(&outer_map, &zero) ? BPF_SOCK_ADDR_VERDICT_REJECT
						      : BPF_SOCK_ADDR_VERDICT_PROCEED_SOFT;
}

SEC("cgroup/recv_accept4")
int in(bpf_sock_addr_t *ctx)
{
	return BPF_SOCK_ADDR_VERDICT_PROCEED_SOFT;
}
