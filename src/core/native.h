/* What compiled code calls by name: functions of the run time, found when its object is linked.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#ifndef ANYBPF_NATIVE_H
#define ANYBPF_NATIVE_H

/* Counts up with every change of what compiled code relies on: these functions, the fields in
 * `_core.LAYOUT`, names of symbols, and how entries are called. Part of what names a cached object. */
#define ANYBPF_NATIVE_ABI 1u

/* To be cast to the function's own type. */
typedef void (*anybpf_any_function)(void);

/* NULL: there is none of that name. */
anybpf_any_function anybpf_native_symbol(const char *name);

#endif
