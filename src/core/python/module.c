/* The C core's face in Python, `anybpf._core`. Only the files in this folder know Python.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "codes.h"

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

/* Names, so that Python need not repeat the numbers. */

static const char *const status_names[ANYBPF_STATUSES] = {
    "OK", "MISSING", "MISSING_KEY", "MISSING_PREFIX", "EXISTS", "ALWAYS_THERE", "CANNOT_DELETE",
    "NO_MORE_KEYS", "FULL", "EMPTY", "QUEUE_FULL", "BAD_INDEX", "BAD_KEY", "BAD_VALUE",
    "BAD_FLAGS", "BAD_SIZE", "BAD_OBJECT", "NO_OBJECT", "NO_MEMORY", "NO_SPACE", "TOO_BIG",
    "NOT_SUPPORTED", "DENIED", "BUSY", "NO_OWNER", "DAMAGED", "NO_MORE_CALLS", "NO_DATA",
    "BAD_ARGUMENT", "OUT_OF_RANGE", "NO_PERMISSION", "NAME_TOO_LONG", "NO_DEVICE", "CANNOT_SEND",
    "PREFIXES_FULL",
};

static const struct {
    const char *name;
    int bit;
} flag_names[] = {
    {"GROWS", ANYBPF_GROWS},
    {"DELETE_ZEROES", ANYBPF_DELETE_ZEROES},
    {"PROGRAM_READS_ONLY", ANYBPF_PROGRAM_READS_ONLY},
    {"PROGRAM_WRITES_ONLY", ANYBPF_PROGRAM_WRITES_ONLY},
    {"USER_READS_ONLY", ANYBPF_USER_READS_ONLY},
    {"USER_WRITES_ONLY", ANYBPF_USER_WRITES_ONLY},
    {"LRU_PER_CPU", ANYBPF_LRU_PER_CPU},
    {"DROPS_OLDEST", ANYBPF_DROPS_OLDEST},
    {"KEYED", ANYBPF_KEYED},
    {"RECENCY_BY_USER", ANYBPF_RECENCY_BY_USER},
    {"INNER_SIZE_FREE", ANYBPF_INNER_SIZE_FREE},
    {"OVERWRITES", ANYBPF_OVERWRITES},
    {"NEEDS_READER", ANYBPF_NEEDS_READER},
    {"INNER_SIZE_FREE", ANYBPF_INNER_SIZE_FREE},
};

/* Steals `value`. */
static int add_object(PyObject *module, const char *name, PyObject *value)
{
    int result = value == NULL ? -1 : PyModule_AddObjectRef(module, name, value);

    Py_XDECREF(value);
    return result;
}

static PyObject *statuses(void)
{
    PyObject *names = PyTuple_New(ANYBPF_STATUSES);
    Py_ssize_t i;

    for (i = 0; names != NULL && i < ANYBPF_STATUSES; i++) {
        PyObject *name = PyUnicode_FromString(status_names[i] == NULL ? "?" : status_names[i]);

        if (name == NULL) {
            Py_CLEAR(names);
            break;
        }
        PyTuple_SET_ITEM(names, i, name);
    }
    return names;
}

static PyObject *kinds(void)
{
    PyObject *names = PyList_New(0);
    PyObject *result;
    uint32_t kind;

    for (kind = 1; names != NULL && kind < ANYBPF_KINDS; kind++) {
        const struct anybpf_map_ops *ops = anybpf_kind_ops(kind);
        PyObject *name = ops == NULL ? NULL : PyUnicode_FromString(ops->name);

        if (ops == NULL)
            continue;
        if (name == NULL || PyList_Append(names, name) != 0)
            Py_CLEAR(names);
        Py_XDECREF(name);
    }
    result = names == NULL ? NULL : PyList_AsTuple(names);
    Py_XDECREF(names);
    return result;
}

static PyObject *map_flags(void)
{
    PyObject *flags = PyDict_New();
    size_t i;

    for (i = 0; flags != NULL && i < sizeof(flag_names) / sizeof(flag_names[0]); i++) {
        PyObject *bit = PyLong_FromLong(flag_names[i].bit);

        if (bit == NULL || PyDict_SetItemString(flags, flag_names[i].name, bit) != 0)
            Py_CLEAR(flags);
        Py_XDECREF(bit);
    }
    return flags;
}

static int execute(PyObject *module)
{
    if (anybpf_add_domain(module) != 0 || anybpf_add_map(module) != 0 ||
        anybpf_add_rings(module) != 0 ||
        anybpf_add_program(module) != 0 || anybpf_add_code(module) != 0 ||
        anybpf_add_helpers(module) != 0 ||
        anybpf_add_hosts(module) != 0)
        return -1;
    if (add_object(module, "STATUSES", statuses()) != 0 ||
        add_object(module, "KINDS", kinds()) != 0 ||
        add_object(module, "MAP_FLAGS", map_flags()) != 0)
        return -1;
    return 0;
}

static int traverse(PyObject *module, visitproc visit, void *arg)
{
    struct anybpf_module *state = anybpf_module_state(module);
    size_t i;

    Py_VISIT(state->domain_type);
    Py_VISIT(state->map_type);
    Py_VISIT(state->program_type);
    Py_VISIT(state->helper_type);
    Py_VISIT(state->log_type);
    Py_VISIT(state->timers_type);
    Py_VISIT(state->routes_type);
    Py_VISIT(state->code_type);
    for (i = 0; i < sizeof(state->ring_types) / sizeof(state->ring_types[0]); i++)
        Py_VISIT(state->ring_types[i]);
    return 0;
}

static int clear(PyObject *module)
{
    struct anybpf_module *state = anybpf_module_state(module);
    size_t i;

    Py_CLEAR(state->domain_type);
    Py_CLEAR(state->map_type);
    Py_CLEAR(state->program_type);
    Py_CLEAR(state->helper_type);
    Py_CLEAR(state->log_type);
    Py_CLEAR(state->timers_type);
    Py_CLEAR(state->routes_type);
    Py_CLEAR(state->code_type);
    for (i = 0; i < sizeof(state->ring_types) / sizeof(state->ring_types[0]); i++)
        Py_CLEAR(state->ring_types[i]);
    return 0;
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, execute},
    {0, NULL},
};

static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "anybpf._core",
    .m_doc = "The C core: what must run at native speed.",
    .m_size = sizeof(struct anybpf_module),
    .m_methods = methods,
    .m_slots = slots,
    .m_traverse = traverse,
    .m_clear = clear,
};

struct anybpf_module *anybpf_module_state(PyObject *module)
{
    return PyModule_GetState(module);
}

struct anybpf_module *anybpf_state_of(PyObject *object)
{
    PyObject *module = PyType_GetModuleByDef(Py_TYPE(object), &definition);

    return module == NULL ? NULL : PyModule_GetState(module);
}

PyMODINIT_FUNC PyInit__core(void);

PyMODINIT_FUNC PyInit__core(void)
{
    return PyModuleDef_Init(&definition);
}
