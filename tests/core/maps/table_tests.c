/* Eight threads at one table: nobody sees half of a value, a key twice, or hangs. Run under
 * sanitizers by test_table.py.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "map.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define THREADS 8u
#define CPUS 4u
#define MOST_VALUE 256u

#define MUST(condition) \
    do { \
        if (!(condition)) { \
            printf("%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            exit(1); \
        } \
    } while (0)

static uint32_t rounds = 20000;

struct worker {
    pthread_t thread;
    struct anybpf_map *map;
    uint32_t number;
    uint32_t keys; /* that there are to choose from */
    uint64_t state;
    uint64_t done;
    _Atomic uint32_t *winners;
};

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static struct anybpf_map *make(struct anybpf_domain *domain, uint32_t kind, uint32_t key_size,
                               uint32_t value_size, uint32_t entries, uint32_t flags)
{
    static uint32_t id;
    struct anybpf_shape shape = {.kind = kind, .key_size = key_size, .value_size = value_size,
                                 .max_entries = entries, .flags = flags,
                                 .lock_offset = ANYBPF_NO_FIELD,
                                 .timer_offset = ANYBPF_NO_FIELD};
    struct anybpf_map *map = NULL;

    MUST(anybpf_map_create(domain, ++id, &shape, NULL, false, &map) == ANYBPF_OK);
    return map;
}

static void must_hold(struct anybpf_map *map)
{
    char why[256] = "";

    if (!map->ops->check(map, why, sizeof(why))) {
        printf("%s: %s\n", map->ops->name, why);
        exit(1);
    }
}

static void make_key(uint8_t *key, uint32_t size, uint32_t number)
{
    memset(key, 0x5a, size);
    memcpy(key, &number, size < 4 ? size : 4);
}

/* Values that show if parts of two were mixed. */
static void make_value(uint8_t *value, uint32_t size, uint32_t number, uint32_t salt)
{
    uint64_t word = (uint64_t)salt << 32 | number;
    uint32_t i;

    for (i = 0; i < size; i += 8) {
        uint64_t part = i == 0 ? word : word * (2 * (uint64_t)i + 1);

        memcpy(value + i, &part, size - i < 8 ? size - i : 8);
    }
}

static bool is_whole(const uint8_t *value, uint32_t size, uint32_t number)
{
    uint8_t expected[MOST_VALUE];
    uint64_t word = 0;

    memcpy(&word, value, 8);
    make_value(expected, size, number, (uint32_t)(word >> 32));
    return (uint32_t)word == number && memcmp(value, expected, size) == 0;
}

/* Of a user's copy. A CPU's value is as it was made, or zero: by a program, for another CPU. */
static void must_be_whole(const struct anybpf_map *map, const uint8_t *value, uint32_t number)
{
    static const uint8_t zero[MOST_VALUE];
    uint32_t copies = anybpf_is_per_cpu(map->shape.kind) ? map->shape.cpus : 1;
    uint32_t i;

    for (i = 0; i < copies; i++, value += map->value_stride)
        MUST(is_whole(value, map->shape.value_size, number) ||
             (copies > 1 && memcmp(value, zero, map->shape.value_size) == 0));
}

static void make_user_value(const struct anybpf_map *map, uint8_t *value, uint32_t number,
                            uint32_t salt)
{
    uint32_t copies = anybpf_is_per_cpu(map->shape.kind) ? map->shape.cpus : 1;
    uint32_t i;

    for (i = 0; i < copies; i++)
        make_value(value + i * map->value_stride, map->shape.value_size, number, salt);
}

static int count_visit(void *arg, const void *key, void *value)
{
    (void)key;
    (void)value;
    ++*(uint64_t *)arg;
    return 0;
}

static void walk(struct worker *worker, uint8_t *values)
{
    struct anybpf_map *map = worker->map;
    uint8_t keys[64 * 16];
    uint8_t key[16];
    uint64_t cursor = 0;
    uint64_t visits = 0;
    uint32_t steps = 0;
    int status = ANYBPF_OK;

    while (status == ANYBPF_OK) {
        uint32_t count = 64;
        uint32_t i;

        status = map->ops->scan(map, &cursor, keys, values, &count);
        MUST(status == ANYBPF_OK || status == ANYBPF_NO_MORE_KEYS);
        MUST(status != ANYBPF_OK || count == 64);
        for (i = 0; i < count; i++) {
            uint32_t number = 0;

            memcpy(&number, keys + i * map->shape.key_size, 4);
            must_be_whole(map, values + i * anybpf_user_value_size(&map->shape), number);
        }
    }
    map->ops->each(map, worker->number, count_visit, &visits);
    if (map->ops->next(map, NULL, key) == ANYBPF_OK)
        while (steps++ < 50 && map->ops->next(map, key, key) == ANYBPF_OK)
            ;
}

