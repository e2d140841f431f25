/* Values of one word, put in the place of those that are there: under the lock of the key's home, or,
 * where a program does it, without any.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#ifndef ANYBPF_TABLE_STORE_H
#define ANYBPF_TABLE_STORE_H

#include "table_find.h"

/* Bytes of a key in an entry: the stride of entries where values lie elsewhere. */
#define ANYBPF_KEY_STRIDE(key_size) (((size_t)(key_size) + 7) & ~(size_t)7)

static inline void anybpf_table_store_word(void *to, const void *value, uint32_t value_size)
{
    __atomic_store_n((uint64_t *)to, anybpf_word_of(value, value_size), __ATOMIC_RELEASE);
}

static inline void anybpf_table_store(struct anybpf_map *map, struct anybpf_place place,
                                      uint32_t copy, const void *value, uint64_t hash)
{
    struct anybpf_table *table = map->private;
    bool all = copy == ANYBPF_ALL_COPIES_OF_ENTRY;

    if (table->is_one_word && (table->copies == 1 || !all)) {
        anybpf_table_store_word(anybpf_value(table, place, all ? 0 : copy), value,
                                map->shape.value_size);
        return;
    }
    anybpf_table_store_by_journal(map, place, copy, value, hash);
}

static inline bool anybpf_table_may_store_at_once(const struct anybpf_map *map, uint64_t flags,
                                                  uint32_t seat)
{
    return __builtin_expect(flags == ANYBPF_ANY && seat < anybpf_table_of(map)->busy_seats, 1);
}

/* The commonest change: a program sets a value of one word that is there. It needs no lock, for whoever
 * deletes the key at the same time does so after it, and nobody uses the slot for another key while
 * the program is seated. Only one who takes the value out must know that none comes after: he makes
 * the key unfindable, has all threads make a barrier, and waits for those that are busy.
 * `key_stride` is 0 where values lie beside the keys. The caller has asked whether this may be. False:
 * nothing was done. */
ANYBPF_IN_LINE bool anybpf_table_store_at_once(const struct anybpf_map *map, const void *key,
                                               uint32_t key_size, size_t key_stride,
                                               const void *value, uint32_t value_size,
                                               uint32_t seat, bool is_lru)
{
    const struct anybpf_table *table = map->private;
    const struct anybpf_level *level = &table->level[0];
    _Atomic uint32_t *busy;
    size_t stride = key_stride != 0 ? key_stride : table->stride;
    uint8_t *entry;
    size_t index;
    bool seen;

    busy = &table->busy[seat].word;
    atomic_store_explicit(busy, 1, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    seen = anybpf_glance(table, key, key_size, stride, anybpf_table_hash(table, key, key_size),
                         &entry, &index) == ANYBPF_SEEN;
    if (__builtin_expect(seen, 1)) {
        uint8_t *to = key_stride != 0 ? level->values + seat * level->plane + index * 8
                                      : entry + ANYBPF_KEY_STRIDE(key_size);

        anybpf_table_store_word(to, value, value_size);
        if (is_lru)
            anybpf_touch_index(table, 0, index);
    }
    atomic_store_explicit(busy, 0, memory_order_release);
    return seen;
}

#endif
