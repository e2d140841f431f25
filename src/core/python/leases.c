/* anybpf._core.RingLease: records where they lie in the ring.
 *
 * The consumer is what the memoryviews are of; it counts them, and the ring gets its room back when
 * the lease is released, or dropped, and the last of them is gone.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "rings.h"

struct lease {
    PyObject_HEAD
    struct consumer *consumer; /* strong; NULL when released */
    PyObject *base;            /* memoryview of the ring */
    PyObject *views;           /* list */
};

static void end_lease(struct consumer *self)
{
    self->leased = false;
    if (self->map != NULL && anybpf_rings_are_mine(self->map)) {
        anybpf_ring_advance(self->map, self->lease_ring, self->lease_position,
                            self->lease_records);
        anybpf_consumer_settle(self);
    }
    self->uses--;
    anybpf_consumer_let_go(self);
}

int anybpf_consumer_get_buffer(PyObject *object, Py_buffer *view, int flags)
{
    struct consumer *self = (struct consumer *)object;
    uint64_t size;

    view->obj = NULL;
    if (!self->leased || self->map == NULL) {
        PyErr_SetString(PyExc_BufferError, "a ring's memory is seen through leases only");
        return -1;
    }
    size = 2 * anybpf_ring_size(self->map);
    if (PyBuffer_FillInfo(view, object,
                          (void *)(uintptr_t)anybpf_ring_memory(self->map, self->lease_ring),
                          (Py_ssize_t)size, 1, flags) != 0)
        return -1;
    self->exports++;
    return 0;
}

void anybpf_consumer_release_buffer(PyObject *object, Py_buffer *view)
{
    struct consumer *self = (struct consumer *)object;

    (void)view;
    if (--self->exports == 0 && self->leased && !self->lease_lives)
        end_lease(self);
}

static PyObject *slice_of(PyObject *base, size_t from, size_t size)
{
    PyObject *start = PyLong_FromSize_t(from);
    PyObject *end = PyLong_FromSize_t(from + size);
    PyObject *slice = start == NULL || end == NULL ? NULL : PySlice_New(start, end, NULL);
    PyObject *view = slice == NULL ? NULL : PyObject_GetItem(base, slice);

    Py_XDECREF(start);
    Py_XDECREF(end);
    Py_XDECREF(slice);
    return view;
}

static int fill_lease(struct consumer *self, struct lease *lease, uint32_t count)
{
    uintptr_t start = (uintptr_t)anybpf_ring_memory(self->map, self->lease_ring);
    uint32_t i;

    lease->base = PyMemoryView_FromObject((PyObject *)self);
    lease->views = lease->base == NULL ? NULL : PyList_New((Py_ssize_t)count);
    if (lease->views == NULL)
        return -1;
    for (i = 0; i < count; i++) {
        const struct anybpf_record *record = &self->records[i];
        PyObject *view = slice_of(lease->base, (uintptr_t)record->data - start, record->size);

        if (view == NULL)
            return -1;
        PyList_SET_ITEM(lease->views, (Py_ssize_t)i, view);
    }
    return 0;
}

PyObject *anybpf_consumer_lease(PyObject *object, PyObject *const *args, Py_ssize_t arguments)
{
    struct consumer *self = (struct consumer *)object;
    struct anybpf_map *map = anybpf_consumer_open(self);
    struct anybpf_module *module = anybpf_state_of(object);
    struct lease *lease;
    uint64_t position;
    uint32_t most;
    uint32_t ring;
    uint32_t count;
    int status;

    if (map == NULL || module == NULL ||
        !anybpf_consumer_parse(self, args, arguments, ANYBPF_MOST_BATCH, &most, &ring))
        return NULL;
    if (map->shape.flags & ANYBPF_OVERWRITES)
        return anybpf_fail(self->face, "lease", ANYBPF_NOT_SUPPORTED, NULL);
    if (most > anybpf_ring_unread(map, ring) / 8)
        most = (uint32_t)(anybpf_ring_unread(map, ring) / 8);
    if (!anybpf_consumer_have_room(self, most < ANYBPF_LEAST_SCRATCH ? ANYBPF_LEAST_SCRATCH : most))
        return NULL;
    position = anybpf_ring_consumed(map, ring);
    count = most;
    status = anybpf_ring_peek(map, ring, &position, self->records, &count);
    if (status != ANYBPF_OK && count == 0)
        return anybpf_fail(self->face, "lease", status, NULL);
    lease = (struct lease *)module->ring_types[LEASE_TYPE]->tp_alloc(
        module->ring_types[LEASE_TYPE], 0);
    if (lease == NULL)
        return NULL;
    self->leased = true;
    self->lease_lives = true;
    self->lease_ring = ring;
    self->lease_position = position;
    self->lease_records = count;
    self->uses++;
    lease->consumer = (struct consumer *)Py_NewRef(object);
    if (fill_lease(self, lease, count) != 0) {
        self->lease_position = anybpf_ring_consumed(map, ring); /* none is read */
        self->lease_records = 0;
        Py_DECREF(lease);
        return NULL;
    }
    return (PyObject *)lease;
}

