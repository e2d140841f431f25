/* SPDX-License-Identifier: MIT */
/* The name by which existing sources include <anybpf/bpf_core_read.h>. */
#include <anybpf/bpf_core_read.h>
