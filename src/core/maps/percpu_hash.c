/* Per-CPU hash maps: a key has a value for each processor. A program finds and changes its own.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "table_percpu.h"

static __attribute__((noinline)) void *lookup_cpu(struct anybpf_map *map, const void *key,
                                                  uint32_t cpu)
{
    return anybpf_percpu_find(map, key, cpu, false);
}

ANYBPF_IN_LINE void *lookup_sized(struct anybpf_map *map, const void *key, uint32_t seat,
                                  uint32_t key_size)
{
    void *value;

    if (anybpf_percpu_glance(map, key, seat, key_size, false, &value))
        return value;
    return lookup_cpu(map, key, seat);
}

ANYBPF_IN_LINE int update_sized(struct anybpf_map *map, const void *key, const void *value,
                                uint64_t flags, uint32_t seat, uint32_t key_size,
                                uint32_t value_size)
{
    return anybpf_percpu_update(map, key, value, flags, seat, key_size, value_size, false);
}

ANYBPF_FOR_KEY_SIZES

const struct anybpf_map_ops anybpf_percpu_hash_ops = {
    .name = "percpu_hash",
    ANYBPF_TABLE_OPS,
    .lookup = lookup_any,
    .update = update_any,
    .lookup_cpu = lookup_cpu,
    .get_direct = get_direct,
};
