/* anybpf._core.Code: memory that holds machine code; and what programs do with it.
 *
 * Whoever fills it (anybpf.engines.linking) is trusted with what is executed, not with where: no
 * write leaves the pages, and nothing is attached that begins outside of what may be executed.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "codes.h"

#include "../interpreter.h"
#include "../maps/arena.h"
#include "../maps/direct.h"
#include "../native.h"

#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#define MACHINE "x86_64"
#elif defined(__aarch64__)
#define MACHINE "aarch64"
#else
#define MACHINE "" /* nothing is compiled for it */
#endif

/* More than any program is compiled to. */
#define MOST_BYTES ((Py_ssize_t)1 << 30)

struct code_face {
    PyObject_HEAD
    uint8_t *pages; /* owned, if there is no `owner`; NULL before __new__ is done */
    PyObject *owner; /* keeps the pages of others where they are */
    size_t size;    /* whole pages */
    size_t text_size; /* what may be executed, once it is sealed */
    bool sealed;
};

typedef struct code_face face;

static PyObject *new_face(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"size", NULL};
    size_t page = anybpf_page_size();
    Py_ssize_t size;
    face *self;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "n:Code", names, &size))
        return NULL;
    if (size < 1 || size > MOST_BYTES)
        return PyErr_Format(PyExc_ValueError, "code has 1 to %zd bytes, not %zd", MOST_BYTES, size);
    self = (face *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->size = ((size_t)size + page - 1) / page * page;
    self->pages = anybpf_pages_take(self->size);
    if (self->pages == NULL) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    return (PyObject *)self;
}

