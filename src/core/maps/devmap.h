/* Where redirects go: interfaces, processors and sockets by index or key. Who delivers is the
 * hook's business.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#ifndef ANYBPF_DEVMAP_H
#define ANYBPF_DEVMAP_H

#include "../map.h"

/* Copies the entry, of `*size` bytes (4 or 8), to `target`, the rest of which is zero.
 * ANYBPF_MISSING: there is none; ANYBPF_NOT_SUPPORTED: this is no such map. */
int anybpf_redirect_target(struct anybpf_map *map, uint32_t key, uint8_t target[8],
                           uint32_t *size);

#endif
