/* Facts: Linux Documentation/core-api/printk-formats.rst, and bpf-helpers(7) on bpf_trace_printk and
 * bpf_snprintf: flags "0+- ", a width, no precision; d i u x X with l or ll, c, s, and p followed by
 * x K B s S, by ks or us (strings), or by i4 I4 i6 I6 (addresses). Other pointers are printed as
 * they are: there is nobody here to hide them from.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "format.h"

#include <string.h>

#define MOST_STRING 512u

struct output {
    char *at;
    size_t size;
    size_t length; /* of what there is, written or not */
};

static void write_char(struct output *out, char c)
{
    if (out->length + 1 < out->size)
        out->at[out->length] = c;
    out->length++;
}

struct conversion {
    bool zero;
    bool plus;
    bool minus;
    bool space;
    uint32_t width;
};

static void write_padded(struct output *out, const struct conversion *how, const char *text,
                         size_t length)
{
    size_t pad = how->width > length ? how->width - length : 0;
    size_t i;

    for (i = 0; !how->minus && i < pad; i++)
        write_char(out, ' ');
    for (i = 0; i < length; i++)
        write_char(out, text[i]);
    for (i = 0; how->minus && i < pad; i++)
        write_char(out, ' ');
}

static void write_number(struct output *out, const struct conversion *how, uint64_t value,
                         unsigned base, bool is_signed, bool upper)
{
    const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
    char text[24];
    size_t length = 0;
    char sign = 0;
    size_t total;
    size_t i;

    if (is_signed) {
        if ((int64_t)value < 0) {
            sign = '-';
            value = 0 - value;
        } else if (how->plus) {
            sign = '+';
        } else if (how->space) {
            sign = ' ';
        }
    }
    do {
        text[length++] = digits[value % base];
        value /= base;
    } while (value != 0);
    total = length + (sign != 0);
    for (i = total; !how->minus && !how->zero && i < how->width; i++)
        write_char(out, ' ');
    if (sign != 0)
        write_char(out, sign);
    for (i = total; !how->minus && how->zero && i < how->width; i++)
        write_char(out, '0');
    while (length > 0)
        write_char(out, text[--length]);
    for (i = total; how->minus && i < how->width; i++)
        write_char(out, ' ');
}

static void write_string(struct anybpf_run *run, struct output *out, const struct conversion *how,
                         uint64_t address)
{
    char text[MOST_STRING];
    int64_t length = anybpf_fetch_string(run, text, address, sizeof(text) - 1);

    if (length < 0)
        length = 0;
    else if (length > 0 && text[length - 1] == 0)
        length--;
    write_padded(out, how, text, (size_t)length);
}

/* The parts of an address, in hexadecimal or not, with what is between them. */
static void write_address(struct anybpf_run *run, struct output *out, const struct conversion *how,
                          uint64_t address, bool six, bool leading)
{
    static const struct conversion plain = {.zero = true};
    uint8_t bytes[16] = {0};
    char text[48];
    struct output inner = {.at = text, .size = sizeof(text)};
    struct conversion part = plain;
    unsigned i;

    anybpf_fetch(run, bytes, address, six ? 16 : 4);
    part.width = six ? 2 : leading ? 3 : 0;
    for (i = 0; i < (six ? 16u : 4u); i++) {
        if (i > 0 && (!six || (i % 2 == 0 && !leading)))
            write_char(&inner, six ? ':' : '.');
        write_number(&inner, &part, bytes[i], six ? 16 : 10, false, false);
    }
    write_padded(out, how, text, inner.length);
}

