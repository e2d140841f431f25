/* Code into ops: what interpreter.h says of them.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "interpreter.h"
#include "maps/arena.h"

#include <stdlib.h>
#include <string.h>

/* The parts of an opcode: RFC 9669 sections 3 to 5. */
enum { LD, LDX, ST, STX, ALU, JMP, JMP32, ALU64 };
enum {
    DIV = 3, NEG = 8, MOD = 9, MOV = 11, ARSH = 12, END = 13,
    JA = 0, JNE = 5, CALL = 8, EXIT = 9, JLT = 10, JCOND = 14,
    ABS = 0x20, IND = 0x40, MEM = 0x60, MEMSX = 0x80,
    LOAD_WIDE = 0x18, LOCAL = 1,
    MAP = 1, MAP_VALUE = 2, FUNCTION = 4,
    ATOMIC_OR = 0x40, ATOMIC_AND = 0x50, ATOMIC_XOR = 0xa0, EXCHANGE = 0xe0,
    COMPARE_EXCHANGE = 0xf0, FETCH = 1, LOAD_ACQUIRE = 0x100, STORE_RELEASE = 0x110,
    FRAME_POINTER = 10
};

#define HOST_IS_BIG (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)

static struct anybpf_slot slot_at(const struct anybpf_program *program, uint32_t index)
{
    return anybpf_read_slot(program->code, index, HOST_IS_BIG);
}

static enum anybpf_code code(enum anybpf_code first, int distance)
{
    return (enum anybpf_code)((int)first + distance);
}

/* W, H, B, DW of the size field to the order 8, 16, 32, 64. */
static int size_rank(uint8_t opcode)
{
    static const int ranks[4] = {2, 1, 0, 3};

    return ranks[opcode >> 3 & 3];
}

static enum anybpf_code arithmetic(const struct anybpf_slot *insn)
{
    bool wide = (insn->opcode & 7) == ALU64;
    bool reg = insn->opcode & 8;
    int variant = (wide ? 0 : 2) + (reg ? 1 : 0);
    int operation = insn->opcode >> 4;

    if (operation == END) {
        int width = insn->imm == 16 ? 0 : insn->imm == 32 ? 1 : 2;
        /* le and be convert to that order; the 64-bit class swaps in any case. */
        bool swaps = wide || reg != HOST_IS_BIG;

        return code(swaps ? ANYBPF_CODE_SWAP16 : ANYBPF_CODE_CUT16, width);
    }
    if (operation == DIV && insn->offset == 1)
        return code(ANYBPF_CODE_SDIV64_IMM, variant);
    if (operation == MOD && insn->offset == 1)
        return code(ANYBPF_CODE_SMOD64_IMM, variant);
    if (operation == MOV && reg && insn->offset != 0) {
        if (insn->offset == 1)
            return insn->imm == 1 ? ANYBPF_CODE_CAST_KERNEL : ANYBPF_CODE_CAST_USER;
        return code(wide ? ANYBPF_CODE_MOVSX8_64 : ANYBPF_CODE_MOVSX8_32,
                    insn->offset == 8 ? 0 : insn->offset == 16 ? 1 : 2);
    }
    return code(ANYBPF_CODE_ADD64_IMM, 4 * operation + variant);
}

static enum anybpf_code call(const struct anybpf_program *program, const struct anybpf_slot *insn)
{
    if (insn->opcode & 8)
        return ANYBPF_CODE_CALL_REGISTER;
    if (insn->src == LOCAL)
        return ANYBPF_CODE_CALL_LOCAL;
    if (insn->src != 0 || program->helpers[insn->imm] == NULL)
        return ANYBPF_CODE_BAD;
    return ANYBPF_CODE_CALL_HELPER;
}

static enum anybpf_code jump(const struct anybpf_program *program, const struct anybpf_slot *insn)
{
    bool wide = (insn->opcode & 7) == JMP;
    int operation = insn->opcode >> 4;
    int variant = (wide ? 0 : 2) + (insn->opcode & 8 ? 1 : 0);

    switch (operation) {
    case JA:
        if (wide)
            return insn->offset < 0 ? ANYBPF_CODE_JA_BACK : ANYBPF_CODE_JA;
        return insn->imm < 0 ? ANYBPF_CODE_JA_LONG_BACK : ANYBPF_CODE_JA_LONG;
    case CALL:
        return call(program, insn);
    case EXIT:
        return ANYBPF_CODE_EXIT;
    case JCOND:
        return insn->offset < 0 ? ANYBPF_CODE_MAY_GOTO_BACK : ANYBPF_CODE_MAY_GOTO;
    default:
        /* JEQ is 1; between JSGE and JLT stand call and exit. */
        operation = operation < JLT ? operation - 1 : operation - 3;
        return code(ANYBPF_CODE_JEQ64_IMM, 8 * operation + variant + (insn->offset < 0 ? 4 : 0));
    }
}

