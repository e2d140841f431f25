/* Helpers on the packets of socket buffers (struct __sk_buff).
 *
 * Linux: 0, or -EINVAL, -EFAULT (outside the packet), -ENOMEM (no room, or less packet than is to be
 * pulled), -ENOTSUPP (for this protocol). Fields of the context that follow from the packet, its
 * length above all, are kept up to date.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "packet.h"

#include <string.h>

/* Offsets in struct __sk_buff, and flags: Linux UAPI header linux/bpf.h. */
enum {
    SKB_LEN = 0,
    SKB_PKT_TYPE = 4,
    SKB_PROTOCOL = 16,
    SKB_VLAN_PRESENT = 20,
    SKB_VLAN_TCI = 24,
    SKB_VLAN_PROTO = 28,
    SKB_HASH = 68,
    SKB_TSTAMP = 152,
    SKB_TSTAMP_TYPE = 180
};
#define RECOMPUTE_CSUM 1u
#define INVALIDATE_HASH 2u
#define MOST_LENGTH 16064u /* of a buffer made by the kernel: SKB_MAX_ALLOC of 4 KiB pages */
#define MOST_ROOM 0xfffu

#define PROTOCOL_IPV4 0x0800u
#define PROTOCOL_IPV6 0x86ddu
#define PROTOCOL_VLAN 0x8100u
#define PROTOCOL_SERVICE_VLAN 0x88a8u
#define VLAN_BYTES 4u

/* Numbers of program types whose packets begin with an Ethernet header: enum bpf_prog_type. */
static bool has_link_header(const struct anybpf_run *run)
{
    return run->program->type == 3 || run->program->type == 4; /* sched_cls, sched_act */
}

static uint32_t network_offset(const struct anybpf_run *run)
{
    return has_link_header(run) ? ETHERNET_HEADER : 0;
}

/* In the order of the host. The context has it in network order. */
static uint32_t protocol_of(const struct anybpf_run *run)
{
    uint32_t field = anybpf_context_u32(run, SKB_PROTOCOL);
    uint8_t bytes[4];

    memcpy(bytes, &field, sizeof(bytes));
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    return (uint32_t)bytes[2] << 8 | bytes[3];
#else
    return (uint32_t)bytes[0] << 8 | bytes[1];
#endif
}

static uint32_t network_order(uint32_t value)
{
    uint8_t bytes[2] = {(uint8_t)(value >> 8), (uint8_t)value};
    uint16_t field;

    memcpy(&field, bytes, sizeof(field));
    return field;
}

static void packet_changed(struct anybpf_run *run, struct anybpf_packet *packet)
{
    anybpf_packet_changed(run, packet);
    anybpf_set_context_u32(run, SKB_LEN, (uint32_t)packet_length(run));
}

/* Makes `by` bytes, zeroed, at an offset, by moving what is in front of it; or takes as many away.
 * False if there is no room. */
static bool change_room(struct anybpf_run *run, uint32_t offset, int32_t by)
{
    struct anybpf_packet packet;
    size_t front;

    if (offset > packet_length(run) ||
        (by < 0 && (uint64_t)-(int64_t)by > packet_length(run) - offset))
        return false;
    if (by > 0 && !anybpf_packet_room(run, (uint64_t)by, 0))
        return false;
    packet = run->packet;
    front = (size_t)(packet.data - packet.data_meta) + offset;
    memmove(packet.data_meta - by, packet.data_meta, front);
    packet.data_meta -= by;
    packet.data -= by;
    if (by > 0)
        memset(packet.data + offset, 0, (size_t)by);
    packet_changed(run, &packet);
    return true;
}

ANYBPF_HELPER(skb_store_bytes)
{
    uint32_t offset = (uint32_t)r2;

    if ((r5 & ~(uint64_t)(RECOMPUTE_CSUM | INVALIDATE_HASH)) != 0)
        return linux_error(LINUX_EINVAL);
    if (!is_context(run, r1) || offset > INT32_MAX ||
        anybpf_packet_store(run, offset, r3, (uint32_t)r4) != 0)
        return linux_error(LINUX_EFAULT);
    if ((r5 & INVALIDATE_HASH) != 0)
        anybpf_set_context_u32(run, SKB_HASH, 0);
    return 0;
}

static uint64_t load_bytes(struct anybpf_run *run, uint64_t context, uint64_t offset, uint64_t to,
                           uint32_t size)
{
    if (is_context(run, context) && offset <= INT32_MAX &&
        anybpf_packet_load(run, offset, to, size) == 0)
        return 0;
    anybpf_clear(run, to, size);
    return linux_error(LINUX_EFAULT);
}

ANYBPF_HELPER(skb_load_bytes)
{
    UNUSED1(r5);
    return load_bytes(run, r1, (uint32_t)r2, r3, (uint32_t)r4);
}

