/* What makes code legal: the core's own gate, so that nothing that runs programs need trust the
 * Python that handed them over. The same rules stand in src/anybpf/isa/codec.py; a test compares
 * the two on every opcode and on random code.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "code.h"

/* Classes, operations and modes: RFC 9669 sections 3 to 5. */
enum { LD, LDX, ST, STX, ALU, JMP, JMP32, ALU64 };
enum {
    OP_DIV = 0x30, OP_NEG = 0x80, OP_MOD = 0x90, OP_MOV = 0xb0, OP_ARSH = 0xc0, OP_END = 0xd0,
    OP_JA = 0x00, OP_CALL = 0x80, OP_EXIT = 0x90, OP_JSLE = 0xd0, OP_JCOND = 0xe0,
    REGISTER_SOURCE = 0x08, OP_MASK = 0xf0, CLASS_MASK = 0x07,
    SIZE_MASK = 0x18, SIZE_H = 0x08, SIZE_B = 0x10, SIZE_DW = 0x18, MODE_MASK = 0xe0,
    MODE_IMM = 0x00, MODE_ABS = 0x20, MODE_IND = 0x40, MODE_MEM = 0x60, MODE_MEMSX = 0x80,
    MODE_ATOMIC = 0xc0,
    LD_IMM64 = 0x18, CALL_IMM = 0x85, CALL_REG = 0x8d, EXIT = 0x95, GOTO = 0x05, GOTO_LONG = 0x06,
    CALL_HELPER = 0, CALL_LOCAL = 1, CALL_BTF = 2,
    PSEUDO_MAP_FD = 1, PSEUDO_FUNCTION = 4, PSEUDO_MAP_INDEX = 5, PSEUDO_LAST = 6,
    LOAD_ACQUIRE = 0x100, STORE_RELEASE = 0x110
};

/* Fields that an instruction leaves unused. */
enum { NO_DST = 1, NO_SRC = 2, NO_OFFSET = 4, NO_IMM = 8 };

struct anybpf_slot anybpf_read_slot(const uint8_t *code, size_t index, bool big_endian)
{
    const uint8_t *p = code + index * ANYBPF_SLOT_SIZE;
    struct anybpf_slot slot = {.opcode = p[0]};

    if (big_endian) {
        slot.dst = p[1] >> 4;
        slot.src = p[1] & 15;
        slot.offset = (int16_t)(uint16_t)((unsigned)p[2] << 8 | p[3]);
        slot.imm = (int32_t)((uint32_t)p[4] << 24 | (uint32_t)p[5] << 16 | (uint32_t)p[6] << 8 |
                             (uint32_t)p[7]);
    } else {
        slot.dst = p[1] & 15;
        slot.src = p[1] >> 4;
        slot.offset = (int16_t)(uint16_t)((unsigned)p[3] << 8 | p[2]);
        slot.imm = (int32_t)((uint32_t)p[7] << 24 | (uint32_t)p[6] << 16 | (uint32_t)p[5] << 8 |
                             (uint32_t)p[4]);
    }
    return slot;
}

static enum anybpf_fault unused_fields(const struct anybpf_slot *insn, int unused)
{
    if (insn->dst >= ANYBPF_REGISTERS || insn->src >= ANYBPF_REGISTERS)
        return ANYBPF_NO_SUCH_REGISTER;
    if ((unused & NO_DST) && insn->dst != 0)
        return ANYBPF_DST_NOT_ZERO;
    if ((unused & NO_SRC) && insn->src != 0)
        return ANYBPF_SRC_NOT_ZERO;
    if ((unused & NO_OFFSET) && insn->offset != 0)
        return ANYBPF_OFFSET_NOT_ZERO;
    if ((unused & NO_IMM) && insn->imm != 0)
        return ANYBPF_IMM_NOT_ZERO;
    return ANYBPF_LEGAL;
}

static enum anybpf_fault only_if(enum anybpf_fault fields, bool defined)
{
    if (fields != ANYBPF_LEGAL)
        return fields;
    return defined ? ANYBPF_LEGAL : ANYBPF_UNDEFINED_VALUE;
}

static enum anybpf_fault check_move(const struct anybpf_slot *insn, bool wide)
{
    enum anybpf_fault fields = unused_fields(insn, 0);

    if (wide && insn->offset == 1) /* address-space cast, kernel 6.9 */
        return only_if(fields, insn->imm == 1 || insn->imm == 1 << 16);
    if (fields == ANYBPF_LEGAL && insn->imm != 0)
        return ANYBPF_IMM_NOT_ZERO;
    return only_if(fields, insn->offset == 0 || insn->offset == 8 || insn->offset == 16 ||
                               (wide && insn->offset == 32));
}

