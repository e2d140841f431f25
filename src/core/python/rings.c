/* anybpf._core.RingConsumer: reading rings from Python. Reading in place is in leases.c, writing in
 * producers.c.
 *
 * A consumer may be waited for in one thread and closed in another: what it has of the map it gives
 * back when it is closed and nobody is inside any more.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "rings.h"

#include <string.h>

#define CHUNK ANYBPF_LEAST_SCRATCH

void anybpf_consumer_let_go(struct consumer *self)
{
    PyObject *face = self->face;

    if (!self->closed || self->uses > 0 || face == NULL)
        return;
    anybpf_rings_unclaim(self->map);
    self->face = NULL;
    self->map = NULL;
    anybpf_map_drop(face);
    Py_DECREF(face);
}

/* Opening. */

static PyObject *consumer_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"map", NULL};
    struct consumer *self;
    struct anybpf_map *map;
    PyObject *face;
    int status;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:RingConsumer", names, &face))
        return NULL;
    map = anybpf_ring_map_of(type, face);
    if (map == NULL)
        return NULL;
    status = map->shape.kind == ANYBPF_USER_RINGBUF ? ANYBPF_NOT_SUPPORTED
                                                    : anybpf_rings_claim(map);
    if (status != ANYBPF_OK)
        return anybpf_fail(face, "read", status, NULL);
    self = (struct consumer *)type->tp_alloc(type, 0);
    if (self == NULL) {
        anybpf_rings_unclaim(map);
        return NULL;
    }
    self->face = Py_NewRef(face);
    self->map = map;
    anybpf_map_hold(face);
    if (map->shape.flags & ANYBPF_NEEDS_READER)
        anybpf_perf_forget(map);
    return (PyObject *)self;
}

static PyObject *consumer_close(PyObject *object, PyObject *unused)
{
    struct consumer *self = (struct consumer *)object;

    (void)unused;
    if (!self->closed) {
        self->closed = true;
        if (self->map != NULL)
            anybpf_rings_wake(self->map);
        anybpf_consumer_let_go(self);
    }
    Py_RETURN_NONE;
}

static int consumer_traverse(PyObject *object, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(((struct consumer *)object)->face);
    return 0;
}

static int consumer_clear(PyObject *object)
{
    Py_XDECREF(consumer_close(object, NULL));
    return 0;
}

static void consumer_dealloc(PyObject *object)
{
    struct consumer *self = (struct consumer *)object;
    PyTypeObject *type = Py_TYPE(object);

    PyObject_GC_UnTrack(object);
    self->closed = true;
    self->uses = 0;
    anybpf_consumer_let_go(self);
    PyMem_Free(self->records);
    PyMem_Free(self->copies);
    type->tp_free(object);
    Py_DECREF(type);
}

/* The map, if it may be read now; NULL with an exception. */
struct anybpf_map *anybpf_consumer_open(struct consumer *self)
{
    if (self->closed || self->map == NULL) {
        PyErr_SetString(PyExc_ValueError, "this reader is closed");
        return NULL;
    }
    if (!anybpf_rings_are_mine(self->map)) {
        anybpf_fail(self->face, "read", ANYBPF_BUSY, NULL);
        return NULL;
    }
    if (self->leased) {
        PyErr_SetString(PyExc_BufferError,
                        "records of this reader are leased; release them before you read on");
        return NULL;
    }
    return self->map;
}

/* Waiting. */

enum { TIME_IS_UP, READY, CALLED };

