/* What one does with a map, one entry at a time, in bytes.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "faces.h"

/* Rights. */

int anybpf_may_read(const struct anybpf_map *map)
{
    return (map->shape.flags & ANYBPF_USER_WRITES_ONLY) == 0 ? ANYBPF_OK : ANYBPF_DENIED;
}

int anybpf_may_write(const struct anybpf_map *map)
{
    if ((map->shape.flags & ANYBPF_USER_READS_ONLY) != 0 || !map->segment.writable ||
        atomic_load_explicit(&map->header->frozen, memory_order_relaxed) != 0)
        return ANYBPF_DENIED;
    return ANYBPF_OK;
}

/* Short enough to keep the GIL, except that a value's lock may be a program's for long. */
static PyThreadState *release_for(uint64_t flags)
{
    return flags & ANYBPF_WITH_LOCK ? PyEval_SaveThread() : NULL;
}

static void reacquire(PyThreadState *state)
{
    if (state != NULL)
        PyEval_RestoreThread(state);
}

int anybpf_user_read(struct anybpf_map *map, const void *key, void *value, uint64_t flags)
{
    PyThreadState *state;
    uint32_t seat;
    int status;

    if (map->ops->read == NULL)
        return ANYBPF_NOT_SUPPORTED;
    if (anybpf_may_read(map) != ANYBPF_OK)
        return ANYBPF_DENIED;
    seat = anybpf_enter_as_guest(map->domain);
    state = release_for(flags);
    status = map->ops->read(map, key, value, flags);
    reacquire(state);
    anybpf_leave(map->domain, seat);
    return status;
}

int anybpf_user_write(struct anybpf_map *map, const void *key, const void *value, uint64_t flags)
{
    PyThreadState *state;
    uint32_t seat;
    int status;

    if (map->ops->write == NULL)
        return ANYBPF_NOT_SUPPORTED;
    if (anybpf_may_write(map) != ANYBPF_OK)
        return ANYBPF_DENIED;
    seat = anybpf_enter_as_guest(map->domain);
    state = release_for(flags);
    status = map->ops->write(map, key, value, flags);
    reacquire(state);
    anybpf_leave(map->domain, seat);
    return status;
}

int anybpf_user_erase(struct anybpf_map *map, const void *key)
{
    uint32_t seat;
    int status;

    if (map->ops->erase == NULL)
        return ANYBPF_NOT_SUPPORTED;
    if (anybpf_may_write(map) != ANYBPF_OK)
        return ANYBPF_DENIED;
    seat = anybpf_enter_as_guest(map->domain);
    status = map->ops->erase(map, key, seat);
    anybpf_leave(map->domain, seat);
    return status;
}

/* Arguments. */

/* Borrows the bytes of `object`, which must be `size` of them. False after _fail. */
static bool borrow(PyObject *self, const char *what, PyObject *object, size_t size, int flags,
                   Py_buffer *buffer)
{
    if (PyObject_GetBuffer(object, buffer, flags) != 0)
        return false;
    if ((size_t)buffer->len == size)
        return true;
    PyBuffer_Release(buffer);
    anybpf_fail(self, what, ANYBPF_BAD_SIZE, object);
    return false;
}

static bool borrow_key(PyObject *self, const struct anybpf_map *map, PyObject *key,
                       Py_buffer *buffer)
{
    return borrow(self, "key", key, map->shape.key_size, PyBUF_SIMPLE, buffer);
}

static bool has_arguments(const char *name, Py_ssize_t count, Py_ssize_t least, Py_ssize_t most)
{
    if (count >= least && count <= most)
        return true;
    PyErr_Format(PyExc_TypeError, "%s takes %zd to %zd arguments, not %zd", name, least, most,
                 count);
    return false;
}

static bool get_flags(PyObject *const *args, Py_ssize_t count, Py_ssize_t at, uint64_t *flags)
{
    *flags = 0;
    if (count <= at)
        return true;
    *flags = PyLong_AsUnsignedLongLong(args[at]);
    return *flags != (uint64_t)-1 || !PyErr_Occurred();
}

/* Operations. */

/* Releases `value` unless all is well: None if nothing was there, NULL after _fail. */
static PyObject *found(PyObject *self, const char *what, int status, PyObject *key, PyObject *value)
{
    if (status == ANYBPF_OK)
        return value;
    Py_DECREF(value);
    if (anybpf_is_absent(status) || status == ANYBPF_EMPTY)
        Py_RETURN_NONE;
    return anybpf_fail(self, what, status, key);
}

static PyObject *new_value(const struct anybpf_map *map)
{
    return PyBytes_FromStringAndSize(NULL, (Py_ssize_t)anybpf_user_value_size(&map->shape));
}

