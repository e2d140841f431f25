/* anybpf._core.Map: life, properties and views. What one does with a map is in operations.c,
 * batches.c and subscript.c.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "../helpers/timers.h"
#include "faces.h"

#include <structmember.h>

typedef struct anybpf_map_face face;

/* Failing. */

PyObject *anybpf_fail(PyObject *object, const char *what, int status, PyObject *key)
{
    PyObject *done = PyObject_CallMethod(object, "_fail", "siO", what, status,
                                         key == NULL ? Py_None : key);

    if (done != NULL) {
        Py_DECREF(done);
        PyErr_SetString(PyExc_SystemError, "_fail must raise");
    }
    return NULL;
}

static PyObject *default_fail(PyObject *self, PyObject *args)
{
    const char *what;
    int status;
    PyObject *key;

    (void)self;
    if (!PyArg_ParseTuple(args, "siO:_fail", &what, &status, &key))
        return NULL;
    if (status == ANYBPF_CLOSED)
        return PyErr_Format(PyExc_ValueError, "%s: this map is closed", what);
    return PyErr_Format(PyExc_ValueError, "%s: status %d, key %R", what, status, key);
}

struct anybpf_map *anybpf_open_map(PyObject *self)
{
    struct anybpf_map *map = ((face *)self)->map;

    if (map == NULL)
        anybpf_fail(self, "use", ANYBPF_CLOSED, NULL);
    return map;
}

struct anybpf_map *anybpf_map_of(struct anybpf_module *module, PyObject *object)
{
    if (!PyObject_TypeCheck(object, module->map_type)) {
        PyErr_Format(PyExc_TypeError, "a Map is needed, not %.100s", Py_TYPE(object)->tp_name);
        return NULL;
    }
    return anybpf_open_map(object);
}

/* Life. */

static void set_map(face *self, PyObject *domain, struct anybpf_map *map)
{
    self->map = map;
    self->domain = (struct anybpf_domain_face *)Py_NewRef(domain);
    map->owner = self;
}

static bool number(PyObject *self, const char *what, long long given, uint32_t *out)
{
    if (given < 0 || given > UINT32_MAX) {
        anybpf_fail(self, what, ANYBPF_BAD_SIZE, NULL);
        return false;
    }
    *out = (uint32_t)given;
    return true;
}

static int init(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"domain", "id", "kind", "key_size", "value_size", "max_entries",
                            "flags", "cpus", "extra", "lock_offset", "timer_offset", "name",
                            "inner", "shared", NULL};
    face *self = (face *)object;
    struct anybpf_module *module = anybpf_state_of(object);
    struct anybpf_shape shape = {0};
    struct anybpf_domain *domain;
    struct anybpf_map *inner_map = NULL;
    struct anybpf_map *map;
    PyObject *domain_object;
    PyObject *inner = Py_None;
    const char *kind;
    const char *name = "";
    Py_ssize_t name_size = 0;
    long long id, key_size, value_size, max_entries;
    long long flags = 0, cpus = 0, lock = -1, timer = -1;
    unsigned long long extra = 0;
    int shared = 0;
    int status;

    if (module == NULL ||
        !PyArg_ParseTupleAndKeywords(args, kwargs, "OLsLLL|LLKLLs#Op:Map", names, &domain_object,
                                     &id, &kind, &key_size, &value_size, &max_entries, &flags,
                                     &cpus, &extra, &lock, &timer, &name, &name_size, &inner,
                                     &shared))
        return -1;
    if (self->domain != NULL) {
        PyErr_SetString(PyExc_ValueError, "this Map is made already");
        return -1;
    }
    domain = anybpf_domain_of(module, domain_object);
    if (domain == NULL)
        return -1;
    if (inner != Py_None) {
        inner_map = anybpf_map_of(module, inner);
        if (inner_map == NULL)
            return -1;
    }
    if (id < 1 || id > UINT32_MAX) {
        PyErr_Format(PyExc_ValueError, "a map's id is 1 to %u, not %lld", UINT32_MAX, id);
        return -1;
    }
    if (!number(object, "key_size", key_size, &shape.key_size) ||
        !number(object, "value_size", value_size, &shape.value_size) ||
        !number(object, "max_entries", max_entries, &shape.max_entries) ||
        !number(object, "flags", flags, &shape.flags) || !number(object, "cpus", cpus, &shape.cpus))
        return -1;
    shape.kind = anybpf_kind_by_name(kind);
    shape.extra = extra;
    shape.lock_offset = lock < 0 ? ANYBPF_NO_FIELD : lock < INT32_MAX ? (uint32_t)lock : INT32_MAX;
    shape.timer_offset =
        timer < 0 ? ANYBPF_NO_FIELD : timer < INT32_MAX ? (uint32_t)timer : INT32_MAX;
    if ((size_t)name_size >= sizeof(shape.name)) {
        anybpf_fail(object, "create", ANYBPF_NAME_TOO_LONG, NULL);
        return -1;
    }
    memcpy(shape.name, name, (size_t)name_size);
    Py_BEGIN_ALLOW_THREADS
    status = anybpf_map_create(domain, (uint32_t)id, &shape,
                               inner_map == NULL ? NULL : &inner_map->shape, shared != 0, &map);
    Py_END_ALLOW_THREADS
    if (status != ANYBPF_OK) {
        anybpf_fail(object, "create", status, NULL);
        return -1;
    }
    set_map(self, domain_object, map);
    return 0;
}

