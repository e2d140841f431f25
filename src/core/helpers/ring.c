/* Helpers that send records to users, and take theirs.
 *
 * Linux: -EAGAIN for a ring without room, -ENOSPC for a perf ring without, -E2BIG and -ENOENT for a
 * perf ring that is not there or not read, -EOPNOTSUPP for another processor's, -EINVAL for flags.
 * Windows: negative ebpf_result by status.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "../ring.h"
#include "dynptr.h"

#define WAKEUP_FLAGS UINT64_C(3)

static struct anybpf_map *ring_argument(struct anybpf_run *run, uint64_t address, uint32_t kind)
{
    struct anybpf_map *map = anybpf_map_argument(run, address);

    return map != NULL && map->shape.kind == kind ? map : NULL;
}

ANYBPF_HELPER(ringbuf_output)
{
    struct anybpf_map *map = ring_argument(run, r1, ANYBPF_RINGBUF);
    bool windows = behaves_as_windows(run);
    uint64_t flags = windows ? 0 : r4;
    int status;

    UNUSED1(r5);
    if (map == NULL)
        return anybpf_result(run, ANYBPF_BAD_ARGUMENT);
    if ((flags & ~WAKEUP_FLAGS) != 0)
        return anybpf_result(run, ANYBPF_BAD_FLAGS);
    if (!anybpf_readable(run, r2, r3))
        return anybpf_result(run, ANYBPF_NO_DATA);
    status = anybpf_ring_output(map, at(r2), r3, flags, run->seat);
    if (!windows && (status == ANYBPF_NO_SPACE || status == ANYBPF_TOO_BIG))
        return linux_error(LINUX_EAGAIN);
    return anybpf_result(run, status);
}

ANYBPF_HELPER(ringbuf_reserve)
{
    struct anybpf_map *map = ring_argument(run, r1, ANYBPF_RINGBUF);
    void *record = NULL;

    UNUSED2(r4, r5);
    if (map == NULL || anybpf_ring_reserve(map, r2, r3, run->seat, &record) != ANYBPF_OK)
        return 0;
    return (uint64_t)(uintptr_t)record;
}

/* A record that is none is not touched: nobody can have got it from here. */
static void end_record(struct anybpf_run *run, uint64_t record, uint64_t flags, bool submit)
{
    struct anybpf_map *map = anybpf_ring_of(run->domain, at(record));

    if (map == NULL)
        return;
    if (submit)
        anybpf_ring_submit(map, at(record), flags & WAKEUP_FLAGS);
    else
        anybpf_ring_discard(map, at(record), flags & WAKEUP_FLAGS);
}

ANYBPF_HELPER(ringbuf_submit)
{
    UNUSED3(r3, r4, r5);
    end_record(run, r1, r2, true);
    return 0;
}

ANYBPF_HELPER(ringbuf_discard)
{
    UNUSED3(r3, r4, r5);
    end_record(run, r1, r2, false);
    return 0;
}

ANYBPF_HELPER(ringbuf_query)
{
    struct anybpf_map *map = ring_argument(run, r1, ANYBPF_RINGBUF);

    UNUSED3(r3, r4, r5);
    return map == NULL ? 0 : anybpf_ring_query(map, r2);
}

ANYBPF_HELPER(ringbuf_reserve_dynptr)
{
    struct anybpf_map *map = ring_argument(run, r1, ANYBPF_RINGBUF);
    struct anybpf_dynptr dynptr = {0};
    void *record = NULL;
    uint32_t size = (uint32_t)r2;
    uint64_t result = 0;

    UNUSED1(r5);
    if (!anybpf_writable(run, r4, sizeof(dynptr)))
        return linux_error(LINUX_EFAULT);
    if (map == NULL || r3 != 0) {
        result = linux_error(LINUX_EINVAL);
    } else if (size > DYNPTR_MOST) {
        result = linux_error(LINUX_E2BIG);
    } else if (anybpf_ring_reserve(map, size, 0, run->seat, &record) != ANYBPF_OK) {
        result = linux_error(LINUX_EINVAL);
    } else {
        dynptr.data = (uint64_t)(uintptr_t)record;
        dynptr.size = size | DYNPTR_RINGBUF;
    }
    anybpf_put(run, r4, &dynptr, sizeof(dynptr));
    return result;
}

static uint64_t end_dynptr(struct anybpf_run *run, uint64_t address, uint64_t flags, bool submit)
{
    struct anybpf_dynptr dynptr;
    const struct anybpf_dynptr nothing = {0};

    if (!anybpf_fetch(run, &dynptr, address, sizeof(dynptr)) || dynptr.data == 0)
        return 0;
    if ((dynptr.size & DYNPTR_TYPE) == DYNPTR_RINGBUF)
        end_record(run, dynptr.data, flags, submit);
    anybpf_put(run, address, &nothing, sizeof(nothing));
    return 0;
}

