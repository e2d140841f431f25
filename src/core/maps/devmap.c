/* Where redirects go, by index or (ANYBPF_KEYED) by any key.
 *
 * An entry is a word: an interface and perhaps a program, a processor's queue and perhaps a program,
 * or a socket. By index, entries lie side by side with a bit for each that is there; a value whose
 * first four bytes are zero (no interface, no queue) takes the entry away, as on Linux. By key they
 * are found as local storage is (keyed.h), and must not be zero.
 *
 * The rules for flags are those of Linux's devmap and cpumap: an index is always there to be set
 * (NOEXIST fails), whether or not something is there.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "devmap.h"
#include "keyed.h"

#include <stdio.h>
#include <string.h>

#define VALUES_ALIGNMENT 4096u

static bool is_keyed(const struct anybpf_map *map)
{
    return (map->shape.flags & ANYBPF_KEYED) != 0;
}

/* By index. */

static _Atomic uint64_t *present(const struct anybpf_map *map)
{
    return (_Atomic uint64_t *)(void *)map->header->body;
}

static uint64_t present_bytes(const struct anybpf_shape *shape)
{
    return ((uint64_t)shape->max_entries + 63) / 64 * 8;
}

static size_t values_at(const struct anybpf_shape *shape)
{
    uint64_t end = sizeof(struct anybpf_map_header) + present_bytes(shape);

    return (size_t)((end + VALUES_ALIGNMENT - 1) & ~(uint64_t)(VALUES_ALIGNMENT - 1));
}

static uint64_t *entry_at(const struct anybpf_map *map, uint32_t index)
{
    return (uint64_t *)(void *)(map->values + (size_t)index * 8);
}

static bool is_there(const struct anybpf_map *map, uint32_t index)
{
    return index < map->shape.max_entries &&
           (atomic_load_explicit(&present(map)[index / 64], memory_order_acquire) >> (index % 64) &
            1u) != 0;
}

static uint32_t index_of(const void *key)
{
    uint32_t index;

    memcpy(&index, key, sizeof(index));
    return index;
}

static int measure(const struct anybpf_domain *domain, const struct anybpf_shape *shape,
                   size_t *size, size_t *reserve)
{
    (void)domain;
    if (shape->key_size != 4 || (shape->value_size != 4 && shape->value_size != 8) ||
        shape->max_entries == 0)
        return ANYBPF_BAD_SIZE;
    if (shape->lock_offset != ANYBPF_NO_FIELD || shape->timer_offset != ANYBPF_NO_FIELD)
        return ANYBPF_NOT_SUPPORTED;
    if ((shape->flags & ANYBPF_KEYED) != 0)
        return anybpf_keyed_measure(shape, size, reserve);
    *size = values_at(shape) + (size_t)shape->max_entries * 8;
    *reserve = 0;
    return ANYBPF_OK;
}

static int init(struct anybpf_map *map)
{
    return is_keyed(map) ? anybpf_keyed_init(map) : ANYBPF_OK;
}

static int open_devmap(struct anybpf_map *map)
{
    size_t size;
    size_t reserve;

    if (is_keyed(map))
        return anybpf_keyed_open(map);
    if (measure(map->domain, &map->shape, &size, &reserve) != ANYBPF_OK ||
        size > map->segment.size)
        return ANYBPF_DAMAGED;
    map->values = map->segment.base + values_at(&map->shape);
    map->values_size = (size_t)map->shape.max_entries * 8;
    return ANYBPF_OK;
}

static void close_devmap(struct anybpf_map *map)
{
    if (is_keyed(map))
        anybpf_keyed_close(map);
}

/* Looking. */

static void *lookup(struct anybpf_map *map, const void *key, uint32_t seat)
{
    uint32_t index = index_of(key);

    (void)seat;
    if (is_keyed(map))
        return anybpf_keyed_value(map, anybpf_keyed_find(map, index));
    return is_there(map, index) ? entry_at(map, index) : NULL;
}