static PyObject *consumer_wait(PyObject *object, PyObject *argument)
{
    struct consumer *self = (struct consumer *)object;
    struct anybpf_map *map = self->map;
    uint32_t flushes = self->flushes;
    double timeout = PyFloat_AsDouble(argument);
    uint64_t start = anybpf_clock_ns(ANYBPF_MONOTONIC);
    int64_t limit;
    int outcome = -1;

    if (timeout == -1.0 && PyErr_Occurred())
        return NULL;
    limit = timeout < 0 ? -1 : !(timeout <= 1e9) ? INT64_MAX : (int64_t)(timeout * 1e9);
    if (self->closed || map == NULL)
        return PyLong_FromLong(CALLED);
    self->uses++;
    while (outcome < 0) {
        uint32_t ticket = anybpf_rings_ticket(map);
        uint64_t passed = anybpf_clock_ns(ANYBPF_MONOTONIC) - start;

        if (self->closed || self->flushes != flushes) {
            outcome = CALLED;
        } else if (anybpf_rings_ready(map)) {
            outcome = READY;
        } else if (limit >= 0 && passed >= (uint64_t)limit) {
            outcome = TIME_IS_UP;
        } else {
            Py_BEGIN_ALLOW_THREADS
            anybpf_rings_wait(map, ticket, 0, limit < 0 ? -1 : limit - (int64_t)passed);
            Py_END_ALLOW_THREADS
            if (PyErr_CheckSignals() != 0)
                break;
        }
    }
    self->uses--;
    anybpf_consumer_let_go(self);
    return outcome < 0 ? NULL : PyLong_FromLong(outcome);
}

static PyObject *consumer_flush(PyObject *object, PyObject *unused)
{
    struct consumer *self = (struct consumer *)object;

    (void)unused;
    self->flushes++;
    if (self->map != NULL)
        anybpf_rings_wake(self->map);
    Py_RETURN_NONE;
}

static PyObject *consumer_fileno(PyObject *object, PyObject *unused)
{
    struct consumer *self = (struct consumer *)object;
    int descriptor;

    (void)unused;
    if (self->closed || self->map == NULL)
        return PyLong_FromLong(-1);
    descriptor = anybpf_rings_fd(self->map);
    if (descriptor >= 0 && !self->has_descriptor) {
        self->has_descriptor = true;
        anybpf_rings_settle(self->map);
    }
    return PyLong_FromLong(descriptor);
}

static PyObject *consumer_bridge(PyObject *object, PyObject *unused)
{
    struct consumer *self = (struct consumer *)object;
    struct anybpf_map *map = self->map;

    (void)unused;
    if (self->closed || map == NULL)
        Py_RETURN_FALSE;
    self->uses++;
    Py_BEGIN_ALLOW_THREADS
    anybpf_rings_bridge(map);
    Py_END_ALLOW_THREADS
    self->uses--;
    anybpf_consumer_let_go(self);
    return PyBool_FromLong(!self->closed);
}

/* Reading. */

bool anybpf_consumer_have_room(struct consumer *self, size_t records)
{
    if (self->capacity < records) {
        struct anybpf_record *larger =
            PyMem_Realloc(self->records, records * sizeof(*larger));

        if (larger == NULL) {
            PyErr_NoMemory();
            return false;
        }
        self->records = larger;
        self->capacity = records;
    }
    if (self->map->shape.flags & ANYBPF_OVERWRITES && self->copies == NULL) {
        self->copies = PyMem_Malloc((size_t)anybpf_ring_size(self->map));
        if (self->copies == NULL) {
            PyErr_NoMemory();
            return false;
        }
    }
    return true;
}

/* Up to `*count` records into the scratch, and the position after them; of rings that overwrite they
 * are copies and gone from the ring. An enum anybpf_status. */
static int find_records(struct consumer *self, uint32_t ring, uint64_t *position, uint32_t *count)
{
    if (self->map->shape.flags & ANYBPF_OVERWRITES)
        return anybpf_ring_take(self->map, ring, self->copies,
                                (size_t)anybpf_ring_size(self->map), self->records, count);
    *position = anybpf_ring_consumed(self->map, ring);
    return anybpf_ring_peek(self->map, ring, position, self->records, count);
}

static void forget_records(struct consumer *self, uint32_t ring, uint64_t position,
                           uint32_t count)
{
    if ((self->map->shape.flags & ANYBPF_OVERWRITES) == 0)
        anybpf_ring_advance(self->map, ring, position, count);
}

