/* The C core: maps, helpers and the interpreter. All of it, for those who want all.
 *
 * The core keeps no state outside the objects below; every function says who owns what it takes and
 * returns. It does not know Python: the files in python/ do.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#ifndef ANYBPF_H
#define ANYBPF_H

#include "code.h"   /* instructions */
#include "system.h" /* memory, clocks, waiting */
#include "domain.h" /* threads and processes that share maps */
#include "map.h"    /* maps */
#include "ring.h"   /* records from programs to users and back */
#include "run.h"    /* programs and runs */

#endif
