// SPDX-License-Identifier: MIT
/* A key with padding: three bytes of it are never written, yet the helper reads all eight. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct key {
	__u32 processor;
	__u8 kind;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, struct key);
	__type(value, __u64);
} runs SEC(".maps");

SEC("xdp")
int count_run(void *ctx)
{
	struct key key; /* should be: = {} */

	key.processor = bpf_get_smp_processor_id();
	key.kind = 1;
	__u64 *count = bpf_map_lookup_elem(&runs, &key);
	if (count)
		__sync_fetch_and_add(count, 1);
	return 1;
}

char _license[] SEC("license") = "MIT";
