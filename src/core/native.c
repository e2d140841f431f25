/* Functions of the run time by name: see native.h.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "native.h"

#include <stddef.h>
#include <string.h>

static const struct {
    const char *name;
    anybpf_any_function function;
} symbols[] = {
    /* Compilers call these four wherever they see fit. */
    {"memcpy", (anybpf_any_function)memcpy},
    {"memmove", (anybpf_any_function)memmove},
    {"memset", (anybpf_any_function)memset},
    {"memcmp", (anybpf_any_function)memcmp},
};

anybpf_any_function anybpf_native_symbol(const char *name)
{
    for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++)
        if (strcmp(symbols[i].name, name) == 0)
            return symbols[i].function;
    return NULL;
}
