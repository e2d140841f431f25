/* Tries, queues, stacks, filters, storage, redirect targets and arenas: what only C can show. With
 * threads, with processes that are killed, and with segments that somebody wrote rubbish into.
 * Arguments: rounds a thread, kills a kind, rounds of rubbish. Prints "all passed".
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#define _GNU_SOURCE
#include "../checks.h"

#include "maps/arena.h"
#include "maps/devmap.h"
#include "maps/local_storage.h"
#include "maps/objects.h"
#include "run.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 8u
#define CPUS 8u

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static uint32_t below(uint64_t *state, uint32_t limit)
{
    return (uint32_t)(next_random(state) >> 33) % limit;
}

static struct anybpf_domain *new_domain(bool shared)
{
    struct anybpf_domain *domain;

    CHECK(anybpf_domain_create(&domain, CPUS, shared) == 0);
    return domain;
}

static struct anybpf_map *new_map(struct anybpf_domain *domain, enum anybpf_kind kind,
                                  uint32_t key, uint32_t value, uint32_t entries, uint32_t flags)
{
    static uint32_t id;
    struct anybpf_shape shape = {.kind = kind,
                                 .key_size = key,
                                 .value_size = value,
                                 .max_entries = entries,
                                 .flags = flags,
                                 .lock_offset = ANYBPF_NO_FIELD,
                                 .timer_offset = ANYBPF_NO_FIELD};
    struct anybpf_map *map;

    CHECK(anybpf_map_create(domain, ++id, &shape, NULL, domain->shared, &map) == ANYBPF_OK);
    return map;
}

static void must_hold(struct anybpf_map *map)
{
    char why[200] = "";
    uint32_t seat = anybpf_enter_as_guest(map->domain);

    if (!map->ops->check(map, why, sizeof(why))) {
        fprintf(stderr, "%s: %s\n", map->ops->name, why);
        exit(1);
    }
    anybpf_leave(map->domain, seat);
}

/* Values that show whether they are whole, and whose they are. */

#define WORDS 4u

static void fill(uint64_t value[WORDS], uint64_t owner, uint64_t salt)
{
    uint32_t i;

    value[0] = owner << 32 | (salt & 0xffffffff);
    for (i = 1; i < WORDS; i++)
        value[i] = value[0] * (2 * i + 1);
}

static void must_be_whole(const void *found, uint64_t owner)
{
    uint64_t value[WORDS];
    uint32_t i;

    anybpf_copy_from_shared(value, found, sizeof(value));
    CHECK(value[0] >> 32 == owner);
    for (i = 1; i < WORDS; i++)
        CHECK(value[i] == value[0] * (2 * i + 1));
}

/* Where a thread is stopped in its seat for long, others may find no cell that they may use. */
static void must_be_done(int status)
{
    CHECK(status == ANYBPF_OK || status == ANYBPF_NO_MEMORY);
}

/* One kind: a map, and one thing that somebody does to it. */

struct trial {
    const char *name;
    struct anybpf_map *(*make)(struct anybpf_domain *domain);
    void (*step)(struct anybpf_map *map, uint64_t *state, uint32_t seat);
};

/* Tries: prefixes 10.x.0.0/16 stay, all others come and go. */

struct key {
    uint32_t length;
    uint8_t data[4];
};

#define STAYS 8u

static struct anybpf_map *make_trie(struct anybpf_domain *domain)
{
    struct anybpf_map *map =
        new_map(domain, ANYBPF_LPM_TRIE, sizeof(struct key), 8 * WORDS, 300, 0);
    uint64_t value[WORDS];
    uint32_t i;

    for (i = 0; i < STAYS; i++) {
        struct key key = {16, {10, (uint8_t)i, 0, 0}};

        fill(value, 16, i);
        CHECK(map->ops->update(map, &key, value, 0, 0) == ANYBPF_OK);
    }
    return map;
}

static int visit_prefix(void *arg, const void *key, void *value)
{
    must_be_whole(value, ((const struct key *)key)->length);
    ++*(uint32_t *)arg;
    return 0;
}