/* From the Ethernet header (0) or from the network header (1) on. */
ANYBPF_HELPER(skb_load_bytes_relative)
{
    uint32_t offset = (uint32_t)r2;
    uint32_t size = (uint32_t)r4;
    const uint8_t *start = run->packet.data;

    if (start == NULL || offset > 0xffff || (uint32_t)r5 > 1 || !is_context(run, r1)) {
        anybpf_clear(run, r3, size);
        return linux_error(LINUX_EFAULT);
    }
    if ((uint32_t)r5 == 1)
        return load_bytes(run, r1, (uint64_t)offset + network_offset(run), r3, size);
    if (has_link_header(run))
        return load_bytes(run, r1, offset, r3, size);
    /* The header lies in front of what the program sees. */
    if (run->packet.data - run->packet.buffer < (int64_t)ETHERNET_HEADER ||
        (uint64_t)offset + size > packet_length(run) + ETHERNET_HEADER ||
        !anybpf_writable(run, r3, size)) {
        anybpf_clear(run, r3, size);
        return linux_error(LINUX_EFAULT);
    }
    anybpf_put(run, r3, start - ETHERNET_HEADER + offset, size);
    return 0;
}

ANYBPF_HELPER(skb_pull_data)
{
    UNUSED3(r3, r4, r5);
    if (!is_context(run, r1) || (uint32_t)r2 > packet_length(run))
        return linux_error(LINUX_ENOMEM);
    return 0;
}

ANYBPF_HELPER(skb_change_tail)
{
    uint32_t wanted = (uint32_t)r2;
    uint64_t length = packet_length(run);
    struct anybpf_packet packet;

    UNUSED2(r4, r5);
    if (r3 != 0 || wanted > MOST_LENGTH || wanted < network_offset(run) || !is_context(run, r1))
        return linux_error(LINUX_EINVAL);
    if (wanted > length && !anybpf_packet_room(run, 0, wanted - length))
        return linux_error(LINUX_ENOMEM);
    packet = run->packet;
    if (packet.data == NULL)
        return linux_error(LINUX_EINVAL);
    if (wanted > length)
        memset(packet.data_end, 0, wanted - (size_t)length);
    packet.data_end = packet.data + wanted;
    packet_changed(run, &packet);
    return 0;
}

ANYBPF_HELPER(skb_change_head)
{
    uint32_t more = (uint32_t)r2;

    UNUSED2(r4, r5);
    if (r3 != 0 || more > MOST_LENGTH || packet_length(run) + more > MOST_LENGTH ||
        !is_context(run, r1))
        return linux_error(LINUX_EINVAL);
    if (!change_room(run, 0, (int32_t)more))
        return linux_error(LINUX_ENOMEM);
    return 0;
}

/* Between IPv4 and IPv6: room for the header, and the protocol. What is in it is the program's. */
ANYBPF_HELPER(skb_change_proto)
{
    uint32_t to = (uint32_t)r2;
    uint32_t from = protocol_of(run);

    UNUSED2(r4, r5);
    if (r3 != 0 || !is_context(run, r1))
        return linux_error(LINUX_EINVAL);
    if (from == PROTOCOL_IPV4 && to == network_order(PROTOCOL_IPV6)) {
        if (!change_room(run, network_offset(run), 20))
            return linux_error(LINUX_ENOMEM);
        anybpf_set_context_u32(run, SKB_PROTOCOL, network_order(PROTOCOL_IPV6));
    } else if (from == PROTOCOL_IPV6 && to == network_order(PROTOCOL_IPV4)) {
        if (!change_room(run, network_offset(run), -20))
            return linux_error(LINUX_ENOMEM);
        anybpf_set_context_u32(run, SKB_PROTOCOL, network_order(PROTOCOL_IPV4));
    } else {
        return linux_error(LINUX_ENOTSUPP);
    }
    anybpf_set_context_u32(run, SKB_HASH, 0);
    return 0;
}

ANYBPF_HELPER(skb_change_type)
{
    UNUSED3(r3, r4, r5);
    /* Host, broadcast, multicast and other host: linux/if_packet.h. */
    if (!is_context(run, r1) || anybpf_context_u32(run, SKB_PKT_TYPE) > 3 || (uint32_t)r2 > 3)
        return linux_error(LINUX_EINVAL);
    anybpf_set_context_u32(run, SKB_PKT_TYPE, (uint32_t)r2);
    return 0;
}

/* Behind the network header (mode 0) or behind the Ethernet header (mode 1). The flags say what the
 * new room is for, which matters to segmentation, and there is none here. */
