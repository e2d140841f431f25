/* The list of timers, for the helpers that change it (timer.c), what finds and drops entries
 * (timer_list.c), and what runs callbacks (timer_fire.c). What the host sees of it: timers.h.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#ifndef ANYBPF_TIMER_LIST_H
#define ANYBPF_TIMER_LIST_H

#include "timers.h"

struct timer_entry {
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
    struct timer_entry *entry;
    uint32_t count;
    uint32_t capacity;
    uint32_t free_from; /* no entry below this is free */
    uint32_t process;   /* the participant whose threads these firings are */
    uint32_t waiters;   /* threads that wait for a callback to end */
    _Atomic uint32_t ended; /* callbacks, where somebody waited */
    _Atomic uint32_t news;
};

/* In the value: struct bpf_timer, two words. */
struct timer_words {
    uint64_t number; /* generation above, index plus 1 below; 0: not set up */
    uint64_t owner;  /* participant */
};

void timers_lock(struct anybpf_timers *timers);
void timers_unlock(struct anybpf_timers *timers);

struct timer_words timers_words_at(uintptr_t timer);
/* Whether a timer's words are of this process. Where memory is not shared they are, whichever number
 * it had as it wrote them. */
bool timers_are_ours(const struct anybpf_timers *timers, const struct timer_words *words);

/* All with the lock. */

/* The entry that a timer says it is, if it is. */
struct timer_entry *timers_entry_of(struct anybpf_timers *timers, uintptr_t timer);
/* A free entry, cleared; NULL without memory. */
struct timer_entry *timers_new_entry(struct anybpf_timers *timers);
void timers_drop(struct anybpf_timers *timers, struct timer_entry *entry);

/* Whether this thread must not wait for a callback: it is in that one itself, or in one that another
 * callback waits for, which may be the one. */
bool timers_must_not_wait(const struct anybpf_timers *timers, uint32_t index);
/* Gives the lock back meanwhile. Returns when the callback that runs now has ended, or the
 * canceller's own run must. */
void timers_wait_for_callback(struct anybpf_run *run, struct anybpf_timers *timers, uint32_t index);

#endif
