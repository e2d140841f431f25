// SPDX-License-Identifier: MIT
/*
 * Limits, per process, how many ports it holds at a time. For eBPF for Windows: section "bind",
 * called when a socket is bound and when it is unbound.
 */
#include <anybpf/windows/bpf_helpers.h>
#include <anybpf/windows/ebpf_nethooks.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, uint64_t); /* a process */
	__type(value, uint64_t); /* how many ports it holds */
} ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, uint64_t); /* how many it may hold, 0 for any number */
} limits SEC(".maps");

SEC("bind")
bind_action_t limit_ports(bind_md_t *ctx)
{
	uint64_t process = ctx->process_id;
	uint64_t *held = bpf_map_lookup_elem(&ports, &process);

	if (ctx->operation == BIND_OPERATION_UNBIND) {
		if (held && *held > 0)
			(*held)--;
		return BIND_PERMIT;
	}
	if (ctx->operation != BIND_OPERATION_BIND)
		return BIND_PERMIT;

	uint32_t zero = 0;
	uint64_t *limit = bpf_map_lookup_elem(&limits, &zero);
	uint64_t now = held ? *held : 0;
	if (limit && *limit && now >= *limit)
		return BIND_DENY;

	uint64_t more = now + 1;
	bpf_map_update_elem(&ports, &process, &more, BPF_ANY);
	return BIND_PERMIT;
}
