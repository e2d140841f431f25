/* Eight threads at every kind of map that is built, through what all kinds have in common: whatever a
 * user copies out is a value that somebody wrote whole, and in the end every invariant holds. Run
 * under the thread sanitizer, which looks at the rest.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "anybpf.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define THREADS 8u
#define CPUS 4u
#define ENTRIES 64u
#define NUMBERS 96u /* keys: more than fit, except for arrays */
#define WORDS 4u
#define TURNS 4000u
#define MOST_COPY (WORDS * 8u * CPUS)

static const uint32_t kinds[] = {
    ANYBPF_ARRAY,    ANYBPF_PERCPU_ARRAY,    ANYBPF_HASH,     ANYBPF_PERCPU_HASH,
    ANYBPF_LRU_HASH, ANYBPF_LRU_PERCPU_HASH, ANYBPF_LPM_TRIE, ANYBPF_QUEUE,
    ANYBPF_STACK,    ANYBPF_BLOOM_FILTER,
};

static _Atomic unsigned failures;

static void fail(const struct anybpf_map *map, const char *what)
{
    fprintf(stderr, "%s: %s\n", map->ops->name, what);
    atomic_fetch_add(&failures, 1);
}

struct worker {
    struct anybpf_map *map;
    uint32_t number; /* below CPUS: runs programs */
    uint64_t random;
};

static uint32_t random_number(struct worker *worker, uint32_t limit)
{
    worker->random ^= worker->random << 13;
    worker->random ^= worker->random >> 7;
    worker->random ^= worker->random << 17;
    return (uint32_t)(worker->random >> 20) % limit;
}

/* Keys: a number, behind the length of a prefix in tries. */
struct key {
    uint32_t word[2];
};

static struct key key_of(const struct anybpf_map *map, uint32_t number)
{
    struct key key = {{number, 0}};

    if (map->shape.kind == ANYBPF_LPM_TRIE)
        key = (struct key){{32, number}};
    return key;
}

static uint32_t number_of(const struct anybpf_map *map, const struct key *key)
{
    return map->shape.kind == ANYBPF_LPM_TRIE ? key->word[1] : key->word[0];
}

/* Values: every word says which key they were written for, and with what salt. */
static void make_value(uint64_t *words, uint32_t number, uint32_t salt)
{
    uint32_t i;

    for (i = 0; i < WORDS; i++)
        words[i] = (uint64_t)salt << 32 | (uint64_t)(i + 1) << 16 | number;
}

static bool is_whole(const uint64_t *words, uint32_t number)
{
    uint64_t expected[WORDS];
    static const uint64_t nothing[WORDS];

    make_value(expected, number, (uint32_t)(words[0] >> 32));
    return memcmp(words, expected, sizeof(expected)) == 0 ||
           memcmp(words, nothing, sizeof(nothing)) == 0;
}

static void check_copy(const struct anybpf_map *map, const uint64_t *words, uint32_t number)
{
    size_t copies = anybpf_user_value_size(&map->shape) / (WORDS * 8);
    size_t i;

    for (i = 0; i < copies; i++)
        if (!is_whole(words + i * WORDS, number))
            fail(map, "a user's copy is not a value that somebody wrote for that key");
}

static int touch(void *arg, const void *key, void *value)
{
    uint64_t words[WORDS];

    (void)key;
    anybpf_copy_from_shared(words, value, sizeof(words));
    *(uint64_t *)arg += words[0];
    return 0;
}

static void keyed_turn(struct worker *worker, uint32_t seat)
{
    struct anybpf_map *map = worker->map;
    const struct anybpf_map_ops *ops = map->ops;
    bool is_program = worker->number < CPUS;
    uint32_t limit = ops->erase == NULL || map->shape.kind == ANYBPF_ARRAY ||
                             map->shape.kind == ANYBPF_PERCPU_ARRAY
                         ? ENTRIES
                         : NUMBERS;
    uint32_t number = random_number(worker, limit);
    struct key key = key_of(map, number);
    uint64_t words[MOST_COPY / 8];
    uint64_t sum = 0;
    uint32_t i;

    for (i = 0; i < MOST_COPY / 8; i += WORDS)
        make_value(words + i, number, 1 + random_number(worker, 1u << 20));
    switch (random_number(worker, 16)) {
    case 0:
    case 1:
    case 2:
    case 3:
        if (is_program && ops->update != NULL)
            ops->update(map, &key, words, ANYBPF_ANY, seat);
        else if (ops->write != NULL)
            ops->write(map, &key, words, ANYBPF_ANY);
        break;
    case 4:
    case 5:
    case 6:
        if (is_program && ops->lookup != NULL) {
            void *value = ops->lookup(map, &key, seat);

            if (value != NULL)
                touch(&sum, &key, value);
            break;
        }
        /* fall through */
    case 7:
    case 8:
    case 9:
        if (ops->read != NULL && ops->read(map, &key, words, 0) == ANYBPF_OK)
            check_copy(map, words, number);
        break;
    case 10:
    case 11:
        if (ops->erase != NULL)
            ops->erase(map, &key, seat);
        break;
    case 12:
        if (ops->take != NULL && ops->take(map, &key, words) == ANYBPF_OK)
            check_copy(map, words, number);
        break;
    case 13:
        if (ops->next != NULL) {
            struct key next;

            ops->next(map, random_number(worker, 4) == 0 ? NULL : &key, &next);
        }
        break;
    case 14:
        if (ops->scan != NULL && random_number(worker, 4) == 0) {
            struct key keys[16];
            uint64_t values[16 * MOST_COPY / 8];
            uint8_t packed[sizeof(keys)];
            uint64_t cursor = 0;
            size_t size = anybpf_user_value_size(&map->shape);
            int status = ANYBPF_OK;

            while (status == ANYBPF_OK) {
                uint32_t count = 16;

                status = ops->scan(map, &cursor, packed, values, &count);
                for (i = 0; i < count; i++) {
                    struct key found = {{0, 0}};

                    memcpy(&found, packed + (size_t)i * map->shape.key_size, map->shape.key_size);
                    check_copy(map, values + i * size / 8, number_of(map, &found));
                }
            }
            if (status != ANYBPF_NO_MORE_KEYS)
                fail(map, "a scan came to no end");
        }
        break;
    default:
        if (ops->each != NULL && is_program && random_number(worker, 4) == 0)
            ops->each(map, seat, touch, &sum);
        else if (ops->count != NULL && ops->count(map) > map->shape.max_entries)
            fail(map, "more entries are counted than there is room for");
    }
}