static PyObject *attach(PyObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"domain", "fd", "writable", "sealed", NULL};
    struct anybpf_module *module;
    struct anybpf_domain *domain;
    struct anybpf_map *map;
    PyObject *domain_object;
    PyObject *self;
    int fd;
    int writable = 1;
    int sealed = 1;
    int status;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "Oi|pp:attach", names, &domain_object, &fd,
                                     &writable, &sealed))
        return NULL;
    self = PyType_GenericAlloc((PyTypeObject *)type, 0);
    if (self == NULL)
        return NULL;
    module = anybpf_state_of(self);
    domain = module == NULL ? NULL : anybpf_domain_of(module, domain_object);
    if (domain == NULL) {
        Py_DECREF(self);
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    status = anybpf_map_attach(domain, fd, writable != 0, sealed != 0, &map);
    Py_END_ALLOW_THREADS
    if (status != ANYBPF_OK) {
        anybpf_fail(self, "attach", status, NULL);
        Py_DECREF(self);
        return NULL;
    }
    set_map((face *)self, domain_object, map);
    return self;
}

/* Another face of a map that `arg` owns: it is closed by itself, and the owner's closing waits. */
static PyObject *share(PyObject *type, PyObject *arg)
{
    PyObject *self = PyType_GenericAlloc((PyTypeObject *)type, 0);
    struct anybpf_module *module = self == NULL ? NULL : anybpf_state_of(self);
    struct anybpf_map *map = module == NULL ? NULL : anybpf_map_of(module, arg);

    if (map == NULL) {
        Py_XDECREF(self);
        return NULL;
    }
    ((face *)self)->map = map;
    ((face *)self)->domain = (struct anybpf_domain_face *)Py_NewRef(((face *)arg)->domain);
    ((face *)self)->base = (face *)Py_NewRef(arg);
    anybpf_map_hold(arg);
    return self;
}

static void let_go(face *self)
{
    struct anybpf_map *map = self->held;
    PyObject *base = (PyObject *)self->base;

    self->held = NULL;
    self->base = NULL;
    if (base == NULL) {
        anybpf_map_close(map);
        return;
    }
    anybpf_map_drop(base);
    Py_DECREF(base);
}

/* Views are counted where the map is owned as well: it is frozen there. */
static void count_view(face *self, int by, bool writable)
{
    for (; self != NULL; self = self->base) {
        self->exports += by;
        if (writable)
            self->writable_exports += by;
    }
}

static void forget_owner(face *self)
{
    if (self->map->owner == self)
        self->map->owner = NULL;
}

void anybpf_map_hold(PyObject *object)
{
    ((face *)object)->uses++;
}

void anybpf_map_drop(PyObject *object)
{
    face *self = (face *)object;

    if (--self->uses == 0 && self->held != NULL)
        let_go(self);
}

