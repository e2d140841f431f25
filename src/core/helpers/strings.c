/* Helpers on text: numbers read from it, comparisons, and the kernel's string functions.
 *
 * Linux: strtol and strtoul return the bytes they read or -EINVAL, -ERANGE; string functions -EFAULT
 * for what cannot be read, -E2BIG for strings without an end in 64 KiB, -ENOENT for what is not found.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "helpers.h"

#include <string.h>

/* Numbers in text. No number has more digits than 64, in base 2; the kernel takes 8, 10 and 16. */

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static unsigned digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    if (c >= 'a' && c <= 'f')
        return (unsigned)(c - 'a') + 10;
    if (c >= 'A' && c <= 'F')
        return (unsigned)(c - 'A') + 10;
    return 255;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* What there is to read: leading space of any length is skipped where it lies. */
#define MOST_TEXT 64u

struct text {
    struct anybpf_run *run;
    uint64_t address;
    uint32_t size;
    uint32_t here; /* the first of what is in `bytes` */
    uint32_t held;
    char bytes[MOST_TEXT];
};

/* The character at a place, 0 at the end. The whole was found readable. */
static char text_at(struct text *text, uint32_t place)
{
    if (place >= text->size)
        return 0;
    if (place < text->here || place >= text->here + text->held) {
        text->here = place;
        text->held = text->size - place < MOST_TEXT ? text->size - place : MOST_TEXT;
        if (!anybpf_fetch(text->run, text->bytes, text->address + place, text->held))
            return 0;
    }
    return text->bytes[place - text->here];
}

/* Number of bytes read, or a negative error. */
static int64_t read_number(struct anybpf_run *run, uint64_t address, uint32_t size, uint64_t flags,
                           uint64_t *number, bool *negative)
{
    struct text text = {.run = run, .address = address, .size = size};
    unsigned base = (unsigned)(flags & 0x1f);
    uint32_t place = 0;
    uint32_t first;
    uint64_t value = 0;
    bool overflow = false;

    if (!anybpf_readable(run, address, size) || size == 0)
        return -LINUX_EINVAL;
    if (base != 0 && base != 8 && base != 10 && base != 16)
        return -LINUX_EINVAL;
    if ((flags & ~UINT64_C(0x1f)) != 0)
        return -LINUX_EINVAL;
    while (place < size && is_space(text_at(&text, place)))
        place++;
    *negative = place < size && text_at(&text, place) == '-';
    if (*negative)
        place++;
    if (place >= size)
        return -LINUX_EINVAL;
    if (base == 0) {
        base = 10;
        if (text_at(&text, place) == '0') {
            base = 8;
            if (lower(text_at(&text, place + 1)) == 'x' && digit_of(text_at(&text, place + 2)) < 16)
                base = 16;
        }
    }
    if (base == 16 && text_at(&text, place) == '0' && lower(text_at(&text, place + 1)) == 'x')
        place += 2;
    for (first = place; place < size; place++) {
        unsigned digit = digit_of(text_at(&text, place));

        if (digit >= base)
            break;
        if (value > (UINT64_MAX - digit) / base)
            overflow = true;
        value = value * base + digit;
    }
    if (place == first)
        return -LINUX_EINVAL;
    if (overflow)
        return -LINUX_ERANGE;
    *number = value;
    return place;
}

static uint64_t give_number(struct anybpf_run *run, int64_t read, uint64_t to, uint64_t number)
{
    if (read < 0)
        number = 0;
    if (!anybpf_put(run, to, &number, sizeof(number)))
        return linux_error(LINUX_EFAULT);
    return (uint64_t)read;
}

ANYBPF_HELPER(do_strtol)
{
    uint64_t number = 0;
    bool negative = false;
    int64_t read = read_number(run, r1, (uint32_t)r2, r3, &number, &negative);

    UNUSED1(r5);
    if (read >= 0 && number > (uint64_t)INT64_MAX + (negative ? 1 : 0))
        read = -LINUX_ERANGE;
    return give_number(run, read, r4, negative ? 0 - number : number);
}

