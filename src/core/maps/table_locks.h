/* The locks of a table's groups: taken by one instruction where nobody has them. Whoever takes a dead
 * one's puts in order what that left.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#ifndef ANYBPF_TABLE_LOCKS_H
#define ANYBPF_TABLE_LOCKS_H

#include "table.h"

static inline void anybpf_table_lock(struct anybpf_map *map, uint32_t level, uint32_t group)
{
    struct anybpf_table *table = map->private;
    struct anybpf_lock *lock = &table->level[level].guards[group].lock;
    uint32_t self = atomic_load_explicit(&map->domain->self, memory_order_relaxed);
    uint32_t nobody = 0;

    if (!atomic_compare_exchange_strong_explicit(&lock->word, &nobody, self, memory_order_acquire,
                                                 memory_order_relaxed) &&
        anybpf_lock_take(map->domain, lock))
        anybpf_table_repair(map, level, group);
}

static inline bool anybpf_table_try_lock(struct anybpf_map *map, uint32_t level, uint32_t group)
{
    struct anybpf_table *table = map->private;
    struct anybpf_lock *lock = &table->level[level].guards[group].lock;
    uint32_t self = atomic_load_explicit(&map->domain->self, memory_order_relaxed);
    uint32_t nobody = 0;

    return atomic_compare_exchange_strong_explicit(&lock->word, &nobody, self, memory_order_acquire,
                                                   memory_order_relaxed);
}

/* A plain store where nobody is known to wait. Whoever comes to wait at that very instant sleeps for
 * as long as it would before it looks whether the holder lives: rare, and a few milliseconds. */
static inline void anybpf_table_unlock(struct anybpf_map *map, uint32_t level, uint32_t group)
{
    struct anybpf_table *table = map->private;
    struct anybpf_lock *lock = &table->level[level].guards[group].lock;

    if (atomic_load_explicit(&lock->word, memory_order_relaxed) ==
        atomic_load_explicit(&map->domain->self, memory_order_relaxed))
        atomic_store_explicit(&lock->word, 0, memory_order_release);
    else
        anybpf_lock_give(lock);
}

#endif
