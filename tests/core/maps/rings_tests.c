/* Rings with threads, with processes that are killed, and byte by byte. Prints "all passed".
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#define _GNU_SOURCE
#include "../checks.h"

#include "ring.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PRODUCERS 8u
#define CPUS 8u
#define BATCH 64u

static struct anybpf_domain *new_domain(bool shared)
{
    struct anybpf_domain *domain;

    CHECK(anybpf_domain_create(&domain, CPUS, shared) == 0);
    return domain;
}

static struct anybpf_map *new_map(struct anybpf_domain *domain, enum anybpf_kind kind,
                                  uint32_t size, uint32_t flags)
{
    static uint32_t id;
    struct anybpf_shape shape = {.kind = kind,
                                 .max_entries = size,
                                 .flags = flags,
                                 .lock_offset = ANYBPF_NO_FIELD,
                                 .timer_offset = ANYBPF_NO_FIELD};
    struct anybpf_map *map;

    CHECK(anybpf_map_create(domain, ++id, &shape, NULL, domain->shared, &map) == ANYBPF_OK);
    return map;
}

/* One record at most, its position behind. */
static uint32_t read_one(struct anybpf_map *map, struct anybpf_record *record)
{
    uint64_t at = anybpf_ring_consumed(map, 0);
    uint32_t count = 1;

    CHECK(anybpf_ring_peek(map, 0, &at, record, &count) == ANYBPF_OK);
    anybpf_ring_advance(map, 0, at, count);
    return count;
}

static void no_size_but_powers_of_two(struct anybpf_domain *domain)
{
    struct anybpf_shape shape = {.kind = ANYBPF_RINGBUF,
                                 .lock_offset = ANYBPF_NO_FIELD,
                                 .timer_offset = ANYBPF_NO_FIELD};
    const uint32_t wrong[] = {0, 1, 32, 63, 65, 96, 4097, UINT32_MAX};
    struct anybpf_map *map;
    size_t i;

    for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        shape.max_entries = wrong[i];
        CHECK(anybpf_map_create(domain, 999, &shape, NULL, false, &map) == ANYBPF_BAD_SIZE);
    }
}

static void layout_is_that_of_linux(struct anybpf_domain *domain)
{
    struct anybpf_map *map = new_map(domain, ANYBPF_RINGBUF, 64, 0);
    uint32_t word[2];
    void *a;
    void *b;

    CHECK(anybpf_ring_reserve(map, 5, 0, 3, &a) == ANYBPF_OK);
    CHECK(anybpf_ring_reserve(map, 16, 0, 3, &b) == ANYBPF_OK);
    CHECK((uint8_t *)a == map->values + 8 && (uint8_t *)b == map->values + 24);
    CHECK(anybpf_ring_query(map, ANYBPF_RING_PRODUCED) == 40);
    memcpy(word, map->values, 8);
    CHECK(word[0] == (UINT32_C(1) << 31 | 5));
    CHECK(anybpf_ring_record_size(map, a) == 5 && anybpf_ring_of(domain, a) == map);
    CHECK(anybpf_ring_submit(map, a, 0) == ANYBPF_OK);
    CHECK(anybpf_ring_discard(map, b, 0) == ANYBPF_OK);
    memcpy(word, map->values, 8);
    CHECK(word[0] == 5 && word[1] == 2); /* two pages from the ring's start */
    memcpy(word, map->values + 16, 8);
    CHECK(word[0] == (UINT32_C(1) << 30 | 16));
    CHECK(anybpf_ring_submit(map, a, 0) == ANYBPF_BAD_ARGUMENT);
    CHECK(anybpf_ring_submit(map, (uint8_t *)a + 1, 0) == ANYBPF_BAD_ARGUMENT);
    CHECK(anybpf_ring_submit(map, map, 0) == ANYBPF_BAD_ARGUMENT);
    CHECK(anybpf_ring_of(domain, map) == NULL);
    anybpf_map_close(map);
}

