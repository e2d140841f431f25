/* The formats of printk, as far as programs may use them: one engine for what prints and for what
 * writes to a buffer.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#ifndef ANYBPF_FORMAT_H
#define ANYBPF_FORMAT_H

#include "helpers.h"

#define ANYBPF_MOST_FORMAT 4096u
#define ANYBPF_MOST_FORMAT_ARGUMENTS 12u /* MAX_BPRINTF_VARARGS */

/* Writes at most `size` bytes with the zero at their end, and returns how many there would be
 * without it; or a negative errno of Linux if the format is none that programs may use. `format`
 * ends with a zero. What pointers among the arguments lead to is read as the program may. */
int64_t anybpf_format(struct anybpf_run *run, char *out, size_t size, const char *format,
                      const uint64_t *arguments, uint32_t count);

#endif
