/* What bench/interpreter.py runs: once as BPF, once as native code. Each function takes a buffer and
 * its length and returns a number; both must come to the same. */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long s64;

#if defined(__bpf__)
#define PROGRAM(name) __attribute__((section("bench/" #name), used)) u64 name(u8 *data, u64 size)
static u64 (*const processor)(void) = (void *)8; /* get_smp_processor_id */
#else
#define PROGRAM(name) u64 name(u8 *data, u64 size)
__attribute__((noinline)) u64 processor(void);
#endif
#define APART static __attribute__((noinline))
#define UNROLL_NOT _Pragma("clang loop unroll(disable) vectorize(disable)")

PROGRAM(empty)
{
    (void)data;
    (void)size;
    return 2;
}

/* Ethernet, IPv4 or IPv6, TCP or UDP, a list of ports. */
PROGRAM(filter)
{
    u8 *at = data, *end = data + size;
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

/* The longest of the prefixes in the buffer that fits an address: 16 bytes each. */
PROGRAM(lpm)
{
    u32 address = *(u32 *)(data + 4);
    u64 best = 0, chosen = 0;

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

    (void)data;
    UNROLL_NOT
    for (u64 i = 0; i < 2000; i++) {
        u64 next = a + b;

        a = b;
        b = next;
#if defined(__bpf__) || defined(__clang__) || defined(__GNUC__)
        __asm__ volatile("" : "+r"(a), "+r"(b));
#endif
    }
    return a + size;
}

PROGRAM(sieve)
{
    u8 composite[448];
    u64 primes = 0;

    (void)data;
    (void)size;
    UNROLL_NOT
    for (u64 i = 0; i < sizeof(composite); i++) {
        composite[i] = 0;
        __asm__ volatile("" : : "r"(composite) : "memory");
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

    UNROLL_NOT
    for (u64 i = 0; i < half; i += 8) {
        *(u64 *)(data + half + i) = *(u64 *)(data + i);
        __asm__ volatile("" : : : "memory");
    }
    return half;
}

PROGRAM(hash)
{
    u64 a = 0x9e3779b97f4a7c15ull, b = a * 3, c = a * 5, d = a * 7;

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

    (void)size;
    for (u64 i = 0; i < 16; i++) {
        a[i] = *(u32 *)(data + 4 * i);
        b[i] = *(u32 *)(data + 64 + 4 * i);
    }
    UNROLL_NOT
    for (u64 turn = 0; turn < 8; turn++) {
        __asm__ volatile("" : : "r"(a), "r"(b) : "memory");
        UNROLL_NOT
        for (u64 i = 0; i < 4; i++)
            for (u64 j = 0; j < 4; j++)
                c[4 * i + j] = a[4 * i] * b[j] + a[4 * i + 1] * b[4 + j] +
                               a[4 * i + 2] * b[8 + j] + a[4 * i + 3] * b[12 + j];
        __asm__ volatile("" : : "r"(c) : "memory");
        for (u64 i = 0; i < 16; i++)
            a[i] = c[i];
    }
    for (u64 i = 0; i < 16; i++)
        sum += c[i];
    return sum;
}

PROGRAM(sort)
{
    u32 list[48];

    (void)size;
    UNROLL_NOT
    for (u64 i = 0; i < 48; i++)
        list[i] = *(u32 *)(data + 4 * i);
    UNROLL_NOT
    for (u64 i = 1; i < 48; i++) {
        u32 item = list[i];
        u64 at = i;

        UNROLL_NOT
        while (at > 0 && list[(at - 1) & 63] > item) {
            list[at & 63] = list[(at - 1) & 63];
            at--;
        }
        list[at & 63] = item;
    }
    return (u64)list[0] << 32 | list[47];
}

/* A small machine: one byte, one instruction. */
PROGRAM(dispatch)
{
    u64 x = 1, y = 2, taken = 0;

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
    __asm__ volatile("" : "+r"(a));
    return (a ^ b) * 3 + 1;
}

PROGRAM(local_calls)
{
    u64 sum = size;

    (void)data;
    UNROLL_NOT
    for (u64 i = 0; i < 200; i++)
        sum = mix(sum, i);
    return sum;
}

PROGRAM(helper_calls)
{
    u64 sum = 0;

    (void)data;
    (void)size;
    UNROLL_NOT
    for (u64 i = 0; i < 200; i++)
        sum += processor() + i;
    return sum;
}
