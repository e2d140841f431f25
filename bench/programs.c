/* What the benchmarks of engines run, as BPF and as native code of the same C. Every program works on
 * a packet and comes to a number, which must be the same everywhere.
 *
 * It exists in two forms. With PACKETS defined it is one for XDP that a verifier proves safe; native
 * code is entered as compiled BPF is, and finds the packet where that finds it. Otherwise it is given
 * plain memory and its length, as runtimes without hooks have it, and nothing is proved.
 *
 * What BPF's compiler must be kept from (calling memset and the like, unrolling) natives may do. */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long s64;

#define BYTES 1500 /* of the packet that all programs but `filter` need */
#define APART static __attribute__((noinline))
#define INLINE static inline __attribute__((always_inline))
#if defined(__bpf__)
#define UNROLL_NOT _Pragma("clang loop unroll(disable) vectorize(disable)")
#define KEEP(array) __asm__ volatile("" : : "r"(array) : "memory")
#define OPAQUE(value) __asm__ volatile("" : "+r"(value))
#else
#define UNROLL_NOT
#define KEEP(array)
#define OPAQUE(value)
#endif

#if defined(PACKETS)
/* struct xdp_md; native code reads the pointers from the slots in front of it: src/core/run.h. */
struct context {
    u32 data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex;
};
#if defined(__bpf__)
#define ENTRY(name) __attribute__((section("xdp"), used)) u64 name(struct context *context)
#define DATA (u8 *)(long)context->data
#define DATA_END (u8 *)(long)context->data_end
#define RUN (void *)0
#else
#define ENTRY(name) u64 name(struct context *context, void *run)
#define DATA ((u8 **)context)[-8]
#define DATA_END ((u8 **)context)[-7]
#define RUN run
#endif
#define PROGRAM(name)                                                                              \
    INLINE u64 name##_on(u8 *data, u64 size, void *run);                                           \
    ENTRY(name)                                                                                    \
    {                                                                                              \
        u8 *data = DATA;                                                                           \
                                                                                                   \
        return data + BYTES > DATA_END ? 1 : name##_on(data, BYTES, RUN);                          \
    }                                                                                              \
    INLINE u64 name##_on(u8 *data, u64 size, void *run)
