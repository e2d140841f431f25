/* Where a key is in a table, in line: hashes, entries, and the look-up itself.
 *
 * Functions that take `key_size` are meant to be called with a constant, or with the table's own.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#ifndef ANYBPF_TABLE_FIND_H
#define ANYBPF_TABLE_FIND_H

#include "table_tags.h"

#define ANYBPF_IN_LINE static inline __attribute__((always_inline))

/* Hashes. A secret multiplier, so that nobody can choose keys that collide. One multiplication does
 * not do: of keys that are numbers in a row it makes points in a row, which for one multiplier in a
 * hundred fall upon few places. */

__extension__ typedef unsigned __int128 anybpf_wide;

static inline uint64_t anybpf_fold(uint64_t a, uint64_t b)
{
    anybpf_wide product = (anybpf_wide)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* The last 1 to 7 bytes of a key as a word, no two alike. */
ANYBPF_IN_LINE uint64_t anybpf_rest_of_key(const uint8_t *at, uint32_t size)
{
    uint32_t first;
    uint32_t last;

    if (size < 4)
        return at[0] | (uint64_t)at[size / 2] << 8 | (uint64_t)at[size - 1] << 16;
    memcpy(&first, at, 4);
    if (size == 4)
        return first;
    memcpy(&last, at + size - 4, 4);
    return first | (uint64_t)last << 32;
}

ANYBPF_IN_LINE uint64_t anybpf_table_hash(const struct anybpf_table *table, const void *key,
                                          uint32_t key_size)
{
    const uint8_t *at = key;
    uint64_t hash = table->seed;
    uint64_t word;
    uint64_t next;

    for (; key_size >= 16; key_size -= 16, at += 16) {
        memcpy(&word, at, 8);
        memcpy(&next, at + 8, 8);
        hash = anybpf_fold(hash ^ word, table->multiplier ^ next);
    }
    if (key_size >= 8) {
        memcpy(&word, at, 8);
        hash = anybpf_fold(hash ^ word, table->multiplier);
        key_size -= 8, at += 8;
    }
    if (key_size > 0)
        hash = anybpf_fold(hash ^ anybpf_rest_of_key(at, key_size), table->multiplier);
    return anybpf_fold(hash, table->multiplier);
}

static inline uint32_t anybpf_home(const struct anybpf_level *level, uint64_t hash)
{
    return (uint32_t)(((hash >> 32) * level->groups) >> 32);
}

/* The slot where a key lies if that is free, else in the next, round and round. There are 16 so that
 * it takes but one step to tell. */
static inline uint32_t anybpf_favourite(uint64_t hash)
{
    return (uint32_t)hash >> 28;
}

static inline uint32_t anybpf_tag(uint64_t hash)
{
    return (uint32_t)(hash & 0xff) | ANYBPF_SLOT_LIVE;
}

/* Entries. */

static inline size_t anybpf_index(struct anybpf_place place)
{
    return (size_t)place.group * ANYBPF_TABLE_SLOTS + place.slot;
}

static inline uint8_t *anybpf_entry(const struct anybpf_table *table, struct anybpf_place place)
{
    return table->level[place.level].entries + anybpf_index(place) * table->stride;
}

static inline uint8_t *anybpf_value(const struct anybpf_table *table, struct anybpf_place place,
                                    uint32_t copy)
{
    const struct anybpf_level *level = &table->level[place.level];

    if (level->values == NULL)
        return anybpf_entry(table, place) + table->value_offset;
    return level->values + copy * level->plane + anybpf_index(place) * table->value_stride;
}

ANYBPF_IN_LINE bool anybpf_same_key(const void *entry, const void *key, uint32_t key_size)
{
    const uint8_t *a = entry;
    const uint8_t *b = key;
    uint64_t x;
    uint64_t y;

    for (; key_size >= 8; key_size -= 8, a += 8, b += 8) {
        memcpy(&x, a, 8);
        memcpy(&y, b, 8);
        if (x != y)
            return false;
    }
    return key_size == 0 || anybpf_rest_of_key(a, key_size) == anybpf_rest_of_key(b, key_size);
}

/* The entry, among those of a group whose tag matches, that has the key; NULL: none. */
ANYBPF_IN_LINE uint8_t *anybpf_find_among(const struct anybpf_table *table, uint8_t *entries,
                                          uint32_t slots, uint32_t favourite, const void *key,
                                          uint32_t key_size, uint32_t *slot)
{
    while (slots != 0) {
        uint32_t i = anybpf_pick(slots, favourite);
        uint8_t *entry = entries + i * table->stride;

        if (__builtin_expect(anybpf_same_key(entry, key, key_size), 1)) {
            *slot = i;
            return entry;
        }
        slots &= ~(1u << i);
    }
    return NULL;
}

/* table_find.c: where tags changed meanwhile, or the key may lie in other groups. `view` is that of
 * its home, in which it was not found. */
uint8_t *anybpf_find_away(const struct anybpf_table *table, uint32_t number, const void *key,
                          uint64_t hash, anybpf_tag_view view, struct anybpf_place *place);

/* The key's entry and place on one level. A slot that was live and is not stays so while the caller is
 * seated, so two equal views of the tags are a snapshot, and nothing can have slipped from a slot
 * not yet looked at to one that was. */
ANYBPF_IN_LINE uint8_t *anybpf_find_on_level(const struct anybpf_table *table, uint32_t number,
                                             const void *key, uint32_t key_size, uint64_t hash,
                                             struct anybpf_place *place)
{
    const struct anybpf_level *level = &table->level[number];
    uint32_t group = anybpf_home(level, hash);
    uint32_t favourite = anybpf_favourite(hash);
    uint8_t *entries = level->entries + (size_t)group * ANYBPF_TABLE_SLOTS * table->stride;
    uint8_t *entry;
    anybpf_tag_view view;

    __builtin_prefetch(entries + favourite * table->stride);
    view = anybpf_view_tags(&level->tags[group]);
    place->level = number;
    place->group = group;
    entry = anybpf_find_among(table, entries, anybpf_match(view, anybpf_tag(hash)), favourite, key,
                              key_size, &place->slot);
    if (__builtin_expect(entry != NULL, 1))
        return entry;
    if (anybpf_same_tags(view, anybpf_view_tags(&level->tags[group])) && anybpf_reach(view) == 0)
        return NULL;
    return anybpf_find_away(table, number, key, hash, view, place);
}

static inline uint32_t anybpf_table_levels(struct anybpf_map *map, struct anybpf_table *table)
{
    uint32_t levels = atomic_load_explicit(&table->levels, memory_order_acquire);

    if (__builtin_expect(
            atomic_load_explicit(&table->header->levels, memory_order_acquire) != levels, 0))
        return anybpf_table_catch_up(map);
    return levels;
}

/* Where a key is that hashes to `hash`, on more than one level. */
uint8_t *anybpf_find_on_levels(struct anybpf_map *map, const void *key, uint64_t hash,
                               uint32_t levels, struct anybpf_place *place);

ANYBPF_IN_LINE uint8_t *anybpf_find_sized(struct anybpf_map *map, const void *key,
                                          uint32_t key_size, uint64_t hash,
                                          struct anybpf_place *place)
{
    struct anybpf_table *table = map->private;
    uint32_t levels = anybpf_table_levels(map, table);

    if (__builtin_expect(levels == 1, 1))
        return anybpf_find_on_level(table, 0, key, key_size, hash, place);
    return anybpf_find_on_levels(map, key, hash, levels, place);
}

/* What one look at a key's home came to. */
enum anybpf_glance { ANYBPF_SEEN, ANYBPF_ABSENT, ANYBPF_UNSURE };

/* The commonest look-up, without loops or calls: on the first level, and of the slots whose tag
 * matches only the likeliest. What is there is there whatever else happens, so only the others make
 * sure that nothing did, and that there are no more levels. Seen: its entry and the index of that.
 * `stride` is the table's, which may be known. */
ANYBPF_IN_LINE enum anybpf_glance anybpf_glance(const struct anybpf_table *table, const void *key,
                                                uint32_t key_size, size_t stride, uint64_t hash,
                                                uint8_t **entry, size_t *index)
{
    const struct anybpf_level *level = &table->level[0];
    uint32_t group = anybpf_home(level, hash);
    uint32_t favourite = anybpf_favourite(hash);
    uint8_t *entries = level->entries + group * table->group_stride;
    anybpf_tag_view view;
    uint32_t slots;

    __builtin_prefetch(entries + favourite * stride);
    view = anybpf_view_tags(&level->tags[group]);
    slots = anybpf_match(view, anybpf_tag(hash));
    if (__builtin_expect(slots != 0, 1)) {
        uint32_t slot = anybpf_pick(slots, favourite);

        *index = (size_t)group * ANYBPF_TABLE_SLOTS + slot;
        *entry = entries + slot * stride;
        return __builtin_expect(anybpf_same_key(*entry, key, key_size), 1) ? ANYBPF_SEEN
                                                                           : ANYBPF_UNSURE;
    }
    if (anybpf_reach(view) == 0 && anybpf_same_tags(view, anybpf_view_tags(&level->tags[group])) &&
        atomic_load_explicit(&table->header->levels, memory_order_acquire) == 1)
        return ANYBPF_ABSENT;
    return ANYBPF_UNSURE;
}

/* LRU: it was used now. */
static inline void anybpf_touch_index(const struct anybpf_table *table, uint32_t level, size_t index)
{
    uint32_t now = atomic_load_explicit(&table->header->clock, memory_order_relaxed);
    _Atomic uint32_t *used = &table->level[level].used[index];

    if (atomic_load_explicit(used, memory_order_relaxed) != now)
        atomic_store_explicit(used, now, memory_order_relaxed);
}

static inline void anybpf_table_touch(const struct anybpf_table *table, struct anybpf_place place)
{
    anybpf_touch_index(table, place.level, anybpf_index(place));
}

#endif