static void step_trie(struct anybpf_map *map, uint64_t *state, uint32_t seat)
{
    struct key key = {0, {10, (uint8_t)below(state, STAYS), (uint8_t)below(state, 4), 0}};
    uint64_t value[WORDS];
    uint8_t keys[64 * sizeof(struct key)];
    uint64_t cursor = 0;
    uint32_t count = 0;
    void *found;

    key.data[3] = (uint8_t)(below(state, 4) << 6);
    switch (below(state, 8)) {
    case 0:
    case 1:
        key.length = below(state, 2) == 0 ? 17 + below(state, 16) : below(state, 16);
        fill(value, key.length, next_random(state));
        map->ops->update(map, &key, value, 0, seat); /* full, perhaps */
        break;
    case 2:
    case 3:
        key.length = below(state, 2) == 0 ? 17 + below(state, 16) : below(state, 16);
        map->ops->erase(map, &key, seat);
        break;
    case 4:
        CHECK(map->ops->each(map, seat, visit_prefix, &count) == count && count >= STAYS);
        break;
    case 5:
        count = 64;
        CHECK(map->ops->scan(map, &cursor, keys, NULL, &count) != ANYBPF_DAMAGED && count > 0);
        map->ops->next(map, keys, value);
        break;
    default:
        key.length = 16;
        found = map->ops->lookup(map, &key, seat);
        CHECK(found != NULL);
        must_be_whole(found, 16);
        key.length = 32;
        found = map->ops->lookup(map, &key, seat);
        CHECK(found != NULL);
        break;
    }
}

/* Queues and stacks. */

static struct anybpf_map *make_queue(struct anybpf_domain *domain)
{
    return new_map(domain, ANYBPF_QUEUE, 0, 8 * WORDS, 7, ANYBPF_DROPS_OLDEST);
}

static struct anybpf_map *make_stack(struct anybpf_domain *domain)
{
    return new_map(domain, ANYBPF_STACK, 0, 8 * WORDS, 7, ANYBPF_DROPS_OLDEST);
}

static void step_fifo(struct anybpf_map *map, uint64_t *state, uint32_t seat)
{
    uint64_t value[WORDS];

    (void)seat;
    switch (below(state, 4)) {
    case 0:
    case 1:
        fill(value, 5, next_random(state));
        map->ops->push(map, value, below(state, 2) == 0 ? ANYBPF_EXIST : 0);
        break;
    case 2:
        if (map->ops->pop(map, value) == ANYBPF_OK)
            must_be_whole(value, 5);
        break;
    default:
        if (map->ops->peek(map, value) == ANYBPF_OK)
            must_be_whole(value, 5);
        break;
    }
}

static struct anybpf_map *make_filter(struct anybpf_domain *domain)
{
    return new_map(domain, ANYBPF_BLOOM_FILTER, 0, 8, 100, 0);
}

static void step_filter(struct anybpf_map *map, uint64_t *state, uint32_t seat)
{
    uint64_t value = next_random(state) % 1000;

    (void)seat;
    CHECK(map->ops->push(map, &value, 0) == ANYBPF_OK);
    CHECK(map->ops->peek(map, &value) == ANYBPF_OK);
}

/* Storage and keyed devmaps. */

static struct anybpf_map *make_storage(struct anybpf_domain *domain)
{
    return new_map(domain, ANYBPF_LOCAL_STORAGE, 8, 8 * WORDS, 0, ANYBPF_GROWS);
}

static int visit_owner(void *arg, const void *key, void *value)
{
    uint64_t owner;

    (void)arg;
    memcpy(&owner, key, sizeof(owner));
    must_be_whole(value, owner);
    return 0;
}

static void step_storage(struct anybpf_map *map, uint64_t *state, uint32_t seat)
{
    uint64_t owner = 1 + below(state, 40);
    uint64_t value[WORDS];
    void *found;

    fill(value, owner, next_random(state));
    switch (below(state, 5)) {
    case 0:
        anybpf_storage_delete(map, owner);
        break;
    case 1:
        must_be_done(map->ops->update(map, &owner, value, 0, seat));
        break;
    case 2:
        map->ops->each(map, seat, visit_owner, NULL);
        break;
    default:
        found = anybpf_storage_get(map, owner, true, value);
        if (found != NULL)
            must_be_whole(found, owner);
        break;
    }
}

static struct anybpf_map *make_keyed(struct anybpf_domain *domain)
{
    return new_map(domain, ANYBPF_DEVMAP, 4, 8, 20, ANYBPF_KEYED);
}

static struct anybpf_map *make_indexed(struct anybpf_domain *domain)
{
    return new_map(domain, ANYBPF_DEVMAP, 4, 8, 20, 0);
}

