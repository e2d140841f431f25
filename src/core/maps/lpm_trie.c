/* LPM tries: values by prefix; the longest that begins a key is found.
 *
 * A key is a length in bits, in the host's byte order, and bytes. The bytes of a key are kept as
 * they were given, of which as many bits count as the length says. The tree is trie.h's; the values
 * lie apart from it, where a program that writes past the one it found meets only other values.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "trie.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VALUES_ALIGNMENT 4096u

struct plan {
    uint64_t entry_links; /* offsets */
    uint64_t node_links;
    uint64_t nodes;
    uint64_t keys;
    uint64_t values;
    uint64_t end;
    uint32_t limit;
    uint32_t cells;
    uint32_t key_stride;
};

static uint32_t padded(uint32_t size)
{
    return (size + 7u) & ~7u;
}

static bool make_plan(const struct anybpf_shape *shape, struct plan *plan)
{
    uint32_t value_stride = padded(shape->value_size);

    plan->key_stride = padded(shape->key_size);
    plan->limit = anybpf_pool_limit(shape, sizeof(struct anybpf_trie_node) +
                                               2 * sizeof(struct anybpf_pool_link) +
                                               plan->key_stride + value_stride);
    plan->cells = anybpf_pool_cells(plan->limit);
    plan->end = sizeof(struct anybpf_map_header) + 256 + sizeof(struct anybpf_trie_body);
    return anybpf_pool_place(&plan->end, plan->cells, sizeof(struct anybpf_pool_link), 64,
                             &plan->entry_links) &&
           anybpf_pool_place(&plan->end, plan->cells, sizeof(struct anybpf_pool_link), 64,
                             &plan->node_links) &&
           anybpf_pool_place(&plan->end, plan->cells, sizeof(struct anybpf_trie_node), 256,
                             &plan->nodes) &&
           anybpf_pool_place(&plan->end, plan->cells, plan->key_stride, 64, &plan->keys) &&
           anybpf_pool_place(&plan->end, plan->cells, value_stride, VALUES_ALIGNMENT,
                             &plan->values);
}

static int measure(const struct anybpf_domain *domain, const struct anybpf_shape *shape,
                   size_t *size, size_t *reserve)
{
    struct plan plan;

    (void)domain;
    if (shape->key_size < ANYBPF_TRIE_LENGTH ||
        shape->key_size > ANYBPF_TRIE_LENGTH + ANYBPF_TRIE_MOST_DATA || shape->value_size == 0 ||
        shape->max_entries == 0)
        return ANYBPF_BAD_SIZE;
    if (shape->lock_offset != ANYBPF_NO_FIELD || shape->timer_offset != ANYBPF_NO_FIELD)
        return ANYBPF_NOT_SUPPORTED; /* an entry that is updated is another entry */
    if (!make_plan(shape, &plan))
        return ANYBPF_NO_MEMORY;
    *size = (size_t)plan.end;
    *reserve = 0;
    return ANYBPF_OK;
}

static struct anybpf_trie_body *body_of(const struct anybpf_map *map)
{
    uintptr_t body = (uintptr_t)map->header->body;

    return (struct anybpf_trie_body *)(void *)(map->segment.base +
                                               ((body - (uintptr_t)map->segment.base + 255) &
                                                ~(uintptr_t)255));
}

static int open_trie(struct anybpf_map *map)
{
    struct anybpf_trie_body *body = body_of(map);
    uint8_t *base = map->segment.base;
    struct anybpf_trie *trie;
    struct plan plan;

    if (!make_plan(&map->shape, &plan) || plan.end > map->segment.size)
        return ANYBPF_DAMAGED;
    trie = calloc(1, sizeof(*trie));
    if (trie == NULL)
        return ANYBPF_NO_MEMORY;
    trie->root = &body->root;
    trie->node = (struct anybpf_trie_node *)(void *)(base + plan.nodes);
    trie->key = base + plan.keys;
    trie->stride = plan.key_stride;
    trie->bits = (map->shape.key_size - ANYBPF_TRIE_LENGTH) * 8;
    trie->limit = plan.limit;
    trie->entries = (struct anybpf_pool){
        map->domain, &body->entries,
        (struct anybpf_pool_link *)(void *)(base + plan.entry_links), plan.cells};
    trie->nodes = (struct anybpf_pool){
        map->domain, &body->nodes,
        (struct anybpf_pool_link *)(void *)(base + plan.node_links), plan.cells};
    map->private = trie;
    map->values = base + plan.values;
    map->values_size = (size_t)(plan.end - plan.values);
    return ANYBPF_OK;
}

