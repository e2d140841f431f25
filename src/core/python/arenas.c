/* Arenas from Python: which pages are taken, taking them and giving them back. What is in them is
 * seen through the map's buffer, as an array's values are.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "faces.h"

#include "../maps/arena.h"

/* The map, if it is an arena that the user may read, or also change; NULL after _fail. */
static struct anybpf_map *open_arena(PyObject *self, const char *what, bool changes)
{
    struct anybpf_map *map = anybpf_open_map(self);
    int status;

    if (map == NULL)
        return NULL;
    status = map->shape.kind != ANYBPF_ARENA ? ANYBPF_NOT_SUPPORTED
             : changes                       ? anybpf_may_write(map)
                                             : anybpf_may_read(map);
    if (status == ANYBPF_OK)
        return map;
    anybpf_fail(self, what, status, NULL);
    return NULL;
}

static bool takes(const char *name, Py_ssize_t count, Py_ssize_t least, Py_ssize_t most)
{
    if (count >= least && count <= most)
        return true;
    PyErr_Format(PyExc_TypeError, "%s takes %zd to %zd arguments, not %zd", name, least, most,
                 count);
    return false;
}

/* A number of pages; more than 32 bits hold is as good as the most of these. */
static bool get_pages(PyObject *object, uint32_t *pages)
{
    unsigned long long number = PyLong_AsUnsignedLongLong(object);

    if (number == (unsigned long long)-1 && PyErr_Occurred())
        return false;
    *pages = number > UINT32_MAX ? UINT32_MAX : (uint32_t)number;
    return true;
}

static bool get_pointer(PyObject *object, uint64_t *pointer)
{
    *pointer = PyLong_AsUnsignedLongLong(object);
    return *pointer != UINT64_MAX || !PyErr_Occurred();
}

static PyObject *alloc_pages(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    struct anybpf_map *map;
    uint64_t pointer = 0;
    uint32_t pages;
    uint32_t seat;

    if (!takes("alloc_pages", count, 1, 2) || !get_pages(args[0], &pages) ||
        (count > 1 && !get_pointer(args[1], &pointer)))
        return NULL;
    map = open_arena(self, "allocate pages", true);
    if (map == NULL)
        return NULL;
    seat = anybpf_enter_as_guest(map->domain);
    Py_BEGIN_ALLOW_THREADS
    pointer = anybpf_arena_alloc(map, pages, pointer);
    Py_END_ALLOW_THREADS
    anybpf_leave(map->domain, seat);
    return PyLong_FromUnsignedLongLong(pointer);
}

static PyObject *free_pages(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    struct anybpf_map *map;
    uint64_t pointer;
    uint32_t pages;
    uint32_t seat;
    int status;

    if (!takes("free_pages", count, 2, 2) || !get_pointer(args[0], &pointer) ||
        !get_pages(args[1], &pages))
        return NULL;
    map = open_arena(self, "free pages", true);
    if (map == NULL)
        return NULL;
    seat = anybpf_enter_as_guest(map->domain);
    Py_BEGIN_ALLOW_THREADS
    status = anybpf_arena_free(map, pointer, pages);
    Py_END_ALLOW_THREADS
    anybpf_leave(map->domain, seat);
    return PyLong_FromLong(status);
}

static PyObject *taken_pages(PyObject *self, PyObject *argument)
{
    struct anybpf_map *map;
    uint32_t first;
    uint32_t pages;

    if (!get_pages(argument, &first))
        return NULL;
    map = open_arena(self, "look for pages", false);
    if (map == NULL)
        return NULL;
    pages = anybpf_arena_taken(map, &first);
    return Py_BuildValue("(II)", first, pages);
}

static PyObject *arena_start(PyObject *self, PyObject *unused)
{
    struct anybpf_map *map = open_arena(self, "ask for the start", false);

    (void)unused;
    if (map == NULL)
        return NULL;
    return PyLong_FromUnsignedLongLong(((const struct anybpf_arena *)map->private)->start);
}

#define FAST(function) ((PyCFunction)(void *)(function))

PyMethodDef anybpf_map_arenas[] = {
    {"alloc_pages", FAST(alloc_pages), METH_FASTCALL,
     "alloc_pages(pages, pointer=0)\n--\n\nTakes pages of an arena, at `pointer` if it is not 0. "
     "An arena pointer; 0: they are not to be had."},
    {"free_pages", FAST(free_pages), METH_FASTCALL,
     "free_pages(pointer, pages)\n--\n\nGives pages back. A status."},
    {"taken_pages", taken_pages, METH_O,
     "taken_pages(first)\n--\n\nThe next pages that are taken, from that index on: the first, and "
     "how many (0: no more)."},
    {"arena_start", arena_start, METH_NOARGS,
     "arena_start()\n--\n\nThe arena pointer of its first byte."},
    {NULL, NULL, 0, NULL},
};
