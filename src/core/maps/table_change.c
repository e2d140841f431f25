/* What is done to keys: set, deleted, taken.
 *
 * Whoever changes a key holds the lock of its home group on level 0 all the time, so one key's
 * changes come one after another.
 *
 * ANYBPF_NO_MEMORY of a change says that all slots there are to spare are retired, and that those who
 * are seated, perhaps the caller alone, keep them from being used again. Users leave their seat then,
 * synchronize, and try again.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "table_locks.h"
#include "table_store.h"

#include "../barrier.h"

#define TURNS_OF_ONLOOKER 100000u
#define WAIT_FOR_ROOM_NS UINT64_C(20000000)
#define WAITS_FOR_ROOM 3u

/* What an attempt came to besides an enum anybpf_status. */
enum { WAIT_FOR_LOCK = -1, FIND_ROOM = -2, EVICT = -3, GROW = -4, COUNT_AGAIN = -5 };

struct change {
    const void *key;
    const void *value;
    uint64_t flags;
    uint64_t hash;
    uint32_t seat;
    uint32_t copy;
    enum anybpf_effort effort;
    bool grown;                /* or cannot */
    struct anybpf_place busy;  /* WAIT_FOR_LOCK */
};

/* Filling a slot that nobody else knows. */

static void fill_value(struct anybpf_map *map, uint8_t *to, const void *from)
{
    struct anybpf_table *table = map->private;

    if (table->is_one_word) {
        uint64_t word = from == NULL ? 0 : anybpf_word_of(from, map->shape.value_size);

        __atomic_store_n((uint64_t *)(void *)to, word, __ATOMIC_RELAXED);
        return;
    }
    if (table->stays || from == NULL || table->value_stride != map->shape.value_size) {
        size_t i;

        for (i = 0; i < table->value_stride; i += 8)
            __atomic_store_n((uint64_t *)(void *)(to + i), 0, __ATOMIC_RELAXED);
    }
    if (from != NULL)
        anybpf_copy_value(&map->shape, to, from);
}

static void fill_entry(struct anybpf_map *map, struct anybpf_place place, const void *key,
                       const void *value, uint32_t copy)
{
    struct anybpf_table *table = map->private;
    uint32_t i;

    memcpy(anybpf_entry(table, place), key, table->key_size);
    if (table->copies == 1) {
        fill_value(map, anybpf_value(table, place, 0), value);
        return;
    }
    for (i = 0; i < table->copies; i++) {
        const uint8_t *from = value;

        if (copy == ANYBPF_ALL_COPIES_OF_ENTRY)
            from += i * table->value_stride;
        else if (i != copy)
            from = NULL;
        fill_value(map, anybpf_value(table, place, i), from);
    }
}

/* Entries come and go. */

static bool count_one(struct anybpf_map *map)
{
    _Atomic uint64_t *count = &map->header->count;
    uint64_t now = atomic_load_explicit(count, memory_order_relaxed);

    if (anybpf_table_of(map)->grows) {
        atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
        return true;
    }
    while (now < map->shape.max_entries)
        if (atomic_compare_exchange_weak_explicit(count, &now, now + 1, memory_order_relaxed,
                                                  memory_order_relaxed))
            return true;
    return false;
}

static int no_room_left(const struct anybpf_table *table)
{
    if (atomic_load(&table->header->recount) != 0)
        return COUNT_AGAIN;
    return table->is_lru ? EVICT : ANYBPF_FULL;
}

