/* Helpers and kernel functions on dynptrs.
 *
 * Linux: -EINVAL (empty, read only, flags), -E2BIG (outside), -ERANGE (adjust).
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "dynptr.h"
#include "packet.h"

#include <string.h>

static uint32_t size_of(const struct anybpf_dynptr *dynptr)
{
    return dynptr->size & DYNPTR_MOST;
}

static bool is_packet(const struct anybpf_dynptr *dynptr)
{
    uint32_t type = dynptr->size & DYNPTR_TYPE;

    return type == DYNPTR_SKB || type == DYNPTR_XDP;
}

/* Reads a dynptr; false if it is empty or cannot be read. */
static bool take(struct anybpf_run *run, struct anybpf_dynptr *dynptr, uint64_t address)
{
    return anybpf_fetch(run, dynptr, address, sizeof(*dynptr)) && dynptr->data != 0;
}

static bool reaches(const struct anybpf_dynptr *dynptr, uint64_t offset, uint64_t size)
{
    uint64_t all = size_of(dynptr);

    return size <= all && offset <= all - size;
}

/* The address of some of what it points to; 0 if that is not (or no more) there. */
static uint64_t address_of(struct anybpf_run *run, const struct anybpf_dynptr *dynptr,
                           uint64_t offset, uint64_t size)
{
    uint64_t from = dynptr->offset + offset;

    if (is_packet(dynptr))
        return (uint64_t)(uintptr_t)packet_bytes(run, from, size);
    return dynptr->data + from;
}

static uint64_t make(struct anybpf_run *run, uint64_t where, uint64_t data, uint64_t size,
                     uint32_t bits, uint64_t flags)
{
    struct anybpf_dynptr dynptr = {0};
    uint64_t result = 0;

    if (!anybpf_writable(run, where, sizeof(dynptr)))
        return linux_error(LINUX_EFAULT);
    if (size > DYNPTR_MOST)
        result = linux_error(LINUX_E2BIG);
    else if (flags != 0)
        result = linux_error(LINUX_EINVAL);
    else
        dynptr = (struct anybpf_dynptr){data, (uint32_t)size | bits, 0};
    anybpf_put(run, where, &dynptr, sizeof(dynptr));
    return result;
}

ANYBPF_HELPER(dynptr_from_mem)
{
    uint32_t size = (uint32_t)r2;

    UNUSED1(r5);
    if (!anybpf_writable(run, r1, size))
        return linux_error(LINUX_EFAULT);
    return make(run, r4, r1, size, DYNPTR_LOCAL, r3);
}

static uint64_t from_packet(struct anybpf_run *run, uint64_t context, uint64_t flags,
                            uint64_t where, uint32_t type)
{
    if (!is_context(run, context))
        return linux_error(LINUX_EINVAL);
    if (run->packet.read_only)
        type |= DYNPTR_READ_ONLY;
    return make(run, where, context, packet_length(run), type, flags);
}

ANYBPF_HELPER(dynptr_from_skb)
{
    UNUSED2(r4, r5);
    return from_packet(run, r1, r2, r3, DYNPTR_SKB);
}

ANYBPF_HELPER(dynptr_from_xdp)
{
    UNUSED2(r4, r5);
    return from_packet(run, r1, r2, r3, DYNPTR_XDP);
}

ANYBPF_HELPER(dynptr_read)
{
    struct anybpf_dynptr dynptr;
    uint64_t from;
    uint32_t size = (uint32_t)r2;

    if (!take(run, &dynptr, r3) || r5 != 0)
        return linux_error(LINUX_EINVAL);
    if (!reaches(&dynptr, (uint32_t)r4, size))
        return linux_error(LINUX_E2BIG);
    from = address_of(run, &dynptr, (uint32_t)r4, size);
    if (!anybpf_readable(run, from, size) || !anybpf_writable(run, r1, size))
        return linux_error(LINUX_EFAULT);
    anybpf_move(run, r1, from, size);
    return 0;
}

ANYBPF_HELPER(dynptr_write)
{
    struct anybpf_dynptr dynptr;
    uint64_t to;
    uint32_t size = (uint32_t)r4;

    if (!take(run, &dynptr, r1) || (dynptr.size & DYNPTR_READ_ONLY) != 0)
        return linux_error(LINUX_EINVAL);
    if (!reaches(&dynptr, (uint32_t)r2, size))
        return linux_error(LINUX_E2BIG);
    /* Checksum and hash flags of skb_store_bytes. */
    if (r5 != 0 && ((dynptr.size & DYNPTR_TYPE) != DYNPTR_SKB || (r5 & ~UINT64_C(3)) != 0))
        return linux_error(LINUX_EINVAL);
    to = address_of(run, &dynptr, (uint32_t)r2, size);
    if (!anybpf_writable(run, to, size) || !anybpf_readable(run, r3, size))
        return linux_error(LINUX_EFAULT);
    anybpf_move(run, to, r3, size);
    return 0;
}

/* Not into packets, whose bytes may move. */
ANYBPF_HELPER(dynptr_data)
{
    struct anybpf_dynptr dynptr;

    UNUSED2(r4, r5);
    if (!take(run, &dynptr, r1) || is_packet(&dynptr) || (dynptr.size & DYNPTR_READ_ONLY) != 0 ||
        !reaches(&dynptr, (uint32_t)r2, (uint32_t)r3))
        return 0;
    return address_of(run, &dynptr, (uint32_t)r2, (uint32_t)r3);
}

