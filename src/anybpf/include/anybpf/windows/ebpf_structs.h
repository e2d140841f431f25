/* SPDX-License-Identifier: MIT */
/*
 * Numbers that programs and maps of eBPF for Windows share: map types, pinning, update flags, and
 * the layout of an old-style map definition (section "maps").
 */
#ifndef ANYBPF_WINDOWS_EBPF_STRUCTS_H
#define ANYBPF_WINDOWS_EBPF_STRUCTS_H

#include <stdint.h>

typedef enum bpf_map_type {
	BPF_MAP_TYPE_UNSPEC = 0,
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PROG_ARRAY = 3,
	BPF_MAP_TYPE_PERCPU_HASH = 4,
	BPF_MAP_TYPE_PERCPU_ARRAY = 5,
	BPF_MAP_TYPE_HASH_OF_MAPS = 6,
	BPF_MAP_TYPE_ARRAY_OF_MAPS = 7,
	BPF_MAP_TYPE_LRU_HASH = 8,
	BPF_MAP_TYPE_LPM_TRIE = 9,
	BPF_MAP_TYPE_QUEUE = 10,
	BPF_MAP_TYPE_LRU_PERCPU_HASH = 11,
	BPF_MAP_TYPE_STACK = 12,
	BPF_MAP_TYPE_RINGBUF = 13,
	BPF_MAP_TYPE_PERF_EVENT_ARRAY = 14,
	BPF_MAP_TYPE_SAMPLE_HASH_MAP = 15,
	BPF_MAP_TYPE_XSKMAP = 16,
} ebpf_map_type_t;

typedef enum libbpf_pin_type {
	LIBBPF_PIN_NONE = 0,
	LIBBPF_PIN_BY_NAME = 1,
} ebpf_pin_type_t;

enum {
	BPF_ANY = 0,
	BPF_NOEXIST = 1,
	BPF_EXIST = 2,
};
#define EBPF_ANY BPF_ANY
#define EBPF_NOEXIST BPF_NOEXIST
#define EBPF_EXIST BPF_EXIST

/* Flags of bpf_perf_event_output: which CPU, and how much of the packet to append. */
#define BPF_F_INDEX_MASK 0xffffffffULL
#define BPF_F_CURRENT_CPU BPF_F_INDEX_MASK
#define BPF_F_CTXLEN_MASK (0xfffffULL << 32)
#define EBPF_MAP_FLAG_INDEX_MASK BPF_F_INDEX_MASK
#define EBPF_MAP_FLAG_CURRENT_CPU BPF_F_CURRENT_CPU
#define EBPF_MAP_FLAG_CTX_LENGTH_SHIFT 32

struct bpf_map_def {
	ebpf_map_type_t type;
	uint32_t key_size;
	uint32_t value_size;
	uint32_t max_entries;
	uint32_t inner_map_idx; /* the index of the inner map's definition in the section */
	ebpf_pin_type_t pinning;
	uint32_t id;       /* a number of one's own choice … */
	uint32_t inner_id; /* … by which another definition refers to this one */
};

#endif /* ANYBPF_WINDOWS_EBPF_STRUCTS_H */
