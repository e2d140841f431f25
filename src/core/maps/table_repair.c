/* A table's locks: what is done with them, and what is put in order when their holder died.
 *
 * Whatever a writer does, it does in an order that leaves one of a few states, and the next who
 * takes the lock tells which:
 *   - a slot being filled is empty until its tag is published: nothing to do;
 *   - a successor published, its predecessor not yet retired: the guard says which slot that was;
 *   - retired without a stamp: it gets today's;
 *   - counted as away, and not: they are counted;
 *   - a value changed half in place: the journal has it whole;
 *   - the number of entries raised too early, or lowered too late: all are counted.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "table_find.h"
#include "table_locks.h"

void anybpf_table_set_tag(struct anybpf_level *level, uint32_t group, uint32_t slot, uint32_t tag)
{
    _Atomic uint64_t *word = &level->tags[group].word[slot / 8];
    uint64_t old = atomic_load_explicit(word, memory_order_relaxed);
    uint32_t shift = slot % 8 * 8;

    atomic_store_explicit(word, (old & ~(UINT64_C(0xff) << shift)) | (uint64_t)tag << shift,
                          memory_order_release);
}

void anybpf_table_set_reach(struct anybpf_level *level, uint32_t home, uint32_t reach)
{
    _Atomic uint64_t *word = &level->tags[home].word[1];
    uint64_t old = atomic_load_explicit(word, memory_order_relaxed);
    uint64_t byte = reach < ANYBPF_REACH_FAR ? reach : ANYBPF_REACH_FAR;

    atomic_store_explicit(&level->guards[home].reach, reach, memory_order_relaxed);
    atomic_store_explicit(word,
                          (old & ~(UINT64_C(0xff) << ANYBPF_REACH_SHIFT)) |
                              byte << ANYBPF_REACH_SHIFT,
                          memory_order_release);
}

/* Values in place. */

static struct anybpf_journal *journal_at(const struct anybpf_table *table, uint32_t number)
{
    return (struct anybpf_journal *)(void *)(table->journal + number * table->journal_stride);
}

static uint8_t *journal_data(struct anybpf_journal *journal)
{
    return (uint8_t *)(journal + 1);
}

static void copy_to_place(struct anybpf_map *map, struct anybpf_place place, uint32_t copy,
                          const uint8_t *from)
{
    struct anybpf_table *table = map->private;
    uint32_t i;

    if (table->copies == 1 || copy != ANYBPF_ALL_COPIES_OF_ENTRY) {
        anybpf_copy_value(&map->shape,
                          anybpf_value(table, place, table->copies == 1 ? 0 : copy), from);
        return;
    }
    for (i = 0; i < table->copies; i++)
        anybpf_copy_value(&map->shape, anybpf_value(table, place, i),
                          from + i * table->value_stride);
}

/* With its lock. Nothing in it is trusted. */
static void redo(struct anybpf_map *map, struct anybpf_journal *journal)
{
    struct anybpf_table *table = map->private;
    uint32_t number = atomic_load(&journal->level);
    uint32_t copy = atomic_load(&journal->copy);
    uint64_t index = atomic_load(&journal->index);

    if (atomic_load_explicit(&journal->marked, memory_order_acquire) == 0)
        return;
    if (number < atomic_load(&table->levels) &&
        index < (uint64_t)table->level[number].groups * ANYBPF_TABLE_SLOTS &&
        (copy == ANYBPF_ALL_COPIES_OF_ENTRY || copy < table->copies)) {
        struct anybpf_place place = {number, (uint32_t)(index / ANYBPF_TABLE_SLOTS),
                                     (uint32_t)(index % ANYBPF_TABLE_SLOTS)};

        copy_to_place(map, place, copy, journal_data(journal));
    }
    atomic_store_explicit(&journal->marked, 0, memory_order_release);
}

static void lock_journal(struct anybpf_map *map, struct anybpf_journal *journal)
{
    if (anybpf_lock_take(map->domain, &journal->lock))
        redo(map, journal);
}

