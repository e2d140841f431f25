/* What Program has from code.c, and the module from it and from layout.c.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#ifndef ANYBPF_CODES_H
#define ANYBPF_CODES_H

#include "programs.h"

PyObject *anybpf_program_attach_code(PyObject *program, PyObject *args);
PyObject *anybpf_program_detach_code(PyObject *program, PyObject *unused);
PyObject *anybpf_program_symbol(PyObject *program, PyObject *name);
PyObject *anybpf_program_compiled(PyObject *program, void *unused);

/* 0, or -1 with an exception. */
int anybpf_add_code(PyObject *module);
int anybpf_add_layout(PyObject *module); /* LAYOUT */

#endif
