/* LRU hash maps: when one is full, an entry that was not used for long makes way for a new one.
 *
 * Use is what programs look up, and what anybody sets. Small maps are exact about who was used
 * last; of larger ones the oldest of a sample goes. There is one order for all processors, also where
 * ANYBPF_LRU_PER_CPU asks for less.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "table_plain.h"

static __attribute__((noinline)) void *lookup_slowly(struct anybpf_map *map, const void *key)
{
    return anybpf_plain_find(map, key, true);
}

ANYBPF_IN_LINE void *lookup_sized(struct anybpf_map *map, const void *key, uint32_t seat,
                                  uint32_t key_size)
{
    void *value;

    (void)seat;
    if (anybpf_plain_glance(map, key, key_size, true, &value))
        return value;
    return lookup_slowly(map, key);
}

ANYBPF_IN_LINE int update_sized(struct anybpf_map *map, const void *key, const void *value,
                                uint64_t flags, uint32_t seat, uint32_t key_size,
                                uint32_t value_size)
{
    return anybpf_plain_update(map, key, value, flags, seat, key_size, value_size, true);
}

ANYBPF_FOR_KEY_SIZES

const struct anybpf_map_ops anybpf_lru_hash_ops = {
    .name = "lru_hash",
    ANYBPF_TABLE_OPS,
    .lookup = lookup_any,
    .update = update_any,
    .get_direct = get_direct,
};
