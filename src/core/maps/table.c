/* Where the parts of a table lie in its segment, and how it grows.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "table.h"

#include "../barrier.h"

#include <stdlib.h>

#define CACHE_LINE 64u
#define PAGE 4096u

/* Room to spare beyond that, which small tables need. */
#define SPARE_GROUPS 18u
#define SPARE_BYTES (UINT64_C(256) << 10)

/* A table that does not grow has more levels too: for when everything there is to spare is retired and
 * somebody does not leave. */
#define LEVELS_OF_LAST_RESORT 3u

#define MOST_GROUPS (UINT32_C(1) << 31)
#define MOST_GROWN (UINT64_C(8) << 30) /* bytes of a table that grows, unless it starts with more */
#define LARGE_ENTRY (UINT64_C(64) << 10)

struct plan {
    struct anybpf_table table; /* `start` and `end` of levels, and all sizes; no pointers */
    size_t journals;           /* offsets */
    size_t end;
};

/* Offsets of a level's parts. */
struct parts {
    size_t tags;
    size_t guards;
    size_t used;
    size_t entries;
    size_t values;
    size_t plane;
    size_t end;
};

static bool add(size_t *sum, size_t count, size_t size)
{
    size_t product;

    return !__builtin_mul_overflow(count, size, &product) &&
           !__builtin_add_overflow(*sum, product, sum);
}

static bool align(size_t *size, size_t to)
{
    if (!add(size, 1, to - 1))
        return false;
    *size &= ~(to - 1);
    return true;
}

static bool is_lru(uint32_t kind)
{
    return kind == ANYBPF_LRU_HASH || kind == ANYBPF_LRU_PERCPU_HASH;
}

static bool place_parts(const struct anybpf_table *table, size_t start, uint32_t groups,
                        struct parts *parts)
{
    size_t slots = (size_t)groups * ANYBPF_TABLE_SLOTS;
    size_t at = start;

    if (!align(&at, PAGE))
        return false;
    parts->tags = at;
    if (!add(&at, groups, sizeof(struct anybpf_tags)) || !align(&at, CACHE_LINE))
        return false;
    parts->guards = at;
    if (!add(&at, groups, sizeof(struct anybpf_guard)))
        return false;
    parts->used = at;
    if (table->is_lru && !add(&at, slots, sizeof(uint32_t)))
        return false;
    if (!align(&at, CACHE_LINE))
        return false;
    parts->entries = at;
    if (!add(&at, groups, table->group_stride) || !align(&at, PAGE))
        return false;
    parts->values = at;
    parts->plane = 0;
    if (table->value_offset == SIZE_MAX) {
        if (!add(&parts->plane, slots, table->value_stride) ||
            !align(&parts->plane, 2 * CACHE_LINE) || !add(&at, parts->plane, table->copies))
            return false;
    }
    parts->end = at;
    return true;
}

