// SPDX-License-Identifier: MIT
/*
 * droppacket with a mistake, for IPv4 only: nothing checks that the packet is long enough to hold
 * a UDP header before the header is read. A verifier must refuse it.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define DNS_PORT 53

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} dropped_packets SEC(".maps");

SEC("xdp")
int drop_packet(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *data_end = (void *)(long)ctx->data_end;
	struct ethhdr *ethernet = data;
	struct iphdr *ip = (void *)(ethernet + 1);
	struct udphdr *udp = (void *)(ip + 1);

	if ((void *)(ip + 1) > data_end) /* should be udp + 1 */
		return XDP_PASS;
	if (ethernet->h_proto != bpf_htons(ETH_P_IP) || ip->protocol != IPPROTO_UDP || ip->ihl != 5)
		return XDP_PASS;
	if (udp->dest != bpf_htons(DNS_PORT) || bpf_ntohs(udp->len) > sizeof(*udp))
		return XDP_PASS;

	__u32 zero = 0;
	__u64 *count = bpf_map_lookup_elem(&dropped_packets, &zero);
	if (count)
		__sync_fetch_and_add(count, 1);
	return XDP_DROP;
}

char _license[] SEC("license") = "MIT";
