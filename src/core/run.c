/* Runs: what a program may touch, how long it may go on, and how it comes to an end.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "run.h"

#include "interpreter.h"
#include "ring.h"

#include <string.h>

/* Regions. */

void anybpf_set_region(struct anybpf_run *run, uint32_t index, const void *start, uint64_t size,
                       bool writable)
{
    struct anybpf_region *region = &run->region[index];

    region->start = (uintptr_t)start;
    region->size = start == NULL ? 0 : size;
    region->writable_size = writable ? region->size : 0;
    region->writable = writable;
}

static __attribute__((cold)) void forget_areas(struct anybpf_run *run, uint64_t version)
{
    memset(&run->region[ANYBPF_FIRST_AREA], 0,
           (ANYBPF_REGIONS - ANYBPF_FIRST_AREA) * sizeof(run->region[0]));
    run->regions = ANYBPF_FIRST_AREA;
    run->next_area = ANYBPF_FIRST_AREA;
    run->areas_version = version;
}

static void set_stack(struct anybpf_run *run)
{
    anybpf_set_region(run, ANYBPF_STACK_REGION,
                      run->stack + (ANYBPF_FRAMES - run->frames) * ANYBPF_FRAME_BYTES,
                      (uint64_t)run->frames * ANYBPF_FRAME_BYTES, true);
}

/* Of the entry function alone: what a run begins with, and leaves behind if it ends by itself. */
static void set_entry_stack(struct anybpf_run *run)
{
    anybpf_set_region(run, ANYBPF_STACK_REGION,
                      run->stack + (ANYBPF_FRAMES - 1) * ANYBPF_FRAME_BYTES, ANYBPF_FRAME_BYTES,
                      true);
}

static bool holds(const struct anybpf_region *region, uint64_t address, uint64_t size, bool write)
{
    uint64_t room = write ? region->writable_size : region->size;
    uint64_t distance = address - region->start;

    return distance < room && room - distance >= size;
}

int anybpf_find_region(struct anybpf_run *run, uint64_t address, uint64_t size, bool write)
{
    struct anybpf_area area;
    uint32_t index;

    for (index = 0; index < run->regions; index++)
        if (holds(&run->region[index], address, size, write))
            return (int)index;
    if (!anybpf_find_area(run->domain, (uintptr_t)address, &area))
        return -1;
    if (size > area.size - (address - area.start) || (write && !area.writable))
        return -1;
    if (run->regions < ANYBPF_REGIONS) {
        index = run->regions++;
    } else {
        index = run->next_area;
        run->next_area = index + 1 < ANYBPF_REGIONS ? index + 1 : ANYBPF_FIRST_AREA;
    }
    anybpf_set_region(run, index, (const void *)area.start, area.size, area.writable);
    return (int)index;
}

bool anybpf_readable(struct anybpf_run *run, uint64_t address, uint64_t size)
{
    return size == 0 || anybpf_find_region(run, address, size, false) >= 0;
}

bool anybpf_writable(struct anybpf_run *run, uint64_t address, uint64_t size)
{
    return size == 0 || anybpf_find_region(run, address, size, true) >= 0;
}

/* Context and packet. */

void anybpf_run_set_context(struct anybpf_run *run, struct anybpf_context *context, size_t size,
                            bool writable)
{
    const uint8_t *header = (const uint8_t *)context;

    if (context == NULL) {
        run->context = NULL;
        anybpf_set_region(run, ANYBPF_CONTEXT_REGION, NULL, 0, false);
        anybpf_set_region(run, ANYBPF_HEADER_REGION, NULL, 0, false);
        anybpf_set_region(run, ANYBPF_HEADER_END_REGION, NULL, 0, false);
        return;
    }
    run->context = context->bytes;
    context->slot[ANYBPF_SLOT_RUN] = (uint64_t)(uintptr_t)run;
    anybpf_set_region(run, ANYBPF_CONTEXT_REGION, context->bytes, size, writable);
    anybpf_set_region(run, ANYBPF_HEADER_REGION, header, 8 * ANYBPF_SLOT_RUN, false);
    anybpf_set_region(run, ANYBPF_HEADER_END_REGION, header + 8 * ANYBPF_SLOT_4,
                      ANYBPF_CONTEXT_HEADER - 8 * ANYBPF_SLOT_4, false);
}

