/* SPDX-License-Identifier: MIT */
/* The name by which existing sources include <anybpf/bpf_helper_defs.h>. */
#include <anybpf/bpf_helper_defs.h>
