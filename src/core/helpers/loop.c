/* Helpers that call the program back, and iterators.
 *
 * Linux: the number of calls made, -EINVAL for flags, -E2BIG for more than 2^23 turns. Each turn is
 * paid for by the callback's instructions.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "helpers.h"

#define MOST_TURNS (UINT32_C(1) << 23) /* BPF_MAX_LOOPS */

ANYBPF_HELPER(loop)
{
    uint32_t turns = (uint32_t)r1;
    uint32_t i;

    UNUSED1(r5);
    if (r4 != 0)
        return linux_error(LINUX_EINVAL);
    if (turns > MOST_TURNS)
        return linux_error(LINUX_E2BIG);
    for (i = 0; i < turns; i++) {
        uint64_t stop = run->call(run, r2, i, r3, 0, 0, 0);

        if (run->stop.end != ANYBPF_ENDED)
            return 0;
        if (stop != 0)
            return i + 1;
    }
    return i;
}

struct walk {
    struct anybpf_run *run;
    struct anybpf_map *map;
    void *key; /* in scratch: what the map gives is not the program's to read */
    uint64_t callback;
    uint64_t context;
};

static int visit(void *arg, const void *key, void *value)
{
    struct walk *walk = arg;
    struct anybpf_run *run = walk->run;
    uint64_t stop;

    anybpf_copy_from_shared(walk->key, key, walk->map->shape.key_size);
    stop = run->call(run, walk->callback, (uint64_t)(uintptr_t)walk->map,
                     (uint64_t)(uintptr_t)walk->key, (uint64_t)(uintptr_t)value, walk->context, 0);
    return stop != 0 || run->stop.end != ANYBPF_ENDED;
}

ANYBPF_HELPER(for_each_map_elem)
{
    struct walk walk = {.run = run, .callback = r2, .context = r3};
    uint64_t calls;

    UNUSED1(r5);
    walk.map = anybpf_map_argument(run, r1);
    if (r4 != 0 || walk.map == NULL || walk.map->ops->each == NULL)
        return linux_error(LINUX_EINVAL);
    walk.key = anybpf_scratch_take(run, walk.map->shape.key_size);
    if (walk.key == NULL)
        return linux_error(LINUX_E2BIG);
    calls = walk.map->ops->each(walk.map, run->seat, visit, &walk);
    anybpf_scratch_give(run, walk.key);
    return calls;
}

/* Iterators lie on the program's stack, as the kernel lays them out; whoever forges one counts
 * differently, and no further than its budget. */

struct numbers {
    int32_t current; /* before the next */
    int32_t end;
};

ANYBPF_HELPER(iter_num_new)
{
    int64_t start = (int32_t)r2;
    int64_t end = (int32_t)r3;
    struct numbers numbers = {0, 0};
    uint64_t result = 0;

    UNUSED2(r4, r5);
    if (start > end)
        result = linux_error(LINUX_EINVAL);
    else if (end - start > (int64_t)MOST_TURNS)
        result = linux_error(LINUX_E2BIG);
    else
        numbers = (struct numbers){(int32_t)((uint32_t)start - 1u), (int32_t)end};
    return anybpf_put(run, r1, &numbers, sizeof(numbers)) ? result : linux_error(LINUX_EFAULT);
}

ANYBPF_HELPER(iter_num_next)
{
    struct numbers numbers;
    uint64_t result = r1;

    UNUSED4(r2, r3, r4, r5);
    if (!anybpf_fetch(run, &numbers, r1, sizeof(numbers)))
        return 0;
    numbers.current = (int32_t)((uint32_t)numbers.current + 1u);
    if (numbers.current >= numbers.end) {
        numbers = (struct numbers){0, 0};
        result = 0;
    }
    return anybpf_put(run, r1, &numbers, sizeof(numbers)) ? result : 0;
}

ANYBPF_HELPER(iter_num_destroy)
{
    UNUSED4(r2, r3, r4, r5);
    anybpf_clear(run, r1, sizeof(struct numbers));
    return 0;
}

/* Bits that are set in some words; the words stay where they are. */
struct bits {
    uint64_t word; /* the only one, or the address of them all */
    uint32_t count;
    int32_t bit;   /* the last one found */
};
#define MOST_WORDS 511u

ANYBPF_HELPER(iter_bits_new)
{
    uint32_t words = (uint32_t)r3;
    struct bits bits = {0, 0, -1};
    uint64_t result = 0;

    UNUSED2(r4, r5);
    if (r2 == 0 || words == 0)
        result = linux_error(LINUX_EINVAL);
    else if (words > MOST_WORDS)
        result = linux_error(LINUX_E2BIG);
    else if (!anybpf_readable(run, r2, (uint64_t)words * 8))
        result = linux_error(LINUX_EFAULT);
    else
        bits.count = words * 64;
    if (bits.count == 64)
        anybpf_fetch(run, &bits.word, r2, 8);
    else
        bits.word = r2;
    return anybpf_put(run, r1, &bits, sizeof(bits)) ? result : linux_error(LINUX_EFAULT);
}

ANYBPF_HELPER(iter_bits_next)
{
    struct bits bits;
    uint64_t word;
    uint32_t next;

    UNUSED4(r2, r3, r4, r5);
    if (!anybpf_fetch(run, &bits, r1, sizeof(bits)) || bits.count > MOST_WORDS * 64)
        return 0;
    for (next = (uint32_t)bits.bit + 1u; next < bits.count; next = (next / 64 + 1) * 64) {
        word = bits.word;
        if (bits.count > 64 && !anybpf_fetch(run, &word, bits.word + next / 64 * 8, 8))
            break;
        word >>= next % 64;
        if (word != 0) {
            bits.bit = (int32_t)(next + (uint32_t)__builtin_ctzll(word));
            return anybpf_put(run, r1, &bits, sizeof(bits)) ? r1 + offsetof(struct bits, bit) : 0;
        }
    }
    bits.count = 0;
    anybpf_put(run, r1, &bits, sizeof(bits));
    return 0;
}

ANYBPF_HELPER(iter_bits_destroy)
{
    UNUSED4(r2, r3, r4, r5);
    anybpf_clear(run, r1, sizeof(struct bits));
    return 0;
}

const struct anybpf_helper_row anybpf_loop_helpers[] = {
    {"loop", loop},
    {"for_each_map_elem", for_each_map_elem},
    {"iter_num_new", iter_num_new},
    {"iter_num_next", iter_num_next},
    {"iter_num_destroy", iter_num_destroy},
    {"iter_bits_new", iter_bits_new},
    {"iter_bits_next", iter_bits_next},
    {"iter_bits_destroy", iter_bits_destroy},
    {NULL, NULL},
};
