/* SPDX-License-Identifier: MIT */
/* The name by which existing sources include <anybpf/bpf_helpers.h>. */
#include <anybpf/bpf_helpers.h>
