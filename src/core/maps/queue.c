/* Queues: what was pushed first is popped first. Users push by writing, peek by reading and pop by
 * taking, without a key, as with bpf(2).
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "fifo.h"

static int pop(struct anybpf_map *map, void *value)
{
    return anybpf_fifo_get(map, value, false, true);
}

static int peek(struct anybpf_map *map, void *value)
{
    return anybpf_fifo_get(map, value, false, false);
}

const struct anybpf_map_ops anybpf_queue_ops = {
    .name = "queue",
    .measure = anybpf_fifo_measure,
    .open = anybpf_fifo_open,
    .push = anybpf_fifo_push,
    .pop = pop,
    .peek = peek,
    .read = anybpf_fifo_read,
    .write = anybpf_fifo_write,
    .take = anybpf_fifo_take,
    .count = anybpf_fifo_count,
    .check = anybpf_fifo_check,
};
