/* The tree of prefixes: looking, and changing.
 *
 * Who looks goes down by the key's bits, past the positions that nodes leave out, and compares only
 * in the end: with the entry below, or with the longest prefix on the way. If the comparison fails
 * after `n` bits, those are bits that everything on the way has in common with the key, as far as
 * position `n`; the longest prefix within them is what is looked for.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "trie.h"

#include <string.h>

/* Places on the way of each four bits. */
#define WAY(n) (2u | 1u << (2 | (n) >> 3) | 1u << (4 | (n) >> 2) | 1u << (8 | (n) >> 1) | 1u << (16 | (n)))
static const uint32_t ways[ANYBPF_TRIE_CHILDREN] = {
    WAY(0u), WAY(1u), WAY(2u),  WAY(3u),  WAY(4u),  WAY(5u),  WAY(6u),  WAY(7u),
    WAY(8u), WAY(9u), WAY(10u), WAY(11u), WAY(12u), WAY(13u), WAY(14u), WAY(15u),
};
/* Places of at most so many bits. */
static const uint32_t places_within[ANYBPF_TRIE_STRIDE + 1] = {0x3, 0xf, 0xff, 0xffff, UINT32_MAX};

static uint32_t position_of(uint64_t child)
{
    return (uint32_t)(child >> 32);
}

