/* Rings: records that programs leave for users (ring buffers, perf rings), and users for programs.
 *
 * A ring is a consumer's page, a producer's page and `size` bytes of data, a power of two, as Linux
 * lays them out. A position counts bytes since the start and only grows; a record lies at its
 * position modulo `size`, behind a header of eight bytes. Where Linux maps the data twice, so that
 * a record that crosses the end lies in one piece, here the second half is memory of its own: the
 * record goes on behind the end, and only the pages of the longest such record are ever touched.
 *
 * While a record is being written its header says by whom. A consumer that waits for a record whose
 * process died, or whose program's run is over, takes it for discarded; so nobody who is killed or
 * stopped holds a ring up.
 *
 * One consumer at a time: it claims the map. Producers are as many as like.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#ifndef ANYBPF_RING_H
#define ANYBPF_RING_H

#include "map.h"

#define ANYBPF_LEAST_RING 64u               /* bytes; platforms may want whole pages */
#define ANYBPF_MOST_RING (UINT32_C(1) << 31)
#define ANYBPF_MOST_RECORD ((UINT32_C(1) << 30) - 1)

/* For programs. The map is a ring buffer, but for the last two functions. All return an enum
 * anybpf_status unless they say otherwise. A seat tells whose record it is: one that a
 * program left reserved when it was stopped is taken for discarded once the seat is free. Outside a
 * run give ANYBPF_NO_SEAT. */
#define ANYBPF_NO_SEAT 4095u

/* Flags of submit, discard, output and drain: as Linux has them. Without either a consumer is woken
 * if it has taken all records before this one. */
enum { ANYBPF_RING_NO_WAKEUP = 1, ANYBPF_RING_FORCE_WAKEUP = 2 };

/* `*record` is memory of the map's area for `size` bytes, not cleared, the caller's until it is
 * submitted or discarded. `flags` must be 0. NO_SPACE: the ring is full; TOO_BIG: it is too small. */
int anybpf_ring_reserve(struct anybpf_map *map, uint64_t size, uint64_t flags, uint32_t seat,
                        void **record);

/* The map that a reserved record is of, from the record's address; NULL if it is none. The caller
 * is seated, and so may use the map until it leaves. */
struct anybpf_map *anybpf_ring_of(struct anybpf_domain *domain, const void *record);

/* The size that a record was reserved with; 0 if it is not (or no more) reserved. */
uint32_t anybpf_ring_record_size(const struct anybpf_map *map, const void *record);

/* BAD_ARGUMENT if the record is not reserved, whereupon nothing happens. Unknown flags are
 * ignored, as on Linux. */
int anybpf_ring_submit(struct anybpf_map *map, void *record, uint64_t flags);
int anybpf_ring_discard(struct anybpf_map *map, void *record, uint64_t flags);

/* Reserve, copy, submit. BAD_FLAGS besides. */
int anybpf_ring_output(struct anybpf_map *map, const void *data, uint64_t size, uint64_t flags,
                       uint32_t seat);

/* Numbers as Linux has them; of any other `what`: 0. */
enum {
    ANYBPF_RING_AVAILABLE = 0, /* bytes written (or reserved) and not consumed */
    ANYBPF_RING_SIZE = 1,
    ANYBPF_RING_CONSUMED = 2,  /* the consumer's position */
    ANYBPF_RING_PRODUCED = 3
};
uint64_t anybpf_ring_query(const struct anybpf_map *map, uint64_t what);

/* Discards what this process's `seat` has reserved and not submitted, at once and with a wake-up:
 * for programs that were stopped. Costs a walk over what is in the ring. The number of records. */
uint32_t anybpf_ring_abandon(struct anybpf_map *map, uint32_t seat);
/* The same for those of a program's maps that are ring buffers. */
void anybpf_rings_abandon(struct anybpf_map *const *maps, uint32_t count, uint32_t seat);

/* A user ring: hands the records that users submitted to `visit`, in order, until it returns
 * non-zero, the ring is empty, or 128 Ki records have been met. `*visited` counts the calls. BUSY if
 * somebody else drains it; BAD_FLAGS; BAD_VALUE or TOO_BIG for a record that cannot be. */
#define ANYBPF_MOST_DRAINED (UINT32_C(128) * 1024)
#define ANYBPF_MOST_SAMPLE ((UINT32_C(1) << 24) - 1) /* what a dynptr can hold */
int anybpf_user_ring_drain(struct anybpf_map *map, uint64_t flags,
                           int (*visit)(void *arg, void *sample, uint32_t size), void *arg,
                           uint64_t *visited);

/* A perf event array: the record is all parts, one behind the other. `index` is the processor's, or
 * ANYBPF_PERF_CURRENT; only its own ring (`cpu`) is a program's to write: NOT_SUPPORTED otherwise.
 * BAD_INDEX: no such ring. NO_SPACE: full, and counted as lost. MISSING: nobody reads, and the map
 * has ANYBPF_NEEDS_READER. */
