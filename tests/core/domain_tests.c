/* Seats, epochs and locks: between threads, between processes, and after processes were killed.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "anybpf.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static unsigned failures;

#define EXPECT(what)                                                                               \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            fprintf(stderr, "%s:%d: not so: %s\n", __func__, __LINE__, #what);                     \
            failures++;                                                                            \
        }                                                                                          \
    } while (0)

static struct anybpf_domain *new_domain(uint32_t cpus, bool shared)
{
    struct anybpf_domain *domain;

    if (anybpf_domain_create(&domain, cpus, shared) != 0)
        abort();
    return domain;
}

static void run_threads(unsigned count, void *(*function)(void *), void *arg)
{
    pthread_t thread[128];
    unsigned i;

    for (i = 0; i < count; i++)
        if (pthread_create(&thread[i], NULL, function, arg) != 0)
            abort();
    for (i = 0; i < count; i++)
        pthread_join(thread[i], NULL);
}

/* More threads than seats: they wait, and nobody has another's. */

struct crowd {
    struct anybpf_domain *domain;
    _Atomic uint32_t sitting[2 + ANYBPF_GUEST_SEATS];
    _Atomic uint32_t shared_seats;
};

static void *sit_down_often(void *arg)
{
    struct crowd *crowd = arg;
    unsigned turn;

    for (turn = 0; turn < 200; turn++) {
        uint32_t seat = turn % 4 == 0 ? anybpf_enter(crowd->domain, ANYBPF_ANY_CPU)
                                      : anybpf_enter_as_guest(crowd->domain);

        if (atomic_fetch_add(&crowd->sitting[seat], 1) != 0)
            atomic_fetch_add(&crowd->shared_seats, 1);
        if (turn % 16 == 0)
            anybpf_back_off(90); /* others come meanwhile */
        atomic_fetch_sub(&crowd->sitting[seat], 1);
        anybpf_leave(crowd->domain, seat);
    }
    return NULL;
}

static void test_more_threads_than_seats(void)
{
    struct crowd crowd = {.domain = new_domain(2, false)};

    run_threads(2 + ANYBPF_GUEST_SEATS + 14, sit_down_often, &crowd);
    EXPECT(atomic_load(&crowd.shared_seats) == 0);
    EXPECT(anybpf_synchronize(crowd.domain, 0));
    anybpf_domain_free(crowd.domain);
}

/* What is deferred is not released while somebody may look at it. */

struct shelf {
    struct anybpf_domain *domain;
    int *_Atomic thing;
    _Atomic uint32_t threads;
    _Atomic uint32_t wrong;
};

static void spoil(void *thing)
{
    *(int *)thing = 0;
    free(thing);
}

static int *new_thing(void)
{
    int *thing = malloc(sizeof(*thing));

    if (thing == NULL)
        abort();
    *thing = 1;
    return thing;
}

static void *use_the_shelf(void *arg)
{
    struct shelf *shelf = arg;
    uint32_t self = atomic_fetch_add(&shelf->threads, 1);
    unsigned turn;

    for (turn = 0; turn < 3000; turn++) {
        uint32_t seat = anybpf_enter_as_guest(shelf->domain);

        if (*atomic_load(&shelf->thing) != 1)
            atomic_fetch_add(&shelf->wrong, 1);
        if (self % 4 == 0 && turn % 8 == 0 &&
            !anybpf_defer(shelf->domain, spoil, atomic_exchange(&shelf->thing, new_thing())))
            abort();
        if (turn % 3 == 0)
            anybpf_refresh(shelf->domain, seat);
        anybpf_leave(shelf->domain, seat);
    }
    return NULL;
}

static void test_deferred_is_released_late_and_surely(void)
{
    struct shelf shelf = {.domain = new_domain(1, false)};

    atomic_store(&shelf.thing, new_thing());
    run_threads(8, use_the_shelf, &shelf);
    EXPECT(atomic_load(&shelf.wrong) == 0);
    EXPECT(anybpf_synchronize(shelf.domain, 0));
    EXPECT(anybpf_collect(shelf.domain) == 0);
    free(atomic_load(&shelf.thing));
    anybpf_domain_free(shelf.domain);
}

