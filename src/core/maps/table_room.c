/* Slots for new entries: empty ones, and retired ones that nobody can know any more; and in LRU
 * maps, who makes way.
 *
 * A thread that retires more than there is room for in one sitting is itself the one who may still
 * know what was retired. When nobody else does, it gets those slots back: a program that goes on
 * using a pointer to what it deleted long ago finds another value there, as it would on Linux at
 * once.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "table_find.h"
#include "table_locks.h"

/* Slots of a group that may wait to be used again because of replaced values: not all that there is to
 * spare, so that there is something left for new keys. */
#define RETIRED_BY_REPLACING 3u

#define GROUPS_NEAR 8u
#define GROUPS_FAR 64u

/* Entries that an eviction looks at: the oldest of so many is among the oldest twelfth of all in
 * 19 of 20 cases. Maps of up to so many are exact. */
#define LRU_SAMPLE 32u
#define TRIES_TO_EVICT 1000u

#define PARTICIPANT_BITS 20u /* of a seat's word, domain_parts.h */

/* What is known of how far the past reaches. */
struct past {
    struct anybpf_domain *domain;
    uint32_t seat;
    bool without_me; /* what only the caller may know is past */
    bool looked;
    uint64_t oldest; /* stamps before this are past */
    uint64_t epoch;
};

static struct past past_of(struct anybpf_domain *domain, uint32_t seat, enum anybpf_effort effort)
{
    struct past past = {domain, seat, effort != ANYBPF_LOOK_NEAR && seat < domain->seats, false, 0, 0};

    past.oldest = atomic_load_explicit(&domain->header->oldest, memory_order_acquire);
    past.epoch = atomic_load_explicit(&domain->header->epoch, memory_order_acquire);
    return past;
}

static uint64_t seat_word(const struct past *past, uint32_t seat)
{
    return atomic_load(&past->domain->header->seat[seat].word);
}

/* Whether looking at everybody may help, for this stamp. */
static bool may_help(const struct past *past, uint64_t stamp)
{
    if (past->looked)
        return false;
    return past->without_me || past->seat >= past->domain->seats ||
           seat_word(past, past->seat) >> PARTICIPANT_BITS > stamp;
}

static uint32_t at_most(uint32_t number, uint32_t most)
{
    return number < most ? number : most;
}

static uint64_t earliest_other(const struct past *past, uint32_t first, uint32_t count,
                               uint64_t epoch)
{
    uint32_t i;

    for (i = first; i < first + count; i++) {
        uint64_t word = seat_word(past, i);

        if (i != past->seat && word != 0 && word >> PARTICIPANT_BITS < epoch)
            epoch = word >> PARTICIPANT_BITS;
    }
    return epoch;
}

static void look(struct past *past)
{
    struct anybpf_domain_header *header = past->domain->header;
    uint64_t epoch = atomic_load(&header->epoch);

    past->looked = true;
    anybpf_is_past(past->domain, epoch); /* moves the epoch on, and clears the seats of the dead */
    past->oldest = atomic_load_explicit(&header->oldest, memory_order_acquire);
    if (!past->without_me)
        return;
    epoch = earliest_other(past, 0, at_most(atomic_load(&header->used_cpus), past->domain->cpus),
                           epoch + 1);
    epoch = earliest_other(past, past->domain->cpus,
                           at_most(atomic_load(&header->used_guests), ANYBPF_GUEST_SEATS), epoch);
    if (epoch > past->oldest)
        past->oldest = epoch;
}

/* The whole epoch of a slot's stamp: the last one with these bits. That may be too late, which is
 * safe. */
static uint64_t epoch_of(const struct past *past, uint16_t stamp)
{
    return past->epoch - (uint16_t)((uint16_t)past->epoch - stamp);
}

static bool is_past(struct past *past, uint64_t stamp)
{
    if (stamp < past->oldest)
        return true;
    if (!may_help(past, stamp))
        return false;
    look(past);
    return stamp < past->oldest;
}

