/* All entries of a table, in the order of their hashes. An entry that is replaced by another of the
 * same key may come to lie before or behind whoever walks; its hash does not change.
 *
 * A part of the order is looked at at once: the hashes that belong to one group of the largest
 * level. On the other levels they belong to one or two groups.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "table_find.h"

#define MOST_FOUND 64u

struct found {
    uint64_t hash;
    struct anybpf_place place;
};

struct part {
    uint64_t from; /* hashes */
    uint64_t last;
    bool is_last;
    uint32_t count;
    struct found found[MOST_FOUND]; /* the first ones, in order */
};

static const void *key_at(const struct anybpf_table *table, struct anybpf_place place)
{
    return anybpf_entry(table, place);
}

static bool is_same(const struct anybpf_table *table, const struct found *found, uint64_t hash,
                    const void *key)
{
    return found->hash == hash &&
           anybpf_same_key(key_at(table, found->place), key, table->key_size);
}

/* If the part is full, the last goes, and the part ends before it. */
static void put(const struct anybpf_table *table, struct part *part, struct found found)
{
    uint32_t at = part->count;
    uint32_t i;

    while (at > 0 && part->found[at - 1].hash > found.hash)
        at--;
    for (i = at; i > 0 && part->found[i - 1].hash == found.hash; i--)
        if (is_same(table, &part->found[i - 1], found.hash, key_at(table, found.place)))
            return; /* its successor or predecessor */
    if (part->count == MOST_FOUND) {
        struct found last = part->found[MOST_FOUND - 1];

        if (at == MOST_FOUND)
            last = found;
        if (last.hash <= part->last) {
            part->last = last.hash - (last.hash > part->from);
            part->is_last = false;
        }
        if (at == MOST_FOUND)
            return;
        part->count--;
    }
    for (i = part->count; i > at; i--)
        part->found[i] = part->found[i - 1];
    part->found[at] = found;
    part->count++;
}

/* The entries that lie in a group and whose home is `home`. */
static void look_at_group(const struct anybpf_table *table, struct part *part, uint32_t number,
                          uint32_t group, uint32_t home)
{
    const struct anybpf_level *level = &table->level[number];
    uint32_t live = 0;
    uint32_t seen = 0;
    uint32_t turns = 0;
    anybpf_tag_view view = anybpf_view_tags(&level->tags[group]);

    for (;;) { /* until nothing has moved meanwhile */
        anybpf_tag_view again;

        live = anybpf_live(view) & ~seen;
        seen |= live;
        for (; live != 0; live &= live - 1) {
            struct anybpf_place place = {number, group, anybpf_first(live)};
            uint64_t hash = anybpf_table_hash(table, key_at(table, place), table->key_size);

            if (hash >= part->from && hash <= part->last && anybpf_home(level, hash) == home)
                put(table, part, (struct found){hash, place});
        }
        again = anybpf_view_tags(&level->tags[group]);
        if (anybpf_same_tags(view, again) || turns++ > ANYBPF_TABLE_SLOTS)
            return;
        view = again;
    }
}

static void look_at_home(const struct anybpf_table *table, struct part *part, uint32_t number,
                         uint32_t home)
{
    const struct anybpf_level *level = &table->level[number];
    uint32_t reach = anybpf_reach(anybpf_view_tags(&level->tags[home]));
    uint32_t distance;

    if (reach == ANYBPF_REACH_FAR)
        reach = atomic_load_explicit(&level->guards[home].reach, memory_order_relaxed);
    if (reach >= level->groups)
        reach = level->groups - 1;
    for (distance = 0; distance <= reach; distance++)
        look_at_group(table, part, number,
                      (uint32_t)(((uint64_t)home + distance) % level->groups), home);
}

/* The first entries from a hash on; perhaps none, although others follow. */
static void look_from(struct anybpf_map *map, uint64_t from, struct part *part)
{
    struct anybpf_table *table = map->private;
    uint32_t levels = anybpf_table_levels(map, table);
    const struct anybpf_level *largest = &table->level[levels - 1];
    uint64_t next = (uint64_t)anybpf_home(largest, from) + 1;
    uint32_t number;

    part->from = from;
    part->count = 0;
    part->is_last = next == largest->groups;
    part->last = UINT64_MAX;
    if (!part->is_last) /* the last hash whose upper half comes to a smaller group than the next */
        part->last = (((next << 32) + largest->groups - 1) / largest->groups << 32) - 1;
    for (number = 0; number < levels; number++) {
        const struct anybpf_level *level = &table->level[number];
        uint32_t home = anybpf_home(level, from);
        uint32_t end = anybpf_home(level, part->last);

        for (; home <= end; home++)
            look_at_home(table, part, number, home);
    }
}