struct anybpf_part {
    const void *data;
    uint64_t size;
};
/* Flags of bpf_perf_event_output, both platforms: the index, and how many bytes of the packet
 * follow the data. */
#define ANYBPF_PERF_INDEX_MASK UINT64_C(0xffffffff)
#define ANYBPF_PERF_CURRENT UINT32_MAX
#define ANYBPF_PERF_CONTEXT_SHIFT 32u
#define ANYBPF_PERF_CONTEXT_MASK UINT64_C(0xfffff00000000)
int anybpf_perf_output(struct anybpf_map *map, uint32_t index, uint32_t cpu,
                       const struct anybpf_part *parts, size_t count);

/* For users. `ring` is 0 but for perf event arrays, which have one a processor. */

/* A record in place: good until the consumer's position moves past it. */
struct anybpf_record {
    const uint8_t *data;
    uint32_t size;
    uint32_t lost; /* perf: records that the ring lost before this one */
};

uint32_t anybpf_rings(const struct anybpf_map *map); /* how many */
uint64_t anybpf_ring_size(const struct anybpf_map *map);
const uint8_t *anybpf_ring_memory(const struct anybpf_map *map, uint32_t ring); /* twice the size */
uint64_t anybpf_ring_unread(const struct anybpf_map *map, uint32_t ring); /* bytes */

/* The consumer. BUSY if another living process, or this one, has the map; DENIED if it is mapped
 * for reading only. */
int anybpf_rings_claim(struct anybpf_map *map);
bool anybpf_rings_are_mine(const struct anybpf_map *map);
void anybpf_rings_unclaim(struct anybpf_map *map);

/* Up to `*count` records from `*position` on, which moves behind them and behind what was
 * discarded; `*count` is how many were found. Starts at `anybpf_ring_consumed`. DAMAGED if the ring
 * makes no sense. Not for maps with ANYBPF_OVERWRITES. */
uint64_t anybpf_ring_consumed(const struct anybpf_map *map, uint32_t ring);
int anybpf_ring_peek(struct anybpf_map *map, uint32_t ring, uint64_t *position,
                     struct anybpf_record *records, uint32_t *count);
/* Producers may overwrite everything before `position`, which is `records` further. */
void anybpf_ring_advance(struct anybpf_map *map, uint32_t ring, uint64_t position,
                         uint32_t records);

/* Peek, copy and advance at once, with producers kept out: for rings that overwrite. `records`
 * point into `buffer`, which should hold the largest record: TOO_BIG if the first does not fit. */
int anybpf_ring_take(struct anybpf_map *map, uint32_t ring, uint8_t *buffer, size_t size,
                     struct anybpf_record *records, uint32_t *count);

/* Records that a perf ring lost, since the map was made. */
uint64_t anybpf_perf_lost(const struct anybpf_map *map, uint32_t ring);
/* For a new reader: what was written, or lost, before it is not told. */
void anybpf_perf_forget(struct anybpf_map *map);
/* A reader is woken at the first of: so many records, so many bytes unread (0: never by that). */
void anybpf_perf_set_wakeup(struct anybpf_map *map, uint32_t records, uint64_t bytes);

/* Waiting. Whether there is something to read (user ring: room for a record of `size`). */
bool anybpf_rings_ready(struct anybpf_map *map);
bool anybpf_user_ring_has_room(struct anybpf_map *map, uint64_t size);
/* Blocks until it may be so, at most `timeout_ns`, and never longer than ANYBPF_RING_SLICE_NS: a
 * producer may die before it wakes us. The caller must not be seated. `ticket` is what
 * anybpf_rings_ticket gave before the caller looked for reasons not to wait. */
#define ANYBPF_RING_SLICE_NS INT64_C(100000000)
uint32_t anybpf_rings_ticket(const struct anybpf_map *map);
void anybpf_rings_wait(struct anybpf_map *map, uint32_t ticket, uint64_t size, int64_t timeout_ns);
/* Wakes whoever waits, as if there were something. */
void anybpf_rings_wake(struct anybpf_map *map);

/* A descriptor that is readable while there is something to read, for select and its kin; the
 * map's, made when first asked for. -1 where there is no such thing (Linux has eventfd). The consumer
 * calls `settle` once it has the descriptor, and whenever it has read. Where other processes may
 * write who cannot reach the descriptor (`needs_bridge`), a thread calls `bridge` over and over: it
 * waits for one slice at most, and raises the descriptor if there is something. */
int anybpf_rings_fd(struct anybpf_map *map);
void anybpf_rings_settle(struct anybpf_map *map);
bool anybpf_rings_need_bridge(const struct anybpf_map *map);
void anybpf_rings_bridge(struct anybpf_map *map);

#endif
