/* What all maps have in common: making, opening and closing them, and copying values.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC 0x3170616d66706261u /* "abpfmap1" */
#define VERSION 2u
#define MOST_BYTES (UINT64_C(1) << 37) /* of one map, as on Windows: 128 GiB */

static const struct anybpf_map_ops *const kinds[ANYBPF_KINDS] = {
    [ANYBPF_HASH] = &anybpf_hash_ops,
    [ANYBPF_ARRAY] = &anybpf_array_ops,
    [ANYBPF_PERCPU_ARRAY] = &anybpf_percpu_array_ops,
    [ANYBPF_PERCPU_HASH] = &anybpf_percpu_hash_ops,
    [ANYBPF_LRU_HASH] = &anybpf_lru_hash_ops,
    [ANYBPF_LRU_PERCPU_HASH] = &anybpf_lru_percpu_hash_ops,
    [ANYBPF_HASH_OF_MAPS] = &anybpf_hash_of_maps_ops,
    [ANYBPF_RINGBUF] = &anybpf_ringbuf_ops,
    [ANYBPF_USER_RINGBUF] = &anybpf_user_ringbuf_ops,
    [ANYBPF_PERF_EVENT_ARRAY] = &anybpf_perf_event_array_ops,
    [ANYBPF_QUEUE] = &anybpf_queue_ops,
    [ANYBPF_STACK] = &anybpf_stack_ops,
    [ANYBPF_BLOOM_FILTER] = &anybpf_bloom_filter_ops,
    [ANYBPF_ARRAY_OF_MAPS] = &anybpf_array_of_maps_ops,
    [ANYBPF_PROG_ARRAY] = &anybpf_prog_array_ops,
    [ANYBPF_LPM_TRIE] = &anybpf_lpm_trie_ops,
    [ANYBPF_LOCAL_STORAGE] = &anybpf_local_storage_ops,
    [ANYBPF_DEVMAP] = &anybpf_devmap_ops,
    [ANYBPF_ARENA] = &anybpf_arena_ops,
};

const struct anybpf_map_ops *anybpf_kind_ops(uint32_t kind)
{
    return kind < ANYBPF_KINDS ? kinds[kind] : NULL;
}

uint32_t anybpf_kind_by_name(const char *name)
{
    uint32_t kind;

    for (kind = 1; kind < ANYBPF_KINDS; kind++)
        if (kinds[kind] != NULL && strcmp(kinds[kind]->name, name) == 0)
            return kind;
    return 0;
}

bool anybpf_is_per_cpu(uint32_t kind)
{
    return kind == ANYBPF_PERCPU_HASH || kind == ANYBPF_PERCPU_ARRAY ||
           kind == ANYBPF_LRU_PERCPU_HASH;
}

static uint32_t padded(uint32_t size)
{
    return (size + 7u) & ~7u;
}

size_t anybpf_user_value_size(const struct anybpf_shape *shape)
{
    if (!anybpf_is_per_cpu(shape->kind))
        return shape->value_size;
    return (size_t)padded(shape->value_size) * shape->cpus;
}

/* Making and opening. */

static int status_of(int problem)
{
    switch (problem) {
    case 0:
        return ANYBPF_OK;
    case EINVAL:
        return ANYBPF_DAMAGED;
    case EPERM:
    case EACCES:
        return ANYBPF_DENIED;
    case EEXIST:
        return ANYBPF_EXISTS;
    case ENOTSUP:
        return ANYBPF_NOT_SUPPORTED;
    default:
        return ANYBPF_NO_MEMORY;
    }
}

static bool has_field(const struct anybpf_shape *shape, uint32_t offset, uint32_t size,
                      uint32_t alignment)
{
    return offset == ANYBPF_NO_FIELD ||
           (offset % alignment == 0 && shape->value_size >= size &&
            offset <= shape->value_size - size);
}