static void *work(void *arg)
{
    struct worker *worker = arg;
    struct anybpf_map *map = worker->map;
    const struct anybpf_map_ops *ops = map->ops;
    uint32_t i;
    uint8_t *values = malloc(64 * anybpf_user_value_size(&map->shape) + 8);

    for (i = 0; i < rounds; i++) {
        bool is_guest = worker->number >= CPUS;
        uint32_t seat = is_guest ? anybpf_enter_as_guest(map->domain)
                                 : anybpf_enter(map->domain, worker->number);
        uint32_t salt = (uint32_t)next_random(&worker->state);
        uint32_t number = (uint32_t)(next_random(&worker->state) >> 20) % worker->keys;
        uint32_t what = (uint32_t)(next_random(&worker->state) >> 30) % 100;
        uint8_t key[16];
        int status = ANYBPF_OK;

        make_key(key, map->shape.key_size, number);
        make_user_value(map, values, number, salt);
        if (what < 30) {
            const uint8_t *found = ops->lookup(map, key, seat);

            if (found != NULL && map->shape.value_size <= 8) {
                uint64_t word = __atomic_load_n((const uint64_t *)(const void *)found,
                                                __ATOMIC_RELAXED);

                MUST((uint32_t)word == number || word == 0);
            }
        } else if (what < 60) {
            if (is_guest)
                status = ops->write(map, key, values, what % 3 == 2 ? 0 : what % 3);
            else
                status = ops->update(map, key, values, what % 3 == 2 ? 0 : what % 3, seat);
            if (status == ANYBPF_NO_MEMORY) { /* those who are seated wait for each other */
                anybpf_leave(map->domain, seat);
                MUST(anybpf_synchronize(map->domain, -1));
                continue;
            }
            MUST(status == ANYBPF_OK || status == ANYBPF_EXISTS || status == ANYBPF_MISSING_KEY ||
                 (status == ANYBPF_FULL && map->shape.kind != ANYBPF_LRU_HASH &&
                  map->shape.kind != ANYBPF_LRU_PERCPU_HASH));
        } else if (what < 75) {
            status = ops->erase(map, key, seat);
            MUST(status == ANYBPF_OK || status == ANYBPF_MISSING_KEY);
        } else if (what < 80) {
            if (ops->take(map, key, values) == ANYBPF_OK)
                must_be_whole(map, values, number);
        } else if (what < 99) {
            if (ops->read(map, key, values, 0) == ANYBPF_OK)
                must_be_whole(map, values, number);
        } else {
            walk(worker, values);
        }
        anybpf_leave(map->domain, seat);
    }
    free(values);
    return NULL;
}

static void run_threads(struct anybpf_map *map, uint32_t keys, void *(*function)(void *),
                        _Atomic uint32_t *winners)
{
    struct worker workers[THREADS];
    uint32_t i;

    for (i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.map = map, .number = i, .keys = keys,
                                     .state = 88172645463325252u + i, .winners = winners};
        MUST(pthread_create(&workers[i].thread, NULL, function, &workers[i]) == 0);
    }
    for (i = 0; i < THREADS; i++)
        pthread_join(workers[i].thread, NULL);
}

static void mixed(struct anybpf_domain *domain)
{
    static const struct {
        uint32_t kind, key_size, value_size, entries, keys, flags;
    } plans[] = {
        {ANYBPF_HASH, 8, 8, 100, 150, 0},
        {ANYBPF_HASH, 4, 24, 20, 30, 0},
        {ANYBPF_HASH, 5, 5, 3, 5, 0},
        {ANYBPF_HASH, 12, 40, 16, 6000, ANYBPF_GROWS},
        {ANYBPF_PERCPU_HASH, 4, 8, 50, 70, 0},
        {ANYBPF_PERCPU_HASH, 8, 20, 50, 70, 0},
        {ANYBPF_LRU_HASH, 8, 16, 64, 200, 0},
        {ANYBPF_LRU_PERCPU_HASH, 4, 16, 10, 40, 0},
    };
    size_t i;

    for (i = 0; i < sizeof(plans) / sizeof(plans[0]); i++) {
        struct anybpf_map *map = make(domain, plans[i].kind, plans[i].key_size,
                                      plans[i].value_size, plans[i].entries, plans[i].flags);

        run_threads(map, plans[i].keys, work, NULL);
        must_hold(map);
        anybpf_map_close(map);
    }
}

