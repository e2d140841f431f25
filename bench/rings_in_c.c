/* Records a second through a ring buffer in C: `rings_in_c records size producers`.
 *
 * One producer and its consumer by turns on one thread (0 producers), or threads against a consumer.
 * Prints nanoseconds of wall time a record.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "ring.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 256u

struct job {
    struct anybpf_map *map;
    uint64_t records;
    uint32_t size;
    uint32_t seat;
};

/* As a program does: reserve, fill, submit. */
static bool put(const struct job *job, uint64_t number)
{
    void *record;

    if (anybpf_ring_reserve(job->map, job->size, 0, job->seat, &record) != ANYBPF_OK)
        return false;
    memset(record, (int)number, job->size);
    return anybpf_ring_submit(job->map, record, 0) == ANYBPF_OK;
}

static uint32_t take(struct anybpf_map *map, uint64_t *sum)
{
    struct anybpf_record records[BATCH];
    uint64_t position = anybpf_ring_consumed(map, 0);
    uint32_t count = BATCH;
    uint32_t i;

    if (anybpf_ring_peek(map, 0, &position, records, &count) != ANYBPF_OK)
        abort();
    for (i = 0; i < count; i++)
        *sum += records[i].data[0];
    anybpf_ring_advance(map, 0, position, count);
    return count;
}

static void *produce(void *arg)
{
    const struct job *job = arg;
    uint64_t i = 0;
    uint32_t turn = 0;

    while (i < job->records)
        if (put(job, i)) {
            i++;
            turn = 0;
        } else {
            anybpf_back_off(turn++);
        }
    return NULL;
}

int main(int argc, char **argv)
{
    uint64_t records = argc > 1 ? strtoull(argv[1], NULL, 0) : 10000000;
    uint32_t size = argc > 2 ? (uint32_t)atoi(argv[2]) : 16;
    uint32_t producers = argc > 3 ? (uint32_t)atoi(argv[3]) : 0;
    struct anybpf_shape shape = {.kind = ANYBPF_RINGBUF,
                                 .max_entries = 1 << 20,
                                 .lock_offset = ANYBPF_NO_FIELD,
                                 .timer_offset = ANYBPF_NO_FIELD};
    struct anybpf_domain *domain;
    struct anybpf_map *map;
    pthread_t threads[64];
    struct job jobs[64];
    uint64_t sum = 0;
    uint64_t start;
    uint64_t seen = 0;
    uint32_t i;

    if (producers > 64 || anybpf_domain_create(&domain, 64, false) != 0 ||
        anybpf_map_create(domain, 1, &shape, NULL, false, &map) != ANYBPF_OK)
        return 1;
    records = records / (producers == 0 ? 1 : producers) * (producers == 0 ? 1 : producers);
    for (i = 0; i < 64; i++)
        jobs[i] = (struct job){map, producers == 0 ? records : records / producers, size,
                               ANYBPF_NO_SEAT};
    start = anybpf_clock_ns(ANYBPF_MONOTONIC);
    if (producers == 0) {
        for (seen = 0; seen < records;) {
            for (i = 0; i < BATCH; i++)
                if (!put(&jobs[0], i))
                    abort();
            seen += take(map, &sum);
        }
    } else {
        for (i = 0; i < producers; i++)
            if (pthread_create(&threads[i], NULL, produce, &jobs[i]) != 0)
                abort();
        while (seen < records) {
            uint32_t ticket = anybpf_rings_ticket(map);
            uint32_t count = take(map, &sum);

            seen += count;
            if (count == 0)
                anybpf_rings_wait(map, ticket, 0, -1);
        }
        for (i = 0; i < producers; i++)
            pthread_join(threads[i], NULL);
    }
    printf("%.2f\n", (double)(anybpf_clock_ns(ANYBPF_MONOTONIC) - start) / (double)records);
    return sum == 0;
}
