/* Runs decoded programs: what the loop (interpreter_loop.h) needs around it.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "interpreter.h"
#include "maps/arena.h"
#include "trace.h"

#include <stddef.h>
#include <string.h>

#define UNLIKELY(condition) __builtin_expect(!!(condition), 0)
#define NO_PC ANYBPF_NO_PC

/* Programs may race with each other for what they share, as on any machine; that is theirs to mind,
 * and no fault of the loop that acts it out. */
#define NOT_FOR_RACE_DETECTORS __attribute__((no_sanitize("thread")))

/* Words at any address. */
struct bytes1 { uint8_t v; } __attribute__((may_alias));
struct bytes2 { uint16_t v; } __attribute__((packed, may_alias));
struct bytes4 { uint32_t v; } __attribute__((packed, may_alias));
struct bytes8 { uint64_t v; } __attribute__((packed, may_alias));

/* What a function goes on with when one that it called returns. */
struct frame {
    const struct anybpf_program *program;
    struct anybpf_op *op; /* the call */
    uint64_t r6_to_r9[4];
    uint32_t may_goto_turns;
};

static inline void keep(struct frame *frame, const struct anybpf_program *program,
                        struct anybpf_op *op, const uint64_t *r, uint32_t may_goto_turns)
{
    frame->program = program;
    frame->op = op;
    memcpy(frame->r6_to_r9, &r[6], sizeof(frame->r6_to_r9));
    frame->may_goto_turns = may_goto_turns;
}

static inline uint64_t frame_top(const struct anybpf_run *run)
{
    return (uint64_t)(uintptr_t)run->stack +
           (uint64_t)(ANYBPF_FRAMES + 1 - run->frames) * ANYBPF_FRAME_BYTES;
}

/* The frame that is on top now: what lies below it may not be touched. Its end, for r10. */
static inline uint64_t enter_frame(struct anybpf_run *run)
{
    struct anybpf_region *stack = &run->region[ANYBPF_STACK_REGION];
    uint64_t size = (uint64_t)run->frames * ANYBPF_FRAME_BYTES;
    uint64_t top = frame_top(run);

    stack->start = (uintptr_t)top - ANYBPF_FRAME_BYTES;
    stack->size = size;
    stack->writable_size = size;
    return top;
}

static __attribute__((cold, noinline)) int find_or_stop(struct anybpf_run *run, uint64_t address,
                                                        uint32_t size, bool write)
{
    int index = anybpf_find_region(run, address, size, write);

    if (index < 0) {
        bool read_only = write && anybpf_readable(run, address, size);

        anybpf_stop_run(run, read_only ? ANYBPF_READ_ONLY : ANYBPF_OUT_OF_BOUNDS);
        run->stop.address = address;
        run->stop.size = size;
        run->stop.write = write;
    }
    return index;
}

static __attribute__((cold, noinline)) bool find(struct anybpf_run *run, struct anybpf_op *op,
                                                 uint64_t address, uint32_t size, bool write)
{
    int index = find_or_stop(run, address, size, write);

    if (index < 0)
        return false;
    __atomic_store_n(&op->u.hint, (uint32_t)((size_t)index * sizeof(struct anybpf_region)),
                     __ATOMIC_RELAXED);
    return true;
}

static __attribute__((cold, noinline)) bool find_by_index(struct anybpf_run *run,
                                                          struct anybpf_op *op, uint64_t address,
                                                          uint32_t size)
{
    int index = find_or_stop(run, address, size, true);

    if (index < 0)
        return false;
    __atomic_store_n(&op->src, (uint8_t)index, __ATOMIC_RELAXED);
    return true;
}

static __attribute__((cold, noinline)) void misaligned(struct anybpf_run *run, uint64_t address,
                                                       uint32_t size)
{
    anybpf_stop_run(run, ANYBPF_MISALIGNED);
    run->stop.address = address;
    run->stop.size = size;
}

/* Casts between what programs and users of an arena exchange and addresses; without an arena they
 * cut to the 32 bits that such pointers have. */
static uint64_t cast_to_address(const struct anybpf_program *program, int32_t map, uint64_t value)
{
    return map < 0 ? (uint32_t)value : anybpf_arena_address(program->maps[map], value);
}

static uint64_t cast_to_pointer(const struct anybpf_program *program, int32_t map, uint64_t value)
{
    return map < 0 ? (uint32_t)value : anybpf_arena_pointer(program->maps[map], value);
}

/* Addresses of labels and jumps to them are no ISO C; every compiler that we build with has them. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#if defined(__clang__)
#pragma GCC diagnostic ignored "-Wgnu-label-as-value"
#endif

#define LOOP run_fast
#include "interpreter_loop.h"
#undef LOOP

#define TRACING
#define LOOP run_traced
#include "interpreter_loop.h"
#undef LOOP
#undef TRACING

#pragma GCC diagnostic pop

const void *const *anybpf_handlers(void)
{
    return (const void *const *)(uintptr_t)run_fast(NULL, NULL, NULL, 0, 0, 0, 0, 0);
}

uint64_t anybpf_interpret(struct anybpf_run *run, const struct anybpf_program *program,
                          uint32_t slot, uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4,
                          uint64_t r5)
{
    if (UNLIKELY(run->trace != NULL))
        return run_traced(run, program, &program->ops[slot], r1, r2, r3, r4, r5);
    return run_fast(run, program, &program->ops[slot], r1, r2, r3, r4, r5);
}
