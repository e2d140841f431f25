/* A kind's own functions for keys of 4, 8, 16 and all other sizes, made from two that take sizes.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#ifndef ANYBPF_TABLE_DIRECT_H
#define ANYBPF_TABLE_DIRECT_H

#include "table_store.h"

/* `suffix` is in the names: lookup_4, update_4_8 for values of 8 bytes, update_4 for others. */
#define ANYBPF_FOR_KEY_SIZE(suffix, size)                                                          \
    static void *lookup_##suffix(struct anybpf_map *map, const void *key, uint32_t seat)           \
    {                                                                                              \
        return lookup_sized(map, key, seat, size);                                                 \
    }                                                                                              \
    static int update_##suffix##_8(struct anybpf_map *map, const void *key, const void *value,     \
                                   uint64_t flags, uint32_t seat)                                  \
    {                                                                                              \
        return update_sized(map, key, value, flags, seat, size, 8);                                \
    }                                                                                              \
    static int update_##suffix(struct anybpf_map *map, const void *key, const void *value,         \
                               uint64_t flags, uint32_t seat)                                      \
    {                                                                                              \
        return update_sized(map, key, value, flags, seat, size, map->shape.value_size);            \
    }

/* lookup_any, update_any and get_direct, from lookup_sized(map, key, seat, key_size) and
 * update_sized(map, key, value, flags, seat, key_size, value_size). */
#define ANYBPF_FOR_KEY_SIZES                                                                       \
    ANYBPF_FOR_KEY_SIZE(4, 4)                                                                      \
    ANYBPF_FOR_KEY_SIZE(8, 8)                                                                      \
    ANYBPF_FOR_KEY_SIZE(16, 16)                                                                    \
    ANYBPF_FOR_KEY_SIZE(any, anybpf_table_of(map)->key_size)                                       \
    static void get_direct(const struct anybpf_map *map, struct anybpf_direct *direct)             \
    {                                                                                              \
        bool is_8 = map->shape.value_size == 8;                                                    \
                                                                                                   \
        switch (map->shape.key_size) {                                                             \
        case 4:                                                                                    \
            direct->lookup = lookup_4;                                                             \
            direct->update = is_8 ? update_4_8 : update_4;                                         \
            break;                                                                                 \
        case 8:                                                                                    \
            direct->lookup = lookup_8;                                                             \
            direct->update = is_8 ? update_8_8 : update_8;                                         \
            break;                                                                                 \
        case 16:                                                                                   \
            direct->lookup = lookup_16;                                                            \
            direct->update = is_8 ? update_16_8 : update_16;                                       \
            break;                                                                                 \
        default:                                                                                   \
            direct->lookup = lookup_any;                                                           \
            direct->update = is_8 ? update_any_8 : update_any;                                     \
            break;                                                                                 \
        }                                                                                          \
    }

#endif
