/* A ring of bytes under a lock: prints are for people, and people are slow.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "log.h"

#include <stdlib.h>
#include <string.h>

struct anybpf_log {
    struct anybpf_domain *domain;
    struct anybpf_lock lock;
    _Atomic uint32_t news;
    size_t capacity;
    size_t start; /* of the oldest line */
    size_t used;
    uint64_t lost;
    uint8_t bytes[];
};

struct anybpf_log *anybpf_log_create(struct anybpf_domain *domain, size_t capacity)
{
    size_t least = sizeof(struct anybpf_log_line) + ANYBPF_MOST_LINE;
    struct anybpf_log *log;

    if (capacity < least)
        capacity = least;
    if (capacity > SIZE_MAX - sizeof(*log))
        return NULL;
    log = calloc(1, sizeof(*log) + capacity);
    if (log != NULL) {
        log->domain = domain;
        log->capacity = capacity;
    }
    return log;
}

void anybpf_log_free(struct anybpf_log *log)
{
    free(log);
}

static void copy_in(struct anybpf_log *log, const void *from, size_t size)
{
    size_t end = (log->start + log->used) % log->capacity;
    size_t first = log->capacity - end < size ? log->capacity - end : size;

    memcpy(log->bytes + end, from, first);
    memcpy(log->bytes, (const uint8_t *)from + first, size - first);
    log->used += size;
}

static void copy_out(struct anybpf_log *log, void *to, size_t size)
{
    size_t first = log->capacity - log->start < size ? log->capacity - log->start : size;

    if (to != NULL) {
        memcpy(to, log->bytes + log->start, first);
        memcpy((uint8_t *)to + first, log->bytes, size - first);
    }
    log->start = (log->start + size) % log->capacity;
    log->used -= size;
}

void anybpf_log_write(struct anybpf_log *log, const struct anybpf_run *run, const char *text,
                      size_t length)
{
    struct anybpf_log_line line = {
        .time = anybpf_clock_ns(ANYBPF_MONOTONIC),
        .program = run->program->object.id,
        .cpu = run->seat,
        .process = anybpf_process_id(),
    };

    if (length >= ANYBPF_MOST_LINE)
        length = ANYBPF_MOST_LINE - 1;
    line.length = (uint32_t)length;
    anybpf_lock_take(log->domain, &log->lock);
    while (log->capacity - log->used < sizeof(line) + length) {
        struct anybpf_log_line oldest;

        copy_out(log, &oldest, sizeof(oldest));
        copy_out(log, NULL, oldest.length);
        log->lost++;
    }
    copy_in(log, &line, sizeof(line));
    copy_in(log, text, length);
    anybpf_lock_give(&log->lock);
    atomic_fetch_add(&log->news, 1);
    anybpf_wake(&log->news, true);
}

bool anybpf_log_read(struct anybpf_log *log, struct anybpf_log_line *line, char *text)
{
    bool found;

    anybpf_lock_take(log->domain, &log->lock);
    found = log->used > 0;
    if (found) {
        copy_out(log, line, sizeof(*line));
        copy_out(log, text, line->length);
    }
    anybpf_lock_give(&log->lock);
    return found;
}

uint64_t anybpf_log_lost(struct anybpf_log *log)
{
    uint64_t lost;

    anybpf_lock_take(log->domain, &log->lock);
    lost = log->lost;
    anybpf_lock_give(&log->lock);
    return lost;
}

_Atomic uint32_t *anybpf_log_news(struct anybpf_log *log)
{
    return &log->news;
}
