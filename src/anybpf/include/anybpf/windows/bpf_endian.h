/* SPDX-License-Identifier: MIT */
/* Network byte order, the same for every platform; and the names without a prefix. */
#ifndef ANYBPF_WINDOWS_BPF_ENDIAN_H
#define ANYBPF_WINDOWS_BPF_ENDIAN_H

#include <anybpf/bpf_endian.h>

#ifndef htons
#define htons(x) bpf_htons(x)
#define htonl(x) bpf_htonl(x)
#define ntohs(x) bpf_ntohs(x)
#define ntohl(x) bpf_ntohl(x)
#endif

#endif /* ANYBPF_WINDOWS_BPF_ENDIAN_H */