static enum anybpf_code atomic(const struct anybpf_slot *insn)
{
    int wide = (insn->opcode & 0x18) == 0x18 ? 1 : 0;
    int fetch = (insn->imm & FETCH) ? 2 : 0;

    if (insn->imm == LOAD_ACQUIRE)
        return code(ANYBPF_CODE_LOAD_ACQUIRE8, size_rank(insn->opcode));
    if (insn->imm == STORE_RELEASE)
        return code(ANYBPF_CODE_STORE_RELEASE8, size_rank(insn->opcode));
    switch (insn->imm & 0xf0) {
    case ATOMIC_OR:
        return code(ANYBPF_CODE_ATOMIC_OR_32, wide + fetch);
    case ATOMIC_AND:
        return code(ANYBPF_CODE_ATOMIC_AND_32, wide + fetch);
    case ATOMIC_XOR:
        return code(ANYBPF_CODE_ATOMIC_XOR_32, wide + fetch);
    case EXCHANGE:
        return code(ANYBPF_CODE_EXCHANGE_32, wide);
    case COMPARE_EXCHANGE:
        return code(ANYBPF_CODE_COMPARE_EXCHANGE_32, wide);
    default:
        return code(ANYBPF_CODE_ATOMIC_ADD_32, wide + fetch);
    }
}

static enum anybpf_code access(const struct anybpf_slot *insn)
{
    int rank = size_rank(insn->opcode);

    switch (insn->opcode & 0xe0) {
    case ABS:
        return code(ANYBPF_CODE_PACKET_ABS8, rank);
    case IND:
        return code(ANYBPF_CODE_PACKET_IND8, rank);
    case MEMSX:
        return code(ANYBPF_CODE_LOADSX8, rank);
    case MEM:
        switch (insn->opcode & 7) {
        case LDX:
            return code(ANYBPF_CODE_LOAD8, rank);
        case ST:
            return code(ANYBPF_CODE_STORE_IMM8, rank);
        default:
            return code(ANYBPF_CODE_STORE8, rank);
        }
    default:
        return atomic(insn);
    }
}

enum anybpf_code anybpf_code_of(const struct anybpf_program *program, uint32_t slot)
{
    struct anybpf_slot insn = slot_at(program, slot);

    if (insn.opcode == LOAD_WIDE)
        return ANYBPF_CODE_LOAD_WIDE;
    if (insn.opcode == 0)
        return ANYBPF_CODE_BAD;
    switch (insn.opcode & 7) {
    case ALU:
    case ALU64:
        return arithmetic(&insn);
    case JMP:
    case JMP32:
        return jump(program, &insn);
    default:
        return access(&insn);
    }
}

/* What a 16-byte load loads; a sentence if it cannot. */
static const char *wide_value(const struct anybpf_program *program, uint32_t slot, uint64_t *value)
{
    struct anybpf_slot first = slot_at(program, slot);
    struct anybpf_slot second = slot_at(program, slot + 1);
    const struct anybpf_map *map;

    switch (first.src) {
    case 0:
        *value = (uint64_t)(uint32_t)second.imm << 32 | (uint32_t)first.imm;
        return NULL;
    case FUNCTION:
        *value = anybpf_function_value(program, (uint32_t)((int64_t)slot + 1 + first.imm));
        return NULL;
    case MAP:
    case MAP_VALUE:
        if (first.imm < 0 || (uint32_t)first.imm >= program->map_count)
            return "a 16-byte load names a map that the program does not have";
        map = program->maps[first.imm];
        if (first.src == MAP) {
            *value = (uint64_t)(uintptr_t)map;
            return NULL;
        }
        if (map->values == NULL || (uint32_t)second.imm >= map->values_size)
            return "a 16-byte load points outside the values of its map";
        *value = (uint64_t)(uintptr_t)map->values + (uint32_t)second.imm;
        if (map->shape.kind == ANYBPF_ARENA) /* which the program casts where it uses it */
            *value = anybpf_arena_pointer(map, *value);
        return NULL;
    default:
        return "a 16-byte load was not prepared for running: its source is a name or a number";
    }
}

/* Whether any instruction changes r10, which only hostile code does. */
static bool moves_frame_pointer(const struct anybpf_program *program)
{
    for (uint32_t i = 0; i < program->slots; i++) {
        struct anybpf_slot insn = slot_at(program, i);
        int cls = insn.opcode & 7;

        if (insn.opcode == 0)
            continue;
        if (insn.dst == FRAME_POINTER &&
            (cls == ALU || cls == ALU64 || cls == LDX || cls == LD ||
             (cls == STX && insn.imm == LOAD_ACQUIRE)))
            return true;
        if (insn.src == FRAME_POINTER && cls == STX && (insn.opcode & 0xe0) == 0xc0)
            return true; /* an atomic that may fetch into it */
    }
    return false;
}

