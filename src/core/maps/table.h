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

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

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

/* Hashes. A secret multiplier, so that nobody can choose keys that collide. */

__extension__ typedef unsigned __int128 anybpf_wide;

static inline uint64_t anybpf_fold(uint64_t a, uint64_t b)
{
    anybpf_wide product = (anybpf_wide)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline __attribute__((always_inline)) uint64_t
anybpf_table_hash(const struct anybpf_table *table, const void *key, uint32_t key_size)
{
    uint64_t word = 0;

    if (key_size == 8) {
        memcpy(&word, key, 8);
    } else if (key_size == 4) {
        uint32_t half;

        memcpy(&half, key, 4);
        word = half;
    } else {
        word = anybpf_hash_bytes(key, key_size, table->seed);
    }
    return anybpf_fold(word ^ table->seed, table->multiplier);
}

static inline uint32_t anybpf_home(const struct anybpf_level *level, uint64_t hash)
{
    return (uint32_t)(((hash >> 32) * level->groups) >> 32);
}

static inline uint32_t anybpf_favourite(uint64_t hash)
{
    return (uint32_t)(((hash >> 8 & 0xffff) * ANYBPF_TABLE_SLOTS) >> 16);
}

static inline uint32_t anybpf_tag(uint64_t hash)
{
    return (uint32_t)(hash & 0xff) | ANYBPF_SLOT_LIVE;
}

/* Sets of slots, a bit each. */

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define ANYBPF_LOOKS_FOR_RACES
#endif
#elif defined(__SANITIZE_THREAD__)
#define ANYBPF_LOOKS_FOR_RACES
#endif

#if defined(__SSE2__) && !defined(ANYBPF_LOOKS_FOR_RACES)

typedef __m128i anybpf_tag_view;

/* One load of 16 bytes, which may yet be two; whoever finds nothing makes sure that nothing changed
 * (anybpf_same_tags). */
static inline anybpf_tag_view anybpf_view_tags(const struct anybpf_tags *tags)
{
    anybpf_tag_view view = _mm_load_si128((const __m128i *)(const void *)tags);

    atomic_signal_fence(memory_order_acquire);
    return view;
}

static inline uint32_t anybpf_match(anybpf_tag_view view, uint32_t tag)
{
    return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(view, _mm_set1_epi8((char)tag))) &
           ANYBPF_TABLE_ALL_SLOTS;
}

static inline uint32_t anybpf_live(anybpf_tag_view view)
{
    return (uint32_t)_mm_movemask_epi8(view) & ANYBPF_TABLE_ALL_SLOTS;
}

static inline bool anybpf_same_tags(anybpf_tag_view a, anybpf_tag_view b)
{
    return _mm_movemask_epi8(_mm_cmpeq_epi8(a, b)) == 0xffff;
}

static inline uint32_t anybpf_reach(anybpf_tag_view view)
{
    return (uint32_t)_mm_extract_epi16(view, 7) & 0xff;
}

#else

typedef struct {
    uint64_t word[2];
} anybpf_tag_view;

static inline anybpf_tag_view anybpf_view_tags(const struct anybpf_tags *tags)
{
    anybpf_tag_view view;

    view.word[0] = atomic_load_explicit(&tags->word[0], memory_order_acquire);
    view.word[1] = atomic_load_explicit(&tags->word[1], memory_order_acquire);
    return view;
}

/* The top bits of a word's bytes, side by side. */
static inline uint32_t anybpf_top_bits(uint64_t word)
{
    return (uint32_t)(((word & UINT64_C(0x8080808080808080)) * UINT64_C(0x0002040810204081)) >> 56);
}

static inline uint64_t anybpf_zero_bytes(uint64_t word)
{
    const uint64_t low = UINT64_C(0x7f7f7f7f7f7f7f7f);

    return ~(((word & low) + low) | word | low);
}

static inline uint32_t anybpf_match(anybpf_tag_view view, uint32_t tag)
{
    uint64_t wanted = tag * UINT64_C(0x0101010101010101);

    return (anybpf_top_bits(anybpf_zero_bytes(view.word[0] ^ wanted)) |
            anybpf_top_bits(anybpf_zero_bytes(view.word[1] ^ wanted)) << 8) &
           ANYBPF_TABLE_ALL_SLOTS;
}

static inline uint32_t anybpf_live(anybpf_tag_view view)
{
    return (anybpf_top_bits(view.word[0]) | anybpf_top_bits(view.word[1]) << 8) &
           ANYBPF_TABLE_ALL_SLOTS;
}

