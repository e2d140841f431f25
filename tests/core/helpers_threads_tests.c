/* Eight threads call the helpers that touch what others touch as well: spin locks, swapped pointers,
 * timers whose callbacks cancel each other, rings, walks over maps, dynptrs over values, and maps
 * whose keys and values come from other maps. Run under the thread sanitizer, which looks at the
 * rest. Ends by itself if somebody waits for ever. Prints "all passed".
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "checks.h"

#include "anybpf.h"
#include "helpers/dynptr.h"
#include "helpers/timers.h"
#include "program.h"
#include "ring.h"

#define HOST_IS_BIG (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)
#define THREADS 8u
#define FIRING 2u
#define TURNS 4000u
#define ENTRIES 8u
#define HANG 120u /* seconds */
#define LONG_CALLBACK 3000u
#define EDEADLK_OF_LINUX 35

/* A value of the first map. */
struct value {
    uint32_t lock;
    uint32_t padding;
    uint64_t timer[2];
    uint64_t pointer; /* what kptr_xchg swaps */
    uint64_t fired; /* twice by each callback */
    uint64_t first; /* the same as the second, whoever has the lock sees */
    uint64_t second;
    uint64_t loose[8]; /* anybody's, at any time */
};

static struct anybpf_domain *domain;
static struct anybpf_map *values; /* array, with a lock and a timer in each value */
static struct anybpf_map *bytes;  /* array of 256 bytes each */
static struct anybpf_map *table;  /* hash: keys of eight bytes, values of 24 */
static struct anybpf_map *ring;
static struct anybpf_map *events;
static struct anybpf_program *program;
static uint64_t callback;
static _Atomic uint64_t tokens;  /* those in the hands of threads, all together */
static _Atomic uint64_t read_records, written_records;
static _Atomic uint32_t deadlocks; /* avoided */
static _Atomic bool over;

struct worker {
    struct anybpf_run *run;
    uint32_t number;
    uint64_t random;
    uint64_t token;
};

static uint32_t below(struct worker *worker, uint32_t limit)
{
    worker->random ^= worker->random << 13;
    worker->random ^= worker->random >> 7;
    worker->random ^= worker->random << 17;
    return (uint32_t)(worker->random >> 20) % limit;
}

static uint64_t address(const volatile void *where)
{
    return (uint64_t)(uintptr_t)where;
}

static uint64_t call(struct worker *worker, const char *name, uint64_t r1, uint64_t r2,
                     uint64_t r3, uint64_t r4, uint64_t r5)
{
    anybpf_helper helper = anybpf_helper_by_name(name);
    uint64_t result;

    CHECK(helper != NULL);
    result = helper(r1, r2, r3, r4, r5, worker->run);
    CHECK(worker->run->stop.end == ANYBPF_ENDED);
    return result;
}

static struct value *value_at(uint32_t index)
{
    return (struct value *)(void *)(values->values + index * values->value_stride);
}

static uint8_t *bytes_at(uint32_t index)
{
    return bytes->values + index * bytes->value_stride;
}