/* An access at a fixed place in the frame, while r10 is where the interpreter put it, is always
 * inside: it needs no check. */
static enum anybpf_code without_check(enum anybpf_code full, const struct anybpf_slot *insn)
{
    int size = 1 << size_rank(insn->opcode);
    int base = (insn->opcode & 7) == LDX ? insn->src : insn->dst;

    if (base != FRAME_POINTER || insn->offset < -(int)ANYBPF_FRAME_BYTES || insn->offset > -size)
        return full;
    if (full >= ANYBPF_CODE_LOAD8 && full <= ANYBPF_CODE_LOAD64)
        return code(ANYBPF_CODE_LOAD_STACK8, (int)full - ANYBPF_CODE_LOAD8);
    if (full >= ANYBPF_CODE_STORE_IMM8 && full <= ANYBPF_CODE_STORE_IMM64)
        return code(ANYBPF_CODE_STORE_IMM_STACK8, (int)full - ANYBPF_CODE_STORE_IMM8);
    if (full >= ANYBPF_CODE_STORE8 && full <= ANYBPF_CODE_STORE64)
        return code(ANYBPF_CODE_STORE_STACK8, (int)full - ANYBPF_CODE_STORE8);
    return full;
}

/* A program has one arena: the index of that map, or -1. */
static int32_t arena_of(const struct anybpf_program *program)
{
    for (uint32_t i = 0; i < program->map_count; i++)
        if (program->maps[i]->shape.kind == ANYBPF_ARENA)
            return (int32_t)i;
    return -1;
}

