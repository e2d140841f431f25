/* Helpers on maps that are looked up by key, queues, stacks and filters.
 *
 * Linux: -ENOENT, -EEXIST, -E2BIG, -EINVAL ...; Windows: negative ebpf_result. Both by status.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "helpers.h"

#define LIKELY(condition) __builtin_expect(!!(condition), 1)

static bool holds_maps(const struct anybpf_map *map)
{
    return map->shape.kind == ANYBPF_ARRAY_OF_MAPS || map->shape.kind == ANYBPF_HASH_OF_MAPS;
}

static bool may_read(const struct anybpf_map *map)
{
    return (map->shape.flags & ANYBPF_PROGRAM_WRITES_ONLY) == 0;
}

static bool may_write(const struct anybpf_map *map)
{
    return (map->shape.flags & ANYBPF_PROGRAM_READS_ONLY) == 0;
}

/* Whether bytes lie on the stack, where keys and values mostly are. */
static inline bool on_stack(const struct anybpf_run *run, uint64_t address, uint32_t size)
{
    const struct anybpf_region *stack = &run->region[ANYBPF_STACK_REGION];
    uint64_t room;

    return !__builtin_sub_overflow(stack->size, (uint64_t)size, &room) &&
           address - stack->start <= room;
}

/* Whether it is one of the program's own, the first above all: many have but one. */
static inline bool is_own(const struct anybpf_run *run, const struct anybpf_map *map)
{
    const struct anybpf_program *program = run->program;
    uint32_t i;

    if (LIKELY(program->map_count != 0 && program->maps[0] == map))
        return true;
    for (i = 1; i < program->map_count; i++)
        if (program->maps[i] == map)
            return true;
    return false;
}

/* Not inlined, as the others that look at everything: what is mostly so needs no registers saved. */
static __attribute__((noinline)) uint64_t look_up(struct anybpf_run *run, uint64_t r1, uint64_t r2)
{
    struct anybpf_map *map = anybpf_map_argument(run, r1);
    struct anybpf_bytes key;
    void *found;

    if (map == NULL || map->ops->lookup == NULL || !may_read(map) ||
        !anybpf_hold_bytes(run, &key, r2, map->shape.key_size))
        return 0;
    found = map->ops->lookup(map, key.start, run->seat);
    anybpf_let_go_of_bytes(&key);
    if (found != NULL && holds_maps(map))
        anybpf_map_found(run, found);
    return (uint64_t)(uintptr_t)found;
}

ANYBPF_HELPER(map_lookup_elem)
{
    struct anybpf_map *map = at(r1);

    UNUSED3(r3, r4, r5);
    if (LIKELY(is_own(run, map) && map->direct.lookup != NULL &&
               on_stack(run, r2, map->shape.key_size)))
        return (uint64_t)(uintptr_t)map->direct.lookup(map, at(r2), run->seat);
    return look_up(run, r1, r2);
}

ANYBPF_HELPER(map_lookup_percpu_elem)
{
    struct anybpf_map *map = anybpf_map_argument(run, r1);
    struct anybpf_bytes key;
    void *found;

    UNUSED2(r4, r5);
    if (map == NULL || map->ops->lookup_cpu == NULL || !may_read(map) ||
        (uint32_t)r3 >= map->shape.cpus ||
        !anybpf_hold_bytes(run, &key, r2, map->shape.key_size))
        return 0;
    found = map->ops->lookup_cpu(map, key.start, (uint32_t)r3);
    anybpf_let_go_of_bytes(&key);
    return (uint64_t)(uintptr_t)found;
}

static __attribute__((noinline)) uint64_t update(struct anybpf_run *run, uint64_t r1, uint64_t r2,
                                                  uint64_t r3, uint64_t r4)
{
    struct anybpf_map *map = anybpf_map_argument(run, r1);
    struct anybpf_bytes key;
    struct anybpf_bytes value;
    int status = ANYBPF_NO_DATA;

    if (map == NULL)
        return anybpf_result(run, ANYBPF_BAD_ARGUMENT);
    if (map->ops->update == NULL || holds_maps(map))
        return anybpf_result(run, ANYBPF_NOT_SUPPORTED);
    if (!may_write(map))
        return anybpf_result(run, ANYBPF_DENIED);
    if ((r4 & ANYBPF_WITH_LOCK) != 0 && run->held_map != NULL)
        return anybpf_result(run, ANYBPF_BUSY); /* it would wait for itself */
    if (!anybpf_hold_bytes(run, &key, r2, map->shape.key_size))
        return anybpf_result(run, ANYBPF_NO_DATA);
    if (anybpf_hold_bytes(run, &value, r3, map->shape.value_size))
        status = map->ops->update(map, key.start, value.start, r4, run->seat);
    anybpf_let_go_of_bytes(&value);
    anybpf_let_go_of_bytes(&key);
    return anybpf_result(run, status);
}

ANYBPF_HELPER(map_update_elem)
{
    struct anybpf_map *map = at(r1);

    UNUSED1(r5);
    if (LIKELY(is_own(run, map) && map->direct.update != NULL &&
               on_stack(run, r2, map->shape.key_size) &&
               on_stack(run, r3, map->shape.value_size) && (r4 & ANYBPF_WITH_LOCK) == 0))
        return anybpf_result(run, map->direct.update(map, at(r2), at(r3), r4, run->seat));
    return update(run, r1, r2, r3, r4);
}

