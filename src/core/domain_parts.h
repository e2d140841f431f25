/* What the parts of a domain need of each other: domain.c (life), participants.c (who lives, and has
 * locks), seats.c (who sits where, and since when) and registry.c (objects and areas by number).
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#ifndef ANYBPF_DOMAIN_PARTS_H
#define ANYBPF_DOMAIN_PARTS_H

#include "domain.h"

/* A seat's word: the epoch above, the participant below. */
#define PARTICIPANT_BITS ANYBPF_PARTICIPANT_BITS
#define PARTICIPANT_MASK ((UINT64_C(1) << PARTICIPANT_BITS) - 1)

#define FIRST_EPOCH 2u
#define TURNS_BEFORE_LOOK 96u /* of anybpf_back_off: before it begins to nap */

/* Gives this process a number of its own, by which others know that it lives. 0, or an errno; then
 * all is as it was. */
int domain_join(struct anybpf_domain *domain);
/* This participant is no more. */
void domain_unmark(struct anybpf_domain *domain);

/* Frees what readers may still look at, once they cannot. */
void domain_free_late(struct anybpf_domain *domain, void *thing);
/* Releases everything that waits for those who are seated: nobody is any more. */
void domain_release_all(struct anybpf_domain *domain);

#endif