static void test_nobody_seated_nothing_waits(void)
{
    struct anybpf_domain *domain = new_domain(2, false);
    uint64_t stamp = anybpf_stamp(domain);
    uint32_t seat = anybpf_enter(domain, 1);

    EXPECT(seat == 1);
    EXPECT(anybpf_try_enter(domain, 1) == ANYBPF_ANY_CPU);
    EXPECT(!anybpf_is_past(domain, stamp)); /* it sat down in the stamp's epoch */
    EXPECT(!anybpf_synchronize(domain, 1000000));
    anybpf_refresh(domain, seat);
    EXPECT(anybpf_is_past(domain, stamp));
    stamp = anybpf_stamp(domain);
    anybpf_leave(domain, seat);
    EXPECT(anybpf_is_past(domain, stamp));
    anybpf_domain_free(domain);
}

/* Locks. */

struct counter {
    struct anybpf_domain *domain;
    struct anybpf_lock lock;
    uint64_t value; /* guarded */
};

static void *count_up(void *arg)
{
    struct counter *counter = arg;
    unsigned turn;

    for (turn = 0; turn < 5000; turn++) {
        anybpf_lock_take(counter->domain, &counter->lock);
        counter->value++;
        anybpf_lock_give(&counter->lock);
    }
    return NULL;
}

static void test_locks_exclude(void)
{
    struct counter counter = {.domain = new_domain(1, false)};

    run_threads(8, count_up, &counter);
    EXPECT(counter.value == 8 * 5000);
    EXPECT(atomic_load(&counter.lock.word) == 0);
    anybpf_domain_free(counter.domain);
}

/* Numbers and areas, while others look. */

struct registry {
    struct anybpf_domain *domain;
    _Atomic uint32_t next;
    _Atomic uint32_t wrong;
};

static void *come_and_go(void *arg)
{
    struct registry *registry = arg;
    static struct anybpf_object objects[40000];
    static uint8_t memory[40000][64];
    unsigned turn;

    for (turn = 0; turn < 300; turn++) {
        uint32_t id = atomic_fetch_add(&registry->next, 1) + 1;
        struct anybpf_area area = {(uintptr_t)memory[id], 64, true, id};
        struct anybpf_area found;
        uint32_t seat;

        objects[id].id = id;
        if (anybpf_register(registry->domain, &objects[id]) != 0 ||
            anybpf_add_area(registry->domain, area) != 0)
            atomic_fetch_add(&registry->wrong, 1);
        seat = anybpf_enter_as_guest(registry->domain);
        if (anybpf_find(registry->domain, id) != &objects[id] ||
            !anybpf_find_area(registry->domain, (uintptr_t)memory[id] + 63, &found) ||
            found.object != id)
            atomic_fetch_add(&registry->wrong, 1);
        if (turn % 4 != 0)
            anybpf_remove_area(registry->domain, area.start);
        anybpf_unregister(registry->domain, &objects[id]);
        if (anybpf_find(registry->domain, id) != NULL)
            atomic_fetch_add(&registry->wrong, 1);
        anybpf_leave(registry->domain, seat);
    }
    return NULL;
}

static void test_numbers_and_areas(void)
{
    struct registry registry = {.domain = new_domain(1, false)};

    run_threads(8, come_and_go, &registry);
    EXPECT(atomic_load(&registry.wrong) == 0);
    anybpf_domain_free(registry.domain);
}

/* Processes. What they share besides the domain lies in a page of its own. */

struct page {
    struct anybpf_lock lock;
    _Atomic uint32_t word;
};

static struct page *new_page(void)
{
    struct page *page = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE,
                             MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (page == MAP_FAILED)
        abort();
    return page;
}

static pid_t start(struct anybpf_domain *domain, struct page *page,
                   void (*work)(struct anybpf_domain *, struct page *))
{
    pid_t child;

    atomic_store(&page->word, 0);
    child = fork();
    if (child == 0) {
        anybpf_domain_forked(domain);
        work(domain, page);
        atomic_store(&page->word, 1);
        for (;;)
            pause();
    }
    while (atomic_load(&page->word) == 0)
        anybpf_back_off(80);
    return child;
}

