/* anybpf._core.Program: life and properties. Running is in calls.c, runs.c and batch.c.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "codes.h"

#include <structmember.h>

typedef struct anybpf_program_face face;

/* Making one. */

/* A helper's function and what belongs to it. */
static bool take_helper(face *self, PyObject *item, anybpf_helper *function, void **data)
{
    long long address;

    *data = NULL;
    *function = NULL;
    if (!PyLong_Check(item)) {
        if (!PyCallable_Check(item)) {
            PyErr_Format(PyExc_TypeError, "a helper is a number or a callable, not %.100s",
                         Py_TYPE(item)->tp_name);
            return false;
        }
        *function = anybpf_call_python_helper;
        *data = item;
        self->has_python_helpers = true;
        return true;
    }
    address = PyLong_AsLongLong(item);
    if (address == -1 && PyErr_Occurred())
        return false;
    if (address == -1)
        return true; /* not there */
    *function = (anybpf_helper)(uintptr_t)address;
    if (!anybpf_is_helper(*function)) {
        PyErr_SetString(PyExc_ValueError, "a helper's number is what _core.helper() returns");
        return false;
    }
    return true;
}

/* The arrays that the core copies. */
struct parts {
    struct anybpf_map **maps;
    anybpf_helper *helpers;
    void **data;
    int64_t codes[ANYBPF_STATUSES];
};

static bool take_parts(face *self, struct anybpf_module *module, PyObject *codes,
                       struct parts *parts)
{
    Py_ssize_t maps = PyTuple_GET_SIZE(self->maps);
    Py_ssize_t helpers = PyTuple_GET_SIZE(self->helpers);
    PyObject *list;

    parts->maps = PyMem_Calloc((size_t)maps + 1, sizeof(*parts->maps));
    parts->helpers = PyMem_Calloc((size_t)helpers + 1, sizeof(*parts->helpers));
    parts->data = PyMem_Calloc((size_t)helpers + 1, sizeof(*parts->data));
    if (parts->maps == NULL || parts->helpers == NULL || parts->data == NULL) {
        PyErr_NoMemory();
        return false;
    }
    for (Py_ssize_t i = 0; i < maps; i++) {
        parts->maps[i] = anybpf_map_of(module, PyTuple_GET_ITEM(self->maps, i));
        if (parts->maps[i] == NULL)
            return false;
        if (parts->maps[i]->domain != self->domain->domain) {
            PyErr_Format(PyExc_ValueError, "map %zd is of another domain than the program", i);
            return false;
        }
    }
    for (Py_ssize_t i = 0; i < helpers; i++)
        if (!take_helper(self, PyTuple_GET_ITEM(self->helpers, i), &parts->helpers[i],
                         &parts->data[i]))
            return false;
    list = PySequence_Fast(codes, "codes must be a sequence of numbers by status");
    if (list == NULL)
        return false;
    if (PySequence_Fast_GET_SIZE(list) != ANYBPF_STATUSES)
        PyErr_Format(PyExc_ValueError, "codes has %zd numbers, and there are %d statuses",
                     PySequence_Fast_GET_SIZE(list), ANYBPF_STATUSES);
    for (Py_ssize_t i = 0; i < ANYBPF_STATUSES && !PyErr_Occurred(); i++)
        parts->codes[i] = PyLong_AsLongLong(PySequence_Fast_GET_ITEM(list, i));
    Py_DECREF(list);
    return !PyErr_Occurred();
}

