/* What arrays and per-CPU arrays share: where their values lie, and how these are changed.
 *
 * A value that fits into one word is changed by one store. Larger ones, and all the values of an
 * entry together, are changed under a lock that guards every n-th entry, its stripe. First the new
 * value is written to the stripe's journal, then the journal is marked, then it is copied to its
 * place, then the mark is taken away. Who finds that the lock's holder died does the copying again
 * if the mark is there: so the dead one's change was made, or it was not. A sequence number that is
 * odd while values change tells users that their copy may be torn; they make another. Programs that
 * follow a pointer into a value take no part in this.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "arrays.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_STRIPES 64u
#define CACHE_LINE 64u
#define VALUES_ALIGNMENT 4096u
#define TURNS_BEFORE_LOCK 128u

struct anybpf_stripe {
    _Alignas(CACHE_LINE) struct anybpf_lock lock;
    _Atomic uint32_t sequence;
    _Atomic uint32_t marked; /* the journal is to be copied */
    _Atomic uint32_t index;  /* of the entry that it is for */
    _Atomic uint32_t copy;
};

struct plan {
    uint32_t stripes;
    size_t journals; /* offsets */
    size_t values;
    size_t entry;
    size_t plane;
    size_t end;
};

static bool add(size_t *sum, size_t number)
{
    return !__builtin_add_overflow(*sum, number, sum);
}

static bool align(size_t *size, size_t to)
{
    if (!add(size, to - 1))
        return false;
    *size &= ~(to - 1);
    return true;
}

bool anybpf_array_is_one_word(const struct anybpf_shape *shape)
{
    return shape->value_size <= 8 && shape->lock_offset == ANYBPF_NO_FIELD &&
           shape->timer_offset == ANYBPF_NO_FIELD;
}

static bool make_plan(const struct anybpf_shape *shape, uint32_t copies, struct plan *plan)
{
    size_t stride = ((size_t)shape->value_size + 7) & ~(size_t)7;
    size_t journals;
    size_t planes;

    if (__builtin_mul_overflow(stride, (size_t)copies, &plan->entry) ||
        __builtin_mul_overflow(stride, (size_t)shape->max_entries, &plan->plane))
        return false;
    if (copies > 1 && !align(&plan->plane, 2 * CACHE_LINE)) /* two: they are fetched in pairs */
        return false;
    if (__builtin_mul_overflow(plan->plane, (size_t)copies, &planes))
        return false;
    plan->stripes = 0;
    if (copies > 1 || !anybpf_array_is_one_word(shape)) {
        plan->stripes = 1;
        while (plan->stripes < MOST_STRIPES && plan->stripes < shape->max_entries &&
               plan->entry <= planes / (16 * (size_t)plan->stripes))
            plan->stripes *= 2; /* as long as journals are an eighth of the values at most */
    }
    plan->journals = sizeof(struct anybpf_map_header);
    if (!align(&plan->journals, CACHE_LINE))
        return false;
    plan->journals += plan->stripes * sizeof(struct anybpf_stripe);
    if (__builtin_mul_overflow(plan->entry, (size_t)plan->stripes, &journals))
        return false;
    plan->values = plan->journals;
    if (!add(&plan->values, journals) || !align(&plan->values, VALUES_ALIGNMENT))
        return false;
    plan->end = plan->values;
    return add(&plan->end, planes);
}

int anybpf_array_measure(const struct anybpf_shape *shape, uint32_t copies, size_t *size,
                         size_t *reserve)
{
    struct plan plan;

    if (shape->key_size != sizeof(uint32_t) || shape->value_size == 0 || shape->max_entries == 0)
        return ANYBPF_BAD_SIZE;
    if (!make_plan(shape, copies, &plan))
        return ANYBPF_NO_MEMORY;
    *size = plan.end;
    *reserve = 0;
    return ANYBPF_OK;
}

