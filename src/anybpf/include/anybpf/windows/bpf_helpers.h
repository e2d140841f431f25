/* SPDX-License-Identifier: MIT */
/*
 * What a BPF program for eBPF for Windows needs: map definitions, map types and helpers by the
 * numbers of that platform, which are not those of Linux. Put this folder on the include path
 * (-I) to compile sources that include "bpf_helpers.h" as eBPF for Windows names it.
 */
#ifndef ANYBPF_WINDOWS_BPF_HELPERS_H
#define ANYBPF_WINDOWS_BPF_HELPERS_H

#ifdef ANYBPF_BPF_HELPERS_H
#error "a program is for Linux or for Windows: <anybpf/bpf_helpers.h> is already included"
#endif

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ebpf_structs.h"

#define SEC(name) __attribute__((section(name), used))

#undef __always_inline
#define __always_inline inline __attribute__((always_inline))
#ifndef __noinline
#define __noinline __attribute__((noinline))
#endif
#ifndef __weak
#define __weak __attribute__((weak))
#endif
#ifndef __hidden
#define __hidden __attribute__((visibility("hidden")))
#endif

#define __uint(name, number) int (*name)[number]
#define __type(name, type) __typeof__(type) *name
#define __array(name, type) __typeof__(type) *name[]

/* ---- Helpers that every program type has ----------------------------------------------------- */

static void *(*const bpf_map_lookup_elem)(const void *map, const void *key) = (void *)1;
static int64_t (*const bpf_map_update_elem)(
	const void *map, const void *key, const void *value, uint64_t flags) = (void *)2;
static int64_t (*const bpf_map_delete_elem)(const void *map, const void *key) = (void *)3;
static void *(*const bpf_map_lookup_and_delete_elem)(const void *map, const void *key) = (void *)4;
static int64_t (*const bpf_tail_call)(
	void *ctx, const void *prog_array_map, uint32_t index) = (void *)5;
static uint32_t (*const bpf_get_prandom_u32)(void) = (void *)6;
static uint64_t (*const bpf_ktime_get_boot_ns)(void) = (void *)7;
static uint64_t (*const bpf_get_smp_processor_id)(void) = (void *)8;
static uint64_t (*const bpf_ktime_get_ns)(void) = (void *)9;
static int (*const bpf_csum_diff)(
	const void *from, int from_size, const void *to, int to_size, int seed) = (void *)10;
static int (*const bpf_ringbuf_output)(
	const void *ring_buffer, const void *data, uint64_t size, uint64_t flags) = (void *)11;
static int (*const bpf_trace_printk2)(const char *format, uint32_t size) = (void *)12;
static int (*const bpf_trace_printk3)(const char *format, uint32_t size, uint64_t a) = (void *)13;
static int (*const bpf_trace_printk4)(
	const char *format, uint32_t size, uint64_t a, uint64_t b) = (void *)14;
static int (*const bpf_trace_printk5)(
	const char *format, uint32_t size, uint64_t a, uint64_t b, uint64_t c) = (void *)15;
static int64_t (*const bpf_map_push_elem)(
	const void *map, const void *value, uint64_t flags) = (void *)16;
static int64_t (*const bpf_map_pop_elem)(const void *map, void *value) = (void *)17;
static int64_t (*const bpf_map_peek_elem)(const void *map, void *value) = (void *)18;
static uint64_t (*const bpf_get_current_pid_tgid)(void) = (void *)19;
static uint64_t (*const bpf_get_current_logon_id)(const void *ctx) = (void *)20;
static int32_t (*const bpf_is_current_admin)(const void *ctx) = (void *)21;
static int (*const bpf_memcpy_s)(
	void *to, size_t to_size, const void *from, size_t from_size) = (void *)22;
static int (*const bpf_memcmp_s)(
	const void *one, size_t one_size, const void *other, size_t other_size) = (void *)23;
static uintptr_t (*const bpf_memset)(void *memory, size_t size, int value) = (void *)24;
static int (*const bpf_memmove_s)(
	void *to, size_t to_size, const void *from, size_t from_size) = (void *)25;
static uint64_t (*const bpf_get_socket_cookie)(const void *ctx) = (void *)26;
static int (*const bpf_strncpy_s)(
	char *to, size_t to_size, const char *from, size_t from_size) = (void *)27;
static int (*const bpf_strncat_s)(
	char *to, size_t to_size, const char *from, size_t from_size) = (void *)28;
static size_t (*const bpf_strnlen_s)(const char *text, size_t size) = (void *)29;
static uint64_t (*const bpf_ktime_get_boot_ms)(void) = (void *)30;
static uint64_t (*const bpf_ktime_get_ms)(void) = (void *)31;
static int64_t (*const bpf_perf_event_output)(
	void *ctx, const void *map, uint64_t flags, const void *data, uint64_t size) = (void *)32;
static uint64_t (*const bpf_get_current_process_start_key)(void) = (void *)33;
static int64_t (*const bpf_get_current_thread_create_time)(void) = (void *)34;
static int64_t (*const bpf_redirect_map)(
	const void *map, uint64_t key, uint64_t flags) = (void *)35;

/* ---- Printing: one helper per number of arguments --------------------------------------------- */

#define ANYBPF_PRINT_0(format, size) bpf_trace_printk2(format, size)
#define ANYBPF_PRINT_1(format, size, a) bpf_trace_printk3(format, size, (uint64_t)(a))
#define ANYBPF_PRINT_2(format, size, a, b)                                                        \
	bpf_trace_printk4(format, size, (uint64_t)(a), (uint64_t)(b))
#define ANYBPF_PRINT_3(format, size, a, b, c)                                                     \
	bpf_trace_printk5(format, size, (uint64_t)(a), (uint64_t)(b), (uint64_t)(c))
#define ANYBPF_PRINT_FOR(_0, _1, _2, _3, chosen, ...) chosen

#define bpf_printk(format, ...)                                                                   \
	({                                                                                        \
		char __format[] = format;                                                         \
		ANYBPF_PRINT_FOR(_, ##__VA_ARGS__, ANYBPF_PRINT_3, ANYBPF_PRINT_2,                \
				 ANYBPF_PRINT_1, ANYBPF_PRINT_0, )                                \
		(__format, sizeof(__format), ##__VA_ARGS__);                                      \
	})

/* ---- Memory, by the names of the C library ----------------------------------------------------- */

#ifndef ANYBPF_NO_MEMORY_NAMES
#define memcpy(to, from, size) bpf_memcpy_s(to, size, from, size)
#define memmove(to, from, size) bpf_memmove_s(to, size, from, size)
#define memcmp(one, other, size) bpf_memcmp_s(one, size, other, size)
#define memset(memory, value, size) bpf_memset(memory, size, value)
#define memcpy_s bpf_memcpy_s
#define memmove_s bpf_memmove_s
#define memcmp_s bpf_memcmp_s
#endif

#endif /* ANYBPF_WINDOWS_BPF_HELPERS_H */