static void pipe_turn(struct worker *worker)
{
    struct anybpf_map *map = worker->map;
    const struct anybpf_map_ops *ops = map->ops;
    uint64_t words[WORDS];
    uint32_t number = random_number(worker, NUMBERS);
    int status = ANYBPF_EMPTY;

    make_value(words, number, 1 + random_number(worker, 1u << 20));
    switch (random_number(worker, 4)) {
    case 0:
    case 1:
        ops->push(map, words, ANYBPF_ANY);
        break;
    case 2:
        if (ops->pop != NULL)
            status = ops->pop(map, words);
        break;
    default:
        status = ops->peek(map, words);
    }
    if (status == ANYBPF_OK && map->shape.kind != ANYBPF_BLOOM_FILTER)
        check_copy(map, words, (uint32_t)(words[0] & 0xffff));
}

static void *work(void *arg)
{
    struct worker *worker = arg;
    struct anybpf_domain *domain = worker->map->domain;
    uint32_t turn;

    for (turn = 0; turn < TURNS; turn++) {
        uint32_t seat = worker->number < CPUS ? anybpf_enter(domain, worker->number)
                                              : anybpf_enter_as_guest(domain);

        if (worker->map->ops->push != NULL)
            pipe_turn(worker);
        else
            keyed_turn(worker, seat);
        anybpf_leave(domain, seat);
    }
    return NULL;
}

static void hammer(struct anybpf_domain *domain, uint32_t kind, uint32_t id, uint32_t flags)
{
    bool keyless = kind == ANYBPF_QUEUE || kind == ANYBPF_STACK || kind == ANYBPF_BLOOM_FILTER;
    struct anybpf_shape shape = {
        .kind = kind,
        .key_size = keyless ? 0 : kind == ANYBPF_LPM_TRIE ? 8 : 4,
        .value_size = WORDS * 8,
        .max_entries = ENTRIES,
        .flags = flags,
        .lock_offset = ANYBPF_NO_FIELD,
        .timer_offset = ANYBPF_NO_FIELD,
    };
    struct worker worker[THREADS];
    pthread_t thread[THREADS];
    struct anybpf_map *map;
    char why[256] = "";
    int status;
    uint32_t i;

    if (anybpf_kind_ops(kind) == NULL)
        return;
    status = anybpf_map_create(domain, id, &shape, NULL, false, &map);
    if (status != ANYBPF_OK) {
        fprintf(stderr, "kind %u cannot be made: status %d\n", kind, status);
        atomic_fetch_add(&failures, 1);
        return;
    }
    for (i = 0; i < THREADS; i++) {
        worker[i] = (struct worker){map, i, UINT64_C(0x9e3779b97f4a7c15) * (id * THREADS + i + 1)};
        if (pthread_create(&thread[i], NULL, work, &worker[i]) != 0)
            abort();
    }
    for (i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    if (map->ops->check != NULL && !map->ops->check(map, why, sizeof(why)))
        fail(map, why);
    anybpf_map_close(map);
}

int main(void)
{
    struct anybpf_domain *domain;
    uint32_t id = 1;
    size_t i;

    if (anybpf_domain_create(&domain, CPUS, false) != 0)
        return 2;
    for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        hammer(domain, kinds[i], id++, 0);
    hammer(domain, ANYBPF_ARRAY, id++, ANYBPF_DELETE_ZEROES);
    hammer(domain, ANYBPF_PERCPU_ARRAY, id++, ANYBPF_DELETE_ZEROES);
    hammer(domain, ANYBPF_QUEUE, id++, ANYBPF_DROPS_OLDEST);
    anybpf_domain_free(domain);
    if (atomic_load(&failures) == 0)
        puts("all passed");
    return atomic_load(&failures) != 0;
}
