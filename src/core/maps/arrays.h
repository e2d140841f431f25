/* What arrays and per-CPU arrays share.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#ifndef ANYBPF_ARRAYS_H
#define ANYBPF_ARRAYS_H

#include "../map.h"

#include <string.h>

/* Which values of an entry: a processor's number, or all that it has. */
#define ANYBPF_ALL_COPIES UINT32_MAX

struct anybpf_stripe;

/* This process's knowledge of where things are. */
struct anybpf_array {
    struct anybpf_stripe *stripes; /* NULL: every change is one store */
    uint32_t mask;                 /* stripes - 1 */
    uint32_t copies;
    uint8_t *journals;
    size_t entry; /* bytes of an entry: all copies */
    size_t plane; /* bytes from one copy to the next */
};

/* `copies`: values that an entry has. */
int anybpf_array_measure(const struct anybpf_shape *shape, uint32_t copies, size_t *size,
                         size_t *reserve);
int anybpf_array_open(struct anybpf_map *map, uint32_t copies);
void anybpf_array_close(struct anybpf_map *map);

static inline uint32_t anybpf_array_index(const void *key)
{
    uint32_t index;

    memcpy(&index, key, sizeof(index));
    return index;
}

static inline void *anybpf_array_place(const struct anybpf_map *map, uint32_t index, uint32_t copy)
{
    const struct anybpf_array *layout = map->private;

    return map->values + copy * layout->plane + (size_t)index * map->value_stride;
}

/* A copy of an entry's value; NULL beyond the end. */
static inline void *anybpf_array_find(const struct anybpf_map *map, const void *key, uint32_t copy)
{
    uint32_t index = anybpf_array_index(key);

    return index < map->shape.max_entries ? anybpf_array_place(map, index, copy) : NULL;
}

/* Whether values, of one copy, are changed by one store. */
bool anybpf_array_is_one_word(const struct anybpf_shape *shape);

/* Changes one copy of a value, or all from an array of values that are padded to 8 bytes. */
int anybpf_array_update(struct anybpf_map *map, const void *key, const void *value, uint64_t flags,
                        uint32_t copy);
/* The same for values of one word, whose size the caller knows. */
static inline __attribute__((always_inline)) int
anybpf_array_update_word(struct anybpf_map *map, const void *key, const void *value, uint64_t flags,
                         uint32_t copy, uint32_t size)
{
    uint32_t index = anybpf_array_index(key);

    if (__builtin_expect(flags != ANYBPF_ANY, 0))
        return anybpf_array_update(map, key, value, flags, copy);
    if (index >= map->shape.max_entries)
        return ANYBPF_BAD_INDEX;
    __atomic_store_n((uint64_t *)anybpf_array_place(map, index, copy), anybpf_word_of(value, size),
                     __ATOMIC_RELEASE);
    return ANYBPF_OK;
}
int anybpf_array_erase(struct anybpf_map *map, const void *key, uint32_t seat);

/* The users' side: all copies. */
int anybpf_array_read(struct anybpf_map *map, const void *key, void *value, uint64_t flags);
int anybpf_array_write(struct anybpf_map *map, const void *key, const void *value,
                       uint64_t flags);
int anybpf_array_next(struct anybpf_map *map, const void *key, void *next);
int anybpf_array_scan(struct anybpf_map *map, uint64_t *cursor, void *keys, void *values,
                      uint32_t *count);
uint64_t anybpf_array_count(struct anybpf_map *map);
uint64_t anybpf_array_each(struct anybpf_map *map, uint32_t copy,
                           int (*visit)(void *arg, const void *key, void *value), void *arg);
void anybpf_array_settle(struct anybpf_map *map, const void *value);
bool anybpf_array_check(struct anybpf_map *map, char *why, size_t why_size);

#endif
