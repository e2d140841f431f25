/* Kernel headers, maps of every way of writing, loops, tail calls, printing. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} first SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 4);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__array(values, struct inner);
} outer SEC(".maps") = {.values = {&first}};

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 4);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} programs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_BLOOM_FILTER);
	__uint(max_entries, 4);
	__type(value, __u32);
	__ulong(map_extra, 0x100000003);
} bloom SEC(".maps");

const volatile int setting;
static __u16 well_known[] = {bpf_htons(53), __bpf_constant_htons(80), __bpf_htons(443)};
_Static_assert(bpf_ntohl(bpf_htonl(0x12345678)) == 0x12345678, "there and back");
extern bool CONFIG_BPF_JIT __kconfig __weak;
extern void perhaps(void) __ksym __weak;

__hidden __noinline int scramble(int number)
{
	return number * bpf_get_prandom_u32();
}

SEC("tc")
int classify(struct __sk_buff *skb)
{
	int i, sum = 0;

	switch (skb->protocol) {
	case bpf_htons(ETH_P_IP):
		return TC_ACT_SHOT;
	}
	bpf_for(i, 0, 10) {
		int j;
		bpf_for(j, 0, i) {
			if (j == 7)
				break;
			sum += j;
		}
		if (sum > 100)
			continue;
		sum++;
	}
	bpf_repeat(5) sum += well_known[setting & 1];
	if (bpf_ksym_exists(perhaps))
		perhaps();
	if (CONFIG_BPF_JIT)
		bpf_tail_call_static(skb, &programs, 2);
	bpf_printk("nothing");
	bpf_printk("%d", sum);
	bpf_printk("%d %d %d", sum, i, setting);
	bpf_printk("%d %d %d %d", sum, i, setting, 4);
	return scramble(sum);
}

char LICENSE[] SEC("license") = "GPL";
