/* A domain: the maps and programs that may meet, the threads that run among them, and their memory's
 * afterlife. A runtime has one. It may be shared with other processes; then its segment is handed
 * over together with the maps'.
 *
 * A thread takes a seat before it touches anything that another may free, and gives it back after.
 * The first `cpus` seats are those of threads that run programs: the seat's number is the processor
 * that the program believes to be on, and two programs are never on the same one. The rest are for
 * threads that look up and change maps from outside.
 *
 * What is taken out of a structure may still be in the hands of those who were seated. It is given a
 * stamp then, and used again when `anybpf_is_past(stamp)` says that all of them have left.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#ifndef ANYBPF_DOMAIN_H
#define ANYBPF_DOMAIN_H

#include "system.h"

#define ANYBPF_MOST_CPUS 1024u
#define ANYBPF_GUEST_SEATS 64u
#define ANYBPF_ANY_CPU UINT32_MAX

struct anybpf_seat {
    _Alignas(64) _Atomic uint64_t word; /* 0: free; else the epoch and who sits there */
};

/* In the segment. */
struct anybpf_domain_header {
    uint64_t magic;
    uint32_t version;
    uint32_t cpus;
    uint32_t seats;    /* in all */
    uint64_t identity; /* random: maps say by it where they belong */
    _Atomic uint32_t next_participant;
    /* One more than the highest seat that was ever taken, of either sort: only these are looked at. */
    _Alignas(64) _Atomic uint32_t used_cpus;
    _Atomic uint32_t used_guests;
    _Alignas(64) _Atomic uint64_t epoch;
    _Alignas(64) _Atomic uint64_t oldest; /* no seated thread is of an earlier epoch */
    struct anybpf_seat seat[];
};

/* May lie in shared memory. Holds the participant (a process, counted from 1) that has it. */
struct anybpf_lock {
    _Atomic uint32_t word;
};

/* What has a number in the domain and may be pointed to from maps: the first member of maps and
 * programs. */
enum anybpf_object_kind { ANYBPF_OBJECT_MAP = 1, ANYBPF_OBJECT_PROGRAM };
struct anybpf_object {
    enum anybpf_object_kind kind;
    uint32_t id;
};

/* Memory that programs may touch if they got a pointer to it. */
struct anybpf_area {
    uintptr_t start;
    uint64_t size;
    bool writable;
    uint32_t object; /* number of the map whose values these are; 0: of none */
};

struct anybpf_registry;
struct anybpf_areas;
struct anybpf_log;
struct anybpf_timers;
struct anybpf_fib;
struct anybpf_deferred;

/* In this process. Made and freed by the functions below; fields are for reading. */
struct anybpf_domain {
    struct anybpf_segment segment;
    struct anybpf_domain_header *header;
    uint32_t cpus;
    uint32_t seats;
    _Atomic uint32_t self;          /* this process's number */
    bool shared;
    int mark;                       /* descriptor whose lock says that this process lives; or -1 */
    _Atomic uint64_t looked;        /* when the living were last told from the dead */
    struct anybpf_lock lock;        /* guards what follows */
    struct anybpf_registry *_Atomic registry;
    struct anybpf_areas *_Atomic areas;
    struct anybpf_deferred *deferred;
    _Atomic uint64_t areas_version; /* grows when an area goes: forget what you know of them */
    /* The host's, who takes them away again before they go; NULL: none. helpers/log.h, timers.h */
    struct anybpf_log *_Atomic log;
    struct anybpf_timers *_Atomic timers;
    const struct anybpf_fib *_Atomic fib; /* for fib_lookup, where an event brings none */
};

/* 0, or an errno. */
int anybpf_domain_create(struct anybpf_domain **domain, uint32_t cpus, bool shared);
/* Joins the domain of another process; duplicates `fd`. For `sealed` see anybpf_segment_attach. */
int anybpf_domain_attach(struct anybpf_domain **domain, int fd, bool sealed);
/* Nobody may be seated, and no map or program may be left. */
void anybpf_domain_free(struct anybpf_domain *domain);
/* To be called in a child process after a fork, before anything else of the domain: what the parent's
 * threads held is not the child's. (A child that neither calls it nor execs keeps a dead parent's
 * locks from being taken over.) */
