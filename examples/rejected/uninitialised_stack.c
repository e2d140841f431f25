// SPDX-License-Identifier: MIT
/* A key with padding: three bytes of it are never written, yet the helper reads all eight. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct key {
	__u32 sample;
	__u8 kind;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, struct key);
	__type(value, __u64);
} samples SEC(".maps");

SEC("xdp")
int count_sample(void *ctx)
{
	struct key key; /* should be: = {} */

	key.sample = bpf_get_prandom_u32();
	key.kind = 1;
	__u64 *packets = bpf_map_lookup_elem(&samples, &key);
	if (packets)
		__sync_fetch_and_add(packets, 1);
	return 1;
}

char _license[] SEC("license") = "MIT";
