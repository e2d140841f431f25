/* The tree of prefixes: mending it after a writer's death, and looking whether it is in order.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "trie.h"

#include <stdio.h>
#include <stdlib.h>

static uint32_t places_of(struct anybpf_trie_node *node)
{
    uint32_t places = 0;
    uint32_t i;

    for (i = 1; i < ANYBPF_TRIE_PLACES; i++)
        if (atomic_load_explicit(anybpf_trie_place(node, i), memory_order_relaxed) != 0)
            places |= 1u << i;
    return places;
}

uint64_t anybpf_trie_repair(const struct anybpf_trie *trie)
{
    uint8_t *entries = calloc(trie->entries.cells, 1);
    uint8_t *nodes = calloc(trie->nodes.cells, 1);
    bool knows = entries != NULL && nodes != NULL;
    uint64_t count = 0;
    struct anybpf_trie_walk walk;
    enum anybpf_trie_step step;
    uint32_t cell = 0;

    anybpf_trie_start(&walk, trie);
    atomic_store(&trie->root->filled, places_of(trie->root));
    while ((step = anybpf_trie_step(&walk, &cell)) != ANYBPF_TRIE_AT_END) {
        uint8_t *used = step == ANYBPF_TRIE_AT_ENTRY ? entries : nodes;

        if (step == ANYBPF_TRIE_AT_ENTRY)
            count++;
        else
            atomic_store(&trie->node[cell - 1].filled, places_of(&trie->node[cell - 1]));
        if (knows)
            used[cell - 1] = 1;
    }
    anybpf_pool_rebuild(&trie->entries, knows ? entries : NULL);
    anybpf_pool_rebuild(&trie->nodes, knows ? nodes : NULL);
    free(entries);
    free(nodes);
    return count;
}

/* Looking. */

static bool no(char *why, size_t why_size, const char *what, uint32_t cell)
{
    snprintf(why, why_size, "%s (%u)", what, (unsigned)cell);
    return false;
}

static bool is_node_right(const struct anybpf_trie_walk *walk, uint32_t cell, char *why,
                          size_t why_size)
{
    const struct anybpf_trie *trie = walk->trie;
    struct anybpf_trie_node *node = walk->at[walk->depth - 1].node;
    struct anybpf_trie_node *above = walk->depth < 2 ? NULL : walk->at[walk->depth - 2].node;
    uint32_t places = places_of(node);
    uint32_t things = (uint32_t)__builtin_popcount(places);
    uint32_t i;

    if (atomic_load(&node->filled) != places)
        return no(why, why_size, "a node does not know what is on it", cell);
    if (above == NULL)
        return true;
    if (places & 2u)
        return no(why, why_size, "a prefix hangs on a node that is longer", cell);
    for (i = 0; i < ANYBPF_TRIE_CHILDREN; i++)
        things += atomic_load(&node->child[i]) != 0;
    if (things < 2)
        return no(why, why_size, "a node has too little on it", cell);
    if (anybpf_trie_some_entry(trie, node, 0) == 0)
        return no(why, why_size, "a node has no prefixes below", cell);
    i = walk->at[walk->depth - 2].position;
    if (anybpf_trie_common(
            anybpf_trie_key(trie, anybpf_trie_some_entry(trie, node, i)) + ANYBPF_TRIE_LENGTH,
            anybpf_trie_key(trie, anybpf_trie_some_entry(trie, above, 0)) + ANYBPF_TRIE_LENGTH,
            i) != i)
        return no(why, why_size, "a node is below one that has other bits", cell);
    return true;
}

static bool is_entry_right(const struct anybpf_trie_walk *walk, uint32_t cell, uint32_t before,
                           char *why, size_t why_size)
{
    const struct anybpf_trie *trie = walk->trie;
    const uint8_t *key = anybpf_trie_key(trie, cell);
    const uint8_t *data = key + ANYBPF_TRIE_LENGTH;
    uint32_t length = anybpf_trie_length(key);
    uint32_t position = walk->at[walk->depth - 1].position;
    uint32_t any = anybpf_trie_some_entry(trie, walk->at[walk->depth - 1].node, position);

    if (length > trie->bits || length < position)
        return no(why, why_size, "a prefix is of an impossible length", cell);
    if (anybpf_trie_common(data, anybpf_trie_key(trie, any) + ANYBPF_TRIE_LENGTH, position) !=
        position)
        return no(why, why_size, "a prefix hangs on a node that has other bits", cell);
    if (anybpf_trie_exact(trie, data, length) != cell)
        return no(why, why_size, "a prefix is not found where it should be", cell);
    if (before != 0) {
        const uint8_t *other = anybpf_trie_key(trie, before);

        if (!anybpf_trie_is_after(data, length, other + ANYBPF_TRIE_LENGTH,
                                  anybpf_trie_length(other)))
            return no(why, why_size, "prefixes are out of order", cell);
    }
    return true;
}

static bool is_tree_right(const struct anybpf_trie *trie, uint8_t *entries, uint8_t *nodes,
                          uint64_t *count, char *why, size_t why_size)
{
    struct anybpf_trie_walk walk;
    enum anybpf_trie_step step;
    uint32_t before = 0;
    uint32_t cell = 0;

    anybpf_trie_start(&walk, trie);
    if (!is_node_right(&walk, 0, why, why_size))
        return false;
    while ((step = anybpf_trie_step(&walk, &cell)) != ANYBPF_TRIE_AT_END) {
        uint8_t *used = step == ANYBPF_TRIE_AT_ENTRY ? entries : nodes;

        if (used[cell - 1]++ != 0)
            return no(why, why_size, "a cell is in two places", cell);
        if (step == ANYBPF_TRIE_AT_NODE) {
            if (!is_node_right(&walk, cell, why, why_size))
                return false;
            continue;
        }
        if (!is_entry_right(&walk, cell, before, why, why_size))
            return false;
        before = cell;
        ++*count;
    }
    if (!anybpf_pool_check(&trie->entries, entries))
        return no(why, why_size, "entries are neither in the tree nor out of it", 0);
    if (!anybpf_pool_check(&trie->nodes, nodes))
        return no(why, why_size, "nodes are neither in the tree nor out of it", 0);
    return true;
}

bool anybpf_trie_check(const struct anybpf_trie *trie, uint64_t *count, char *why,
                       size_t why_size)
{
    uint8_t *entries = calloc(trie->entries.cells, 1);
    uint8_t *nodes = calloc(trie->nodes.cells, 1);
    bool right = false;

    *count = 0;
    if (entries == NULL || nodes == NULL)
        snprintf(why, why_size, "no memory to check with");
    else
        right = is_tree_right(trie, entries, nodes, count, why, why_size);
    free(entries);
    free(nodes);
    return right;
}
