/* The operating system, for the core: memory, clocks, waiting.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif

#include "system.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#if defined(_WIN32)
#include <windows.h>
#include <bcrypt.h>
#else
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>
#if defined(__linux__)
#include <linux/futex.h>
#include <sys/random.h>
#include <sys/syscall.h>
#endif
#if defined(__APPLE__)
#include <pthread.h>
#endif
#endif

#define BILLION 1000000000u
/* Turns of a waiting loop that only pause the processor, and that yield before sleeping. */
#define SPIN_TURNS 64u
#define YIELD_TURNS 96u
#define NAP_NS 50000

#if defined(_WIN32)

/* Compiled for Windows, and not yet run there. */

uint64_t anybpf_clock_ns(enum anybpf_clock clock)
{
    if (clock == ANYBPF_TAI) {
        FILETIME now;
        uint64_t ticks;
        const uint64_t from_1601_to_1970 = 116444736000000000u;

        GetSystemTimePreciseAsFileTime(&now);
        ticks = (uint64_t)now.dwHighDateTime << 32 | now.dwLowDateTime;
        return (ticks - from_1601_to_1970) * 100u;
    } else {
        ULONGLONG ticks = 0;

        if (clock == ANYBPF_BOOT)
            QueryInterruptTimePrecise(&ticks);
        else
            QueryUnbiasedInterruptTime(&ticks);
        return (uint64_t)ticks * 100u;
    }
}

bool anybpf_random_bytes(void *buffer, size_t size)
{
    return size <= ULONG_MAX &&
           BCryptGenRandom(NULL, buffer, (ULONG)size, BCRYPT_USE_SYSTEM_PREFERRED_RNG) == 0;
}

uint32_t anybpf_process_id(void)
{
    return GetCurrentProcessId();
}

uint32_t anybpf_thread_id(void)
{
    return GetCurrentThreadId();
}

void anybpf_wait(_Atomic uint32_t *word, uint32_t expected, int64_t timeout_ns)
{
    DWORD milliseconds =
        timeout_ns < 0 ? INFINITE : (DWORD)((uint64_t)timeout_ns / 1000000u + 1u);

    WaitOnAddress(word, &expected, sizeof(expected), milliseconds);
}

void anybpf_wake(_Atomic uint32_t *word, bool all)
{
    if (all)
        WakeByAddressAll((void *)word);
    else
        WakeByAddressSingle((void *)word);
}

static void nap(void)
{
    Sleep(1);
}

static void yield_processor(void)
{
    SwitchToThread();
}

int anybpf_segment_create(struct anybpf_segment *segment, size_t size, size_t reserve, bool shared,
                          const char *name)
{
    uint8_t *base;

    (void)name;
    if (shared)
        return ENOTSUP;
    if (reserve < size)
        reserve = size;
    base = VirtualAlloc(NULL, reserve, MEM_RESERVE, PAGE_READWRITE);
    if (base == NULL)
        return ENOMEM;
    if (VirtualAlloc(base, size, MEM_COMMIT, PAGE_READWRITE) == NULL) {
        VirtualFree(base, 0, MEM_RELEASE);
        return ENOMEM;
    }
    *segment = (struct anybpf_segment){base, size, reserve, -1, true};
    return 0;
}

int anybpf_segment_attach(struct anybpf_segment *segment, int fd, size_t least, size_t reserve,
                          bool writable, bool sealed)
{
    (void)sealed;
    (void)segment;
    (void)fd;
    (void)least;
    (void)reserve;
    (void)writable;
    return ENOTSUP;
}

int anybpf_segment_grow(struct anybpf_segment *segment, size_t size)
{
    if (size <= segment->size)
        return 0;
    if (size > segment->reserve ||
        VirtualAlloc(segment->base, size, MEM_COMMIT, PAGE_READWRITE) == NULL)
        return ENOMEM;
    segment->size = size;
    return 0;
}

void anybpf_segment_release(struct anybpf_segment *segment)
{
    if (segment->base != NULL)
        VirtualFree(segment->base, 0, MEM_RELEASE);
    *segment = (struct anybpf_segment){.fd = -1};
}

