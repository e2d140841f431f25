/* Perf event arrays: a ring for each processor, which its programs write and users read.
 *
 * A record is written with the ring's lock held and told of at the end, so nobody sees half of one.
 * What did not fit is counted, and the next record that does says how many were lost before it.
 * A ring that overwrites drops its oldest records instead; its reader takes the lock to copy.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "rings.h"

static uint64_t ring_bytes(const struct anybpf_shape *shape)
{
    return shape->extra != 0 ? shape->extra : shape->max_entries;
}

static int measure(const struct anybpf_domain *domain, const struct anybpf_shape *shape,
                   size_t *size, size_t *reserve)
{
    (void)domain;
    if (shape->max_entries == 0)
        return ANYBPF_BAD_SIZE;
    return rings_measure(shape, ring_bytes(shape), shape->cpus, size, reserve);
}

static int open_array(struct anybpf_map *map)
{
    return rings_open(map, ring_bytes(&map->shape), map->shape.cpus, false);
}

static uint64_t sum_of(const struct anybpf_part *parts, size_t count)
{
    uint64_t sum = 0;
    size_t i;

    for (i = 0; i < count; i++)
        if (__builtin_add_overflow(sum, parts[i].size, &sum))
            return UINT64_MAX;
    return sum;
}

/* Counted as lost, to be told by the next record. */
static void lose(struct ring_producer *producer, uint64_t records)
{
    atomic_fetch_add_explicit(&producer->lost, records, memory_order_relaxed);
    producer->carried += records;
}

/* Makes room by dropping what is oldest; the records that were dropped are told of by the first
 * that remains. With the lock. */
static int drop_oldest(const struct rings *rings, uint32_t ring, uint64_t total)
{
    struct ring_producer *producer = ring_producer(rings, ring);
    struct ring_consumer *consumer = ring_consumer(rings, ring);
    uint64_t at = atomic_load(&consumer->position);
    uint64_t end = atomic_load(&producer->position);
    uint64_t told = 0;
    uint64_t dropped = 0;

    while (end + total - at > rings->mask) {
        uint64_t word = atomic_load(ring_header(rings, ring, at));
        uint64_t size = ring_total(ring_word_length(word) & RING_LENGTH);

        if (end - at > rings->mask + 1 || size > end - at)
            return ANYBPF_DAMAGED;
        told += ring_word_other(word);
        dropped++;
        at += size;
    }
    if (dropped == 0)
        return ANYBPF_OK;
    atomic_fetch_add_explicit(&producer->lost, dropped, memory_order_relaxed);
    atomic_fetch_add(&consumer->records, dropped);
    told += dropped;
    if (at == end) {
        producer->carried += told;
    } else {
        uint64_t word = atomic_load(ring_header(rings, ring, at));

        told += ring_word_other(word);
        atomic_store(ring_header(rings, ring, at),
                     ring_word(ring_word_length(word),
                               told > UINT32_MAX ? UINT32_MAX : (uint32_t)told));
    }
    atomic_store(&consumer->position, at);
    return ANYBPF_OK;
}

static void put(const struct rings *rings, uint32_t ring, uint64_t at,
                const struct anybpf_part *parts, size_t count, uint64_t size)
{
    struct ring_producer *producer = ring_producer(rings, ring);
    uint32_t told = producer->carried > UINT32_MAX ? UINT32_MAX : (uint32_t)producer->carried;
    _Atomic uint64_t *header = ring_header(rings, ring, at);
    uint8_t *to = (uint8_t *)header + RING_HEADER;
    size_t i;

    for (i = 0; i < count; i++) {
        if (parts[i].size != 0)
            ring_copy(to, parts[i].data, (size_t)parts[i].size);
        to += parts[i].size;
    }
    producer->carried -= told;
    atomic_store_explicit(header, ring_word((uint32_t)size, told), memory_order_relaxed);
    atomic_fetch_add(&producer->records, 1);
    atomic_store(&producer->position, at + ring_total(size));
}

