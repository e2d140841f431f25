/* Seats and epochs: how threads and processes look at maps that others change, without stopping each
 * other.
 *
 * Reclaiming, in short. A seat's word holds the epoch in which its thread sat down. What is taken
 * out of reach is stamped with the epoch of that moment, e. Whoever wants to use it again moves the
 * epoch to e + 1 and looks at all seats: those who sat down in e or before may know the thing, those
 * in e + 1 came after it was gone. Sitting down is one atomic exchange, which is a full barrier, so
 * that a thread that the look did not see cannot have read anything yet.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "domain_parts.h"

#include <stdlib.h>

#define LOOK_AT_SEATS_NS 2000000u /* how often the living are told from the dead, at most */

struct anybpf_deferred {
    struct anybpf_deferred *next;
    uint64_t stamp;
    void (*release)(void *);
    void *thing;
};

/* Where a thread sat last: it will find its own lines in its cache there. glibc keeps room for such
 * few bytes of libraries that are loaded late; then they are found without a call. */
#if defined(__GLIBC__)
#define FOUND_AT_ONCE __attribute__((tls_model("initial-exec")))
#else
#define FOUND_AT_ONCE
#endif
static _Thread_local FOUND_AT_ONCE uint32_t last_cpu;
static _Thread_local FOUND_AT_ONCE uint32_t last_guest;

/* Before the seat is taken: who looks at the seats after the epoch has moved, and does not look this
 * far, looked before this thread had read anything. */
static void widen(_Atomic uint32_t *used, uint32_t to)
{
    uint32_t now = atomic_load_explicit(used, memory_order_relaxed);

    while (now < to && !atomic_compare_exchange_weak(used, &now, to))
        ;
}

static bool sit(struct anybpf_domain *domain, uint32_t seat)
{
    struct anybpf_domain_header *header = domain->header;

    if (seat < domain->cpus)
        widen(&header->used_cpus, seat + 1);
    else
        widen(&header->used_guests, seat - domain->cpus + 1);
    return anybpf_enter_again(domain, seat);
}

/* Whoever died leaves an empty seat. */
static void clear_if_dead(struct anybpf_domain *domain, uint32_t seat)
{
    uint64_t word = atomic_load(&domain->header->seat[seat].word);

    if (word != 0 && !anybpf_is_alive(domain, (uint32_t)(word & PARTICIPANT_MASK)))
        atomic_compare_exchange_strong(&domain->header->seat[seat].word, &word, 0);
}

static uint32_t sit_among(struct anybpf_domain *domain, uint32_t first, uint32_t count,
                          uint32_t wanted)
{
    uint32_t turn = 0;

    for (;;) {
        uint32_t i;

        for (i = 0; i < count; i++) {
            uint32_t seat = wanted + i < count ? wanted + i : wanted + i - count;

            if (atomic_load_explicit(&domain->header->seat[first + seat].word,
                                     memory_order_relaxed) == 0 &&
                sit(domain, first + seat))
                return seat;
        }
        if (domain->shared && turn % TURNS_BEFORE_LOOK == TURNS_BEFORE_LOOK - 1)
            for (i = 0; i < count; i++)
                clear_if_dead(domain, first + i);
        anybpf_back_off(turn++);
    }
}

uint32_t anybpf_enter(struct anybpf_domain *domain, uint32_t cpu)
{
    if (cpu != ANYBPF_ANY_CPU)
        return sit_among(domain, cpu % domain->cpus, 1, 0) + cpu % domain->cpus;
    cpu = last_cpu < domain->cpus ? last_cpu : 0;
    if (sit(domain, cpu))
        return cpu;
    last_cpu = sit_among(domain, 0, domain->cpus, cpu);
    return last_cpu;
}

uint32_t anybpf_try_enter(struct anybpf_domain *domain, uint32_t cpu)
{
    uint32_t i;

    if (cpu != ANYBPF_ANY_CPU)
        return sit(domain, cpu % domain->cpus) ? cpu % domain->cpus : ANYBPF_ANY_CPU;
    if (last_cpu < domain->cpus && sit(domain, last_cpu))
        return last_cpu;
    for (i = 0; i < domain->cpus; i++)
        if (sit(domain, i)) {
            last_cpu = i;
            return i;
        }
    return ANYBPF_ANY_CPU;
}

uint32_t anybpf_enter_as_guest(struct anybpf_domain *domain)
{
    uint32_t guest = last_guest;

    if (sit(domain, domain->cpus + guest))
        return domain->cpus + guest;
    last_guest = sit_among(domain, domain->cpus, ANYBPF_GUEST_SEATS, guest);
    return domain->cpus + last_guest;
}

void anybpf_refresh(struct anybpf_domain *domain, uint32_t seat)
{
    uint64_t epoch = atomic_load_explicit(&domain->header->epoch, memory_order_acquire);
    uint64_t self = atomic_load_explicit(&domain->self, memory_order_relaxed);

    atomic_exchange(&domain->header->seat[seat].word, epoch << PARTICIPANT_BITS | self);
}

/* Epochs. */

#if defined(__SANITIZE_THREAD__)
#define THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define THREAD_SANITIZER 1
#endif
#endif

