/* SPDX-License-Identifier: MIT */
/*
 * What nearly every BPF program for Linux needs: sections, map definitions, attributes, the
 * helpers, printing, loops. The names are those that BPF programs have always used. Include
 * <linux/bpf.h> or a vmlinux.h first if you need the kernel's own types and constants.
 */
#ifndef ANYBPF_BPF_HELPERS_H
#define ANYBPF_BPF_HELPERS_H

#include <anybpf/bpf_helper_defs.h>

/* ---- Where things go, and who may see them ------------------------------------------------ */

/* The section decides what kind of program a function is. */
#define SEC(name) __attribute__((section(name), used))

#undef __always_inline /* the C library may have one that adds less */
#define __always_inline inline __attribute__((always_inline))

#ifndef __noinline
#define __noinline __attribute__((noinline))
#endif

#ifndef __weak
#define __weak __attribute__((weak))
#endif

/* Global within the object that a static linker makes, but not beyond it. */
#ifndef __hidden
#define __hidden __attribute__((visibility("hidden")))
#endif

/* Supplied by whoever loads the program: kernel configuration, kernel symbols. */
#define __kconfig __attribute__((section(".kconfig")))
#define __ksym __attribute__((section(".ksyms")))

/* ---- What the verifier is told about types and arguments ---------------------------------- */

#define ANYBPF_TYPE_TAG(text) __attribute__((btf_type_tag(text)))
#define ANYBPF_DECL_TAG(text) __attribute__((btf_decl_tag(text)))

#define __kptr ANYBPF_TYPE_TAG("kptr")
#define __kptr_untrusted ANYBPF_TYPE_TAG("kptr_untrusted")
#define __percpu_kptr ANYBPF_TYPE_TAG("percpu_kptr")
#define __uptr ANYBPF_TYPE_TAG("uptr")

#define __arg_ctx ANYBPF_DECL_TAG("arg:ctx")
#define __arg_nonnull ANYBPF_DECL_TAG("arg:nonnull")
#define __arg_nullable ANYBPF_DECL_TAG("arg:nullable")
#define __arg_trusted ANYBPF_DECL_TAG("arg:trusted")
#define __arg_untrusted ANYBPF_DECL_TAG("arg:untrusted")
#define __arg_arena ANYBPF_DECL_TAG("arg:arena")

/* ---- Map definitions, in section ".maps" --------------------------------------------------- */

/* A number is kept as the length of an array type, since type information is all that stays. */
#define __uint(name, number) int (*name)[number]
#define __type(name, type) __typeof__(type) *name
#define __array(name, type) __typeof__(type) *name[]
/* For numbers that are too large for the length of an array. */
#define __ulong(name, number) enum { ANYBPF_JOIN(__anybpf_ulong_, __COUNTER__) = (number) } name

enum libbpf_pin_type {
	LIBBPF_PIN_NONE,
	LIBBPF_PIN_BY_NAME, /* kept, and found again, by the map's name */
};

/* The values of a three-valued kernel configuration option. */
enum libbpf_tristate {
	TRI_NO = 0,
	TRI_YES = 1,
	TRI_MODULE = 2,
};

/* ---- Small things --------------------------------------------------------------------------- */

#ifndef offsetof
#define offsetof(type, member) ((unsigned long)&((type *)0)->member)
#endif

#ifndef container_of
#define container_of(pointer, type, member)                                                       \
	({                                                                                        \
		void *__inner = (void *)(pointer);                                                \
		(type *)(__inner - offsetof(type, member));                                       \
	})
#endif

#ifndef KERNEL_VERSION
#define KERNEL_VERSION(a, b, c) (((a) << 16) + ((b) << 8) + ((c) > 255 ? 255 : (c)))
#endif

/* Forbids the compiler to move memory accesses across. */
#ifndef barrier
#define barrier() __asm__ volatile("" ::: "memory")
#endif

/* Makes the compiler forget what it knows of a variable, so that a check of it stays a check. */
#ifndef barrier_var
#define barrier_var(variable) __asm__ volatile("" : "+r"(variable))
#endif