static inline bool anybpf_same_tags(anybpf_tag_view a, anybpf_tag_view b)
{
    return a.word[0] == b.word[0] && a.word[1] == b.word[1];
}

static inline uint32_t anybpf_reach(anybpf_tag_view view)
{
    return (uint32_t)(view.word[1] >> ANYBPF_REACH_SHIFT) & 0xff;
}

#endif

static inline uint32_t anybpf_first(uint32_t slots)
{
    return (uint32_t)__builtin_ctz(slots);
}

/* Entries. */

static inline size_t anybpf_index(struct anybpf_place place)
{
    return (size_t)place.group * ANYBPF_TABLE_SLOTS + place.slot;
}

static inline uint8_t *anybpf_entry(const struct anybpf_table *table, struct anybpf_place place)
{
    return table->level[place.level].entries + place.group * table->group_stride +
           place.slot * table->stride;
}

static inline uint8_t *anybpf_value(const struct anybpf_table *table, struct anybpf_place place,
                                    uint32_t copy)
{
    const struct anybpf_level *level = &table->level[place.level];

    if (level->values == NULL)
        return anybpf_entry(table, place) + table->value_offset;
    return level->values + copy * level->plane + anybpf_index(place) * table->value_stride;
}

static inline __attribute__((always_inline)) bool anybpf_same_key(const void *entry,
                                                                  const void *key,
                                                                  uint32_t key_size)
{
    const uint8_t *a = entry;
    const uint8_t *b = key;
    uint64_t x = 0;
    uint64_t y = 0;

    if (key_size == 4) {
        uint32_t p;
        uint32_t q;

        memcpy(&p, a, 4);
        memcpy(&q, b, 4);
        return p == q;
    }
    for (; key_size >= 8; key_size -= 8, a += 8, b += 8) {
        memcpy(&x, a, 8);
        memcpy(&y, b, 8);
        if (x != y)
            return false;
    }
    for (; key_size > 0; key_size--)
        if (*a++ != *b++)
            return false;
    return true;
}

/* The entry of a group that has the key, among those whose tag matches; NULL: none. The favourite is
 * looked at first; it is the one in two of three cases, which no branch could foretell. */
static inline __attribute__((always_inline)) uint8_t *
anybpf_find_among(const struct anybpf_table *table, uint8_t *entries, uint32_t slots,
                  uint32_t favourite, const void *key, uint32_t key_size, uint32_t *slot)
{
    while (slots != 0) {
        uint32_t wanted = slots & 1u << favourite;
        uint32_t i = anybpf_first(wanted | (slots & (0u - (wanted == 0))));
        uint8_t *entry = entries + i * table->stride;

        if (__builtin_expect(anybpf_same_key(entry, key, key_size), 1)) {
            *slot = i;
            return entry;
        }
        slots &= ~(1u << i);
    }
    return NULL;
}

/* table_find.c: where tags changed meanwhile, or the key may lie in other groups. `view` is that of
 * its home, in which it was not found. */
uint8_t *anybpf_find_away(const struct anybpf_table *table, uint32_t number, const void *key,
                          uint64_t hash, anybpf_tag_view view, struct anybpf_place *place);

/* The key's entry and place on one level. A slot that was live and is not stays so while the caller is
 * seated, so two equal views of the tags are a snapshot, and nothing can have slipped from a slot
 * not yet looked at to one that was. */
static inline __attribute__((always_inline)) uint8_t *
anybpf_find_on_level(const struct anybpf_table *table, uint32_t number, const void *key,
                     uint32_t key_size, uint64_t hash, struct anybpf_place *place)
{
    const struct anybpf_level *level = &table->level[number];
    uint32_t group = anybpf_home(level, hash);
    uint32_t favourite = anybpf_favourite(hash);
    uint8_t *entries = level->entries + group * table->group_stride;
    uint8_t *entry;
    anybpf_tag_view view;

    __builtin_prefetch(entries + favourite * table->stride);
    view = anybpf_view_tags(&level->tags[group]);
    place->level = number;
    place->group = group;
    entry = anybpf_find_among(table, entries, anybpf_match(view, anybpf_tag(hash)), favourite, key,
                              key_size, &place->slot);
    if (__builtin_expect(entry != NULL, 1))
        return entry;
    if (anybpf_same_tags(view, anybpf_view_tags(&level->tags[group])) && anybpf_reach(view) == 0)
        return NULL;
    return anybpf_find_away(table, number, key, hash, view, place);
}

static inline struct anybpf_table *anybpf_table_of(const struct anybpf_map *map)
{
    return map->private;
}