/* Only from the shape, which has been copied: whoever attaches comes to the same. */
static int make_plan(const struct anybpf_shape *shape, struct plan *plan)
{
    struct anybpf_table *table = &plan->table;
    size_t key = ((size_t)shape->key_size + 7) & ~(size_t)7;
    size_t spare;
    uint64_t groups;
    uint64_t all = 0;
    size_t at = sizeof(struct anybpf_map_header) + sizeof(struct anybpf_table_header);

    if (shape->key_size == 0 || shape->value_size == 0 || shape->max_entries == 0)
        return ANYBPF_BAD_SIZE;
    memset(plan, 0, sizeof(*plan));
    table->key_size = shape->key_size;
    table->value_stride = ((size_t)shape->value_size + 7) & ~(size_t)7;
    table->copies = anybpf_is_per_cpu(shape->kind) ? shape->cpus : 1;
    table->value_offset = anybpf_is_per_cpu(shape->kind) ? SIZE_MAX : key;
    table->stride = key;
    if (table->value_offset != SIZE_MAX)
        table->stride += table->value_stride;
    table->group_stride = table->stride * ANYBPF_TABLE_SLOTS;
    table->is_lru = is_lru(shape->kind);
    table->grows = (shape->flags & ANYBPF_GROWS) != 0 && !table->is_lru;
    table->stays =
        shape->lock_offset != ANYBPF_NO_FIELD || shape->timer_offset != ANYBPF_NO_FIELD;
    table->is_one_word = shape->value_size <= 8 && !table->stays;
    table->reads_words = table->is_one_word && table->value_offset != SIZE_MAX &&
                         (!table->is_lru || (shape->flags & ANYBPF_RECENCY_BY_USER) == 0);

    if (!align(&at, CACHE_LINE))
        return ANYBPF_NO_MEMORY;
    plan->journals = at;
    if (table->copies > 1 || !table->is_one_word) {
        table->journal_stride = sizeof(struct anybpf_journal);
        if (!add(&table->journal_stride, table->copies, table->value_stride) ||
            !align(&table->journal_stride, CACHE_LINE))
            return ANYBPF_NO_MEMORY;
        table->journals = table->journal_stride > LARGE_ENTRY ? 1 : ANYBPF_TABLE_JOURNALS;
        if (!add(&at, table->journals, table->journal_stride))
            return ANYBPF_NO_MEMORY;
    }

    spare = SPARE_BYTES / (table->group_stride + table->copies * table->value_stride);
    spare = spare > SPARE_GROUPS ? SPARE_GROUPS : spare < 1 ? 1 : spare;
    groups = ((uint64_t)shape->max_entries + ANYBPF_TABLE_FULL_GROUP - 1) / ANYBPF_TABLE_FULL_GROUP + spare;
    while (table->most_levels < ANYBPF_TABLE_LEVELS) {
        struct anybpf_level *level = &table->level[table->most_levels];
        struct parts parts;

        if (table->most_levels > 1)
            groups *= 2;
        if (all + groups > MOST_GROUPS || !place_parts(table, at, (uint32_t)groups, &parts) ||
            (table->most_levels > 0 && parts.end > MOST_GROWN))
            break;
        all += groups;
        level->groups = (uint32_t)groups;
        level->start = at;
        level->end = parts.end;
        level->plane = parts.plane;
        level->capacity = all * ANYBPF_TABLE_FULL_GROUP;
        at = parts.end;
        table->most_levels++;
        if (!table->grows && table->most_levels == LEVELS_OF_LAST_RESORT)
            break;
    }
    plan->end = at;
    return table->most_levels == 0 ? ANYBPF_NO_MEMORY : ANYBPF_OK;
}

int anybpf_table_measure(const struct anybpf_domain *domain, const struct anybpf_shape *shape,
                         size_t *size, size_t *reserve)
{
    struct plan plan;
    int status = make_plan(shape, &plan);

    (void)domain;
    if (status != ANYBPF_OK)
        return status;
    *size = plan.table.level[0].end;
    *reserve = plan.end;
    return ANYBPF_OK;
}

static struct anybpf_table_header *header_of(const struct anybpf_map *map)
{
    return (struct anybpf_table_header *)(void *)map->header->body;
}

int anybpf_table_init(struct anybpf_map *map)
{
    struct anybpf_table_header *header = header_of(map);
    uint64_t secret[2];

    if (!anybpf_random_bytes(secret, sizeof(secret)))
        return ANYBPF_NO_MEMORY;
    if (map->inner != NULL)
        header->inner = *map->inner;
    header->seed = secret[0];
    header->multiplier = secret[1] | 1;
    atomic_store(&header->levels, 1);
    return ANYBPF_OK;
}

static void open_level(struct anybpf_map *map, struct anybpf_table *table, uint32_t number)
{
    struct anybpf_level *level = &table->level[number];
    uint8_t *base = map->segment.base;
    struct parts parts;

    place_parts(table, level->start, level->groups, &parts);
    level->tags = (struct anybpf_tags *)(void *)(base + parts.tags);
    level->guards = (struct anybpf_guard *)(void *)(base + parts.guards);
    level->used = table->is_lru ? (_Atomic uint32_t *)(void *)(base + parts.used) : NULL;
    level->entries = base + parts.entries;
    level->values = table->value_offset == SIZE_MAX ? base + parts.values : NULL;
}

static struct anybpf_area area_of(const struct anybpf_map *map, const struct anybpf_table *table,
                                  uint32_t number)
{
    const struct anybpf_level *level = &table->level[number];
    struct anybpf_area area = {0, 0, (map->shape.flags & ANYBPF_PROGRAM_READS_ONLY) == 0,
                               map->object.id};

    if (level->values != NULL) {
        area.start = (uintptr_t)level->values;
        area.size = level->plane * table->copies;
    } else {
        area.start = (uintptr_t)level->entries;
        area.size = level->groups * table->group_stride;
    }
    return area;
}

