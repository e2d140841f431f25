/* Hash maps: `max_entries` keys at most, or, where the platform wants it, as many as come.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "table.h"

static __attribute__((noinline)) void *lookup_slowly(struct anybpf_map *map, const void *key)
{
    struct anybpf_place place;
    uint8_t *entry = anybpf_table_find(map, key, &place);

    return entry == NULL ? NULL : entry + anybpf_table_of(map)->value_offset;
}

static void *lookup(struct anybpf_map *map, const void *key, uint32_t seat)
{
    const struct anybpf_table *table = anybpf_table_of(map);
    uint8_t *entry;

    (void)seat;
    if (!anybpf_is_simple(table) ||
        !anybpf_find_at_once(table, key, anybpf_table_hash(table, key, 8), &entry))
        return lookup_slowly(map, key);
    return entry == NULL ? NULL : entry + table->value_offset;
}

static int update(struct anybpf_map *map, const void *key, const void *value, uint64_t flags,
                  uint32_t seat)
{
    if (anybpf_table_store_at_once(map, key, value, flags, seat))
        return ANYBPF_OK;
    return anybpf_table_update(map, key, value, flags, seat, ANYBPF_ALL_COPIES_OF_ENTRY);
}

const struct anybpf_map_ops anybpf_hash_ops = {
    .name = "hash",
    ANYBPF_TABLE_OPS,
    .lookup = lookup,
    .update = update,
};
