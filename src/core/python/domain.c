/* anybpf._core.Domain.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "faces.h"

#include <structmember.h>

typedef struct anybpf_domain_face face;

struct anybpf_domain *anybpf_domain_of(struct anybpf_module *module, PyObject *object)
{
    if (!PyObject_TypeCheck(object, module->domain_type)) {
        PyErr_Format(PyExc_TypeError, "a Domain is needed, not %.100s", Py_TYPE(object)->tp_name);
        return NULL;
    }
    if (((face *)object)->domain == NULL)
        PyErr_SetString(PyExc_ValueError, "this Domain was never made");
    return ((face *)object)->domain;
}

/* Takes the domain over. */
static int fill(face *self, struct anybpf_domain *domain)
{
    struct anybpf_module *module = anybpf_state_of((PyObject *)self);

    if (module == NULL) {
        anybpf_domain_free(domain);
        return -1;
    }
    self->domain = domain;
    self->link = &module->domains;
    self->next = module->domains;
    if (self->next != NULL)
        self->next->link = &self->next;
    module->domains = self;
    return 0;
}

static int fail_with(int problem)
{
    errno = problem;
    PyErr_SetFromErrno(PyExc_OSError);
    return -1;
}

static int init(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"cpus", "shared", NULL};
    face *self = (face *)object;
    struct anybpf_domain *domain;
    long long cpus;
    int shared = 0;
    int problem;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "L|p:Domain", names, &cpus, &shared))
        return -1;
    if (self->domain != NULL) {
        PyErr_SetString(PyExc_ValueError, "this Domain is made already");
        return -1;
    }
    if (cpus < 1 || cpus > ANYBPF_MOST_CPUS) {
        PyErr_Format(PyExc_ValueError, "a Domain has 1 to %u processors, not %lld",
                     ANYBPF_MOST_CPUS, cpus);
        return -1;
    }
    problem = anybpf_domain_create(&domain, (uint32_t)cpus, shared != 0);
    return problem == 0 ? fill(self, domain) : fail_with(problem);
}

static PyObject *attach(PyObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"fd", "sealed", NULL};
    struct anybpf_domain *domain;
    PyObject *file;
    PyObject *self;
    int sealed = 1;
    int problem;
    int fd;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|p:attach", names, &file, &sealed))
        return NULL;
    fd = PyObject_AsFileDescriptor(file);
    if (fd < 0)
        return NULL;
    self = PyType_GenericAlloc((PyTypeObject *)type, 0);
    if (self == NULL)
        return NULL;
    problem = anybpf_domain_attach(&domain, fd, sealed != 0);
    if ((problem == 0 ? fill((face *)self, domain) : fail_with(problem)) != 0) {
        Py_DECREF(self);
        return NULL;
    }
    return self;
}

static void dealloc(PyObject *object)
{
    face *self = (face *)object;
    PyTypeObject *type = Py_TYPE(object);

    if (self->weak != NULL)
        PyObject_ClearWeakRefs(object);
    if (self->link != NULL) {
        *self->link = self->next;
        if (self->next != NULL)
            self->next->link = self->link;
    }
    if (self->domain != NULL)
        anybpf_domain_free(self->domain);
    type->tp_free(object);
    Py_DECREF(type);
}

static struct anybpf_domain *domain_of(PyObject *self)
{
    struct anybpf_domain *domain = ((face *)self)->domain;

    if (domain == NULL)
        PyErr_SetString(PyExc_ValueError, "this Domain was never made");
    return domain;
}

static PyObject *get_cpus(PyObject *self, void *unused)
{
    struct anybpf_domain *domain = domain_of(self);

    (void)unused;
    return domain == NULL ? NULL : PyLong_FromUnsignedLong(domain->cpus);
}

static PyObject *get_fd(PyObject *self, void *unused)
{
    struct anybpf_domain *domain = domain_of(self);

    (void)unused;
    return domain == NULL ? NULL : PyLong_FromLong(domain->segment.fd);
}

static PyObject *get_shared(PyObject *self, void *unused)
{
    struct anybpf_domain *domain = domain_of(self);

    (void)unused;
    return domain == NULL ? NULL : PyBool_FromLong(domain->shared);
}

static PyObject *get_participant(PyObject *self, void *unused)
{
    struct anybpf_domain *domain = domain_of(self);

    (void)unused;
    return domain == NULL ? NULL : PyLong_FromUnsignedLong(atomic_load(&domain->self));
}

#define TURN_NS 50000000 /* between looks for signals, such as an interrupt from the keyboard */