/* With the group's lock. ANYBPF_TABLE_SLOTS: none. */
static uint32_t pick_slot(struct anybpf_level *level, uint32_t group, uint32_t favourite,
                          uint32_t most_retired, struct past *past)
{
    anybpf_tag_view view = anybpf_view_tags(&level->tags[group]);
    struct anybpf_guard *guard = &level->guards[group];
    uint32_t empty = anybpf_match(view, ANYBPF_SLOT_EMPTY);
    uint32_t retired = anybpf_match(view, ANYBPF_SLOT_RETIRED);
    uint64_t oldest = UINT64_MAX;
    uint32_t slot = ANYBPF_TABLE_SLOTS;

    if ((uint32_t)__builtin_popcount(retired) >= most_retired)
        empty = 0;
    if ((empty >> favourite & 1) != 0)
        return favourite;
    if ((retired >> favourite & 1) != 0 &&
        epoch_of(past, atomic_load_explicit(&guard->stamp[favourite], memory_order_relaxed)) <
            past->oldest)
        return favourite;
    if (empty != 0)
        return anybpf_pick(empty, favourite); /* mostly in a line that a look-up fetches anyway */
    for (; retired != 0; retired &= retired - 1) {
        uint32_t i = anybpf_first(retired);
        uint64_t stamp =
            epoch_of(past, atomic_load_explicit(&guard->stamp[i], memory_order_relaxed));

        if (stamp < oldest) {
            oldest = stamp;
            slot = i;
        }
    }
    return slot < ANYBPF_TABLE_SLOTS && is_past(past, oldest) ? slot : ANYBPF_TABLE_SLOTS;
}

/* Locks beside that of the key's home on level 0. */

static bool try_beside(struct anybpf_map *map, uint32_t level, uint32_t group, uint32_t home0)
{
    return (level == 0 && group == home0) || anybpf_table_try_lock(map, level, group);
}

static void unlock_beside(struct anybpf_map *map, uint32_t level, uint32_t group, uint32_t home0)
{
    if (level != 0 || group != home0)
        anybpf_table_unlock(map, level, group);
}

bool anybpf_table_reach_for(struct anybpf_map *map, struct anybpf_place place, uint64_t hash,
                            struct anybpf_place *busy)
{
    struct anybpf_table *table = map->private;
    uint32_t home0 = anybpf_home(&table->level[0], hash);
    uint32_t home = anybpf_home(&table->level[place.level], hash);

    *busy = place;
    if (!try_beside(map, place.level, place.group, home0))
        return false;
    busy->group = home;
    if (home == place.group || try_beside(map, place.level, home, home0))
        return true;
    unlock_beside(map, place.level, place.group, home0);
    return false;
}

void anybpf_table_leave(struct anybpf_map *map, struct anybpf_place place, uint64_t hash)
{
    struct anybpf_table *table = map->private;
    uint32_t home0 = anybpf_home(&table->level[0], hash);
    uint32_t home = anybpf_home(&table->level[place.level], hash);

    if (home != place.group)
        unlock_beside(map, place.level, home, home0);
    unlock_beside(map, place.level, place.group, home0);
}

/* Room. */

static bool room_in(struct anybpf_map *map, struct anybpf_place *place, uint64_t hash,
                    struct past *past)
{
    struct anybpf_table *table = map->private;
    struct anybpf_level *level = &table->level[place->level];
    struct anybpf_place busy;

    if (anybpf_live(anybpf_view_tags(&level->tags[place->group])) == ANYBPF_TABLE_ALL_SLOTS ||
        !anybpf_table_reach_for(map, *place, hash, &busy))
        return false;
    place->slot = pick_slot(level, place->group, anybpf_favourite(hash),
                            ANYBPF_TABLE_SLOTS, past);
    if (place->slot < ANYBPF_TABLE_SLOTS)
        return true;
    anybpf_table_leave(map, *place, hash);
    return false;
}

bool anybpf_table_room(struct anybpf_map *map, uint64_t hash, uint32_t seat,
                       enum anybpf_effort effort, struct anybpf_place *place)
{
    struct anybpf_table *table = map->private;
    struct past past = past_of(map->domain, seat, effort);
    uint32_t levels = atomic_load_explicit(&table->levels, memory_order_acquire);
    uint32_t most = effort == ANYBPF_LOOK_NEAR  ? GROUPS_NEAR
                    : effort == ANYBPF_LOOK_FAR ? GROUPS_FAR
                                                : UINT32_MAX;
    uint32_t number;
    uint32_t distance;

    for (number = levels; number-- > 0;) {
        *place = (struct anybpf_place){number, anybpf_home(&table->level[number], hash), 0};
        if (room_in(map, place, hash, &past))
            return true;
    }
    for (number = levels; number-- > 0;) {
        uint32_t groups = table->level[number].groups;
        uint32_t home = anybpf_home(&table->level[number], hash);

        if (number + 1 < levels && effort != ANYBPF_LOOK_EVERYWHERE)
            break;
        for (distance = 1; distance < most && distance < groups; distance++) {
            *place = (struct anybpf_place){
                number, (uint32_t)(((uint64_t)home + distance) % groups), 0};
            if (room_in(map, place, hash, &past))
                return true;
        }
    }
    return false;
}

