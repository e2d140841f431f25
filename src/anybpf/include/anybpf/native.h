/* What C made of BPF programs is written with: `anybpf compile --emit c`.
 *
 * A file of such C defines the places of the run's fields as its anybpf had them, includes this, and
 * ends with a table of its programs. Any C compiler makes a library of it (`cc -O2 -shared -fPIC`),
 * for the version of anybpf that wrote it and no other: the table says which. Whoever loads the
 * library fills in `anybpf_imports`.
 *
 * Memory is read and written through types without alignment that may alias all others, numbers are
 * unsigned: what programs may do has a meaning in C, too.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#ifndef ANYBPF_INCLUDE_NATIVE_H
#define ANYBPF_INCLUDE_NATIVE_H

#include <stddef.h>
#include <stdint.h>

#if !defined(__GNUC__)
#error "this needs gcc, clang, or a compiler that knows their builtins and attributes"
#endif
#if UINTPTR_MAX != UINT64_MAX || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "this is for little-endian machines with addresses of 64 bits"
#endif
#if !defined(ANYBPF_ABI) || !defined(ANYBPF_RUN_SLICE) || !defined(ANYBPF_RUN_END) || \
    !defined(ANYBPF_RUN_NEXT) || !defined(ANYBPF_RUN_CALLING) || !defined(ANYBPF_RUN_SEAT) || \
    !defined(ANYBPF_RUN_FRAMES) || !defined(ANYBPF_RUN_STACK) || !defined(ANYBPF_RUN_REGION) || \
    !defined(ANYBPF_REGION_BYTES) || !defined(ANYBPF_REGION_START) || \
    !defined(ANYBPF_REGION_SIZE) || !defined(ANYBPF_REGION_WRITABLE_SIZE) || \
    !defined(ANYBPF_CONTEXT) || !defined(ANYBPF_PACKET) || !defined(ANYBPF_FIRST_AREA) || \
    !defined(ANYBPF_FRAMES) || !defined(ANYBPF_FRAME_BYTES) || !defined(ANYBPF_CELLS)
#error "include this from a file that anybpf wrote"
#endif

struct anybpf_run;

/* Registers. Not every program reads each that it has written. */
typedef uint8_t *anybpf_pointer;
#define ANYBPF_NUMBERS __attribute__((unused)) uint64_t
#define ANYBPF_POINTERS __attribute__((unused)) anybpf_pointer

typedef uint64_t (*anybpf_helper)(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                                  struct anybpf_run *);

#define ANYBPF_INSIDE static __attribute__((unused))
#define ANYBPF_INLINE static inline __attribute__((always_inline, unused))
#define ANYBPF_LIKELY(condition) __builtin_expect(!!(condition), 1)
#define ANYBPF_UNLIKELY(condition) __builtin_expect(!!(condition), 0)
#define ANYBPF_ADDRESS(pointer) ((uint64_t)(uintptr_t)(pointer))
#define ANYBPF_AT(number) ((uint8_t *)(uintptr_t)(number))
#if defined(_WIN32)
#define ANYBPF_EXPORT __declspec(dllexport)
#else
#define ANYBPF_EXPORT __attribute__((visibility("default")))
#endif

/* The last thing that a program does; without it, a chain of tail calls takes room on the stack. */
#if defined(__has_attribute)
#if __has_attribute(musttail)
#define ANYBPF_TAIL __attribute__((musttail))
#endif
#endif
#if !defined(ANYBPF_TAIL)
#define ANYBPF_TAIL
#endif

/* A frame may be read before it is written: it holds whatever it holds. */
#define ANYBPF_WHATEVER(frame) __asm__("" : "=m"(frame))

/* Memory. `once`: others may write there at the same time, and what is read is read one time. */

