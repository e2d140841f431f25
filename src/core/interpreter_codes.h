/* What the interpreter's loop can do, one name each: the labels of interpreter_loop.h, and the
 * numbers that decode.c gives to instructions.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#ifndef ANYBPF_INTERPRETER_CODES_H
#define ANYBPF_INTERPRETER_CODES_H

/* An operation in both widths, with an immediate and with a register. */
#define ANYBPF_FOUR(X, NAME) X(NAME##64_IMM) X(NAME##64_REG) X(NAME##32_IMM) X(NAME##32_REG)
/* A jump, to what follows and to what went before. */
#define ANYBPF_EIGHT(X, NAME)                                                                      \
    ANYBPF_FOUR(X, NAME)                                                                           \
    X(NAME##64_IMM_BACK) X(NAME##64_REG_BACK) X(NAME##32_IMM_BACK) X(NAME##32_REG_BACK)
#define ANYBPF_SIZES(X, NAME) X(NAME##8) X(NAME##16) X(NAME##32) X(NAME##64)

/* In the order of the operation field of arithmetic (RFC 9669 table 5) and jumps (table 9): the
 * decoder counts on it, and on the order within the groups above. */
#define ANYBPF_ARITHMETIC(X)                                                                       \
    ANYBPF_FOUR(X, ADD) ANYBPF_FOUR(X, SUB) ANYBPF_FOUR(X, MUL) ANYBPF_FOUR(X, DIV)                \
    ANYBPF_FOUR(X, OR) ANYBPF_FOUR(X, AND) ANYBPF_FOUR(X, LSH) ANYBPF_FOUR(X, RSH)                 \
    ANYBPF_FOUR(X, NEG) ANYBPF_FOUR(X, MOD) ANYBPF_FOUR(X, XOR) ANYBPF_FOUR(X, MOV)                \
    ANYBPF_FOUR(X, ARSH)
#define ANYBPF_COMPARISONS(X)                                                                      \
    ANYBPF_EIGHT(X, JEQ) ANYBPF_EIGHT(X, JGT) ANYBPF_EIGHT(X, JGE) ANYBPF_EIGHT(X, JSET)           \
    ANYBPF_EIGHT(X, JNE) ANYBPF_EIGHT(X, JSGT) ANYBPF_EIGHT(X, JSGE) ANYBPF_EIGHT(X, JLT)          \
    ANYBPF_EIGHT(X, JLE) ANYBPF_EIGHT(X, JSLT) ANYBPF_EIGHT(X, JSLE)
/* Without and with fetching. */
#define ANYBPF_ATOMIC(X, NAME) X(NAME##_32) X(NAME##_64) X(NAME##_FETCH_32) X(NAME##_FETCH_64)

#define ANYBPF_CODES(X)                                                                            \
    ANYBPF_ARITHMETIC(X)                                                                           \
    ANYBPF_FOUR(X, SDIV) ANYBPF_FOUR(X, SMOD)                                                      \
    X(MOVSX8_32) X(MOVSX16_32) X(MOVSX8_64) X(MOVSX16_64) X(MOVSX32_64)                            \
    X(CUT16) X(CUT32) X(CUT64) X(SWAP16) X(SWAP32) X(SWAP64) X(CAST_KERNEL) X(CAST_USER)           \
    ANYBPF_COMPARISONS(X)                                                                          \
    X(JA) X(JA_BACK) X(JA_LONG) X(JA_LONG_BACK) X(MAY_GOTO) X(MAY_GOTO_BACK)                       \
    X(LOAD_WIDE)                                                                                   \
    ANYBPF_SIZES(X, LOAD) X(LOADSX8) X(LOADSX16) X(LOADSX32)                                       \
    ANYBPF_SIZES(X, STORE_IMM) ANYBPF_SIZES(X, STORE)                                              \
    ANYBPF_SIZES(X, LOAD_STACK) ANYBPF_SIZES(X, STORE_IMM_STACK) ANYBPF_SIZES(X, STORE_STACK)      \
    ANYBPF_ATOMIC(X, ATOMIC_ADD) ANYBPF_ATOMIC(X, ATOMIC_OR) ANYBPF_ATOMIC(X, ATOMIC_AND)          \
    ANYBPF_ATOMIC(X, ATOMIC_XOR)                                                                   \
    X(EXCHANGE_32) X(EXCHANGE_64) X(COMPARE_EXCHANGE_32) X(COMPARE_EXCHANGE_64)                    \
    ANYBPF_SIZES(X, LOAD_ACQUIRE) ANYBPF_SIZES(X, STORE_RELEASE)                                   \
    X(PACKET_ABS8) X(PACKET_ABS16) X(PACKET_ABS32) X(PACKET_IND8) X(PACKET_IND16) X(PACKET_IND32)  \
    X(CALL_HELPER) X(CALL_LOCAL) X(CALL_REGISTER) X(EXIT)                                          \
    X(BAD) /* the second half of a 16-byte load, a call of nothing */                              \
    ANYBPF_FUSED(X)

/* Two instructions in one step. Only the decoder's last pass makes them, and tracing takes them
 * apart again; the second half stands decoded in its own slot, for those who jump to it. */
#define ANYBPF_FUSED(X)                                                                            \
    X(MOV_MOV) X(MOV_IMM_MOV_IMM) X(MOV_ADD_IMM) X(MOV_ADD_REG) X(MOV_AND_IMM) X(MOV32_AND32_IMM)  \
    X(LSH_RSH) X(LSH_ARSH) X(MUL_ADD_IMM)                                                          \
    ANYBPF_SIZES(X, ADD_LOAD) ANYBPF_SIZES(X, MOV_ADD_LOAD)                                        \
    X(ADD_IMM_JA_BACK) X(ADD_IMM_JEQ64_IMM) X(ADD_IMM_JNE64_IMM) X(ADD_IMM_JGT64_IMM)              \
    X(ADD_IMM_JNE64_IMM_BACK) X(ADD_IMM_JLT64_IMM_BACK) X(ADD_IMM_JLT64_REG_BACK)                  \
    X(MOV_IMM_EXIT) X(MOV_IMM_CALL)

#define ANYBPF_NAME_CODE(NAME) ANYBPF_CODE_##NAME,
enum anybpf_code { ANYBPF_CODES(ANYBPF_NAME_CODE) ANYBPF_CODE_COUNT };
#undef ANYBPF_NAME_CODE

#endif