static void *insert_all(void *arg)
{
    struct worker *worker = arg;
    struct anybpf_map *map = worker->map;
    uint32_t number;

    for (number = 0; number < worker->keys; number++) {
        uint32_t seat = anybpf_enter_as_guest(map->domain);
        uint64_t key = number;
        uint64_t value = worker->number;

        if (map->ops->write(map, &key, &value, ANYBPF_NOEXIST) == ANYBPF_OK)
            atomic_fetch_add(&worker->winners[number], 1);
        anybpf_leave(map->domain, seat);
    }
    return NULL;
}

/* Of those who insert the same key at the same time, one does. */
static void one_wins(struct anybpf_domain *domain)
{
    static _Atomic uint32_t winners[3000];
    uint32_t flags;

    for (flags = 0; flags <= ANYBPF_GROWS; flags += ANYBPF_GROWS) {
        struct anybpf_map *map = make(domain, ANYBPF_HASH, 8, 8, flags ? 10 : 3000, flags);
        uint32_t i;

        memset((void *)winners, 0, sizeof(winners));
        run_threads(map, 3000, insert_all, winners);
        for (i = 0; i < 3000; i++)
            MUST(atomic_load(&winners[i]) == 1);
        MUST(map->ops->count(map) == 3000);
        must_hold(map);
        anybpf_map_close(map);
    }
}

/* A program that deletes and inserts in one sitting more than there is room for. */
static void churn_in_one_sitting(struct anybpf_domain *domain)
{
    static const uint32_t kinds[] = {ANYBPF_HASH, ANYBPF_LRU_HASH, ANYBPF_PERCPU_HASH};
    size_t k;

    for (k = 0; k < 3; k++) {
        struct anybpf_map *map = make(domain, kinds[k], 8, 24, 7, 0);
        uint32_t seat = anybpf_enter(domain, 1);
        uint8_t value[24] = {1};
        uint64_t i;

        for (i = 0; i < 5000; i++) {
            uint64_t old = i - 7;

            if (i >= 7 && kinds[k] != ANYBPF_LRU_HASH)
                MUST(map->ops->erase(map, &old, seat) == ANYBPF_OK);
            MUST(map->ops->update(map, &i, value, 0, seat) == ANYBPF_OK);
            MUST(map->ops->update(map, &i, value, 0, seat) == ANYBPF_OK);
        }
        MUST(map->ops->count(map) == 7);
        must_hold(map);
        anybpf_leave(domain, seat);
        anybpf_map_close(map);
    }
}

/* A pointer's value stays as it was while somebody might hold it. */
static void held_values_stay(struct anybpf_domain *domain)
{
    struct anybpf_map *map = make(domain, ANYBPF_HASH, 4, 32, 10, 0);
    uint32_t reader = anybpf_enter(domain, 0);
    uint32_t writer = anybpf_enter(domain, 1);
    uint32_t key = 3;
    uint8_t value[32];
    uint8_t seen[32];
    const uint8_t *held;
    uint32_t i;

    make_value(value, 32, key, 1);
    MUST(map->ops->update(map, &key, value, 0, writer) == ANYBPF_OK);
    held = map->ops->lookup(map, &key, reader);
    MUST(held != NULL && map->ops->key_of(map, held) != NULL);
    MUST(memcmp(map->ops->key_of(map, held), &key, 4) == 0);
    make_value(value, 32, key, 2);
    MUST(map->ops->update(map, &key, value, 0, writer) == ANYBPF_OK);
    anybpf_copy_from_shared(seen, held, 32);
    MUST(is_whole(seen, 32, key) && seen[4] == 1);
    MUST(map->ops->key_of(map, held) == NULL);
    MUST(map->ops->erase(map, &key, writer) == ANYBPF_OK);
    for (i = 100; i < 110; i++) {
        MUST(map->ops->update(map, &i, value, 0, writer) == ANYBPF_OK);
        MUST(map->ops->lookup(map, &i, writer) != held);
    }
    anybpf_copy_from_shared(seen, held, 32);
    MUST(is_whole(seen, 32, key) && seen[4] == 1);
    anybpf_leave(domain, reader);
    anybpf_leave(domain, writer);
    must_hold(map);
    anybpf_map_close(map);
}

