// SPDX-License-Identifier: MIT
/* Two programs: the first calls the other through a map. */
#include <anybpf/windows/bpf_helpers.h>
#include <anybpf/windows/sample_ext_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__type(key, uint32_t);
	__type(value, uint32_t);
	__uint(max_entries, 10);
} map SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, uint32_t);
	__type(value, uint32_t);
	__uint(max_entries, 1);
} canary SEC(".maps");

SEC("sample_ext")
int caller(sample_program_context_t *ctx)
{
	bpf_tail_call(ctx, &map, 0);
	uint32_t key = 0, value = 1;
	bpf_map_update_elem(&canary, &key, &value, 0);
	return 6;
}

SEC("sample_ext/0")
int callee(sample_program_context_t *ctx)
{
	return 42;
}