ANYBPF_HELPER(do_strtoul)
{
    uint64_t number = 0;
    bool negative = false;
    int64_t read = read_number(run, r1, (uint32_t)r2, r3, &number, &negative);

    UNUSED1(r5);
    if (read >= 0 && negative)
        read = -LINUX_EINVAL;
    return give_number(run, read, r4, number);
}

/* Strings, a character at a time through a small window. */

#define MOST_STRING 65536u /* XATTR_SIZE_MAX */

struct string {
    struct anybpf_run *run;
    uint64_t address;
    uint32_t here;
    uint32_t held;
    char bytes[64];
};

static struct string string_at(struct anybpf_run *run, uint64_t address)
{
    struct string string = {.run = run, .address = address};

    return string;
}

/* The character, or a negative error. */
static int character(struct string *string, uint32_t place)
{
    uint64_t address = string->address + place;

    if (place >= MOST_STRING)
        return -LINUX_E2BIG;
    if (place < string->here || place >= string->here + string->held) {
        uint32_t now = sizeof(string->bytes);

        while (now > 0 && !anybpf_readable(string->run, address, now))
            now /= 2;
        if (now == 0)
            return -LINUX_EFAULT;
        anybpf_fetch(string->run, string->bytes, address, now);
        string->here = place;
        string->held = now;
    }
    return (unsigned char)string->bytes[place - string->here];
}

/* Helper: the second string is constant, the first as long as it says. */
ANYBPF_HELPER(do_strncmp)
{
    struct string first = string_at(run, r1);
    struct string second = string_at(run, r3);
    uint32_t size = (uint32_t)r2;
    uint32_t i;

    UNUSED2(r4, r5);
    for (i = 0; i < size; i++) {
        int a = character(&first, i);
        int b = character(&second, i);

        if (a < 0 || b < 0)
            return linux_error(LINUX_EFAULT);
        if (a != b)
            return a < b ? (uint64_t)-1 : 1;
        if (a == 0)
            break;
    }
    return 0;
}

static uint64_t compare(struct anybpf_run *run, uint64_t r1, uint64_t r2, bool fold)
{
    struct string first = string_at(run, r1);
    struct string second = string_at(run, r2);
    uint32_t i;

    for (i = 0;; i++) {
        int a = character(&first, i);
        int b = character(&second, i);

        if (a < 0 || b < 0)
            return (uint64_t)(int64_t)(a < 0 ? a : b);
        if (fold) {
            a = lower((char)a);
            b = lower((char)b);
        }
        if (a != b)
            return (a & 255) < (b & 255) ? (uint64_t)-1 : 1;
        if (a == 0)
            return 0;
    }
}

ANYBPF_HELPER(do_strcmp)
{
    UNUSED3(r3, r4, r5);
    return compare(run, r1, r2, false);
}

ANYBPF_HELPER(do_strcasecmp)
{
    UNUSED3(r3, r4, r5);
    return compare(run, r1, r2, true);
}

/* The first place of a character among `count`; with `or_end` that of the string's end. */
static uint64_t find(struct anybpf_run *run, uint64_t address, uint64_t count, int wanted,
                     bool or_end)
{
    struct string string = string_at(run, address);
    uint32_t i;

    for (i = 0; i < count; i++) {
        int c = character(&string, i);

        if (c < 0)
            return (uint64_t)(int64_t)c;
        if (c == wanted || (c == 0 && or_end))
            return i;
        if (c == 0)
            return linux_error(LINUX_ENOENT);
    }
    return or_end ? count : linux_error(LINUX_ENOENT);
}

ANYBPF_HELPER(do_strchr)
{
    UNUSED3(r3, r4, r5);
    return find(run, r1, UINT64_MAX, (uint8_t)r2, false);
}

ANYBPF_HELPER(do_strchrnul)
{
    UNUSED3(r3, r4, r5);
    return find(run, r1, UINT64_MAX, (uint8_t)r2, true);
}