/* What is in one piece already is not copied to the program's buffer, and everything is. */
ANYBPF_HELPER(dynptr_slice)
{
    struct anybpf_dynptr dynptr;

    UNUSED2(r3, r5);
    if (!take(run, &dynptr, r1) || !reaches(&dynptr, (uint32_t)r2, (uint32_t)r4))
        return 0;
    return address_of(run, &dynptr, (uint32_t)r2, (uint32_t)r4);
}

ANYBPF_HELPER(dynptr_slice_rdwr)
{
    struct anybpf_dynptr dynptr;

    if (!take(run, &dynptr, r1) || (dynptr.size & DYNPTR_READ_ONLY) != 0)
        return 0;
    return dynptr_slice(r1, r2, r3, r4, r5, run);
}

ANYBPF_HELPER(dynptr_adjust)
{
    struct anybpf_dynptr dynptr;
    uint32_t start = (uint32_t)r2;
    uint32_t end = (uint32_t)r3;

    UNUSED2(r4, r5);
    if (!take(run, &dynptr, r1) || start > end)
        return linux_error(LINUX_EINVAL);
    if (end > size_of(&dynptr))
        return linux_error(LINUX_ERANGE);
    dynptr.offset += start;
    dynptr.size = (dynptr.size & ~DYNPTR_MOST) | (end - start);
    return anybpf_put(run, r1, &dynptr, sizeof(dynptr)) ? 0 : linux_error(LINUX_EFAULT);
}

ANYBPF_HELPER(dynptr_is_null)
{
    struct anybpf_dynptr dynptr;

    UNUSED4(r2, r3, r4, r5);
    return !take(run, &dynptr, r1);
}

ANYBPF_HELPER(dynptr_is_rdonly)
{
    struct anybpf_dynptr dynptr;

    UNUSED4(r2, r3, r4, r5);
    return take(run, &dynptr, r1) && (dynptr.size & DYNPTR_READ_ONLY) != 0;
}

ANYBPF_HELPER(dynptr_size)
{
    struct anybpf_dynptr dynptr;

    UNUSED4(r2, r3, r4, r5);
    return take(run, &dynptr, r1) ? size_of(&dynptr) : (uint32_t)-LINUX_EINVAL;
}

ANYBPF_HELPER(dynptr_clone)
{
    struct anybpf_dynptr dynptr;
    uint64_t result = 0;

    UNUSED3(r3, r4, r5);
    if (!take(run, &dynptr, r1)) {
        memset(&dynptr, 0, sizeof(dynptr));
        result = linux_error(LINUX_EINVAL);
    }
    return anybpf_put(run, r2, &dynptr, sizeof(dynptr)) ? result : linux_error(LINUX_EFAULT);
}

ANYBPF_HELPER(dynptr_copy)
{
    struct anybpf_dynptr to;
    struct anybpf_dynptr from;
    uint64_t source;
    uint64_t target;
    uint32_t size = (uint32_t)r5;

    if (!take(run, &to, r1) || !take(run, &from, r3) || (to.size & DYNPTR_READ_ONLY) != 0)
        return linux_error(LINUX_EINVAL);
    if (!reaches(&to, (uint32_t)r2, size) || !reaches(&from, (uint32_t)r4, size))
        return linux_error(LINUX_E2BIG);
    target = address_of(run, &to, (uint32_t)r2, size);
    source = address_of(run, &from, (uint32_t)r4, size);
    if (!anybpf_writable(run, target, size) || !anybpf_readable(run, source, size))
        return linux_error(LINUX_EFAULT);
    anybpf_move(run, target, source, size);
    return 0;
}

ANYBPF_HELPER(dynptr_memset)
{
    struct anybpf_dynptr dynptr;
    uint8_t piece[256];
    uint64_t to;
    uint32_t size = (uint32_t)r3;
    uint32_t done;

    UNUSED1(r5);
    if (!take(run, &dynptr, r1) || (dynptr.size & DYNPTR_READ_ONLY) != 0)
        return linux_error(LINUX_EINVAL);
    if (!reaches(&dynptr, (uint32_t)r2, size))
        return linux_error(LINUX_E2BIG);
    to = address_of(run, &dynptr, (uint32_t)r2, size);
    if (!anybpf_writable(run, to, size))
        return linux_error(LINUX_EFAULT);
    memset(piece, (uint8_t)r4, sizeof(piece));
    for (done = 0; done < size; done += (uint32_t)sizeof(piece))
        anybpf_put(run, to + done, piece,
                   size - done < sizeof(piece) ? size - done : sizeof(piece));
    return 0;
}

const struct anybpf_helper_row anybpf_dynptr_helpers[] = {
    {"dynptr_from_mem", dynptr_from_mem},
    {"dynptr_from_skb", dynptr_from_skb},
    {"dynptr_from_xdp", dynptr_from_xdp},
    {"dynptr_read", dynptr_read},
    {"dynptr_write", dynptr_write},
    {"dynptr_data", dynptr_data},
    {"dynptr_slice", dynptr_slice},
    {"dynptr_slice_rdwr", dynptr_slice_rdwr},
    {"dynptr_adjust", dynptr_adjust},
    {"dynptr_is_null", dynptr_is_null},
    {"dynptr_is_rdonly", dynptr_is_rdonly},
    {"dynptr_size", dynptr_size},
    {"dynptr_clone", dynptr_clone},
    {"dynptr_copy", dynptr_copy},
    {"dynptr_memset", dynptr_memset},
    {NULL, NULL},
};
