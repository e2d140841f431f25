/* SPDX-License-Identifier: MIT */
/* The name by which existing sources include <anybpf/bpf_endian.h>. */
#include <anybpf/bpf_endian.h>
