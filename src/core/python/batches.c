/* Many entries of a map in one call, without the GIL.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "faces.h"

/* Entries between two moments in which the thread has left: memory that others took out of the map
 * can be used again then. */
#define AT_ONCE 4096u

/* Scans up to `count` entries. The number found; *status is of the last step. */
static uint32_t scan_in_steps(struct anybpf_map *map, uint32_t seat, uint64_t *cursor,
                              uint8_t *keys, uint8_t *values, uint32_t count, int *status)
{
    size_t value_size = anybpf_user_value_size(&map->shape);
    uint32_t found = 0;

    *status = ANYBPF_OK;
    while (found < count && *status == ANYBPF_OK) {
        uint32_t step = count - found < AT_ONCE ? count - found : AT_ONCE;

        *status = map->ops->scan(map, cursor,
                                 keys == NULL ? NULL : keys + (size_t)found * map->shape.key_size,
                                 values == NULL ? NULL : values + found * value_size, &step);
        found += step;
        anybpf_refresh(map->domain, seat);
    }
    return found;
}

static bool may_scan(PyObject *self, const struct anybpf_map *map, bool values)
{
    int status = map->ops->scan == NULL ? ANYBPF_NOT_SUPPORTED : ANYBPF_OK;

    if (status == ANYBPF_OK && values)
        status = anybpf_may_read(map);
    if (status != ANYBPF_OK)
        anybpf_fail(self, "scan", status, NULL);
    return status == ANYBPF_OK;
}

static PyObject *scan(PyObject *self, PyObject *args)
{
    struct anybpf_map *map = anybpf_open_map(self);
    unsigned long long cursor_given;
    Py_ssize_t count_given;
    uint64_t cursor;
    uint64_t entries;
    uint32_t count;
    uint32_t found = 0;
    uint32_t seat;
    int want_keys = 1;
    int want_values = 1;
    int status = ANYBPF_OK;
    size_t value_size;
    PyObject *keys = NULL;
    PyObject *values = NULL;

    if (map == NULL ||
        !PyArg_ParseTuple(args, "Kn|pp:scan", &cursor_given, &count_given, &want_keys,
                          &want_values) ||
        !may_scan(self, map, want_values != 0))
        return NULL;
    cursor = cursor_given;
    value_size = anybpf_user_value_size(&map->shape);
    seat = anybpf_enter_as_guest(map->domain);
    /* Room for what is there, not for what was asked: a cautious caller asks for a billion. */
    entries = map->ops->count == NULL ? map->shape.max_entries : map->ops->count(map);
    entries = entries < 64 ? 64 : entries;
    count = count_given < 0 ? 0 : count_given > INT32_MAX ? INT32_MAX : (uint32_t)count_given;
    count = count < entries ? count : (uint32_t)entries;
    if (want_keys)
        keys = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)((size_t)count * map->shape.key_size));
    if (want_values && (!want_keys || keys != NULL))
        values = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(count * value_size));
    if ((want_keys && keys == NULL) || (want_values && values == NULL)) {
        anybpf_leave(map->domain, seat);
        Py_XDECREF(keys);
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    found = scan_in_steps(map, seat, &cursor,
                          keys == NULL ? NULL : (uint8_t *)PyBytes_AS_STRING(keys),
                          values == NULL ? NULL : (uint8_t *)PyBytes_AS_STRING(values), count,
                          &status);
    Py_END_ALLOW_THREADS
    anybpf_leave(map->domain, seat);
    if (found < count &&
        ((keys != NULL &&
          _PyBytes_Resize(&keys, (Py_ssize_t)((size_t)found * map->shape.key_size)) != 0) ||
         (values != NULL && _PyBytes_Resize(&values, (Py_ssize_t)(found * value_size)) != 0)))
        status = -2; /* an exception is set */
    if (status != ANYBPF_OK && status != ANYBPF_NO_MORE_KEYS) {
        Py_XDECREF(keys);
        Py_XDECREF(values);
        return status == -2 ? NULL : anybpf_fail(self, "scan", status, NULL);
    }
    if (keys == NULL)
        keys = PyBytes_FromStringAndSize(NULL, 0);
    if (values == NULL)
        values = PyBytes_FromStringAndSize(NULL, 0);
    return Py_BuildValue("KNNIN", (unsigned long long)cursor, keys, values, found,
                         PyBool_FromLong(status == ANYBPF_NO_MORE_KEYS));
}

