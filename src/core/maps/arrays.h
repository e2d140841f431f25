/* What arrays and per-CPU arrays share.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#ifndef ANYBPF_ARRAYS_H
#define ANYBPF_ARRAYS_H

#include "../map.h"

/* Which values of an entry: a processor's number, or all that it has. */
#define ANYBPF_ALL_COPIES UINT32_MAX

/* `copies`: values that an entry has. */
int anybpf_array_measure(const struct anybpf_shape *shape, uint32_t copies, size_t *size,
                         size_t *reserve);
int anybpf_array_open(struct anybpf_map *map, uint32_t copies);
void anybpf_array_close(struct anybpf_map *map);

/* A copy of an entry's value; NULL beyond the end. */
void *anybpf_array_find(struct anybpf_map *map, const void *key, uint32_t copy);

/* Changes one copy of a value, or all from an array of values that are padded to 8 bytes. */
int anybpf_array_update(struct anybpf_map *map, const void *key, const void *value, uint64_t flags,
                        uint32_t copy);
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
