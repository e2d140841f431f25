/* What the faces of hosts share: hosts.c, routes.c.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#ifndef ANYBPF_HOSTS_H
#define ANYBPF_HOSTS_H

#include "faces.h"

/* The domain in a face that is known to be one. */
static inline struct anybpf_domain *domain_in(PyObject *domain)
{
    return ((struct anybpf_domain_face *)domain)->domain;
}

/* Releases a thing once nobody who is seated can know it. */
void anybpf_release_late(struct anybpf_domain *domain, void (*release)(void *), void *thing);
/* Makes a type and adds it under its name: the caller owns the reference. NULL with an exception. */
PyTypeObject *anybpf_add_type(PyObject *module, PyType_Spec *spec, const char *name);
int anybpf_add_routes(PyObject *module); /* routes.c */

#endif
