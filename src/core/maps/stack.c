/* Stacks: what was pushed last is popped first. Users push by writing, peek by reading and pop by
 * taking, without a key, as with bpf(2).
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "fifo.h"

static int pop(struct anybpf_map *map, void *value)
{
    return anybpf_fifo_get(map, value, true, true);
}

static int peek(struct anybpf_map *map, void *value)
{
    return anybpf_fifo_get(map, value, true, false);
}

static int read_value(struct anybpf_map *map, const void *key, void *value, uint64_t flags)
{
    (void)key;
    return flags == 0 ? peek(map, value) : ANYBPF_BAD_FLAGS;
}

static int write_value(struct anybpf_map *map, const void *key, const void *value, uint64_t flags)
{
    (void)key;
    return anybpf_fifo_push(map, value, flags);
}

static int take(struct anybpf_map *map, const void *key, void *value)
{
    (void)key;
    return pop(map, value);
}

const struct anybpf_map_ops anybpf_stack_ops = {
    .name = "stack",
    .measure = anybpf_fifo_measure,
    .open = anybpf_fifo_open,
    .push = anybpf_fifo_push,
    .pop = pop,
    .peek = peek,
    .read = read_value,
    .write = write_value,
    .take = take,
    .count = anybpf_fifo_count,
    .check = anybpf_fifo_check,
};
