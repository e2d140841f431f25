/* Helpers on memory that belongs to something: local storage by owner, and arenas' pages.
 *
 * An owner is the pointer that the program has to a socket, task, inode or cgroup: whatever the hook
 * gave it, as a number. Linux: -ENOENT, -EINVAL without an owner; get returns NULL.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "../maps/arena.h"
#include "../maps/local_storage.h"
#include "helpers.h"

#define CREATE UINT64_C(1) /* BPF_LOCAL_STORAGE_GET_F_CREATE */

static struct anybpf_map *map_of_kind(struct anybpf_run *run, uint64_t address, uint32_t kind)
{
    struct anybpf_map *map = anybpf_map_argument(run, address);

    return map != NULL && map->shape.kind == kind ? map : NULL;
}

ANYBPF_HELPER(storage_get)
{
    struct anybpf_map *map = map_of_kind(run, r1, ANYBPF_LOCAL_STORAGE);
    struct anybpf_bytes first;
    void *found;

    UNUSED1(r5);
    if (map == NULL || r2 == 0 || (r4 & ~CREATE) != 0)
        return 0;
    if (r3 != 0 && !anybpf_hold_bytes(run, &first, r3, map->shape.value_size))
        return 0;
    found = anybpf_storage_get(map, r2, (r4 & CREATE) != 0, r3 == 0 ? NULL : first.start);
    if (r3 != 0)
        anybpf_let_go_of_bytes(&first);
    return (uint64_t)(uintptr_t)found;
}

ANYBPF_HELPER(storage_delete)
{
    struct anybpf_map *map = map_of_kind(run, r1, ANYBPF_LOCAL_STORAGE);

    UNUSED3(r3, r4, r5);
    if (map == NULL || r2 == 0)
        return linux_error(LINUX_EINVAL);
    return anybpf_result(run, anybpf_storage_delete(map, r2));
}

/* Kernel functions. */

ANYBPF_HELPER(arena_alloc_pages)
{
    struct anybpf_map *map = map_of_kind(run, r1, ANYBPF_ARENA);

    UNUSED1(r4);
    if (map == NULL || r5 != 0 || (uint32_t)r3 == 0)
        return 0;
    return anybpf_arena_alloc(map, (uint32_t)r3, r2);
}

ANYBPF_HELPER(arena_free_pages)
{
    struct anybpf_map *map = map_of_kind(run, r1, ANYBPF_ARENA);

    UNUSED2(r4, r5);
    if (map != NULL && r2 != 0)
        anybpf_arena_free(map, r2, (uint32_t)r3);
    return 0;
}

const struct anybpf_helper_row anybpf_storage_helpers[] = {
    {"sk_storage_get", storage_get},
    {"sk_storage_delete", storage_delete},
    {"task_storage_get", storage_get},
    {"task_storage_delete", storage_delete},
    {"inode_storage_get", storage_get},
    {"inode_storage_delete", storage_delete},
    {"cgrp_storage_get", storage_get},
    {"cgrp_storage_delete", storage_delete},
    {"arena_alloc_pages", arena_alloc_pages},
    {"arena_free_pages", arena_free_pages},
    {NULL, NULL},
};
