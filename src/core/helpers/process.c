/* Helpers that ask whose doing an event is: the hook says what it knows (struct anybpf_event), and
 * without one it is this process's.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "helpers.h"

#include <string.h>
#ifndef _WIN32
#include <unistd.h>
#endif

#define NO_USER 65534u /* overflowuid: of a socket that nobody owns */

static bool knows(const struct anybpf_run *run, uint32_t what)
{
    return run->event != NULL && (run->event->present & what) != 0;
}

#define FROM_EVENT(name, what, field, otherwise)                                                   \
    ANYBPF_HELPER(name)                                                                            \
    {                                                                                              \
        UNUSED5(r1, r2, r3, r4, r5);                                                               \
        return knows(run, what) ? (uint64_t)run->event->field : (uint64_t)(otherwise);             \
    }

static uint64_t own_ids(void)
{
    return (uint64_t)anybpf_process_id() << 32 | anybpf_thread_id();
}

static uint64_t own_user(void)
{
#ifdef _WIN32
    return 0;
#else
    return (uint64_t)getgid() << 32 | (uint64_t)getuid();
#endif
}

FROM_EVENT(get_current_pid_tgid, ANYBPF_EVENT_PID, pid_tgid, own_ids())
FROM_EVENT(get_current_uid_gid, ANYBPF_EVENT_UID, uid_gid, own_user())
FROM_EVENT(get_current_cgroup_id, ANYBPF_EVENT_CGROUP, cgroup_id, 0)
FROM_EVENT(get_socket_cookie, ANYBPF_EVENT_SOCKET, socket_cookie, 0)
FROM_EVENT(get_netns_cookie, ANYBPF_EVENT_NETNS, netns_cookie, 1) /* the first namespace's */
FROM_EVENT(get_attach_cookie, ANYBPF_EVENT_ATTACH, attach_cookie, 0)
FROM_EVENT(get_func_ip, ANYBPF_EVENT_FUNCTION, function_ip, 0)
FROM_EVENT(get_current_logon_id, ANYBPF_EVENT_LOGON, logon_id, 0)
FROM_EVENT(get_current_process_start_key, ANYBPF_EVENT_PROCESS, process_start_key, 0)
FROM_EVENT(get_current_thread_create_time, ANYBPF_EVENT_PROCESS, thread_create_time, 0)
FROM_EVENT(is_current_admin, ANYBPF_EVENT_ADMIN, is_admin, (int64_t)-1)

ANYBPF_HELPER(get_socket_uid)
{
    UNUSED5(r1, r2, r3, r4, r5);
    return knows(run, ANYBPF_EVENT_UID) ? (uint32_t)run->event->uid_gid : NO_USER;
}

/* The name is cut to what fits and the rest is zeroed; -EINVAL, all zero, if nobody knows it. */
ANYBPF_HELPER(get_current_comm)
{
    char name[16] = "";
    uint32_t size = (uint32_t)r2;
    size_t length;

    UNUSED3(r3, r4, r5);
    if (size == 0 || !anybpf_clear(run, r1, size))
        return linux_error(LINUX_EINVAL);
    if (!knows(run, ANYBPF_EVENT_COMM))
        return linux_error(LINUX_EINVAL);
    memcpy(name, run->event->comm, sizeof(name) - 1);
    length = strlen(name);
    anybpf_put(run, r1, name, length < size ? length : size - 1);
    return 0;
}

const struct anybpf_helper_row anybpf_process_helpers[] = {
    {"get_current_pid_tgid", get_current_pid_tgid},
    {"get_current_uid_gid", get_current_uid_gid},
    {"get_current_comm", get_current_comm},
    {"get_current_cgroup_id", get_current_cgroup_id},
    {"get_socket_cookie", get_socket_cookie},
    {"get_socket_uid", get_socket_uid},
    {"get_netns_cookie", get_netns_cookie},
    {"get_attach_cookie", get_attach_cookie},
    {"get_func_ip", get_func_ip},
    {"get_current_logon_id", get_current_logon_id},
    {"is_current_admin", is_current_admin},
    {"get_current_process_start_key", get_current_process_start_key},
    {"get_current_thread_create_time", get_current_thread_create_time},
    {NULL, NULL},
};
