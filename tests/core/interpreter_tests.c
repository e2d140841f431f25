/* The interpreter with code that nobody verified, under sanitizers: random programs with any
 * registers, offsets, calls and jumps run until they end or are stopped. Whatever they do, they
 * touch nothing that is not theirs, and they end. Then several threads run one program at once.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checks.h"

#include "anybpf.h"
#include "program.h"
#include "trace.h"

#define HOST_IS_BIG (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)
#define SLOTS 48u
#define PROGRAMS 30000u
#define THREADS 4u
#define TURNS 20000u

static uint64_t state = 88172645463325252u;

static uint32_t below(uint32_t limit)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 32) % limit;
}

static void put(uint8_t *code, uint32_t index, struct anybpf_slot insn)
{
    uint8_t *at = code + index * ANYBPF_SLOT_SIZE;

    at[0] = insn.opcode;
    at[1] = (uint8_t)(HOST_IS_BIG ? insn.dst << 4 | insn.src : insn.src << 4 | insn.dst);
    memcpy(at + 2, &insn.offset, 2);
    memcpy(at + 4, &insn.imm, 4);
}

/* Where an access mostly goes: the frame or the context, inside. */
static void aim(struct anybpf_slot *insn, uint8_t *base)
{
    if (below(12) == 0)
        return;
    *base = below(3) ? 10 : 1;
    insn->offset = (int16_t)(*base == 10 ? -8 * (int)(1 + below(8)) : 8 * (int)below(3));
}

static int16_t some_offset(void)
{
    static const int16_t near[] = {0, 1, 4, 8, 56, -8, -16, -64, -512, -513, -1, 32767, -32768};

    return near[below(sizeof(near) / sizeof(near[0]))];
}

static int32_t some_imm(void)
{
    switch (below(4)) {
    case 0:
        return (int32_t)below(70);
    case 1:
        return -(int32_t)below(600);
    default:
        return (int32_t)(below(UINT32_MAX) ^ below(UINT32_MAX));
    }
}

/* A slot that is legal by itself, most of the time. */
static struct anybpf_slot some_slot(uint32_t index)
{
    static const int32_t atomics[] = {0, 1, 0x40, 0x41, 0x50, 0x51, 0xa0, 0xa1, 0xe1, 0xf1,
                                      0x100, 0x110};
    /* r1 and r10, which accesses need, are changed now and then only. */
    struct anybpf_slot insn = {0, (uint8_t)(below(40) ? 2 + below(8) : below(11)),
                               (uint8_t)below(11), 0, 0};
    uint32_t size = below(4) << 3;

    switch (below(10)) {
    case 0:
    case 1: /* arithmetic */
        insn.opcode = (uint8_t)(below(14) << 4 | below(2) << 3 | (below(2) ? 7 : 4));
        break;
    case 2: /* pointers are moved about */
        insn.opcode = 0xbf;
        insn.src = below(2) ? 10 : (uint8_t)below(11);
        return insn;
    case 3: /* jumps */
        insn.opcode = (uint8_t)(below(15) << 4 | below(2) << 3 | (below(2) ? 5 : 6));
        insn.offset = (int16_t)((int)below(SLOTS) - (int)index - 1);
        break;
    case 4:
        insn.opcode = (uint8_t)(0x61 | size);
        insn.offset = some_offset();
        aim(&insn, &insn.src);
        return insn;
    case 5:
        insn.opcode = (uint8_t)(0x63 | size);
        insn.offset = some_offset();
        aim(&insn, &insn.dst);
        return insn;
    case 6:
        insn.opcode = (uint8_t)(0x62 | size);
        insn.offset = some_offset();
        aim(&insn, &insn.dst);
        break;
    case 7:
        insn.opcode = (uint8_t)(0xc3 | size);
        insn.offset = some_offset();
        insn.imm = atomics[below(sizeof(atomics) / sizeof(atomics[0]))];
        aim(&insn, insn.imm == 0x100 ? &insn.src : &insn.dst);
        return insn;
    case 8: /* calls: local, of helpers, of registers */
        insn.opcode = below(16) ? 0x85 : 0x8d;
        insn.dst = insn.opcode == 0x85 ? 0 : insn.dst;
        insn.src = insn.opcode == 0x85 ? (uint8_t)below(2) : 0;
        insn.imm = insn.opcode == 0x8d ? 0
                   : insn.src == 1     ? (int32_t)below(SLOTS) - (int32_t)index - 1
                                       : (int32_t)(below(9) / 4);
        return insn;
    default:
        insn.opcode = (uint8_t)((below(2) ? 0x20 : 0x40) | below(3) << 3 | (below(2) ? 0 : 0x81));
        insn.offset = insn.opcode & 1 ? some_offset() : 0;
        break;
    }
    insn.imm = some_imm();
    if (insn.opcode & 8 && (insn.opcode & 7) >= 4)
        insn.imm = 0;
    else if ((insn.opcode & 7) >= 4)
        insn.src = 0;
    return insn;
}

