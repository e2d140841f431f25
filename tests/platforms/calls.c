// Calls with callbacks, locks and references: what begins with ok_ loads into Linux 6.18, what
// begins with no_ does not. Declared by hand, so that no kernel headers are needed.

typedef unsigned int u32;
typedef unsigned long long u64;

#define SEC(name) __attribute__((section(name), used))
#define KSYM __attribute__((section(".ksyms")))

struct __sk_buff;
struct bpf_spin_lock { u32 val; };
struct bpf_timer { u64 opaque[2]; };
struct bpf_iter_num { u64 __opaque[1]; } __attribute__((aligned(8)));

struct guarded { struct bpf_spin_lock lock; int count; };
struct timed { struct bpf_timer timer; u64 count; };

#define MAP(name, kind, value_type)                                                                \
    struct {                                                                                       \
        int (*type)[kind];                                                                         \
        int (*max_entries)[1];                                                                     \
        u32 *key;                                                                                  \
        value_type *value;                                                                         \
    } name SEC(".maps")

MAP(plain, 1, u64);
MAP(locks, 2, struct guarded);
MAP(timers, 2, struct timed);

static void *(*const lookup)(void *, const void *) = (void *)1;
static u64 (*const ktime)(void) = (void *)5;
static long (*const lock)(struct bpf_spin_lock *) = (void *)93;
static long (*const unlock)(struct bpf_spin_lock *) = (void *)94;
static long (*const each)(void *, void *, void *, u64) = (void *)164;
static long (*const timer_init)(struct bpf_timer *, void *, u64) = (void *)169;
static long (*const timer_callback)(struct bpf_timer *, void *) = (void *)170;
static long (*const loop)(u32, void *, void *, u64) = (void *)181;

extern void bpf_rcu_read_lock(void) KSYM;
extern void bpf_rcu_read_unlock(void) KSYM;
extern void bpf_preempt_disable(void) KSYM;
extern void bpf_preempt_enable(void) KSYM;
extern int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end) KSYM;
extern int *bpf_iter_num_next(struct bpf_iter_num *it) KSYM;
extern void bpf_iter_num_destroy(struct bpf_iter_num *it) KSYM;

static long loop_0_or_1(u32 index, void *context) { return index & 1; }
static long loop_0_to_3(u32 index, void *context) { return index & 3; }
SEC("tc") int ok_loop(struct __sk_buff *skb) { return loop(5, loop_0_or_1, 0, 0); }
SEC("tc") int no_loop(struct __sk_buff *skb) { return loop(5, loop_0_to_3, 0, 0); }

static long each_writes_value(void *map, u32 *key, u64 *value, void *context) {
    *value = *key;
    return 0;
}
static long each_writes_key(void *map, u32 *key, u64 *value, void *context) {
    *key = 1;
    return 0;
}
SEC("tc") int ok_each(struct __sk_buff *skb) { return each(&plain, each_writes_value, 0, 0); }
SEC("tc") int no_each(struct __sk_buff *skb) { return each(&plain, each_writes_key, 0, 0); }

static int timer_0(void *map, u32 *key, struct timed *value) {
    value->count += *key;
    return 0;
}
static int timer_1(void *map, u32 *key, struct timed *value) { return 1; }
#define TIMER(name, section, callback)                                                             \
    SEC(section) int name(void *ctx) {                                                             \
        u32 key = 0;                                                                               \
        struct timed *value = lookup(&timers, &key);                                               \
        if (!value)                                                                                \
            return 0;                                                                              \
        timer_init(&value->timer, &timers, 1);                                                     \
        timer_callback(&value->timer, callback);                                                   \
        return 0;                                                                                  \
    }
TIMER(ok_timer, "tc", timer_0)
TIMER(no_timer, "tc", timer_1)
TIMER(no_timer_of_kprobe, "kprobe", timer_0)

static __attribute__((noinline)) int counted(int count) { return count * 3; }
#define LOCKED(name, section, ...)                                                                 \
    SEC(section) int name(void *ctx) {                                                             \
        u32 key = 0;                                                                               \
        struct guarded *value = lookup(&locks, &key);                                              \
        if (!value)                                                                                \
            return 0;                                                                              \
        lock(&value->lock);                                                                        \
        __VA_ARGS__;                                                                               \
        unlock(&value->lock);                                                                      \
        return 0;                                                                                  \
    }
LOCKED(ok_lock, "tc", value->count = 1)
LOCKED(ok_lock_function, "tc", value->count = counted(value->count))
LOCKED(ok_lock_iterator, "tc", struct bpf_iter_num it; bpf_iter_num_new(&it, 0, 3);
       bpf_iter_num_destroy(&it))
LOCKED(no_lock_helper, "tc", value->count = ktime())
LOCKED(no_lock_rcu, "tc", bpf_rcu_read_lock(); bpf_rcu_read_unlock())
LOCKED(no_lock_return, "tc", return 0)
LOCKED(no_lock_of_socket_filter, "socket", value->count = 1)
LOCKED(no_lock_of_tracepoint, "tracepoint", value->count = 1)

SEC("xdp") int ok_iterator(void *ctx) {
    struct bpf_iter_num it;
    int *number, sum = 0;
    bpf_iter_num_new(&it, 0, 5);
    while ((number = bpf_iter_num_next(&it)))
        sum += *number;
    bpf_iter_num_destroy(&it);
    return sum;
}
SEC("xdp") int no_iterator_kept(void *ctx) {
    struct bpf_iter_num it;
    bpf_iter_num_new(&it, 0, 5);
    return 2;
}
SEC("xdp") int no_iterator_written(void *ctx) {
    struct bpf_iter_num it;
    int *number;
    bpf_iter_num_new(&it, 0, 5);
    while ((number = bpf_iter_num_next(&it)))
        *number = 1;
    bpf_iter_num_destroy(&it);
    return 2;
}
SEC("xdp") int no_rcu_kept(void *ctx) {
    bpf_rcu_read_lock();
    return 2;
}
SEC("xdp") int ok_preempt_twice(void *ctx) {
    bpf_preempt_disable();
    bpf_preempt_disable();
    bpf_preempt_enable();
    bpf_preempt_enable();
    return 2;
}

char _license[] SEC("license") = "GPL";
