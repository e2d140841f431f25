/* A ring of values with one place more than it may hold. What is in it is said by one word, the
 * place of the oldest and how many there are, so that a push, a pop and even the push that drops the
 * oldest are done by one store: the new value is written to the place that is free first. Whoever is
 * killed before that store has done nothing.
 *
 * Those who only look take no lock: a count that is odd while something changes tells them that
 * their copy may be torn.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "fifo.h"

#include <stdio.h>

#define TURNS_BEFORE_LOCK 128u

struct fifo {
    _Atomic uint64_t state;   /* place of the oldest above, how many below */
    _Atomic uint32_t changes; /* odd: one is under way */
    _Alignas(64) uint8_t place[];
};

struct state {
    uint32_t oldest;
    uint32_t count;
};

static struct fifo *fifo_of(const struct anybpf_map *map)
{
    return (struct fifo *)(void *)map->header->body;
}

static uint8_t *place_of(const struct anybpf_map *map, uint64_t number)
{
    uint64_t places = (uint64_t)map->shape.max_entries + 1;

    return fifo_of(map)->place + number % places * map->value_stride;
}

/* What the segment says, made harmless: places are taken modulo. */
static struct state load(const struct anybpf_map *map)
{
    uint64_t word = atomic_load_explicit(&fifo_of(map)->state, memory_order_acquire);
    struct state state = {(uint32_t)(word >> 32), (uint32_t)word};

    if (state.count > map->shape.max_entries)
        state.count = map->shape.max_entries;
    return state;
}

static void store(const struct anybpf_map *map, uint64_t oldest, uint32_t count)
{
    uint64_t places = (uint64_t)map->shape.max_entries + 1;

    atomic_store_explicit(&fifo_of(map)->state, oldest % places << 32 | count,
                          memory_order_release);
}

/* Taking and giving the lock keeps `changes` right, also after its holder died. */
static void begin(struct anybpf_map *map)
{
    _Atomic uint32_t *changes = &fifo_of(map)->changes;

    anybpf_lock_take(map->domain, &map->header->lock);
    atomic_store_explicit(changes, atomic_load_explicit(changes, memory_order_relaxed) | 1u,
                          memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
}

static void end(struct anybpf_map *map)
{
    _Atomic uint32_t *changes = &fifo_of(map)->changes;

    atomic_store_explicit(changes, atomic_load_explicit(changes, memory_order_relaxed) + 1u,
                          memory_order_release);
    anybpf_lock_give(&map->header->lock);
}

int anybpf_fifo_measure(const struct anybpf_domain *domain, const struct anybpf_shape *shape,
                        size_t *size, size_t *reserve)
{
    uint64_t stride = ((uint64_t)shape->value_size + 7u) & ~UINT64_C(7);
    uint64_t bytes;

    (void)domain;
    if (shape->key_size != 0 || shape->value_size == 0 || shape->max_entries == 0)
        return ANYBPF_BAD_SIZE;
    if (__builtin_mul_overflow(stride, (uint64_t)shape->max_entries + 1, &bytes) ||
        bytes > SIZE_MAX / 4)
        return ANYBPF_NO_MEMORY;
    *size = sizeof(struct anybpf_map_header) + sizeof(struct fifo) + (size_t)bytes;
    *reserve = 0;
    return ANYBPF_OK;
}

int anybpf_fifo_open(struct anybpf_map *map)
{
    size_t size;
    size_t reserve;

    if (anybpf_fifo_measure(map->domain, &map->shape, &size, &reserve) != ANYBPF_OK ||
        size > map->segment.size)
        return ANYBPF_DAMAGED;
    return ANYBPF_OK;
}

int anybpf_fifo_push(struct anybpf_map *map, const void *value, uint64_t flags)
{
    struct state state;
    bool drops;

    if ((flags & ~(uint64_t)ANYBPF_EXIST) != 0)
        return ANYBPF_BAD_FLAGS;
    drops = flags == ANYBPF_EXIST && (map->shape.flags & ANYBPF_DROPS_OLDEST) != 0;
    begin(map);
    state = load(map);
    if (state.count == map->shape.max_entries && !drops) {
        end(map);
        return ANYBPF_QUEUE_FULL;
    }
    anybpf_copy_to_shared(place_of(map, (uint64_t)state.oldest + state.count), value,
                          map->shape.value_size);
    if (state.count == map->shape.max_entries)
        store(map, (uint64_t)state.oldest + 1, state.count);
    else
        store(map, state.oldest, state.count + 1);
    end(map);
    return ANYBPF_OK;
}

static int copy_out(struct anybpf_map *map, void *value, bool newest, struct state state)
{
    if (state.count == 0)
        return ANYBPF_EMPTY;
    anybpf_copy_from_shared(
        value, place_of(map, (uint64_t)state.oldest + (newest ? state.count - 1 : 0)),
        map->shape.value_size);
    return ANYBPF_OK;
}

static int peek(struct anybpf_map *map, void *value, bool newest)
{
    _Atomic uint32_t *changes = &fifo_of(map)->changes;
    uint32_t turn;
    int status;

    for (turn = 0; turn < TURNS_BEFORE_LOCK; turn++) {
        uint32_t before = atomic_load_explicit(changes, memory_order_acquire);

        if ((before & 1u) == 0) {
            status = copy_out(map, value, newest, load(map));
            atomic_thread_fence(memory_order_acquire);
            if (atomic_load_explicit(changes, memory_order_relaxed) == before)
                return status;
        }
        anybpf_back_off(turn);
    }
    if (!map->segment.writable) /* somebody died in the middle, and it is not for us to mend */
        return ANYBPF_BUSY;
    begin(map);
    status = copy_out(map, value, newest, load(map));
    end(map);
    return status;
}

int anybpf_fifo_get(struct anybpf_map *map, void *value, bool newest, bool remove)
{
    struct state state;
    int status;

    if (!remove)
        return peek(map, value, newest);
    begin(map);
    state = load(map);
    status = copy_out(map, value, newest, state);
    if (status == ANYBPF_OK)
        store(map, newest ? state.oldest : (uint64_t)state.oldest + 1, state.count - 1);
    end(map);
    return status;
}

uint64_t anybpf_fifo_count(struct anybpf_map *map)
{
    return load(map).count;
}

bool anybpf_fifo_check(struct anybpf_map *map, char *why, size_t why_size)
{
    uint64_t word;

    if (map->segment.writable) { /* whatever a dead one began is ended by this */
        begin(map);
        word = atomic_load(&fifo_of(map)->state);
        end(map);
    } else {
        word = atomic_load(&fifo_of(map)->state);
    }
    if ((uint32_t)word > map->shape.max_entries) {
        snprintf(why, why_size, "%u values where %u fit", (unsigned)word,
                 (unsigned)map->shape.max_entries);
        return false;
    }
    if (word >> 32 > map->shape.max_entries) {
        snprintf(why, why_size, "the oldest value is said to be at place %u of %llu",
                 (unsigned)(word >> 32), (unsigned long long)map->shape.max_entries + 1);
        return false;
    }
    return true;
}

int anybpf_fifo_read(struct anybpf_map *map, const void *key, void *value, uint64_t flags)
{
    (void)key;
    return flags == 0 ? map->ops->peek(map, value) : ANYBPF_BAD_FLAGS;
}

int anybpf_fifo_write(struct anybpf_map *map, const void *key, const void *value, uint64_t flags)
{
    (void)key;
    return anybpf_fifo_push(map, value, flags);
}

int anybpf_fifo_take(struct anybpf_map *map, const void *key, void *value)
{
    (void)key;
    return map->ops->pop(map, value);
}
