/* Tags of a group's slots, looked at all together: sets of slots, a bit each. With SSE2 in one step,
 * else by words.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#ifndef ANYBPF_TABLE_TAGS_H
#define ANYBPF_TABLE_TAGS_H

#include "table.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

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
    __m128i wanted = _mm_set1_epi32((int)(tag * 0x01010101u));

    return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(view, wanted)) & ANYBPF_TABLE_ALL_SLOTS;
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

/* The favourite if it is among them, else the next after it, round and round; there is one. Without a
 * branch: the favourite is the one in two of three cases, which nothing could foretell. */
static inline uint32_t anybpf_pick(uint32_t slots, uint32_t favourite)
{
    uint32_t turned = slots >> (favourite & 31) | slots << ((0u - favourite) & 31);

    return (anybpf_first(turned) + favourite) & 31;
}

static inline uint32_t anybpf_table_tag_at(const struct anybpf_level *level, uint32_t group,
                                           uint32_t slot)
{
    uint64_t word =
        atomic_load_explicit(&level->tags[group].word[slot / 8], memory_order_acquire);

    return (uint32_t)(word >> slot % 8 * 8) & 0xff;
}

#endif
