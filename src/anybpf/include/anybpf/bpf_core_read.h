/* SPDX-License-Identifier: MIT */
/*
 * CO-RE: reading the kernel's structures so that one object fits kernels with other layouts. The
 * compiler records which field each instruction means; a loader puts in the offset that the
 * field has in the running kernel.
 */
#ifndef ANYBPF_BPF_CORE_READ_H
#define ANYBPF_BPF_CORE_READ_H

#include <anybpf/bpf_helpers.h>

/* As ANYBPF_JOIN and ANYBPF_BY_COUNT; a macro cannot be used inside itself, and those may be. */
#define ANYBPF_CORE_JOIN_(a, b) a##b
#define ANYBPF_CORE_JOIN(a, b) ANYBPF_CORE_JOIN_(a, b)
#define ANYBPF_CORE_BY_COUNT(prefix, ...)                                                         \
	ANYBPF_CORE_JOIN(prefix, ANYBPF_COUNT(__VA_ARGS__))(__VA_ARGS__)

/* ---- Questions about fields, types and enumerators ------------------------------------------- */

/* The numbers are those of clang's builtins, which become relocation kinds (btf.rst, 4.3). */
enum bpf_field_info_kind {
	BPF_FIELD_BYTE_OFFSET = 0,
	BPF_FIELD_BYTE_SIZE = 1,
	BPF_FIELD_EXISTS = 2,
	BPF_FIELD_SIGNED = 3,
	BPF_FIELD_LSHIFT_U64 = 4,
	BPF_FIELD_RSHIFT_U64 = 5,
};

enum bpf_type_id_kind {
	BPF_TYPE_ID_LOCAL = 0,
	BPF_TYPE_ID_TARGET = 1,
};

enum bpf_type_info_kind {
	BPF_TYPE_EXISTS = 0,
	BPF_TYPE_SIZE = 1,
	BPF_TYPE_MATCHES = 2,
};

enum bpf_enum_value_kind {
	BPF_ENUMVAL_EXISTS = 0,
	BPF_ENUMVAL_VALUE = 1,
};

/* A field is given as `pointer->field` or as `type, field`. */
#define ANYBPF_FIELD_1(access) access
#define ANYBPF_FIELD_2(type, field) ((__typeof__(type) *)0)->field
#define ANYBPF_FIELD(...) ANYBPF_CORE_BY_COUNT(ANYBPF_FIELD_, __VA_ARGS__)

#define bpf_core_field_exists(...)                                                                \
	__builtin_preserve_field_info(ANYBPF_FIELD(__VA_ARGS__), BPF_FIELD_EXISTS)
#define bpf_core_field_size(...)                                                                  \
	__builtin_preserve_field_info(ANYBPF_FIELD(__VA_ARGS__), BPF_FIELD_BYTE_SIZE)
#define bpf_core_field_offset(...)                                                                \
	__builtin_preserve_field_info(ANYBPF_FIELD(__VA_ARGS__), BPF_FIELD_BYTE_OFFSET)

#define bpf_core_type_id_local(type)                                                              \
	__builtin_btf_type_id(*(__typeof__(type) *)0, BPF_TYPE_ID_LOCAL)
#define bpf_core_type_id_kernel(type)                                                             \
	__builtin_btf_type_id(*(__typeof__(type) *)0, BPF_TYPE_ID_TARGET)
#define bpf_core_type_exists(type)                                                                \
	__builtin_preserve_type_info(*(__typeof__(type) *)0, BPF_TYPE_EXISTS)
#define bpf_core_type_size(type)                                                                  \
	__builtin_preserve_type_info(*(__typeof__(type) *)0, BPF_TYPE_SIZE)
#define bpf_core_type_matches(type)                                                               \
	__builtin_preserve_type_info(*(__typeof__(type) *)0, BPF_TYPE_MATCHES)

