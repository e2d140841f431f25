/* Helpers from Python: those that are built, by name, and those that are written in Python.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "../helpers/helpers.h"
#include "faces.h"

/* What a helper in Python sees of the program's memory, as long as the call lasts. */
struct memory_face {
    PyObject_HEAD
    struct anybpf_run *run; /* NULL when the call is over */
};

static struct anybpf_run *run_of(PyObject *self)
{
    struct anybpf_run *run = ((struct memory_face *)self)->run;

    if (run == NULL)
        PyErr_SetString(PyExc_ValueError, "the call that this memory belongs to is over");
    return run;
}

/* NULL with an exception, or the arguments read. */
static struct anybpf_run *take(PyObject *self, PyObject *const *args, Py_ssize_t count,
                               Py_ssize_t least, Py_ssize_t most, uint64_t *address)
{
    if (count < least || count > most) {
        PyErr_Format(PyExc_TypeError, "%zd arguments, not %zd", most, count);
        return NULL;
    }
    *address = PyLong_AsUnsignedLongLongMask(args[0]);
    if (*address == (uint64_t)-1 && PyErr_Occurred())
        return NULL;
    return run_of(self);
}

static PyObject *refuse(const char *what, uint64_t address, uint64_t size)
{
    PyErr_Format(PyExc_ValueError, "the program may not %s %llu bytes at 0x%llx", what,
                 (unsigned long long)size, (unsigned long long)address);
    return NULL;
}

static PyObject *read_memory(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    uint64_t address;
    struct anybpf_run *run = take(self, args, count, 2, 2, &address);
    Py_ssize_t size = run == NULL ? 0 : PyLong_AsSsize_t(args[1]);
    PyObject *bytes;

    if (run == NULL || (size == -1 && PyErr_Occurred()))
        return NULL;
    if (size < 0 || !anybpf_readable(run, address, (uint64_t)size))
        return refuse("read", address, (uint64_t)size);
    bytes = PyBytes_FromStringAndSize(NULL, size);
    if (bytes != NULL)
        anybpf_fetch(run, PyBytes_AS_STRING(bytes), address, (size_t)size);
    return bytes;
}

static PyObject *write_memory(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    uint64_t address;
    struct anybpf_run *run = take(self, args, count, 2, 2, &address);
    Py_buffer data;
    bool written;

    if (run == NULL || PyObject_GetBuffer(args[1], &data, PyBUF_SIMPLE) != 0)
        return NULL;
    written = anybpf_put(run, address, data.buf, (size_t)data.len);
    if (!written)
        refuse("write", address, (uint64_t)data.len);
    PyBuffer_Release(&data);
    if (!written)
        return NULL;
    Py_RETURN_NONE;
}

#define MOST_STRING 65536

static PyObject *read_string(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    uint64_t address;
    struct anybpf_run *run = take(self, args, count, 1, 2, &address);
    Py_ssize_t most = run == NULL || count < 2 ? 256 : PyLong_AsSsize_t(args[1]);
    PyObject *bytes;
    int64_t length;
    char *text;

    if (run == NULL || (most == -1 && PyErr_Occurred()))
        return NULL;
    if (most < 0 || most > MOST_STRING) {
        PyErr_SetString(PyExc_ValueError, "strings of helpers have 0 to 65536 bytes");
        return NULL;
    }
    text = PyMem_Malloc((size_t)most + 1);
    if (text == NULL)
        return PyErr_NoMemory();
    length = anybpf_fetch_string(run, text, address, (size_t)most);
    if (length > 0 && text[length - 1] == 0)
        length--;
    bytes = length < 0 ? refuse("read", address, 1) : PyBytes_FromStringAndSize(text, length);
    PyMem_Free(text);
    return bytes;
}

static PyObject *map_at(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    uint64_t address;
    struct anybpf_run *run = take(self, args, count, 1, 1, &address);
    struct anybpf_map *map;

    if (run == NULL)
        return NULL;
    map = anybpf_map_argument(run, address);
    if (map == NULL || map->owner == NULL)
        Py_RETURN_NONE;
    return Py_NewRef((PyObject *)map->owner);
}