static int insert(struct anybpf_map *map, struct change *change)
{
    struct anybpf_table *table = map->private;
    uint32_t levels = atomic_load_explicit(&table->levels, memory_order_acquire);
    uint64_t count = atomic_load_explicit(&map->header->count, memory_order_relaxed);
    struct anybpf_place place;
    struct anybpf_level *level;
    uint32_t home;

    if ((change->flags & ANYBPF_EXIST) != 0)
        return ANYBPF_MISSING_KEY;
    if (table->grows && count >= table->level[levels - 1].capacity && !change->grown)
        return GROW;
    if (!table->grows && count >= map->shape.max_entries)
        return no_room_left(table);
    if (!anybpf_table_room(map, change->hash, change->seat, change->effort, &place))
        return FIND_ROOM;
    if (!count_one(map)) {
        anybpf_table_leave(map, place, change->hash);
        return no_room_left(table);
    }
    level = &table->level[place.level];
    fill_entry(map, place, change->key, change->value, change->copy);
    if (table->is_lru)
        atomic_store_explicit(
            &level->used[anybpf_index(place)],
            atomic_fetch_add_explicit(&table->header->clock, 1, memory_order_relaxed) + 1,
            memory_order_relaxed);
    home = anybpf_home(level, change->hash);
    if (home != place.group) {
        struct anybpf_guard *guard = &level->guards[home];
        uint32_t distance =
            place.group > home ? place.group - home : place.group + level->groups - home;

        atomic_fetch_add_explicit(&guard->away, 1, memory_order_relaxed);
        if (distance > atomic_load_explicit(&guard->reach, memory_order_relaxed))
            anybpf_table_set_reach(level, home, distance);
    }
    anybpf_table_set_tag(level, place.group, place.slot, anybpf_tag(change->hash));
    anybpf_table_leave(map, place, change->hash);
    return ANYBPF_OK;
}

void anybpf_table_remove(struct anybpf_map *map, struct anybpf_place place, uint64_t hash)
{
    struct anybpf_table *table = map->private;
    struct anybpf_level *level = &table->level[place.level];
    uint32_t home = anybpf_home(level, hash);

    anybpf_table_retire(map, place);
    if (home != place.group &&
        atomic_fetch_sub_explicit(&level->guards[home].away, 1, memory_order_relaxed) == 1)
        anybpf_table_set_reach(level, home, 0);
    atomic_fetch_sub_explicit(&map->header->count, 1, memory_order_relaxed);
}

/* Another entry for the same key, in the same group. False: there is no slot for it now. */
static bool replace(struct anybpf_map *map, struct change *change, struct anybpf_place old)
{
    struct anybpf_table *table = map->private;
    struct anybpf_level *level = &table->level[old.level];
    struct anybpf_guard *guard = &level->guards[old.group];
    bool at_home = old.level == 0 && old.group == anybpf_home(level, change->hash);
    struct anybpf_place new;

    if (!at_home && !anybpf_table_try_lock(map, old.level, old.group))
        return false;
    if (!anybpf_table_neighbour(map, old, change->seat, &new)) {
        if (!at_home)
            anybpf_table_unlock(map, old.level, old.group);
        return false;
    }
    fill_entry(map, new, change->key, change->value, change->copy);
    if (table->is_lru)
        atomic_store_explicit(
            &level->used[anybpf_index(new)],
            atomic_load_explicit(&table->header->clock, memory_order_relaxed),
            memory_order_relaxed);
    atomic_store_explicit(&guard->replacing, old.slot + 1, memory_order_relaxed);
    anybpf_table_set_tag(level, new.group, new.slot, anybpf_tag(change->hash));
    anybpf_table_retire(map, old);
    atomic_store_explicit(&guard->replacing, 0, memory_order_release);
    if (!at_home)
        anybpf_table_unlock(map, old.level, old.group);
    return true;
}

static int change_existing(struct anybpf_map *map, struct change *change, struct anybpf_place place)
{
    struct anybpf_table *table = map->private;

    if ((change->flags & ANYBPF_NOEXIST) != 0)
        return ANYBPF_EXISTS;
    if (table->is_one_word || table->stays || table->copies > 1 || !replace(map, change, place)) {
        anybpf_table_store(map, place, change->copy, change->value, change->hash);
        if (table->is_lru)
            anybpf_table_touch(table, place);
    }
    return ANYBPF_OK;
}

static bool find(struct anybpf_map *map, const void *key, uint64_t hash, struct anybpf_place *place)
{
    struct anybpf_table *table = map->private;

    switch (table->key_size) {
    case 4:
        return anybpf_find_sized(map, key, 4, hash, place);
    case 8:
        return anybpf_find_sized(map, key, 8, hash, place);
    default:
        return anybpf_find_sized(map, key, table->key_size, hash, place);
    }
}

