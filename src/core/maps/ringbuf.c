/* Ring buffers: records from many programs to one consumer, in the order they were reserved.
 *
 * Reserving is a lock held for a few instructions, because the header must be in place before the
 * position tells of it; submitting is one exchange.
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

static bool takes_records(const struct anybpf_map *map)
{
    return map->shape.kind == ANYBPF_RINGBUF || map->shape.kind == ANYBPF_USER_RINGBUF;
}

int anybpf_ring_reserve(struct anybpf_map *map, uint64_t size, uint64_t flags, uint32_t seat,
                        void **record)
{
    if (!takes_records(map))
        return ANYBPF_NOT_SUPPORTED;
    if (flags != 0)
        return ANYBPF_BAD_FLAGS;
    return ring_reserve(map, size, seat, record);
}

struct anybpf_map *anybpf_ring_of(struct anybpf_domain *domain, const void *record)
{
    struct anybpf_area area;
    struct anybpf_object *object;
    struct anybpf_map *map;

    if (!anybpf_find_area(domain, (uintptr_t)record, &area))
        return NULL;
    object = anybpf_find(domain, area.object);
    if (object == NULL || object->kind != ANYBPF_OBJECT_MAP)
        return NULL;
    map = (struct anybpf_map *)(void *)object;
    if (map->shape.kind != ANYBPF_RINGBUF || (uintptr_t)map->values != area.start)
        return NULL;
    return map;
}

uint32_t anybpf_ring_record_size(const struct anybpf_map *map, const void *record)
{
    _Atomic uint64_t *header = takes_records(map) ? ring_reserved(map, record) : NULL;

    if (header == NULL)
        return 0;
    return ring_word_length(atomic_load_explicit(header, memory_order_relaxed)) & RING_LENGTH;
}

static int finish(struct anybpf_map *map, void *record, uint64_t flags, uint32_t how)
{
    const struct rings *rings;
    _Atomic uint64_t *header;
    uint64_t consumed;
    size_t offset;

    if (!takes_records(map))
        return ANYBPF_NOT_SUPPORTED;
    rings = rings_of(map);
    header = ring_reserved(map, record);
    if (header == NULL)
        return ANYBPF_BAD_ARGUMENT;
    ring_commit(rings, header, how);
    if (map->shape.kind == ANYBPF_USER_RINGBUF) /* programs look when they like */
        return ANYBPF_OK;
    if (flags & ANYBPF_RING_FORCE_WAKEUP) {
        ring_wake(map);
    } else if ((flags & ANYBPF_RING_NO_WAKEUP) == 0) {
        consumed = atomic_load(&ring_consumer(rings, 0)->position) & rings->mask;
        offset = (size_t)((uint8_t *)header - ring_data(rings, 0));
        if (consumed == offset)
            ring_wake(map);
    }
    return ANYBPF_OK;
}

int anybpf_ring_submit(struct anybpf_map *map, void *record, uint64_t flags)
{
    return finish(map, record, flags, 0);
}

int anybpf_ring_discard(struct anybpf_map *map, void *record, uint64_t flags)
{
    return finish(map, record, flags, RING_DISCARDED);
}

int anybpf_ring_output(struct anybpf_map *map, const void *data, uint64_t size, uint64_t flags,
                       uint32_t seat)
{
    void *record;
    int status;

    if (flags & ~(uint64_t)(ANYBPF_RING_NO_WAKEUP | ANYBPF_RING_FORCE_WAKEUP))
        return ANYBPF_BAD_FLAGS;
    status = anybpf_ring_reserve(map, size, 0, seat, &record);
    if (status != ANYBPF_OK)
        return status;
    ring_copy(record, data, (size_t)size);
    return anybpf_ring_submit(map, record, flags);
}

uint64_t anybpf_ring_query(const struct anybpf_map *map, uint64_t what)
{
    const struct rings *rings = rings_of(map);

    if (!takes_records(map))
        return 0;
    switch (what) {
    case ANYBPF_RING_AVAILABLE:
        return anybpf_ring_unread(map, 0);
    case ANYBPF_RING_SIZE:
        return rings->mask + 1;
    case ANYBPF_RING_CONSUMED:
        return atomic_load(&ring_consumer(rings, 0)->position);
    case ANYBPF_RING_PRODUCED:
        return atomic_load(&ring_producer(rings, 0)->position);
    default:
        return 0;
    }
}

uint32_t anybpf_ring_abandon(struct anybpf_map *map, uint32_t seat)
{
    const struct rings *rings = rings_of(map);
    struct anybpf_lock *lock = &ring_producer(rings, 0)->lock;
    uint32_t mine = ring_owner(map, seat);
    uint32_t given_up = 0;
    uint64_t at;
    uint64_t end;

    if (!takes_records(map))
        return 0;
    /* With the lock nothing that the walk meets is reserved anew, however far the consumer is. */
    ring_lock(map, lock);
    at = atomic_load(&ring_consumer(rings, 0)->position);
    end = atomic_load(&ring_producer(rings, 0)->position);
    while (end - at <= rings->mask + 1 && at != end) {
        _Atomic uint64_t *header = ring_header(rings, 0, at);
        uint64_t word = atomic_load(header);
        uint32_t length = ring_word_length(word);

        if ((length & RING_BUSY) && ring_word_other(word) == mine) {
            ring_commit(rings, header, RING_DISCARDED);
            given_up++;
        }
        at += ring_total(length & RING_LENGTH);
    }
    ring_unlock(lock);
    if (given_up != 0)
        ring_wake(map);
    return given_up;
}

void anybpf_rings_abandon(struct anybpf_map *const *maps, uint32_t count, uint32_t seat)
{
    uint32_t i;

    for (i = 0; i < count; i++)
        if (maps[i] != NULL && maps[i]->shape.kind == ANYBPF_RINGBUF)
            (void)anybpf_ring_abandon(maps[i], seat);
}

const struct anybpf_map_ops anybpf_ringbuf_ops = {
    .name = "ringbuf",
    .measure = measure,
    .open = open_ring,
    .close = rings_close,
    .check = rings_check,
};
