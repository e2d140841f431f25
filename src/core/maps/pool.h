/* Cells of one size, by number, for structures that are read without a lock: whoever changes the
 * structure (under the map's lock) takes cells and retires them, and a retired cell is taken again
 * only when nobody is seated any more who could have found it.
 *
 * The lists are the servants of the structure that the cells are in. If a writer dies, they are made
 * anew from what the structure holds, so nothing here needs to be done in one step.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#ifndef ANYBPF_POOL_H
#define ANYBPF_POOL_H

#include "../map.h"

/* In the segment. Cells are counted from 1; 0 is none. */
struct anybpf_pool_state {
    _Atomic uint32_t fresh;   /* cells that were ever in use */
    _Atomic uint32_t first;   /* retired, the oldest */
    _Atomic uint32_t last;
    _Atomic uint32_t waiting; /* how many are retired */
};

/* One a cell, in the segment. */
struct anybpf_pool_link {
    _Atomic uint64_t stamp;
    _Atomic uint32_t next;
    _Atomic uint32_t uses; /* how often the cell was taken */
};

/* This process's view. */
struct anybpf_pool {
    struct anybpf_domain *domain;
    struct anybpf_pool_state *state;
    struct anybpf_pool_link *link;
    uint32_t cells;
};

/* 0 if none is to be had. What is in the cell is what its last user left. */
uint32_t anybpf_pool_take(const struct anybpf_pool *pool);
/* What to do when there was none, after the map's lock was given back: waits a little, for somebody
 * who holds all of them up may be about to leave. False after `most` turns: it may be the caller
 * himself, which is likely of a program, and not of a user. `turn` counts from 0. */
#define ANYBPF_POOL_TURNS_OF_PROGRAM 100u /* less than a millisecond */
#define ANYBPF_POOL_TURNS_OF_USER 500u    /* some tens of them */
bool anybpf_pool_wait(uint32_t turn, uint32_t most);
/* After the cell was taken out of reach. */
void anybpf_pool_retire(const struct anybpf_pool *pool, uint32_t cell);
/* Retires every cell that `used` (a byte a cell; NULL: unknown, all leak) does not mark. */
void anybpf_pool_rebuild(const struct anybpf_pool *pool, const uint8_t *used);
/* Whether each cell is marked, or retired, or was never used, and but one of these. Marks the
 * retired ones in `used`. */
bool anybpf_pool_check(const struct anybpf_pool *pool, uint8_t *used);

/* How many entries a map may come to have: `max_entries`, or where it grows a multiple of that,
 * for which there is no memory used before it is needed. */
uint32_t anybpf_pool_limit(const struct anybpf_shape *shape, uint64_t bytes_per_entry);
/* Cells for so many entries, and for those that are replaced while somebody may look at them. */
uint32_t anybpf_pool_cells(uint32_t limit);

/* Laying out: moves `*end` to a multiple of `alignment`, returns it, and moves it on by
 * `count * size`. False if that overflows. */
bool anybpf_pool_place(uint64_t *end, uint64_t count, uint64_t size, uint64_t alignment,
                       uint64_t *start);

#endif
