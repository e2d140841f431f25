/* What compiled code calls: it does what the operations of a kind do, for keys and values of all
 * sizes, and arrays lie where their layout says. Run under sanitizers by test_direct.py.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "../checks.h"
#include "maps/table.h"

#include <string.h>

#define CPUS 2u
#define ENTRIES 500u

static struct anybpf_map *make(struct anybpf_domain *domain, uint32_t kind, uint32_t key_size,
                               uint32_t value_size, uint32_t flags)
{
    static uint32_t id;
    struct anybpf_shape shape = {.kind = kind, .key_size = key_size, .value_size = value_size,
                                 .max_entries = key_size == 1 ? 200 : ENTRIES, .flags = flags,
                                 .lock_offset = ANYBPF_NO_FIELD,
                                 .timer_offset = ANYBPF_NO_FIELD};
    struct anybpf_map *map = NULL;

    CHECK(anybpf_map_create(domain, ++id, &shape, NULL, false, &map) == ANYBPF_OK);
    return map;
}

/* Numbers differ in the last bytes of a key where there is room, so that all of it must be looked at. */
static void make_key(uint8_t *key, uint32_t size, uint32_t number)
{
    memset(key, 0x5a, size);
    if (size == 1)
        key[0] = (uint8_t)number;
    else
        memcpy(key + size - (size < 4 ? 2 : 4), &number, size < 4 ? 2 : 4);
}

static void one_table(struct anybpf_domain *domain, uint32_t kind, uint32_t key_size,
                      uint32_t value_size)
{
    struct anybpf_map *map = make(domain, kind, key_size, value_size, 0);
    const struct anybpf_direct *direct = anybpf_map_direct(map);
    uint32_t seat = anybpf_enter(domain, 1);
    uint8_t key[64] = {0};
    uint8_t value[64];
    uint8_t other[64];
    char why[256] = "";
    uint32_t i;

    memset(other, 0xee, sizeof(other));
    for (i = 0; i < map->shape.max_entries; i++) {
        make_key(key, key_size, i);
        memset(value, (int)(i & 0xff), sizeof(value));
        CHECK(direct->lookup(map, key, seat) == NULL);
        CHECK(direct->update(map, key, value, ANYBPF_EXIST, seat) == ANYBPF_MISSING_KEY);
        CHECK(direct->update(map, key, value, i % 2 ? ANYBPF_ANY : ANYBPF_NOEXIST, seat) ==
             ANYBPF_OK);
        CHECK(direct->update(map, key, other, ANYBPF_NOEXIST, seat) == ANYBPF_EXISTS);
    }
    for (i = 0; i < map->shape.max_entries; i++) {
        uint8_t *found;

        make_key(key, key_size, i);
        memset(value, (int)(i & 0xff), sizeof(value));
        found = direct->lookup(map, key, seat);
        CHECK(found != NULL && memcmp(found, value, value_size) == 0);
        CHECK(found == map->ops->lookup(map, key, seat));
        CHECK(direct->update(map, key, other, i % 2 ? ANYBPF_ANY : ANYBPF_EXIST, seat) == ANYBPF_OK);
        found = direct->lookup(map, key, seat);
        CHECK(found != NULL && memcmp(found, other, value_size) == 0);
        CHECK(direct->update(map, key, other, 3, seat) == ANYBPF_BAD_FLAGS);
        CHECK(direct->update(map, key, other, ANYBPF_WITH_LOCK, seat) == ANYBPF_BAD_FLAGS);
        if (anybpf_is_per_cpu(kind)) { /* another processor's is its own; a guest has none */
            found = direct->lookup(map, key, 0);
            CHECK(found != NULL && found[0] == 0);
            CHECK(direct->lookup(map, key, CPUS) == NULL);
            CHECK(direct->update(map, key, other, ANYBPF_ANY, CPUS) == ANYBPF_NOT_SUPPORTED);
        }
    }
    CHECK(map->ops->check(map, why, sizeof(why)));
    for (i = 0; i < map->shape.max_entries; i += 3) {
        make_key(key, key_size, i);
        CHECK(direct->erase(map, key, seat) == ANYBPF_OK);
        CHECK(direct->erase(map, key, seat) == ANYBPF_MISSING_KEY);
        CHECK(direct->lookup(map, key, seat) == NULL);
    }
    anybpf_leave(domain, seat);
    anybpf_map_close(map);
}

static void all_tables(struct anybpf_domain *domain)
{
    const uint32_t kinds[] = {ANYBPF_HASH, ANYBPF_LRU_HASH, ANYBPF_PERCPU_HASH,
                              ANYBPF_LRU_PERCPU_HASH};
    const uint32_t keys[] = {1, 2, 3, 4, 5, 7, 8, 11, 12, 16, 20, 24, 33, 40};
    const uint32_t values[] = {1, 4, 6, 8, 12, 16};
    size_t kind;
    size_t key;
    size_t value;

    for (kind = 0; kind < sizeof(kinds) / sizeof(kinds[0]); kind++)
        for (key = 0; key < sizeof(keys) / sizeof(keys[0]); key++)
            for (value = 0; value < sizeof(values) / sizeof(values[0]); value++)
                one_table(domain, kinds[kind], keys[key], values[value]);
}

