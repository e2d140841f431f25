/* SPDX-License-Identifier: MIT */
/* Process creation and end on Windows: section "process". */
#ifndef ANYBPF_WINDOWS_EBPF_NTOS_HOOKS_H
#define ANYBPF_WINDOWS_EBPF_NTOS_HOOKS_H

#include <stdint.h>

typedef enum _process_operation {
	PROCESS_OPERATION_CREATE = 0,
	PROCESS_OPERATION_DELETE = 1,
} process_operation_t;

typedef struct _process_md {
	uint8_t *command_start; /* UTF-16, without end mark */
	uint8_t *command_end;
	uint64_t process_id;
	uint64_t parent_process_id;
	uint64_t creating_process_id;
	uint64_t creating_thread_id;
	uint64_t creation_time;
	uint64_t exit_time;
	uint32_t process_exit_code;
	process_operation_t operation : 8;
	uint32_t token_sid_size;
	uint8_t token_sid[68];
} process_md_t;

/* At creation a failure status refuses the process; otherwise the result is ignored. */
typedef int process_hook_t(process_md_t *context);

static int (*const bpf_process_get_image_path)(
	process_md_t *ctx, uint8_t *path, uint32_t size) = (void *)0x10000;
static int (*const bpf_process_get_account_name)(
	process_md_t *ctx, uint8_t *name, uint32_t size) = (void *)0x10001;
static int (*const bpf_process_get_account_domain)(
	process_md_t *ctx, uint8_t *domain, uint32_t size) = (void *)0x10002;

#endif /* ANYBPF_WINDOWS_EBPF_NTOS_HOOKS_H */
