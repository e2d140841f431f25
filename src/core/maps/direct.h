/* Maps as compiled code uses them: what it calls, and where the values of arrays lie.
 *
 * Helpers look at whatever a program hands them. Compiled code has proved that the key and the value
 * can be read in full, or has looked itself; then it may call these functions, which look at nothing
 * but flags, and which know the key's size where that pays. It is seated, as every run is, and gives
 * its seat. All else is as in helpers, the statuses too.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#ifndef ANYBPF_DIRECT_H
#define ANYBPF_DIRECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct anybpf_map;

/* The quickest functions for one map, good as long as the map is. NULL: call the helper, because the
 * kind cannot do this, a program may not, or what is found must be made known to the run, as the
 * maps are that maps hold. None of them takes ANYBPF_WITH_LOCK while the run has a value's lock. */
struct anybpf_direct {
    /* The value, the seat's own in per-CPU kinds; NULL: there is none. */
    void *(*lookup)(struct anybpf_map *map, const void *key, uint32_t seat);
    /* Both an enum anybpf_status. */
    int (*update)(struct anybpf_map *map, const void *key, const void *value, uint64_t flags,
                  uint32_t seat);
    int (*erase)(struct anybpf_map *map, const void *key, uint32_t seat);
};

/* In this process; does not change as long as the map is open. */
const struct anybpf_direct *anybpf_map_direct(const struct anybpf_map *map);

/* Where the values of an array or a per-CPU array lie in this process, as long as the map is open:
 * entry `i`, below `entries`, of seat `s`, below `cpus`, is at
 *
 *     values + i * stride + s * cpu_stride
 *
 * In plain arrays `cpu_stride` is 0, and `cpus` is that of the domain. */
struct anybpf_array_layout {
    uint8_t *values;
    uint32_t entries;
    uint32_t value_size;
    uint32_t stride;
    uint32_t cpus;
    size_t cpu_stride;
};

/* False, with nothing filled in, for other kinds and for what programs may not look up. */
bool anybpf_array_layout(const struct anybpf_map *map, struct anybpf_array_layout *layout);

#endif
