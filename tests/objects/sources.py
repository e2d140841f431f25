"""Small C programs that the tests of this room compile, each around one theme."""

from __future__ import annotations

PRELUDE = """
typedef unsigned char __u8; typedef unsigned short __u16;
typedef unsigned int __u32; typedef unsigned long long __u64; typedef long long __s64;
#define SEC(name) __attribute__((section(name), used))
#define __noinline __attribute__((noinline))
#define __weak __attribute__((weak))
#define __tag(text) __attribute__((btf_decl_tag(text)))
#define __uint(name, val) int (*name)[val]
#define __type(name, val) typeof(val) *name
#define __array(name, val) typeof(val) *name[]
#define __ulong(name, val) enum { ___value_##name = val } name
#define EXTERN(name) __attribute__((section(name)))
#define HELPER static __attribute__((unused))
HELPER void *(*lookup)(void *map, const void *key) = (void *)1;
HELPER long (*tail_call)(void *ctx, void *map, __u32 index) = (void *)12;
HELPER long (*loop)(__u32 count, void *callback, void *ctx, __u64 flags) = (void *)181;
char _license[] SEC("license") = "GPL";
"""

FUNCTIONS = (
    PRELUDE
    + """
struct xdp_md { __u32 data; __u32 data_end; };

static __noinline int twice(int x) { asm volatile("" : "+r"(x)); return x * 2; }
__noinline __tag("helper") int thrice(int x) { asm volatile("" : "+r"(x)); return twice(x) + x; }
static long step(__u32 index, void *ctx) { *(__u64 *)ctx += index; return 0; }

SEC("xdp") int first(struct xdp_md *ctx) { return thrice(ctx->data); }
SEC("xdp") int second(struct xdp_md *ctx) { return twice(ctx->data_end); }
SEC("?xdp.frags/cpumap") int off(struct xdp_md *ctx) { return 2; }
SEC("tc") int counts(void *ctx) { __u64 sum = 0; loop(10, step, &sum, 0); return (int)sum; }
SEC("my_own/thing") int strange(void *ctx) { return 0; }
SEC("fentry.s/do_unlinkat") int sleepy(void *ctx) { return 0; }
"""
)

MAPS = (
    PRELUDE
    + """
struct value { __u64 packets; __u64 bytes; };
struct inner { __uint(type, 2); __uint(max_entries, 4); __type(key, __u32); __type(value, __u32); };

struct {
    __uint(type, 1); __uint(max_entries, 1024); __type(key, __u32); __type(value, struct value);
    __uint(map_flags, 1); __uint(pinning, 1); __uint(numa_node, 0);
} stats SEC(".maps") __tag("important");

struct {
    __uint(type, 30); __uint(max_entries, 8); __uint(value_size, 16); __ulong(map_extra, 5);
} bloom SEC(".maps");

struct inner in_a SEC(".maps"), in_b SEC(".maps");

struct {
    __uint(type, 12); __uint(max_entries, 8); __uint(key_size, 4); __array(values, struct inner);
} outer SEC(".maps") = { .values = { [1] = &in_a, [3] = &in_b } };

int target(void *ctx);
struct {
    __uint(type, 3); __uint(max_entries, 5); __uint(key_size, 4);
    __array(values, int (void *));
} jumps SEC(".maps") = { .values = { [4] = (void *)&target } };

SEC("socket") int target(void *ctx) { return 1; }
SEC("socket") int entry(void *ctx)
{
    __u32 key = 0;
    struct value *v = lookup(&stats, &key);
    if (v) v->packets++;
    tail_call(ctx, &jumps, 4);
    return lookup(&bloom, &key) != 0 || lookup(&outer, &key) != 0;
}
"""
)

DATA = (
    PRELUDE
    + """
enum libbpf_tristate { TRI_NO = 0, TRI_YES = 1, TRI_MODULE = 2 };
struct point { int x, y; };
const volatile int limit = 42;
int counter = 5;
static volatile int hidden = 9;
struct point origin __tag("here");
int custom SEC(".data.custom") = 3;
const volatile char word[8] SEC(".rodata.words") = "hello";

extern int LINUX_KERNEL_VERSION EXTERN(".kconfig");
extern int CONFIG_HZ EXTERN(".kconfig");
extern _Bool CONFIG_BPF EXTERN(".kconfig") __weak;
extern enum libbpf_tristate CONFIG_NF EXTERN(".kconfig") __weak;
extern char CONFIG_NAME[10] EXTERN(".kconfig") __weak;
extern const void init_task EXTERN(".ksyms");
extern const int bpf_stats_enabled EXTERN(".ksyms") __weak;
extern int bpf_kfunc_there(int x) EXTERN(".ksyms");
extern int bpf_kfunc_missing(int x) EXTERN(".ksyms") __weak;

SEC("tc") int reads(void *ctx)
{
    counter += limit + hidden + origin.y + custom + word[counter & 7];
    if (LINUX_KERNEL_VERSION > 0x50000 && CONFIG_HZ == 250 && CONFIG_BPF)
        counter += CONFIG_NF + CONFIG_NAME[1];
    counter += (__u64)&init_task & 1;
    if (&bpf_stats_enabled) counter += bpf_stats_enabled;
    if (bpf_kfunc_missing) return bpf_kfunc_missing(1);
    return bpf_kfunc_there(counter);
}
"""
)

STRUCT_OPS = (
    PRELUDE
    + """
struct congestion { int (*init)(void *sk); void (*release)(void *sk); __u32 flags; char name[16]; };
SEC("struct_ops/init") int my_init(void *ctx) { return 0; }
SEC("struct_ops") int my_release(void *ctx) { return 0; }
SEC(".struct_ops") struct congestion plain =
    { .init = (void *)my_init, .flags = 7, .name = "plain" };
SEC(".struct_ops.link") struct congestion linked =
    { .init = (void *)my_init, .release = (void *)my_release, .name = "linked" };
"""
)

CORE = (
    PRELUDE
    + """
#define __core __attribute__((preserve_access_index))
struct task_struct { int pid; void *gone; unsigned short width; } __core;
enum kind { KIND_A = 1, KIND_B = 2 };
SEC("fentry/do_exit") int reads(struct task_struct **args)
{
    struct task_struct *task = args[0];
    int sum = task->pid + task->width;
    if (__builtin_preserve_field_info(task->gone, 2))
        sum += (__u64)task->gone;
    return sum + __builtin_preserve_enum_value(*(typeof(enum kind) *)KIND_B, 1);
}
"""
)
