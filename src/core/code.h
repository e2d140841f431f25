/* Code: what an instruction looks like in memory, and whether it is legal.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#ifndef ANYBPF_CODE_H
#define ANYBPF_CODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One unit of eight bytes, in the byte order of the program: RFC 9669 section 3. */
struct anybpf_slot {
    uint8_t opcode;
    uint8_t dst;
    uint8_t src;
    int16_t offset;
    int32_t imm;
};

#define ANYBPF_SLOT_SIZE 8u
#define ANYBPF_REGISTERS 11u

/* Why code is not legal. The numbers are stable: Python has a text for each. */
enum anybpf_fault {
    ANYBPF_LEGAL = 0,
    ANYBPF_ODD_LENGTH,        /* not a multiple of eight bytes */
    ANYBPF_UNDEFINED_OPCODE,  /* no instruction has this opcode */
    ANYBPF_NO_SUCH_REGISTER,  /* r11 to r15 */
    ANYBPF_DST_NOT_ZERO,      /* a field that the instruction does not use */
    ANYBPF_SRC_NOT_ZERO,
    ANYBPF_OFFSET_NOT_ZERO,
    ANYBPF_IMM_NOT_ZERO,
    ANYBPF_UNDEFINED_VALUE,   /* a field has a value that the instruction gives no meaning */
    ANYBPF_HALF_MISSING,      /* a 16-byte load at the very end */
    ANYBPF_HALF_NOT_ZERO,     /* the second half of a 16-byte load has more than an immediate */
    ANYBPF_TARGET_OUTSIDE,    /* a jump or local call leaves the program */
    ANYBPF_TARGET_IN_LOAD,    /* ... or lands inside a 16-byte load */
    ANYBPF_FALLS_OFF_END      /* the last instruction neither exits nor jumps */
};

struct anybpf_verdict {
    enum anybpf_fault fault;
    size_t slot; /* where, if there is a fault */
};

/* Reads slot number `index` of `code`, which must hold it whole. */
struct anybpf_slot anybpf_read_slot(const uint8_t *code, size_t index, bool big_endian);

/* Whether each instruction in `code` is legal by itself, reserved fields zero. */
struct anybpf_verdict anybpf_check_instructions(const uint8_t *code, size_t size, bool big_endian);

/* Whether, besides, every jump and local call lands on an instruction of the same program and
 * nothing falls off the end. What runs programs asks this of code before its first run, whoever
 * vouches for it. Borrows `code`; takes time linear in `size` and no memory. */
struct anybpf_verdict anybpf_check_program(const uint8_t *code, size_t size, bool big_endian);

#endif
