/* Helpers that look up routes, in a table of the user's, and sockets, which a hook may supply.
 *
 * Linux: fib_lookup returns BPF_FIB_LKUP_RET_* (0 to 9), or -EINVAL, -EAFNOSUPPORT, -ENODEV.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "fib.h"
#include "helpers.h"

#include <string.h>

/* struct bpf_fib_lookup, 64 bytes: Linux UAPI header linux/bpf.h. */
struct lookup {
    uint8_t family;
    uint8_t protocol;
    uint16_t source_port;
    uint16_t target_port;
    uint16_t length; /* in; out: the MTU */
    uint32_t interface;
    uint32_t metric; /* out; in: type of service, flow label */
    uint8_t source[16];
    uint8_t target[16]; /* out: the next hop */
    uint32_t table;     /* in; out: VLAN */
    uint8_t source_link[6];
    uint8_t target_link[6];
};
_Static_assert(sizeof(struct lookup) == 64, "as the kernel lays it out");

/* The event's table, or the domain's, or one with nothing in it. */
static const struct anybpf_fib *table_of_run(const struct anybpf_run *run)
{
    static const struct anybpf_fib empty;
    const struct anybpf_fib *fib;

    if (run->event != NULL && run->event->fib != NULL)
        return run->event->fib;
    fib = atomic_load(&run->domain->fib);
    return fib != NULL ? fib : &empty;
}

enum {
    DIRECT = 1,
    OUTPUT = 2,
    SKIP_NEIGHBOUR = 4,
    TABLE = 8,
    SOURCE = 16,
    MARK = 32
};
enum {
    FOUND = 0,
    BLACKHOLE = 1,
    UNREACHABLE = 2,
    PROHIBITED = 3,
    NOT_FORWARDED = 4,
    FORWARDING_OFF = 5,
    NO_NEIGHBOUR = 7,
    TOO_LONG = 8,
    NO_SOURCE = 9
};

#define MAIN_TABLE 254u

static const struct anybpf_fib_interface *interface_of(const struct anybpf_fib *fib, uint32_t index)
{
    uint32_t i;

    for (i = 0; i < fib->interface_count; i++)
        if (fib->interfaces[i].index == index)
            return &fib->interfaces[i];
    return NULL;
}

static bool matches(const struct anybpf_route *route, const uint8_t *address)
{
    uint32_t whole = route->length / 8;
    uint32_t rest = route->length % 8;

    if (whole > 16 || memcmp(route->prefix, address, whole) != 0)
        return false;
    return rest == 0 || ((route->prefix[whole] ^ address[whole]) >> (8 - rest)) == 0;
}

static uint32_t table_of(const struct anybpf_route *route)
{
    return route->table == 0 ? MAIN_TABLE : route->table;
}

static const struct anybpf_route *route_to(const struct anybpf_fib *fib, uint8_t family,
                                           const uint8_t *address, uint32_t table)
{
    const struct anybpf_route *best = NULL;
    uint32_t i;

    for (i = 0; i < fib->route_count; i++) {
        const struct anybpf_route *route = &fib->routes[i];

        if (route->family != family || table_of(route) != table || !matches(route, address))
            continue;
        if (best == NULL || route->length > best->length ||
            (route->length == best->length && route->metric < best->metric))
            best = route;
    }
    return best;
}

static const struct anybpf_neighbour *neighbour_of(const struct anybpf_fib *fib, uint32_t interface,
                                                   uint8_t family, const uint8_t *address)
{
    uint32_t i;

    for (i = 0; i < fib->neighbour_count; i++) {
        const struct anybpf_neighbour *one = &fib->neighbours[i];

        if (one->interface == interface && one->family == family &&
            memcmp(one->address, address, family == ANYBPF_FIB_IPV4 ? 4 : 16) == 0)
            return one;
    }
    return NULL;
}

/* Fills in what is known; a BPF_FIB_LKUP_RET_* or a negative error. */
static int look_up(const struct anybpf_fib *fib, struct lookup *lookup, uint32_t flags)
{
    const struct anybpf_fib_interface *from = interface_of(fib, lookup->interface);
    const struct anybpf_fib_interface *to;
    const struct anybpf_route *route;
    const struct anybpf_neighbour *neighbour;
    uint32_t table = (flags & TABLE) != 0 && lookup->table != 0 ? lookup->table : MAIN_TABLE;
    uint32_t mtu;
    uint8_t family = lookup->family;

    if (family != ANYBPF_FIB_IPV4 && family != ANYBPF_FIB_IPV6)
        return -LINUX_EAFNOSUPPORT;
    if (from == NULL)
        return -LINUX_ENODEV;
    if ((flags & OUTPUT) == 0 && !from->forwards)
        return FORWARDING_OFF;
    route = route_to(fib, family, lookup->target, table);
    if (route == NULL)
        return NOT_FORWARDED;
    switch (route->type) {
    case ANYBPF_ROUTE_UNICAST:
        break;
    case ANYBPF_ROUTE_BLACKHOLE:
        return BLACKHOLE;
    case ANYBPF_ROUTE_UNREACHABLE:
        return UNREACHABLE;
    case ANYBPF_ROUTE_PROHIBIT:
        return PROHIBITED;
    default:
        return NOT_FORWARDED; /* it is for this machine */
    }
    to = interface_of(fib, route->interface);
    if (to == NULL)
        return -LINUX_ENODEV;
    mtu = route->mtu != 0 ? route->mtu : to->mtu;
    if (lookup->length != 0 && mtu != 0 && lookup->length > mtu) {
        lookup->length = (uint16_t)mtu;
        return TOO_LONG;
    }
    lookup->interface = to->index;
    lookup->metric = route->metric;
    if (route->via_family != 0) {
        lookup->family = family = route->via_family;
        memcpy(lookup->target, route->via, sizeof(lookup->target));
    }
    if ((flags & SOURCE) != 0) {
        if (!route->has_source)
            return NO_SOURCE;
        memcpy(lookup->source, route->source, sizeof(lookup->source));
    }
    if ((flags & SKIP_NEIGHBOUR) == 0) {
        neighbour = neighbour_of(fib, to->index, family, lookup->target);
        if (neighbour == NULL)
            return NO_NEIGHBOUR;
        memcpy(lookup->target_link, neighbour->link, sizeof(neighbour->link));
        memcpy(lookup->source_link, to->address, sizeof(to->address));
    }
    lookup->table = 0; /* no VLAN */
    if (mtu != 0 && mtu <= UINT16_MAX)
        lookup->length = (uint16_t)mtu;
    return FOUND;
}

