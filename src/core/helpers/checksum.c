/* Helpers for the internet checksum (RFC 1071), over memory and in packets.
 *
 * Linux: csum_diff returns sixteen bits, folded, or -EINVAL for sizes that are no multiple of four;
 * l3_ and l4_csum_replace return 0, -EINVAL or -EFAULT. Windows: csum_diff returns the sum as it is,
 * -EINVAL as on Linux, also for a sum that no longer fits into 31 bits.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "helpers.h"

#include <string.h>

static uint32_t add(uint32_t a, uint32_t b)
{
    uint32_t sum = a + b;

    return sum + (sum < a);
}

static uint16_t fold(uint32_t sum)
{
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

/* The sum of 32-bit words, begun with another, which decides between the two zeroes of one's
 * complement as the kernel's does. The words can be read. */
static uint32_t partial(struct anybpf_run *run, uint64_t from, uint32_t size, uint32_t seed)
{
    uint64_t piece[32];
    uint64_t sum = seed;
    uint32_t done;
    uint32_t i;

    for (done = 0; done < size; done += (uint32_t)sizeof(piece)) {
        uint32_t now = size - done < sizeof(piece) ? size - done : (uint32_t)sizeof(piece);

        memset(piece, 0, sizeof(piece)); /* half a word at the end is as good as a whole */
        anybpf_fetch(run, piece, from + done, now);
        for (i = 0; i < (now + 7) / 8; i++) {
            sum += piece[i];
            sum += sum < piece[i];
        }
    }
    return add((uint32_t)sum, (uint32_t)(sum >> 32));
}

/* Windows: 16-bit words, or their complements. */
static uint64_t sum_words(struct anybpf_run *run, uint64_t from, uint32_t size, bool complement)
{
    uint16_t piece[128];
    uint64_t sum = 0;
    uint32_t done;
    uint32_t i;

    for (done = 0; done < size; done += (uint32_t)sizeof(piece)) {
        uint32_t now = size - done < sizeof(piece) ? size - done : (uint32_t)sizeof(piece);

        anybpf_fetch(run, piece, from + done, now);
        for (i = 0; i < now / 2; i++)
            sum += complement ? (uint16_t)~piece[i] : piece[i];
    }
    return sum;
}

ANYBPF_HELPER(csum_diff)
{
    uint32_t from_size = r1 == 0 ? 0 : (uint32_t)r2;
    uint32_t to_size = r3 == 0 ? 0 : (uint32_t)r4;
    uint32_t seed = (uint32_t)r5;
    uint64_t sum;

    if ((((uint32_t)r2 | (uint32_t)r4) & 3) != 0)
        return linux_error(LINUX_EINVAL);
    if (!anybpf_readable(run, r1, from_size) || !anybpf_readable(run, r3, to_size))
        return linux_error(behaves_as_windows(run) ? LINUX_EINVAL : LINUX_EFAULT);
    if (behaves_as_windows(run)) {
        sum = seed + sum_words(run, r3, to_size, false) + sum_words(run, r1, from_size, true);
        return sum > INT32_MAX ? linux_error(LINUX_EINVAL) : sum;
    }
    if (from_size != 0 && to_size != 0)
        return fold(add(partial(run, r3, to_size, seed), ~partial(run, r1, from_size, 0)));
    if (to_size != 0)
        return fold(partial(run, r3, to_size, seed));
    if (from_size != 0)
        return fold(~partial(run, r1, from_size, ~seed));
    return fold(seed);
}

/* The checksum of a packet, at a place that must be even and inside. */
static uint8_t *checksum_at(struct anybpf_run *run, uint64_t context, uint32_t offset)
{
    if (!is_context(run, context) || offset > 0xffff || (offset & 1) != 0 ||
        run->packet.read_only)
        return NULL;
    return packet_bytes(run, offset, 2);
}

/* The kernel's order of sums: it decides between the two zeroes of one's complement. */
static uint16_t replaced(uint16_t checksum, uint32_t from, uint32_t to)
{
    return (uint16_t)~fold(add(add(~(uint32_t)checksum, ~from), to));
}