int anybpf_perf_output(struct anybpf_map *map, uint32_t index, uint32_t cpu,
                       const struct anybpf_part *parts, size_t count)
{
    const struct rings *rings = rings_of(map);
    uint64_t size = sum_of(parts, count);
    struct ring_producer *producer;
    uint64_t at = 0;
    int status;

    if (map->shape.kind != ANYBPF_PERF_EVENT_ARRAY)
        return ANYBPF_NOT_SUPPORTED;
    if (index == ANYBPF_PERF_CURRENT)
        index = cpu;
    if (index >= rings->count || index >= map->shape.max_entries)
        return ANYBPF_BAD_INDEX;
    if ((map->shape.flags & ANYBPF_NEEDS_READER) &&
        atomic_load_explicit(&rings->shared->claimed, memory_order_relaxed) == 0)
        return ANYBPF_MISSING;
    if (index != cpu)
        return ANYBPF_NOT_SUPPORTED;
    if (size > ANYBPF_MOST_RECORD || ring_total(size) > rings->mask - 7)
        return ANYBPF_TOO_BIG;
    producer = ring_producer(rings, index);
    ring_lock(map, &producer->lock);
    status = map->shape.flags & ANYBPF_OVERWRITES ? drop_oldest(rings, index, ring_total(size))
                                                  : ANYBPF_OK;
    if (status == ANYBPF_OK)
        status = ring_room(rings, index, ring_total(size), &at);
    if (status == ANYBPF_OK)
        put(rings, index, at, parts, count, size);
    else
        lose(producer, 1);
    ring_unlock(&producer->lock);
    if (status == ANYBPF_OK && atomic_load(&rings->shared->waiting) != 0 &&
        ring_is_due(rings, index))
        ring_wake(map);
    return status;
}

int anybpf_ring_take(struct anybpf_map *map, uint32_t ring, uint8_t *buffer, size_t size,
                     struct anybpf_record *records, uint32_t *count)
{
    const struct rings *rings = rings_of(map);
    struct anybpf_lock *lock = &ring_producer(rings, ring)->lock;
    uint32_t most = *count;
    uint32_t taken = 0;
    size_t used = 0;
    int status = ANYBPF_OK;

    ring_lock(map, lock);
    while (taken < most) {
        struct anybpf_record *record = &records[taken];
        uint64_t position = anybpf_ring_consumed(map, ring);
        uint32_t one = 1;

        status = anybpf_ring_peek(map, ring, &position, record, &one);
        if (status != ANYBPF_OK || one == 0)
            break;
        if (record->size > size - used) {
            status = taken == 0 ? ANYBPF_TOO_BIG : ANYBPF_OK;
            break;
        }
        anybpf_copy_from_shared(buffer + used, record->data, record->size);
        record->data = buffer + used;
        used += ((size_t)record->size + 7) & ~(size_t)7;
        used = used > size ? size : used;
        anybpf_ring_advance(map, ring, position, 1);
        taken++;
    }
    ring_unlock(lock);
    *count = taken;
    return status;
}

uint64_t anybpf_perf_lost(const struct anybpf_map *map, uint32_t ring)
{
    return atomic_load(&ring_producer(rings_of(map), ring)->lost);
}

void anybpf_perf_forget(struct anybpf_map *map)
{
    const struct rings *rings = rings_of(map);
    uint32_t i;

    for (i = 0; i < rings->count; i++) {
        struct ring_producer *producer = ring_producer(rings, i);

        ring_lock(map, &producer->lock);
        producer->carried = 0;
        atomic_store(&ring_consumer(rings, i)->records, atomic_load(&producer->records));
        atomic_store(&ring_consumer(rings, i)->position, atomic_load(&producer->position));
        ring_unlock(&producer->lock);
    }
}

void anybpf_perf_set_wakeup(struct anybpf_map *map, uint32_t records, uint64_t bytes)
{
    struct ring_shared *shared = rings_of(map)->shared;

    atomic_store(&shared->wake_records, records);
    atomic_store(&shared->wake_bytes, bytes);
}

const struct anybpf_map_ops anybpf_perf_event_array_ops = {
    .name = "perf_event_array",
    .measure = measure,
    .open = open_array,
    .close = rings_close,
    .check = rings_check,
};
