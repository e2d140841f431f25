/* What users read of a table: copies of values that are never torn.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "table_find.h"
#include "table_locks.h"

#define TURNS_BEFORE_LOCK 64u
#define TURNS_OF_ONLOOKER 100000u

static void copy_entry(struct anybpf_map *map, struct anybpf_place place, uint8_t *to)
{
    struct anybpf_table *table = map->private;
    uint32_t i;

    if (table->copies == 1) {
        if (table->is_one_word) {
            uint64_t word = __atomic_load_n((uint64_t *)(void *)anybpf_value(table, place, 0),
                                            __ATOMIC_ACQUIRE);

            anybpf_put_word(to, word, map->shape.value_size);
            return;
        }
        anybpf_copy_from_shared(to, anybpf_value(table, place, 0), map->shape.value_size);
        if (map->shape.lock_offset != ANYBPF_NO_FIELD)
            memset(to + map->shape.lock_offset, 0, ANYBPF_SPIN_LOCK_SIZE);
        if (map->shape.timer_offset != ANYBPF_NO_FIELD)
            memset(to + map->shape.timer_offset, 0, ANYBPF_TIMER_SIZE);
        return;
    }
    for (i = 0; i < table->copies; i++)
        anybpf_copy_from_shared(to + i * table->value_stride, anybpf_value(table, place, i),
                                table->value_stride);
}

int anybpf_table_copy_out(struct anybpf_map *map, struct anybpf_place place, uint64_t hash,
                          bool is_locked, void *value)
{
    struct anybpf_table *table = map->private;
    uint32_t home = anybpf_home(&table->level[0], hash);
    _Atomic uint32_t *version = &table->level[0].guards[home].version;
    uint32_t turn;

    if (is_locked || (table->is_one_word && table->copies == 1)) {
        copy_entry(map, place, value);
        return ANYBPF_OK;
    }
    for (turn = 0; turn < TURNS_BEFORE_LOCK || (!map->segment.writable && turn < TURNS_OF_ONLOOKER);
         turn++) {
        uint32_t before = atomic_load_explicit(version, memory_order_acquire);

        if ((before & 1) == 0) {
            copy_entry(map, place, value);
            atomic_thread_fence(memory_order_acquire);
            if (atomic_load_explicit(version, memory_order_relaxed) == before)
                return ANYBPF_OK;
        }
        anybpf_back_off(turn);
    }
    if (!map->segment.writable)
        return ANYBPF_BUSY;
    anybpf_table_lock(map, 0, home);
    copy_entry(map, place, value);
    anybpf_table_unlock(map, 0, home);
    return ANYBPF_OK;
}

/* The commonest read: a value of one word, where it is seen at once. */
ANYBPF_IN_LINE enum anybpf_glance read_word(const struct anybpf_map *map, const void *key,
                                            uint32_t key_size, void *value)
{
    const struct anybpf_table *table = map->private;
    uint8_t *entry;
    size_t index;
    enum anybpf_glance came_to =
        anybpf_glance(table, key, key_size, table->stride,
                      anybpf_table_hash(table, key, key_size), &entry, &index);

    if (came_to == ANYBPF_SEEN)
        anybpf_put_word(value,
                        __atomic_load_n((uint64_t *)(void *)(entry + table->value_offset),
                                        __ATOMIC_ACQUIRE),
                        map->shape.value_size);
    return came_to;
}

static int read_slowly(struct anybpf_map *map, const void *key, void *value, uint64_t flags)
{
    struct anybpf_table *table = map->private;
    uint64_t hash = anybpf_table_hash(table, key, table->key_size);
    struct anybpf_place place;
    int status;

    if ((flags & ~(uint64_t)ANYBPF_WITH_LOCK) != 0 ||
        (flags != 0 && map->shape.lock_offset == ANYBPF_NO_FIELD))
        return ANYBPF_BAD_FLAGS;
    if (!anybpf_table_find(map, key, &place))
        return ANYBPF_MISSING;
    if (flags != 0) {
        anybpf_value_lock(map, anybpf_value(table, place, 0));
        status = anybpf_table_copy_out(map, place, hash, false, value);
        anybpf_value_unlock(map, anybpf_value(table, place, 0));
    } else {
        status = anybpf_table_copy_out(map, place, hash, false, value);
    }
    if (table->is_lru && (map->shape.flags & ANYBPF_RECENCY_BY_USER) != 0 &&
        map->segment.writable)
        anybpf_table_touch(table, place);
    return status;
}

int anybpf_table_read(struct anybpf_map *map, const void *key, void *value, uint64_t flags)
{
    const struct anybpf_table *table = map->private;
    enum anybpf_glance came_to = ANYBPF_UNSURE;

    if (flags == 0 && table->reads_words) {
        switch (table->key_size) {
        case 4:
            came_to = read_word(map, key, 4, value);
            break;
        case 8:
            came_to = read_word(map, key, 8, value);
            break;
        default:
            came_to = read_word(map, key, table->key_size, value);
            break;
        }
    }
    if (came_to == ANYBPF_UNSURE)
        return read_slowly(map, key, value, flags);
    return came_to == ANYBPF_SEEN ? ANYBPF_OK : ANYBPF_MISSING;
}
