/* anybpf._core.RingProducer and RingReservation: writing rings from Python. Users fill user rings
 * for programs so; other rings they may write as a program would, for tests and for tools.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "rings.h"

#include <string.h>

struct producer {
    PyObject_HEAD
    PyObject *face; /* the Map, strong; NULL: nothing is held */
    struct anybpf_map *map;
    bool closed;
    Py_ssize_t uses;
};

struct reservation {
    PyObject_HEAD
    struct producer *producer; /* strong; NULL: submitted or discarded */
    uint8_t *record;
    Py_ssize_t size;
    Py_ssize_t exports;
    PyObject *view; /* what `with` gave; its own view of the record */
};

static void let_go_if_done(struct producer *self)
{
    PyObject *face = self->face;

    if (!self->closed || self->uses > 0 || face == NULL)
        return;
    self->face = NULL;
    self->map = NULL;
    anybpf_map_drop(face);
    Py_DECREF(face);
}

static PyObject *producer_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"map", NULL};
    struct producer *self;
    struct anybpf_map *map;
    PyObject *face;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:RingProducer", names, &face))
        return NULL;
    map = anybpf_ring_map_of(type, face);
    if (map == NULL)
        return NULL;
    if (!map->segment.writable)
        return anybpf_fail(face, "write", ANYBPF_DENIED, NULL);
    self = (struct producer *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->face = Py_NewRef(face);
    self->map = map;
    anybpf_map_hold(face);
    return (PyObject *)self;
}

static PyObject *producer_close(PyObject *object, PyObject *unused)
{
    struct producer *self = (struct producer *)object;

    (void)unused;
    if (!self->closed) {
        self->closed = true;
        if (self->map != NULL && self->uses > 0)
            anybpf_rings_wake(self->map);
        let_go_if_done(self);
    }
    Py_RETURN_NONE;
}

static int traverse(PyObject *object, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(((struct producer *)object)->face);
    return 0;
}

static int clear(PyObject *object)
{
    Py_XDECREF(producer_close(object, NULL));
    return 0;
}

static void producer_dealloc(PyObject *object)
{
    struct producer *self = (struct producer *)object;
    PyTypeObject *type = Py_TYPE(object);

    PyObject_GC_UnTrack(object);
    self->closed = true;
    self->uses = 0;
    let_go_if_done(self);
    type->tp_free(object);
    Py_DECREF(type);
}

static struct anybpf_map *open_for_writing(struct producer *self)
{
    if (self->closed || self->map == NULL) {
        PyErr_SetString(PyExc_ValueError, "this producer is closed");
        return NULL;
    }
    return self->map;
}

/* Whole records. */

static PyObject *producer_output(PyObject *object, PyObject *const *args, Py_ssize_t count)
{
    struct producer *self = (struct producer *)object;
    struct anybpf_map *map = open_for_writing(self);
    unsigned long long flags = 0;
    Py_buffer data;
    int status;

    if (map == NULL)
        return NULL;
    if (count < 1 || count > 2) {
        PyErr_SetString(PyExc_TypeError, "output(data, flags=0)");
        return NULL;
    }
    if (count == 2)
        flags = PyLong_AsUnsignedLongLong(args[1]);
    if (PyErr_Occurred() || PyObject_GetBuffer(args[0], &data, PyBUF_SIMPLE) != 0)
        return NULL;
    status = anybpf_ring_output(map, data.buf, (uint64_t)data.len, flags, ANYBPF_NO_SEAT);
    PyBuffer_Release(&data);
    return PyLong_FromLong(status);
}