ANYBPF_HELPER(fib_lookup)
{
    const struct anybpf_fib *fib = table_of_run(run);
    uint32_t flags = (uint32_t)r4;
    struct lookup lookup;
    int result;

    UNUSED1(r5);
    if (!is_context(run, r1) || (uint32_t)r3 < sizeof(lookup) ||
        (flags & ~(uint32_t)(DIRECT | OUTPUT | SKIP_NEIGHBOUR | TABLE | SOURCE | MARK)) != 0 ||
        !anybpf_writable(run, r2, sizeof(lookup)) ||
        !anybpf_fetch(run, &lookup, r2, sizeof(lookup)))
        return linux_error(LINUX_EINVAL);
    run->slice -= fib->route_count;
    result = look_up(fib, &lookup, flags);
    anybpf_put(run, r2, &lookup, sizeof(lookup));
    return (uint64_t)(int64_t)result;
}

/* The size that a packet may have on an interface: 0, 1 (too long), -EINVAL, -ENODEV. */
ANYBPF_HELPER(check_mtu)
{
    const struct anybpf_fib *fib = table_of_run(run);
    const struct anybpf_fib_interface *interface;
    int64_t length;
    uint32_t given;

    if (!is_context(run, r1) || (r5 & ~UINT64_C(1)) != 0 || !anybpf_writable(run, r3, 4) ||
        !anybpf_fetch(run, &given, r3, 4))
        return linux_error(LINUX_EINVAL);
    interface = interface_of(fib, (uint32_t)r2 != 0 ? (uint32_t)r2 : anybpf_context_u32(run, 40));
    if (interface == NULL)
        return linux_error(LINUX_ENODEV);
    /* The MTU is without the link's header; so is a length that the program gives. */
    length = given != 0 ? (int64_t)given + 14 : (int64_t)packet_length(run);
    length += (int32_t)r4;
    anybpf_put(run, r3, &interface->mtu, 4);
    if (length < 0)
        return linux_error(LINUX_EINVAL);
    return length > (int64_t)interface->mtu + 14;
}

/* Sockets. A hook that has none to give supplies no function, and nothing is found. */

enum { TCP = 6, UDP = 17 };
#define SOCKET_BYTES 80u /* struct bpf_sock */

static uint64_t find_socket(struct anybpf_run *run, uint32_t protocol, uint64_t tuple, uint64_t size,
                            uint64_t netns, uint64_t flags)
{
    const struct anybpf_event *event = run->event;
    uint8_t bytes[36]; /* struct bpf_sock_tuple */
    uint64_t socket;

    if (event == NULL || event->functions == NULL || event->functions->find_socket == NULL ||
        flags != 0 || ((int32_t)netns >= 0 && netns > INT32_MAX))
        return 0;
    size = (uint32_t)size;
    if ((size != 12 && size != 36) || !anybpf_fetch(run, bytes, tuple, (size_t)size))
        return 0;
    socket = event->functions->find_socket(run, protocol, bytes, (uint32_t)size, netns, flags);
    if (socket != 0 && !anybpf_readable(run, socket, SOCKET_BYTES))
        return 0; /* the hook must have made it the program's */
    return socket;
}

ANYBPF_HELPER(sk_lookup_tcp)
{
    UNUSED1(r1);
    return find_socket(run, TCP, r2, r3, r4, r5);
}

ANYBPF_HELPER(sk_lookup_udp)
{
    UNUSED1(r1);
    return find_socket(run, UDP, r2, r3, r4, r5);
}

ANYBPF_HELPER(sk_release)
{
    const struct anybpf_event *event = run->event;

    UNUSED4(r2, r3, r4, r5);
    if (event == NULL || event->functions == NULL || event->functions->release_socket == NULL)
        return linux_error(LINUX_EINVAL);
    event->functions->release_socket(run, r1);
    return 0;
}

/* All sockets that hooks give are whole ones. */
ANYBPF_HELPER(sk_fullsock)
{
    UNUSED4(r2, r3, r4, r5);
    return anybpf_readable(run, r1, SOCKET_BYTES) ? r1 : 0;
}

const struct anybpf_helper_row anybpf_lookup_helpers[] = {
    {"fib_lookup", fib_lookup},
    {"check_mtu", check_mtu},
    {"sk_lookup_tcp", sk_lookup_tcp},
    {"skc_lookup_tcp", sk_lookup_tcp},
    {"sk_lookup_udp", sk_lookup_udp},
    {"sk_release", sk_release},
    {"sk_fullsock", sk_fullsock},
    {NULL, NULL},
};
