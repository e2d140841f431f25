/* The table that all hash maps are made of. Not a map by itself: the kinds in hash.c,
 * percpu_hash.c, lru_hash.c, lru_percpu_hash.c and hash_of_maps.c say which parts they use.
 *
 * Groups of 14 slots. A group's tags are two words: a byte for each slot (empty, retired, or eight
 * bits of the key's hash), and a byte that says how many groups further on a key that belongs here
 * may lie. Entries, key and value side by side, lie elsewhere, at the same index, so that what
 * programs can write to holds nothing but keys and values. A key has a favourite slot in its group:
 * the entry there is fetched at the same time as the tags, and mostly is the one.
 *
 * An entry does not move. A value of one word is replaced by one store; a larger one by another
 * entry in the same group, and the old one is retired: it stays as it is until nobody who is seated
 * can have found it. Where that cannot be (per-CPU values, fields that stay, no slot to spare), the
 * value is changed in place, by way of a journal that outlives its writer.
 *
 * A table that grows gets further levels, each as large as all before together.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#ifndef ANYBPF_TABLE_H
#define ANYBPF_TABLE_H

#include "../map.h"

#include <string.h>

#define ANYBPF_TABLE_SLOTS 14u
#define ANYBPF_TABLE_ALL_SLOTS ((1u << ANYBPF_TABLE_SLOTS) - 1)
/* Entries that a group has on the average when the table is full: fewer than slots, so that most
 * keys lie at home and there is room for what is retired. */
#define ANYBPF_TABLE_FULL_GROUP 10u
#define ANYBPF_TABLE_LEVELS 24u
#define ANYBPF_TABLE_JOURNALS 16u

#define ANYBPF_SLOT_EMPTY 0u
#define ANYBPF_SLOT_RETIRED 1u
#define ANYBPF_SLOT_LIVE 0x80u /* and seven bits of the hash */

/* The byte for how far keys lie from home; this much or more is in the guard. */
#define ANYBPF_REACH_SHIFT 48u
#define ANYBPF_REACH_FAR 255u

#define ANYBPF_NO_SEAT UINT32_MAX
#define ANYBPF_ALL_COPIES_OF_ENTRY UINT32_MAX

/* In the segment. Changed with the group's lock, read without. */
struct anybpf_tags {
    _Alignas(16) _Atomic uint64_t word[2];
};

/* In the segment. The lock of a key's home group on level 0 serialises all that is done to the key;
 * the lock of the group that a slot is in is needed to change the slot's tag. Whoever holds one
 * lock only tries to take others. */
struct anybpf_guard {
    _Alignas(64) struct anybpf_lock lock;
    _Atomic uint32_t version;   /* odd while a value of a key that belongs here changes in place */
    _Atomic uint32_t away;      /* keys that belong here and lie in other groups of the level */
    _Atomic uint32_t reach;     /* how far at most */
    _Atomic uint32_t replacing; /* the slot whose successor is being published, counted from 1 */
    _Atomic uint16_t stamp[ANYBPF_TABLE_SLOTS]; /* when slots were retired: the epoch's low bits */
};

/* In the segment, innermost lock. */
struct anybpf_journal {
    _Alignas(64) struct anybpf_lock lock;
    _Atomic uint32_t marked; /* what follows is to be done (again) */
    _Atomic uint32_t level;
    _Atomic uint32_t copy;
    _Atomic uint64_t index;
};

/* In the segment, behind the map's header. */
struct anybpf_table_header {
    uint64_t seed;
    uint64_t multiplier;
    _Atomic uint32_t levels;  /* in use */
    _Atomic uint32_t recount; /* somebody died: the number of entries may be one too high */
    struct anybpf_shape inner; /* of maps that hold maps */
    _Alignas(64) _Atomic uint32_t clock; /* LRU: insertions so far */
    _Alignas(64) _Atomic uint32_t hand;  /* LRU: the group to look at next */
};

