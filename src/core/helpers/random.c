/* Helpers for chance, and for where the program runs.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "helpers.h"

/* xorshift64*, seeded once a run from the system. Not for secrets, as on Linux. */
ANYBPF_HELPER(get_prandom_u32)
{
    uint64_t state = run->random;

    UNUSED5(r1, r2, r3, r4, r5);
    if (state == 0 && (!anybpf_random_bytes(&state, sizeof(state)) || state == 0))
        state = anybpf_clock_ns(ANYBPF_MONOTONIC) | 1;
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    run->random = state;
    return (state * UINT64_C(0x2545f4914f6cdd1d)) >> 32;
}

ANYBPF_HELPER(get_smp_processor_id)
{
    UNUSED5(r1, r2, r3, r4, r5);
    return run->seat;
}

/* Processors here are seats, and all of them are as near to all memory. */
ANYBPF_HELPER(get_numa_node_id)
{
    UNUSED5(r1, r2, r3, r4, r5);
    (void)run;
    return 0;
}

/* Marks of sections that nothing interrupts here anyhow: a run keeps its seat, and what it was given
 * stays. */
ANYBPF_HELPER(nothing)
{
    UNUSED5(r1, r2, r3, r4, r5);
    (void)run;
    return 0;
}

const struct anybpf_helper_row anybpf_random_helpers[] = {
    {"get_prandom_u32", get_prandom_u32},
    {"get_smp_processor_id", get_smp_processor_id},
    {"get_numa_node_id", get_numa_node_id},
    {"rcu_read_lock", nothing},
    {"rcu_read_unlock", nothing},
    {"preempt_disable", nothing},
    {"preempt_enable", nothing},
    {"local_irq_save", nothing},
    {"local_irq_restore", nothing},
    {NULL, NULL},
};
