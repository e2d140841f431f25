/* What the host of a domain does for helpers: reads what is printed, and fires timers.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "../helpers/log.h"
#include "../helpers/timers.h"
#include "hosts.h"
#include "programs.h"

/* Log. */

struct log_face {
    PyObject_HEAD
    struct anybpf_log *log; /* the domain's; NULL after close */
    PyObject *domain;       /* strong */
};

static void free_log(void *log)
{
    anybpf_log_free(log);
}

void anybpf_release_late(struct anybpf_domain *domain, void (*release)(void *), void *thing)
{
    if (!anybpf_defer(domain, release, thing)) {
        Py_BEGIN_ALLOW_THREADS
        anybpf_synchronize(domain, -1);
        Py_END_ALLOW_THREADS
        release(thing);
    }
}

static int log_init(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"domain", "capacity", NULL};
    struct log_face *self = (struct log_face *)object;
    struct anybpf_module *module = anybpf_state_of(object);
    Py_ssize_t capacity = 1 << 16;
    struct anybpf_log *none = NULL;
    struct anybpf_domain *domain;
    struct anybpf_log *log;
    PyObject *given;

    if (module == NULL ||
        !PyArg_ParseTupleAndKeywords(args, kwargs, "O|n:Log", names, &given, &capacity))
        return -1;
    domain = anybpf_domain_of(module, given);
    if (domain == NULL)
        return -1;
    if (self->domain != NULL || capacity < 0) {
        PyErr_SetString(PyExc_ValueError, capacity < 0 ? "a capacity is not below 0"
                                                       : "this Log is made already");
        return -1;
    }
    log = anybpf_log_create(domain, (size_t)capacity);
    if (log == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    if (!atomic_compare_exchange_strong(&domain->log, &none, log)) {
        anybpf_log_free(log);
        PyErr_SetString(PyExc_ValueError, "the domain has a log already");
        return -1;
    }
    self->log = log;
    self->domain = Py_NewRef(given);
    return 0;
}

static void close_log(struct log_face *self)
{
    struct anybpf_log *log = self->log;
    struct anybpf_domain *domain;

    self->log = NULL;
    if (log == NULL)
        return;
    domain = domain_in(self->domain);
    atomic_store(&domain->log, NULL);
    anybpf_release_late(domain, free_log, log);
}