static void close_trie(struct anybpf_map *map)
{
    free(map->private);
    map->private = NULL;
}

static uint8_t *value_of(const struct anybpf_map *map, uint32_t cell)
{
    return cell == 0 ? NULL : map->values + (size_t)(cell - 1) * map->value_stride;
}

static const uint8_t *data_of(const void *key)
{
    return (const uint8_t *)key + ANYBPF_TRIE_LENGTH;
}

static void *lookup(struct anybpf_map *map, const void *key, uint32_t seat)
{
    const struct anybpf_trie *trie = map->private;
    uint32_t length = anybpf_trie_length(key);

    (void)seat;
    if (length > trie->bits)
        return NULL;
    return value_of(map, anybpf_trie_longest(trie, data_of(key), length));
}

/* Changing. */

static uint64_t count(struct anybpf_map *map)
{
    return atomic_load_explicit(&map->header->count, memory_order_relaxed);
}

static void set_count(struct anybpf_map *map, uint64_t number)
{
    atomic_store_explicit(&map->header->count, number, memory_order_relaxed);
}

static void lock(struct anybpf_map *map)
{
    if (anybpf_lock_take(map->domain, &map->header->lock))
        set_count(map, anybpf_trie_repair(map->private));
}

/* ANYBPF_BUSY: all cells are held up by those who may look at them. */
static int put(struct anybpf_map *map, const void *key, const void *value, uint64_t flags)
{
    const struct anybpf_trie *trie = map->private;
    uint32_t before = anybpf_trie_exact(trie, data_of(key), anybpf_trie_length(key));
    uint32_t cell;

    if (before != 0 && (flags & ANYBPF_NOEXIST) != 0)
        return ANYBPF_EXISTS;
    if (before == 0 && (flags & ANYBPF_EXIST) != 0)
        return ANYBPF_MISSING_KEY;
    if (before == 0 && count(map) >= trie->limit)
        return (map->shape.flags & ANYBPF_GROWS) != 0 ? ANYBPF_NO_MEMORY : ANYBPF_PREFIXES_FULL;
    cell = anybpf_pool_take(&trie->entries);
    if (cell == 0)
        return ANYBPF_BUSY;
    anybpf_copy_to_shared(trie->key + (size_t)(cell - 1) * trie->stride, key,
                          map->shape.key_size);
    anybpf_copy_to_shared(value_of(map, cell), value, map->shape.value_size);
    if (!anybpf_trie_put(trie, cell, &before)) {
        anybpf_pool_retire(&trie->entries, cell);
        return ANYBPF_BUSY;
    }
    if (before != 0)
        anybpf_pool_retire(&trie->entries, before);
    else
        set_count(map, count(map) + 1);
    return ANYBPF_OK;
}

