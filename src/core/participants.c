/* Who takes part in a domain, whether they live, and the locks that they hold.
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

#include "domain_parts.h"

#include <errno.h>
#include <string.h>

#if defined(__linux__)
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
#endif

#define MOST_PARTICIPANTS ((uint32_t)PARTICIPANT_MASK)

/* A lock's word: the participant, and whether somebody waits. */
#define CONTENDED (UINT32_C(1) << 31)

/* Where in the file a participant's byte is. */
#define BYTE_OF_NOBODY (UINT64_C(1) << 40)

#define LOOK_AT_HOLDER_NS 5000000 /* how long a waiter sleeps before it looks again */

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

void domain_unmark(struct anybpf_domain *domain)
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

void domain_unmark(struct anybpf_domain *domain)
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

int domain_join(struct anybpf_domain *domain)
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
