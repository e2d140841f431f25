// SPDX-License-Identifier: MIT
/*
 * Drops DNS packets that carry nothing: UDP to port 53 whose length is that of the UDP header
 * alone. A flood of such packets costs a DNS server much and tells it nothing.
 *
 * dropped_packets counts what was dropped. interface_filter holds the index of the interface to
 * look at; 0 stands for all.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
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

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} interface_filter SEC(".maps");

/* The UDP header of a packet, or 0 if it is none or the packet ends before it does. */
static __always_inline struct udphdr *find_udp(void *data, void *data_end)
{
	struct ethhdr *ethernet = data;
	if ((void *)(ethernet + 1) > data_end)
		return 0;

	struct udphdr *udp;
	if (ethernet->h_proto == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = (void *)(ethernet + 1);
		if ((void *)(ip + 1) > data_end)
			return 0;
		if (ip->protocol != IPPROTO_UDP || ip->ihl < 5)
			return 0;
		/* Options may stand between: the header says how long it is. */
		udp = (void *)ip + ip->ihl * 4;
	} else if (ethernet->h_proto == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip = (void *)(ethernet + 1);
		if ((void *)(ip + 1) > data_end)
			return 0;
		if (ip->nexthdr != IPPROTO_UDP)
			return 0;
		udp = (void *)(ip + 1);
	} else {
		return 0;
	}

	if ((void *)(udp + 1) > data_end)
		return 0;
	return udp;
}

SEC("xdp")
int drop_packet(struct xdp_md *ctx)
{
	__u32 zero = 0;
	__u32 *wanted = bpf_map_lookup_elem(&interface_filter, &zero);
	if (wanted && *wanted && *wanted != ctx->ingress_ifindex)
		return XDP_PASS;

	void *data = (void *)(long)ctx->data;
	void *data_end = (void *)(long)ctx->data_end;
	struct udphdr *udp = find_udp(data, data_end);
	if (!udp || udp->dest != bpf_htons(DNS_PORT))
		return XDP_PASS;
	if (bpf_ntohs(udp->len) > sizeof(*udp))
		return XDP_PASS;

	__u64 *count = bpf_map_lookup_elem(&dropped_packets, &zero);
	if (count)
		__sync_fetch_and_add(count, 1);
	return XDP_DROP;
}

char _license[] SEC("license") = "MIT";
