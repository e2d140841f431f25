/* What the Python faces of rings share.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#ifndef ANYBPF_PYTHON_RINGS_H
#define ANYBPF_PYTHON_RINGS_H

#include "faces.h"

/* The map if it has rings; NULL with an exception. `type` is one of the module's. */
struct anybpf_map *anybpf_ring_map_of(PyTypeObject *type, PyObject *face);

/* `index`: in the module's ring_types. 0, or -1 with an exception. */
int anybpf_add_ring_type(PyObject *module, PyType_Spec *spec, size_t index);
int anybpf_add_ring_producers(PyObject *module); /* producers.c */

#endif
