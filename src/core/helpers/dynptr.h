/* Pointers that carry their size, as they lie on a program's stack: struct bpf_dynptr.
 *
 * What is in one is checked again whenever it is used, so a program that forges one gains nothing.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#ifndef ANYBPF_DYNPTR_H
#define ANYBPF_DYNPTR_H

#include "helpers.h"

struct anybpf_dynptr {
    uint64_t data;   /* memory; of packets, the context. 0: nothing */
    uint32_t size;   /* with what follows in its high bits */
    uint32_t offset;
};

#define DYNPTR_MOST 0xffffffu
#define DYNPTR_READ_ONLY 0x80000000u
#define DYNPTR_TYPE 0x70000000u
#define DYNPTR_LOCAL 0x10000000u
#define DYNPTR_RINGBUF 0x20000000u
#define DYNPTR_SKB 0x30000000u
#define DYNPTR_XDP 0x40000000u

#endif