bool anybpf_table_neighbour(struct anybpf_map *map, struct anybpf_place place, uint32_t seat,
                            struct anybpf_place *neighbour)
{
    struct anybpf_table *table = map->private;
    struct past past = past_of(map->domain, seat, ANYBPF_LOOK_NEAR);

    *neighbour = place;
    neighbour->slot = pick_slot(&table->level[place.level], place.group, place.slot,
                                RETIRED_BY_REPLACING, &past);
    return neighbour->slot < ANYBPF_TABLE_SLOTS;
}

/* Who makes way. */

static struct anybpf_place group_at(const struct anybpf_table *table, uint32_t levels,
                                    uint64_t number)
{
    struct anybpf_place place = {0, 0, ANYBPF_TABLE_SLOTS};

    while (place.level + 1 < levels && number >= table->level[place.level].groups)
        number -= table->level[place.level++].groups;
    place.group = (uint32_t)(number % table->level[place.level].groups);
    return place;
}

/* The entry that was not used for longest, of those in the next few groups. */
static bool choose_victim(struct anybpf_map *map, struct anybpf_place *victim)
{
    struct anybpf_table *table = map->private;
    uint32_t levels = anybpf_table_levels(map, table);
    uint32_t now = atomic_load_explicit(&table->header->clock, memory_order_relaxed);
    uint32_t hand = atomic_load_explicit(&table->header->hand, memory_order_relaxed);
    uint32_t groups = (uint32_t)(table->level[levels - 1].capacity / ANYBPF_TABLE_FULL_GROUP);
    uint32_t most = 0;
    uint32_t seen = 0;
    uint32_t looked;

    victim->slot = ANYBPF_TABLE_SLOTS;
    for (looked = 0; looked < groups && seen < LRU_SAMPLE; looked++) {
        struct anybpf_place place = group_at(table, levels, ((uint64_t)hand + looked) % groups);
        struct anybpf_level *level = &table->level[place.level];
        uint32_t live = anybpf_live(anybpf_view_tags(&level->tags[place.group]));

        for (; live != 0; live &= live - 1) {
            uint32_t age;

            place.slot = anybpf_first(live);
            age = now - atomic_load_explicit(&level->used[anybpf_index(place)],
                                             memory_order_relaxed);
            if (age >= most) {
                most = age;
                *victim = place;
            }
            seen++;
        }
    }
    atomic_store_explicit(&table->header->hand, (uint32_t)(((uint64_t)hand + looked) % groups),
                          memory_order_relaxed);
    return victim->slot < ANYBPF_TABLE_SLOTS;
}

static bool remove_victim(struct anybpf_map *map, struct anybpf_place victim,
                          struct anybpf_place *busy)
{
    struct anybpf_table *table = map->private;
    uint64_t hash = anybpf_table_hash(table, anybpf_entry(table, victim), table->key_size);
    uint32_t home = anybpf_home(&table->level[0], hash);
    bool removed = false;

    *busy = (struct anybpf_place){0, home, 0};
    if (!anybpf_table_try_lock(map, 0, home))
        return false;
    if (anybpf_table_tag_at(&table->level[victim.level], victim.group, victim.slot) ==
            anybpf_tag(hash) &&
        anybpf_table_hash(table, anybpf_entry(table, victim), table->key_size) == hash &&
        anybpf_table_reach_for(map, victim, hash, busy)) {
        anybpf_table_remove(map, victim, hash);
        anybpf_table_leave(map, victim, hash);
        removed = true;
    }
    anybpf_table_unlock(map, 0, home);
    return removed;
}

bool anybpf_table_evict(struct anybpf_map *map)
{
    uint32_t tries;

    for (tries = 0; tries < TRIES_TO_EVICT; tries++) {
        struct anybpf_place victim;
        struct anybpf_place busy;

        if (!choose_victim(map, &victim))
            return false;
        if (remove_victim(map, victim, &busy))
            return true;
        if (tries % 8 == 7) { /* somebody is at it; if it died, put things in order */
            anybpf_table_lock(map, busy.level, busy.group);
            anybpf_table_unlock(map, busy.level, busy.group);
        }
    }
    return false;
}