ANYBPF_HELPER(ringbuf_submit_dynptr)
{
    UNUSED3(r3, r4, r5);
    return end_dynptr(run, r1, r2, true);
}

ANYBPF_HELPER(ringbuf_discard_dynptr)
{
    UNUSED3(r3, r4, r5);
    return end_dynptr(run, r1, r2, false);
}

struct drain {
    struct anybpf_run *run;
    uint64_t callback;
    uint64_t context;
    uint64_t dynptr_at;
};

static int drain_one(void *arg, void *sample, uint32_t size)
{
    struct drain *drain = arg;
    struct anybpf_dynptr *dynptr = at(drain->dynptr_at);
    uint64_t result;

    dynptr->data = (uint64_t)(uintptr_t)sample;
    dynptr->size = size | DYNPTR_LOCAL | DYNPTR_READ_ONLY;
    dynptr->offset = 0;
    result = drain->run->call(drain->run, drain->callback, drain->dynptr_at, drain->context, 0, 0,
                              0);
    return result != 0 || drain->run->stop.end != ANYBPF_ENDED;
}

/* The number of records that the callback saw. */
ANYBPF_HELPER(user_ringbuf_drain)
{
    struct anybpf_map *map = ring_argument(run, r1, ANYBPF_USER_RINGBUF);
    struct drain drain = {.run = run, .callback = r2, .context = r3};
    uint64_t visited = 0;
    void *scratch;
    int status;

    UNUSED1(r5);
    if (map == NULL || (r4 & ~WAKEUP_FLAGS) != 0)
        return linux_error(LINUX_EINVAL);
    scratch = anybpf_scratch_take(run, sizeof(struct anybpf_dynptr));
    if (scratch == NULL)
        return linux_error(LINUX_ENOMEM);
    drain.dynptr_at = (uint64_t)(uintptr_t)scratch;
    status = anybpf_user_ring_drain(map, r4, drain_one, &drain, &visited);
    anybpf_scratch_give(run, scratch);
    return status == ANYBPF_OK ? visited : anybpf_result(run, status);
}

ANYBPF_HELPER(perf_event_output)
{
    struct anybpf_map *map = ring_argument(run, r2, ANYBPF_PERF_EVENT_ARRAY);
    bool windows = behaves_as_windows(run);
    uint64_t captured = (r3 & ANYBPF_PERF_CONTEXT_MASK) >> ANYBPF_PERF_CONTEXT_SHIFT;
    struct anybpf_part parts[2] = {{at(r4), r5}, {run->packet.data, captured}};
    int status;

    if (map == NULL || !is_context(run, r1))
        return anybpf_result(run, ANYBPF_BAD_ARGUMENT);
    if ((r3 & ~(ANYBPF_PERF_CONTEXT_MASK | ANYBPF_PERF_INDEX_MASK)) != 0)
        return anybpf_result(run, ANYBPF_BAD_FLAGS);
    if (captured != 0 && run->packet.data == NULL)
        return anybpf_result(run, windows ? ANYBPF_NOT_SUPPORTED : ANYBPF_BAD_FLAGS);
    if (captured > packet_length(run))
        return windows ? anybpf_result(run, ANYBPF_BAD_ARGUMENT) : linux_error(LINUX_EFAULT);
    if (!anybpf_readable(run, r4, r5))
        return anybpf_result(run, ANYBPF_NO_DATA);
    status = anybpf_perf_output(map, (uint32_t)r3, run->seat, parts, captured != 0 ? 2 : 1);
    if (status == ANYBPF_NO_SPACE && !windows)
        return linux_error(LINUX_ENOSPC);
    return anybpf_result(run, status);
}

const struct anybpf_helper_row anybpf_ring_helpers[] = {
    {"ringbuf_output", ringbuf_output},
    {"ringbuf_reserve", ringbuf_reserve},
    {"ringbuf_submit", ringbuf_submit},
    {"ringbuf_discard", ringbuf_discard},
    {"ringbuf_query", ringbuf_query},
    {"ringbuf_reserve_dynptr", ringbuf_reserve_dynptr},
    {"ringbuf_submit_dynptr", ringbuf_submit_dynptr},
    {"ringbuf_discard_dynptr", ringbuf_discard_dynptr},
    {"user_ringbuf_drain", user_ringbuf_drain},
    {"perf_event_output", perf_event_output},
    {NULL, NULL},
};
