/* Seats, epochs, locks and numbers: how threads and processes share maps without stopping each
 * other.
 *
 * Reclaiming, in short. A seat's word holds the epoch in which its thread sat down. What is taken
 * out of reach is stamped with the epoch of that moment, e. Whoever wants to use it again moves the
 * epoch to e + 1 and looks at all seats: those who sat down in e or before may know the thing, those
 * in e + 1 came after it was gone. Sitting down is one atomic exchange, which is a full barrier, so
 * that a thread that the look did not see cannot have read anything yet.
 *
 * Who holds a lock is a process by number, and the number is given once. A process locks the byte of
 * its number far behind the end of the domain's file; the system drops that lock as it dies, however
 * it dies. So nobody is mistaken for another who has the same process id, in whichever container it
 * lives. The lock belongs to an open file of its own, not to the process: it does not go when the
 * process closes another descriptor of the same file, and two domain objects in one process are two
 * participants. A child inherits the open file, closes it and opens one of its own.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif

#include "domain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#if defined(__linux__)
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
#endif

#define MAGIC 0x316d6f6466706261u /* "abpfdom1" */
#define VERSION 1u

#define PARTICIPANT_BITS ANYBPF_PARTICIPANT_BITS
#define PARTICIPANT_MASK ((UINT64_C(1) << PARTICIPANT_BITS) - 1)
#define MOST_PARTICIPANTS ((uint32_t)PARTICIPANT_MASK)

/* A lock's word: the participant, and whether somebody waits. */
#define CONTENDED (UINT32_C(1) << 31)

/* Where in the file a participant's byte is. */
#define BYTE_OF_NOBODY (UINT64_C(1) << 40)

#define FIRST_EPOCH 2u
#define LOOK_AT_HOLDER_NS 5000000 /* how long a waiter sleeps before it looks again */
#define LOOK_AT_SEATS_NS 2000000u /* how often the living are told from the dead, at most */
#define TURNS_BEFORE_LOOK 96u     /* of anybpf_back_off: before it begins to nap */

/* Participants. */

#if defined(__linux__)

static struct flock byte_of(uint32_t participant)
{
    struct flock lock;

    memset(&lock, 0, sizeof(lock));
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    lock.l_start = (off_t)(BYTE_OF_NOBODY + participant);
    lock.l_len = 1;
    return lock;
}

/* The domain's file, opened once more: a duplicate would share its locks. -1 with errno. */
static int open_again(int fd)
{
    char path[32];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return open(path, O_RDWR | O_CLOEXEC);
}

/* 0, or an errno; then all is as it was. */
static int mark_alive(struct anybpf_domain *domain, uint32_t participant)
{
    struct flock lock = byte_of(participant);
    int fd;
    int problem;

    if (!domain->shared)
        return 0;
    fd = open_again(domain->segment.fd);
    if (fd < 0)
        return errno;
    if (fcntl(fd, F_OFD_SETLK, &lock) != 0) {
        problem = errno;
        close(fd);
        return problem;
    }
    if (domain->mark >= 0)
        close(domain->mark);
    domain->mark = fd;
    return 0;
}

