/* The loop. interpreter.c includes it twice: as LOOP with and without TRACING, so that tracing costs
 * nothing where it is off. Meanings: RFC 9669 sections 4 and 5.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */

#if defined(TRACING)
#define GO                                                                                         \
    do {                                                                                           \
        if (!anybpf_trace_before(run, program, (uint32_t)(op - program->ops), r))                  \
            goto stopped;                                                                          \
        goto *labels[anybpf_code_of(program, (uint32_t)(op - program->ops))];                      \
    } while (0)
#else
#define GO goto *op->handler
#endif
#define NEXT                                                                                       \
    do {                                                                                           \
        op++;                                                                                      \
        GO;                                                                                        \
    } while (0)

#define BYTES_ON(op, bytes) ((struct anybpf_op *)(void *)((char *)(op) + (bytes)))
/* The next step waits for this sum, and for nothing else as long: so it is kept short, as one
 * multiplication by shifting and one addition of three, which compilers turn into more. */
#define JUMP                                                                                       \
    do {                                                                                           \
        ptrdiff_t bytes = (ptrdiff_t)op->offset * (ptrdiff_t)sizeof(*op);                          \
                                                                                                   \
        __asm__("" : "+r"(bytes));                                                                 \
        op = BYTES_ON(op + 1, bytes);                                                              \
    } while (0)
#define DST r[op->dst]
#define SRC r[op->src]
#define IMM ((uint64_t)(int64_t)op->u.imm)

/* What is spent. Below zero, the next slice is asked for. */
#define SPEND(count)                                                                               \
    do {                                                                                           \
        run->slice -= (count);                                                                     \
        if (UNLIKELY(run->slice < 0) && !anybpf_next_slice(run))                                   \
            goto stopped;                                                                          \
    } while (0)

/* Arithmetic. E is an expression in a and b, with U, S and BITS for the width. */
#define ARITHMETIC(NAME, E)                                                                        \
    NAME##64_IMM: {                                                                                \
        uint64_t a = DST, b = IMM;                                                                 \
        DST = E(uint64_t, int64_t, 64);                                                            \
        NEXT;                                                                                      \
    }                                                                                              \
    NAME##64_REG: {                                                                                \
        uint64_t a = DST, b = SRC;                                                                 \
        DST = E(uint64_t, int64_t, 64);                                                            \
        NEXT;                                                                                      \
    }                                                                                              \
    NAME##32_IMM: {                                                                                \
        uint32_t a = (uint32_t)DST, b = (uint32_t)op->u.imm;                                       \
        DST = E(uint32_t, int32_t, 32);                                                            \
        NEXT;                                                                                      \
    }                                                                                              \
    NAME##32_REG: {                                                                                \
        uint32_t a = (uint32_t)DST, b = (uint32_t)SRC;                                             \
        DST = E(uint32_t, int32_t, 32);                                                            \
        NEXT;                                                                                      \
    }
#define E_ADD(U, S, BITS) (a + b)
#define E_SUB(U, S, BITS) (a - b)
#define E_MUL(U, S, BITS) (a * b)
#define E_OR(U, S, BITS) (a | b)
#define E_AND(U, S, BITS) (a & b)
#define E_XOR(U, S, BITS) (a ^ b)
#define E_LSH(U, S, BITS) (a << (b & (BITS - 1)))
#define E_RSH(U, S, BITS) (a >> (b & (BITS - 1)))
#define E_ARSH(U, S, BITS) ((U)((S)a >> (b & (BITS - 1))))
#define E_DIV(U, S, BITS) (b == 0 ? 0 : a / b)
#define E_MOD(U, S, BITS) (b == 0 ? a : a % b)
/* The least number divided by -1 is itself: no processor's trap. */
#define E_SDIV(U, S, BITS) (b == 0 ? 0 : b == (U)-1 ? (U)0 - a : (U)((S)a / (S)b))
#define E_SMOD(U, S, BITS) (b == 0 ? a : b == (U)-1 ? 0 : (U)((S)a % (S)b))
#define E_MOV(U, S, BITS) ((void)a, b)
#define E_NEG(U, S, BITS) ((void)b, (U)0 - a)