static bool may_follow_pointer(char c)
{
    return c == 0 || c == ' ' || (c >= '\t' && c <= '\r') || (c >= '!' && c <= '/') ||
           (c >= ':' && c <= '@') || (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
}

/* What follows "%p"; the number of characters that belong to it, or -EINVAL. */
static int write_pointer(struct anybpf_run *run, struct output *out, struct conversion how,
                         const char *rest, uint64_t argument)
{
    if ((rest[0] == 'k' || rest[0] == 'u') && rest[1] == 's') {
        write_string(run, out, &how, argument);
        return 2;
    }
    if (rest[0] == 'i' || rest[0] == 'I') {
        if (rest[1] != '4' && rest[1] != '6')
            return -LINUX_EINVAL;
        write_address(run, out, &how, argument, rest[1] == '6', rest[0] == 'i');
        return 2;
    }
    if (rest[0] == 'B' || rest[0] == 's' || rest[0] == 'S') { /* of a symbol that nobody knows */
        char text[24];
        struct output inner = {.at = text, .size = sizeof(text)};
        static const struct conversion plain;

        write_char(&inner, '0');
        write_char(&inner, 'x');
        write_number(&inner, &plain, argument, 16, false, false);
        write_padded(out, &how, text, inner.length);
        return 1;
    }
    if (rest[0] != 'x' && rest[0] != 'K' && !may_follow_pointer(rest[0]))
        return -LINUX_EINVAL;
    if (how.width == 0) {
        how.width = 16;
        how.zero = true;
    }
    write_number(out, &how, argument, 16, false, false);
    return rest[0] == 'x' || rest[0] == 'K' ? 1 : 0;
}

static bool is_printable(char c)
{
    return (c >= ' ' && c <= '~') || (c >= '\t' && c <= '\r');
}

/* What follows '%', with its flags; the number of characters, or a negative error. */
static int write_conversion(struct anybpf_run *run, struct output *out, const char *spec,
                            uint64_t argument)
{
    struct conversion how = {0};
    const char *c = spec;
    bool is_signed;
    int longs = 0;
    int more;

    for (; *c == '0' || *c == '+' || *c == '-' || *c == ' '; c++) {
        how.zero |= *c == '0';
        how.plus |= *c == '+';
        how.minus |= *c == '-';
        how.space |= *c == ' ';
    }
    for (; *c >= '0' && *c <= '9'; c++) {
        how.width = how.width * 10 + (uint32_t)(*c - '0');
        if (how.width > 0x7fff)
            how.width = 0x7fff;
    }
    switch (*c) {
    case 'p':
        more = write_pointer(run, out, how, c + 1, argument);
        return more < 0 ? more : (int)(c - spec) + 1 + more;
    case 's':
        write_string(run, out, &how, argument);
        return (int)(c - spec) + 1;
    case 'c': {
        char text = (char)argument;

        write_padded(out, &how, &text, 1);
        return (int)(c - spec) + 1;
    }
    default:
        break;
    }
    for (; *c == 'l' && longs < 2; c++)
        longs++;
    is_signed = *c == 'd' || *c == 'i';
    if (!is_signed && *c != 'u' && *c != 'x' && *c != 'X')
        return -LINUX_EINVAL;
    if (longs == 0)
        argument = is_signed ? (uint64_t)(int64_t)(int32_t)argument : (uint32_t)argument;
    write_number(out, &how, argument, *c == 'x' || *c == 'X' ? 16 : 10, is_signed, *c == 'X');
    return (int)(c - spec) + 1;
}

int64_t anybpf_format(struct anybpf_run *run, char *buffer, size_t size, const char *format,
                      const uint64_t *arguments, uint32_t count)
{
    struct output out = {.at = buffer, .size = size};
    uint32_t used = 0;
    const char *c;

    for (c = format; *c != 0; c++) {
        int length;

        if (!is_printable(*c))
            return -LINUX_EINVAL;
        if (*c != '%') {
            write_char(&out, *c);
            continue;
        }
        if (c[1] == '%') {
            write_char(&out, '%');
            c++;
            continue;
        }
        if (used >= count)
            return -LINUX_EINVAL;
        length = write_conversion(run, &out, c + 1, arguments[used++]);
        if (length < 0)
            return length;
        c += length;
    }
    if (size > 0)
        buffer[out.length < size ? out.length : size - 1] = 0;
    return (int64_t)out.length;
}