static void full_and_too_big(struct anybpf_domain *domain)
{
    struct anybpf_map *map = new_map(domain, ANYBPF_RINGBUF, 128, 0);
    struct anybpf_record record;
    void *reserved;

    CHECK(anybpf_ring_reserve(map, 113, 0, 0, &reserved) == ANYBPF_TOO_BIG);
    CHECK(anybpf_ring_reserve(map, UINT64_MAX, 0, 0, &reserved) == ANYBPF_TOO_BIG);
    CHECK(anybpf_ring_reserve(map, 8, 1, 0, &reserved) == ANYBPF_BAD_FLAGS);
    CHECK(anybpf_ring_output(map, "", 0, 4, 0) == ANYBPF_BAD_FLAGS);
    CHECK(anybpf_ring_reserve(map, 112, 0, 0, &reserved) == ANYBPF_OK);
    CHECK(anybpf_ring_output(map, "", 0, 0, 0) == ANYBPF_NO_SPACE);
    CHECK(anybpf_ring_submit(map, reserved, 0) == ANYBPF_OK);
    CHECK(read_one(map, &record) == 1 && record.size == 112);
    CHECK(anybpf_ring_output(map, "", 0, 0, 0) == ANYBPF_OK);
    anybpf_map_close(map);
}

static void every_offset_wraps(struct anybpf_domain *domain)
{
    struct anybpf_map *map = new_map(domain, ANYBPF_RINGBUF, 256, 0);
    uint8_t bytes[240];
    uint32_t i;

    for (i = 0; i < 20000; i++) {
        uint32_t size = i * 7 % 233;
        struct anybpf_record record;

        memset(bytes, (int)(i & 255), size);
        CHECK(anybpf_ring_output(map, bytes, size, 0, 0) == ANYBPF_OK);
        CHECK(read_one(map, &record) == 1 && record.size == size);
        CHECK(memcmp(record.data, bytes, size) == 0);
        CHECK(read_one(map, &record) == 0);
    }
    anybpf_map_close(map);
}

static void what_was_abandoned_is_discarded(struct anybpf_domain *domain)
{
    struct anybpf_map *map = new_map(domain, ANYBPF_RINGBUF, 4096, 0);
    struct anybpf_record record;
    void *mine;
    void *other;

    CHECK(anybpf_enter(domain, 1) == 1 && anybpf_enter(domain, 2) == 2);
    CHECK(anybpf_ring_reserve(map, 8, 0, 1, &mine) == ANYBPF_OK);
    CHECK(anybpf_ring_reserve(map, 8, 0, 2, &other) == ANYBPF_OK);
    CHECK(anybpf_ring_reserve(map, 8, 0, 1, &mine) == ANYBPF_OK);
    CHECK(anybpf_ring_abandon(map, 1) == 2);
    CHECK(read_one(map, &record) == 0);
    memcpy(other, "survives", 8);
    CHECK(anybpf_ring_submit(map, other, 0) == ANYBPF_OK);
    CHECK(read_one(map, &record) == 1 && memcmp(record.data, "survives", 8) == 0);
    CHECK(read_one(map, &record) == 0);

    /* Nobody said so, but the run is over. */
    CHECK(anybpf_ring_reserve(map, 8, 0, 1, &mine) == ANYBPF_OK);
    CHECK(anybpf_ring_output(map, "next", 4, 0, 2) == ANYBPF_OK);
    CHECK(read_one(map, &record) == 0 && !anybpf_rings_ready(map));
    anybpf_leave(domain, 1);
    CHECK(anybpf_rings_ready(map));
    CHECK(read_one(map, &record) == 1 && memcmp(record.data, "next", 4) == 0);
    CHECK(anybpf_ring_submit(map, mine, 0) == ANYBPF_BAD_ARGUMENT);
    anybpf_leave(domain, 2);
    anybpf_map_close(map);
}

static void nonsense_in_the_segment_is_found(struct anybpf_domain *domain)
{
    struct anybpf_map *map = new_map(domain, ANYBPF_RINGBUF, 4096, 0);
    struct anybpf_record record;
    uint64_t at = 0;
    uint32_t count = 1;
    uint32_t length = 5000;

    CHECK(anybpf_ring_output(map, "12345678", 8, 0, 0) == ANYBPF_OK);
    memcpy(map->values, &length, 4);
    CHECK(anybpf_ring_peek(map, 0, &at, &record, &count) == ANYBPF_DAMAGED && count == 0);
    at = 3;
    CHECK(anybpf_ring_peek(map, 0, &at, &record, &count) == ANYBPF_DAMAGED);
    at = UINT64_C(1) << 40;
    CHECK(anybpf_ring_peek(map, 0, &at, &record, &count) == ANYBPF_DAMAGED);
    anybpf_map_close(map);
}

