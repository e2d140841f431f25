/* SPDX-License-Identifier: MIT */
/* The name by which existing sources include <anybpf/bpf_tracing.h>. */
#include <anybpf/bpf_tracing.h>
