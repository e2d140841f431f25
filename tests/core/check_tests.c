/* The gate of the C core, run under sanitizers: examples of each fault, then much random code
 * whose slots are mostly legal, in blocks that end exactly where the code does, so that a read past
 * the end is caught.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "code.h"

static int failures;

static void expect(const char *name, const char *hex, enum anybpf_fault fault, size_t slot)
{
    size_t size = strlen(hex) / 2;
    uint8_t *code = malloc(size ? size : 1);
    struct anybpf_verdict got;

    if (code == NULL)
        abort();
    for (size_t i = 0; i < size; i++) {
        char byte[3] = {hex[2 * i], hex[2 * i + 1], 0};

        code[i] = (uint8_t)strtoul(byte, NULL, 16);
    }
    got = anybpf_check_program(code, size, false);
    free(code);
    if (got.fault != fault || (fault != ANYBPF_LEGAL && got.slot != slot)) {
        printf("FAIL %s: fault %d at slot %zu, expected %d at %zu\n", name, (int)got.fault,
               got.slot, (int)fault, slot);
        failures++;
    }
}

#define EXIT_ "9500000000000000"

static void examples(void)
{
    expect("return 0", "b700000000000000" EXIT_, ANYBPF_LEGAL, 0);
    expect("empty", "", ANYBPF_FALLS_OFF_END, 0);
    expect("odd length", "b70000000000000095", ANYBPF_ODD_LENGTH, 1);
    expect("undefined opcode", EXIT_ "ff00000000000000", ANYBPF_UNDEFINED_OPCODE, 1);
    expect("register 11", "b70b000000000000" EXIT_, ANYBPF_NO_SUCH_REGISTER, 0);
    expect("dst", "9501000000000000", ANYBPF_DST_NOT_ZERO, 0);
    expect("src", "0710000001000000" EXIT_, ANYBPF_SRC_NOT_ZERO, 0);
    expect("offset", "0700010001000000" EXIT_, ANYBPF_OFFSET_NOT_ZERO, 0);
    expect("imm", "0f00000001000000" EXIT_, ANYBPF_IMM_NOT_ZERO, 0);
    expect("swap width", "d700000018000000" EXIT_, ANYBPF_UNDEFINED_VALUE, 0);
    expect("half missing", EXIT_ "1800000000000000", ANYBPF_HALF_MISSING, 1);
    expect("half not zero", "18000000000000000100000000000000" EXIT_, ANYBPF_HALF_NOT_ZERO, 1);
    expect("jump over the end", "0500010000000000" EXIT_, ANYBPF_TARGET_OUTSIDE, 0);
    expect("jump before the start", EXIT_ "0500fdff00000000", ANYBPF_TARGET_OUTSIDE, 1);
    expect("long jump far out", "06000000ffffff7f" EXIT_, ANYBPF_TARGET_OUTSIDE, 0);
    expect("jump into a load", "0500010000000000" "18000000000000000000000000000000" EXIT_,
           ANYBPF_TARGET_IN_LOAD, 0);
    expect("local call out", "85100000ffffff7f" EXIT_, ANYBPF_TARGET_OUTSIDE, 0);
    expect("function out", "18400000ffffff7f0000000000000000" EXIT_, ANYBPF_TARGET_OUTSIDE, 0);
    expect("falls off", "b700000000000000", ANYBPF_FALLS_OFF_END, 0);
    expect("loop", "0500ffff00000000", ANYBPF_LEGAL, 0);
}

static uint64_t state = 0x9e3779b97f4a7c15u;

static uint64_t next_random(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static void random_code(void)
{
    static const uint8_t frequent[] = {0x05, 0x06, 0x18, 0x85, 0x95, 0xb7, 0xbf, 0xc3, 0xdb, 0xe5};
    size_t legal = 0;

    for (int round = 0; round < 200000; round++) {
        size_t size = next_random() % 65;
        uint8_t *code = malloc(size ? size : 1);

        if (code == NULL)
            abort();
        for (size_t i = 0; i < size; i++) {
            uint64_t draw = next_random();

            if (i % 8 == 0)
                code[i] = draw % 4 ? frequent[draw / 4 % sizeof(frequent)] : (uint8_t)(draw >> 8);
            else
                code[i] = draw % 4 ? 0 : (uint8_t)(draw >> 8 & 7);
        }
        for (int order = 0; order < 2; order++) {
            struct anybpf_verdict all = anybpf_check_program(code, size, order);
            struct anybpf_verdict each = anybpf_check_instructions(code, size, order);

            if (each.fault != ANYBPF_LEGAL &&
                (all.fault != each.fault || all.slot != each.slot)) {
                printf("FAIL round %d: the two checks disagree\n", round);
                failures++;
            }
            legal += all.fault == ANYBPF_LEGAL;
        }
        free(code);
    }
    if (legal == 0) {
        printf("FAIL: no random program was legal, the generator tests nothing\n");
        failures++;
    }
}

int main(void)
{
    examples();
    random_code();
    if (failures == 0)
        printf("all passed\n");
    return failures != 0;
}
