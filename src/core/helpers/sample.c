/* Helpers of eBPF for Windows' sample extension, which its tests are written for.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "helpers.h"

#include <string.h>

/* sample_program_context_t. */
enum { HELPER_DATA_1 = 24, HELPER_DATA_2 = 28 };
#define MOST_BYTES 4096u

ANYBPF_HELPER(function1)
{
    UNUSED5(r1, r2, r3, r4, r5);
    (void)run;
    return 0;
}

static uint64_t string_length(const char *text, uint64_t size)
{
    const char *end = memchr(text, 0, (size_t)size);

    return end == NULL ? size : (uint64_t)(end - text);
}

/* Where a string lies in another, or -1. */
ANYBPF_HELPER(find)
{
    char text[MOST_BYTES];
    char wanted[MOST_BYTES];
    uint64_t length;
    uint64_t wanted_length;
    uint64_t i;

    UNUSED1(r5);
    if (r2 > sizeof(text) || r4 > sizeof(wanted) || !anybpf_fetch(run, text, r1, (size_t)r2) ||
        !anybpf_fetch(run, wanted, r3, (size_t)r4))
        return (uint64_t)-1;
    length = string_length(text, r2);
    wanted_length = string_length(wanted, r4);
    for (i = 0; i + wanted_length <= length; i++)
        if (memcmp(text + i, wanted, (size_t)wanted_length) == 0)
            return i;
    return (uint64_t)-1;
}

/* Writes a string over another from a position on, up to either's end. */
ANYBPF_HELPER(replace)
{
    char text[MOST_BYTES];
    char over[MOST_BYTES];
    uint64_t length;
    uint64_t size;

    if (r2 > sizeof(text) || r5 > sizeof(over) || !anybpf_fetch(run, text, r1, (size_t)r2) ||
        !anybpf_fetch(run, over, r4, (size_t)r5))
        return (uint64_t)-1;
    length = string_length(text, r2);
    size = string_length(over, r5);
    if (r3 >= length)
        return (uint64_t)-1;
    if (size > length - r3)
        size = length - r3;
    return anybpf_put(run, r1 + r3, over, (size_t)size) ? 0 : (uint64_t)-1;
}

ANYBPF_HELPER(implicit_1)
{
    UNUSED5(r1, r2, r3, r4, r5);
    return anybpf_context_u32(run, HELPER_DATA_1);
}

ANYBPF_HELPER(implicit_2)
{
    UNUSED4(r2, r3, r4, r5);
    return anybpf_context_u32(run, HELPER_DATA_2) + (uint32_t)r1;
}

static void *lookup(struct anybpf_run *run, uint64_t which, uint64_t key)
{
    struct anybpf_map *map = anybpf_map_argument(run, which);

    if (map == NULL || map->ops->lookup == NULL || map->shape.kind == ANYBPF_HASH_OF_MAPS ||
        map->shape.kind == ANYBPF_ARRAY_OF_MAPS ||
        !anybpf_readable(run, key, map->shape.key_size))
        return NULL;
    return map->ops->lookup(map, at(key), run->seat);
}

ANYBPF_HELPER(map_lookup_element)
{
    UNUSED3(r3, r4, r5);
    return (uint64_t)(uintptr_t)lookup(run, r1, r2);
}

ANYBPF_HELPER(map_get_value)
{
    struct anybpf_map *map = anybpf_map_argument(run, r1);
    void *value = lookup(run, r1, r2);

    UNUSED1(r5);
    if (value == NULL || r4 < map->shape.value_size ||
        !anybpf_writable(run, r3, map->shape.value_size))
        return (uint64_t)-1;
    anybpf_move(run, r3, (uint64_t)(uintptr_t)value, map->shape.value_size);
    return 0;
}

const struct anybpf_helper_row anybpf_sample_helpers[] = {
    {"sample_ebpf_extension_helper_function1", function1},
    {"sample_ebpf_extension_find", find},
    {"sample_ebpf_extension_replace", replace},
    {"sample_ebpf_extension_helper_implicit_1", implicit_1},
    {"sample_ebpf_extension_helper_implicit_2", implicit_2},
    {"sample_ext_helper_map_lookup_element", map_lookup_element},
    {"sample_ext_helper_map_get_value", map_get_value},
    {NULL, NULL},
};
