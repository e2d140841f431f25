/* Arrays: `max_entries` values side by side, there from the start.
 *
 * A value is changed in place, word by word, as on Linux: a program that reads it meanwhile may see
 * some words old and some new. A user's copy never does (arrays.c).
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "arrays.h"

#include <string.h>

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
    uint32_t index;

    (void)seat;
    memcpy(&index, key, sizeof(index));
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
