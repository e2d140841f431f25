/* Moving a packet's ends.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#ifndef ANYBPF_PACKET_H
#define ANYBPF_PACKET_H

#include "helpers.h"

#define ETHERNET_HEADER 14u

/* Makes sure that there is room for so many bytes in front of the metadata and behind the end: the
 * buffer's, or what the hook adds. */
bool anybpf_packet_room(struct anybpf_run *run, uint64_t head, uint64_t tail);
/* Takes over a packet that a helper has changed. */
void anybpf_packet_changed(struct anybpf_run *run, const struct anybpf_packet *packet);

/* Copies between packet and program. 0, -EFAULT or -EINVAL (outside the packet). */
int anybpf_packet_load(struct anybpf_run *run, uint64_t offset, uint64_t to, uint32_t size);
int anybpf_packet_store(struct anybpf_run *run, uint64_t offset, uint64_t from, uint32_t size);

#endif
