// SPDX-License-Identifier: MIT
/*
 * Counts packets by network device and, if told so, drops those of a device from which more came
 * than a limit. Mode and limit are constants that are set before loading.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

enum mode { WATCH, BLOCK };
struct range { __u16 low; __u16 high; };

const volatile enum mode mode = WATCH;
const volatile __u32 limit = 100;
volatile struct range ports = { 1, 1023 };
volatile char label[8] = "guard";

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u64);
} seen SEC(".maps");

SEC("xdp") int guard(struct xdp_md *ctx)
{
	__u32 key = ctx->ingress_ifindex;
	__u64 one = 1, *count = bpf_map_lookup_elem(&seen, &key);

	if (!count) {
		bpf_map_update_elem(&seen, &key, &one, BPF_ANY);
		return XDP_PASS;
	}
	*count += 1;
	return mode == BLOCK && *count > limit ? XDP_DROP : XDP_PASS;
}

SEC("xdp") int pass(struct xdp_md *ctx)
{
	return ports.low ? XDP_PASS : label[0];
}
