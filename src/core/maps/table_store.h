/* Values of one word, put in the place of those that are there: under the lock of the key's home, or,
 * where a program does it, without any.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#ifndef ANYBPF_TABLE_STORE_H
#define ANYBPF_TABLE_STORE_H

#include "table_find.h"

static inline void anybpf_table_store_word(const struct anybpf_map *map, void *to,
                                           const void *value)
{
    __atomic_store_n((uint64_t *)to, anybpf_word_of(value, map->shape.value_size),
                     __ATOMIC_RELEASE);
}

static inline void anybpf_table_store(struct anybpf_map *map, struct anybpf_place place,
                                      uint32_t copy, const void *value, uint64_t hash)
{
    struct anybpf_table *table = map->private;
    bool all = copy == ANYBPF_ALL_COPIES_OF_ENTRY;

    if (table->is_one_word && (table->copies == 1 || !all)) {
        anybpf_table_store_word(map, anybpf_value(table, place, all ? 0 : copy), value);
        return;
    }
    anybpf_table_store_by_journal(map, place, copy, value, hash);
}

/* The commonest change: a program sets a value of one word that is there. It needs no lock, for whoever
 * deletes the key at the same time does so after it, and nobody uses the slot for another key while
 * the program is seated. Only one who takes the value out must know that none comes after: he makes
 * the key unfindable, has all threads make a barrier, and waits for those that are busy. `copy` is
 * the value's number; the key's stride is given where it has no value beside it, else 0. False:
 * nothing was done. */
ANYBPF_IN_LINE bool anybpf_table_store_at_once(const struct anybpf_map *map, const void *key,
                                               uint32_t key_size, size_t key_stride,
                                               const void *value, uint64_t flags, uint32_t seat)
{
    const struct anybpf_table *table = map->private;
    const struct anybpf_level *level = &table->level[0];
    _Atomic uint32_t *busy;
    size_t stride = key_stride != 0 ? key_stride : table->stride;
    size_t index;
    bool seen;

    if (__builtin_expect(seat >= table->busy_seats || flags != ANYBPF_ANY, 0))
        return false;
    busy = &table->busy[seat].word;
    atomic_store_explicit(busy, 1, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    seen = anybpf_glance(table, key, key_size, stride, anybpf_table_hash(table, key, key_size),
                         &index) == ANYBPF_SEEN;
    if (__builtin_expect(seen, 1)) {
        uint8_t *to = key_stride != 0 ? level->values + seat * level->plane +
                                            index * sizeof(uint64_t)
                                      : level->entries + index * stride + table->value_offset;

        anybpf_table_store_word(map, to, value);
        if (level->used != NULL)
            anybpf_touch_index(table, 0, index);
    }
    atomic_store_explicit(busy, 0, memory_order_release);
    return seen;
}

#endif
