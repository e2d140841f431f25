/* Until the helpers are here: they do nothing, and the real ones take their place when linked.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "run.h"

#define WEAK __attribute__((weak))

WEAK anybpf_helper anybpf_helper_by_name(const char *name)
{
    (void)name;
    return NULL;
}

WEAK bool anybpf_is_helper(anybpf_helper helper)
{
    (void)helper;
    return false;
}

WEAK void anybpf_release_held(struct anybpf_run *run)
{
    run->held_map = NULL;
}

uint64_t anybpf_call_python_helper(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5,
                                   struct anybpf_run *run);
WEAK uint64_t anybpf_call_python_helper(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4,
                                        uint64_t r5, struct anybpf_run *run)
{
    (void)r1, (void)r2, (void)r3, (void)r4, (void)r5;
    anybpf_stop_run(run, ANYBPF_HELPER_FAILED);
    return 0;
}