static void log_dealloc(PyObject *object)
{
    struct log_face *self = (struct log_face *)object;
    PyTypeObject *type = Py_TYPE(object);

    close_log(self);
    Py_XDECREF(self->domain);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyObject *log_close(PyObject *self, PyObject *unused)
{
    (void)unused;
    close_log((struct log_face *)self);
    Py_RETURN_NONE;
}

static PyObject *log_read(PyObject *self, PyObject *unused)
{
    struct anybpf_log *log = ((struct log_face *)self)->log;
    struct anybpf_log_line line;
    char text[ANYBPF_MOST_LINE];

    (void)unused;
    if (log == NULL || !anybpf_log_read(log, &line, text))
        Py_RETURN_NONE;
    return Py_BuildValue("KIIIN", (unsigned long long)line.time, line.program, line.cpu,
                         line.process,
                         PyUnicode_DecodeUTF8(text, (Py_ssize_t)line.length, "replace"));
}

static PyObject *log_lost(PyObject *self, void *closure)
{
    struct anybpf_log *log = ((struct log_face *)self)->log;

    (void)closure;
    return PyLong_FromUnsignedLongLong(log == NULL ? 0 : anybpf_log_lost(log));
}

/* A wait that Control-C ends: in pieces. Whether there is news since `ticket`. */
static PyObject *wait_for(_Atomic uint32_t *news, PyObject *const *args, Py_ssize_t count)
{
    const int64_t piece = 100000000;
    unsigned long ticket = count == 2 ? PyLong_AsUnsignedLong(args[0]) : 0;
    double seconds = count == 2 ? PyFloat_AsDouble(args[1]) : 0;
    int64_t left;

    if (count != 2)
        PyErr_SetString(PyExc_TypeError, "2 arguments are needed: a ticket and a timeout");
    if (PyErr_Occurred())
        return NULL;
    left = seconds >= 1e9 ? INT64_C(1000000000000000000) : (int64_t)(seconds * 1e9);
    while (atomic_load(news) == (uint32_t)ticket && left > 0) {
        Py_BEGIN_ALLOW_THREADS
        anybpf_wait(news, (uint32_t)ticket, left < piece ? left : piece);
        Py_END_ALLOW_THREADS
        if (PyErr_CheckSignals() != 0)
            return NULL;
        left -= piece;
    }
    return PyBool_FromLong(atomic_load(news) != (uint32_t)ticket);
}

static PyObject *closed_error(const char *what)
{
    PyErr_Format(PyExc_ValueError, "this %s is closed", what);
    return NULL;
}

static PyObject *log_wait(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    struct anybpf_log *log = ((struct log_face *)self)->log;

    return log == NULL ? closed_error("Log") : wait_for(anybpf_log_news(log), args, count);
}

static PyObject *log_ticket(PyObject *self, void *closure)
{
    struct anybpf_log *log = ((struct log_face *)self)->log;

    (void)closure;
    if (log == NULL)
        return closed_error("Log");
    return PyLong_FromUnsignedLong(atomic_load(anybpf_log_news(log)));
}

#define FAST(function) ((PyCFunction)(void *)(function))

static PyMethodDef log_methods[] = {
    {"read", log_read, METH_NOARGS,
     "read()\n--\n\nThe oldest line, taken: (time, program, cpu, process, text); or None."},
    {"wait", FAST(log_wait), METH_FASTCALL,
     "wait(ticket, timeout, /)\n--\n\nWhether something was printed since the ticket."},
    {"close", log_close, METH_NOARGS, "close()\n--\n\nWhat is printed from now on is gone."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef log_fields[] = {
    {"lost", log_lost, NULL, "Lines that went unread.", NULL},
    {"ticket", log_ticket, NULL, "Differs after every line.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot log_slots[] = {
    {Py_tp_new, PyType_GenericNew}, {Py_tp_init, log_init},
    {Py_tp_dealloc, log_dealloc},   {Py_tp_methods, log_methods},
    {Py_tp_getset, log_fields},     {Py_tp_doc, "What the programs of a domain print."},
    {0, NULL},
};

static PyType_Spec log_spec = {
    .name = "anybpf._core.Log",
    .basicsize = sizeof(struct log_face),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = log_slots,
};

/* Timers. */

#define MOST_STOPS 64

struct timers_face {
    PyObject_HEAD
    struct anybpf_timers *timers;
    PyObject *domain;
    uint32_t firing; /* participant of which a thread fires: they must not be closed; 0: none does */
};

/* A child may inherit them from a parent that was firing: that thread is not the child's. */
static bool are_firing(const struct timers_face *self)
{
    return self->firing != 0 && self->firing == atomic_load(&domain_in(self->domain)->self);
}

static void free_timers(void *timers)
{
    anybpf_timers_free(timers);
}

static int timers_init(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"domain", NULL};
    struct timers_face *self = (struct timers_face *)object;
    struct anybpf_module *module = anybpf_state_of(object);
    struct anybpf_timers *none = NULL;
    struct anybpf_timers *timers;
    struct anybpf_domain *domain;
    PyObject *given;

    if (module == NULL || !PyArg_ParseTupleAndKeywords(args, kwargs, "O:Timers", names, &given))
        return -1;
    domain = anybpf_domain_of(module, given);
    if (domain == NULL)
        return -1;
    if (self->domain != NULL) {
        PyErr_SetString(PyExc_ValueError, "these Timers are made already");
        return -1;
    }
    timers = anybpf_timers_create(domain);
    if (timers == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    if (!atomic_compare_exchange_strong(&domain->timers, &none, timers)) {
        anybpf_timers_free(timers);
        PyErr_SetString(PyExc_ValueError, "the domain has timers already");
        return -1;
    }
    self->timers = timers;
    self->domain = Py_NewRef(given);
    return 0;
}

static void close_timers(struct timers_face *self)
{
    struct anybpf_timers *timers = self->timers;
    struct anybpf_domain *domain;

    self->timers = NULL;
    if (timers == NULL)
        return;
    domain = domain_in(self->domain);
    atomic_store(&domain->timers, NULL);
    anybpf_release_late(domain, free_timers, timers);
}

static void timers_dealloc(PyObject *object)
{
    struct timers_face *self = (struct timers_face *)object;
    PyTypeObject *type = Py_TYPE(object);

    close_timers(self);
    Py_XDECREF(self->domain);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyObject *timers_close(PyObject *self, PyObject *unused)
{
    (void)unused;
    if (are_firing((struct timers_face *)self)) {
        PyErr_SetString(PyExc_ValueError, "a thread fires these timers just now");
        return NULL;
    }
    close_timers((struct timers_face *)self);
    Py_RETURN_NONE;
}

static PyObject *timers_next(PyObject *self, PyObject *unused)
{
    struct anybpf_timers *timers = ((struct timers_face *)self)->timers;
    uint64_t next = timers == NULL ? ANYBPF_NEVER : anybpf_timers_next(timers);

    (void)unused;
    if (next == ANYBPF_NEVER)
        Py_RETURN_NONE;
    return PyLong_FromUnsignedLongLong(next);
}

/* Kept without the GIL, made objects of with it. */
struct stops {
    size_t count;
    struct anybpf_stop stop[MOST_STOPS];
    PyObject *raised[MOST_STOPS];
};

static void keep_stop(void *arg, struct anybpf_run *run)
{
    struct stops *stops = arg;

    if (stops->count < MOST_STOPS) {
        stops->stop[stops->count] = run->stop;
        stops->raised[stops->count++] = run->raised;
    } else if (run->raised != NULL) {
        PyGILState_STATE state = PyGILState_Ensure();

        Py_DECREF((PyObject *)run->raised);
        PyGILState_Release(state);
    }
    run->raised = NULL;
}

static PyObject *stops_as_list(struct stops *stops)
{
    PyObject *list = PyList_New(0);
    size_t i;

    for (i = 0; i < stops->count; i++) {
        PyObject *raised = stops->raised[i] == NULL ? Py_None : stops->raised[i];
        PyObject *stop = list == NULL ? NULL : anybpf_stop_as_tuple(&stops->stop[i]);
        PyObject *pair = stop == NULL ? NULL : PyTuple_Pack(2, stop, raised);

        if (pair == NULL || PyList_Append(list, pair) != 0)
            Py_CLEAR(list);
        Py_XDECREF(pair);
        Py_XDECREF(stop);
        Py_XDECREF(stops->raised[i]);
    }
    return list;
}

static PyObject *timers_fire(PyObject *object, PyObject *args)
{
    struct timers_face *self = (struct timers_face *)object;
    unsigned long long budget = 0;
    struct stops *stops;
    PyObject *list;
    uint32_t count;

    if (!PyArg_ParseTuple(args, "|K:fire", &budget))
        return NULL;
    if (self->timers == NULL)
        return closed_error("Timers");
    if (are_firing(self)) {
        PyErr_SetString(PyExc_ValueError, "another thread fires these timers");
        return NULL;
    }
    stops = PyMem_RawCalloc(1, sizeof(*stops));
    if (stops == NULL)
        return PyErr_NoMemory();
    self->firing = atomic_load(&domain_in(self->domain)->self);
    Py_INCREF(object);
    Py_BEGIN_ALLOW_THREADS
    count = anybpf_timers_fire(self->timers, budget == 0 ? UINT64_MAX : budget, keep_stop, stops);
    Py_END_ALLOW_THREADS
    self->firing = 0;
    list = stops_as_list(stops);
    PyMem_RawFree(stops);
    Py_DECREF(object);
    return list == NULL ? NULL : Py_BuildValue("IN", count, list);
}

static PyObject *timers_wait(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    struct anybpf_timers *timers = ((struct timers_face *)self)->timers;

    return timers == NULL ? closed_error("Timers")
                          : wait_for(anybpf_timers_news(timers), args, count);
}

static PyObject *timers_ticket(PyObject *self, void *closure)
{
    struct anybpf_timers *timers = ((struct timers_face *)self)->timers;

    (void)closure;
    if (timers == NULL)
        return closed_error("Timers");
    return PyLong_FromUnsignedLong(atomic_load(anybpf_timers_news(timers)));
}

static PyMethodDef timers_methods[] = {
    {"next", timers_next, METH_NOARGS,
     "next()\n--\n\nWhen the earliest is due, in ns as time.monotonic_ns() counts; or None."},
    {"fire", timers_fire, METH_VARARGS,
     "fire(budget=0, /)\n--\n\nRuns the callbacks of all that are due: how many, and of those that "
     "stopped [(stop, exception or None)]."},
    {"wait", FAST(timers_wait), METH_FASTCALL,
     "wait(ticket, timeout, /)\n--\n\nWhether a timer was started since the ticket."},
    {"close", timers_close, METH_NOARGS, "close()\n--\n\nNone is fired any more."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef timers_fields[] = {
    {"ticket", timers_ticket, NULL, "Differs after every start.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot timers_slots[] = {
    {Py_tp_new, PyType_GenericNew},  {Py_tp_init, timers_init},
    {Py_tp_dealloc, timers_dealloc}, {Py_tp_methods, timers_methods},
    {Py_tp_getset, timers_fields},   {Py_tp_doc, "The timers that programs of a domain set."},
    {0, NULL},
};

static PyType_Spec timers_spec = {
    .name = "anybpf._core.Timers",
    .basicsize = sizeof(struct timers_face),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = timers_slots,
};

PyTypeObject *anybpf_add_type(PyObject *module, PyType_Spec *spec, const char *name)
{
    PyTypeObject *type = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, NULL);

    if (type != NULL && PyModule_AddObjectRef(module, name, (PyObject *)type) != 0)
        Py_CLEAR(type);
    return type;
}

int anybpf_add_hosts(PyObject *module)
{
    struct anybpf_module *state = anybpf_module_state(module);

    state->log_type = anybpf_add_type(module, &log_spec, "Log");
    state->timers_type = anybpf_add_type(module, &timers_spec, "Timers");
    if (state->log_type == NULL || state->timers_type == NULL)
        return -1;
    return anybpf_add_routes(module);
}