static PyObject *lookup(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    struct anybpf_map *map = anybpf_open_map(self);
    Py_buffer key;
    PyObject *value;
    uint64_t flags;
    int status;

    if (map == NULL || !has_arguments("lookup", count, 1, 2) || !get_flags(args, count, 1, &flags) ||
        !borrow_key(self, map, args[0], &key))
        return NULL;
    value = new_value(map);
    if (value == NULL) {
        PyBuffer_Release(&key);
        return NULL;
    }
    status = anybpf_user_read(map, key.buf, PyBytes_AS_STRING(value), flags);
    PyBuffer_Release(&key);
    return found(self, "lookup", status, args[0], value);
}

static PyObject *lookup_into(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    struct anybpf_map *map = anybpf_open_map(self);
    Py_buffer key;
    Py_buffer out;
    uint64_t flags;
    int status;

    if (map == NULL || !has_arguments("lookup_into", count, 2, 3) ||
        !get_flags(args, count, 2, &flags) || !borrow_key(self, map, args[0], &key))
        return NULL;
    if (!borrow(self, "value", args[1], anybpf_user_value_size(&map->shape), PyBUF_WRITABLE,
                &out)) {
        PyBuffer_Release(&key);
        return NULL;
    }
    status = anybpf_user_read(map, key.buf, out.buf, flags);
    PyBuffer_Release(&key);
    PyBuffer_Release(&out);
    if (status == ANYBPF_OK)
        Py_RETURN_TRUE;
    if (anybpf_is_absent(status))
        Py_RETURN_FALSE;
    return anybpf_fail(self, "lookup", status, args[0]);
}

static PyObject *update(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    struct anybpf_map *map = anybpf_open_map(self);
    Py_buffer key;
    Py_buffer value;
    uint64_t flags;
    int status;

    if (map == NULL || !has_arguments("update", count, 2, 3) || !get_flags(args, count, 2, &flags) ||
        !borrow_key(self, map, args[0], &key))
        return NULL;
    if (!borrow(self, "value", args[1], anybpf_user_value_size(&map->shape), PyBUF_SIMPLE,
                &value)) {
        PyBuffer_Release(&key);
        return NULL;
    }
    status = anybpf_user_write(map, key.buf, value.buf, flags);
    PyBuffer_Release(&key);
    PyBuffer_Release(&value);
    return PyLong_FromLong(status);
}

static PyObject *erase(PyObject *self, PyObject *arg)
{
    struct anybpf_map *map = anybpf_open_map(self);
    Py_buffer key;
    int status;

    if (map == NULL || !borrow_key(self, map, arg, &key))
        return NULL;
    status = anybpf_user_erase(map, key.buf);
    PyBuffer_Release(&key);
    return PyLong_FromLong(status);
}

static PyObject *next_key(PyObject *self, PyObject *arg)
{
    struct anybpf_map *map = anybpf_open_map(self);
    Py_buffer key = {0};
    PyObject *next;
    uint32_t seat;
    int status;

    if (map == NULL)
        return NULL;
    if (map->ops->next == NULL)
        return anybpf_fail(self, "next_key", ANYBPF_NOT_SUPPORTED, arg);
    if (arg != Py_None && !borrow_key(self, map, arg, &key))
        return NULL;
    next = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)map->shape.key_size);
    if (next != NULL) {
        seat = anybpf_enter_as_guest(map->domain);
        status = map->ops->next(map, arg == Py_None ? NULL : key.buf, PyBytes_AS_STRING(next));
        anybpf_leave(map->domain, seat);
        if (status == ANYBPF_NO_MORE_KEYS)
            status = ANYBPF_MISSING;
        next = found(self, "next_key", status, arg, next);
    }
    if (arg != Py_None)
        PyBuffer_Release(&key);
    return next;
}

static PyObject *take(PyObject *self, PyObject *arg)
{
    struct anybpf_map *map = anybpf_open_map(self);
    Py_buffer key;
    PyObject *value;
    uint32_t seat;
    int status;

    if (map == NULL)
        return NULL;
    if (map->ops->take == NULL || anybpf_may_read(map) != ANYBPF_OK ||
        anybpf_may_write(map) != ANYBPF_OK)
        return anybpf_fail(self, "take",
                           map->ops->take == NULL ? ANYBPF_NOT_SUPPORTED : ANYBPF_DENIED, arg);
    if (!borrow_key(self, map, arg, &key))
        return NULL;
    value = new_value(map);
    if (value == NULL) {
        PyBuffer_Release(&key);
        return NULL;
    }
    seat = anybpf_enter_as_guest(map->domain);
    status = map->ops->take(map, key.buf, PyBytes_AS_STRING(value));
    anybpf_leave(map->domain, seat);
    PyBuffer_Release(&key);
    return found(self, "take", status, arg, value);
}

