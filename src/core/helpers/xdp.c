/* Helpers on the packets of XDP programs.
 *
 * Linux: 0, or -EINVAL (outside the room there is, or less than an Ethernet header left), -EACCES
 * (metadata of a size that cannot be), -EFAULT (lengths past 65535). Windows has adjust_head alone.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "packet.h"

#include <string.h>

#define MOST_METADATA 255u

/* The metadata moves with the head. */
ANYBPF_HELPER(xdp_adjust_head)
{
    int64_t by = (int32_t)r2;
    struct anybpf_packet packet;
    size_t metadata;

    UNUSED3(r3, r4, r5);
    if (!is_context(run, r1) || by > (int64_t)packet_length(run) - (int64_t)ETHERNET_HEADER)
        return linux_error(LINUX_EINVAL);
    if (by < 0 && !anybpf_packet_room(run, (uint64_t)-by, 0))
        return linux_error(LINUX_EINVAL);
    packet = run->packet;
    metadata = (size_t)(packet.data - packet.data_meta);
    if (metadata != 0)
        memmove(packet.data_meta + by, packet.data_meta, metadata);
    packet.data_meta += by;
    packet.data += by;
    anybpf_packet_changed(run, &packet);
    return 0;
}

ANYBPF_HELPER(xdp_adjust_tail)
{
    int64_t by = (int32_t)r2;
    struct anybpf_packet packet;

    UNUSED3(r3, r4, r5);
    if (!is_context(run, r1) || (int64_t)packet_length(run) + by < (int64_t)ETHERNET_HEADER)
        return linux_error(LINUX_EINVAL);
    if (by > 0 && !anybpf_packet_room(run, 0, (uint64_t)by))
        return linux_error(LINUX_EINVAL);
    packet = run->packet;
    if (by > 0)
        memset(packet.data_end, 0, (size_t)by);
    packet.data_end += by;
    anybpf_packet_changed(run, &packet);
    return 0;
}

ANYBPF_HELPER(xdp_adjust_meta)
{
    int64_t by = (int32_t)r2;
    struct anybpf_packet packet;
    int64_t metadata;

    UNUSED3(r3, r4, r5);
    if (!is_context(run, r1) || run->packet.data == NULL)
        return linux_error(LINUX_EINVAL);
    metadata = (run->packet.data - run->packet.data_meta) - by;
    if (metadata < 0)
        return linux_error(LINUX_EINVAL);
    if (by < 0 && !anybpf_packet_room(run, (uint64_t)-by, 0))
        return linux_error(LINUX_EINVAL);
    if ((metadata & 3) != 0 || metadata > (int64_t)MOST_METADATA)
        return linux_error(LINUX_EACCES);
    packet = run->packet;
    packet.data_meta = packet.data - metadata;
    anybpf_packet_changed(run, &packet);
    return 0;
}

ANYBPF_HELPER(xdp_get_buff_len)
{
    UNUSED5(r1, r2, r3, r4, r5);
    return packet_length(run);
}

ANYBPF_HELPER(xdp_load_bytes)
{
    uint32_t offset = (uint32_t)r2;
    uint32_t size = (uint32_t)r4;

    UNUSED1(r5);
    if (!is_context(run, r1))
        return linux_error(LINUX_EINVAL);
    if (offset > 0xffff || size > 0xffff)
        return linux_error(LINUX_EFAULT);
    return (uint64_t)(int64_t)anybpf_packet_load(run, offset, r3, size);
}

ANYBPF_HELPER(xdp_store_bytes)
{
    uint32_t offset = (uint32_t)r2;
    uint32_t size = (uint32_t)r4;

    UNUSED1(r5);
    if (!is_context(run, r1))
        return linux_error(LINUX_EINVAL);
    if (offset > 0xffff || size > 0xffff)
        return linux_error(LINUX_EFAULT);
    return (uint64_t)(int64_t)anybpf_packet_store(run, offset, r3, size);
}

/* Kernel function: all of the packet lies in one piece here. */
ANYBPF_HELPER(xdp_pull_data)
{
    UNUSED3(r3, r4, r5);
    if (!is_context(run, r1) || (uint32_t)r2 > packet_length(run))
        return linux_error(LINUX_EINVAL);
    return 0;
}

const struct anybpf_helper_row anybpf_xdp_helpers[] = {
    {"xdp_adjust_head", xdp_adjust_head},
    {"xdp_adjust_tail", xdp_adjust_tail},
    {"xdp_adjust_meta", xdp_adjust_meta},
    {"xdp_get_buff_len", xdp_get_buff_len},
    {"xdp_load_bytes", xdp_load_bytes},
    {"xdp_store_bytes", xdp_store_bytes},
    {"xdp_pull_data", xdp_pull_data},
    {NULL, NULL},
};
