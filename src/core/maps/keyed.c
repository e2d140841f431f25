/* Values by number: one store links an entry in, puts it in another's place, or takes it out.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "keyed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEAST_BUCKETS 16u
#define VALUES_ALIGNMENT 4096u

/* In the segment: at the start of the body, and one a cell. */
struct body {
    struct anybpf_pool_state entries;
    uint64_t seed;
};
struct entry {
    _Atomic uint64_t number;
    _Atomic uint32_t next; /* in the chain; stays when the entry is taken out */
};

struct view {
    struct anybpf_pool entries;
    struct entry *entry;
    _Atomic uint32_t *bucket;
    uint64_t seed;
    uint32_t shift; /* a hash's bits above are the bucket */
    uint32_t limit;
    uint32_t buckets;
};

struct plan {
    uint64_t buckets_at; /* offsets */
    uint64_t links;
    uint64_t entries;
    uint64_t values;
    uint64_t end;
    uint32_t buckets;
    uint32_t limit;
    uint32_t cells;
};

static struct body *body_of(const struct anybpf_map *map)
{
    return (struct body *)(void *)map->header->body;
}

static bool make_plan(const struct anybpf_shape *shape, struct plan *plan)
{
    uint64_t stride = ((uint64_t)shape->value_size + 7u) & ~UINT64_C(7);

    plan->limit = anybpf_pool_limit(shape, sizeof(struct entry) +
                                               sizeof(struct anybpf_pool_link) + 4 + stride);
    plan->cells = anybpf_pool_cells(plan->limit);
    plan->buckets = LEAST_BUCKETS;
    while (plan->buckets < plan->limit && plan->buckets < UINT32_C(1) << 31)
        plan->buckets *= 2;
    plan->end = sizeof(struct anybpf_map_header) + sizeof(struct body);
    return anybpf_pool_place(&plan->end, plan->buckets, sizeof(uint32_t), 64,
                             &plan->buckets_at) &&
           anybpf_pool_place(&plan->end, plan->cells, sizeof(struct anybpf_pool_link), 64,
                             &plan->links) &&
           anybpf_pool_place(&plan->end, plan->cells, sizeof(struct entry), 64, &plan->entries) &&
           anybpf_pool_place(&plan->end, plan->cells, stride, VALUES_ALIGNMENT, &plan->values);
}

int anybpf_keyed_measure(const struct anybpf_shape *shape, size_t *size, size_t *reserve)
{
    struct plan plan;

    if ((shape->key_size != 4 && shape->key_size != 8) || shape->value_size == 0 ||
        (shape->max_entries == 0 && (shape->flags & ANYBPF_GROWS) == 0))
        return ANYBPF_BAD_SIZE;
    if (!make_plan(shape, &plan))
        return ANYBPF_NO_MEMORY;
    *size = (size_t)plan.end;
    *reserve = 0;
    return ANYBPF_OK;
}

int anybpf_keyed_init(struct anybpf_map *map)
{
    uint64_t *seed = &body_of(map)->seed;

    return anybpf_random_bytes(seed, sizeof(*seed)) ? ANYBPF_OK : ANYBPF_NO_MEMORY;
}

int anybpf_keyed_open(struct anybpf_map *map)
{
    uint8_t *base = map->segment.base;
    struct view *view;
    struct plan plan;

    if (!make_plan(&map->shape, &plan) || plan.end > map->segment.size)
        return ANYBPF_DAMAGED;
    view = calloc(1, sizeof(*view));
    if (view == NULL)
        return ANYBPF_NO_MEMORY;
    view->entries = (struct anybpf_pool){map->domain, &body_of(map)->entries,
                                         (struct anybpf_pool_link *)(void *)(base + plan.links),
                                         plan.cells};
    view->entry = (struct entry *)(void *)(base + plan.entries);
    view->bucket = (_Atomic uint32_t *)(void *)(base + plan.buckets_at);
    view->seed = body_of(map)->seed;
    view->shift = 64 - (uint32_t)__builtin_ctz(plan.buckets);
    view->limit = plan.limit;
    view->buckets = plan.buckets;
    map->private = view;
    map->values = base + plan.values;
    map->values_size = (size_t)(plan.end - plan.values);
    return ANYBPF_OK;
}