void anybpf_run_set_packet(struct anybpf_run *run, const struct anybpf_packet *packet)
{
    const struct anybpf_region *context = &run->region[ANYBPF_CONTEXT_REGION];
    uint64_t pointers[3];

    run->packet_changed = true;
    if (packet != &run->packet)
        run->packet = *packet;
    pointers[ANYBPF_SLOT_DATA] = (uint64_t)(uintptr_t)packet->data;
    pointers[ANYBPF_SLOT_DATA_END] = (uint64_t)(uintptr_t)packet->data_end;
    pointers[ANYBPF_SLOT_DATA_META] = (uint64_t)(uintptr_t)packet->data_meta;
    anybpf_set_region(run, ANYBPF_PACKET_REGION, packet->data_meta,
                      (uint64_t)(packet->data_end - packet->data_meta), !packet->read_only);
    if (run->region[ANYBPF_HEADER_REGION].size == 0)
        return; /* what r1 points to is no context of ours */
    memcpy((void *)run->region[ANYBPF_HEADER_REGION].start, pointers, sizeof(pointers));
    for (int i = 0; i < 3; i++) {
        int32_t place = run->packet_fields[i];

        if (place >= 0 && context->size >= 8 && (uint64_t)place <= context->size - 8)
            memcpy((uint8_t *)run->context + place, &pointers[i], 8);
    }
}

void anybpf_run_set_memory(struct anybpf_run *run, void *memory, size_t size)
{
    anybpf_run_set_context(run, NULL, 0, false);
    run->context = memory;
    anybpf_set_region(run, ANYBPF_CONTEXT_REGION, memory, size, true);
}

/* The budget, the clock and the end. */

void anybpf_stop_run(struct anybpf_run *run, enum anybpf_end end)
{
    if (run->stop.end != ANYBPF_ENDED)
        return;
    run->stop.end = end;
    run->stop.program = run->program->object.id;
    run->stop.pc = ANYBPF_NO_PC;
    run->stop.address = 0;
    run->stop.size = 0;
    run->stop.write = false;
    if (end != ANYBPF_THROWN)
        run->stop.value = 0;
}

static void take_slice(struct anybpf_run *run)
{
    uint64_t taken = run->budget < ANYBPF_SLICE ? run->budget : ANYBPF_SLICE;

    run->budget -= taken;
    run->slice += (int64_t)taken;
}

void anybpf_heat(struct anybpf_run *run, const struct anybpf_program *program)
{
    struct anybpf_program *heated = (struct anybpf_program *)(uintptr_t)program;

    atomic_fetch_add_explicit(&heated->heat, (uint32_t)(run->interpreted / ANYBPF_SLICE),
                              memory_order_relaxed);
    run->interpreted %= ANYBPF_SLICE;
}

bool anybpf_next_slice(struct anybpf_run *run)
{
    if (atomic_load_explicit(&run->stop_now, memory_order_relaxed)) {
        anybpf_stop_run(run, ANYBPF_STOPPED);
        return false;
    }
    while (run->slice < 0 && run->budget > 0)
        take_slice(run);
    if (run->slice < 0) {
        anybpf_stop_run(run, ANYBPF_OUT_OF_BUDGET);
        return false;
    }
    if (run->deadline != 0 && anybpf_clock_ns(ANYBPF_MONOTONIC) >= run->deadline) {
        anybpf_stop_run(run, ANYBPF_OUT_OF_TIME);
        return false;
    }
    if (run->on_slice != NULL)
        run->on_slice(run);
    return true;
}

/* Running. */