/* Sizes that can be calculated with, and fields that lie in the value and apart. */
static bool is_sane(const struct anybpf_domain *domain, const struct anybpf_shape *shape)
{
    uint32_t lock = shape->lock_offset;
    uint32_t timer = shape->timer_offset;

    if (shape->key_size > ANYBPF_MOST_KEY || shape->value_size > ANYBPF_MOST_VALUE ||
        shape->cpus > ANYBPF_MOST_CPUS || shape->cpus < domain->cpus)
        return false;
    if (!has_field(shape, lock, ANYBPF_SPIN_LOCK_SIZE, 4) ||
        !has_field(shape, timer, ANYBPF_TIMER_SIZE, 8))
        return false;
    return lock == ANYBPF_NO_FIELD || timer == ANYBPF_NO_FIELD ||
           lock + ANYBPF_SPIN_LOCK_SIZE <= timer || timer + ANYBPF_TIMER_SIZE <= lock;
}

/* What programs may do with an open map, without what only helpers know. */
static void set_direct(struct anybpf_map *map)
{
    const struct anybpf_map_ops *ops = map->ops;
    struct anybpf_direct direct = {ops->lookup, ops->update, ops->erase};

    if (map->shape.kind == ANYBPF_ARRAY_OF_MAPS || map->shape.kind == ANYBPF_HASH_OF_MAPS)
        return;
    if (ops->get_direct != NULL)
        ops->get_direct(map, &direct);
    if ((map->shape.flags & ANYBPF_PROGRAM_WRITES_ONLY) == 0)
        map->direct.lookup = direct.lookup;
    if ((map->shape.flags & ANYBPF_PROGRAM_READS_ONLY) == 0) {
        map->direct.update = direct.update;
        map->direct.erase = direct.erase;
    }
}

const struct anybpf_direct *anybpf_map_direct(const struct anybpf_map *map)
{
    return &map->direct;
}

/* A view of a map that has its segment; it takes the segment over, come what may. */
static int make_view(struct anybpf_domain *domain, struct anybpf_segment segment,
                     const struct anybpf_shape *shape, const struct anybpf_shape *inner,
                     uint32_t id, bool fresh, struct anybpf_map **out)
{
    struct anybpf_map *map = calloc(1, sizeof(*map));
    struct anybpf_shape *template = NULL;
    int status = ANYBPF_OK;

    if (inner != NULL) {
        template = malloc(sizeof(*template));
        if (template != NULL)
            *template = *inner;
    }
    if (map == NULL || (inner != NULL && template == NULL)) {
        free(map);
        free(template);
        anybpf_segment_release(&segment);
        return ANYBPF_NO_MEMORY;
    }
    map->object.kind = ANYBPF_OBJECT_MAP;
    map->object.id = id;
    map->domain = domain;
    map->segment = segment;
    map->header = (struct anybpf_map_header *)(void *)segment.base;
    map->shape = *shape;
    map->value_stride = padded(shape->value_size);
    map->inner = template;
    map->ops = anybpf_kind_ops(shape->kind);
    if (fresh) {
        map->header->version = VERSION;
        map->header->id = id;
        map->header->domain = domain->header->identity;
        map->header->shape = *shape;
        if (map->ops->init != NULL)
            status = map->ops->init(map);
        map->header->magic = MAGIC;
    }
    if (status == ANYBPF_OK && map->ops->open != NULL)
        status = map->ops->open(map);
    if (status == ANYBPF_OK) {
        struct anybpf_area area = {(uintptr_t)map->values, map->values_size,
                                   (shape->flags & ANYBPF_PROGRAM_READS_ONLY) == 0, id};

        set_direct(map);
        status = map->values == NULL ? ANYBPF_OK : status_of(anybpf_add_area(domain, area));
        if (status == ANYBPF_OK) {
            status = status_of(anybpf_register(domain, &map->object));
            if (status != ANYBPF_OK && map->values != NULL)
                anybpf_remove_area(domain, (uintptr_t)map->values);
        }
        if (status != ANYBPF_OK && map->ops->close != NULL)
            map->ops->close(map);
    }
    if (status != ANYBPF_OK) {
        anybpf_segment_release(&map->segment);
        free(template);
        free(map);
        return status;
    }
    *out = map;
    return ANYBPF_OK;
}

