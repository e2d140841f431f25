/* SPDX-License-Identifier: MIT */
/*
 * Network byte order. Each of these is a constant expression if its argument is one, and one
 * instruction otherwise.
 */
#ifndef ANYBPF_BPF_ENDIAN_H
#define ANYBPF_BPF_ENDIAN_H

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define ANYBPF_BE16(x) __builtin_bswap16(x)
#define ANYBPF_BE32(x) __builtin_bswap32(x)
#define ANYBPF_BE64(x) __builtin_bswap64(x)
#elif __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define ANYBPF_BE16(x) ((unsigned short)(x))
#define ANYBPF_BE32(x) ((unsigned int)(x))
#define ANYBPF_BE64(x) ((unsigned long long)(x))
#else
#error "the byte order of this target is unknown"
#endif

#define bpf_htons(x) ANYBPF_BE16(x)
#define bpf_ntohs(x) ANYBPF_BE16(x)
#define bpf_htonl(x) ANYBPF_BE32(x)
#define bpf_ntohl(x) ANYBPF_BE32(x)
#define bpf_cpu_to_be64(x) ANYBPF_BE64(x)
#define bpf_be64_to_cpu(x) ANYBPF_BE64(x)

/* Other spellings, by which sources tell constants and variables apart. */
#define __bpf_htons(x) ANYBPF_BE16(x)
#define __bpf_ntohs(x) ANYBPF_BE16(x)
#define __bpf_htonl(x) ANYBPF_BE32(x)
#define __bpf_ntohl(x) ANYBPF_BE32(x)
#define __bpf_cpu_to_be64(x) ANYBPF_BE64(x)
#define __bpf_be64_to_cpu(x) ANYBPF_BE64(x)
#define __bpf_constant_htons(x) ANYBPF_BE16(x)
#define __bpf_constant_ntohs(x) ANYBPF_BE16(x)
#define __bpf_constant_htonl(x) ANYBPF_BE32(x)
#define __bpf_constant_ntohl(x) ANYBPF_BE32(x)
#define __bpf_constant_cpu_to_be64(x) ANYBPF_BE64(x)
#define __bpf_constant_be64_to_cpu(x) ANYBPF_BE64(x)

#endif /* ANYBPF_BPF_ENDIAN_H */
