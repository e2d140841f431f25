/* Values by a number of up to 64 bits, looked up without a lock: what local storage and devmaps by
 * hash share. Entries lie in cells (pool.h); a new value may be a new entry in the old one's place.
 *
 * Entries have one order, by the hash of their number, in which different numbers differ. Buckets
 * are stretches of that order and chains are sorted by it, so a walk goes on after any number,
 * whether that is still there or not.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#ifndef ANYBPF_KEYED_H
#define ANYBPF_KEYED_H

#include "pool.h"

/* Number of a key of 4 or 8 bytes, and back. */
uint64_t anybpf_keyed_number(const struct anybpf_map *map, const void *key);
void anybpf_keyed_key(const struct anybpf_map *map, uint64_t number, void *key);

/* `max_entries` of 0 is for those that grow. Sets `values` and `private`. */
int anybpf_keyed_measure(const struct anybpf_shape *shape, size_t *size, size_t *reserve);
int anybpf_keyed_init(struct anybpf_map *map);
int anybpf_keyed_open(struct anybpf_map *map);
void anybpf_keyed_close(struct anybpf_map *map);

/* Cells; 0: none. The caller is seated. */
uint32_t anybpf_keyed_find(const struct anybpf_map *map, uint64_t number);
void *anybpf_keyed_value(const struct anybpf_map *map, uint32_t cell); /* NULL for 0 */
/* A copy for users, who do not see locks and timers. */
void anybpf_keyed_copy(const struct anybpf_map *map, uint32_t cell, void *value);

/* Changes are made between these two. */
void anybpf_keyed_lock(struct anybpf_map *map);
void anybpf_keyed_unlock(struct anybpf_map *map);
/* A new entry, in the place of the one with that number if there is one. `value` NULL: zero. 0
 * without memory, or where there are as many as there may be. */
uint32_t anybpf_keyed_put(struct anybpf_map *map, uint64_t number, const void *value);
bool anybpf_keyed_is_full(const struct anybpf_map *map);
bool anybpf_keyed_remove(struct anybpf_map *map, uint64_t number);

int anybpf_keyed_next(struct anybpf_map *map, const void *key, void *next);
int anybpf_keyed_scan(struct anybpf_map *map, uint64_t *cursor, void *keys, void *values,
                      uint32_t *count);
uint64_t anybpf_keyed_each(struct anybpf_map *map, uint32_t seat,
                           int (*visit)(void *arg, const void *key, void *value), void *arg);
const void *anybpf_keyed_key_of(struct anybpf_map *map, const void *value);
uint64_t anybpf_keyed_count(struct anybpf_map *map);
bool anybpf_keyed_check(struct anybpf_map *map, char *why, size_t why_size);

#endif
