/* Helpers that tell the time.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "helpers.h"

#define NS_PER_MS 1000000u
#define NS_PER_JIFFY 4000000u /* CONFIG_HZ=250 */

#define CLOCK(name, clock, unit)                                                                   \
    ANYBPF_HELPER(name)                                                                            \
    {                                                                                              \
        UNUSED5(r1, r2, r3, r4, r5);                                                               \
        (void)run;                                                                                 \
        return anybpf_clock_ns(clock) / (unit);                                                    \
    }

CLOCK(ktime_get_ns, ANYBPF_MONOTONIC, 1)
CLOCK(ktime_get_boot_ns, ANYBPF_BOOT, 1)
CLOCK(ktime_get_coarse_ns, ANYBPF_COARSE, 1)
CLOCK(ktime_get_tai_ns, ANYBPF_TAI, 1)
CLOCK(ktime_get_ms, ANYBPF_MONOTONIC, NS_PER_MS)
CLOCK(ktime_get_boot_ms, ANYBPF_BOOT, NS_PER_MS)
CLOCK(jiffies64, ANYBPF_MONOTONIC, NS_PER_JIFFY)

const struct anybpf_helper_row anybpf_time_helpers[] = {
    {"ktime_get_ns", ktime_get_ns},
    {"ktime_get_boot_ns", ktime_get_boot_ns},
    {"ktime_get_coarse_ns", ktime_get_coarse_ns},
    {"ktime_get_tai_ns", ktime_get_tai_ns},
    {"ktime_get_ms", ktime_get_ms},
    {"ktime_get_boot_ms", ktime_get_boot_ms},
    {"jiffies64", jiffies64},
    {NULL, NULL},
};