int anybpf_map_create(struct anybpf_domain *domain, uint32_t id, const struct anybpf_shape *wanted,
                      const struct anybpf_shape *inner, bool shared, struct anybpf_map **map)
{
    struct anybpf_shape shape = *wanted;
    const struct anybpf_map_ops *ops = anybpf_kind_ops(shape.kind);
    struct anybpf_segment segment;
    size_t size = 0;
    size_t reserve = 0;
    int status;
    int problem;

    if (ops == NULL)
        return ANYBPF_NOT_SUPPORTED;
    if (memchr(shape.name, 0, sizeof(shape.name)) == NULL)
        return ANYBPF_NAME_TOO_LONG;
    if (shape.cpus == 0 || !anybpf_is_per_cpu(shape.kind))
        shape.cpus = domain->cpus;
    if (!is_sane(domain, &shape))
        return ANYBPF_BAD_SIZE;
    if (shared && !domain->shared)
        return ANYBPF_NOT_SUPPORTED; /* nobody else could know when its memory may be used again */
    status = ops->measure(domain, &shape, &size, &reserve);
    if (status != ANYBPF_OK)
        return status;
    if (size < sizeof(struct anybpf_map_header) || size > MOST_BYTES || reserve > MOST_BYTES)
        return size > MOST_BYTES ? ANYBPF_NO_MEMORY : ANYBPF_BAD_SIZE;
    problem = anybpf_segment_create(&segment, size, reserve, shared, shape.name);
    if (problem != 0)
        return status_of(problem);
    return make_view(domain, segment, &shape, inner, id, true, map);
}

int anybpf_map_attach(struct anybpf_domain *domain, int fd, bool writable, bool sealed,
                      struct anybpf_map **map)
{
    struct anybpf_segment segment;
    struct anybpf_map_header *header;
    struct anybpf_shape shape;
    const struct anybpf_map_ops *ops;
    size_t size = 0;
    size_t reserve = 0;
    uint32_t id;
    int problem = anybpf_segment_attach(&segment, fd, sizeof(*header), 0, writable, sealed);

    if (problem != 0)
        return status_of(problem);
    header = (struct anybpf_map_header *)(void *)segment.base;
    shape = header->shape;
    id = header->id;
    ops = anybpf_kind_ops(shape.kind);
    if (header->magic != MAGIC || header->version != VERSION || ops == NULL ||
        memchr(shape.name, 0, sizeof(shape.name)) == NULL || !is_sane(domain, &shape) ||
        ops->measure(domain, &shape, &size, &reserve) != ANYBPF_OK || segment.size < size) {
        anybpf_segment_release(&segment);
        return ANYBPF_DAMAGED;
    }
    if (header->domain != domain->header->identity) {
        anybpf_segment_release(&segment);
        return ANYBPF_BAD_OBJECT;
    }
    if (reserve > segment.reserve) { /* it may grow: map it again, with room */
        anybpf_segment_release(&segment);
        problem = anybpf_segment_attach(&segment, fd, size, reserve, writable, sealed);
        if (problem != 0)
            return status_of(problem);
    }
    return make_view(domain, segment, &shape, NULL, id, false, map);
}

/* A second view of the same shared map in one process would drop the other's participant marks if
 * they shared a file; maps' files carry none, so closing one is safe. */
static void release_map(void *thing)
{
    struct anybpf_map *map = thing;

    if (map->ops->close != NULL)
        map->ops->close(map);
    anybpf_segment_release(&map->segment);
    free((void *)(uintptr_t)map->inner);
    free(map);
}

void anybpf_map_close(struct anybpf_map *map)
{
    anybpf_unregister(map->domain, &map->object);
    if (map->values != NULL)
        anybpf_remove_area(map->domain, (uintptr_t)map->values);
    if (!anybpf_defer(map->domain, release_map, map)) {
        anybpf_synchronize(map->domain, -1);
        release_map(map);
    }
}

/* Copying. Words that are torn only where the hardware could not do otherwise either. The other
 * side is the caller's own, wherever it lies. */

void anybpf_copy_from_shared(void *to, const void *from, size_t size)
{
    const uint8_t *source = from;
    uint8_t *target = to;

    if (((uintptr_t)source & 7u) == 0) {
        for (; size >= 8; size -= 8, source += 8, target += 8) {
            uint64_t word = __atomic_load_n((const uint64_t *)(const void *)source,
                                            __ATOMIC_RELAXED);

            memcpy(target, &word, 8);
        }
        if (size >= 4) {
            uint32_t word = __atomic_load_n((const uint32_t *)(const void *)source,
                                            __ATOMIC_RELAXED);

            memcpy(target, &word, 4);
            size -= 4, source += 4, target += 4;
        }
    }
    for (; size > 0; size--)
        *target++ = __atomic_load_n(source++, __ATOMIC_RELAXED);
}