static PyObject *producer_output_many(PyObject *object, PyObject *records)
{
    struct producer *self = (struct producer *)object;
    struct anybpf_map *map = open_for_writing(self);
    PyObject *list = map == NULL ? NULL : PySequence_Fast(records, "records must be a sequence");
    int status = ANYBPF_OK;
    Py_ssize_t i = 0;

    if (list == NULL)
        return NULL;
    for (; status == ANYBPF_OK && i < PySequence_Fast_GET_SIZE(list); i++) {
        Py_buffer data;

        if (PyObject_GetBuffer(PySequence_Fast_GET_ITEM(list, i), &data, PyBUF_SIMPLE) != 0) {
            Py_DECREF(list);
            return NULL;
        }
        status = anybpf_ring_output(map, data.buf, (uint64_t)data.len, 0, ANYBPF_NO_SEAT);
        PyBuffer_Release(&data);
    }
    Py_DECREF(list);
    return Py_BuildValue("(in)", status, status == ANYBPF_OK ? i : i - 1);
}

static PyObject *producer_output_event(PyObject *object, PyObject *args)
{
    struct producer *self = (struct producer *)object;
    struct anybpf_map *map = open_for_writing(self);
    struct anybpf_part part;
    unsigned int cpu;
    Py_buffer data;
    int status;

    if (map == NULL || !PyArg_ParseTuple(args, "y*I:output_event", &data, &cpu))
        return NULL;
    part.data = data.buf;
    part.size = (uint64_t)data.len;
    status = anybpf_perf_output(map, cpu, cpu, &part, 1);
    PyBuffer_Release(&data);
    return PyLong_FromLong(status);
}

/* Reservations. */

static PyObject *producer_reserve(PyObject *object, PyObject *argument)
{
    struct producer *self = (struct producer *)object;
    struct anybpf_map *map = open_for_writing(self);
    struct anybpf_module *module = anybpf_state_of(object);
    size_t size = PyLong_AsSize_t(argument);
    struct reservation *reservation;
    PyTypeObject *type;
    void *record;
    int status;

    if (map == NULL || module == NULL || PyErr_Occurred())
        return NULL;
    type = module->ring_types[RESERVATION_TYPE];
    reservation = (struct reservation *)type->tp_alloc(type, 0);
    if (reservation == NULL)
        return NULL;
    status = anybpf_ring_reserve(map, size, 0, ANYBPF_NO_SEAT, &record);
    if (status != ANYBPF_OK) {
        Py_DECREF(reservation);
        return PyLong_FromLong(status);
    }
    memset(record, 0, size);
    reservation->record = record;
    reservation->size = (Py_ssize_t)size;
    reservation->producer = (struct producer *)Py_NewRef(object);
    self->uses++;
    return (PyObject *)reservation;
}

static void finish(struct reservation *self, bool submit, uint64_t flags)
{
    struct producer *producer = self->producer;

    self->producer = NULL;
    if (submit)
        (void)anybpf_ring_submit(producer->map, self->record, flags);
    else
        (void)anybpf_ring_discard(producer->map, self->record, flags);
    producer->uses--;
    let_go_if_done(producer);
    Py_DECREF(producer);
}

/* (flags=0) */
static PyObject *end_reservation(PyObject *object, PyObject *const *args, Py_ssize_t count,
                                 bool submit)
{
    struct reservation *self = (struct reservation *)object;
    unsigned long long flags = count > 0 ? PyLong_AsUnsignedLongLong(args[0]) : 0;

    if (PyErr_Occurred())
        return NULL;
    if (self->producer == NULL) {
        PyErr_SetString(PyExc_ValueError, "this record is submitted or discarded already");
        return NULL;
    }
    if (self->view != NULL) {
        PyObject *done = PyObject_CallMethod(self->view, "release", NULL);

        if (done == NULL)
            return NULL;
        Py_DECREF(done);
        Py_CLEAR(self->view);
    }
    if (self->exports > 0) {
        PyErr_SetString(PyExc_BufferError,
                        "views of this record exist; release them before you submit it");
        return NULL;
    }
    finish(self, submit, flags);
    Py_RETURN_NONE;
}

static PyObject *reservation_submit(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    return end_reservation(self, args, count, true);
}