static uint16_t add16(uint16_t a, uint16_t b)
{
    uint16_t sum = (uint16_t)(a + b);

    return (uint16_t)(sum + (sum < a));
}

/* By the size of the field in the low bits of the flags: none means that `to` is a difference. */
static int replace(uint8_t *where, uint64_t size, uint32_t from, uint32_t to, bool in_16_bits)
{
    uint16_t checksum;

    memcpy(&checksum, where, sizeof(checksum));
    switch (size) {
    case 0:
        if (from != 0)
            return -LINUX_EINVAL;
        checksum = (uint16_t)~fold(add(to, ~(uint32_t)checksum));
        break;
    case 2:
        from &= 0xffff;
        to &= 0xffff;
        if (in_16_bits) {
            checksum = add16((uint16_t)~checksum, (uint16_t)~from);
            checksum = (uint16_t)~add16(checksum, (uint16_t)to);
        } else {
            checksum = replaced(checksum, from, to);
        }
        break;
    case 4:
        checksum = replaced(checksum, from, to);
        break;
    default:
        return -LINUX_EINVAL;
    }
    memcpy(where, &checksum, sizeof(checksum));
    return 0;
}

#define FIELD_SIZE 0xfu
#define PSEUDO_HEADER 0x10u
#define MARK_MANGLED_0 0x20u
#define MARK_ENFORCE 0x40u
#define IS_IPV6 0x80u

ANYBPF_HELPER(l3_csum_replace)
{
    uint8_t *where = checksum_at(run, r1, (uint32_t)r2);

    if ((r5 & ~(uint64_t)FIELD_SIZE) != 0)
        return linux_error(LINUX_EINVAL);
    if (where == NULL)
        return linux_error(LINUX_EFAULT);
    return (uint64_t)(int64_t)replace(where, r5, (uint32_t)r3, (uint32_t)r4, true);
}

/* Whether a pseudo header changed matters only to checksums that hardware is to complete, of which
 * there are none here. */
ANYBPF_HELPER(l4_csum_replace)
{
    uint64_t known = FIELD_SIZE | PSEUDO_HEADER | MARK_MANGLED_0 | MARK_ENFORCE | IS_IPV6;
    uint8_t *where = checksum_at(run, r1, (uint32_t)r2);
    uint16_t checksum;
    int problem;

    if ((r5 & ~known) != 0)
        return linux_error(LINUX_EINVAL);
    if (where == NULL)
        return linux_error(LINUX_EFAULT);
    memcpy(&checksum, where, sizeof(checksum));
    if ((r5 & MARK_MANGLED_0) != 0 && (r5 & MARK_ENFORCE) == 0 && checksum == 0)
        return 0; /* UDP without a checksum stays so */
    problem = replace(where, r5 & FIELD_SIZE, (uint32_t)r3, (uint32_t)r4, false);
    if (problem != 0)
        return linux_error(-problem);
    memcpy(&checksum, where, sizeof(checksum));
    if ((r5 & MARK_MANGLED_0) != 0 && checksum == 0)
        memset(where, 0xff, sizeof(checksum));
    return 0;
}

/* No packet here comes with a sum that hardware has made: as the kernel answers for those. */
ANYBPF_HELPER(csum_update)
{
    UNUSED5(r1, r2, r3, r4, r5);
    (void)run;
    return linux_error(LINUX_ENOTSUPP);
}

ANYBPF_HELPER(csum_level)
{
    UNUSED4(r1, r3, r4, r5);
    (void)run;
    if (r2 > 3)
        return linux_error(LINUX_EINVAL);
    return r2 == 0 ? linux_error(LINUX_EACCES) : 0; /* 0: asks for the level, which there is not */
}

const struct anybpf_helper_row anybpf_checksum_helpers[] = {
    {"csum_diff", csum_diff},
    {"l3_csum_replace", l3_csum_replace},
    {"l4_csum_replace", l4_csum_replace},
    {"csum_update", csum_update},
    {"csum_level", csum_level},
    {NULL, NULL},
};
