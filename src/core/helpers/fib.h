/* A table of routes that fib_lookup looks into: the user's, not the system's.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#ifndef ANYBPF_FIB_H
#define ANYBPF_FIB_H

#include <stdbool.h>
#include <stdint.h>

enum { ANYBPF_FIB_IPV4 = 2, ANYBPF_FIB_IPV6 = 10 }; /* AF_INET and AF_INET6 of Linux */
enum anybpf_route_type {
    ANYBPF_ROUTE_UNICAST,
    ANYBPF_ROUTE_LOCAL,
    ANYBPF_ROUTE_BLACKHOLE,
    ANYBPF_ROUTE_UNREACHABLE,
    ANYBPF_ROUTE_PROHIBIT
};

/* Addresses are in network order, IPv4 in the first four bytes. */
struct anybpf_route {
    uint8_t family;
    uint8_t length;     /* of the prefix, in bits */
    uint8_t type;       /* enum anybpf_route_type */
    uint8_t via_family; /* 0: what is reached is on the link */
    uint32_t interface;
    uint32_t table;  /* 0: the main one, which has number 254 too */
    uint32_t metric; /* of two that match as long, the lesser counts */
    uint32_t mtu;    /* 0: the interface's */
    bool has_source;
    uint8_t prefix[16];
    uint8_t via[16];
    uint8_t source[16];
};

struct anybpf_fib_interface {
    uint32_t index;
    uint32_t mtu;
    bool forwards;
    uint8_t address[6];
};

struct anybpf_neighbour {
    uint8_t family;
    uint32_t interface;
    uint8_t address[16];
    uint8_t link[6];
};

/* Borrowed by whoever looks up; does not change while a run may look. */
struct anybpf_fib {
    const struct anybpf_route *routes;
    const struct anybpf_fib_interface *interfaces;
    const struct anybpf_neighbour *neighbours;
    uint32_t route_count;
    uint32_t interface_count;
    uint32_t neighbour_count;
};

#endif
