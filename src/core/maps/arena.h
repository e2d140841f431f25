/* Arenas: pages that a program and its users share, up to 4 GiB of them.
 *
 * What is kept in an arena and handed from one side to the other are arena pointers: the arena's
 * start as programs see it (`start`, the shape's `extra`; where that is 0, the address at which the
 * process that made the map sees the pages) plus an offset. Where a program uses one, the low 32
 * bits decide: they are distinct for all bytes of an arena, wherever it starts. To reach the memory,
 * an arena pointer is cast (addr_space_cast, RFC 9669's extension in the kernel's documentation) to
 * an address of this process, which lies in the map's area and is checked as every other. 0 is the
 * null pointer on both sides.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#ifndef ANYBPF_ARENA_H
#define ANYBPF_ARENA_H

#include "../map.h"

#define ANYBPF_ARENA_PAGE 4096u

/* First member of the map's `private`: constant while the map lives, for compiled code. */
struct anybpf_arena {
    uint64_t start; /* as programs see it */
};

/* From an arena pointer to an address: address space 1 to 0. Outside the arena the result is an
 * address outside the arena. */
static inline uint64_t anybpf_arena_address(const struct anybpf_map *map, uint64_t pointer)
{
    const struct anybpf_arena *arena = map->private;

    if (pointer == 0)
        return 0;
    return (uint64_t)(uintptr_t)map->values + ((uint32_t)pointer - (uint32_t)arena->start);
}

/* And back: address space 0 to 1. */
static inline uint64_t anybpf_arena_pointer(const struct anybpf_map *map, uint64_t address)
{
    const struct anybpf_arena *arena = map->private;

    if (address == 0)
        return 0;
    return arena->start + (address - (uint64_t)(uintptr_t)map->values);
}

/* Pages side by side, zero, that nobody has: the first that are free, or those at `hint` (an arena
 * pointer; 0: anywhere). An arena pointer; 0: they are not to be had. */
uint64_t anybpf_arena_alloc(struct anybpf_map *map, uint32_t pages, uint64_t hint);
/* Gives pages back; those that nobody has are left alone. They are zero from then on. */
int anybpf_arena_free(struct anybpf_map *map, uint64_t pointer, uint32_t pages);
/* How many pages side by side somebody has, from the first such on that is not before `*first`,
 * which becomes that one. 0: there are no more. Others may change that meanwhile. */
uint32_t anybpf_arena_taken(const struct anybpf_map *map, uint32_t *first);

#endif
