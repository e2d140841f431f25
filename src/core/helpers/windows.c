/* Helpers that only eBPF for Windows has: memory and strings with sizes.
 *
 * They return the C library's numbers: 0 or an errno, -EINVAL where the helper itself refuses. Memory
 * that is not the program's is -EINVAL too.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "helpers.h"

#include <string.h>

#define TRUNCATED UINT64_C(0xffffffff80000005) /* STATUS_BUFFER_OVERFLOW, as an int */
#define INVALID UINT64_C(0xffffffffc000000d)   /* STATUS_INVALID_PARAMETER */

ANYBPF_HELPER(memmove_s)
{
    UNUSED1(r5);
    if (r4 > r2 || !anybpf_writable(run, r1, r2) || !anybpf_readable(run, r3, r4))
        return linux_error(LINUX_EINVAL);
    anybpf_move(run, r1, r3, (size_t)r4);
    return 0;
}

/* The shorter one is less if it is where the longer begins. */
ANYBPF_HELPER(memcmp_s)
{
    uint8_t first[128];
    uint8_t second[128];
    uint64_t size = r2 < r4 ? r2 : r4;
    uint64_t done;

    UNUSED1(r5);
    if (!anybpf_readable(run, r1, r2) || !anybpf_readable(run, r3, r4))
        return linux_error(LINUX_EINVAL);
    for (done = 0; done < size; done += sizeof(first)) {
        size_t now = size - done < sizeof(first) ? (size_t)(size - done) : sizeof(first);
        int order;

        anybpf_fetch(run, first, r1 + done, now);
        anybpf_fetch(run, second, r3 + done, now);
        order = memcmp(first, second, now);
        if (order != 0)
            return order < 0 ? (uint64_t)-1 : 1;
    }
    if (r2 == r4)
        return 0;
    return r2 < r4 ? (uint64_t)-1 : 1;
}

/* Returns the memory's address, as the function of C does. */
ANYBPF_HELPER(do_memset)
{
    uint8_t piece[256];
    uint64_t done;

    UNUSED2(r4, r5);
    if (!anybpf_writable(run, r1, r2))
        return 0;
    memset(piece, (uint8_t)r3, sizeof(piece));
    for (done = 0; done < r2; done += sizeof(piece))
        anybpf_put(run, r1 + done, piece,
                   r2 - done < sizeof(piece) ? (size_t)(r2 - done) : sizeof(piece));
    return r1;
}

/* Bytes before the zero, at most `size`. */
static uint64_t length_of(struct anybpf_run *run, uint64_t address, uint64_t size)
{
    char piece[128];
    uint64_t done;

    for (done = 0; done < size; done += sizeof(piece)) {
        size_t now = size - done < sizeof(piece) ? (size_t)(size - done) : sizeof(piece);
        const char *end;

        if (!anybpf_fetch(run, piece, address + done, now))
            return done;
        end = memchr(piece, 0, now);
        if (end != NULL)
            return done + (uint64_t)(end - piece);
    }
    return size;
}

ANYBPF_HELPER(strnlen_s)
{
    UNUSED3(r3, r4, r5);
    return anybpf_readable(run, r1, r2) ? length_of(run, r1, r2) : 0;
}

/* What fits is copied, with a zero behind it; the rest of the destination is zeroed. */
static uint64_t copy_string(struct anybpf_run *run, uint64_t to, uint64_t room, uint64_t from,
                            uint64_t length)
{
    uint64_t copied = length < room ? length : room - 1;

    anybpf_move(run, to, from, (size_t)copied);
    anybpf_clear(run, to + copied, (size_t)(room - copied));
    return copied < length ? TRUNCATED : 0;
}

ANYBPF_HELPER(strncpy_s)
{
    UNUSED1(r5);
    if (r2 == 0 || r2 > INT32_MAX || !anybpf_writable(run, r1, r2) || !anybpf_readable(run, r3, r4))
        return INVALID;
    return copy_string(run, r1, r2, r3, length_of(run, r3, r4));
}

ANYBPF_HELPER(strncat_s)
{
    uint64_t used;

    UNUSED1(r5);
    if (r2 == 0 || r2 > INT32_MAX || !anybpf_writable(run, r1, r2) || !anybpf_readable(run, r3, r4))
        return INVALID;
    used = length_of(run, r1, r2);
    if (used == r2)
        return INVALID; /* the destination is no string */
    return copy_string(run, r1 + used, r2 - used, r3, length_of(run, r3, r4));
}

const struct anybpf_helper_row anybpf_windows_helpers[] = {
    {"memcpy_s", memmove_s},
    {"memmove_s", memmove_s},
    {"memcmp_s", memcmp_s},
    {"memset", do_memset},
    {"strncpy_s", strncpy_s},
    {"strncat_s", strncat_s},
    {"strnlen_s", strnlen_s},
    {NULL, NULL},
};