static __attribute__((noinline)) uint64_t erase(struct anybpf_run *run, uint64_t r1, uint64_t r2)
{
    struct anybpf_map *map = anybpf_map_argument(run, r1);
    struct anybpf_bytes key;
    int status;

    if (map == NULL)
        return anybpf_result(run, ANYBPF_BAD_ARGUMENT);
    if (map->ops->erase == NULL || holds_maps(map))
        return anybpf_result(run, ANYBPF_NOT_SUPPORTED);
    if (!may_write(map))
        return anybpf_result(run, ANYBPF_DENIED);
    if (!anybpf_hold_bytes(run, &key, r2, map->shape.key_size))
        return anybpf_result(run, ANYBPF_NO_DATA);
    status = map->ops->erase(map, key.start, run->seat);
    anybpf_let_go_of_bytes(&key);
    return anybpf_result(run, status);
}

ANYBPF_HELPER(map_delete_elem)
{
    struct anybpf_map *map = at(r1);

    UNUSED3(r3, r4, r5);
    if (LIKELY(is_own(run, map) && map->direct.erase != NULL && on_stack(run, r2, map->shape.key_size)))
        return anybpf_result(run, map->direct.erase(map, at(r2), run->seat));
    return erase(run, r1, r2);
}

/* Windows. The value does not become something else before the run ends, as with any that is
 * deleted while a program has a pointer to it. */
ANYBPF_HELPER(map_lookup_and_delete_elem)
{
    struct anybpf_map *map = anybpf_map_argument(run, r1);
    struct anybpf_bytes key;
    void *found;

    UNUSED3(r3, r4, r5);
    if (map == NULL || map->ops->lookup == NULL || map->ops->erase == NULL || holds_maps(map) ||
        !may_read(map) || !may_write(map))
        return 0;
    if (map->shape.kind == ANYBPF_ARRAY || map->shape.kind == ANYBPF_PERCPU_ARRAY ||
        !anybpf_hold_bytes(run, &key, r2, map->shape.key_size))
        return 0;
    found = map->ops->lookup(map, key.start, run->seat);
    if (found != NULL && map->ops->erase(map, key.start, run->seat) != ANYBPF_OK)
        found = NULL;
    anybpf_let_go_of_bytes(&key);
    return (uint64_t)(uintptr_t)found;
}

ANYBPF_HELPER(map_push_elem)
{
    struct anybpf_map *map = anybpf_map_argument(run, r1);
    struct anybpf_bytes value;
    int status;

    UNUSED2(r4, r5);
    if (map == NULL)
        return anybpf_result(run, ANYBPF_BAD_ARGUMENT);
    if (map->ops->push == NULL)
        return anybpf_result(run, ANYBPF_NOT_SUPPORTED);
    if (!may_write(map))
        return anybpf_result(run, ANYBPF_DENIED);
    if (!anybpf_hold_bytes(run, &value, r2, map->shape.value_size))
        return anybpf_result(run, ANYBPF_NO_DATA);
    status = map->ops->push(map, value.start, r3);
    anybpf_let_go_of_bytes(&value);
    return anybpf_result(run, status);
}

static uint64_t take(struct anybpf_run *run, uint64_t which, uint64_t value, bool keep)
{
    struct anybpf_map *map = anybpf_map_argument(run, which);
    int (*operation)(struct anybpf_map *, void *);
    struct anybpf_bytes bytes;
    bool is_filter;
    int status;

    if (map == NULL)
        return anybpf_result(run, ANYBPF_BAD_ARGUMENT);
    operation = keep ? map->ops->peek : map->ops->pop;
    if (operation == NULL)
        return anybpf_result(run, ANYBPF_NOT_SUPPORTED);
    if (!may_read(map) || (!keep && !may_write(map)))
        return anybpf_result(run, ANYBPF_DENIED);
    /* A filter reads the value that it is asked about. */
    is_filter = map->shape.kind == ANYBPF_BLOOM_FILTER;
    if ((!is_filter && !anybpf_writable(run, value, map->shape.value_size)) ||
        !anybpf_hold_bytes(run, &bytes, value, map->shape.value_size))
        return anybpf_result(run, ANYBPF_NO_DATA);
    status = operation(map, bytes.start);
    if (status == ANYBPF_OK && !is_filter && bytes.start != at(value))
        anybpf_put(run, value, bytes.start, map->shape.value_size);
    else if (status == ANYBPF_EMPTY && !is_filter)
        anybpf_clear(run, value, map->shape.value_size);
    anybpf_let_go_of_bytes(&bytes);
    return anybpf_result(run, status);
}

ANYBPF_HELPER(map_pop_elem)
{
    UNUSED3(r3, r4, r5);
    return take(run, r1, r2, false);
}

ANYBPF_HELPER(map_peek_elem)
{
    UNUSED3(r3, r4, r5);
    return take(run, r1, r2, true);
}

/* Kernel function: how many entries a map has, where the kind counts them. */
ANYBPF_HELPER(map_sum_elem_count)
{
    struct anybpf_map *map = anybpf_map_argument(run, r1);

    UNUSED4(r2, r3, r4, r5);
    if (map == NULL || map->ops->count == NULL)
        return 0;
    return map->ops->count(map);
}

const struct anybpf_helper_row anybpf_map_helpers[] = {
    {"map_lookup_elem", map_lookup_elem},
    {"map_update_elem", map_update_elem},
    {"map_delete_elem", map_delete_elem},
    {"map_lookup_percpu_elem", map_lookup_percpu_elem},
    {"map_lookup_and_delete_elem", map_lookup_and_delete_elem},
    {"map_push_elem", map_push_elem},
    {"map_pop_elem", map_pop_elem},
    {"map_peek_elem", map_peek_elem},
    {"map_sum_elem_count", map_sum_elem_count},
    {NULL, NULL},
};
