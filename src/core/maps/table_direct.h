/* A kind's own functions for keys of 4, 8, 16 and all other sizes, made from two that take the size.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#ifndef ANYBPF_TABLE_DIRECT_H
#define ANYBPF_TABLE_DIRECT_H

#include "table_store.h"

/* Bytes from one key to the next where values lie elsewhere. */
#define ANYBPF_KEY_STRIDE(key_size) (((size_t)(key_size) + 7) & ~(size_t)7)

#define ANYBPF_FOR_KEY_SIZE(name, size)                                                            \
    static void *lookup_##name(struct anybpf_map *map, const void *key, uint32_t seat)             \
    {                                                                                              \
        return lookup_sized(map, key, seat, size);                                                 \
    }                                                                                              \
    static int update_##name(struct anybpf_map *map, const void *key, const void *value,           \
                             uint64_t flags, uint32_t seat)                                        \
    {                                                                                              \
        return update_sized(map, key, value, flags, seat, size);                                   \
    }

/* lookup, update and get_direct, from lookup_sized(map, key, seat, key_size) and
 * update_sized(map, key, value, flags, seat, key_size). */
#define ANYBPF_FOR_KEY_SIZES                                                                       \
    ANYBPF_FOR_KEY_SIZE(4, 4)                                                                      \
    ANYBPF_FOR_KEY_SIZE(8, 8)                                                                      \
    ANYBPF_FOR_KEY_SIZE(16, 16)                                                                    \
    ANYBPF_FOR_KEY_SIZE(any, anybpf_table_of(map)->key_size)                                       \
    static void get_direct(const struct anybpf_map *map, struct anybpf_direct *direct)             \
    {                                                                                              \
        switch (map->shape.key_size) {                                                             \
        case 4:                                                                                    \
            direct->lookup = lookup_4;                                                             \
            direct->update = update_4;                                                             \
            break;                                                                                 \
        case 8:                                                                                    \
            direct->lookup = lookup_8;                                                             \
            direct->update = update_8;                                                             \
            break;                                                                                 \
        case 16:                                                                                   \
            direct->lookup = lookup_16;                                                            \
            direct->update = update_16;                                                            \
            break;                                                                                 \
        default:                                                                                   \
            break; /* those of the kind's table: lookup_any, update_any */                         \
        }                                                                                          \
    }

#endif
