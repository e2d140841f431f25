/* What compiled code calls by name: functions of the run time, found when its object is linked.
 *
 * Compiled code keeps `run` as the interpreter does: `frames` and the region of the stack are right
 * whenever a helper may look at them, `stop` says why a run is over. A function that returns the
 * result of a run which is over is called at the very end: what it returns, compiled code returns.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#ifndef ANYBPF_NATIVE_H
#define ANYBPF_NATIVE_H

#include "run.h"

/* Counts up with every change of what compiled code relies on: these functions, the fields in
 * `_core.LAYOUT`, names of symbols, and how entries are called. Part of what names a cached object. */
#define ANYBPF_NATIVE_ABI 2u

/* To be cast to the function's own type. */
typedef void (*anybpf_any_function)(void);

/* NULL: there is none of that name. */
anybpf_any_function anybpf_native_symbol(const char *name);

/* The run is over: by what was called at `slot`, by an access there, by an atomic operation at an
 * address that is no multiple of its size, by coming to where nothing was proved to come. */
uint64_t anybpf_native_stopped(struct anybpf_run *run, uint32_t slot);
uint64_t anybpf_native_fault(struct anybpf_run *run, uint32_t slot, uint64_t address, uint32_t size,
                             uint32_t write);
uint64_t anybpf_native_misaligned(struct anybpf_run *run, uint32_t slot, uint64_t address,
                                  uint32_t size);
uint64_t anybpf_native_bad(struct anybpf_run *run, uint32_t slot);

/* Whether the program may touch these bytes. */
uint32_t anybpf_native_check(struct anybpf_run *run, uint64_t address, uint32_t size,
                             uint32_t write);
/* The slice is spent; whether the run may go on. */
uint32_t anybpf_native_spend(struct anybpf_run *run);
/* Another frame, for a function that is about to be called; 0: there are too many, and the run is
 * over. And back. */
uint32_t anybpf_native_enter(struct anybpf_run *run);
void anybpf_native_leave(struct anybpf_run *run);
/* A tail call was made. The first is itself called as the last thing that compiled code does, and
 * shaped like it; the second in a function that others wait for. */
uint64_t anybpf_native_next(void *r1, struct anybpf_run *run, uint64_t r2);
uint64_t anybpf_native_next_inside(struct anybpf_run *run);
/* A call of what a register holds: a helper's number, or a function. */
uint64_t anybpf_native_call(struct anybpf_run *run, uint64_t function, uint64_t r1, uint64_t r2,
                            uint64_t r3, uint64_t r4, uint64_t r5);
/* A load of classic BPF; 0: the packet ends before. */
uint32_t anybpf_native_packet(struct anybpf_run *run, uint32_t place, uint32_t size,
                              uint64_t *value);
/* Casts of pointers into the program's arena. */
uint64_t anybpf_native_cast(struct anybpf_run *run, uint64_t value, uint32_t to_user);
/* As the helpers; key and value are known to be readable, and the map to be open to programs. */
uint64_t anybpf_native_update(struct anybpf_run *run, struct anybpf_map *map, const void *key,
                              const void *value, uint64_t flags);
uint64_t anybpf_native_delete(struct anybpf_run *run, struct anybpf_map *map, const void *key);

#endif