static int change(struct anybpf_map *map, const void *key, const void *value, uint64_t flags,
                  uint32_t turns)
{
    const struct anybpf_trie *trie = map->private;
    int status = anybpf_check_update_flags(map, flags);
    uint32_t turn = 0;

    if (status != ANYBPF_OK)
        return status;
    if (anybpf_trie_length(key) > trie->bits)
        return ANYBPF_BAD_KEY;
    do {
        lock(map);
        status = put(map, key, value, flags);
        anybpf_lock_give(&map->header->lock);
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

static int erase(struct anybpf_map *map, const void *key, uint32_t seat)
{
    const struct anybpf_trie *trie = map->private;
    uint32_t length = anybpf_trie_length(key);
    uint32_t cell;

    (void)seat;
    if (length > trie->bits)
        return ANYBPF_BAD_KEY;
    lock(map);
    cell = anybpf_trie_remove(trie, data_of(key), length);
    if (cell != 0) {
        anybpf_pool_retire(&trie->entries, cell);
        set_count(map, count(map) - 1);
    }
    anybpf_lock_give(&map->header->lock);
    return cell != 0 ? ANYBPF_OK : ANYBPF_MISSING_KEY;
}

/* Reading. */

static int read_value(struct anybpf_map *map, const void *key, void *value, uint64_t flags)
{
    const struct anybpf_trie *trie = map->private;
    const void *found;

    if (flags != 0)
        return ANYBPF_BAD_FLAGS;
    if (anybpf_trie_length(key) > trie->bits)
        return ANYBPF_BAD_KEY;
    found = lookup(map, key, 0);
    if (found == NULL)
        return ANYBPF_MISSING_PREFIX;
    anybpf_copy_from_shared(value, found, map->shape.value_size);
    return ANYBPF_OK;
}

static int next_key(struct anybpf_map *map, const void *key, void *next)
{
    const struct anybpf_trie *trie = map->private;
    uint32_t length = key == NULL ? 0 : anybpf_trie_length(key);
    struct anybpf_trie_walk walk;
    uint32_t cell;

    if (key != NULL && length <= trie->bits && anybpf_trie_exact(trie, data_of(key), length) != 0)
        anybpf_trie_start_after(&walk, trie, data_of(key), length);
    else
        anybpf_trie_start(&walk, trie);
    cell = anybpf_trie_next(&walk);
    if (cell == 0)
        return ANYBPF_NO_MORE_KEYS;
    memcpy(next, anybpf_trie_key(trie, cell), map->shape.key_size);
    return ANYBPF_OK;
}

/* A cursor is the last entry's cell and how often that was used. If it was used for another prefix
 * since, nobody knows where the walk was, and it begins again: entries may be met twice, but none
 * that is there is left out. */
static uint64_t cursor_at(const struct anybpf_trie *trie, uint32_t cell)
{
    return (uint64_t)atomic_load_explicit(&trie->entries.link[cell - 1].uses,
                                          memory_order_acquire)
               << 32 |
           cell;
}

static void start_at(struct anybpf_trie_walk *walk, const struct anybpf_trie *trie,
                     uint64_t cursor)
{
    uint8_t key[ANYBPF_TRIE_LENGTH + ANYBPF_TRIE_MOST_DATA + 4];
    uint32_t cell = (uint32_t)cursor;

    anybpf_trie_start(walk, trie);
    if (!anybpf_trie_is_entry(trie, cell))
        return;
    anybpf_copy_from_shared(key, anybpf_trie_key(trie, cell), trie->stride);
    atomic_thread_fence(memory_order_acquire);
    if (cursor_at(trie, cell) == cursor && anybpf_trie_length(key) <= trie->bits)
        anybpf_trie_start_after(walk, trie, key + ANYBPF_TRIE_LENGTH, anybpf_trie_length(key));
}

static int scan(struct anybpf_map *map, uint64_t *cursor, void *keys, void *values,
                uint32_t *wanted)
{
    const struct anybpf_trie *trie = map->private;
    struct anybpf_trie_walk walk;
    uint32_t done = 0;
    uint32_t cell = 0;

    start_at(&walk, trie, *cursor);
    while (done < *wanted && (cell = anybpf_trie_next(&walk)) != 0) {
        if (keys != NULL)
            memcpy((uint8_t *)keys + (size_t)done * map->shape.key_size,
                   anybpf_trie_key(trie, cell), map->shape.key_size);
        if (values != NULL)
            anybpf_copy_from_shared((uint8_t *)values + (size_t)done * map->shape.value_size,
                                    value_of(map, cell), map->shape.value_size);
        *cursor = cursor_at(trie, cell);
        done++;
    }
    if (done == *wanted)
        return ANYBPF_OK;
    *wanted = done;
    return ANYBPF_NO_MORE_KEYS;
}

static uint64_t each(struct anybpf_map *map, uint32_t seat,
                     int (*visit)(void *arg, const void *key, void *value), void *arg)
{
    const struct anybpf_trie *trie = map->private;
    struct anybpf_trie_walk walk;
    uint64_t calls = 0;
    uint32_t cell;

    (void)seat;
    anybpf_trie_start(&walk, trie);
    while ((cell = anybpf_trie_next(&walk)) != 0) {
        calls++;
        if (visit(arg, anybpf_trie_key(trie, cell), value_of(map, cell)) != 0)
            break;
    }
    return calls;
}

static bool check(struct anybpf_map *map, char *why, size_t why_size)
{
    uint64_t entries;
    bool right;

    if (map->segment.writable)
        lock(map);
    right = anybpf_trie_check(map->private, &entries, why, why_size);
    if (right && entries != count(map)) {
        snprintf(why, why_size, "%llu prefixes are there, but %llu are counted",
                 (unsigned long long)entries, (unsigned long long)count(map));
        right = false;
    }
    if (map->segment.writable)
        anybpf_lock_give(&map->header->lock);
    return right;
}

const struct anybpf_map_ops anybpf_lpm_trie_ops = {
    .name = "lpm_trie",
    .measure = measure,
    .open = open_trie,
    .close = close_trie,
    .lookup = lookup,
    .update = update,
    .erase = erase,
    .read = read_value,
    .write = write_value,
    .next = next_key,
    .scan = scan,
    .count = count,
    .each = each,
    .check = check,
};