/* The entry of a key of 8 bytes in a table of one level, without calls, for what is done most. False:
 * nothing is known yet. */
static inline __attribute__((always_inline)) bool
anybpf_find_at_once(const struct anybpf_table *table, const void *key, uint64_t hash,
                    uint8_t **entry)
{
    const struct anybpf_level *level = &table->level[0];
    uint32_t group = anybpf_home(level, hash);
    uint32_t favourite = anybpf_favourite(hash);
    uint8_t *entries = level->entries + group * table->group_stride;
    anybpf_tag_view view;
    uint32_t slots;
    uint32_t wanted;

    __builtin_prefetch(entries + favourite * table->stride);
    view = anybpf_view_tags(&level->tags[group]);
    slots = anybpf_match(view, anybpf_tag(hash));
    if (slots != 0) {
        wanted = slots & 1u << favourite;
        *entry = entries +
                 anybpf_first(wanted | (slots & (0u - (wanted == 0)))) * table->stride;
        return anybpf_same_key(*entry, key, 8);
    }
    *entry = NULL;
    return anybpf_reach(view) == 0 &&
           anybpf_same_tags(view, anybpf_view_tags(&level->tags[group]));
}

static inline bool anybpf_has_one_level(const struct anybpf_table *table)
{
    return atomic_load_explicit(&table->header->levels, memory_order_acquire) == 1;
}

/* Whether a key may be found at once. */
static inline bool anybpf_is_simple(const struct anybpf_table *table)
{
    return table->key_size == 8 && anybpf_has_one_level(table);
}

/* Makes levels that others added usable here. The number of levels. */
uint32_t anybpf_table_catch_up(struct anybpf_map *map);

static inline uint32_t anybpf_table_levels(struct anybpf_map *map, struct anybpf_table *table)
{
    uint32_t levels = atomic_load_explicit(&table->levels, memory_order_acquire);

    if (__builtin_expect(
            atomic_load_explicit(&table->header->levels, memory_order_acquire) != levels, 0))
        return anybpf_table_catch_up(map);
    return levels;
}

/* Where a key is that hashes to `hash`, on more than one level. */
uint8_t *anybpf_find_on_levels(struct anybpf_map *map, const void *key, uint64_t hash,
                               uint32_t levels, struct anybpf_place *place);

static inline __attribute__((always_inline)) uint8_t *
anybpf_find_sized(struct anybpf_map *map, const void *key, uint32_t key_size, uint64_t hash,
                  struct anybpf_place *place)
{
    struct anybpf_table *table = map->private;
    uint32_t levels = anybpf_table_levels(map, table);

    if (__builtin_expect(levels == 1, 1))
        return anybpf_find_on_level(table, 0, key, key_size, hash, place);
    return anybpf_find_on_levels(map, key, hash, levels, place);
}

/* Keys of other sizes than 8. */
uint8_t *anybpf_table_find_other(struct anybpf_map *map, const void *key,
                                 struct anybpf_place *place);

/* A key's entry and place; NULL: there is none. */
static inline __attribute__((always_inline)) uint8_t *
anybpf_table_find(struct anybpf_map *map, const void *key, struct anybpf_place *place)
{
    struct anybpf_table *table = map->private;

    if (__builtin_expect(table->key_size != 8, 0))
        return anybpf_table_find_other(map, key, place);
    return anybpf_find_sized(map, key, 8, anybpf_table_hash(table, key, 8), place);
}

