/* Helpers on timers, and the list of them: timers.h.
 *
 * Linux: 0, -EINVAL (flags, no timer, none set up, no callback), -EBUSY (set up already), -ENOMEM,
 * -EDEADLK (cancelled by its own callback, or by one that a callback is waiting for), -EPERM (set up
 * in a map that no user refers to), -EOPNOTSUPP (the host has no list); cancel returns 1 if the timer
 * was started. A timer that was cancelled has no callback until it is given one again.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "helpers.h"
#include "timers.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

struct entry {
    uint32_t generation; /* of the number; 0: never used */
    bool used;
    bool active;
    bool firing;      /* a thread runs its callback: until it ends, the entry is not used again */
    uint32_t firings; /* how often it did */
    uint32_t awaited; /* by how many callbacks of other timers, which cancel it */
    uint32_t map;
    uint32_t program;
    uint32_t clock; /* CLOCK_* of Linux */
    uint64_t callback;
    uintptr_t timer; /* where in the map's values */
    uint64_t when;   /* monotonic ns */
};

struct anybpf_timers {
    struct anybpf_domain *domain;
    struct anybpf_lock lock; /* guards what follows */
    struct entry *entry;
    uint32_t count;
    uint32_t capacity;
    uint32_t free_from; /* no entry below this is free */
    uint32_t process;   /* the participant whose threads these firings are */
    uint32_t waiters;   /* threads that wait for a callback to end */
    _Atomic uint32_t ended; /* callbacks, where somebody waited */
    _Atomic uint32_t news;
};

/* The callbacks that this thread is in, the innermost first: a helper of the host's may run further
 * programs in the middle of one, on another seat. */
struct firing {
    const struct anybpf_timers *timers;
    uint32_t index;
    struct firing *outer;
};
static _Thread_local struct firing *firing_here;

/* In the value: struct bpf_timer, two words. */
struct timer_words {
    uint64_t number; /* generation above, index plus 1 below; 0: not set up */
    uint64_t owner;  /* participant */
};

enum { CLOCK_IS_REAL = 0, CLOCK_IS_MONOTONIC = 1, CLOCK_IS_BOOT = 7 };
#define ABSOLUTE UINT64_C(1)
#define THIS_CPU UINT64_C(2)
#define LOOK_AT_RUN_NS 1000000 /* how long a canceller sleeps before it looks whether it must stop */

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

static void tell(struct anybpf_timers *timers)
{
    atomic_fetch_add(&timers->news, 1);
    anybpf_wake(&timers->news, true);
}

static struct timer_words words_at(uintptr_t timer)
{
    struct timer_words words;

    words.number = __atomic_load_n((const uint64_t *)timer, __ATOMIC_ACQUIRE);
    words.owner = __atomic_load_n((const uint64_t *)timer + 1, __ATOMIC_ACQUIRE);
    return words;
}

static void drop(struct anybpf_timers *timers, struct entry *entry)
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
            drop(timers, &timers->entry[i]);
    }
}

static void lock(struct anybpf_timers *timers)
{
    uint32_t self = atomic_load(&timers->domain->self);

    anybpf_lock_take(timers->domain, &timers->lock);
    if (timers->process != self)
        after_fork(timers, self);
}

static void unlock(struct anybpf_timers *timers)
{
    anybpf_lock_give(&timers->lock);
}

/* Whether a timer's words are of this process. Where memory is not shared they are, whichever number
 * it had as it wrote them. */
static bool is_ours(const struct anybpf_timers *timers, const struct timer_words *words)
{
    return !timers->domain->shared || words->owner == atomic_load(&timers->domain->self);
}

/* With the lock. The entry that a timer says it is, if it is. */
static struct entry *entry_of(struct anybpf_timers *timers, uintptr_t timer)
{
    struct timer_words words = words_at(timer);
    uint32_t index = (uint32_t)words.number - 1;
    struct entry *entry;

    if ((uint32_t)words.number == 0 || index >= timers->count ||
        !is_ours(timers, &words))
        return NULL;
    entry = &timers->entry[index];
    if (!entry->used || entry->generation != words.number >> 32 || entry->timer != timer)
        return NULL;
    return entry;
}

