/* Slots that hold numbers of objects: how they are laid out, read and walked over.
 *
 * Slots that hold nothing are skipped by walks, whereas Linux names every index and then says that
 * there is nothing: who expects the latter can live with the former.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "objects.h"

#include <string.h>

int anybpf_objects_measure(const struct anybpf_domain *domain, const struct anybpf_shape *shape,
                           size_t *size, size_t *reserve)
{
    (void)domain;
    if (shape->key_size != sizeof(uint32_t) || shape->value_size != sizeof(uint32_t) ||
        shape->max_entries == 0)
        return ANYBPF_BAD_SIZE;
    *size = sizeof(struct anybpf_map_header) + sizeof(struct anybpf_objects) +
            (size_t)shape->max_entries * sizeof(uint32_t);
    *reserve = 0;
    return ANYBPF_OK;
}

bool anybpf_objects_fit(const struct anybpf_map *map)
{
    size_t size;
    size_t reserve;

    return anybpf_objects_measure(map->domain, &map->shape, &size, &reserve) == ANYBPF_OK &&
           size <= map->segment.size;
}

bool anybpf_inner_allowed(const struct anybpf_shape *inner)
{
    return anybpf_kind_ops(inner->kind) != NULL && inner->kind != ANYBPF_ARRAY_OF_MAPS &&
           inner->kind != ANYBPF_HASH_OF_MAPS && inner->kind != ANYBPF_PROG_ARRAY;
}

bool anybpf_inner_fits(const struct anybpf_shape *inner, uint32_t flags,
                       const struct anybpf_map *map)
{
    const struct anybpf_shape *shape = &map->shape;

    return shape->kind == inner->kind && shape->key_size == inner->key_size &&
           shape->value_size == inner->value_size && shape->flags == inner->flags &&
           shape->lock_offset == inner->lock_offset &&
           shape->timer_offset == inner->timer_offset &&
           (shape->max_entries == inner->max_entries || (flags & ANYBPF_INNER_SIZE_FREE) != 0);
}

struct anybpf_map *anybpf_inner_find(const struct anybpf_map *holder,
                                     const struct anybpf_shape *inner, uint32_t id)
{
    struct anybpf_object *object = anybpf_find(holder->domain, id);
    struct anybpf_map *map = (struct anybpf_map *)(void *)object;

    if (object == NULL || object->kind != ANYBPF_OBJECT_MAP ||
        !anybpf_inner_fits(inner, holder->shape.flags, map))
        return NULL;
    return map;
}

_Atomic uint32_t *anybpf_objects_slot(const struct anybpf_map *map, const void *key)
{
    uint32_t index;

    memcpy(&index, key, sizeof(index));
    return index < map->shape.max_entries ? &anybpf_objects_of(map)->slot[index] : NULL;
}

int anybpf_objects_read(struct anybpf_map *map, const void *key, void *value, uint64_t flags)
{
    const _Atomic uint32_t *slot = anybpf_objects_slot(map, key);
    uint32_t id = slot == NULL ? 0 : atomic_load_explicit(slot, memory_order_acquire);

    if (flags != 0)
        return ANYBPF_BAD_FLAGS;
    if (id == 0)
        return ANYBPF_MISSING;
    memcpy(value, &id, sizeof(id));
    return ANYBPF_OK;
}

int anybpf_objects_next(struct anybpf_map *map, const void *key, void *next)
{
    const struct anybpf_objects *objects = anybpf_objects_of(map);
    uint32_t after;
    uint32_t i = 0;

    if (key != NULL) {
        memcpy(&after, key, sizeof(after));
        i = after < map->shape.max_entries ? after + 1 : 0; /* no such index: from the start */
    }
    for (; i < map->shape.max_entries; i++) {
        if (atomic_load_explicit(&objects->slot[i], memory_order_relaxed) == 0)
            continue;
        memcpy(next, &i, sizeof(i));
        return ANYBPF_OK;
    }
    return ANYBPF_NO_MORE_KEYS;
}

int anybpf_objects_scan(struct anybpf_map *map, uint64_t *cursor, void *keys, void *values,
                        uint32_t *count)
{
    const struct anybpf_objects *objects = anybpf_objects_of(map);
    uint32_t wanted = *count;
    uint32_t done = 0;
    uint64_t i;

    for (i = *cursor; i < map->shape.max_entries && done < wanted; i++) {
        uint32_t index = (uint32_t)i;
        uint32_t id = atomic_load_explicit(&objects->slot[i], memory_order_acquire);

        if (id == 0)
            continue;
        if (keys != NULL)
            memcpy((uint8_t *)keys + done * sizeof(index), &index, sizeof(index));
        if (values != NULL)
            memcpy((uint8_t *)values + done * sizeof(id), &id, sizeof(id));
        done++;
    }
    *cursor = i;
    *count = done;
    return done < wanted ? ANYBPF_NO_MORE_KEYS : ANYBPF_OK;
}

uint64_t anybpf_objects_count(struct anybpf_map *map)
{
    const struct anybpf_objects *objects = anybpf_objects_of(map);
    uint64_t filled = 0;
    uint32_t i;

    for (i = 0; i < map->shape.max_entries; i++)
        filled += atomic_load_explicit(&objects->slot[i], memory_order_relaxed) != 0;
    return filled;
}