/* Without memory for it, or between processes, locks do. */
static void make_busy(const struct anybpf_map *map, struct anybpf_table *table)
{
    size_t size = map->domain->cpus * sizeof(struct anybpf_busy);
    uint8_t *start;

    if (map->domain->shared || !table->is_one_word || map->shape.kind == ANYBPF_HASH_OF_MAPS ||
        !anybpf_barrier_prepare())
        return;
    start = calloc(1, size + 2 * sizeof(struct anybpf_busy));
    if (start == NULL)
        return;
    table->busy_memory = start;
    table->busy = (struct anybpf_busy *)(((uintptr_t)start + sizeof(struct anybpf_busy) - 1) &
                                         ~(uintptr_t)(sizeof(struct anybpf_busy) - 1));
    table->busy_seats = map->domain->cpus;
}

static void free_busy(struct anybpf_table *table)
{
    free(table->busy_memory);
}

int anybpf_table_open(struct anybpf_map *map)
{
    struct anybpf_table *table;
    struct anybpf_area area;
    struct plan *plan = malloc(sizeof(*plan));
    uint32_t levels = atomic_load(&header_of(map)->levels);

    if (plan == NULL)
        return ANYBPF_NO_MEMORY;
    if (make_plan(&map->shape, plan) != ANYBPF_OK || levels == 0 ||
        levels > plan->table.most_levels || map->segment.size < plan->table.level[levels - 1].end ||
        (header_of(map)->multiplier & 1) == 0) {
        free(plan);
        return ANYBPF_DAMAGED;
    }
    table = malloc(sizeof(*table));
    if (table == NULL) {
        free(plan);
        return ANYBPF_NO_MEMORY;
    }
    *table = plan->table;
    table->header = header_of(map);
    table->inner = table->header->inner;
    table->seed = table->header->seed;
    table->multiplier = table->header->multiplier;
    if (table->journals > 0)
        table->journal = map->segment.base + plan->journals;
    free(plan);
    map->private = table;
    make_busy(map, table);
    open_level(map, table, 0);
    atomic_store(&table->levels, 1);
    area = area_of(map, table, 0);
    map->values = (uint8_t *)area.start;
    map->values_size = area.size;
    return ANYBPF_OK;
}

void anybpf_table_close(struct anybpf_map *map)
{
    struct anybpf_table *table = map->private;
    uint32_t number;

    if (map->shape.kind != ANYBPF_HASH_OF_MAPS)
        for (number = 1; number < atomic_load(&table->levels); number++)
            anybpf_remove_area(map->domain, area_of(map, table, number).start);
    free_busy(table);
    free(table);
    map->private = NULL;
}

/* Growth. */

uint32_t anybpf_table_catch_up(struct anybpf_map *map)
{
    struct anybpf_table *table = map->private;
    uint32_t wanted = atomic_load(&table->header->levels);
    uint32_t levels;

    if (wanted > table->most_levels)
        wanted = table->most_levels;
    anybpf_lock_take(map->domain, &table->growing);
    levels = atomic_load(&table->levels);
    while (levels < wanted && anybpf_segment_grow(&map->segment, table->level[levels].end) == 0) {
        open_level(map, table, levels);
        if (map->shape.kind != ANYBPF_HASH_OF_MAPS &&
            anybpf_add_area(map->domain, area_of(map, table, levels)) != 0)
            break;
        atomic_store_explicit(&table->levels, ++levels, memory_order_release);
    }
    anybpf_lock_give(&table->growing);
    return levels;
}

bool anybpf_table_grow(struct anybpf_map *map, uint32_t levels)
{
    struct anybpf_table *table = map->private;
    bool grown = true;

    if (levels >= table->most_levels)
        return false;
    anybpf_lock_take(map->domain, &map->header->lock);
    if (atomic_load(&table->header->levels) == levels) {
        anybpf_lock_take(map->domain, &table->growing);
        grown = anybpf_segment_grow(&map->segment, table->level[levels].end) == 0;
        anybpf_lock_give(&table->growing);
        if (grown)
            atomic_store_explicit(&table->header->levels, levels + 1, memory_order_release);
    }
    anybpf_lock_give(&map->header->lock);
    return grown && anybpf_table_catch_up(map) > levels;
}

uint64_t anybpf_table_count(struct anybpf_map *map)
{
    struct anybpf_table *table = map->private;

    if (atomic_load(&table->header->recount) != 0 && map->segment.writable)
        anybpf_table_recount(map);
    return atomic_load(&map->header->count);
}
