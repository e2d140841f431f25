/* What ring buffers, user ring buffers and perf event arrays share: layout, reading, waiting.
 *
 * Who waits sets a bit, then looks whether there is something, then sleeps; who writes makes the
 * record readable, then looks for the bit. All four are sequentially consistent, so one of the two
 * sees the other. The bit spares producers the system call while the consumer is busy reading.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "rings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__linux__)
#include <sys/eventfd.h>
#include <unistd.h>
#endif

#define PARTICIPANT_BITS 20u /* as in domain_parts.h; a seat fits above */
#define PARTICIPANT_MASK ((UINT32_C(1) << PARTICIPANT_BITS) - 1)

_Static_assert(sizeof(struct anybpf_map_header) + sizeof(struct ring_shared) <= RING_PAGE,
               "the headers fit into the page before the rings");
_Static_assert(ANYBPF_MOST_CPUS + ANYBPF_GUEST_SEATS < ANYBPF_NO_SEAT &&
                   ANYBPF_NO_SEAT < UINT32_C(1) << (32 - PARTICIPANT_BITS),
               "a seat fits beside a participant");

/* Layout and life. */

static size_t stride_of(uint64_t size)
{
    uint64_t data = (2 * size + RING_PAGE - 1) & ~(uint64_t)(RING_PAGE - 1);

    return (size_t)(2 * (uint64_t)RING_PAGE + data);
}

int rings_measure(const struct anybpf_shape *shape, uint64_t size, uint32_t count,
                  size_t *segment, size_t *reserve)
{
    (void)shape;
    if (size < ANYBPF_LEAST_RING || size > ANYBPF_MOST_RING || (size & (size - 1)) != 0 ||
        count == 0)
        return ANYBPF_BAD_SIZE;
    if (stride_of(size) > (SIZE_MAX / 4 - RING_PAGE) / count)
        return ANYBPF_NO_MEMORY;
    *segment = RING_PAGE + count * stride_of(size);
    *reserve = *segment;
    return ANYBPF_OK;
}

int rings_open(struct anybpf_map *map, uint64_t size, uint32_t count, bool visible)
{
    struct rings *rings = calloc(1, sizeof(*rings));

    if (rings == NULL)
        return ANYBPF_NO_MEMORY;
    rings->shared = (struct ring_shared *)(void *)map->header->body;
    rings->first = map->segment.base + RING_PAGE;
    rings->stride = stride_of(size);
    rings->mask = size - 1;
    rings->count = count;
    atomic_store(&rings->descriptor, -1);
    map->private = rings;
    if (visible) {
        map->values = ring_data(rings, 0);
        map->values_size = (size_t)(2 * size);
    }
    return ANYBPF_OK;
}

void rings_close(struct anybpf_map *map)
{
    struct rings *rings = rings_of(map);

    anybpf_rings_unclaim(map);
#if defined(__linux__)
    if (atomic_load(&rings->descriptor) >= 0)
        close(atomic_load(&rings->descriptor));
#endif
    free(rings);
    map->private = NULL;
}

uint32_t anybpf_rings(const struct anybpf_map *map)
{
    return rings_of(map)->count;
}

uint64_t anybpf_ring_size(const struct anybpf_map *map)
{
    return rings_of(map)->mask + 1;
}

const uint8_t *anybpf_ring_memory(const struct anybpf_map *map, uint32_t ring)
{
    return ring_data(rings_of(map), ring);
}

/* Writing. */

uint32_t ring_owner(const struct anybpf_map *map, uint32_t seat)
{
    uint32_t self = atomic_load_explicit(&map->domain->self, memory_order_relaxed);

    return seat << PARTICIPANT_BITS | (self & PARTICIPANT_MASK);
}

/* A program has no record in hand when it ends, if it ends by itself; so the verifier says. */
static bool run_is_over(const struct anybpf_domain *domain, uint32_t seat, uint32_t participant)
{
    uint64_t word;

    if (seat >= domain->cpus)
        return false;
    word = atomic_load(&domain->header->seat[seat].word);
    return word == 0 || (word & PARTICIPANT_MASK) != participant;
}