#define bpf_core_enum_value_exists(type, value)                                                   \
	__builtin_preserve_enum_value(*(__typeof__(type) *)value, BPF_ENUMVAL_EXISTS)
#define bpf_core_enum_value(type, value)                                                          \
	__builtin_preserve_enum_value(*(__typeof__(type) *)value, BPF_ENUMVAL_VALUE)

/* A pointer to kernel memory, seen as one to `type` that may be read directly. */
extern void *bpf_rdonly_cast(const void *obj, unsigned int btf_id) __ksym __weak;
#define bpf_core_cast(pointer, type)                                                              \
	((__typeof__(type) *)bpf_rdonly_cast((pointer), bpf_core_type_id_kernel(type)))

/* ---- Reading one field ------------------------------------------------------------------------ */

#define ANYBPF_KEEP(address) (const void *)__builtin_preserve_access_index(address)

#define bpf_core_read(out, size, address)                                                         \
	bpf_probe_read_kernel(out, size, ANYBPF_KEEP(address))
#define bpf_core_read_user(out, size, address) bpf_probe_read_user(out, size, ANYBPF_KEEP(address))
#define bpf_core_read_str(out, size, address)                                                     \
	bpf_probe_read_kernel_str(out, size, ANYBPF_KEEP(address))
#define bpf_core_read_user_str(out, size, address)                                                \
	bpf_probe_read_user_str(out, size, ANYBPF_KEEP(address))

/* ---- Bit-fields -------------------------------------------------------------------------------- */

#define ANYBPF_ABOUT(source, field, what) __builtin_preserve_field_info((source)->field, what)

/* Shifts what was read so that only the field is left, with its sign if it has one. */
#define ANYBPF_CUT_BITFIELD(source, field, word)                                                  \
	({                                                                                        \
		unsigned long long __cut = (word)                                                 \
					   << ANYBPF_ABOUT(source, field, BPF_FIELD_LSHIFT_U64);  \
		unsigned int __down = ANYBPF_ABOUT(source, field, BPF_FIELD_RSHIFT_U64);          \
		ANYBPF_ABOUT(source, field, BPF_FIELD_SIGNED) ?                                   \
			(unsigned long long)((long long)__cut >> __down) :                        \
			__cut >> __down;                                                          \
	})

/* Reads a bit-field through a helper; the source may be any kernel address. */
#define BPF_CORE_READ_BITFIELD_PROBED(source, field)                                              \
	({                                                                                        \
		unsigned long long __word = 0;                                                    \
		unsigned int __size = ANYBPF_ABOUT(source, field, BPF_FIELD_BYTE_SIZE);           \
		const void *__from = (const void *)(source) +                                     \
				     ANYBPF_ABOUT(source, field, BPF_FIELD_BYTE_OFFSET);          \
		/* On a big-endian machine a short word fills the upper end of the long one. */   \
		void *__to = (void *)&__word + (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ?          \
							8 - __size : 0);                          \
		bpf_probe_read_kernel(__to, __size, __from);                                      \
		ANYBPF_CUT_BITFIELD(source, field, __word);                                       \
	})

/* Reads a bit-field by a plain load; the verifier must know what the source points to. */
#define BPF_CORE_READ_BITFIELD(source, field)                                                     \
	({                                                                                        \
		const void *__from = (const void *)(source) +                                     \
				     ANYBPF_ABOUT(source, field, BPF_FIELD_BYTE_OFFSET);          \
		unsigned long long __word = 0;                                                    \
		/* Keeps clang from folding the four loads into one of a variable size. */        \
		barrier_var(__from);                                                              \
		switch (ANYBPF_ABOUT(source, field, BPF_FIELD_BYTE_SIZE)) {                       \
		case 1: __word = *(const unsigned char *)__from; break;                           \
		case 2: __word = *(const unsigned short *)__from; break;                          \
		case 4: __word = *(const unsigned int *)__from; break;                            \
		case 8: __word = *(const unsigned long long *)__from; break;                      \
		}                                                                                 \
		ANYBPF_CUT_BITFIELD(source, field, __word);                                       \
	})

