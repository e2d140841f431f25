// SPDX-License-Identifier: MIT
/* A field of the packet's description that programs of this type may read, but not write. */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h>

SEC("tc")
int shorten(struct __sk_buff *skb)
{
	if (skb->len > 1500)
		skb->len = 1500; /* should be: bpf_skb_change_tail(skb, 1500, 0) */
	return TC_ACT_OK;
}

char _license[] SEC("license") = "MIT";