static bool is_marked(const struct anybpf_domain *domain, uint32_t participant)
{
    struct flock lock = byte_of(participant);

    /* In doubt, alive: a lock that is held too long is better than one that two hold. */
    return fcntl(domain->mark, F_OFD_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
}

static void unmark(struct anybpf_domain *domain)
{
    if (domain->mark >= 0)
        close(domain->mark);
}

#else /* no shared domains */

static int mark_alive(struct anybpf_domain *domain, uint32_t participant)
{
    (void)participant;
    return domain->shared ? ENOTSUP : 0;
}

static bool is_marked(const struct anybpf_domain *domain, uint32_t participant)
{
    (void)domain;
    (void)participant;
    return true;
}

static void unmark(struct anybpf_domain *domain)
{
    (void)domain;
}

#endif

bool anybpf_is_alive(struct anybpf_domain *domain, uint32_t participant)
{
    if (participant == atomic_load_explicit(&domain->self, memory_order_relaxed))
        return true;
    return domain->shared && is_marked(domain, participant);
}

static int join(struct anybpf_domain *domain)
{
    uint32_t number = atomic_fetch_add(&domain->header->next_participant, 1);

    int problem;

    if (number == 0 || number > MOST_PARTICIPANTS)
        return EMFILE;
    problem = mark_alive(domain, number);
    if (problem == 0)
        atomic_store(&domain->self, number);
    return problem;
}

/* Life and death. */

static struct anybpf_domain *new_domain(bool shared)
{
    struct anybpf_domain *domain = calloc(1, sizeof(*domain));

    if (domain != NULL) {
        domain->segment.fd = -1;
        domain->mark = -1;
        domain->shared = shared;
    }
    return domain;
}

int anybpf_domain_create(struct anybpf_domain **out, uint32_t cpus, bool shared)
{
    struct anybpf_domain *domain;
    struct anybpf_domain_header *header;
    int problem;

    if (cpus == 0 || cpus > ANYBPF_MOST_CPUS)
        return EINVAL;
    domain = new_domain(shared);
    if (domain == NULL)
        return ENOMEM;
    domain->cpus = cpus;
    domain->seats = cpus + ANYBPF_GUEST_SEATS;
    problem = anybpf_segment_create(
        &domain->segment, sizeof(*header) + domain->seats * sizeof(struct anybpf_seat), 0, shared,
        "anybpf domain");
    if (problem != 0) {
        free(domain);
        return problem;
    }
    header = (struct anybpf_domain_header *)(void *)domain->segment.base;
    domain->header = header;
    header->magic = MAGIC;
    header->version = VERSION;
    header->cpus = cpus;
    header->seats = domain->seats;
    if (!anybpf_random_bytes(&header->identity, sizeof(header->identity))) {
        anybpf_domain_free(domain);
        return EIO;
    }
    atomic_store(&header->next_participant, 1);
    atomic_store(&header->epoch, FIRST_EPOCH);
    problem = join(domain);
    if (problem != 0) {
        anybpf_domain_free(domain);
        return problem;
    }
    *out = domain;
    return 0;
}

int anybpf_domain_attach(struct anybpf_domain **out, int fd)
{
    struct anybpf_domain *domain = new_domain(true);
    struct anybpf_domain_header *header;
    int problem;

    if (domain == NULL)
        return ENOMEM;
    problem = anybpf_segment_attach(&domain->segment, fd, sizeof(*header), 0, true);
    if (problem != 0) {
        free(domain);
        return problem;
    }
    header = (struct anybpf_domain_header *)(void *)domain->segment.base;
    domain->header = header;
    domain->cpus = header->cpus;
    domain->seats = header->seats;
    if (header->magic != MAGIC || header->version != VERSION || domain->cpus == 0 ||
        domain->cpus > ANYBPF_MOST_CPUS || domain->seats != domain->cpus + ANYBPF_GUEST_SEATS ||
        domain->segment.size < sizeof(*header) + domain->seats * sizeof(struct anybpf_seat))
        problem = EINVAL;
    else
        problem = join(domain);
    if (problem != 0) {
        anybpf_domain_free(domain);
        return problem;
    }
    *out = domain;
    return 0;
}

struct anybpf_deferred {
    struct anybpf_deferred *next;
    uint64_t stamp;
    void (*release)(void *);
    void *thing;
};

struct anybpf_registry {
    size_t capacity; /* a power of two */
    size_t used;     /* numbers that came, whether or not they went */
    struct {
        _Atomic uint32_t id;
        struct anybpf_object *_Atomic object;
    } entry[];
};

struct anybpf_areas {
    size_t count;
    struct anybpf_area area[]; /* by address */
};

void anybpf_domain_free(struct anybpf_domain *domain)
{
    while (domain->deferred != NULL) {
        struct anybpf_deferred *last = domain->deferred;

        domain->deferred = last->next;
        last->release(last->thing);
        free(last);
    }
    free(atomic_load(&domain->registry));
    free(atomic_load(&domain->areas));
    unmark(domain);
    anybpf_segment_release(&domain->segment);
    free(domain);
}

void anybpf_domain_forked(struct anybpf_domain *domain)
{
    uint32_t parent = atomic_load(&domain->self);
    uint32_t i;

    /* Without a number or a descriptor to spare, the child goes on under its parent's: what it leaves
     * locked if it is killed stays locked until both are gone. */
    (void)join(domain);
    atomic_store(&domain->lock.word, 0);
    if (domain->shared)
        return;
    for (i = 0; i < domain->seats; i++) {
        uint64_t word = atomic_load(&domain->header->seat[i].word);

        if ((word & PARTICIPANT_MASK) == parent)
            atomic_store(&domain->header->seat[i].word, 0);
    }
}

/* Seats. */

/* Where a thread sat last: it will find its own lines in its cache there. glibc keeps room for such
 * few bytes of libraries that are loaded late; then they are found without a call. */
#if defined(__GLIBC__)
#define FOUND_AT_ONCE __attribute__((tls_model("initial-exec")))
#else
#define FOUND_AT_ONCE
#endif
static _Thread_local FOUND_AT_ONCE uint32_t last_cpu;
static _Thread_local FOUND_AT_ONCE uint32_t last_guest;

/* Before the seat is taken: who looks at the seats after the epoch has moved, and does not look this
 * far, looked before this thread had read anything. */
static void widen(_Atomic uint32_t *used, uint32_t to)
{
    uint32_t now = atomic_load_explicit(used, memory_order_relaxed);

    while (now < to && !atomic_compare_exchange_weak(used, &now, to))
        ;
}

static bool sit(struct anybpf_domain *domain, uint32_t seat)
{
    struct anybpf_domain_header *header = domain->header;

    if (seat < domain->cpus)
        widen(&header->used_cpus, seat + 1);
    else
        widen(&header->used_guests, seat - domain->cpus + 1);
    return anybpf_enter_again(domain, seat);
}

/* Whoever died leaves an empty seat. */
static void clear_if_dead(struct anybpf_domain *domain, uint32_t seat)
{
    uint64_t word = atomic_load(&domain->header->seat[seat].word);

    if (word != 0 && !anybpf_is_alive(domain, (uint32_t)(word & PARTICIPANT_MASK)))
        atomic_compare_exchange_strong(&domain->header->seat[seat].word, &word, 0);
}

static uint32_t sit_among(struct anybpf_domain *domain, uint32_t first, uint32_t count,
                          uint32_t wanted)
{
    uint32_t turn = 0;

    for (;;) {
        uint32_t i;

        for (i = 0; i < count; i++) {
            uint32_t seat = wanted + i < count ? wanted + i : wanted + i - count;

            if (atomic_load_explicit(&domain->header->seat[first + seat].word,
                                     memory_order_relaxed) == 0 &&
                sit(domain, first + seat))
                return seat;
        }
        if (domain->shared && turn % TURNS_BEFORE_LOOK == TURNS_BEFORE_LOOK - 1)
            for (i = 0; i < count; i++)
                clear_if_dead(domain, first + i);
        anybpf_back_off(turn++);
    }
}

uint32_t anybpf_enter(struct anybpf_domain *domain, uint32_t cpu)
{
    if (cpu != ANYBPF_ANY_CPU)
        return sit_among(domain, cpu % domain->cpus, 1, 0) + cpu % domain->cpus;
    cpu = last_cpu < domain->cpus ? last_cpu : 0;
    if (sit(domain, cpu))
        return cpu;
    last_cpu = sit_among(domain, 0, domain->cpus, cpu);
    return last_cpu;
}

uint32_t anybpf_try_enter(struct anybpf_domain *domain, uint32_t cpu)
{
    uint32_t i;

    if (cpu != ANYBPF_ANY_CPU)
        return sit(domain, cpu % domain->cpus) ? cpu % domain->cpus : ANYBPF_ANY_CPU;
    if (last_cpu < domain->cpus && sit(domain, last_cpu))
        return last_cpu;
    for (i = 0; i < domain->cpus; i++)
        if (sit(domain, i)) {
            last_cpu = i;
            return i;
        }
    return ANYBPF_ANY_CPU;
}

uint32_t anybpf_enter_as_guest(struct anybpf_domain *domain)
{
    uint32_t guest = last_guest;

    if (sit(domain, domain->cpus + guest))
        return domain->cpus + guest;
    last_guest = sit_among(domain, domain->cpus, ANYBPF_GUEST_SEATS, guest);
    return domain->cpus + last_guest;
}

void anybpf_refresh(struct anybpf_domain *domain, uint32_t seat)
{
    uint64_t epoch = atomic_load_explicit(&domain->header->epoch, memory_order_acquire);
    uint64_t self = atomic_load_explicit(&domain->self, memory_order_relaxed);

    atomic_exchange(&domain->header->seat[seat].word, epoch << PARTICIPANT_BITS | self);
}

/* Epochs. */

#if defined(__SANITIZE_THREAD__)
#define THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define THREAD_SANITIZER 1
#endif
#endif

uint64_t anybpf_stamp(struct anybpf_domain *domain)
{
#if defined(THREAD_SANITIZER) /* which does not know fences; this would dirty a line that all read */
    return atomic_fetch_add(&domain->header->epoch, 0);
#else
    atomic_thread_fence(memory_order_seq_cst);
    return atomic_load(&domain->header->epoch);
#endif
}

/* Whether it is time to ask the system who is alive: a call for each seat. */
static bool may_look(struct anybpf_domain *domain)
{
    uint64_t now = anybpf_clock_ns(ANYBPF_COARSE);
    uint64_t last = atomic_load_explicit(&domain->looked, memory_order_relaxed);

    return now - last >= LOOK_AT_SEATS_NS &&
           atomic_compare_exchange_strong_explicit(&domain->looked, &last, now,
                                                   memory_order_relaxed, memory_order_relaxed);
}

/* The earliest epoch of those who sit in `count` seats, or `epoch` if that is earlier. The dead are
 * asked to leave if they are in the way of `stamp`. */
static uint64_t earliest(struct anybpf_domain *domain, uint32_t first, uint32_t count,
                         uint64_t epoch, uint64_t stamp, int *look)
{
    uint32_t i;

    for (i = first; i < first + count; i++) {
        uint64_t word = atomic_load(&domain->header->seat[i].word);

        if (word != 0 && word >> PARTICIPANT_BITS <= stamp && domain->shared) {
            if (*look < 0)
                *look = may_look(domain);
            if (*look) {
                clear_if_dead(domain, i);
                word = atomic_load(&domain->header->seat[i].word);
            }
        }
        if (word != 0 && word >> PARTICIPANT_BITS < epoch)
            epoch = word >> PARTICIPANT_BITS;
    }
    return epoch;
}

static uint32_t at_most(uint32_t number, uint32_t limit)
{
    return number < limit ? number : limit;
}

bool anybpf_is_past(struct anybpf_domain *domain, uint64_t stamp)
{
    struct anybpf_domain_header *header = domain->header;
    uint64_t oldest = atomic_load_explicit(&header->oldest, memory_order_acquire);
    uint64_t epoch;
    int look = -1;

    if (stamp < oldest)
        return true;
    epoch = stamp;
    atomic_compare_exchange_strong(&header->epoch, &epoch, stamp + 1);
    epoch = atomic_load(&header->epoch);
    epoch = earliest(domain, 0, at_most(atomic_load(&header->used_cpus), domain->cpus), epoch,
                     stamp, &look);
    epoch = earliest(domain, domain->cpus,
                     at_most(atomic_load(&header->used_guests), ANYBPF_GUEST_SEATS), epoch, stamp,
                     &look);
    while (oldest < epoch &&
           !atomic_compare_exchange_weak(&header->oldest, &oldest, epoch))
        ;
    return stamp < epoch;
}

bool anybpf_synchronize(struct anybpf_domain *domain, int64_t timeout_ns)
{
    uint64_t stamp = anybpf_stamp(domain);
    uint64_t start = anybpf_clock_ns(ANYBPF_MONOTONIC);
    uint32_t turn = 0;

    while (!anybpf_is_past(domain, stamp)) {
        if (timeout_ns >= 0 &&
            anybpf_clock_ns(ANYBPF_MONOTONIC) - start > (uint64_t)timeout_ns)
            return false;
        anybpf_back_off(turn++);
    }
    return true;
}

bool anybpf_defer(struct anybpf_domain *domain, void (*release)(void *), void *thing)
{
    struct anybpf_deferred *entry = malloc(sizeof(*entry));

    if (entry == NULL)
        return false;
    entry->stamp = anybpf_stamp(domain);
    entry->release = release;
    entry->thing = thing;
    anybpf_lock_take(domain, &domain->lock);
    entry->next = domain->deferred;
    domain->deferred = entry;
    anybpf_lock_give(&domain->lock);
    anybpf_collect(domain);
    return true;
}

size_t anybpf_collect(struct anybpf_domain *domain)
{
    struct anybpf_deferred *ready = NULL;
    struct anybpf_deferred **at;
    size_t waiting = 0;

    anybpf_lock_take(domain, &domain->lock);
    at = &domain->deferred;
    while (*at != NULL) {
        struct anybpf_deferred *entry = *at;

        if (anybpf_is_past(domain, entry->stamp)) {
            *at = entry->next;
            entry->next = ready;
            ready = entry;
        } else {
            at = &entry->next;
            waiting++;
        }
    }
    anybpf_lock_give(&domain->lock);
    while (ready != NULL) { /* without the lock: what is released may defer or collect in turn */
        struct anybpf_deferred *entry = ready;

        ready = entry->next;
        entry->release(entry->thing);
        free(entry);
    }
    return waiting;
}

/* Locks. */

bool anybpf_lock_take(struct anybpf_domain *domain, struct anybpf_lock *lock)
{
    uint32_t self = atomic_load_explicit(&domain->self, memory_order_relaxed);
    uint32_t word = 0;
    uint32_t turn = 0;

    if (atomic_compare_exchange_strong_explicit(&lock->word, &word, self, memory_order_acquire,
                                                memory_order_relaxed))
        return false;
    for (;;) {
        word = atomic_load_explicit(&lock->word, memory_order_relaxed);
        if (word == 0) {
            /* Whoever had to wait says that somebody waits: it cannot know that it was the last. */
            if (atomic_compare_exchange_strong_explicit(&lock->word, &word, self | CONTENDED,
                                                        memory_order_acquire,
                                                        memory_order_relaxed))
                return false;
            continue;
        }
        if (turn < TURNS_BEFORE_LOOK) {
            anybpf_back_off(turn++);
            continue;
        }
        if (!anybpf_is_alive(domain, word & ~CONTENDED)) {
            if (atomic_compare_exchange_strong_explicit(&lock->word, &word, self | CONTENDED,
                                                        memory_order_acquire,
                                                        memory_order_relaxed))
                return true;
            continue;
        }
        if ((word & CONTENDED) == 0 &&
            !atomic_compare_exchange_strong_explicit(&lock->word, &word, word | CONTENDED,
                                                     memory_order_relaxed, memory_order_relaxed))
            continue;
        anybpf_wait(&lock->word, word | CONTENDED, LOOK_AT_HOLDER_NS);
    }
}

void anybpf_lock_give(struct anybpf_lock *lock)
{
    if (atomic_exchange_explicit(&lock->word, 0, memory_order_release) & CONTENDED)
        anybpf_wake(&lock->word, false);
}

bool anybpf_lock_is_held(struct anybpf_domain *domain, const struct anybpf_lock *lock)
{
    uint32_t word = atomic_load_explicit(&lock->word, memory_order_relaxed) & ~CONTENDED;

    return word != 0 && anybpf_is_alive(domain, word);
}

/* Numbers. A table that is full is replaced; those who are seated may go on with the old one. */

static size_t registry_slot(const struct anybpf_registry *registry, uint32_t id)
{
    return (size_t)(id * UINT32_C(2654435769)) & (registry->capacity - 1);
}

static void registry_put(struct anybpf_registry *registry, struct anybpf_object *object)
{
    size_t i = registry_slot(registry, object->id);

    while (atomic_load(&registry->entry[i].id) != 0)
        i = (i + 1) & (registry->capacity - 1);
    atomic_store(&registry->entry[i].object, object);
    atomic_store(&registry->entry[i].id, object->id);
    registry->used++;
}

static struct anybpf_registry *larger_registry(struct anybpf_registry *old)
{
    size_t living = 0;
    size_t capacity = 64;
    size_t i;
    struct anybpf_registry *new;

    for (i = 0; old != NULL && i < old->capacity; i++)
        living += atomic_load(&old->entry[i].object) != NULL;
    while (capacity < 4 * (living + 1))
        capacity *= 2;
    new = calloc(1, sizeof(*new) + capacity * sizeof(new->entry[0]));
    if (new == NULL)
        return NULL;
    new->capacity = capacity;
    for (i = 0; old != NULL && i < old->capacity; i++) {
        struct anybpf_object *object = atomic_load(&old->entry[i].object);

        if (object != NULL)
            registry_put(new, object);
    }
    return new;
}

/* Frees what readers may still look at, once they cannot. */
static void release_late(struct anybpf_domain *domain, void *thing)
{
    if (thing != NULL && !anybpf_defer(domain, free, thing)) {
        anybpf_synchronize(domain, -1);
        free(thing);
    }
}

int anybpf_register(struct anybpf_domain *domain, struct anybpf_object *object)
{
    struct anybpf_registry *registry;
    struct anybpf_registry *outgrown = NULL;
    int problem = 0;

    if (object->id == 0)
        return EINVAL;
    anybpf_lock_take(domain, &domain->lock);
    registry = atomic_load(&domain->registry);
    if (registry == NULL || 2 * (registry->used + 1) > registry->capacity) {
        struct anybpf_registry *larger = larger_registry(registry);

        if (larger == NULL) {
            problem = ENOMEM;
        } else {
            outgrown = registry;
            registry = larger;
            atomic_store(&domain->registry, registry);
        }
    }
    if (problem == 0 && anybpf_find(domain, object->id) != NULL)
        problem = EEXIST;
    if (problem == 0)
        registry_put(registry, object);
    anybpf_lock_give(&domain->lock);
    release_late(domain, outgrown);
    return problem;
}

void anybpf_unregister(struct anybpf_domain *domain, struct anybpf_object *object)
{
    struct anybpf_registry *registry;
    size_t i;

    anybpf_lock_take(domain, &domain->lock);
    registry = atomic_load(&domain->registry);
    for (i = 0; registry != NULL && i < registry->capacity; i++) {
        size_t at = (registry_slot(registry, object->id) + i) & (registry->capacity - 1);

        if (atomic_load(&registry->entry[at].id) == 0)
            break;
        if (atomic_load(&registry->entry[at].object) == object)
            atomic_store(&registry->entry[at].object, NULL);
    }
    anybpf_lock_give(&domain->lock);
}

struct anybpf_object *anybpf_find(struct anybpf_domain *domain, uint32_t id)
{
    struct anybpf_registry *registry = atomic_load(&domain->registry);
    size_t i;
    uint32_t found;

    if (registry == NULL || id == 0)
        return NULL;
    i = registry_slot(registry, id);
    while ((found = atomic_load(&registry->entry[i].id)) != 0) {
        if (found == id)
            return atomic_load(&registry->entry[i].object);
        i = (i + 1) & (registry->capacity - 1);
    }
    return NULL;
}

/* Areas. A changed list is a new list. */

/* With the lock, which it gives back. */
static void replace_areas(struct anybpf_domain *domain, struct anybpf_areas *new)
{
    struct anybpf_areas *old = atomic_load(&domain->areas);

    atomic_store(&domain->areas, new);
    anybpf_lock_give(&domain->lock);
    release_late(domain, old);
}

int anybpf_add_area(struct anybpf_domain *domain, struct anybpf_area area)
{
    struct anybpf_areas *old;
    struct anybpf_areas *new;
    size_t count;
    size_t i;
    size_t at = 0;

    if (area.size == 0)
        return 0;
    anybpf_lock_take(domain, &domain->lock);
    old = atomic_load(&domain->areas);
    count = old == NULL ? 0 : old->count;
    new = malloc(sizeof(*new) + (count + 1) * sizeof(new->area[0]));
    if (new == NULL) {
        anybpf_lock_give(&domain->lock);
        return ENOMEM;
    }
    for (i = 0; i < count; i++) {
        if (at == i && old->area[i].start > area.start)
            new->area[at++] = area;
        new->area[at++] = old->area[i];
    }
    if (at == count)
        new->area[at++] = area;
    new->count = at;
    replace_areas(domain, new);
    return 0;
}

void anybpf_remove_area(struct anybpf_domain *domain, uintptr_t start)
{
    struct anybpf_areas *old;
    struct anybpf_areas *new;
    size_t i;

    anybpf_lock_take(domain, &domain->lock);
    old = atomic_load(&domain->areas);
    new = old == NULL ? NULL : malloc(sizeof(*new) + old->count * sizeof(new->area[0]));
    if (new == NULL) { /* nothing there, or no memory: a list that says too much is left to nobody */
        if (old != NULL)
            for (i = 0; i < old->count; i++)
                if (old->area[i].start == start)
                    old->area[i].size = 0;
        atomic_fetch_add(&domain->areas_version, 1);
        anybpf_lock_give(&domain->lock);
        return;
    }
    new->count = 0;
    for (i = 0; i < old->count; i++)
        if (old->area[i].start != start)
            new->area[new->count++] = old->area[i];
    atomic_fetch_add(&domain->areas_version, 1);
    replace_areas(domain, new);
}

bool anybpf_find_area(struct anybpf_domain *domain, uintptr_t address, struct anybpf_area *area)
{
    const struct anybpf_areas *areas = atomic_load(&domain->areas);
    size_t low = 0;
    size_t high = areas == NULL ? 0 : areas->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (areas->area[middle].start <= address)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0)
        return false;
    *area = areas->area[low - 1];
    return address - area->start < area->size;
}