/* Until nobody who is seated can know what is retired now; not for long: the caller may be seated. */
static void wait_for_room(struct anybpf_map *map)
{
    uint64_t stamp = anybpf_stamp(map->domain);
    uint64_t start = anybpf_clock_ns(ANYBPF_MONOTONIC);
    uint32_t turn = 0;

    while (!anybpf_is_past(map->domain, stamp) &&
           anybpf_clock_ns(ANYBPF_MONOTONIC) - start < WAIT_FOR_ROOM_NS)
        anybpf_back_off(turn++);
}

static int update_slowly(struct anybpf_map *map, struct change *change)
{
    struct anybpf_table *table = map->private;
    uint32_t home = anybpf_home(&table->level[0], change->hash);
    uint32_t waits = 0;
    uint32_t turn = 0;

    for (;;) {
        struct anybpf_place place;
        uint32_t levels;
        int status;

        anybpf_table_lock(map, 0, home);
        if (find(map, change->key, change->hash, &place))
            status = change_existing(map, change, place);
        else
            status = insert(map, change);
        anybpf_table_unlock(map, 0, home);
        switch (status) {
        case GROW:
            levels = atomic_load(&table->levels);
            change->grown = !anybpf_table_grow(map, levels);
            break;
        case EVICT:
            if (!anybpf_table_evict(map) && turn++ > WAITS_FOR_ROOM)
                return ANYBPF_FULL;
            break;
        case COUNT_AGAIN:
            anybpf_table_recount(map);
            break;
        case FIND_ROOM:
            if (change->effort != ANYBPF_LOOK_EVERYWHERE) {
                change->effort++;
                break;
            }
            if (waits++ > 0 && !anybpf_table_grow(map, atomic_load(&table->levels)) &&
                waits > WAITS_FOR_ROOM)
                return ANYBPF_NO_MEMORY;
            wait_for_room(map);
            break;
        default:
            return status;
        }
    }
}

/* With a value's own lock, which comes before the table's. */
static int update_with_lock(struct anybpf_map *map, struct change *change)
{
    struct anybpf_table *table = map->private;
    uint32_t home = anybpf_home(&table->level[0], change->hash);
    uint64_t flags = change->flags & ~(uint64_t)ANYBPF_WITH_LOCK;

    for (;;) {
        struct anybpf_place place;
        struct anybpf_place again;
        bool same;
        void *value;
        int status;

        if (!find(map, change->key, change->hash, &place)) {
            change->flags = (flags & ANYBPF_EXIST) != 0 ? flags : flags | ANYBPF_NOEXIST;
            status = update_slowly(map, change);
            if (status == ANYBPF_EXISTS && (flags & ANYBPF_NOEXIST) == 0)
                continue;
            return status;
        }
        if ((flags & ANYBPF_NOEXIST) != 0)
            return ANYBPF_EXISTS;
        value = anybpf_value(table, place, 0);
        anybpf_value_lock(map, value);
        anybpf_table_lock(map, 0, home);
        same = find(map, change->key, change->hash, &again) &&
               anybpf_value(table, again, 0) == value;
        if (same)
            anybpf_table_store(map, place, change->copy, change->value, change->hash);
        anybpf_table_unlock(map, 0, home);
        anybpf_value_unlock(map, value);
        if (same)
            return ANYBPF_OK;
    }
}

static inline __attribute__((always_inline)) int
update_sized(struct anybpf_map *map, const void *key, uint32_t key_size, const void *value,
             uint64_t flags, uint32_t seat, uint32_t copy)
{
    struct anybpf_table *table = map->private;
    uint64_t hash = anybpf_table_hash(table, key, key_size);
    struct change change = {.key = key, .value = value, .flags = flags, .hash = hash,
                            .seat = seat, .copy = copy, .effort = ANYBPF_LOOK_NEAR};

    if (__builtin_expect(flags == ANYBPF_ANY, 1)) {
        if (table->is_one_word && table->copies == 1 && table->value_offset != SIZE_MAX &&
            atomic_load_explicit(&table->header->levels, memory_order_acquire) == 1) {
            /* The common case: no locks but one, one store. */
            uint32_t home = anybpf_home(&table->level[0], hash);
            struct anybpf_place place;
            uint8_t *entry;

            anybpf_table_lock(map, 0, home);
            entry = anybpf_find_on_level(table, 0, key, key_size, hash, &place);
            if (entry != NULL) {
                anybpf_table_store_word(entry + table->value_offset, value, map->shape.value_size);
                if (table->is_lru)
                    anybpf_table_touch(table, place);
            }
            anybpf_table_unlock(map, 0, home);
            if (entry != NULL)
                return ANYBPF_OK;
        }
    } else {
        int status = anybpf_check_update_flags(map, flags);

        if (status != ANYBPF_OK)
            return status;
        if ((flags & ANYBPF_WITH_LOCK) != 0)
            return update_with_lock(map, &change);
    }
    return update_slowly(map, &change);
}