int anybpf_redirect_target(struct anybpf_map *map, uint32_t key, uint8_t target[8],
                           uint32_t *size)
{
    const uint64_t *entry;
    uint64_t word;

    if (map->shape.kind != ANYBPF_DEVMAP)
        return ANYBPF_NOT_SUPPORTED;
    entry = lookup(map, &key, 0);
    if (entry == NULL)
        return ANYBPF_MISSING;
    word = __atomic_load_n(entry, __ATOMIC_ACQUIRE);
    memcpy(target, &word, sizeof(word));
    *size = map->shape.value_size;
    return ANYBPF_OK;
}

static int read_value(struct anybpf_map *map, const void *key, void *value, uint64_t flags)
{
    uint8_t target[8];
    uint32_t size;
    int status = flags == 0 ? anybpf_redirect_target(map, index_of(key), target, &size)
                            : ANYBPF_BAD_FLAGS;

    if (status == ANYBPF_OK)
        memcpy(value, target, size);
    return status;
}

/* Changing. */

/* ANYBPF_BUSY: all cells are held up by those who may look at them. */
static int put(struct anybpf_map *map, uint32_t key, const void *value, uint64_t flags)
{
    bool there = anybpf_keyed_find(map, key) != 0;

    if (there && flags == ANYBPF_NOEXIST)
        return ANYBPF_EXISTS;
    if (!there && flags == ANYBPF_EXIST)
        return ANYBPF_MISSING_KEY;
    if (!there && anybpf_keyed_is_full(map))
        return (map->shape.flags & ANYBPF_GROWS) == 0 ? ANYBPF_FULL : ANYBPF_NO_MEMORY;
    return anybpf_keyed_put(map, key, value) != 0 ? ANYBPF_OK : ANYBPF_BUSY;
}

static int set(struct anybpf_map *map, uint32_t index, const void *value, bool there)
{
    _Atomic uint64_t *bits = &present(map)[index / 64];
    uint64_t bit = UINT64_C(1) << (index % 64);
    uint64_t word = 0;

    if (!there) {
        atomic_fetch_and(bits, ~bit);
        return ANYBPF_OK;
    }
    memcpy(&word, value, map->shape.value_size);
    __atomic_store_n(entry_at(map, index), word, __ATOMIC_RELEASE);
    atomic_fetch_or(bits, bit);
    return ANYBPF_OK;
}

static int write_value(struct anybpf_map *map, const void *key, const void *value, uint64_t flags)
{
    uint32_t index = index_of(key);
    uint32_t target = index_of(value);
    uint32_t turn = 0;
    int status;

    if (flags > ANYBPF_EXIST)
        return ANYBPF_BAD_FLAGS;
    if (!is_keyed(map)) {
        if (index >= map->shape.max_entries)
            return ANYBPF_BAD_INDEX;
        return flags == ANYBPF_NOEXIST ? ANYBPF_ALWAYS_THERE : set(map, index, value, target != 0);
    }
    if (target == 0)
        return ANYBPF_BAD_VALUE;
    do {
        anybpf_keyed_lock(map);
        status = put(map, index, value, flags);
        anybpf_keyed_unlock(map);
    } while (status == ANYBPF_BUSY && anybpf_pool_wait(turn++, ANYBPF_POOL_TURNS_OF_USER));
    return status == ANYBPF_BUSY ? ANYBPF_NO_MEMORY : status;
}

static int erase(struct anybpf_map *map, const void *key, uint32_t seat)
{
    uint32_t index = index_of(key);
    bool found;

    (void)seat;
    if (!is_keyed(map))
        return index < map->shape.max_entries ? set(map, index, NULL, false) : ANYBPF_BAD_KEY;
    anybpf_keyed_lock(map);
    found = anybpf_keyed_remove(map, index);
    anybpf_keyed_unlock(map);
    return found ? ANYBPF_OK : ANYBPF_MISSING_KEY;
}

/* Walking. */

