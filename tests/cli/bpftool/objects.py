"""The objects that bpftool's commands are tried on."""

from __future__ import annotations

TYPED = """\
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct point { int x; unsigned short y; char name[6]; unsigned a : 3; unsigned b : 29; };
enum color { RED, GREEN };
struct thing {
    struct point p; unsigned long long n; enum color c; _Bool ok; int list[3];
    union { int i; unsigned u; } un; void *ptr;
};
struct {
    __uint(type, BPF_MAP_TYPE_HASH); __type(key, int); __type(value, struct thing);
    __uint(max_entries, 16);
} things SEC(".maps");
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY); __type(key, int); __type(value, unsigned long long);
    __uint(max_entries, 2);
} counts SEC(".maps");
struct {
    __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(key_size, 4); __uint(value_size, 4);
    __uint(max_entries, 4);
} jumps SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 4096); } ring SEC(".maps");
int total = 5;
const volatile int limit = 7;
char text[8] = "hello";
static __attribute__((noinline)) int scaled(int v) { return v * limit; }
SEC("xdp") int first(struct xdp_md *ctx)
{
    int k = 1;
    struct thing *v = bpf_map_lookup_elem(&things, &k);
    if (v) { v->n += 1; __sync_fetch_and_add(&total, 1); }
    unsigned long long *c = bpf_map_lookup_elem(&counts, &k);
    if (c) *c += 1;
    bpf_tail_call(ctx, &jumps, 0);
    return scaled(ctx->ingress_ifindex) > 100 ? XDP_DROP : XDP_PASS;
}
SEC("xdp") int second(struct xdp_md *ctx) { return text[0] ? XDP_PASS : XDP_DROP; }
char _license[] SEC("license") = "GPL";
"""

ITERATOR = """\
#include <bpf/bpf_helpers.h>
struct bpf_iter_meta { void *seq; } __attribute__((preserve_access_index));
struct bpf_map;
struct bpf_iter__bpf_map { struct bpf_iter_meta *meta; struct bpf_map *map; };
SEC("iter/bpf_map") int each_map(struct bpf_iter__bpf_map *ctx) { return 0; }
char _license[] SEC("license") = "GPL";
"""

# The value of one struct thing, as words for the command line.
THING = (
    "hex 01 00 00 00 02 00 61 62 63 00 00 00 0d 00 00 00 07 00 00 00 00 00 00 00 "
    "01 00 00 00 01 00 00 00 01 00 00 00 02 00 00 00 ff ff ff ff 05 00 00 00 "
    "00 00 00 00 00 00 00 00"
)

GROUP = """\
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
SEC("cgroup_skb/egress") int out(struct __sk_buff *skb) { return 1; }
char _license[] SEC("license") = "GPL";
"""
