/* Arrays: `max_entries` values side by side, there from the start.
 *
 * A value is changed in place, word by word, as on Linux: a program that reads it meanwhile may see
 * some words old and some new. A user's copy never does (arrays.c).
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "arrays.h"

static int measure(const struct anybpf_domain *domain, const struct anybpf_shape *shape,
                   size_t *size, size_t *reserve)
{
    (void)domain;
    return anybpf_array_measure(shape, 1, size, reserve);
}

static int open_array(struct anybpf_map *map)
{
    return anybpf_array_open(map, 1);
}

static void *lookup(struct anybpf_map *map, const void *key, uint32_t seat)
{
    uint32_t index = anybpf_array_index(key);

    (void)seat;
    if (index >= map->shape.max_entries)
        return NULL;
    return map->values + (size_t)index * map->value_stride;
}

static int update(struct anybpf_map *map, const void *key, const void *value, uint64_t flags,
                  uint32_t seat)
{
    (void)seat;
    return anybpf_array_update(map, key, value, flags, 0);
}

static int update_8(struct anybpf_map *map, const void *key, const void *value, uint64_t flags,
                    uint32_t seat)
{
    (void)seat;
    return anybpf_array_update_word(map, key, value, flags, 0, 8);
}

static int update_4(struct anybpf_map *map, const void *key, const void *value, uint64_t flags,
                    uint32_t seat)
{
    (void)seat;
    return anybpf_array_update_word(map, key, value, flags, 0, 4);
}

static void get_direct(const struct anybpf_map *map, struct anybpf_direct *direct)
{
    if (!anybpf_array_is_one_word(&map->shape))
        return;
    if (map->shape.value_size == 8)
        direct->update = update_8;
    if (map->shape.value_size == 4)
        direct->update = update_4;
}

static uint64_t each(struct anybpf_map *map, uint32_t seat,
                     int (*visit)(void *arg, const void *key, void *value), void *arg)
{
    (void)seat;
    return anybpf_array_each(map, 0, visit, arg);
}

const struct anybpf_map_ops anybpf_array_ops = {
    .name = "array",
    .measure = measure,
    .open = open_array,
    .close = anybpf_array_close,
    .lookup = lookup,
    .update = update,
    .get_direct = get_direct,
    .erase = anybpf_array_erase,
    .read = anybpf_array_read,
    .write = anybpf_array_write,
    .next = anybpf_array_next,
    .scan = anybpf_array_scan,
    .count = anybpf_array_count,
    .each = each,
    .settle = anybpf_array_settle,
    .check = anybpf_array_check,
};