/* With the lock. A free entry, cleared; NULL without memory. */
static struct entry *new_entry(struct anybpf_timers *timers)
{
    struct entry *entry;
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
        memset(&timers->entry[timers->count++], 0, sizeof(struct entry));
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

/* The list, and where a timer is, if that is where the map keeps one. */
static struct anybpf_timers *list_of(struct anybpf_run *run, uint64_t timer, struct anybpf_map **map)
{
    *map = anybpf_map_of_value(run, timer);
    if (*map == NULL || (*map)->shape.timer_offset == ANYBPF_NO_FIELD || (timer & 7) != 0 ||
        timer - (uintptr_t)(*map)->values < (*map)->shape.timer_offset ||
        !anybpf_writable(run, timer, ANYBPF_TIMER_SIZE)) {
        *map = NULL;
        return NULL;
    }
    return atomic_load(&run->domain->timers);
}

ANYBPF_HELPER(timer_init)
{
    struct anybpf_map *map;
    struct anybpf_timers *timers = list_of(run, r1, &map);
    struct entry *entry;
    uint64_t result = 0;

    UNUSED2(r4, r5);
    if (map == NULL || anybpf_map_argument(run, r2) != map ||
        (r3 != CLOCK_IS_REAL && r3 != CLOCK_IS_MONOTONIC && r3 != CLOCK_IS_BOOT))
        return linux_error(LINUX_EINVAL);
    if (timers == NULL)
        return linux_error(LINUX_EOPNOTSUPP);
    lock(timers);
    if (entry_of(timers, (uintptr_t)r1) != NULL) {
        result = linux_error(LINUX_EBUSY);
    } else if (atomic_load(&map->abandoned)) {
        result = linux_error(LINUX_EPERM);
    } else {
        struct timer_words old = words_at((uintptr_t)r1);

        entry = new_entry(timers);
        if (old.number != 0 && !is_ours(timers, &old) && old.owner <= UINT32_MAX &&
            anybpf_is_alive(timers->domain, (uint32_t)old.owner)) {
            if (entry != NULL)
                drop(timers, entry);
            result = linux_error(LINUX_EBUSY); /* another process fires it */
        } else if (entry == NULL) {
            result = linux_error(LINUX_ENOMEM);
        } else {
            uint64_t index = (uint64_t)(entry - timers->entry);

            entry->timer = (uintptr_t)r1;
            entry->map = map->object.id;
            entry->clock = (uint32_t)r3;
            __atomic_store_n((uint64_t *)at(r1) + 1, atomic_load(&timers->domain->self),
                             __ATOMIC_RELEASE);
            __atomic_store_n((uint64_t *)at(r1), (uint64_t)entry->generation << 32 | (index + 1),
                             __ATOMIC_RELEASE);
        }
    }
    unlock(timers);
    return result;
}

ANYBPF_HELPER(timer_set_callback)
{
    struct anybpf_map *map;
    struct anybpf_timers *timers = list_of(run, r1, &map);
    struct entry *entry;
    uint64_t result = linux_error(LINUX_EINVAL);

    UNUSED3(r3, r4, r5);
    if (timers == NULL)
        return result;
    lock(timers);
    entry = entry_of(timers, (uintptr_t)r1);
    if (entry != NULL) {
        entry->callback = r2;
        entry->program = run->program->object.id;
        result = 0;
    }
    unlock(timers);
    return result;
}

static uint64_t clock_now(uint32_t clock)
{
    struct timespec now;

    if (clock == CLOCK_IS_BOOT)
        return anybpf_clock_ns(ANYBPF_BOOT);
    if (clock == CLOCK_IS_MONOTONIC || timespec_get(&now, TIME_UTC) == 0)
        return anybpf_clock_ns(ANYBPF_MONOTONIC);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

ANYBPF_HELPER(timer_start)
{
    struct anybpf_map *map;
    struct anybpf_timers *timers = list_of(run, r1, &map);
    struct entry *entry;
    uint64_t result = linux_error(LINUX_EINVAL);

    UNUSED2(r4, r5);
    if (timers == NULL || (r3 & ~(ABSOLUTE | THIS_CPU)) != 0)
        return result;
    lock(timers);
    entry = entry_of(timers, (uintptr_t)r1);
    if (entry != NULL && entry->callback != 0) {
        uint64_t now = anybpf_clock_ns(ANYBPF_MONOTONIC);
        uint64_t from_now = r2;

        if ((r3 & ABSOLUTE) != 0) {
            uint64_t there = clock_now(entry->clock);

            from_now = r2 > there ? r2 - there : 0;
        }
        entry->when = from_now > ANYBPF_NEVER - 1 - now ? ANYBPF_NEVER - 1 : now + from_now;
        entry->active = true;
        result = 0;
    }
    unlock(timers);
    if (result == 0)
        tell(timers);
    return result;
}

/* With the lock. Whether this thread must not wait for a callback: it is in that one itself, or in
 * one that another callback waits for, which may be the one. */
static bool must_not_wait(const struct anybpf_timers *timers, uint32_t index)
{
    const struct firing *own;

    for (own = firing_here; own != NULL; own = own->outer)
        if (own->timers == timers &&
            (own->index == index || timers->entry[own->index].awaited > 0))
            return true;
    return false;
}

/* With the lock, which it gives back meanwhile. Returns when the callback that runs now has ended,
 * or the canceller's own run must. */
static void wait_for_callback(struct anybpf_run *run, struct anybpf_timers *timers, uint32_t index)
{
    uint32_t firings = timers->entry[index].firings;
    uint32_t in_callback = firing_here != NULL;
    bool goes_on = true;

    timers->waiters++;
    timers->entry[index].awaited += in_callback;
    while (goes_on && timers->entry[index].firing && timers->entry[index].firings == firings) {
        uint32_t ended = atomic_load(&timers->ended);

        unlock(timers);
        anybpf_wait(&timers->ended, ended, LOOK_AT_RUN_NS);
        goes_on = anybpf_next_slice(run);
        lock(timers);
    }
    if (timers->entry[index].firing && timers->entry[index].firings == firings)
        timers->entry[index].awaited -= in_callback;
    timers->waiters--;
}

ANYBPF_HELPER(timer_cancel)
{
    struct anybpf_map *map;
    struct anybpf_timers *timers = list_of(run, r1, &map);
    struct entry *entry;
    uint64_t result = linux_error(LINUX_EINVAL);

    UNUSED4(r2, r3, r4, r5);
    if (timers == NULL)
        return result;
    lock(timers);
    entry = entry_of(timers, (uintptr_t)r1);
    if (entry != NULL) {
        uint32_t index = (uint32_t)(entry - timers->entry);

        if (entry->firing && must_not_wait(timers, index)) {
            result = linux_error(LINUX_EDEADLK);
        } else {
            result = entry->active;
            entry->active = false;
            entry->callback = 0; /* so the callback that runs now cannot start it again */
            if (entry->firing)
                wait_for_callback(run, timers, index);
        }
    }
    unlock(timers);
    return result;
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
    lock(timers);
    for (i = 0; i < timers->count; i++)
        if (timers->entry[i].used && timers->entry[i].map == map->object.id)
            drop(timers, &timers->entry[i]);
    unlock(timers);
}

uint64_t anybpf_timers_next(struct anybpf_timers *timers)
{
    uint64_t next = ANYBPF_NEVER;
    uint32_t i;

    lock(timers);
    for (i = 0; i < timers->count; i++)
        if (timers->entry[i].active && timers->entry[i].when < next)
            next = timers->entry[i].when;
    unlock(timers);
    return next;
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
static bool run_callback(struct anybpf_run *run, const struct entry *entry)
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
                     struct entry *copy)
{
    struct entry *due = NULL;
    uint32_t i;

    lock(timers);
    for (i = 0; i < timers->count; i++) {
        struct entry *entry = &timers->entry[i];

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
    unlock(timers);
    return due != NULL;
}

static void fired(struct anybpf_timers *timers, uint32_t index, bool gone)
{
    struct entry *entry;
    bool awaited;

    lock(timers);
    entry = &timers->entry[index];
    entry->firing = false;
    entry->awaited = 0;
    if (gone || !entry->used)
        drop(timers, entry);
    awaited = timers->waiters > 0;
    if (awaited)
        atomic_fetch_add(&timers->ended, 1);
    unlock(timers);
    if (awaited)
        anybpf_wake(&timers->ended, true);
}

/* Runs one that was taken. Whether its map, value and program were there. */
static bool fire(struct anybpf_timers *timers, struct anybpf_run *run, uint32_t index,
                 const struct entry *entry)
{
    struct firing here = {timers, index, firing_here};
    struct timer_words words;
    bool there;

    /* The memory is there as long as the map is; then the number tells whether it is still the same
     * timer. */
    if (anybpf_find(timers->domain, entry->map) == NULL)
        return false;
    words = words_at(entry->timer);
    if (words.number != ((uint64_t)entry->generation << 32 | (index + 1u)) ||
        !is_ours(timers, &words))
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
    struct entry entry;

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

const struct anybpf_helper_row anybpf_timer_helpers[] = {
    {"timer_init", timer_init},
    {"timer_set_callback", timer_set_callback},
    {"timer_start", timer_start},
    {"timer_cancel", timer_cancel},
    {NULL, NULL},
};