static void one_array(struct anybpf_domain *domain, uint32_t kind, uint32_t value_size)
{
    struct anybpf_map *map = make(domain, kind, 4, value_size, 0);
    const struct anybpf_direct *direct = anybpf_map_direct(map);
    struct anybpf_array_layout layout;
    uint8_t value[64];
    uint32_t seat;
    uint32_t i;

    CHECK(anybpf_array_layout(map, &layout));
    CHECK(layout.entries == ENTRIES && layout.cpus == CPUS && layout.value_size == value_size);
    CHECK((layout.cpu_stride != 0) == (kind == ANYBPF_PERCPU_ARRAY));
    for (seat = 0; seat < CPUS; seat++) {
        CHECK(anybpf_enter(domain, seat) == seat);
        for (i = 0; i < ENTRIES; i++) {
            uint8_t *found = direct->lookup(map, &i, seat);

            CHECK(found == layout.values + (size_t)i * layout.stride + seat * layout.cpu_stride);
            memset(value, (int)((i + seat) & 0xff), sizeof(value));
            CHECK(direct->update(map, &i, value, i % 2 ? ANYBPF_ANY : ANYBPF_EXIST, seat) ==
                 ANYBPF_OK);
            CHECK(memcmp(found, value, value_size) == 0);
        }
        CHECK(direct->lookup(map, &i, seat) == NULL);
        CHECK(direct->update(map, &i, value, ANYBPF_ANY, seat) == ANYBPF_BAD_INDEX);
        i = 0;
        CHECK(direct->update(map, &i, value, ANYBPF_NOEXIST, seat) == ANYBPF_ALWAYS_THERE);
        CHECK(direct->update(map, &i, value, 8, seat) == ANYBPF_BAD_FLAGS);
        CHECK(direct->erase(map, &i, seat) == ANYBPF_CANNOT_DELETE);
        anybpf_leave(domain, seat);
    }
    if (kind == ANYBPF_PERCPU_ARRAY) {
        CHECK(direct->lookup(map, &i, CPUS) == NULL);
        CHECK(direct->update(map, &i, value, ANYBPF_ANY, CPUS) == ANYBPF_NOT_SUPPORTED);
    }
    anybpf_map_close(map);
}

/* What programs may not do has no function. */
static void rights(struct anybpf_domain *domain)
{
    struct anybpf_array_layout layout;
    struct anybpf_map *map = make(domain, ANYBPF_ARRAY, 4, 8, ANYBPF_PROGRAM_WRITES_ONLY);

    CHECK(!anybpf_array_layout(map, &layout));
    CHECK(anybpf_map_direct(map)->lookup == NULL && anybpf_map_direct(map)->update != NULL);
    anybpf_map_close(map);
    map = make(domain, ANYBPF_HASH, 4, 8, ANYBPF_PROGRAM_READS_ONLY);
    CHECK(!anybpf_array_layout(map, &layout));
    CHECK(anybpf_map_direct(map)->lookup != NULL && anybpf_map_direct(map)->update == NULL &&
         anybpf_map_direct(map)->erase == NULL);
    anybpf_map_close(map);
    map = make(domain, ANYBPF_QUEUE, 0, 8, 0);
    CHECK(anybpf_map_direct(map)->lookup == NULL);
    anybpf_map_close(map);
}

/* Keys that are numbers in a row lie at home in every table, whatever its secret: a few in a hundred do
 * not where they are as good as random. */
static void keys_in_a_row(struct anybpf_domain *domain)
{
    const uint32_t sizes[] = {4, 8, 16};
    uint32_t turn;

    for (turn = 0; turn < 600; turn++) {
        uint32_t size = sizes[turn % 3];
        struct anybpf_map *map = make(domain, ANYBPF_HASH, size, 8, 0);
        const struct anybpf_level *level = &anybpf_table_of(map)->level[0];
        uint32_t seat = anybpf_enter(domain, 0);
        uint8_t key[16] = {0};
        uint64_t value = 1;
        uint32_t away = 0;
        uint32_t i;

        for (i = 0; i < ENTRIES; i++) {
            memcpy(key + size - 4, &i, 4);
            CHECK(anybpf_map_direct(map)->update(map, key, &value, ANYBPF_ANY, seat) == ANYBPF_OK);
        }
        for (i = 0; i < level->groups; i++)
            away += atomic_load(&level->guards[i].away);
        CHECK(away < ENTRIES / 20);
        anybpf_leave(domain, seat);
        anybpf_map_close(map);
    }
}

int main(void)
{
    const uint32_t values[] = {1, 4, 6, 8, 12, 16, 40};
    struct anybpf_domain *domain;
    size_t i;

    CHECK(anybpf_domain_create(&domain, CPUS, false) == 0);
    for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        one_array(domain, ANYBPF_ARRAY, values[i]);
        one_array(domain, ANYBPF_PERCPU_ARRAY, values[i]);
    }
    rights(domain);
    all_tables(domain);
    keys_in_a_row(domain);
    anybpf_domain_free(domain);
    puts("all passed");
    return 0;
}