/* As the program itself would: its loads and stores are atomic, and nothing more. */
static uint64_t load(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static void store(uint64_t *word, uint64_t to)
{
    __atomic_store_n(word, to, __ATOMIC_RELAXED);
}

/* What threads do. */

static void count_with_lock(struct worker *worker, struct value *value)
{
    uint64_t count;

    call(worker, "spin_lock", address(&value->lock), 0, 0, 0, 0);
    count = load(&value->first);
    CHECK(load(&value->second) == count);
    store(&value->first, count + 1);
    store(&value->second, count + 1);
    call(worker, "spin_unlock", address(&value->lock), 0, 0, 0, 0);
}

/* Users see the two words alike as well. */
static void copy_with_lock(uint32_t index)
{
    struct value copy;

    CHECK(values->ops->read(values, &index, &copy, ANYBPF_WITH_LOCK) == ANYBPF_OK);
    CHECK(copy.first == copy.second);
    CHECK(copy.lock == 0 && copy.timer[0] == 0);
}

static void swap(struct worker *worker, struct value *value)
{
    worker->token = call(worker, "kptr_xchg", address(&value->pointer), worker->token, 0, 0, 0);
}

static void scribble(struct worker *worker, uint64_t *words)
{
    uint32_t i;

    for (i = 0; i < 8; i++)
        store(&words[i], (uint64_t)below(worker, 16) << 32 | below(worker, 4));
}

static void put_out(struct worker *worker, struct value *value)
{
    bool shared = below(worker, 2) != 0;
    uint64_t *own = anybpf_scratch_take(worker->run, 64);
    uint32_t size = 1 + below(worker, 64);

    CHECK(own != NULL);
    if (call(worker, "ringbuf_output", address(ring), address(shared ? value->loose : own), size,
             below(worker, 3), 0) == 0)
        atomic_fetch_add(&written_records, 1);
    call(worker, "ringbuf_query", address(ring), below(worker, 4), 0, 0, 0);
    anybpf_scratch_give(worker->run, own);
}

static void put_out_event(struct worker *worker, struct value *value)
{
    struct anybpf_context *context = worker->run->context;

    call(worker, "perf_event_output", address(context), address(events),
         0xffffffffu, address(value->loose), 1 + below(worker, 64));
}

static void reserve(struct worker *worker)
{
    uint32_t size = 8 * (1 + below(worker, 8));
    uint64_t record = call(worker, "ringbuf_reserve", address(ring), size, 0, 0, 0);

    if (record == 0)
        return;
    store((uint64_t *)(uintptr_t)record, 1);
    if (below(worker, 4) == 0) {
        call(worker, "ringbuf_discard", record, 0, 0, 0, 0);
        return;
    }
    atomic_fetch_add(&written_records, 1);
    call(worker, "ringbuf_submit", record, 0, 0, 0, 0);
}

static void use_dynptr(struct worker *worker)
{
    struct anybpf_dynptr *one = anybpf_scratch_take(worker->run, 2 * sizeof(*one) + 64);
    struct anybpf_dynptr *other = one + 1;
    uint64_t local = address(one + 2);
    uint8_t *from = bytes_at(below(worker, ENTRIES));
    uint8_t *to = bytes_at(below(worker, ENTRIES));
    uint32_t at = below(worker, 200);
    uint32_t size = below(worker, 56);
    uint64_t data;

    CHECK(one != NULL);
    CHECK(call(worker, "dynptr_from_mem", address(from), 256, 0, address(one), 0) == 0);
    CHECK(call(worker, "dynptr_from_mem", address(to), 256, 0, address(other), 0) == 0);
    CHECK(call(worker, "dynptr_read", local, size, address(one), at, 0) == 0);
    CHECK(call(worker, "dynptr_write", address(other), at, local, size, 0) == 0);
    CHECK(call(worker, "dynptr_copy", address(other), at, address(one), at / 2, size) == 0);
    CHECK(call(worker, "dynptr_memset", address(other), at, size, 7, 0) == 0);
    data = call(worker, "dynptr_data", address(one), 8, 8, 0, 0);
    CHECK(data == address(from + 8));
    anybpf_scratch_give(worker->run, one);
}

static void use_dynptr_of_ring(struct worker *worker, struct value *value)
{
    struct anybpf_dynptr *one = anybpf_scratch_take(worker->run, sizeof(*one));
    bool there;

    CHECK(one != NULL);
    there = call(worker, "ringbuf_reserve_dynptr", address(ring), 40, 0, address(one), 0) == 0;
    if (there) {
        CHECK(call(worker, "dynptr_write", address(one), 3, address(value->loose), 37, 0) == 0);
        atomic_fetch_add(&written_records, 1);
    }
    call(worker, "ringbuf_submit_dynptr", address(one), 0, 0, 0, 0);
    anybpf_scratch_give(worker->run, one);
}

/* Keys and values that others change while the helper reads them. */
static void use_table(struct worker *worker, struct value *value)
{
    uint64_t key = address(&value->loose[below(worker, 4)]);

    switch (below(worker, 4)) {
    case 0:
        call(worker, "map_delete_elem", address(table), key, 0, 0, 0);
        break;
    case 1: {
        uint64_t found = call(worker, "map_lookup_elem", address(table), key, 0, 0, 0);

        if (found != 0)
            store((uint64_t *)(uintptr_t)found, load((uint64_t *)(uintptr_t)found) + 1);
        break;
    }
    default:
        call(worker, "map_update_elem", address(table), key, address(&value->loose[4]), ANYBPF_ANY,
             0);
    }
}

static uint64_t walked(struct anybpf_run *run, uint64_t function, uint64_t r1, uint64_t r2,
                       uint64_t r3, uint64_t r4, uint64_t r5)
{
    uint64_t *sum = (uint64_t *)(uintptr_t)r4;

    (void)run;
    (void)function;
    (void)r1;
    (void)r5;
    *sum += load((const uint64_t *)(uintptr_t)r3) + *(const uint32_t *)(uintptr_t)r2;
    store((uint64_t *)(uintptr_t)r3, *sum);
    return 0;
}

static void walk(struct worker *worker)
{
    uint64_t (*engine)(struct anybpf_run *, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                       uint64_t) = worker->run->call;
    uint64_t sum = 0;

    worker->run->call = walked;
    CHECK(call(worker, "for_each_map_elem", address(table), 1, address(&sum), 0, 0) < 1000);
    CHECK(call(worker, "for_each_map_elem", address(bytes), 1, address(&sum), 0, 0) == ENTRIES);
    worker->run->call = engine;
}

static void use_timer(struct worker *worker, struct value *value)
{
    uint64_t timer = address(value->timer);

    call(worker, "timer_init", timer, address(values), 1, 0, 0);
    switch (below(worker, 4)) {
    case 0:
        call(worker, "timer_cancel", timer, 0, 0, 0, 0);
        break;
    default:
        call(worker, "timer_set_callback", timer, callback, 0, 0, 0);
        call(worker, "timer_start", timer, below(worker, 20000), 0, 0, 0);
    }
}

static void use_strings(struct worker *worker)
{
    char *text = anybpf_scratch_take(worker->run, 64);
    uint8_t *one = bytes_at(below(worker, ENTRIES));
    uint8_t *other = bytes_at(below(worker, ENTRIES));

    CHECK(text != NULL);
    call(worker, "probe_read_kernel", address(text), 60, address(one), 0, 0);
    call(worker, "probe_read_kernel_str", address(text), 60, address(one), 0, 0);
    call(worker, "probe_read_kernel", address(other), 60, address(one + 64), 0, 0);
    call(worker, "csum_diff", address(one), 64, address(other), 64, 0);
    call(worker, "strncmp", address(one), 32, address(text), 0, 0);
    anybpf_scratch_give(worker->run, text);
}

static void turn(struct worker *worker)
{
    uint32_t index = below(worker, ENTRIES);
    struct value *value = value_at(index);

    switch (below(worker, 13)) {
    case 0:
        count_with_lock(worker, value);
        break;
    case 1:
        copy_with_lock(index);
        break;
    case 2:
        swap(worker, value);
        break;
    case 3:
        scribble(worker, value->loose);
        break;
    case 4:
        put_out(worker, value);
        break;
    case 5:
        put_out_event(worker, value);
        break;
    case 6:
        reserve(worker);
        break;
    case 7:
        use_dynptr(worker);
        break;
    case 8:
        use_dynptr_of_ring(worker, value);
        break;
    case 9:
        use_table(worker, value);
        break;
    case 10:
        walk(worker);
        break;
    case 11:
        use_strings(worker);
        break;
    default:
        use_timer(worker, value);
    }
}

static void *work(void *arg)
{
    struct worker *worker = arg;
    struct anybpf_context *context = calloc(1, sizeof(*context) + 24);
    uint32_t i;

    worker->run = malloc(sizeof(*worker->run));
    CHECK(worker->run != NULL && context != NULL);
    for (i = 0; i < TURNS; i++) {
        uint32_t seat = anybpf_enter(domain, worker->number);

        anybpf_run_init(worker->run, domain, seat);
        anybpf_run_set_context(worker->run, context, 24, true);
        worker->run->program = program;
        turn(worker);
        anybpf_leave(domain, seat);
    }
    atomic_fetch_add(&tokens, worker->token);
    free(context);
    free(worker->run);
    return NULL;
}

static void stopped(void *arg, struct anybpf_run *run)
{
    (void)arg;
    fprintf(stderr, "a callback was stopped: %d\n", (int)run->stop.end);
    exit(1);
}

static void *fire(void *arg)
{
    struct anybpf_timers *timers = arg;

    while (!atomic_load(&over)) {
        uint32_t seen = atomic_load(anybpf_timers_news(timers));

        if (anybpf_timers_fire(timers, 100000, stopped, NULL) == 0)
            anybpf_wait(anybpf_timers_news(timers), seen, 100000);
    }
    return NULL;
}

static void *consume(void *arg)
{
    (void)arg;
    CHECK(anybpf_rings_claim(ring) == ANYBPF_OK && anybpf_rings_claim(events) == ANYBPF_OK);
    for (;;) {
        bool last = atomic_load(&over);
        uint32_t i, count;

        for (i = 0; i < 1 + anybpf_rings(events); i++) {
            struct anybpf_map *map = i == 0 ? ring : events;
            uint32_t number = i == 0 ? 0 : i - 1;
            struct anybpf_record record[16];
            uint64_t at = anybpf_ring_consumed(map, number);
            uint64_t copy[8];

            count = 16;
            CHECK(anybpf_ring_peek(map, number, &at, record, &count) == ANYBPF_OK);
            for (uint32_t k = 0; k < count; k++) {
                CHECK(record[k].size >= 1 && record[k].size <= 64 + 8);
                memcpy(copy, record[k].data, record[k].size < 64 ? record[k].size : 64);
            }
            anybpf_ring_advance(map, number, at, count);
            if (i == 0) {
                atomic_fetch_add(&read_records, count);
                last = last && count == 0;
            }
        }
        if (last)
            return NULL;
    }
}

/* Making. */

static struct anybpf_map *new_map(uint32_t id, struct anybpf_shape shape)
{
    struct anybpf_map *map;

    shape.lock_offset = shape.lock_offset == 0 ? ANYBPF_NO_FIELD : shape.lock_offset - 1;
    shape.timer_offset = shape.timer_offset == 0 ? ANYBPF_NO_FIELD : shape.timer_offset - 1;
    CHECK(anybpf_map_create(domain, id, &shape, NULL, false, &map) == ANYBPF_OK);
    return map;
}

static void put(uint8_t *code, uint32_t *slot, uint8_t opcode, uint8_t dst, uint8_t src,
                int16_t offset, int32_t imm)
{
    uint8_t *at = code + (*slot)++ * ANYBPF_SLOT_SIZE;

    at[0] = opcode;
    at[1] = (uint8_t)(HOST_IS_BIG ? dst << 4 | src : src << 4 | dst);
    memcpy(at + 2, &offset, 2);
    memcpy(at + 4, &imm, 4);
}

static uint64_t note_deadlock(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5,
                              struct anybpf_run *run)
{
    (void)r2, (void)r3, (void)r4, (void)r5, (void)run;
    if (r1 == (uint64_t)-EDEADLK_OF_LINUX)
        atomic_fetch_add(&deadlocks, 1);
    return 0;
}

/* The main function returns the callback, which counts as it begins and as it ends, and between them
 * cancels the timer of its neighbour, whose callback cancels this one. */
static void make_program(void)
{
    struct anybpf_map *const maps[] = {values, bytes, table, ring, events};
    const anybpf_helper helpers[] = {anybpf_helper_by_name("timer_cancel"), note_deadlock};
    int64_t codes[ANYBPF_STATUSES];
    uint8_t code[32 * ANYBPF_SLOT_SIZE];
    struct anybpf_program_fault fault;
    struct anybpf_program_spec spec = {.id = 50, .name = "test", .code = code, .maps = maps,
                                       .map_count = 5, .helpers = helpers, .helper_count = 2,
                                       .codes = codes, .context_size = 24};
    uint32_t slot = 0;
    uint32_t i;

    for (i = 0; i < ANYBPF_STATUSES; i++)
        codes[i] = -(int64_t)i;
    put(code, &slot, 0x18, 0, 4, 0, 2); /* r0 = function at 3 */
    put(code, &slot, 0, 0, 0, 0, 0);
    put(code, &slot, 0x95, 0, 0, 0, 0);
    put(code, &slot, 0xbf, 6, 3, 0, 0); /* 3: r6 = value */
    put(code, &slot, 0x61, 7, 2, 0, 0); /* r7 = index */
    put(code, &slot, 0xb7, 1, 0, 0, 1);
    put(code, &slot, 0xdb, 6, 1, (int16_t)offsetof(struct value, fired), 0); /* atomic += */
    put(code, &slot, 0xb7, 8, 0, 0, (int32_t)LONG_CALLBACK); /* takes its time */
    put(code, &slot, 0x07, 8, 0, 0, -1);
    put(code, &slot, 0x55, 8, 0, -2, 0);
    put(code, &slot, 0xbf, 1, 6, 0, 0);
    put(code, &slot, 0x57, 7, 0, 0, 1);                              /* r7 &= 1 */
    put(code, &slot, 0x55, 7, 0, 2, 0);                              /* if r7 != 0 */
    put(code, &slot, 0x07, 1, 0, 0, (int32_t)sizeof(struct value)); /* the next */
    put(code, &slot, 0x05, 0, 0, 1, 0);
    put(code, &slot, 0x07, 1, 0, 0, -(int32_t)sizeof(struct value)); /* the one before */
    put(code, &slot, 0x07, 1, 0, 0, (int32_t)offsetof(struct value, timer));
    put(code, &slot, 0x85, 0, 0, 0, 0);
    put(code, &slot, 0xbf, 1, 0, 0, 0);
    put(code, &slot, 0x85, 0, 0, 0, 1);
    put(code, &slot, 0xb7, 1, 0, 0, 1);
    put(code, &slot, 0xdb, 6, 1, (int16_t)offsetof(struct value, fired), 0);
    put(code, &slot, 0xb7, 0, 0, 0, 0);
    put(code, &slot, 0x95, 0, 0, 0, 0);
    spec.size = (size_t)slot * ANYBPF_SLOT_SIZE;
    CHECK(anybpf_program_create(domain, &spec, &program, &fault) == ANYBPF_OK);
}

static void find_callback(void)
{
    struct anybpf_run *run = malloc(sizeof(*run));
    uint32_t seat = anybpf_enter(domain, ANYBPF_ANY_CPU);

    CHECK(run != NULL);
    anybpf_run_init(run, domain, seat);
    callback = anybpf_run_program(run, program, 0, 0);
    CHECK(run->stop.end == ANYBPF_ENDED && callback != 0);
    anybpf_leave(domain, seat);
    free(run);
}

static void check_all(void)
{
    struct anybpf_map *all[] = {values, bytes, table, ring, events};
    uint64_t expected = 0, left = atomic_load(&tokens), counted = 0;
    uint32_t i;

    for (i = 0; i < THREADS; i++)
        expected += i + 1;
    for (i = 0; i < ENTRIES; i++) {
        left += value_at(i)->pointer;
        counted += value_at(i)->first;
    }
    CHECK(left == expected); /* no token was lost, and none is there twice */
    CHECK(counted > 0);
    CHECK(atomic_load(&read_records) == atomic_load(&written_records));
    for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        char why[256] = "";

        if (all[i]->ops->check != NULL && !all[i]->ops->check(all[i], why, sizeof(why))) {
            fprintf(stderr, "%s: %s\n", all[i]->ops->name, why);
            exit(1);
        }
    }
}