/* Replaces what the gate refuses until it refuses nothing. */
static void some_program(uint8_t *code)
{
    for (uint32_t i = 0; i < SLOTS; i++)
        put(code, i, some_slot(i));
    put(code, SLOTS - 1, (struct anybpf_slot){0x95, 0, 0, 0, 0});
    for (;;) {
        struct anybpf_verdict verdict =
            anybpf_check_program(code, SLOTS * ANYBPF_SLOT_SIZE, HOST_IS_BIG);

        if (verdict.fault == ANYBPF_LEGAL)
            return;
        put(code, (uint32_t)verdict.slot,
            verdict.slot == SLOTS - 1 ? (struct anybpf_slot){0x95, 0, 0, 0, 0}
                                      : some_slot((uint32_t)verdict.slot));
    }
}

/* Runs the second function given to it, and tells the program nothing. */
static uint64_t call_back(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5,
                          struct anybpf_run *run)
{
    return run->call(run, r1, r2, r3, r4, r5, 0);
}

static uint64_t stop_at_times(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5,
                              struct anybpf_run *run)
{
    (void)r3, (void)r4, (void)r5;
    if (r2 != 0 && (r2 & 3) == 0)
        anybpf_stop_run(run, ANYBPF_HELPER_FAILED);
    return r1 * 3;
}

static struct anybpf_program *make(struct anybpf_domain *domain, uint32_t id, const uint8_t *code,
                                   uint32_t slots, struct anybpf_map *map)
{
    static const anybpf_helper helpers[3] = {call_back, stop_at_times, NULL};
    static const int64_t codes[ANYBPF_STATUSES];
    struct anybpf_program_spec spec = {.id = id, .name = "any", .code = code,
                                       .size = slots * ANYBPF_SLOT_SIZE, .maps = &map,
                                       .map_count = map == NULL ? 0 : 1, .helpers = helpers,
                                       .helper_count = 3, .codes = codes};
    struct anybpf_program_fault fault;
    struct anybpf_program *program;

    if (anybpf_program_create(domain, &spec, &program, &fault) == ANYBPF_OK)
        return program;
    CHECK(fault.fault == ANYBPF_LEGAL && fault.text != NULL); /* an index that is not there */
    return NULL;
}

static void random_programs(struct anybpf_domain *domain)
{
    struct anybpf_run *run = malloc(sizeof(*run));
    uint32_t seat = anybpf_enter(domain, ANYBPF_ANY_CPU);
    uint32_t ends[16] = {0};

    CHECK(run != NULL);
    anybpf_run_init(run, domain, seat);
    for (uint32_t i = 0; i < PROGRAMS; i++) {
        /* Blocks that end where they end: who reads on is caught. */
        uint8_t *code = malloc(SLOTS * ANYBPF_SLOT_SIZE);
        struct anybpf_context *context = calloc(1, sizeof(*context) + 24);
        uint8_t *bytes = calloc(1, 64);
        struct anybpf_packet packet = {bytes, bytes + 64, bytes + 8, bytes + 16, bytes + 60,
                                       (i & 1) != 0};
        struct anybpf_trace trace = {0};
        struct anybpf_program *program;
        uint64_t twice[2] = {0, 0};

        CHECK(code != NULL && context != NULL && bytes != NULL);
        some_program(code);
        program = make(domain, i + 10, code, SLOTS, NULL);
        free(code);
        for (int turn = 0; program != NULL && turn < 2; turn++) {
            anybpf_run_set_context(run, context, 24, (i & 2) != 0);
            anybpf_run_set_packet(run, &packet);
            run->budget = 3000;
            run->trace = turn == 1 ? &trace : NULL;
            memset(run->stack, 0, sizeof(run->stack));
            memset(context->bytes, 0, 24);
            memset(bytes, 0, 64);
            twice[turn] = anybpf_run_program(run, program, (uint64_t)(uintptr_t)run->context, 0);
            CHECK(run->stop.end != ANYBPF_ENDED || run->frames == 1);
            CHECK(run->stop.end == ANYBPF_ENDED || run->stop.pc < SLOTS);
            if (turn == 0)
                ends[run->stop.end]++;
        }
        CHECK(program == NULL || twice[0] == twice[1]); /* traced and not, the same */
        run->trace = NULL;
        if (program != NULL)
            anybpf_program_close(program, NULL, NULL);
        anybpf_refresh(domain, seat);
        anybpf_run_set_context(run, NULL, 0, false);
        free(context);
        free(bytes);
    }
    CHECK(ends[ANYBPF_ENDED] > PROGRAMS / 100 && ends[ANYBPF_OUT_OF_BOUNDS] > PROGRAMS / 100);
    CHECK(ends[ANYBPF_READ_ONLY] != 0 && ends[ANYBPF_OUT_OF_BUDGET] != 0);
    CHECK(ends[ANYBPF_BAD_CALL] != 0 && ends[ANYBPF_MISALIGNED] != 0);
    CHECK(ends[ANYBPF_HELPER_FAILED] != 0 && ends[ANYBPF_TOO_DEEP] != 0);
    anybpf_leave(domain, seat);
    free(run);
}