/* The first index from `index` on that has an entry; `max_entries`: none. */
static uint64_t first_from(const struct anybpf_map *map, uint64_t index)
{
    uint64_t end = map->shape.max_entries;

    while (index < end) {
        uint64_t word =
            atomic_load_explicit(&present(map)[index / 64], memory_order_acquire) >> (index % 64);

        if (word != 0) {
            index += (uint64_t)__builtin_ctzll(word);
            return index < end ? index : end;
        }
        index = (index / 64 + 1) * 64;
    }
    return end;
}

static int next_key(struct anybpf_map *map, const void *key, void *next)
{
    uint64_t index = 0;
    uint32_t found;

    if (is_keyed(map))
        return anybpf_keyed_next(map, key, next);
    if (key != NULL && index_of(key) < map->shape.max_entries)
        index = (uint64_t)index_of(key) + 1;
    index = first_from(map, index);
    if (index == map->shape.max_entries)
        return ANYBPF_NO_MORE_KEYS;
    found = (uint32_t)index;
    memcpy(next, &found, sizeof(found));
    return ANYBPF_OK;
}

static int scan(struct anybpf_map *map, uint64_t *cursor, void *keys, void *values,
                uint32_t *count)
{
    uint32_t done = 0;

    if (is_keyed(map))
        return anybpf_keyed_scan(map, cursor, keys, values, count);
    while (done < *count) {
        uint64_t index = first_from(map, *cursor);
        uint32_t found = (uint32_t)index;

        if (index == map->shape.max_entries) {
            *count = done;
            return ANYBPF_NO_MORE_KEYS;
        }
        *cursor = index + 1;
        if (keys != NULL)
            memcpy((uint8_t *)keys + (size_t)done * 4, &found, sizeof(found));
        if (values != NULL) {
            uint64_t word = __atomic_load_n(entry_at(map, found), __ATOMIC_ACQUIRE);

            memcpy((uint8_t *)values + (size_t)done * map->shape.value_size, &word,
                   map->shape.value_size);
        }
        done++;
    }
    return ANYBPF_OK;
}

static uint64_t each(struct anybpf_map *map, uint32_t seat,
                     int (*visit)(void *arg, const void *key, void *value), void *arg)
{
    uint64_t calls = 0;
    uint64_t index;

    if (is_keyed(map))
        return anybpf_keyed_each(map, seat, visit, arg);
    for (index = first_from(map, 0); index < map->shape.max_entries;
         index = first_from(map, index + 1)) {
        uint32_t key = (uint32_t)index;

        calls++;
        if (visit(arg, &key, entry_at(map, key)) != 0)
            break;
    }
    return calls;
}

static uint64_t count(struct anybpf_map *map)
{
    uint64_t entries = 0;
    uint64_t i;

    if (is_keyed(map))
        return anybpf_keyed_count(map);
    for (i = 0; i < present_bytes(&map->shape) / 8; i++)
        entries += (uint64_t)__builtin_popcountll(
            atomic_load_explicit(&present(map)[i], memory_order_relaxed));
    return entries;
}

static bool check(struct anybpf_map *map, char *why, size_t why_size)
{
    uint32_t last = map->shape.max_entries % 64;
    uint64_t i;

    if (is_keyed(map))
        return anybpf_keyed_check(map, why, why_size);
    if (last != 0 && atomic_load(&present(map)[map->shape.max_entries / 64]) >> last != 0) {
        snprintf(why, why_size, "entries are there beyond the last index");
        return false;
    }
    for (i = first_from(map, 0); i < map->shape.max_entries; i = first_from(map, i + 1))
        if (index_of(entry_at(map, (uint32_t)i)) == 0) {
            snprintf(why, why_size, "the entry at index %u leads nowhere", (unsigned)i);
            return false;
        }
    return true;
}

const struct anybpf_map_ops anybpf_devmap_ops = {
    .name = "devmap",
    .measure = measure,
    .init = init,
    .open = open_devmap,
    .close = close_devmap,
    .lookup = lookup,
    .erase = erase,
    .read = read_value,
    .write = write_value,
    .next = next_key,
    .scan = scan,
    .count = count,
    .each = each,
    .check = check,
};