ANYBPF_HELPER(do_strnchr)
{
    UNUSED2(r4, r5);
    return find(run, r1, r2, (uint8_t)r3, false);
}

ANYBPF_HELPER(do_strlen)
{
    UNUSED4(r2, r3, r4, r5);
    return find(run, r1, UINT64_MAX, 0, false);
}

ANYBPF_HELPER(do_strnlen)
{
    UNUSED3(r3, r4, r5);
    return find(run, r1, r2, 0, true);
}

ANYBPF_HELPER(do_strrchr)
{
    struct string string = string_at(run, r1);
    uint64_t last = linux_error(LINUX_ENOENT);
    uint32_t i;

    UNUSED3(r3, r4, r5);
    for (i = 0;; i++) {
        int c = character(&string, i);

        if (c < 0)
            return (uint64_t)(int64_t)c;
        if (c == (uint8_t)r2)
            last = i;
        if (c == 0)
            return last;
    }
}

/* How many characters at the start are, or are not, among a set. */
static uint64_t span(struct anybpf_run *run, uint64_t address, uint64_t set, bool among)
{
    struct string string = string_at(run, address);
    struct string members = string_at(run, set);
    bool member[256] = {false};
    uint32_t i;

    for (i = 0;; i++) {
        int c = character(&members, i);

        if (c < 0)
            return (uint64_t)(int64_t)c;
        if (c == 0)
            break;
        member[c] = true;
    }
    for (i = 0;; i++) {
        int c = character(&string, i);

        if (c < 0)
            return (uint64_t)(int64_t)c;
        if (c == 0 || member[c] != among)
            return i;
    }
}

ANYBPF_HELPER(do_strspn)
{
    UNUSED3(r3, r4, r5);
    return span(run, r1, r2, true);
}

ANYBPF_HELPER(do_strcspn)
{
    UNUSED3(r3, r4, r5);
    return span(run, r1, r2, false);
}

/* Where the second string lies in the first `length` characters of the first. The work is bounded
 * by that of the longest string times the longest; a program pays for it from its budget. */
static uint64_t search(struct anybpf_run *run, uint64_t r1, uint64_t r2, uint64_t length)
{
    struct string hay = string_at(run, r1);
    struct string needle = string_at(run, r2);
    uint32_t start;
    uint32_t i;

    for (start = 0;; start++) {
        for (i = 0;; i++) {
            int b = character(&needle, i);
            int a;

            if (b < 0)
                return (uint64_t)(int64_t)b;
            if (b == 0)
                return start;
            if ((uint64_t)start + i >= length)
                return linux_error(LINUX_ENOENT);
            a = character(&hay, start + i);
            if (a < 0)
                return (uint64_t)(int64_t)a;
            if (a == 0)
                return linux_error(LINUX_ENOENT);
            if (a != b)
                break;
        }
        run->slice -= i;
        if (run->slice < 0 && !anybpf_next_slice(run))
            return 0;
    }
}

ANYBPF_HELPER(do_strstr)
{
    UNUSED3(r3, r4, r5);
    return search(run, r1, r2, UINT64_MAX);
}

ANYBPF_HELPER(do_strnstr)
{
    UNUSED2(r4, r5);
    return search(run, r1, r2, r3);
}

const struct anybpf_helper_row anybpf_string_helpers[] = {
    {"strtol", do_strtol},
    {"strtoul", do_strtoul},
    {"strncmp", do_strncmp},
    {"strcmp", do_strcmp},
    {"strcasecmp", do_strcasecmp},
    {"strchr", do_strchr},
    {"strchrnul", do_strchrnul},
    {"strnchr", do_strnchr},
    {"strrchr", do_strrchr},
    {"strlen", do_strlen},
    {"strnlen", do_strnlen},
    {"strspn", do_strspn},
    {"strcspn", do_strcspn},
    {"strstr", do_strstr},
    {"strnstr", do_strnstr},
    {NULL, NULL},
};