void anybpf_domain_forked(struct anybpf_domain *domain);

/* Seats. The number, at least 0. Waits while all are taken. */
uint32_t anybpf_enter(struct anybpf_domain *domain, uint32_t cpu);
uint32_t anybpf_enter_as_guest(struct anybpf_domain *domain);
/* As anybpf_enter, without waiting: ANYBPF_ANY_CPU if the seat, or all of them, are taken. */
uint32_t anybpf_try_enter(struct anybpf_domain *domain, uint32_t cpu);

/* A seat's word: the epoch above, the participant below. */
#define ANYBPF_PARTICIPANT_BITS 20u

/* The short way to a seat that somebody of this domain object had before, if nobody has it now. */
static inline bool anybpf_enter_again(struct anybpf_domain *domain, uint32_t seat)
{
    struct anybpf_domain_header *header = domain->header;
    uint64_t epoch = atomic_load_explicit(&header->epoch, memory_order_acquire);
    uint64_t self = atomic_load_explicit(&domain->self, memory_order_relaxed);
    uint64_t nobody = 0;

    return atomic_compare_exchange_strong(&header->seat[seat].word, &nobody,
                                          epoch << ANYBPF_PARTICIPANT_BITS | self);
}

static inline void anybpf_leave(struct anybpf_domain *domain, uint32_t seat)
{
    atomic_store_explicit(&domain->header->seat[seat].word, 0, memory_order_release);
}

/* Between two runs of a batch: as if one had left and come back to the same seat. */
void anybpf_refresh(struct anybpf_domain *domain, uint32_t seat);

/* For what was just taken out of reach. Call it after, not before. */
uint64_t anybpf_stamp(struct anybpf_domain *domain);
bool anybpf_is_past(struct anybpf_domain *domain, uint64_t stamp);
/* Returns when everybody who is seated now has left, or after the time (negative: no limit). The
 * caller must not be seated. False if time ran out. */
bool anybpf_synchronize(struct anybpf_domain *domain, int64_t timeout_ns);
/* Calls `release(thing)` once everybody who is seated now has left: at the earliest in this call,
 * at the latest when the domain is freed. False without memory. */
bool anybpf_defer(struct anybpf_domain *domain, void (*release)(void *), void *thing);
/* Releases what waits and may go. The number of things that go on waiting. */
size_t anybpf_collect(struct anybpf_domain *domain);

/* Locks. True if the process that had it died with it: then what it guards is to be repaired. */
bool anybpf_lock_take(struct anybpf_domain *domain, struct anybpf_lock *lock);
void anybpf_lock_give(struct anybpf_lock *lock);
/* Whether somebody who lives has it. */
bool anybpf_lock_is_held(struct anybpf_domain *domain, const struct anybpf_lock *lock);
bool anybpf_is_alive(struct anybpf_domain *domain, uint32_t participant);

/* Numbers. Never used twice in a domain; the caller counts. 0, or an errno. */
int anybpf_register(struct anybpf_domain *domain, struct anybpf_object *object);
void anybpf_unregister(struct anybpf_domain *domain, struct anybpf_object *object);
/* NULL if there is none. Good while seated. */
struct anybpf_object *anybpf_find(struct anybpf_domain *domain, uint32_t id);

/* Areas must not overlap. 0, or an errno. */
int anybpf_add_area(struct anybpf_domain *domain, struct anybpf_area area);
void anybpf_remove_area(struct anybpf_domain *domain, uintptr_t start);
/* The area that an address lies in; false if none. Good while seated. */
bool anybpf_find_area(struct anybpf_domain *domain, uintptr_t address, struct anybpf_area *area);

#endif