int anybpf_table_next(struct anybpf_map *map, const void *key, void *next)
{
    struct anybpf_table *table = map->private;
    uint64_t from = 0;
    struct anybpf_place place;
    struct part part;

    if (key != NULL && anybpf_table_find(map, key, &place))
        from = anybpf_table_hash(table, key, table->key_size);
    else
        key = NULL;
    for (;;) {
        uint32_t i;
        uint32_t best = MOST_FOUND;

        look_from(map, from, &part);
        for (i = 0; i < part.count; i++) {
            const void *other = key_at(table, part.found[i].place);

            if (best < MOST_FOUND && part.found[i].hash != part.found[best].hash)
                break;
            /* Of the same hash, by the keys themselves. */
            if (key != NULL && part.found[i].hash == from &&
                memcmp(other, key, table->key_size) <= 0)
                continue;
            if (best == MOST_FOUND ||
                memcmp(other, key_at(table, part.found[best].place), table->key_size) < 0)
                best = i;
        }
        if (best < MOST_FOUND) {
            memcpy(next, key_at(table, part.found[best].place), table->key_size);
            return ANYBPF_OK;
        }
        if (part.is_last)
            return ANYBPF_NO_MORE_KEYS;
        from = part.last + 1;
        key = NULL;
    }
}

int anybpf_table_scan(struct anybpf_map *map, uint64_t *cursor, void *keys, void *values,
                      uint32_t *count)
{
    struct anybpf_table *table = map->private;
    size_t value_size = anybpf_user_value_size(&map->shape);
    uint32_t wanted = *count;
    uint32_t done = 0;
    struct part part;

    /* The cursor is the first hash to look at; after the last one it would be 0 again. */
    for (*count = 0; done < wanted;) {
        uint32_t i;

        if (*cursor == UINT64_MAX)
            return ANYBPF_NO_MORE_KEYS;
        look_from(map, *cursor, &part);
        for (i = 0; i < part.count && done < wanted; i++) {
            const struct found *found = &part.found[i];

            if (keys != NULL)
                memcpy((uint8_t *)keys + (size_t)done * table->key_size,
                       key_at(table, found->place), table->key_size);
            if (values != NULL) {
                int status = anybpf_table_copy_out(map, found->place, found->hash, false,
                                                   (uint8_t *)values + done * value_size);

                if (status != ANYBPF_OK)
                    return status;
            }
            done++;
            *count = done;
            *cursor = found->hash == UINT64_MAX ? UINT64_MAX : found->hash + 1;
        }
        if (i < part.count)
            return ANYBPF_OK;
        *cursor = part.is_last ? UINT64_MAX : part.last + 1;
    }
    return ANYBPF_OK;
}

uint64_t anybpf_table_each(struct anybpf_map *map, uint32_t seat,
                           int (*visit)(void *arg, const void *key, void *value), void *arg)
{
    struct anybpf_table *table = map->private;
    uint64_t from = 0;
    uint64_t calls = 0;
    struct part part;

    for (;;) {
        uint32_t i;

        look_from(map, from, &part);
        for (i = 0; i < part.count; i++) {
            struct anybpf_place place = part.found[i].place;
            uint64_t hash = part.found[i].hash;
            void *value = NULL;

            /* The visit before may have deleted or replaced it. */
            if (anybpf_table_tag_at(&table->level[place.level], place.group, place.slot) !=
                    anybpf_tag(hash) &&
                !anybpf_table_find(map, key_at(table, place), &place))
                continue;
            if (table->copies == 1)
                value = anybpf_value(table, place, 0);
            else if (seat < table->copies)
                value = anybpf_value(table, place, seat);
            calls++;
            if (visit(arg, key_at(table, place), value) != 0)
                return calls;
        }
        if (part.is_last)
            return calls;
        from = part.last + 1;
    }
}

const void *anybpf_table_key_of(struct anybpf_map *map, const void *value)
{
    struct anybpf_table *table = map->private;
    uint32_t levels = anybpf_table_levels(map, table);
    uint32_t number;

    for (number = 0; number < levels; number++) {
        const struct anybpf_level *level = &table->level[number];
        size_t slots = (size_t)level->groups * ANYBPF_TABLE_SLOTS;
        struct anybpf_place place = {number, 0, 0};
        size_t offset;
        size_t index;

        if (level->values != NULL) {
            offset = (uintptr_t)value - (uintptr_t)level->values;
            if (offset / level->plane >= table->copies)
                continue;
            offset %= level->plane;
            if (offset % table->value_stride != 0)
                continue;
            index = offset / table->value_stride;
        } else {
            offset = (uintptr_t)value - (uintptr_t)level->entries;
            if (offset % table->stride != table->value_offset)
                continue;
            index = offset / table->stride;
        }
        if (index >= slots)
            continue;
        place.group = (uint32_t)(index / ANYBPF_TABLE_SLOTS);
        place.slot = (uint32_t)(index % ANYBPF_TABLE_SLOTS);
        if ((anybpf_table_tag_at(level, place.group, place.slot) & ANYBPF_SLOT_LIVE) != 0)
            return key_at(table, place);
    }
    return NULL;
}
