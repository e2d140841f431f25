/* LRU per-CPU hash maps: as lru_hash.c says when keys go, and percpu_hash.c what they have.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "table.h"

static void *lookup_cpu(struct anybpf_map *map, const void *key, uint32_t cpu)
{
    struct anybpf_table *table = anybpf_table_of(map);
    struct anybpf_place place;

    if (cpu >= table->copies || !anybpf_table_find(map, key, &place))
        return NULL;
    anybpf_table_touch(table, place);
    return anybpf_value(table, place, cpu);
}

const struct anybpf_map_ops anybpf_lru_percpu_hash_ops = {
    .name = "lru_percpu_hash",
    ANYBPF_TABLE_OPS,
    .lookup = lookup_cpu, /* a seat is a processor's number, or too large */
    .update = anybpf_table_update_own,
    .lookup_cpu = lookup_cpu,
};