bool ring_owner_is_dead(struct anybpf_map *map, uint32_t owner)
{
    uint32_t participant = owner & PARTICIPANT_MASK;

    return participant != 0 && (!anybpf_is_alive(map->domain, participant) ||
                                run_is_over(map->domain, owner >> PARTICIPANT_BITS, participant));
}

#define TURNS_BEFORE_LOOK 96u

void ring_lock_slowly(struct anybpf_map *map, struct anybpf_lock *lock)
{
    uint32_t self = atomic_load_explicit(&map->domain->self, memory_order_relaxed);
    uint32_t turn;

    for (turn = 0;; turn++) {
        uint32_t holder = atomic_load_explicit(&lock->word, memory_order_relaxed);

        if ((holder == 0 || (turn > TURNS_BEFORE_LOOK && !anybpf_is_alive(map->domain, holder))) &&
            atomic_compare_exchange_strong_explicit(&lock->word, &holder, self,
                                                    memory_order_acquire, memory_order_relaxed))
            return;
        anybpf_back_off(turn);
    }
}

int ring_room(const struct rings *rings, uint32_t ring, uint64_t total, uint64_t *position)
{
    struct ring_producer *producer = ring_producer(rings, ring);
    uint64_t at = atomic_load_explicit(&producer->position, memory_order_relaxed);

    if (total > rings->mask - 7)
        return ANYBPF_TOO_BIG;
    if ((at & 7) != 0)
        return ANYBPF_DAMAGED;
    *position = at;
    if (at + total - producer->seen > rings->mask) {
        producer->seen =
            atomic_load_explicit(&ring_consumer(rings, ring)->position, memory_order_acquire);
        if (at + total - producer->seen > rings->mask)
            return ANYBPF_NO_SPACE;
    }
    return ANYBPF_OK;
}

int ring_reserve(struct anybpf_map *map, uint64_t size, uint32_t seat, void **record)
{
    const struct rings *rings = rings_of(map);
    struct ring_producer *producer = ring_producer(rings, 0);
    uint64_t total = ring_total(size);
    uint64_t at = 0;
    int status;

    if (size > ANYBPF_MOST_RECORD)
        return ANYBPF_TOO_BIG;
    ring_lock(map, &producer->lock);
    status = ring_room(rings, 0, total, &at);
    if (status == ANYBPF_OK) {
        atomic_store_explicit(ring_header(rings, 0, at),
                              ring_word((uint32_t)size | RING_BUSY, ring_owner(map, seat)),
                              memory_order_relaxed);
        atomic_store_explicit(&producer->position, at + total, memory_order_release);
        *record = (uint8_t *)ring_header(rings, 0, at) + RING_HEADER;
    }
    ring_unlock(&producer->lock);
    return status;
}

_Atomic uint64_t *ring_reserved(const struct anybpf_map *map, const void *record)
{
    const struct rings *rings = rings_of(map);
    size_t offset = (uintptr_t)record - (uintptr_t)ring_data(rings, 0) - RING_HEADER;
    _Atomic uint64_t *header;

    if (offset > rings->mask || (offset & 7) != 0)
        return NULL;
    header = ring_header(rings, 0, offset);
    if ((ring_word_length(atomic_load_explicit(header, memory_order_relaxed)) & RING_BUSY) == 0)
        return NULL;
    return header;
}

void ring_commit(const struct rings *rings, _Atomic uint64_t *header, uint32_t how)
{
    uint32_t length =
        ring_word_length(atomic_load_explicit(header, memory_order_relaxed)) & RING_LENGTH;
    uint32_t page = (uint32_t)((size_t)((uint8_t *)header - rings->first) / RING_PAGE);

    atomic_exchange(header, ring_word(length | how, page));
}

