/* Arrays of maps. Users put maps in by number; programs look them up.
 *
 * What a program may do with a map found here was decided from the template, so a map is compared
 * with it when it is put in, and again when it is found: the slots may be shared.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "objects.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int init(struct anybpf_map *map)
{
    if (map->inner == NULL || !anybpf_inner_allowed(map->inner))
        return ANYBPF_BAD_OBJECT;
    anybpf_objects_of(map)->inner = *map->inner;
    return ANYBPF_OK;
}

static int open_array(struct anybpf_map *map)
{
    struct anybpf_shape *inner;

    if (!anybpf_objects_fit(map))
        return ANYBPF_DAMAGED;
    inner = malloc(sizeof(*inner));
    if (inner == NULL)
        return ANYBPF_NO_MEMORY;
    *inner = anybpf_objects_of(map)->inner; /* of a map from elsewhere there is no other template */
    if (!anybpf_inner_allowed(inner)) {
        free(inner);
        return ANYBPF_DAMAGED;
    }
    map->private = inner;
    return ANYBPF_OK;
}

static void close_array(struct anybpf_map *map)
{
    free(map->private);
    map->private = NULL;
}

static void *lookup(struct anybpf_map *map, const void *key, uint32_t seat)
{
    const _Atomic uint32_t *slot = anybpf_objects_slot(map, key);
    uint32_t id = slot == NULL ? 0 : atomic_load_explicit(slot, memory_order_acquire);

    (void)seat;
    return id == 0 ? NULL : anybpf_inner_find(map, map->private, id);
}

static int write_id(struct anybpf_map *map, const void *key, const void *value, uint64_t flags)
{
    _Atomic uint32_t *slot = anybpf_objects_slot(map, key);
    struct anybpf_object *object;
    uint32_t id;

    if (flags != ANYBPF_ANY)
        return ANYBPF_BAD_FLAGS;
    if (slot == NULL)
        return ANYBPF_BAD_INDEX;
    memcpy(&id, value, sizeof(id));
    object = anybpf_find(map->domain, id);
    if (object == NULL)
        return ANYBPF_NO_OBJECT;
    if (anybpf_inner_find(map, map->private, id) == NULL)
        return ANYBPF_BAD_OBJECT;
    atomic_store_explicit(slot, id, memory_order_release);
    return ANYBPF_OK;
}

static int erase(struct anybpf_map *map, const void *key, uint32_t seat)
{
    _Atomic uint32_t *slot = anybpf_objects_slot(map, key);

    (void)seat;
    if (slot == NULL)
        return ANYBPF_BAD_INDEX;
    return atomic_exchange(slot, 0) == 0 ? ANYBPF_MISSING_KEY : ANYBPF_OK;
}

static bool check(struct anybpf_map *map, char *why, size_t why_size)
{
    const struct anybpf_objects *objects = anybpf_objects_of(map);
    uint32_t i;

    for (i = 0; i < map->shape.max_entries; i++) {
        uint32_t id = atomic_load(&objects->slot[i]);

        if (id == 0 || anybpf_find(map->domain, id) == NULL)
            continue; /* what is gone is held by nobody, and is not found */
        if (anybpf_inner_find(map, map->private, id) == NULL) {
            snprintf(why, why_size, "index %u holds object %u, which is not like the template",
                     (unsigned)i, (unsigned)id);
            return false;
        }
    }
    return true;
}

const struct anybpf_map_ops anybpf_array_of_maps_ops = {
    .name = "array_of_maps",
    .measure = anybpf_objects_measure,
    .init = init,
    .open = open_array,
    .close = close_array,
    .lookup = lookup,
    .erase = erase,
    .read = anybpf_objects_read,
    .write = write_id,
    .next = anybpf_objects_next,
    .scan = anybpf_objects_scan,
    .count = anybpf_objects_count,
    .check = check,
};
