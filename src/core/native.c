/* Functions of the run time for compiled code: see native.h.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "native.h"

#include "interpreter.h"
#include "maps/arena.h"

#include <stddef.h>
#include <string.h>

#define COLD __attribute__((cold, noinline))

/* Ends. */

static uint64_t result_of_stop(struct anybpf_run *run, uint32_t slot)
{
    if (run->stop.pc == ANYBPF_NO_PC) {
        run->stop.program = run->program->object.id;
        run->stop.pc = slot;
    }
    return run->stop.end == ANYBPF_THROWN ? run->stop.value : 0;
}

COLD uint64_t anybpf_native_stopped(struct anybpf_run *run, uint32_t slot)
{
    return result_of_stop(run, slot);
}

COLD uint64_t anybpf_native_fault(struct anybpf_run *run, uint32_t slot, uint64_t address,
                                  uint32_t size, uint32_t write)
{
    bool read_only = write != 0 && anybpf_readable(run, address, size);

    anybpf_stop_run(run, read_only ? ANYBPF_READ_ONLY : ANYBPF_OUT_OF_BOUNDS);
    run->stop.address = address;
    run->stop.size = size;
    run->stop.write = write != 0;
    return result_of_stop(run, slot);
}

COLD uint64_t anybpf_native_misaligned(struct anybpf_run *run, uint32_t slot, uint64_t address,
                                       uint32_t size)
{
    anybpf_stop_run(run, ANYBPF_MISALIGNED);
    run->stop.address = address;
    run->stop.size = size;
    return result_of_stop(run, slot);
}

COLD uint64_t anybpf_native_bad(struct anybpf_run *run, uint32_t slot)
{
    anybpf_stop_run(run, ANYBPF_BAD_CALL);
    return result_of_stop(run, slot);
}

/* On the way. */

uint32_t anybpf_native_check(struct anybpf_run *run, uint64_t address, uint32_t size,
                             uint32_t write)
{
    return anybpf_find_region(run, address, size, write != 0) >= 0;
}

COLD uint32_t anybpf_native_spend(struct anybpf_run *run)
{
    return anybpf_next_slice(run);
}

/* Interpreted functions and helpers count frames so, too. */
static void set_frames(struct anybpf_run *run, uint32_t frames)
{
    run->frames = frames;
    anybpf_set_region(run, ANYBPF_STACK_REGION,
                      run->stack + (ANYBPF_FRAMES - frames) * ANYBPF_FRAME_BYTES,
                      (uint64_t)frames * ANYBPF_FRAME_BYTES, true);
}

uint32_t anybpf_native_enter(struct anybpf_run *run)
{
    if (run->frames == ANYBPF_FRAMES) {
        anybpf_stop_run(run, ANYBPF_TOO_DEEP);
        return 0;
    }
    set_frames(run, run->frames + 1);
    return 1;
}

void anybpf_native_leave(struct anybpf_run *run)
{
    set_frames(run, run->frames - 1);
}

uint64_t anybpf_native_next(void *r1, struct anybpf_run *run, uint64_t r2)
{
    const struct anybpf_program *program = run->next_program;
    anybpf_native native = atomic_load_explicit(&program->native, memory_order_acquire);

    (void)r1;
    (void)r2;
    run->next_program = NULL;
    run->program = program;
    run->slice--; /* chains of programs spend, too */
    if (run->slice < 0 && !anybpf_next_slice(run))
        return result_of_stop(run, 0);
    if (native != NULL)
        return native(run->context, run, 0);
    return anybpf_interpret(run, program, 0, (uint64_t)(uintptr_t)run->context, 0, 0, 0, 0);
}

uint64_t anybpf_native_next_inside(struct anybpf_run *run)
{
    const struct anybpf_program *program = run->program;
    uint64_t result = anybpf_native_next(NULL, run, 0);

    if (run->stop.end == ANYBPF_ENDED)
        run->program = program;
    return result;
}

uint64_t anybpf_native_call(struct anybpf_run *run, uint64_t function, uint64_t r1, uint64_t r2,
                            uint64_t r3, uint64_t r4, uint64_t r5)
{
    const struct anybpf_program *program = run->program;

    if (function < program->helper_count && program->helpers[function] != NULL) {
        run->calling = (uint32_t)function;
        return program->helpers[function](r1, r2, r3, r4, r5, run);
    }
    return run->call(run, function, r1, r2, r3, r4, r5);
}

uint32_t anybpf_native_packet(struct anybpf_run *run, uint32_t place, uint32_t size,
                              uint64_t *value)
{
    return anybpf_packet_load(run, place, size, value);
}

uint64_t anybpf_native_cast(struct anybpf_run *run, uint64_t value, uint32_t to_user)
{
    const struct anybpf_program *program = run->program;

    for (uint32_t i = 0; i < program->map_count; i++) /* a program has one arena */
        if (program->maps[i]->shape.kind == ANYBPF_ARENA)
            return to_user != 0 ? anybpf_arena_pointer(program->maps[i], value)
                                : anybpf_arena_address(program->maps[i], value);
    return (uint32_t)value;
}

/* Maps. */

uint64_t anybpf_native_update(struct anybpf_run *run, struct anybpf_map *map, const void *key,
                              const void *value, uint64_t flags)
{
    if (map->direct.update == NULL)
        return anybpf_result(run, ANYBPF_NOT_SUPPORTED);
    if ((flags & ANYBPF_WITH_LOCK) != 0 && run->held_map != NULL)
        return anybpf_result(run, ANYBPF_BUSY); /* it would wait for itself */
    return anybpf_result(run, map->direct.update(map, key, value, flags, run->seat));
}

uint64_t anybpf_native_delete(struct anybpf_run *run, struct anybpf_map *map, const void *key)
{
    if (map->direct.erase == NULL)
        return anybpf_result(run, ANYBPF_NOT_SUPPORTED);
    return anybpf_result(run, map->direct.erase(map, key, run->seat));
}

/* By name. */

#define SYMBOL(name) {#name, (anybpf_any_function)name}
static const struct {
    const char *name;
    anybpf_any_function function;
} symbols[] = {
    SYMBOL(anybpf_native_stopped),
    SYMBOL(anybpf_native_fault),
    SYMBOL(anybpf_native_misaligned),
    SYMBOL(anybpf_native_bad),
    SYMBOL(anybpf_native_check),
    SYMBOL(anybpf_native_spend),
    SYMBOL(anybpf_native_enter),
    SYMBOL(anybpf_native_leave),
    SYMBOL(anybpf_native_next),
    SYMBOL(anybpf_native_next_inside),
    SYMBOL(anybpf_native_call),
    SYMBOL(anybpf_native_packet),
    SYMBOL(anybpf_native_cast),
    SYMBOL(anybpf_native_update),
    SYMBOL(anybpf_native_delete),
    /* Compilers call these four wherever they see fit. */
    SYMBOL(memcpy),
    SYMBOL(memmove),
    SYMBOL(memset),
    SYMBOL(memcmp),
};

anybpf_any_function anybpf_native_symbol(const char *name)
{
    for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++)
        if (strcmp(symbols[i].name, name) == 0)
            return symbols[i].function;
    return NULL;
}