void anybpf_keyed_close(struct anybpf_map *map)
{
    free(map->private);
    map->private = NULL;
}

uint64_t anybpf_keyed_number(const struct anybpf_map *map, const void *key)
{
    uint32_t small;
    uint64_t number;

    if (map->shape.key_size == sizeof(small)) {
        memcpy(&small, key, sizeof(small));
        return small;
    }
    memcpy(&number, key, sizeof(number));
    return number;
}

void anybpf_keyed_key(const struct anybpf_map *map, uint64_t number, void *key)
{
    uint32_t small = (uint32_t)number;

    if (map->shape.key_size == sizeof(small))
        memcpy(key, &small, sizeof(small));
    else
        memcpy(key, &number, sizeof(number));
}

/* Each step can be undone, so different numbers have different hashes. The constants are those of
 * the SplitMix64 generator. */
static uint64_t hash_of(const struct view *view, uint64_t number)
{
    number ^= view->seed;
    number = (number ^ number >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    number = (number ^ number >> 27) * UINT64_C(0x94d049bb133111eb);
    return number ^ number >> 31;
}

static struct entry *entry_at(const struct view *view, uint32_t cell)
{
    return cell - 1 < view->entries.cells ? &view->entry[cell - 1] : NULL;
}

static uint64_t number_of(const struct entry *entry)
{
    return atomic_load_explicit(&entry->number, memory_order_relaxed);
}

static uint32_t follow(const _Atomic uint32_t *link)
{
    return atomic_load_explicit(link, memory_order_acquire);
}

uint32_t anybpf_keyed_find(const struct anybpf_map *map, uint64_t number)
{
    const struct view *view = map->private;
    uint32_t cell = follow(&view->bucket[hash_of(view, number) >> view->shift]);
    uint32_t turns = 0; /* a chain in a shared segment may be a ring */
    const struct entry *entry;

    while ((entry = entry_at(view, cell)) != NULL && turns++ < view->entries.cells) {
        if (number_of(entry) == number)
            return cell;
        cell = follow(&entry->next);
    }
    return 0;
}

void *anybpf_keyed_value(const struct anybpf_map *map, uint32_t cell)
{
    return cell == 0 ? NULL : map->values + (size_t)(cell - 1) * map->value_stride;
}

void anybpf_keyed_copy(const struct anybpf_map *map, uint32_t cell, void *value)
{
    const struct anybpf_shape *shape = &map->shape;

    anybpf_copy_from_shared(value, anybpf_keyed_value(map, cell), shape->value_size);
    if (shape->lock_offset != ANYBPF_NO_FIELD)
        memset((uint8_t *)value + shape->lock_offset, 0, ANYBPF_SPIN_LOCK_SIZE);
    if (shape->timer_offset != ANYBPF_NO_FIELD)
        memset((uint8_t *)value + shape->timer_offset, 0, ANYBPF_TIMER_SIZE);
}

/* Walking. The first entry with a hash of at least `*hash`, which becomes its hash; 0: none. */
static uint32_t first_from(const struct view *view, uint64_t *hash)
{
    uint64_t bucket;
    uint32_t turns = 0;

    for (bucket = *hash >> view->shift; bucket < view->buckets; bucket++) {
        uint32_t cell = follow(&view->bucket[bucket]);
        const struct entry *entry;

        while ((entry = entry_at(view, cell)) != NULL && turns++ < view->entries.cells) {
            uint64_t found = hash_of(view, number_of(entry));

            if (found >= *hash) {
                *hash = found;
                return cell;
            }
            cell = follow(&entry->next);
        }
    }
    return 0;
}

/* Changing. */

uint64_t anybpf_keyed_count(struct anybpf_map *map)
{
    return atomic_load_explicit(&map->header->count, memory_order_relaxed);
}

static void set_count(struct anybpf_map *map, uint64_t count)
{
    atomic_store_explicit(&map->header->count, count, memory_order_relaxed);
}

/* Marks the entries that are linked in, and counts them. */
static uint64_t mark(const struct view *view, uint8_t *used)
{
    uint64_t count = 0;
    uint32_t i;

    for (i = 0; i < view->buckets; i++) {
        uint32_t cell = follow(&view->bucket[i]);
        const struct entry *entry;

        while ((entry = entry_at(view, cell)) != NULL && count < view->entries.cells) {
            if (used != NULL)
                used[cell - 1] = 1;
            count++;
            cell = follow(&entry->next);
        }
    }
    return count;
}

void anybpf_keyed_lock(struct anybpf_map *map)
{
    const struct view *view = map->private;
    uint8_t *used;

    if (!anybpf_lock_take(map->domain, &map->header->lock))
        return;
    used = calloc(view->entries.cells, 1);
    set_count(map, mark(view, used));
    anybpf_pool_rebuild(&view->entries, used);
    free(used);
}

void anybpf_keyed_unlock(struct anybpf_map *map)
{
    anybpf_lock_give(&map->header->lock);
}

bool anybpf_keyed_is_full(const struct anybpf_map *map)
{
    const struct view *view = map->private;

    return atomic_load_explicit(&map->header->count, memory_order_relaxed) >= view->limit;
}

/* The link to the first entry whose hash is at least that of `number`. */
static _Atomic uint32_t *link_to(const struct view *view, uint64_t number)
{
    uint64_t hash = hash_of(view, number);
    _Atomic uint32_t *link = &view->bucket[hash >> view->shift];
    uint32_t turns = 0;
    struct entry *entry;

    while ((entry = entry_at(view, follow(link))) != NULL && turns++ < view->entries.cells &&
           hash_of(view, number_of(entry)) < hash)
        link = &entry->next;
    return link;
}

uint32_t anybpf_keyed_put(struct anybpf_map *map, uint64_t number, const void *value)
{
    const struct view *view = map->private;
    _Atomic uint32_t *link = link_to(view, number);
    uint32_t after = follow(link);
    struct entry *old = entry_at(view, after);
    uint32_t cell;
    struct entry *entry;
    uint8_t *place;

    if (old != NULL && number_of(old) != number)
        old = NULL;
    if (old == NULL && anybpf_keyed_is_full(map))
        return 0;
    cell = anybpf_pool_take(&view->entries);
    entry = entry_at(view, cell);
    if (entry == NULL)
        return 0;
    place = anybpf_keyed_value(map, cell);
    memset(place, 0, map->value_stride);
    if (value != NULL)
        anybpf_copy_value(&map->shape, place, value);
    atomic_store_explicit(&entry->number, number, memory_order_relaxed);
    atomic_store_explicit(&entry->next, old == NULL ? after : follow(&old->next),
                          memory_order_relaxed);
    atomic_store_explicit(link, cell, memory_order_release);
    if (old != NULL)
        anybpf_pool_retire(&view->entries, after);
    else
        set_count(map, anybpf_keyed_count(map) + 1);
    return cell;
}

bool anybpf_keyed_remove(struct anybpf_map *map, uint64_t number)
{
    const struct view *view = map->private;
    _Atomic uint32_t *link = link_to(view, number);
    uint32_t cell = follow(link);
    struct entry *entry = entry_at(view, cell);

    if (entry == NULL || number_of(entry) != number)
        return false;
    atomic_store_explicit(link, follow(&entry->next), memory_order_release);
    anybpf_pool_retire(&view->entries, cell);
    set_count(map, anybpf_keyed_count(map) - 1);
    return true;
}

/* For users. */

int anybpf_keyed_next(struct anybpf_map *map, const void *key, void *next)
{
    const struct view *view = map->private;
    uint64_t hash = 0;
    uint32_t cell;

    if (key != NULL) {
        uint64_t number = anybpf_keyed_number(map, key);

        if (anybpf_keyed_find(map, number) != 0) {
            hash = hash_of(view, number);
            if (hash++ == UINT64_MAX)
                return ANYBPF_NO_MORE_KEYS;
        }
    }
    cell = first_from(view, &hash);
    if (cell == 0)
        return ANYBPF_NO_MORE_KEYS;
    anybpf_keyed_key(map, number_of(&view->entry[cell - 1]), next);
    return ANYBPF_OK;
}

/* A cursor is one more than the last entry's hash. */
int anybpf_keyed_scan(struct anybpf_map *map, uint64_t *cursor, void *keys, void *values,
                      uint32_t *count)
{
    const struct view *view = map->private;
    uint64_t hash = *cursor;
    bool over = false;
    uint32_t done = 0;

    while (done < *count) {
        uint32_t cell = over ? 0 : first_from(view, &hash);

        if (cell == 0) {
            *count = done;
            return ANYBPF_NO_MORE_KEYS;
        }
        if (keys != NULL)
            anybpf_keyed_key(map, number_of(&view->entry[cell - 1]),
                             (uint8_t *)keys + (size_t)done * map->shape.key_size);
        if (values != NULL)
            anybpf_keyed_copy(map, cell,
                              (uint8_t *)values + (size_t)done * map->shape.value_size);
        done++;
        over = hash == UINT64_MAX; /* then the last one is met again by the next call, if there is one */
        hash += !over;
        *cursor = hash;
    }
    return ANYBPF_OK;
}

uint64_t anybpf_keyed_each(struct anybpf_map *map, uint32_t seat,
                           int (*visit)(void *arg, const void *key, void *value), void *arg)
{
    const struct view *view = map->private;
    uint64_t hash = 0;
    uint64_t calls = 0;
    uint32_t cell;

    (void)seat;
    while ((cell = first_from(view, &hash)) != 0) {
        uint8_t key[8];

        anybpf_keyed_key(map, number_of(&view->entry[cell - 1]), key);
        calls++;
        if (visit(arg, key, anybpf_keyed_value(map, cell)) != 0 || hash++ == UINT64_MAX)
            break;
    }
    return calls;
}

const void *anybpf_keyed_key_of(struct anybpf_map *map, const void *value)
{
    const struct view *view = map->private;
    size_t offset = (size_t)((const uint8_t *)value - map->values);
    uint32_t cell = (uint32_t)(offset / map->value_stride) + 1;
    const struct entry *entry = entry_at(view, cell);

    if (entry == NULL || anybpf_keyed_find(map, number_of(entry)) != cell)
        return NULL;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    return &entry->number;
#else
    return (const uint8_t *)&entry->number + (8 - map->shape.key_size);
#endif
}

static bool is_right(struct anybpf_map *map, uint8_t *used, char *why, size_t why_size)
{
    const struct view *view = map->private;
    uint64_t count = 0;
    uint32_t i;

    for (i = 0; i < view->buckets; i++) {
        uint32_t cell = follow(&view->bucket[i]);
        uint64_t last = 0;
        bool first = true;

        for (; cell != 0; cell = follow(&view->entry[cell - 1].next)) {
            uint64_t hash;

            if (entry_at(view, cell) == NULL || used[cell - 1]++ != 0) {
                snprintf(why, why_size, "the chain of bucket %u is broken", (unsigned)i);
                return false;
            }
            hash = hash_of(view, number_of(&view->entry[cell - 1]));
            if (hash >> view->shift != i || (!first && hash <= last)) {
                snprintf(why, why_size, "an entry of bucket %u is out of place", (unsigned)i);
                return false;
            }
            last = hash;
            first = false;
            count++;
        }
    }
    if (count != anybpf_keyed_count(map) || count > view->limit) {
        snprintf(why, why_size, "%llu entries are there, %llu are counted, and %u are allowed",
                 (unsigned long long)count, (unsigned long long)anybpf_keyed_count(map),
                 (unsigned)view->limit);
        return false;
    }
    if (!anybpf_pool_check(&view->entries, used)) {
        snprintf(why, why_size, "entries are neither in a chain nor out of all");
        return false;
    }
    return true;
}

bool anybpf_keyed_check(struct anybpf_map *map, char *why, size_t why_size)
{
    const struct view *view = map->private;
    uint8_t *used = calloc(view->entries.cells, 1);
    bool right;

    if (used == NULL) {
        snprintf(why, why_size, "no memory to check with");
        return false;
    }
    if (map->segment.writable)
        anybpf_keyed_lock(map);
    right = is_right(map, used, why, why_size);
    if (map->segment.writable)
        anybpf_keyed_unlock(map);
    free(used);
    return right;
}
