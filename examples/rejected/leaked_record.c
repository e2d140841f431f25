// SPDX-License-Identifier: MIT
/* A record of the ring buffer is reserved, and on one way out neither submitted nor discarded. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct event {
	__u32 process;
	__u32 group;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

SEC("tracepoint/syscalls/sys_enter_execve")
int on_exec(void *ctx)
{
	struct event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	__u64 id = bpf_get_current_pid_tgid();

	if (!event)
		return 0;
	if (id >> 32 == 1)
		return 0; /* should be: bpf_ringbuf_discard(event, 0) before it */
	event->process = id >> 32;
	event->group = bpf_get_current_uid_gid() >> 32;
	bpf_ringbuf_submit(event, 0);
	return 0;
}

char _license[] SEC("license") = "MIT";