/* LRU: it was used now. */
static inline void anybpf_table_touch(const struct anybpf_table *table, struct anybpf_place place)
{
    uint32_t now = atomic_load_explicit(&table->header->clock, memory_order_relaxed);
    _Atomic uint32_t *used = &table->level[place.level].used[anybpf_index(place)];

    if (atomic_load_explicit(used, memory_order_relaxed) != now)
        atomic_store_explicit(used, now, memory_order_relaxed);
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

/* table_repair.c: what is done with a table's locks, and what is put in order when a holder died. */
void anybpf_table_repair(struct anybpf_map *map, uint32_t level, uint32_t group);

static inline void anybpf_table_lock(struct anybpf_map *map, uint32_t level, uint32_t group)
{
    struct anybpf_table *table = map->private;
    struct anybpf_lock *lock = &table->level[level].guards[group].lock;
    uint32_t self = atomic_load_explicit(&map->domain->self, memory_order_relaxed);
    uint32_t nobody = 0;

    if (!atomic_compare_exchange_strong_explicit(&lock->word, &nobody, self, memory_order_acquire,
                                                 memory_order_relaxed) &&
        anybpf_lock_take(map->domain, lock))
        anybpf_table_repair(map, level, group);
}

static inline bool anybpf_table_try_lock(struct anybpf_map *map, uint32_t level, uint32_t group)
{
    struct anybpf_table *table = map->private;
    struct anybpf_lock *lock = &table->level[level].guards[group].lock;
    uint32_t self = atomic_load_explicit(&map->domain->self, memory_order_relaxed);
    uint32_t nobody = 0;

    return atomic_compare_exchange_strong_explicit(&lock->word, &nobody, self, memory_order_acquire,
                                                   memory_order_relaxed);
}

/* A plain store where nobody is known to wait. Whoever comes to wait at that very instant sleeps for
 * as long as it would before it looks whether the holder lives: rare, and a few milliseconds. */
static inline void anybpf_table_unlock(struct anybpf_map *map, uint32_t level, uint32_t group)
{
    struct anybpf_table *table = map->private;
    struct anybpf_lock *lock = &table->level[level].guards[group].lock;

    if (atomic_load_explicit(&lock->word, memory_order_relaxed) ==
        atomic_load_explicit(&map->domain->self, memory_order_relaxed))
        atomic_store_explicit(&lock->word, 0, memory_order_release);
    else
        anybpf_lock_give(lock);
}

static inline uint32_t anybpf_table_tag_at(const struct anybpf_level *level, uint32_t group,
                                           uint32_t slot)
{
    uint64_t word =
        atomic_load_explicit(&level->tags[group].word[slot / 8], memory_order_acquire);

    return (uint32_t)(word >> slot % 8 * 8) & 0xff;
}

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

static inline void anybpf_table_store_word(const struct anybpf_map *map, void *to,
                                           const void *value)
{
    uint64_t word = 0;

    if (map->shape.value_size == 8)
        memcpy(&word, value, 8);
    else
        memcpy(&word, value, map->shape.value_size);
    __atomic_store_n((uint64_t *)to, word, __ATOMIC_RELEASE);
}

static inline void anybpf_table_store(struct anybpf_map *map, struct anybpf_place place,
                                      uint32_t copy, const void *value, uint64_t hash)
{
    struct anybpf_table *table = map->private;
    bool all = copy == ANYBPF_ALL_COPIES_OF_ENTRY;

    if (table->is_one_word && (table->copies == 1 || !all)) {
        anybpf_table_store_word(map, anybpf_value(table, place, all ? 0 : copy), value);
        return;
    }
    anybpf_table_store_by_journal(map, place, copy, value, hash);
}

/* A word whose first bytes are these. */
static inline uint64_t anybpf_word_of_half(uint32_t half)
{
    uint64_t word = 0;

    memcpy(&word, &half, sizeof(half));
    return word;
}

/* The commonest change: a program sets a value of one word that is there. It needs no lock, for whoever
 * deletes the key at the same time does so after it, and nobody uses the slot for another key while
 * the program is seated. Only one who takes the value out must know that none comes after: he makes
 * the key unfindable, has all threads make a barrier, and waits for those that are busy. False:
 * nothing was done. */
static inline __attribute__((always_inline)) bool
anybpf_table_store_at_once(const struct anybpf_map *map, const void *key, const void *value,
                           uint64_t flags, uint32_t seat)
{
    const struct anybpf_table *table = map->private;
    _Atomic uint32_t *busy;
    uint8_t *entry = NULL;
    bool found;

    if (seat >= table->busy_seats || flags != ANYBPF_ANY || !anybpf_has_one_level(table))
        return false;
    busy = &table->busy[seat].word;
    atomic_store_explicit(busy, 1, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    found = anybpf_find_at_once(table, key, anybpf_table_hash(table, key, 8), &entry) &&
            entry != NULL;
    if (found) {
        uint64_t word;

        if (map->shape.value_size == 8) {
            memcpy(&word, value, 8);
        } else { /* 4: other sizes have no seats for this */
            uint32_t half;

            memcpy(&half, value, 4);
            word = anybpf_word_of_half(half);
        }
        __atomic_store_n((uint64_t *)(void *)(entry + table->value_offset), word,
                         __ATOMIC_RELEASE);
    }
    atomic_store_explicit(busy, 0, memory_order_release);
    return found;
}

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
int anybpf_table_read(struct anybpf_map *map, const void *key, void *value, uint64_t flags);
int anybpf_table_take(struct anybpf_map *map, const void *key, void *value);
/* The copy of a value as users see it, never torn. With or without the lock of the key's home. */
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
