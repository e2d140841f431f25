/* Helpers on timers. The list of them: timer_list.h.
 *
 * Linux: 0, -EINVAL (flags, no timer, none set up, no callback), -EBUSY (set up already), -ENOMEM,
 * -EDEADLK (cancelled by its own callback, or by one that a callback is waiting for), -EPERM (set up
 * in a map that no user refers to), -EOPNOTSUPP (the host has no list); cancel returns 1 if the timer
 * was started. A timer that was cancelled has no callback until it is given one again.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "helpers.h"
#include "timer_list.h"

#include <time.h>

enum { CLOCK_IS_REAL = 0, CLOCK_IS_MONOTONIC = 1, CLOCK_IS_BOOT = 7 };
#define ABSOLUTE UINT64_C(1)
#define THIS_CPU UINT64_C(2)

static void tell(struct anybpf_timers *timers)
{
    atomic_fetch_add(&timers->news, 1);
    anybpf_wake(&timers->news, true);
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
    struct timer_entry *entry;
    uint64_t result = 0;

    UNUSED2(r4, r5);
    if (map == NULL || anybpf_map_argument(run, r2) != map ||
        (r3 != CLOCK_IS_REAL && r3 != CLOCK_IS_MONOTONIC && r3 != CLOCK_IS_BOOT))
        return linux_error(LINUX_EINVAL);
    if (timers == NULL)
        return linux_error(LINUX_EOPNOTSUPP);
    timers_lock(timers);
    if (timers_entry_of(timers, (uintptr_t)r1) != NULL) {
        result = linux_error(LINUX_EBUSY);
    } else if (atomic_load(&map->abandoned)) {
        result = linux_error(LINUX_EPERM);
    } else {
        struct timer_words old = timers_words_at((uintptr_t)r1);

        entry = timers_new_entry(timers);
        if (old.number != 0 && !timers_are_ours(timers, &old) && old.owner <= UINT32_MAX &&
            anybpf_is_alive(timers->domain, (uint32_t)old.owner)) {
            if (entry != NULL)
                timers_drop(timers, entry);
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
    timers_unlock(timers);
    return result;
}

ANYBPF_HELPER(timer_set_callback)
{
    struct anybpf_map *map;
    struct anybpf_timers *timers = list_of(run, r1, &map);
    struct timer_entry *entry;
    uint64_t result = linux_error(LINUX_EINVAL);

    UNUSED3(r3, r4, r5);
    if (timers == NULL)
        return result;
    timers_lock(timers);
    entry = timers_entry_of(timers, (uintptr_t)r1);
    if (entry != NULL) {
        entry->callback = r2;
        entry->program = run->program->object.id;
        result = 0;
    }
    timers_unlock(timers);
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
    struct timer_entry *entry;
    uint64_t result = linux_error(LINUX_EINVAL);

    UNUSED2(r4, r5);
    if (timers == NULL || (r3 & ~(ABSOLUTE | THIS_CPU)) != 0)
        return result;
    timers_lock(timers);
    entry = timers_entry_of(timers, (uintptr_t)r1);
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
    timers_unlock(timers);
    if (result == 0)
        tell(timers);
    return result;
}

ANYBPF_HELPER(timer_cancel)
{
    struct anybpf_map *map;
    struct anybpf_timers *timers = list_of(run, r1, &map);
    struct timer_entry *entry;
    uint64_t result = linux_error(LINUX_EINVAL);

    UNUSED4(r2, r3, r4, r5);
    if (timers == NULL)
        return result;
    timers_lock(timers);
    entry = timers_entry_of(timers, (uintptr_t)r1);
    if (entry != NULL) {
        uint32_t index = (uint32_t)(entry - timers->entry);

        if (entry->firing && timers_must_not_wait(timers, index)) {
            result = linux_error(LINUX_EDEADLK);
        } else {
            result = entry->active;
            entry->active = false;
            entry->callback = 0; /* so the callback that runs now cannot start it again */
            if (entry->firing)
                timers_wait_for_callback(run, timers, index);
        }
    }
    timers_unlock(timers);
    return result;
}

const struct anybpf_helper_row anybpf_timer_helpers[] = {
    {"timer_init", timer_init},
    {"timer_set_callback", timer_set_callback},
    {"timer_start", timer_start},
    {"timer_cancel", timer_cancel},
    {NULL, NULL},
};