void ring_copy(uint8_t *to, const void *from, size_t size)
{
    size_t words = ((uintptr_t)to | (uintptr_t)from) & 7 ? 0 : size & ~(size_t)7;

    if (words != 0)
        anybpf_copy_from_shared(to, from, words);
#if defined(__SANITIZE_THREAD__)
    anybpf_copy_from_shared(to + words, (const uint8_t *)from + words, size - words);
#else
    if (size != words)
        memcpy(to + words, (const uint8_t *)from + words, size - words);
#endif
}

/* Reading. */

uint64_t anybpf_ring_consumed(const struct anybpf_map *map, uint32_t ring)
{
    return atomic_load(&ring_consumer(rings_of(map), ring)->position);
}

uint64_t anybpf_ring_unread(const struct anybpf_map *map, uint32_t ring)
{
    const struct rings *rings = rings_of(map);
    uint64_t consumed = atomic_load(&ring_consumer(rings, ring)->position);
    uint64_t unread = atomic_load(&ring_producer(rings, ring)->position) - consumed;

    return unread <= rings->mask + 1 ? unread : 0;
}

int anybpf_ring_peek(struct anybpf_map *map, uint32_t ring, uint64_t *position,
                     struct anybpf_record *records, uint32_t *count)
{
    const struct rings *rings = rings_of(map);
    bool perf = map->shape.kind == ANYBPF_PERF_EVENT_ARRAY;
    uint64_t end =
        atomic_load_explicit(&ring_producer(rings, ring)->position, memory_order_acquire);
    uint64_t at = *position;
    uint32_t most = *count;
    uint32_t found = 0;
    int status = ANYBPF_OK;

    if (end - at > rings->mask + 1 || (at & 7) != 0)
        status = ANYBPF_DAMAGED;
    while (status == ANYBPF_OK && found < most && at != end) {
        _Atomic uint64_t *header = ring_header(rings, ring, at);
        uint64_t word = atomic_load(header);
        uint32_t length = ring_word_length(word);
        uint64_t total = ring_total(length & RING_LENGTH);

        if (total > end - at) {
            status = ANYBPF_DAMAGED;
        } else if (length & RING_BUSY) {
            uint32_t given_up = (length & RING_LENGTH) | RING_DISCARDED;

            if (found != 0 || !ring_owner_is_dead(map, ring_word_other(word)))
                break;
            atomic_compare_exchange_strong(header, &word, ring_word(given_up, 0));
        } else {
            if ((length & RING_DISCARDED) == 0)
                records[found++] = (struct anybpf_record){
                    .data = (const uint8_t *)header + RING_HEADER,
                    .size = length & RING_LENGTH,
                    .lost = perf ? ring_word_other(word) : 0,
                };
            at += total;
        }
    }
    *position = at;
    *count = found;
    return status;
}

void anybpf_ring_advance(struct anybpf_map *map, uint32_t ring, uint64_t position,
                         uint32_t records)
{
    struct ring_consumer *consumer = ring_consumer(rings_of(map), ring);

    if (map->shape.kind == ANYBPF_PERF_EVENT_ARRAY)
        atomic_fetch_add(&consumer->records, records);
    atomic_store(&consumer->position, position);
}

/* The consumer. */

int anybpf_rings_claim(struct anybpf_map *map)
{
    struct rings *rings = rings_of(map);
    uint32_t self = atomic_load(&map->domain->self);
    uint32_t holder = 0;
    uint32_t nobody = 0;

    if (!map->segment.writable)
        return ANYBPF_DENIED;
    if (!atomic_compare_exchange_strong(&rings->claims, &nobody, self) && nobody == self)
        return ANYBPF_BUSY;
    atomic_store(&rings->claims, self);
    while (!atomic_compare_exchange_strong(&rings->shared->claimed, &holder, self)) {
        if (holder == self || anybpf_is_alive(map->domain, holder)) {
            atomic_store(&rings->claims, 0);
            return ANYBPF_BUSY;
        }
        if (atomic_compare_exchange_strong(&rings->shared->claimed, &holder, self))
            break;
        holder = 0;
    }
    return ANYBPF_OK;
}