int anybpf_array_open(struct anybpf_map *map, uint32_t copies)
{
    struct anybpf_array *layout;
    struct plan plan;

    if (!make_plan(&map->shape, copies, &plan) || plan.end > map->segment.size)
        return ANYBPF_DAMAGED;
    layout = calloc(1, sizeof(*layout));
    if (layout == NULL)
        return ANYBPF_NO_MEMORY;
    layout->journals = map->segment.base + plan.journals;
    if (plan.stripes > 0)
        layout->stripes = (struct anybpf_stripe *)(void *)(layout->journals -
                                                    plan.stripes * sizeof(struct anybpf_stripe));
    layout->mask = plan.stripes == 0 ? 0 : plan.stripes - 1;
    layout->copies = copies;
    layout->entry = plan.entry;
    layout->plane = plan.plane;
    map->private = layout;
    map->values = map->segment.base + plan.values;
    map->values_size = plan.end - plan.values;
    return ANYBPF_OK;
}

void anybpf_array_close(struct anybpf_map *map)
{
    free(map->private);
    map->private = NULL;
}

/* Changing. */

static uint8_t *journal_of(const struct anybpf_array *layout, const struct anybpf_stripe *stripe)
{
    return layout->journals + (size_t)(stripe - layout->stripes) * layout->entry;
}

/* Copies an entry to its place; `from` NULL stands for zeroes. Guarded by the stripe. */
static void put(struct anybpf_map *map, uint32_t index, uint32_t copy, const uint8_t *from)
{
    const struct anybpf_array *layout = map->private;
    uint32_t i;

    if (copy != ANYBPF_ALL_COPIES) {
        anybpf_copy_value(&map->shape, anybpf_array_place(map, index, copy), from);
        return;
    }
    for (i = 0; i < layout->copies; i++)
        anybpf_copy_value(&map->shape, anybpf_array_place(map, index, i),
                          from + (size_t)i * map->value_stride);
}