#define ANYBPF_MEMORY(bits)                                                                       \
    typedef uint##bits##_t anybpf_any##bits __attribute__((may_alias, aligned(1)));               \
    typedef uint##bits##_t anybpf_aligned##bits __attribute__((may_alias));                       \
    ANYBPF_INLINE uint##bits##_t load##bits(const uint8_t *from)                                  \
    {                                                                                             \
        return *(const anybpf_any##bits *)from;                                                   \
    }                                                                                             \
    ANYBPF_INLINE uint##bits##_t once##bits(const uint8_t *from)                                  \
    {                                                                                             \
        return *(const volatile anybpf_any##bits *)from;                                          \
    }                                                                                             \
    ANYBPF_INLINE uint##bits##_t once_aligned##bits(const uint8_t *from)                          \
    {                                                                                             \
        return __atomic_load_n((const anybpf_aligned##bits *)from, __ATOMIC_RELAXED);             \
    }                                                                                             \
    ANYBPF_INLINE void store##bits(uint8_t *to, uint##bits##_t value)                             \
    {                                                                                             \
        *(anybpf_any##bits *)to = value;                                                          \
    }                                                                                             \
    ANYBPF_INLINE uint##bits##_t load_acquire##bits(const uint8_t *from)                          \
    {                                                                                             \
        return __atomic_load_n((const anybpf_aligned##bits *)from, __ATOMIC_ACQUIRE);             \
    }                                                                                             \
    ANYBPF_INLINE void store_release##bits(uint8_t *to, uint##bits##_t value)                     \
    {                                                                                             \
        __atomic_store_n((anybpf_aligned##bits *)to, value, __ATOMIC_RELEASE);                    \
    }
ANYBPF_MEMORY(8)
ANYBPF_MEMORY(16)
ANYBPF_MEMORY(32)
ANYBPF_MEMORY(64)

/* Atomic operations: those that give what was there before order everything around them, the
 * others nothing, as on Linux. */
#define ANYBPF_ATOMIC(name, bits)                                                                 \
    ANYBPF_INLINE void atomic_##name##bits(uint8_t *at, uint##bits##_t value)                     \
    {                                                                                             \
        (void)__atomic_fetch_##name((anybpf_aligned##bits *)at, value, __ATOMIC_RELAXED);         \
    }                                                                                             \
    ANYBPF_INLINE uint##bits##_t atomic_fetch_##name##bits(uint8_t *at, uint##bits##_t value)     \
    {                                                                                             \
        return __atomic_fetch_##name((anybpf_aligned##bits *)at, value, __ATOMIC_SEQ_CST);        \
    }
#define ANYBPF_EXCHANGES(bits)                                                                    \
    ANYBPF_ATOMIC(add, bits)                                                                      \
    ANYBPF_ATOMIC(or, bits)                                                                       \
    ANYBPF_ATOMIC(and, bits)                                                                      \
    ANYBPF_ATOMIC(xor, bits)                                                                      \
    ANYBPF_INLINE uint##bits##_t atomic_exchange##bits(uint8_t *at, uint##bits##_t value)         \
    {                                                                                             \
        return __atomic_exchange_n((anybpf_aligned##bits *)at, value, __ATOMIC_SEQ_CST);          \
    }                                                                                             \
    ANYBPF_INLINE uint##bits##_t atomic_compare_exchange##bits(                                   \
        uint8_t *at, uint##bits##_t expected, uint##bits##_t value)                               \
    {                                                                                             \
        (void)__atomic_compare_exchange_n((anybpf_aligned##bits *)at, &expected, value, 0,        \
                                          __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);                    \
        return expected;                                                                          \
    }
ANYBPF_EXCHANGES(32)
ANYBPF_EXCHANGES(64)

/* Division: by zero it gives 0, and the dividend as the rest; the least number by -1 gives itself,
 * and no rest. RFC 9669 section 4.1. */
#define ANYBPF_DIVISION(bits)                                                                     \
    ANYBPF_INLINE uint##bits##_t divide##bits(uint##bits##_t a, uint##bits##_t b)                 \
    {                                                                                             \
        return b == 0 ? 0 : a / b;                                                                \
    }                                                                                             \
    ANYBPF_INLINE uint##bits##_t modulo##bits(uint##bits##_t a, uint##bits##_t b)                 \
    {                                                                                             \
        return b == 0 ? a : a % b;                                                                \
    }                                                                                             \
    ANYBPF_INLINE uint##bits##_t divide_signed##bits(uint##bits##_t a, uint##bits##_t b)          \
    {                                                                                             \
        if (b == (uint##bits##_t)-1)                                                              \
            return (uint##bits##_t)0 - a;                                                         \
        return b == 0 ? 0 : (uint##bits##_t)((int##bits##_t)a / (int##bits##_t)b);                \
    }                                                                                             \
    ANYBPF_INLINE uint##bits##_t modulo_signed##bits(uint##bits##_t a, uint##bits##_t b)          \
    {                                                                                             \
        if (b == (uint##bits##_t)-1)                                                              \
            return 0;                                                                             \
        return b == 0 ? a : (uint##bits##_t)((int##bits##_t)a % (int##bits##_t)b);                \
    }
ANYBPF_DIVISION(32)
ANYBPF_DIVISION(64)

/* Where there is a builtin, it is not taken apart again. */
#if defined(__has_builtin)
#if __has_builtin(__builtin_rotateleft64)
#define rotate_left32(value, distance) __builtin_rotateleft32(value, distance)
#define rotate_left64(value, distance) __builtin_rotateleft64(value, distance)
#endif
#endif
#if !defined(rotate_left64)
#define rotate_left32(value, distance) ((value) << (distance) | (value) >> (32 - (distance)))
#define rotate_left64(value, distance) ((value) << (distance) | (value) >> (64 - (distance)))
#endif

/* The run: how it stands, and what the program may touch. */

#define ANYBPF_FIELD(run, type, place) (*(type *)((char *)(run) + (place)))
#define ANYBPF_IS_OVER(run) ANYBPF_UNLIKELY(ANYBPF_FIELD(run, uint32_t, ANYBPF_RUN_END) != 0)
#define ANYBPF_FOLLOWS(run) (ANYBPF_FIELD(run, void *, ANYBPF_RUN_NEXT) != NULL)
#define ANYBPF_CALLS(run, helper) (ANYBPF_FIELD(run, uint32_t, ANYBPF_RUN_CALLING) = (helper))
#define ANYBPF_SEAT(run) ANYBPF_FIELD(run, uint32_t, ANYBPF_RUN_SEAT)

/* Takes so many instructions out of the slice; whether it is used up. */
ANYBPF_INLINE int anybpf_spend(struct anybpf_run *run, int64_t cost)
{
    return ANYBPF_UNLIKELY((ANYBPF_FIELD(run, int64_t, ANYBPF_RUN_SLICE) -= cost) < 0);
}

/* The value of an array's entry, or NULL: they lie one after the other. */
ANYBPF_INLINE uint8_t *array_lookup(uint8_t *values, uint32_t key, uint32_t entries,
                                    uint64_t stride)
{
    if (values == NULL)
        __builtin_unreachable();
    return key < entries ? values + key * stride : NULL;
}

/* The end of the frame of a function that helpers may look into. */
ANYBPF_INLINE uint8_t *anybpf_frame_end(struct anybpf_run *run)
{
    uint64_t frames = ANYBPF_FIELD(run, uint32_t, ANYBPF_RUN_FRAMES);

    return (uint8_t *)run + ANYBPF_RUN_STACK + (ANYBPF_FRAMES + 1 - frames) * ANYBPF_FRAME_BYTES;
}

/* Whether bytes lie in a region of the run. */
ANYBPF_INLINE int anybpf_in_region(struct anybpf_run *run, uint32_t region, uint64_t address,
                                   uint32_t size, int write)
{
    const char *place = (const char *)run + ANYBPF_RUN_REGION + region * ANYBPF_REGION_BYTES;
    uint64_t start = *(const uint64_t *)(place + ANYBPF_REGION_START);
    uint64_t bytes = *(const uint64_t *)(place + (write ? ANYBPF_REGION_WRITABLE_SIZE
                                                        : ANYBPF_REGION_SIZE));
    uint64_t distance = address - start;

    return ANYBPF_LIKELY((distance < bytes) & (bytes - distance >= size));
}

/* What the library refers to: cells that whoever loads it fills in, before anything is called; what
 * each is for stands in the image's rows of the same numbers. To the code they are constants, of
 * which a compiler must not know the values: so it is the assembler that defines them. */
extern void *const anybpf_imports[ANYBPF_CELLS] __asm__("anybpf_imports")
    __attribute__((visibility("hidden")));
#define ANYBPF_TEXT_OF(number) #number
#define ANYBPF_TEXT(number) ANYBPF_TEXT_OF(number)
#if defined(__ELF__)
__asm__(".local anybpf_imports\n"
        ".comm anybpf_imports, " ANYBPF_TEXT(ANYBPF_CELLS) " * 8, 16\n");
#elif defined(__MACH__)
__asm__(".zerofill __DATA, __bss, anybpf_imports, " ANYBPF_TEXT(ANYBPF_CELLS) " * 8, 4\n");
#else
__asm__(".lcomm anybpf_imports, " ANYBPF_TEXT(ANYBPF_CELLS) " * 8, 16\n");
#endif

#define ANYBPF_IMPORT(type, cell) ((type)anybpf_imports[cell])
#define ANYBPF_FUNCTION(result, parameters, cell) ((result(*) parameters)anybpf_imports[cell])

struct anybpf_c_import {
    const char *program; /* whose symbol it is */
    const char *symbol;
};

/* A function whose value programs hold: callbacks of helpers. */
struct anybpf_c_function {
    uint32_t slot;
    anybpf_helper function;
};

struct anybpf_c_program {
    const char *name;
    const char *code_hash; /* SHA-256 of the bytecode that this was made of */
    uint64_t (*entry)(uint8_t *, struct anybpf_run *, uint64_t);
    const struct anybpf_c_function *functions;
    uint32_t function_count;
};

struct anybpf_c_image {
    char magic[8]; /* "ANYBPFC1" */
    uint32_t abi;
    uint32_t program_count;
    uint32_t import_count;
    const struct anybpf_c_program *programs;
    const struct anybpf_c_import *imports;
    void *const *cells; /* `import_count` of them */
};

ANYBPF_EXPORT extern const struct anybpf_c_image anybpf_image;

#endif
