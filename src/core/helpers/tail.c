/* Leaving a program: for another one, or for good.
 *
 * Linux: a tail call that cannot be is as if it were not there. Windows: it returns a negative
 * ebpf_result.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "../maps/objects.h"
#include "helpers.h"

static uint64_t refused(struct anybpf_run *run, int status)
{
    if ((run->program->behaviour & ANYBPF_BEHAVES_WINDOWS_TAIL_CALL) != 0)
        return anybpf_result(run, status);
    return 0;
}

ANYBPF_HELPER(tail_call)
{
    struct anybpf_map *map = anybpf_map_argument(run, r2);
    const struct anybpf_program *target;
    uint32_t index = (uint32_t)r3;

    UNUSED2(r4, r5);
    if (map == NULL || map->shape.kind != ANYBPF_PROG_ARRAY ||
        !is_context(run, r1) || index >= map->shape.max_entries)
        return refused(run, ANYBPF_BAD_ARGUMENT);
    if (run->tail_calls >= ANYBPF_MOST_TAIL_CALLS)
        return refused(run, ANYBPF_NO_MORE_CALLS);
    target = anybpf_prog_array_get(map, index);
    if (target == NULL || target->compatible != run->program->compatible)
        return refused(run, ANYBPF_BAD_ARGUMENT);
    run->tail_calls++;
    run->next_program = target;
    return 0;
}

/* Kernel function: the program ends, whatever frame it is in. */
ANYBPF_HELPER(throw_cookie)
{
    UNUSED4(r2, r3, r4, r5);
    if (run->stop.end == ANYBPF_ENDED)
        run->stop.value = r1;
    anybpf_stop_run(run, ANYBPF_THROWN);
    return 0;
}

const struct anybpf_helper_row anybpf_tail_helpers[] = {
    {"tail_call", tail_call},
    {"throw", throw_cookie},
    {NULL, NULL},
};
