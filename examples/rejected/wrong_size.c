// SPDX-License-Identifier: MIT
/* The buffer has 16 bytes, as the name of a task has; the helper is told that there are 32. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#define NAME_SIZE 32

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, 4);
	__uint(value_size, 4);
} output SEC(".maps");

SEC("tracepoint/syscalls/sys_enter_execve")
int on_exec(void *ctx)
{
	char name[16] = {};

	bpf_get_current_comm(name, NAME_SIZE); /* should be: sizeof(name) */
	bpf_perf_event_output(ctx, &output, BPF_F_CURRENT_CPU, name, sizeof(name));
	return 0;
}

char _license[] SEC("license") = "Dual MIT/GPL";
