/* User ring buffers: users produce, a program takes the records by calling itself on each.
 *
 * The ring is that of a ring buffer with the sides exchanged. Users' threads may produce at once;
 * one program at a time drains.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "rings.h"

static int measure(const struct anybpf_domain *domain, const struct anybpf_shape *shape,
                   size_t *size, size_t *reserve)
{
    (void)domain;
    return rings_measure(shape, shape->max_entries, 1, size, reserve);
}

static int open_ring(struct anybpf_map *map)
{
    return rings_open(map, map->shape.max_entries, 1, true);
}

static bool start_draining(struct anybpf_map *map)
{
    _Atomic uint32_t *draining = &rings_of(map)->shared->draining;
    uint32_t self = atomic_load(&map->domain->self);
    uint32_t holder = 0;

    if (atomic_compare_exchange_strong(draining, &holder, self))
        return true;
    return holder != self && !anybpf_is_alive(map->domain, holder) &&
           atomic_compare_exchange_strong(draining, &holder, self);
}

enum found { RECORD, SKIPPED, NOTHING, BROKEN, HUGE_RECORD };

/* What is at the consumer's position. */
static enum found look(struct anybpf_map *map, void **sample, uint32_t *size, uint64_t *total)
{
    const struct rings *rings = rings_of(map);
    uint64_t at = atomic_load(&ring_consumer(rings, 0)->position);
    uint64_t end = atomic_load(&ring_producer(rings, 0)->position);
    _Atomic uint64_t *header = ring_header(rings, 0, at);
    uint64_t word;

    if ((end & 7) != 0 || (at & 7) != 0 || end - at > rings->mask + 1)
        return BROKEN;
    if (at == end)
        return NOTHING;
    word = atomic_load(header);
    *size = ring_word_length(word) & RING_LENGTH;
    *total = ring_total(*size);
    *sample = (uint8_t *)header + RING_HEADER;
    if (*total > end - at)
        return BROKEN;
    if (ring_word_length(word) & RING_BUSY)
        return ring_owner_is_dead(map, ring_word_other(word)) ? SKIPPED : NOTHING;
    if (ring_word_length(word) & RING_DISCARDED)
        return SKIPPED;
    return *size > ANYBPF_MOST_SAMPLE ? HUGE_RECORD : RECORD;
}

int anybpf_user_ring_drain(struct anybpf_map *map, uint64_t flags,
                           int (*visit)(void *arg, void *sample, uint32_t size), void *arg,
                           uint64_t *visited)
{
    const struct rings *rings = rings_of(map);
    struct ring_consumer *consumer;
    int status = ANYBPF_OK;
    bool enough = false;
    uint32_t i;

    *visited = 0;
    if (map->shape.kind != ANYBPF_USER_RINGBUF)
        return ANYBPF_NOT_SUPPORTED;
    if (flags & ~(uint64_t)(ANYBPF_RING_NO_WAKEUP | ANYBPF_RING_FORCE_WAKEUP))
        return ANYBPF_BAD_FLAGS;
    if (!start_draining(map))
        return ANYBPF_BUSY;
    consumer = ring_consumer(rings, 0);
    for (i = 0; i < ANYBPF_MOST_DRAINED && !enough; i++) {
        void *sample = NULL;
        uint32_t size = 0;
        uint64_t total = 0;
        enum found found = look(map, &sample, &size, &total);

        if (found == RECORD) {
            enough = visit(arg, sample, size) != 0;
            ++*visited;
        } else if (found != SKIPPED) {
            status = found == BROKEN        ? ANYBPF_BAD_VALUE
                     : found == HUGE_RECORD ? ANYBPF_TOO_BIG
                                            : ANYBPF_OK;
            break;
        }
        atomic_fetch_add(&consumer->position, total);
    }
    atomic_store(&rings->shared->draining, 0);
    if ((flags & ANYBPF_RING_FORCE_WAKEUP) ||
        ((flags & ANYBPF_RING_NO_WAKEUP) == 0 && *visited > 0))
        ring_wake(map);
    return status;
}

const struct anybpf_map_ops anybpf_user_ringbuf_ops = {
    .name = "user_ringbuf",
    .measure = measure,
    .open = open_ring,
    .close = rings_close,
    .check = rings_check,
};
