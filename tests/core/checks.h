/* What the C tests ask: a condition that must hold, or the test ends and says which did not.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#ifndef ANYBPF_TESTS_CHECKS_H
#define ANYBPF_TESTS_CHECKS_H

#include <stdio.h>
#include <stdlib.h>

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

#endif