static void refuse(const char *name, int status, const struct anybpf_program_fault *fault)
{
    if (status == ANYBPF_NO_MEMORY)
        PyErr_NoMemory();
    else if (status == ANYBPF_EXISTS)
        PyErr_Format(PyExc_ValueError, "program %s: its id is taken", name);
    else if (status == ANYBPF_NAME_TOO_LONG)
        PyErr_Format(PyExc_ValueError, "program %s: a name has at most %u bytes", name,
                     ANYBPF_MOST_NAME - 1);
    else if (status != ANYBPF_BAD_ARGUMENT)
        PyErr_Format(PyExc_ValueError, "program %s: status %d", name, status);
    else if (fault->text != NULL)
        PyErr_Format(PyExc_ValueError, "program %s, slot %u: %s", name, fault->slot, fault->text);
    else
        PyErr_Format(PyExc_ValueError, "program %s, slot %u: the code is not legal (fault %d)",
                     name, fault->slot, (int)fault->fault);
}

static int make(face *self, struct anybpf_module *module, struct anybpf_program_spec *spec,
                PyObject *codes)
{
    struct parts parts = {NULL, NULL, NULL, {0}};
    struct anybpf_program_fault fault;
    int result = -1;

    if (take_parts(self, module, codes, &parts)) {
        int status;

        spec->maps = parts.maps;
        spec->map_count = (uint32_t)PyTuple_GET_SIZE(self->maps);
        spec->helpers = parts.helpers;
        spec->helper_data = parts.data;
        spec->helper_count = (uint32_t)PyTuple_GET_SIZE(self->helpers);
        spec->codes = parts.codes;
        status = anybpf_program_create(self->domain->domain, spec, &self->program, &fault);
        if (status == ANYBPF_OK) {
            for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(self->maps); i++)
                anybpf_map_hold(PyTuple_GET_ITEM(self->maps, i));
            result = 0;
        } else {
            refuse(spec->name, status, &fault);
        }
    }
    PyMem_Free(parts.maps);
    PyMem_Free(parts.helpers);
    PyMem_Free(parts.data);
    return result;
}

static int init(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"domain", "id", "name", "code", "maps", "helpers", "codes", "type",
                            "context_size", "behaviour", "compatible", "packet_fields",
                            "length_field", "handler", NULL};
    face *self = (face *)object;
    struct anybpf_module *module = anybpf_state_of(object);
    struct anybpf_program_spec spec = {0};
    PyObject *domain, *maps, *helpers, *codes;
    unsigned long long compatible = 0;
    long long id;
    Py_buffer code;
    int result = -1;

    if (module == NULL)
        return -1;
    if (self->domain != NULL) {
        PyErr_SetString(PyExc_ValueError, "this Program is made already");
        return -1;
    }
    self->packet_fields[0] = self->packet_fields[1] = self->packet_fields[2] = -1;
    self->length_field = -1;
    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "OLsy*OOO|IIIK(iii)iI:Program", names, &domain, &id, &spec.name, &code,
            &maps, &helpers, &codes, &spec.type, &spec.context_size, &spec.behaviour, &compatible,
            &self->packet_fields[0], &self->packet_fields[1], &self->packet_fields[2],
            &self->length_field, &spec.handler))
        return -1;
    if (id < 1 || id > UINT32_MAX) {
        PyErr_Format(PyExc_ValueError, "a program's id is 1 to %u, not %lld", UINT32_MAX, id);
    } else if (anybpf_domain_of(module, domain) != NULL) {
        self->maps = PySequence_Tuple(maps);
        self->helpers = self->maps == NULL ? NULL : PySequence_Tuple(helpers);
        if (self->helpers != NULL) {
            self->domain = (struct anybpf_domain_face *)Py_NewRef(domain);
            spec.id = (uint32_t)id;
            spec.code = code.buf;
            spec.size = (size_t)code.len;
            spec.compatible = compatible;
            spec.owner = self;
            result = make(self, module, &spec, codes);
        }
    }
    PyBuffer_Release(&code);
    return result;
}

static PyObject *new_face(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    face *self = (face *)PyType_GenericAlloc(type, 0);

    (void)args;
    (void)kwargs;
    if (self != NULL)
        self->call = anybpf_program_call;
    return (PyObject *)self;
}

/* Ending. Others may be running it, called there by number: what Python it refers to is given up
 * when none can be. */