static void begin(struct worker *worker, uint32_t seat)
{
    anybpf_run_init(worker->run, domain, seat);
    worker->run->program = program;
}

static void start(struct worker *worker, uint32_t index)
{
    uint64_t timer = address(value_at(index)->timer);

    call(worker, "timer_init", timer, address(values), 1, 0, 0);
    call(worker, "timer_set_callback", timer, callback, 0, 0, 0);
    call(worker, "timer_start", timer, 0, 0, 0, 0);
}

/* One of the two is told that it would wait for ever. */
static void callbacks_that_cancel_each_other_end(void)
{
    struct worker worker = {.run = malloc(sizeof(*worker.run))};
    uint32_t seat = anybpf_enter(domain, ANYBPF_ANY_CPU);

    CHECK(worker.run != NULL);
    while (atomic_load(&deadlocks) == 0) { /* until they meet */
        anybpf_refresh(domain, seat);
        begin(&worker, seat);
        start(&worker, 0);
        start(&worker, 1);
        anybpf_back_off(100);
    }
    anybpf_leave(domain, seat);
    free(worker.run);
}

/* Who cancels a timer whose callback runs returns when that has ended, with nothing to follow. */
static void no_callback_outlives_its_cancelling(void)
{
    struct worker worker = {.run = malloc(sizeof(*worker.run))};
    struct value *value = value_at(0);
    uint32_t seat = anybpf_enter(domain, ANYBPF_ANY_CPU);
    uint32_t i;

    CHECK(worker.run != NULL);
    begin(&worker, seat);
    for (i = 0; i < ENTRIES; i++) {
        call(&worker, "timer_cancel", address(value_at(i)->timer), 0, 0, 0, 0);
        value_at(i)->fired = 0;
    }
    for (i = 0; i < 300; i++) {
        anybpf_refresh(domain, seat);
        begin(&worker, seat);
        start(&worker, 0);
        while (load(&value->fired) == 0)
            anybpf_back_off(0);
        call(&worker, "timer_cancel", address(value->timer), 0, 0, 0, 0);
        CHECK(value->fired == 2); /* a plain load: nobody can be at it, and the sanitizer knows */
        value->fired = 0;
    }
    anybpf_leave(domain, seat);
    free(worker.run);
}

