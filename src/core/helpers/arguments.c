/* What helpers ask about their arguments: memory of the program, its maps, its context.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "helpers.h"

#include <stdlib.h>
#include <string.h>

#define PIECE 256u

/* Whether only this thread writes there: everything but areas of the domain. */
static bool is_own(struct anybpf_run *run, uint64_t address, size_t size, bool write)
{
    int region = anybpf_find_region(run, address, size, write);

    return region >= 0 && region < (int)ANYBPF_FIRST_AREA;
}

bool anybpf_fetch(struct anybpf_run *run, void *to, uint64_t from, size_t size)
{
    if (size == 0)
        return true;
    if (!anybpf_readable(run, from, size))
        return false;
    if (is_own(run, from, size, false))
        memcpy(to, at(from), size);
    else
        anybpf_copy_from_shared(to, at(from), size);
    return true;
}

bool anybpf_put(struct anybpf_run *run, uint64_t to, const void *from, size_t size)
{
    if (size == 0)
        return true;
    if (!anybpf_writable(run, to, size))
        return false;
    if (is_own(run, to, size, true))
        memcpy(at(to), from, size);
    else
        anybpf_copy_to_shared(at(to), from, size);
    return true;
}

bool anybpf_clear(struct anybpf_run *run, uint64_t to, size_t size)
{
    static const uint64_t zeroes[PIECE / 8];
    size_t done;

    if (!anybpf_writable(run, to, size))
        return false;
    for (done = 0; done < size; done += PIECE)
        anybpf_put(run, to + done, zeroes, size - done < PIECE ? size - done : PIECE);
    return true;
}

bool anybpf_hold_bytes(struct anybpf_run *run, struct anybpf_bytes *bytes, uint64_t from,
                       size_t size)
{
    bytes->heap = NULL;
    bytes->start = size == 0 ? bytes->small : at(from);
    if (size == 0)
        return true;
    if (!anybpf_readable(run, from, size))
        return false;
    if (is_own(run, from, size, false))
        return true;
    bytes->start = bytes->small;
    if (size > sizeof(bytes->small)) {
        bytes->heap = malloc(size);
        bytes->start = bytes->heap;
        if (bytes->heap == NULL)
            return false;
    }
    anybpf_copy_from_shared(bytes->start, at(from), size);
    return true;
}

void anybpf_let_go_of_bytes(struct anybpf_bytes *bytes)
{
    free(bytes->heap);
    bytes->heap = NULL;
}

void anybpf_move(struct anybpf_run *run, uint64_t to, uint64_t from, size_t size)
{
    uint64_t piece[PIECE / 8];
    size_t done = 0;

    if (size == 0)
        return;
    if (is_own(run, from, size, false) && is_own(run, to, size, true)) {
        memmove(at(to), at(from), size);
        return;
    }
    while (done < size) {
        size_t now = size - done < PIECE ? size - done : PIECE;
        size_t where = to <= from ? done : size - done - now;

        anybpf_fetch(run, piece, from + where, now);
        anybpf_put(run, to + where, piece, now);
        done += now;
    }
}

int64_t anybpf_fetch_string(struct anybpf_run *run, char *to, uint64_t from, size_t size)
{
    size_t done = 0;

    while (done < size) {
        size_t now = size - done < PIECE ? size - done : PIECE;
        const char *end;

        /* What follows the zero need not be readable: towards an end, take less. */
        while (now > 0 && !anybpf_readable(run, from + done, now))
            now /= 2;
        if (now == 0)
            return -1;
        anybpf_fetch(run, to + done, from + done, now);
        end = memchr(to + done, 0, now);
        if (end != NULL)
            return end - to + 1;
        done += now;
    }
    return (int64_t)size;
}

struct anybpf_map *anybpf_map_argument(struct anybpf_run *run, uint64_t address)
{
    struct anybpf_map *own = anybpf_own_map(run, address);
    const void *wanted = at(address);
    uint32_t i;

    if (own != NULL)
        return own;
    for (i = 0; i < sizeof(run->inner) / sizeof(run->inner[0]); i++)
        if (run->inner[i].map == wanted) {
            /* Numbers are never used twice: the map of that number is this one or is gone. */
            struct anybpf_object *object = anybpf_find(run->domain, run->inner[i].id);

            if (object != NULL && (void *)object == wanted && object->kind == ANYBPF_OBJECT_MAP)
                return (struct anybpf_map *)(void *)object;
        }
    return NULL;
}

void anybpf_map_found(struct anybpf_run *run, const struct anybpf_map *map)
{
    uint32_t most = sizeof(run->inner) / sizeof(run->inner[0]);
    uint32_t i;

    for (i = 0; i < most; i++)
        if (run->inner[i].map == map && run->inner[i].id == map->object.id)
            return;
    i = run->next_inner++ % most;
    run->inner[i].map = map;
    run->inner[i].id = map->object.id;
}

struct anybpf_map *anybpf_map_of_value(struct anybpf_run *run, uint64_t address)
{
    struct anybpf_object *object;
    struct anybpf_area area;

    if (!anybpf_find_area(run->domain, (uintptr_t)address, &area))
        return NULL;
    object = anybpf_find(run->domain, area.object);
    if (object == NULL || object->kind != ANYBPF_OBJECT_MAP)
        return NULL;
    return anybpf_map_argument(run, (uint64_t)(uintptr_t)object);
}

uint32_t anybpf_context_u32(const struct anybpf_run *run, size_t offset)
{
    uint32_t value = 0;

    if (run->context != NULL && offset + sizeof(value) <= run->region[ANYBPF_CONTEXT_REGION].size)
        memcpy(&value, (const uint8_t *)run->context + offset, sizeof(value));
    return value;
}

void anybpf_set_context_u32(struct anybpf_run *run, size_t offset, uint32_t value)
{
    if (run->context != NULL && offset + sizeof(value) <= run->region[ANYBPF_CONTEXT_REGION].size)
        memcpy((uint8_t *)run->context + offset, &value, sizeof(value));
}

void *anybpf_scratch_take(struct anybpf_run *run, size_t size)
{
    size_t padded = (size + 7u) & ~(size_t)7u;
    uint8_t *taken = run->scratch + run->scratch_used;

    if (size > sizeof(run->scratch) || padded > sizeof(run->scratch) - run->scratch_used)
        return NULL;
    memset(taken, 0, padded);
    run->scratch_used += (uint32_t)padded;
    anybpf_set_region(run, ANYBPF_SCRATCH_REGION, run->scratch, run->scratch_used, true);
    return taken;
}

void anybpf_scratch_give(struct anybpf_run *run, void *taken)
{
    run->scratch_used = (uint32_t)((uint8_t *)taken - run->scratch);
    anybpf_set_region(run, ANYBPF_SCRATCH_REGION, run->scratch, run->scratch_used, true);
}