/* The memory of a batch, or nothing for None. */
struct column {
    Py_buffer buffer;
    uint8_t *start; /* NULL: None was given */
};

static bool open_column(PyObject *object, int flags, struct column *column)
{
    column->start = NULL;
    if (object == NULL || object == Py_None)
        return true;
    if (PyObject_GetBuffer(object, &column->buffer, flags) != 0)
        return false;
    column->start = column->buffer.buf;
    if (column->start == NULL) /* empty */
        column->start = (uint8_t *)column;
    return true;
}

static void close_column(struct column *column)
{
    if (column->start != NULL)
        PyBuffer_Release(&column->buffer);
}

/* How many entries of `size` bytes a column has; false after _fail if it is not a whole number. */
static bool entries_of(PyObject *self, const char *what, PyObject *object,
                       const struct column *column, size_t size, uint32_t *count)
{
    size_t entries = size == 0 ? 0 : (size_t)column->buffer.len / size;

    if (size == 0 || entries * size != (size_t)column->buffer.len || entries > INT32_MAX) {
        anybpf_fail(self, what, ANYBPF_BAD_SIZE, object);
        return false;
    }
    *count = (uint32_t)entries;
    return true;
}

static PyObject *scan_into(PyObject *self, PyObject *args)
{
    struct anybpf_map *map = anybpf_open_map(self);
    unsigned long long cursor_given;
    uint64_t cursor;
    PyObject *key_object;
    PyObject *value_object;
    struct column keys = {.start = NULL};
    struct column values = {.start = NULL};
    uint32_t count = 0;
    uint32_t value_count = 0;
    uint32_t found = 0;
    uint32_t seat;
    int status = -2;

    if (map == NULL ||
        !PyArg_ParseTuple(args, "KOO:scan_into", &cursor_given, &key_object, &value_object) ||
        !may_scan(self, map, value_object != Py_None))
        return NULL;
    cursor = cursor_given;
    if (!open_column(key_object, PyBUF_WRITABLE, &keys) ||
        !open_column(value_object, PyBUF_WRITABLE, &values) ||
        (keys.start != NULL &&
         !entries_of(self, "key", key_object, &keys, map->shape.key_size, &count)) ||
        (values.start != NULL && !entries_of(self, "value", value_object, &values,
                                             anybpf_user_value_size(&map->shape), &value_count)))
        goto out;
    if (keys.start == NULL || (values.start != NULL && value_count < count))
        count = value_count;
    seat = anybpf_enter_as_guest(map->domain);
    Py_BEGIN_ALLOW_THREADS
    found = scan_in_steps(map, seat, &cursor, keys.start, values.start, count, &status);
    Py_END_ALLOW_THREADS
    anybpf_leave(map->domain, seat);
out:
    close_column(&keys);
    close_column(&values);
    if (status == -2)
        return NULL;
    if (status != ANYBPF_OK && status != ANYBPF_NO_MORE_KEYS)
        return anybpf_fail(self, "scan", status, NULL);
    return Py_BuildValue("KIN", (unsigned long long)cursor, found,
                         PyBool_FromLong(status == ANYBPF_NO_MORE_KEYS));
}

enum batch { LOOKUP, UPDATE, DELETE };

static int one_of_batch(struct anybpf_map *map, enum batch what, uint32_t seat, const uint8_t *key,
                        uint8_t *value, uint64_t flags)
{
    switch (what) {
    case LOOKUP:
        return map->ops->read(map, key, value, flags);
    case UPDATE:
        return map->ops->write(map, key, value, flags);
    default:
        return map->ops->erase(map, key, seat);
    }
}

static int may_batch(const struct anybpf_map *map, enum batch what)
{
    if (what == LOOKUP)
        return map->ops->read == NULL ? ANYBPF_NOT_SUPPORTED : anybpf_may_read(map);
    if ((what == UPDATE && map->ops->write == NULL) || (what == DELETE && map->ops->erase == NULL))
        return ANYBPF_NOT_SUPPORTED;
    return anybpf_may_write(map);
}

/* (how many were done, the status that ended it). With `present` (a byte for each key) look-ups and
 * deletions go on past keys that are not there. */