static PyObject *close_map(PyObject *object, PyObject *unused)
{
    face *self = (face *)object;

    (void)unused;
    if (self->map == NULL)
        Py_RETURN_NONE;
    if (self->exports > 0)
        return PyErr_Format(PyExc_BufferError,
                            "this map cannot be closed: %zd views of its values exist; release "
                            "them first",
                            self->exports);
    forget_owner(self);
    self->held = self->map;
    self->map = NULL;
    if (self->uses == 0)
        let_go(self);
    Py_RETURN_NONE;
}

static PyObject *abandon(PyObject *self, PyObject *arg)
{
    struct anybpf_map *map = anybpf_open_map(self);
    int abandoned = PyObject_IsTrue(arg);
    uint32_t seat;

    if (map == NULL || abandoned < 0)
        return NULL;
    anybpf_map_hold(self);
    Py_BEGIN_ALLOW_THREADS
    seat = anybpf_enter_as_guest(map->domain);
    anybpf_map_abandon(map, abandoned != 0);
    anybpf_leave(map->domain, seat);
    Py_END_ALLOW_THREADS
    anybpf_map_drop(self);
    Py_RETURN_NONE;
}

static int traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((face *)self)->base);
    return 0; /* a domain refers to nothing */
}

static void dealloc(PyObject *object)
{
    face *self = (face *)object;
    PyTypeObject *type = Py_TYPE(object);

    PyObject_GC_UnTrack(object);
    if (self->weak != NULL)
        PyObject_ClearWeakRefs(object);
    if (self->map != NULL) {
        forget_owner(self);
        self->held = self->map;
    }
    if (self->held != NULL) /* whoever uses the map holds this object */
        let_go(self);
    Py_XDECREF((PyObject *)self->domain);
    type->tp_free(object);
    Py_DECREF(type);
}

/* Properties. */

enum property { ID, KEY_SIZE, VALUE_SIZE, MAX_ENTRIES, FLAGS, CPUS, EXTRA, FD, MEMORY, STRIDE,
                USER_VALUE_SIZE, FROZEN, LOCK_OFFSET, TIMER_OFFSET };

static PyObject *get_number(PyObject *self, void *which)
{
    const struct anybpf_map *map = anybpf_open_map(self);

    if (map == NULL)
        return NULL;
    switch ((enum property)(uintptr_t)which) {
    case ID:
        return PyLong_FromUnsignedLong(map->object.id);
    case KEY_SIZE:
        return PyLong_FromUnsignedLong(map->shape.key_size);
    case VALUE_SIZE:
        return PyLong_FromUnsignedLong(map->shape.value_size);
    case MAX_ENTRIES:
        return PyLong_FromUnsignedLong(map->shape.max_entries);
    case FLAGS:
        return PyLong_FromUnsignedLong(map->shape.flags);
    case CPUS:
        return PyLong_FromUnsignedLong(map->shape.cpus);
    case EXTRA:
        return PyLong_FromUnsignedLongLong(map->shape.extra);
    case FD:
        return PyLong_FromLong(map->segment.fd);
    case MEMORY:
        return PyLong_FromSize_t(map->segment.size);
    case STRIDE:
        return PyLong_FromUnsignedLong(map->value_stride);
    case USER_VALUE_SIZE:
        return PyLong_FromSize_t(anybpf_user_value_size(&map->shape));
    case FROZEN:
        return PyBool_FromLong(atomic_load(&map->header->frozen) != 0);
    case LOCK_OFFSET:
        return PyLong_FromLong((int32_t)map->shape.lock_offset);
    case TIMER_OFFSET:
        return PyLong_FromLong((int32_t)map->shape.timer_offset);
    }
    Py_UNREACHABLE();
}

static PyObject *get_kind(PyObject *self, void *unused)
{
    const struct anybpf_map *map = anybpf_open_map(self);

    (void)unused;
    return map == NULL ? NULL : PyUnicode_FromString(map->ops->name);
}

static PyObject *get_name(PyObject *self, void *unused)
{
    const struct anybpf_map *map = anybpf_open_map(self);

    (void)unused;
    return map == NULL
               ? NULL
               : PyUnicode_DecodeUTF8(map->shape.name, (Py_ssize_t)strlen(map->shape.name), "replace");
}

static PyObject *get_closed(PyObject *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(((face *)self)->map == NULL);
}

static PyObject *get_domain(PyObject *self, void *unused)
{
    PyObject *domain = (PyObject *)((face *)self)->domain;

    (void)unused;
    return Py_NewRef(domain == NULL ? Py_None : domain);
}