ANYBPF_HELPER(skb_adjust_room)
{
    int32_t by = (int32_t)r2;
    uint32_t size = (uint32_t)(by < 0 ? -(int64_t)by : by);
    uint32_t protocol = protocol_of(run);
    uint32_t header = protocol == PROTOCOL_IPV4 ? 20 : 40;
    uint32_t offset = network_offset(run);
    uint32_t least = header;

    UNUSED1(r5);
    if (!is_context(run, r1) || (r4 & ~UINT64_C(0xffff00000000017f)) != 0)
        return linux_error(LINUX_EINVAL);
    if (size > MOST_ROOM)
        return linux_error(LINUX_EFAULT);
    if (protocol != PROTOCOL_IPV4 && protocol != PROTOCOL_IPV6)
        return linux_error(LINUX_ENOTSUPP);
    switch ((uint32_t)r3) {
    case 0:
        offset += header;
        break;
    case 1:
        break;
    default:
        return linux_error(LINUX_ENOTSUPP);
    }
    if (by < 0 && (packet_length(run) < network_offset(run) ||
                   size >= packet_length(run) - network_offset(run) ||
                   packet_length(run) - network_offset(run) - size < least))
        return linux_error(LINUX_ENOTSUPP);
    if (by > 0 && packet_length(run) + size > MOST_LENGTH)
        return linux_error(LINUX_ENOTSUPP);
    if (!change_room(run, offset, by))
        return linux_error(LINUX_ENOMEM);
    anybpf_set_context_u32(run, SKB_HASH, 0);
    return 0;
}

/* The outermost tag is kept beside the packet, as network cards deliver it; a second one pushes the
 * first into the packet. */
ANYBPF_HELPER(skb_vlan_push)
{
    uint32_t protocol = (uint32_t)r2 & 0xffff;
    struct anybpf_packet packet;
    uint16_t fields[2];

    UNUSED2(r4, r5);
    if (!is_context(run, r1))
        return linux_error(LINUX_EINVAL);
    if (protocol != network_order(PROTOCOL_VLAN) &&
        protocol != network_order(PROTOCOL_SERVICE_VLAN))
        protocol = network_order(PROTOCOL_VLAN);
    if (anybpf_context_u32(run, SKB_VLAN_PRESENT) != 0) {
        if (!has_link_header(run) || packet_length(run) < ETHERNET_HEADER ||
            !change_room(run, ETHERNET_HEADER - 2, VLAN_BYTES))
            return linux_error(LINUX_ENOMEM);
        packet = run->packet;
        fields[0] = (uint16_t)anybpf_context_u32(run, SKB_VLAN_PROTO);
        fields[1] = (uint16_t)network_order(anybpf_context_u32(run, SKB_VLAN_TCI));
        memcpy(packet.data + ETHERNET_HEADER - 2, fields, sizeof(fields));
        anybpf_set_context_u32(run, SKB_PROTOCOL, fields[0]);
    }
    anybpf_set_context_u32(run, SKB_VLAN_PRESENT, 1);
    anybpf_set_context_u32(run, SKB_VLAN_PROTO, protocol);
    anybpf_set_context_u32(run, SKB_VLAN_TCI, (uint32_t)r3 & 0xffff);
    return 0;
}

ANYBPF_HELPER(skb_vlan_pop)
{
    uint16_t fields[3]; /* of the tag in the packet, and what comes behind it */

    UNUSED4(r2, r3, r4, r5);
    if (!is_context(run, r1))
        return linux_error(LINUX_EINVAL);
    anybpf_set_context_u32(run, SKB_VLAN_PRESENT, 0);
    anybpf_set_context_u32(run, SKB_VLAN_PROTO, 0);
    anybpf_set_context_u32(run, SKB_VLAN_TCI, 0);
    if (!has_link_header(run) || packet_bytes(run, ETHERNET_HEADER - 2, sizeof(fields)) == NULL)
        return 0;
    memcpy(fields, run->packet.data + ETHERNET_HEADER - 2, sizeof(fields));
    if (fields[0] != network_order(PROTOCOL_VLAN) &&
        fields[0] != network_order(PROTOCOL_SERVICE_VLAN))
        return 0;
    if (!change_room(run, ETHERNET_HEADER - 2, -(int32_t)VLAN_BYTES))
        return linux_error(LINUX_ENOMEM);
    anybpf_set_context_u32(run, SKB_VLAN_PRESENT, 1);
    anybpf_set_context_u32(run, SKB_VLAN_PROTO, fields[0]);
    anybpf_set_context_u32(run, SKB_VLAN_TCI, network_order(fields[1]));
    anybpf_set_context_u32(run, SKB_PROTOCOL, fields[2]);
    return 0;
}