/* Whether a weak __ksym was found by the loader. */
#define bpf_ksym_exists(symbol)                                                                   \
	({                                                                                        \
		_Static_assert(!__builtin_constant_p(!!(symbol)), #symbol " must be declared __weak"); \
		!!(symbol);                                                                       \
	})

/* Reaching this makes the program fail to link: calls with unsupported arguments end here. */
#ifndef __bpf_unreachable
#define __bpf_unreachable() __builtin_trap()
#endif

#define ANYBPF_JOIN_(a, b) a##b
#define ANYBPF_JOIN(a, b) ANYBPF_JOIN_(a, b)

/* How many arguments, 0 to 12. */
#define ANYBPF_13TH(_0, _1, _2, _3, _4, _5, _6, _7, _8, _9, _10, _11, _12, n, ...) n
#define ANYBPF_COUNT(...)                                                                         \
	ANYBPF_13TH(_, ##__VA_ARGS__, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)

/* `prefix##N(…)`, where N is how many arguments there are. */
#define ANYBPF_BY_COUNT(prefix, ...) ANYBPF_JOIN(prefix, ANYBPF_COUNT(__VA_ARGS__))(__VA_ARGS__)

/* ---- Tail calls ----------------------------------------------------------------------------- */

#ifdef __bpf__
/*
 * A tail call with a slot that is known when compiling. Both the map and the slot stay constants
 * in the call's own registers on every path, which lets a JIT turn it into a direct jump.
 */
static __always_inline void bpf_tail_call_static(void *ctx, const void *map, const unsigned int slot)
{
	if (!__builtin_constant_p(slot))
		__bpf_unreachable();
	/* 12 is bpf_tail_call; a call uses r1 to r5 up and leaves its result in r0. */
	__asm__ volatile("r1 = %[context]\n\t"
		     "r2 = %[programs]\n\t"
		     "r3 = %[index]\n\t"
		     "call 12"
		     :
		     : [context] "r"(ctx), [programs] "r"(map), [index] "i"(slot)
		     : "r0", "r1", "r2", "r3", "r4", "r5");
}
#endif

/* ---- Printing ------------------------------------------------------------------------------- */

#ifdef BPF_NO_GLOBAL_DATA /* for kernels before 5.2: the format is put on the stack */
#define ANYBPF_FORMAT
#else
#define ANYBPF_FORMAT static const
#endif

#define ANYBPF_SLOTS_0() 0
#define ANYBPF_SLOTS_1(a) (unsigned long long)(a)
#define ANYBPF_SLOTS_2(a, ...) (unsigned long long)(a), ANYBPF_SLOTS_1(__VA_ARGS__)
#define ANYBPF_SLOTS_3(a, ...) (unsigned long long)(a), ANYBPF_SLOTS_2(__VA_ARGS__)
#define ANYBPF_SLOTS_4(a, ...) (unsigned long long)(a), ANYBPF_SLOTS_3(__VA_ARGS__)
#define ANYBPF_SLOTS_5(a, ...) (unsigned long long)(a), ANYBPF_SLOTS_4(__VA_ARGS__)
#define ANYBPF_SLOTS_6(a, ...) (unsigned long long)(a), ANYBPF_SLOTS_5(__VA_ARGS__)
#define ANYBPF_SLOTS_7(a, ...) (unsigned long long)(a), ANYBPF_SLOTS_6(__VA_ARGS__)
#define ANYBPF_SLOTS_8(a, ...) (unsigned long long)(a), ANYBPF_SLOTS_7(__VA_ARGS__)
#define ANYBPF_SLOTS_9(a, ...) (unsigned long long)(a), ANYBPF_SLOTS_8(__VA_ARGS__)
#define ANYBPF_SLOTS_10(a, ...) (unsigned long long)(a), ANYBPF_SLOTS_9(__VA_ARGS__)
#define ANYBPF_SLOTS_11(a, ...) (unsigned long long)(a), ANYBPF_SLOTS_10(__VA_ARGS__)
#define ANYBPF_SLOTS_12(a, ...) (unsigned long long)(a), ANYBPF_SLOTS_11(__VA_ARGS__)

/* Declares `__slots`, an array of 64-bit words with the arguments; one word if there are none. */
#define ANYBPF_ARGUMENT_SLOTS(...)                                                                \
	_Pragma("GCC diagnostic push")                                                            \
	_Pragma("GCC diagnostic ignored \"-Wint-conversion\"")                                    \
	unsigned long long __slots[] = {ANYBPF_BY_COUNT(ANYBPF_SLOTS_, ##__VA_ARGS__)};           \
	_Pragma("GCC diagnostic pop")

#define ANYBPF_PRINTK_FEW(format, ...)                                                            \
	({                                                                                        \
		ANYBPF_FORMAT char __format[] = format;                                           \
		bpf_trace_printk(__format, sizeof(__format), ##__VA_ARGS__);                      \
	})

#define ANYBPF_PRINTK_MANY(format, ...)                                                           \
	({                                                                                        \
		static const char __format[] = format;                                            \
		ANYBPF_ARGUMENT_SLOTS(__VA_ARGS__)                                                \
		bpf_trace_vprintk(__format, sizeof(__format), __slots, sizeof(__slots));          \
	})

#define ANYBPF_PRINTK_0 ANYBPF_PRINTK_FEW
#define ANYBPF_PRINTK_1 ANYBPF_PRINTK_FEW
#define ANYBPF_PRINTK_2 ANYBPF_PRINTK_FEW
#define ANYBPF_PRINTK_3 ANYBPF_PRINTK_FEW
#define ANYBPF_PRINTK_4 ANYBPF_PRINTK_MANY
#define ANYBPF_PRINTK_5 ANYBPF_PRINTK_MANY
#define ANYBPF_PRINTK_6 ANYBPF_PRINTK_MANY
#define ANYBPF_PRINTK_7 ANYBPF_PRINTK_MANY
#define ANYBPF_PRINTK_8 ANYBPF_PRINTK_MANY
#define ANYBPF_PRINTK_9 ANYBPF_PRINTK_MANY
#define ANYBPF_PRINTK_10 ANYBPF_PRINTK_MANY
#define ANYBPF_PRINTK_11 ANYBPF_PRINTK_MANY
#define ANYBPF_PRINTK_12 ANYBPF_PRINTK_MANY

/* Prints to the trace pipe; up to three arguments work on every kernel, more since 5.16. */
#define bpf_printk(format, ...)                                                                   \
	ANYBPF_JOIN(ANYBPF_PRINTK_, ANYBPF_COUNT(__VA_ARGS__))(format, ##__VA_ARGS__)

/* Prints into the file of an iterator program. */
#define BPF_SEQ_PRINTF(seq, format, ...)                                                          \
	({                                                                                        \
		static const char __format[] = format;                                            \
		ANYBPF_ARGUMENT_SLOTS(__VA_ARGS__)                                                \
		bpf_seq_printf(seq, __format, sizeof(__format), __slots,                          \
			       ANYBPF_COUNT(__VA_ARGS__) * sizeof(__slots[0]));                   \
	})

/* Prints into memory; returns the length that the whole text has, with its end mark. */
#define BPF_SNPRINTF(out, size, format, ...)                                                      \
	({                                                                                        \
		static const char __format[] = format;                                            \
		ANYBPF_ARGUMENT_SLOTS(__VA_ARGS__)                                                \
		bpf_snprintf(out, size, __format, __slots,                                        \
			     ANYBPF_COUNT(__VA_ARGS__) * sizeof(__slots[0]));                     \
	})

/* ---- Loops that the verifier follows without unrolling them (Linux 6.4 and newer) ------------ */

struct bpf_iter_num;
/* A loader compares types, so the struct must be whole: kernel headers before 6.4 lack it. */
#if defined(__LINUX_BPF_H__) && !defined(__VMLINUX_H__) && __has_include(<linux/version.h>)
#include <linux/version.h>
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 4, 0)
struct bpf_iter_num {
	unsigned long long anybpf_state;
};
#endif
#endif

extern int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end) __weak __ksym;
extern int *bpf_iter_num_next(struct bpf_iter_num *it) __weak __ksym;
extern void bpf_iter_num_destroy(struct bpf_iter_num *it) __weak __ksym;

/* The state of a number iterator: one word. */
struct anybpf_numbers {
	unsigned long long state;
};

static __always_inline void anybpf_numbers_end(struct anybpf_numbers *it)
{
	bpf_iter_num_destroy((struct bpf_iter_num *)it);
}

/* Runs the body with i = start, start + 1, … below end. `break` and `continue` work. */
#define bpf_for(i, start, end)                                                                    \
	for (struct anybpf_numbers __it __attribute__((aligned(8), cleanup(anybpf_numbers_end))), \
	     *__started __attribute__((unused)) =                                                 \
		     (bpf_iter_num_new((struct bpf_iter_num *)&__it, (start), (end)), &__it);     \
	     ({                                                                                   \
		     int *__next = bpf_iter_num_next((struct bpf_iter_num *)&__it);               \
		     /* The comparison repeats what is known, for the verifier's sake. */         \
		     __next && ((i) = *__next, (i) >= (start) && (i) < (end));                    \
	     });)

/* Runs the body n times. */
#define bpf_repeat(n)                                                                             \
	for (struct anybpf_numbers __it __attribute__((aligned(8), cleanup(anybpf_numbers_end))), \
	     *__started __attribute__((unused)) =                                                 \
		     (bpf_iter_num_new((struct bpf_iter_num *)&__it, 0, (n)), &__it);             \
	     bpf_iter_num_next((struct bpf_iter_num *)&__it);)

/*
 * Runs the body for each item of an iterator of the kernel: `bpf_for_each(task, t, 0, 0)` uses
 * bpf_iter_task_new, _next and _destroy, which must be declared.
 */
#define bpf_for_each(kind, item, ...)                                                             \
	for (struct bpf_iter_##kind __it __attribute__((aligned(8),                               \
						       cleanup(bpf_iter_##kind##_destroy))),      \
	     *__started __attribute__((unused)) =                                                 \
		     (bpf_iter_##kind##_new(&__it, ##__VA_ARGS__), &__it);                        \
	     ((item) = bpf_iter_##kind##_next(&__it));)

#endif /* ANYBPF_BPF_HELPERS_H */
