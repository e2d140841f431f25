/* Making programs: from code and what it refers to, to something that can run.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#ifndef ANYBPF_PROGRAM_H
#define ANYBPF_PROGRAM_H

#include "run.h"

/* All borrowed for the length of the call, but `maps`, `helper_data` and `owner`, whose targets must
 * outlive the program. */
struct anybpf_program_spec {
    uint32_t id;
    const char *name;
    const uint8_t *code; /* in the machine's byte order */
    size_t size;
    struct anybpf_map *const *maps;
    uint32_t map_count;
    const anybpf_helper *helpers; /* NULL in it: no such helper; calling it stops the run */
    void *const *helper_data;     /* NULL: none has any */
    uint32_t helper_count;
    const int64_t *codes; /* ANYBPF_STATUSES of them */
    uint32_t type;
    uint32_t context_size;
    uint32_t behaviour;
    uint64_t compatible;
    uint32_t handler; /* slot of the function that handles exceptions; 0: none */
    void *owner;
};

/* What is wrong with a program. */
struct anybpf_program_fault {
    enum anybpf_fault fault; /* of the code; else legal, and `text` says it */
    uint32_t slot;
    const char *text; /* static */
};

/* Checks the code and every index in it, decodes it, and registers the program in the domain, where
 * tail calls find it by its number. An enum anybpf_status; BAD_ARGUMENT: see `fault`. */
int anybpf_program_create(struct anybpf_domain *domain, const struct anybpf_program_spec *spec,
                          struct anybpf_program **program, struct anybpf_program_fault *fault);

/* The program is no more; its memory goes when nobody who is seated can be running it, and then
 * `released(thing)` is called, if it is not NULL, from whichever thread. */
void anybpf_program_close(struct anybpf_program *program, void (*released)(void *thing),
                          void *thing);

#endif