/* A program sets a value again and again, a user takes it: what was set last is there, or was taken. */
struct race {
    struct anybpf_map *map;
    _Atomic uint32_t round; /* even: both wait */
    _Atomic uint32_t ready;
    _Atomic bool over;
    uint64_t last;
};

static void *set_in_rounds(void *arg)
{
    struct race *race = arg;
    uint64_t key = 5;
    uint32_t round = 1;

    for (; !atomic_load(&race->over); round += 2) {
        uint32_t seat;
        uint32_t turn = 0;
        uint32_t i;

        while (atomic_load(&race->round) < round)
            anybpf_back_off(turn++);
        seat = anybpf_enter(race->map->domain, 2);
        for (i = 0; i < 20 && !atomic_load(&race->over); i++) {
            race->last++;
            MUST(race->map->ops->update(race->map, &key, &race->last, 0, seat) == ANYBPF_OK);
        }
        anybpf_leave(race->map->domain, seat);
        atomic_store(&race->ready, round);
    }
    return NULL;
}

static void nothing_set_is_lost(struct anybpf_domain *domain)
{
    struct race race = {.map = make(domain, ANYBPF_HASH, 8, 8, 4, 0)};
    pthread_t thread;
    uint64_t key = 5;
    uint32_t round;

    MUST(pthread_create(&thread, NULL, set_in_rounds, &race) == 0);
    for (round = 1; round < 1 + rounds; round += 2) {
        uint64_t taken = 0;
        uint32_t turn = 0;
        bool done;

        atomic_store(&race.round, round);
        do {
            uint32_t seat = anybpf_enter_as_guest(domain);
            uint64_t value;

            done = atomic_load(&race.ready) == round;
            if (race.map->ops->take(race.map, &key, &value) == ANYBPF_OK) {
                MUST(value > taken);
                taken = value;
            }
            anybpf_leave(domain, seat);
            anybpf_back_off(turn++ % 16);
        } while (!done);
        MUST(taken == race.last);
        atomic_store(&race.round, round + 1);
    }
    atomic_store(&race.over, true);
    atomic_store(&race.round, UINT32_MAX);
    pthread_join(thread, NULL);
    must_hold(race.map);
    anybpf_map_close(race.map);
}

/* Who is looked up by a program is not the next to make way; by a user, it is. */
static void looking_up_is_use(struct anybpf_domain *domain)
{
    struct anybpf_map *map = make(domain, ANYBPF_LRU_HASH, 4, 8, 3, 0);
    uint32_t seat = anybpf_enter(domain, 0);
    uint64_t value = 1;
    uint32_t i;

    for (i = 0; i < 3; i++)
        MUST(map->ops->update(map, &i, &value, 0, seat) == ANYBPF_OK);
    i = 3;
    MUST(map->ops->update(map, &i, &value, 0, seat) == ANYBPF_OK); /* 0 goes */
    i = 1;
    MUST(map->ops->lookup(map, &i, seat) != NULL);
    i = 2;
    MUST(map->ops->read(map, &i, &value, 0) == ANYBPF_OK);
    i = 4;
    MUST(map->ops->update(map, &i, &value, 0, seat) == ANYBPF_OK);
    i = 2;
    MUST(map->ops->read(map, &i, &value, 0) == ANYBPF_MISSING);
    i = 1;
    MUST(map->ops->read(map, &i, &value, 0) == ANYBPF_OK);
    anybpf_leave(domain, seat);
    must_hold(map);
    anybpf_map_close(map);
}

int main(int argc, char **argv)
{
    struct anybpf_domain *domain;

    if (argc > 1)
        rounds = (uint32_t)strtoul(argv[1], NULL, 10);
    MUST(anybpf_domain_create(&domain, CPUS, false) == 0);
    held_values_stay(domain);
    churn_in_one_sitting(domain);
    looking_up_is_use(domain);
    nothing_set_is_lost(domain);
    one_wins(domain);
    mixed(domain);
    anybpf_collect(domain);
    anybpf_domain_free(domain);
    puts("all passed");
    return 0;
}
