/* Arrays of programs, for tail calls. Users put programs in by number.
 *
 * While there is a program in it, the array takes only programs that may call each other: those with
 * the fingerprint (`compatible`) of the first. Fingerprint and number of programs are changed with
 * the slots, under the map's lock; if its holder died, they are made anew from the slots.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "../run.h"
#include "objects.h"

#include <stdio.h>
#include <string.h>

static const struct anybpf_program *program_of(const struct anybpf_map *map, uint32_t id)
{
    struct anybpf_object *object = anybpf_find(map->domain, id);

    if (object == NULL || object->kind != ANYBPF_OBJECT_PROGRAM)
        return NULL;
    return (const struct anybpf_program *)(void *)object;
}

const struct anybpf_program *anybpf_prog_array_get(struct anybpf_map *map, uint32_t index)
{
    uint32_t id;

    if (map->shape.kind != ANYBPF_PROG_ARRAY || index >= map->shape.max_entries)
        return NULL;
    id = atomic_load_explicit(&anybpf_objects_of(map)->slot[index], memory_order_acquire);
    return id == 0 ? NULL : program_of(map, id);
}

static int open_array(struct anybpf_map *map)
{
    return anybpf_objects_fit(map) ? ANYBPF_OK : ANYBPF_DAMAGED;
}

/* The fingerprint is written before the first slot and is right, therefore, wherever a writer may
 * have died. */
static void lock(struct anybpf_map *map)
{
    if (anybpf_lock_take(map->domain, &map->header->lock))
        atomic_store(&anybpf_objects_of(map)->filled, (uint32_t)anybpf_objects_count(map));
}

static int put(struct anybpf_map *map, _Atomic uint32_t *slot, uint32_t id)
{
    struct anybpf_objects *objects = anybpf_objects_of(map);
    const struct anybpf_program *program = program_of(map, id);
    uint32_t filled = atomic_load(&objects->filled);
    bool replaces = atomic_load(slot) != 0;

    if (program == NULL)
        return ANYBPF_BAD_OBJECT;
    if (filled > (replaces ? 1u : 0u) && atomic_load(&objects->compatible) != program->compatible)
        return ANYBPF_BAD_OBJECT;
    if (filled <= (replaces ? 1u : 0u)) { /* the only one: also where it takes its own place */
        if (replaces && atomic_load(&objects->compatible) != program->compatible)
            atomic_store(slot, 0);
        atomic_store(&objects->compatible, program->compatible);
    }
    atomic_store_explicit(slot, id, memory_order_release);
    if (!replaces)
        atomic_store(&objects->filled, filled + 1);
    return ANYBPF_OK;
}

static int write_id(struct anybpf_map *map, const void *key, const void *value, uint64_t flags)
{
    _Atomic uint32_t *slot = anybpf_objects_slot(map, key);
    uint32_t id;
    int status;

    if (flags != ANYBPF_ANY)
        return ANYBPF_BAD_FLAGS;
    if (slot == NULL)
        return ANYBPF_BAD_INDEX;
    memcpy(&id, value, sizeof(id));
    if (anybpf_find(map->domain, id) == NULL)
        return ANYBPF_NO_OBJECT;
    lock(map);
    status = put(map, slot, id);
    anybpf_lock_give(&map->header->lock);
    return status;
}

static int erase(struct anybpf_map *map, const void *key, uint32_t seat)
{
    struct anybpf_objects *objects = anybpf_objects_of(map);
    _Atomic uint32_t *slot = anybpf_objects_slot(map, key);
    int status = ANYBPF_MISSING_KEY;

    (void)seat;
    if (slot == NULL)
        return ANYBPF_BAD_INDEX;
    lock(map);
    if (atomic_exchange(slot, 0) != 0) {
        atomic_fetch_sub(&objects->filled, 1);
        status = ANYBPF_OK;
    }
    anybpf_lock_give(&map->header->lock);
    return status;
}

static bool is_right(struct anybpf_map *map, char *why, size_t why_size)
{
    struct anybpf_objects *objects = anybpf_objects_of(map);
    uint64_t filled = anybpf_objects_count(map);
    uint32_t i;

    if (filled != atomic_load(&objects->filled)) {
        snprintf(why, why_size, "%llu slots hold programs, but %u are counted",
                 (unsigned long long)filled, (unsigned)atomic_load(&objects->filled));
        return false;
    }
    for (i = 0; i < map->shape.max_entries; i++) {
        uint32_t id = atomic_load(&objects->slot[i]);
        const struct anybpf_program *program = id == 0 ? NULL : program_of(map, id);

        if (program != NULL && program->compatible != atomic_load(&objects->compatible)) {
            snprintf(why, why_size, "index %u holds program %u, which cannot be called by others",
                     (unsigned)i, (unsigned)id);
            return false;
        }
    }
    return true;
}

static bool check(struct anybpf_map *map, char *why, size_t why_size)
{
    bool right;

    if (!map->segment.writable)
        return is_right(map, why, why_size);
    lock(map);
    right = is_right(map, why, why_size);
    anybpf_lock_give(&map->header->lock);
    return right;
}

const struct anybpf_map_ops anybpf_prog_array_ops = {
    .name = "prog_array",
    .measure = anybpf_objects_measure,
    .open = open_array,
    .erase = erase,
    .read = anybpf_objects_read,
    .write = write_id,
    .next = anybpf_objects_next,
    .scan = anybpf_objects_scan,
    .count = anybpf_objects_count,
    .check = check,
};
