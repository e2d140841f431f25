/* Where a key is: what is not done in line (table_find.h), because it is rare.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "table_find.h"

#define MOST_TURNS 100000u /* tags cannot change so often while we are seated, unless out of malice */

uint8_t *anybpf_find_away(const struct anybpf_table *table, uint32_t number, const void *key,
                          uint64_t hash, anybpf_tag_view view, struct anybpf_place *place)
{
    const struct anybpf_level *level = &table->level[number];
    uint32_t favourite = anybpf_favourite(hash);
    uint32_t tag = anybpf_tag(hash);
    uint32_t group = anybpf_home(level, hash);
    uint32_t reach = 0;
    uint32_t distance = 0;
    uint32_t turns = 0;
    uint8_t *entries;
    uint8_t *entry;

    for (;;) {
        anybpf_tag_view again = anybpf_view_tags(&level->tags[group]);

        if (!anybpf_same_tags(view, again) && turns++ < MOST_TURNS) {
            view = again;
        } else {
            if (distance == 0) {
                reach = anybpf_reach(view);
                if (reach == ANYBPF_REACH_FAR)
                    reach = atomic_load_explicit(&level->guards[group].reach,
                                                 memory_order_relaxed);
                if (reach >= level->groups)
                    reach = level->groups - 1;
            }
            if (distance == reach)
                return NULL;
            distance++;
            group = group + 1 == level->groups ? 0 : group + 1;
            view = anybpf_view_tags(&level->tags[group]);
        }
        entries = level->entries + (size_t)group * ANYBPF_TABLE_SLOTS * table->stride;
        entry = anybpf_find_among(table, entries, anybpf_match(view, tag), favourite, key,
                                  table->key_size, &place->slot);
        if (entry != NULL) {
            place->level = number;
            place->group = group;
            return entry;
        }
    }
}

uint8_t *anybpf_find_on_levels(struct anybpf_map *map, const void *key, uint64_t hash,
                               uint32_t levels, struct anybpf_place *place)
{
    struct anybpf_table *table = map->private;
    uint8_t *entry = NULL;

    while (entry == NULL && levels-- > 0) /* the largest first */
        entry = anybpf_find_on_level(table, levels, key, table->key_size, hash, place);
    return entry;
}

uint8_t *anybpf_table_find(struct anybpf_map *map, const void *key, struct anybpf_place *place)
{
    struct anybpf_table *table = map->private;

    switch (table->key_size) {
    case 4:
        return anybpf_find_sized(map, key, 4, anybpf_table_hash(table, key, 4), place);
    case 8:
        return anybpf_find_sized(map, key, 8, anybpf_table_hash(table, key, 8), place);
    default:
        return anybpf_find_sized(map, key, table->key_size,
                                 anybpf_table_hash(table, key, table->key_size), place);
    }
}
