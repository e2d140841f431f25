/* Hash maps of maps. Users put maps in by number; programs look them up, and change nothing.
 *
 * As in array_of_maps.c, a map is compared with the template when it is put in and when it is found,
 * and nothing is kept alive: a map that is gone is not found, though its number may still be read.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "objects.h"
#include "table_find.h"

#include <stdio.h>

static int measure(const struct anybpf_domain *domain, const struct anybpf_shape *shape,
                   size_t *size, size_t *reserve)
{
    if (shape->value_size != sizeof(uint32_t))
        return ANYBPF_BAD_SIZE;
    return anybpf_table_measure(domain, shape, size, reserve);
}

static int init(struct anybpf_map *map)
{
    if (map->inner == NULL || !anybpf_inner_allowed(map->inner))
        return ANYBPF_BAD_OBJECT;
    return anybpf_table_init(map);
}

static int open_map(struct anybpf_map *map)
{
    int status = anybpf_table_open(map);

    if (status != ANYBPF_OK)
        return status;
    map->values = NULL; /* numbers are nothing for programs */
    map->values_size = 0;
    if (!anybpf_inner_allowed(&anybpf_table_of(map)->inner)) {
        anybpf_table_close(map);
        return ANYBPF_DAMAGED;
    }
    return ANYBPF_OK;
}

static struct anybpf_map *held(struct anybpf_map *map, const void *number)
{
    uint32_t id = __atomic_load_n((const uint32_t *)number, __ATOMIC_ACQUIRE);

    return id == 0 ? NULL : anybpf_inner_find(map, &anybpf_table_of(map)->inner, id);
}

static void *lookup(struct anybpf_map *map, const void *key, uint32_t seat)
{
    struct anybpf_place place;

    (void)seat;
    if (!anybpf_table_find(map, key, &place))
        return NULL;
    return held(map, anybpf_value(anybpf_table_of(map), place, 0));
}

static int write_id(struct anybpf_map *map, const void *key, const void *value, uint64_t flags)
{
    uint32_t id;

    memcpy(&id, value, sizeof(id));
    if (id == 0 || anybpf_find(map->domain, id) == NULL)
        return ANYBPF_NO_OBJECT;
    if (anybpf_inner_find(map, &anybpf_table_of(map)->inner, id) == NULL)
        return ANYBPF_BAD_OBJECT;
    return anybpf_table_write(map, key, &id, flags);
}

struct comparison {
    struct anybpf_map *map;
    uint32_t wrong;
};

static int compare(void *arg, const void *key, void *value)
{
    struct comparison *comparison = arg;
    uint32_t id = __atomic_load_n((const uint32_t *)value, __ATOMIC_ACQUIRE);

    (void)key;
    if (anybpf_find(comparison->map->domain, id) == NULL || held(comparison->map, value) != NULL)
        return 0; /* what is gone is held by nobody, and is not found */
    comparison->wrong = id;
    return 1;
}

static bool check(struct anybpf_map *map, char *why, size_t why_size)
{
    struct comparison comparison = {map, 0};

    if (!anybpf_table_check(map, why, why_size))
        return false;
    anybpf_table_each(map, 0, compare, &comparison);
    if (comparison.wrong == 0)
        return true;
    snprintf(why, why_size, "object %u is held, which is not like the template",
             (unsigned)comparison.wrong);
    return false;
}

const struct anybpf_map_ops anybpf_hash_of_maps_ops = {
    .name = "hash_of_maps",
    .measure = measure,
    .init = init,
    .open = open_map,
    .close = anybpf_table_close,
    .lookup = lookup,
    .erase = anybpf_table_erase,
    .read = anybpf_table_read,
    .write = write_id,
    .next = anybpf_table_next,
    .scan = anybpf_table_scan,
    .count = anybpf_table_count,
    .check = check,
};