static void begin(struct anybpf_stripe *stripe)
{
    uint32_t now = atomic_load_explicit(&stripe->sequence, memory_order_relaxed);

    atomic_store_explicit(&stripe->sequence, now | 1u, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
}

static void end(struct anybpf_stripe *stripe)
{
    uint32_t now = atomic_load_explicit(&stripe->sequence, memory_order_relaxed);

    atomic_store_explicit(&stripe->sequence, (now | 1u) + 1u, memory_order_release);
}

/* The lock's last holder died. What the journal says is checked: the stripe may be shared. */
static void repair(struct anybpf_map *map, struct anybpf_stripe *stripe)
{
    const struct anybpf_array *layout = map->private;
    uint32_t index = atomic_load_explicit(&stripe->index, memory_order_relaxed);
    uint32_t copy = atomic_load_explicit(&stripe->copy, memory_order_relaxed);

    if (atomic_load_explicit(&stripe->marked, memory_order_acquire) != 0) {
        begin(stripe);
        if (index < map->shape.max_entries &&
            (copy == ANYBPF_ALL_COPIES || copy < layout->copies))
            put(map, index, copy, journal_of(layout, stripe));
        atomic_store_explicit(&stripe->marked, 0, memory_order_release);
    }
    if (atomic_load_explicit(&stripe->sequence, memory_order_relaxed) & 1u)
        end(stripe);
}

static struct anybpf_stripe *take_stripe(struct anybpf_map *map, uint32_t index)
{
    const struct anybpf_array *layout = map->private;
    struct anybpf_stripe *stripe = &layout->stripes[index & layout->mask];

    if (anybpf_lock_take(map->domain, &stripe->lock))
        repair(map, stripe);
    return stripe;
}

/* `value` NULL stands for zeroes. */
static void store(struct anybpf_map *map, uint32_t index, uint32_t copy, const void *value)
{
    const struct anybpf_array *layout = map->private;
    struct anybpf_stripe *stripe;
    uint8_t *journal;
    size_t size = map->shape.value_size;

    if (anybpf_array_is_one_word(&map->shape) &&
        (copy != ANYBPF_ALL_COPIES || layout->copies == 1)) {
        __atomic_store_n(
            (uint64_t *)anybpf_array_place(map, index, copy == ANYBPF_ALL_COPIES ? 0 : copy),
            value == NULL ? 0 : anybpf_word_of(value, map->shape.value_size), __ATOMIC_RELEASE);
        return;
    }
    if (copy == ANYBPF_ALL_COPIES && layout->copies > 1)
        size = layout->entry;
    stripe = take_stripe(map, index);
    journal = journal_of(layout, stripe);
    if (value == NULL)
        memset(journal, 0, size);
    else
        memcpy(journal, value, size);
    atomic_store_explicit(&stripe->index, index, memory_order_relaxed);
    atomic_store_explicit(&stripe->copy, copy, memory_order_relaxed);
    atomic_store_explicit(&stripe->marked, 1, memory_order_release);
    begin(stripe);
    put(map, index, copy, journal);
    atomic_store_explicit(&stripe->marked, 0, memory_order_release);
    end(stripe);
    anybpf_lock_give(&stripe->lock);
}

bool anybpf_array_layout(const struct anybpf_map *map, struct anybpf_array_layout *to)
{
    const struct anybpf_array *layout = map->private;

    if ((map->shape.kind != ANYBPF_ARRAY && map->shape.kind != ANYBPF_PERCPU_ARRAY) ||
        (map->shape.flags & ANYBPF_PROGRAM_WRITES_ONLY) != 0)
        return false;
    to->values = map->values;
    to->entries = map->shape.max_entries;
    to->value_size = map->shape.value_size;
    to->stride = map->value_stride;
    to->cpus = map->domain->cpus;
    to->cpu_stride = map->shape.kind == ANYBPF_PERCPU_ARRAY ? layout->plane : 0;
    return true;
}

int anybpf_array_update(struct anybpf_map *map, const void *key, const void *value, uint64_t flags,
                        uint32_t copy)
{
    uint32_t index = anybpf_array_index(key);

    if (flags != 0 && anybpf_check_update_flags(map, flags) != ANYBPF_OK)
        return ANYBPF_BAD_FLAGS;
    if (index >= map->shape.max_entries)
        return ANYBPF_BAD_INDEX;
    if (flags & ANYBPF_NOEXIST)
        return ANYBPF_ALWAYS_THERE;
    if (flags & ANYBPF_WITH_LOCK) {
        uint8_t *place = anybpf_array_place(map, index, 0);

        anybpf_value_lock(map, place);
        store(map, index, copy, value);
        anybpf_value_unlock(map, place);
    } else {
        store(map, index, copy, value);
    }
    return ANYBPF_OK;
}

int anybpf_array_erase(struct anybpf_map *map, const void *key, uint32_t seat)
{
    uint32_t index = anybpf_array_index(key);

    (void)seat;
    if ((map->shape.flags & ANYBPF_DELETE_ZEROES) == 0)
        return ANYBPF_CANNOT_DELETE;
    if (index >= map->shape.max_entries)
        return ANYBPF_BAD_INDEX;
    store(map, index, ANYBPF_ALL_COPIES, NULL);
    return ANYBPF_OK;
}

/* Reading. */

/* Values side by side, each changed by one store. */
static bool is_in_words(const struct anybpf_map *map)
{
    const struct anybpf_array *layout = map->private;

    return layout->stripes == NULL && !anybpf_is_per_cpu(map->shape.kind);
}

/* `value` has room for all copies. */
static void copy_out(struct anybpf_map *map, uint32_t index, uint8_t *value)
{
    const struct anybpf_array *layout = map->private;
    size_t padding = map->value_stride - map->shape.value_size;
    uint32_t i;

    if (layout->copies == 1 && !anybpf_is_per_cpu(map->shape.kind)) {
        anybpf_copy_from_shared(value, anybpf_array_place(map, index, 0), map->shape.value_size);
        return;
    }
    for (i = 0; i < layout->copies; i++) {
        anybpf_copy_from_shared(value, anybpf_array_place(map, index, i), map->shape.value_size);
        memset(value + map->shape.value_size, 0, padding);
        value += map->value_stride;
    }
}

/* A lock's word, and whatever a timer keeps, is nobody's business outside. */
static void hide_fields(const struct anybpf_shape *shape, uint8_t *value)
{
    if (shape->lock_offset != ANYBPF_NO_FIELD)
        memset(value + shape->lock_offset, 0, ANYBPF_SPIN_LOCK_SIZE);
    if (shape->timer_offset != ANYBPF_NO_FIELD)
        memset(value + shape->timer_offset, 0, ANYBPF_TIMER_SIZE);
}

/* What an entry would be if a dead writer's change were finished, for those who may not finish it:
 * the stripe's lock is a dead one's, so nothing moves. */
static void copy_out_repaired(struct anybpf_map *map, struct anybpf_stripe *stripe, uint32_t index,
                              uint8_t *value)
{
    const struct anybpf_array *layout = map->private;
    uint32_t copy = atomic_load_explicit(&stripe->copy, memory_order_relaxed);
    size_t size = map->shape.value_size;
    size_t at = 0;

    copy_out(map, index, value);
    if (atomic_load_explicit(&stripe->marked, memory_order_acquire) == 0 ||
        atomic_load_explicit(&stripe->index, memory_order_relaxed) != index)
        return;
    if (copy != ANYBPF_ALL_COPIES && copy >= layout->copies)
        return;
    if (copy == ANYBPF_ALL_COPIES && layout->copies > 1)
        size = layout->entry;
    else if (copy != ANYBPF_ALL_COPIES)
        at = (size_t)copy * map->value_stride;
    anybpf_copy_from_shared(value + at, journal_of(layout, stripe), size);
}

static void load(struct anybpf_map *map, uint32_t index, uint8_t *value)
{
    const struct anybpf_array *layout = map->private;
    struct anybpf_stripe *stripe;
    uint32_t turn = 0;

    if (layout->stripes == NULL) {
        copy_out(map, index, value);
        return;
    }
    stripe = &layout->stripes[index & layout->mask];
    for (;;) {
        uint32_t before = atomic_load_explicit(&stripe->sequence, memory_order_acquire);
        uint32_t holder;

        if ((before & 1u) == 0) {
            copy_out(map, index, value);
            atomic_thread_fence(memory_order_acquire);
            if (atomic_load_explicit(&stripe->sequence, memory_order_relaxed) == before)
                return;
        }
        anybpf_back_off(turn++);
        if (turn % TURNS_BEFORE_LOCK != 0)
            continue;
        if (map->segment.writable) { /* with the lock nobody writes, and what the dead left is mended */
            take_stripe(map, index);
            copy_out(map, index, value);
            anybpf_lock_give(&stripe->lock);
            return;
        }
        holder = atomic_load_explicit(&stripe->lock.word, memory_order_relaxed);
        if (holder != 0 && !anybpf_lock_is_held(map->domain, &stripe->lock)) {
            copy_out_repaired(map, stripe, index, value);
            if (atomic_load_explicit(&stripe->lock.word, memory_order_relaxed) == holder)
                return;
        }
    }
}

int anybpf_array_read(struct anybpf_map *map, const void *key, void *value, uint64_t flags)
{
    uint32_t index = anybpf_array_index(key);

    if ((flags & ~(uint64_t)ANYBPF_WITH_LOCK) != 0)
        return ANYBPF_BAD_FLAGS;
    if (index >= map->shape.max_entries)
        return ANYBPF_MISSING;
    if (flags == 0 && map->shape.value_size == 8 && is_in_words(map)) {
        uint64_t word = __atomic_load_n((const uint64_t *)(const void *)map->values + index,
                                        __ATOMIC_RELAXED);

        memcpy(value, &word, sizeof(word));
        return ANYBPF_OK;
    }
    if (flags & ANYBPF_WITH_LOCK) {
        uint8_t *place = anybpf_array_place(map, index, 0);

        if (map->shape.lock_offset == ANYBPF_NO_FIELD)
            return ANYBPF_BAD_FLAGS;
        if (!map->segment.writable)
            return ANYBPF_DENIED;
        anybpf_value_lock(map, place);
        load(map, index, value);
        anybpf_value_unlock(map, place);
    } else {
        load(map, index, value);
    }
    hide_fields(&map->shape, value);
    return ANYBPF_OK;
}

int anybpf_array_write(struct anybpf_map *map, const void *key, const void *value, uint64_t flags)
{
    return anybpf_array_update(map, key, value, flags, ANYBPF_ALL_COPIES);
}

/* Walking. */

int anybpf_array_next(struct anybpf_map *map, const void *key, void *next)
{
    uint32_t index = 0;

    if (key != NULL) {
        index = anybpf_array_index(key);
        if (index == map->shape.max_entries - 1)
            return ANYBPF_NO_MORE_KEYS;
        index = index < map->shape.max_entries ? index + 1 : 0;
    }
    memcpy(next, &index, sizeof(index));
    return ANYBPF_OK;
}

/* Values of one word each are the common case, and worth loops of their own. */
static void scan_words(const struct anybpf_map *map, uint32_t first, uint8_t *values, uint32_t count)
{
    const uint64_t *from = (const uint64_t *)(const void *)map->values + first;
    const uint64_t *end = from + count;
    size_t size = map->shape.value_size;

    if (size == 8) {
        for (; from < end; from++, values += 8) {
            uint64_t word = __atomic_load_n(from, __ATOMIC_RELAXED);

            memcpy(values, &word, 8);
        }
        return;
    }
    for (; from < end; from++, values += size) {
        uint64_t word = __atomic_load_n(from, __ATOMIC_RELAXED);

        memcpy(values, &word, size);
    }
}

int anybpf_array_scan(struct anybpf_map *map, uint64_t *cursor, void *keys, void *values,
                      uint32_t *count)
{
    uint64_t all = map->shape.max_entries;
    uint64_t first = *cursor < all ? *cursor : all;
    uint32_t wanted = *count;
    uint32_t found = wanted < all - first ? wanted : (uint32_t)(all - first);
    size_t size = anybpf_user_value_size(&map->shape);
    uint32_t i;

    for (i = 0; keys != NULL && i < found; i++) {
        uint32_t index = (uint32_t)first + i;

        memcpy((uint8_t *)keys + (size_t)i * sizeof(index), &index, sizeof(index));
    }
    if (values != NULL && is_in_words(map)) {
        scan_words(map, (uint32_t)first, values, found);
    } else {
        for (i = 0; values != NULL && i < found; i++) {
            load(map, (uint32_t)first + i, (uint8_t *)values + i * size);
            hide_fields(&map->shape, (uint8_t *)values + i * size);
        }
    }
    *cursor = first + found;
    *count = found;
    return *cursor == all ? ANYBPF_NO_MORE_KEYS : ANYBPF_OK;
}

uint64_t anybpf_array_count(struct anybpf_map *map)
{
    return map->shape.max_entries;
}

uint64_t anybpf_array_each(struct anybpf_map *map, uint32_t copy,
                           int (*visit)(void *arg, const void *key, void *value), void *arg)
{
    uint32_t index;

    for (index = 0; index < map->shape.max_entries; index++)
        if (visit(arg, &index, anybpf_array_place(map, index, copy)) != 0)
            return (uint64_t)index + 1;
    return index;
}

/* Mending and checking. */

void anybpf_array_settle(struct anybpf_map *map, const void *value)
{
    uint32_t index = (uint32_t)((size_t)((const uint8_t *)value - map->values) / map->value_stride);

    anybpf_lock_give(&take_stripe(map, index)->lock);
}

bool anybpf_array_check(struct anybpf_map *map, char *why, size_t why_size)
{
    const struct anybpf_array *layout = map->private;
    uint32_t i;

    for (i = 0; layout->stripes != NULL && i <= layout->mask; i++) {
        struct anybpf_stripe *stripe;
        uint32_t sequence;
        uint32_t marked;

        if (!map->segment.writable)
            break;
        stripe = take_stripe(map, i);
        sequence = atomic_load_explicit(&stripe->sequence, memory_order_relaxed);
        marked = atomic_load_explicit(&stripe->marked, memory_order_relaxed);
        anybpf_lock_give(&stripe->lock);
        if ((sequence & 1u) != 0 || marked != 0) {
            snprintf(why, why_size, "stripe %u has a change under way (sequence %u, marked %u)", i,
                     sequence, marked);
            return false;
        }
    }
    return true;
}