void anybpf_table_store_by_journal(struct anybpf_map *map, struct anybpf_place place,
                                   uint32_t copy, const void *value, uint64_t hash)
{
    struct anybpf_table *table = map->private;
    uint32_t home = anybpf_home(&table->level[0], hash);
    struct anybpf_guard *guard = &table->level[0].guards[home];
    struct anybpf_journal *journal;
    bool all = copy == ANYBPF_ALL_COPIES_OF_ENTRY;
    uint32_t version;

    journal = journal_at(table, home % table->journals);
    lock_journal(map, journal);
    anybpf_copy_to_shared(journal_data(journal), value,
                          all && table->copies > 1 ? table->copies * table->value_stride
                                                   : map->shape.value_size);
    atomic_store_explicit(&journal->level, place.level, memory_order_relaxed);
    atomic_store_explicit(&journal->index, anybpf_index(place), memory_order_relaxed);
    atomic_store_explicit(&journal->copy, copy, memory_order_relaxed);
    atomic_store_explicit(&journal->marked, 1, memory_order_release);
    version = atomic_load_explicit(&guard->version, memory_order_relaxed);
    atomic_store_explicit(&guard->version, version | 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    copy_to_place(map, place, copy, value);
    atomic_store_explicit(&guard->version, (version | 1) + 1, memory_order_release);
    atomic_store_explicit(&journal->marked, 0, memory_order_release);
    anybpf_lock_give(&journal->lock);
}

/* Slots. */

static void stamp_slot(struct anybpf_map *map, struct anybpf_guard *guard, uint32_t slot)
{
    atomic_store_explicit(&guard->stamp[slot], (uint16_t)anybpf_stamp(map->domain),
                          memory_order_relaxed);
}

void anybpf_table_retire(struct anybpf_map *map, struct anybpf_place place)
{
    struct anybpf_table *table = map->private;
    struct anybpf_level *level = &table->level[place.level];

    anybpf_table_set_tag(level, place.group, place.slot, ANYBPF_SLOT_RETIRED);
    stamp_slot(map, &level->guards[place.group], place.slot);
}

/* Repair. */

static void finish_replacement(struct anybpf_map *map, uint32_t number, uint32_t group)
{
    struct anybpf_table *table = map->private;
    struct anybpf_level *level = &table->level[number];
    struct anybpf_guard *guard = &level->guards[group];
    uint32_t replacing = atomic_load(&guard->replacing);
    struct anybpf_place old = {number, group, replacing - 1};
    uint32_t live = anybpf_live(anybpf_view_tags(&level->tags[group]));

    if (replacing != 0 && old.slot < ANYBPF_TABLE_SLOTS && (live >> old.slot & 1) != 0) {
        for (live &= ~(1u << old.slot); live != 0; live &= live - 1) {
            struct anybpf_place new = {number, group, anybpf_first(live)};

            if (anybpf_same_key(anybpf_entry(table, new), anybpf_entry(table, old),
                                table->key_size)) {
                anybpf_table_retire(map, old);
                break;
            }
        }
    }
    atomic_store(&guard->replacing, 0);
}

/* With the lock of a group whose holder died. */
void anybpf_table_repair(struct anybpf_map *map, uint32_t number, uint32_t group)
{
    struct anybpf_table *table = map->private;
    struct anybpf_level *level = &table->level[number];
    struct anybpf_guard *guard = &level->guards[group];
    uint32_t retired;
    uint32_t version;
    uint32_t away;
    uint32_t furthest;

    atomic_store(&table->header->recount, 1);
    if (table->journals > 0 && number == 0) {
        struct anybpf_journal *journal = journal_at(table, group % table->journals);

        lock_journal(map, journal);
        anybpf_lock_give(&journal->lock);
    }
    version = atomic_load(&guard->version);
    atomic_store(&guard->version, version + (version & 1));
    retired = anybpf_match(anybpf_view_tags(&level->tags[group]), ANYBPF_SLOT_RETIRED);
    for (; retired != 0; retired &= retired - 1)
        stamp_slot(map, guard, anybpf_first(retired));
    finish_replacement(map, number, group);
    anybpf_table_count_away(map, number, group, &away, &furthest);
    atomic_store(&guard->away, away);
    anybpf_table_set_reach(level, group, furthest);
}

/* Everything. */

void anybpf_table_settle(struct anybpf_map *map, const void *value)
{
    struct anybpf_table *table = map->private;
    const void *key = anybpf_table_key_of(map, value);
    uint32_t home;

    if (key == NULL)
        return;
    home = anybpf_home(&table->level[0], anybpf_table_hash(table, key, table->key_size));
    anybpf_table_lock(map, 0, home);
    anybpf_table_unlock(map, 0, home);
}

uint32_t anybpf_table_lock_all(struct anybpf_map *map)
{
    struct anybpf_table *table = map->private;
    uint32_t levels;
    uint32_t number;
    uint32_t group;

    anybpf_lock_take(map->domain, &map->header->lock); /* so that it does not grow */
    levels = anybpf_table_levels(map, table);
    for (number = 0; number < levels; number++)
        for (group = 0; group < table->level[number].groups; group++)
            anybpf_table_lock(map, number, group);
    return levels;
}

void anybpf_table_unlock_all(struct anybpf_map *map, uint32_t levels)
{
    struct anybpf_table *table = map->private;
    uint32_t number;
    uint32_t group;

    for (number = 0; number < levels; number++)
        for (group = 0; group < table->level[number].groups; group++)
            anybpf_table_unlock(map, number, group);
    anybpf_lock_give(&map->header->lock);
}

void anybpf_table_count_again(struct anybpf_map *map, uint32_t levels)
{
    struct anybpf_table *table = map->private;
    uint64_t count = 0;
    uint32_t number;
    uint32_t group;

    for (number = 0; number < levels; number++)
        for (group = 0; group < table->level[number].groups; group++)
            count += (uint32_t)__builtin_popcount(
                anybpf_live(anybpf_view_tags(&table->level[number].tags[group])));
    atomic_store(&map->header->count, count);
    atomic_store(&table->header->recount, 0);
}

void anybpf_table_recount(struct anybpf_map *map)
{
    uint32_t levels = anybpf_table_lock_all(map);

    anybpf_table_count_again(map, levels);
    anybpf_table_unlock_all(map, levels);
}
