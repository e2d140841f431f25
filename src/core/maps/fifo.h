/* What queues and stacks share: a ring of values, and one word that says which of them are there.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#ifndef ANYBPF_FIFO_H
#define ANYBPF_FIFO_H

#include "../map.h"

int anybpf_fifo_measure(const struct anybpf_domain *domain, const struct anybpf_shape *shape,
                        size_t *size, size_t *reserve);
int anybpf_fifo_open(struct anybpf_map *map);
uint64_t anybpf_fifo_count(struct anybpf_map *map);
bool anybpf_fifo_check(struct anybpf_map *map, char *why, size_t why_size);

int anybpf_fifo_push(struct anybpf_map *map, const void *value, uint64_t flags);
/* The newest or the oldest; copied, and taken away if `remove`. */
int anybpf_fifo_get(struct anybpf_map *map, void *value, bool newest, bool remove);

/* Without a key: a push, and the kind's own peek and pop. */
int anybpf_fifo_read(struct anybpf_map *map, const void *key, void *value, uint64_t flags);
int anybpf_fifo_write(struct anybpf_map *map, const void *key, const void *value, uint64_t flags);
int anybpf_fifo_take(struct anybpf_map *map, const void *key, void *value);

#endif
