/* Counts, steps and watches: see trace.h.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "trace.h"

#define HOST_IS_BIG (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)

/* Classes and modes of RFC 9669 section 5. */
enum { LDX = 1, ST = 2, STX = 3, MODE_MASK = 0xe0, ATOMIC = 0xc0, LOAD_ACQUIRE = 0x100 };

struct anybpf_access anybpf_access_of(const struct anybpf_slot *insn, const uint64_t *r)
{
    static const uint8_t sizes[4] = {4, 2, 1, 8};
    struct anybpf_access access = {0, 0, false};
    int cls = insn->opcode & 7;
    uint64_t base;

    if (cls != LDX && cls != ST && cls != STX)
        return access;
    access.write = cls != LDX;
    base = r[cls == LDX ? insn->src : insn->dst];
    if (cls == STX && (insn->opcode & MODE_MASK) == ATOMIC && insn->imm == LOAD_ACQUIRE) {
        access.write = false;
        base = r[insn->src];
    }
    access.address = base + (uint64_t)(int64_t)insn->offset;
    access.size = sizes[insn->opcode >> 3 & 3];
    return access;
}

static bool meets(const struct anybpf_watch *watch, const struct anybpf_access *access)
{
    if (!(access->write ? watch->writes : watch->reads) || watch->size == 0)
        return false;
    return access->address - watch->start < watch->size ||
           watch->start - access->address < access->size;
}

static bool touches(struct anybpf_run *run, const struct anybpf_program *program, uint32_t slot,
                    uint64_t *r)
{
    const struct anybpf_trace *trace = run->trace;
    struct anybpf_slot insn = anybpf_read_slot(program->code, slot, HOST_IS_BIG);
    struct anybpf_access access = anybpf_access_of(&insn, r);

    for (size_t i = 0; access.size != 0 && i < trace->watch_count; i++)
        if (meets(&trace->watches[i], &access))
            return trace->touch(run, program, slot, r, access);
    return true;
}

bool anybpf_trace_before(struct anybpf_run *run, const struct anybpf_program *program,
                         uint32_t slot, uint64_t *r)
{
    struct anybpf_trace *trace = run->trace;
    struct anybpf_counts *counts;
    bool go_on = true;

    trace->executed++;
    for (counts = trace->counts; counts != NULL; counts = counts->next)
        if (counts->program == program)
            __atomic_fetch_add(&counts->counts[slot], 1, __ATOMIC_RELAXED);
    if (trace->watch_count != 0 && trace->touch != NULL)
        go_on = touches(run, program, slot, r);
    if (go_on && trace->step != NULL)
        go_on = trace->step(run, program, slot, r);
    if (!go_on)
        anybpf_stop_run(run, ANYBPF_STOPPED);
    return go_on;
}