/* Ends the views; an exception if one of them, or a part of one, is still used elsewhere. */
static int release_views(struct lease *self)
{
    PyObject *name = PyUnicode_InternFromString("release");
    PyObject *done = name;
    Py_ssize_t i;

    for (i = 0; done != NULL && i < PyList_GET_SIZE(self->views); i++) {
        done = PyObject_CallMethodNoArgs(PyList_GET_ITEM(self->views, i), name);
        Py_XDECREF(done);
    }
    if (done != NULL) {
        done = PyObject_CallMethodNoArgs(self->base, name);
        Py_XDECREF(done);
    }
    Py_XDECREF(name);
    if (done == NULL)
        return -1;
    if (self->consumer->exports > 0) {
        PyErr_SetString(PyExc_BufferError,
                        "leased records are still in use: drop slices and arrays made of them, "
                        "then release the lease again");
        return -1;
    }
    return 0;
}

static PyObject *lease_release(PyObject *object, PyObject *unused)
{
    struct lease *self = (struct lease *)object;
    struct consumer *consumer = self->consumer;

    (void)unused;
    if (consumer == NULL)
        Py_RETURN_NONE;
    if (release_views(self) != 0)
        return NULL;
    self->consumer = NULL;
    Py_CLEAR(self->base);
    Py_CLEAR(self->views);
    consumer->lease_lives = false;
    end_lease(consumer);
    Py_DECREF(consumer);
    Py_RETURN_NONE;
}

static void lease_dealloc(PyObject *object)
{
    struct lease *self = (struct lease *)object;
    PyTypeObject *type = Py_TYPE(object);
    struct consumer *consumer = self->consumer;

    Py_CLEAR(self->views);
    Py_CLEAR(self->base);
    if (consumer != NULL) {
        consumer->lease_lives = false;
        if (consumer->exports == 0) /* else the last view ends it */
            end_lease(consumer);
        Py_DECREF(consumer);
    }
    type->tp_free(object);
    Py_DECREF(type);
}

static PyObject *lease_enter(PyObject *object, PyObject *unused)
{
    struct lease *self = (struct lease *)object;

    (void)unused;
    if (self->views == NULL) {
        PyErr_SetString(PyExc_ValueError, "this lease is released");
        return NULL;
    }
    return Py_NewRef(self->views);
}

static PyObject *lease_exit(PyObject *object, PyObject *const *args, Py_ssize_t count)
{
    (void)args;
    (void)count;
    return lease_release(object, NULL);
}

static PyObject *lease_records(PyObject *object, void *unused)
{
    (void)unused;
    return lease_enter(object, NULL);
}

#define FAST(function) ((PyCFunction)(void *)(function))

static PyMethodDef lease_methods[] = {
    {"release", lease_release, METH_NOARGS,
     "release()\n--\n\nGives the records' memory back to the ring, and ends the views of it."},
    {"__enter__", lease_enter, METH_NOARGS, NULL},
    {"__exit__", FAST(lease_exit), METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef lease_properties[] = {
    {"records", lease_records, NULL, "list of memoryviews", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot lease_slots[] = {
    {Py_tp_doc, "Records in place, until they are released."},
    {Py_tp_dealloc, lease_dealloc},
    {Py_tp_methods, lease_methods},
    {Py_tp_getset, lease_properties},
    {0, NULL},
};

static PyType_Spec lease_spec = {
    .name = "anybpf._core.RingLease",
    .basicsize = sizeof(struct lease),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = lease_slots,
};

int anybpf_add_ring_leases(PyObject *module)
{
    return anybpf_add_ring_type(module, &lease_spec, LEASE_TYPE);
}