/* What follows is this process's knowledge of where things are. */
struct anybpf_level {
    struct anybpf_tags *tags;
    uint8_t *entries;
    struct anybpf_guard *guards;
    _Atomic uint32_t *used;  /* LRU: the clock when it was last used */
    uint8_t *values;         /* per CPU: planes, one for each; else within entries */
    size_t plane;
    uint32_t groups;
    size_t start; /* offsets in the segment, for growing */
    size_t end;
    uint64_t capacity; /* entries that this and the lower levels should have at most */
};

/* Whether the program in a seat is changing a value without a lock (anybpf_table_store_at_once). */
struct anybpf_busy {
    _Alignas(64) _Atomic uint32_t word;
};

struct anybpf_table {
    struct anybpf_table_header *header;
    uint64_t seed;
    uint64_t multiplier;
    uint32_t key_size;
    _Atomic uint32_t levels; /* mapped here */
    size_t stride;           /* bytes of an entry, without per-CPU values */
    size_t group_stride;     /* of a group's entries */
    size_t value_offset;     /* in an entry */
    size_t value_stride;
    struct anybpf_busy *busy; /* by seats of programs; NULL: all changes are made with a lock */
    uint32_t busy_seats;      /* 0 then */
    struct anybpf_level level[ANYBPF_TABLE_LEVELS];
    uint32_t most_levels;
    uint32_t copies;   /* values that an entry has */
    bool is_lru;
    bool grows;
    bool is_one_word;  /* values are replaced by one store */
    bool reads_words;  /* there is one word a key, beside it, and users' reading leaves no trace */
    bool stays;        /* values have fields that stay where they are */
    uint32_t journals; /* 0: none */
    uint8_t *journal;
    size_t journal_stride;
    void *busy_memory; /* what `busy` lies in */
    struct anybpf_lock growing; /* of this process's threads */
    struct anybpf_shape inner;
};

struct anybpf_place {
    uint32_t level;
    uint32_t group;
    uint32_t slot;
};

static inline struct anybpf_table *anybpf_table_of(const struct anybpf_map *map)
{
    return map->private;
}

/* table.c: how it lies in the segment. */
int anybpf_table_measure(const struct anybpf_domain *domain, const struct anybpf_shape *shape,
                         size_t *size, size_t *reserve);
int anybpf_table_init(struct anybpf_map *map);
int anybpf_table_open(struct anybpf_map *map);
void anybpf_table_close(struct anybpf_map *map);
/* Adds a level, if the table has not got one more than `levels` by now. */
bool anybpf_table_grow(struct anybpf_map *map, uint32_t levels);
uint64_t anybpf_table_count(struct anybpf_map *map);

/* Makes levels that others added usable here. The number of levels. */
uint32_t anybpf_table_catch_up(struct anybpf_map *map);

/* table_find.c: a key's entry and place; NULL: there is none. In line: table_find.h. */
uint8_t *anybpf_table_find(struct anybpf_map *map, const void *key, struct anybpf_place *place);

/* table_repair.c: what is done with a table's locks, and what is put in order when a holder died. */
void anybpf_table_repair(struct anybpf_map *map, uint32_t level, uint32_t group);
/* With the group's lock. */
void anybpf_table_set_tag(struct anybpf_level *level, uint32_t group, uint32_t slot,
                          uint32_t tag);
void anybpf_table_set_reach(struct anybpf_level *level, uint32_t home, uint32_t reach);
/* The slot is not to be found any more, and is used again when nobody can know it. */
void anybpf_table_retire(struct anybpf_map *map, struct anybpf_place place);
/* Changes a value in place, with the lock of the key's home. */
void anybpf_table_store_by_journal(struct anybpf_map *map, struct anybpf_place place,
                                   uint32_t copy, const void *value, uint64_t hash);
/* The number of entries, counted again because somebody died. With no lock. */
void anybpf_table_recount(struct anybpf_map *map);
/* A value's spin lock was held by one who died. */
void anybpf_table_settle(struct anybpf_map *map, const void *value);
/* All locks, so that everything is at rest, and what the dead left is put in order. Who has one lock
 * does not wait for others, so this may. The number of levels. */
uint32_t anybpf_table_lock_all(struct anybpf_map *map);
void anybpf_table_unlock_all(struct anybpf_map *map, uint32_t levels);
/* With all locks. */
void anybpf_table_count_again(struct anybpf_map *map, uint32_t levels);

