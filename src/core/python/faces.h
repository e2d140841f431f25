/* What the Python faces of the core share with each other: their objects, and the module's state.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#ifndef ANYBPF_FACES_H
#define ANYBPF_FACES_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "../anybpf.h"

/* The GIL guards the fields of all objects. Calls into the core that may take long are made without
 * it: with a seat taken while it was still held, so that nothing is released under them. */

struct anybpf_domain_face {
    PyObject_HEAD
    struct anybpf_domain *domain; /* owned; NULL before __init__ */
    struct anybpf_domain_face *next; /* all of them, for forks */
    struct anybpf_domain_face **link;
    PyObject *weak;
};

/* How Python objects become keys and values: `set_codec`. */
enum anybpf_codec {
    ANYBPF_CODEC_BYTES,
    ANYBPF_CODEC_OBJECT, /* by the object's own methods */
    ANYBPF_CODEC_UNSIGNED,
    ANYBPF_CODEC_SIGNED
};

struct anybpf_map_face {
    PyObject_HEAD
    struct anybpf_map *map; /* owned unless `base` does; NULL before __init__ and after close */
    struct anybpf_map_face *base; /* strong, held: another face of the map, which owns it; or NULL */
    struct anybpf_map *held; /* after close, as long as `uses` is not 0 */
    struct anybpf_domain_face *domain; /* strong */
    enum anybpf_codec key_codec;
    enum anybpf_codec value_codec;
    bool is_plain;   /* integers on both sides, one value an entry */
    uint64_t *words; /* a plain array's values, each in a word, that the user may read; or NULL */
    Py_ssize_t exports; /* views and leases that point into the memory: it cannot be closed */
    Py_ssize_t writable_exports;
    Py_ssize_t uses; /* programs and maps that refer to it: closing waits for them */
    Py_ssize_t view_shape[2];
    Py_ssize_t view_strides[2];
    PyObject *weak;
};

struct anybpf_module {
    PyTypeObject *domain_type;
    PyTypeObject *map_type;
    PyTypeObject *program_type;
    PyTypeObject *helper_type;
    PyTypeObject *log_type;
    PyTypeObject *timers_type;
    PyTypeObject *routes_type;
    PyTypeObject *code_type;
    PyTypeObject *ring_types[4];
    struct anybpf_domain_face *domains;
};

struct anybpf_module *anybpf_module_state(PyObject *module);
/* Of the module that `object`'s type, or a base of it, was made by. NULL with an exception. */
struct anybpf_module *anybpf_state_of(PyObject *object);

/* NULL with a TypeError or, if it is closed, a ValueError. */
struct anybpf_domain *anybpf_domain_of(struct anybpf_module *module, PyObject *object);
struct anybpf_map *anybpf_map_of(struct anybpf_module *module, PyObject *object);
/* Whoever keeps the C pointer of a map holds it, besides a reference to the object. */
void anybpf_map_hold(PyObject *object);
void anybpf_map_drop(PyObject *object);

/* Calls object._fail(what, status, key), which raises. NULL, always. */
PyObject *anybpf_fail(PyObject *object, const char *what, int status, PyObject *key);
#define ANYBPF_CLOSED (-1) /* a status for _fail only */

/* What the files of Map share. */

/* The map, or NULL after _fail. */
struct anybpf_map *anybpf_open_map(PyObject *self);
/* Whether the user may (ANYBPF_OK) read or change the map. */
int anybpf_may_read(const struct anybpf_map *map);
int anybpf_may_write(const struct anybpf_map *map);
/* The same operations as in the kind's table, seated and with the user's rights. */
int anybpf_user_read(struct anybpf_map *map, const void *key, void *value, uint64_t flags);
int anybpf_user_write(struct anybpf_map *map, const void *key, const void *value, uint64_t flags);
int anybpf_user_erase(struct anybpf_map *map, const void *key);
static inline bool anybpf_is_absent(int status)
{
    return status == ANYBPF_MISSING || status == ANYBPF_MISSING_KEY ||
           status == ANYBPF_MISSING_PREFIX;
}
extern PyMethodDef anybpf_map_operations[]; /* operations.c */
extern PyMethodDef anybpf_map_batches[];    /* batches.c */
extern PyMethodDef anybpf_map_arenas[];     /* arenas.c */

/* subscript.c */
PyObject *anybpf_map_subscript(PyObject *self, PyObject *key);
int anybpf_map_assign(PyObject *self, PyObject *key, PyObject *value);
int anybpf_map_contains(PyObject *self, PyObject *key);
PyObject *anybpf_map_get(PyObject *self, PyObject *const *args, Py_ssize_t count);
PyObject *anybpf_map_set_codec(PyObject *self, PyObject *const *args, Py_ssize_t count);

/* Each adds its types and functions to the module: 0, or -1 with an exception. */
int anybpf_add_domain(PyObject *module);
int anybpf_add_map(PyObject *module);
int anybpf_add_rings(PyObject *module); /* rings.c */
int anybpf_add_program(PyObject *module);
int anybpf_add_helpers(PyObject *module); /* helpers.c */
int anybpf_add_hosts(PyObject *module);   /* hosts.c */

/* helpers.c. What stands in a program for a helper that is a Python callable: takes the GIL, calls
 * run->program->helper_data[run->calling], and keeps an exception in run->raised. */
uint64_t anybpf_call_python_helper(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5,
                                   struct anybpf_run *run);

#endif