static PyObject *reservation_discard(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    return end_reservation(self, args, count, false);
}

static PyObject *reservation_enter(PyObject *object, PyObject *unused)
{
    struct reservation *self = (struct reservation *)object;

    (void)unused;
    if (self->view == NULL)
        self->view = PyMemoryView_FromObject(object);
    return Py_XNewRef(self->view);
}

static PyObject *reservation_exit(PyObject *object, PyObject *const *args, Py_ssize_t count)
{
    struct reservation *self = (struct reservation *)object;

    if (self->producer == NULL)
        Py_RETURN_NONE;
    return end_reservation(object, NULL, 0, count < 1 || args[0] == Py_None);
}

static int reservation_get_buffer(PyObject *object, Py_buffer *view, int flags)
{
    struct reservation *self = (struct reservation *)object;

    view->obj = NULL;
    if (self->producer == NULL) {
        PyErr_SetString(PyExc_BufferError, "this record is submitted or discarded already");
        return -1;
    }
    if (PyBuffer_FillInfo(view, object, self->record, self->size, 0, flags) != 0)
        return -1;
    self->exports++;
    return 0;
}

static void reservation_release_buffer(PyObject *object, Py_buffer *view)
{
    (void)view;
    ((struct reservation *)object)->exports--;
}

static int reservation_traverse(PyObject *object, visitproc visit, void *arg)
{
    struct reservation *self = (struct reservation *)object;

    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->view);
    Py_VISIT((PyObject *)self->producer);
    return 0;
}

static int reservation_clear(PyObject *object)
{
    Py_CLEAR(((struct reservation *)object)->view);
    return 0;
}

static void reservation_dealloc(PyObject *object)
{
    struct reservation *self = (struct reservation *)object;
    PyTypeObject *type = Py_TYPE(object);

    PyObject_GC_UnTrack(object);
    Py_CLEAR(self->view);
    if (self->producer != NULL)
        finish(self, false, 0);
    type->tp_free(object);
    Py_DECREF(type);
}

/* Waiting, and the other side. */

static PyObject *producer_wait(PyObject *object, PyObject *args)
{
    struct producer *self = (struct producer *)object;
    struct anybpf_map *map = open_for_writing(self);
    uint64_t start = anybpf_clock_ns(ANYBPF_MONOTONIC);
    unsigned long long size;
    double timeout;
    int64_t limit;
    bool room = false;

    if (map == NULL || !PyArg_ParseTuple(args, "Kd:wait", &size, &timeout))
        return NULL;
    limit = timeout < 0 ? -1 : !(timeout <= 1e9) ? INT64_MAX : (int64_t)(timeout * 1e9);
    self->uses++;
    for (;;) {
        uint32_t ticket = anybpf_rings_ticket(map);
        uint64_t passed = anybpf_clock_ns(ANYBPF_MONOTONIC) - start;

        room = anybpf_user_ring_has_room(map, size);
        if (room || self->closed || (limit >= 0 && passed >= (uint64_t)limit) ||
            PyErr_CheckSignals() != 0)
            break;
        Py_BEGIN_ALLOW_THREADS
        anybpf_rings_wait(map, ticket, size, limit < 0 ? -1 : limit - (int64_t)passed);
        Py_END_ALLOW_THREADS
    }
    self->uses--;
    let_go_if_done(self);
    return PyErr_Occurred() ? NULL : PyBool_FromLong(room);
}

static int call_back(void *callback, void *sample, uint32_t size)
{
    PyObject *result = PyObject_CallFunction(callback, "y#", (char *)sample, (Py_ssize_t)size);
    int enough = result == NULL ? 1 : PyObject_IsTrue(result);

    Py_XDECREF(result);
    return enough != 0;
}

