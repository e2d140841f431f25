/* Helpers that say where a packet goes. They decide; who delivers is the hook's business, and finds
 * the decision in the run.
 *
 * Linux: XDP_REDIRECT (4), or XDP_ABORTED (0) for bad flags; of classifiers TC_ACT_REDIRECT (7), or
 * TC_ACT_SHOT (2). Windows has redirect_map alone, with XDP_REDIRECT (4).
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "../maps/devmap.h"
#include "helpers.h"

#include <string.h>

/* enum xdp_action, linux/pkt_cls.h, flags of enum in linux/bpf.h; type number of enum bpf_prog_type. */
#define XDP_TYPE 6u
enum { XDP_ABORTED = 0, XDP_REDIRECT = 4, TC_SHOT = 2, TC_REDIRECT = 7 };
#define INGRESS UINT64_C(1)
#define ACTION_MASK UINT64_C(3)
#define BROADCAST UINT64_C(8)
#define EXCLUDE_INGRESS UINT64_C(16)
/* How the run says by which helper: the kernel's own bits. */
#define NEIGHBOUR (UINT64_C(1) << 16)
#define PEER (UINT64_C(1) << 17)

enum { TO_INTERFACE = 1, TO_ENTRY = 2 };

static uint64_t to_interface(struct anybpf_run *run, uint64_t interface, uint64_t flags)
{
    memset(&run->redirect, 0, sizeof(run->redirect));
    run->redirect.kind = TO_INTERFACE;
    run->redirect.key = (uint32_t)interface;
    run->redirect.flags = flags;
    return TC_REDIRECT;
}

ANYBPF_HELPER(redirect)
{
    UNUSED3(r3, r4, r5);
    if (run->program->type == XDP_TYPE) {
        if (r2 != 0)
            return XDP_ABORTED;
        to_interface(run, r1, 0);
        return XDP_REDIRECT;
    }
    if ((r2 & ~INGRESS) != 0)
        return TC_SHOT;
    return to_interface(run, r1, r2);
}

ANYBPF_HELPER(redirect_peer)
{
    UNUSED3(r3, r4, r5);
    if (r2 != 0)
        return TC_SHOT;
    return to_interface(run, r1, PEER);
}

/* The next hop that the program may name is looked at, and not kept. */
ANYBPF_HELPER(redirect_neigh)
{
    UNUSED1(r5);
    if (r4 != 0 || ((uint32_t)r3 != 0 && (uint32_t)r3 < 20) ||
        ((uint32_t)r3 != 0 && !anybpf_readable(run, r2, (uint32_t)r3)))
        return TC_SHOT;
    return to_interface(run, r1, NEIGHBOUR);
}

/* What the flags' low bits say is returned where the map has no such entry. */
ANYBPF_HELPER(redirect_map)
{
    struct anybpf_map *map = anybpf_map_argument(run, r1);
    uint64_t known = ACTION_MASK | BROADCAST | EXCLUDE_INGRESS;
    uint32_t key = (uint32_t)r2;
    uint8_t target[8] = {0};
    uint32_t size = 0;
    bool found;

    UNUSED2(r4, r5);
    if (map == NULL || map->shape.kind != ANYBPF_DEVMAP || (r3 & ~known) != 0)
        return XDP_ABORTED;
    found = anybpf_redirect_target(map, key, target, &size) == ANYBPF_OK;
    memset(&run->redirect, 0, sizeof(run->redirect));
    if (!found && (r3 & BROADCAST) == 0)
        return r3 & ACTION_MASK;
    run->redirect.kind = TO_ENTRY;
    run->redirect.map = map->object.id;
    run->redirect.key = key;
    run->redirect.flags = r3 & ~ACTION_MASK;
    memcpy(run->redirect.value, target, sizeof(target));
    return XDP_REDIRECT;
}

/* Only a hook can send: without one there are no interfaces. */
ANYBPF_HELPER(clone_redirect)
{
    const struct anybpf_event *event = run->event;

    UNUSED2(r4, r5);
    if ((r3 & ~INGRESS) != 0 || !is_context(run, r1) || event == NULL ||
        event->functions == NULL || event->functions->clone_packet == NULL)
        return linux_error(LINUX_EINVAL);
    return (uint64_t)(int64_t)event->functions->clone_packet(run, (uint32_t)r2, r3);
}

const struct anybpf_helper_row anybpf_redirect_helpers[] = {
    {"redirect", redirect},
    {"redirect_peer", redirect_peer},
    {"redirect_neigh", redirect_neigh},
    {"redirect_map", redirect_map},
    {"clone_redirect", clone_redirect},
    {NULL, NULL},
};
