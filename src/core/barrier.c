/* Barriers for all threads: membarrier(2), or what Windows has for it.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif

#include "barrier.h"

#if defined(_WIN32)

#include <windows.h>

bool anybpf_barrier_prepare(void)
{
    return true;
}

bool anybpf_barrier(void)
{
    FlushProcessWriteBuffers();
    return true;
}

#elif defined(__linux__)

#include <sys/syscall.h>
#include <unistd.h>

/* include/uapi/linux/membarrier.h */
#define PRIVATE_EXPEDITED (1 << 3)
#define REGISTER_PRIVATE_EXPEDITED (1 << 4)

bool anybpf_barrier_prepare(void)
{
    return syscall(SYS_membarrier, REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
}

bool anybpf_barrier(void)
{
    if (syscall(SYS_membarrier, PRIVATE_EXPEDITED, 0, 0) == 0)
        return true;
    return anybpf_barrier_prepare() && syscall(SYS_membarrier, PRIVATE_EXPEDITED, 0, 0) == 0;
}

#else

bool anybpf_barrier_prepare(void)
{
    return false;
}

bool anybpf_barrier(void)
{
    return false;
}

#endif
