/* Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT */
#include "packet.h"

bool anybpf_packet_room(struct anybpf_run *run, uint64_t head, uint64_t tail)
{
    const struct anybpf_event *event = run->event;
    uint64_t in_front = (uint64_t)(run->packet.data_meta - run->packet.buffer);
    uint64_t behind = (uint64_t)(run->packet.limit - run->packet.data_end);

    if (run->packet.data == NULL || head > INT32_MAX || tail > INT32_MAX)
        return false;
    if (head <= in_front && tail <= behind)
        return true;
    if (event == NULL || event->functions == NULL || event->functions->grow_packet == NULL ||
        !event->functions->grow_packet(run, (int64_t)head, (int64_t)tail))
        return false;
    in_front = (uint64_t)(run->packet.data_meta - run->packet.buffer);
    behind = (uint64_t)(run->packet.limit - run->packet.data_end);
    return head <= in_front && tail <= behind;
}

void anybpf_packet_changed(struct anybpf_run *run, const struct anybpf_packet *packet)
{
    struct anybpf_packet changed = *packet;

    anybpf_run_set_packet(run, &changed);
}

int anybpf_packet_load(struct anybpf_run *run, uint64_t offset, uint64_t to, uint32_t size)
{
    const uint8_t *bytes = packet_bytes(run, offset, size);

    if (bytes == NULL)
        return -LINUX_EINVAL;
    if (!anybpf_writable(run, to, size))
        return -LINUX_EFAULT;
    anybpf_move(run, to, (uint64_t)(uintptr_t)bytes, size);
    return 0;
}

int anybpf_packet_store(struct anybpf_run *run, uint64_t offset, uint64_t from, uint32_t size)
{
    const uint8_t *bytes = packet_bytes(run, offset, size);

    if (bytes == NULL)
        return -LINUX_EINVAL;
    if (run->packet.read_only || !anybpf_readable(run, from, size))
        return -LINUX_EFAULT;
    anybpf_move(run, (uint64_t)(uintptr_t)bytes, from, size);
    return 0;
}