/* Views. */

static bool has_values(const struct anybpf_map *map)
{
    return map->values != NULL &&
           (map->shape.kind == ANYBPF_ARRAY || map->shape.kind == ANYBPF_PERCPU_ARRAY ||
            map->shape.kind == ANYBPF_ARENA);
}

static int get_buffer(PyObject *object, Py_buffer *view, int flags)
{
    face *self = (face *)object;
    struct anybpf_map *map = self->map;
    bool writable;
    size_t size;

    view->obj = NULL;
    if (map == NULL || !has_values(map) || anybpf_may_read(map) != ANYBPF_OK) {
        PyErr_SetString(PyExc_BufferError, map == NULL ? "this map is closed"
                                                       : "this map's values cannot be viewed");
        return -1;
    }
    writable = anybpf_may_write(map) == ANYBPF_OK;
    if (!writable && (flags & PyBUF_WRITABLE)) {
        PyErr_SetString(PyExc_BufferError, "this map may not be written to");
        return -1;
    }
    size = map->values_size;
    if (map->shape.kind == ANYBPF_ARRAY)
        size = (size_t)map->shape.max_entries * map->value_stride;
    if (PyBuffer_FillInfo(view, object, map->values, (Py_ssize_t)size, !writable, flags) != 0)
        return -1;
    if (map->shape.kind == ANYBPF_PERCPU_ARRAY && (flags & PyBUF_STRIDES) == PyBUF_STRIDES) {
        self->view_strides[0] = (Py_ssize_t)(size / map->shape.cpus);
        self->view_strides[1] = 1;
        self->view_shape[0] = (Py_ssize_t)map->shape.cpus;
        self->view_shape[1] = (Py_ssize_t)((size_t)map->shape.max_entries * map->value_stride);
        view->ndim = 2;
        view->len = self->view_shape[0] * self->view_shape[1];
        view->shape = self->view_shape;
        view->strides = self->view_strides;
    }
    view->internal = (void *)(uintptr_t)writable;
    count_view(self, 1, writable);
    return 0;
}

static void release_buffer(PyObject *object, Py_buffer *view)
{
    face *self = (face *)object;

    count_view(self, -1, view->internal != NULL);
}

static PyObject *values_view(PyObject *self, PyObject *unused)
{
    struct anybpf_map *map = anybpf_open_map(self);
    int status;

    (void)unused;
    if (map == NULL)
        return NULL;
    status = has_values(map) ? anybpf_may_read(map) : ANYBPF_NOT_SUPPORTED;
    if (status != ANYBPF_OK)
        return anybpf_fail(self, "view", status, NULL);
    return PyMemoryView_FromObject(self);
}

/* Of all faces of the map. */
static Py_ssize_t writable_views(const face *self)
{
    while (self->base != NULL)
        self = self->base;
    return self->writable_exports;
}

static PyObject *freeze(PyObject *self, PyObject *unused)
{
    struct anybpf_map *map = anybpf_open_map(self);
    int status = ANYBPF_OK;

    (void)unused;
    if (map == NULL)
        return NULL;
    if (!map->segment.writable)
        status = ANYBPF_DENIED;
    else if (writable_views((face *)self) > 0)
        status = ANYBPF_BUSY;
    else
        atomic_store(&map->header->frozen, 1);
    return PyLong_FromLong(status);
}

static PyMethodDef methods[] = {
    {"attach", (PyCFunction)(void *)attach, METH_VARARGS | METH_KEYWORDS | METH_CLASS,
     "attach(domain, fd, writable=True, sealed=True)\n--\n\nA map that another process of the "
     "domain made; not sealed, it is a file that nobody may cut, though somebody could."},
    {"share", share, METH_O | METH_CLASS,
     "share(map)\n--\n\nAnother face of a map, closed by itself; the map outlives both."},
    {"close", close_map, METH_NOARGS,
     "close()\n--\n\nLet go of the map; its memory goes when nobody uses it any more."},
    {"abandon", abandon, METH_O,
     "abandon(abandoned, /)\n--\n\nWhether only programs refer to it from now on. Then its timers go, "
     "and it gets no others."},
    {"values_view", values_view, METH_NOARGS,
     "values_view()\n--\n\nAn array's values where they are, each padded to 8 bytes; a row for each "
     "processor in per-CPU arrays."},
    {"freeze", freeze, METH_NOARGS,
     "freeze()\n--\n\nUsers may not change the map from now on; a status."},
    {"_fail", default_fail, METH_VARARGS, "Raises; for subclasses to replace."},
    {"get", (PyCFunction)(void *)anybpf_map_get, METH_FASTCALL,
     "get(key, default=None)\n--\n\nThe value, or the default."},
    {"set_codec", (PyCFunction)(void *)anybpf_map_set_codec, METH_FASTCALL,
     "set_codec(key_code, value_code)\n--\n\nHow m[key] makes bytes of objects and back."},
    {NULL, NULL, 0, NULL},
};