/* Writes a bit-field and leaves its neighbours as they are. */
#define BPF_CORE_WRITE_BITFIELD(source, field, value)                                             \
	({                                                                                        \
		void *__place = (void *)(source) +                                                \
				ANYBPF_ABOUT(source, field, BPF_FIELD_BYTE_OFFSET);               \
		unsigned int __size = ANYBPF_ABOUT(source, field, BPF_FIELD_BYTE_SIZE);           \
		unsigned int __left = ANYBPF_ABOUT(source, field, BPF_FIELD_LSHIFT_U64);          \
		unsigned int __right = ANYBPF_ABOUT(source, field, BPF_FIELD_RSHIFT_U64);         \
		/* Where the field's lowest bit lies, and which bits are the field's. */          \
		unsigned int __low = __right - __left;                                            \
		unsigned long long __mask = (~0ULL << __right) >> __left;                         \
		unsigned long long __bits = ((unsigned long long)(value) << __low) & __mask;      \
		barrier_var(__place);                                                             \
		switch (__size) {                                                                 \
		case 1: ANYBPF_SET_BITS(unsigned char, __place, __mask, __bits); break;           \
		case 2: ANYBPF_SET_BITS(unsigned short, __place, __mask, __bits); break;          \
		case 4: ANYBPF_SET_BITS(unsigned int, __place, __mask, __bits); break;            \
		case 8: ANYBPF_SET_BITS(unsigned long long, __place, __mask, __bits); break;      \
		}                                                                                 \
	})
#define ANYBPF_SET_BITS(type, place, mask, bits)                                                  \
	(*(type *)(place) = (type)((*(type *)(place) & ~(mask)) | (bits)))

/* ---- Reading along a chain of pointers --------------------------------------------------------- */

/* The expression a->b->c. */
#define ANYBPF_CHAIN_1(a) a
#define ANYBPF_CHAIN_2(a, b) a->b
#define ANYBPF_CHAIN_3(a, b, c) a->b->c
#define ANYBPF_CHAIN_4(a, b, c, d) a->b->c->d
#define ANYBPF_CHAIN_5(a, b, c, d, e) a->b->c->d->e
#define ANYBPF_CHAIN_6(a, b, c, d, e, f) a->b->c->d->e->f
#define ANYBPF_CHAIN_7(a, b, c, d, e, f, g) a->b->c->d->e->f->g
#define ANYBPF_CHAIN_8(a, b, c, d, e, f, g, h) a->b->c->d->e->f->g->h
#define ANYBPF_CHAIN_9(a, b, c, d, e, f, g, h, i) a->b->c->d->e->f->g->h->i
#define ANYBPF_CHAIN_10(a, b, c, d, e, f, g, h, i, j) a->b->c->d->e->f->g->h->i->j
#define ANYBPF_CHAIN(...) ANYBPF_CORE_BY_COUNT(ANYBPF_CHAIN_, __VA_ARGS__)

/*
 * The steps of a chain: each reads the pointer that the field holds into p, which the next step
 * takes for a pointer of the field's type.
 */
#define ANYBPF_STEP(read, p, type, field) read(&p, sizeof(p), &((type)p)->field)
#define ANYBPF_STEPS_2(r, p, s, a) r(&p, sizeof(p), &(s)->a)
#define ANYBPF_STEPS_3(r, p, s, a, b)                                                             \
	ANYBPF_STEPS_2(r, p, s, a); ANYBPF_STEP(r, p, __typeof__((s)->a), b)
#define ANYBPF_STEPS_4(r, p, s, a, b, c)                                                          \
	ANYBPF_STEPS_3(r, p, s, a, b); ANYBPF_STEP(r, p, __typeof__((s)->a->b), c)