int main(void)
{
    struct worker worker[THREADS];
    pthread_t thread[THREADS], firing[FIRING], consumer;
    struct anybpf_timers *timers;
    uint32_t i;

    alarm(HANG);
    CHECK(anybpf_domain_create(&domain, THREADS + FIRING, false) == 0);
    values = new_map(1, (struct anybpf_shape){
        .kind = ANYBPF_ARRAY, .key_size = 4, .value_size = sizeof(struct value),
        .max_entries = ENTRIES, .lock_offset = 1 + offsetof(struct value, lock),
        .timer_offset = 1 + offsetof(struct value, timer)});
    bytes = new_map(2, (struct anybpf_shape){
        .kind = ANYBPF_ARRAY, .key_size = 4, .value_size = 256, .max_entries = ENTRIES});
    table = new_map(3, (struct anybpf_shape){
        .kind = ANYBPF_HASH, .key_size = 8, .value_size = 24, .max_entries = 40});
    ring = new_map(4, (struct anybpf_shape){.kind = ANYBPF_RINGBUF, .max_entries = 4096});
    events = new_map(5, (struct anybpf_shape){
        .kind = ANYBPF_PERF_EVENT_ARRAY, .key_size = 4, .value_size = 4,
        .max_entries = THREADS + FIRING, .extra = 4096});
    timers = anybpf_timers_create(domain);
    CHECK(timers != NULL);
    atomic_store(&domain->timers, timers);
    make_program();
    find_callback();
    for (i = 0; i < THREADS; i++) {
        worker[i] = (struct worker){NULL, i, UINT64_C(0x9e3779b97f4a7c15) * (i + 1), i + 1};
        CHECK(pthread_create(&thread[i], NULL, work, &worker[i]) == 0);
    }
    for (i = 0; i < FIRING; i++)
        CHECK(pthread_create(&firing[i], NULL, fire, timers) == 0);
    CHECK(pthread_create(&consumer, NULL, consume, NULL) == 0);
    for (i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    CHECK(load(&value_at(0)->fired) > 0);
    callbacks_that_cancel_each_other_end();
    no_callback_outlives_its_cancelling();
    atomic_store(&over, true);
    for (i = 0; i < FIRING; i++)
        pthread_join(firing[i], NULL);
    pthread_join(consumer, NULL);
    check_all();
    atomic_store(&domain->timers, NULL);
    anybpf_timers_free(timers);
    anybpf_program_close(program, NULL, NULL);
    anybpf_map_close(values);
    anybpf_map_close(bytes);
    anybpf_map_close(table);
    anybpf_map_close(ring);
    anybpf_map_close(events);
    anybpf_domain_free(domain);
    puts("all passed");
    return 0;
}
