/* What ring buffers, user ring buffers and perf event arrays are made of.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#ifndef ANYBPF_RINGS_H
#define ANYBPF_RINGS_H

#include "../ring.h"

#define RING_PAGE 4096u
#define RING_HEADER 8u

/* A record's header: the length below with two bits above it, as Linux has them; in the other half
 * the page, or while the record is busy whose it is. */
#define RING_BUSY (UINT32_C(1) << 31)
#define RING_DISCARDED (UINT32_C(1) << 30)
#define RING_LENGTH ANYBPF_MOST_RECORD

/* In the segment, at the start of the pages. Linux has only the positions. */
struct ring_consumer {
    _Atomic uint64_t position;
    _Atomic uint64_t records; /* perf: how many before that */
};

struct ring_producer {
    _Atomic uint64_t position;
    _Atomic uint64_t lost;     /* perf: records, in all */
    uint64_t carried;          /* perf: of them, not told to the reader by a record; under the lock */
    uint64_t seen;             /* the consumer's position as a producer last saw it; likewise */
    _Atomic uint64_t records;  /* perf: written so far */
    _Alignas(64) struct anybpf_lock lock; /* guards the position's growth: ring_lock */
};

/* In the map's body. */
enum { RING_WAITER = 1, RING_DESCRIPTOR = 2 }; /* who is to be woken */
struct ring_shared {
    _Atomic uint32_t signal; /* grows at every wake-up */
    _Atomic uint32_t waiting;
    _Atomic uint32_t claimed;  /* participant that consumes, 0: none */
    _Atomic uint32_t draining; /* user ring: participant that drains, 0: none */
    _Atomic uint32_t wake_records; /* perf: unread ones that the reader is woken for; 0: any */
    _Atomic uint32_t padding;
    _Atomic uint64_t wake_bytes; /* likewise */
};

/* This process's view: `private` of the map. */
struct rings {
    struct ring_shared *shared;
    uint8_t *first;  /* consumer's page of ring 0 */
    size_t stride;   /* to the next ring's */
    uint64_t mask;   /* size - 1 */
    uint32_t count;
    _Atomic uint32_t claims;   /* of this process: 0 or 1 */
    _Atomic int descriptor;    /* -1: none */
    _Atomic uint32_t descriptor_of; /* participant that made it */
};

static inline struct rings *rings_of(const struct anybpf_map *map)
{
    return map->private;
}

static inline struct ring_consumer *ring_consumer(const struct rings *rings, uint32_t ring)
{
    return (struct ring_consumer *)(void *)(rings->first + ring * rings->stride);
}

static inline struct ring_producer *ring_producer(const struct rings *rings, uint32_t ring)
{
    return (struct ring_producer *)(void *)(rings->first + ring * rings->stride + RING_PAGE);
}

static inline uint8_t *ring_data(const struct rings *rings, uint32_t ring)
{
    return rings->first + ring * rings->stride + 2 * (size_t)RING_PAGE;
}

static inline _Atomic uint64_t *ring_header(const struct rings *rings, uint32_t ring,
                                            uint64_t position)
{
    position &= rings->mask & ~UINT64_C(7);
    return (_Atomic uint64_t *)(void *)(ring_data(rings, ring) + position);
}

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define RING_LENGTH_SHIFT 32u
#define RING_OTHER_SHIFT 0u
#else
#define RING_LENGTH_SHIFT 0u
#define RING_OTHER_SHIFT 32u
#endif

static inline uint64_t ring_word(uint32_t length, uint32_t other)
{
    return (uint64_t)length << RING_LENGTH_SHIFT | (uint64_t)other << RING_OTHER_SHIFT;
}

static inline uint32_t ring_word_length(uint64_t word)
{
    return (uint32_t)(word >> RING_LENGTH_SHIFT);
}

static inline uint32_t ring_word_other(uint64_t word)
{
    return (uint32_t)(word >> RING_OTHER_SHIFT);
}

/* Bytes of a record with its header, padded to 8. */
static inline uint64_t ring_total(uint64_t size)
{
    return (size + RING_HEADER + 7u) & ~UINT64_C(7);
}

/* A copy into a ring from what others may write meanwhile. */
void ring_copy(uint8_t *to, const void *from, size_t size);

/* A ring's lock: held for some tens of instructions, so who waits for it spins or naps and never has
 * to be woken, and giving it back is one store. Of a holder that died there is nothing to repair:
 * the record is in the ring, busy and its, or it is not. */
void ring_lock_slowly(struct anybpf_map *map, struct anybpf_lock *lock);

static inline void ring_lock(struct anybpf_map *map, struct anybpf_lock *lock)
{
    uint32_t self = atomic_load_explicit(&map->domain->self, memory_order_relaxed);
    uint32_t nobody = 0;

    if (!atomic_compare_exchange_strong_explicit(&lock->word, &nobody, self, memory_order_acquire,
                                                 memory_order_relaxed))
        ring_lock_slowly(map, lock);
}

static inline void ring_unlock(struct anybpf_lock *lock)
{
    atomic_store_explicit(&lock->word, 0, memory_order_release);
}

/* Room for `total` bytes behind `*position`, the producer's; with the lock. */
int ring_room(const struct rings *rings, uint32_t ring, uint64_t total, uint64_t *position);

/* Wakes those who wait, if any do; after what they wait for. */
void ring_wake(struct anybpf_map *map);

/* Who reserves a record: a seat of a participant. Dead: so is the participant, or the seat is not
 * its any more. */
uint32_t ring_owner(const struct anybpf_map *map, uint32_t seat);
bool ring_owner_is_dead(struct anybpf_map *map, uint32_t owner);

/* What ring buffers and user rings do alike. */
int ring_reserve(struct anybpf_map *map, uint64_t size, uint32_t seat, void **record);
/* The record's header if it is reserved; NULL if not. */
_Atomic uint64_t *ring_reserved(const struct anybpf_map *map, const void *record);
/* Ends the reservation; RING_DISCARDED in `how` or 0. */
void ring_commit(const struct rings *rings, _Atomic uint64_t *header, uint32_t how);
/* Whether a record can be read at the consumer's position, or skipped. */
bool ring_has_record(struct anybpf_map *map, uint32_t ring);
/* Perf: whether as much is unread as the reader wants to be woken for. */
bool ring_is_due(const struct rings *rings, uint32_t ring);

/* Layout and life, for all three kinds. `size`: of one ring. */
int rings_measure(const struct anybpf_shape *shape, uint64_t size, uint32_t count,
                  size_t *segment, size_t *reserve);
int rings_open(struct anybpf_map *map, uint64_t size, uint32_t count, bool visible);
void rings_close(struct anybpf_map *map);
bool rings_check(struct anybpf_map *map, char *why, size_t why_size);

#endif
