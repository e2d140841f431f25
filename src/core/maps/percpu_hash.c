/* Per-CPU hash maps: a key has a value for each processor. A program finds and changes its own.
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
    return anybpf_value(table, place, cpu);
}

const struct anybpf_map_ops anybpf_percpu_hash_ops = {
    .name = "percpu_hash",
    ANYBPF_TABLE_OPS,
    .lookup = lookup_cpu, /* a seat is a processor's number, or too large */
    .update = anybpf_table_update_own,
    .lookup_cpu = lookup_cpu,
};