static PyObject *producer_drain(PyObject *object, PyObject *args)
{
    struct producer *self = (struct producer *)object;
    struct anybpf_map *map = open_for_writing(self);
    PyObject *callback;
    unsigned long long flags = 0;
    uint64_t visited;
    int status;

    if (map == NULL || !PyArg_ParseTuple(args, "O|K:drain", &callback, &flags))
        return NULL;
    self->uses++;
    status = anybpf_user_ring_drain(map, flags, call_back, callback, &visited);
    self->uses--;
    let_go_if_done(self);
    if (PyErr_Occurred())
        return NULL;
    return Py_BuildValue("(iK)", status, (unsigned long long)visited);
}

static PyObject *producer_query(PyObject *object, PyObject *argument)
{
    struct anybpf_map *map = open_for_writing((struct producer *)object);
    unsigned long long what = PyLong_AsUnsignedLongLong(argument);

    if (map == NULL || PyErr_Occurred())
        return NULL;
    return PyLong_FromUnsignedLongLong(anybpf_ring_query(map, what));
}

#define FAST(function) ((PyCFunction)(void *)(function))

static PyMethodDef producer_methods[] = {
    {"output", FAST(producer_output), METH_FASTCALL, "output(data, flags=0)\n--\n\nA status."},
    {"output_many", producer_output_many, METH_O,
     "output_many(records)\n--\n\nA status, and how many records were written before it."},
    {"output_event", producer_output_event, METH_VARARGS,
     "output_event(data, cpu)\n--\n\nTo a perf event array. A status."},
    {"reserve", producer_reserve, METH_O,
     "reserve(size)\n--\n\nA RingReservation of zeroed memory, or a status."},
    {"wait", producer_wait, METH_VARARGS,
     "wait(size, timeout)\n--\n\nWhether there is room for a record now."},
    {"drain", producer_drain, METH_VARARGS,
     "drain(callback, flags=0)\n--\n\nWhat a program does to a user ring: a status, and how many "
     "records were seen. A result that is true ends it."},
    {"query", producer_query, METH_O, "query(what)\n--\n\nAs bpf_ringbuf_query."},
    {"close", producer_close, METH_NOARGS, "close()\n--\n\nIdempotent; ends waits."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot producer_slots[] = {
    {Py_tp_doc, "RingProducer(map)\n--\n\nWrites records. As many as like may write a ring."},
    {Py_tp_new, producer_new},
    {Py_tp_dealloc, producer_dealloc},
    {Py_tp_traverse, traverse},
    {Py_tp_clear, clear},
    {Py_tp_methods, producer_methods},
    {0, NULL},
};

static PyType_Spec producer_spec = {
    .name = "anybpf._core.RingProducer",
    .basicsize = sizeof(struct producer),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = producer_slots,
};

static PyMethodDef reservation_methods[] = {
    {"submit", FAST(reservation_submit), METH_FASTCALL, "submit(flags=0)\n--\n\n"},
    {"discard", FAST(reservation_discard), METH_FASTCALL, "discard(flags=0)\n--\n\n"},
    {"__enter__", reservation_enter, METH_NOARGS, NULL},
    {"__exit__", FAST(reservation_exit), METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot reservation_slots[] = {
    {Py_tp_doc, "Memory of a ring for one record; submitted by `with`, discarded by exceptions."},
    {Py_tp_dealloc, reservation_dealloc},
    {Py_tp_traverse, reservation_traverse},
    {Py_tp_clear, reservation_clear},
    {Py_tp_methods, reservation_methods},
    {Py_bf_getbuffer, reservation_get_buffer},
    {Py_bf_releasebuffer, reservation_release_buffer},
    {0, NULL},
};

static PyType_Spec reservation_spec = {
    .name = "anybpf._core.RingReservation",
    .basicsize = sizeof(struct reservation),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = reservation_slots,
};

int anybpf_add_ring_producers(PyObject *module)
{
    if (anybpf_add_ring_type(module, &producer_spec, PRODUCER_TYPE) != 0)
        return -1;
    return anybpf_add_ring_type(module, &reservation_spec, RESERVATION_TYPE);
}