size_t anybpf_page_size(void)
{
    SYSTEM_INFO info;

    GetSystemInfo(&info);
    return info.dwPageSize;
}

void *anybpf_pages_take(size_t size)
{
    return VirtualAlloc(NULL, size, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
}

int anybpf_pages_protect(void *pages, size_t size, enum anybpf_page_access access)
{
    static const DWORD rights[] = {PAGE_READONLY, PAGE_READWRITE, PAGE_EXECUTE_READ};
    DWORD before;

    if (!VirtualProtect(pages, size, rights[access], &before))
        return (int)GetLastError();
    if (access == ANYBPF_PAGES_EXECUTE)
        FlushInstructionCache(GetCurrentProcess(), pages, size);
    return 0;
}

void anybpf_pages_give_back(void *pages, size_t size)
{
    (void)size;
    VirtualFree(pages, 0, MEM_RELEASE);
}

#else /* POSIX */

static clockid_t system_clock(enum anybpf_clock clock)
{
    switch (clock) {
#if defined(__linux__)
    case ANYBPF_BOOT:
        return CLOCK_BOOTTIME;
    case ANYBPF_TAI:
        return CLOCK_TAI;
    case ANYBPF_COARSE:
        return CLOCK_MONOTONIC_COARSE;
#else
    case ANYBPF_TAI:
        return CLOCK_REALTIME;
#endif
    default:
        return CLOCK_MONOTONIC;
    }
}

uint64_t anybpf_clock_ns(enum anybpf_clock clock)
{
    struct timespec now = {0, 0};

    clock_gettime(system_clock(clock), &now);
    return (uint64_t)now.tv_sec * BILLION + (uint64_t)now.tv_nsec;
}

bool anybpf_random_bytes(void *buffer, size_t size)
{
#if defined(__linux__)
    uint8_t *at = buffer;

    while (size > 0) {
        ssize_t got = getrandom(at, size, 0);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        at += got;
        size -= (size_t)got;
    }
#else
    arc4random_buf(buffer, size);
#endif
    return true;
}

uint32_t anybpf_process_id(void)
{
    return (uint32_t)getpid();
}

uint32_t anybpf_thread_id(void)
{
#if defined(__linux__)
    return (uint32_t)syscall(SYS_gettid);
#elif defined(__APPLE__)
    uint64_t id = 0;

    pthread_threadid_np(NULL, &id);
    return (uint32_t)id;
#else
    return (uint32_t)getpid();
#endif
}

static void nap(void)
{
    struct timespec time = {0, NAP_NS};

    nanosleep(&time, NULL);
}

static void yield_processor(void)
{
    sched_yield();
}

void anybpf_wait(_Atomic uint32_t *word, uint32_t expected, int64_t timeout_ns)
{
#if defined(__linux__)
    struct timespec time = {(time_t)(timeout_ns / BILLION), (long)(timeout_ns % BILLION)};

    syscall(SYS_futex, word, FUTEX_WAIT, expected, timeout_ns < 0 ? NULL : &time, NULL, 0);
#else
    (void)timeout_ns;
    if (atomic_load(word) == expected)
        nap();
#endif
}

void anybpf_wake(_Atomic uint32_t *word, bool all)
{
#if defined(__linux__)
    syscall(SYS_futex, word, FUTEX_WAKE, all ? INT_MAX : 1, NULL, NULL, 0);
#else
    (void)word;
    (void)all;
#endif
}

static size_t whole_pages(size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    return (size + page - 1) / page * page;
}

static int shared_memory(const char *name)
{
#if defined(__linux__)
    return memfd_create(name == NULL ? "anybpf" : name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
#else
    (void)name;
    errno = ENOTSUP;
    return -1;
#endif
}

/* Nobody who holds the file may cut it under those who have mapped it. */
static int keep_size(int fd)
{
#if defined(__linux__)
    return fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK);
#else
    (void)fd;
    return 0;
#endif
}

int anybpf_segment_create(struct anybpf_segment *segment, size_t size, size_t reserve, bool shared,
                          const char *name)
{
    void *base;
    int fd = -1;
    int flags = MAP_NORESERVE;
    int problem;

    if (size == 0 || size > SIZE_MAX / 4 || reserve > SIZE_MAX / 4)
        return ENOMEM;
    size = whole_pages(size);
    reserve = reserve < size ? size : whole_pages(reserve);
    if (shared) {
        fd = shared_memory(name);
        if (fd < 0)
            return errno;
        if (ftruncate(fd, (off_t)size) != 0 || keep_size(fd) != 0) {
            problem = errno;
            close(fd);
            return problem;
        }
        flags |= MAP_SHARED;
    } else {
        flags |= MAP_PRIVATE | MAP_ANONYMOUS;
    }
    base = mmap(NULL, reserve, PROT_READ | PROT_WRITE, flags, fd, 0);
    if (base == MAP_FAILED) {
        problem = errno;
        if (fd >= 0)
            close(fd);
        return problem;
    }
    *segment = (struct anybpf_segment){base, size, reserve, fd, true};
    return 0;
}

int anybpf_segment_attach(struct anybpf_segment *segment, int fd, size_t least, size_t reserve,
                          bool writable, bool sealed)
{
    struct stat status;
    void *base;
    size_t size;
    int own;
    int problem;

    if (fstat(fd, &status) != 0)
        return errno;
    if (status.st_size < 0 || (uint64_t)status.st_size < least ||
        (uint64_t)status.st_size > SIZE_MAX / 4)
        return EINVAL;
    size = (size_t)status.st_size;
#if defined(__linux__)
    if (sealed && (fcntl(fd, F_GET_SEALS) & F_SEAL_SHRINK) == 0)
        return EPERM;
#else
    (void)sealed;
#endif
    own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (own < 0)
        return errno;
    reserve = reserve < size ? size : whole_pages(reserve);
    base = mmap(NULL, reserve, writable ? PROT_READ | PROT_WRITE : PROT_READ,
                MAP_SHARED | MAP_NORESERVE, own, 0);
    if (base == MAP_FAILED) {
        problem = errno;
        close(own);
        return problem;
    }
    *segment = (struct anybpf_segment){base, size, reserve, own, writable};
    return 0;
}

int anybpf_segment_grow(struct anybpf_segment *segment, size_t size)
{
    struct stat status;

    if (size <= segment->size)
        return 0;
    if (size > segment->reserve)
        return ENOMEM;
    size = whole_pages(size);
    if (segment->fd >= 0) {
        if (fstat(segment->fd, &status) != 0)
            return errno;
        if ((uint64_t)status.st_size < size && ftruncate(segment->fd, (off_t)size) != 0)
            return errno;
    }
    segment->size = size;
    return 0;
}

void anybpf_segment_release(struct anybpf_segment *segment)
{
    if (segment->base != NULL)
        munmap(segment->base, segment->reserve);
    if (segment->fd >= 0)
        close(segment->fd);
    *segment = (struct anybpf_segment){.fd = -1};
}

size_t anybpf_page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* Without MAP_JIT on macOS: that is for pages whose rights change by thread, which processes under
 * the hardened runtime must use. A Python under it refuses the change below, with EACCES. */
void *anybpf_pages_take(size_t size)
{
    void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return pages == MAP_FAILED ? NULL : pages;
}

int anybpf_pages_protect(void *pages, size_t size, enum anybpf_page_access access)
{
    static const int rights[] = {PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_EXEC};

    /* Before they can be executed, so that nobody fetches what was there. */
    if (access == ANYBPF_PAGES_EXECUTE)
        __builtin___clear_cache((char *)pages, (char *)pages + size);
    return mprotect(pages, size, rights[access]) == 0 ? 0 : errno;
}

void anybpf_pages_give_back(void *pages, size_t size)
{
    munmap(pages, size);
}

#endif

void anybpf_back_off(uint32_t turn)
{
    if (turn < SPIN_TURNS) {
#if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        __asm__ volatile("yield");
#endif
    } else if (turn < YIELD_TURNS) {
        yield_processor();
    } else {
        nap();
    }
}
