/* Whether a table is as it should be: for tests, and after somebody died.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "table_find.h"

#include <stdarg.h>
#include <stdio.h>

static uint64_t hash_at(const struct anybpf_table *table, struct anybpf_place place)
{
    return anybpf_table_hash(table, anybpf_entry(table, place), table->key_size);
}

void anybpf_table_count_away(struct anybpf_map *map, uint32_t number, uint32_t home,
                             uint32_t *away, uint32_t *furthest)
{
    struct anybpf_table *table = map->private;
    struct anybpf_level *level = &table->level[number];
    uint32_t reach = atomic_load(&level->guards[home].reach);
    uint32_t distance;

    *away = 0;
    *furthest = 0;
    if (reach >= level->groups)
        reach = level->groups - 1;
    for (distance = 1; distance <= reach; distance++) {
        struct anybpf_place place = {number, 0, 0};
        uint32_t live;

        place.group = (uint32_t)(((uint64_t)home + distance) % level->groups);
        live = anybpf_live(anybpf_view_tags(&level->tags[place.group]));
        for (; live != 0; live &= live - 1) {
            place.slot = anybpf_first(live);
            if (anybpf_home(level, hash_at(table, place)) == home) {
                ++*away;
                *furthest = distance;
            }
        }
    }
}

__attribute__((format(printf, 3, 4))) static bool no(char *why, size_t size, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(why, size, format, arguments);
    va_end(arguments);
    return false;
}

static bool check_slot(struct anybpf_map *map, struct anybpf_place place, uint32_t tag, char *why,
                       size_t size)
{
    struct anybpf_table *table = map->private;
    struct anybpf_level *level = &table->level[place.level];
    uint64_t hash = hash_at(table, place);
    uint32_t home = anybpf_home(level, hash);
    uint32_t distance = place.group >= home ? place.group - home
                                            : place.group + level->groups - home;
    uint32_t found = 0;
    uint32_t number;

    if (anybpf_tag(hash) != tag)
        return no(why, size, "level %u group %u slot %u: tag %#x, but the key's is %#x",
                  place.level, place.group, place.slot, tag, anybpf_tag(hash));
    if (distance > atomic_load(&level->guards[home].reach))
        return no(why, size, "level %u group %u slot %u: out of reach of its home %u", place.level,
                  place.group, place.slot, home);
    for (number = atomic_load(&table->levels); number-- > 0;) {
        struct anybpf_place other;

        if (anybpf_find_on_level(table, number, anybpf_entry(table, place), table->key_size, hash,
                                 &other)) {
            found++;
            if (other.level != place.level || other.group != place.group ||
                other.slot != place.slot)
                return no(why, size, "level %u group %u slot %u: its key is at %u/%u/%u as well",
                          place.level, place.group, place.slot, other.level, other.group,
                          other.slot);
        }
    }
    if (found != 1)
        return no(why, size, "level %u group %u slot %u: found %u times", place.level, place.group,
                  place.slot, found);
    return true;
}

static bool check_group(struct anybpf_map *map, uint32_t number, uint32_t group, uint64_t *count,
                        char *why, size_t size)
{
    struct anybpf_table *table = map->private;
    struct anybpf_level *level = &table->level[number];
    struct anybpf_guard *guard = &level->guards[group];
    uint32_t away = atomic_load(&guard->away);
    uint32_t reach = atomic_load(&guard->reach);
    uint32_t byte = anybpf_reach(anybpf_view_tags(&level->tags[group]));
    uint32_t counted;
    uint32_t furthest;
    uint32_t slot;

    if ((atomic_load(&guard->version) & 1) != 0)
        return no(why, size, "level %u group %u: a value is being changed", number, group);
    if (atomic_load(&guard->replacing) != 0)
        return no(why, size, "level %u group %u: an entry is being replaced", number, group);
    if (byte != (reach < ANYBPF_REACH_FAR ? reach : ANYBPF_REACH_FAR) || (away == 0) != (reach == 0))
        return no(why, size, "level %u group %u: %u away, reach %u, %u with the tags", number,
                  group, away, reach, byte);
    anybpf_table_count_away(map, number, group, &counted, &furthest);
    if (counted != away || furthest > reach)
        return no(why, size, "level %u group %u: %u away, but %u counted", number, group, away,
                  counted);
    for (slot = 0; slot < ANYBPF_TABLE_SLOTS; slot++) {
        uint32_t tag = anybpf_table_tag_at(level, group, slot);

        if (tag == ANYBPF_SLOT_EMPTY || tag == ANYBPF_SLOT_RETIRED)
            continue;
        if ((tag & ANYBPF_SLOT_LIVE) == 0)
            return no(why, size, "level %u group %u slot %u: a tag of %#x", number, group, slot,
                      tag);
        ++*count;
        if (!check_slot(map, (struct anybpf_place){number, group, slot}, tag, why, size))
            return false;
    }
    return true;
}

static bool check_all(struct anybpf_map *map, uint32_t levels, char *why, size_t size)
{
    struct anybpf_table *table = map->private;
    uint64_t count = 0;
    uint32_t number;
    uint32_t group;

    for (number = 0; number < levels; number++)
        for (group = 0; group < table->level[number].groups; group++)
            if (!check_group(map, number, group, &count, why, size))
                return false;
    if (count != atomic_load(&map->header->count))
        return no(why, size, "%llu entries, but %llu counted",
                  (unsigned long long)atomic_load(&map->header->count), (unsigned long long)count);
    if (((map->shape.flags & ANYBPF_GROWS) == 0 || table->is_lru) &&
        count > map->shape.max_entries)
        return no(why, size, "%llu entries where there may be %u", (unsigned long long)count,
                  map->shape.max_entries);
    for (number = 0; number < table->journals; number++) {
        const struct anybpf_journal *journal =
            (const void *)(table->journal + number * table->journal_stride);

        if (atomic_load(&journal->marked) != 0)
            return no(why, size, "journal %u: is marked", number);
    }
    return true;
}

bool anybpf_table_check(struct anybpf_map *map, char *why, size_t size)
{
    struct anybpf_table *table = map->private;
    uint32_t levels;
    bool good;

    if (!map->segment.writable)
        return check_all(map, anybpf_table_levels(map, table), why, size);
    levels = anybpf_table_lock_all(map);
    if (atomic_load(&table->header->recount) != 0)
        anybpf_table_count_again(map, levels);
    good = check_all(map, levels, why, size);
    anybpf_table_unlock_all(map, levels);
    return good;
}
