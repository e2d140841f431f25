/* What is found in a domain: objects by number, and memory that programs may touch by address.
 *
 * Both are looked at without a lock. Where there is no room, or something goes, a new table takes the
 * old one's place; those who are seated may go on with the old one.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "domain_parts.h"

#include <errno.h>
#include <stdlib.h>

struct anybpf_registry {
    size_t capacity; /* a power of two */
    size_t used;     /* numbers that came, whether or not they went */
    struct {
        _Atomic uint32_t id;
        struct anybpf_object *_Atomic object;
    } entry[];
};

struct anybpf_areas {
    size_t count;
    struct anybpf_area area[]; /* by address */
};

/* Objects. */

static size_t registry_slot(const struct anybpf_registry *registry, uint32_t id)
{
    return (size_t)(id * UINT32_C(2654435769)) & (registry->capacity - 1);
}

static void registry_put(struct anybpf_registry *registry, struct anybpf_object *object)
{
    size_t i = registry_slot(registry, object->id);

    while (atomic_load(&registry->entry[i].id) != 0)
        i = (i + 1) & (registry->capacity - 1);
    atomic_store(&registry->entry[i].object, object);
    atomic_store(&registry->entry[i].id, object->id);
    registry->used++;
}

static struct anybpf_registry *larger_registry(struct anybpf_registry *old)
{
    size_t living = 0;
    size_t capacity = 64;
    size_t i;
    struct anybpf_registry *new;

    for (i = 0; old != NULL && i < old->capacity; i++)
        living += atomic_load(&old->entry[i].object) != NULL;
    while (capacity < 4 * (living + 1))
        capacity *= 2;
    new = calloc(1, sizeof(*new) + capacity * sizeof(new->entry[0]));
    if (new == NULL)
        return NULL;
    new->capacity = capacity;
    for (i = 0; old != NULL && i < old->capacity; i++) {
        struct anybpf_object *object = atomic_load(&old->entry[i].object);

        if (object != NULL)
            registry_put(new, object);
    }
    return new;
}

int anybpf_register(struct anybpf_domain *domain, struct anybpf_object *object)
{
    struct anybpf_registry *registry;
    struct anybpf_registry *outgrown = NULL;
    int problem = 0;

    if (object->id == 0)
        return EINVAL;
    anybpf_lock_take(domain, &domain->lock);
    registry = atomic_load(&domain->registry);
    if (registry == NULL || 2 * (registry->used + 1) > registry->capacity) {
        struct anybpf_registry *larger = larger_registry(registry);

        if (larger == NULL) {
            problem = ENOMEM;
        } else {
            outgrown = registry;
            registry = larger;
            atomic_store(&domain->registry, registry);
        }
    }
    if (problem == 0 && anybpf_find(domain, object->id) != NULL)
        problem = EEXIST;
    if (problem == 0)
        registry_put(registry, object);
    anybpf_lock_give(&domain->lock);
    domain_free_late(domain, outgrown);
    return problem;
}

void anybpf_unregister(struct anybpf_domain *domain, struct anybpf_object *object)
{
    struct anybpf_registry *registry;
    size_t i;

    anybpf_lock_take(domain, &domain->lock);
    registry = atomic_load(&domain->registry);
    for (i = 0; registry != NULL && i < registry->capacity; i++) {
        size_t at = (registry_slot(registry, object->id) + i) & (registry->capacity - 1);

        if (atomic_load(&registry->entry[at].id) == 0)
            break;
        if (atomic_load(&registry->entry[at].object) == object)
            atomic_store(&registry->entry[at].object, NULL);
    }
    anybpf_lock_give(&domain->lock);
}

struct anybpf_object *anybpf_find(struct anybpf_domain *domain, uint32_t id)
{
    struct anybpf_registry *registry = atomic_load(&domain->registry);
    size_t i;
    uint32_t found;

    if (registry == NULL || id == 0)
        return NULL;
    i = registry_slot(registry, id);
    while ((found = atomic_load(&registry->entry[i].id)) != 0) {
        if (found == id)
            return atomic_load(&registry->entry[i].object);
        i = (i + 1) & (registry->capacity - 1);
    }
    return NULL;
}

/* Areas. */

/* With the lock, which it gives back. */
static void replace_areas(struct anybpf_domain *domain, struct anybpf_areas *new)
{
    struct anybpf_areas *old = atomic_load(&domain->areas);

    atomic_store(&domain->areas, new);
    anybpf_lock_give(&domain->lock);
    domain_free_late(domain, old);
}

int anybpf_add_area(struct anybpf_domain *domain, struct anybpf_area area)
{
    struct anybpf_areas *old;
    struct anybpf_areas *new;
    size_t count;
    size_t i;
    size_t at = 0;

    if (area.size == 0)
        return 0;
    anybpf_lock_take(domain, &domain->lock);
    old = atomic_load(&domain->areas);
    count = old == NULL ? 0 : old->count;
    new = malloc(sizeof(*new) + (count + 1) * sizeof(new->area[0]));
    if (new == NULL) {
        anybpf_lock_give(&domain->lock);
        return ENOMEM;
    }
    for (i = 0; i < count; i++) {
        if (at == i && old->area[i].start > area.start)
            new->area[at++] = area;
        new->area[at++] = old->area[i];
    }
    if (at == count)
        new->area[at++] = area;
    new->count = at;
    replace_areas(domain, new);
    return 0;
}

void anybpf_remove_area(struct anybpf_domain *domain, uintptr_t start)
{
    struct anybpf_areas *old;
    struct anybpf_areas *new;
    size_t i;

    anybpf_lock_take(domain, &domain->lock);
    old = atomic_load(&domain->areas);
    new = old == NULL ? NULL : malloc(sizeof(*new) + old->count * sizeof(new->area[0]));
    if (new == NULL) { /* nothing there, or no memory: a list that says too much is left to nobody */
        if (old != NULL)
            for (i = 0; i < old->count; i++)
                if (old->area[i].start == start)
                    old->area[i].size = 0;
        atomic_fetch_add(&domain->areas_version, 1);
        anybpf_lock_give(&domain->lock);
        return;
    }
    new->count = 0;
    for (i = 0; i < old->count; i++)
        if (old->area[i].start != start)
            new->area[new->count++] = old->area[i];
    atomic_fetch_add(&domain->areas_version, 1);
    replace_areas(domain, new);
}

bool anybpf_find_area(struct anybpf_domain *domain, uintptr_t address, struct anybpf_area *area)
{
    const struct anybpf_areas *areas = atomic_load(&domain->areas);
    size_t low = 0;
    size_t high = areas == NULL ? 0 : areas->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (areas->area[middle].start <= address)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0)
        return false;
    *area = areas->area[low - 1];
    return address - area->start < area->size;
}