static uint64_t word_at(const uint8_t *at)
{
    uint64_t word;

    memcpy(&word, at, sizeof(word));
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

static uint32_t half_at(const uint8_t *at)
{
    uint32_t word;

    memcpy(&word, at, sizeof(word));
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    word = __builtin_bswap32(word);
#endif
    return word;
}

static uint32_t at_most(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

uint32_t anybpf_trie_common(const uint8_t *a, const uint8_t *b, uint32_t limit)
{
    uint32_t bytes = (limit + 7) / 8;
    uint32_t i = 0;

    for (; i + 8 <= bytes; i += 8) {
        uint64_t differs = word_at(a + i) ^ word_at(b + i);

        if (differs != 0)
            return at_most(i * 8 + (uint32_t)__builtin_clzll(differs), limit);
    }
    if (i + 4 <= bytes) {
        uint32_t differs = half_at(a + i) ^ half_at(b + i);

        if (differs != 0)
            return at_most(i * 8 + (uint32_t)__builtin_clz(differs), limit);
        i += 4;
    }
    for (; i < bytes; i++) {
        uint32_t differs = (uint32_t)(a[i] ^ b[i]);

        if (differs != 0)
            return at_most(i * 8 + (uint32_t)__builtin_clz(differs) - 24, limit);
    }
    return limit;
}

/* Whether the entry is of at most `limit` bits and begins `data`; else how many bits agree. */
static bool begins(const struct anybpf_trie *trie, uint32_t cell, const uint8_t *data,
                   uint32_t limit, uint32_t *agree)
{
    const uint8_t *key = anybpf_trie_key(trie, cell);
    uint32_t length = anybpf_trie_length(key);

    *agree = anybpf_trie_common(key + ANYBPF_TRIE_LENGTH, data, at_most(length, limit));
    return *agree == length;
}

/* Looking. */

/* What was met on the way down. */
struct way {
    struct anybpf_trie_node *node; /* the last one with prefixes of the key */
    uint32_t places;               /* these */
    uint32_t position;             /* the node's */
    uint32_t entry;                /* at the end, or 0 */
};

static struct way go_down(const struct anybpf_trie *trie, const uint8_t *data, uint32_t length)
{
    struct anybpf_trie_node *node = trie->root;
    struct way way = {NULL, 0, 0, 0};
    uint32_t position = 0;

    for (;;) {
        /* A key that ends here (it may be of no bytes at all) has no bits to go on by. */
        uint32_t nibble = position < length ? anybpf_trie_nibble(data, position) : 0;
        uint32_t left = at_most(length - position, ANYBPF_TRIE_STRIDE);
        uint64_t child = atomic_load_explicit(&node->child[nibble], memory_order_acquire);
        uint32_t places = atomic_load_explicit(&node->filled, memory_order_acquire) &
                          ways[nibble] & places_within[left];
        uint32_t next = position_of(child);

        if (places != 0) {
            way.node = node;
            way.places = places;
            way.position = position;
        }
        if (next >= length) {
            if (next == ANYBPF_TRIE_ENTRY && anybpf_trie_is_entry(trie, (uint32_t)child))
                way.entry = (uint32_t)child;
            return way;
        }
        node = anybpf_trie_node(trie, (uint32_t)child);
        if (node == NULL || next <= position)
            return way; /* no child (0), or nothing that makes sense */
        position = next & ~(ANYBPF_TRIE_STRIDE - 1);
    }
}

uint32_t anybpf_trie_longest(const struct anybpf_trie *trie, const uint8_t *data, uint32_t length)
{
    for (;;) {
        struct way way = go_down(trie, data, length);
        uint32_t limit = way.position; /* if what was on the node is gone meanwhile */
        uint32_t agree;

        if (way.entry != 0 && begins(trie, way.entry, data, length, &agree))
            return way.entry;
        if (way.places == 0)
            return 0;
        while (way.places != 0) {
            uint32_t place = 31u - (uint32_t)__builtin_clz(way.places);
            uint32_t cell = atomic_load_explicit(anybpf_trie_place(way.node, place),
                                                 memory_order_acquire);

            if (anybpf_trie_is_entry(trie, cell)) {
                if (begins(trie, cell, data, length, &agree))
                    return cell;
                limit = agree;
                break;
            }
            way.places &= ~(1u << place);
        }
        if (limit >= length)
            return 0;
        length = limit;
    }
}

uint32_t anybpf_trie_exact(const struct anybpf_trie *trie, const uint8_t *data, uint32_t length)
{
    struct anybpf_trie_node *node = trie->root;
    uint32_t position = 0;
    uint32_t cell;
    uint32_t agree;

    while (length > position + ANYBPF_TRIE_STRIDE) {
        uint64_t child = atomic_load_explicit(
            &node->child[anybpf_trie_nibble(data, position)], memory_order_acquire);
        uint32_t next = position_of(child);

        cell = (uint32_t)child;
        if (next == ANYBPF_TRIE_ENTRY)
            goto compare;
        node = anybpf_trie_node(trie, cell);
        if (node == NULL || next <= position || next >= length)
            return 0;
        position = next & ~(ANYBPF_TRIE_STRIDE - 1);
    }
    cell = atomic_load_explicit(
        anybpf_trie_place(node, anybpf_trie_place_of(data, length, position)),
        memory_order_acquire);
compare:
    if (!anybpf_trie_is_entry(trie, cell) || !begins(trie, cell, data, length, &agree) ||
        agree != length)
        return 0;
    return cell;
}

/* Changing. */

static uint64_t child_at(const struct anybpf_trie_node *node, uint32_t index)
{
    return atomic_load_explicit(&node->child[index], memory_order_acquire);
}

uint32_t anybpf_trie_some_entry(const struct anybpf_trie *trie, struct anybpf_trie_node *node,
                                uint32_t position)
{
    while (node != NULL) {
        uint32_t filled = atomic_load_explicit(&node->filled, memory_order_acquire);
        uint64_t child = 0;
        uint32_t i;

        for (; filled != 0; filled &= filled - 1) {
            uint32_t place = (uint32_t)__builtin_ctz(filled);
            uint32_t cell = place == 0 ? 0 : atomic_load_explicit(anybpf_trie_place(node, place),
                                                                  memory_order_acquire);

            if (anybpf_trie_is_entry(trie, cell))
                return cell;
        }
        for (i = 0; i < ANYBPF_TRIE_CHILDREN && child == 0; i++)
            child = child_at(node, i);
        if (child == 0)
            return 0;
        if (position_of(child) == ANYBPF_TRIE_ENTRY)
            return anybpf_trie_is_entry(trie, (uint32_t)child) ? (uint32_t)child : 0;
        if (position_of(child) <= position)
            return 0;
        position = position_of(child);
        node = anybpf_trie_node(trie, (uint32_t)child);
    }
    return 0;
}

/* An entry as far down the key's way as there is one. */
static uint32_t neighbour(const struct anybpf_trie *trie, const uint8_t *data, uint32_t length)
{
    struct anybpf_trie_node *node = trie->root;
    uint32_t position = 0;

    while (length > position + ANYBPF_TRIE_STRIDE) {
        uint64_t child = child_at(node, anybpf_trie_nibble(data, position));
        struct anybpf_trie_node *below;

        if (child == 0)
            break;
        if (position_of(child) == ANYBPF_TRIE_ENTRY)
            return anybpf_trie_is_entry(trie, (uint32_t)child) ? (uint32_t)child : 0;
        below = anybpf_trie_node(trie, (uint32_t)child);
        if (below == NULL || position_of(child) <= position)
            return 0;
        node = below;
        position = position_of(child) & ~(ANYBPF_TRIE_STRIDE - 1);
    }
    return anybpf_trie_some_entry(trie, node, position);
}

static void hang(struct anybpf_trie_node *node, uint32_t place, uint32_t cell)
{
    atomic_store_explicit(anybpf_trie_place(node, place), cell, memory_order_release);
    atomic_fetch_or_explicit(&node->filled, 1u << place, memory_order_release);
}

static void hang_entry(struct anybpf_trie_node *node, uint32_t position, const uint8_t *data,
                       uint32_t length, uint32_t cell)
{
    if (length <= position + ANYBPF_TRIE_STRIDE)
        hang(node, anybpf_trie_place_of(data, length, position), cell);
    else
        atomic_store_explicit(&node->child[anybpf_trie_nibble(data, position)],
                              anybpf_trie_child(ANYBPF_TRIE_ENTRY, cell), memory_order_release);
}

static struct anybpf_trie_node *new_node(const struct anybpf_trie *trie, uint32_t *cell)
{
    struct anybpf_trie_node *node;
    uint32_t i;

    *cell = anybpf_pool_take(&trie->nodes);
    if (*cell == 0)
        return NULL;
    node = &trie->node[*cell - 1];
    atomic_store_explicit(&node->filled, 0, memory_order_relaxed);
    for (i = 0; i < ANYBPF_TRIE_PLACES - 1; i++)
        atomic_store_explicit(&node->place[i], 0, memory_order_relaxed);
    for (i = 0; i < ANYBPF_TRIE_CHILDREN; i++)
        atomic_store_explicit(&node->child[i], 0, memory_order_relaxed);
    return node;
}

/* Puts a node between a slot and what it holds, which agrees with `data` in `agree` bits and goes on
 * as `other` does; `other_length` is its own if it is an entry, and its position if it is a node. */
static bool split(const struct anybpf_trie *trie, _Atomic uint64_t *slot, const uint8_t *other,
                  uint32_t other_length, const uint8_t *data, uint32_t length, uint32_t agree,
                  uint32_t cell)
{
    uint64_t child = atomic_load_explicit(slot, memory_order_relaxed);
    uint32_t last = agree == at_most(length, other_length) ? agree - 1 : agree;
    uint32_t position = last & ~(ANYBPF_TRIE_STRIDE - 1);
    uint32_t made;
    struct anybpf_trie_node *node = agree == 0 ? NULL : new_node(trie, &made);

    if (node == NULL) /* where nothing agrees, nothing can hang on one node: the segment is damaged */
        return false;
    hang_entry(node, position, data, length, cell);
    if (position_of(child) == ANYBPF_TRIE_ENTRY)
        hang_entry(node, position, other, other_length, (uint32_t)child);
    else
        atomic_store_explicit(&node->child[anybpf_trie_nibble(other, position)], child,
                              memory_order_relaxed);
    atomic_store_explicit(slot, anybpf_trie_child(position, made), memory_order_release);
    return true;
}

bool anybpf_trie_put(const struct anybpf_trie *trie, uint32_t cell, uint32_t *before)
{
    const uint8_t *key = anybpf_trie_key(trie, cell);
    const uint8_t *data = key + ANYBPF_TRIE_LENGTH;
    uint32_t length = anybpf_trie_length(key);
    uint32_t near = neighbour(trie, data, length);
    const uint8_t *other = near == 0 ? NULL : anybpf_trie_key(trie, near);
    uint32_t other_length = near == 0 ? 0 : at_most(anybpf_trie_length(other), trie->bits);
    struct anybpf_trie_node *node = trie->root;
    uint32_t position = 0;
    uint32_t agree = 0;

    *before = 0;
    if (near != 0) {
        other += ANYBPF_TRIE_LENGTH;
        agree = anybpf_trie_common(other, data, at_most(length, other_length));
    }
    while (length > position + ANYBPF_TRIE_STRIDE) {
        _Atomic uint64_t *slot = &node->child[anybpf_trie_nibble(data, position)];
        uint64_t child = atomic_load_explicit(slot, memory_order_relaxed);
        uint32_t next = position_of(child);

        if (child == 0 || near == 0) {
            hang_entry(node, position, data, length, cell);
            return true;
        }
        if (next == ANYBPF_TRIE_ENTRY) { /* it is the neighbour */
            if (agree < length || other_length != length)
                return split(trie, slot, other, other_length, data, length, agree, cell);
            *before = near;
            hang_entry(node, position, data, length, cell);
            return true;
        }
        if (next >= length || next > agree)
            return split(trie, slot, other, next, data, length, at_most(agree, next), cell);
        node = anybpf_trie_node(trie, (uint32_t)child);
        if (node == NULL || next <= position)
            return false;
        position = next & ~(ANYBPF_TRIE_STRIDE - 1);
    }
    *before = atomic_load_explicit(
        anybpf_trie_place(node, anybpf_trie_place_of(data, length, position)),
        memory_order_relaxed);
    if (!anybpf_trie_is_entry(trie, *before))
        *before = 0;
    hang_entry(node, position, data, length, cell);
    return true;
}

/* What is on a node beside one thing: how much, and as a child the last of it. */
static uint32_t others(struct anybpf_trie_node *node, uint32_t place, uint32_t index,
                       uint64_t *other)
{
    uint32_t number = 0;
    uint32_t i;

    for (i = 1; i < ANYBPF_TRIE_PLACES; i++) {
        uint32_t cell = atomic_load_explicit(anybpf_trie_place(node, i), memory_order_relaxed);

        if (cell == 0 || i == place)
            continue;
        *other = anybpf_trie_child(ANYBPF_TRIE_ENTRY, cell);
        number++;
    }
    for (i = 0; i < ANYBPF_TRIE_CHILDREN; i++) {
        if (child_at(node, i) == 0 || i == index)
            continue;
        *other = child_at(node, i);
        number++;
    }
    return number;
}

uint32_t anybpf_trie_remove(const struct anybpf_trie *trie, const uint8_t *data, uint32_t length)
{
    struct anybpf_trie_node *node = trie->root;
    _Atomic uint64_t *above = NULL; /* the slot that holds the node */
    uint32_t position = 0;
    uint32_t cell = anybpf_trie_exact(trie, data, length);
    uint32_t index = ANYBPF_TRIE_CHILDREN;
    uint32_t place = 0;
    uint64_t other = 0;

    if (cell == 0)
        return 0;
    while (length > position + ANYBPF_TRIE_STRIDE) {
        _Atomic uint64_t *slot = &node->child[anybpf_trie_nibble(data, position)];
        uint64_t child = atomic_load_explicit(slot, memory_order_relaxed);

        if (position_of(child) == ANYBPF_TRIE_ENTRY) {
            index = anybpf_trie_nibble(data, position);
            break;
        }
        node = anybpf_trie_node(trie, (uint32_t)child);
        if (node == NULL || position_of(child) <= position)
            return 0;
        above = slot;
        position = position_of(child) & ~(ANYBPF_TRIE_STRIDE - 1);
    }
    if (index == ANYBPF_TRIE_CHILDREN)
        place = anybpf_trie_place_of(data, length, position);
    if (above != NULL && others(node, place, index, &other) <= 1) {
        uint32_t gone = (uint32_t)atomic_load_explicit(above, memory_order_relaxed);

        atomic_store_explicit(above, other, memory_order_release);
        anybpf_pool_retire(&trie->nodes, gone);
    } else if (place == 0) {
        atomic_store_explicit(&node->child[index], 0, memory_order_release);
    } else {
        atomic_store_explicit(anybpf_trie_place(node, place), 0, memory_order_release);
        atomic_fetch_and_explicit(&node->filled, ~(1u << place), memory_order_release);
    }
    return cell;
}