#define ANYBPF_STEPS_5(r, p, s, a, b, c, d)                                                       \
	ANYBPF_STEPS_4(r, p, s, a, b, c); ANYBPF_STEP(r, p, __typeof__((s)->a->b->c), d)
#define ANYBPF_STEPS_6(r, p, s, a, b, c, d, e)                                                    \
	ANYBPF_STEPS_5(r, p, s, a, b, c, d); ANYBPF_STEP(r, p, __typeof__((s)->a->b->c->d), e)
#define ANYBPF_STEPS_7(r, p, s, a, b, c, d, e, f)                                                 \
	ANYBPF_STEPS_6(r, p, s, a, b, c, d, e);                                                   \
	ANYBPF_STEP(r, p, __typeof__((s)->a->b->c->d->e), f)
#define ANYBPF_STEPS_8(r, p, s, a, b, c, d, e, f, g)                                              \
	ANYBPF_STEPS_7(r, p, s, a, b, c, d, e, f);                                                \
	ANYBPF_STEP(r, p, __typeof__((s)->a->b->c->d->e->f), g)
#define ANYBPF_STEPS_9(r, p, s, a, b, c, d, e, f, g, h)                                           \
	ANYBPF_STEPS_8(r, p, s, a, b, c, d, e, f, g);                                             \
	ANYBPF_STEP(r, p, __typeof__((s)->a->b->c->d->e->f->g), h)

/* All steps, then the last field into `out` by its own way of reading. */
#define ANYBPF_LAST(last, out, p, type, field)                                                    \
	last((void *)(out), sizeof(*(out)), &((type)p)->field)
#define ANYBPF_WALK_2(r, l, o, s, a)                                                              \
	l((void *)(o), sizeof(*(o)), &(s)->a)
#define ANYBPF_WALK_3(r, l, o, s, a, b)                                                           \
	const void *__p; ANYBPF_STEPS_2(r, __p, s, a); ANYBPF_LAST(l, o, __p, __typeof__((s)->a), b)
#define ANYBPF_WALK_4(r, l, o, s, a, b, c)                                                        \
	const void *__p; ANYBPF_STEPS_3(r, __p, s, a, b);                                         \
	ANYBPF_LAST(l, o, __p, __typeof__((s)->a->b), c)
#define ANYBPF_WALK_5(r, l, o, s, a, b, c, d)                                                     \
	const void *__p; ANYBPF_STEPS_4(r, __p, s, a, b, c);                                      \
	ANYBPF_LAST(l, o, __p, __typeof__((s)->a->b->c), d)
#define ANYBPF_WALK_6(r, l, o, s, a, b, c, d, e)                                                  \
	const void *__p; ANYBPF_STEPS_5(r, __p, s, a, b, c, d);                                   \
	ANYBPF_LAST(l, o, __p, __typeof__((s)->a->b->c->d), e)
#define ANYBPF_WALK_7(r, l, o, s, a, b, c, d, e, f)                                               \
	const void *__p; ANYBPF_STEPS_6(r, __p, s, a, b, c, d, e);                                \
	ANYBPF_LAST(l, o, __p, __typeof__((s)->a->b->c->d->e), f)
#define ANYBPF_WALK_8(r, l, o, s, a, b, c, d, e, f, g)                                            \
	const void *__p; ANYBPF_STEPS_7(r, __p, s, a, b, c, d, e, f);                             \
	ANYBPF_LAST(l, o, __p, __typeof__((s)->a->b->c->d->e->f), g)
#define ANYBPF_WALK_9(r, l, o, s, a, b, c, d, e, f, g, h)                                         \
	const void *__p; ANYBPF_STEPS_8(r, __p, s, a, b, c, d, e, f, g);                          \
	ANYBPF_LAST(l, o, __p, __typeof__((s)->a->b->c->d->e->f->g), h)