static enum anybpf_fault check_arithmetic(const struct anybpf_slot *insn)
{
    bool wide = (insn->opcode & CLASS_MASK) == ALU64;
    bool reg = insn->opcode & REGISTER_SOURCE;
    int operand = reg ? NO_IMM : NO_SRC;

    switch (insn->opcode & OP_MASK) {
    case OP_DIV:
    case OP_MOD: /* offset 1: signed */
        return only_if(unused_fields(insn, operand), insn->offset == 0 || insn->offset == 1);
    case OP_NEG:
        return reg ? ANYBPF_UNDEFINED_OPCODE
                   : unused_fields(insn, NO_SRC | NO_OFFSET | NO_IMM);
    case OP_MOV:
        return reg ? check_move(insn, wide) : unused_fields(insn, NO_SRC | NO_OFFSET);
    case OP_END:
        if (wide && reg)
            return ANYBPF_UNDEFINED_OPCODE;
        return only_if(unused_fields(insn, NO_SRC | NO_OFFSET),
                       insn->imm == 16 || insn->imm == 32 || insn->imm == 64);
    default:
        if ((insn->opcode & OP_MASK) > OP_END)
            return ANYBPF_UNDEFINED_OPCODE;
        return unused_fields(insn, operand | NO_OFFSET);
    }
}

static enum anybpf_fault check_jump(const struct anybpf_slot *insn)
{
    bool wide = (insn->opcode & CLASS_MASK) == JMP;
    bool reg = insn->opcode & REGISTER_SOURCE;

    switch (insn->opcode & OP_MASK) {
    case OP_JA:
        if (reg)
            return ANYBPF_UNDEFINED_OPCODE;
        return unused_fields(insn, NO_DST | NO_SRC | (wide ? NO_IMM : NO_OFFSET));
    case OP_CALL:
        if (!wide)
            return ANYBPF_UNDEFINED_OPCODE;
        if (reg)
            return unused_fields(insn, NO_SRC | NO_OFFSET | NO_IMM);
        return only_if(unused_fields(insn, NO_DST),
                       insn->src <= CALL_BTF && (insn->offset == 0 || insn->src == CALL_BTF));
    case OP_EXIT:
        return wide && !reg ? unused_fields(insn, NO_DST | NO_SRC | NO_OFFSET | NO_IMM)
                            : ANYBPF_UNDEFINED_OPCODE;
    case OP_JCOND: /* may_goto */
        return wide && !reg ? unused_fields(insn, NO_DST | NO_SRC | NO_IMM)
                            : ANYBPF_UNDEFINED_OPCODE;
    default:
        if ((insn->opcode & OP_MASK) > OP_JSLE)
            return ANYBPF_UNDEFINED_OPCODE;
        return unused_fields(insn, reg ? NO_IMM : NO_SRC);
    }
}

static bool defined_atomic(const struct anybpf_slot *insn)
{
    int size = insn->opcode & SIZE_MASK;

    if (insn->imm == LOAD_ACQUIRE || insn->imm == STORE_RELEASE)
        return true;
    if (size == SIZE_B || size == SIZE_H)
        return false;
    switch (insn->imm) {
    case 0x00: case 0x01: /* add */
    case 0x40: case 0x41: /* or */
    case 0x50: case 0x51: /* and */
    case 0xa0: case 0xa1: /* xor */
    case 0xe1: case 0xf1: /* exchange, compare and exchange */
        return true;
    default:
        return false;
    }
}

static enum anybpf_fault check_access(const struct anybpf_slot *insn)
{
    int cls = insn->opcode & CLASS_MASK;
    bool eight = (insn->opcode & SIZE_MASK) == SIZE_DW;

    switch (insn->opcode & MODE_MASK) {
    case MODE_ABS:
        return cls == LD && !eight ? unused_fields(insn, NO_DST | NO_SRC | NO_OFFSET)
                                   : ANYBPF_UNDEFINED_OPCODE;
    case MODE_IND:
        return cls == LD && !eight ? unused_fields(insn, NO_DST | NO_OFFSET)
                                   : ANYBPF_UNDEFINED_OPCODE;
    case MODE_MEM:
        if (cls == LD)
            return ANYBPF_UNDEFINED_OPCODE;
        return unused_fields(insn, cls == ST ? NO_SRC : NO_IMM);
    case MODE_MEMSX:
        return cls == LDX && !eight ? unused_fields(insn, NO_IMM) : ANYBPF_UNDEFINED_OPCODE;
    case MODE_ATOMIC:
        return cls == STX ? only_if(unused_fields(insn, 0), defined_atomic(insn))
                          : ANYBPF_UNDEFINED_OPCODE;
    default:
        return ANYBPF_UNDEFINED_OPCODE;
    }
}

