/* What arrays of maps and arrays of programs share: slots that hold numbers of objects.
 *
 * A slot keeps nothing alive. Whoever put an object in keeps it; here an object is found by its
 * number while the caller is seated, or is not found any more.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#ifndef ANYBPF_OBJECTS_H
#define ANYBPF_OBJECTS_H

#include "../map.h"

struct anybpf_program;

/* The program at an index; NULL: none. Good while seated. The segment may be shared with a process
 * that does not keep to the rules, so the caller compares `compatible` with its own before it goes
 * there. */
const struct anybpf_program *anybpf_prog_array_get(struct anybpf_map *map, uint32_t index);

/* Whether a map is like the template of those that hold it: kind, sizes, flags, fields; and the
 * number of entries, unless `flags` (the holder's) has ANYBPF_INNER_SIZE_FREE. */
bool anybpf_inner_fits(const struct anybpf_shape *inner, uint32_t flags,
                       const struct anybpf_map *map);
/* Whether there can be a map of maps like that: it must not hold maps or programs in turn. */
bool anybpf_inner_allowed(const struct anybpf_shape *inner);
/* The map with that number, if there is one and it fits; else NULL. */
struct anybpf_map *anybpf_inner_find(const struct anybpf_map *holder,
                                     const struct anybpf_shape *inner, uint32_t id);

/* In the segment. */
struct anybpf_objects {
    struct anybpf_shape inner;   /* of maps; else zero */
    _Atomic uint64_t compatible; /* of programs, while there are any */
    _Atomic uint32_t filled;     /* slots with programs */
    _Alignas(64) _Atomic uint32_t slot[];
};

static inline struct anybpf_objects *anybpf_objects_of(const struct anybpf_map *map)
{
    return (struct anybpf_objects *)(void *)map->header->body;
}

int anybpf_objects_measure(const struct anybpf_domain *domain, const struct anybpf_shape *shape,
                           size_t *size, size_t *reserve);
bool anybpf_objects_fit(const struct anybpf_map *map);
/* The slot of a key; NULL: there is none. */
_Atomic uint32_t *anybpf_objects_slot(const struct anybpf_map *map, const void *key);
int anybpf_objects_read(struct anybpf_map *map, const void *key, void *value, uint64_t flags);
/* The next slot that holds something. */
int anybpf_objects_next(struct anybpf_map *map, const void *key, void *next);
int anybpf_objects_scan(struct anybpf_map *map, uint64_t *cursor, void *keys, void *values,
                        uint32_t *count);
uint64_t anybpf_objects_count(struct anybpf_map *map);

#endif
