/* Cells by number, and when they may be used again.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "pool.h"

/* To ask whether a cell may be used again can cost a look at all seats; fresh memory is cheaper until
 * so many wait, and then for all but one in so many. */
#define WAITING_BEFORE_LOOK 64u
#define TAKES_PER_LOOK 16u
/* Who retires that many moves the epoch on: those who sit down from then on do not hold them up. */
#define RETIRED_PER_EPOCH 64u

#define LEAST_GROWN (UINT32_C(1) << 16)
#define MOST_GROWN (UINT32_C(1) << 24)
#define GROWTH 16u
#define MOST_GROWN_BYTES (UINT64_C(1) << 30)
/* Whoever replaces many entries at one sitting needs a cell for each, and so do those before whom it
 * sat down. Where nobody does that, the memory is never touched. */
#define SPARE_PER_ENTRY 3u
#define LEAST_SPARE (UINT32_C(1) << 12)
#define MOST_SPARE (UINT32_C(1) << 20)
#define MOST_BYTES (UINT64_C(1) << 40)

static uint32_t get(const _Atomic uint32_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

static void set(_Atomic uint32_t *word, uint32_t value)
{
    atomic_store_explicit(word, value, memory_order_relaxed);
}

static uint32_t take(const struct anybpf_pool *pool, uint32_t cell)
{
    /* Acquiring, so that what is written to the cell is not seen before it is seen to be in use. */
    atomic_fetch_add_explicit(&pool->link[cell - 1].uses, 1, memory_order_acq_rel);
    return cell;
}

static uint32_t take_retired(const struct anybpf_pool *pool)
{
    struct anybpf_pool_state *state = pool->state;
    uint32_t cell = get(&state->first);
    uint32_t next;

    if (cell == 0 || cell > pool->cells ||
        !anybpf_is_past(pool->domain, atomic_load_explicit(&pool->link[cell - 1].stamp,
                                                           memory_order_relaxed)))
        return 0;
    next = get(&pool->link[cell - 1].next);
    set(&state->first, next);
    if (next == 0)
        set(&state->last, 0);
    set(&state->waiting, get(&state->waiting) - 1);
    return take(pool, cell);
}

uint32_t anybpf_pool_take(const struct anybpf_pool *pool)
{
    struct anybpf_pool_state *state = pool->state;
    uint32_t fresh = get(&state->fresh);
    uint32_t waiting = get(&state->waiting);
    uint32_t cell = 0;

    if (fresh >= pool->cells ||
        (waiting > WAITING_BEFORE_LOOK && waiting % TAKES_PER_LOOK == 0))
        cell = take_retired(pool);
    if (cell != 0 || fresh >= pool->cells)
        return cell;
    set(&state->fresh, fresh + 1);
    return take(pool, fresh + 1);
}

bool anybpf_pool_wait(uint32_t turn, uint32_t most)
{
    if (turn >= most)
        return false;
    anybpf_back_off(turn);
    return true;
}

static void append(const struct anybpf_pool *pool, uint32_t cell, uint64_t stamp)
{
    struct anybpf_pool_state *state = pool->state;
    uint32_t last = get(&state->last);

    atomic_store_explicit(&pool->link[cell - 1].stamp, stamp, memory_order_relaxed);
    set(&pool->link[cell - 1].next, 0);
    if (last == 0 || last > pool->cells)
        set(&state->first, cell);
    else
        set(&pool->link[last - 1].next, cell);
    set(&state->last, cell);
    set(&state->waiting, get(&state->waiting) + 1);
}

void anybpf_pool_retire(const struct anybpf_pool *pool, uint32_t cell)
{
    uint64_t stamp = anybpf_stamp(pool->domain);

    append(pool, cell, stamp);
    if (get(&pool->state->waiting) % RETIRED_PER_EPOCH == 0)
        anybpf_is_past(pool->domain, stamp);
}

void anybpf_pool_rebuild(const struct anybpf_pool *pool, const uint8_t *used)
{
    uint64_t stamp = anybpf_stamp(pool->domain);
    uint32_t fresh = get(&pool->state->fresh);
    uint32_t i;

    if (fresh > pool->cells) {
        fresh = pool->cells;
        set(&pool->state->fresh, fresh);
    }
    set(&pool->state->first, 0);
    set(&pool->state->last, 0);
    set(&pool->state->waiting, 0);
    for (i = 0; used != NULL && i < fresh; i++)
        if (!used[i])
            append(pool, i + 1, stamp);
}

bool anybpf_pool_check(const struct anybpf_pool *pool, uint8_t *used)
{
    uint32_t fresh = get(&pool->state->fresh);
    uint32_t cell = get(&pool->state->first);
    uint32_t last = 0;
    uint32_t waiting = 0;
    uint32_t i;

    if (fresh > pool->cells)
        return false;
    while (cell != 0) {
        if (cell > fresh || used[cell - 1])
            return false;
        used[cell - 1] = 1;
        waiting++;
        last = cell;
        cell = get(&pool->link[cell - 1].next);
    }
    if (waiting != get(&pool->state->waiting) || last != get(&pool->state->last))
        return false;
    for (i = 0; i < pool->cells; i++)
        if (used[i] != (i < fresh))
            return false;
    return true;
}

uint32_t anybpf_pool_limit(const struct anybpf_shape *shape, uint64_t bytes_per_entry)
{
    uint64_t limit = (uint64_t)shape->max_entries * GROWTH;

    if ((shape->flags & ANYBPF_GROWS) == 0)
        return shape->max_entries;
    if (limit < LEAST_GROWN)
        limit = LEAST_GROWN;
    if (limit > MOST_GROWN)
        limit = MOST_GROWN;
    while (limit > 1 && limit * bytes_per_entry > MOST_GROWN_BYTES)
        limit /= 2;
    return limit < shape->max_entries ? shape->max_entries : (uint32_t)limit;
}

uint32_t anybpf_pool_cells(uint32_t limit)
{
    uint32_t spare = limit > MOST_SPARE / SPARE_PER_ENTRY ? MOST_SPARE : limit * SPARE_PER_ENTRY;

    if (spare < LEAST_SPARE)
        spare = LEAST_SPARE;
    return limit > UINT32_MAX - 1 - spare ? UINT32_MAX - 1 : limit + spare;
}

bool anybpf_pool_place(uint64_t *end, uint64_t count, uint64_t size, uint64_t alignment,
                       uint64_t *start)
{
    uint64_t bytes;

    if (__builtin_mul_overflow(count, size, &bytes) || bytes > MOST_BYTES || *end > MOST_BYTES)
        return false;
    *start = (*end + alignment - 1) & ~(alignment - 1);
    *end = *start + bytes;
    return *end <= MOST_BYTES && *end <= SIZE_MAX / 4;
}
