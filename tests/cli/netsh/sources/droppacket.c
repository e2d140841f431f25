// SPDX-License-Identifier: MIT
/* For eBPF for Windows: drops UDP packets that carry nothing but their header. */
#include <anybpf/windows/bpf_endian.h>
#include <anybpf/windows/bpf_helpers.h>
#include <anybpf/windows/xdp_hooks.h>

#define ETHERNET_SIZE 14
#define IPV4_SIZE 20
#define UDP 17

struct udp_header {
	uint16_t source, destination, length, checksum;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, uint32_t);
	__type(value, uint64_t);
	__uint(max_entries, 1);
} dropped_packet_map SEC(".maps");

SEC("xdp")
int DropPacket(xdp_md_t *ctx)
{
	uint8_t *ip = (uint8_t *)ctx->data + ETHERNET_SIZE;
	struct udp_header *udp = (struct udp_header *)(ip + IPV4_SIZE);
	if ((void *)(udp + 1) > ctx->data_end)
		return XDP_PASS;
	if (ip[9] != UDP || bpf_ntohs(udp->length) > sizeof(*udp))
		return XDP_PASS;
	uint32_t key = 0;
	uint64_t *count = bpf_map_lookup_elem(&dropped_packet_map, &key);
	if (count)
		(*count)++;
	return XDP_DROP;
}