#else
#define PROGRAM(name)                                                                              \
    INLINE u64 name##_on(u8 *data, u64 size, void *run);                                           \
    SECTION(name) u64 name(u8 *data, u64 size) { return name##_on(data, size, (void *)0); }        \
    INLINE u64 name##_on(u8 *data, u64 size, void *run)
#if defined(__bpf__)
#define SECTION(name) __attribute__((section("bench/" #name), used))
#else
#define SECTION(name)
#endif
#endif
#define UNUSED (void)data, (void)size, (void)run

/* The helper get_smp_processor_id. Compiled BPF calls it by its address; natives are told that. */
#if defined(__bpf__)
static u64 (*const get_processor)(void) = (void *)8;
#define PROCESSOR() get_processor()
#elif defined(PROCESSOR_ADDRESS)
typedef u64 (*helper)(u64 r1, u64 r2, u64 r3, u64 r4, u64 r5, void *run);
#define PROCESSOR() ((helper)PROCESSOR_ADDRESS)(0, 0, 0, 0, 0, run)
#else
u64 no_processor(void);
#define PROCESSOR() no_processor()
#endif

PROGRAM(empty)
{
    UNUSED;
    return 2;
}

/* Ethernet, IPv4 or IPv6, TCP or UDP, a list of ports. */
INLINE u64 filtered(u8 *at, u8 *end)
{
    u32 protocol, length;
    u16 kind, port;

    if (at + 14 > end)
        return 1;
    kind = (u16)(at[12] << 8 | at[13]);
    at += 14;
    if (kind == 0x8100) {
        if (at + 4 > end)
            return 1;
        kind = (u16)(at[2] << 8 | at[3]);
        at += 4;
    }
    if (kind == 0x0800) {
        if (at + 20 > end || (at[0] & 0xf0) != 0x40)
            return 1;
        length = (at[0] & 15u) * 4;
        protocol = at[9];
        if (length < 20 || at + length > end)
            return 1;
        at += length;
    } else if (kind == 0x86dd) {
        if (at + 40 > end)
            return 1;
        protocol = at[6];
        at += 40;
    } else {
        return 2;
    }
    if (protocol != 6 && protocol != 17)
        return 2;
    if (at + 4 > end)
        return 1;
    port = (u16)(at[2] << 8 | at[3]);
    if (port == 22 || port == 80 || port == 443 || port == 8080)
        return 2;
    return protocol == 6 && port > 1024 ? 3 : 4;
}
#if defined(PACKETS)
ENTRY(filter)
{
#if !defined(__bpf__)
    (void)run;
#endif
    return filtered(DATA, DATA_END);
}
#else
PROGRAM(filter)
{
    (void)run;
    return filtered(data, data + size);
}
#endif

/* The longest of the prefixes in the buffer that fits an address: 16 bytes each. */
PROGRAM(lpm)
{
    u32 address = *(u32 *)(data + 4);
    u64 best = 0, chosen = 0;

    (void)run;
    UNROLL_NOT
    for (u64 at = 0; at + 16 <= size && at < 512; at += 16) {
        u32 difference = *(u32 *)(data + at) ^ address;
        u64 common = 0;

        UNROLL_NOT
        while (common < 32 && (difference & 1) == 0) {
            difference >>= 1;
            common++;
        }
        if (common > best) {
            best = common;
            chosen = at;
        }
    }
    return best << 32 | chosen;
}

PROGRAM(fibonacci)
{
    u64 a = 0, b = 1;

    (void)run;
    (void)data;
    UNROLL_NOT
    for (u64 i = 0; i < 2000; i++) {
        u64 next = a + b;

        a = b;
        b = next;
        OPAQUE(a);
        OPAQUE(b);
    }
    return a + size;
}

PROGRAM(sieve)
{
    u8 composite[448];
    u64 primes = 0;

    UNUSED;
    UNROLL_NOT
    for (u64 i = 0; i < sizeof(composite); i++) {
        composite[i] = 0;
        KEEP(composite);
    }
    UNROLL_NOT
    for (u64 i = 2; i < sizeof(composite); i++) {
        if (composite[i])
            continue;
        primes++;
        UNROLL_NOT
        for (u64 j = i + i; j < sizeof(composite); j += i)
            composite[j] = 1;
    }
    return primes;
}

/* Of the Internet protocols. */
PROGRAM(checksum)
{
    u64 sum = 0;

    (void)run;
    UNROLL_NOT
    for (u64 i = 0; i + 2 <= size && i < 1500; i += 2)
        sum += *(u16 *)(data + i);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return ~sum & 0xffff;
}

PROGRAM(copy)
{
    u64 half = size / 2 & ~7ull;

    (void)run;
    UNROLL_NOT
    for (u64 i = 0; i < half; i += 8) {
        *(u64 *)(data + half + i) = *(u64 *)(data + i);
        KEEP(data);
    }
    return half;
}

PROGRAM(hash)
{
    u64 a = 0x9e3779b97f4a7c15ull, b = a * 3, c = a * 5, d = a * 7;

    (void)run;
    UNROLL_NOT
    for (u64 i = 0; i + 32 <= size && i < 1472; i += 32) {
        a = (a ^ *(u64 *)(data + i)) * 0x87c37b91114253d5ull;
        b = (b ^ *(u64 *)(data + i + 8)) * 0x4cf5ad432745937full;
        c = (c ^ *(u64 *)(data + i + 16)) * 0x87c37b91114253d5ull;
        d = (d ^ *(u64 *)(data + i + 24)) * 0x4cf5ad432745937full;
        a = a << 31 | a >> 33;
        b = b << 29 | b >> 35;
        c = c << 27 | c >> 37;
        d = d << 33 | d >> 31;
    }
    a ^= b ^ c ^ d;
    a = (a ^ a >> 33) * 0xff51afd7ed558ccdull;
    return a ^ a >> 33;
}

/* Of the two halves of the buffer's first 512 bytes. */
PROGRAM(compare)
{
    u64 i = 0;

    (void)run;
    (void)size;
    UNROLL_NOT
    for (; i < 255; i++) {
        u8 a = data[i], b = data[256 + i];

        if (a != b)
            return i << 8 | (u8)(a - b);
        if (a == 0)
            break;
    }
    return i;
}

PROGRAM(matrix)
{
    u32 a[16], b[16], c[16];
    u64 sum = 0;

    (void)run;
    (void)size;
    for (u64 i = 0; i < 16; i++) {
        a[i] = *(u32 *)(data + 4 * i);
        b[i] = *(u32 *)(data + 64 + 4 * i);
    }
    UNROLL_NOT
    for (u64 turn = 0; turn < 8; turn++) {
        KEEP(a);
        UNROLL_NOT
        for (u64 i = 0; i < 4; i++)
            for (u64 j = 0; j < 4; j++)
                c[4 * i + j] = a[4 * i] * b[j] + a[4 * i + 1] * b[4 + j] +
                               a[4 * i + 2] * b[8 + j] + a[4 * i + 3] * b[12 + j];
        KEEP(c);
        for (u64 i = 0; i < 16; i++)
            a[i] = c[i];
    }
    for (u64 i = 0; i < 16; i++)
        sum += c[i];
    return sum;
}

PROGRAM(sort)
{
    u32 list[64];

    (void)size;
    (void)run;
    UNROLL_NOT
    for (u64 i = 0; i < 64; i++)
        list[i] = *(u32 *)(data + 4 * i);
    UNROLL_NOT
    for (u64 i = 1; i < 64; i++) {
        u32 item = list[i];
        u64 at = i;

        UNROLL_NOT
        while (at > 0 && list[at - 1] > item) {
            list[at] = list[at - 1];
            at--;
        }
        list[at] = item;
    }
    return (u64)list[0] << 32 | list[63];
}

/* A small machine: one byte, one instruction. */
PROGRAM(dispatch)
{
    u64 x = 1, y = 2, taken = 0;

    (void)run;
    UNROLL_NOT
    for (u64 i = 0; i < size && i < 1024; i++) {
        switch (data[i] & 7) {
        case 0: x += y; break;
        case 1: y ^= x; break;
        case 2: x <<= 1; break;
        case 3: y -= x; break;
        case 4: x *= 3; break;
        case 5: y >>= 1; break;
        case 6: taken++; break;
        default: x ^= 0x55; break;
        }
    }
    return x ^ y ^ taken;
}

PROGRAM(divide)
{
    u64 x = size * 1000003 + 12345, sum = 0;

    (void)run;
    (void)data;
    UNROLL_NOT
    for (u64 i = 1; i <= 200; i++) {
        u64 by = i * 7919 + (x & 0xff);

        sum += x / by + x % (by + 1);
        x = x * 6364136223846793005ull + 1442695040888963407ull;
    }
    return sum;
}

APART u64 mix(u64 a, u64 b)
{
    OPAQUE(a);
    return (a ^ b) * 3 + 1;
}

PROGRAM(local_calls)
{
    u64 sum = size;

    (void)run;
    (void)data;
    UNROLL_NOT
    for (u64 i = 0; i < 200; i++)
        sum = mix(sum, i);
    return sum;
}

PROGRAM(helper_calls)
{
    u64 sum = 0;

    UNUSED;
    UNROLL_NOT
    for (u64 i = 0; i < 200; i++)
        sum += PROCESSOR() + i;
    return sum;
}

#if defined(PACKETS)
/* Counting in maps: what a native program would do itself in the one, and, in the other, what it
 * would call: the very function that compiled BPF is given, on the same map. */
#if defined(__bpf__)
#define MAP(name, number)                                                                          \
    struct {                                                                                       \
        int (*type)[number];                                                                       \
        u32 *key;                                                                                  \
        u64 *value;                                                                                \
        int (*max_entries)[256];                                                                   \
    } name __attribute__((section(".maps"), used))
MAP(counts, 2);
MAP(table, 1);
static void *(*const find)(void *map, const void *key) = (void *)1;
#define FIND_COUNT(key) find(&counts, &key)
#define FIND_ENTRY(key) find(&table, &key)
#else
static u64 counts[256];
#define FIND_COUNT(key) (key < 256 ? &counts[key] : (u64 *)0)
#if defined(FIND_ADDRESS)
typedef void *(*finder)(void *map, const void *key, u32 processor); /* src/core/maps/direct.h */
#define FIND_ENTRY(key) (u64 *)((finder)FIND_ADDRESS)((void *)TABLE_ADDRESS, &key, 0)
#endif
#endif

PROGRAM(count_in_array)
{
    u64 found = 0;

    (void)size;
    (void)run;
    UNROLL_NOT
    for (u64 i = 0; i < 64; i++) {
        u32 key = data[i];
        u64 *count = FIND_COUNT(key);

        if (count) {
            ++*count;
            found++;
        }
    }
    return found;
}

#if defined(FIND_ENTRY)
PROGRAM(count_in_hash)
{
    u64 found = 0;

    (void)size;
    (void)run;
    UNROLL_NOT
    for (u64 i = 0; i < 64; i++) {
        u32 key = data[i];
        u64 *count = FIND_ENTRY(key);

        if (count) {
            ++*count;
            found++;
        }
    }
    return found;
}
#endif
#endif
