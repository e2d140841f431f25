/* anybpf._core.Routes: what fib_lookup finds in a domain.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "../helpers/fib.h"
#include "hosts.h"

struct routes {
    struct anybpf_fib fib; /* first */
    struct anybpf_route *route;
    struct anybpf_fib_interface *interface;
    struct anybpf_neighbour *neighbour;
};

static void free_routes(void *thing)
{
    struct routes *routes = thing;

    PyMem_RawFree(routes->route);
    PyMem_RawFree(routes->interface);
    PyMem_RawFree(routes->neighbour);
    PyMem_RawFree(routes);
}

/* An address's bytes, with its family. */
static bool take_address(PyObject *bytes, uint8_t *address, uint8_t *family)
{
    Py_ssize_t size = PyBytes_Check(bytes) ? PyBytes_GET_SIZE(bytes) : -1;

    if (size != 4 && size != 16) {
        PyErr_SetString(PyExc_ValueError, "an address is bytes, 4 or 16 of them");
        return false;
    }
    memcpy(address, PyBytes_AS_STRING(bytes), (size_t)size);
    *family = size == 4 ? ANYBPF_FIB_IPV4 : ANYBPF_FIB_IPV6;
    return true;
}

static bool take_link(PyObject *bytes, uint8_t *link)
{
    if (!PyBytes_Check(bytes) || PyBytes_GET_SIZE(bytes) != 6) {
        PyErr_SetString(PyExc_ValueError, "a link address is bytes, 6 of them");
        return false;
    }
    memcpy(link, PyBytes_AS_STRING(bytes), 6);
    return true;
}

static bool take_route(PyObject *row, struct anybpf_route *route)
{
    PyObject *prefix, *via, *source;
    uint8_t family;

    if (!PyTuple_Check(row) ||
        !PyArg_ParseTuple(row, "ObbOIIIIO", &prefix, &route->length, &route->type, &via,
                          &route->interface, &route->table, &route->metric, &route->mtu, &source))
        return false;
    if (!take_address(prefix, route->prefix, &route->family) ||
        (via != Py_None && !take_address(via, route->via, &route->via_family)))
        return false;
    if (route->length > (route->family == ANYBPF_FIB_IPV4 ? 32 : 128) ||
        route->type > ANYBPF_ROUTE_PROHIBIT) {
        PyErr_SetString(PyExc_ValueError, "a prefix is longer than its address, or a type unknown");
        return false;
    }
    route->has_source = source != Py_None;
    return !route->has_source || take_address(source, route->source, &family);
}

static bool take_interface(PyObject *row, struct anybpf_fib_interface *interface)
{
    PyObject *link;
    int forwards;

    if (!PyTuple_Check(row) || !PyArg_ParseTuple(row, "IIpO", &interface->index, &interface->mtu,
                                                 &forwards, &link))
        return false;
    interface->forwards = forwards != 0;
    return take_link(link, interface->address);
}

static bool take_neighbour(PyObject *row, struct anybpf_neighbour *neighbour)
{
    PyObject *address, *link;

    return PyTuple_Check(row) &&
           PyArg_ParseTuple(row, "IOO", &neighbour->interface, &address, &link) &&
           take_address(address, neighbour->address, &neighbour->family) &&
           take_link(link, neighbour->link);
}


static struct routes *make_routes(PyObject *routes, PyObject *interfaces, PyObject *neighbours)
{
    struct routes *made = PyMem_RawCalloc(1, sizeof(*made));
    PyObject *lists[3] = {routes, interfaces, neighbours};
    Py_ssize_t counts[3];
    bool fine = made != NULL;
    Py_ssize_t i;

