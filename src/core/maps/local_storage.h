/* Local storage: a value for each owner. Owners are numbers that mean something to the hook alone;
 * sockets, tasks, inodes and cgroups are all the same here.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#ifndef ANYBPF_LOCAL_STORAGE_H
#define ANYBPF_LOCAL_STORAGE_H

#include "../map.h"

/* The owner's value; NULL: it has none, or with `create` that there is no room or no owner (0). A
 * new value is a copy of `init`, or zero if that is NULL; two that create at once get the same. The
 * caller is seated. */
void *anybpf_storage_get(struct anybpf_map *map, uint64_t owner, bool create, const void *init);
int anybpf_storage_delete(struct anybpf_map *map, uint64_t owner);

#endif