#define COMPARISON(NAME, FORM, TYPE, B, E)                                                         \
    NAME##FORM: {                                                                                  \
        TYPE a = (TYPE)DST, b = (TYPE)(B);                                                         \
        if (E) {                                                                                   \
            JUMP;                                                                  \
            GO;                                                                                    \
        }                                                                                          \
        NEXT;                                                                                      \
    }                                                                                              \
    NAME##FORM##_BACK: {                                                                           \
        TYPE a = (TYPE)DST, b = (TYPE)(B);                                                         \
        if (E) {                                                                                   \
            SPEND(-op->offset);                                                                    \
            JUMP;                                                                  \
            GO;                                                                                    \
        }                                                                                          \
        NEXT;                                                                                      \
    }
#define COMPARISONS(NAME, U64, U32, E)                                                             \
    COMPARISON(NAME, 64_IMM, U64, (int64_t)op->u.imm, E)                                           \
    COMPARISON(NAME, 64_REG, U64, SRC, E)                                                          \
    COMPARISON(NAME, 32_IMM, U32, op->u.imm, E)                                                    \
    COMPARISON(NAME, 32_REG, U32, SRC, E)

/* Memory. A region's two sizes tell whether to read and whether to write. */
#define REGION_BY_OFFSET(offset)                                                                   \
    ((const struct anybpf_region *)(const void *)((const char *)run->region + (offset)))
#define OUTSIDE(region, SIZE, BYTES)                                                               \
    UNLIKELY(address - (region)->start >= (region)->SIZE ||                                        \
             (region)->SIZE - (address - (region)->start) < (BYTES))
#if defined(UNCHECKED) /* only to measure what checking costs */
#define CHECK(SIZE, BYTES, WRITE)
#define CHECK_BY_INDEX(BYTES)
#else
#define CHECK(SIZE, BYTES, WRITE)                                                                  \
    do {                                                                                           \
        const struct anybpf_region *region =                                                       \
            REGION_BY_OFFSET(__atomic_load_n(&op->u.hint, __ATOMIC_RELAXED));                      \
        if (OUTSIDE(region, SIZE, BYTES) && !find(run, op, address, BYTES, WRITE))                 \
            goto stopped;                                                                          \
    } while (0)
#define CHECK_BY_INDEX(BYTES)                                                                      \
    do {                                                                                           \
        const struct anybpf_region *region =                                                       \
            &run->region[__atomic_load_n(&op->src, __ATOMIC_RELAXED)];                             \
        if (OUTSIDE(region, writable_size, BYTES) && !find_by_index(run, op, address, BYTES))      \
            goto stopped;                                                                          \
    } while (0)
#endif
#define DISTANCE ((uint64_t)(int64_t)op->offset)

#define LOADS(NAME, TYPE, BYTES, SIGNED)                                                           \
    NAME: {                                                                                        \
        uint64_t address = SRC + DISTANCE;                                                         \
        CHECK(size, BYTES, false);                                                                 \
        DST = (uint64_t)(SIGNED)((const struct TYPE *)(uintptr_t)address)->v;                      \
        NEXT;                                                                                      \
    }
#define STORES(NAME, TYPE, BYTES, UINT)                                                            \
    STORE##NAME: {                                                                                 \
        uint64_t address = DST + DISTANCE;                                                         \
        CHECK(writable_size, BYTES, true);                                                         \
        ((struct TYPE *)(uintptr_t)address)->v = (UINT)SRC;                                        \
        NEXT;                                                                                      \
    }                                                                                              \
    STORE_IMM##NAME: {                                                                             \
        uint64_t address = DST + DISTANCE;                                                         \
        CHECK_BY_INDEX(BYTES);                                                                     \
        ((struct TYPE *)(uintptr_t)address)->v = (UINT)IMM;                                        \
        NEXT;                                                                                      \
    }                                                                                              \
    LOAD_STACK##NAME : DST = ((const struct TYPE *)(uintptr_t)(r[10] + DISTANCE))->v;              \
    NEXT;                                                                                          \
    STORE_STACK##NAME : ((struct TYPE *)(uintptr_t)(r[10] + DISTANCE))->v = (UINT)SRC;             \
    NEXT;                                                                                          \
    STORE_IMM_STACK##NAME : ((struct TYPE *)(uintptr_t)(r[10] + DISTANCE))->v = (UINT)IMM;         \
    NEXT;

