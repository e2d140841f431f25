/* Programs: see program.h.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "program.h"
#include "interpreter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HOST_IS_BIG (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)

#define LOAD_WIDE 0x18

/* More than any system loads; and what the distances of ops can express. */
#define MOST_SLOTS (1u << 24)

static void free_program(struct anybpf_program *program)
{
    struct anybpf_native_functions *functions = atomic_load(&program->native_functions);

    while (functions != NULL) {
        struct anybpf_native_functions *older = functions->older;

        free(functions);
        functions = older;
    }
    free(program->code);
    free(program->ops);
    free(program->maps);
    free(program->helpers);
    free(program->helper_data);
    free(program);
}

struct late {
    struct anybpf_program *program;
    void (*released)(void *thing);
    void *thing;
};

static void release(void *waiting)
{
    struct late *late = waiting;

    free_program(late->program);
    if (late->released != NULL)
        late->released(late->thing);
    free(late);
}

/* A copy of `count` things of `size`; never NULL but without memory. */
static void *copy_of(const void *things, size_t count, size_t size)
{
    void *copy = calloc(count + 1, size);

    if (copy != NULL && count != 0 && things != NULL)
        memcpy(copy, things, count * size);
    return copy;
}

static struct anybpf_program *new_program(struct anybpf_domain *domain,
                                          const struct anybpf_program_spec *spec)
{
    struct anybpf_program *program = calloc(1, sizeof(*program));

    if (program == NULL)
        return NULL;
    program->object.kind = ANYBPF_OBJECT_PROGRAM;
    program->object.id = spec->id;
    program->domain = domain;
    memcpy(program->name, spec->name, strlen(spec->name));
    program->code = copy_of(spec->code, spec->size, 1);
    program->slots = (uint32_t)(spec->size / ANYBPF_SLOT_SIZE);
    program->maps = copy_of(spec->maps, spec->map_count, sizeof(struct anybpf_map *));
    program->map_count = spec->map_count;
    program->helpers = copy_of(spec->helpers, spec->helper_count, sizeof(anybpf_helper));
    program->helper_data = copy_of(spec->helper_data, spec->helper_count, sizeof(void *));
    program->helper_count = spec->helper_count;
    memcpy(program->codes, spec->codes, sizeof(program->codes));
    program->type = spec->type;
    program->context_size = spec->context_size;
    program->behaviour = spec->behaviour;
    program->compatible = spec->compatible;
    program->handler = spec->handler;
    program->owner = spec->owner;
    if (program->code == NULL || program->maps == NULL || program->helpers == NULL ||
        program->helper_data == NULL) {
        free_program(program);
        return NULL;
    }
    return program;
}

/* Whether an instruction begins at a slot: the second half of a wide one does not. */
static bool begins_at(const struct anybpf_program *program, uint32_t slot)
{
    return slot < program->slots &&
           (slot == 0 ||
            anybpf_read_slot(program->code, slot - 1, HOST_IS_BIG).opcode != LOAD_WIDE);
}

int anybpf_program_create(struct anybpf_domain *domain, const struct anybpf_program_spec *spec,
                          struct anybpf_program **out, struct anybpf_program_fault *fault)
{
    struct anybpf_verdict verdict = anybpf_check_program(spec->code, spec->size, HOST_IS_BIG);
    struct anybpf_program *program;
    uint32_t slot = 0;
    const char *problem;
    int error;

    fault->fault = verdict.fault;
    fault->slot = (uint32_t)verdict.slot;
    fault->text = NULL;
    if (verdict.fault != ANYBPF_LEGAL)
        return ANYBPF_BAD_ARGUMENT;
    if (spec->size / ANYBPF_SLOT_SIZE > MOST_SLOTS)
        return ANYBPF_TOO_BIG;
    if (strlen(spec->name) >= ANYBPF_MOST_NAME)
        return ANYBPF_NAME_TOO_LONG;
    program = new_program(domain, spec);
    if (program == NULL)
        return ANYBPF_NO_MEMORY;
    if (!begins_at(program, spec->handler)) {
        free_program(program);
        fault->slot = spec->handler;
        fault->text = "no instruction begins there, where the handler of exceptions is to be";
        return ANYBPF_BAD_ARGUMENT;
    }
    problem = anybpf_decode(program, &slot);
    if (problem != NULL) {
        free_program(program);
        fault->slot = slot;
        fault->text = problem;
        return ANYBPF_BAD_ARGUMENT;
    }
    error = anybpf_register(domain, &program->object);
    if (error != 0) {
        free_program(program);
        return error == EEXIST ? ANYBPF_EXISTS
               : error == EINVAL ? ANYBPF_BAD_SIZE : ANYBPF_NO_MEMORY;
    }
    *out = program;
    return ANYBPF_OK;
}

void anybpf_program_close(struct anybpf_program *program, void (*released)(void *thing),
                          void *thing)
{
    struct late *late = malloc(sizeof(*late));
    struct anybpf_domain *domain = program->domain;

    anybpf_unregister(domain, &program->object);
    if (late != NULL) {
        *late = (struct late){program, released, thing};
        if (anybpf_defer(domain, release, late))
            return;
    }
    anybpf_synchronize(domain, -1);
    free(late);
    free_program(program);
    if (released != NULL)
        released(thing);
}