struct late {
    PyObject *domain; /* by whose type helpers find the module */
    PyObject *maps;
    PyObject *helpers;
    PyObject *codes; /* or NULL */
};

static void give_up(void *thing)
{
    struct late *late = thing;
    PyGILState_STATE state;

    if (late == NULL || !Py_IsInitialized())
        return;
    state = PyGILState_Ensure();
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(late->maps); i++)
        anybpf_map_drop(PyTuple_GET_ITEM(late->maps, i));
    Py_DECREF(late->maps);
    Py_DECREF(late->helpers);
    Py_XDECREF(late->codes);
    Py_DECREF(late->domain);
    PyGILState_Release(state);
    PyMem_RawFree(late);
}

void anybpf_program_let_go(face *self)
{
    struct anybpf_program *program = self->held;
    struct late *late;

    for (struct anybpf_job *job = self->jobs; job != NULL; job = job->next)
        if (job->busy)
            return;
    self->held = NULL;
    late = PyMem_RawMalloc(sizeof(*late));
    if (late != NULL) { /* without memory for this little, what it refers to stays */
        late->maps = Py_NewRef(self->maps);
        late->helpers = Py_NewRef(self->helpers);
        late->codes = Py_XNewRef(self->codes);
        late->domain = Py_NewRef((PyObject *)self->domain);
    } else {
        Py_XINCREF(self->codes);
    }
    program->owner = self->domain;
    anybpf_program_close(program, give_up, late);
}

/* A job leaves its seat now and then, so that nothing but this keeps its program. */
static void close_program(face *self)
{
    if (self->program == NULL)
        return;
    self->held = self->program;
    self->program = NULL;
    anybpf_unregister(self->domain->domain, &self->held->object); /* its number is free at once */
    anybpf_program_let_go(self);
}

static PyObject *close_face(PyObject *self, PyObject *unused)
{
    (void)unused;
    close_program((face *)self);
    Py_RETURN_NONE;
}

static int traverse(PyObject *object, visitproc visit, void *arg)
{
    face *self = (face *)object;

    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->domain);
    Py_VISIT(self->maps);
    Py_VISIT(self->helpers);
    Py_VISIT(self->on_hot);
    Py_VISIT(self->codes);
    return 0;
}

static int clear(PyObject *object)
{
    face *self = (face *)object;

    close_program(self);
    Py_CLEAR(self->maps);
    Py_CLEAR(self->helpers);
    Py_CLEAR(self->codes);
    Py_CLEAR(self->on_hot);
    return 0;
}

static void dealloc(PyObject *object)
{
    face *self = (face *)object;
    PyTypeObject *type = Py_TYPE(object);

    PyObject_GC_UnTrack(object);
    if (self->weak != NULL)
        PyObject_ClearWeakRefs(object);
    clear(object);
    Py_CLEAR(self->domain);
    anybpf_jobs_free(self);
    type->tp_free(object);
    Py_DECREF(type);
}

/* Heat. */

static struct anybpf_program *open_program(PyObject *object)
{
    struct anybpf_program *program = ((face *)object)->program;

    if (program == NULL)
        PyErr_SetString(PyExc_ValueError, "this program is closed");
    return program;
}

void anybpf_program_tell_hot(face *self)
{
    PyObject *on_hot = self->on_hot;
    PyObject *type, *value, *traceback, *done;

    self->on_hot = NULL;
    PyErr_Fetch(&type, &value, &traceback); /* of a signal's handler, perhaps */
    done = PyObject_CallNoArgs(on_hot);
    if (done == NULL)
        PyErr_WriteUnraisable(on_hot);
    Py_XDECREF(done);
    Py_DECREF(on_hot);
    PyErr_Restore(type, value, traceback);
}