/* An address that is a sum, and the load from there. */
#define ADDED_LOADS(BITS, TYPE, BYTES)                                                             \
    MOV_ADD_LOAD##BITS: {                                                                          \
        uint64_t address = SRC + r[op[1].src];                                                     \
        DST = address;                                                                             \
        op += 2;                                                                                   \
        address += DISTANCE;                                                                       \
        CHECK(size, BYTES, false);                                                                 \
        DST = ((const struct TYPE *)(uintptr_t)address)->v;                                        \
        NEXT;                                                                                      \
    }                                                                                              \
    ADD_LOAD##BITS: {                                                                              \
        uint64_t address = DST + SRC;                                                              \
        DST = address;                                                                             \
        op++;                                                                                      \
        address += DISTANCE;                                                                       \
        CHECK(size, BYTES, false);                                                                 \
        DST = ((const struct TYPE *)(uintptr_t)address)->v;                                        \
        NEXT;                                                                                      \
    }
/* A count and the jump that looks at it, or at something else. */
#define ADDED_COMPARISON(NAME, E, B)                                                               \
    ADD_IMM_##NAME: {                                                                              \
        uint64_t a, b;                                                                             \
        DST += IMM;                                                                                \
        op++;                                                                                      \
        a = DST, b = B;                                                                            \
        if (E) {                                                                                   \
            JUMP;                                                                  \
            GO;                                                                                    \
        }                                                                                          \
        NEXT;                                                                                      \
    }
#define ADDED_COMPARISON_BACK(NAME, E, B)                                                          \
    ADD_IMM_##NAME##_BACK: {                                                                       \
        uint64_t a, b;                                                                             \
        DST += IMM;                                                                                \
        op++;                                                                                      \
        a = DST, b = B;                                                                            \
        if (E) {                                                                                   \
            SPEND(-op->offset);                                                                    \
            JUMP;                                                                  \
            GO;                                                                                    \
        }                                                                                          \
        NEXT;                                                                                      \
    }

#define ALIGNED(BYTES)                                                                             \
    do {                                                                                           \
        if (UNLIKELY(address % (BYTES) != 0)) {                                                    \
            misaligned(run, address, BYTES);                                                       \
            goto stopped;                                                                          \
        }                                                                                          \
    } while (0)
#define ATOMICALLY(NAME, TYPE, BYTES, BODY)                                                        \
    NAME: {                                                                                        \
        uint64_t address = DST + DISTANCE;                                                         \
        TYPE *word = (TYPE *)(uintptr_t)address;                                                   \
        CHECK(writable_size, BYTES, true);                                                         \
        ALIGNED(BYTES);                                                                            \
        BODY;                                                                                      \
        NEXT;                                                                                      \
    }
/* Without fetching no order is promised, with it all there is: kernel's memory model. */
#define ATOMICS(NAME, BUILTIN)                                                                     \
    ATOMICALLY(ATOMIC_##NAME##_32, uint32_t, 4, BUILTIN(word, (uint32_t)SRC, __ATOMIC_RELAXED))    \
    ATOMICALLY(ATOMIC_##NAME##_64, uint64_t, 8, BUILTIN(word, SRC, __ATOMIC_RELAXED))              \
    ATOMICALLY(ATOMIC_##NAME##_FETCH_32, uint32_t, 4,                                              \
               SRC = BUILTIN(word, (uint32_t)SRC, __ATOMIC_SEQ_CST))                               \
    ATOMICALLY(ATOMIC_##NAME##_FETCH_64, uint64_t, 8,                                              \
               SRC = BUILTIN(word, SRC, __ATOMIC_SEQ_CST))
#define ORDERED(BITS, TYPE, BYTES)                                                                 \
    ATOMICALLY(STORE_RELEASE##BITS, TYPE, BYTES,                                                   \
               __atomic_store_n(word, (TYPE)SRC, __ATOMIC_RELEASE))                                \
    LOAD_ACQUIRE##BITS: {                                                                          \
        uint64_t address = SRC + DISTANCE;                                                         \
        CHECK(size, BYTES, false);                                                                 \
        ALIGNED(BYTES);                                                                            \
        DST = __atomic_load_n((const TYPE *)(uintptr_t)address, __ATOMIC_ACQUIRE);                 \
        NEXT;                                                                                      \
    }

/* Loads from the packet in its own byte order. Beyond its end the function returns 0. */
#define PACKET_LOADS(BITS, BYTES)                                                                  \
    PACKET_ABS##BITS: {                                                                            \
        if (!anybpf_packet_load(run, (uint32_t)op->u.imm, BYTES, &r[0]))                                  \
            goto leave_with_nothing;                                                               \
        NEXT;                                                                                      \
    }                                                                                              \
    PACKET_IND##BITS: {                                                                            \
        if (!anybpf_packet_load(run, (uint32_t)op->u.imm + (uint32_t)SRC, BYTES, &r[0]))                  \
            goto leave_with_nothing;                                                               \
        NEXT;                                                                                      \
    }