void anybpf_consumer_settle(struct consumer *self)
{
    if (self->has_descriptor && self->map != NULL)
        anybpf_rings_settle(self->map);
}

/* (most, ring=0) */
bool anybpf_consumer_parse(struct consumer *self, PyObject *const *args, Py_ssize_t count,
                          uint32_t limit, uint32_t *most, uint32_t *ring)
{
    long long wanted = LLONG_MAX;
    long long which = 0;

    if (count > 2) {
        PyErr_SetString(PyExc_TypeError, "at most two arguments: most, ring");
        return false;
    }
    if (count > 0)
        wanted = PyLong_AsLongLong(args[0]);
    if (count > 1)
        which = PyLong_AsLongLong(args[1]);
    if (PyErr_Occurred())
        return false;
    if (wanted < 0 || which < 0 || which >= (long long)anybpf_rings(self->map)) {
        PyErr_SetString(PyExc_ValueError, wanted < 0 ? "most must not be negative"
                                                     : "there is no ring of that number");
        return false;
    }
    *most = wanted > limit ? limit : (uint32_t)wanted;
    *ring = (uint32_t)which;
    return true;
}

/* A list's next item: (cpu, bytes, lost) of perf rings, bytes of others. */
static int append_record(PyObject *list, const struct anybpf_map *map, uint32_t ring,
                         const struct anybpf_record *record)
{
    PyObject *item = PyBytes_FromStringAndSize((const char *)record->data, record->size);
    int failed;

    if (item != NULL && map->shape.kind == ANYBPF_PERF_EVENT_ARRAY)
        item = Py_BuildValue("(INI)", ring, item, record->lost);
    if (item == NULL)
        return -1;
    failed = PyList_Append(list, item);
    Py_DECREF(item);
    return failed;
}

static PyObject *consumer_read(PyObject *object, PyObject *const *args, Py_ssize_t arguments)
{
    struct consumer *self = (struct consumer *)object;
    struct anybpf_map *map = anybpf_consumer_open(self);
    PyObject *list;
    uint32_t most;
    uint32_t ring;
    uint32_t count = 0;
    uint32_t left;

    if (map == NULL ||
        !anybpf_consumer_parse(self, args, arguments, ANYBPF_MOST_BATCH, &most, &ring) ||
        !anybpf_consumer_have_room(self, CHUNK))
        return NULL;
    list = PyList_New(0);
    for (left = most; list != NULL && left > 0; left -= count) {
        uint64_t position = 0;
        uint32_t i;
        int status;

        count = left < CHUNK ? left : CHUNK;
        status = find_records(self, ring, &position, &count);
        for (i = 0; i < count; i++)
            if (append_record(list, map, ring, &self->records[i]) != 0) {
                Py_DECREF(list);
                return NULL;
            }
        forget_records(self, ring, position, count);
        if (status != ANYBPF_OK && PyList_GET_SIZE(list) == 0) {
            Py_DECREF(list);
            return anybpf_fail(self->face, "read", status, NULL);
        }
        if (count == 0)
            break;
    }
    anybpf_consumer_settle(self);
    return list;
}

