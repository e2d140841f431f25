/* Helpers that read memory wherever a pointer leads: here, only what the program may touch anyhow.
 *
 * Linux: what cannot be read is -EFAULT, and the destination is zeroed. User's and kernel's memory
 * are the same here: the program's.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "helpers.h"

ANYBPF_HELPER(probe_read)
{
    uint32_t size = (uint32_t)r2;

    UNUSED2(r4, r5);
    if (!anybpf_writable(run, r1, size))
        return linux_error(LINUX_EFAULT);
    if (!anybpf_readable(run, r3, size)) {
        anybpf_clear(run, r1, size);
        return linux_error(LINUX_EFAULT);
    }
    anybpf_move(run, r1, r3, size);
    return 0;
}

/* How many bytes from an address on can be read, zero included, at most `size`. */
static int64_t string_bytes(struct anybpf_run *run, uint64_t from, uint32_t size)
{
    char piece[256];
    uint32_t done = 0;

    while (done < size) {
        uint32_t now = size - done < sizeof(piece) ? size - done : (uint32_t)sizeof(piece);
        int64_t found = anybpf_fetch_string(run, piece, from + done, now);

        if (found < 0)
            return -1;
        done += (uint32_t)found;
        if (piece[found - 1] == 0)
            break;
    }
    return done;
}

/* The number of bytes with the zero, which is put in the last byte if there is no room for all. */
ANYBPF_HELPER(probe_read_str)
{
    uint32_t size = (uint32_t)r2;
    int64_t length;

    UNUSED2(r4, r5);
    if (size == 0)
        return 0;
    if (!anybpf_writable(run, r1, size))
        return linux_error(LINUX_EFAULT);
    length = string_bytes(run, r3, size);
    if (length < 0) {
        anybpf_clear(run, r1, size);
        return linux_error(LINUX_EFAULT);
    }
    anybpf_move(run, r1, r3, (size_t)length);
    anybpf_put(run, r1 + (uint64_t)length - 1, "", 1);
    return (uint64_t)length;
}

/* Kernel function, with flags: 1 fills the rest with zeroes. */
ANYBPF_HELPER(copy_from_user_str)
{
    uint64_t length;

    UNUSED1(r5);
    if ((r4 & ~UINT64_C(1)) != 0)
        return linux_error(LINUX_EINVAL);
    length = probe_read_str(r1, r2, r3, 0, 0, run);
    if ((int64_t)length > 0 && (r4 & 1) != 0)
        anybpf_clear(run, r1 + length, (uint32_t)r2 - length);
    return length;
}

const struct anybpf_helper_row anybpf_memory_helpers[] = {
    {"probe_read", probe_read},
    {"probe_read_kernel", probe_read},
    {"probe_read_user", probe_read},
    {"copy_from_user", probe_read},
    {"probe_read_str", probe_read_str},
    {"probe_read_kernel_str", probe_read_str},
    {"probe_read_user_str", probe_read_str},
    {"copy_from_user_str", copy_from_user_str},
    {NULL, NULL},
};