static PyObject *cpu(PyObject *self, void *closure)
{
    struct anybpf_run *run = run_of(self);

    (void)closure;
    return run == NULL ? NULL : PyLong_FromUnsignedLong(run->seat);
}

static PyObject *program(PyObject *self, void *closure)
{
    struct anybpf_run *run = run_of(self);

    (void)closure;
    return run == NULL ? NULL : PyLong_FromUnsignedLong(run->program->object.id);
}

static PyObject *context(PyObject *self, void *closure)
{
    struct anybpf_run *run = run_of(self);

    (void)closure;
    return run == NULL ? NULL : PyLong_FromVoidPtr(run->context);
}

static PyObject *packet(PyObject *self, void *closure)
{
    struct anybpf_run *run = run_of(self);

    (void)closure;
    if (run == NULL)
        return NULL;
    if (run->packet.data == NULL)
        Py_RETURN_NONE;
    return PyBytes_FromStringAndSize((const char *)run->packet.data,
                                     run->packet.data_end - run->packet.data);
}

static void dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    type->tp_free(self);
    Py_DECREF(type);
}

#define FAST(function) ((PyCFunction)(void *)(function))

static PyMethodDef memory_methods[] = {
    {"read", FAST(read_memory), METH_FASTCALL, "read(address, size, /)\n--\n\n"},
    {"write", FAST(write_memory), METH_FASTCALL, "write(address, data, /)\n--\n\n"},
    {"string", FAST(read_string), METH_FASTCALL,
     "string(address, most=256, /)\n--\n\nThe bytes before the zero."},
    {"map", FAST(map_at), METH_FASTCALL,
     "map(address, /)\n--\n\nThe map that an argument is, or None."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef memory_fields[] = {
    {"cpu", cpu, NULL, "The processor that the program believes to be on.", NULL},
    {"program", program, NULL, "The program's number.", NULL},
    {"context", context, NULL, "The context's address.", NULL},
    {"packet", packet, NULL, "A copy of the packet, or None.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot memory_slots[] = {
    {Py_tp_dealloc, dealloc},
    {Py_tp_methods, memory_methods},
    {Py_tp_getset, memory_fields},
    {Py_tp_doc, "A program's memory, for the time that a helper is called."},
    {0, NULL},
};

static PyType_Spec memory_spec = {
    .name = "anybpf._core.Memory",
    .basicsize = sizeof(struct memory_face),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = memory_slots,
};

/* Calling. */

/* How many of the five words a function wants, and whether the memory comes first: by its code, where
 * it has some; else all. */
static bool wants(PyObject *callable, Py_ssize_t *words, bool *memory)
{
    PyObject *function = callable;
    Py_ssize_t bound = 0;
    PyCodeObject *code;
    PyObject *names;

    *words = 5;
    *memory = true;
    if (PyMethod_Check(callable)) {
        function = PyMethod_GET_FUNCTION(callable);
        bound = 1;
    }
    if (!PyFunction_Check(function))
        return true;
    code = (PyCodeObject *)PyFunction_GET_CODE(function);
    *memory = false;
    if (code->co_argcount > bound) {
        names = PyObject_GetAttrString((PyObject *)code, "co_varnames");
        if (names == NULL)
            return false;
        *memory = PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(names, bound), "memory") == 0;
        Py_DECREF(names);
    }
    if ((code->co_flags & CO_VARARGS) == 0)
        *words = code->co_argcount - bound - (*memory ? 1 : 0);
    if (*words > 5)
        *words = 5;
    return true;
}

/* A new reference, or NULL with an exception. */
static PyObject *call(PyObject *callable, PyObject *memory, const uint64_t *words)
{
    PyObject *arguments[6] = {NULL};
    PyObject *result = NULL;
    Py_ssize_t count = 0;
    Py_ssize_t wanted;
    bool with_memory;
    Py_ssize_t i;

    if (!wants(callable, &wanted, &with_memory))
        return NULL;
    if (with_memory)
        arguments[count++] = Py_NewRef(memory);
    for (i = 0; i < wanted; i++) {
        arguments[count] = PyLong_FromUnsignedLongLong(words[i]);
        if (arguments[count] == NULL)
            break;
        count++;
    }
    if (i == wanted)
        result = PyObject_Vectorcall(callable, arguments, (size_t)count, NULL);
    while (count > 0)
        Py_DECREF(arguments[--count]);
    return result;
}

/* Takes the exception that is set; the first one counts. */
static void keep_exception(struct anybpf_run *run)
{
    PyObject *type, *value, *traceback;

    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback != NULL)
        PyException_SetTraceback(value, traceback);
    Py_XDECREF(type);
    Py_XDECREF(traceback);
    if (run->raised == NULL)
        run->raised = value;
    else
        Py_XDECREF(value);
    anybpf_stop_run(run, ANYBPF_HELPER_FAILED);
}

/* The word that a result stands for: integers of any sign, None as 0. */
static bool as_word(PyObject *result, uint64_t *word)
{
    PyObject *number;

    *word = 0;
    if (result == Py_None)
        return true;
    number = PyNumber_Index(result);
    if (number == NULL)
        return false;
    *word = PyLong_AsUnsignedLongLongMask(number);
    Py_DECREF(number);
    return !PyErr_Occurred();
}

uint64_t anybpf_call_python_helper(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5,
                                   struct anybpf_run *run)
{
    const uint64_t words[5] = {r1, r2, r3, r4, r5};
    PyGILState_STATE state = PyGILState_Ensure();
    PyObject *callable = run->program->helper_data[run->calling];
    struct anybpf_module *module = anybpf_state_of((PyObject *)run->program->owner);
    struct memory_face *memory = NULL;
    PyObject *result = NULL;
    uint64_t word = 0;

    if (module != NULL)
        memory = (struct memory_face *)module->helper_type->tp_alloc(module->helper_type, 0);
    if (memory != NULL) {
        memory->run = run;
        Py_INCREF(callable);
        result = call(callable, (PyObject *)memory, words);
        Py_DECREF(callable);
        memory->run = NULL;
        Py_DECREF((PyObject *)memory);
    }
    if (result == NULL || !as_word(result, &word))
        keep_exception(run);
    Py_XDECREF(result);
    PyGILState_Release(state);
    return word;
}

/* By name. */

static PyObject *helper(PyObject *module, PyObject *argument)
{
    const char *name = PyUnicode_Check(argument) ? PyUnicode_AsUTF8(argument) : NULL;
    anybpf_helper found;

    (void)module;
    if (name == NULL) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_TypeError, "a helper's name is a string");
        return NULL;
    }
    found = anybpf_helper_by_name(name);
    return found == NULL ? PyLong_FromLong(-1)
                         : PyLong_FromUnsignedLongLong((uint64_t)(uintptr_t)found);
}