/* (data, offsets), and of perf rings how many records were lost before and among these. */
static PyObject *consumer_batch(PyObject *object, PyObject *const *args, Py_ssize_t arguments)
{
    struct consumer *self = (struct consumer *)object;
    struct anybpf_map *map = anybpf_consumer_open(self);
    PyObject *data;
    uint64_t lost = 0;
    PyObject *offsets;
    uint64_t position = 0;
    uint64_t sum = 0;
    uint64_t *offset;
    uint8_t *to;
    uint32_t most;
    uint32_t ring;
    uint32_t count;
    uint32_t i;
    int status;

    if (map == NULL ||
        !anybpf_consumer_parse(self, args, arguments, ANYBPF_MOST_BATCH, &most, &ring))
        return NULL;
    /* No record is shorter than its header. */
    if (most > anybpf_ring_unread(map, ring) / 8)
        most = (uint32_t)(anybpf_ring_unread(map, ring) / 8);
    if (!anybpf_consumer_have_room(self, most < CHUNK ? CHUNK : most))
        return NULL;
    count = most;
    status = find_records(self, ring, &position, &count);
    if (status != ANYBPF_OK && count == 0)
        return anybpf_fail(self->face, "read", status, NULL);
    for (i = 0; i < count; i++)
        sum += self->records[i].size;
    data = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)sum);
    offsets = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)((count + 1) * sizeof(*offset)));
    if (data == NULL || offsets == NULL) {
        Py_XDECREF(data);
        Py_XDECREF(offsets);
        return NULL;
    }
    to = (uint8_t *)PyBytes_AS_STRING(data);
    offset = (uint64_t *)(void *)PyBytes_AS_STRING(offsets);
    sum = 0;
    for (i = 0; i < count; i++) {
        memcpy(&offset[i], &sum, sizeof(sum));
        memcpy(to + sum, self->records[i].data, self->records[i].size);
        sum += self->records[i].size;
    }
    memcpy(&offset[count], &sum, sizeof(sum));
    for (i = 0; i < count; i++)
        lost += self->records[i].lost;
    forget_records(self, ring, position, count);
    anybpf_consumer_settle(self);
    if (map->shape.kind == ANYBPF_PERF_EVENT_ARRAY)
        return Py_BuildValue("(NNK)", data, offsets, (unsigned long long)lost);
    return Py_BuildValue("(NN)", data, offsets);
}

/* Properties. */

enum property { SIZE, RINGS, CLOSED, NEEDS_BRIDGE, FLUSHES };

static PyObject *get_property(PyObject *object, void *which)
{
    struct consumer *self = (struct consumer *)object;

    if ((enum property)(uintptr_t)which == CLOSED)
        return PyBool_FromLong(self->closed);
    if ((enum property)(uintptr_t)which == FLUSHES)
        return PyLong_FromUnsignedLong(self->flushes);
    if (self->map == NULL) {
        PyErr_SetString(PyExc_ValueError, "this reader is closed");
        return NULL;
    }
    switch ((enum property)(uintptr_t)which) {
    case SIZE:
        return PyLong_FromUnsignedLongLong(anybpf_ring_size(self->map));
    case RINGS:
        return PyLong_FromUnsignedLong(anybpf_rings(self->map));
    default:
        return PyBool_FromLong(anybpf_rings_need_bridge(self->map));
    }
}

static PyObject *consumer_numbers(PyObject *object, PyObject *argument, bool lost)
{
    struct consumer *self = (struct consumer *)object;
    unsigned long ring = PyLong_AsUnsignedLong(argument);

    if (PyErr_Occurred())
        return NULL;
    if (self->map == NULL || ring >= anybpf_rings(self->map)) {
        PyErr_SetString(PyExc_ValueError, self->map == NULL ? "this reader is closed"
                                                            : "there is no ring of that number");
        return NULL;
    }
    return PyLong_FromUnsignedLongLong(lost ? anybpf_perf_lost(self->map, (uint32_t)ring)
                                            : anybpf_ring_unread(self->map, (uint32_t)ring));
}

static PyObject *consumer_unread(PyObject *object, PyObject *ring)
{
    return consumer_numbers(object, ring, false);
}

static PyObject *consumer_lost(PyObject *object, PyObject *ring)
{
    return consumer_numbers(object, ring, true);
}

static PyObject *consumer_set_wakeup(PyObject *object, PyObject *args)
{
    struct consumer *self = (struct consumer *)object;
    unsigned int records;
    unsigned long long bytes;

    if (!PyArg_ParseTuple(args, "IK:set_wakeup", &records, &bytes))
        return NULL;
    if (anybpf_consumer_open(self) == NULL)
        return NULL;
    anybpf_perf_set_wakeup(self->map, records, bytes);
    Py_RETURN_NONE;
}

#define FAST(function) ((PyCFunction)(void *)(function))

