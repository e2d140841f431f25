/* SPDX-License-Identifier: MIT */
/* What counter.c gives to the programs that are linked with it. */
#ifndef COUNTER_H
#define COUNTER_H

#include <linux/types.h>

struct count {
	__u64 packets;
	__u64 bytes;
};

/* Counts one packet of `bytes` bytes under a number; returns how many there were before. */
__u64 count_packet(__u32 number, __u64 bytes);

#endif
