/* What the core asks of the operating system, and nothing else of it.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#ifndef ANYBPF_SYSTEM_H
#define ANYBPF_SYSTEM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum anybpf_clock {
    ANYBPF_MONOTONIC, /* stands still while the machine sleeps */
    ANYBPF_BOOT,      /* goes on while it sleeps */
    ANYBPF_TAI,       /* international atomic time */
    ANYBPF_COARSE     /* monotonic, cheaper, as fine as the system's tick */
};

uint64_t anybpf_clock_ns(enum anybpf_clock clock);

/* Fills `buffer` from the system's random source; false if that fails. */
bool anybpf_random_bytes(void *buffer, size_t size);

uint32_t anybpf_process_id(void);
uint32_t anybpf_thread_id(void);

/* Blocks while `*word` is `expected`, at most `timeout_ns` (negative: no limit); may return early.
 * Works between processes that share the memory. */
void anybpf_wait(_Atomic uint32_t *word, uint32_t expected, int64_t timeout_ns);
void anybpf_wake(_Atomic uint32_t *word, bool all);

/* One turn of a waiting loop: `turn` counts from 0. Spins at first, then gives the processor up. */
void anybpf_back_off(uint32_t turn);

/* Memory that maps and domains live in: position independent, so offsets and never addresses. */
struct anybpf_segment {
    uint8_t *base;
    size_t size;    /* bytes that may be touched */
    size_t reserve; /* bytes of address space; `size` may grow up to here */
    int fd;         /* of the shared memory, owned; -1 if the memory is this process's own */
    bool writable;
};

/* Fresh zeroed memory. `name` (may be NULL) is what listings show of shared memory. 0, or an errno
 * with `segment` untouched. */
int anybpf_segment_create(struct anybpf_segment *segment, size_t size, size_t reserve, bool shared,
                          const char *name);

/* Maps shared memory that another process made. Duplicates `fd`. What is inside is not looked at,
 * except that it is at least `least` bytes and, if it must be `sealed`, cannot be made smaller. Files
 * with a name, which outlive whoever made them, cannot be sealed: to cut one kills all its users. */
int anybpf_segment_attach(struct anybpf_segment *segment, int fd, size_t least, size_t reserve,
                          bool writable, bool sealed);

/* Makes more of the reserve usable; other processes see it when they call this too. */
int anybpf_segment_grow(struct anybpf_segment *segment, size_t size);

void anybpf_segment_release(struct anybpf_segment *segment);

/* Pages for machine code. They are never writable and executable at once. Addresses and sizes are
 * multiples of anybpf_page_size(). */
enum anybpf_page_access { ANYBPF_PAGES_READ, ANYBPF_PAGES_WRITE, ANYBPF_PAGES_EXECUTE };

size_t anybpf_page_size(void);
/* Fresh zeroed pages to be read and written; NULL: no memory. */
void *anybpf_pages_take(size_t size);
/* Makes pages readable, and what `access` says besides. What was written there can be executed at
 * once. 0, or the system's error number: some forbid code that was not there when they started. */
int anybpf_pages_protect(void *pages, size_t size, enum anybpf_page_access access);
/* All that was taken at once. */
void anybpf_pages_give_back(void *pages, size_t size);

#endif
