/* What programs do with hash maps that have a value for each processor: they find and change their
 * own. A seat is a processor's number, or too large.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#ifndef ANYBPF_TABLE_PERCPU_H
#define ANYBPF_TABLE_PERCPU_H

#include "table_direct.h"

/* Any processor's value. `is_lru` is a constant. */
ANYBPF_IN_LINE void *anybpf_percpu_find(struct anybpf_map *map, const void *key, uint32_t cpu,
                                        bool is_lru)
{
    struct anybpf_table *table = anybpf_table_of(map);
    struct anybpf_place place;

    if (cpu >= table->copies || !anybpf_table_find(map, key, &place))
        return NULL;
    if (is_lru)
        anybpf_table_touch(table, place);
    return anybpf_value(table, place, cpu);
}

/* The same where it is seen at once; false: nothing is known. */
ANYBPF_IN_LINE bool anybpf_percpu_glance(const struct anybpf_map *map, const void *key,
                                         uint32_t cpu, uint32_t key_size, bool is_lru, void **value)
{
    const struct anybpf_table *table = anybpf_table_of(map);
    const struct anybpf_level *level = &table->level[0];
    enum anybpf_glance came_to = ANYBPF_UNSURE;
    uint8_t *entry;
    size_t index;

    *value = NULL;
    if (cpu < table->copies)
        came_to = anybpf_glance(table, key, key_size, ANYBPF_KEY_STRIDE(key_size),
                                anybpf_table_hash(table, key, key_size), &entry, &index);
    if (came_to != ANYBPF_SEEN)
        return came_to == ANYBPF_ABSENT;
    if (is_lru)
        anybpf_touch_index(table, 0, index);
    *value = level->values + cpu * level->plane + index * table->value_stride;
    return true;
}

ANYBPF_IN_LINE int anybpf_percpu_update(struct anybpf_map *map, const void *key, const void *value,
                                        uint64_t flags, uint32_t seat, uint32_t key_size,
                                        uint32_t value_size, bool is_lru)
{
    if (!anybpf_table_may_store_at_once(map, flags, seat))
        return anybpf_table_update_own(map, key, value, flags, seat);
    if (anybpf_table_store_at_once(map, key, key_size, ANYBPF_KEY_STRIDE(key_size), value,
                                   value_size, seat, is_lru))
        return ANYBPF_OK;
    return anybpf_table_update(map, key, value, ANYBPF_ANY, seat, seat);
}

#endif
