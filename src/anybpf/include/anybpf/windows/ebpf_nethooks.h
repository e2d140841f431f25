/* SPDX-License-Identifier: MIT */
/* Network hooks of eBPF for Windows: bind, socket addresses, socket operations. */
#ifndef ANYBPF_WINDOWS_EBPF_NETHOOKS_H
#define ANYBPF_WINDOWS_EBPF_NETHOOKS_H

#include <stdint.h>

/* Address families as Windows numbers them. */
#ifndef AF_INET
#define AF_INET 2
#define AF_INET6 0x17
#endif

/* ---- Section "bind" ------------------------------------------------------------------------- */

typedef enum _bind_operation {
	BIND_OPERATION_BIND = 0,
	BIND_OPERATION_POST_BIND = 1,
	BIND_OPERATION_UNBIND = 2,
} bind_operation_t;

typedef struct _bind_md {
	uint8_t *app_id_start; /* the program's name, UTF-16, without end mark */
	uint8_t *app_id_end;
	uint64_t process_id;
	uint8_t socket_address[16];
	uint8_t socket_address_length;
	bind_operation_t operation;
	uint8_t protocol;
} bind_md_t;

typedef enum _bind_action {
	BIND_PERMIT_SOFT = 0, /* permitted, unless a filter of less weight objects */
	BIND_PERMIT = BIND_PERMIT_SOFT,
	BIND_DENY = 1,
	BIND_REDIRECT = 2,
	BIND_PERMIT_HARD = 3,
} bind_action_t;

typedef bind_action_t bind_hook_t(bind_md_t *context);

/* ---- Sections "cgroup/connect4" and the like --------------------------------------------------- */

typedef struct bpf_sock_addr {
	uint32_t family;
	/* Addresses and ports are in network byte order. */
	union {
		uint32_t msg_src_ip4;
		uint32_t msg_src_ip6[4];
	};
	uint16_t msg_src_port;
	union {
		uint32_t user_ip4;
		uint32_t user_ip6[4];
	};
	uint16_t user_port;
	uint32_t protocol;
	uint32_t compartment_id;
	uint64_t interface_luid;
} bpf_sock_addr_t;

typedef enum _sock_addr_verdict {
	BPF_SOCK_ADDR_VERDICT_REJECT = 0,
	BPF_SOCK_ADDR_VERDICT_PROCEED_SOFT = 1,
	BPF_SOCK_ADDR_VERDICT_PROCEED = BPF_SOCK_ADDR_VERDICT_PROCEED_SOFT,
	BPF_SOCK_ADDR_VERDICT_PROCEED_HARD = 2,
} sock_addr_verdict_t;

typedef sock_addr_verdict_t sock_addr_hook_t(bpf_sock_addr_t *context);

typedef struct _bpf_sock_addr_network_context {
	uint32_t version; /* 1 */
	uint32_t interface_type;
	uint32_t tunnel_type;
	uint64_t next_hop_interface_luid;
	uint32_t sub_interface_index;
} bpf_sock_addr_network_context_t;

/* Bytes that a proxy can ask for after a connection was redirected to it. */
static int (*const bpf_sock_addr_set_redirect_context)(
	bpf_sock_addr_t *ctx, void *data, uint32_t size) = (void *)0x10001;
static int (*const bpf_sock_addr_get_network_context)(
	bpf_sock_addr_t *ctx, void *out, uint32_t size) = (void *)0x10002;

/* ---- Section "sockops" ------------------------------------------------------------------------- */

typedef enum _bpf_sock_op_type {
	BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB = 0,
	BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB = 1,
	BPF_SOCK_OPS_CONNECTION_DELETED_CB = 2,
} bpf_sock_op_type_t;

typedef struct _bpf_sock_ops {
	bpf_sock_op_type_t op;
	uint32_t family;
	union {
		uint32_t local_ip4;
		uint32_t local_ip6[4];
	};
	uint32_t local_port;
	union {
		uint32_t remote_ip4;
		uint32_t remote_ip6[4];
	};
	uint32_t remote_port;
	uint8_t protocol;
	uint32_t compartment_id;
	uint64_t interface_luid;
} bpf_sock_ops_t;

/* 0 permits, anything else blocks. */
typedef int sock_ops_hook_t(bpf_sock_ops_t *context);

static uint64_t (*const bpf_sock_ops_get_flow_id)(bpf_sock_ops_t *ctx) = (void *)0x10000;

#endif /* ANYBPF_WINDOWS_EBPF_NETHOOKS_H */