uint64_t anybpf_stamp(struct anybpf_domain *domain)
{
#if defined(THREAD_SANITIZER) /* which does not know fences; this would dirty a line that all read */
    return atomic_fetch_add(&domain->header->epoch, 0);
#else
    atomic_thread_fence(memory_order_seq_cst);
    return atomic_load(&domain->header->epoch);
#endif
}

/* Whether it is time to ask the system who is alive: a call for each seat. */
static bool may_look(struct anybpf_domain *domain)
{
    uint64_t now = anybpf_clock_ns(ANYBPF_COARSE);
    uint64_t last = atomic_load_explicit(&domain->looked, memory_order_relaxed);

    return now - last >= LOOK_AT_SEATS_NS &&
           atomic_compare_exchange_strong_explicit(&domain->looked, &last, now,
                                                   memory_order_relaxed, memory_order_relaxed);
}

/* The earliest epoch of those who sit in `count` seats, or `epoch` if that is earlier. The dead are
 * asked to leave if they are in the way of `stamp`. */
static uint64_t earliest(struct anybpf_domain *domain, uint32_t first, uint32_t count,
                         uint64_t epoch, uint64_t stamp, int *look)
{
    uint32_t i;

    for (i = first; i < first + count; i++) {
        uint64_t word = atomic_load(&domain->header->seat[i].word);

        if (word != 0 && word >> PARTICIPANT_BITS <= stamp && domain->shared) {
            if (*look < 0)
                *look = may_look(domain);
            if (*look) {
                clear_if_dead(domain, i);
                word = atomic_load(&domain->header->seat[i].word);
            }
        }
        if (word != 0 && word >> PARTICIPANT_BITS < epoch)
            epoch = word >> PARTICIPANT_BITS;
    }
    return epoch;
}

static uint32_t at_most(uint32_t number, uint32_t limit)
{
    return number < limit ? number : limit;
}

bool anybpf_is_past(struct anybpf_domain *domain, uint64_t stamp)
{
    struct anybpf_domain_header *header = domain->header;
    uint64_t oldest = atomic_load_explicit(&header->oldest, memory_order_acquire);
    uint64_t epoch;
    int look = -1;

    if (stamp < oldest)
        return true;
    epoch = stamp;
    atomic_compare_exchange_strong(&header->epoch, &epoch, stamp + 1);
    epoch = atomic_load(&header->epoch);
    epoch = earliest(domain, 0, at_most(atomic_load(&header->used_cpus), domain->cpus), epoch,
                     stamp, &look);
    epoch = earliest(domain, domain->cpus,
                     at_most(atomic_load(&header->used_guests), ANYBPF_GUEST_SEATS), epoch, stamp,
                     &look);
    while (oldest < epoch &&
           !atomic_compare_exchange_weak(&header->oldest, &oldest, epoch))
        ;
    return stamp < epoch;
}

bool anybpf_synchronize(struct anybpf_domain *domain, int64_t timeout_ns)
{
    uint64_t stamp = anybpf_stamp(domain);
    uint64_t start = anybpf_clock_ns(ANYBPF_MONOTONIC);
    uint32_t turn = 0;

    while (!anybpf_is_past(domain, stamp)) {
        if (timeout_ns >= 0 &&
            anybpf_clock_ns(ANYBPF_MONOTONIC) - start > (uint64_t)timeout_ns)
            return false;
        anybpf_back_off(turn++);
    }
    return true;
}

bool anybpf_defer(struct anybpf_domain *domain, void (*release)(void *), void *thing)
{
    struct anybpf_deferred *entry = malloc(sizeof(*entry));

    if (entry == NULL)
        return false;
    entry->stamp = anybpf_stamp(domain);
    entry->release = release;
    entry->thing = thing;
    anybpf_lock_take(domain, &domain->lock);
    entry->next = domain->deferred;
    domain->deferred = entry;
    anybpf_lock_give(&domain->lock);
    anybpf_collect(domain);
    return true;
}

size_t anybpf_collect(struct anybpf_domain *domain)
{
    struct anybpf_deferred *ready = NULL;
    struct anybpf_deferred **at;
    size_t waiting = 0;

    anybpf_lock_take(domain, &domain->lock);
    at = &domain->deferred;
    while (*at != NULL) {
        struct anybpf_deferred *entry = *at;

        if (anybpf_is_past(domain, entry->stamp)) {
            *at = entry->next;
            entry->next = ready;
            ready = entry;
        } else {
            at = &entry->next;
            waiting++;
        }
    }
    anybpf_lock_give(&domain->lock);
    while (ready != NULL) { /* without the lock: what is released may defer or collect in turn */
        struct anybpf_deferred *entry = ready;

        ready = entry->next;
        entry->release(entry->thing);
        free(entry);
    }
    return waiting;
}

/* Frees what readers may still look at, once they cannot. */
void domain_free_late(struct anybpf_domain *domain, void *thing)
{
    if (thing != NULL && !anybpf_defer(domain, free, thing)) {
        anybpf_synchronize(domain, -1);
        free(thing);
    }
}

void domain_release_all(struct anybpf_domain *domain)
{
    while (domain->deferred != NULL) {
        struct anybpf_deferred *last = domain->deferred;

        domain->deferred = last->next;
        last->release(last->thing);
        free(last);
    }
}