static PyObject *push(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    struct anybpf_map *map = anybpf_open_map(self);
    Py_buffer value;
    uint64_t flags;
    uint32_t seat;
    int status = ANYBPF_NOT_SUPPORTED;

    if (map == NULL || !has_arguments("push", count, 1, 2) || !get_flags(args, count, 1, &flags) ||
        !borrow(self, "value", args[0], map->shape.value_size, PyBUF_SIMPLE, &value))
        return NULL;
    if (map->ops->push != NULL)
        status = anybpf_may_write(map);
    if (status == ANYBPF_OK) {
        seat = anybpf_enter_as_guest(map->domain);
        status = map->ops->push(map, value.buf, flags);
        anybpf_leave(map->domain, seat);
    }
    PyBuffer_Release(&value);
    return PyLong_FromLong(status);
}

static PyObject *pop_or_peek(PyObject *self, const char *what, bool takes)
{
    struct anybpf_map *map = anybpf_open_map(self);
    int (*operation)(struct anybpf_map *, void *);
    PyObject *value;
    uint32_t seat;
    int status;

    if (map == NULL)
        return NULL;
    operation = takes ? map->ops->pop : map->ops->peek;
    status = operation == NULL ? ANYBPF_NOT_SUPPORTED : anybpf_may_read(map);
    if (status == ANYBPF_OK && takes)
        status = anybpf_may_write(map);
    if (status != ANYBPF_OK)
        return anybpf_fail(self, what, status, NULL);
    value = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)map->shape.value_size);
    if (value == NULL)
        return NULL;
    seat = anybpf_enter_as_guest(map->domain);
    status = operation(map, PyBytes_AS_STRING(value));
    anybpf_leave(map->domain, seat);
    return found(self, what, status, NULL, value);
}

static PyObject *pop(PyObject *self, PyObject *unused)
{
    (void)unused;
    return pop_or_peek(self, "pop", true);
}

static PyObject *peek(PyObject *self, PyObject *unused)
{
    (void)unused;
    return pop_or_peek(self, "peek", false);
}

static PyObject *count_entries(PyObject *self, PyObject *unused)
{
    struct anybpf_map *map = anybpf_open_map(self);
    uint64_t count;
    uint32_t seat;

    (void)unused;
    if (map == NULL)
        return NULL;
    if (map->ops->count == NULL)
        return anybpf_fail(self, "count", ANYBPF_NOT_SUPPORTED, NULL);
    seat = anybpf_enter_as_guest(map->domain);
    Py_BEGIN_ALLOW_THREADS
    count = map->ops->count(map);
    Py_END_ALLOW_THREADS
    anybpf_leave(map->domain, seat);
    return PyLong_FromUnsignedLongLong(count);
}

static PyObject *check(PyObject *self, PyObject *unused)
{
    struct anybpf_map *map = anybpf_open_map(self);
    char why[256] = "";
    uint32_t seat;
    bool holds;

    (void)unused;
    if (map == NULL)
        return NULL;
    if (map->ops->check == NULL)
        Py_RETURN_NONE;
    seat = anybpf_enter_as_guest(map->domain);
    Py_BEGIN_ALLOW_THREADS
    holds = map->ops->check(map, why, sizeof(why));
    Py_END_ALLOW_THREADS
    anybpf_leave(map->domain, seat);
    if (holds)
        Py_RETURN_NONE;
    return PyUnicode_FromString(why);
}

#define FAST(function) ((PyCFunction)(void *)(function))

PyMethodDef anybpf_map_operations[] = {
    {"lookup", FAST(lookup), METH_FASTCALL,
     "lookup(key, flags=0)\n--\n\nThe value's bytes, or None."},
    {"lookup_into", FAST(lookup_into), METH_FASTCALL,
     "lookup_into(key, out, flags=0)\n--\n\nWhether it is there; then `out` has the value."},
    {"update", FAST(update), METH_FASTCALL, "update(key, value, flags=0)\n--\n\nA status."},
    {"delete", erase, METH_O, "delete(key)\n--\n\nA status."},
    {"next_key", next_key, METH_O, "next_key(key)\n--\n\nThe key after it (None: the first), or "
                                   "None."},
    {"take", take, METH_O, "take(key)\n--\n\nThe value, which is there no more; or None."},
    {"push", FAST(push), METH_FASTCALL, "push(value, flags=0)\n--\n\nA status."},
    {"pop", pop, METH_NOARGS, "pop()\n--\n\nThe next value, which is there no more; or None."},
    {"peek", peek, METH_NOARGS, "peek()\n--\n\nThe next value, or None."},
    {"count", count_entries, METH_NOARGS, "count()\n--\n\nHow many entries there are."},
    {"check", check, METH_NOARGS,
     "check()\n--\n\nNone if every invariant of the storage holds, else a sentence."},
    {NULL, NULL, 0, NULL},
};
