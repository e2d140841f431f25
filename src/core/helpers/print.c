/* Helpers that print, and those that write formatted text to the program's memory.
 *
 * Linux: bytes printed, or -EINVAL for a format that programs may not use. Windows: bytes, or -1.
 * Without a log (log.h) what is printed is formatted, counted and gone.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "format.h"
#include "log.h"

#include <string.h>

static void print(struct anybpf_run *run, const char *text, int64_t length)
{
    struct anybpf_log *log = run->log != NULL ? run->log : atomic_load(&run->domain->log);

    if (log == NULL)
        return;
    if (length >= ANYBPF_MOST_LINE)
        length = ANYBPF_MOST_LINE - 1;
    anybpf_log_write(log, run, text, (size_t)length);
}

/* Fetches a format of `size` bytes, which must have a zero; false if it cannot be or has none. */
static bool fetch_format(struct anybpf_run *run, char *format, uint64_t address, uint32_t size)
{
    return size != 0 && size <= ANYBPF_MOST_FORMAT && anybpf_fetch(run, format, address, size) &&
           memchr(format, 0, size) != NULL;
}

static uint64_t print_formatted(struct anybpf_run *run, uint64_t format_at, uint32_t size,
                                const uint64_t *arguments, uint32_t count)
{
    char format[ANYBPF_MOST_FORMAT];
    char text[ANYBPF_MOST_LINE];
    int64_t length;

    if (!fetch_format(run, format, format_at, size))
        return linux_error(LINUX_EINVAL);
    length = anybpf_format(run, text, sizeof(text), format, arguments, count);
    if (length >= 0)
        print(run, text, length);
    return (uint64_t)length;
}

ANYBPF_HELPER(trace_printk)
{
    uint64_t arguments[] = {r3, r4, r5};

    return print_formatted(run, r1, (uint32_t)r2, arguments, 3);
}

static bool fetch_arguments(struct anybpf_run *run, uint64_t *arguments, uint64_t from,
                            uint32_t size)
{
    return size % 8 == 0 && size <= 8 * ANYBPF_MOST_FORMAT_ARGUMENTS && (size == 0 || from != 0) &&
           anybpf_fetch(run, arguments, from, size);
}

ANYBPF_HELPER(trace_vprintk)
{
    uint64_t arguments[ANYBPF_MOST_FORMAT_ARGUMENTS];
    uint32_t size = (uint32_t)r4;

    UNUSED1(r5);
    if (!fetch_arguments(run, arguments, r3, size))
        return linux_error(LINUX_EINVAL);
    return print_formatted(run, r1, (uint32_t)r2, arguments, size / 8);
}

/* Kernel function: like trace_vprintk, to the program's standard output (1) or error (2). */
ANYBPF_HELPER(stream_vprintk)
{
    uint64_t arguments[ANYBPF_MOST_FORMAT_ARGUMENTS];
    char format[ANYBPF_MOST_FORMAT];
    char text[ANYBPF_MOST_LINE];
    uint32_t size = (uint32_t)r4;
    int64_t length;

    UNUSED1(r5);
    if (((uint32_t)r1 != 1 && (uint32_t)r1 != 2))
        return linux_error(LINUX_ENOENT);
    if (!fetch_arguments(run, arguments, r3, size))
        return linux_error(LINUX_EINVAL);
    length = anybpf_fetch_string(run, format, r2, sizeof(format));
    if (length <= 0 || format[length - 1] != 0)
        return linux_error(LINUX_EINVAL);
    length = anybpf_format(run, text, sizeof(text), format, arguments, size / 8);
    if (length >= 0)
        print(run, text, length);
    return length < 0 ? (uint64_t)length : 0;
}

/* Bytes with the zero, also of what did not fit. */
ANYBPF_HELPER(do_snprintf)
{
    uint64_t arguments[ANYBPF_MOST_FORMAT_ARGUMENTS];
    char format[ANYBPF_MOST_FORMAT];
    char text[4096];
    uint32_t size = (uint32_t)r2;
    uint32_t data_size = (uint32_t)r5;
    size_t room = size < sizeof(text) ? size : sizeof(text);
    int64_t length;

    if (!fetch_arguments(run, arguments, r4, data_size))
        return linux_error(LINUX_EINVAL);
    length = anybpf_fetch_string(run, format, r3, sizeof(format));
    if (length <= 0 || format[length - 1] != 0)
        return linux_error(LINUX_EINVAL);
    if (size > 0 && !anybpf_writable(run, r1, size))
        return linux_error(LINUX_EFAULT);
    length = anybpf_format(run, text, room, format, arguments, data_size / 8);
    if (length < 0)
        return (uint64_t)length;
    if (size > 0)
        anybpf_put(run, r1, text, (size_t)length < room ? (size_t)length + 1 : room);
    return (uint64_t)length + 1;
}

/* Windows: integers only, without flags or width, as many as there are arguments; a line feed at the
 * end is not printed. */

#define MOST_WINDOWS_FORMAT 511u

static bool is_windows_format(const char *format, uint32_t count)
{
    uint32_t found = 0;
    const char *c;

    for (c = format; *c != 0; c++) {
        int longs = 0;

        if (*c != '%')
            continue;
        c++;
        if (*c == '%')
            continue;
        for (; *c == 'l' && longs < 2; c++)
            longs++;
        if (*c == 0 || strchr("diux", *c) == NULL)
            return false;
        found++;
    }
    return found == count;
}

static uint64_t print_windows(struct anybpf_run *run, uint64_t format_at, uint64_t size,
                              const uint64_t *arguments, uint32_t count)
{
    char format[MOST_WINDOWS_FORMAT + 1];
    char text[ANYBPF_MOST_LINE];
    int64_t length;

    if (size == 0 || size > MOST_WINDOWS_FORMAT ||
        !anybpf_fetch(run, format, format_at, (size_t)size))
        return linux_error(1);
    format[size - 1] = 0;
    if (size >= 2 && format[size - 2] == '\n')
        format[size - 2] = 0;
    if (!is_windows_format(format, count))
        return linux_error(1);
    length = anybpf_format(run, text, sizeof(text), format, arguments, count);
    if (length < 0)
        return linux_error(1);
    print(run, text, length);
    return (uint64_t)length;
}

ANYBPF_HELPER(trace_printk2)
{
    UNUSED3(r3, r4, r5);
    return print_windows(run, r1, r2, NULL, 0);
}

ANYBPF_HELPER(trace_printk3)
{
    uint64_t arguments[] = {r3};

    UNUSED2(r4, r5);
    return print_windows(run, r1, r2, arguments, 1);
}

ANYBPF_HELPER(trace_printk4)
{
    uint64_t arguments[] = {r3, r4};

    UNUSED1(r5);
    return print_windows(run, r1, r2, arguments, 2);
}

ANYBPF_HELPER(trace_printk5)
{
    uint64_t arguments[] = {r3, r4, r5};

    return print_windows(run, r1, r2, arguments, 3);
}

const struct anybpf_helper_row anybpf_print_helpers[] = {
    {"trace_printk", trace_printk},
    {"trace_vprintk", trace_vprintk},
    {"stream_vprintk_impl", stream_vprintk},
    {"snprintf", do_snprintf},
    {"trace_printk2", trace_printk2},
    {"trace_printk3", trace_printk3},
    {"trace_printk4", trace_printk4},
    {"trace_printk5", trace_printk5},
    {NULL, NULL},
};
