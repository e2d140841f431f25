/* SPDX-License-Identifier: MIT */
/* XDP on Windows: section "xdp". Pointers are whole here, not 32 bits wide as on Linux. */
#ifndef ANYBPF_WINDOWS_XDP_HOOKS_H
#define ANYBPF_WINDOWS_XDP_HOOKS_H

#include <stdint.h>

typedef struct xdp_md_ {
	void *data;
	void *data_end;
	uint64_t data_meta;
	uint32_t ingress_ifindex;
} xdp_md_t;

typedef enum xdp_action_ {
	XDP_PASS = 1, /* let the packet go on */
	XDP_DROP = 2,
	XDP_TX = 3, /* send it out by the interface that it came in by */
} xdp_action_t;

typedef xdp_action_t xdp_hook_t(xdp_md_t *context);

/* Moves the packet's start; all pointers into the packet must be fetched again. */
static int (*const bpf_xdp_adjust_head)(xdp_md_t *ctx, int delta) = (void *)0x10000;

#endif /* ANYBPF_WINDOWS_XDP_HOOKS_H */