/* Steps of two or three that are common in what compilers write. */
static const struct {
    uint16_t first, second, fused;
    bool same; /* both change the same register, which the second does not read by another name */
} pairs[] = {
#define PAIR(first, second, fused, same)                                                           \
    {ANYBPF_CODE_##first, ANYBPF_CODE_##second, ANYBPF_CODE_##fused, same}
    PAIR(MOV64_REG, MOV64_REG, MOV_MOV, false),
    PAIR(MOV64_IMM, MOV64_IMM, MOV_IMM_MOV_IMM, false),
    PAIR(MOV64_REG, ADD64_IMM, MOV_ADD_IMM, true),
    PAIR(MOV64_REG, ADD64_REG, MOV_ADD_REG, true),
    PAIR(MOV64_REG, AND64_IMM, MOV_AND_IMM, true),
    PAIR(MOV32_REG, AND32_IMM, MOV32_AND32_IMM, true),
    PAIR(LSH64_IMM, RSH64_IMM, LSH_RSH, true),
    PAIR(LSH64_IMM, ARSH64_IMM, LSH_ARSH, true),
    PAIR(MUL64_IMM, ADD64_IMM, MUL_ADD_IMM, true),
    PAIR(ADD64_IMM, JA_BACK, ADD_IMM_JA_BACK, false),
    PAIR(ADD64_IMM, JEQ64_IMM, ADD_IMM_JEQ64_IMM, false),
    PAIR(ADD64_IMM, JNE64_IMM, ADD_IMM_JNE64_IMM, false),
    PAIR(ADD64_IMM, JGT64_IMM, ADD_IMM_JGT64_IMM, false),
    PAIR(ADD64_IMM, JNE64_IMM_BACK, ADD_IMM_JNE64_IMM_BACK, false),
    PAIR(ADD64_IMM, JLT64_IMM_BACK, ADD_IMM_JLT64_IMM_BACK, false),
    PAIR(ADD64_IMM, JLT64_REG_BACK, ADD_IMM_JLT64_REG_BACK, false),
    PAIR(MOV64_IMM, EXIT, MOV_IMM_EXIT, false),
    PAIR(MOV64_IMM, CALL_HELPER, MOV_IMM_CALL, false),
#undef PAIR
};

static bool is_load(uint16_t what)
{
    return what >= ANYBPF_CODE_LOAD8 && what <= ANYBPF_CODE_LOAD64;
}

/* Whether `load` takes its address from what `add` has just made, into the same register. */
static bool loads_sum(const struct anybpf_op *add, const struct anybpf_op *load)
{
    return load->src == add->dst && load->dst == add->dst;
}

/* The step that begins at `op`: its code, or one that does the next, or the next two, as well. */
static uint16_t fused(const struct anybpf_op *op, const uint16_t *codes, uint32_t left)
{
    bool sum;

    if (left < 2)
        return codes[0];
    sum = codes[0] == ANYBPF_CODE_MOV64_REG && codes[1] == ANYBPF_CODE_ADD64_REG &&
          op[1].dst == op->dst && op[1].src != op->dst;
    if (sum && left > 2 && is_load(codes[2]) && loads_sum(&op[1], &op[2]))
        return (uint16_t)(ANYBPF_CODE_MOV_ADD_LOAD8 + codes[2] - ANYBPF_CODE_LOAD8);
    if (codes[0] == ANYBPF_CODE_ADD64_REG && is_load(codes[1]) && loads_sum(op, &op[1]))
        return (uint16_t)(ANYBPF_CODE_ADD_LOAD8 + codes[1] - ANYBPF_CODE_LOAD8);
    if (codes[0] == ANYBPF_CODE_MOV64_REG && codes[1] == ANYBPF_CODE_ADD64_REG && !sum)
        return codes[0];
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
        if (pairs[i].first == codes[0] && pairs[i].second == codes[1] &&
            (!pairs[i].same || op[1].dst == op->dst))
            return pairs[i].fused;
    return codes[0];
}

/* Marks where functions begin: what `exit` charges the budget for is the way from there. */
static void mark_functions(const struct anybpf_program *program, uint8_t *begins)
{
    begins[0] = 1;
    begins[program->handler] = 1;
    for (uint32_t i = 0; i < program->slots; i++) {
        struct anybpf_slot insn = slot_at(program, i);

        if ((insn.opcode == (CALL << 4 | JMP) && insn.src == LOCAL) ||
            (insn.opcode == LOAD_WIDE && insn.src == FUNCTION))
            begins[(int64_t)i + 1 + insn.imm] = 1;
    }
}

static const char *check_call(const struct anybpf_program *program, const struct anybpf_slot *insn)
{
    if (insn->opcode != (CALL << 4 | JMP) || insn->src == LOCAL)
        return NULL;
    if (insn->src != 0)
        return "a call of a kernel function was not prepared for running";
    if (insn->imm < 0 || (uint32_t)insn->imm >= program->helper_count)
        return "a call names a helper that the program does not have";
    return NULL;
}

const char *anybpf_decode(struct anybpf_program *program, uint32_t *slot)
{
    const void *const *handlers = anybpf_handlers();
    uint8_t *begins = calloc(program->slots + 1, 1);
    uint16_t *codes = calloc(program->slots + 1, sizeof(*codes));
    bool frames_are_fixed = !moves_frame_pointer(program);
    uint32_t function = 0;
    const char *problem = NULL;

    *slot = 0;
    program->ops = calloc(program->slots, sizeof(*program->ops));
    if (begins == NULL || codes == NULL || program->ops == NULL) {
        free(begins);
        free(codes);
        return "there is no memory for the decoded program";
    }
    mark_functions(program, begins);
    for (uint32_t i = 0; i < program->slots; i++) {
        struct anybpf_slot insn = slot_at(program, i);
        struct anybpf_op *op = &program->ops[i];
        enum anybpf_code code_here;
        uint64_t value;

        *slot = i;
        if (begins[i])
            function = i;
        problem = check_call(program, &insn);
        if (problem != NULL)
            break;
        code_here = anybpf_code_of(program, i);
        if (frames_are_fixed)
            code_here = without_check(code_here, &insn);
        codes[i] = (uint16_t)code_here;
        op->dst = insn.dst;
        op->src = insn.src;
        op->offset = insn.offset;
        op->u.imm = insn.imm;
        switch (insn.opcode & 7) {
        case LDX:
        case STX: /* the hint; imm was zero, or is part of the code */
            op->u.hint = 0;
            break;
        case ST:
            op->src = 0;
            break;
        default:
            break;
        }
        if (code_here == ANYBPF_CODE_CAST_KERNEL || code_here == ANYBPF_CODE_CAST_USER)
            op->u.imm = arena_of(program);
        if (code_here >= ANYBPF_CODE_JA && code_here <= ANYBPF_CODE_JA_LONG_BACK)
            op->u.imm = (int32_t)sizeof(*op) * (1 + (insn.imm != 0 ? insn.imm : insn.offset));
        if (code_here == ANYBPF_CODE_EXIT)
            op->u.imm = (int32_t)(i - function + 1);
        if (code_here == ANYBPF_CODE_LOAD_WIDE) {
            problem = wide_value(program, i, &value);
            if (problem != NULL)
                break;
            op->u.imm = (int32_t)(uint32_t)value;
            op[1].u.imm = (int32_t)(uint32_t)(value >> 32);
            codes[++i] = ANYBPF_CODE_BAD;
        }
    }
    for (uint32_t i = 0; problem == NULL && i < program->slots; i++)
        program->ops[i].handler = handlers[fused(&program->ops[i], &codes[i], program->slots - i)];
    free(begins);
    free(codes);
    return problem;
}
