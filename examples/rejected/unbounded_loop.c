// SPDX-License-Identifier: MIT
/* Goes through headers until one ends the list: nothing says that one ever does. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} start SEC(".maps");

SEC("socket")
int count_steps(struct __sk_buff *skb)
{
	__u32 zero = 0;
	__u32 *first = bpf_map_lookup_elem(&start, &zero);
	__u32 number;
	int steps = 0;

	if (!first)
		return 0;
	number = *first;
	while (number != 1) { /* should be: && steps < 100 */
		number = number % 2 ? 3 * number + 1 : number / 2;
		steps++;
	}
	return steps;
}

char _license[] SEC("license") = "MIT";