static enum anybpf_fault check_wide_load(const struct anybpf_slot *first,
                                         const struct anybpf_slot *second)
{
    enum anybpf_fault fields = unused_fields(first, NO_OFFSET);

    if (second->opcode != 0 || second->dst != 0 || second->src != 0 || second->offset != 0)
        return ANYBPF_HALF_NOT_ZERO;
    if (fields != ANYBPF_LEGAL)
        return fields;
    if (first->src > PSEUDO_LAST)
        return ANYBPF_UNDEFINED_VALUE;
    if ((first->src == PSEUDO_MAP_FD || first->src == PSEUDO_MAP_INDEX ||
         first->src == PSEUDO_FUNCTION) &&
        second->imm != 0)
        return ANYBPF_UNDEFINED_VALUE;
    return ANYBPF_LEGAL;
}

static enum anybpf_fault check_one(const struct anybpf_slot *insn)
{
    switch (insn->opcode & CLASS_MASK) {
    case ALU:
    case ALU64:
        return check_arithmetic(insn);
    case JMP:
    case JMP32:
        return check_jump(insn);
    default:
        return check_access(insn);
    }
}

struct anybpf_verdict anybpf_check_instructions(const uint8_t *code, size_t size, bool big_endian)
{
    size_t slots = size / ANYBPF_SLOT_SIZE;
    struct anybpf_verdict verdict = {.fault = ANYBPF_LEGAL, .slot = slots};

    if (size % ANYBPF_SLOT_SIZE != 0) {
        verdict.fault = ANYBPF_ODD_LENGTH;
        return verdict;
    }
    for (size_t i = 0; i < slots; i++) {
        struct anybpf_slot insn = anybpf_read_slot(code, i, big_endian);
        size_t half = 0;

        if (insn.opcode != LD_IMM64) {
            verdict.fault = check_one(&insn);
        } else if (i + 1 == slots) {
            verdict.fault = ANYBPF_HALF_MISSING;
        } else {
            struct anybpf_slot second = anybpf_read_slot(code, i + 1, big_endian);

            verdict.fault = check_wide_load(&insn, &second);
            half = 1;
        }
        if (verdict.fault != ANYBPF_LEGAL) {
            verdict.slot = verdict.fault == ANYBPF_HALF_NOT_ZERO ? i + 1 : i;
            return verdict;
        }
        i += half;
    }
    return verdict;
}

/* Whether `insn` goes elsewhere in the program, and if so how far from the next slot. */
static bool leads_elsewhere(const struct anybpf_slot *insn, int64_t *distance)
{
    int cls = insn->opcode & CLASS_MASK;

    if (cls != JMP && cls != JMP32)
        return false;
    if (insn->opcode == CALL_IMM) {
        *distance = insn->imm;
        return insn->src == CALL_LOCAL;
    }
    if (insn->opcode == CALL_REG || insn->opcode == EXIT)
        return false;
    *distance = insn->opcode == GOTO_LONG ? insn->imm : insn->offset;
    return true;
}

/* In legal code only the second half of a 16-byte load has opcode zero. */
static enum anybpf_fault check_target(const uint8_t *code, size_t slots, size_t from,
                                      int64_t distance)
{
    int64_t target = (int64_t)from + 1 + distance;

    if (target < 0 || target >= (int64_t)slots)
        return ANYBPF_TARGET_OUTSIDE;
    return code[(size_t)target * ANYBPF_SLOT_SIZE] == 0 ? ANYBPF_TARGET_IN_LOAD : ANYBPF_LEGAL;
}

struct anybpf_verdict anybpf_check_program(const uint8_t *code, size_t size, bool big_endian)
{
    struct anybpf_verdict verdict = anybpf_check_instructions(code, size, big_endian);
    size_t slots = size / ANYBPF_SLOT_SIZE;
    struct anybpf_slot last = {0};

    if (verdict.fault != ANYBPF_LEGAL)
        return verdict;
    for (size_t i = 0; i < slots; i++) {
        int64_t distance;

        last = anybpf_read_slot(code, i, big_endian);
        if (last.opcode == LD_IMM64 && last.src == PSEUDO_FUNCTION) {
            verdict.fault = check_target(code, slots, i, last.imm);
        } else if (last.opcode != 0 && leads_elsewhere(&last, &distance)) {
            verdict.fault = check_target(code, slots, i, distance);
        }
        if (verdict.fault != ANYBPF_LEGAL) {
            verdict.slot = i;
            return verdict;
        }
    }
    if (last.opcode != EXIT && last.opcode != GOTO && last.opcode != GOTO_LONG) {
        verdict.fault = ANYBPF_FALLS_OFF_END;
        verdict.slot = slots == 0 ? 0 : slots - 1;
    }
    return verdict;
}