static PyObject *synchronize(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"timeout", NULL};
    struct anybpf_domain *domain = domain_of(self);
    PyObject *timeout = Py_None;
    double seconds = 0;
    uint64_t start = anybpf_clock_ns(ANYBPF_MONOTONIC);
    uint64_t limit = UINT64_MAX;

    if (domain == NULL ||
        !PyArg_ParseTupleAndKeywords(args, kwargs, "|O:synchronize", names, &timeout))
        return NULL;
    if (timeout != Py_None) {
        seconds = PyFloat_AsDouble(timeout);
        if (seconds == -1.0 && PyErr_Occurred())
            return NULL;
        if (seconds < 0)
            seconds = 0;
        if (seconds < 1e9)
            limit = (uint64_t)(seconds * 1e9);
    }
    for (;;) {
        uint64_t gone = anybpf_clock_ns(ANYBPF_MONOTONIC) - start;
        uint64_t left = gone < limit ? limit - gone : 0;
        bool done;

        Py_BEGIN_ALLOW_THREADS
        done = anybpf_synchronize(domain, left < TURN_NS ? (int64_t)left : TURN_NS);
        Py_END_ALLOW_THREADS
        if (done)
            Py_RETURN_TRUE;
        if (left < TURN_NS)
            Py_RETURN_FALSE;
        if (PyErr_CheckSignals() != 0)
            return NULL;
    }
}

static PyObject *collect(PyObject *self, PyObject *unused)
{
    struct anybpf_domain *domain = domain_of(self);

    (void)unused;
    return domain == NULL ? NULL : PyLong_FromSize_t(anybpf_collect(domain));
}

static PyObject *after_fork(PyObject *module, PyObject *unused)
{
    face *each;

    (void)unused;
    for (each = anybpf_module_state(module)->domains; each != NULL; each = each->next)
        anybpf_domain_forked(each->domain);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"attach", (PyCFunction)(void *)attach, METH_VARARGS | METH_KEYWORDS | METH_CLASS,
     "attach(fd, sealed=True)\n--\n\nJoin the domain of another process; the descriptor stays the "
     "caller's. For files that cannot be sealed, see Map.attach."},
    {"synchronize", (PyCFunction)(void *)synchronize, METH_VARARGS | METH_KEYWORDS,
     "synchronize(timeout=None)\n--\n\n"
     "Wait until every thread that is among the maps now has left; False if time ran out."},
    {"collect", collect, METH_NOARGS,
     "collect()\n--\n\nRelease what nobody can know any more; how much still waits."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef properties[] = {
    {"cpus", get_cpus, NULL, "Processors that programs believe to run on.", NULL},
    {"fd", get_fd, NULL, "The shared memory's descriptor, the domain's own; -1 if private.", NULL},
    {"shared", get_shared, NULL, "Whether other processes may join.", NULL},
    {"participant", get_participant, NULL, "This process's number in the domain.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(face, weak), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "Domain(cpus, shared=False)\n--\n\nThe threads and processes that share maps."},
    {Py_tp_new, PyType_GenericNew},
    {Py_tp_init, init},
    {Py_tp_dealloc, dealloc},
    {Py_tp_methods, methods},
    {Py_tp_getset, properties},
    {Py_tp_members, members},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "anybpf._core.Domain",
    .basicsize = sizeof(face),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = slots,
};

static PyMethodDef fork_method = {"_after_fork", after_fork, METH_NOARGS, NULL};

/* A child that Python forks goes on under a number of its own. */
static int watch_forks(PyObject *module)
{
    PyObject *os = PyImport_ImportModule("os");
    PyObject *watch = os == NULL ? NULL : PyObject_GetAttrString(os, "register_at_fork");
    PyObject *function = NULL;
    PyObject *arguments = NULL;
    PyObject *none = NULL;
    PyObject *done = NULL;

    if (os != NULL && watch == NULL && PyErr_ExceptionMatches(PyExc_AttributeError)) {
        PyErr_Clear(); /* a system that does not fork */
        Py_DECREF(os);
        return 0;
    }
    if (watch != NULL)
        function = PyCFunction_New(&fork_method, module);
    if (function != NULL)
        arguments = Py_BuildValue("{sO}", "after_in_child", function);
    if (arguments != NULL)
        none = PyTuple_New(0);
    if (none != NULL)
        done = PyObject_Call(watch, none, arguments);
    Py_XDECREF(os);
    Py_XDECREF(watch);
    Py_XDECREF(function);
    Py_XDECREF(arguments);
    Py_XDECREF(none);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

int anybpf_add_domain(PyObject *module)
{
    struct anybpf_module *state = anybpf_module_state(module);

    state->domain_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
    if (state->domain_type == NULL || PyModule_AddType(module, state->domain_type) != 0)
        return -1;
    return watch_forks(module);
}