bool anybpf_rings_are_mine(const struct anybpf_map *map)
{
    const struct rings *rings = rings_of(map);
    uint32_t self = atomic_load(&map->domain->self);

    return atomic_load(&rings->claims) == self && atomic_load(&rings->shared->claimed) == self;
}

void anybpf_rings_unclaim(struct anybpf_map *map)
{
    struct rings *rings = rings_of(map);
    uint32_t self = atomic_load(&map->domain->self);

    if (atomic_compare_exchange_strong(&rings->claims, &self, 0))
        atomic_compare_exchange_strong(&rings->shared->claimed, &self, 0);
}

/* Waiting. */

bool ring_has_record(struct anybpf_map *map, uint32_t ring)
{
    const struct rings *rings = rings_of(map);
    uint64_t at = atomic_load(&ring_consumer(rings, ring)->position);
    uint64_t word;

    if (atomic_load(&ring_producer(rings, ring)->position) == at)
        return false;
    word = atomic_load(ring_header(rings, ring, at));
    return (ring_word_length(word) & RING_BUSY) == 0 ||
           ring_owner_is_dead(map, ring_word_other(word));
}

bool ring_is_due(const struct rings *rings, uint32_t ring)
{
    uint64_t records = atomic_load_explicit(&rings->shared->wake_records, memory_order_relaxed);
    uint64_t bytes = atomic_load_explicit(&rings->shared->wake_bytes, memory_order_relaxed);
    uint64_t unread = atomic_load(&ring_producer(rings, ring)->position) -
                      atomic_load(&ring_consumer(rings, ring)->position);

    if (unread == 0)
        return false;
    if (records == 0 && bytes == 0)
        return true;
    return (bytes != 0 && unread >= bytes) ||
           (records != 0 && atomic_load(&ring_producer(rings, ring)->records) -
                                    atomic_load(&ring_consumer(rings, ring)->records) >=
                                records);
}

bool anybpf_rings_ready(struct anybpf_map *map)
{
    const struct rings *rings = rings_of(map);
    uint32_t i;

    for (i = 0; i < rings->count; i++)
        if (map->shape.kind == ANYBPF_PERF_EVENT_ARRAY ? ring_is_due(rings, i)
                                                      : ring_has_record(map, i))
            return true;
    return false;
}

bool anybpf_user_ring_has_room(struct anybpf_map *map, uint64_t size)
{
    const struct rings *rings = rings_of(map);
    uint64_t total = ring_total(size);
    uint64_t used = atomic_load(&ring_producer(rings, 0)->position) -
                    atomic_load(&ring_consumer(rings, 0)->position);

    return total > rings->mask - 7 || used + total <= rings->mask;
}

uint32_t anybpf_rings_ticket(const struct anybpf_map *map)
{
    return atomic_load(&rings_of(map)->shared->signal);
}

void anybpf_rings_wait(struct anybpf_map *map, uint32_t ticket, uint64_t size, int64_t timeout_ns)
{
    struct ring_shared *shared = rings_of(map)->shared;
    bool ready;

    if (timeout_ns < 0 || timeout_ns > ANYBPF_RING_SLICE_NS)
        timeout_ns = ANYBPF_RING_SLICE_NS;
    atomic_fetch_or(&shared->waiting, RING_WAITER);
    if (map->shape.kind == ANYBPF_USER_RINGBUF)
        ready = anybpf_user_ring_has_room(map, size);
    else
        ready = anybpf_rings_ready(map);
    if (!ready)
        anybpf_wait(&shared->signal, ticket, timeout_ns);
}

static void write_descriptor(const struct anybpf_map *map)
{
#if defined(__linux__)
    const struct rings *rings = rings_of(map);
    int descriptor = atomic_load(&rings->descriptor);
    uint64_t one = 1;

    /* After a fork the parent's is the parent's. It is full only if it is readable already. */
    if (descriptor >= 0 &&
        atomic_load(&rings->descriptor_of) == atomic_load(&map->domain->self) &&
        write(descriptor, &one, sizeof(one)) < 0)
        return;
#else
    (void)map;
#endif
}

