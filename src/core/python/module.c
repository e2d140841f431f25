/* The C core's face in Python, `anybpf._core`. Only this file knows Python.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "../anybpf.h"

typedef struct anybpf_verdict (*check_function)(const uint8_t *, size_t, bool);

/* Borrows the bytes for the length of the call; returns None or a new (fault, slot). */
static PyObject *run_check(PyObject *args, PyObject *kwargs, const char *format,
                           check_function check)
{
    static char *names[] = {"code", "big_endian", NULL};
    Py_buffer code;
    int big_endian = 0;
    struct anybpf_verdict verdict;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, format, names, &code, &big_endian))
        return NULL;
    verdict = check(code.buf, (size_t)code.len, big_endian != 0);
    PyBuffer_Release(&code);
    if (verdict.fault == ANYBPF_LEGAL)
        Py_RETURN_NONE;
    return Py_BuildValue("(in)", (int)verdict.fault, (Py_ssize_t)verdict.slot);
}

static PyObject *check_instructions(PyObject *self, PyObject *args, PyObject *kwargs)
{
    (void)self;
    return run_check(args, kwargs, "y*|p:check_instructions", anybpf_check_instructions);
}

static PyObject *check_program(PyObject *self, PyObject *args, PyObject *kwargs)
{
    (void)self;
    return run_check(args, kwargs, "y*|p:check_program", anybpf_check_program);
}

/* Through void *, because the method table's type is that of functions without keywords. */
#define WITH_KEYWORDS(function) ((PyCFunction)(void *)(function))

static PyMethodDef methods[] = {
    {"check_instructions", WITH_KEYWORDS(check_instructions), METH_VARARGS | METH_KEYWORDS,
     "check_instructions(code, big_endian=False)\n--\n\n"
     "None if every instruction is legal by itself, else (fault, slot)."},
    {"check_program", WITH_KEYWORDS(check_program), METH_VARARGS | METH_KEYWORDS,
     "check_program(code, big_endian=False)\n--\n\n"
     "None if, besides, all jumps and local calls land well, else (fault, slot)."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "anybpf._core",
    .m_doc = "The C core: what must run at native speed.",
    .m_size = 0,
    .m_methods = methods,
};

PyMODINIT_FUNC PyInit__core(void);

PyMODINIT_FUNC PyInit__core(void)
{
    return PyModuleDef_Init(&definition);
}