static void step_devmap(struct anybpf_map *map, uint64_t *state, uint32_t seat)
{
    uint32_t key = below(state, 20);
    uint32_t value[2] = {key + 1, key ^ 77};
    uint32_t target[2];
    uint32_t size;

    switch (below(state, 3)) {
    case 0:
        must_be_done(map->ops->write(map, &key, value, 0));
        break;
    case 1:
        map->ops->erase(map, &key, seat);
        break;
    default:
        if (anybpf_redirect_target(map, key, (uint8_t *)target, &size) == ANYBPF_OK)
            CHECK(size == 8 && memcmp(target, value, sizeof(value)) == 0);
        break;
    }
}

/* Arenas: who takes pages finds them zero, and nobody else writes there. */

static struct anybpf_map *make_arena(struct anybpf_domain *domain)
{
    return new_map(domain, ANYBPF_ARENA, 0, 0, 100, 0);
}

static void step_arena(struct anybpf_map *map, uint64_t *state, uint32_t seat)
{
    uint32_t pages = 1 + below(state, 4);
    uint64_t pointer = anybpf_arena_alloc(map, pages, 0);
    uint64_t *words;
    size_t i;

    (void)seat;
    if (pointer == 0)
        return;
    words = (uint64_t *)(uintptr_t)anybpf_arena_address(map, pointer);
    CHECK(anybpf_arena_pointer(map, (uint64_t)(uintptr_t)words) == pointer);
    for (i = 0; i < pages * ANYBPF_ARENA_PAGE / 8; i += 64) {
        CHECK(__atomic_load_n(&words[i], __ATOMIC_RELAXED) == 0);
        __atomic_store_n(&words[i], pointer + i, __ATOMIC_RELAXED);
    }
    for (i = 0; i < pages * ANYBPF_ARENA_PAGE / 8; i += 64)
        CHECK(__atomic_load_n(&words[i], __ATOMIC_RELAXED) == pointer + i);
    CHECK(anybpf_arena_free(map, pointer, pages) == ANYBPF_OK);
}

static const struct trial trials[] = {
    {"lpm_trie", make_trie, step_trie},          {"queue", make_queue, step_fifo},
    {"stack", make_stack, step_fifo},            {"bloom_filter", make_filter, step_filter},
    {"local_storage", make_storage, step_storage}, {"devmap_hash", make_keyed, step_devmap},
    {"devmap", make_indexed, step_devmap},       {"arena", make_arena, step_arena},
};
#define TRIALS (sizeof(trials) / sizeof(trials[0]))

/* Threads. */

struct job {
    const struct trial *trial;
    struct anybpf_map *map;
    uint64_t seed;
    uint32_t rounds;
};

static void *work(void *arg)
{
    const struct job *job = arg;
    uint64_t state = job->seed;
    uint32_t i;

    for (i = 0; i < job->rounds; i++) {
        uint32_t seat = anybpf_enter(job->map->domain, ANYBPF_ANY_CPU);

        job->trial->step(job->map, &state, seat);
        anybpf_leave(job->map->domain, seat);
    }
    return NULL;
}

