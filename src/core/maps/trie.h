/* The tree of prefixes behind LPM tries: what is where, for those who look, change and walk.
 *
 * A node decides on four bits of the key, from its position (a multiple of four) on. Prefixes that
 * end in those four bits hang on the node by what they have of them: place 1 has none, 2 and 3 one
 * bit, 4 to 7 two, and so on, as in a binary heap. Longer ones are behind one of sixteen children:
 * an entry, if there is but one, or else a node further on; positions where all agree are left out.
 * So each node but the first has at least two things on it, and there are fewer nodes than entries.
 *
 * Entries and nodes are cells (pool.h). An entry never changes: a new value is a new entry, put in
 * the old one's place. A node is changed by storing one word of it, or is replaced by one store in
 * the node above; so whoever reads along sees each prefix there or not, and so does whoever comes
 * after a writer that was killed.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#ifndef ANYBPF_TRIE_H
#define ANYBPF_TRIE_H

#include "pool.h"

#define ANYBPF_TRIE_LENGTH 4u /* bytes in front of a key: how many bits count */
#define ANYBPF_TRIE_MOST_DATA 256u
#define ANYBPF_TRIE_STRIDE 4u
#define ANYBPF_TRIE_DEPTH (ANYBPF_TRIE_MOST_DATA * 8 / ANYBPF_TRIE_STRIDE)

/* A child: the position above, the cell below. */
#define ANYBPF_TRIE_ENTRY UINT32_MAX /* for a position: the child is an entry */
#define ANYBPF_TRIE_CHILDREN 16u
#define ANYBPF_TRIE_PLACES 32u

struct anybpf_trie_node {
    _Alignas(64) _Atomic uint32_t filled; /* bits: places that have an entry */
    _Atomic uint32_t place[ANYBPF_TRIE_PLACES - 1]; /* entries; place 1 comes first */
    _Atomic uint64_t child[ANYBPF_TRIE_CHILDREN];
};

/* In the segment. */
struct anybpf_trie_body {
    struct anybpf_pool_state entries;
    struct anybpf_pool_state nodes;
    _Alignas(256) struct anybpf_trie_node root;
};

/* This process's view. */
struct anybpf_trie {
    struct anybpf_trie_node *root;
    struct anybpf_trie_node *node; /* by cell - 1 */
    uint8_t *key;                  /* by cell - 1 times `stride` */
    uint32_t stride;
    uint32_t bits;                 /* the longest prefix */
    uint32_t limit;                /* entries there may be */
    struct anybpf_pool entries;
    struct anybpf_pool nodes;
};

static inline uint64_t anybpf_trie_child(uint32_t position, uint32_t cell)
{
    return (uint64_t)position << 32 | cell;
}

static inline _Atomic uint32_t *anybpf_trie_place(struct anybpf_trie_node *node, uint32_t place)
{
    return &node->place[place - 1];
}

/* NULL: there is no such cell. */
static inline struct anybpf_trie_node *anybpf_trie_node(const struct anybpf_trie *trie,
                                                        uint32_t cell)
{
    return cell - 1 < trie->nodes.cells ? &trie->node[cell - 1] : NULL;
}

static inline const uint8_t *anybpf_trie_key(const struct anybpf_trie *trie, uint32_t cell)
{
    return trie->key + (size_t)(cell - 1) * trie->stride;
}

static inline bool anybpf_trie_is_entry(const struct anybpf_trie *trie, uint32_t cell)
{
    return cell - 1 < trie->entries.cells;
}

static inline uint32_t anybpf_trie_length(const uint8_t *key)
{
    uint32_t length;

    __builtin_memcpy(&length, key, sizeof(length));
    return length;
}

static inline uint32_t anybpf_trie_nibble(const uint8_t *data, uint32_t position)
{
    return (uint32_t)data[position >> 3] >> (~position & 4u) & 15u;
}

/* Where a prefix of that length hangs on a node at most four bits before its end. */
static inline uint32_t anybpf_trie_place_of(const uint8_t *data, uint32_t length,
                                            uint32_t position)
{
    uint32_t bits = length - position;

    return bits == 0 ? 1
                     : 1u << bits | anybpf_trie_nibble(data, position) >>
                                        (ANYBPF_TRIE_STRIDE - bits);
}

/* How many bits two prefixes have in common, of `limit`, which both have. */
uint32_t anybpf_trie_common(const uint8_t *a, const uint8_t *b, uint32_t limit);

/* Looking. Cells of entries; 0: none. `data` has `trie->bits` bits. */

/* The longest of at most `length` bits that begins `data`. */
uint32_t anybpf_trie_longest(const struct anybpf_trie *trie, const uint8_t *data,
                             uint32_t length);
uint32_t anybpf_trie_exact(const struct anybpf_trie *trie, const uint8_t *data, uint32_t length);
/* Any entry on or below a node of that position. */
uint32_t anybpf_trie_some_entry(const struct anybpf_trie *trie, struct anybpf_trie_node *node,
                                uint32_t position);

/* Changing, with the map's lock. */

/* Puts an entry, whose key is there, into its place. The one that was there before, to be retired
 * by the caller; 0 if there was none. False if there is no node to be had. */
bool anybpf_trie_put(const struct anybpf_trie *trie, uint32_t cell, uint32_t *before);
/* Takes an entry out. The cell, to be retired by the caller; 0: there is none. */
uint32_t anybpf_trie_remove(const struct anybpf_trie *trie, const uint8_t *data, uint32_t length);
/* After a writer's death: what nodes and pools keep beside the entries is made anew. How many
 * entries there are. */
uint64_t anybpf_trie_repair(const struct anybpf_trie *trie);
/* Whether everything is as it should be; the number of entries in `*entries`. */
bool anybpf_trie_check(const struct anybpf_trie *trie, uint64_t *entries, char *why,
                       size_t why_size);

/* Walking. What is inside a prefix comes before it, otherwise smaller bits come first; as on Linux.
 * Meets every entry that is there all the time. */
struct anybpf_trie_walk {
    const struct anybpf_trie *trie;
    uint32_t depth;  /* nodes that the walk is inside of */
    uint32_t budget; /* nodes that may still be entered: the segment may have them go round */
    struct {
        struct anybpf_trie_node *node;
        uint32_t step;
        uint32_t position;
    } at[ANYBPF_TRIE_DEPTH + 1];
};

/* What a step of a walk came upon. */
enum anybpf_trie_step { ANYBPF_TRIE_AT_END, ANYBPF_TRIE_AT_ENTRY, ANYBPF_TRIE_AT_NODE };

void anybpf_trie_start(struct anybpf_trie_walk *walk, const struct anybpf_trie *trie);
/* As if the prefix had just been met, whether or not it is there. */
void anybpf_trie_start_after(struct anybpf_trie_walk *walk, const struct anybpf_trie *trie,
                             const uint8_t *data, uint32_t length);
uint32_t anybpf_trie_next(struct anybpf_trie_walk *walk);
/* One step: to an entry, or into a node; which cell. A node entered is the walk's last. */
enum anybpf_trie_step anybpf_trie_step(struct anybpf_trie_walk *walk, uint32_t *cell);
/* Whether prefix `a` comes after `b` in a walk. */
bool anybpf_trie_is_after(const uint8_t *a, uint32_t a_length, const uint8_t *b,
                          uint32_t b_length);

#endif