/* table_check.c */
void anybpf_table_count_away(struct anybpf_map *map, uint32_t level, uint32_t home,
                             uint32_t *away, uint32_t *furthest);
bool anybpf_table_check(struct anybpf_map *map, char *why, size_t why_size);

/* table_room.c: slots for new entries, and who makes way for them. */
enum anybpf_effort { ANYBPF_LOOK_NEAR, ANYBPF_LOOK_FAR, ANYBPF_LOOK_EVERYWHERE };
/* A slot for the key, with the lock of its home on level 0; its group's lock, and its home's on its
 * level, are held afterwards too. */
bool anybpf_table_room(struct anybpf_map *map, uint64_t hash, uint32_t seat,
                       enum anybpf_effort effort, struct anybpf_place *place);
/* Gives back what `anybpf_table_room` or `anybpf_table_reach_for` took. */
void anybpf_table_leave(struct anybpf_map *map, struct anybpf_place place, uint64_t hash);
/* A slot in the same group, whose lock is held; false if there is none, or none to spare. */
bool anybpf_table_neighbour(struct anybpf_map *map, struct anybpf_place place, uint32_t seat,
                            struct anybpf_place *neighbour);
/* Takes the locks that it takes to change a slot's tag, but for that of the key's home on level 0,
 * which the caller has. False: `busy` is to be waited for, with no lock, before trying again. */
bool anybpf_table_reach_for(struct anybpf_map *map, struct anybpf_place place, uint64_t hash,
                            struct anybpf_place *busy);
/* Removes an entry that has not been used for long. With no lock. */
bool anybpf_table_evict(struct anybpf_map *map);

/* table_change.c: what is done to keys. `copy` is a CPU's number or ANYBPF_ALL_COPIES_OF_ENTRY. */
int anybpf_table_update(struct anybpf_map *map, const void *key, const void *value,
                        uint64_t flags, uint32_t seat, uint32_t copy);
/* The seat's own copy, of per-CPU kinds; a guest has none. */
int anybpf_table_update_own(struct anybpf_map *map, const void *key, const void *value,
                            uint64_t flags, uint32_t seat);
int anybpf_table_write(struct anybpf_map *map, const void *key, const void *value, uint64_t flags);
int anybpf_table_erase(struct anybpf_map *map, const void *key, uint32_t seat);
/* With all locks that it takes. */
void anybpf_table_remove(struct anybpf_map *map, struct anybpf_place place, uint64_t hash);
int anybpf_table_take(struct anybpf_map *map, const void *key, void *value);

/* table_read.c: copies of values as users see them, never torn. */
int anybpf_table_read(struct anybpf_map *map, const void *key, void *value, uint64_t flags);
/* With or without the lock of the key's home. */
int anybpf_table_copy_out(struct anybpf_map *map, struct anybpf_place place, uint64_t hash,
                          bool is_locked, void *value);

/* table_walk.c: all entries, in the order of their hashes, which does not depend on their places. */
int anybpf_table_next(struct anybpf_map *map, const void *key, void *next);
int anybpf_table_scan(struct anybpf_map *map, uint64_t *cursor, void *keys, void *values,
                      uint32_t *count);
uint64_t anybpf_table_each(struct anybpf_map *map, uint32_t seat,
                           int (*visit)(void *arg, const void *key, void *value), void *arg);
const void *anybpf_table_key_of(struct anybpf_map *map, const void *value);

/* What hash maps have in common, in their tables of operations. */
#define ANYBPF_TABLE_OPS                                                                           \
    .measure = anybpf_table_measure, .init = anybpf_table_init, .open = anybpf_table_open,         \
    .close = anybpf_table_close, .erase = anybpf_table_erase, .read = anybpf_table_read,           \
    .write = anybpf_table_write, .take = anybpf_table_take, .next = anybpf_table_next,             \
    .scan = anybpf_table_scan, .count = anybpf_table_count, .each = anybpf_table_each,             \
    .key_of = anybpf_table_key_of, .settle = anybpf_table_settle, .check = anybpf_table_check

#endif