static void dealloc(PyObject *object)
{
    face *self = (face *)object;
    PyTypeObject *type = Py_TYPE(object);

    if (self->pages != NULL && self->owner == NULL)
        anybpf_pages_give_back(self->pages, self->size);
    Py_XDECREF(self->owner);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyObject *write_bytes(PyObject *object, PyObject *args)
{
    face *self = (face *)object;
    Py_ssize_t offset;
    Py_buffer data;
    bool fits;

    if (!PyArg_ParseTuple(args, "ny*:write", &offset, &data))
        return NULL;
    fits = offset >= 0 && (size_t)offset <= self->size &&
           (size_t)data.len <= self->size - (size_t)offset;
    if (self->sealed)
        PyErr_SetString(PyExc_ValueError, "this code is sealed: it is not written any more");
    else if (!fits)
        PyErr_Format(PyExc_ValueError, "%zd bytes at %zd do not fit into %zu of code", data.len,
                     offset, self->size);
    else
        memcpy(self->pages + offset, data.buf, (size_t)data.len);
    PyBuffer_Release(&data);
    if (PyErr_Occurred())
        return NULL;
    Py_RETURN_NONE;
}

static int protect(face *self, size_t from, size_t to, enum anybpf_page_access access)
{
    return from == to ? 0 : anybpf_pages_protect(self->pages + from, to - from, access);
}

static PyObject *seal(PyObject *object, PyObject *args)
{
    face *self = (face *)object;
    Py_ssize_t text_size, data_start = (Py_ssize_t)self->size;
    size_t page = anybpf_page_size();
    size_t text, data;
    int error;

    if (!PyArg_ParseTuple(args, "n|n:seal", &text_size, &data_start))
        return NULL;
    text = (size_t)text_size;
    data = (size_t)data_start;
    if (self->sealed) {
        PyErr_SetString(PyExc_ValueError, "this code is sealed already");
        return NULL;
    }
    if (text_size < 0 || data_start < text_size || data > self->size || text % page != 0 ||
        data % page != 0)
        return PyErr_Format(PyExc_ValueError,
                            "text up to %zd and data from %zd are not whole pages of %zu bytes "
                            "in %zu of code",
                            text_size, data_start, page, self->size);
    self->sealed = true; /* also where it fails half way: it is then of no use to anybody */
    error = protect(self, text, data, ANYBPF_PAGES_READ);
    if (error == 0)
        error = protect(self, 0, text, ANYBPF_PAGES_EXECUTE);
    if (error != 0) {
        errno = error;
#if defined(_WIN32)
        return PyErr_SetFromWindowsErr(error);
#else
        return PyErr_SetFromErrno(PyExc_OSError);
#endif
    }
    self->text_size = text;
    Py_RETURN_NONE;
}

static PyObject *read_bytes(PyObject *object, PyObject *args)
{
    face *self = (face *)object;
    Py_ssize_t offset, size;

    if (!PyArg_ParseTuple(args, "nn:read", &offset, &size))
        return NULL;
    if (offset < 0 || size < 0 || (size_t)offset > self->size ||
        (size_t)size > self->size - (size_t)offset)
        return PyErr_Format(PyExc_ValueError, "%zd bytes at %zd are not in %zu of code", size,
                            offset, self->size);
    return PyBytes_FromStringAndSize((const char *)self->pages + offset, size);
}

static PyObject *get_address(PyObject *object, void *unused)
{
    (void)unused;
    return PyLong_FromSize_t((size_t)(uintptr_t)((face *)object)->pages);
}

static PyObject *get_size(PyObject *object, void *unused)
{
    (void)unused;
    return PyLong_FromSize_t(((face *)object)->size);
}

static PyObject *get_text_size(PyObject *object, void *unused)
{
    (void)unused;
    return PyLong_FromSize_t(((face *)object)->text_size);
}

static PyObject *get_sealed(PyObject *object, void *unused)
{
    (void)unused;
    return PyBool_FromLong(((face *)object)->sealed);
}

static PyObject *adopt(PyObject *class, PyObject *args)
{
    PyTypeObject *type = (PyTypeObject *)class;
    unsigned long long address;
    Py_ssize_t size;
    PyObject *owner;
    face *self;

    if (!PyArg_ParseTuple(args, "KnO:adopt", &address, &size, &owner))
        return NULL;
    if (address == 0 || address > UINTPTR_MAX || size < 1 || size > MOST_BYTES)
        return PyErr_Format(PyExc_ValueError, "no code of %zd bytes is at %#llx", size, address);
    self = (face *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->pages = (uint8_t *)(uintptr_t)address;
    self->size = self->text_size = (size_t)size;
    self->sealed = true;
    self->owner = Py_NewRef(owner);
    return (PyObject *)self;
}

static PyMethodDef methods[] = {
    {"adopt", adopt, METH_VARARGS | METH_CLASS,
     "adopt(address, size, owner, /)\n--\n\n"
     "Code that the system has loaded, which stays where it is as long as `owner` does."},
    {"write", write_bytes, METH_VARARGS,
     "write(offset, data, /)\n--\n\nWrites bytes, before the code is sealed."},
    {"read", read_bytes, METH_VARARGS, "read(offset, size, /)\n--\n\nA copy of bytes."},
    {"seal", seal, METH_VARARGS,
     "seal(text_size, data_start=size, /)\n--\n\n"
     "Makes the first bytes executable, the next read only, and leaves the last writable."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef properties[] = {
    {"address", get_address, NULL, "Where it lies.", NULL},
    {"size", get_size, NULL, "In bytes: whole pages.", NULL},
    {"text_size", get_text_size, NULL, "Bytes that may be executed; 0 before it is sealed.", NULL},
    {"sealed", get_sealed, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "Memory that holds machine code: writable until it is sealed, executable after."},
    {Py_tp_new, new_face},
    {Py_tp_dealloc, dealloc},
    {Py_tp_methods, methods},
    {Py_tp_getset, properties},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "anybpf._core.Code",
    .basicsize = sizeof(face),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = slots,
};

/* What programs do with it. */

static struct anybpf_program *open_program(PyObject *object)
{
    struct anybpf_program *program = ((struct anybpf_program_face *)object)->program;

    if (program == NULL)
        PyErr_SetString(PyExc_ValueError, "this program is closed");
    return program;
}

/* Code that was attached stays as long as the program does: others may be inside. */
static bool keep(struct anybpf_program_face *program, PyObject *code)
{
    if (program->codes == NULL)
        program->codes = PyList_New(0);
    if (program->codes == NULL)
        return false;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(program->codes); i++)
        if (PyList_GET_ITEM(program->codes, i) == code)
            return true;
    return PyList_Append(program->codes, code) == 0;
}

static struct anybpf_native_functions *new_functions(size_t count)
{
    struct anybpf_native_functions *functions = NULL;

    if (count <= UINT32_MAX)
        functions = calloc(1, sizeof(*functions) + count * sizeof(functions->item[0]));
    if (functions == NULL)
        PyErr_NoMemory();
    else
        functions->count = (uint32_t)count;
    return functions;
}

static void set_functions(struct anybpf_program *program,
                          struct anybpf_native_functions *functions)
{
    functions->older = atomic_load(&program->native_functions);
    atomic_store_explicit(&program->native_functions, functions, memory_order_release);
}

static void *place(const face *code, Py_ssize_t offset)
{
    if (offset < 0 || (size_t)offset >= code->text_size) {
        PyErr_Format(PyExc_ValueError, "no function begins at %zd: %zu bytes may be executed",
                     offset, code->text_size);
        return NULL;
    }
    return code->pages + offset;
}

static bool take_function(const struct anybpf_program *program, const face *code, PyObject *pair,
                          struct anybpf_native_functions *functions, uint32_t *count)
{
    unsigned long long slot;
    Py_ssize_t offset;
    void *function;
    uint32_t i = *count;

    if (!PyArg_ParseTuple(pair, "Kn:attach_code", &slot, &offset))
        return false;
    function = place(code, offset);
    if (function == NULL)
        return false;
    if (slot >= program->slots) {
        PyErr_Format(PyExc_ValueError, "program %s has no slot %llu", program->name, slot);
        return false;
    }
    for (; i > 0 && functions->item[i - 1].slot >= slot; i--)
        functions->item[i] = functions->item[i - 1];
    functions->item[i].slot = (uint32_t)slot;
    functions->item[i].function = (anybpf_helper)(uintptr_t)function;
    if (i < *count && functions->item[i + 1].slot == slot) {
        PyErr_Format(PyExc_ValueError, "slot %llu is given twice", slot);
        return false;
    }
    ++*count;
    return true;
}

static struct anybpf_native_functions *take_functions(const struct anybpf_program *program,
                                                      const face *code, PyObject *given)
{
    PyObject *list = PySequence_Fast(given, "functions are a sequence of (slot, offset)");
    struct anybpf_native_functions *functions;
    uint32_t count = 0;

    if (list == NULL)
        return NULL;
    functions = new_functions((size_t)PySequence_Fast_GET_SIZE(list));
    for (Py_ssize_t i = 0; functions != NULL && i < PySequence_Fast_GET_SIZE(list); i++) {
        PyObject *pair = PySequence_Fast_GET_ITEM(list, i);

        if (!PyTuple_Check(pair))
            PyErr_SetString(PyExc_TypeError, "functions are a sequence of (slot, offset)");
        if (!PyTuple_Check(pair) || !take_function(program, code, pair, functions, &count)) {
            free(functions);
            functions = NULL;
        }
    }
    Py_DECREF(list);
    return functions;
}

PyObject *anybpf_program_attach_code(PyObject *object, PyObject *args)
{
    struct anybpf_program *program = open_program(object);
    struct anybpf_module *module = anybpf_state_of(object);
    struct anybpf_native_functions *functions;
    PyObject *code, *list = NULL;
    Py_ssize_t entry;
    void *start;

    if (program == NULL || module == NULL ||
        !PyArg_ParseTuple(args, "O!n|O:attach_code", module->code_type, &code, &entry, &list))
        return NULL;
    start = place((face *)code, entry);
    if (start == NULL)
        return NULL;
    functions = list == NULL ? new_functions(0) : take_functions(program, (face *)code, list);
    if (functions == NULL)
        return NULL;
    program = open_program(object); /* what was called above may have closed it */
    if (program == NULL || !keep((struct anybpf_program_face *)object, code)) {
        free(functions);
        return NULL;
    }
    set_functions(program, functions);
    atomic_store_explicit(&program->native, (anybpf_native)(uintptr_t)start, memory_order_release);
    Py_RETURN_NONE;
}

PyObject *anybpf_program_detach_code(PyObject *object, PyObject *unused)
{
    struct anybpf_program *program = open_program(object);
    struct anybpf_native_functions *functions;

    (void)unused;
    if (program == NULL)
        return NULL;
    atomic_store_explicit(&program->native, NULL, memory_order_release);
    functions = atomic_load(&program->native_functions);
    if (functions != NULL && functions->count != 0) {
        functions = new_functions(0);
        if (functions == NULL)
            return NULL;
        set_functions(program, functions);
    }
    Py_RETURN_NONE;
}

PyObject *anybpf_program_compiled(PyObject *object, void *unused)
{
    struct anybpf_program *program = open_program(object);

    (void)unused;
    return program == NULL ? NULL : PyBool_FromLong(atomic_load(&program->native) != NULL);
}

/* Symbols. */

/* Reads "<prefix><number>" to its end. */
static bool numbered(const char *name, const char *prefix, uint32_t *number)
{
    size_t length = strlen(prefix);
    uint64_t value = 0;
    const char *digit = name + length;

    if (strncmp(name, prefix, length) != 0 || *digit == '\0')
        return false;
    for (; *digit >= '0' && *digit <= '9' && value <= UINT32_MAX; digit++)
        value = value * 10 + (uint64_t)(*digit - '0');
    *number = (uint32_t)value;
    return *digit == '\0' && value <= UINT32_MAX;
}

/* NULL: the map has none that may be called without its helper. */
static uintptr_t direct_of(const struct anybpf_program *program, const char *name)
{
    const struct anybpf_direct *direct;
    uint32_t i;

    if (numbered(name, "anybpf_lookup_", &i) && i < program->map_count) {
        direct = anybpf_map_direct(program->maps[i]);
        return (uintptr_t)direct->lookup;
    }
    if (numbered(name, "anybpf_update_", &i) && i < program->map_count) {
        direct = anybpf_map_direct(program->maps[i]);
        return (uintptr_t)direct->update;
    }
    if (numbered(name, "anybpf_erase_", &i) && i < program->map_count) {
        direct = anybpf_map_direct(program->maps[i]);
        return (uintptr_t)direct->erase;
    }
    return 0;
}

/* What a program has for the first byte of a map's values: of an arena, that is a pointer which it
 * casts where it uses it. */
static uintptr_t values_of(const struct anybpf_map *map)
{
    uint64_t address = (uint64_t)(uintptr_t)map->values;

    return (uintptr_t)(map->shape.kind == ANYBPF_ARENA ? anybpf_arena_pointer(map, address)
                                                       : address);
}

static uintptr_t symbol_of(const struct anybpf_program *program, const char *name)
{
    uintptr_t direct = direct_of(program, name);
    uint32_t i;

    if (direct != 0)
        return direct;
    if (strcmp(name, "anybpf_ops") == 0)
        return (uintptr_t)program->ops;
    if (numbered(name, "anybpf_helper_", &i))
        return i < program->helper_count ? (uintptr_t)program->helpers[i] : 0;
    if (numbered(name, "anybpf_map_", &i))
        return i < program->map_count ? (uintptr_t)program->maps[i] : 0;
    if (numbered(name, "anybpf_values_", &i))
        return i < program->map_count ? values_of(program->maps[i]) : 0;
    if (numbered(name, "anybpf_lookup_", &i))
        return i < program->map_count ? (uintptr_t)program->maps[i]->ops->lookup : 0;
    return (uintptr_t)anybpf_native_symbol(name);
}

static PyObject *address_or_error(uintptr_t address, const char *name)
{
    if (address == 0)
        return PyErr_Format(PyExc_LookupError, "compiled code can refer to no %s here", name);
    return PyLong_FromSize_t((size_t)address);
}

PyObject *anybpf_program_symbol(PyObject *object, PyObject *argument)
{
    struct anybpf_program *program = open_program(object);
    const char *name = program == NULL ? NULL : PyUnicode_AsUTF8(argument);

    return name == NULL ? NULL : address_or_error(symbol_of(program, name), name);
}

static PyObject *native_symbol(PyObject *module, PyObject *argument)
{
    const char *name = PyUnicode_AsUTF8(argument);

    (void)module;
    return name == NULL ? NULL : address_or_error((uintptr_t)anybpf_native_symbol(name), name);
}

static PyMethodDef functions[] = {
    {"symbol", native_symbol, METH_O,
     "symbol(name, /)\n--\n\nThe address of a run-time function of compiled code."},
    {NULL, NULL, 0, NULL},
};

int anybpf_add_code(PyObject *module)
{
    struct anybpf_module *state = anybpf_module_state(module);

    state->code_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
    if (state->code_type == NULL || PyModule_AddType(module, state->code_type) != 0 ||
        PyModule_AddFunctions(module, functions) != 0 ||
        PyModule_AddStringConstant(module, "MACHINE", MACHINE) != 0 ||
        PyModule_AddIntConstant(module, "PAGE_SIZE", (long)anybpf_page_size()) != 0 ||
        PyModule_AddIntConstant(module, "NATIVE_ABI", ANYBPF_NATIVE_ABI) != 0)
        return -1;
    return anybpf_add_layout(module);
}