void anybpf_copy_to_shared(void *to, const void *from, size_t size)
{
    const uint8_t *source = from;
    uint8_t *target = to;

    if (((uintptr_t)target & 7u) == 0) {
        for (; size >= 8; size -= 8, source += 8, target += 8) {
            uint64_t word;

            memcpy(&word, source, 8);
            __atomic_store_n((uint64_t *)(void *)target, word, __ATOMIC_RELAXED);
        }
        if (size >= 4) {
            uint32_t word;

            memcpy(&word, source, 4);
            __atomic_store_n((uint32_t *)(void *)target, word, __ATOMIC_RELAXED);
            size -= 4, source += 4, target += 4;
        }
    }
    for (; size > 0; size--)
        __atomic_store_n(target++, *source++, __ATOMIC_RELAXED);
}

static void copy_range(void *to, const void *from, size_t start, size_t end)
{
    anybpf_copy_to_shared((uint8_t *)to + start, (const uint8_t *)from + start, end - start);
}

void anybpf_copy_value(const struct anybpf_shape *shape, void *to, const void *from)
{
    size_t lock = shape->lock_offset;
    size_t timer = shape->timer_offset;
    size_t at = 0;

    if (timer != ANYBPF_NO_FIELD && (lock == ANYBPF_NO_FIELD || timer < lock)) {
        copy_range(to, from, at, timer);
        at = timer + ANYBPF_TIMER_SIZE;
    }
    if (lock != ANYBPF_NO_FIELD) {
        copy_range(to, from, at, lock);
        at = lock + ANYBPF_SPIN_LOCK_SIZE;
    }
    if (timer != ANYBPF_NO_FIELD && timer >= at) {
        copy_range(to, from, at, timer);
        at = timer + ANYBPF_TIMER_SIZE;
    }
    copy_range(to, from, at, shape->value_size);
}

static struct anybpf_lock *lock_of(const struct anybpf_map *map, void *value)
{
    return (struct anybpf_lock *)(void *)((uint8_t *)value + map->shape.lock_offset);
}

void anybpf_value_lock(struct anybpf_map *map, void *value)
{
    if (anybpf_lock_take(map->domain, lock_of(map, value)) && map->ops->settle != NULL)
        map->ops->settle(map, value);
}

void anybpf_value_unlock(struct anybpf_map *map, void *value)
{
    anybpf_lock_give(lock_of(map, value));
}

/* Multiply and fold, 8 bytes at a time, in the manner of wyhash. */

__extension__ typedef unsigned __int128 wide;

static uint64_t fold(uint64_t a, uint64_t b)
{
    wide product = (wide)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t word_at(const uint8_t *at, size_t size)
{
    uint64_t word = 0;

    memcpy(&word, at, size);
    return word;
}

uint64_t anybpf_hash_bytes(const void *bytes, size_t size, uint64_t seed)
{
    const uint8_t *at = bytes;
    uint64_t hash = seed ^ UINT64_C(0x9e3779b97f4a7c15);
    size_t left;

    for (left = size; left > 8; left -= 8, at += 8)
        hash = fold(hash ^ word_at(at, 8), UINT64_C(0xa0761d6478bd642f));
    hash = fold(hash ^ word_at(at, left), UINT64_C(0xe7037ed1a0b428db) ^ size);
    return fold(hash, UINT64_C(0x8ebc6af09c88c6e3));
}

int anybpf_check_update_flags(const struct anybpf_map *map, uint64_t flags)
{
    uint64_t known = ANYBPF_NOEXIST | ANYBPF_EXIST;

    if (map->shape.lock_offset != ANYBPF_NO_FIELD)
        known |= ANYBPF_WITH_LOCK;
    if ((flags & ~known) != 0 || (flags & 3) == 3)
        return ANYBPF_BAD_FLAGS;
    return ANYBPF_OK;
}