/* A hash of the headers that tell flows apart; not the kernel's, whose key is secret. */
ANYBPF_HELPER(get_hash_recalc)
{
    uint32_t hash = anybpf_context_u32(run, SKB_HASH);
    uint32_t network = network_offset(run);
    uint8_t flow[48] = {0};
    const uint8_t *header;
    uint64_t transport = 0;

    UNUSED4(r2, r3, r4, r5);
    if (!is_context(run, r1) || hash != 0)
        return hash;
    header = packet_bytes(run, network, 20);
    if (header != NULL && header[0] >> 4 == 4) {
        memcpy(flow, header + 12, 8);
        flow[32] = header[9];
        transport = network + (uint64_t)(header[0] & 15) * 4;
    } else if (header != NULL && packet_bytes(run, network, 40) != NULL && header[0] >> 4 == 6) {
        memcpy(flow, header + 8, 32);
        flow[32] = header[6];
        transport = network + 40;
    }
    if ((flow[32] == 6 || flow[32] == 17) && packet_bytes(run, transport, 4) != NULL)
        memcpy(flow + 33, packet_bytes(run, transport, 4), 4);
    hash = (uint32_t)anybpf_hash_bytes(flow, sizeof(flow), 0);
    if (hash == 0)
        hash = 1;
    anybpf_set_context_u32(run, SKB_HASH, hash);
    return hash;
}

ANYBPF_HELPER(set_hash)
{
    UNUSED3(r3, r4, r5);
    if (is_context(run, r1))
        anybpf_set_context_u32(run, SKB_HASH, (uint32_t)r2);
    return 0;
}

ANYBPF_HELPER(set_hash_invalid)
{
    UNUSED4(r2, r3, r4, r5);
    if (is_context(run, r1))
        anybpf_set_context_u32(run, SKB_HASH, 0);
    return 0;
}

/* Types: 0 none (and then no time), 1 monotonic, 2 TAI (since 6.11). */
ANYBPF_HELPER(skb_set_tstamp)
{
    uint32_t type = (uint32_t)r3;
    uint32_t protocol = protocol_of(run);

    UNUSED2(r4, r5);
    if (!is_context(run, r1) || run->region[ANYBPF_CONTEXT_REGION].size < SKB_TSTAMP_TYPE + 1)
        return linux_error(LINUX_EINVAL);
    if (protocol != PROTOCOL_IPV4 && protocol != PROTOCOL_IPV6)
        return linux_error(LINUX_EOPNOTSUPP);
    if (type > 2 || (type == 0) != (r2 == 0))
        return linux_error(LINUX_EINVAL);
    memcpy((uint8_t *)run->context + SKB_TSTAMP, &r2, sizeof(r2));
    ((uint8_t *)run->context)[SKB_TSTAMP_TYPE] = (uint8_t)type;
    return 0;
}

/* Marks congestion: 1 if the packet is or now bears the mark, 0 if it cannot. RFC 3168. */
ANYBPF_HELPER(skb_ecn_set_ce)
{
    uint32_t network = network_offset(run);
    uint32_t protocol = protocol_of(run);
    uint8_t *header = packet_bytes(run, network, protocol == PROTOCOL_IPV4 ? 20 : 40);

    UNUSED4(r2, r3, r4, r5);
    if (!is_context(run, r1) || header == NULL || run->packet.read_only)
        return 0;
    if (protocol == PROTOCOL_IPV4) {
        unsigned mark = header[1] & 3u;
        uint32_t sum;

        if (mark == 0)
            return 0;
        if (mark == 3)
            return 1;
        /* RFC 1624: what the header grows by, the checksum shrinks by. */
        sum = ((uint32_t)header[10] << 8 | header[11]) + 0xffffu - (3u - mark);
        sum = (sum & 0xffff) + (sum >> 16);
        header[1] |= 3;
        header[10] = (uint8_t)(sum >> 8);
        header[11] = (uint8_t)sum;
        return 1;
    }
    if (protocol == PROTOCOL_IPV6) {
        if ((header[1] & 0x30) == 0)
            return 0;
        header[1] |= 0x30;
        return 1;
    }
    return 0;
}

const struct anybpf_helper_row anybpf_skb_helpers[] = {
    {"skb_store_bytes", skb_store_bytes},
    {"skb_load_bytes", skb_load_bytes},
    {"skb_load_bytes_relative", skb_load_bytes_relative},
    {"skb_pull_data", skb_pull_data},
    {"skb_change_tail", skb_change_tail},
    {"skb_change_head", skb_change_head},
    {"skb_change_proto", skb_change_proto},
    {"skb_change_type", skb_change_type},
    {"skb_adjust_room", skb_adjust_room},
    {"skb_vlan_push", skb_vlan_push},
    {"skb_vlan_pop", skb_vlan_pop},
    {"get_hash_recalc", get_hash_recalc},
    {"skb_get_hash", get_hash_recalc},
    {"set_hash", set_hash},
    {"set_hash_invalid", set_hash_invalid},
    {"skb_set_tstamp", skb_set_tstamp},
    {"skb_ecn_set_ce", skb_ecn_set_ce},
    {NULL, NULL},
};