int anybpf_table_update(struct anybpf_map *map, const void *key, const void *value, uint64_t flags,
                        uint32_t seat, uint32_t copy)
{
    switch (anybpf_table_of(map)->key_size) {
    case 4:
        return update_sized(map, key, 4, value, flags, seat, copy);
    case 8:
        return update_sized(map, key, 8, value, flags, seat, copy);
    default:
        return update_sized(map, key, anybpf_table_of(map)->key_size, value, flags, seat, copy);
    }
}

int anybpf_table_write(struct anybpf_map *map, const void *key, const void *value, uint64_t flags)
{
    return anybpf_table_update(map, key, value, flags, ANYBPF_NO_SEAT, ANYBPF_ALL_COPIES_OF_ENTRY);
}

/* Until no program changes a value that it found before now, without a lock. A seat that is empty is
 * not busy: after a fork, its word may say so for ever. */
static void wait_for_busy(struct anybpf_map *map)
{
    struct anybpf_table *table = map->private;
    struct anybpf_domain *domain = map->domain;
    uint32_t cpu;

    if (table->busy == NULL)
        return;
    anybpf_barrier();
    for (cpu = 0; cpu < domain->cpus; cpu++) {
        uint32_t turn = 0;

        while (atomic_load_explicit(&table->busy[cpu].word, memory_order_acquire) != 0 &&
               atomic_load(&domain->header->seat[cpu].word) != 0 && turn < TURNS_OF_ONLOOKER)
            anybpf_back_off(turn++);
    }
}

/* Deletes; then copies the value to `value` unless that is NULL. */
static int remove_key(struct anybpf_map *map, const void *key, void *value)
{
    struct anybpf_table *table = map->private;
    uint64_t hash = anybpf_table_hash(table, key, table->key_size);
    uint32_t home = anybpf_home(&table->level[0], hash);
    uint32_t turn = 0;

    for (;;) {
        struct anybpf_place place;
        struct anybpf_place busy;
        int status = ANYBPF_MISSING_KEY;

        anybpf_table_lock(map, 0, home);
        if (find(map, key, hash, &place)) {
            status = WAIT_FOR_LOCK;
            if (anybpf_table_reach_for(map, place, hash, &busy)) {
                status = ANYBPF_OK;
                anybpf_table_remove(map, place, hash);
                if (value != NULL) { /* the slot is ours as long as we have the locks */
                    wait_for_busy(map);
                    status = anybpf_table_copy_out(map, place, hash, true, value);
                }
                anybpf_table_leave(map, place, hash);
            }
        }
        anybpf_table_unlock(map, 0, home);
        if (status != WAIT_FOR_LOCK)
            return status;
        anybpf_table_lock(map, busy.level, busy.group);
        anybpf_table_unlock(map, busy.level, busy.group);
        anybpf_back_off(turn++);
    }
}

int anybpf_table_erase(struct anybpf_map *map, const void *key, uint32_t seat)
{
    (void)seat;
    return remove_key(map, key, NULL);
}

int anybpf_table_take(struct anybpf_map *map, const void *key, void *value)
{
    int status = remove_key(map, key, value);

    return status == ANYBPF_MISSING_KEY ? ANYBPF_MISSING : status;
}

int anybpf_table_update_own(struct anybpf_map *map, const void *key, const void *value,
                            uint64_t flags, uint32_t seat)
{
    if (seat >= anybpf_table_of(map)->copies)
        return ANYBPF_NOT_SUPPORTED;
    return anybpf_table_update(map, key, value, flags, seat, seat);
}
