// SPDX-License-Identifier: MIT
/* A look-up may find nothing; the pointer that it returns is followed all the same. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct stats {
	__u64 packets;
	__u64 bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, struct stats);
} per_queue SEC(".maps");

SEC("xdp")
int count(struct xdp_md *ctx)
{
	__u32 queue = ctx->rx_queue_index;
	struct stats *stats = bpf_map_lookup_elem(&per_queue, &queue);

	stats->packets++; /* should be: if (stats) */
	return XDP_PASS;
}

char _license[] SEC("license") = "MIT";
