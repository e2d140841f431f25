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

static int update(struct anybpf_map *map, const void *key, const void *value, uint64_t flags,
                  uint32_t seat)
{
    if (seat >= anybpf_table_of(map)->copies)
        return ANYBPF_NOT_SUPPORTED; /* a guest has no value of its own */
    return anybpf_table_update(map, key, value, flags, seat, seat);
}

const struct anybpf_map_ops anybpf_lru_percpu_hash_ops = {
    .name = "lru_percpu_hash",
    .measure = anybpf_table_measure,
    .init = anybpf_table_init,
    .open = anybpf_table_open,
    .close = anybpf_table_close,
    .lookup = lookup_cpu, /* a seat is a processor's number, or too large */
    .update = update,
    .erase = anybpf_table_erase,
    .lookup_cpu = lookup_cpu,
    .read = anybpf_table_read,
    .write = anybpf_table_write,
    .take = anybpf_table_take,
    .next = anybpf_table_next,
    .scan = anybpf_table_scan,
    .count = anybpf_table_count,
    .each = anybpf_table_each,
    .key_of = anybpf_table_key_of,
    .settle = anybpf_table_settle,
    .check = anybpf_table_check,
};
