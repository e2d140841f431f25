/* LRU hash maps: when one is full, an entry that was not used for long makes way for a new one.
 *
 * Use is what programs look up, and what anybody sets. Small maps are exact about who was used
 * last; of larger ones the oldest of a sample goes. There is one order for all processors, also where
 * ANYBPF_LRU_PER_CPU asks for less.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "table.h"

static void *lookup(struct anybpf_map *map, const void *key, uint32_t seat)
{
    struct anybpf_table *table = anybpf_table_of(map);
    struct anybpf_place place;
    uint8_t *entry = anybpf_table_find(map, key, &place);

    (void)seat;
    if (entry == NULL)
        return NULL;
    anybpf_table_touch(table, place);
    return entry + table->value_offset;
}

static int update(struct anybpf_map *map, const void *key, const void *value, uint64_t flags,
                  uint32_t seat)
{
    return anybpf_table_update(map, key, value, flags, seat, ANYBPF_ALL_COPIES_OF_ENTRY);
}

const struct anybpf_map_ops anybpf_lru_hash_ops = {
    .name = "lru_hash",
    ANYBPF_TABLE_OPS,
    .lookup = lookup,
    .update = update,
};
