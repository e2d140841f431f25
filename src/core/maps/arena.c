/* Arenas: which pages somebody has, and the pages themselves.
 *
 * A bit a page says that it is taken. A change of many bits is written down before it is begun, in
 * one word, so that it can be brought to an end by others: pages that a dead writer was about to get
 * are free again, those that it was about to give back are given back.
 *
 * All pages can be read and written at any time, and are zero where nobody has written. What Linux
 * does for users who touch a page that nobody has (it becomes theirs) is for them to ask for here.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "arena.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_PAGES (UINT32_C(1) << 20) /* 4 GiB: 32 bits tell the bytes apart */
#define WORD_BITS 64u

/* A change that is under way: what, how many pages, and the first. */
enum { NOTHING, TAKING, GIVING };
#define INTENT(what, pages, first) ((uint64_t)(what) << 62 | (uint64_t)(pages) << 31 | (first))
#define INTENT_MASK 0x7fffffffu

struct body {
    uint64_t start;
    _Atomic uint64_t intent;
    _Alignas(64) _Atomic uint64_t taken[];
};

static struct body *body_of(const struct anybpf_map *map)
{
    return (struct body *)(void *)map->header->body;
}

static size_t words_of(const struct anybpf_shape *shape)
{
    return ((size_t)shape->max_entries + WORD_BITS - 1) / WORD_BITS;
}

static size_t pages_at(const struct anybpf_shape *shape)
{
    size_t end = sizeof(struct anybpf_map_header) + sizeof(struct body) + words_of(shape) * 8;

    return (end + ANYBPF_ARENA_PAGE - 1) & ~(size_t)(ANYBPF_ARENA_PAGE - 1);
}

static int measure(const struct anybpf_domain *domain, const struct anybpf_shape *shape,
                   size_t *size, size_t *reserve)
{
    uint64_t bytes = (uint64_t)shape->max_entries * ANYBPF_ARENA_PAGE;

    (void)domain;
    if (shape->key_size != 0 || shape->value_size != 0 || shape->max_entries == 0 ||
        shape->max_entries > MOST_PAGES)
        return ANYBPF_BAD_SIZE;
    if (shape->extra % ANYBPF_ARENA_PAGE != 0 || shape->extra > UINT64_MAX - bytes)
        return ANYBPF_BAD_ARGUMENT;
    if (shape->extra >> 32 != (shape->extra + bytes - 1) >> 32)
        return ANYBPF_OUT_OF_RANGE; /* as on Linux: programs would see it in two pieces */
    if (bytes > SIZE_MAX / 4)
        return ANYBPF_NO_MEMORY;
    *size = pages_at(shape) + (size_t)bytes;
    *reserve = 0;
    return ANYBPF_OK;
}

static int init(struct anybpf_map *map)
{
    body_of(map)->start = map->shape.extra != 0
                              ? map->shape.extra
                              : (uint64_t)(uintptr_t)map->segment.base + pages_at(&map->shape);
    return ANYBPF_OK;
}

static int open_arena(struct anybpf_map *map)
{
    struct anybpf_arena *arena;
    size_t size;
    size_t reserve;
    uint64_t start = body_of(map)->start;

    if (measure(map->domain, &map->shape, &size, &reserve) != ANYBPF_OK ||
        size > map->segment.size || start % ANYBPF_ARENA_PAGE != 0)
        return ANYBPF_DAMAGED;
    arena = calloc(1, sizeof(*arena));
    if (arena == NULL)
        return ANYBPF_NO_MEMORY;
    arena->start = start;
    map->private = arena;
    map->values = map->segment.base + pages_at(&map->shape);
    map->values_size = (size_t)map->shape.max_entries * ANYBPF_ARENA_PAGE;
    return ANYBPF_OK;
}

static void close_arena(struct anybpf_map *map)
{
    free(map->private);
    map->private = NULL;
}

/* Bits. */

static bool is_taken(const struct anybpf_map *map, uint32_t page)
{
    return (atomic_load_explicit(&body_of(map)->taken[page / WORD_BITS], memory_order_relaxed) >>
                (page % WORD_BITS) &
            1u) != 0;
}

/* Of the pages whose bits share a word, the first of which is given. */
static bool none_taken(const struct anybpf_map *map, uint32_t page)
{
    return atomic_load_explicit(&body_of(map)->taken[page / WORD_BITS], memory_order_relaxed) == 0;
}

static bool all_taken(const struct anybpf_map *map, uint32_t page)
{
    return atomic_load_explicit(&body_of(map)->taken[page / WORD_BITS], memory_order_relaxed) ==
           UINT64_MAX;
}

static void set(const struct anybpf_map *map, uint32_t page, bool taken)
{
    _Atomic uint64_t *word = &body_of(map)->taken[page / WORD_BITS];
    uint64_t bit = UINT64_C(1) << (page % WORD_BITS);

    if (taken)
        atomic_fetch_or_explicit(word, bit, memory_order_relaxed);
    else
        atomic_fetch_and_explicit(word, ~bit, memory_order_relaxed);
}

static uint64_t count(struct anybpf_map *map)
{
    uint64_t pages = 0;
    size_t i;

    for (i = 0; i < words_of(&map->shape); i++)
        pages += (uint64_t)__builtin_popcountll(
            atomic_load_explicit(&body_of(map)->taken[i], memory_order_relaxed));
    return pages;
}

/* Changing. */

static void take(const struct anybpf_map *map, uint32_t first, uint32_t pages)
{
    uint32_t i;

    for (i = 0; i < pages; i++)
        set(map, first + i, true);
}

