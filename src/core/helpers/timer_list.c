/* Which timers there are: entries by number, found from what the values of maps say.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "timer_list.h"

#include <stdlib.h>
#include <string.h>

struct anybpf_timers *anybpf_timers_create(struct anybpf_domain *domain)
{
    struct anybpf_timers *timers = calloc(1, sizeof(*timers));

    if (timers != NULL) {
        timers->domain = domain;
        timers->process = atomic_load(&domain->self);
    }
    return timers;
}

void anybpf_timers_free(struct anybpf_timers *timers)
{
    if (timers == NULL)
        return;
    free(timers->entry);
    free(timers);
}

_Atomic uint32_t *anybpf_timers_news(struct anybpf_timers *timers)
{
    return &timers->news;
}

struct timer_words timers_words_at(uintptr_t timer)
{
    struct timer_words words;

    words.number = __atomic_load_n((const uint64_t *)timer, __ATOMIC_ACQUIRE);
    words.owner = __atomic_load_n((const uint64_t *)timer + 1, __ATOMIC_ACQUIRE);
    return words;
}

void timers_drop(struct anybpf_timers *timers, struct timer_entry *entry)
{
    uint32_t index = (uint32_t)(entry - timers->entry);

    entry->used = false;
    entry->active = false;
    if (index < timers->free_from)
        timers->free_from = index;
}

/* The threads of this process's parent are not here to end what they were at; and timers in memory
 * that both have are the parent's to fire. */
static void after_fork(struct anybpf_timers *timers, uint32_t self)
{
    uint32_t i;

    timers->process = self;
    timers->waiters = 0;
    timers->free_from = 0;
    for (i = 0; i < timers->count; i++) {
        timers->entry[i].firing = false;
        timers->entry[i].awaited = 0;
        if (timers->domain->shared)
            timers_drop(timers, &timers->entry[i]);
    }
}

void timers_lock(struct anybpf_timers *timers)
{
    uint32_t self = atomic_load(&timers->domain->self);

    anybpf_lock_take(timers->domain, &timers->lock);
    if (timers->process != self)
        after_fork(timers, self);
}

void timers_unlock(struct anybpf_timers *timers)
{
    anybpf_lock_give(&timers->lock);
}

bool timers_are_ours(const struct anybpf_timers *timers, const struct timer_words *words)
{
    return !timers->domain->shared || words->owner == atomic_load(&timers->domain->self);
}

struct timer_entry *timers_entry_of(struct anybpf_timers *timers, uintptr_t timer)
{
    struct timer_words words = timers_words_at(timer);
    uint32_t index = (uint32_t)words.number - 1;
    struct timer_entry *entry;

    if ((uint32_t)words.number == 0 || index >= timers->count ||
        !timers_are_ours(timers, &words))
        return NULL;
    entry = &timers->entry[index];
    if (!entry->used || entry->generation != words.number >> 32 || entry->timer != timer)
        return NULL;
    return entry;
}

struct timer_entry *timers_new_entry(struct anybpf_timers *timers)
{
    struct timer_entry *entry;
    uint32_t generation;
    uint32_t firings;

    while (timers->free_from < timers->count && (timers->entry[timers->free_from].used ||
                                                 timers->entry[timers->free_from].firing))
        timers->free_from++;
    if (timers->free_from == timers->count) {
        if (timers->count == timers->capacity) {
            uint32_t capacity = timers->capacity == 0 ? 16 : timers->capacity * 2;

            if (capacity > ANYBPF_MOST_TIMERS)
                return NULL;
            entry = realloc(timers->entry, capacity * sizeof(*entry));
            if (entry == NULL)
                return NULL;
            timers->entry = entry;
            timers->capacity = capacity;
        }
        memset(&timers->entry[timers->count++], 0, sizeof(struct timer_entry));
    }
    entry = &timers->entry[timers->free_from];
    generation = entry->generation + 1;
    firings = entry->firings;
    memset(entry, 0, sizeof(*entry));
    entry->firings = firings;
    entry->generation = generation == 0 ? 1 : generation;
    entry->used = true;
    return entry;
}

/* Of a map. Those that run just now end by themselves: the caller may be what they wait for. */
void anybpf_map_abandon(struct anybpf_map *map, bool abandoned)
{
    struct anybpf_timers *timers;
    uint32_t i;

    atomic_store(&map->abandoned, abandoned); /* before the lock, with which timer_init looks */
    timers = atomic_load(&map->domain->timers);
    if (timers == NULL || !abandoned)
        return;
    timers_lock(timers);
    for (i = 0; i < timers->count; i++)
        if (timers->entry[i].used && timers->entry[i].map == map->object.id)
            timers_drop(timers, &timers->entry[i]);
    timers_unlock(timers);
}

uint64_t anybpf_timers_next(struct anybpf_timers *timers)
{
    uint64_t next = ANYBPF_NEVER;
    uint32_t i;

    timers_lock(timers);
    for (i = 0; i < timers->count; i++)
        if (timers->entry[i].active && timers->entry[i].when < next)
            next = timers->entry[i].when;
    timers_unlock(timers);
    return next;
}