/* `run` NULL: no run; returns where the labels are. */
NOT_FOR_RACE_DETECTORS
static uint64_t LOOP(struct anybpf_run *run, const struct anybpf_program *program,
                     struct anybpf_op *op, uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4,
                     uint64_t r5)
{
#define LABEL(NAME) &&NAME,
    static const void *const labels[ANYBPF_CODE_COUNT] = {ANYBPF_CODES(LABEL)};
#undef LABEL
    uint64_t r[ANYBPF_REGISTERS];
    uint32_t may_goto_turns = ANYBPF_MAY_GOTO_TURNS;
    uint32_t base;
    struct frame saved[ANYBPF_FRAMES];

    if (UNLIKELY(run == NULL))
        return (uint64_t)(uintptr_t)labels;
    base = run->frames;
    r[0] = r[6] = r[7] = r[8] = r[9] = 0;
    r[1] = r1;
    r[2] = r2;
    r[3] = r3;
    r[4] = r4;
    r[5] = r5;
    r[10] = frame_top(run);
    GO;

    ARITHMETIC(ADD, E_ADD)
    ARITHMETIC(SUB, E_SUB)
    ARITHMETIC(MUL, E_MUL)
    ARITHMETIC(DIV, E_DIV)
    ARITHMETIC(OR, E_OR)
    ARITHMETIC(AND, E_AND)
    ARITHMETIC(LSH, E_LSH)
    ARITHMETIC(RSH, E_RSH)
    ARITHMETIC(NEG, E_NEG)
    ARITHMETIC(MOD, E_MOD)
    ARITHMETIC(XOR, E_XOR)
    ARITHMETIC(MOV, E_MOV)
    ARITHMETIC(ARSH, E_ARSH)
    ARITHMETIC(SDIV, E_SDIV)
    ARITHMETIC(SMOD, E_SMOD)

MOVSX8_32:
    DST = (uint64_t)(int8_t)SRC & UINT32_MAX;
    NEXT;
MOVSX16_32:
    DST = (uint64_t)(int16_t)SRC & UINT32_MAX;
    NEXT;
MOVSX8_64:
    DST = (uint64_t)(int8_t)SRC;
    NEXT;
MOVSX16_64:
    DST = (uint64_t)(int16_t)SRC;
    NEXT;
MOVSX32_64:
    DST = (uint64_t)(int32_t)SRC;
    NEXT;
CUT16:
    DST = (uint16_t)DST;
    NEXT;
CUT32:
    DST = (uint32_t)DST;
    NEXT;
CUT64:
    NEXT;
SWAP16:
    DST = __builtin_bswap16((uint16_t)DST);
    NEXT;
SWAP32:
    DST = __builtin_bswap32((uint32_t)DST);
    NEXT;
SWAP64:
    DST = __builtin_bswap64(DST);
    NEXT;
CAST_KERNEL:
    DST = cast_to_address(program, op->u.imm, SRC);
    NEXT;
CAST_USER:
    DST = cast_to_pointer(program, op->u.imm, SRC);
    NEXT;

    COMPARISONS(JEQ, uint64_t, uint32_t, a == b)
    COMPARISONS(JGT, uint64_t, uint32_t, a > b)
    COMPARISONS(JGE, uint64_t, uint32_t, a >= b)
    COMPARISONS(JSET, uint64_t, uint32_t, (a & b) != 0)
    COMPARISONS(JNE, uint64_t, uint32_t, a != b)
    COMPARISONS(JSGT, int64_t, int32_t, a > b)
    COMPARISONS(JSGE, int64_t, int32_t, a >= b)
    COMPARISONS(JLT, uint64_t, uint32_t, a < b)
    COMPARISONS(JLE, uint64_t, uint32_t, a <= b)
    COMPARISONS(JSLT, int64_t, int32_t, a < b)
    COMPARISONS(JSLE, int64_t, int32_t, a <= b)

JA_BACK:
JA_LONG_BACK:
    SPEND(1 - (int64_t)op->u.imm / (int64_t)sizeof(*op));
JA:
JA_LONG: /* the decoder made bytes of the distance: where ops lie is what the next step waits for */
    op = BYTES_ON(op, op->u.imm);
    GO;
MAY_GOTO:
MAY_GOTO_BACK:
    if (may_goto_turns != 0) { /* goes on; when the turns are used up, jumps */
        may_goto_turns--;
        SPEND(1);
        NEXT;
    }
    if (op->offset < 0)
        SPEND(-op->offset);
    JUMP;
    GO;

LOAD_WIDE:
    DST = (uint64_t)(uint32_t)op[1].u.imm << 32 | (uint32_t)op->u.imm;
    op += 2;
    GO;

    LOADS(LOAD8, bytes1, 1, uint64_t)
    LOADS(LOAD16, bytes2, 2, uint64_t)
    LOADS(LOAD32, bytes4, 4, uint64_t)
    LOADS(LOAD64, bytes8, 8, uint64_t)
    LOADS(LOADSX8, bytes1, 1, int8_t)
    LOADS(LOADSX16, bytes2, 2, int16_t)
    LOADS(LOADSX32, bytes4, 4, int32_t)
    STORES(8, bytes1, 1, uint8_t)
    STORES(16, bytes2, 2, uint16_t)
    STORES(32, bytes4, 4, uint32_t)
    STORES(64, bytes8, 8, uint64_t)

    ATOMICS(ADD, __atomic_fetch_add)
    ATOMICS(OR, __atomic_fetch_or)
    ATOMICS(AND, __atomic_fetch_and)
    ATOMICS(XOR, __atomic_fetch_xor)
    ATOMICALLY(EXCHANGE_32, uint32_t, 4,
               SRC = __atomic_exchange_n(word, (uint32_t)SRC, __ATOMIC_SEQ_CST))
    ATOMICALLY(EXCHANGE_64, uint64_t, 8, SRC = __atomic_exchange_n(word, SRC, __ATOMIC_SEQ_CST))
    ATOMICALLY(COMPARE_EXCHANGE_32, uint32_t, 4, {
        uint32_t expected = (uint32_t)r[0];

        __atomic_compare_exchange_n(word, &expected, (uint32_t)SRC, false, __ATOMIC_SEQ_CST,
                                    __ATOMIC_SEQ_CST);
        r[0] = expected;
    })
    ATOMICALLY(COMPARE_EXCHANGE_64, uint64_t, 8, {
        uint64_t expected = r[0];

        __atomic_compare_exchange_n(word, &expected, SRC, false, __ATOMIC_SEQ_CST,
                                    __ATOMIC_SEQ_CST);
        r[0] = expected;
    })
    ORDERED(8, uint8_t, 1)
    ORDERED(16, uint16_t, 2)
    ORDERED(32, uint32_t, 4)
    ORDERED(64, uint64_t, 8)

    /* Two or three in one step. Where something can stop, `op` is already at the one that does. */
MOV_MOV:
    DST = SRC;
    r[op[1].dst] = r[op[1].src];
    op += 2;
    GO;
MOV_IMM_MOV_IMM:
    DST = IMM;
    r[op[1].dst] = (uint64_t)(int64_t)op[1].u.imm;
    op += 2;
    GO;
MOV_ADD_IMM:
    DST = SRC + (uint64_t)(int64_t)op[1].u.imm;
    op += 2;
    GO;
MOV_ADD_REG:
    DST = SRC + r[op[1].src];
    op += 2;
    GO;
MOV_AND_IMM:
    DST = SRC & (uint64_t)(int64_t)op[1].u.imm;
    op += 2;
    GO;
MOV32_AND32_IMM:
    DST = (uint32_t)SRC & (uint32_t)op[1].u.imm;
    op += 2;
    GO;
LSH_RSH:
    DST = DST << (op->u.imm & 63) >> (op[1].u.imm & 63);
    op += 2;
    GO;
LSH_ARSH:
    DST = (uint64_t)((int64_t)(DST << (op->u.imm & 63)) >> (op[1].u.imm & 63));
    op += 2;
    GO;
MUL_ADD_IMM:
    DST = DST * IMM + (uint64_t)(int64_t)op[1].u.imm;
    op += 2;
    GO;
    ADDED_LOADS(8, bytes1, 1)
    ADDED_LOADS(16, bytes2, 2)
    ADDED_LOADS(32, bytes4, 4)
    ADDED_LOADS(64, bytes8, 8)
ADD_IMM_JA_BACK:
    DST += IMM;
    op++;
    SPEND(1 - (int64_t)op->u.imm / (int64_t)sizeof(*op));
    op = BYTES_ON(op, op->u.imm);
    GO;
    ADDED_COMPARISON(JEQ64_IMM, a == b, IMM)
    ADDED_COMPARISON(JNE64_IMM, a != b, IMM)
    ADDED_COMPARISON(JGT64_IMM, a > b, IMM)
    ADDED_COMPARISON_BACK(JNE64_IMM, a != b, IMM)
    ADDED_COMPARISON_BACK(JLT64_IMM, a < b, IMM)
    ADDED_COMPARISON_BACK(JLT64_REG, a < b, SRC)

    PACKET_LOADS(8, 1)
    PACKET_LOADS(16, 2)
    PACKET_LOADS(32, 4)

MOV_IMM_CALL:
    DST = IMM;
    op++;
CALL_HELPER: {
    uint32_t index = (uint32_t)op->u.imm;

    run->calling = index;
    r[0] = program->helpers[index](r[1], r[2], r[3], r[4], r[5], run);
    if (UNLIKELY(run->stop.end != ANYBPF_ENDED || run->next_program != NULL))
        goto after_helper;
    NEXT;
}

after_helper:
    if (run->stop.end != ANYBPF_ENDED)
        goto stopped;
    program = run->next_program; /* the frame is now the other program's */
    run->next_program = NULL;
    run->program = program;
    op = program->ops;
    r[1] = (uint64_t)(uintptr_t)run->context;
    r[10] = frame_top(run);
    may_goto_turns = ANYBPF_MAY_GOTO_TURNS;
    SPEND(1);
    GO;

CALL_REGISTER: {
    uint64_t function = DST;
    int64_t slot;

    if (function < program->helper_count && program->helpers[function] != NULL) {
        run->calling = (uint32_t)function;
        r[0] = program->helpers[function](r[1], r[2], r[3], r[4], r[5], run);
        if (UNLIKELY(run->stop.end != ANYBPF_ENDED || run->next_program != NULL))
            goto after_helper;
        NEXT;
    }
    slot = anybpf_function_slot(program, function);
    if (slot < 0)
        goto bad_call;
    if (run->frames == ANYBPF_FRAMES)
        goto too_deep;
    keep(&saved[run->frames], program, op, r, may_goto_turns);
    op = &program->ops[slot];
    goto enter;
}
CALL_LOCAL:
    if (run->frames == ANYBPF_FRAMES)
        goto too_deep;
    keep(&saved[run->frames], program, op, r, may_goto_turns);
    op += (ptrdiff_t)op->u.imm + 1;
enter:
    run->frames++;
    r[10] = enter_frame(run);
    may_goto_turns = ANYBPF_MAY_GOTO_TURNS;
    GO;

leave_with_nothing:
    r[0] = 0;
    run->slice--;
    goto leave;
MOV_IMM_EXIT:
    DST = IMM;
    op++;
EXIT:
    run->slice -= op->u.imm;
leave:
    if (run->frames == base)
        return r[0];
    if (UNLIKELY(run->slice < 0) && !anybpf_next_slice(run))
        goto stopped;
    run->frames--;
    {
        const struct frame *caller = &saved[run->frames];

        op = caller->op;
        memcpy(&r[6], caller->r6_to_r9, sizeof(caller->r6_to_r9));
        may_goto_turns = caller->may_goto_turns;
        if (UNLIKELY(caller->program != program)) {
            program = caller->program;
            run->program = program;
        }
    }
    r[10] = enter_frame(run);
    NEXT;

BAD:
bad_call:
    anybpf_stop_run(run, ANYBPF_BAD_CALL);
    goto stopped;
too_deep:
    anybpf_stop_run(run, ANYBPF_TOO_DEEP);
stopped:
    if (run->stop.pc == NO_PC) {
        run->stop.program = program->object.id;
        run->stop.pc = (uint32_t)(op - program->ops);
    }
    return run->stop.end == ANYBPF_THROWN ? run->stop.value : 0;
}

#undef GO
#undef NEXT
#undef BYTES_ON
#undef JUMP
#undef DST
#undef SRC
#undef IMM
#undef SPEND
#undef ARITHMETIC
#undef COMPARISON
#undef COMPARISONS
#undef REGION_BY_OFFSET
#undef OUTSIDE
#undef CHECK
#undef CHECK_BY_INDEX
#undef DISTANCE
#undef LOADS
#undef ADDED_LOADS
#undef ADDED_COMPARISON
#undef ADDED_COMPARISON_BACK
#undef STORES
#undef ALIGNED
#undef ATOMICALLY
#undef ATOMICS
#undef ORDERED
#undef PACKET_LOADS
