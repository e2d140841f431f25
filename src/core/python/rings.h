/* What the Python faces of rings share.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#ifndef ANYBPF_PYTHON_RINGS_H
#define ANYBPF_PYTHON_RINGS_H

#include "faces.h"

/* Of the types in the module's ring_types. */
enum { CONSUMER_TYPE, LEASE_TYPE, PRODUCER_TYPE, RESERVATION_TYPE };

#define ANYBPF_LEAST_SCRATCH 256u
#define ANYBPF_MOST_BATCH 65536u

struct consumer {
    PyObject_HEAD
    PyObject *face;         /* the Map, strong; NULL: nothing is held */
    struct anybpf_map *map; /* held */
    bool closed;
    bool has_descriptor;
    uint32_t flushes;
    Py_ssize_t uses;    /* waits and leases under way */
    Py_ssize_t exports; /* of the leased ring's memory */
    /* The lease, if there is one. */
    bool leased;
    bool lease_lives; /* its object does */
    uint32_t lease_ring;
    uint32_t lease_records;
    uint64_t lease_position;
    /* Scratch. */
    struct anybpf_record *records;
    size_t capacity;
    uint8_t *copies; /* of rings that overwrite */
};

/* When it is closed and nobody is inside: gives back what it has of the map. */
void anybpf_consumer_let_go(struct consumer *self);
/* The map, if it may be read now; NULL with an exception. */
struct anybpf_map *anybpf_consumer_open(struct consumer *self);
/* Scratch for so many records; false with an exception. */
bool anybpf_consumer_have_room(struct consumer *self, size_t records);
/* Arguments (most, ring=0); false with an exception. */
bool anybpf_consumer_parse(struct consumer *self, PyObject *const *args, Py_ssize_t count,
                           uint32_t limit, uint32_t *most, uint32_t *ring);
/* After reading: whether its descriptor is readable. */
void anybpf_consumer_settle(struct consumer *self);

/* leases.c */
PyObject *anybpf_consumer_lease(PyObject *object, PyObject *const *args, Py_ssize_t arguments);
int anybpf_consumer_get_buffer(PyObject *object, Py_buffer *view, int flags);
void anybpf_consumer_release_buffer(PyObject *object, Py_buffer *view);
int anybpf_add_ring_leases(PyObject *module);

/* The map if it has rings; NULL with an exception. `type` is one of the module's. */
struct anybpf_map *anybpf_ring_map_of(PyTypeObject *type, PyObject *face);

/* `index`: in the module's ring_types. 0, or -1 with an exception. */
int anybpf_add_ring_type(PyObject *module, PyType_Spec *spec, size_t index);
int anybpf_add_ring_producers(PyObject *module); /* producers.c */

#endif
