/* What the families of helpers share: how they look at a program's memory and at its maps.
 *
 * A helper assumes that the program lies. A pointer is looked at before it is followed, a map by
 * whether the program was given it, a length as the 32 bits that the prototype has.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#ifndef ANYBPF_HELPERS_H
#define ANYBPF_HELPERS_H

#include "../run.h"

/* A family's table ends with a row without a name. Names are those of the platforms' tables without
 * "bpf_". */
struct anybpf_helper_row {
    const char *name;
    anybpf_helper function;
};

#define ANYBPF_HELPER(name)                                                                        \
    static uint64_t name(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5,          \
                         struct anybpf_run *run)

/* For arguments that a helper does not have. */
#define UNUSED1(a) ((void)(a))
#define UNUSED2(a, b) ((void)(a), (void)(b))
#define UNUSED3(a, b, c) ((void)(a), (void)(b), (void)(c))
#define UNUSED4(a, b, c, d) (UNUSED2(a, b), UNUSED2(c, d))
#define UNUSED5(a, b, c, d, e) (UNUSED2(a, b), UNUSED3(c, d, e))

/* Numbers that helpers of Linux return, whatever machine this is. Linux UAPI asm-generic/errno.h. */
enum {
    LINUX_EPERM = 1,
    LINUX_ENOENT = 2,
    LINUX_E2BIG = 7,
    LINUX_EAGAIN = 11,
    LINUX_ENOMEM = 12,
    LINUX_EACCES = 13,
    LINUX_EFAULT = 14,
    LINUX_EBUSY = 16,
    LINUX_EEXIST = 17,
    LINUX_ENODEV = 19,
    LINUX_EINVAL = 22,
    LINUX_ENOSPC = 28,
    LINUX_ERANGE = 34,
    LINUX_EDEADLK = 35,
    LINUX_EOPNOTSUPP = 95,
    LINUX_EAFNOSUPPORT = 97,
    LINUX_ETIMEDOUT = 110,
    LINUX_ENOTSUPP = 524
};

static inline uint64_t linux_error(int number)
{
    return (uint64_t)(int64_t)-number;
}

static inline bool behaves_as_windows(const struct anybpf_run *run)
{
    return (run->program->behaviour & ANYBPF_BEHAVES_WINDOWS) != 0;
}

/* A pointer that was looked at. */
static inline void *at(uint64_t address)
{
    return (void *)(uintptr_t)address;
}

/* The program's memory. Others may write to it meanwhile where it is a map's value. All are false,
 * with nothing changed, if the program may not touch all of it. */
bool anybpf_fetch(struct anybpf_run *run, void *to, uint64_t from, size_t size);
bool anybpf_put(struct anybpf_run *run, uint64_t to, const void *from, size_t size);
bool anybpf_clear(struct anybpf_run *run, uint64_t to, size_t size);
/* Bytes of the program that stay as they are while a map looks at them: where they lie, if only this
 * thread writes there, else a copy. A map reads a key more than once, and believes that it is one. */
struct anybpf_bytes {
    void *start;
    void *heap;
    uint64_t small[8];
};
/* False if the program may not read them, or there is no memory. */
bool anybpf_hold_bytes(struct anybpf_run *run, struct anybpf_bytes *bytes, uint64_t from,
                       size_t size);
void anybpf_let_go_of_bytes(struct anybpf_bytes *bytes);
/* From program memory to program memory; they may overlap. The caller has checked both. */
void anybpf_move(struct anybpf_run *run, uint64_t to, uint64_t from, size_t size);
/* Copies a string of the program, up to and with its zero, at most `size` bytes. The number of
 * bytes, without a zero among them if it is `size`; or -1 if some cannot be read. */
int64_t anybpf_fetch_string(struct anybpf_run *run, char *to, uint64_t from, size_t size);

/* The map that an argument is, or NULL: one the program was given, or that a look-up gave it. */
struct anybpf_map *anybpf_map_argument(struct anybpf_run *run, uint64_t address);

/* Only one of the program's own maps, as it mostly is; else NULL. */
static inline struct anybpf_map *anybpf_own_map(const struct anybpf_run *run, uint64_t address)
{
    const struct anybpf_program *program = run->program;
    uint32_t i;

    for (i = 0; i < program->map_count; i++)
        if ((uint64_t)(uintptr_t)program->maps[i] == address)
            return program->maps[i];
    return NULL;
}
/* Says that a look-up gave the program this map. */
void anybpf_map_found(struct anybpf_run *run, const struct anybpf_map *map);
/* The map, known to the program, whose values an address is among; NULL: none. */
struct anybpf_map *anybpf_map_of_value(struct anybpf_run *run, uint64_t address);

/* Whether an argument is the run's context. */
static inline bool is_context(const struct anybpf_run *run, uint64_t address)
{
    return run->context != NULL && address == (uint64_t)(uintptr_t)run->context;
}

/* A field of the context; 0 if it has none there. The context's bytes are the run's own. */
uint32_t anybpf_context_u32(const struct anybpf_run *run, size_t offset);
void anybpf_set_context_u32(struct anybpf_run *run, size_t offset, uint32_t value);

/* Memory that callbacks may touch while they run: zeroed, 8-aligned, taken and given back like a
 * stack. NULL if there is not so much. */
void *anybpf_scratch_take(struct anybpf_run *run, size_t size);
void anybpf_scratch_give(struct anybpf_run *run, void *taken);

/* The packet's bytes from its data on; NULL if it does not have these. */
static inline uint8_t *packet_bytes(const struct anybpf_run *run, uint64_t offset, uint64_t size)
{
    uint64_t length = (uint64_t)(run->packet.data_end - run->packet.data);

    if (run->packet.data == NULL || offset > length || size > length - offset)
        return NULL;
    return run->packet.data + offset;
}

static inline uint64_t packet_length(const struct anybpf_run *run)
{
    return run->packet.data == NULL ? 0 : (uint64_t)(run->packet.data_end - run->packet.data);
}

/* The row of a number, counted through all families; NULL: there are not so many. */
const struct anybpf_helper_row *anybpf_helper_row(size_t index);

/* The families. */
extern const struct anybpf_helper_row anybpf_map_helpers[];
extern const struct anybpf_helper_row anybpf_storage_helpers[];
extern const struct anybpf_helper_row anybpf_time_helpers[];
extern const struct anybpf_helper_row anybpf_random_helpers[];
extern const struct anybpf_helper_row anybpf_memory_helpers[];
extern const struct anybpf_helper_row anybpf_string_helpers[];
extern const struct anybpf_helper_row anybpf_print_helpers[];
extern const struct anybpf_helper_row anybpf_checksum_helpers[];
extern const struct anybpf_helper_row anybpf_xdp_helpers[];
extern const struct anybpf_helper_row anybpf_skb_helpers[];
extern const struct anybpf_helper_row anybpf_redirect_helpers[];
extern const struct anybpf_helper_row anybpf_ring_helpers[];
extern const struct anybpf_helper_row anybpf_dynptr_helpers[];
extern const struct anybpf_helper_row anybpf_loop_helpers[];
extern const struct anybpf_helper_row anybpf_timer_helpers[];
extern const struct anybpf_helper_row anybpf_lock_helpers[];
extern const struct anybpf_helper_row anybpf_process_helpers[];
extern const struct anybpf_helper_row anybpf_lookup_helpers[];
extern const struct anybpf_helper_row anybpf_tail_helpers[];
extern const struct anybpf_helper_row anybpf_windows_helpers[];
extern const struct anybpf_helper_row anybpf_sample_helpers[];

#endif
