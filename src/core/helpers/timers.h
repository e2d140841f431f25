/* Timers that programs set: a list that the host looks at, and whose callbacks it runs.
 *
 * A timer lies in a map's value, and says there by a number which entry of the list it is; whatever
 * the memory holds meanwhile, an entry whose number is not there any more is dropped. Programs and
 * maps are kept by number and looked up again, so neither is kept alive by a timer.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#ifndef ANYBPF_TIMERS_H
#define ANYBPF_TIMERS_H

#include "../run.h"

#define ANYBPF_MOST_TIMERS (UINT32_C(1) << 20)
#define ANYBPF_NEVER UINT64_MAX

/* The host makes the list, sets it as the domain's, and takes it away again, with nobody seated who
 * could know it, before it frees it. NULL without memory. */
struct anybpf_timers *anybpf_timers_create(struct anybpf_domain *domain);
void anybpf_timers_free(struct anybpf_timers *timers);

/* When the earliest is due, as anybpf_clock_ns(ANYBPF_MONOTONIC) counts; ANYBPF_NEVER: none is. */
uint64_t anybpf_timers_next(struct anybpf_timers *timers);
/* Grows whenever the earliest may have changed: to wait on, with anybpf_wait. */
_Atomic uint32_t *anybpf_timers_news(struct anybpf_timers *timers);

/* Runs the callbacks of all that are due now, on a seat for programs that this call takes; each may
 * spend `budget` instructions. `stopped` (may be NULL) is called for those that did not end by
 * themselves. The number of callbacks run. */
uint32_t anybpf_timers_fire(struct anybpf_timers *timers, uint64_t budget,
                            void (*stopped)(void *arg, struct anybpf_run *run), void *arg);

/* The map's last user reference is gone: its timers are, and no more are set up until `abandoned` is
 * false again. Does not wait for a callback that runs. The caller is seated. */
void anybpf_map_abandon(struct anybpf_map *map, bool abandoned);

#endif