static PyMethodDef consumer_methods[] = {
    {"wait", consumer_wait, METH_O,
     "wait(timeout)\n--\n\n0: time is up; 1: there is something to read; 2: flush() or close()."},
    {"read", FAST(consumer_read), METH_FASTCALL,
     "read(most, ring=0)\n--\n\nRecords that are there; (cpu, bytes, lost) of perf rings."},
    {"batch", FAST(consumer_batch), METH_FASTCALL,
     "batch(most, ring=0)\n--\n\nRecords end to end, and n + 1 offsets of eight bytes; of perf rings "
     "also how many were lost."},
    {"lease", FAST(anybpf_consumer_lease), METH_FASTCALL,
     "lease(most, ring=0)\n--\n\nRecords in place."},
    {"flush", consumer_flush, METH_NOARGS, "flush()\n--\n\nEnds waits that are under way."},
    {"fileno", consumer_fileno, METH_NOARGS,
     "fileno()\n--\n\nA descriptor that is readable when there is something; -1: none here."},
    {"bridge", consumer_bridge, METH_NOARGS,
     "bridge()\n--\n\nRaises the descriptor for other processes' records; False when closed."},
    {"unread", consumer_unread, METH_O, "unread(ring)\n--\n\nBytes."},
    {"lost", consumer_lost, METH_O, "lost(ring)\n--\n\nRecords, since the map was made."},
    {"set_wakeup", consumer_set_wakeup, METH_VARARGS, "set_wakeup(records, bytes)\n--\n\n"},
    {"close", consumer_close, METH_NOARGS, "close()\n--\n\nIdempotent; ends waits."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef consumer_properties[] = {
    {"size", get_property, NULL, "bytes of a ring", (void *)SIZE},
    {"rings", get_property, NULL, "how many rings", (void *)RINGS},
    {"closed", get_property, NULL, NULL, (void *)CLOSED},
    {"flushes", get_property, NULL, "how often it was flushed", (void *)FLUSHES},
    {"needs_bridge", get_property, NULL, "whether fileno() needs bridge()", (void *)NEEDS_BRIDGE},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot consumer_slots[] = {
    {Py_tp_doc, "RingConsumer(map)\n--\n\nThe one reader of a ring buffer or perf event array."},
    {Py_tp_new, consumer_new},
    {Py_tp_dealloc, consumer_dealloc},
    {Py_tp_traverse, consumer_traverse},
    {Py_tp_clear, consumer_clear},
    {Py_tp_methods, consumer_methods},
    {Py_tp_getset, consumer_properties},
    {Py_bf_getbuffer, anybpf_consumer_get_buffer},
    {Py_bf_releasebuffer, anybpf_consumer_release_buffer},
    {0, NULL},
};

static PyType_Spec consumer_spec = {
    .name = "anybpf._core.RingConsumer",
    .basicsize = sizeof(struct consumer),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = consumer_slots,
};

struct anybpf_map *anybpf_ring_map_of(PyTypeObject *type, PyObject *face)
{
    PyObject *module = PyType_GetModule(type);
    struct anybpf_map *map =
        module == NULL ? NULL : anybpf_map_of(anybpf_module_state(module), face);

    if (map == NULL)
        return NULL;
    if (map->shape.kind != ANYBPF_RINGBUF && map->shape.kind != ANYBPF_USER_RINGBUF &&
        map->shape.kind != ANYBPF_PERF_EVENT_ARRAY) {
        anybpf_fail(face, "read", ANYBPF_NOT_SUPPORTED, NULL);
        return NULL;
    }
    return map;
}

int anybpf_add_ring_type(PyObject *module, PyType_Spec *spec, size_t index)
{
    PyTypeObject *type = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, NULL);

    if (type == NULL)
        return -1;
    anybpf_module_state(module)->ring_types[index] = type;
    return PyModule_AddType(module, type);
}

int anybpf_add_rings(PyObject *module)
{
    if (anybpf_add_ring_type(module, &consumer_spec, CONSUMER_TYPE) != 0 ||
        anybpf_add_ring_leases(module) != 0)
        return -1;
    return anybpf_add_ring_producers(module);
}
