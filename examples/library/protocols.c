// SPDX-License-Identifier: MIT
/* Counts packets by IP protocol, with the counters of counter.c. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "counter.h"

extern __hidden __u64 count_packet(__u32 number, __u64 bytes);
extern __u64 total_packets;

SEC("xdp")
int by_protocol(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *data_end = (void *)(long)ctx->data_end;
	struct ethhdr *ethernet = data;
	struct iphdr *ip = (void *)(ethernet + 1);

	if ((void *)(ip + 1) > data_end || ethernet->h_proto != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	if (count_packet(ip->protocol, data_end - data) == 0)
		bpf_printk("protocol %d seen first, after %llu packets", ip->protocol,
			   total_packets);
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