/* Many producers. */

struct job {
    struct anybpf_map *map;
    uint32_t number;
    uint32_t records;
    _Atomic uint32_t *running;
};

struct note {
    uint32_t number;
    uint32_t sequence;
};

static uint32_t length_of(uint32_t number, uint32_t sequence)
{
    return (uint32_t)sizeof(struct note) + (sequence * 13 + number) % 90;
}

static void fill(uint8_t *to, uint32_t number, uint32_t sequence)
{
    struct note note = {number, sequence};

    memset(to, (int)((number + sequence) & 255), length_of(number, sequence));
    memcpy(to, &note, sizeof(note));
}

/* The record's note, if every byte is as it was written. */
static struct note read_note(const struct anybpf_record *record)
{
    struct note note;
    uint8_t expected[128];

    CHECK(record->size >= sizeof(note));
    memcpy(&note, record->data, sizeof(note));
    CHECK(note.number < PRODUCERS && record->size == length_of(note.number, note.sequence));
    fill(expected, note.number, note.sequence);
    CHECK(memcmp(expected, record->data, record->size) == 0);
    return note;
}

static void *produce(void *arg)
{
    struct job *job = arg;
    uint32_t seat = anybpf_enter(job->map->domain, job->number);
    uint32_t sequence;

    for (sequence = 0; sequence < job->records; sequence++) {
        uint32_t turn = 0;
        void *record;

        while (anybpf_ring_reserve(job->map, length_of(job->number, sequence), 0, seat, &record) !=
               ANYBPF_OK)
            anybpf_back_off(turn++);
        fill(record, job->number, sequence);
        if (sequence % 16 == 15)
            CHECK(anybpf_ring_discard(job->map, record, 0) == ANYBPF_OK);
        else
            CHECK(anybpf_ring_submit(job->map, record, 0) == ANYBPF_OK);
    }
    anybpf_leave(job->map->domain, seat);
    return NULL;
}

static void start(pthread_t *threads, struct job *jobs, uint32_t count, struct anybpf_map *map,
                  uint32_t records, void *(*work)(void *), _Atomic uint32_t *running)
{
    uint32_t i;

    for (i = 0; i < count; i++) {
        jobs[i] = (struct job){map, i, records, running};
        CHECK(pthread_create(&threads[i], NULL, work, &jobs[i]) == 0);
    }
}

