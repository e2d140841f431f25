/* What programs do with hash maps that have one value a key.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#ifndef ANYBPF_TABLE_PLAIN_H
#define ANYBPF_TABLE_PLAIN_H

#include "table_direct.h"

/* `is_lru` is a constant, here and below. */
ANYBPF_IN_LINE void *anybpf_plain_find(struct anybpf_map *map, const void *key, bool is_lru)
{
    struct anybpf_table *table = anybpf_table_of(map);
    struct anybpf_place place;
    uint8_t *entry = anybpf_table_find(map, key, &place);

    if (entry == NULL)
        return NULL;
    if (is_lru)
        anybpf_table_touch(table, place);
    return entry + table->value_offset;
}

/* The same where it is seen at once; false: nothing is known. */
ANYBPF_IN_LINE bool anybpf_plain_glance(const struct anybpf_map *map, const void *key,
                                        uint32_t key_size, bool is_lru, void **value)
{
    const struct anybpf_table *table = anybpf_table_of(map);
    uint8_t *entry;
    size_t index;
    enum anybpf_glance came_to =
        anybpf_glance(table, key, key_size, table->stride,
                      anybpf_table_hash(table, key, key_size), &entry, &index);

    *value = NULL;
    if (came_to != ANYBPF_SEEN)
        return came_to == ANYBPF_ABSENT;
    if (is_lru)
        anybpf_touch_index(table, 0, index);
    *value = entry + ANYBPF_KEY_STRIDE(key_size);
    return true;
}

ANYBPF_IN_LINE int anybpf_plain_update(struct anybpf_map *map, const void *key, const void *value,
                                       uint64_t flags, uint32_t seat, uint32_t key_size,
                                       uint32_t value_size, bool is_lru)
{
    if (!anybpf_table_may_store_at_once(map, flags, seat))
        return anybpf_table_update(map, key, value, flags, seat, ANYBPF_ALL_COPIES_OF_ENTRY);
    if (anybpf_table_store_at_once(map, key, key_size, 0, value, value_size, seat, is_lru))
        return ANYBPF_OK;
    return anybpf_table_update(map, key, value, ANYBPF_ANY, seat, ANYBPF_ALL_COPIES_OF_ENTRY);
}

#endif
