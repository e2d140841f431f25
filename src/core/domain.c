/* Domains: how they are made, joined by other processes, inherited by children, and freed.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "domain_parts.h"

#include <errno.h>
#include <stdlib.h>

#define MAGIC 0x316d6f6466706261u /* "abpfdom1" */
#define VERSION 1u

static struct anybpf_domain *new_domain(bool shared)
{
    struct anybpf_domain *domain = calloc(1, sizeof(*domain));

    if (domain != NULL) {
        domain->segment.fd = -1;
        domain->mark = -1;
        domain->shared = shared;
    }
    return domain;
}

int anybpf_domain_create(struct anybpf_domain **out, uint32_t cpus, bool shared)
{
    struct anybpf_domain *domain;
    struct anybpf_domain_header *header;
    int problem;

    if (cpus == 0 || cpus > ANYBPF_MOST_CPUS)
        return EINVAL;
    domain = new_domain(shared);
    if (domain == NULL)
        return ENOMEM;
    domain->cpus = cpus;
    domain->seats = cpus + ANYBPF_GUEST_SEATS;
    problem = anybpf_segment_create(
        &domain->segment, sizeof(*header) + domain->seats * sizeof(struct anybpf_seat), 0, shared,
        "anybpf domain");
    if (problem != 0) {
        free(domain);
        return problem;
    }
    header = (struct anybpf_domain_header *)(void *)domain->segment.base;
    domain->header = header;
    header->magic = MAGIC;
    header->version = VERSION;
    header->cpus = cpus;
    header->seats = domain->seats;
    if (!anybpf_random_bytes(&header->identity, sizeof(header->identity))) {
        anybpf_domain_free(domain);
        return EIO;
    }
    atomic_store(&header->next_participant, 1);
    atomic_store(&header->epoch, FIRST_EPOCH);
    problem = domain_join(domain);
    if (problem != 0) {
        anybpf_domain_free(domain);
        return problem;
    }
    *out = domain;
    return 0;
}

int anybpf_domain_attach(struct anybpf_domain **out, int fd, bool sealed)
{
    struct anybpf_domain *domain = new_domain(true);
    struct anybpf_domain_header *header;
    int problem;

    if (domain == NULL)
        return ENOMEM;
    problem = anybpf_segment_attach(&domain->segment, fd, sizeof(*header), 0, true, sealed);
    if (problem != 0) {
        free(domain);
        return problem;
    }
    header = (struct anybpf_domain_header *)(void *)domain->segment.base;
    domain->header = header;
    domain->cpus = header->cpus;
    domain->seats = header->seats;
    if (header->magic != MAGIC || header->version != VERSION || domain->cpus == 0 ||
        domain->cpus > ANYBPF_MOST_CPUS || domain->seats != domain->cpus + ANYBPF_GUEST_SEATS ||
        domain->segment.size < sizeof(*header) + domain->seats * sizeof(struct anybpf_seat))
        problem = EINVAL;
    else
        problem = domain_join(domain);
    if (problem != 0) {
        anybpf_domain_free(domain);
        return problem;
    }
    *out = domain;
    return 0;
}

void anybpf_domain_free(struct anybpf_domain *domain)
{
    domain_release_all(domain);
    free(atomic_load(&domain->registry));
    free(atomic_load(&domain->areas));
    domain_unmark(domain);
    anybpf_segment_release(&domain->segment);
    free(domain);
}

void anybpf_domain_forked(struct anybpf_domain *domain)
{
    uint32_t parent = atomic_load(&domain->self);
    uint32_t i;

    /* Without a number or a descriptor to spare, the child goes on under its parent's: what it leaves
     * locked if it is killed stays locked until both are gone. */
    (void)domain_join(domain);
    atomic_store(&domain->lock.word, 0);
    if (domain->shared)
        return;
    for (i = 0; i < domain->seats; i++) {
        uint64_t word = atomic_load(&domain->header->seat[i].word);

        if ((word & PARTICIPANT_MASK) == parent)
            atomic_store(&domain->header->seat[i].word, 0);
    }
}
