/* The tree of prefixes: walking over it.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "trie.h"

/* What is on a node, in the order of a walk: children by number, places from 32 on. */
#define PLACE(number) (32 + (number))
#define STEPS 47u
static const uint8_t order[STEPS] = {
    0,  PLACE(16), 1,  PLACE(17), PLACE(8),
    2,  PLACE(18), 3,  PLACE(19), PLACE(9),  PLACE(4),
    4,  PLACE(20), 5,  PLACE(21), PLACE(10),
    6,  PLACE(22), 7,  PLACE(23), PLACE(11), PLACE(5), PLACE(2),
    8,  PLACE(24), 9,  PLACE(25), PLACE(12),
    10, PLACE(26), 11, PLACE(27), PLACE(13), PLACE(6),
    12, PLACE(28), 13, PLACE(29), PLACE(14),
    14, PLACE(30), 15, PLACE(31), PLACE(15), PLACE(7), PLACE(3), PLACE(1),
};

static uint32_t step_of(uint32_t what)
{
    uint32_t step = 0;

    while (step < STEPS && order[step] != what)
        step++;
    return step;
}

static void push(struct anybpf_trie_walk *walk, struct anybpf_trie_node *node, uint32_t position)
{
    walk->at[walk->depth].node = node;
    walk->at[walk->depth].step = 0;
    walk->at[walk->depth].position = position;
    walk->depth++;
}

/* False if there is no such node, or none that could be there. */
static bool enter(struct anybpf_trie_walk *walk, uint64_t child)
{
    struct anybpf_trie_node *node = anybpf_trie_node(walk->trie, (uint32_t)child);
    uint32_t position = (uint32_t)(child >> 32);

    if (node == NULL || walk->budget == 0 || walk->depth > ANYBPF_TRIE_DEPTH ||
        position <= walk->at[walk->depth - 1].position || position >= walk->trie->bits ||
        position % ANYBPF_TRIE_STRIDE != 0)
        return false;
    walk->budget--;
    push(walk, node, position);
    return true;
}

void anybpf_trie_start(struct anybpf_trie_walk *walk, const struct anybpf_trie *trie)
{
    walk->trie = trie;
    walk->depth = 0;
    walk->budget = trie->nodes.cells;
    push(walk, trie->root, 0);
}

bool anybpf_trie_is_after(const uint8_t *a, uint32_t a_length, const uint8_t *b,
                          uint32_t b_length)
{
    uint32_t least = a_length < b_length ? a_length : b_length;
    uint32_t agree = anybpf_trie_common(a, b, least);

    if (agree == least)
        return a_length < b_length;
    return (a[agree / 8] >> (7 - agree % 8) & 1) != 0;
}

static uint32_t bounded_length(const struct anybpf_trie *trie, const uint8_t *key)
{
    uint32_t length = anybpf_trie_length(key);

    return length < trie->bits ? length : trie->bits;
}

/* Whether all that is on a node comes after a prefix that is not inside the node's own. */
static bool lies_after(const struct anybpf_trie *trie, uint32_t any, uint32_t position,
                       const uint8_t *data, uint32_t length)
{
    return any == 0 || anybpf_trie_is_after(anybpf_trie_key(trie, any) + ANYBPF_TRIE_LENGTH,
                                            position, data, length);
}

void anybpf_trie_start_after(struct anybpf_trie_walk *walk, const struct anybpf_trie *trie,
                             const uint8_t *data, uint32_t length)
{
    anybpf_trie_start(walk, trie);
    for (;;) {
        struct anybpf_trie_node *node = walk->at[walk->depth - 1].node;
        uint32_t position = walk->at[walk->depth - 1].position;
        uint32_t *step = &walk->at[walk->depth - 1].step;
        uint32_t nibble;
        uint32_t next;
        uint32_t cell;
        uint64_t child;

        if (length <= position + ANYBPF_TRIE_STRIDE) {
            *step = step_of(PLACE(anybpf_trie_place_of(data, length, position))) + 1;
            return;
        }
        nibble = anybpf_trie_nibble(data, position);
        *step = step_of(nibble);
        child = atomic_load_explicit(&node->child[nibble], memory_order_acquire);
        next = (uint32_t)(child >> 32);
        cell = (uint32_t)child;
        if (child == 0)
            return;
        if (next == ANYBPF_TRIE_ENTRY) {
            const uint8_t *key;

            if (!anybpf_trie_is_entry(trie, cell))
                return;
            key = anybpf_trie_key(trie, cell);
            *step += !anybpf_trie_is_after(key + ANYBPF_TRIE_LENGTH, bounded_length(trie, key),
                                           data, length);
            return;
        }
        if (next >= trie->bits)
            return;
        cell = anybpf_trie_some_entry(trie, anybpf_trie_node(trie, cell), next);
        if (cell == 0 || next >= length ||
            anybpf_trie_common(anybpf_trie_key(trie, cell) + ANYBPF_TRIE_LENGTH, data, next) <
                next) {
            /* A prefix as long as the node's position, or shorter, comes after what is inside. */
            *step += !lies_after(trie, cell, next >= length ? length : next, data, length);
            return;
        }
        *step += 1;
        if (!enter(walk, child))
            return;
    }
}

enum anybpf_trie_step anybpf_trie_step(struct anybpf_trie_walk *walk, uint32_t *cell)
{
    while (walk->depth > 0) {
        struct anybpf_trie_node *node = walk->at[walk->depth - 1].node;
        uint32_t what;
        uint64_t child;

        if (walk->at[walk->depth - 1].step == STEPS) {
            walk->depth--;
            continue;
        }
        what = order[walk->at[walk->depth - 1].step++];
        if (what >= PLACE(0)) {
            *cell = atomic_load_explicit(anybpf_trie_place(node, what - PLACE(0)),
                                         memory_order_acquire);
            if (anybpf_trie_is_entry(walk->trie, *cell))
                return ANYBPF_TRIE_AT_ENTRY;
            continue;
        }
        child = atomic_load_explicit(&node->child[what], memory_order_acquire);
        *cell = (uint32_t)child;
        if (child == 0)
            continue;
        if (child >> 32 == ANYBPF_TRIE_ENTRY) {
            if (anybpf_trie_is_entry(walk->trie, *cell))
                return ANYBPF_TRIE_AT_ENTRY;
        } else if (enter(walk, child)) {
            return ANYBPF_TRIE_AT_NODE;
        }
    }
    return ANYBPF_TRIE_AT_END;
}

uint32_t anybpf_trie_next(struct anybpf_trie_walk *walk)
{
    enum anybpf_trie_step step;
    uint32_t cell = 0;

    do
        step = anybpf_trie_step(walk, &cell);
    while (step == ANYBPF_TRIE_AT_NODE);
    return step == ANYBPF_TRIE_AT_ENTRY ? cell : 0;
}
