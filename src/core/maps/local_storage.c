/* Local storage: values by owner.
 *
 * A program that gets a value may keep the pointer while it runs. So a user's new value is a new
 * entry, and the program goes on with the old one, as on Linux; with ANYBPF_WITH_LOCK the value is
 * changed where it is, under its own lock.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "local_storage.h"
#include "keyed.h"

#define READ_FLAGS ((uint64_t)ANYBPF_WITH_LOCK)

static int measure(const struct anybpf_domain *domain, const struct anybpf_shape *shape,
                   size_t *size, size_t *reserve)
{
    (void)domain;
    return anybpf_keyed_measure(shape, size, reserve);
}

void *anybpf_storage_get(struct anybpf_map *map, uint64_t owner, bool create, const void *init)
{
    uint32_t turn = 0;
    uint32_t cell;

    if (map->shape.kind != ANYBPF_LOCAL_STORAGE || owner == 0)
        return NULL;
    cell = anybpf_keyed_find(map, owner);
    while (cell == 0 && create) {
        bool full;

        anybpf_keyed_lock(map);
        full = anybpf_keyed_is_full(map);
        cell = anybpf_keyed_find(map, owner); /* somebody was faster, perhaps */
        if (cell == 0 && !full)
            cell = anybpf_keyed_put(map, owner, init);
        anybpf_keyed_unlock(map);
        if (full || (cell == 0 && !anybpf_pool_wait(turn++, ANYBPF_POOL_TURNS_OF_PROGRAM)))
            break;
    }
    return anybpf_keyed_value(map, cell);
}

int anybpf_storage_delete(struct anybpf_map *map, uint64_t owner)
{
    bool found;

    if (map->shape.kind != ANYBPF_LOCAL_STORAGE)
        return ANYBPF_NOT_SUPPORTED;
    if (owner == 0)
        return ANYBPF_NO_OWNER;
    anybpf_keyed_lock(map);
    found = anybpf_keyed_remove(map, owner);
    anybpf_keyed_unlock(map);
    return found ? ANYBPF_OK : ANYBPF_MISSING_KEY;
}

static void *lookup(struct anybpf_map *map, const void *key, uint32_t seat)
{
    (void)seat;
    return anybpf_storage_get(map, anybpf_keyed_number(map, key), false, NULL);
}

static int erase(struct anybpf_map *map, const void *key, uint32_t seat)
{
    (void)seat;
    return anybpf_storage_delete(map, anybpf_keyed_number(map, key));
}

static int read_value(struct anybpf_map *map, const void *key, void *value, uint64_t flags)
{
    uint64_t owner = anybpf_keyed_number(map, key);
    uint32_t cell;

    if ((flags & ~READ_FLAGS) != 0 || (flags != 0 && map->shape.lock_offset == ANYBPF_NO_FIELD))
        return ANYBPF_BAD_FLAGS;
    if (owner == 0)
        return ANYBPF_NO_OWNER;
    cell = anybpf_keyed_find(map, owner);
    if (cell == 0)
        return ANYBPF_MISSING;
    if (flags != 0)
        anybpf_value_lock(map, anybpf_keyed_value(map, cell));
    anybpf_keyed_copy(map, cell, value);
    if (flags != 0)
        anybpf_value_unlock(map, anybpf_keyed_value(map, cell));
    return ANYBPF_OK;
}

/* ANYBPF_BUSY: all cells are held up by those who may look at them. */
static int put(struct anybpf_map *map, uint64_t owner, const void *value, uint64_t flags)
{
    uint32_t cell = anybpf_keyed_find(map, owner);

    if (cell != 0 && (flags & ANYBPF_NOEXIST) != 0)
        return ANYBPF_EXISTS;
    if (cell == 0 && (flags & ANYBPF_EXIST) != 0)
        return ANYBPF_MISSING_KEY;
    if (cell == 0 && anybpf_keyed_is_full(map))
        return (map->shape.flags & ANYBPF_GROWS) == 0 ? ANYBPF_FULL : ANYBPF_NO_MEMORY;
    return anybpf_keyed_put(map, owner, value) != 0 ? ANYBPF_OK : ANYBPF_BUSY;
}

static int change(struct anybpf_map *map, const void *key, const void *value, uint64_t flags,
                  uint32_t turns)
{
    uint64_t owner = anybpf_keyed_number(map, key);
    int status = anybpf_check_update_flags(map, flags);
    uint32_t turn = 0;

    if (status != ANYBPF_OK)
        return status;
    if (owner == 0)
        return ANYBPF_NO_OWNER;
    if ((flags & ANYBPF_WITH_LOCK) != 0) {
        uint8_t *found = lookup(map, key, 0);

        if (found != NULL && (flags & ANYBPF_NOEXIST) == 0) {
            anybpf_value_lock(map, found); /* before the map's: a program may wait with it in hand */
            anybpf_copy_value(&map->shape, found, value);
            anybpf_value_unlock(map, found);
            return ANYBPF_OK;
        }
    }
    do {
        anybpf_keyed_lock(map);
        status = put(map, owner, value, flags);
        anybpf_keyed_unlock(map);
    } while (status == ANYBPF_BUSY && anybpf_pool_wait(turn++, turns));
    return status == ANYBPF_BUSY ? ANYBPF_NO_MEMORY : status;
}

static int write_value(struct anybpf_map *map, const void *key, const void *value, uint64_t flags)
{
    return change(map, key, value, flags, ANYBPF_POOL_TURNS_OF_USER);
}

static int update(struct anybpf_map *map, const void *key, const void *value, uint64_t flags,
                  uint32_t seat)
{
    (void)seat;
    return change(map, key, value, flags, ANYBPF_POOL_TURNS_OF_PROGRAM);
}

const struct anybpf_map_ops anybpf_local_storage_ops = {
    .name = "local_storage",
    .measure = measure,
    .init = anybpf_keyed_init,
    .open = anybpf_keyed_open,
    .close = anybpf_keyed_close,
    .lookup = lookup,
    .update = update,
    .erase = erase,
    .read = read_value,
    .write = write_value,
    .next = anybpf_keyed_next,
    .scan = anybpf_keyed_scan,
    .count = anybpf_keyed_count,
    .each = anybpf_keyed_each,
    .key_of = anybpf_keyed_key_of,
    .check = anybpf_keyed_check,
};
