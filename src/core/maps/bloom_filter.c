/* Bloom filters: values are put in, and asked for; a no is certain, a yes is probable.
 *
 * A value sets and asks for a few bits of a field, whose size follows the rule of Linux: for `n`
 * entries and `k` functions 7/5 n k bits (n k / ln 2, where half of the bits come to be set), and
 * then the next power of two. Bits are never cleared, so nothing needs a lock, and a writer that is
 * killed half-way has done no harm: nobody was told yet that its value is in.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "../map.h"

#include <stdio.h>
#include <stdlib.h>

#define FUNCTIONS_UNLESS_SAID 5u
#define MOST_FUNCTIONS 15u
#define LEAST_BITS 64u
#define MOST_BITS (UINT64_C(1) << 32)

struct filter {
    uint64_t seed;
    _Alignas(64) _Atomic uint64_t field[];
};

struct view {
    uint64_t seed;
    uint32_t mask; /* bits - 1 */
    uint32_t functions;
};

static struct filter *filter_of(const struct anybpf_map *map)
{
    return (struct filter *)(void *)map->header->body;
}

static uint32_t functions_of(const struct anybpf_shape *shape)
{
    return shape->extra == 0 ? FUNCTIONS_UNLESS_SAID : (uint32_t)shape->extra;
}

static uint64_t bits_of(const struct anybpf_shape *shape)
{
    uint64_t wanted = (uint64_t)shape->max_entries * functions_of(shape) / 5 * 7;
    uint64_t bits = LEAST_BITS;

    while (bits < wanted && bits < MOST_BITS)
        bits *= 2;
    return bits;
}

static int measure(const struct anybpf_domain *domain, const struct anybpf_shape *shape,
                   size_t *size, size_t *reserve)
{
    (void)domain;
    if (shape->extra > MOST_FUNCTIONS)
        return ANYBPF_BAD_ARGUMENT;
    if (shape->key_size != 0 || shape->value_size == 0 || shape->max_entries == 0)
        return ANYBPF_BAD_SIZE;
    *size = sizeof(struct anybpf_map_header) + sizeof(struct filter) +
            (size_t)(bits_of(shape) / 8);
    *reserve = 0;
    return ANYBPF_OK;
}

static int init(struct anybpf_map *map)
{
    uint64_t *seed = &filter_of(map)->seed;

    return anybpf_random_bytes(seed, sizeof(*seed)) ? ANYBPF_OK : ANYBPF_NO_MEMORY;
}

static int open_filter(struct anybpf_map *map)
{
    struct view *view;
    size_t size;
    size_t reserve;

    if (measure(map->domain, &map->shape, &size, &reserve) != ANYBPF_OK ||
        size > map->segment.size)
        return ANYBPF_DAMAGED;
    view = calloc(1, sizeof(*view));
    if (view == NULL)
        return ANYBPF_NO_MEMORY;
    view->seed = filter_of(map)->seed;
    view->mask = (uint32_t)(bits_of(&map->shape) - 1);
    view->functions = functions_of(&map->shape);
    map->private = view;
    return ANYBPF_OK;
}

static void close_filter(struct anybpf_map *map)
{
    free(map->private);
    map->private = NULL;
}

/* The halves of one hash, the second so often added to the first, stand for that many functions. */
static int push(struct anybpf_map *map, const void *value, uint64_t flags)
{
    const struct view *view = map->private;
    _Atomic uint64_t *field = filter_of(map)->field;
    uint64_t hash = anybpf_hash_bytes(value, map->shape.value_size, view->seed);
    uint32_t at = (uint32_t)hash;
    uint32_t step = (uint32_t)(hash >> 32) | 1u;
    bool new = false;
    uint32_t i;

    if (flags != ANYBPF_ANY)
        return ANYBPF_BAD_FLAGS;
    for (i = 0; i < view->functions; i++, at += step) {
        uint32_t number = at & view->mask;
        uint64_t bit = UINT64_C(1) << (number & 63u);

        if ((atomic_load_explicit(&field[number >> 6], memory_order_relaxed) & bit) != 0)
            continue; /* a line that need not be written stays in everybody's cache */
        atomic_fetch_or_explicit(&field[number >> 6], bit, memory_order_release);
        new = true;
    }
    if (new)
        atomic_fetch_add_explicit(&map->header->count, 1, memory_order_release);
    return ANYBPF_OK;
}

static int peek(struct anybpf_map *map, void *value)
{
    const struct view *view = map->private;
    const _Atomic uint64_t *field = filter_of(map)->field;
    uint64_t hash = anybpf_hash_bytes(value, map->shape.value_size, view->seed);
    uint32_t at = (uint32_t)hash;
    uint32_t step = (uint32_t)(hash >> 32) | 1u;
    uint32_t i;

    for (i = 0; i < view->functions; i++, at += step) {
        uint32_t number = at & view->mask;

        if ((atomic_load_explicit(&field[number >> 6], memory_order_acquire) >> (number & 63u) &
             1u) == 0)
            return ANYBPF_MISSING;
    }
    return ANYBPF_OK;
}

/* `value` says which: a filter can only be asked. */
static int read_value(struct anybpf_map *map, const void *key, void *value, uint64_t flags)
{
    (void)key;
    return flags == 0 ? peek(map, value) : ANYBPF_BAD_FLAGS;
}

static int write_value(struct anybpf_map *map, const void *key, const void *value, uint64_t flags)
{
    (void)key;
    return push(map, value, flags);
}

/* Values that were pushed and not taken to be in before: about how many different ones there are. */
static uint64_t count(struct anybpf_map *map)
{
    return atomic_load_explicit(&map->header->count, memory_order_relaxed);
}

static bool check(struct anybpf_map *map, char *why, size_t why_size)
{
    const struct view *view = map->private;
    const _Atomic uint64_t *field = filter_of(map)->field;
    /* First: others may be at it, and count what they have set. */
    uint64_t values = atomic_load_explicit(&map->header->count, memory_order_acquire);
    uint64_t set = 0;
    uint64_t i;

    for (i = 0; i <= view->mask / 64u; i++)
        set += (uint64_t)__builtin_popcountll(
            atomic_load_explicit(&field[i], memory_order_relaxed));
    if (values > set) { /* each that was counted set a bit of its own */
        snprintf(why, why_size, "%llu values are in, but only %llu bits are set",
                 (unsigned long long)values, (unsigned long long)set);
        return false;
    }
    return true;
}

const struct anybpf_map_ops anybpf_bloom_filter_ops = {
    .name = "bloom_filter",
    .measure = measure,
    .init = init,
    .open = open_filter,
    .close = close_filter,
    .push = push,
    .peek = peek,
    .read = read_value,
    .write = write_value,
    .count = count,
    .check = check,
};
