/* Per-CPU arrays: every entry has a value for each processor. The values of a processor lie together,
 * so that two processors never write to the same cache line.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "arrays.h"

static int measure(const struct anybpf_domain *domain, const struct anybpf_shape *shape,
                   size_t *size, size_t *reserve)
{
    (void)domain;
    if (shape->lock_offset != ANYBPF_NO_FIELD || shape->timer_offset != ANYBPF_NO_FIELD)
        return ANYBPF_NOT_SUPPORTED; /* whose lock would it be? Linux refuses it as well */
    return anybpf_array_measure(shape, shape->cpus, size, reserve);
}

static int open_array(struct anybpf_map *map)
{
    return anybpf_array_open(map, map->shape.cpus);
}

static void *lookup(struct anybpf_map *map, const void *key, uint32_t seat)
{
    return seat < map->domain->cpus ? anybpf_array_find(map, key, seat) : NULL;
}

static void *lookup_cpu(struct anybpf_map *map, const void *key, uint32_t cpu)
{
    return cpu < map->shape.cpus ? anybpf_array_find(map, key, cpu) : NULL;
}

static int update(struct anybpf_map *map, const void *key, const void *value, uint64_t flags,
                  uint32_t seat)
{
    if (seat >= map->domain->cpus)
        return ANYBPF_NOT_SUPPORTED;
    return anybpf_array_update(map, key, value, flags, seat);
}

static int update_8(struct anybpf_map *map, const void *key, const void *value, uint64_t flags,
                    uint32_t seat)
{
    if (seat >= map->domain->cpus)
        return ANYBPF_NOT_SUPPORTED;
    return anybpf_array_update_word(map, key, value, flags, seat, 8);
}

static int update_4(struct anybpf_map *map, const void *key, const void *value, uint64_t flags,
                    uint32_t seat)
{
    if (seat >= map->domain->cpus)
        return ANYBPF_NOT_SUPPORTED;
    return anybpf_array_update_word(map, key, value, flags, seat, 4);
}

static void get_direct(const struct anybpf_map *map, struct anybpf_direct *direct)
{
    if (map->shape.value_size == 8)
        direct->update = update_8;
    if (map->shape.value_size == 4)
        direct->update = update_4;
}

static uint64_t each(struct anybpf_map *map, uint32_t seat,
                     int (*visit)(void *arg, const void *key, void *value), void *arg)
{
    return seat < map->domain->cpus ? anybpf_array_each(map, seat, visit, arg) : 0;
}

const struct anybpf_map_ops anybpf_percpu_array_ops = {
    .name = "percpu_array",
    .measure = measure,
    .open = open_array,
    .close = anybpf_array_close,
    .lookup = lookup,
    .lookup_cpu = lookup_cpu,
    .update = update,
    .get_direct = get_direct,
    .erase = anybpf_array_erase,
    .read = anybpf_array_read,
    .write = anybpf_array_write,
    .next = anybpf_array_next,
    .scan = anybpf_array_scan,
    .count = anybpf_array_count,
    .each = each,
    .check = anybpf_array_check,
};