static PyObject *all_helpers(PyObject *module, PyObject *unused)
{
    PyObject *names = PyList_New(0);
    PyObject *result;
    const struct anybpf_helper_row *row;
    size_t i;

    (void)module;
    (void)unused;
    for (i = 0; names != NULL && (row = anybpf_helper_row(i)) != NULL; i++) {
        PyObject *name = PyUnicode_FromString(row->name);

        if (name == NULL || PyList_Append(names, name) != 0)
            Py_CLEAR(names);
        Py_XDECREF(name);
    }
    result = names == NULL ? NULL : PyList_AsTuple(names);
    Py_XDECREF(names);
    return result;
}

static PyMethodDef functions[] = {
    {"helper", helper, METH_O,
     "helper(name, /)\n--\n\nWhat Program takes for the helper of that name; -1: it is not built."},
    {"helpers", all_helpers, METH_NOARGS,
     "helpers()\n--\n\nThe names of all that are built, without \"bpf_\"."},
    {NULL, NULL, 0, NULL},
};

int anybpf_add_helpers(PyObject *module)
{
    struct anybpf_module *state = anybpf_module_state(module);

    state->helper_type =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &memory_spec, NULL);
    if (state->helper_type == NULL)
        return -1;
    if (PyModule_AddObjectRef(module, "Memory", (PyObject *)state->helper_type) != 0)
        return -1;
    return PyModule_AddFunctions(module, functions);
}