/* NULL: that function is not compiled. */
static anybpf_helper native_function(const struct anybpf_program *program, uint32_t slot)
{
    const struct anybpf_native_functions *functions =
        atomic_load_explicit(&program->native_functions, memory_order_acquire);
    uint32_t low = 0, high = functions == NULL ? 0 : functions->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (functions->item[middle].slot == slot)
            return functions->item[middle].function;
        if (functions->item[middle].slot < slot)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* What a call of a compiled function spends: the code itself does so in long loops alone. */
#define CALL_COST 16

static uint64_t call_function(struct anybpf_run *run, uint64_t function, uint64_t r1, uint64_t r2,
                              uint64_t r3, uint64_t r4, uint64_t r5)
{
    const struct anybpf_program *program = run->program;
    int64_t slot = anybpf_function_slot(program, function);
    anybpf_helper native;
    uint64_t result;

    if (run->stop.end != ANYBPF_ENDED)
        return 0;
    if (slot < 0) {
        anybpf_stop_run(run, ANYBPF_BAD_CALL);
        return 0;
    }
    if (run->frames == ANYBPF_FRAMES) {
        anybpf_stop_run(run, ANYBPF_TOO_DEEP);
        return 0;
    }
    run->frames++;
    set_stack(run);
    native = run->trace == NULL ? native_function(program, (uint32_t)slot) : NULL;
    result = native != NULL
                 ? native(r1, r2, r3, r4, r5, run)
                 : anybpf_interpret(run, program, (uint32_t)slot, r1, r2, r3, r4, r5);
    if (run->stop.end != ANYBPF_ENDED)
        return 0;
    if (native != NULL)
        run->slice -= CALL_COST;
    run->frames--;
    set_stack(run);
    run->program = program;
    if (run->slice < 0)
        anybpf_next_slice(run);
    return result;
}

void anybpf_run_init(struct anybpf_run *run, struct anybpf_domain *domain, uint32_t seat)
{
    memset(run, 0, offsetof(struct anybpf_run, stack));
    run->domain = domain;
    run->seat = seat;
    run->budget = UINT64_MAX;
    run->packet_fields[0] = run->packet_fields[1] = run->packet_fields[2] = -1;
    run->call = call_function;
    anybpf_random_bytes(&run->random, sizeof(run->random));
    forget_areas(run, atomic_load(&domain->areas_version));
    set_entry_stack(run);
}

/* A program that was stopped may have left frames, what helpers took for callbacks, and records that
 * nobody will submit. */
static void clear_away(struct anybpf_run *run, const struct anybpf_program *first)
{
    anybpf_rings_abandon(first->maps, first->map_count, run->seat);
    if (run->program != first)
        anybpf_rings_abandon(run->program->maps, run->program->map_count, run->seat);
    run->scratch_used = 0;
    anybpf_set_region(run, ANYBPF_SCRATCH_REGION, NULL, 0, false);
    set_entry_stack(run);
}

/* A program threw, and names a function for that case: it is given the cookie, in the frame where the
 * program began, and its result is the run's. */
static uint64_t handle_thrown(struct anybpf_run *run)
{
    const struct anybpf_program *program = run->program;
    uint64_t result;

    run->next_program = NULL;
    run->frames = 1;
    run->stop.end = ANYBPF_ENDED;
    result = anybpf_interpret(run, program, program->handler, run->stop.value, 0, 0, 0, 0);
    if (run->held_map != NULL)
        anybpf_release_held(run);
    if (run->stop.end != ANYBPF_ENDED)
        clear_away(run, program);
    return result;
}

uint64_t anybpf_end_run(struct anybpf_run *run, const struct anybpf_program *first,
                        uint64_t result)
{
    if (run->held_map != NULL)
        anybpf_release_held(run);
    if (run->stop.end == ANYBPF_ENDED)
        return result;
    clear_away(run, first);
    if (run->stop.end == ANYBPF_THROWN && run->program->handler != 0)
        return handle_thrown(run);
    return result;
}

uint64_t anybpf_run_counted(struct anybpf_run *run, const struct anybpf_program *program,
                            anybpf_native native, uint64_t r1, uint64_t r2)
{
    struct anybpf_program *counted = (struct anybpf_program *)(uintptr_t)program;
    uint64_t start = anybpf_clock_ns(ANYBPF_MONOTONIC);
    uint64_t result = anybpf_run_next(run, program, native, r1, r2);
    uint64_t time = anybpf_clock_ns(ANYBPF_MONOTONIC) - start;

    atomic_fetch_add_explicit(&counted->runs, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&counted->run_ns, time, memory_order_relaxed);
    return result;
}

bool anybpf_between_runs(struct anybpf_run *run, const struct anybpf_program *program, bool look)
{
    uint64_t version = atomic_load_explicit(&run->domain->areas_version, memory_order_acquire);
    bool stopped = atomic_load_explicit(&run->stop_now, memory_order_relaxed);

    if (__builtin_expect(version != run->areas_version, 0))
        forget_areas(run, version);
    while (run->slice <= 0 && run->budget > 0)
        take_slice(run);
    if (__builtin_expect(!stopped && !look, 1))
        return true;
    run->program = program;
    run->stop.end = ANYBPF_ENDED;
    if (anybpf_next_slice(run) && run->stop.end == ANYBPF_ENDED)
        return true;
    run->stop.pc = 0;
    return false;
}

uint64_t anybpf_run_program(struct anybpf_run *run, const struct anybpf_program *program,
                            uint64_t r1, uint64_t r2)
{
    anybpf_native native = anybpf_native_of(program);
    uint64_t budget = run->budget;
    uint64_t left;
    uint64_t result;

    if (run->trace != NULL)
        native = NULL;
    anybpf_give_budget(run, run->budget);
    if (!anybpf_between_runs(run, program, false)) {
        result = 0;
    } else if (__builtin_expect(atomic_load_explicit(&program->counts, memory_order_relaxed), 0)) {
        result = anybpf_run_counted(run, program, native, r1, r2);
    } else {
        result = anybpf_run_next(run, program, native, r1, r2);
    }
    left = anybpf_budget_left(run);
    if (native == NULL)
        anybpf_warm(run, program, budget - left);
    run->budget = left;
    run->slice = 0;
    return result;
}
