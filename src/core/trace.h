/* What is looked at while a program runs: counts, steps and watched memory. Only the tracing loop
 * calls this; without `run->trace` nothing here costs anything.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#ifndef ANYBPF_TRACE_H
#define ANYBPF_TRACE_H

#include "run.h"

/* How often each slot of one program was run; several programs, if tail calls lead there. */
struct anybpf_counts {
    const struct anybpf_program *program;
    uint64_t *counts; /* one a slot; changed atomically */
    struct anybpf_counts *next;
};

/* An access to any byte of it is told, before it happens. */
struct anybpf_watch {
    uint64_t start;
    uint64_t size;
    bool reads;
    bool writes;
};

struct anybpf_access {
    uint64_t address;
    uint32_t size; /* 0: the instruction touches no memory */
    bool write;    /* or both */
};

struct anybpf_trace {
    struct anybpf_counts *counts; /* NULL: nothing is counted */
    /* Before each instruction; before each that touches what is watched. NULL: not wanted. Returns
     * false to stop the run. `r` are r0 to r10, which may be changed. */
    bool (*step)(struct anybpf_run *run, const struct anybpf_program *program, uint32_t slot,
                 uint64_t *r);
    bool (*touch)(struct anybpf_run *run, const struct anybpf_program *program, uint32_t slot,
                  uint64_t *r, struct anybpf_access access);
    const struct anybpf_watch *watches;
    size_t watch_count;
    uint64_t executed; /* instructions, all together */
    void *user;
};

/* What the instruction will touch, if it touches memory by itself. */
struct anybpf_access anybpf_access_of(const struct anybpf_slot *insn, const uint64_t *r);

/* By the loop. False: stop. */
bool anybpf_trace_before(struct anybpf_run *run, const struct anybpf_program *program,
                         uint32_t slot, uint64_t *r);

#endif
