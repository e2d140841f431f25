/* Helpers that keep programs apart: spin locks in map values, and pointers that are swapped.
 *
 * A lock is the one that users take with ANYBPF_WITH_LOCK, and outlives its holder's process. A run
 * has at most one; whoever ends a run gives it back.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "helpers.h"

/* The map and the value whose lock this is. */
static struct anybpf_map *map_of_lock(struct anybpf_run *run, uint64_t lock, void **value)
{
    struct anybpf_map *map = anybpf_map_of_value(run, lock);

    if (map == NULL || map->shape.lock_offset == ANYBPF_NO_FIELD || (lock & 3) != 0 ||
        lock - (uintptr_t)map->values < map->shape.lock_offset ||
        !anybpf_writable(run, lock, ANYBPF_SPIN_LOCK_SIZE))
        return NULL;
    *value = at(lock - map->shape.lock_offset);
    return map;
}

/* Waits no longer than the run may. */
ANYBPF_HELPER(spin_lock)
{
    void *value = NULL;
    struct anybpf_map *map = map_of_lock(run, r1, &value);
    struct anybpf_lock *lock = at(r1);
    uint32_t turn;

    UNUSED4(r2, r3, r4, r5);
    if (map == NULL || run->held_map != NULL) {
        anybpf_stop_run(run, ANYBPF_HELPER_FAILED);
        return 0;
    }
    for (turn = 0; anybpf_lock_is_held(run->domain, lock); turn++) {
        run->slice -= 64;
        if ((run->slice < 0 || turn % 64 == 63) && !anybpf_next_slice(run))
            return 0;
        anybpf_back_off(turn);
    }
    anybpf_value_lock(map, value);
    run->held_map = map;
    run->held_value = value;
    return 0;
}

void anybpf_release_held(struct anybpf_run *run)
{
    if (run->held_map == NULL)
        return;
    anybpf_value_unlock(run->held_map, run->held_value);
    run->held_map = NULL;
    run->held_value = NULL;
}

ANYBPF_HELPER(spin_unlock)
{
    void *value = NULL;
    struct anybpf_map *map = map_of_lock(run, r1, &value);

    UNUSED4(r2, r3, r4, r5);
    if (map == NULL || run->held_map != map || run->held_value != value)
        anybpf_stop_run(run, ANYBPF_HELPER_FAILED);
    else
        anybpf_release_held(run);
    return 0;
}

/* A kernel pointer in a map value is a word like any other here. */
ANYBPF_HELPER(kptr_xchg)
{
    UNUSED3(r3, r4, r5);
    if ((r1 & 7) != 0 || !anybpf_writable(run, r1, 8)) {
        anybpf_stop_run(run, ANYBPF_HELPER_FAILED);
        return 0;
    }
    return __atomic_exchange_n((uint64_t *)at(r1), r2, __ATOMIC_SEQ_CST);
}

const struct anybpf_helper_row anybpf_lock_helpers[] = {
    {"spin_lock", spin_lock},
    {"spin_unlock", spin_unlock},
    {"kptr_xchg", kptr_xchg},
    {NULL, NULL},
};
