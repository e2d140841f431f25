/* LRU per-CPU hash maps: as lru_hash.c says when keys go, and percpu_hash.c what they have.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "table_percpu.h"

static __attribute__((noinline)) void *lookup_cpu(struct anybpf_map *map, const void *key,
                                                  uint32_t cpu)
{
    return anybpf_percpu_find(map, key, cpu, true);
}

ANYBPF_IN_LINE void *lookup_sized(struct anybpf_map *map, const void *key, uint32_t seat,
                                  uint32_t key_size)
{
    void *value;

    if (anybpf_percpu_glance(map, key, seat, key_size, true, &value))
        return value;
    return lookup_cpu(map, key, seat);
}

ANYBPF_IN_LINE int update_sized(struct anybpf_map *map, const void *key, const void *value,
                                uint64_t flags, uint32_t seat, uint32_t key_size,
                                uint32_t value_size)
{
    return anybpf_percpu_update(map, key, value, flags, seat, key_size, value_size, true);
}

ANYBPF_FOR_KEY_SIZES

const struct anybpf_map_ops anybpf_lru_percpu_hash_ops = {
    .name = "lru_percpu_hash",
    ANYBPF_TABLE_OPS,
    .lookup = lookup_any,
    .update = update_any,
    .lookup_cpu = lookup_cpu,
    .get_direct = get_direct,
};