    for (i = 0; i < 3; i++) {
        counts[i] = lists[i] == NULL ? 0 : PyTuple_GET_SIZE(lists[i]);
        fine = fine && counts[i] < INT32_MAX;
    }
    if (fine) {
        made->route = PyMem_RawCalloc((size_t)counts[0] + 1, sizeof(*made->route));
        made->interface = PyMem_RawCalloc((size_t)counts[1] + 1, sizeof(*made->interface));
        made->neighbour = PyMem_RawCalloc((size_t)counts[2] + 1, sizeof(*made->neighbour));
        fine = made->route != NULL && made->interface != NULL && made->neighbour != NULL;
    }
    if (!fine)
        PyErr_NoMemory();
    for (i = 0; fine && i < counts[0]; i++)
        fine = take_route(PyTuple_GET_ITEM(routes, i), &made->route[i]);
    for (i = 0; fine && i < counts[1]; i++)
        fine = take_interface(PyTuple_GET_ITEM(interfaces, i), &made->interface[i]);
    for (i = 0; fine && i < counts[2]; i++)
        fine = take_neighbour(PyTuple_GET_ITEM(neighbours, i), &made->neighbour[i]);
    if (!fine) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_TypeError, "a row of a table of routes is a tuple");
        if (made != NULL)
            free_routes(made);
        return NULL;
    }
    made->fib = (struct anybpf_fib){made->route,         made->interface,     made->neighbour,
                                    (uint32_t)counts[0], (uint32_t)counts[1], (uint32_t)counts[2]};
    return made;
}

struct routes_face {
    PyObject_HEAD
    struct routes *routes; /* the domain's; NULL after close */
    PyObject *domain;      /* strong */
};

static void close_routes(struct routes_face *self)
{
    struct routes *routes = self->routes;

    self->routes = NULL;
    if (routes == NULL)
        return;
    atomic_store(&domain_in(self->domain)->fib, NULL);
    anybpf_release_late(domain_in(self->domain), free_routes, routes);
}

static int init(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"domain", "routes", "interfaces", "neighbours", NULL};
    struct routes_face *self = (struct routes_face *)object;
    struct anybpf_module *module = anybpf_state_of(object);
    const struct anybpf_fib *none = NULL;
    struct anybpf_domain *domain;
    struct routes *made;
    PyObject *given, *routes;
    PyObject *interfaces = NULL, *neighbours = NULL;

    if (module == NULL ||
        !PyArg_ParseTupleAndKeywords(args, kwargs, "OO!|O!O!:Routes", names, &given, &PyTuple_Type,
                                     &routes, &PyTuple_Type, &interfaces, &PyTuple_Type,
                                     &neighbours))
        return -1;
    domain = anybpf_domain_of(module, given);
    if (domain == NULL)
        return -1;
    if (self->domain != NULL) {
        PyErr_SetString(PyExc_ValueError, "these Routes are made already");
        return -1;
    }
    made = make_routes(routes, interfaces, neighbours);
    if (made == NULL)
        return -1;
    if (!atomic_compare_exchange_strong(&domain->fib, &none, &made->fib)) {
        free_routes(made);
        PyErr_SetString(PyExc_ValueError, "the domain has routes already");
        return -1;
    }
    self->routes = made;
    self->domain = Py_NewRef(given);
    return 0;
}

static void dealloc(PyObject *object)
{
    struct routes_face *self = (struct routes_face *)object;
    PyTypeObject *type = Py_TYPE(object);

    close_routes(self);
    Py_XDECREF(self->domain);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyObject *close_method(PyObject *self, PyObject *unused)
{
    (void)unused;
    close_routes((struct routes_face *)self);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"close", close_method, METH_NOARGS, "close()\n--\n\nThere are no routes any more."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_new, PyType_GenericNew},
    {Py_tp_init, init},
    {Py_tp_dealloc, dealloc},
    {Py_tp_methods, methods},
    {Py_tp_doc, "What bpf_fib_lookup finds in a domain."},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "anybpf._core.Routes",
    .basicsize = sizeof(struct routes_face),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = slots,
};

int anybpf_add_routes(PyObject *module)
{
    struct anybpf_module *state = anybpf_module_state(module);

    state->routes_type = anybpf_add_type(module, &spec, "Routes");
    return state->routes_type == NULL ? -1 : 0;
}