void ring_wake(struct anybpf_map *map)
{
    struct ring_shared *shared = rings_of(map)->shared;
    uint32_t who;

    if (atomic_load(&shared->waiting) == 0)
        return;
    who = atomic_exchange(&shared->waiting, 0);
    if (who & RING_WAITER) {
        atomic_fetch_add(&shared->signal, 1);
        anybpf_wake(&shared->signal, true);
    }
    if (who & RING_DESCRIPTOR)
        write_descriptor(map);
}

void anybpf_rings_wake(struct anybpf_map *map)
{
    struct ring_shared *shared = rings_of(map)->shared;

    if (!map->segment.writable)
        return;
    atomic_fetch_add(&shared->signal, 1);
    anybpf_wake(&shared->signal, true);
    write_descriptor(map);
}

int anybpf_rings_fd(struct anybpf_map *map)
{
#if defined(__linux__)
    struct rings *rings = rings_of(map);
    int descriptor = atomic_load(&rings->descriptor);
    int none = -1;

    if (descriptor >= 0)
        return descriptor;
    descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (descriptor < 0)
        return -1;
    atomic_store(&rings->descriptor_of, atomic_load(&map->domain->self));
    if (!atomic_compare_exchange_strong(&rings->descriptor, &none, descriptor)) {
        close(descriptor);
        return none;
    }
    return descriptor;
#else
    (void)map;
    return -1;
#endif
}

bool anybpf_rings_need_bridge(const struct anybpf_map *map)
{
    return map->segment.fd >= 0;
}

static void clear_descriptor(const struct rings *rings)
{
#if defined(__linux__)
    int descriptor = atomic_load(&rings->descriptor);
    uint64_t counted;

    if (descriptor >= 0 && read(descriptor, &counted, sizeof(counted)) < 0)
        return; /* it was not raised */
#else
    (void)rings;
#endif
}

void anybpf_rings_settle(struct anybpf_map *map)
{
    const struct rings *rings = rings_of(map);

    clear_descriptor(rings);
    if (!anybpf_rings_need_bridge(map))
        atomic_fetch_or(&rings->shared->waiting, RING_DESCRIPTOR);
    if (anybpf_rings_ready(map))
        write_descriptor(map);
}

void anybpf_rings_bridge(struct anybpf_map *map)
{
    struct ring_shared *shared = rings_of(map)->shared;
    uint32_t ticket = atomic_load(&shared->signal);

    atomic_fetch_or(&shared->waiting, RING_WAITER);
    if (anybpf_rings_ready(map))
        write_descriptor(map);
    anybpf_wait(&shared->signal, ticket, ANYBPF_RING_SLICE_NS);
}

/* Checking. */

static bool check_ring(const struct rings *rings, uint32_t ring, char *why, size_t why_size)
{
    uint64_t at = atomic_load(&ring_consumer(rings, ring)->position);
    uint64_t end = atomic_load(&ring_producer(rings, ring)->position);

    if ((at & 7) != 0 || (end & 7) != 0 || end - at > rings->mask + 1) {
        snprintf(why, why_size, "ring %u: consumed up to %llu, produced up to %llu", ring,
                 (unsigned long long)at, (unsigned long long)end);
        return false;
    }
    while (at != end) {
        uint64_t word = atomic_load(ring_header(rings, ring, at));
        uint64_t total = ring_total(ring_word_length(word) & RING_LENGTH);

        if (total > end - at) {
            snprintf(why, why_size, "ring %u: the record at %llu ends behind %llu", ring,
                     (unsigned long long)at, (unsigned long long)end);
            return false;
        }
        at += total;
    }
    return true;
}

bool rings_check(struct anybpf_map *map, char *why, size_t why_size)
{
    const struct rings *rings = rings_of(map);
    uint32_t i;

    for (i = 0; i < rings->count; i++)
        if (!check_ring(rings, i, why, why_size))
            return false;
    return true;
}