#define ANYBPF_WALK_10(r, l, o, s, a, b, c, d, e, f, g, h, i)                                     \
	const void *__p; ANYBPF_STEPS_9(r, __p, s, a, b, c, d, e, f, g, h);                       \
	ANYBPF_LAST(l, o, __p, __typeof__((s)->a->b->c->d->e->f->g->h), i)

/* The type of an expression without `const`, where the compiler can tell it. */
#if defined(__clang_major__) && __clang_major__ >= 16
#define ANYBPF_PLAIN_TYPE(expression) __typeof_unqual__(expression)
#else
#define ANYBPF_PLAIN_TYPE(expression) __typeof__(expression)
#endif

/* `...` is the source and one to nine fields. The value is the last read's result. */
#define ANYBPF_READ_INTO(read, last, out, ...)                                                    \
	({                                                                                        \
		ANYBPF_CORE_JOIN(ANYBPF_WALK_, ANYBPF_COUNT(__VA_ARGS__))(read, last, out,        \
								     __VA_ARGS__);                \
	})
#define ANYBPF_READ(read, source, ...)                                                            \
	({                                                                                        \
		ANYBPF_PLAIN_TYPE((source)->ANYBPF_CHAIN(__VA_ARGS__)) __value;                   \
		ANYBPF_READ_INTO(read, read, &__value, source, __VA_ARGS__);                      \
		__value;                                                                          \
	})

/* What a chain leads to, as a value: BPF_CORE_READ(task, mm, exe_file, f_inode, i_ino). */
#define BPF_CORE_READ(source, ...) ANYBPF_READ(bpf_core_read, source, __VA_ARGS__)
#define BPF_CORE_READ_USER(source, ...) ANYBPF_READ(bpf_core_read_user, source, __VA_ARGS__)

/* The same into memory, where the caller sees whether it failed. */
#define BPF_CORE_READ_INTO(out, source, ...)                                                      \
	ANYBPF_READ_INTO(bpf_core_read, bpf_core_read, out, source, __VA_ARGS__)
#define BPF_CORE_READ_USER_INTO(out, source, ...)                                                 \
	ANYBPF_READ_INTO(bpf_core_read_user, bpf_core_read_user, out, source, __VA_ARGS__)
#define BPF_CORE_READ_STR_INTO(out, source, ...)                                                  \
	ANYBPF_READ_INTO(bpf_core_read, bpf_core_read_str, out, source, __VA_ARGS__)
#define BPF_CORE_READ_USER_STR_INTO(out, source, ...)                                             \
	ANYBPF_READ_INTO(bpf_core_read_user, bpf_core_read_user_str, out, source, __VA_ARGS__)

/* The same with the layout that the program was compiled with. */
#define BPF_PROBE_READ(source, ...) ANYBPF_READ(bpf_probe_read_kernel, source, __VA_ARGS__)
#define BPF_PROBE_READ_USER(source, ...) ANYBPF_READ(bpf_probe_read_user, source, __VA_ARGS__)
#define BPF_PROBE_READ_INTO(out, source, ...)                                                     \
	ANYBPF_READ_INTO(bpf_probe_read_kernel, bpf_probe_read_kernel, out, source, __VA_ARGS__)
#define BPF_PROBE_READ_USER_INTO(out, source, ...)                                                \
	ANYBPF_READ_INTO(bpf_probe_read_user, bpf_probe_read_user, out, source, __VA_ARGS__)
#define BPF_PROBE_READ_STR_INTO(out, source, ...)                                                 \
	ANYBPF_READ_INTO(bpf_probe_read_kernel, bpf_probe_read_kernel_str, out, source, __VA_ARGS__)
#define BPF_PROBE_READ_USER_STR_INTO(out, source, ...)                                            \
	ANYBPF_READ_INTO(bpf_probe_read_user, bpf_probe_read_user_str, out, source, __VA_ARGS__)

#endif /* ANYBPF_BPF_CORE_READ_H */