static PyObject *get_on_hot(PyObject *self, void *unused)
{
    PyObject *on_hot = ((face *)self)->on_hot;

    (void)unused;
    return Py_NewRef(on_hot == NULL ? Py_None : on_hot);
}

static int set_on_hot(PyObject *self, PyObject *value, void *unused)
{
    (void)unused;
    if (value != NULL && value != Py_None && !PyCallable_Check(value)) {
        PyErr_SetString(PyExc_TypeError, "on_hot is something to call, or None");
        return -1;
    }
    if (value == Py_None)
        value = NULL;
    Py_XSETREF(((face *)self)->on_hot, Py_XNewRef(value));
    return 0;
}

static PyObject *get_heat(PyObject *self, void *unused)
{
    struct anybpf_program *program = open_program(self);

    (void)unused;
    return program == NULL ? NULL : PyLong_FromUnsignedLong(atomic_load(&program->heat));
}

/* Looking at one. */

static PyObject *stop(PyObject *object, PyObject *unused)
{
    (void)unused;
    for (struct anybpf_job *job = ((face *)object)->jobs; job != NULL; job = job->next)
        if (job->busy)
            atomic_store(&job->run.stop_now, true);
    Py_RETURN_NONE;
}

static PyObject *get_id(PyObject *self, void *unused)
{
    struct anybpf_program *program = open_program(self);

    (void)unused;
    return program == NULL ? NULL : PyLong_FromUnsignedLong(program->object.id);
}

static PyObject *get_name(PyObject *self, void *unused)
{
    struct anybpf_program *program = open_program(self);

    (void)unused;
    return program == NULL ? NULL : PyUnicode_FromString(program->name);
}

static PyObject *get_code(PyObject *self, void *unused)
{
    struct anybpf_program *program = open_program(self);

    (void)unused;
    return program == NULL
               ? NULL
               : PyBytes_FromStringAndSize((const char *)program->code,
                                           (Py_ssize_t)program->slots * ANYBPF_SLOT_SIZE);
}

static PyObject *get_slots(PyObject *self, void *unused)
{
    struct anybpf_program *program = open_program(self);

    (void)unused;
    return program == NULL ? NULL : PyLong_FromUnsignedLong(program->slots);
}

static PyObject *get_maps(PyObject *self, void *unused)
{
    (void)unused;
    return open_program(self) == NULL ? NULL : Py_NewRef(((face *)self)->maps);
}

static PyObject *get_closed(PyObject *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(((face *)self)->program == NULL);
}

static PyObject *get_runs(PyObject *self, void *unused)
{
    struct anybpf_program *program = open_program(self);

    (void)unused;
    return program == NULL ? NULL : PyLong_FromUnsignedLongLong(atomic_load(&program->runs));
}

static PyObject *get_run_ns(PyObject *self, void *unused)
{
    struct anybpf_program *program = open_program(self);

    (void)unused;
    return program == NULL ? NULL : PyLong_FromUnsignedLongLong(atomic_load(&program->run_ns));
}

static PyObject *get_statistics(PyObject *self, void *unused)
{
    struct anybpf_program *program = open_program(self);

    (void)unused;
    return program == NULL ? NULL : PyBool_FromLong(atomic_load(&program->counts));
}

static int set_statistics(PyObject *self, PyObject *value, void *unused)
{
    struct anybpf_program *program = open_program(self);
    int on = program == NULL || value == NULL ? -1 : PyObject_IsTrue(value);

    (void)unused;
    if (on < 0) {
        if (program != NULL && value == NULL)
            PyErr_SetString(PyExc_AttributeError, "statistics are on or off");
        return -1;
    }
    atomic_store(&program->counts, on != 0);
    return 0;
}

