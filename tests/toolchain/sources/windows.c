/* Sources of eBPF for Windows, by its names of headers, and its layouts as facts to hold. */
#include "bpf_endian.h"
#include "bpf_helpers.h"
#include "ebpf_nethooks.h"
#include "ebpf_ntos_hooks.h"
#include "sample_ext_helpers.h"
#include "xdp_hooks.h"

#define AT(type, field, place) _Static_assert(offsetof(type, field) == place, #type "." #field)
_Static_assert(sizeof(xdp_md_t) == 32, "xdp_md_t");
AT(xdp_md_t, ingress_ifindex, 24);
_Static_assert(sizeof(bind_md_t) == 56, "bind_md_t");
AT(bind_md_t, socket_address, 24);
AT(bind_md_t, operation, 44);
AT(bind_md_t, protocol, 48);
_Static_assert(sizeof(bpf_sock_addr_t) == 64, "bpf_sock_addr_t");
AT(bpf_sock_addr_t, msg_src_port, 20);
AT(bpf_sock_addr_t, user_ip4, 24);
AT(bpf_sock_addr_t, user_port, 40);
AT(bpf_sock_addr_t, interface_luid, 56);
_Static_assert(sizeof(bpf_sock_ops_t) == 64, "bpf_sock_ops_t");
AT(bpf_sock_ops_t, local_port, 24);
AT(bpf_sock_ops_t, remote_port, 44);
AT(bpf_sock_ops_t, compartment_id, 52);
_Static_assert(sizeof(process_md_t) == 144, "process_md_t");
AT(process_md_t, process_exit_code, 64);
AT(process_md_t, token_sid_size, 72);
_Static_assert(sizeof(sample_program_context_t) == 32, "sample_program_context_t");
AT(sample_program_context_t, helper_data_2, 28);
_Static_assert(sizeof(struct bpf_map_def) == 32, "bpf_map_def");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16);
	__type(key, uint32_t);
	__type(value, uint64_t);
} seen SEC(".maps");

SEC("xdp")
int pass(xdp_md_t *ctx)
{
	uint32_t key = ctx->ingress_ifindex;
	uint64_t *count = bpf_map_lookup_elem(&seen, &key);
	if (count)
		*count += 1;
	if ((char *)ctx->data + 14 > (char *)ctx->data_end)
		return XDP_DROP;
	return ((unsigned char *)ctx->data)[12] == ntohs(0x800) ? XDP_TX : XDP_PASS;
}

SEC("cgroup/connect4")
int connect(bpf_sock_addr_t *ctx)
{
	char text[4], other[4] = {1, 2, 3, 4};
	memcpy(text, other, sizeof(text));
	bpf_printk("none");
	bpf_printk("port %u family %u", ctx->user_port, ctx->family);
	return memcmp(text, other, sizeof(text)) ? BPF_SOCK_ADDR_VERDICT_REJECT
						 : BPF_SOCK_ADDR_VERDICT_PROCEED_SOFT;
}
