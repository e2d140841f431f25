/* SPDX-License-Identifier: MIT */
/* The sample extension of eBPF for Windows, which exists for tests: section "sample_ext". */
#ifndef ANYBPF_WINDOWS_SAMPLE_EXT_HELPERS_H
#define ANYBPF_WINDOWS_SAMPLE_EXT_HELPERS_H

#include <stdint.h>

typedef struct _sample_program_context {
	uint8_t *data_start;
	uint8_t *data_end;
	uint32_t uint32_data;
	uint16_t uint16_data;
	uint32_t helper_data_1;
	uint32_t helper_data_2;
} sample_program_context_t;

static int (*const sample_ebpf_extension_helper_function1)(
	sample_program_context_t *ctx) = (void *)0x10000;
static int64_t (*const sample_ebpf_extension_find)(
	void *buffer, uint32_t size, const void *pattern, uint32_t pattern_size) = (void *)0x10001;
static int64_t (*const sample_ebpf_extension_replace)(
	void *buffer, uint32_t size, int64_t position, const void *with,
	uint32_t with_size) = (void *)0x10002;
static int64_t (*const sample_ebpf_extension_helper_implicit_1)(void) = (void *)0x10003;
static int64_t (*const sample_ebpf_extension_helper_implicit_2)(uint32_t argument) =
	(void *)0x10004;

#endif /* ANYBPF_WINDOWS_SAMPLE_EXT_HELPERS_H */
