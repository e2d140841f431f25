// SPDX-License-Identifier: MIT
/* One number is compared with the size of the table, another one indexes it. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#define SIZE 64

__u32 hits[SIZE];

SEC("xdp")
int count_port(struct xdp_md *ctx)
{
	__u32 queue = ctx->rx_queue_index;
	__u32 port = ctx->ingress_ifindex;

	if (queue >= SIZE) /* should be: port >= SIZE */
		return XDP_PASS;
	hits[port]++;
	return XDP_PASS;
}

char _license[] SEC("license") = "MIT";
