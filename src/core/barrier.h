/* A barrier that one thread makes for all: who does something often need not make one then, if who
 * does the other thing seldom makes this one.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#ifndef ANYBPF_BARRIER_H
#define ANYBPF_BARRIER_H

#include <stdbool.h>

/* Whether the system has it. To be asked before the first barrier, in each process. */
bool anybpf_barrier_prepare(void);

/* On return, each of this process's threads has made a full memory barrier since the call. False if
 * that could not be had. */
bool anybpf_barrier(void);

#endif