struct work {
    struct anybpf_domain *domain;
    const struct anybpf_program *program;
};

static void *run_many(void *argument)
{
    const struct work *work = argument;
    struct anybpf_run *run = malloc(sizeof(*run));
    uint32_t seat = anybpf_enter(work->domain, ANYBPF_ANY_CPU);

    CHECK(run != NULL);
    anybpf_run_init(run, work->domain, seat);
    for (uint32_t i = 0; i < TURNS; i++) {
        CHECK(anybpf_run_program(run, work->program, 0, 0) == 0);
        CHECK(run->stop.end == ANYBPF_ENDED);
    }
    anybpf_leave(work->domain, seat);
    free(run);
    return NULL;
}

static void threads_count_together(struct anybpf_domain *domain)
{
    struct anybpf_shape shape = {.kind = ANYBPF_ARRAY, .key_size = 4, .value_size = 16,
                                 .max_entries = 1, .lock_offset = ANYBPF_NO_FIELD,
                                 .timer_offset = ANYBPF_NO_FIELD, .name = "counts"};
    struct anybpf_map *map;
    struct anybpf_program *program;
    struct work work;
    pthread_t threads[THREADS];
    uint8_t code[8 * ANYBPF_SLOT_SIZE];
    uint64_t counts[2];

    CHECK(anybpf_map_create(domain, 5, &shape, NULL, false, &map) == ANYBPF_OK);
    put(code, 0, (struct anybpf_slot){0x18, 1, 2, 0, 0});
    put(code, 1, (struct anybpf_slot){0, 0, 0, 0, 0});
    put(code, 2, (struct anybpf_slot){0xb7, 2, 0, 0, 1});
    put(code, 3, (struct anybpf_slot){0xdb, 1, 2, 0, 0});  /* lock *(u64 *)(r1 + 0) += r2 */
    put(code, 4, (struct anybpf_slot){0xdb, 1, 2, 8, 1});  /* and with fetching */
    put(code, 5, (struct anybpf_slot){0x7b, 10, 2, -8, 0});
    put(code, 6, (struct anybpf_slot){0xb7, 0, 0, 0, 0});
    put(code, 7, (struct anybpf_slot){0x95, 0, 0, 0, 0});
    program = make(domain, 6, code, 8, map);
    CHECK(program != NULL);
    work.domain = domain;
    work.program = program;
    for (uint32_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, run_many, &work) == 0);
    for (uint32_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    memcpy(counts, map->values, sizeof(counts));
    CHECK(counts[0] == (uint64_t)THREADS * TURNS);
    CHECK(counts[1] != 0);
    anybpf_program_close(program, NULL, NULL);
    anybpf_map_close(map);
}

int main(void)
{
    struct anybpf_domain *domain;

    CHECK(anybpf_domain_create(&domain, THREADS, false) == 0);
    random_programs(domain);
    threads_count_together(domain);
    anybpf_domain_free(domain);
    puts("all passed");
    return 0;
}