static void join(pthread_t *threads, uint32_t count)
{
    uint32_t i;

    for (i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
}

static void many_producers(struct anybpf_domain *domain, uint32_t size, uint32_t records)
{
    struct anybpf_map *map = new_map(domain, ANYBPF_RINGBUF, size, 0);
    uint32_t next[PRODUCERS] = {0};
    uint64_t left = (uint64_t)PRODUCERS * (records - records / 16);
    pthread_t threads[PRODUCERS];
    struct job jobs[PRODUCERS];

    CHECK(anybpf_rings_claim(map) == ANYBPF_OK && anybpf_rings_claim(map) == ANYBPF_BUSY);
    start(threads, jobs, PRODUCERS, map, records, produce, NULL);
    while (left > 0) {
        struct anybpf_record found[BATCH];
        uint64_t at = anybpf_ring_consumed(map, 0);
        uint32_t count = BATCH;
        uint32_t ticket = anybpf_rings_ticket(map);
        uint32_t i;

        CHECK(anybpf_ring_peek(map, 0, &at, found, &count) == ANYBPF_OK);
        for (i = 0; i < count; i++) {
            struct note note = read_note(&found[i]);

            if (next[note.number] % 16 == 15)
                next[note.number]++;
            CHECK(note.sequence == next[note.number]);
            next[note.number]++;
        }
        left -= count;
        anybpf_ring_advance(map, 0, at, count);
        if (count == 0)
            anybpf_rings_wait(map, ticket, 0, -1);
    }
    join(threads, PRODUCERS);
    CHECK(anybpf_ring_unread(map, 0) == 0 || records % 16 == 0);
    anybpf_rings_unclaim(map);
    anybpf_map_close(map);
}

/* User rings. */

struct drained {
    uint32_t next[PRODUCERS];
    uint64_t seen;
};

static int drain_one(void *arg, void *sample, uint32_t size)
{
    struct drained *drained = arg;
    struct anybpf_record record = {sample, size, 0};
    struct note note = read_note(&record);

    if (drained->next[note.number] % 16 == 15)
        drained->next[note.number]++;
    CHECK(note.sequence == drained->next[note.number]);
    drained->next[note.number]++;
    drained->seen++;
    return drained->seen % 1000 == 0;
}

static int drain_again(void *arg, void *sample, uint32_t size)
{
    uint64_t visited;

    (void)sample;
    (void)size;
    CHECK(anybpf_user_ring_drain(arg, 0, drain_again, arg, &visited) == ANYBPF_BUSY);
    return 1;
}

static void users_produce(struct anybpf_domain *domain, uint32_t records)
{
    struct anybpf_map *map = new_map(domain, ANYBPF_USER_RINGBUF, 4096, 0);
    struct drained drained = {{0}, 0};
    uint64_t all = (uint64_t)PRODUCERS * (records - records / 16);
    pthread_t threads[PRODUCERS];
    struct job jobs[PRODUCERS];
    uint64_t visited;
    void *record;

    CHECK(anybpf_user_ring_drain(map, 4, drain_one, &drained, &visited) == ANYBPF_BAD_FLAGS);
    start(threads, jobs, PRODUCERS, map, records, produce, NULL);
    while (drained.seen < all) {
        CHECK(anybpf_user_ring_drain(map, 0, drain_one, &drained, &visited) == ANYBPF_OK);
        if (visited == 0)
            anybpf_back_off(70);
    }
    join(threads, PRODUCERS);
    CHECK(anybpf_user_ring_drain(map, 0, drain_one, &drained, &visited) == ANYBPF_OK);
    CHECK(visited == 0 && anybpf_ring_unread(map, 0) == 0);

    CHECK(anybpf_ring_output(map, "x", 1, 0, 0) == ANYBPF_OK);
    CHECK(anybpf_user_ring_drain(map, 0, drain_again, map, &visited) == ANYBPF_OK);
    CHECK(visited == 1);
    /* Busy: not yet. */
    CHECK(anybpf_ring_reserve(map, 1, 0, ANYBPF_NO_SEAT, &record) == ANYBPF_OK);
    CHECK(anybpf_user_ring_drain(map, 0, drain_one, &drained, &visited) == ANYBPF_OK);
    CHECK(visited == 0);
    CHECK(anybpf_ring_discard(map, record, 0) == ANYBPF_OK);
    CHECK(anybpf_user_ring_drain(map, 0, drain_one, &drained, &visited) == ANYBPF_OK);
    CHECK(visited == 0 && anybpf_ring_unread(map, 0) == 0);
    anybpf_map_close(map);
}

/* Perf rings. */

static void *produce_events(void *arg)
{
    struct job *job = arg;
    uint8_t bytes[128];
    uint32_t sequence;

    for (sequence = 0; sequence < job->records; sequence++) {
        uint32_t length = length_of(job->number, sequence);
        struct anybpf_part parts[2] = {{bytes, 5}, {bytes + 5, length - 5}};

        fill(bytes, job->number, sequence);
        (void)anybpf_perf_output(job->map, ANYBPF_PERF_CURRENT, job->number, parts, 2);
        if (sequence % 64 == 0)
            anybpf_back_off(70);
    }
    atomic_fetch_sub(job->running, 1);
    anybpf_rings_wake(job->map);
    return NULL;
}

static uint32_t read_events(struct anybpf_map *map, uint32_t cpu, uint32_t *next)
{
    struct anybpf_record found[BATCH];
    uint8_t buffer[4096];
    uint64_t at = anybpf_ring_consumed(map, cpu);
    uint32_t count = BATCH;
    uint32_t i;

    if (map->shape.flags & ANYBPF_OVERWRITES)
        CHECK(anybpf_ring_take(map, cpu, buffer, sizeof(buffer), found, &count) == ANYBPF_OK);
    else
        CHECK(anybpf_ring_peek(map, cpu, &at, found, &count) == ANYBPF_OK);
    for (i = 0; i < count; i++) {
        struct note note = read_note(&found[i]);

        CHECK(note.number == cpu && note.sequence == *next + found[i].lost);
        *next = note.sequence + 1;
    }
    if ((map->shape.flags & ANYBPF_OVERWRITES) == 0)
        anybpf_ring_advance(map, cpu, at, count);
    return count;
}

/* Whoever counts what is told of as lost knows of every record. */
static void every_record_or_its_loss(struct anybpf_domain *domain, uint32_t flags,
                                     uint32_t records)
{
    struct anybpf_map *map = new_map(domain, ANYBPF_PERF_EVENT_ARRAY, 2048, flags);
    uint32_t next[CPUS] = {0};
    uint64_t seen[CPUS] = {0};
    _Atomic uint32_t running = CPUS;
    struct anybpf_part nothing = {NULL, 0};
    pthread_t threads[CPUS];
    struct job jobs[CPUS];
    bool last;
    uint32_t cpu;

    CHECK(anybpf_rings(map) == CPUS);
    if (flags & ANYBPF_NEEDS_READER)
        CHECK(anybpf_perf_output(map, 0, 0, &nothing, 1) == ANYBPF_MISSING);
    CHECK(anybpf_rings_claim(map) == ANYBPF_OK);
    CHECK(anybpf_perf_output(map, 1, 0, &nothing, 1) == ANYBPF_NOT_SUPPORTED);
    CHECK(anybpf_perf_output(map, CPUS, 0, &nothing, 1) == ANYBPF_BAD_INDEX);
    nothing.size = 2040;
    CHECK(anybpf_perf_output(map, 0, 0, &nothing, 1) == ANYBPF_TOO_BIG);
    anybpf_perf_set_wakeup(map, 4, 1024);
    start(threads, jobs, CPUS, map, records, produce_events, &running);
    do {
        uint32_t ticket = anybpf_rings_ticket(map);
        uint32_t found = 0;

        last = atomic_load(&running) == 0;
        for (cpu = 0; cpu < CPUS; cpu++) {
            uint32_t count = read_events(map, cpu, &next[cpu]);

            seen[cpu] += count;
            found += count;
        }
        if (found != 0)
            last = false;
        else if (!last)
            anybpf_rings_wait(map, ticket, 0, -1);
    } while (!last);
    join(threads, CPUS);
    for (cpu = 0; cpu < CPUS; cpu++)
        CHECK(seen[cpu] + anybpf_perf_lost(map, cpu) == records);
    anybpf_map_close(map);
}

static void wakes_at_the_watermark(struct anybpf_domain *domain)
{
    struct anybpf_map *map = new_map(domain, ANYBPF_PERF_EVENT_ARRAY, 4096, 0);
    struct anybpf_part part = {"12345678", 8};

    CHECK(!anybpf_rings_ready(map));
    CHECK(anybpf_perf_output(map, 0, 0, &part, 1) == ANYBPF_OK && anybpf_rings_ready(map));
    anybpf_perf_set_wakeup(map, 3, 0);
    CHECK(anybpf_perf_output(map, 0, 0, &part, 1) == ANYBPF_OK && !anybpf_rings_ready(map));
    CHECK(anybpf_perf_output(map, 0, 0, &part, 1) == ANYBPF_OK && anybpf_rings_ready(map));
    anybpf_perf_set_wakeup(map, 0, 64);
    CHECK(!anybpf_rings_ready(map));
    CHECK(anybpf_perf_output(map, 0, 0, &part, 1) == ANYBPF_OK && anybpf_rings_ready(map));
    anybpf_map_close(map);
}

/* Processes that are killed. */

static void produce_until_killed(struct anybpf_map *map, uint32_t number)
{
    uint32_t sequence;

    anybpf_domain_forked(map->domain);
    for (sequence = 0;; sequence++) {
        void *record;

        if (anybpf_ring_reserve(map, length_of(number, sequence), 0, ANYBPF_NO_SEAT, &record) !=
            ANYBPF_OK)
            continue;
        fill(record, number, sequence);
        CHECK(anybpf_ring_submit(map, record, 0) == ANYBPF_OK);
    }
}

static uint32_t drain_what_is_there(struct anybpf_map *map)
{
    uint32_t all = 0;
    uint32_t count;

    do {
        struct anybpf_record found[BATCH];
        uint64_t at = anybpf_ring_consumed(map, 0);
        uint64_t before = at;
        uint32_t i;

        count = BATCH;
        CHECK(anybpf_ring_peek(map, 0, &at, found, &count) == ANYBPF_OK);
        for (i = 0; i < count; i++)
            (void)read_note(&found[i]);
        anybpf_ring_advance(map, 0, at, count);
        all += count;
        count += at != before;
    } while (count != 0);
    return all;
}

static void killed_producers_hold_nothing_up(uint32_t kills)
{
    struct anybpf_domain *domain = new_domain(true);
    struct anybpf_map *map = new_map(domain, ANYBPF_RINGBUF, 4096, 0);
    uint32_t seed = 12345;
    uint32_t i;

    for (i = 0; i < kills; i++) {
        uint64_t start = anybpf_clock_ns(ANYBPF_MONOTONIC);
        pid_t children[3];
        char why[200] = "";
        uint32_t child;

        for (child = 0; child < 3; child++) {
            children[child] = fork();
            CHECK(children[child] >= 0);
            if (children[child] == 0)
                produce_until_killed(map, (i + child) % PRODUCERS);
        }
        seed = seed * 1103515245u + 12345u;
        while (anybpf_clock_ns(ANYBPF_MONOTONIC) - start < 200000 + (seed >> 12) % 2000000)
            (void)drain_what_is_there(map);
        for (child = 0; child < 3; child++) {
            CHECK(kill(children[child], SIGKILL) == 0);
            CHECK(waitpid(children[child], NULL, 0) == children[child]);
            (void)drain_what_is_there(map); /* the others go on */
        }
        (void)drain_what_is_there(map);
        CHECK(anybpf_ring_unread(map, 0) == 0);
        if (!map->ops->check(map, why, sizeof(why))) {
            fprintf(stderr, "%s\n", why);
            exit(1);
        }
    }
    anybpf_map_close(map);
    anybpf_domain_free(domain);
}

/* One that dies for certain with a record in hand. */
static void a_killed_producer_leaves_a_discarded_record(void)
{
    struct anybpf_domain *domain = new_domain(true);
    struct anybpf_map *map = new_map(domain, ANYBPF_RINGBUF, 4096, 0);
    struct anybpf_record record;
    pid_t child = fork();
    int status = 0;

    CHECK(child >= 0);
    if (child == 0) {
        void *reserved;

        anybpf_domain_forked(domain);
        CHECK(anybpf_ring_reserve(map, 40, 0, ANYBPF_NO_SEAT, &reserved) == ANYBPF_OK);
        kill(getpid(), SIGKILL);
    }
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
    CHECK(anybpf_ring_output(map, "after", 5, 0, 0) == ANYBPF_OK);
    CHECK(anybpf_rings_ready(map));
    CHECK(read_one(map, &record) == 1 && record.size == 5);
    CHECK(memcmp(record.data, "after", 5) == 0);
    anybpf_map_close(map);
    anybpf_domain_free(domain);
}

/* The argument: how much to do; and whether processes may be forked. */
int main(int argc, char **argv)
{
    uint32_t records = argc > 1 ? (uint32_t)atoi(argv[1]) : 20000;
    uint32_t kills = argc > 2 ? (uint32_t)atoi(argv[2]) : 100;
    struct anybpf_domain *domain = new_domain(false);

    no_size_but_powers_of_two(domain);
    layout_is_that_of_linux(domain);
    full_and_too_big(domain);
    every_offset_wraps(domain);
    what_was_abandoned_is_discarded(domain);
    nonsense_in_the_segment_is_found(domain);
    wakes_at_the_watermark(domain);
    many_producers(domain, 256, records / 10);
    many_producers(domain, 65536, records);
    users_produce(domain, records);
    every_record_or_its_loss(domain, 0, records);
    every_record_or_its_loss(domain, ANYBPF_NEEDS_READER, records);
    every_record_or_its_loss(domain, ANYBPF_OVERWRITES, records);
    anybpf_domain_free(domain);
    if (kills != 0) {
        a_killed_producer_leaves_a_discarded_record();
        killed_producers_hold_nothing_up(kills);
    }
    puts("all passed");
    return 0;
}