/* A page is made zero before it is free; programs that hold on to it write at their own risk. */
static void give(const struct anybpf_map *map, uint32_t first, uint32_t pages)
{
    uint32_t i;

    for (i = first; i < first + pages; i++) {
        uint64_t *word = (uint64_t *)(void *)(map->values + (size_t)i * ANYBPF_ARENA_PAGE);
        uint32_t left;

        if (!is_taken(map, i))
            continue;
        for (left = ANYBPF_ARENA_PAGE / 8; left > 0; left--, word++)
            __atomic_store_n(word, 0, __ATOMIC_RELAXED);
        set(map, i, false);
    }
}

static void intend(struct anybpf_map *map, uint32_t what, uint32_t first, uint32_t pages)
{
    atomic_store_explicit(&body_of(map)->intent, INTENT(what, pages, first),
                          memory_order_release);
}

static void done(struct anybpf_map *map)
{
    atomic_store_explicit(&body_of(map)->intent, 0, memory_order_release);
}

static void lock(struct anybpf_map *map)
{
    uint64_t intent;
    uint32_t first;
    uint32_t pages;

    if (!anybpf_lock_take(map->domain, &map->header->lock))
        return;
    intent = atomic_load_explicit(&body_of(map)->intent, memory_order_acquire);
    first = (uint32_t)intent & INTENT_MASK;
    pages = (uint32_t)(intent >> 31) & INTENT_MASK;
    /* Nobody was told of pages that were being taken: they go as those do that were given back. */
    if (intent != 0 && first < map->shape.max_entries && pages <= map->shape.max_entries - first)
        give(map, first, pages);
    done(map);
}

static bool are_free(const struct anybpf_map *map, uint32_t first, uint32_t pages)
{
    uint32_t i;

    for (i = 0; i < pages; i++)
        if (is_taken(map, first + i))
            return false;
    return true;
}

/* The first stretch of free pages; `max_entries`: none. */
static uint32_t find_free(const struct anybpf_map *map, uint32_t pages)
{
    uint32_t end = map->shape.max_entries;
    uint32_t free_pages = 0;
    uint32_t i = 0;

    while (i < end) {
        uint64_t word = atomic_load_explicit(&body_of(map)->taken[i / WORD_BITS],
                                             memory_order_relaxed);

        if (i % WORD_BITS == 0 && word == UINT64_MAX) {
            free_pages = 0;
            i += WORD_BITS;
            continue;
        }
        free_pages = (word >> (i % WORD_BITS) & 1u) != 0 ? 0 : free_pages + 1;
        i++;
        if (free_pages == pages)
            return i - pages;
    }
    return end;
}

uint64_t anybpf_arena_alloc(struct anybpf_map *map, uint32_t pages, uint64_t hint)
{
    const struct anybpf_arena *arena = map->private;
    uint32_t end = map->shape.max_entries;
    uint32_t first = end;

    if (map->shape.kind != ANYBPF_ARENA || pages == 0 || pages > end)
        return 0;
    if (hint != 0) {
        uint32_t offset = (uint32_t)hint - (uint32_t)arena->start;

        if (offset % ANYBPF_ARENA_PAGE != 0 || offset / ANYBPF_ARENA_PAGE > end - pages)
            return 0;
        lock(map);
        if (are_free(map, offset / ANYBPF_ARENA_PAGE, pages))
            first = offset / ANYBPF_ARENA_PAGE;
    } else {
        lock(map);
        first = find_free(map, pages);
    }
    if (first != end) {
        intend(map, TAKING, first, pages);
        take(map, first, pages);
        done(map);
    }
    anybpf_lock_give(&map->header->lock);
    return first == end ? 0 : arena->start + (uint64_t)first * ANYBPF_ARENA_PAGE;
}

int anybpf_arena_free(struct anybpf_map *map, uint64_t pointer, uint32_t pages)
{
    const struct anybpf_arena *arena = map->private;
    uint32_t first;

    if (map->shape.kind != ANYBPF_ARENA)
        return ANYBPF_NOT_SUPPORTED;
    first = ((uint32_t)pointer - (uint32_t)arena->start) / ANYBPF_ARENA_PAGE;
    if (pointer % ANYBPF_ARENA_PAGE != 0 || first >= map->shape.max_entries)
        return ANYBPF_BAD_ARGUMENT;
    if (pages > map->shape.max_entries - first)
        pages = map->shape.max_entries - first;
    lock(map);
    intend(map, GIVING, first, pages);
    give(map, first, pages);
    done(map);
    anybpf_lock_give(&map->header->lock);
    return ANYBPF_OK;
}

uint32_t anybpf_arena_taken(const struct anybpf_map *map, uint32_t *first)
{
    uint32_t end = map->shape.max_entries;
    uint32_t page = *first;
    uint32_t pages = 0;

    while (page < end && !is_taken(map, page))
        page += page % WORD_BITS == 0 && none_taken(map, page) ? WORD_BITS : 1;
    if (page >= end)
        return 0;
    *first = page;
    while (pages < end - page && is_taken(map, page + pages))
        pages += (page + pages) % WORD_BITS == 0 && all_taken(map, page + pages) ? WORD_BITS : 1;
    return pages < end - page ? pages : end - page;
}

static bool is_right(struct anybpf_map *map, char *why, size_t why_size)
{
    uint32_t last = map->shape.max_entries % WORD_BITS;

    if (atomic_load(&body_of(map)->intent) != 0) {
        snprintf(why, why_size, "a change was begun and not ended");
        return false;
    }
    if (last != 0 &&
        atomic_load(&body_of(map)->taken[map->shape.max_entries / WORD_BITS]) >> last != 0) {
        snprintf(why, why_size, "pages are taken beyond the last");
        return false;
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

const struct anybpf_map_ops anybpf_arena_ops = {
    .name = "arena",
    .measure = measure,
    .init = init,
    .open = open_arena,
    .close = close_arena,
    .count = count,
    .check = check,
};
