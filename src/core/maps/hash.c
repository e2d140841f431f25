/* Hash maps: `max_entries` keys at most, or, where the platform wants it, as many as come.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "table_plain.h"

static __attribute__((noinline)) void *lookup_slowly(struct anybpf_map *map, const void *key)
{
    return anybpf_plain_find(map, key, false);
}

ANYBPF_IN_LINE void *lookup_sized(struct anybpf_map *map, const void *key, uint32_t seat,
                                  uint32_t key_size)
{
    void *value;

    (void)seat;
    if (anybpf_plain_glance(map, key, key_size, false, &value))
        return value;
    return lookup_slowly(map, key);
}

ANYBPF_IN_LINE int update_sized(struct anybpf_map *map, const void *key, const void *value,
                                uint64_t flags, uint32_t seat, uint32_t key_size,
                                uint32_t value_size)
{
    return anybpf_plain_update(map, key, value, flags, seat, key_size, value_size, false);
}

ANYBPF_FOR_KEY_SIZES

const struct anybpf_map_ops anybpf_hash_ops = {
    .name = "hash",
    ANYBPF_TABLE_OPS,
    .lookup = lookup_any,
    .update = update_any,
    .get_direct = get_direct,
};
