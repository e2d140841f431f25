/* Where programs print: a bounded store of lines. When it is full the oldest go, and are counted.
 *
 * Made by the host, who sets it as a domain's or a run's, and takes it away again, with nobody
 * seated who could know it, before it is freed.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#ifndef ANYBPF_LOG_H
#define ANYBPF_LOG_H

#include "../run.h"

#define ANYBPF_MOST_LINE 1024u /* with its zero, as the kernel's buffer */

struct anybpf_log_line {
    uint64_t time;    /* monotonic ns */
    uint32_t program; /* id */
    uint32_t cpu;
    uint32_t process;
    uint32_t length;  /* of the text */
};

struct anybpf_log;

/* `capacity` is in bytes, rounded up to what one line needs. NULL without memory. */
struct anybpf_log *anybpf_log_create(struct anybpf_domain *domain, size_t capacity);
void anybpf_log_free(struct anybpf_log *log);
/* Any thread may. */
void anybpf_log_write(struct anybpf_log *log, const struct anybpf_run *run, const char *text,
                      size_t length);
/* Takes the oldest line; `text` has room for ANYBPF_MOST_LINE. False: there is none. */
bool anybpf_log_read(struct anybpf_log *log, struct anybpf_log_line *line, char *text);
/* Lines that went unread, since the start. */
uint64_t anybpf_log_lost(struct anybpf_log *log);
/* Grows with every line: to wait on, with anybpf_wait. */
_Atomic uint32_t *anybpf_log_news(struct anybpf_log *log);

#endif