static void end(pid_t child)
{
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

static void take_lock(struct anybpf_domain *domain, struct page *page)
{
    anybpf_lock_take(domain, &page->lock);
}

static void take_lock_and_close_a_copy(struct anybpf_domain *domain, struct page *page)
{
    take_lock(domain, page);
    close(dup(domain->segment.fd)); /* does not end what it says of itself */
}

static void sit(struct anybpf_domain *domain, struct page *page)
{
    (void)page;
    anybpf_enter_as_guest(domain);
    anybpf_enter(domain, 1);
}

static void test_a_dead_holders_lock_is_taken_over(void)
{
    struct anybpf_domain *domain = new_domain(2, true);
    struct page *page = new_page();
    pid_t child;

    EXPECT(!anybpf_lock_take(domain, &page->lock));
    anybpf_lock_give(&page->lock);
    child = start(domain, page, take_lock_and_close_a_copy);
    EXPECT(anybpf_lock_is_held(domain, &page->lock));
    end(child);
    EXPECT(!anybpf_lock_is_held(domain, &page->lock));
    EXPECT(anybpf_lock_take(domain, &page->lock));
    anybpf_lock_give(&page->lock);
    EXPECT(!anybpf_lock_take(domain, &page->lock));
    munmap(page, sizeof(*page));
    anybpf_domain_free(domain);
}

static void test_a_dead_ones_seat_is_free(void)
{
    struct anybpf_domain *domain = new_domain(2, true);
    struct page *page = new_page();
    pid_t child = start(domain, page, sit);

    EXPECT(anybpf_try_enter(domain, 1) == ANYBPF_ANY_CPU);
    EXPECT(!anybpf_synchronize(domain, 5000000));
    end(child);
    EXPECT(anybpf_synchronize(domain, 2000000000));
    EXPECT(anybpf_enter(domain, 1) == 1);
    munmap(page, sizeof(*page));
    anybpf_domain_free(domain);
}

/* Two views of a domain in one process are two participants; neither's end is the other's. */
static void test_attached_twice_in_one_process(void)
{
    struct anybpf_domain *first = new_domain(1, true);
    struct anybpf_domain *second;
    struct page *page = new_page();
    uint32_t dead;

    if (anybpf_domain_attach(&second, first->segment.fd, true) != 0)
        abort();
    EXPECT(atomic_load(&first->self) != atomic_load(&second->self));
    anybpf_lock_take(first, &page->lock);
    EXPECT(anybpf_lock_is_held(second, &page->lock));
    EXPECT(anybpf_is_alive(first, atomic_load(&second->self)));
    dead = atomic_load(&second->self);
    anybpf_domain_free(second);
    EXPECT(!anybpf_is_alive(first, dead));
    if (anybpf_domain_attach(&second, first->segment.fd, true) != 0)
        abort();
    EXPECT(anybpf_lock_is_held(second, &page->lock));
    anybpf_domain_free(first);
    EXPECT(!anybpf_lock_is_held(second, &page->lock));
    EXPECT(anybpf_lock_take(second, &page->lock));
    munmap(page, sizeof(*page));
    anybpf_domain_free(second);
}

/* A child has a copy of a private domain: what its parent's threads held there nobody gives back. */
static void test_fork_of_a_private_domain(void)
{
    struct anybpf_domain *domain = new_domain(1, false);
    struct anybpf_lock lock = {0};
    uint32_t seat = anybpf_enter_as_guest(domain);
    uint64_t stamp = anybpf_stamp(domain);
    pid_t child;
    int status = 0;

    anybpf_lock_take(domain, &lock);
    child = fork();
    if (child == 0) {
        anybpf_domain_forked(domain);
        _exit(anybpf_is_past(domain, stamp) && anybpf_lock_take(domain, &lock) ? 0 : 1);
    }
    waitpid(child, &status, 0);
    EXPECT(status == 0);
    EXPECT(!anybpf_is_past(domain, stamp));
    anybpf_leave(domain, seat);
    anybpf_domain_free(domain);
}

/* Nothing in a segment is believed. */
static void test_foreign_segments_are_refused(void)
{
    struct anybpf_domain *domain = new_domain(1, true);
    struct anybpf_domain *other;
    struct anybpf_segment segment;
    struct anybpf_map *map;

    EXPECT(anybpf_domain_attach(&other, -1, true) != 0);
    EXPECT(anybpf_segment_create(&segment, 8192, 0, true, "nothing") == 0);
    EXPECT(anybpf_domain_attach(&other, segment.fd, true) != 0);
    EXPECT(anybpf_map_attach(domain, segment.fd, true, true, &map) == ANYBPF_DAMAGED);
    memcpy(segment.base, domain->segment.base, sizeof(struct anybpf_domain_header));
    ((struct anybpf_domain_header *)(void *)segment.base)->seats = 1u << 30;
    EXPECT(anybpf_domain_attach(&other, segment.fd, true) != 0);
    anybpf_segment_release(&segment);
    anybpf_domain_free(domain);
}

static void test_maps_stay_in_their_domain(void)
{
    struct anybpf_domain *domain = new_domain(1, true);
    struct anybpf_domain *other = new_domain(1, true);
    struct anybpf_domain *private = new_domain(1, false);
    struct anybpf_shape shape = {.kind = ANYBPF_ARRAY,
                                 .key_size = 4,
                                 .value_size = 64,
                                 .max_entries = 3,
                                 .lock_offset = ANYBPF_NO_FIELD,
                                 .timer_offset = ANYBPF_NO_FIELD};
    struct anybpf_map *map;
    struct anybpf_map *view;

    EXPECT(anybpf_map_create(private, 1, &shape, NULL, true, &view) == ANYBPF_NOT_SUPPORTED);
    EXPECT(anybpf_map_create(domain, 1, &shape, NULL, true, &map) == ANYBPF_OK);
    EXPECT(anybpf_map_attach(other, map->segment.fd, true, true, &view) == ANYBPF_BAD_OBJECT);
    EXPECT(anybpf_map_attach(domain, map->segment.fd, true, true, &view) == ANYBPF_EXISTS);
    shape.value_size = UINT32_MAX;
    EXPECT(anybpf_map_create(domain, 2, &shape, NULL, false, &view) == ANYBPF_BAD_SIZE);
    shape.value_size = 0x7ffffff0;
    shape.max_entries = UINT32_MAX;
    EXPECT(anybpf_map_create(domain, 2, &shape, NULL, false, &view) == ANYBPF_NO_MEMORY);
    shape.value_size = 8;
    shape.lock_offset = 6;
    EXPECT(anybpf_map_create(domain, 2, &shape, NULL, false, &view) == ANYBPF_BAD_SIZE);
    anybpf_map_close(map);
    anybpf_domain_free(domain);
    anybpf_domain_free(other);
    anybpf_domain_free(private);
}

/* A writer that dies in the middle of a change, at each of its steps, as its journal says it. */
static void hold_a_value(struct anybpf_domain *domain, struct page *page)
{
    struct anybpf_map *map = (struct anybpf_map *)(void *)anybpf_find(domain, 7);

    (void)page;
    anybpf_value_lock(map, map->values);
}

static void test_a_dead_holders_value_lock(void)
{
    struct anybpf_domain *domain = new_domain(1, true);
    struct page *page = new_page();
    struct anybpf_shape shape = {.kind = ANYBPF_ARRAY,
                                 .key_size = 4,
                                 .value_size = 16,
                                 .max_entries = 2,
                                 .lock_offset = 4,
                                 .timer_offset = ANYBPF_NO_FIELD};
    struct anybpf_map *map;
    uint32_t key = 0;
    uint64_t value[2] = {UINT64_MAX, 2};
    uint64_t got[2];

    EXPECT(anybpf_map_create(domain, 7, &shape, NULL, true, &map) == ANYBPF_OK);
    end(start(domain, page, hold_a_value));
    EXPECT(map->ops->write(map, &key, value, ANYBPF_WITH_LOCK) == ANYBPF_OK);
    EXPECT(map->ops->read(map, &key, got, ANYBPF_WITH_LOCK) == ANYBPF_OK);
    EXPECT(got[0] == UINT32_MAX && got[1] == 2); /* the lock is not shown */
    anybpf_map_close(map);
    munmap(page, sizeof(*page));
    anybpf_domain_free(domain);
}

int main(void)
{
    alarm(120); /* a lock that nobody takes over */
    test_more_threads_than_seats();
    test_deferred_is_released_late_and_surely();
    test_nobody_seated_nothing_waits();
    test_locks_exclude();
    test_numbers_and_areas();
    test_a_dead_holders_lock_is_taken_over();
    test_a_dead_ones_seat_is_free();
    test_attached_twice_in_one_process();
    test_fork_of_a_private_domain();
    test_foreign_segments_are_refused();
    test_maps_stay_in_their_domain();
    test_a_dead_holders_value_lock();
    if (failures == 0)
        puts("all passed");
    return failures != 0;
}
