// SPDX-License-Identifier: MIT
/* A small library for BPF programs: counters in a map. Compiled alone, linked with a program. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "counter.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, struct count);
} counters SEC(".maps");

/* How many packets were counted in all. */
__u64 total_packets;

__hidden __u64 count_packet(__u32 number, __u64 bytes)
{
	struct count *found = bpf_map_lookup_elem(&counters, &number);
	if (!found)
		return 0;
	__sync_fetch_and_add(&total_packets, 1);
	__sync_fetch_and_add(&found->bytes, bytes);
	return __sync_fetch_and_add(&found->packets, 1);
}

char _license[] SEC("license") = "Dual MIT/GPL";