#define NUMBER(name, which, doc) {name, get_number, NULL, doc, (void *)(uintptr_t)(which)}

static PyGetSetDef properties[] = {
    NUMBER("id", ID, "Number in the domain."),
    NUMBER("key_size", KEY_SIZE, "Bytes of a key."),
    NUMBER("value_size", VALUE_SIZE, "Bytes of a value."),
    NUMBER("user_value_size", USER_VALUE_SIZE, "Bytes that look-ups yield: of all processors."),
    NUMBER("value_stride", STRIDE, "Bytes from a value to the next in a view."),
    NUMBER("max_entries", MAX_ENTRIES, "How many entries it was made for."),
    NUMBER("flags", FLAGS, "MAP_FLAGS together."),
    NUMBER("cpus", CPUS, "Values that an entry of a per-CPU map has."),
    NUMBER("extra", EXTRA, "What only the kind knows."),
    NUMBER("lock_offset", LOCK_OFFSET, "Of the spin lock in a value, or -1."),
    NUMBER("timer_offset", TIMER_OFFSET, "Of the timer in a value, or -1."),
    NUMBER("fd", FD, "Descriptor of the shared memory, the map's own; -1 if private."),
    NUMBER("memory", MEMORY, "Bytes of its segment."),
    NUMBER("frozen", FROZEN, "Whether users may not change it any more."),
    {"kind", get_kind, NULL, "As in KINDS.", NULL},
    {"name", get_name, NULL, "The name it was given.", NULL},
    {"closed", get_closed, NULL, "Whether it was closed.", NULL},
    {"domain", get_domain, NULL, "The domain it belongs to.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(face, weak), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc,
     "Map(domain, id, kind, key_size, value_size, max_entries, flags=0, cpus=0, extra=0, "
     "lock_offset=-1, timer_offset=-1, name='', inner=None, shared=False)\n--\n\n"
     "A map's storage. Its face for people is anybpf.maps."},
    {Py_tp_new, PyType_GenericNew},
    {Py_tp_init, init},
    {Py_tp_dealloc, dealloc},
    {Py_tp_traverse, traverse},
    {Py_tp_methods, methods},
    {Py_tp_getset, properties},
    {Py_tp_members, members},
    {Py_bf_getbuffer, get_buffer},
    {Py_bf_releasebuffer, release_buffer},
    {Py_mp_subscript, anybpf_map_subscript},
    {Py_mp_ass_subscript, anybpf_map_assign},
    {Py_sq_contains, anybpf_map_contains},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "anybpf._core.Map",
    .basicsize = sizeof(face),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = slots,
};

static int add_methods(PyTypeObject *type, PyMethodDef *list)
{
    for (; list->ml_name != NULL; list++) {
        PyObject *method = PyDescr_NewMethod(type, list);

        if (method == NULL || PyDict_SetItemString(type->tp_dict, list->ml_name, method) != 0) {
            Py_XDECREF(method);
            return -1;
        }
        Py_DECREF(method);
    }
    PyType_Modified(type);
    return 0;
}

int anybpf_add_map(PyObject *module)
{
    struct anybpf_module *state = anybpf_module_state(module);

    state->map_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
    if (state->map_type == NULL || add_methods(state->map_type, anybpf_map_operations) != 0 ||
        add_methods(state->map_type, anybpf_map_batches) != 0 ||
        add_methods(state->map_type, anybpf_map_arenas) != 0)
        return -1;
    return PyModule_AddType(module, state->map_type);
}