static PyObject *run_batch(PyObject *self, enum batch what, PyObject *key_object,
                           PyObject *value_object, PyObject *present_object, uint64_t flags)
{
    struct anybpf_map *map = anybpf_open_map(self);
    struct column keys = {.start = NULL};
    struct column values = {.start = NULL};
    struct column present = {.start = NULL};
    uint32_t count = 0;
    uint32_t other = 0;
    uint32_t done = 0;
    uint32_t seat;
    size_t value_size;
    PyObject *result = NULL;
    int status;

    if (map == NULL)
        return NULL;
    status = may_batch(map, what);
    if (status != ANYBPF_OK)
        return Py_BuildValue("Ii", 0u, status);
    value_size = anybpf_user_value_size(&map->shape);
    if (!open_column(key_object, PyBUF_SIMPLE, &keys) ||
        !open_column(value_object, what == LOOKUP ? PyBUF_WRITABLE : PyBUF_SIMPLE, &values) ||
        !open_column(present_object, PyBUF_WRITABLE, &present))
        goto out;
    if (keys.start == NULL || (what != DELETE && values.start == NULL)) {
        PyErr_SetString(PyExc_TypeError, "keys and values must be given as bytes");
        goto out;
    }
    if (!entries_of(self, "key", key_object, &keys, map->shape.key_size, &count))
        goto out;
    if (values.start != NULL &&
        (!entries_of(self, "value", value_object, &values, value_size, &other) || other != count)) {
        if (!PyErr_Occurred())
            anybpf_fail(self, "value", ANYBPF_BAD_SIZE, value_object);
        goto out;
    }
    if (present.start != NULL && (size_t)present.buffer.len != count) {
        anybpf_fail(self, "present", ANYBPF_BAD_SIZE, present_object);
        goto out;
    }
    seat = anybpf_enter_as_guest(map->domain);
    Py_BEGIN_ALLOW_THREADS
    for (done = 0; done < count; done++) {
        status = one_of_batch(map, what, seat, keys.start + (size_t)done * map->shape.key_size,
                              values.start == NULL ? NULL : values.start + done * value_size,
                              flags);
        if (present.start != NULL && (status == ANYBPF_OK || anybpf_is_absent(status))) {
            present.start[done] = status == ANYBPF_OK;
            status = ANYBPF_OK;
        }
        if (status != ANYBPF_OK)
            break;
        if (done % AT_ONCE == AT_ONCE - 1)
            anybpf_refresh(map->domain, seat);
    }
    Py_END_ALLOW_THREADS
    anybpf_leave(map->domain, seat);
    result = Py_BuildValue("Ii", done, status);
out:
    close_column(&keys);
    close_column(&values);
    close_column(&present);
    return result;
}

static PyObject *lookup_many(PyObject *self, PyObject *args)
{
    PyObject *keys;
    PyObject *values;
    PyObject *present = Py_None;
    unsigned long long flags = 0;

    if (!PyArg_ParseTuple(args, "OO|OK:lookup_many", &keys, &values, &present, &flags))
        return NULL;
    return run_batch(self, LOOKUP, keys, values, present, flags);
}

static PyObject *update_many(PyObject *self, PyObject *args)
{
    PyObject *keys;
    PyObject *values;
    unsigned long long flags = 0;

    if (!PyArg_ParseTuple(args, "OO|K:update_many", &keys, &values, &flags))
        return NULL;
    return run_batch(self, UPDATE, keys, values, Py_None, flags);
}

static PyObject *delete_many(PyObject *self, PyObject *args)
{
    PyObject *keys;
    PyObject *present = Py_None;

    if (!PyArg_ParseTuple(args, "O|O:delete_many", &keys, &present))
        return NULL;
    return run_batch(self, DELETE, keys, Py_None, present, 0);
}

PyMethodDef anybpf_map_batches[] = {
    {"scan", scan, METH_VARARGS,
     "scan(cursor, count, want_keys=True, want_values=True)\n--\n\n"
     "(cursor, keys, values, how many, whether that was all), from the cursor on; 0 is the start."},
    {"scan_into", scan_into, METH_VARARGS,
     "scan_into(cursor, keys, values)\n--\n\n"
     "(cursor, how many, whether that was all); either buffer may be None."},
    {"lookup_many", lookup_many, METH_VARARGS,
     "lookup_many(keys, values, present=None, flags=0)\n--\n\n"
     "(how many were found, status that ended it); with `present`, a byte a key, goes on past keys "
     "that are not there."},
    {"update_many", update_many, METH_VARARGS,
     "update_many(keys, values, flags=0)\n--\n\n(how many were done, status that ended it)."},
    {"delete_many", delete_many, METH_VARARGS,
     "delete_many(keys, present=None)\n--\n\n(how many were done, status that ended it)."},
    {NULL, NULL, 0, NULL},
};
