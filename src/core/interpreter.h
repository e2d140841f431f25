/* The interpreter: programs decoded once, then run by a loop that jumps from one to the next.
 *
 * Decoding (decode.c) makes one op of 16 bytes from each slot, so that distances in the code need
 * no change. An op that touches memory keeps the region that its last access fell into: if the next
 * one falls there too, two comparisons are the whole check.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#ifndef ANYBPF_INTERPRETER_H
#define ANYBPF_INTERPRETER_H

#include "interpreter_codes.h"
#include "run.h"

/* Ops are changed while they run, in one way: `hint`, by whichever thread, which only makes another
 * thread's next access a little slower. So it is read and written atomically, without order. */
struct anybpf_op {
    const void *handler; /* in the loop without tracing */
    uint8_t dst;
    uint8_t src; /* of stores of immediates: region's index */
    int16_t offset;
    union {
        int32_t imm;
        uint32_t hint; /* of other accesses: region's offset in run->region, in bytes */
    } u;
};

/* Where the op of a slot goes to, and what it is. `code` is legal and its indexes are checked. */
enum anybpf_code anybpf_code_of(const struct anybpf_program *program, uint32_t slot);

/* Makes `program->ops` from `program->code`, which anybpf_check_program has passed. Checks indexes
 * of maps and helpers. NULL, or what is wrong in `*slot`, as a sentence. Without memory too. */
const char *anybpf_decode(struct anybpf_program *program, uint32_t *slot);

/* The loop's addresses, by enum anybpf_code. */
const void *const *anybpf_handlers(void);

/* From `slot` on, in the frame that is `run->frames` now, until that frame ends. A stop is in
 * `run->stop`. */
uint64_t anybpf_interpret(struct anybpf_run *run, const struct anybpf_program *program,
                          uint32_t slot, uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4,
                          uint64_t r5);

/* A function as programs hold it in a register. */
static inline uint64_t anybpf_function_value(const struct anybpf_program *program, uint32_t slot)
{
    return (uint64_t)(uintptr_t)&program->ops[slot];
}

/* The slot that it begins at, or -1: no function of this program. Lands between instructions only
 * where code did arithmetic on it, and then on an op that stops the run. */
static inline int64_t anybpf_function_slot(const struct anybpf_program *program, uint64_t value)
{
    uint64_t distance = value - (uint64_t)(uintptr_t)program->ops;

    if (distance % sizeof(struct anybpf_op) != 0 ||
        distance / sizeof(struct anybpf_op) >= program->slots)
        return -1;
    return (int64_t)(distance / sizeof(struct anybpf_op));
}

/* A classic load, from the packet's first byte on. Places below it have names on Linux, and nothing
 * is there for us. */
static inline bool anybpf_packet_load(const struct anybpf_run *run, uint32_t place, uint32_t size,
                                      uint64_t *value)
{
    uint64_t length = (uint64_t)(run->packet.data_end - run->packet.data);
    uint64_t sum = 0;

    if (place > (uint32_t)INT32_MAX || place >= length || length - place < size)
        return false;
    for (uint32_t i = 0; i < size; i++)
        sum = sum << 8 | run->packet.data[place + i];
    *value = sum;
    return true;
}

/* How often may_goto goes on in one frame: BPF_MAX_LOOPS of the kernel (include/linux/bpf.h). */
#define ANYBPF_MAY_GOTO_TURNS (8u * 1024u * 1024u)

#endif