static void with_threads(const struct trial *trial, uint32_t rounds)
{
    struct anybpf_domain *domain = new_domain(false);
    struct anybpf_map *map = trial->make(domain);
    pthread_t threads[THREADS];
    struct job jobs[THREADS];
    uint32_t i;

    for (i = 0; i < THREADS; i++) {
        jobs[i] = (struct job){trial, map, 0x9e3779b97f4a7c15u * (i + 1), rounds};
        CHECK(pthread_create(&threads[i], NULL, work, &jobs[i]) == 0);
    }
    for (i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    must_hold(map);
    anybpf_map_close(map);
    anybpf_domain_free(domain);
}

/* Killed processes. */

static pid_t start_writer(const struct trial *trial, struct anybpf_map *map, uint64_t seed)
{
    pid_t parent = getpid();
    pid_t child = fork();

    CHECK(child >= 0);
    if (child == 0) {
        struct job job = {trial, map, seed, 100};

        anybpf_domain_forked(map->domain);
        while (getppid() == parent) {
            work(&job);
            job.seed = next_random(&seed);
        }
        _exit(0);
    }
    return child;
}

static void with_kills(const struct trial *trial, uint32_t kills)
{
    struct anybpf_domain *domain = new_domain(true);
    struct anybpf_map *map = trial->make(domain);
    uint64_t state = 88172645463325252u;
    pid_t writers[2];
    uint32_t i;

    writers[0] = start_writer(trial, map, next_random(&state));
    writers[1] = start_writer(trial, map, next_random(&state));
    for (i = 0; i < kills; i++) {
        uint32_t which = i & 1u;
        int status;

        usleep(200 + below(&state, 800));
        CHECK(kill(writers[which], SIGKILL) == 0);
        CHECK(waitpid(writers[which], &status, 0) == writers[which] && WIFSIGNALED(status));
        must_hold(map);
        writers[which] = start_writer(trial, map, next_random(&state));
    }
    for (i = 0; i < 2; i++) {
        CHECK(kill(writers[i], SIGKILL) == 0);
        CHECK(waitpid(writers[i], NULL, 0) == writers[i]);
    }
    must_hold(map);
    for (i = 0; i < 2000; i++) { /* and it is of use */
        uint32_t seat = anybpf_enter(domain, ANYBPF_ANY_CPU);

        trial->step(map, &state, seat);
        anybpf_leave(domain, seat);
    }
    must_hold(map);
    if (map->shape.kind == ANYBPF_ARENA) /* those that were killed between two calls had some */
        CHECK(map->ops->count(map) <= 4 * ((uint64_t)kills + 2));
    anybpf_map_close(map);
    anybpf_domain_free(domain);
}

/* Rubbish: somebody else writes what he likes into the segment. Nothing that is read there may lead
 * outside of it, or on for ever. */

static int visit_anything(void *arg, const void *key, void *value)
{
    (void)key;
    (void)value;
    return ++*(uint32_t *)arg > 1000;
}

static void use(struct anybpf_map *map, uint64_t *state)
{
    const struct anybpf_map_ops *ops = map->ops;
    uint8_t key[64];
    uint8_t value[4096];
    uint64_t cursor = below(state, 3) == 0 ? next_random(state) : 0;
    uint32_t count = 16;
    uint64_t seen = 0;
    char why[200];
    uint32_t i;

    for (i = 0; i < sizeof(key); i++)
        key[i] = (uint8_t)next_random(state);
    if (map->shape.kind == ANYBPF_LPM_TRIE || map->shape.kind == ANYBPF_DEVMAP)
        key[1] = key[2] = key[3] = 0;
    memset(value, 1, sizeof(value));
    if (ops->lookup != NULL)
        ops->lookup(map, key, 0);
    if (ops->read != NULL)
        ops->read(map, key, value, 0);
    if (ops->write != NULL)
        ops->write(map, key, value, 0);
    if (ops->pop != NULL)
        ops->pop(map, value);
    if (ops->erase != NULL)
        ops->erase(map, key, 0);
    if (ops->next != NULL)
        ops->next(map, key, key);
    if (ops->scan != NULL)
        ops->scan(map, &cursor, value, value + 2048, &count);
    if (ops->each != NULL)
        ops->each(map, 0, visit_anything, &seen);
    ops->count(map);
    if (map->shape.kind == ANYBPF_ARENA)
        anybpf_arena_free(map, anybpf_arena_alloc(map, 3, 0), 5);
    ops->check(map, why, sizeof(why));
}

static void scribble(struct anybpf_map *map, uint64_t *state)
{
    uint8_t *start = map->header->body;
    uint8_t *end = map->values != NULL ? map->values : map->segment.base + map->segment.size;
    uint32_t words = 1 + below(state, 200);

    while (words-- > 0) {
        size_t span = below(state, 2) == 0 ? 4096 : (size_t)(end - start);
        uint8_t *at = start + next_random(state) % (span < (size_t)(end - start)
                                                        ? span
                                                        : (size_t)(end - start)) / 4 * 4;
        uint32_t word = below(state, 3) == 0 ? (uint32_t)next_random(state) : below(state, 40);

        if (at + 4 <= end)
            memcpy(at, &word, sizeof(word));
    }
}

static void with_rubbish(const struct trial *trial, uint32_t rounds)
{
    uint64_t state = 1234567;
    uint32_t i;

    for (i = 0; i < rounds; i++) {
        struct anybpf_domain *domain = new_domain(true);
        struct anybpf_map *map = trial->make(domain);
        uint32_t seat = anybpf_enter(domain, 0);
        uint32_t turn;

        for (turn = 0; turn < 300; turn++)
            trial->step(map, &state, seat);
        for (turn = 0; turn < 20; turn++) {
            scribble(map, &state);
            /* Also as if the last writer had died. */
            atomic_store(&map->header->lock.word, below(&state, 2) == 0 ? 0 : 7777);
            use(map, &state);
        }
        anybpf_leave(domain, seat);
        anybpf_map_close(map);
        anybpf_domain_free(domain);
    }
}

/* What programs get. */

static void storage_for_programs(void)
{
    struct anybpf_domain *domain = new_domain(false);
    struct anybpf_map *map = make_storage(domain);
    uint32_t seat = anybpf_enter(domain, 0);
    uint64_t value[WORDS];
    uint64_t *first;
    uint64_t *other;

    CHECK(anybpf_storage_get(map, 5, false, NULL) == NULL);
    CHECK(anybpf_storage_get(map, 0, true, NULL) == NULL);
    first = anybpf_storage_get(map, 5, true, NULL);
    CHECK(first != NULL && first[0] == 0 && first[WORDS - 1] == 0);
    first[0] = 42;
    CHECK(anybpf_storage_get(map, 5, true, NULL) == first);
    CHECK(anybpf_storage_get(map, 5, false, NULL) == first);
    fill(value, 6, 1);
    other = anybpf_storage_get(map, 6, true, value);
    CHECK(other != NULL && other != first);
    must_be_whole(other, 6);
    CHECK(anybpf_storage_delete(map, 5) == ANYBPF_OK);
    CHECK(anybpf_storage_delete(map, 5) == ANYBPF_MISSING_KEY);
    CHECK(first[0] == 42); /* whoever has it goes on with it */
    CHECK(*(const uint64_t *)map->ops->key_of(map, other) == 6);
    CHECK(map->ops->key_of(map, first) == NULL);
    anybpf_leave(domain, seat);
    must_hold(map);
    anybpf_map_close(map);
    anybpf_domain_free(domain);
}

static void a_trie_keeps_what_was_found(void)
{
    struct anybpf_domain *domain = new_domain(false);
    struct anybpf_map *map = make_trie(domain);
    uint32_t seat = anybpf_enter(domain, 0);
    struct key key = {16, {10, 3, 0, 0}};
    uint64_t value[WORDS];
    uint64_t *found = map->ops->lookup(map, &key, seat);
    uint64_t before = found[0];
    uint32_t i;

    for (i = 0; i < 4000; i++) {
        fill(value, 16, 1000 + i);
        CHECK(map->ops->update(map, &key, value, 0, seat) == ANYBPF_OK);
        CHECK(found[0] == before);
    }
    must_be_whole(map->ops->lookup(map, &key, seat), 16);
    anybpf_leave(domain, seat);
    must_hold(map);
    anybpf_map_close(map);
    anybpf_domain_free(domain);
}

static void maps_and_programs_in_maps(void)
{
    struct anybpf_domain *domain = new_domain(false);
    struct anybpf_map *inner = new_map(domain, ANYBPF_QUEUE, 0, 8, 3, 0);
    struct anybpf_shape shape = {.kind = ANYBPF_ARRAY_OF_MAPS,
                                 .key_size = 4,
                                 .value_size = 4,
                                 .max_entries = 2,
                                 .lock_offset = ANYBPF_NO_FIELD,
                                 .timer_offset = ANYBPF_NO_FIELD};
    struct anybpf_program program = {
        .object = {ANYBPF_OBJECT_PROGRAM, 5000}, .domain = domain, .compatible = 9};
    struct anybpf_map *outer;
    struct anybpf_map *programs = new_map(domain, ANYBPF_PROG_ARRAY, 4, 4, 2, 0);
    uint32_t seat = anybpf_enter(domain, 0);
    uint32_t index = 1;
    uint32_t id = inner->object.id;

    CHECK(anybpf_map_create(domain, 6000, &shape, &inner->shape, false, &outer) == ANYBPF_OK);
    CHECK(outer->ops->write(outer, &index, &id, 0) == ANYBPF_OK);
    CHECK(outer->ops->lookup(outer, &index, seat) == inner);
    CHECK(anybpf_register(domain, &program.object) == 0);
    id = program.object.id;
    CHECK(outer->ops->write(outer, &index, &id, 0) == ANYBPF_BAD_OBJECT);
    CHECK(programs->ops->write(programs, &index, &id, 0) == ANYBPF_OK);
    CHECK(anybpf_prog_array_get(programs, 1) == &program);
    CHECK(anybpf_prog_array_get(programs, 0) == NULL);
    CHECK(anybpf_prog_array_get(programs, 2) == NULL);
    CHECK(anybpf_prog_array_get(outer, 1) == NULL);
    anybpf_unregister(domain, &program.object);
    CHECK(anybpf_prog_array_get(programs, 1) == NULL);
    anybpf_map_close(inner);
    CHECK(outer->ops->lookup(outer, &index, seat) == NULL);
    anybpf_leave(domain, seat);
    must_hold(outer);
    must_hold(programs);
    anybpf_map_close(outer);
    anybpf_map_close(programs);
    anybpf_domain_free(domain);
}

static void pages(void)
{
    struct anybpf_domain *domain = new_domain(false);
    struct anybpf_shape shape = {.kind = ANYBPF_ARENA,
                                 .max_entries = 10,
                                 .extra = UINT64_C(1) << 44,
                                 .lock_offset = ANYBPF_NO_FIELD,
                                 .timer_offset = ANYBPF_NO_FIELD};
    uint64_t start = shape.extra;
    struct anybpf_map *map;
    uint64_t values;

    CHECK(anybpf_map_create(domain, 7000, &shape, NULL, false, &map) == ANYBPF_OK);
    values = (uint64_t)(uintptr_t)map->values;
    CHECK(anybpf_arena_address(map, 0) == 0 && anybpf_arena_pointer(map, 0) == 0);
    CHECK(anybpf_arena_address(map, start + 5) == values + 5);
    CHECK(anybpf_arena_address(map, 5) == values + 5); /* the low bits are enough */
    CHECK(anybpf_arena_pointer(map, values + 5) == start + 5);
    CHECK(anybpf_arena_address(map, start) == values); /* null is all 64 bits */
    CHECK(anybpf_arena_alloc(map, 2, 0) == start);
    CHECK(anybpf_arena_alloc(map, 3, start + 4096 * 6) == start + 4096 * 6);
    CHECK(anybpf_arena_alloc(map, 1, start + 4096 * 7) == 0);
    CHECK(anybpf_arena_alloc(map, 1, start + 1) == 0);
    CHECK(anybpf_arena_alloc(map, 1, start + 4096 * 10) == 0);
    CHECK(anybpf_arena_alloc(map, 5, 0) == 0);
    CHECK(anybpf_arena_alloc(map, 3, 0) == start + 4096 * 2);
    CHECK(anybpf_arena_alloc(map, 11, 0) == 0 && anybpf_arena_alloc(map, 0, 0) == 0);
    CHECK(anybpf_arena_alloc(map, 1, 0) == start + 4096 * 5);
    CHECK(anybpf_arena_alloc(map, 1, 0) == start + 4096 * 9);
    CHECK(map->ops->count(map) == 10);
    memset(map->values, 1, map->values_size);
    CHECK(anybpf_arena_free(map, start + 4096 * 6, 2) == ANYBPF_OK);
    CHECK(map->values[4096 * 6] == 0 && map->values[4096 * 8 - 1] == 0 &&
          map->values[4096 * 8] == 1);
    CHECK(anybpf_arena_free(map, start + 4096 * 9, UINT32_MAX) == ANYBPF_OK);
    CHECK(anybpf_arena_free(map, start + 1, 1) == ANYBPF_BAD_ARGUMENT);
    CHECK(anybpf_arena_free(map, start + 4096 * 10, 1) == ANYBPF_BAD_ARGUMENT);
    CHECK(map->ops->count(map) == 7);
    must_hold(map);
    anybpf_map_close(map);
    anybpf_domain_free(domain);
}

int main(int count, char **arguments)
{
    uint32_t rounds = count > 1 ? (uint32_t)atoi(arguments[1]) : 2000;
    uint32_t kills = count > 2 ? (uint32_t)atoi(arguments[2]) : 50;
    uint32_t rubbish = count > 3 ? (uint32_t)atoi(arguments[3]) : 10;
    size_t i;

    storage_for_programs();
    a_trie_keeps_what_was_found();
    maps_and_programs_in_maps();
    pages();
    for (i = 0; i < TRIALS; i++) {
        if (rounds > 0)
            with_threads(&trials[i], rounds);
        if (kills > 0)
            with_kills(&trials[i], kills);
        if (rubbish > 0)
            with_rubbish(&trials[i], rubbish);
    }
    puts("all passed");
    return 0;
}
