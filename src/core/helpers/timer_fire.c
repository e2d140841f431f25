/* Running the callbacks of timers that are due, and waiting for those that run.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "helpers.h"
#include "timer_list.h"

#include <stdlib.h>

#define LOOK_AT_RUN_NS 1000000 /* how long a canceller sleeps before it looks whether it must stop */

/* The callbacks that this thread is in, the innermost first: a helper of the host's may run further
 * programs in the middle of one, on another seat. */
struct firing {
    const struct anybpf_timers *timers;
    uint32_t index;
    struct firing *outer;
};
static _Thread_local struct firing *firing_here;

bool timers_must_not_wait(const struct anybpf_timers *timers, uint32_t index)
{
    const struct firing *own;

    for (own = firing_here; own != NULL; own = own->outer)
        if (own->timers == timers &&
            (own->index == index || timers->entry[own->index].awaited > 0))
            return true;
    return false;
}

void timers_wait_for_callback(struct anybpf_run *run, struct anybpf_timers *timers, uint32_t index)
{
    uint32_t firings = timers->entry[index].firings;
    uint32_t in_callback = firing_here != NULL;
    bool goes_on = true;

    timers->waiters++;
    timers->entry[index].awaited += in_callback;
    while (goes_on && timers->entry[index].firing && timers->entry[index].firings == firings) {
        uint32_t ended = atomic_load(&timers->ended);

        timers_unlock(timers);
        anybpf_wait(&timers->ended, ended, LOOK_AT_RUN_NS);
        goes_on = anybpf_next_slice(run);
        timers_lock(timers);
    }
    if (timers->entry[index].firing && timers->entry[index].firings == firings)
        timers->entry[index].awaited -= in_callback;
    timers->waiters--;
}

/* Finds the key of a timer's value by looking at every entry: for kinds that cannot tell. */
struct key_search {
    const void *value;
    void *key;
    uint32_t key_size;
    bool found;
};

static int is_the_value(void *arg, const void *key, void *value)
{
    struct key_search *search = arg;

    if (value != search->value)
        return 0;
    anybpf_copy_from_shared(search->key, key, search->key_size);
    search->found = true;
    return 1;
}

static bool find_key(struct anybpf_map *map, const void *value, uint32_t seat, void *key)
{
    struct key_search search = {value, key, map->shape.key_size, false};

    if (map->ops->key_of != NULL) {
        const void *found = map->ops->key_of(map, value);

        if (found != NULL)
            anybpf_copy_from_shared(key, found, map->shape.key_size);
        return found != NULL;
    }
    if (map->ops->each != NULL)
        map->ops->each(map, seat, is_the_value, &search);
    return search.found;
}

/* Runs one callback. False: its map, value or program are gone. */
static bool run_callback(struct anybpf_run *run, const struct timer_entry *entry)
{
    struct anybpf_object *program = anybpf_find(run->domain, entry->program);
    struct anybpf_object *object = anybpf_find(run->domain, entry->map);
    struct anybpf_map *map = (struct anybpf_map *)(void *)object;
    uint8_t *value;
    void *key;
    bool found;

    if (program == NULL || program->kind != ANYBPF_OBJECT_PROGRAM || object == NULL ||
        object->kind != ANYBPF_OBJECT_MAP || map->values == NULL ||
        entry->timer < (uintptr_t)map->values ||
        entry->timer - (uintptr_t)map->values >= map->values_size)
        return false;
    value = (uint8_t *)entry->timer - map->shape.timer_offset;
    run->program = (const struct anybpf_program *)(const void *)program;
    key = anybpf_scratch_take(run, map->shape.key_size);
    if (key == NULL)
        return false;
    found = find_key(map, value, run->seat, key);
    if (found) {
        anybpf_map_found(run, map);
        run->call(run, entry->callback, (uint64_t)(uintptr_t)map, (uint64_t)(uintptr_t)key,
                  (uint64_t)(uintptr_t)value, 0, 0);
        anybpf_release_held(run);
    }
    anybpf_scratch_give(run, key);
    return found;
}

/* The earliest that is due, no more active, marked as firing; false: none. */
static bool take_due(struct anybpf_timers *timers, uint64_t now, uint32_t *index,
                     struct timer_entry *copy)
{
    struct timer_entry *due = NULL;
    uint32_t i;

    timers_lock(timers);
    for (i = 0; i < timers->count; i++) {
        struct timer_entry *entry = &timers->entry[i];

        if (entry->active && entry->when <= now && !entry->firing &&
            (due == NULL || entry->when < due->when))
            due = entry;
    }
    if (due != NULL) {
        due->active = false;
        due->firing = true;
        due->firings++;
        *index = (uint32_t)(due - timers->entry);
        *copy = *due;
    }
    timers_unlock(timers);
    return due != NULL;
}

static void fired(struct anybpf_timers *timers, uint32_t index, bool gone)
{
    struct timer_entry *entry;
    bool awaited;

    timers_lock(timers);
    entry = &timers->entry[index];
    entry->firing = false;
    entry->awaited = 0;
    if (gone || !entry->used)
        timers_drop(timers, entry);
    awaited = timers->waiters > 0;
    if (awaited)
        atomic_fetch_add(&timers->ended, 1);
    timers_unlock(timers);
    if (awaited)
        anybpf_wake(&timers->ended, true);
}

/* Runs one that was taken. Whether its map, value and program were there. */
static bool fire(struct anybpf_timers *timers, struct anybpf_run *run, uint32_t index,
                 const struct timer_entry *entry)
{
    struct firing here = {timers, index, firing_here};
    struct timer_words words;
    bool there;

    /* The memory is there as long as the map is; then the number tells whether it is still the same
     * timer. */
    if (anybpf_find(timers->domain, entry->map) == NULL)
        return false;
    words = timers_words_at(entry->timer);
    if (words.number != ((uint64_t)entry->generation << 32 | (index + 1u)) ||
        !timers_are_ours(timers, &words))
        return false;
    firing_here = &here;
    there = run_callback(run, entry);
    firing_here = here.outer;
    return there;
}

uint32_t anybpf_timers_fire(struct anybpf_timers *timers, uint64_t budget,
                            void (*stopped)(void *arg, struct anybpf_run *run), void *arg)
{
    struct anybpf_run *run = malloc(sizeof(*run));
    uint64_t now = anybpf_clock_ns(ANYBPF_MONOTONIC);
    uint32_t calls = 0;
    uint32_t index = 0;
    uint32_t seat;
    struct timer_entry entry;

    if (run == NULL)
        return 0;
    seat = anybpf_enter(timers->domain, ANYBPF_ANY_CPU);
    while (take_due(timers, now, &index, &entry)) {
        bool there;

        anybpf_run_init(run, timers->domain, seat);
        run->budget = budget;
        there = fire(timers, run, index, &entry);
        calls += there;
        fired(timers, index, !there);
        if (run->stop.end != ANYBPF_ENDED && stopped != NULL)
            stopped(arg, run);
        anybpf_refresh(timers->domain, seat);
    }
    anybpf_leave(timers->domain, seat);
    free(run);
    return calls;
}
