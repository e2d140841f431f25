// SPDX-License-Identifier: MIT
/* Follows links from entry to entry: nothing says that they ever come to an end. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u32);
} next_of SEC(".maps");

SEC("socket")
int last_entry(struct __sk_buff *skb)
{
	__u32 entry = bpf_get_smp_processor_id();

	for (;;) { /* should be: for (int i = 0; i < 32; i++) */
		__u32 *next = bpf_map_lookup_elem(&next_of, &entry);
		if (!next)
			break;
		entry = *next;
	}
	return entry;
}

char _license[] SEC("license") = "MIT";