static PyMethodDef methods[] = {
    {"run", (PyCFunction)(void *)anybpf_program_run, METH_VARARGS | METH_KEYWORDS,
     "run(*, packet=None, context=None, memory=None, ...)\n--\n\nOne run, or many; an Outcome."},
    {"run_batch", (PyCFunction)(void *)anybpf_program_run_batch, METH_VARARGS | METH_KEYWORDS,
     "run_batch(buffer, *, stride=0, offsets=None, ...)\n--\n\nRuns on each record of a buffer."},
    {"packet", (PyCFunction)(void *)anybpf_program_packet, METH_FASTCALL,
     "packet(packet, context=None, /)\n--\n\nThe fastest run on a packet, which is copied."},
    {"stop", stop, METH_NOARGS,
     "stop()\n--\n\nEnds runs of this program that are under way, in whichever thread."},
    {"attach_code", anybpf_program_attach_code, METH_VARARGS,
     "attach_code(code, entry, functions=(), /)\n--\n\nRuns compiled from now on."},
    {"detach_code", anybpf_program_detach_code, METH_NOARGS,
     "detach_code()\n--\n\nRuns by the interpreter from now on."},
    {"symbol", anybpf_program_symbol, METH_O,
     "symbol(name, /)\n--\n\nThe address of what compiled code refers to by that name."},
    {"close", close_face, METH_NOARGS,
     "close()\n--\n\nTakes the program out of its domain. Idempotent."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef properties[] = {
    {"id", get_id, NULL, "Its number in the domain.", NULL},
    {"name", get_name, NULL, NULL, NULL},
    {"code", get_code, NULL, "As it was prepared, in the machine's byte order.", NULL},
    {"slots", get_slots, NULL, "Units of eight bytes that the code has.", NULL},
    {"maps", get_maps, NULL, "By index in the code.", NULL},
    {"closed", get_closed, NULL, NULL, NULL},
    {"compiled", anybpf_program_compiled, NULL, "Whether it runs compiled.", NULL},
    {"heat", get_heat, NULL, "How often 65,536 of its instructions were interpreted.", NULL},
    {"on_hot", get_on_hot, set_on_hot, "Called after the run that makes it hot; then None.", NULL},
    {"runs", get_runs, NULL, "Runs while statistics were on.", NULL},
    {"run_ns", get_run_ns, NULL, "Nanoseconds that those took.", NULL},
    {"statistics", get_statistics, set_statistics, "Whether runs are counted and timed.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(face, weak), READONLY, NULL},
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(face, call), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "A program, ready to run."},
    {Py_tp_new, new_face},
    {Py_tp_init, init},
    {Py_tp_dealloc, dealloc},
    {Py_tp_traverse, traverse},
    {Py_tp_clear, clear},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_methods, methods},
    {Py_tp_getset, properties},
    {Py_tp_members, members},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "anybpf._core.Program",
    .basicsize = sizeof(face),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_HAVE_VECTORCALL,
    .slots = slots,
};

static const char *const end_names[] = {
    "ENDED", "OUT_OF_BOUNDS", "READ_ONLY", "OUT_OF_BUDGET", "OUT_OF_TIME", "TOO_DEEP", "BAD_CALL",
    "HELPER_FAILED", "THROWN", "STOPPED", "MISALIGNED",
};

int anybpf_add_program(PyObject *module)
{
    struct anybpf_module *state = anybpf_module_state(module);
    Py_ssize_t count = (Py_ssize_t)(sizeof(end_names) / sizeof(end_names[0]));
    PyObject *ends = PyTuple_New(count);
    int result;

    for (Py_ssize_t i = 0; ends != NULL && i < count; i++) {
        PyObject *name = PyUnicode_FromString(end_names[i]);

        if (name == NULL)
            Py_CLEAR(ends);
        else
            PyTuple_SET_ITEM(ends, i, name);
    }
    if (ends == NULL)
        return -1;
    result = PyModule_AddObjectRef(module, "ENDS", ends);
    Py_DECREF(ends);
    if (result != 0)
        return -1;
    state->program_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
    if (state->program_type == NULL)
        return -1;
    return PyModule_AddType(module, state->program_type);
}
